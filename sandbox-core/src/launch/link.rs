//! Owns: what the host and one process of init share: a keeper, or a shepherd that may get one payload after another.
//! Must not: know what is asked, or wait for an answer.

use std::fs::File;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

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
    /// Whether it was told to end. That may cross the end of its payload; then it ends all the same, and is never free again.
    dismissed: Mutex<bool>,
}

impl Link {
    pub fn to_keeper(control: Control, doorbell: Option<OwnedFd>) -> Self {
        Self { control, doorbell, plan: None, dismissed: Mutex::default() }
    }

    pub fn to_shepherd(control: Control, doorbell: OwnedFd, plan: File) -> Self {
        Self { control, doorbell: Some(doorbell), plan: Some(plan), dismissed: Mutex::default() }
    }

    fn dismissed(&self) -> MutexGuard<'_, bool> {
        self.dismissed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Have it end what runs, and then itself. One that is gone needs no telling.
    pub fn send_kill(&self, cause: u32) -> nix::Result<()> {
        // Held until it is sent: a request after this one would be lost with whom it reaches.
        let mut dismissed = self.dismissed();
        *dismissed = true;
        self.control.send_kill(cause)
    }

    pub fn is_dismissed(&self) -> bool {
        *self.dismissed()
    }

    /// Ask a shepherd to start a payload. False: it is gone, or about to go.
    pub fn send_run(&self, plan: &[u8], fds: &[RawFd]) -> Result<bool> {
        let Some(file) = &self.plan else { return Ok(false) };
        let dismissed = self.dismissed();
        if *dismissed {
            return Ok(false);
        }
        match self.control.send_run(plan, file, fds) {
            Ok(()) => Ok(true),
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
