//! Owns: starting a command: its plan, its streams, in a fresh sandbox or in a session.
//! Must not: know what a caller may say (call.rs), or how a plan is carried out (launch).
//! Start at: [`Command::start`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::kept::{self, WrittenRoot};
use crate::launch::{Run, Start, Unproven, explain, launch};
use crate::plan::{Handed, Plan, compile_base, compile_payload, joined_name};
use crate::process::{Limits, Opened, Process, Root, Stdio, Streams, open};
use crate::rootfs::facts::{self, Facts};
use crate::sandbox::{Attached, Sandbox};
use crate::settle::Group;
use crate::spec::{BindSource, JoinTarget, MountKind, Namespace, Overflow, Spec};
use crate::{Error, Result, fds, sys, trace};

use super::{Command, Defaults, Watched};

impl Command {
    pub(crate) fn start(self, defaults: Defaults, watched: Watched) -> Result<Process> {
        let in_session = self.session.is_some();
        let locations = self.sandbox.0.config.locations.clone();
        let process =
            self.begin(defaults, watched).map_err(|error| locations.place(error)).inspect_err(trace::failed)?;
        if process.was_executed() {
            trace::started(in_session);
        }
        Ok(process)
    }

    fn begin(mut self, defaults: Defaults, watched: Watched) -> Result<Process> {
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
        let end_only = watched == Watched::ByUs && self.waits_for_the_end_alone(&plan, deadline);
        let unproven = end_only.then(|| {
            let (sandbox, plan) = (Arc::clone(&sandbox), Arc::clone(&plan));
            let explain = move |failure| sandbox.config.locations.place(explain(&sandbox.settled, &plan, failure));
            Unproven { deadline, explain: Box::new(explain) }
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

    /// Who waits for the end anyway is not woken for the exec.
    fn waits_for_the_end_alone(&self, plan: &Plan, deadline: Option<u64>) -> bool {
        if self.session.is_some() {
            return !plan.hands(Handed::Terminal);
        }
        // Not where somebody may have to be told that it never came to the exec: with a deadline, or something that
        // cancels. Init proves what it is by asking. In a new time namespace the exec would be told by another clock.
        let spec = &self.sandbox.0.settled.spec;
        let waits = deadline.is_none() && self.cancel.is_none();
        let same_clock = spec.namespaces.time != Namespace::New;
        waits && same_clock && spec.process.init && plan.asks() && !plan.hands_anything()
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
    pub(super) fn is_grouped(&self) -> bool {
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
