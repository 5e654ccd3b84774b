//! Hosts that are killed at any moment, watched by the process that inherits what they leave: when it has no child any
//! more, nothing is left. A test program of its own, because adopting orphans is a property of the whole process.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use pinfold::Sandbox;
use pinfold_tests::{Leaks, is_root, patience, reap_adopted, skip};

/// Kill `rounds` hosts of this config, each at another moment from its first instruction on.
fn kill_hosts(rounds: u64, set: &str) {
    kill(rounds, &["loop", set]);
}

fn kill(rounds: u64, args: &[&str]) {
    set_child_subreaper(true).expect("orphans can be adopted");
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("test-host")));
    let program: PathBuf =
        beside.filter(|path| path.exists()).unwrap_or_else(|| env!("CARGO_BIN_EXE_test-host").into());
    let (mut adopted, mut slowest) = (0, Duration::ZERO);
    // Spread over the set-up and a while of running, however slow the machine is.
    let spread = until_ready(&program, args).max(Duration::from_millis(20)) * 5 / 2;
    for round in 0..rounds {
        let mut host =
            Command::new(&program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        // Without a pattern.
        let scattered = (round + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) % 1_000;
        std::thread::sleep(spread * scattered as u32 / 1_000);
        host.kill().expect("it can be killed");
        host.wait().expect("it has ended");
        let killed = Instant::now();
        adopted += reap_adopted(patience());
        slowest = slowest.max(killed.elapsed());
    }
    println!("{rounds} hosts left {adopted} processes, the slowest was gone after {slowest:?}");
    assert!(adopted > rounds / 2, "the hosts were to be killed while sandboxes ran");
    set_child_subreaper(false).expect("as it was");
}

/// How long it takes until such a host has its first sandboxes.
fn until_ready(program: &Path, args: &[&str]) -> Duration {
    let begun = Instant::now();
    let mut host = Command::new(program).args(args).stdout(Stdio::piped()).spawn().expect("it starts");
    host.stdout.take().expect("piped").read_exact(&mut [0; 6]).expect("it is ready");
    let took = begun.elapsed();
    host.kill().expect("it can be killed");
    host.wait().expect("it has ended");
    took
}

#[test]
fn two_hundred_hosts_die_at_any_moment() {
    let _leaks = Leaks::watch();
    kill_hosts(200, "hostname=\"box\"");
}

#[test]
fn hosts_of_sessions_die_at_any_moment() {
    let _leaks = Leaks::watch();
    kill(100, &["session"]);
}

#[test]
fn hosts_of_payloads_that_are_pid_1_die() {
    let _leaks = Leaks::watch();
    kill_hosts(60, "process.init=false");
}

#[test]
fn hosts_of_trees_that_only_a_group_holds_die() {
    let _leaks = Leaks::watch();
    let grouped = || Sandbox::builder().set("namespaces.pid=\"host\"").build();
    if grouped().is_err() && !is_root() {
        skip!("this user may not make groups");
    }
    kill_hosts(60, "namespaces.pid=\"host\"");
    // Directories of groups stay behind a killed host; the next start sweeps them.
    let outcome = grouped().expect("a sandbox").command("true").output().expect("it runs");
    assert!(outcome.success());
}
