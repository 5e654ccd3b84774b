//! Owns: how payloads end and what is told about it: codes, signals, limits, kills, usage, the JSON form.
//! Must not: test streams (fds.rs).
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pinfold::{Ended, ErrorKind, Outcome, Sandbox, Stdio};
use pinfold_tests::{Leaks, cc, comm, descendants, eventually, until_running, user_ticks};

const SOON: Duration = Duration::from_secs(30);

fn plain() -> Sandbox {
    Sandbox::builder().build().unwrap()
}

fn sh(script: &str) -> pinfold::Command {
    plain().command("sh").args(["-c", script])
}

/// Burns CPU time until it has used argv[1] milliseconds of it; with a second argument mostly in the kernel.
const BURN: &str = r#"
#include <stdlib.h>
#include <time.h>
int main(int argc, char **argv) {
    clock_t until = (clock_t)atol(argv[1]) * (CLOCKS_PER_SEC / 1000);
    while (clock() < until)
        for (volatile int spin = 0; argc < 3 && spin < 100000; spin++) {}
    return 0;
}
"#;

/// Touches argv[1] MiB.
const TOUCH: &str = r#"
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
    size_t size = (size_t)atol(argv[1]) << 20;
    volatile char *memory = malloc(size);
    if (!memory) return 9;
    for (size_t at = 0; at < size; at += 512) memory[at] = 1;
    return 0;
}
"#;

#[test]
fn usage_can_be_asked_for_while_somebody_waits() {
    let _leaks = Leaks::watch();
    let process = sh("sleep 600").spawn().unwrap();
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| process.wait().unwrap());
        // It may not be there yet; as long as it waits, nothing is lost by asking often.
        for _ in 0..50 {
            assert!(process.usage().unwrap().cpu_user.is_some(), "of the payload as it runs");
            assert!(process.take_kept_root().is_none());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!waiting.is_finished(), "usage has waited for the end");
        process.kill().unwrap();
        assert_eq!(waiting.join().unwrap().ended(), Ended::Killed);
    });
}

#[test]
fn a_call_has_no_more_than_its_sandbox() {
    let _leaks = Leaks::watch();
    let ask = |sandbox: &Sandbox, wanted: u64| {
        let command = sandbox.command("sh").args(["-c", "ulimit -n; ulimit -Hn"]).rlimit("nofile", wanted);
        command.output().unwrap().text()
    };
    let (here, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    assert_eq!(ask(&plain(), 1 << 40), format!("{here}\n{here}\n"), "what holds here");
    assert_eq!(ask(&plain(), 64), "64\n64\n");
    let limited = Sandbox::builder().set("limits.rlimits.nofile=96").build().unwrap();
    assert_eq!(ask(&limited, 128), "96\n96\n", "what the sandbox has");
    assert_eq!(ask(&limited, 64), "64\n64\n");
}

#[test]
fn a_call_without_time_is_refused() {
    let _leaks = Leaks::watch();
    let error = plain().command("true").timeout(Duration::ZERO).cpu_time(Duration::ZERO).output().unwrap_err();
    let keys: Vec<&str> = error.report().problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!((error.kind(), keys.as_slice()), (ErrorKind::Config, ["cpu_time", "timeout"].as_slice()), "{error}");
}

#[test]
fn exit_codes() {
    let _leaks = Leaks::watch();
    let sandbox = plain();
    for code in [0, 1, 2, 42, 77, 124, 125, 126, 127, 128, 130, 137, 143, 254, 255] {
        let outcome = sandbox.command("sh").args(["-c", &format!("exit {code}")]).output().unwrap();
        assert_eq!((outcome.ended(), outcome.code(), outcome.signal()), (Ended::Exited, Some(code), None));
        assert_eq!((outcome.success(), i32::from(outcome.exit_status())), (code == 0, code));
        assert_eq!((outcome.detail(), outcome.signal_name()), (format!("exited with {code}").as_str(), None));
    }
}

#[test]
fn signals() {
    let _leaks = Leaks::watch();
    let sandbox = plain();
    let all = [
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGXCPU, "SIGXCPU"),
        (34, "SIGRTMIN+0"),
        (64, "SIGRTMIN+30"),
    ];
    for (signal, name) in all {
        let outcome = sandbox.command("sh").args(["-c", &format!("kill -{signal} $$")]).output().unwrap();
        assert_eq!((outcome.ended(), outcome.code()), (Ended::Signaled, None), "{name}: {outcome:?}");
        assert_eq!((outcome.signal(), outcome.signal_name()), (Some(signal), Some(name)));
        assert_eq!((outcome.success(), i32::from(outcome.exit_status())), (false, 128 + signal));
        assert_eq!(outcome.detail(), format!("killed by {name}"));
    }
}

