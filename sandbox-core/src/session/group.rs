//! Owns: what can be asked of and done to the group of a session: usage, freeze, thaw, update.
//! Must not: know how a group works (cgroup).

use std::sync::Arc;

use crate::Result;
use crate::cgroup::{Leaf, changeable, no_group};
use crate::config::LimitsConfig;
use crate::outcome::Usage;

use super::Session;

impl Session {
    /// What everything inside has used until now, all payloads together, from the counters of its group.
    ///
    /// # Errors
    /// Kind `closed`; `unsupported` where the session is in no group.
    pub fn usage(&self) -> Result<Usage> {
        Ok(self.leaf("usage")?.usage())
    }

    /// Stops every process inside until [`thaw`](Self::thaw), and returns when all have stopped. Starting a payload meanwhile is
    /// an error of kind `setup`; signals arrive after it.
    ///
    /// Deadlines run on, and killing works. Both need what is inside, so that they thaw the session, which *stays thawed, with all
    /// that is left in it*: the first deadline of a payload that runs, the end of one by [`kill`](crate::Process::kill),
    /// `cancel`, too much output, SIGKILL or dropping its [`Process`](crate::Process), and [`kill_all`](Self::kill_all).
    /// What was told to end before is waited for, at most a second. Closing thaws nothing.
    ///
    /// # Errors
    /// Kind `closed`; `unsupported` where the session is in no group; `setup` when a process did not stop within five seconds.
    pub fn freeze(&self) -> Result<()> {
        self.live.freeze(&self.leaf("freeze")?)
    }

    /// Lets every process go on. One that is not frozen is no error.
    ///
    /// # Errors
    /// Kind `closed`; `unsupported` where the session is in no group.
    pub fn thaw(&self) -> Result<()> {
        self.live.thaw(&*self.leaf("thaw")?)
    }

    /// Changes limits; what `limits` does not give stays as it is. See [`Process::update`](crate::Process::update).
    ///
    /// # Errors
    /// As there, and kind `closed`.
    pub fn update(&self, limits: &LimitsConfig) -> Result<()> {
        self.leaf("update")?.update(&changeable(limits)?)
    }

    fn leaf(&self, verb: &'static str) -> Result<Arc<Leaf>> {
        if self.live.is_closed() {
            return Err(self.live.gone());
        }
        self.live.group().ok_or_else(|| no_group(verb))
    }
}
