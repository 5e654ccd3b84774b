//! Hosts that die, threads that end, hosts that ignore or steal SIGCHLD, an init that is killed: the right outcome or
//! none, and nothing left.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid, getsid};
use pinfold::{Ended, ErrorKind, Sandbox};
use pinfold_tests::{Leaks, comm, descendants, eventually, orphans, patience, runs, until_running};

fn sandbox() -> Sandbox {
    Sandbox::builder().build().expect("the default sandbox")
}

fn host(args: &[&str]) -> std::process::Child {
    // scripts/test runs copies of the test programs: their host stands beside them.
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("test-host")));
    let program = beside.filter(|path| path.exists()).unwrap_or_else(|| env!("CARGO_BIN_EXE_test-host").into());
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the host program starts")
}

/// So many here; where the machine is emulated an eighth of it takes longer.
fn rounds(full: usize) -> usize {
    if std::env::var_os("PINFOLD_SLOW").is_some() { full / 8 } else { full }
}

/// A cheap pseudo-random number: the tests need spread, not secrecy.
fn scatter(seed: u64) -> u64 {
    let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ mixed >> 29
}

#[test]
fn a_killed_host_leaves_nothing() {
    let _leaks = Leaks::watch();
    for round in 0..rounds(200) as u64 {
        let mut child = host(&["loop"]);
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says that it is ready");
        std::thread::sleep(Duration::from_micros(scatter(round) % 20_000));
        let family = descendants(child.id());
        child.kill().expect("it can be killed");
        child.wait().expect("it has ended");
        eventually("the sandboxes end with their host", || !family.iter().any(|pid| runs(*pid)));
    }
    eventually("no init is left", || orphans("pinfold-init").is_empty());
}

fn right(mode: &str) {
    let count = rounds(200).to_string();
    let mut child = host(&[mode, &count]);
    let mut text = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    assert!(child.wait().expect("it has ended").success());
    assert_eq!(text.trim(), count, "right outcomes of a host that {mode}s");
}

/// Node marks its own standard streams close-on-exec; daemons close them.
#[test]
fn a_host_without_standard_streams_captures_them_all_the_same() {
    let _leaks = Leaks::watch();
    for how in ["cloexec", "closed"] {
        let mut child = host(&["streams", how]);
        let mut text = String::new();
        child.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
        assert!(child.wait().expect("it has ended").success(), "{how}");
        assert_eq!(text, "out\nerr\n", "{how}");
    }
}

#[test]
fn a_host_that_ignores_sigchld_gets_right_outcomes() {
    let _leaks = Leaks::watch();
    right("ignore");
}

#[test]
fn a_host_that_reaps_everything_gets_right_outcomes() {
    let _leaks = Leaks::watch();
    right("reap");
}

#[test]
fn the_thread_that_started_it_may_end() {
    let _leaks = Leaks::watch();
    let sandbox = sandbox();
    let command = sandbox.command("sh").args(["-c", "read line; exit 5"]).stdin(pinfold::Stdio::piped());
    let process = std::thread::spawn(move || command.spawn().expect("it starts")).join().expect("the thread ends");
    let stdin = process.take_stdin();
    std::thread::sleep(Duration::from_millis(100));
    assert!(process.try_wait().expect("a state").is_none(), "it lives on");
    drop(stdin);
    assert_eq!(process.wait().expect("an outcome").code(), Some(5));
}

#[test]
fn dropping_kills_the_whole_tree() {
    let _leaks = Leaks::watch();
    let process =
        sandbox().command("sh").args(["-c", "sleep 1000 & setsid sleep 1000 & sleep 1000"]).spawn().expect("it starts");
    until_running("sleep", 3);
    let begun = Instant::now();
    drop(process);
    assert!(begun.elapsed() < patience());
    assert!(descendants(std::process::id()).iter().all(|pid| comm(*pid) != "sleep"));
}

/// The keeper and PID 1 of the only sandbox of this process.
fn inits() -> (u32, u32) {
    let find = |of: u32| descendants(of).into_iter().find(|pid| comm(*pid) == "pinfold-init");
    let keeper = find(std::process::id()).expect("a keeper");
    (keeper, find(keeper).expect("PID 1"))
}

fn sigkill(pid: u32) {
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("an operator may");
}

/// What a terminal's Ctrl-C and a shell's kill of a job reach is the host's process group. The payload has a session.
#[test]
fn signals_for_the_hosts_process_group_reach_nobody_inside() {
    let _leaks = Leaks::watch();
    let process = sandbox().command("sleep").arg("1000").spawn().expect("it starts");
    until_running("sleep", 1);
    let group = |pid: u32| getpgid(Some(Pid::from_raw(pid as i32))).expect("it runs").as_raw() as u32;
    let (keeper, pid1) = inits();
    let payload = process.id().expect("it runs");
    assert_eq!((group(keeper), group(pid1)), (keeper, keeper));
    assert_eq!(group(payload), payload);
    assert_ne!(group(std::process::id()), keeper);
    assert_eq!(getsid(Some(Pid::from_raw(payload as i32))).expect("it runs").as_raw() as u32, payload);
}

#[test]
fn an_operator_kills_pid_1() {
    let _leaks = Leaks::watch();
    let process = sandbox().command("sleep").arg("1000").spawn().expect("it starts");
    sigkill(inits().1);
    let outcome = process.wait().expect("the keeper tells");
    assert_eq!((outcome.ended(), outcome.signal()), (Ended::Killed, Some(libc::SIGKILL)));
}

#[test]
fn an_operator_kills_the_keeper() {
    let _leaks = Leaks::watch();
    let process = sandbox().command("sleep").arg("1000").spawn().expect("it starts");
    sigkill(inits().0);
    let error = process.wait().expect_err("nobody is left to tell");
    assert_eq!(error.kind(), ErrorKind::Lost);
}

#[test]
fn a_signal_to_pid_1_reaches_the_payload() {
    let _leaks = Leaks::watch();
    let process = sandbox()
        .command("sh")
        .args(["-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"])
        .stdout(pinfold::Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = String::new();
    BufReader::new(process.take_stdout().expect("piped")).read_line(&mut said).expect("it says that it is ready");
    kill(Pid::from_raw(inits().1 as i32), Signal::SIGTERM).expect("an operator may");
    assert_eq!(process.wait().expect("an outcome").code(), Some(9));
}

#[test]
fn a_thousand_runs_do_not_grow_the_host() {
    let _leaks = Leaks::watch();
    let sandbox = sandbox();
    let run = |count: usize| {
        for _ in 0..count {
            assert!(sandbox.command("true").output().expect("it runs").success());
        }
    };
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size").to_owned();
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    run(rounds(100));
    let (fds, before) = (pinfold_tests::open_fds(), resident());
    run(rounds(900));
    // At most the keeper of the last run is still to be reaped.
    assert!(pinfold_tests::open_fds() <= fds + 3);
    assert!(resident() < before + 4096, "{} kB, {before} before", resident());
}
