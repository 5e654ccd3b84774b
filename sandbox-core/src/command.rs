//! Owns: one payload as described: program, arguments, environment, streams, and what differs from the sandbox's defaults.
//! Must not: know how it is carried out.
//! Start at: [`Command`].

mod call;
mod options;
mod start;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cancel::Canceller;
use crate::config::{IntoBytes, IntoDuration};
use crate::error::{Problems, Result, Stage};
use crate::kept::KeptRoot;
use crate::launch::Live;
use crate::outcome::Outcome;
use crate::plan::Fault;
use crate::process::{Process, Stdio, TerminalSize};
use crate::sandbox::Sandbox;
use crate::{Error, ErrorKind, sys};

use options::above_zero;
pub(crate) use start::joined_namespaces;

/// A payload to start, like [`std::process::Command`].
#[derive(Debug)]
#[must_use = "a command does nothing until `output`, `status` or `spawn`"]
pub struct Command {
    sandbox: Sandbox,
    /// Where it runs; None: in a fresh sandbox.
    session: Option<Arc<Live>>,
    argv: Vec<OsString>,
    env: BTreeMap<OsString, Option<OsString>>,
    env_clear: bool,
    cwd: Option<PathBuf>,
    user: Option<(u32, u32)>,
    umask: Option<u32>,
    nice: Option<i32>,
    rlimits: Vec<(String, u64)>,
    timeout: Option<Duration>,
    cpu_time: Option<Duration>,
    output: Option<u64>,
    streams: [Option<Stdio>; 3],
    fds: BTreeMap<String, OwnedFd>,
    terminal: Option<TerminalSize>,
    cancel: Option<Canceller>,
    keep_root: bool,
    problems: Problems,
    fault: Option<Fault>,
    host_fault: Option<Fault>,
}

/// Who waits for the end: an event loop of the caller's needs a doorbell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    ByUs,
    ByCaller,
}

/// What `output`, `status` and `spawn` connect where nothing was said.
#[derive(Clone, Copy)]
pub(crate) enum Defaults {
    Captured,
    Inherited,
}

impl Command {
    pub(crate) fn new(sandbox: Sandbox, program: &OsStr) -> Self {
        Self {
            sandbox,
            session: None,
            argv: vec![program.to_owned()],
            env: BTreeMap::new(),
            env_clear: false,
            cwd: None,
            user: None,
            umask: None,
            nice: None,
            rlimits: Vec::new(),
            timeout: None,
            cpu_time: None,
            output: None,
            streams: [None, None, None],
            fds: BTreeMap::new(),
            terminal: None,
            cancel: None,
            keep_root: false,
            problems: Problems::new(Stage::Validate),
            fault: None,
            host_fault: None,
        }
    }

    /// A payload for a session.
    pub(crate) fn within(sandbox: Sandbox, session: Arc<Live>, program: &OsStr) -> Self {
        Self { session: Some(session), ..Self::new(sandbox, program) }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.argv.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.argv.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable, over the sandbox's.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self
    }

    /// Sets several variables.
    pub fn envs(mut self, variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>) -> Self {
        let variables =
            variables.into_iter().map(|(name, value)| (name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self.env.extend(variables);
        self
    }

    /// Removes a variable of the sandbox's.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.as_ref().to_owned(), None);
        self
    }

    /// Starts from no variables at all, not even PATH.
    pub fn env_clear(mut self) -> Self {
        self.env_clear = true;
        self.env.clear();
        self
    }

    /// The working directory inside. It must be there.
    pub fn cwd(mut self, directory: impl AsRef<Path>) -> Self {
        self.cwd = Some(directory.as_ref().to_owned());
        self
    }

    /// The ids inside. They must be mapped.
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some((uid, gid));
        self
    }

    /// The file mode creation mask, at most 0o777.
    pub fn umask(mut self, mask: u32) -> Self {
        self.umask = Some(mask);
        self
    }

    /// The nice value, -20 to 19. Below 0 only for privileged hosts.
    pub fn nice(mut self, value: i32) -> Self {
        self.nice = Some(value);
        self
    }

    /// Lowers a resource limit (`nofile`, `fsize`, ..; getrlimit(2)), the soft and the hard one. Higher than the sandbox's, or where that
    /// has none than this process's soft one, it stays there: a call can't have more than its sandbox.
    pub fn rlimit(mut self, name: impl Into<String>, value: u64) -> Self {
        self.rlimits.push((name.into(), value));
        self
    }

    /// Bounds the whole call, counted from its start; the lower of this and `limits.wall_time` counts.
    pub fn timeout(mut self, timeout: impl IntoDuration) -> Self {
        match above_zero(&timeout.into_duration()) {
            Ok(timeout) => self.timeout = Some(timeout),
            Err(message) => self.problems.add("timeout", message),
        }
        self
    }

    /// Bounds the CPU time of the payload and all its descendants; the lower of this and `limits.cpu_time` counts.
    ///
    /// In a session the payload gets a group of its own for that, below the session's. A session that is in no group
    /// (`limits.payload_groups` makes one) has only RLIMIT_CPU per process for it, where `compat.prefer` has
    /// `limits.cpu_time`; else the call is refused. `limits.cpu_time` bounds the whole session.
    pub fn cpu_time(mut self, time: impl IntoDuration) -> Self {
        match above_zero(&time.into_duration()) {
            Ok(time) => self.cpu_time = Some(time),
            Err(message) => self.problems.add("cpu_time", message),
        }
        self
    }

