//! Owns: standard output and error where they are limited: copied through pipes, counted, cut.
//! Must not: block; the one loop in `run` waits.
//! Start at: [`Relay`].

use std::io::PipeReader;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::PollFlags;
use pinfold::{Command, Error, ErrorKind, Overflow, Process, Result, SandboxConfig, Stdio};

/// As much as a pipe that is ready takes without blocking (pipe(7), PIPE_BUF).
const CHUNK: usize = 4096;

/// Both streams. Without `limits.output` there are none: then the payload writes to our own.
#[derive(Debug, Default)]
pub struct Relay {
    streams: Vec<Stream>,
    kills: bool,
}

/// From the payload's pipe to our own stream.
#[derive(Debug)]
struct Stream {
    from: Option<PipeReader>,
    to: Standard,
    /// Bytes that may still come.
    left: u64,
    pending: Vec<u8>,
    truncated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    Output,
    Error,
}

/// What is limited at all, and how.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    bytes: u64,
    kills: bool,
}

impl Limit {
    /// The limit that a config asks for. The default of 16 MiB is for what is kept in memory: here nothing is.
    pub fn of(config: &SandboxConfig) -> Result<Option<Self>> {
        const DEFAULT: u64 = 16 << 20;
        let kills = config.limits.overflow == Some(Overflow::Kill);
        let bytes = match &config.limits.output {
            Some(bytes) => {
                bytes.get().map_err(|error| Error::of_front_end(ErrorKind::Config, error.to_string(), None, None))?
            }
            None if kills => DEFAULT,
            None => return Ok(None),
        };
        Ok(Some(Self { bytes, kills }))
    }

    pub fn apply(limit: Option<Self>, command: Command) -> Command {
        match limit {
            Some(_) => command.stdout(Stdio::Piped).stderr(Stdio::Piped),
            None => command.stdout(Stdio::Inherit).stderr(Stdio::Inherit),
        }
    }
}

impl Relay {
    pub fn new(limit: Option<Limit>, process: &Process) -> Self {
        let Some(limit) = limit else { return Self::default() };
        let stream = |from, to| Stream { from, to, left: limit.bytes, pending: Vec::new(), truncated: false };
        let streams =
            vec![stream(process.take_stdout(), Standard::Output), stream(process.take_stderr(), Standard::Error)];
        Self { streams, kills: limit.kills }
    }

    /// What to wait for, with the stream that it is about.
    pub fn awaited(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>, PollFlags)> {
        let streams = self.streams.iter().enumerate();
        streams.filter_map(|(index, stream)| stream.awaited().map(|(fd, events)| (index, fd, events)))
    }

    /// One read or one write of a stream that is ready. True: the payload has written more than it may, and must go.
    pub fn step(&mut self, index: usize) -> bool {
        let Some(stream) = self.streams.get_mut(index) else { return false };
        let before = stream.truncated;
        stream.step();
        self.kills && stream.truncated && !before
    }

    /// Whether everything was read and written.
    pub fn is_done(&self) -> bool {
        self.streams.iter().all(|stream| stream.awaited().is_none())
    }

    /// Whether somebody still has to read what was read.
    pub fn is_pending(&self) -> bool {
        self.streams.iter().any(|stream| !stream.pending.is_empty())
    }

    pub fn truncated(&self, standard: Standard) -> bool {
        self.streams.iter().any(|stream| stream.to == standard && stream.truncated)
    }
}

impl Stream {
    fn awaited(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.from {
            _ if !self.pending.is_empty() => Some((self.to.fd(), PollFlags::POLLOUT)),
            Some(from) => Some((from.as_fd(), PollFlags::POLLIN)),
            None => None,
        }
    }

    fn step(&mut self) {
        if self.pending.is_empty() { self.read() } else { self.write() }
    }

    fn read(&mut self) {
        let Some(from) = &self.from else { return };
        let mut chunk = [0; 64 << 10];
        match nix::unistd::read(from, &mut chunk) {
            Ok(0) => self.from = None,
            Ok(got) => {
                let room = usize::try_from(self.left).unwrap_or(usize::MAX);
                let kept = got.min(room);
                self.truncated |= got > room;
                self.left -= kept as u64;
                self.pending.extend_from_slice(chunk.get(..kept).unwrap_or_default());
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            // A pipe does not fail otherwise; whatever it was, there is nothing more to read.
            Err(_) => self.from = None,
        }
    }

    fn write(&mut self) {
        let chunk = self.pending.get(..CHUNK).unwrap_or(&self.pending);
        match nix::unistd::write(self.to.fd(), chunk) {
            Ok(written) => drop(self.pending.drain(..written)),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            // Our reader has gone: closing the pipe tells the payload, as SIGPIPE would have without us.
            Err(_) => {
                self.pending.clear();
                self.from = None;
            }
        }
    }
}

impl Standard {
    fn fd(self) -> BorrowedFd<'static> {
        // The handles of std live as long as the process.
        match self {
            Self::Output => STDOUT.get_or_init(std::io::stdout).as_fd(),
            Self::Error => STDERR.get_or_init(std::io::stderr).as_fd(),
        }
    }
}

static STDOUT: std::sync::OnceLock<std::io::Stdout> = std::sync::OnceLock::new();
static STDERR: std::sync::OnceLock<std::io::Stderr> = std::sync::OnceLock::new();
