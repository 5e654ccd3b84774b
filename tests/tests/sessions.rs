//! One live sandbox, many payloads: what they share, what they don't, how one ends without the others.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use pinfold::{Ended, ErrorKind, Fd, LimitsConfig, Outcome, Process, Sandbox, Session, Stdio, TimeNamespace};
use pinfold_tests::{Leaks, comm, descendants, eventually, is_root, open_fds, until_running};

/// Generous: what should take milliseconds.
const BOUND: Duration = Duration::from_secs(30);

fn open() -> Session {
    Sandbox::builder().build().expect("the default sandbox").open().expect("it opens")
}

fn sh(session: &Session, line: &str) -> Outcome {
    session.command("sh").args(["-c", line]).output().expect(line)
}

fn spawn(session: &Session, line: &str) -> Process {
    let command = session.command("sh").args(["-c", line]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect(line)
}

fn named(name: &str) -> usize {
    descendants(std::process::id()).into_iter().filter(|pid| comm(*pid) == name).count()
}

// -- one after another -----------------------------------------------------------------------------------------------

/// Clocks that are ahead or behind inside: deadlines are kept and spans are told by the host's.
#[test]
fn clocks_with_an_offset_inside() {
    let _leaks = Leaks::watch();
    for monotonic in [2_000_000, -100] {
        let offsets = TimeNamespace::Offsets { boottime: 1_000_000, monotonic };
        let session = Sandbox::builder().time_namespace(offsets).build().expect("a sandbox").open().expect("it opens");
        let text = sh(&session, "cat /proc/self/timens_offsets").text();
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(words, ["monotonic", &monotonic.to_string(), "0", "boottime", "1000000", "0"]);
        let is_sane = |outcome: &Outcome, least: Duration| {
            let timings = outcome.timings();
            assert!(timings.setup < BOUND && timings.teardown < BOUND, "{timings:?}");
            assert!((least..BOUND).contains(&timings.payload), "{timings:?}");
        };
        // The end alone is waited for, or the exec too.
        is_sane(&sh(&session, "sleep 0.2"), Duration::from_millis(190));
        is_sane(&spawn(&session, "sleep 0.2").wait().expect("ends"), Duration::from_millis(190));
        for spawned in [false, true] {
            let begun = Instant::now();
            let command = session.command("sleep").arg("1000").timeout("1s").stdout(Stdio::null());
            let outcome = match spawned {
                true => command.spawn().and_then(|process| process.wait()),
                false => command.output(),
            };
            let outcome = outcome.expect("an outcome");
            assert_eq!(outcome.ended(), Ended::WallTime, "{outcome:?}");
            assert!((Duration::from_secs(1)..BOUND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        }
        let error = session.command("no-such").output().expect_err("nothing to execute");
        assert_eq!(error.kind(), ErrorKind::ProgramNotFound);
    }
}

#[test]
fn payloads_share_the_files() {
    let _leaks = Leaks::watch();
    let session = open();
    assert!(sh(&session, "echo kept > /tmp/a").success());
    assert_eq!(session.command("cat").arg("/tmp/a").output().expect("it runs").text(), "kept\n");
}

#[test]
fn each_payload_has_its_own_everything() {
    let _leaks = Leaks::watch();
    let session = Sandbox::builder().env("A", "sandbox").build().expect("a sandbox").open().expect("it opens");
    let payload = session.command("sh").args(["-c", "pwd; echo $A $B; umask; ulimit -n; cat; echo e >&2; exit 3"]);
    let outcome = payload.cwd("/tmp").env("B", "call").umask(0o77).rlimit("nofile", 77).input("in\n").output();
    let outcome = outcome.expect("it runs");
    assert_eq!(outcome.text(), "/tmp\nsandbox call\n0077\n77\nin\n");
    assert_eq!((outcome.stderr_text().as_ref(), outcome.code()), ("e\n", Some(3)));
    assert_eq!(sh(&session, "pwd; echo $B; umask").text(), "/\n\n0022\n");
    let usage = outcome.usage();
    assert!(usage.cpu_user.is_some() && usage.memory_peak.is_some(), "{usage:?}");
}

/// Its own fds, user and bounds of what it says; the next payload has those of the session again, also beside it.
/// A plan that is too long for a message travels as a file: around that length, and short ones between.
#[test]
fn arguments_of_any_length_arrive() {
    let _leaks = Leaks::watch();
    let session = open();
    for length in [10, 60_000, 62_000, 64_000, 65_536, 70_000, 10, 120_000, 10] {
        let long = "x".repeat(length);
        let outcome = session.command("sh").args(["-c", "printf %s \"$1\"", "sh", &long]).output().expect("it starts");
        assert_eq!(outcome.text(), long, "{length}");
    }
}

#[test]
fn fds_user_and_output_limits_are_those_of_one_payload() {
    let _leaks = Leaks::watch();
    let memory = |text: &str| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text.as_bytes()).and_then(|()| file.rewind()).expect("it can be written");
        file
    };
    let sandbox = Sandbox::builder().fd(Fd::number("one", 7)).fd(Fd::number("two", 9)).output("1MiB");
    let session = sandbox.build().expect("a sandbox").open().expect("it opens");
    let line = "cat <&7; cat <&9; ls /proc/self/fd | wc -l";
    let payload =
        |one: &str, two: &str| session.command("sh").args(["-c", line]).fd("one", memory(one)).fd("two", memory(two));
    // What ls(1) has: three streams, both of them, and the directory that it reads.
    let (first, second) = (payload("a", "b").stdout(Stdio::piped()).spawn(), payload("c", "d").output());
    assert_eq!(second.expect("it runs").text(), "cd6\n");
    assert_eq!(first.expect("it runs").wait().expect("it ends").text(), "ab6\n");
    let missing = session.command("true").fd("one", memory("")).output().expect_err("the other is declared too");
    assert_eq!(missing.kind(), ErrorKind::Config);
    let undeclared = payload("", "").fd("three", memory("")).output().expect_err("nobody has asked for it");
    assert_eq!(undeclared.kind(), ErrorKind::Config);

    let loud = "id -u; head -c 5000 /dev/zero; head -c 5000 /dev/zero >&2";
    let cut =
        session.command("sh").args(["-c", loud]).fd("one", memory("")).fd("two", memory("")).output_limit(4096u64);
    let (cut, whole) = (cut.output().expect("it runs"), payload("x", "y").output().expect("it runs"));
    assert_eq!((cut.stdout().len(), cut.stdout_truncated(), cut.stderr().len()), (4096, true, 4096));
    assert_eq!((whole.text().as_ref(), whole.stdout_truncated()), ("xy6\n", false));

    let session = open();
    let who = "id -u; id -g; id -G; cat /tmp/secret";
    let other = session.command("sh").args(["-c", who]).user(7, 8);
    assert!(
        session.command("sh").args(["-c", "echo s > /tmp/secret"]).umask(0o77).output().expect("it runs").success()
    );
    if is_root() {
        let other = other.output().expect("ids of the range");
        assert_eq!((other.text().as_ref(), other.code()), ("7\n8\n8\n", Some(1)), "{other:?}");
    } else {
        assert_eq!(other.output().expect_err("one id is mapped").kind(), ErrorKind::Config);
    }
    assert_eq!(sh(&session, who).text(), "1000\n1000\n1000\ns\n");
}

#[test]
fn a_payload_that_cannot_start_is_an_error_and_the_session_goes_on() {
    let _leaks = Leaks::watch();
    let session = open();
    let error = session.command("no-such-program").output().expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::ProgramNotFound, "{error}");
    assert_eq!(session.command("/etc/passwd").output().expect_err("no program").kind(), ErrorKind::NotExecutable);
    let error = session.command("true").cwd("/nowhere").output().expect_err("no directory");
    assert_eq!(error.kind(), ErrorKind::Setup, "{error}");
    assert!(error.report().step.as_ref().is_some_and(|step| step.what.contains("chdir")), "{error}");
    assert!(sh(&session, "true").success());
}

