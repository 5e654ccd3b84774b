//! Owns: the same calls as futures of tokio (feature `tokio`).  Must not: do anything that the blocking calls do not.
//! Start at: [`AsyncProcess`].

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::task::{spawn_blocking, yield_now};

use crate::cancel::Canceller;
use crate::command::{Command, Defaults, Watched};
use crate::outcome::Outcome;
use crate::process::Process;
use crate::{Error, ErrorKind, Result, Sandbox, Session, Stage};

/// A payload that was started by [`Command::spawn_async`]. Dropping it kills its tree.
#[derive(Debug)]
#[must_use = "dropping an AsyncProcess kills it"]
pub struct AsyncProcess {
    process: Process,
}

/// Cancels what is being started when nobody waits for it any more.
struct Abandoned(Option<Canceller>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(canceller) = &self.0 {
            canceller.cancel();
        }
    }
}

impl Command {
    /// [`output`](Self::output), as a future. Dropping it kills the payload's tree, also while the sandbox is set up.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled, as everything of tokio's.
    pub async fn output_async(self) -> Result<Outcome> {
        self.start_async(Defaults::Captured).await?.wait().await
    }

    /// [`status`](Self::status), as a future. Dropping it kills the payload's tree, also while the sandbox is set up.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn status_async(self) -> Result<Outcome> {
        self.start_async(Defaults::Inherited).await?.wait().await
    }

    /// [`spawn`](Self::spawn), as a future. Dropping it before it is ready cancels the set-up.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub async fn spawn_async(self) -> Result<AsyncProcess> {
        self.start_async(Defaults::Inherited).await
    }

    async fn start_async(self, defaults: Defaults) -> Result<AsyncProcess> {
        let (command, canceller) = self.cancellable()?;
        let mut abandoned = Abandoned(Some(canceller));
        // A set-up takes about a millisecond of waiting for the kernel: not for a thread that others need.
        let started = spawn_blocking(move || command.start(defaults, Watched::ByCaller)).await;
        abandoned.0 = None;
        let process = started.map_err(|error| failed("the start was interrupted", &error))??;
        Ok(AsyncProcess { process })
    }
}

impl Sandbox {
    /// [`open`](Self::open), as a future.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_async(&self) -> Result<Session> {
        let sandbox = self.clone();
        spawn_blocking(move || sandbox.open()).await.map_err(|error| failed("the start was interrupted", &error))?
    }
}

impl AsyncProcess {
    /// Waits for the end of the payload. Pipes that nobody took are drained into the outcome, bounded by `limits.output`;
    /// an untaken standard input is closed. Dropping this future stops the waiting and nothing else; dropping the process kills.
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub async fn wait(&self) -> Result<Outcome> {
        drop(self.process.take_stdin());
        let watch = crate::sys::watched(self.process.watch()?)
            .map_err(|error| failed("could not watch the payload", &error))?;
        loop {
            if let Some(outcome) = self.process.drain()? {
                return Ok(outcome);
            }
            // `drain` takes a piece at a time, and tokio tells only of what is new.
            if is_ready(watch.get_ref()) {
                yield_now().await;
                continue;
            }
            let mut ready = watch.readable().await.map_err(|error| failed("could not wait for the payload", &error))?;
            ready.clear_ready();
        }
    }

    /// The writing end of a piped standard input.
    ///
    /// # Errors
    /// Kind `setup`: tokio can't watch it.
    pub fn take_stdin(&self) -> Result<Option<Sender>> {
        let pipe = self.process.take_stdin().map(OwnedFd::from);
        pipe.map(|pipe| unblocked(pipe).and_then(Sender::from_owned_fd))
            .transpose()
            .map_err(|error| failed("could not watch standard input", &error))
    }

    /// The reading end of a piped standard output.
    ///
    /// # Errors
    /// Kind `setup`: tokio can't watch it.
    pub fn take_stdout(&self) -> Result<Option<Receiver>> {
        reader(self.process.take_stdout().map(OwnedFd::from))
    }

    /// The reading end of a piped standard error.
    ///
    /// # Errors
    /// Kind `setup`: tokio can't watch it.
    pub fn take_stderr(&self) -> Result<Option<Receiver>> {
        reader(self.process.take_stderr().map(OwnedFd::from))
    }

    /// What does not wait: `kill`, `cancel`, `signal`, `resize`, `try_wait`.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// The payload's pidfd.
impl AsFd for AsyncProcess {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

fn reader(pipe: Option<OwnedFd>) -> Result<Option<Receiver>> {
    pipe.map(|pipe| unblocked(pipe).and_then(Receiver::from_owned_fd))
        .transpose()
        .map_err(|error| failed("could not watch an output", &error))
}

fn unblocked(pipe: OwnedFd) -> std::io::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(&pipe, FcntlArg::F_GETFL)?);
    fcntl(&pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(pipe)
}

fn is_ready(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

fn failed(what: &str, error: &dyn std::error::Error) -> Error {
    Error::new(ErrorKind::Setup, Stage::Supervise, format!("{what}: {error}"))
}
