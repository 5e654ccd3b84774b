//! Owns: one bit that any thread may set and any wait may watch.  Must not: know what is cancelled.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::{Error, ErrorKind, Result, Stage};

/// Cancels calls from elsewhere: another thread, an event loop. Clones are the same one.
///
/// A command that was given one ([`Command::cancelled_by`](crate::Command::cancelled_by)) watches it from its start to its end. Before the
/// payload's exec a cancelled call fails with an error of kind [`Cancelled`](ErrorKind::Cancelled), and nothing is left of
/// the set-up; after it the payload is killed and its outcome says [`Cancelled`](crate::Ended::Cancelled).
#[derive(Debug, Clone)]
pub struct Canceller(Arc<OwnedFd>);

impl Canceller {
    /// A new one, not cancelled.
    ///
    /// # Errors
    /// Kind `setup`: this process has no fd left.
    pub fn new() -> Result<Self> {
        match EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK) {
            Ok(event) => Ok(Self(Arc::new(event.into()))),
            Err(errno) => {
                Err(Error::new(ErrorKind::Setup, Stage::Launch, "could not make an eventfd").with_errno(errno as i32))
            }
        }
    }

    /// Cancels, for ever. Doing so twice is the same as once. May be called from a signal handler: it is one write(2).
    pub fn cancel(&self) {
        // EAGAIN: the counter is full, so it is cancelled all the more.
        nix::unistd::write(&*self.0, &1u64.to_ne_bytes()).unwrap_or_default();
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}

/// Readable from the cancelling on.
impl AsFd for Canceller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
