//! Owns: one payload as described: program, arguments, environment, streams, and what differs from the sandbox's defaults.
//! Must not: know how it is carried out.
//! Start at: [`Command`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cancel::Canceller;
use crate::config::{CallOptions, EnvValue, IntoBytes, IntoDuration, TextOrNumber, User};
use crate::error::{Problems, Result, Stage};
use crate::kept::{self, KeptRoot, WrittenRoot};
use crate::launch::{Live, Run, Start, Unproven, explain, launch};
use crate::outcome::Outcome;
use crate::plan::{Call, Fault, Handed, Plan, compile_base, compile_payload, joined_name};
use crate::process::{Limits, Opened, Process, Root, Stdio, Streams, TerminalSize, open};
use crate::rootfs::facts::{self, Facts};
use crate::sandbox::{Attached, Sandbox};
use crate::settle::Group;
use crate::spec::{BindSource, GuestPath, JoinTarget, MountKind, Namespace, Overflow, Rlimit, Spec};
use crate::{Error, ErrorKind, fds, sys};

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

    /// Lowers a resource limit (`nofile`, `fsize`, ..; getrlimit(2)). One that is higher than the sandbox's stays there.
    pub fn rlimit(mut self, name: impl Into<String>, value: u64) -> Self {
        self.rlimits.push((name.into(), value));
        self
    }

    /// Bounds the whole call, counted from its start; the lower of this and `limits.wall_time` counts.
    pub fn timeout(mut self, timeout: impl IntoDuration) -> Self {
        match timeout.into_duration().get() {
            Ok(timeout) => self.timeout = Some(timeout),
            Err(error) => self.problems.add("timeout", error.to_string()),
        }
        self
    }

    /// Bounds the CPU time of the payload and all its descendants; the lower of this and `limits.cpu_time` counts.
    ///
    /// In a session the payload gets a group of its own for that, below the session's. A session that is in no group
    /// (`limits.payload_groups` makes one) has only RLIMIT_CPU per process for it, where `compat.prefer` has
    /// `limits.cpu_time`; else the call is refused. `limits.cpu_time` bounds the whole session.
    pub fn cpu_time(mut self, time: impl IntoDuration) -> Self {
        match time.into_duration().get() {
            Ok(time) if time.is_zero() => self.problems.add("cpu_time", "must be more than 0"),
            Ok(time) => self.cpu_time = Some(time),
            Err(error) => self.problems.add("cpu_time", error.to_string()),
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

    /// All that is in `options`, over what was set before: for front ends that have options as data.
    pub fn options(mut self, options: &CallOptions) -> Self {
        if options.env_clear == Some(true) {
            self = self.env_clear();
        }
        for (name, value) in &options.env {
            self = match value {
                EnvValue::Set(value) => self.env(name, value),
                EnvValue::Unset => self.env_remove(name),
            };
        }
        if let Some(cwd) = &options.cwd {
            self = self.cwd(cwd);
        }
        if let Some(timeout) = &options.timeout {
            self = self.timeout(timeout.clone());
        }
        if let Some(time) = &options.cpu_time {
            self = self.cpu_time(time.clone());
        }
        if let Some(output) = &options.output {
            self = self.output_limit(output.clone());
        }
        if let Some(nice) = options.nice {
            self = self.nice(nice);
        }
        let user = match &options.user {
            Some(TextOrNumber::Number(uid)) => Some(Ok(User::from(*uid))),
            Some(TextOrNumber::Text(text)) => Some(User::try_from(text.as_str())),
            None => None,
        };
        match user {
            Some(Ok(user)) => {
                let gid = user.gid.unwrap_or(self.sandbox.0.settled.spec.identity.gid);
                self = self.user(user.uid, gid);
            }
            Some(Err(error)) => self.problems.add("user", error.to_string()),
            None => {}
        }
        match &options.umask {
            Some(TextOrNumber::Number(mask)) => self = self.umask(*mask),
            Some(TextOrNumber::Text(text)) => match u32::from_str_radix(text, 8) {
                Ok(mask) => self = self.umask(mask),
                Err(_) => self.problems.add("umask", format!("must be octal digits such as \"0022\", got {text:?}")),
            },
            None => {}
        }
        for (name, value) in &options.rlimits {
            match value.get() {
                Ok(value) => self = self.rlimit(name, value),
                Err(error) => self.problems.add(format!("rlimits.{name}"), error.to_string()),
            }
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

    /// Keeps the changed root after the end, for [`output_kept`](Self::output_kept) and
    /// [`Process::take_kept_root`]. Needs an overlay. Default: no.
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
        self.start(Defaults::Captured, Watched::ByUs)?.into_outcome()
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

    /// Runs it to its end in a fresh sandbox, with standard output and error inherited unless they were set.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    pub fn status(self) -> Result<Outcome> {
        self.start(Defaults::Inherited, Watched::ByUs)?.into_outcome()
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

    pub(crate) fn start(mut self, defaults: Defaults, watched: Watched) -> Result<Process> {
        let called = sys::monotonic();
        self.sandbox = self.bounded()?;
        let (grouped, clocked) = (self.is_grouped(), self.is_clocked());
        let own_cpu_time = self.cpu_time.filter(|_| clocked);
        // Of one process each, where no group watches it.
        let cpu_by_rlimit = self.cpu_time.take_if(|_| !clocked).is_some() && self.session.is_some();
        let sandbox = Arc::clone(&self.sandbox.0);
        let plan = Arc::new(self.plan()?);
        let spec = &sandbox.settled.spec;
        let wall_time = match (self.timeout, spec.limits.wall_time) {
            (Some(call), Some(sandbox)) => Some(call.min(sandbox)),
            (call, sandbox) => call.or(sandbox),
        };
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let deadline = wall_time.map(|time| called.saturating_add(nanoseconds(time)).max(1));
        let mut passed =
            if self.session.is_some() { Attached::new() } else { joined_namespaces(&sandbox.settled.spec)? };
        let streams = self.open_streams(defaults, &mut passed)?;
        for (name, fd) in std::mem::take(&mut self.fds) {
            passed.insert(fds::declared(&name), fd);
        }
        let settled = &sandbox.settled;
        let (fault, cancel) = (self.fault, self.cancel.as_ref());
        // Who waits for the end anyway is not woken for the exec.
        let end_only = watched == Watched::ByUs
            && match self.session {
                Some(_) => !plan.hands(Handed::Terminal),
                // Not where somebody may have to be told that it never came to the exec: with a deadline, or something that
                // cancels. Init proves what it is by asking. In a new time namespace the exec would be told by another clock.
                None => {
                    let waits = deadline.is_none() && self.cancel.is_none();
                    let same_clock = spec.namespaces.time != Namespace::New;
                    waits && same_clock && spec.process.init && plan.asks() && !plan.hands_anything()
                }
            };
        let unproven = end_only.then(|| {
            let (sandbox, plan) = (Arc::clone(&sandbox), Arc::clone(&plan));
            Unproven { deadline, explain: Box::new(move |failure| explain(&sandbox.settled, &plan, failure)) }
        });
        let (running, root) = match &self.session {
            Some(session) => {
                let names = fds::Layout::new(&spec.fds).names();
                (
                    session.run(Run {
                        settled,
                        plan: &plan,
                        passed,
                        names,
                        null: sandbox.kept.null.get(),
                        called,
                        deadline,
                        cancel,
                        grouped,
                        cpu_time: own_cpu_time,
                        unproven,
                        fault,
                    })?,
                    None,
                )
            }
            None => {
                let (running, mut handed) = launch(Start {
                    settled,
                    image: &sandbox.image,
                    kept: &sandbox.kept,
                    plan: &plan,
                    doorbell: watched == Watched::ByCaller,
                    passed,
                    called,
                    deadline,
                    cancel,
                    fault,
                    host_fault: self.host_fault,
                    unproven,
                    claims: Vec::new(),
                })?;
                let root = kept::reach(&mut handed, settled, &sandbox.image)
                    .and_then(|reach| WrittenRoot::new(reach, handed, &plan.base.layers, settled));
                (Arc::new(running), root.map(|written| Root { written, keep: self.keep_root }))
            }
        };
        let limits = Limits {
            output: self.output.unwrap_or(spec.limits.output),
            overflow_kills: spec.limits.output_overflow == Overflow::Kill,
            wall_time,
            cpu_time: own_cpu_time.or(spec.limits.cpu_time),
            cpu_by_rlimit: cpu_by_rlimit || sandbox.settled.group.as_ref().is_none_or(|group| group.cpu_time.is_none()),
            memory: spec.limits.memory,
        };
        let mut report = Arc::clone(&sandbox.report);
        if let Some(group) = sandbox.settled.group.as_ref().filter(|_| clocked) {
            let how = if group.unified.is_some() { "cgroup-v2" } else { "cgroup-v1" };
            Arc::make_mut(&mut report).enforced("limits.cpu_time", format!("{how} of the payload, by its shepherd"));
        }
        Ok(Process::new(running, Arc::clone(&sandbox.kept), root, limits, report, streams, self.cancel))
    }

    /// The sandbox, with the CPU time of this call.
    fn bounded(&self) -> Result<Sandbox> {
        match (self.cpu_time, &self.session) {
            (None, _) => Ok(self.sandbox.clone()),
            (Some(time), None) => self.sandbox.with_cpu_time(time),
            (Some(_), Some(_)) if self.is_clocked() => Ok(self.sandbox.clone()),
            (Some(time), Some(_)) => self.sandbox.with_cpu_time_per_process(time),
        }
    }

    /// Whether it gets a group of its own below that of its session.
    fn is_grouped(&self) -> bool {
        let settled = &self.sandbox.0.settled;
        let group = settled.group.as_ref().filter(|_| self.session.is_some());
        group.is_some_and(|group| group.limits.payload_groups) || self.is_clocked()
    }

    /// Whether that group's CPU time is limited.
    fn is_clocked(&self) -> bool {
        let group = self.sandbox.0.settled.group.as_ref().filter(|_| self.session.is_some());
        self.cpu_time.is_some() && group.is_some_and(Group::counts_cpu_time_of_one)
    }

    pub(crate) fn plan(&self) -> Result<Plan> {
        let bounded = self.bounded()?;
        let inner = &bounded.0;
        let payload = compile_payload(&inner.settled, inner.filter.as_ref(), &self.call()?)?;
        let base = match (&self.session, inner.start_base()?) {
            (Some(_), _) => inner.session_base()?,
            (None, Some(base)) => base,
            (None, None) => Arc::new(compile_base(&inner.settled, &self.facts()?, inner.filter.as_ref())?),
        };
        Ok(Plan { base, payload })
    }

    /// The sandbox's facts, with those of the fds that were attached as bind sources.
    fn facts(&self) -> Result<Facts> {
        let mut facts = self.sandbox.0.facts.clone();
        for mount in &self.sandbox.0.settled.spec.mounts {
            let MountKind::Bind { source: BindSource::Fd(name), .. } = &mount.kind else { continue };
            if let Some(fd) = self.fds.get(name) {
                let source = facts::of_fd(fd).map_err(|error| {
                    Error::launch(
                        format!("cannot use the fd {name:?} as a source"),
                        error.raw_os_error().unwrap_or(libc::EBADF),
                    )
                    .with_origin(format!("{}.source", mount.origin))
                })?;
                facts.fds.insert(name.clone(), source);
            }
        }
        Ok(facts)
    }

    /// The call, merged with the sandbox's defaults. Every problem at once.
    fn call(&self) -> Result<Call> {
        let spec = &self.sandbox.0.settled.spec;
        let mut problems = self.problems.clone();
        let cwd = match &self.cwd {
            None => spec.process.cwd.clone(),
            Some(path) => match GuestPath::new(path) {
                Ok(path) => path,
                Err(message) => {
                    problems.add("cwd", message);
                    spec.process.cwd.clone()
                }
            },
        };
        for (index, arg) in self.argv.iter().enumerate() {
            if arg.as_bytes().contains(&0) {
                problems.add(format!("argv[{index}]"), "must not contain a NUL byte");
            }
        }
        let mut rlimits = Vec::new();
        for (name, value) in &self.rlimits {
            match Rlimit::by_name(name) {
                Some(rlimit) => rlimits.push((rlimit, *value)),
                None => problems.add(format!("rlimits.{name}"), "there is no such resource limit (getrlimit(2))"),
            }
        }
        let umask = self.umask.unwrap_or(spec.process.umask);
        if umask > 0o777 {
            problems.add("umask", format!("must be at most 0o777, got {umask:#o}"));
        }
        let nice = self.nice.or(spec.process.nice);
        if let Some(nice) = nice.filter(|nice| !(-20..=19).contains(nice)) {
            problems.add("nice", format!("must be between -20 and 19, got {nice}"));
        }
        let (uid, gid) = self.user.unwrap_or((spec.identity.uid, spec.identity.gid));
        if let (Some(maps), true) = (&self.sandbox.0.settled.maps, self.user.is_some()) {
            for (key, map, id) in [("user.uid", &maps.uid, uid), ("user.gid", &maps.gid, gid)] {
                if crate::idmap::to_outside(map, id).is_none() {
                    problems.add(key, format!("{id} is not mapped in this sandbox"));
                }
            }
        }
        if self.sandbox.0.settled.maps.is_none() && !spec.identity.host_root {
            for (key, id) in [("user.uid", uid), ("user.gid", gid)].into_iter().filter(|(_, id)| *id == 0) {
                problems.add(
                    key,
                    format!("without a user namespace {id} is the host's root; identity.host_root allows it"),
                );
            }
        }
        for name in self.fds.keys().filter(|name| !self.is_declared(name)) {
            problems.add(format!("fds.{name}"), "the config declares no fd, bind source or namespace of this name");
        }
        if self.keep_root && self.session.is_some() {
            problems.add("keep_root", "a session's root stays as long as the session: use its changes and commit");
        } else if self.keep_root && spec.rootfs.overlay.is_none() {
            problems.add("keep_root", "needs a root with a writable layer: rootfs.overlay");
        }
        let env = self.environment(&mut problems);
        let terminal = self.wanted_terminal();
        for (name, stream) in ["stdin", "stdout", "stderr"].into_iter().zip(&self.streams) {
            if terminal.is_some() && stream.is_some() {
                problems.add(name, "is the terminal's: set a stream, or ask for a terminal");
            }
        }
        problems.into_result(Call {
            grouped: self.is_grouped(),
            terminal: terminal.map(|size| (size.columns, size.rows)),
            argv: self.argv.iter().map(|arg| arg.clone().into_vec()).collect(),
            env,
            cwd,
            uid,
            gid,
            groups: spec.identity.groups.clone(),
            umask,
            nice,
            rlimits,
        })
    }

    fn wanted_terminal(&self) -> Option<TerminalSize> {
        let process = &self.sandbox.0.settled.spec.process;
        self.terminal.or_else(|| process.terminal.then(TerminalSize::default))
    }

    /// Whether the config has a use for an fd of this name.
    fn is_declared(&self, name: &str) -> bool {
        let spec = &self.sandbox.0.settled.spec;
        let n = &spec.namespaces;
        let joined = [&n.user, &n.pid, &n.mount, &spec.network, &n.ipc, &n.uts, &n.cgroup, &n.time];
        spec.fds.iter().any(|fd| fd.name == name)
            || joined.iter().any(|mode| matches!(mode, Namespace::Join(JoinTarget::Fd(fd)) if fd == name))
            || spec
                .mounts
                .iter()
                .any(|mount| matches!(&mount.kind, MountKind::Bind { source: BindSource::Fd(fd), .. } if fd == name))
    }

    /// Defaults, then what the config inherits and sets, then the call's.
    fn environment(&self, problems: &mut Problems) -> Vec<(Vec<u8>, Vec<u8>)> {
        let process = &self.sandbox.0.settled.spec.process;
        let mut env: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        if !self.env_clear {
            if !process.env_clear {
                let defaults = [
                    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
                    ("HOME", "/tmp"),
                    ("USER", "sandbox"),
                    ("LANG", "C.UTF-8"),
                ];
                env.extend(defaults.map(|(name, value)| (name.into(), value.into())));
                if self.wanted_terminal().is_some() {
                    env.insert("TERM".into(), "xterm".into());
                }
            }
            let inherited = process
                .inherit_env
                .iter()
                .filter_map(|name| Some((name.as_bytes().to_vec(), std::env::var_os(name)?.into_vec())));
            env.extend(inherited);
            for (name, value) in &process.env {
                match value {
                    Some(value) => env.insert(name.clone(), value.clone()),
                    None => env.remove(name),
                };
            }
        }
        for (name, value) in &self.env {
            let bytes = name.as_bytes();
            if bytes.is_empty() || bytes.contains(&b'=') || bytes.contains(&0) {
                problems.add(
                    format!("env.{}", name.display()),
                    "a variable's name must not be empty and not contain `=` or NUL",
                );
            }
            match value {
                Some(value) if value.as_bytes().contains(&0) => {
                    problems.add(format!("env.{}", name.display()), "must not contain a NUL byte");
                }
                Some(value) => {
                    env.insert(bytes.to_vec(), value.as_bytes().to_vec());
                }
                None => {
                    env.remove(bytes);
                }
            }
        }
        env.into_iter().collect()
    }

    fn open_streams(&mut self, defaults: Defaults, passed: &mut Attached) -> Result<Streams> {
        let mut ours = Streams::default();
        let terminal = self.wanted_terminal().is_some();
        let kept = &self.sandbox.0.kept;
        for (number, stdio) in std::mem::take(&mut self.streams).into_iter().enumerate() {
            let stdio = stdio.unwrap_or(match (number, defaults) {
                (0, _) => Stdio::Null,
                // The terminal is opened inside, and takes their place there.
                _ if terminal => Stdio::Null,
                (_, Defaults::Captured) => Stdio::Piped,
                (_, Defaults::Inherited) => Stdio::Inherit,
            });
            // One /dev/null is enough for all payloads of a sandbox.
            let null = kept.null.get().filter(|_| matches!(stdio, Stdio::Null));
            // In a session they are sent that one itself.
            if null.is_some() && self.session.is_some() {
                continue;
            }
            if let Some(fd) = null.and_then(|fd| fd.try_clone().ok()) {
                passed.insert(fds::standard(number), fd);
                continue;
            }
            let is_null = matches!(stdio, Stdio::Null);
            let stdout = passed.get(&fds::standard(1));
            let fd = match open(stdio, number, stdout)? {
                Opened::Only(fd) => {
                    if is_null && let Ok(copy) = fd.try_clone() {
                        kept.null.get_or_init(|| copy);
                    }
                    fd
                }
                Opened::Write(fd, pipe) => {
                    ours.stdin = Some(pipe);
                    fd
                }
                Opened::Read(fd, pipe) if number == 1 => {
                    ours.stdout = Some(pipe);
                    fd
                }
                Opened::Read(fd, pipe) => {
                    ours.stderr = Some(pipe);
                    fd
                }
            };
            passed.insert(fds::standard(number), fd);
        }
        Ok(ours)
    }
}

/// The joined namespaces that are named by path or pid, opened.
pub(crate) fn joined_namespaces(spec: &Spec) -> Result<Attached> {
    let n = &spec.namespaces;
    let all = [
        ("user", "user", &n.user),
        ("pid", "pid", &n.pid),
        ("mount", "mnt", &n.mount),
        ("network", "net", &spec.network),
        ("ipc", "ipc", &n.ipc),
        ("uts", "uts", &n.uts),
        ("cgroup", "cgroup", &n.cgroup),
        ("time", "time", &n.time),
    ];
    let mut opened = Attached::new();
    for (kind, file, mode) in all {
        let path = match mode {
            Namespace::Join(JoinTarget::Path(path)) => path.clone(),
            Namespace::Join(JoinTarget::Pid(pid)) => PathBuf::from(format!("/proc/{pid}/ns/{file}")),
            _ => continue,
        };
        let fd = std::fs::File::open(&path).map_err(|error| {
            let origin = if kind == "network" { "network.mode".to_owned() } else { format!("namespaces.{kind}") };
            Error::launch(
                format!("cannot open the namespace {}", path.display()),
                error.raw_os_error().unwrap_or(libc::ENOENT),
            )
            .with_origin(origin)
            .with_subject(path.display().to_string())
        })?;
        opened.insert(joined_name(kind), fd.into());
    }
    Ok(opened)
}