/// Who calls `status` is not woken for the exec; who calls `spawn` is. Both learn the same.
#[test]
fn an_outcome_tells_the_same_whether_or_not_the_exec_was_waited_for() {
    let _leaks = Leaks::watch();
    let session = open();
    let run = |line: &str, timeout: Duration, spawned: bool| {
        let command = session.command("sh").args(["-c", line]).timeout(timeout);
        if spawned { command.spawn().and_then(|process| process.wait()) } else { command.status() }.expect("it runs")
    };
    for spawned in [false, true] {
        let outcome = run("sleep 0.2; exit 3", BOUND, spawned);
        let timings = outcome.timings();
        assert_eq!(outcome.code(), Some(3), "{spawned}");
        let both = timings.setup + timings.payload;
        assert!(both >= Duration::from_millis(200) && both < outcome.duration(), "{timings:?}");
        assert!(!timings.setup.is_zero() && !timings.payload.is_zero(), "{timings:?}");
        let outcome = run("sleep 60", Duration::from_secs(1), spawned);
        let timings = outcome.timings();
        assert_eq!(outcome.ended(), Ended::WallTime, "{spawned}");
        assert!(!timings.setup.is_zero() && timings.setup + timings.payload < outcome.duration(), "{timings:?}");
        for _ in 0..3 {
            let missing = session.command("/no/such/program");
            let error = if spawned { missing.spawn().map(drop) } else { missing.status().map(drop) };
            assert_eq!(error.expect_err("there is none").kind(), ErrorKind::ProgramNotFound, "{spawned}");
        }
        let late = session.command("true").timeout(Duration::from_nanos(1));
        let error = if spawned { late.spawn().map(drop) } else { late.status().map(drop) };
        assert_eq!(error.expect_err("it is too late").kind(), ErrorKind::Timeout, "{spawned}");
    }
    // One for each payload that is told to end, and one that was free all the time.
    assert!(named("pinfold-init") <= 4, "{} processes of init", named("pinfold-init"));
}