#[test]
fn a_signal_sent_from_outside() {
    let _leaks = Leaks::watch();
    let process = sh("trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done").stdout(Stdio::piped()).spawn();
    let process = process.unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(&mut process.take_stdout().unwrap(), &mut ready).unwrap();
    process.signal(libc::SIGUSR1).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(7));
    // It is gone, which is no error; a number that means nothing is one.
    process.signal(libc::SIGUSR1).unwrap();

    let process = sh("sleep 600").spawn().unwrap();
    assert_eq!(process.signal(1000).unwrap_err().errno(), Some(libc::EINVAL));
    process.signal(libc::SIGKILL).unwrap();
    assert_eq!(process.wait().unwrap().ended(), Ended::Signaled, "not a kill of the sandbox");
}

#[test]
fn a_time_limit_ends_whatever_is_tried() {
    let _leaks = Leaks::watch();
    let stubborn = [
        "echo said; exec sleep 600",
        "echo said; kill -STOP $$; sleep 600",
        "echo said; trap '' TERM INT HUP; sleep 600",
        "echo said; (sleep 600 & sleep 600 &) ; sleep 600",
        "echo said; setsid sleep 600 & wait",
        "echo said; while :; do :; done",
    ];
    for script in stubborn {
        let start = Instant::now();
        let outcome = sh(script).timeout("1s").output().unwrap();
        let took = start.elapsed();
        assert_eq!((outcome.ended(), outcome.code()), (Ended::WallTime, None), "{script}");
        assert_eq!((outcome.signal(), outcome.exit_status()), (Some(libc::SIGKILL), 124), "{script}");
        assert_eq!((outcome.text().as_str(), outcome.detail()), ("said\n", "killed after 1s of wall time"));
        assert!(took >= Duration::from_secs(1) && took < SOON, "{script}: {took:?}");
    }
}

#[test]
fn of_two_time_limits_the_lower_counts() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().timeout("2s").build().unwrap();
    let outcome = sandbox.command("sleep").arg("600").timeout("60s").output().unwrap();
    assert_eq!(outcome.detail(), "killed after 2s of wall time");
    assert!(outcome.report().used("limits.wall_time", "2s by the keeper"), "{:?}", outcome.report());
    let sandbox = Sandbox::builder().timeout("60s").build().unwrap();
    let outcome = sandbox.command("sleep").arg("600").timeout(Duration::from_secs(1)).output().unwrap();
    assert_eq!(outcome.detail(), "killed after 1s of wall time");
}

#[test]
fn a_deadline_before_the_exec_is_an_error() {
    let _leaks = Leaks::watch();
    let error = plain().command("true").timeout(Duration::from_nanos(1)).output().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

#[test]
fn kill_and_cancel_from_another_thread() {
    let _leaks = Leaks::watch();
    for cancel in [false, true] {
        let process = Arc::new(sh("echo said; sleep 600").stdout(Stdio::piped()).spawn().unwrap());
        let other = Arc::clone(&process);
        let thread = std::thread::spawn(move || {
            until_running("sleep", 1);
            if cancel { other.cancel() } else { other.kill() }
        });
        let start = Instant::now();
        let outcome = process.wait().unwrap();
        thread.join().unwrap().unwrap();
        let wanted =
            if cancel { (Ended::Cancelled, 130, "cancelled") } else { (Ended::Killed, 137, "killed on request") };
        assert_eq!((outcome.ended(), outcome.exit_status(), outcome.detail()), wanted);
        assert_eq!((outcome.code(), outcome.signal(), outcome.text().as_str()), (None, Some(libc::SIGKILL), "said\n"));
        assert!(start.elapsed() < SOON);
        // The first cause stays.
        process.cancel().ok();
        assert_eq!(process.wait().unwrap(), outcome);
    }
}

#[test]
fn waiting_in_all_ways() {
    let _leaks = Leaks::watch();
    let process = plain().command("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let stdin = process.take_stdin().unwrap();
    assert!(process.try_wait().unwrap().is_none());
    let start = Instant::now();
    assert!(process.wait_timeout(Duration::from_millis(50)).unwrap().is_none());
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(process.drain().unwrap().is_none());
    drop(stdin);
    let outcome = process.wait_timeout(SOON).unwrap().expect("it ended");
    assert_eq!(outcome.code(), Some(0));
    assert_eq!(process.try_wait().unwrap().as_ref(), Some(&outcome));
    assert_eq!(process.wait().unwrap(), outcome);

    let process = plain().command("true").spawn().unwrap();
    eventually("try_wait sees the end", || process.try_wait().unwrap().is_some());
    let process = plain().command("true").spawn().unwrap();
    eventually("drain sees the end", || process.drain().unwrap().is_some());
}

#[test]
fn two_waiters_hear_the_same() {
    let _leaks = Leaks::watch();
    let process = Arc::new(sh("sleep 0.2; echo out; exit 3").stdout(Stdio::piped()).spawn().unwrap());
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let process = Arc::clone(&process);
            std::thread::spawn(move || process.wait().unwrap())
        })
        .collect();
    let outcomes: Vec<Outcome> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!((outcomes[0].code(), outcomes[0].text().as_str()), (Some(3), "out\n"));
}

