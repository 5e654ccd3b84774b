//! An init that is killed at any moment while a session, a terminal and a pool are in use: every call comes to an end that
//! is told, and nothing is left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pinfold::{Ended, Error, ErrorKind, Outcome, Pool, Sandbox};
use pinfold_tests::{Leaks, comm, descendants, eventually};

const BOUND: Duration = Duration::from_secs(10);

/// A cheap pseudo-random number: spread, not secrecy.
fn scatter(seed: u64) -> u64 {
    let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ mixed >> 29
}

fn inits() -> Vec<u32> {
    descendants(std::process::id()).into_iter().filter(|pid| comm(*pid) == "pinfold-init").collect()
}

/// What may be told about a payload whose init was killed: that it was killed with it, or that nobody knows.
#[track_caller]
fn is_an_end(told: &Result<Outcome, Error>) {
    match told {
        Ok(outcome) => assert!(
            matches!(outcome.ended(), Ended::Exited | Ended::Killed | Ended::Signaled | Ended::WallTime),
            "{outcome:?}"
        ),
        // Before the exec it is a set-up that failed.
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::Lost | ErrorKind::Setup | ErrorKind::Timeout),
            "{error}: {:?}",
            error.report()
        ),
    }
}

#[test]
fn an_init_that_is_killed_at_any_moment_leaves_nothing() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().build().expect("the default sandbox");
    let (mut lost, mut whole) = (0, 0);
    for round in 0..100 {
        let stop = AtomicBool::new(false);
        let begun = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                // Any of keeper, PID 1 and shepherds, of any of the sandboxes, once or several times.
                thread::sleep(Duration::from_micros(scatter(round) % 15_000));
                for turn in 0..=round % 3 {
                    let alive = inits();
                    if !alive.is_empty() {
                        let chosen = alive[(scatter(round * 31 + turn) % alive.len() as u64) as usize];
                        // ESRCH: it has ended meanwhile.
                        kill(Pid::from_raw(chosen.cast_signed()), Signal::SIGKILL).unwrap_or_default();
                    }
                    thread::sleep(Duration::from_micros(300));
                }
                stop.store(true, Ordering::Relaxed);
            });
            let mut told: Vec<Result<Outcome, Error>> = Vec::new();
            let pool = Pool::new(&sandbox, 1);
            while !stop.load(Ordering::Relaxed) {
                let session = match sandbox.open() {
                    Ok(session) => session,
                    Err(error) => {
                        told.push(Err(error));
                        continue;
                    }
                };
                let line = "setsid sleep 1000 & (sleep 1000 &) ; sleep 1000";
                let running = session.command("sh").args(["-c", line]).timeout("5s").spawn();
                told.push(session.command("echo").arg("x").terminal((80, 24)).timeout("5s").output());
                told.push(session.command("true").timeout("5s").output());
                if let Ok(pool) = &pool {
                    told.push(pool.run(|fresh| fresh.command("true").timeout("5s").output()));
                }
                session.close();
                match running {
                    Ok(process) => told.push(process.wait()),
                    Err(error) => told.push(Err(error)),
                }
            }
            told.iter().for_each(is_an_end);
            lost += told.iter().filter(|told| told.is_err()).count();
            whole += told.iter().filter(|told| told.is_ok()).count();
        });
        assert!(begun.elapsed() < BOUND, "round {round}: {:?}", begun.elapsed());
        eventually("nothing is left", || {
            descendants(std::process::id()).into_iter().all(|pid| !pinfold_tests::runs(pid))
        });
    }
    println!("{whole} outcomes, {lost} errors");
    assert!(lost > 5 && whole > 50, "{whole} outcomes, {lost} errors: hardly any was hit, or all were");
}