#[test]
fn a_session_needs_its_init() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().set("process.init=false").build().expect("a sandbox");
    let error = sandbox.open().expect_err("no init, no session");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert_eq!(error.report().origin.as_deref(), Some("process.init"));
}

#[test]
fn a_thousand_payloads_leave_nothing() {
    let _leaks = Leaks::watch();
    let session = open();
    let run = |n: i32| {
        let outcome = session.command("sh").args(["-c", &format!("exit {}", n % 200)]).output().expect("it runs");
        assert_eq!(outcome.code(), Some(n % 200));
    };
    (0..10).for_each(run);
    let inits = || descendants(std::process::id());
    let memory = |pids: &[u32]| -> u64 {
        let field = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
            text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0)
        };
        pids.iter().map(field).sum()
    };
    let ours = || memory(&[std::process::id()]);
    // What an allocator keeps for later it has after some rounds.
    (0..100).for_each(run);
    let (fds, before, pages, host) = (open_fds(), inits(), memory(&inits()), ours());
    (0..1000).for_each(run);
    assert_eq!(open_fds(), fds, "no fd is left");
    assert_eq!(inits(), before, "the same processes of init's");
    assert!(memory(&inits()) <= pages + 16, "init's memory does not grow: {pages}, {} pages", memory(&inits()));
    // Other tests of this program run beside it: 4 MiB, as for runs of whole sandboxes.
    assert!(ours() <= host + 1024, "the host's memory does not grow: {host}, {} pages", ours());
}

// -- side by side ----------------------------------------------------------------------------------------------------

#[test]
fn payloads_run_side_by_side() {
    let _leaks = Leaks::watch();
    let session = open();
    let echo: Vec<Process> = (0..20).map(|n| spawn(&session, &format!("read x; echo $x; exit {n}"))).collect();
    for process in echo.iter().rev() {
        process.take_stdin().expect("piped").write_all(b"answer\n").expect("it reads");
    }
    for (n, process) in echo.iter().enumerate() {
        let outcome = process.wait().expect("an outcome");
        assert_eq!((outcome.code(), outcome.text().as_ref()), (Some(n as i32), "answer\n"));
    }
}