#[test]
fn dropping_kills() {
    let _leaks = Leaks::watch();
    let process = sh("setsid sleep 600 & sleep 600").spawn().unwrap();
    let pid = process.id().expect("a running payload has a pid");
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    eventually("the grandchild runs", || descendants(std::process::id()).len() >= 4);
    let start = Instant::now();
    drop(process);
    assert!(start.elapsed() < SOON);
    eventually("the payload is gone", || !Path::new(&format!("/proc/{pid}")).exists());
    eventually("all are gone", || descendants(std::process::id()).is_empty());
}

#[test]
fn the_end_of_the_payload_is_the_end_of_its_orphans() {
    let _leaks = Leaks::watch();
    let outcome = sh("for i in 1 2 3 4 5; do setsid sleep 600 & done; (sleep 600 &); exit 5").output().unwrap();
    assert_eq!(outcome.code(), Some(5));
    eventually("all are gone", || descendants(std::process::id()).is_empty());
}

#[test]
fn cpu_time_is_counted() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().ro_bind(cc("burn", BURN), "/burn").build().unwrap();
    let outcome = sandbox.command("/burn").arg("200").output().unwrap();
    let usage = outcome.usage();
    let used = usage.cpu_user.unwrap() + usage.cpu_system.unwrap();
    assert!((0.15..5.0).contains(&used) && usage.cpu_user.unwrap() > 0.05, "{usage:?}");

    // Children that were waited for, and orphans that ended before the payload.
    let waited = sandbox.command("sh").args(["-c", "/burn 200; true"]).output().unwrap();
    assert!(waited.usage().cpu_user.unwrap() > 0.05, "{:?}", waited.usage());
    let line = "(/burn 200 & echo $! > /tmp/pid); read pid < /tmp/pid; while [ -d /proc/$pid ]; do sleep 0.05; done";
    let orphan = sandbox.command("sh").args(["-c", line]).output().unwrap();
    assert!(orphan.usage().cpu_user.unwrap() > 0.05, "{:?}", orphan.usage());
    let idle = sandbox.command("sleep").arg("0.3").output().unwrap();
    assert!(idle.usage().cpu_user.unwrap() < 0.15, "{:?}", idle.usage());
    assert!(idle.usage().context_switches_voluntary.is_some() && idle.usage().page_faults_major.is_some());
}

#[test]
fn the_cpu_time_of_an_orphan_that_still_runs_is_counted() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().ro_bind(cc("burn", BURN), "/burn").build().unwrap();
    let command = sandbox.command("sh").args(["-c", "(/burn 60000 &); read line"]).stdin(Stdio::piped());
    let process = command.spawn().unwrap();
    let stdin = process.take_stdin();
    eventually("it has burnt for a while", || {
        let burning = |pid: &u32| comm(*pid) == "burn" && user_ticks(*pid) >= 10;
        descendants(std::process::id()).iter().any(burning)
    });
    drop(stdin);
    let outcome = process.wait().unwrap();
    assert!(outcome.usage().cpu_user.unwrap() > 0.05, "{:?}", outcome.usage());
}

#[test]
fn peak_memory_is_that_of_the_payload() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().ro_bind(cc("touch-memory", TOUCH), "/touch").build().unwrap();
    let outcome = sandbox.command("/touch").arg("64").output().unwrap();
    let peak = outcome.usage().memory_peak.unwrap();
    assert!((64 << 20..80 << 20).contains(&peak), "{peak}");
    assert_eq!(outcome.usage().memory_source.as_deref(), Some("vmhwm"));
    // A child's counts too.
    let outcome = sandbox.command("sh").args(["-c", "/touch 64; true"]).output().unwrap();
    assert!(outcome.usage().memory_peak.unwrap() >= 64 << 20);

    // The host's own 500 MB are not the payload's.
    let mut big = vec![0u8; 500 << 20];
    big.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    let small = sandbox.command("true").output().unwrap().usage().memory_peak.unwrap();
    assert!(std::hint::black_box(&big).len() == 500 << 20 && small < 20 << 20, "{small}");
}

