//! A session in which no more can be started: what it says then, and that it goes on.

#[macro_use]
#[path = "support/groups.rs"]
mod groups;

use groups::*;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use pinfold::{Command, ErrorKind, Process, Stdio};
use pinfold_tests::{Leaks, eventually, skip};

/// Where the limit is met: by the payload's process, or by that of its supervisor. Nothing else is to blame.
#[test]
fn a_full_pids_limit_is_named() {
    let _leaks = Leaks::watch();
    needs!(PIDS);
    for (limit, groups) in [(3, false), (4, false), (3, true), (4, true)] {
        let session = built(worker().pids(limit).payload_groups(groups)).open().expect("opens");
        let command = |args: &[&str]| session.command(WORKER).args(args.iter().copied());
        let mut running: Vec<Process> = Vec::new();
        let error = loop {
            match command(&["sleep", "100000"]).spawn() {
                Ok(process) => running.push(process),
                Err(error) => break error,
            }
        };
        assert!(!running.is_empty() && running.len() < limit as usize, "{}", running.len());
        // The caller's next try tells the same.
        for error in [Some(error), command(&["exit", "0"]).output().err(), command(&["exit", "0"]).spawn().err()] {
            let error = error.expect("it is full");
            assert_eq!((error.kind(), error.errno()), (ErrorKind::Setup, Some(libc::EAGAIN)), "{error}");
            assert!(error.to_string().contains("could not start one more process in the session"), "{error}");
            assert_eq!(error.report().origin.as_deref(), Some("limits.pids"), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("limits.pids")), "{:?}", error.hint());
        }
        drop(running.pop());
        // Its supervisor is gone a moment later.
        eventually("there is a place", || command(&["exit", "0"]).output().is_ok_and(|outcome| outcome.success()));
        assert!(
            command(&["exit", "0"]).spawn().and_then(|process| process.wait()).expect("there is a place").success()
        );
    }
}

/// As many payloads side by side as a session can have supervisors.
#[test]
fn one_payload_too_many_is_told_as_that() {
    let _leaks = Leaks::watch();
    const MOST: usize = 1024;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    // A pidfd, two sockets and a file for each.
    if hard < 5 * MOST as u64 {
        skip!("this process may not have enough fds");
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit");
    let session = built(worker()).open().expect("opens");
    let sleeper = || -> Command { session.command(WORKER).args(["sleep", "100000"]).stdin(Stdio::null()) };
    let mut running: Vec<Process> = (0..MOST)
        .map(|number| {
            let command = sleeper().stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap_or_else(|error| panic!("{number}: {error}"))
        })
        .collect();
    for error in [sleeper().spawn().err(), sleeper().output().err()] {
        let error = error.expect("too many");
        assert_eq!(error.kind(), ErrorKind::Setup, "{error}");
        assert!(error.to_string().contains("1024 payloads"), "{error}");
    }
    drop(running.pop());
    assert!(session.command(WORKER).args(["exit", "0"]).output().expect("there is a place").success());
    session.close();
    drop(running);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("back");
}