#[test]
fn threads_share_a_session() {
    let _leaks = Leaks::watch();
    let session = open();
    thread::scope(|scope| {
        for n in 0..8 {
            let session = &session;
            scope.spawn(move || {
                for round in 0..25 {
                    let text = format!("{n} {round}");
                    assert_eq!(session.command("echo").arg(&text).output().expect("it runs").text(), text + "\n");
                }
            });
        }
    });
}

#[test]
fn killing_one_tree_leaves_the_others() {
    let _leaks = Leaks::watch();
    let session = open();
    let other = spawn(&session, "while read x; do echo pong; done");
    let killed = spawn(
        &session,
        "(setsid sleep 1000 &) ; (trap '' TERM HUP INT; sleep 1000 &) ; (setsid sh -c 'sleep 1000 & sleep 1000' &); read x",
    );
    until_running("sleep", 4);
    // Held: at the end of its input it would end by itself, and that could come first.
    let _stdin = killed.take_stdin();
    let begun = Instant::now();
    killed.kill().expect("it can be killed");
    let outcome = killed.wait().expect("an outcome");
    assert_eq!(outcome.ended(), Ended::Killed);
    assert!(outcome.usage().cpu_user.is_some(), "what was killed was counted: {:?}", outcome.usage());
    // A shepherd waits 50 ms for the end of all before it tells what is known; on a busy machine that may be too short.
    if begun.elapsed() < Duration::from_millis(50) {
        assert_eq!(named("sleep"), 0, "the outcome comes after the end of all");
    }
    eventually("all are gone", || named("sleep") == 0);
    other.take_stdin().expect("piped").write_all(b"ping\n").expect("it lives");
    assert_eq!(other.wait().expect("an outcome").text(), "pong\n");
}

#[test]
fn a_timeout_ends_its_own_tree_only() {
    let _leaks = Leaks::watch();
    let session = open();
    let other = spawn(&session, "read x; echo $x");
    let begun = Instant::now();
    let line = "echo before; setsid sleep 1000 & (sleep 1000 &) ; sleep 1000";
    let outcome = session.command("sh").args(["-c", line]).timeout("1s").output().expect("an outcome");
    assert_eq!((outcome.ended(), outcome.text().as_ref()), (Ended::WallTime, "before\n"));
    assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    assert_eq!(named("sleep"), 0);
    other.take_stdin().expect("piped").write_all(b"on\n").expect("it lives");
    assert_eq!(other.wait().expect("an outcome").text(), "on\n");
}

#[test]
fn dropping_a_process_kills_its_tree() {
    let _leaks = Leaks::watch();
    let session = open();
    drop(spawn(&session, "setsid sleep 1000 & sleep 1000"));
    assert_eq!(named("sleep"), 0);
    assert!(sh(&session, "true").success());
}

#[test]
fn what_is_left_in_the_background_lives_as_long_as_the_session() {
    let _leaks = Leaks::watch();
    let session = open();
    assert!(sh(&session, "sleep 1000 > /dev/null 2>&1 & setsid sleep 1000 > /dev/null 2>&1 &").success());
    assert!(sh(&session, "true").success());
    eventually("they run on", || named("sleep") == 2);
    session.kill_all().expect("all can be killed");
    assert_eq!(named("sleep"), 0);
    assert!(sh(&session, "sleep 1000 > /dev/null 2>&1 &").success(), "the session goes on");
    drop(session);
    assert_eq!(named("sleep"), 0);
}

#[test]
fn a_deadline_also_bounds_what_is_left_in_the_background() {
    let _leaks = Leaks::watch();
    let session = open();
    let line = "sleep 1000 > /dev/null 2>&1 & setsid sleep 1000 > /dev/null 2>&1 &";
    let outcome = session.command("sh").args(["-c", line]).timeout("3s").output().expect("an outcome");
    assert_eq!(outcome.ended(), Ended::Exited);
    eventually("they run on", || named("sleep") == 2);
    eventually("they end too", || named("sleep") == 0);
    assert!(sh(&session, "true").success());
}

