//! A command that is killed at any moment, with a terminal and without: watched by the process that inherits what it leaves.
//! When that has no child any more, nothing is left. A test program of its own: adopting orphans is a property of the process.

mod kit;

use std::process::Stdio;
use std::time::{Duration, Instant};

use kit::Kit;
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use pinfold_tests::{Leaks, comm, descendants, patience};

#[test]
fn killed_at_any_moment_it_leaves_nothing() {
    let _leaks = Leaks::watch();
    let kit = Kit::new();
    set_child_subreaper(true).expect("orphans can be adopted");
    let line = "setsid sleep 1000 & (sleep 1000 &) ; sleep 1000";
    let kinds: [&[&str]; 3] = [&["run"], &["run", "--tty"], &["run", "--overlay", "memory", "--quiet", "--changes"]];
    let mut adopted = 0;
    // Spread over the set-up and a while of running, however slow the machine is.
    let begun = Instant::now();
    kit.pinfold(["run", "--", "true"]).well();
    let spread = begun.elapsed().max(Duration::from_millis(20)) * 3;
    for round in 0..120u64 {
        let kind = kinds[(round % 3) as usize];
        let mut command = kit.command(kind.iter().chain(&["--", "sh", "-c", line]));
        let mut command =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let scattered = (round + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) % 1_000;
        std::thread::sleep(spread * scattered as u32 / 1_000);
        command.kill().expect("it can be killed");
        command.wait().expect("it has ended");
        let killed = Instant::now();
        let left = || descendants(std::process::id()).into_iter().map(|pid| (pid, comm(pid))).collect::<Vec<_>>();
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
                Err(Errno::ECHILD) => break,
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
                Ok(_) => adopted += 1,
                Err(errno) => panic!("waitpid: {errno}"),
            }
            assert!(killed.elapsed() < patience(), "round {round}, {kind:?}: these live on: {:?}", left());
        }
    }
    println!("{adopted} processes were left and ended");
    assert!(adopted > 30, "the command was to be killed while a sandbox was there");
    set_child_subreaper(false).expect("as it was");
}
