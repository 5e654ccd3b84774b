//! Owns: the group of one start: making it, handing its files to init, its part in a set-up that failed.
//! Must not: decide where it is made or what it limits (settle), or how (cgroup).

use std::io;
use std::os::fd::OwnedFd;

use super::Start;
use crate::cgroup::Leaf;
use crate::error::{HintContext, hint_for};
use crate::plan::{CPU_TIME, Ends, GROUP, GROUP_KILL, THAW, tasks_name};
use crate::{Error, Result};

impl Start<'_> {
    /// Make the group and attach its files under the names that the plan has for them.
    pub(super) fn group(&mut self) -> Result<Option<Leaf>> {
        let Some(group) = &self.settled.group else { return Ok(None) };
        let base = &self.plan.base;
        let spare = self.kept.spare(group);
        let leaf = Leaf::create(group, u64::from(!base.payload_is_pid1), spare).map_err(|error| self.advise(error))?;
        let mut files: Vec<(String, io::Result<OwnedFd>)> = Vec::new();
        files.extend(leaf.tasks().map(|(controllers, fd)| (tasks_name(controllers), fd)));
        files.extend(leaf.birthplace().map(|fd| (GROUP.to_owned(), fd)));
        if !base.own_pid_namespace {
            files.push((GROUP_KILL.to_owned(), leaf.killer()));
        }
        if group.cpu_time.is_some() {
            files.push((CPU_TIME.to_owned(), leaf.cpu_clock()));
        }
        files.extend(leaf.thawer().map(|fd| (THAW.to_owned(), fd)));
        for (name, fd) in files {
            let fd = fd.map_err(|error| {
                Error::launch(format!("could not open the {name}"), error.raw_os_error().unwrap_or(libc::EIO))
                    .with_origin("limits")
            })?;
            self.passed.insert(name, fd);
        }
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
        let group = self.settled.group.as_ref();
        let cpu_limit =
            group.and_then(|group| group.cpu_time).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        Ends {
            deadline: self.deadline.unwrap_or(0),
            cpu_limit,
            cpu_unit: group.map_or(0, |group| group.cpu_unit()),
            cpu_width: self.settled.host.cpus.into(),
        }
    }
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