fn keys(value: &serde_json::Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_json_form_has_these_keys_and_no_others() {
    let _leaks = Leaks::watch();
    let outcome = sh("exit 3").output().unwrap();
    let json = serde_json::to_value(&outcome).unwrap();
    let top = [
        "ended",
        "exit_code",
        "signal",
        "signal_name",
        "ok",
        "detail",
        "stdout_truncated",
        "stderr_truncated",
        "duration",
        "changes",
        "usage",
        "timings",
        "report",
    ];
    assert_eq!(keys(&json), top.into());
    let usage = [
        "cpu_user",
        "cpu_system",
        "cpu_throttled",
        "memory_peak",
        "memory_source",
        "memory_limit_hits",
        "oom_kills",
        "swap_peak",
        "page_faults_major",
        "page_ins",
        "page_outs",
        "pids_peak",
        "pids_limit_hits",
        "io",
        "context_switches_voluntary",
        "context_switches_involuntary",
    ];
    assert_eq!(keys(&json["usage"]), usage.into());
    assert_eq!(keys(&json["timings"]), ["setup", "payload", "teardown"].into());
    assert_eq!(keys(&json["report"]), ["enforced", "degradations"].into());
    assert_eq!((&json["ended"], &json["exit_code"], &json["ok"]), (&"exited".into(), &3.into(), &false.into()));
    assert!(json["signal"].is_null() && json["signal_name"].is_null() && json["changes"].is_null());
    assert!(json["duration"].is_f64() && json["timings"]["setup"].is_f64());
    // What this host can't measure without a group is null, never 0.
    for key in ["cpu_throttled", "memory_limit_hits", "oom_kills", "swap_peak", "pids_peak", "pids_limit_hits", "io"] {
        assert!(json["usage"][key].is_null(), "{key}: {}", json["usage"][key]);
    }
    let back: Outcome = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&back).unwrap(), json);

    let json = serde_json::to_value(sh("kill -9 $$").output().unwrap()).unwrap();
    assert_eq!(
        (&json["ended"], &json["signal"], &json["signal_name"]),
        (&"signaled".into(), &9.into(), &"SIGKILL".into())
    );
    assert!(json["exit_code"].is_null());
}

#[test]
fn timings_add_up() {
    let _leaks = Leaks::watch();
    let start = Instant::now();
    let outcome = plain().command("sleep").arg("0.3").output().unwrap();
    let (took, timings) = (start.elapsed(), outcome.timings());
    assert!(timings.payload >= Duration::from_millis(290), "{timings:?}");
    assert!(timings.setup > Duration::ZERO && timings.setup < SOON, "{timings:?}");
    let sum = timings.setup + timings.payload + timings.teardown;
    assert!(sum <= outcome.duration() + Duration::from_millis(1), "{timings:?} {:?}", outcome.duration());
    assert!(outcome.duration() <= took && outcome.duration() < SOON);
}

#[test]
fn the_report_says_what_is_enforced() {
    let _leaks = Leaks::watch();
    let outcome = plain().command("true").output().unwrap();
    let report = outcome.report();
    for key in ["user", "pid", "mount", "ipc", "uts", "cgroup"] {
        assert!(report.used(&format!("namespaces.{key}"), "new"), "{key}: {report:?}");
    }
    let others = [
        ("namespaces.time", "host"),
        ("network.mode", "none"),
        ("rootfs.kind", "system"),
        ("security.seccomp", "default"),
        ("security.no_new_privs", "true"),
        ("rootfs", if pinfold_tests::is_root() { "prepared tree" } else { "trees of init" }),
    ];
    for (key, how) in others {
        assert!(report.used(key, how), "{key}: {report:?}");
    }
    assert_eq!(report.degradations, []);
}

/// As on a host where this process may make no groups.
fn without_groups() -> pinfold::SandboxBuilder {
    Sandbox::builder().set("limits.cgroup_parent=\"/no/such/group\"")
}

