//! A session that is frozen, its shepherds with it: deadlines are kept, what is to end ends, nothing waits for a thaw that
//! nobody asked for.

#[macro_use]
#[path = "support/groups.rs"]
mod groups;

use std::thread;
use std::time::{Duration, Instant};

use groups::*;
use pinfold::{Canceller, Ended, ErrorKind, Process, Session};
use pinfold_tests::{Leaks, descendants, eventually, skip};

/// Generous: what should take milliseconds, and takes a second or for ever where nobody thaws.
const SOON: Duration = Duration::from_millis(900);

fn open() -> Session {
    built(worker().pids(32)).open().expect("opens")
}

fn sleeper(session: &Session) -> Process {
    session.command(WORKER).args(["sleep", "100000"]).spawn().expect("starts")
}

/// Whether the group of `process` is frozen, in the kernel's own words.
fn is_frozen(process: &Process) -> bool {
    let state = raw(process, "", "cgroup.freeze", "cgroup.freeze");
    let state = state.or_else(|| raw(process, "freezer", "freezer.state", "cgroup.freeze")).expect("a group");
    ["1", "FROZEN", "FREEZING"].contains(&state.trim())
}

/// It takes no longer than it should on a machine that is as fast as most.
#[track_caller]
fn soon<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let value = act();
    let bound = if slow() { 10 * SOON } else { SOON };
    assert!(begun.elapsed() < bound, "{what} took {:?}", begun.elapsed());
    value
}

#[test]
fn a_deadline_is_kept_while_the_session_is_frozen() {
    let _leaks = Leaks::watch();
    needs!(PIDS);
    let session = open();
    let other = sleeper(&session);
    let late = session.command(WORKER).args(["sleep", "100000"]).timeout("1s").spawn().expect("starts");
    let later = session.command(WORKER).args(["sleep", "100000"]).timeout("20s").spawn().expect("starts");
    let begun = Instant::now();
    session.freeze().expect("freezes");
    thread::sleep(Duration::from_millis(300));
    assert!(is_frozen(&other), "until then");
    let outcome = late.wait().expect("an outcome");
    assert_eq!(outcome.ended(), Ended::WallTime, "{outcome:?}");
    let took = begun.elapsed();
    assert!((Duration::from_millis(700)..Duration::from_secs(5)).contains(&took), "{took:?}");
    assert!(!is_frozen(&other), "it is thawed, and stays so");
    assert_eq!(other.try_wait().expect("no error"), None, "nothing else ended");
    assert!(session.command(WORKER).args(["exit", "0"]).output().expect("starts").success());
    // The next time the next deadline counts, not the one that has passed, nor that of one that is thawed again.
    let short = session.command(WORKER).args(["sleep", "100000"]).timeout("700ms").spawn().expect("starts");
    session.freeze().expect("freezes");
    session.thaw().expect("thaws");
    assert_eq!(short.wait().expect("an outcome").ended(), Ended::WallTime);
    session.freeze().expect("freezes");
    thread::sleep(Duration::from_millis(800));
    assert!(is_frozen(&other), "those that are over count no more");
    session.thaw().expect("thaws");
    assert_eq!(later.try_wait().expect("no error"), None);
}

/// One whose end alone is waited for.
#[test]
fn a_deadline_of_a_call_is_kept_while_the_session_is_frozen() {
    let _leaks = Leaks::watch();
    needs!(PIDS);
    let session = open();
    thread::scope(|scope| {
        let call = || session.command(WORKER).args(["sleep", "100000"]).timeout("700ms").output();
        let call = scope.spawn(call);
        eventually("it runs", || {
            descendants(std::process::id()).into_iter().any(|pid| pinfold_tests::comm(pid) == "worker")
        });
        session.freeze().expect("freezes");
        let begun = Instant::now();
        let outcome = call.join().expect("no panic").expect("an outcome");
        assert_eq!(outcome.ended(), Ended::WallTime);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    });
}

