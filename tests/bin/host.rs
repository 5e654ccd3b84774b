//! Owns: a host program for tests that must not be the test process itself: one that is killed, ignores SIGCHLD, or reaps everything.
//! Must not: print anything but what its test reads.
//!
//! `test-host loop [KEY=VALUE]`: start sandboxes of this config for ever. `test-host run`: run one payload and print its
//! outcome or the error as JSON. `test-host config FILE COMMAND..`: run that, with this program's output. `test-host session`: payloads of one session for ever. `test-host ignore N`, `test-host
//! reap N`: run N payloads with exit codes 0..N and say how many came back right. `test-host streams cloexec`, `test-host
//! streams closed`: run one payload without standard streams to inherit, and print what it wrote.
#![allow(unsafe_code)]

use std::process::ExitCode;

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{WaitPidFlag, waitpid};
use pinfold::Sandbox;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let count: i32 = args.get(2).and_then(|text| text.parse().ok()).unwrap_or(0);
    match args.get(1).map(String::as_str) {
        Some("loop") => start_for_ever(args.get(2)),
        Some("session") => run_for_ever(args.get(2)),
        Some("run") => run_one(),
        Some("config") => run_config(&args),
        Some("streams") => without_streams(args.get(2).is_some_and(|how| how == "closed")),
        Some("ignore") => {
            // SAFETY: SIG_IGN is no handler; nothing of this program runs on a signal.
            unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.expect("SIGCHLD can be ignored");
            right(count)
        }
        Some("reap") => {
            std::thread::spawn(|| {
                loop {
                    if waitpid(None, Some(WaitPidFlag::empty())).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
            right(count)
        }
        _ => ExitCode::FAILURE,
    }
}

fn start_for_ever(set: Option<&String>) -> ! {
    let builder = set.iter().fold(Sandbox::builder(), |builder, set| builder.set(set));
    let sandbox = builder.build().expect("a sandbox");
    println!("ready");
    let mut running = Vec::new();
    loop {
        if let Ok(process) = sandbox.command("sleep").arg("1000").spawn() {
            running.push(process);
        }
        if running.len() > 3 {
            running.clear();
        }
    }
}

/// Payloads of one session, some of them running on, and a pool beside it.
fn run_for_ever(set: Option<&String>) -> ! {
    let builder = set.iter().fold(Sandbox::builder(), |builder, set| builder.set(set));
    let sandbox = builder.build().expect("a sandbox");
    let session = sandbox.open().expect("it opens");
    let pool = pinfold::Pool::new(&sandbox, 1).expect("a pool");
    println!("ready");
    let mut running = Vec::new();
    loop {
        let line = "setsid sleep 1000 & (sleep 1000 &) ; sleep 1000";
        running.extend(session.command("sh").args(["-c", line]).spawn());
        drop(session.command("true").timeout("1s").output());
        drop(pool.run(|fresh| fresh.command("true").output()));
        if running.len() > 3 {
            running.clear();
        }
    }
}

fn run_one() -> ExitCode {
    let ended = Sandbox::builder().build().and_then(|sandbox| sandbox.command("echo").arg("x").timeout("2s").output());
    let text = match &ended {
        Ok(outcome) => serde_json::to_string(outcome),
        Err(error) => serde_json::to_string(error.report()),
    };
    println!("{}", text.expect("plain data"));
    ExitCode::SUCCESS
}

fn run_config(args: &[String]) -> ExitCode {
    let [_, _, file, program, arguments @ ..] = args else { return ExitCode::FAILURE };
    let sandbox = Sandbox::from_path(file).expect("a sandbox");
    let status = sandbox.command(program).args(arguments).stdout(pinfold::Stdio::inherit()).output();
    if status.is_ok_and(|outcome| outcome.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is captured must not depend on what 0 to 2 are here.
fn without_streams(closed: bool) -> ExitCode {
    use std::io::Write;
    use std::os::fd::AsFd;

    let report = std::io::stdout().as_fd().try_clone_to_owned().expect("a copy of standard output");
    for number in 0..3 {
        // SAFETY: nothing of this program reads or writes them from here on; the report goes to the copy.
        let done =
            unsafe { if closed { libc::close(number) } else { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } };
        assert_eq!(done, 0);
    }
    let sandbox = Sandbox::builder().build().expect("the default sandbox");
    let outcome = sandbox.command("sh").args(["-c", "echo out; echo err >&2"]).output().expect("it runs");
    let text = format!("{}{}", outcome.text(), outcome.stderr_text());
    std::fs::File::from(report).write_all(text.as_bytes()).expect("the report is written");
    ExitCode::SUCCESS
}

fn right(count: i32) -> ExitCode {
    let sandbox = Sandbox::builder().build().expect("the default sandbox");
    let right = (0..count).filter(|code| {
        let outcome = sandbox.command("sh").args(["-c", &format!("exit {}", code % 256)]).output();
        outcome.is_ok_and(|outcome| outcome.code() == Some(code % 256))
    });
    println!("{}", right.count());
    ExitCode::SUCCESS
}
