//! What front ends use: options as data, one fd to watch, an end without waiting, streams that were or were not captured.

use std::os::fd::AsFd;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, poll};
use pinfold::{CallOptions, Ended, ErrorKind, Sandbox, SandboxConfig, Stdio};
use pinfold_tests::Leaks;

fn sandbox(options: &str) -> Sandbox {
    Sandbox::from_config(SandboxConfig::from_options(options).expect(options)).expect("a sandbox")
}

#[test]
fn options_of_a_call_reach_the_payload() {
    let _leaks = Leaks::watch();
    let sandbox = sandbox(r#"{ "env": { "A": "sandbox", "B": "sandbox" }, "timeout": 30 }"#);
    let json = r#"{ "env": { "A": "call", "B": null }, "cwd": "/tmp", "umask": "0077", "rlimits": { "nofile": 99 } }"#;
    let options = CallOptions::from_json(json).expect("options");
    let script = "echo $A $B $PWD; umask; ulimit -n";
    let outcome = sandbox.command("sh").args(["-c", script]).options(&options).output().expect("it runs");
    assert_eq!(outcome.text(), "call /tmp\n0077\n99\n");
}

#[test]
fn options_of_a_call_that_mean_nothing_are_refused() {
    let _leaks = Leaks::watch();
    let options = CallOptions::from_json(r#"{ "umask": "9", "user": "root", "output": "much" }"#).expect("well typed");
    let error = sandbox("{}").command("true").options(&options).output().expect_err("nonsense");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.report().problems.len(), 3, "{error}");
}

#[test]
fn one_fd_tells_of_output_and_of_the_end() {
    let _leaks = Leaks::watch();
    // More than fits a pipe: only somebody who reads lets it end.
    let process = sandbox(r#"{ "timeout": 60 }"#)
        .command("sh")
        .args(["-c", "head -c 1000000 /dev/zero; head -c 300000 /dev/zero >&2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let watched = process.watch().expect("an fd");
    let outcome = loop {
        assert_ne!(poll(&mut [PollFd::new(watched.as_fd(), PollFlags::POLLIN)], 30_000u16), Ok(0), "no news");
        if let Some(outcome) = process.drain().expect("it is not lost") {
            break outcome;
        }
    };
    assert_eq!((outcome.stdout().len(), outcome.stderr().len()), (1_000_000, 300_000));
}

#[test]
fn an_abandoned_process_dies_without_being_waited_for() {
    let _leaks = Leaks::watch();
    let sandbox = sandbox("{}");
    let process = sandbox.command("sleep").arg("1000").spawn().expect("it starts");
    let payload = process.as_fd().try_clone_to_owned().expect("a copy of the pidfd");
    let begun = Instant::now();
    process.abandon();
    assert_eq!(poll(&mut [PollFd::new(payload.as_fd(), PollFlags::POLLIN)], 30_000u16), Ok(1), "it lives on");
    assert!(begun.elapsed() < pinfold_tests::patience());
}

#[test]
fn what_was_not_captured_is_not_empty_but_absent() {
    let _leaks = Leaks::watch();
    let sandbox = sandbox("{}");
    let outcome = sandbox.command("true").stderr(Stdio::null()).output().expect("it runs");
    assert_eq!((outcome.captured_stdout(), outcome.captured_stderr()), (Some(&b""[..]), None));
    let process = sandbox.command("true").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(process.take_stdout());
    let outcome = process.wait().expect("it ends");
    assert_eq!((outcome.captured_stdout(), outcome.captured_stderr()), (None, Some(&b""[..])));
    assert_eq!(outcome.ended(), Ended::Exited);
}
