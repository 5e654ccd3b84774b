//! Many threads start sandboxes while others open fds without close-on-exec: no fd but the declared ones is inside.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use pinfold::Sandbox;
use pinfold_tests::Leaks;

const THREADS: usize = 16;
const STARTS: usize = 2_000 / THREADS;

/// Ends the threads in the background, also when the test fails.
struct StopAtTheEnd<'a>(&'a AtomicBool);

impl Drop for StopAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn sixteen_threads_two_thousand_sandboxes() {
    let _leaks = Leaks::watch();
    let stop = AtomicBool::new(false);
    let sandbox = Sandbox::builder().build().expect("the default sandbox");
    thread::scope(|scope| {
        let _stop = StopAtTheEnd(&stop);
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let fds: Vec<_> = (0..50).map(|_| open("/dev/null", OFlag::O_RDONLY, Mode::empty())).collect();
                    thread::yield_now();
                    drop(fds);
                }
            });
        }
        let starters: Vec<_> = (0..THREADS)
            .map(|thread| {
                let sandbox = &sandbox;
                scope.spawn(move || {
                    for start in 0..STARTS {
                        let code = (thread * STARTS + start) % 200;
                        let script = format!("cd /proc/self/fd; echo *; exit {code}");
                        let outcome = sandbox.command("sh").args(["-c", &script]).output().expect("it runs");
                        assert_eq!(outcome.code(), Some(code as i32), "{}", outcome.stderr_text());
                        // The shell itself, and the directory it lists.
                        let fds: Vec<String> = outcome.text().split_whitespace().map(str::to_owned).collect();
                        assert!(fds.len() <= 4 && fds[..3] == ["0", "1", "2"], "{fds:?}");
                    }
                })
            })
            .collect();
        for starter in starters {
            starter.join().expect("every start is right");
        }
    });
}

/// A process that another thread has just forked holds a copy of every open file of ours until it executes; a file of the
/// root that was open for writing kept the tree from becoming read-only (EBUSY).
#[test]
fn forking_threads_do_not_disturb_the_preparation_of_a_root() {
    let _leaks = Leaks::watch();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = StopAtTheEnd(&stop);
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // With a uid the standard library forks instead of sharing memory until the exec.
                    let mut forked = Command::new("true");
                    forked.uid(nix::unistd::getuid().as_raw());
                    assert!(forked.status().expect("true runs").success());
                }
            });
        }
        for _ in 0..150 {
            // A sandbox of its own each time: the root is prepared at the first start.
            let sandbox = Sandbox::builder().build().expect("the default sandbox");
            let outcome = sandbox.command("true").output().unwrap_or_else(|error| panic!("{error}"));
            assert!(outcome.success());
        }
    });
}
