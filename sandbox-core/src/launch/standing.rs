//! Owns: when the standing namespace of a sandbox is made, and by whom.
//! Must not: know what is in it (plan).

use std::os::fd::{AsFd, OwnedFd};
use std::sync::PoisonError;

use nix::errno::Errno;

use super::errand::errand_of_a_start;
use super::{Slots, Start};
use crate::plan::{ROOT, Standing};

impl Start<'_> {
    /// A sandbox that starts a second time will start again: from then on in copies of the standing namespace. Where that can't be
    /// had, every start is like the first, which is no weaker.
    pub(super) fn stand(&self, prepared: &Slots) {
        let kept = self.kept;
        let Some(standing) = &self.plan.base.standing else { return };
        if kept.standing.get().is_some() {
            return;
        }
        let _only_one = kept.preparing.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.standing.get().is_some() {
            return;
        }
        match self.made_to_stand(standing, prepared) {
            // About this start, which will say so itself.
            Err(Errno::ETIMEDOUT | Errno::ECANCELED) => {}
            // Nobody else sets it: the lock is held.
            made => drop(kept.standing.set(made.ok())),
        }
    }

    fn made_to_stand(&self, standing: &Standing, prepared: &Slots) -> nix::Result<OwnedFd> {
        let mut slots = Slots::default();
        slots.carry_out(&standing.tree, &self.context(Some(prepared)))?;
        let tree = slots.fds.into_values().next().ok_or(Errno::EBADF)?;
        let passed = [(ROOT, tree.as_fd())];
        let opened = errand_of_a_start(self.image, &standing.steps, &passed, self.deadline, self.cancel)?;
        opened.into_iter().next().ok_or(Errno::EBADF)
    }
}
