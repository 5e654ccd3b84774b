//! Owns: the directories that keep an overlay's changes: making them, giving them to the sandbox's root, locking them.
//! Must not: touch what is in them, or follow a link to them.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::{Gid, Uid, fchown, mkdir};

/// The locked upper directory. EAGAIN: another sandbox uses it. `owner`: the sandbox's root, in ids of the host.
pub(super) fn claim(upper: &Path, work: &Path, owner: (u32, u32)) -> nix::Result<OwnedFd> {
    let directory = own(upper, 0o755, owner)?;
    crate::sys::lock(directory.as_fd())?;
    own(work, 0o700, owner)?;
    Ok(directory)
}

/// Open a directory, made if it is missing. An empty one becomes the sandbox's.
fn own(path: &Path, mode: u32, (uid, gid): (u32, u32)) -> nix::Result<OwnedFd> {
    let made = match mkdir(path, Mode::from_bits_truncate(mode)) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(errno) => return Err(errno),
    };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = open(path, flags, Mode::empty())?;
    if made {
        // The umask of this process must not decide.
        fchmod(&directory, Mode::from_bits_truncate(mode))?;
    }
    let stat = fstat(&directory)?;
    if (stat.st_uid, stat.st_gid) != (uid, gid) {
        if !is_empty(&directory)? {
            return Err(Errno::EOVERFLOW);
        }
        fchown(&directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    Ok(directory)
}

fn is_empty(directory: &OwnedFd) -> nix::Result<bool> {
    let mut entries = Dir::from_fd(directory.try_clone().map_err(|_| Errno::EMFILE)?)?;
    for entry in entries.iter() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}
