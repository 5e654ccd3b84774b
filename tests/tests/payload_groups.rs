//! Owns: groups of single payloads of a session: numbers, reasons and CPU time that are a payload's own, groups that go away.
//! Must not: ask the library what the kernel's own files say.

#[path = "support/confinement.rs"]
mod confinement;
#[macro_use]
#[path = "support/groups.rs"]
mod groups;

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use confinement::{confinement, ids, without_ids};
use groups::*;
use pinfold::{Ended, ErrorKind, Process, Session, Stdio};
use pinfold_tests::{Leaks, comm, descendants, eventually, skip};

fn grouped() -> Session {
    built(worker().memory("48MiB").swap(0).payload_groups(true)).open().expect("opens")
}

fn start(session: &Session, args: &[&str]) -> Process {
    session.command(WORKER).args(args).stdout(Stdio::Piped).spawn().unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

#[track_caller]
fn says_done(process: &Process) {
    let mut said = [0; 5];
    process.take_stdout().expect("piped").read_exact(&mut said).expect("it says that it is done");
    assert_eq!(&said, b"done\n");
}

/// Those of `process` that are a payload's own.
fn own(process: &Process) -> Vec<(String, PathBuf)> {
    let all = groups_of(process.id().expect("it runs"));
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().starts_with("payload-");
    all.into_iter().filter(|(_, path)| name(path)).collect()
}

/// Whether memory is counted where payloads have groups of their own.
fn memory_on_v1() -> bool {
    pinfold::HostCaps::probe().expect("facts").cgroups.v1_places.contains_key("memory")
}

#[test]
fn each_payload_has_a_group_and_numbers_of_its_own() {
    let _leaks = Leaks::watch();
    needs!(MEMORY, PIDS);
    let session = grouped();
    let (busy, idle) = (start(&session, &["work", "100"]), start(&session, &["sleep", "100000"]));
    says_done(&busy);
    let (of_busy, of_idle) = (own(&busy), own(&idle));
    assert!(!of_busy.is_empty() && of_busy.len() == of_idle.len(), "{of_busy:?} {of_idle:?}");
    for ((controller, one), (_, other)) in of_busy.iter().zip(&of_idle) {
        assert_ne!(one, other, "{controller}");
        assert_eq!(one.parent(), other.parent(), "{controller}: below one session");
        assert_eq!(
            fs::read_to_string(one.join("cgroup.threads"))
                .or_else(|_| fs::read_to_string(one.join("tasks")))
                .map(|text| text.lines().count())
                .ok(),
            Some(1),
            "{controller}"
        );
    }
    let cpu = |process: &Process| {
        let usage = process.usage().expect("it runs");
        usage.cpu_user.zip(usage.cpu_system).map(|(user, system)| user + system).expect("counted")
    };
    assert!(cpu(&busy) >= 0.09 && cpu(&idle) < cpu(&busy) / 2.0, "{} {}", cpu(&busy), cpu(&idle));
    let (used, unused) = (busy.usage().expect("it runs"), idle.usage().expect("it runs"));
    if memory_on_v1() {
        assert_eq!(used.memory_source.as_deref(), Some("cgroup-v1"));
        assert!(used.memory_peak >= Some(32 << 20) && unused.memory_peak < Some(16 << 20), "{used:?} {unused:?}");
        assert_eq!(used.memory_peak, number(raw(&busy, "memory", "memory.max_usage_in_bytes", "")));
    } else {
        // The kernel has no memory of a threaded group: not known, and not that of all.
        assert_eq!((used.memory_peak, used.oom_kills), (None, None));
    }
    assert!(used.pids_peak.is_none_or(|peak| peak == 1), "{used:?}");
    // The sum is the session's.
    let all = session.usage().expect("usage");
    assert!(all.memory_peak >= Some(32 << 20), "{all:?}");

    // Killing one leaves the other alone; its group goes with it.
    busy.kill().expect("can be told");
    assert_eq!(busy.wait().expect("ends").ended(), Ended::Killed);
    drop(busy);
    for (controller, group) in &of_busy {
        assert!(!group.exists(), "{controller}");
    }
    assert!(idle.try_wait().expect("runs on").is_none());
    let outcome = session.command(WORKER).args(["spin", "50"]).output().expect("starts");
    let used = outcome.usage().cpu_user.zip(outcome.usage().cpu_system).map(|(user, system)| user + system);
    // The clocks of an emulated machine do not agree so closely.
    let least = if slow() { 0.0 } else { 0.045 };
    assert!(outcome.success() && used.is_some_and(|used| (least..5.0).contains(&used)), "{outcome:?}");
}

/// Its group is one level below, in the cgroup namespace of the session. That is all the difference.
#[test]
fn a_payload_with_a_group_of_its_own_is_confined_as_a_first_one_is() {
    let _leaks = Leaks::watch();
    needs!(MEMORY, PIDS);
    // What a payload's own group adds to a line of /proc/self/cgroup.
    let below = |text: &str| text.lines().filter(|line| line.contains(":/payload-")).count();
    let as_in_the_session = |text: &str| {
        let line = |line: String| match line.split_once(":/payload-") {
            Some((hierarchy, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("{hierarchy}:/"),
            _ => line,
        };
        without_ids(text).into_iter().map(line).collect::<Vec<_>>()
    };
    for asked_for in [true, false] {
        let sandbox = built(worker().set("limits.rlimits.nofile=123").pids(64).payload_groups(asked_for));
        let session = sandbox.open().expect("opens");
        // Without `payload_groups`, a `cpu_time` of one call makes one.
        let command = || match asked_for {
            true => session.command("sh"),
            false => session.command("sh").cpu_time("1h"),
        };
        let first = confinement(sandbox.command("sh"));
        let payloads: Vec<String> = (0..3).map(|_| confinement(command())).collect();
        for payload in &payloads {
            assert!(below(payload) > 0, "{payload}");
            assert_eq!(as_in_the_session(payload), without_ids(&first));
            assert_eq!(ids(payload), ids(&payloads[0]));
        }
        assert_eq!(below(&first), 0, "{first}");
        if !asked_for {
            let plain = confinement(session.command("sh"));
            assert_eq!((below(&plain), ids(&plain)), (0, ids(&payloads[0])));
            assert_eq!(without_ids(&plain), without_ids(&first));
        }
    }
}

/// One is stopped and limited while the other goes on.
#[test]
fn a_payload_is_frozen_and_limited_alone() {
    let _leaks = Leaks::watch();
    needs!(MEMORY, PIDS);
    let session = grouped();
    let (still, goes_on) = (start(&session, &["count"]), start(&session, &["count"]));
    match still.freeze() {
        // Nothing but v1: a frozen process there does not even die, so only whole sandboxes are frozen.
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
        Ok(()) => {
            let mut dots = goes_on.take_stdout().expect("piped");
            let cpu = |process: &Process| process.usage().expect("it runs").cpu_user.expect("counted");
            let before = cpu(&still);
            dots.read_exact(&mut [0; 10]).expect("it goes on");
            assert_eq!(cpu(&still).to_bits(), before.to_bits());
            still.kill().expect("can be told");
            assert_eq!(still.wait().expect("frozen ones die too").ended(), Ended::Killed);
        }
    }
    let forks = start(&session, &["count"]);
    if forks.update(&limits(|l| l.pids = Some(1))).is_ok() {
        assert!(forks.usage().expect("it runs").pids_limit_hits == Some(0));
    }
    assert_eq!(forks.update(&limits(|l| l.payload_groups = Some(true))).expect_err("fixed").kind(), ErrorKind::Config);
}

#[test]
fn cpu_time_of_one_payload() {
    let _leaks = Leaks::watch();
    needs!(PIDS);
    let (text, limit) = if slow() { ("3s", 3.0) } else { ("300ms", 0.3) };
    let session = grouped();
    let neighbour = start(&session, &["sleep", "100000"]);
    let outcome = session.command(WORKER).arg("spin2").cpu_time(text).output().expect("starts");
    assert_eq!((outcome.ended(), outcome.exit_status()), (Ended::CpuTime, 124), "{outcome:?}");
    assert!(outcome.detail().contains("CPU time"), "{}", outcome.detail());
    assert!(outcome.report().enforced["limits.cpu_time"].contains("of the payload"), "{:?}", outcome.report());
    let used = outcome.usage().cpu_user.zip(outcome.usage().cpu_system).map(|(user, system)| user + system);
    assert!(used.is_some_and(|used| (limit * 0.99..limit * 2.0).contains(&used)), "{used:?}");
    assert!(neighbour.try_wait().expect("runs on").is_none());
    // Each has its own, however much others have used; and a deadline counts beside it.
    for _ in 0..3 {
        let spin = session.command(WORKER).args(["spin", "50"]).cpu_time(text).output().expect("starts");
        assert!(spin.success(), "{spin:?}");
    }
    let late = session.command(WORKER).args(["sleep", "100000"]).cpu_time("1h").timeout("2s").output().expect("starts");
    assert_eq!(late.ended(), Ended::WallTime);
    // What it leaves running has no more than that either.
    let line = format!("{WORKER} spin2 & exit 3");
    let left = session.command("sh").args(["-c", &line]).cpu_time(text).stdout(Stdio::Null).stderr(Stdio::Null);
    assert_eq!(left.output().expect("starts").code(), Some(3));
    let workers = || descendants(std::process::id()).into_iter().filter(|pid| comm(*pid) == "worker").count();
    eventually("its time is used up", || workers() == 1);
    drop(neighbour);

    // A session that is in any group has room for one below it.
    let session = built(worker().pids(64)).open().expect("opens");
    let plain = start(&session, &["sleep", "100000"]);
    assert_eq!(own(&plain), Vec::new(), "nobody asked for one");
    assert_eq!(plain.freeze().expect_err("it has none").kind(), ErrorKind::Unsupported);
    let outcome = session.command(WORKER).arg("spin2").cpu_time(text).output().expect("starts");
    assert_eq!(outcome.ended(), Ended::CpuTime, "{outcome:?}");
}

#[test]
fn out_of_memory_is_the_payloads_own() {
    let _leaks = Leaks::watch();
    needs!(MEMORY);
    let session = grouped();
    let bystander = start(&session, &["sleep", "100000"]);
    let outcome = session.command(WORKER).args(["touch", "96"]).output().expect("starts");
    assert_eq!((outcome.ended(), outcome.usage().oom_kills), (Ended::Memory, Some(1)), "{outcome:?}");
    bystander.signal(9).expect("can be sent");
    let told = bystander.wait().expect("ends");
    assert_eq!(told.ended(), Ended::Signaled, "{told:?}");
    if memory_on_v1() {
        assert_eq!(told.usage().oom_kills, Some(0), "that was another payload");
    }
    // With a group that is gone and one that is there.
    assert_eq!(session.usage().expect("usage").oom_kills, Some(1));
    let parent = start(&session, &["child-touches", "96"]);
    assert_eq!(parent.wait().expect("ends").ended(), Ended::Exited);
    assert_eq!(session.usage().expect("usage").oom_kills, Some(2));
}

#[test]
fn many_payloads_leave_no_group() {
    let _leaks = Leaks::watch();
    needs!(MEMORY, PIDS);
    let session = grouped();
    let first = start(&session, &["sleep", "100000"]);
    let parents: Vec<PathBuf> =
        own(&first).into_iter().filter_map(|(_, path)| Some(path.parent()?.to_owned())).collect();
    let groups = || {
        let all = parents.iter().flat_map(|path| fs::read_dir(path).into_iter().flatten().flatten());
        all.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count()
    };
    let alone = groups();
    let begun = Instant::now();
    let rounds = if slow() { 20 } else { 300 };
    for _ in 0..rounds {
        assert!(session.command(WORKER).args(["exit", "0"]).output().expect("starts").success());
    }
    println!("{rounds} payloads with groups: {:?}", begun.elapsed());
    assert_eq!(groups(), alone);
    // What is left running keeps its group; the next payload after its end takes it away.
    let left = session.command("sh").args(["-c", &format!("{WORKER} sleep 2000 & exit 0")]).stdout(Stdio::Null);
    assert!(left.stderr(Stdio::Null).output().expect("starts").success());
    assert!(groups() > alone);
    eventually("it goes with the next", || {
        assert!(session.command(WORKER).args(["exit", "0"]).output().expect("starts").success());
        groups() == alone
    });
}

#[test]
fn payload_groups_hold_without_a_unified_hierarchy() {
    let _leaks = Leaks::watch();
    without_unified(&[
        "each_payload_has",
        "a_payload_with_a_group",
        "a_payload_is_frozen",
        "cpu_time_of_one",
        "out_of_memory_is",
        "many_payloads",
    ]);
}
