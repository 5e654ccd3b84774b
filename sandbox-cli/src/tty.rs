//! Owns: `--tty`: this terminal in raw mode, what is typed to the payload's terminal and what that prints to stdout.
//! Must not: leave the terminal as it was not found, however this command ends (`guard`, where it is killed).
//! Start at: [`watch`].

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, raise};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use pinfold::{Error, ErrorKind, Outcome, Process, Result, TerminalSize};

use crate::guard::Guard;
use crate::signals::Signals;
use crate::tell;

/// As much as a pipe that is ready takes without blocking (pipe(7), PIPE_BUF).
const CHUNK: usize = 4096;
/// How long what the payload has printed is read on after its end.
const LINGER: Duration = Duration::from_millis(50);
/// What a terminal takes for the end of the input at the beginning of a line (VEOF).
const END_OF_INPUT: u8 = 4;

/// The size of this terminal, if there is one.
pub fn size() -> TerminalSize {
    let known = [std::io::stdin().as_fd(), std::io::stdout().as_fd(), std::io::stderr().as_fd()]
        .into_iter()
        .find_map(TerminalSize::of);
    known.unwrap_or_default()
}

/// Raw mode, for as long as this lives.
struct Raw {
    found: Option<Termios>,
    /// Dropped after the terminal was put back.
    _guard: Option<Guard>,
}

impl Raw {
    /// Nothing changes where standard input is no terminal.
    fn enter() -> Result<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Ok(Self { found: None, _guard: None });
        }
        let failed = |errno: Errno| tell::failed("could not set the terminal", &errno.into());
        let found = tcgetattr(&stdin).map_err(failed)?;
        let raw = Self { found: Some(found), _guard: Guard::set() };
        raw.again().map_err(failed)?;
        Ok(raw)
    }

    fn again(&self) -> nix::Result<()> {
        let Some(found) = &self.found else { return Ok(()) };
        let mut raw = found.clone();
        cfmakeraw(&mut raw);
        tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &raw)
    }

    fn leave(&self) {
        if let Some(found) = &self.found {
            // EIO: the terminal is gone, and nothing is left to restore.
            tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, found).unwrap_or_default();
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.leave();
    }
}

/// One direction: what was read and not yet written.
#[derive(Default)]
struct Pending(Vec<u8>);

impl Pending {
    /// False: there is nothing more to read.
    fn read(&mut self, from: BorrowedFd<'_>) -> bool {
        let mut chunk = [0; CHUNK];
        match nix::unistd::read(from, &mut chunk) {
            Ok(0) => false,
            Ok(got) => {
                self.0.extend_from_slice(chunk.get(..got).unwrap_or_default());
                true
            }
            Err(Errno::EINTR | Errno::EAGAIN) => true,
            // EIO: nobody has the other end of the terminal.
            Err(_) => false,
        }
    }

    /// False: nobody reads it.
    fn write(&mut self, to: BorrowedFd<'_>) -> bool {
        let chunk = self.0.get(..CHUNK).unwrap_or(&self.0);
        match nix::unistd::write(to, chunk) {
            Ok(written) => {
                drop(self.0.drain(..written));
                true
            }
            Err(Errno::EINTR | Errno::EAGAIN) => true,
            Err(_) => false,
        }
    }
}

/// Waits for the payload, signals and both terminals at once, on this thread.
pub fn watch(process: &Process, signals: &mut Signals) -> Result<Outcome> {
    let terminal = process
        .take_terminal()
        .ok_or_else(|| Error::of_front_end(ErrorKind::Setup, "the payload has no terminal", None, None))?;
    unblock(&terminal)?;
    let raw = Raw::enter()?;
    process.resize(size())?;
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    let (mut typed, mut printed) = (Pending::default(), Pending::default());
    let (mut input, mut output) = (true, true);
    let mut over: Option<(Outcome, Instant)> = None;
    loop {
        if over.is_none() {
            over = process.drain()?.map(|outcome| (outcome, Instant::now()));
        }
        let timeout = match &over {
            Some((outcome, _)) if !output && printed.0.is_empty() => return Ok(outcome.clone()),
            Some((outcome, at)) if printed.0.is_empty() && at.elapsed() >= LINGER => return Ok(outcome.clone()),
            Some(_) => PollTimeout::try_from(LINGER).unwrap_or(PollTimeout::ZERO),
            None => PollTimeout::NONE,
        };
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::POLLIN, output && printed.0.is_empty());
        wanted.set(PollFlags::POLLOUT, !typed.0.is_empty());
        let reads = input && typed.0.is_empty() && over.is_none();
        let fds = [
            Some((signals.as_fd(), PollFlags::POLLIN)),
            over.is_none().then(|| (process.doorbell(), PollFlags::POLLIN)),
            reads.then(|| (stdin.as_fd(), PollFlags::POLLIN)),
            (!wanted.is_empty()).then(|| (terminal.as_fd(), wanted)),
            (!printed.0.is_empty()).then(|| (stdout.as_fd(), PollFlags::POLLOUT)),
        ];
        let mut polled: Vec<PollFd<'_>> = fds.iter().flatten().map(|(fd, events)| PollFd::new(*fd, *events)).collect();
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(tell::failed("could not wait for the payload", &errno.into())),
        }
        let mut said = polled.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        let [signalled, _, stdin_says, terminal_says, stdout_says] =
            fds.map(|fd| fd.and_then(|_| said.next()).unwrap_or(PollFlags::empty()));
        if !signalled.is_empty() {
            signal(process, signals, &raw)?;
        }
        if !stdin_says.is_empty() && !typed.read(stdin.as_fd()) {
            input = false;
            typed.0.push(END_OF_INPUT);
        }
        if terminal_says.contains(PollFlags::POLLOUT) && !typed.write(terminal.as_fd()) {
            typed.0.clear();
        }
        if terminal_says.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR)
            && wanted.contains(PollFlags::POLLIN)
        {
            // While a payload runs somebody may open its terminal again.
            output = printed.read(terminal.as_fd()) || over.is_none();
            if !output || terminal_says == PollFlags::POLLHUP {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if !stdout_says.is_empty() && !printed.write(stdout.as_fd()) {
            // Our reader has gone, as a terminal that was closed has.
            printed.0.clear();
            process.signal(Signal::SIGHUP as i32)?;
        }
    }
}

fn unblock(terminal: &File) -> Result<()> {
    fcntl(terminal, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_RDWR))
        .map(drop)
        .map_err(|errno| tell::failed("could not prepare the terminal", &errno.into()))
}

fn signal(process: &Process, signals: &mut Signals, raw: &Raw) -> Result<()> {
    while let Some(signal) = signals.next() {
        match signal {
            Signal::SIGWINCH => process.resize(size())?,
            // Stopped with the terminal as it was found; the shell goes on with that.
            Signal::SIGTSTP => {
                raw.leave();
                raise(Signal::SIGSTOP).map_err(|errno| tell::failed("could not stop", &errno.into()))?;
            }
            Signal::SIGCONT => {
                raw.again().map_err(|errno| tell::failed("could not set the terminal", &errno.into()))?;
                process.resize(size())?;
            }
            signal if Signals::is_forwarded(signal) => signals.pass_on(process, signal)?,
            // One that would have ended this command: it ends the payload, and this command in its time.
            _ => process.cancel()?,
        }
    }
    Ok(())
}
