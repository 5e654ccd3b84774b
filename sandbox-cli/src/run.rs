//! Owns: `pinfold run`: one loop that waits for the payload, signals and streams, and the exit status.
//! Must not: print on stdout.
//! Start at: [`run`].

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ArgMatches;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pinfold::{Command, Ended, Error, ErrorKind, Outcome, Process, Result, Sandbox, SandboxConfig, Stdio};
use serde_json::{Value, json};

use crate::attach::Live;
use crate::relay::{Limit, Relay, Standard};
use crate::report::Destination;
use crate::signals::Signals;
use crate::{describe, tell, tty};

/// How long streams are read on after everything inside is dead: only a holder outside of the sandbox keeps them open.
const LINGER: Duration = Duration::from_millis(50);

pub fn run(matches: &ArgMatches) -> Result<u8> {
    carry_out(matches, describe::sandbox)
}

/// `pinfold exec`: the same, beside a process that runs.
pub fn exec(matches: &ArgMatches) -> Result<u8> {
    carry_out(matches, describe::entered)
}

/// How a command line becomes a sandbox and what to attach to its payload.
type Describe = fn(&ArgMatches) -> Result<(Sandbox, Live)>;

fn carry_out(matches: &ArgMatches, describe: Describe) -> Result<u8> {
    let mut signals = Signals::block()?;
    let report = matches.get_one::<PathBuf>("report").map(|path| Destination::new(path)).transpose()?;
    let ended = payload(matches, describe, &mut signals);
    let written = report.map_or(Ok(()), |report| report.write(fields(&ended)?));
    match (ended, written) {
        (Ok((outcome, _)), Ok(())) => Ok(outcome.exit_status()),
        (Ok(_), Err(error)) => Err(error),
        (Err(error), written) => {
            // Both went wrong: the first is why nothing ran, and goes last.
            if let Err(unwritten) = written {
                tell::error(&unwritten);
            }
            Err(error)
        }
    }
}

/// Runs it to its end, and says what there is to say.
fn payload(matches: &ArgMatches, describe: Describe, signals: &mut Signals) -> Result<(Outcome, Relay)> {
    let quiet = matches.get_flag("quiet");
    let (sandbox, live) = describe(matches)?;
    if !quiet {
        tell::degradations(sandbox.report());
    }
    let limit = Limit::of(sandbox.config())?;
    // `exec` enters a root that is not its own.
    let asked = |option| matches.try_contains_id(option).is_ok();
    let changes = asked("changes") && matches.get_flag("changes");
    let commit = if asked("commit") { matches.get_one::<PathBuf>("commit") } else { None };
    if (changes || commit.is_some()) && sandbox.config().rootfs.overlay.is_none() {
        let key = if changes { "--changes" } else { "--commit" };
        return Err(Error::of_front_end(
            ErrorKind::Config,
            format!("{key} needs a root with a writable layer"),
            None,
            Some("add --overlay memory, or --overlay DIR/"),
        ));
    }
    let command = describe::payload(&sandbox, matches).keep_root(commit.is_some());
    let tty = matches.get_flag("tty") || sandbox.config().process.terminal == Some(true);
    if tty && limit.is_some() {
        return Err(tell::refused(
            "what is printed on a terminal is not counted",
            "leave out either --tty (process.terminal) or limits.output",
        ));
    }
    if tty {
        signals.block_with_terminal()?;
    }
    let command =
        if tty { with_terminal(command, sandbox.config()) } else { Limit::apply(limit, command.stdin(Stdio::Inherit)) };
    let (command, _socket_files) = live.attach(command)?;
    let process = command.spawn()?;
    let mut relay = Relay::new(limit, &process);
    let outcome = if tty { tty::watch(&process, signals)? } else { watch(&process, signals, &mut relay)? };
    if !quiet {
        closing(&outcome, &relay);
    }
    if changes {
        tell::changes(&outcome);
    }
    match commit {
        Some(layer) if outcome.success() => {
            // It is there: an overlay was asked for, and the payload has ended.
            process.take_kept_root().map_or(Ok(()), |root| root.commit(layer))?;
        }
        Some(_) if !quiet => tell::warning(format_args!("nothing was committed: {}", outcome.detail())),
        _ => {}
    }
    Ok((outcome, relay))
}

