//! Owns: what can be asked of and done to a running payload's group: usage, samples, freeze, thaw, update.
//! Must not: know how a group works (cgroup), or decide why a payload ended.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};

use super::Process;
use crate::cgroup::{Leaf, Sample, changeable, no_group};
use crate::config::LimitsConfig;
use crate::launch::{Home, wait};
use crate::outcome::Usage;
use crate::{Error, Result, sys};

impl Process {
    /// What the payload and its descendants have used until now. With a group of its own (any limit that needs one) the
    /// numbers are the kernel's counters for the whole tree; without one, as in a session without `limits.payload_groups`, they
    /// are those of the payload's own process and of the children it has waited for (proc_pid_stat(5)), and after the end those of the outcome.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), once the payload has ended.
    pub fn usage(&self) -> Result<Usage> {
        if let Some(outcome) = &*self.outcome() {
            return Ok(outcome.usage().clone());
        }
        if let Some(leaf) = self.own_leaf() {
            return Ok(leaf.usage());
        }
        match self.id().and_then(|pid| of_process(pid).filter(|_| self.id() == Some(pid))) {
            Some(usage) => Ok(usage),
            None => self.wait().map(|outcome| outcome.usage().clone()),
        }
    }

    /// What is used now; `None` when the payload has ended.
    ///
    /// # Errors
    /// As [`samples`](Self::samples).
    pub fn sample(&self) -> Result<Option<Sample>> {
        Ok(self.samples(Duration::ZERO)?.next())
    }

    /// What is used, every `interval` (at least a millisecond) until the payload has ended, beginning now. Each `next` waits;
    /// there is no thread behind it.
    ///
    /// # Errors
    /// Kind `unsupported` where the sandbox is in no group: what it uses at one moment can't be told then.
    pub fn samples(&self, interval: Duration) -> Result<Samples<'_>> {
        let leaf = self.leaf("samples")?;
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1_000_000);
        Ok(Samples { process: self, leaf, interval, next: 0 })
    }

    /// Stops every process of the sandbox until [`thaw`](Self::thaw), and returns when all have stopped. Deadlines run
    /// on, and [`kill`](Self::kill) works.
    ///
    /// # Errors
    /// Kind `unsupported` where the sandbox is in no group; `setup` when a process did not stop within five seconds.
    pub fn freeze(&self) -> Result<()> {
        self.leaf("freeze")?.freeze()
    }

    /// Lets every process go on. One that is not frozen is no error.
    ///
    /// # Errors
    /// Kind `unsupported` where the sandbox is in no group.
    pub fn thaw(&self) -> Result<()> {
        self.leaf("thaw")?.thaw()
    }

    /// Changes limits while the payload runs; what `limits` does not give stays as it is. Possible are `memory`,
    /// `memory_high`, `swap`, `pids`, `cpus`, `cpu_weight`, `cpuset`, `io_weight`, `io` and `hugepages`.
    ///
    /// # Errors
    /// Kind `config` for a value that can't be, or a key that can't be changed; `unsupported` for a limit whose controller
    /// the sandbox's group does not have; `setup` when the kernel refuses, such as less memory than is in use.
    pub fn update(&self, limits: &LimitsConfig) -> Result<()> {
        self.leaf("update")?.update(&changeable(limits)?)
    }

    fn leaf(&self, verb: &'static str) -> Result<&Leaf> {
        self.own_leaf().ok_or_else(|| match &self.running.home {
            Home::Sandbox(_) => no_group(verb),
            Home::Session(_) => Error::unsupported(verb, "the group of a session is that of all its payloads")
                .with_hint("ask the session itself, or open it with limits.payload_groups = true"),
        })
    }

    /// The group, if this payload has it for itself.
    fn own_leaf(&self) -> Option<&Leaf> {
        match &self.running.home {
            Home::Sandbox(held) => held.group.as_deref(),
            Home::Session(_) => self.running.group.as_ref(),
        }
    }

    /// What the group says beside what was reaped.
    pub(super) fn group_usage(&self) -> Usage {
        let usage = self.own_leaf().map(Leaf::usage).unwrap_or_default();
        Usage { oom_kills: usage.oom_kills.or_else(|| self.running.oom_kills()), ..usage }
    }
}

/// What a payload uses, again and again. Made by [`Process::samples`].
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is asked"]
pub struct Samples<'a> {
    process: &'a Process,
    leaf: &'a Leaf,
    interval: u64,
    next: u64,
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let payload = self.process.as_fd();
        // ETIMEDOUT: it runs on.
        if wait(&mut [PollFd::new(payload, PollFlags::POLLIN)], Some(self.next)) != Err(nix::errno::Errno::ETIMEDOUT) {
            return None;
        }
        let now = sys::monotonic();
        self.next = now.saturating_add(self.interval);
        Some(self.leaf.sample(Duration::from_nanos(now.saturating_sub(self.process.running.executed.unwrap_or(now)))))
    }
}

/// Of one process, from /proc.
fn of_process(pid: u32) -> Option<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
    Usage::from_proc(&stat, &status, u64::try_from(ticks).ok()?)
}