#[test]
fn cpu_time_falls_back_to_a_limit_per_process() {
    let _leaks = Leaks::watch();
    let refused = without_groups().cpu_time("1s").build().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert_eq!(refused.report().origin.as_deref(), Some("limits.cpu_time"));

    let sandbox = without_groups()
        .ro_bind(cc("burn", BURN), "/burn")
        .cpu_time("1s")
        .prefer("limits.*")
        .timeout("60s")
        .build()
        .unwrap();
    let outcome = sandbox.command("/burn").arg("60000").output().unwrap();
    assert_eq!((outcome.ended(), outcome.signal()), (Ended::CpuTime, Some(libc::SIGXCPU)), "{outcome:?}");
    assert_eq!((outcome.exit_status(), outcome.detail()), (124, "killed after 1s of CPU time"));
    let [weaker, _the_group] = outcome.report().degradations.as_slice() else { panic!("{:?}", outcome.report()) };
    assert_eq!((weaker.feature.as_str(), weaker.got.as_str()), ("limits.cpu_time", "RLIMIT_CPU per process"));
    // The kernel counts ticks for this limit, which may run ahead of the time that it reports.
    let outcome = sandbox.command("/burn").args(["60000", "in-the-kernel"]).output().unwrap();
    assert_eq!((outcome.ended(), outcome.signal()), (Ended::CpuTime, Some(libc::SIGXCPU)), "{outcome:?}");
    // Ignored, it is the hard limit's SIGKILL a second later; the cause is the same.
    let outcome = sandbox.command("sh").args(["-c", "trap '' XCPU; exec /burn 60000"]).output().unwrap();
    assert_eq!((outcome.ended(), outcome.signal()), (Ended::CpuTime, Some(libc::SIGKILL)), "{outcome:?}");
    // The signal alone proves nothing.
    let outcome = sandbox.command("sh").args(["-c", "kill -XCPU $$"]).output().unwrap();
    assert_eq!(outcome.ended(), Ended::Signaled);
}

#[test]
fn pids_are_bounded_by_the_users_own_limit() {
    let _leaks = Leaks::watch();
    let refused = without_groups().pids(20).build().unwrap_err();
    assert_eq!((refused.kind(), refused.report().origin.as_deref()), (ErrorKind::Unsupported, Some("limits.pids")));

    let sandbox = without_groups().pids(20).prefer("limits.*").timeout("60s").build().unwrap();
    assert!(sandbox.report().used("limits.pids", "RLIMIT_NPROC"), "{:?}", sandbox.report());
    assert_eq!(sandbox.report().degradations.len(), 1, "the group: {:?}", sandbox.report());
    let script = "n=0; while [ $n -lt 100 ]; do sleep 600 & n=$((n+1)); done";
    let outcome = sandbox.command("sh").args(["-c", script]).output().unwrap();
    assert!(outcome.stderr_text().contains("fork"), "{outcome:?}");
    let count = "for i in 1 2 3 4 5 6 7 8 9; do sleep 600 & done; ls -d /proc/[0-9]* | wc -l";
    let outcome = sandbox.command("sh").args(["-c", count]).output().unwrap();
    let running: u32 = outcome.text().trim().parse().unwrap();
    assert!((11..=20).contains(&running), "{outcome:?}");
    // The next sandbox of the same user starts with a count of its own.
    let first = sandbox.command("sh").args(["-c", &format!("{script} 2>/dev/null; sleep 600")]).spawn().unwrap();
    assert_eq!(sandbox.command("sh").args(["-c", "true & wait"]).output().unwrap().code(), Some(0));
    drop(first);
}

#[test]
fn a_fork_bomb_ends_with_its_sandbox() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().pids(50).prefer("limits.pids").timeout("1s").build().unwrap();
    let start = Instant::now();
    let outcome = sandbox.command("sh").args(["-c", "b() { b | b & }; b; sleep 600"]).output().unwrap();
    assert_eq!(outcome.ended(), Ended::WallTime, "{outcome:?}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn without_an_init_the_payload_is_pid_1() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().set("process.init=false").build().unwrap();
    let outcome = sandbox.command("sh").args(["-c", "echo $$; exit 9"]).output().unwrap();
    assert_eq!((outcome.text().as_str(), outcome.code(), outcome.ended()), ("1\n", Some(9), Ended::Exited));
    let outcome = sandbox.command("sh").args(["-c", "setsid sleep 600 & exit 0"]).output().unwrap();
    assert_eq!(outcome.code(), Some(0));
    let outcome = sandbox.command("sleep").arg("600").timeout("1s").output().unwrap();
    assert_eq!(outcome.ended(), Ended::WallTime);
    let process = sandbox.command("sleep").arg("600").spawn().unwrap();
    process.kill().unwrap();
    assert_eq!(process.wait().unwrap().ended(), Ended::Killed);
    // With one it is not.
    assert_ne!(sh("echo $$").output().unwrap().text(), "1\n");
}
