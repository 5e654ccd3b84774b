//! Owns: that a session is frozen, its shepherds with it: who may still have them do something thaws them.
//! Must not: know how a group is frozen (cgroup), or what is to be done.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use nix::errno::Errno;

use super::Control;
use crate::Result;
use crate::cgroup::Leaf;

/// Whether a session is frozen.
#[derive(Debug, Default)]
pub(crate) struct Frost {
    /// Whether it may be: what is below is looked at only then.
    set: AtomicBool,
    group: Mutex<Weak<Leaf>>,
}

impl Frost {
    fn group(&self) -> MutexGuard<'_, Weak<Leaf>> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Freeze `group`. `keeper` may be about to thaw it for an earlier deadline. `before` waits for what was told before that.
    pub fn freeze(&self, group: &Arc<Leaf>, keeper: &Control, before: impl FnOnce()) -> Result<()> {
        let mut frozen = self.group();
        keeper.send_thaw_no_more().map_err(super::call("tell the keeper of no deadline"))?;
        // Before: whoever starts meanwhile must see it, or be seen.
        self.set.store(true, Ordering::SeqCst);
        *frozen = Arc::downgrade(group);
        before();
        group.freeze().inspect_err(|_| self.set.store(false, Ordering::SeqCst))
    }

    /// Thaw `group`, whoever has frozen it.
    pub fn thaw(&self, group: &Leaf) -> Result<()> {
        let _frozen = self.group();
        group.thaw().inspect(|()| self.set.store(false, Ordering::SeqCst))
    }

    /// Thaw it where a payload must end, so that its shepherd can see to that.
    pub fn thaw_for_an_end(&self) -> nix::Result<()> {
        if !self.set.load(Ordering::SeqCst) {
            return Ok(());
        }
        let frozen = self.group();
        // What is closed is gone.
        let thawed = frozen.upgrade().map_or(Ok(()), |group| group.thaw());
        thawed.map_err(|error| Errno::from_raw(error.errno().unwrap_or(libc::EIO)))?;
        self.set.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Whether it is frozen; the keeper may have thawed it.
    pub fn is_frozen(&self) -> bool {
        self.set.load(Ordering::SeqCst) && self.group().upgrade().is_some_and(|group| group.is_frozen())
    }

    /// Have the keeper thaw it at the first deadline that `first` knows, where it is frozen.
    pub fn thaw_at(&self, keeper: &Control, first: impl FnOnce() -> Option<u64>) -> Result<()> {
        if !self.set.load(Ordering::SeqCst) {
            return Ok(());
        }
        let frozen = self.group();
        let (Some(group), Some(time)) = (frozen.upgrade(), first()) else { return Ok(()) };
        let told = group.freezer().and_then(|(file, by_v1)| Ok(keeper.send_thaw(time, file.as_raw_fd(), by_v1)?));
        told.map_err(|error| {
            super::call("tell the keeper of a deadline")(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
        })
    }
}