#[test]
fn kill_all_ends_every_payload() {
    let _leaks = Leaks::watch();
    let session = open();
    let processes: Vec<Process> = (0..3).map(|_| spawn(&session, "sleep 1000 & sleep 1000")).collect();
    session.kill_all().expect("all can be killed");
    for process in &processes {
        assert_eq!(process.wait().expect("an outcome").ended(), Ended::Killed);
    }
    assert_eq!(named("sleep"), 0);
    assert!(sh(&session, "true").success());
}

#[test]
fn a_signal_reaches_every_payload() {
    let _leaks = Leaks::watch();
    let session = open();
    let trap = "trap 'echo got; exit 5' USR1; echo ready; while :; do sleep 0.01; done";
    let processes: Vec<Process> = (0..2).map(|_| spawn(&session, trap)).collect();
    let mut streams: Vec<_> = processes.iter().map(|p| BufReader::new(p.take_stdout().expect("piped"))).collect();
    for stream in &mut streams {
        let mut line = String::new();
        stream.read_line(&mut line).expect("it speaks");
    }
    session.signal(libc::SIGUSR1).expect("it can be sent");
    for (process, mut stream) in processes.iter().zip(streams) {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it speaks");
        assert_eq!((text.as_str(), process.wait().expect("an outcome").code()), ("got\n", Some(5)));
    }
}

/// Those of `output` and `status` too, which the host has no pidfd of; and those that are over are no obstacle.
#[test]
fn a_signal_reaches_also_those_whose_end_alone_is_waited_for() {
    let _leaks = Leaks::watch();
    let session = open();
    let trap = "trap 'echo got; exit 5' USR1; echo ready > /tmp/$0; while :; do sleep 0.01; done";
    let start = |name: &str| session.command("sh").args(["-c", trap, name]).stdout(Stdio::piped());
    for _ in 0..3 {
        let over = session.command("true").spawn().expect("starts");
        let first = start("first").spawn().expect("starts");
        let (called, waited) = thread::scope(|scope| {
            let called = scope.spawn(|| start("called").output());
            eventually("it runs", || sh(&session, "rm /tmp/called").success());
            let last = start("last").spawn().expect("starts");
            eventually("both run", || sh(&session, "rm /tmp/first && rm /tmp/last").success());
            assert_eq!(session.signal(999).expect_err("no such signal").errno(), Some(libc::EINVAL));
            session.signal(0).expect("it could be sent");
            session.signal(libc::SIGUSR1).expect("it can be sent");
            (called.join().expect("no panic"), [first, last].map(|process| process.wait()))
        });
        for outcome in waited.into_iter().chain([called]) {
            let outcome = outcome.expect("an outcome");
            assert_eq!((outcome.text().as_ref(), outcome.code()), ("got\n", Some(5)), "{outcome:?}");
        }
        assert!(over.wait().expect("an outcome").success());
    }
    // A signal that crosses the end of its payload is for no other.
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let kept = (0..300).filter(|number| {
                let line = "trap '' USR1; exit 0";
                let command = session.command(if number % 2 == 0 { "true" } else { "sh" }).args(["-c", line]);
                let told = match number % 3 {
                    0 => command.spawn().and_then(|process| process.wait()),
                    _ => command.output(),
                };
                // It may have come before the trap.
                let outcome = told.expect("it starts");
                assert!(outcome.success() || outcome.signal() == Some(libc::SIGUSR1), "{outcome:?}");
                outcome.success()
            });
            let kept = kept.count();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            kept
        });
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            session.signal(libc::SIGUSR1).expect("it can be sent");
            thread::sleep(Duration::from_micros(500));
        }
        let kept = caller.join().expect("no panic");
        println!("{kept} of 300 were not hit");
    });
    assert!(sh(&session, "true").success());
}

// -- the end -----------------------------------------------------------------------------------------------------------

