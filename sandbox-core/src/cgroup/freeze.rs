//! Owns: stopping and continuing every process of a leaf.  Must not: leave it half frozen after an error.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Directory, Leaf, stat};
use crate::{Error, ErrorKind, Result, Stage};

/// How long freezing may take; a process in the middle of a slow disk operation can be that slow.
const PATIENCE: u64 = 5_000_000_000;

impl Leaf {
    /// Freeze every process, and wait until all are. Those of ours in it too: nothing inside answers until `thaw`.
    pub fn freeze(&self) -> Result<()> {
        self.changed.store(true, Ordering::Relaxed);
        let result = match (&self.unified, self.with("freezer", "")) {
            (Some(directory), _) => freeze_unified(directory),
            (None, Some(directory)) => freeze_v1(directory),
            (None, None) => return Err(no_freezer()),
        };
        result.map_err(|error| {
            // Thawed as well as possible; what is told is why it could not be frozen.
            drop(self.thaw());
            Error::new(ErrorKind::Setup, Stage::Supervise, "could not freeze the sandbox")
                .with_errno(error.raw_os_error().unwrap_or(libc::EIO))
                .with_hint("a process inside is in a kernel operation that can't be interrupted")
        })
    }

    /// Let every process go on.
    pub fn thaw(&self) -> Result<()> {
        if self.unified.is_none() && self.with("freezer", "").is_none() {
            return Err(no_freezer());
        }
        self.thaw_if_frozen().map_err(|error| {
            Error::new(ErrorKind::Setup, Stage::Supervise, "could not thaw the sandbox")
                .with_errno(error.raw_os_error().unwrap_or(libc::EIO))
        })
    }

    /// Whether somebody froze it, and nobody thawed it since. What can't be read is not frozen.
    pub fn is_frozen(&self) -> bool {
        match (&self.unified, self.with("freezer", "")) {
            (Some(directory), _) => directory.read("cgroup.freeze").is_some_and(|text| text.trim() == "1"),
            (None, Some(directory)) => directory.read("freezer.state").is_some_and(|text| text.trim() != "THAWED"),
            (None, None) => false,
        }
    }

    /// The file that freezes and thaws it, for somebody else; whether it is that of the v1 freezer.
    pub fn freezer(&self) -> io::Result<(OwnedFd, bool)> {
        match (&self.unified, self.with("freezer", "")) {
            (Some(directory), _) => Ok((directory.open("cgroup.freeze", OFlag::O_WRONLY)?, false)),
            (None, Some(directory)) => Ok((directory.open("freezer.state", OFlag::O_WRONLY)?, true)),
            (None, None) => Err(io::Error::from_raw_os_error(libc::ENOENT)),
        }
    }

    pub(super) fn thaw_if_frozen(&self) -> io::Result<()> {
        match (&self.unified, self.with("freezer", "")) {
            (Some(directory), _) => fs::write(directory.path.join("cgroup.freeze"), "0"),
            (None, Some(directory)) => fs::write(directory.path.join("freezer.state"), "THAWED"),
            (None, None) => Ok(()),
        }
    }
}

fn freeze_unified(directory: &Directory) -> io::Result<()> {
    fs::write(directory.path.join("cgroup.freeze"), "1")?;
    // POLLPRI comes with every change of the file.
    let events = File::open(directory.path.join("cgroup.events"))?;
    let deadline = crate::sys::monotonic() + PATIENCE;
    while stat::number_after(&directory.read("cgroup.events").unwrap_or_default(), "frozen") != Some(1) {
        if crate::sys::monotonic() >= deadline {
            return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        }
        poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], PollTimeout::from(10u8))?;
    }
    Ok(())
}

fn freeze_v1(directory: &Directory) -> io::Result<()> {
    let state = directory.path.join("freezer.state");
    let deadline = crate::sys::monotonic() + PATIENCE;
    // Reading the state moves FREEZING on to FROZEN; a fork meanwhile needs another FROZEN.
    loop {
        fs::write(&state, "FROZEN")?;
        if fs::read_to_string(&state)?.trim() == "FROZEN" {
            return Ok(());
        }
        if crate::sys::monotonic() >= deadline {
            return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn no_freezer() -> Error {
    Error::unsupported("freeze", "the v1 freezer is not mounted, or this process may not make groups in it")
}