    /// A terminal of the sandbox's own as standard input, output and error, and as the payload's controlling terminal, over
    /// what `process.terminal` says. [`Process::take_terminal`] gives the other end; `output` and `wait` read what nobody takes.
    /// `TERM` is `xterm` unless it was set.
    pub fn terminal(mut self, size: impl Into<TerminalSize>) -> Self {
        self.terminal = Some(size.into());
        self
    }

    /// Lets `canceller` cancel the call at any time, also while the sandbox is being set up.
    pub fn cancelled_by(mut self, canceller: &Canceller) -> Self {
        self.cancel = Some(canceller.clone());
        self
    }

    /// How many bytes of each captured stream are kept.
    pub fn output_limit(mut self, bytes: impl IntoBytes) -> Self {
        match bytes.into_bytes().get() {
            Ok(bytes) => self.output = Some(bytes),
            Err(error) => self.problems.add("output", error.to_string()),
        }
        self
    }

    /// Standard input. Default: null.
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Self {
        self.streams[0] = Some(stdio.into());
        self
    }

    /// Standard output. Default: captured by `output`, inherited by `status` and `spawn`.
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Self {
        self.streams[1] = Some(stdio.into());
        self
    }

    /// Standard error. Default: as for standard output.
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Self {
        self.streams[2] = Some(stdio.into());
        self
    }

    /// These bytes as standard input.
    pub fn input(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin(Stdio::Bytes(bytes.into()))
    }

    /// Attaches an open fd to a name of the config: a declared fd, a namespace to join, a bind source. The fd is the
    /// command's from here on; hand in a clone to keep one.
    pub fn fd(mut self, name: impl Into<String>, fd: impl Into<OwnedFd>) -> Self {
        self.fds.insert(name.into(), fd.into());
        self
    }

    /// Attaches a copy of this process's own open fd `number`, for front ends that have fds as numbers (`--fd NAME=N`).
    pub fn fd_number(mut self, name: impl Into<String>, number: i32) -> Self {
        let name = name.into();
        match sys::duplicate(number) {
            Ok(fd) => self.fd(name, fd),
            Err(errno) => {
                self.problems.add(format!("fds.{name}"), format!("cannot use fd {number}: {}", errno.desc()));
                self
            }
        }
    }

    /// Keeps the changed root after the end, for [`Process::take_kept_root`] ([`output_kept`](Self::output_kept) does so by itself; what
    /// returns an outcome alone refuses). Needs an overlay. Default: no.
    pub fn keep_root(mut self, keep: bool) -> Self {
        self.keep_root = keep;
        self
    }

    /// Makes operation `step` of init's part of the plan fail with `errno`, to see what is left behind.
    #[doc(hidden)]
    pub fn fail_step(mut self, step: usize, errno: i32) -> Self {
        self.fault = Some((step, errno));
        self
    }

    /// The same for operation `step` of those that the host carries out: the first
    /// [`step_count`](Self::step_count)`.0 - 1` of the plan. The prepared ones among them run at a sandbox's first starts only.
    #[doc(hidden)]
    pub fn fail_host_step(mut self, step: usize, errno: i32) -> Self {
        self.host_fault = Some((step, errno));
        self
    }

    /// How many operations init carries out: the bound for [`fail_step`](Self::fail_step).
    #[doc(hidden)]
    pub fn step_count(&self) -> Result<(usize, usize)> {
        let plan = self.plan()?;
        Ok((plan.host_count() + 1, plan.step_count()))
    }

    /// Runs it to its end in a fresh sandbox, with standard output and error captured unless they were set.
    ///
    /// # Errors
    /// Nothing ran: see [`ErrorKind`](crate::ErrorKind). A payload that fails is an `Outcome`.
    pub fn output(self) -> Result<Outcome> {
        self.without_root().start(Defaults::Captured, Watched::ByUs)?.into_outcome()
    }

    /// As [`output`](Self::output), and hands over the changed root, kept. An [`Outcome`] is plain data; a [`KeptRoot`]
    /// holds the changes until it is closed.
    ///
    /// # Errors
    /// As [`output`](Self::output); kind `config` where the sandbox has no overlay.
    pub fn output_kept(self) -> Result<(Outcome, KeptRoot)> {
        let process = self.keep_root(true).start(Defaults::Captured, Watched::ByUs)?;
        let outcome = process.wait()?;
        let kept = process
            .take_kept_root()
            .ok_or_else(|| Error::new(ErrorKind::Lost, Stage::Supervise, "the changed root was not handed over"))?;
        Ok((outcome, kept))
    }

    /// What returns an outcome alone has nobody to give a kept root to.
    pub(crate) fn without_root(mut self) -> Self {
        if self.keep_root && self.session.is_none() {
            self.problems.add_with_hint(
                "keep_root",
                "nobody would have the root",
                "use output_kept, or spawn and take_kept_root",
            );
        }
        self
    }

    /// Runs it to its end in a fresh sandbox, with standard output and error inherited unless they were set.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    pub fn status(self) -> Result<Outcome> {
        self.without_root().start(Defaults::Inherited, Watched::ByUs)?.into_outcome()
    }

    /// Starts it in a fresh sandbox, with standard output and error inherited unless they were set. Returns when the
    /// program was executed.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    pub fn spawn(self) -> Result<Process> {
        self.start(Defaults::Inherited, Watched::ByCaller)
    }

    /// With something that cancels it: its own, unless the caller gave one.
    #[cfg(feature = "tokio")]
    pub(crate) fn cancellable(mut self) -> Result<(Self, Canceller)> {
        let canceller = match &self.cancel {
            // The caller's own is not ours to use; whoever drops the future drops the process.
            Some(_) => Canceller::new()?,
            None => self.cancel.insert(Canceller::new()?).clone(),
        };
        Ok((self, canceller))
    }
}