#[test]
fn closing_ends_everything_and_use_after_it_is_an_error() {
    let _leaks = Leaks::watch();
    let session = open();
    let process = spawn(&session, "sleep 1000");
    let files = session.files().expect("has files");
    session.close();
    session.close();
    assert!(session.is_closed());
    assert_eq!(named("sleep"), 0);
    assert_eq!(process.wait().expect("an outcome").ended(), Ended::Killed);
    let told = [
        session.command("true").output().map(drop),
        session.command("true").spawn().map(drop),
        session.kill_all(),
        session.signal(libc::SIGTERM),
        files.read("/tmp/a").map(drop),
        session.files().map(drop),
        session.changes().map(drop),
        session.commit("/nowhere"),
        session.usage().map(drop),
        session.freeze(),
        session.thaw(),
        session.update(&LimitsConfig::default()),
    ];
    for (number, told) in told.into_iter().enumerate() {
        assert_eq!(told.expect_err("closed").kind(), ErrorKind::Closed, "use {number}");
    }
}

/// What was used is told also of what the end of the session ends: by all payloads, those of `output` too.
#[test]
fn what_closing_ends_has_its_usage() {
    let _leaks = Leaks::watch();
    let session = open();
    // A child's, too.
    let busy = "echo > /tmp/$0; sh -c 'while :; do :; done' & while :; do :; done";
    let process = session.command("sh").args(["-c", busy, "spawned"]).stdout(Stdio::null()).spawn().expect("starts");
    let outcomes = thread::scope(|scope| {
        let called = scope.spawn(|| session.command("sh").args(["-c", busy, "called"]).output());
        eventually("both run", || sh(&session, "rm /tmp/spawned && rm /tmp/called").success());
        thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        session.close();
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        [called.join().expect("no panic"), process.wait()]
    });
    for outcome in outcomes {
        let outcome = outcome.expect("an outcome");
        assert_eq!(outcome.ended(), Ended::Killed);
        let usage = outcome.usage();
        let cpu = usage.cpu_user.zip(usage.cpu_system).map(|(user, system)| user + system);
        assert!(cpu > Some(0.01) && usage.memory_peak.is_some(), "{usage:?}");
    }
}

#[test]
fn a_process_outlives_neither_session_nor_its_handle() {
    let _leaks = Leaks::watch();
    let process = {
        let session = open();
        spawn(&session, "sleep 1000")
    };
    assert_eq!(named("sleep"), 0);
    assert_eq!(process.wait().expect("an outcome").ended(), Ended::Killed);
}

#[test]
fn a_session_whose_init_is_killed_is_lost() {
    let _leaks = Leaks::watch();
    let session = open();
    let process = spawn(&session, "sleep 1000");
    let inits: Vec<u32> =
        descendants(std::process::id()).into_iter().filter(|pid| comm(*pid) == "pinfold-init").collect();
    for pid in inits {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL).ok();
    }
    assert_eq!(process.wait().expect_err("nobody can tell").kind(), ErrorKind::Lost);
    eventually(
        "the session notices",
        || matches!(session.command("true").output(), Err(error) if error.kind() == ErrorKind::Lost),
    );
}

// -- waiting -----------------------------------------------------------------------------------------------------------

#[test]
fn an_event_loop_can_watch_each_payload() {
    let _leaks = Leaks::watch();
    let session = open();
    let processes: Vec<Process> = (0..2).map(|_| spawn(&session, "read x; exit 4")).collect();
    for process in &processes {
        assert!(process.drain().expect("no error").is_none());
        drop(process.take_stdin());
        let mut fds = [nix::poll::PollFd::new(process.doorbell(), nix::poll::PollFlags::POLLIN)];
        let mut outcome = None;
        while outcome.is_none() {
            assert_eq!(nix::poll::poll(&mut fds, 30_000u16).expect("poll"), 1, "it rings");
            outcome = process.drain().expect("no error");
        }
        assert_eq!(outcome.expect("an outcome").code(), Some(4));
        let mut fds = [nix::poll::PollFd::new(process.as_fd(), nix::poll::PollFlags::POLLIN)];
        assert_eq!(nix::poll::poll(&mut fds, 30_000u16).expect("poll"), 1, "its pidfd is readable");
    }
}
