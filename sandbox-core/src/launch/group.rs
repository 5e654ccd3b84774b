//! Owns: the group of one start: making it, handing its files to init, its part in a set-up that failed.
//! Must not: decide where it is made or what it limits (settle), or how (cgroup).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::scope::Scope;
use super::{Run, Start};
use crate::cgroup::Leaf;
use crate::error::{HintContext, hint_for};
use crate::plan::{AGENT, CPU_TIME, Ends, GROUP, GROUP_KILL, THAW, tasks_name};
use crate::settle::{Group, Settled};
use crate::{Error, Result};

impl Start<'_> {
    /// Make the group and attach its files under the names that the plan has for them.
    pub(super) fn group(&mut self, scope: Option<&Scope>) -> Result<Option<Leaf>> {
        let Some(group) = &self.settled.group else { return Ok(None) };
        let base = &self.plan.base;
        let within = scope.map(|scope| group.within(scope.path()));
        let group = within.as_ref().unwrap_or(group);
        let ours = u64::from(!base.payload_is_pid1);
        let spare = self.kept.spare(group, ours);
        let sampled = self.doorbell || self.passed.contains_key(AGENT);
        let leaf = Leaf::create(group, ours, spare, sampled).map_err(|error| self.advise(error))?;
        let mut files = Files::new();
        files.extend(leaf.tasks().map(|(controllers, fd)| (tasks_name(controllers), fd)));
        files.extend(leaf.birthplace().map(|fd| (GROUP.to_owned(), fd)));
        if !base.own_pid_namespace {
            files.push((GROUP_KILL.to_owned(), leaf.killer()));
        }
        if group.cpu_time.is_some() {
            files.push((CPU_TIME.to_owned(), leaf.cpu_clock()));
        }
        files.extend(leaf.thawer().map(|fd| (THAW.to_owned(), fd)));
        attach(files, &mut self.passed)?;
        Ok(Some(leaf))
    }

    fn advise(&self, error: Error) -> Error {
        if error.hint().is_some() {
            return error;
        }
        let errno = error.errno().unwrap_or_default();
        match hint_for(&HintContext { operation: "create cgroup", errno, host: &self.settled.host }) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// What the keeper is to watch.
    pub(super) fn ends(&self) -> Ends {
        ends(self.settled, self.deadline, self.settled.group.as_ref().and_then(|group| group.cpu_time))
    }
}

/// What a supervisor watches: a deadline by its own clock, and CPU time.
pub(super) fn ends(settled: &Settled, deadline: Option<u64>, cpu_time: Option<Duration>) -> Ends {
    Ends {
        deadline: deadline.unwrap_or(0),
        cpu_limit: cpu_time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
        cpu_unit: settled.group.as_ref().map_or(0, Group::cpu_unit),
        cpu_width: settled.host.cpus.into(),
    }
}

/// A group for one payload below that of its session, and its files under the names that the plan has for them.
pub(super) fn of_payload(session: &Arc<Leaf>, run: &mut Run<'_>) -> Result<Leaf> {
    let leaf = session.for_payload()?;
    let mut files = Files::new();
    files.extend(leaf.tasks().map(|(controllers, fd)| (tasks_name(controllers), fd)));
    files.extend(leaf.threads().map(|fd| (GROUP.to_owned(), fd)));
    if run.cpu_time.is_some() {
        files.push((CPU_TIME.to_owned(), leaf.cpu_clock()));
    }
    run.names.extend(files.iter().map(|(name, _)| name.clone()));
    attach(files, &mut run.passed)?;
    Ok(leaf)
}

type Files = Vec<(String, io::Result<OwnedFd>)>;

fn attach(files: Files, passed: &mut BTreeMap<String, OwnedFd>) -> Result<()> {
    for (name, fd) in files {
        let fd = fd.map_err(|error| {
            Error::launch(format!("could not open the {name}"), error.raw_os_error().unwrap_or(libc::EIO))
                .with_origin("limits")
        })?;
        passed.insert(name, fd);
    }
    Ok(())
}

/// A set-up that was killed because the memory limit is too small for it says so.
pub(super) fn blame(error: Error, leaf: Option<&Leaf>) -> Error {
    let usage = leaf.map(Leaf::usage).unwrap_or_default();
    if usage.oom_kills > Some(0) || usage.memory_limit_hits > Some(0) {
        return Error::launch("the set-up needs more memory than the sandbox may use", libc::ENOMEM)
            .with_origin("limits.memory")
            .with_hint("raise limits.memory: a few MiB are needed before the payload's own");
    }
    error
}