/// A terminal of the size of ours, which is of the same kind unless the config says otherwise.
fn with_terminal(command: Command, config: &SandboxConfig) -> Command {
    let command = command.terminal(tty::size());
    match std::env::var_os("TERM") {
        Some(term) if !config.process.env.contains_key("TERM") => command.env("TERM", term),
        _ => command,
    }
}

/// Waits for the payload, signals and streams at once, on this thread.
fn watch(process: &Process, signals: &mut Signals, relay: &mut Relay) -> Result<Outcome> {
    let mut over: Option<(Outcome, Instant)> = None;
    loop {
        if over.is_none() {
            over = process.drain()?.map(|outcome| (outcome, Instant::now()));
        }
        let timeout = match &over {
            Some((outcome, _)) if relay.is_done() => return Ok(outcome.clone()),
            Some((outcome, at)) => match patience(outcome, *at, relay) {
                Some(Duration::ZERO) => return Ok(outcome.clone()),
                Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO),
                None => PollTimeout::NONE,
            },
            None => PollTimeout::NONE,
        };
        let ready = await_one(process, signals, relay, over.is_none(), timeout)?;
        if ready.signals {
            match &over {
                None => signals.forward(process)?,
                // There is nobody left to forward to: what is still to be written is what keeps us.
                Some((outcome, _)) => return Ok(outcome.clone()),
            }
        }
        for stream in ready.streams {
            if relay.step(stream) && over.is_none() {
                process.end_for_output()?;
            }
        }
    }
}

/// How long a payload that has ended may still hold us up. A slow reader of what it wrote may, unless a limit ended it:
/// a limit of time bounds the call.
fn patience(outcome: &Outcome, at: Instant, relay: &Relay) -> Option<Duration> {
    let by_itself = matches!(outcome.ended(), Ended::Exited | Ended::Signaled);
    if by_itself && relay.is_pending() {
        return None;
    }
    Some(LINGER.saturating_sub(at.elapsed()))
}

struct Ready {
    signals: bool,
    streams: Vec<usize>,
}

fn await_one(
    process: &Process,
    signals: &Signals,
    relay: &Relay,
    running: bool,
    timeout: PollTimeout,
) -> Result<Ready> {
    let mut streams = Vec::new();
    let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    for (index, fd, events) in relay.awaited() {
        streams.push(index);
        fds.push(PollFd::new(fd, events));
    }
    if running {
        fds.push(PollFd::new(process.doorbell(), PollFlags::POLLIN));
    }
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(tell::failed("could not wait for the payload", &errno.into())),
    }
    let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(true));
    let signals = ready.next().unwrap_or(false);
    let streams = streams.into_iter().zip(ready).filter_map(|(index, ready)| ready.then_some(index)).collect();
    Ok(Ready { signals, streams })
}

/// One line where the status alone would be a riddle. The end of a pipeline's reader is none, and shells are silent too.
fn closing(outcome: &Outcome, relay: &Relay) {
    let by_pipe = outcome.ended() == Ended::Signaled && outcome.signal_name() == Some("SIGPIPE");
    if outcome.ended() != Ended::Exited && !by_pipe {
        tell::note(outcome.detail());
    } else if relay.truncated(Standard::Output) || relay.truncated(Standard::Error) {
        tell::warning("the output goes on beyond limits.output and was cut there");
    }
}

/// What the report says.
fn fields(ended: &Result<(Outcome, Relay)>) -> Result<Value> {
    match ended {
        Ok((outcome, relay)) => {
            let mut fields = tell::json(outcome)?;
            // What was relayed was counted here, and not by the library.
            for (key, standard) in [("stdout_truncated", Standard::Output), ("stderr_truncated", Standard::Error)] {
                if relay.truncated(standard)
                    && let Some(field) = fields.get_mut(key)
                {
                    *field = true.into();
                }
            }
            Ok(fields)
        }
        Err(error) => Ok(json!({ "error": tell::json(Error::report(error))? })),
    }
}
