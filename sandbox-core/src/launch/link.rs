//! Owns: what the host and one process of init share: a keeper, or a shepherd that may get one payload after another.
//! Must not: know what is asked, or wait for an answer.

use std::fs::File;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use super::frost::Frost;
use super::{Control, call};
use crate::Result;

/// To one process of init.
#[derive(Debug)]
pub(crate) struct Link {
    pub control: Control,
    /// None: nobody watches it.
    pub doorbell: Option<OwnedFd>,
    /// Where a shepherd reads a plan that is too long for its message.
    plan: Option<File>,
    said: Mutex<Said>,
    /// What a shepherd may be frozen by.
    frost: Option<Arc<Frost>>,
}

#[derive(Debug, Default)]
struct Said {
    /// It was told to end. That may cross the end of its payload; then it ends all the same, and is never free again.
    dismissed: bool,
    /// How many payloads it was given.
    runs: u64,
}

impl Link {
    pub fn to_keeper(control: Control, doorbell: Option<OwnedFd>) -> Self {
        Self { control, doorbell, plan: None, said: Mutex::default(), frost: None }
    }

    pub fn to_shepherd(control: Control, doorbell: OwnedFd, plan: File, frost: Arc<Frost>) -> Self {
        Self { control, doorbell: Some(doorbell), plan: Some(plan), said: Mutex::default(), frost: Some(frost) }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Have it end what runs, and then itself. One that is gone needs no telling; one that is frozen is thawed.
    pub fn send_kill(&self, cause: u32) -> nix::Result<()> {
        {
            // Held until it is sent: a request after this one would be lost with whom it reaches.
            let mut said = self.said();
            said.dismissed = true;
            self.control.send_kill(cause)?;
        }
        self.thaw()
    }

    /// See to it that it can carry out an end.
    pub fn thaw(&self) -> nix::Result<()> {
        self.frost.as_ref().map_or(Ok(()), |frost| frost.thaw_for_an_end())
    }

    /// Have a shepherd send a signal to its payload, unless that is no longer its `run`th.
    pub fn send_signal(&self, run: u64, signal: i32) -> nix::Result<()> {
        if self.plan.is_none() {
            return Err(Errno::EBADF);
        }
        let said = self.said();
        if said.dismissed || said.runs != run { Ok(()) } else { self.control.send_signal(signal) }
    }

    /// How many payloads it was given.
    pub fn runs(&self) -> u64 {
        self.said().runs
    }

    pub fn is_dismissed(&self) -> bool {
        self.said().dismissed
    }

    /// Ask a shepherd to start a payload. False: it is gone, or about to go.
    pub fn send_run(&self, plan: &[u8], fds: &[RawFd]) -> Result<bool> {
        let Some(file) = &self.plan else { return Ok(false) };
        let mut said = self.said();
        if said.dismissed {
            return Ok(false);
        }
        match self.control.send_run(plan, file, fds) {
            Ok(()) => {
                said.runs += 1;
                Ok(true)
            }
            Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(false),
            Err(errno) => Err(call("send a plan to the session")(errno)),
        }
    }

    /// Take what the doorbell has rung.
    pub fn hush(&self) {
        let mut bytes = [0; 64];
        while self.doorbell.as_ref().is_some_and(|bell| matches!(nix::unistd::read(bell, &mut bytes), Ok(1..))) {}
    }
}