#[test]
fn what_is_to_end_ends_while_the_session_is_frozen() {
    let _leaks = Leaks::watch();
    needs!(PIDS);
    let session = open();
    let other = sleeper(&session);
    type Way = (&'static str, fn(&Process) -> Result<(), pinfold::Error>, Ended);
    let ways: [Way; 3] = [
        ("kill", |process| process.kill(), Ended::Killed),
        ("cancel", |process| process.cancel(), Ended::Cancelled),
        ("SIGKILL", |process| process.signal(libc::SIGKILL), Ended::Signaled),
    ];
    for (way, act, ended) in ways {
        let process = sleeper(&session);
        session.freeze().expect("freezes");
        let outcome = soon(way, || {
            act(&process).expect("it can be told");
            process.wait().expect("an outcome")
        });
        assert_eq!(outcome.ended(), ended, "{way}: {outcome:?}");
        assert!(!is_frozen(&other), "{way}");
    }
    // Told before, and not yet carried out.
    for _ in 0..30 {
        let process = sleeper(&session);
        process.kill().expect("it can be told");
        session.freeze().expect("freezes");
        let outcome = soon("a kill before", || process.wait().expect("an outcome"));
        assert_eq!(outcome.ended(), Ended::Killed);
        session.thaw().expect("thaws");
    }
    let canceller = Canceller::new().expect("an eventfd");
    let command = session.command(WORKER).args(["sleep", "100000"]).cancelled_by(&canceller);
    let process = command.spawn().expect("starts");
    session.freeze().expect("freezes");
    canceller.cancel();
    assert_eq!(soon("the canceller", || process.wait()).expect("an outcome").ended(), Ended::Cancelled);
    let dropped = sleeper(&session);
    let pid = dropped.id().expect("it runs");
    session.freeze().expect("freezes");
    soon("drop", || drop(dropped));
    eventually("its tree is gone", || !pinfold_tests::runs(pid));
    // What has ended by itself is dropped without a thaw.
    let over = session.command(WORKER).args(["exit", "0"]).spawn().expect("starts");
    assert!(over.wait().expect("an outcome").success());
    session.freeze().expect("freezes");
    drop(over);
    assert!(is_frozen(&other));
    soon("kill_all", || session.kill_all()).expect("all can be killed");
    assert_eq!(other.wait().expect("an outcome").ended(), Ended::Killed);
    session.freeze().expect("freezes");
    soon("kill_all of nothing", || session.kill_all()).expect("all can be killed");
    assert!(session.command(WORKER).args(["exit", "0"]).output().expect("starts").success());
    let last = sleeper(&session);
    session.freeze().expect("freezes");
    soon("close", || session.close());
    assert_eq!(last.wait().expect("an outcome").ended(), Ended::Killed);
}

#[test]
fn a_frozen_session_starts_nothing_and_says_so() {
    let _leaks = Leaks::watch();
    needs!(PIDS);
    let session = open();
    session.freeze().expect("freezes");
    let told = soon("four refusals", || {
        let command = || session.command(WORKER).args(["exit", "0"]);
        [
            command().output().map(drop),
            command().spawn().map(drop),
            command().timeout("500ms").output().map(drop),
            command().timeout("500ms").spawn().map(drop),
        ]
    });
    for error in told.map(|told| told.expect_err("it is frozen")) {
        assert_eq!(error.kind(), ErrorKind::Setup, "{error}");
        assert!(error.to_string().contains("frozen"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("thaw")), "{:?}", error.hint());
    }
    session.thaw().expect("thaws");
    assert!(session.command(WORKER).args(["exit", "0"]).output().expect("starts").success());
}

/// Starts that cross a freeze: each is refused, or ends in time, whatever it had come to.
#[test]
fn a_start_that_crosses_a_freeze_ends_in_time() {
    let _leaks = Leaks::watch();
    needs!(PIDS);
    let session = open();
    let (mut refused, mut ended) = (0, 0);
    for round in 0..30 {
        thread::scope(|scope| {
            let spawned = round % 2 == 0;
            let call = scope.spawn({
                let session = &session;
                move || {
                    let command = session.command(WORKER).args(["sleep", "100000"]).timeout("100ms");
                    let begun = Instant::now();
                    let told = match spawned {
                        true => command.spawn().and_then(|process| process.wait()),
                        false => command.output(),
                    };
                    (told, begun.elapsed())
                }
            });
            thread::sleep(Duration::from_micros(round * 300));
            session.freeze().expect("freezes");
            let (told, took) = call.join().expect("no panic");
            assert!(took < if slow() { 10 * SOON } else { SOON }, "{took:?}: {told:?}");
            match told {
                Ok(outcome) => {
                    assert_eq!(outcome.ended(), Ended::WallTime);
                    ended += 1;
                }
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::Setup | ErrorKind::Timeout), "{error}");
                    refused += 1;
                }
            }
            session.thaw().expect("thaws");
        });
    }
    println!("{refused} were refused, {ended} ended");
    assert!(refused > 0 && ended > 0, "{refused} were refused, {ended} ended");
    assert!(session.command(WORKER).args(["exit", "0"]).output().expect("starts").success());
}

#[test]
fn all_of_this_holds_where_v1_freezes() {
    let _leaks = Leaks::watch();
    without_unified(&["a_deadline_is_kept", "a_deadline_of_a_call", "what_is_to_end", "a_frozen_session"]);
}
