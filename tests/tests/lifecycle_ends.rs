//! How a payload may be ended: by its handle from any thread, by time, whatever it does to live on.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use pinfold::{Ended, ErrorKind, Outcome, Process, Sandbox, Stdio};
use pinfold_tests::{Leaks, comm, descendants, eventually, is_root, is_stopped, python, skip, until_running};

/// Generous: what should take milliseconds.
const BOUND: Duration = Duration::from_secs(30);

fn sandbox() -> Sandbox {
    Sandbox::builder().build().expect("the default sandbox")
}

fn spawn(script: &str) -> Process {
    let command = sandbox().command("sh").args(["-c", script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

fn named(name: &str) -> usize {
    descendants(std::process::id()).into_iter().filter(|pid| comm(*pid) == name).count()
}

// -- by the handle ---------------------------------------------------------------------------------------------------

#[test]
fn another_thread_kills() {
    let _leaks = Leaks::watch();
    let process = spawn("echo begun; sleep 1000");
    let begun = Instant::now();
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            until_running("sleep", 1);
            process.kill().expect("it can be killed");
        });
        process.wait().expect("an outcome")
    });
    assert_eq!((outcome.ended(), outcome.signal()), (Ended::Killed, Some(libc::SIGKILL)));
    assert_eq!(outcome.text(), "begun\n");
    assert!(begun.elapsed() < BOUND);
    process.kill().expect("killing the dead is no error");
    assert_eq!(process.wait().expect("it is kept").ended(), Ended::Killed);
}

#[test]
fn a_cancelled_payload_says_so_and_the_first_cause_wins() {
    let _leaks = Leaks::watch();
    let process = spawn("sleep 1000");
    process.cancel().expect("it can be cancelled");
    process.kill().expect("a second cause is no error");
    let outcome = process.wait().expect("an outcome");
    assert_eq!((outcome.ended(), outcome.exit_status()), (Ended::Cancelled, 130));
}

#[test]
fn killing_takes_every_descendant_along() {
    let _leaks = Leaks::watch();
    let process = spawn("(setsid sleep 1000 &) ; (trap '' TERM HUP INT; sleep 1000 &) ; sleep 1000 & wait");
    until_running("sleep", 3);
    process.kill().expect("it can be killed");
    process.wait().expect("an outcome");
    assert_eq!(named("sleep"), 0, "the outcome comes after the end of all");
}

#[test]
fn the_end_of_the_payload_is_the_end_of_its_descendants() {
    let _leaks = Leaks::watch();
    let process = spawn("setsid sleep 1000 & (sleep 1000 &) ; exit 7");
    let begun = Instant::now();
    assert_eq!(process.wait().expect("an outcome").code(), Some(7));
    assert!(begun.elapsed() < BOUND, "descendants hold the pipes and must not be waited for");
    eventually("they end too", || named("sleep") == 0);
}

#[test]
fn dropping_takes_less_than_a_second() {
    let _leaks = Leaks::watch();
    let process = spawn("trap '' TERM INT HUP; kill -STOP $$; sleep 1000");
    let id = process.id().expect("it lives");
    eventually("it is stopped", || is_stopped(id));
    let begun = Instant::now();
    drop(process);
    // The promise is a second; a busy machine may take longer, but not the bound of a wait that has given up.
    println!("dropped in {:?}", begun.elapsed());
    assert!(begun.elapsed() < BOUND);
    assert!(descendants(std::process::id()).is_empty(), "all are gone and reaped");
}

// -- waiting ---------------------------------------------------------------------------------------------------------

#[test]
fn a_wait_with_a_limit_does_not_kill() {
    let _leaks = Leaks::watch();
    let process = spawn("echo a; read line; echo b; exit 4");
    let stdin = process.take_stdin();
    assert!(process.try_wait().expect("a state").is_none());
    assert!(process.wait_timeout(Duration::from_millis(50)).expect("a state").is_none());
    drop(stdin);
    let outcome = process.wait_timeout(BOUND).expect("a state").expect("it has ended by then");
    assert_eq!((outcome.code(), outcome.text().as_str()), (Some(4), "a\nb\n"));
    assert_eq!(process.try_wait().expect("a state"), Some(outcome), "told as often as asked");
}

