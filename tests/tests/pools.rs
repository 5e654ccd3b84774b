//! Sandboxes that are ready before they are needed, and calls that are cancelled while they are made ready.

use std::thread;
use std::time::{Duration, Instant};

use pinfold::{Canceller, Ended, ErrorKind, Pool, Sandbox, Stdio};
use pinfold_tests::{Leaks, comm, descendants, eventually};

const BOUND: Duration = Duration::from_secs(30);

fn sandbox() -> Sandbox {
    Sandbox::builder().build().expect("the default sandbox")
}

fn inits() -> usize {
    descendants(std::process::id()).into_iter().filter(|pid| comm(*pid) == "pinfold-init").count()
}

#[test]
fn each_sandbox_of_a_pool_is_used_once_and_replaced() {
    let _leaks = Leaks::watch();
    let pool = Pool::new(sandbox(), 2).expect("a pool");
    assert_eq!((pool.stats().size, pool.stats().ready), (2, 2));
    for taken in 1..=5u64 {
        let outcome = pool.run(|session| session.command("sh").args(["-c", "ls /tmp; echo x > /tmp/x"]).output());
        assert_eq!(outcome.expect("it runs").text(), "", "nothing of an earlier one is there");
        let stats = pool.stats();
        assert_eq!((stats.taken, stats.missed), (taken, taken.saturating_sub(2)), "the third is opened on the spot");
    }
    pool.fill().expect("it is filled");
    assert_eq!(pool.stats().ready, 2);
    let session = pool.take().expect("one is ready");
    assert!(session.command("true").output().expect("it runs").success());
    pool.close();
    assert!(session.command("true").output().expect("what was taken goes on").success());
    drop(session);
    eventually("nothing is left of what was ready", || inits() == 0);
    assert_eq!(pool.stats().ready, 0);
    assert_eq!(pool.take().expect_err("closed").kind(), ErrorKind::Closed);
    assert_eq!(pool.fill().expect_err("closed").kind(), ErrorKind::Closed);
}

#[test]
fn a_pool_of_nothing_is_refused() {
    let _leaks = Leaks::watch();
    for size in [0, 1025] {
        assert_eq!(Pool::new(sandbox(), size).expect_err("no such pool").kind(), ErrorKind::Config);
    }
}

#[test]
fn sandboxes_that_died_while_they_waited_are_not_handed_out() {
    let _leaks = Leaks::watch();
    let pool = Pool::new(sandbox(), 2).expect("a pool");
    // Whoever loses its parent is no descendant any more, and may still be dying.
    let all = descendants(std::process::id());
    for &pid in &all {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL).ok();
    }
    eventually("all are dead", || all.iter().all(|&pid| !pinfold_tests::runs(pid)));
    assert!(pool.run(|session| session.command("true").output()).expect("a fresh one").success());
    assert_eq!((pool.stats().lost, pool.stats().missed), (2, 1));
}

#[test]
fn many_threads_share_a_pool() {
    let _leaks = Leaks::watch();
    let pool = Pool::new(sandbox(), 3).expect("a pool");
    thread::scope(|scope| {
        for n in 0..4 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..5 {
                    let code = n * 10 + round;
                    let line = format!("exit {code}");
                    let outcome = pool.run(|session| session.command("sh").args(["-c", &line]).output());
                    assert_eq!(outcome.expect("it runs").code(), Some(code));
                    pool.fill().expect("it is filled");
                }
            });
        }
    });
    let stats = pool.stats();
    assert_eq!((stats.ready, stats.taken), (3, 20));
}

// -- cancelling --------------------------------------------------------------------------------------------------------

#[test]
fn what_was_cancelled_before_does_not_start() {
    let _leaks = Leaks::watch();
    let canceller = Canceller::new().expect("an eventfd");
    canceller.cancel();
    let error = sandbox().command("true").cancelled_by(&canceller).output().expect_err("cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    let session = sandbox().open().expect("it opens");
    let error = session.command("true").cancelled_by(&canceller).output().expect_err("cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
}

#[test]
fn a_set_up_in_progress_can_be_cancelled() {
    let _leaks = Leaks::watch();
    let mut cancelled = 0;
    for delay in 0..40u64 {
        let canceller = Canceller::new().expect("an eventfd");
        let command = sandbox().command("sleep").arg("1000").cancelled_by(&canceller);
        let begun = Instant::now();
        let ended = thread::scope(|scope| {
            let canceller = canceller.clone();
            scope.spawn(move || {
                thread::sleep(Duration::from_micros(delay * 50));
                canceller.cancel();
            });
            command.output()
        });
        assert!(begun.elapsed() < BOUND);
        match ended {
            Ok(outcome) => assert_eq!(outcome.ended(), Ended::Cancelled),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
                cancelled += 1;
            }
        }
    }
    assert!(cancelled > 0, "at least one was cancelled before its exec");
    eventually("nothing is left", || inits() == 0);
}

#[test]
fn a_session_that_is_being_opened_can_be_cancelled() {
    let _leaks = Leaks::watch();
    let mut cancelled = 0;
    for delay in 0..40u64 {
        let canceller = Canceller::new().expect("an eventfd");
        let begun = Instant::now();
        let opened = thread::scope(|scope| {
            let elsewhere = canceller.clone();
            scope.spawn(move || {
                thread::sleep(Duration::from_micros(delay * 50));
                elsewhere.cancel();
            });
            sandbox().open_cancelled_by(&canceller)
        });
        assert!(begun.elapsed() < BOUND);
        match opened {
            // What cancels the opening cancels nothing else.
            Ok(session) => assert!(session.command("true").output().expect("it runs").success()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
                cancelled += 1;
            }
        }
    }
    assert!(cancelled > 0, "at least one was cancelled before it was open");
    eventually("nothing is left", || inits() == 0);
}

#[test]
fn a_cancelled_call_kills_its_payload() {
    let _leaks = Leaks::watch();
    let session = sandbox().open().expect("it opens");
    for command in [sandbox().command("sleep"), session.command("sleep")] {
        let canceller = Canceller::new().expect("an eventfd");
        let process = command.arg("1000").cancelled_by(&canceller).stdout(Stdio::piped()).spawn().expect("it starts");
        let outcome = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                canceller.cancel();
            });
            process.wait().expect("an outcome")
        });
        assert_eq!(outcome.ended(), Ended::Cancelled);
        assert!(outcome.usage().cpu_user.is_some(), "it was counted");
    }
    assert!(session.command("true").output().expect("the session goes on").success());
}
