//! An init that is killed at any moment while a session, a terminal and a pool are in use: every call comes to an end that
//! is told, and nothing is left.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pinfold::{Canceller, Ended, Error, ErrorKind, Outcome, Pool, Sandbox};
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

/// A shepherd that was told to end is free no more, also where what it was to end had ended by itself: the next payload gets
/// another one, and is not lost with it.
#[test]
fn a_kill_that_crosses_an_end_loses_no_other_payload() {
    let _leaks = Leaks::watch();
    let session = Sandbox::builder().build().expect("the default sandbox").open().expect("it opens");
    let next = || session.command("true").output().expect("it is not lost").success();
    assert!(next());
    // Its news are there, and nobody has read them.
    for _ in 0..200 {
        let process = session.command("true").spawn().expect("it starts");
        let mut fds = [nix::poll::PollFd::new(process.as_fd(), nix::poll::PollFlags::POLLIN)];
        assert_eq!(nix::poll::poll(&mut fds, 5000u16).expect("poll"), 1, "it ends");
        process.kill().expect("it can be told");
        let ended = process.wait().expect("an outcome").ended();
        assert!(matches!(ended, Ended::Exited | Ended::Killed), "{ended:?}");
        drop(process);
        assert!(next());
    }
    let mut kinds = BTreeMap::new();
    // For each program, within how many microseconds it is cancelled: as long as a call takes here and now, more or less.
    let mut windows = [2000; 3];
    let last_moment = Instant::now() + Duration::from_secs(60);
    for round in 0.. {
        if round >= 600 && (kinds.len() == 6 || Instant::now() > last_moment) {
            break;
        }
        let which = round as usize % 3;
        let program = ["/no/such/program", "/etc/passwd", "true"][which];
        let canceller = Canceller::new().expect("an eventfd");
        let window = windows[which];
        let told = thread::scope(|scope| {
            let elsewhere = canceller.clone();
            scope.spawn(move || {
                let until = Instant::now() + Duration::from_micros(scatter(round) % window);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
                elsewhere.cancel();
            });
            session.command(program).cancelled_by(&canceller).output()
        });
        assert!(next(), "round {round}, after {program}: {told:?}");
        let kind = told.map_or_else(|error| format!("{:?}", error.kind()), |outcome| format!("{:?}", outcome.ended()));
        windows[which] = if kind == "Cancelled" { (window * 9 / 8).min(100_000) } else { (window * 7 / 8).max(100) };
        *kinds.entry((program, kind)).or_insert(0) += 1;
    }
    println!("{kinds:?}");
    assert!(kinds.len() == 6, "each was cancelled in time and too late: {kinds:?}");
}

/// What starts while everything is killed is killed, or starts after that.
#[test]
fn a_payload_that_starts_while_all_are_killed_is_not_lost() {
    let _leaks = Leaks::watch();
    let session = Sandbox::builder().build().expect("the default sandbox").open().expect("it opens");
    let stop = AtomicBool::new(false);
    let mut kinds = BTreeMap::new();
    let killed = thread::scope(|scope| {
        let starters: Vec<_> = (0..2)
            .map(|thread| {
                let (session, stop) = (&session, &stop);
                scope.spawn(move || {
                    let mut told = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let command = session.command("true");
                        told.push(match thread {
                            0 => command.output(),
                            _ => command.spawn().and_then(|process| process.wait()),
                        });
                    }
                    told
                })
            })
            .collect();
        let killed: Result<(), Error> = (0..300).try_for_each(|round| {
            thread::sleep(Duration::from_micros(scatter(round) % 2000));
            // The promise is a second; a busy machine may take longer, but no end of them.
            let begun = Instant::now();
            loop {
                match session.kill_all() {
                    Err(error) if error.errno() == Some(libc::ETIMEDOUT) && begun.elapsed() < BOUND => {}
                    told => return told,
                }
            }
        });
        stop.store(true, Ordering::Relaxed);
        for starter in starters {
            for told in starter.join().expect("no panic") {
                let kind = match told {
                    Ok(outcome) if outcome.ended() == Ended::Exited => "ended",
                    Ok(outcome) if matches!(outcome.ended(), Ended::Killed | Ended::Signaled) => "killed",
                    Err(error) if error.kind() == ErrorKind::Cancelled => "not started",
                    other => panic!("{other:?}"),
                };
                *kinds.entry(kind).or_insert(0) += 1;
            }
        }
        killed
    });
    println!("{kinds:?}");
    killed.expect("all can be killed");
    assert!(kinds.len() == 3, "some were killed, some ended, some did not start: {kinds:?}");
    assert!(session.command("true").output().expect("the session goes on").success());
}