#[test]
fn two_waiters_get_the_same_outcome() {
    let _leaks = Leaks::watch();
    let process = spawn("sleep 0.2; echo x; exit 9");
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let waiters = [(); 3].map(|()| scope.spawn(|| process.wait().expect("an outcome")));
        waiters.into_iter().map(|waiter| waiter.join().expect("no panic")).collect()
    });
    assert!(outcomes.iter().all(|outcome| outcome.code() == Some(9) && outcome.text() == "x\n"), "{outcomes:?}");
}

#[test]
fn a_wait_with_a_limit_keeps_it_beside_another_waiter() {
    let _leaks = Leaks::watch();
    let process = spawn("sleep 1000");
    let (sender, answer) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| process.wait().expect("an outcome"));
        thread::sleep(Duration::from_millis(100));
        let begun = Instant::now();
        let limited = scope.spawn(|| {
            sender.send(process.wait_timeout(Duration::from_millis(50)).expect("a state").is_none()).expect("heard");
            process.try_wait().expect("a state")
        });
        let answer = answer.recv_timeout(BOUND);
        let took = begun.elapsed();
        process.kill().expect("it can be killed");
        assert!(waiter.join().expect("no panic").ended() == Ended::Killed);
        limited.join().expect("no panic");
        assert_eq!(answer, Ok(true), "after {took:?}");
        assert!(took >= Duration::from_millis(50), "{took:?}");
    });
}

#[test]
fn an_endless_stream_does_not_hold_a_wait_beyond_its_limit() {
    let _leaks = Leaks::watch();
    let process = spawn("for i in 1 2 3; do yes & yes >&2 & done; exec yes");
    let (sender, answer) = std::sync::mpsc::channel();
    let (polled, limited) = thread::scope(|scope| {
        scope.spawn(|| {
            let polled = process.try_wait().expect("a state").is_none();
            let limited = process.wait_timeout(Duration::from_millis(100)).expect("a state").is_none();
            sender.send((polled, limited)).expect("heard");
        });
        let answer = answer.recv_timeout(BOUND);
        process.kill().expect("it can be killed");
        answer
    })
    .expect("try_wait and wait_timeout return");
    assert!(polled && limited);
    let outcome = process.wait().expect("an outcome");
    assert_eq!(outcome.ended(), Ended::Killed);
    assert!(outcome.stdout().starts_with(b"y\ny\n"));
}

