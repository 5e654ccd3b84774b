//! Owns: the signals of this command: which are forwarded, and what a second interrupt means.
//! Must not: install a handler; they are blocked, and read where everything else is waited for.
//! Start at: [`Signals`].

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use pinfold::{Process, Result};

use crate::tell;

const FORWARDED: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// With a terminal in raw mode also what would stop or end this command: it must be put back before.
const WITH_TERMINAL: [Signal; 12] = [
    Signal::SIGWINCH,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGSTKFLT,
    Signal::SIGPWR,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
    Signal::SIGABRT,
];

/// How soon a second interrupt must come to mean "now".
const TWICE: Duration = Duration::from_secs(2);

/// The forwarded signals, from the moment this exists: none that comes during the set-up is lost.
#[derive(Debug)]
pub struct Signals {
    pending: SignalFd,
    set: SigSet,
    interrupted: Option<Instant>,
}

fn failed(errno: nix::Error) -> pinfold::Error {
    tell::failed("could not get the signals", &errno.into())
}

impl Signals {
    /// init clears the mask again for the payload, so that nothing of this is inherited.
    pub fn block() -> Result<Self> {
        let mut set: SigSet = FORWARDED.into_iter().collect();
        // nohup(1). INT and QUIT, which a shell without job control ignores for what it starts with `&`, can still be
        // sent by hand.
        if is_ignored(Signal::SIGHUP) {
            set.remove(Signal::SIGHUP);
        }
        set.thread_block().map_err(failed)?;
        let pending = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)?;
        Ok(Self { pending, set, interrupted: None })
    }

    /// Those of a terminal, too.
    pub fn block_with_terminal(&mut self) -> Result<()> {
        self.set.extend(WITH_TERMINAL);
        self.set.thread_block().and_then(|()| self.pending.set_mask(&self.set)).map_err(failed)
    }

    /// Passes on what has come. Never waits.
    pub fn forward(&mut self, process: &Process) -> Result<()> {
        while let Some(signal) = self.next() {
            self.pass_on(process, signal)?;
        }
        Ok(())
    }

    /// The next one that has come. Never waits.
    pub fn next(&mut self) -> Option<Signal> {
        let info = self.pending.read_signal().ok()??;
        Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
    }

    pub fn is_forwarded(signal: Signal) -> bool {
        FORWARDED.contains(&signal)
    }

    pub fn pass_on(&mut self, process: &Process, signal: Signal) -> Result<()> {
        if signal == Signal::SIGINT && self.again() { process.cancel() } else { process.signal(signal as i32) }
    }

    /// Whether this interrupt is the second one.
    fn again(&mut self) -> bool {
        let now = Instant::now();
        let before = self.interrupted.replace(now);
        before.is_some_and(|before| now.duration_since(before) <= TWICE)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pending.as_fd()
    }
}

/// proc_pid_status(5), `SigIgn`.
fn is_ignored(signal: Signal) -> bool {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"))?.trim();
            u64::from_str_radix(mask, 16).ok()
        })
        .is_some_and(|mask| mask & 1 << (signal as u32 - 1) != 0)
}