#[test]
fn the_pidfd_and_the_doorbell_wake_an_event_loop() {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let _leaks = Leaks::watch();
    let process = spawn("sleep 0.1; exit 6");
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, PollTimeout::from(30_000u16)), Ok(1), "the payload's pidfd tells its end");
    let mut outcome = None;
    eventually("the doorbell leads to an outcome", || {
        let mut fds = [PollFd::new(process.doorbell(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(1000u16)).expect("poll");
        outcome = process.drain().expect("a state");
        outcome.is_some()
    });
    assert_eq!(outcome.expect("just seen").code(), Some(6));
}

#[test]
fn streams_that_were_taken_are_the_callers() {
    let _leaks = Leaks::watch();
    let command = sandbox().command("cat").stdin(Stdio::piped()).stdout(Stdio::piped());
    let process = command.spawn().expect("it starts");
    let mut stdin = process.take_stdin().expect("piped");
    let mut stdout = process.take_stdout().expect("piped");
    stdin.write_all(b"to and fro\n").expect("it reads");
    drop(stdin);
    let mut text = String::new();
    stdout.read_to_string(&mut text).expect("it writes");
    assert_eq!(text, "to and fro\n");
    let outcome = process.wait().expect("an outcome");
    assert!(outcome.success() && outcome.stdout().is_empty());
}

#[test]
fn a_reader_of_its_input_sees_the_end_when_nobody_writes() {
    let _leaks = Leaks::watch();
    let command = sandbox().command("cat").stdin(Stdio::piped()).stdout(Stdio::piped());
    let process = command.spawn().expect("it starts");
    assert!(process.wait_timeout(BOUND).expect("a state").expect("it ends").success());
}

#[test]
fn ids_and_signals_reach_the_payload_only() {
    let _leaks = Leaks::watch();
    let process = spawn("trap 'exit 21' USR1; echo ready; while :; do sleep 0.02; done");
    let id = process.id().expect("it lives");
    let mut said = [0; 6];
    process.take_stdout().expect("piped").read_exact(&mut said).expect("it says that it is ready");
    assert_eq!(comm(id), "sh");
    assert_eq!(process.signal(1000).expect_err("no such signal").errno(), Some(libc::EINVAL));
    process.signal(libc::SIGUSR1).expect("it can be signalled");
    assert_eq!(process.wait().expect("an outcome").code(), Some(21));
    process.signal(libc::SIGUSR1).expect("the dead need no signal");
    assert_eq!(process.id(), None);
}

// -- by time ---------------------------------------------------------------------------------------------------------

/// Runs until `limit`, which ends it; what it wrote before is kept.
fn times_out(name: &str, script: &str) -> Outcome {
    let limit = Duration::from_secs(1);
    let begun = Instant::now();
    let outcome = sandbox().command("sh").args(["-c", script]).timeout(limit).output().expect("it starts");
    let took = begun.elapsed();
    println!("{name}: {:?} over the limit", took.saturating_sub(limit));
    assert_eq!((outcome.ended(), outcome.exit_status()), (Ended::WallTime, 124), "{name}: {}", outcome.detail());
    assert!(took >= limit && took < limit + BOUND, "{name}: {took:?}");
    assert_eq!(outcome.text(), "begun\n", "{name}");
    assert_eq!((outcome.code(), outcome.signal()), (None, Some(libc::SIGKILL)), "{name}");
    outcome
}

#[test]
fn time_ends_what_sleeps() {
    let _leaks = Leaks::watch();
    let outcome = times_out("sleep", "echo begun; sleep 1000");
    assert_eq!(outcome.detail(), "killed after 1s of wall time");
}

#[test]
fn time_ends_what_spins() {
    let _leaks = Leaks::watch();
    times_out("spin", "echo begun; while :; do :; done");
}

#[test]
fn time_ends_what_is_stopped() {
    let _leaks = Leaks::watch();
    times_out("stop", "echo begun; kill -STOP $$; sleep 1000");
}

#[test]
fn time_ends_a_grandchild_that_holds_the_pipe_in_a_session_of_its_own() {
    let _leaks = Leaks::watch();
    times_out("setsid", "echo begun; setsid sleep 1000 & wait");
    assert_eq!(named("sleep"), 0);
}

#[test]
fn time_ends_what_was_forked_twice() {
    let _leaks = Leaks::watch();
    times_out("double fork", "echo begun; ( (sleep 1000 &) & ) ; sleep 1000");
    assert_eq!(named("sleep"), 0);
}

#[test]
fn time_ends_what_ignores_signals() {
    let _leaks = Leaks::watch();
    times_out("ignore", "trap '' TERM INT HUP QUIT ALRM; echo begun; while :; do sleep 1000; done");
}

#[test]
fn time_ends_a_stopped_grandchild_in_a_session_of_its_own() {
    let _leaks = Leaks::watch();
    times_out("stopped setsid", "echo begun; setsid sh -c 'kill -STOP $$' & while :; do wait; done");
}

#[test]
fn time_ends_a_storm_of_forks() {
    let _leaks = Leaks::watch();
    let Some(python) = python() else { skip!("no /usr/bin/python3") };
    let program = "import os, time\nprint('begun', flush=True)\nfor _ in range(200):\n  if os.fork() == 0: time.sleep(1000)\ntime.sleep(1000)";
    let command = sandbox().command(python).args(["-c", program]).timeout("3s");
    let begun = Instant::now();
    let outcome = command.output().expect("it starts");
    println!("storm: {:?} over the limit", begun.elapsed().saturating_sub(Duration::from_secs(3)));
    assert_eq!((outcome.ended(), outcome.text().as_str()), (Ended::WallTime, "begun\n"));
    assert!(begun.elapsed() < Duration::from_secs(3) + BOUND);
}

#[test]
fn the_lower_of_two_time_limits_counts() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().timeout("1s").build().expect("a sandbox");
    let begun = Instant::now();
    let outcome = sandbox.command("sleep").arg("1000").timeout("60s").output().expect("it starts");
    assert_eq!(outcome.detail(), "killed after 1s of wall time");
    assert!(begun.elapsed() < BOUND);
}

#[test]
fn the_limit_counts_without_a_waiter() {
    let _leaks = Leaks::watch();
    let process = sandbox().command("sleep").arg("1000").timeout("1s").spawn().expect("it starts");
    eventually("the keeper ends it", || named("sleep") == 0);
    assert_eq!(process.wait().expect("an outcome").ended(), Ended::WallTime);
}

#[test]
fn a_limit_that_passes_before_the_exec_is_an_error() {
    let _leaks = Leaks::watch();
    let sandbox = sandbox();
    for nanoseconds in [1, 1_000, 50_000] {
        let limit = Duration::from_nanos(nanoseconds);
        match sandbox.command("sleep").arg("1000").timeout(limit).output() {
            Err(error) => {
                assert_eq!((error.kind(), error.report().stage.to_string().as_str()), (ErrorKind::Timeout, "launch"))
            }
            Ok(outcome) => assert_eq!(outcome.ended(), Ended::WallTime, "it was fast enough"),
        }
    }
    assert_eq!(
        sandbox.command("true").timeout(Duration::from_nanos(1)).output().expect_err("no time").kind(),
        ErrorKind::Timeout
    );
}

// -- without PID 1 of our own, without a namespace of its own --------------------------------------------------------

#[test]
fn time_and_kill_end_a_payload_that_is_pid_1() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().set("process.init=false").build().expect("a sandbox without init");
    let command = |script: &str| sandbox.command("sh").args(["-c", script]);
    assert_eq!(command("echo $$; exit 3").output().expect("it runs").text(), "1\n");
    let outcome = command("echo begun; setsid sleep 1000 & wait").timeout("1s").output().expect("it runs");
    assert_eq!((outcome.ended(), outcome.text().as_str()), (Ended::WallTime, "begun\n"));
    assert_eq!(named("sleep"), 0);
    let process = command("sleep 1000").spawn().expect("it starts");
    process.kill().expect("it can be killed");
    assert_eq!(process.wait().expect("an outcome").ended(), Ended::Killed);
    drop(command("setsid sleep 1000 & sleep 1000").spawn().expect("it starts"));
    assert_eq!(named("sleep"), 0);
}

/// A sandbox in the host's PID namespace; its tree is held by a group alone. None: this host can't.
fn among_the_hosts_pids() -> Option<Sandbox> {
    match Sandbox::builder().set("namespaces.pid=\"host\"").build() {
        Ok(sandbox) => Some(sandbox),
        Err(error) if !is_root() => {
            assert_eq!(
                (error.kind(), error.report().origin.as_deref()),
                (ErrorKind::Unsupported, Some("namespaces.pid"))
            );
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Processes of the whole machine with this one argument of `sleep`: some are orphans and nobody's descendants.
fn sleeping(seconds: u32) -> usize {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let wanted = format!("sleep\0{seconds}\0");
    entries
        .filter(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|text| text == wanted.as_bytes()))
        .count()
}

#[test]
fn the_group_ends_the_tree_where_there_is_no_pid_namespace() {
    let _leaks = Leaks::watch();
    let Some(sandbox) = among_the_hosts_pids() else { skip!("this user may not make groups") };
    let number = 100_000 + std::process::id() % 100_000;
    let script = format!("echo begun; (setsid sleep {number} &) ; sleep {number}");
    let command = || sandbox.command("sh").args(["-c", &script]).stdout(Stdio::piped());

    let process = command().spawn().expect("it starts");
    eventually("two sleep", || sleeping(number) == 2);
    process.kill().expect("it can be killed");
    assert_eq!(process.wait().expect("an outcome").ended(), Ended::Killed);
    eventually("kill ends both", || sleeping(number) == 0);
    drop(process);

    let process = command().spawn().expect("it starts");
    eventually("two sleep", || sleeping(number) == 2);
    drop(process);
    assert_eq!(sleeping(number), 0, "drop ends both");

    let process = command().timeout("1s").spawn().expect("it starts");
    let outcome = process.wait().expect("an outcome");
    assert_eq!((outcome.ended(), outcome.text().as_str()), (Ended::WallTime, "begun\n"));
    eventually("time ends both", || sleeping(number) == 0);

    let process =
        sandbox.command("sh").args(["-c", &format!("(setsid sleep {number} &) ; exit 5")]).spawn().expect("it starts");
    assert_eq!(process.wait().expect("an outcome").code(), Some(5));
    eventually("the payload's end ends the rest", || sleeping(number) == 0);
}
