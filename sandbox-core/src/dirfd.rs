//! Owns: a directory by its fd, and each call on what is in it: made here, or by a deputy in the user namespace of a sandbox.
//! Must not: follow a link, know what the directory is a part of, or start a deputy.
//! Start at: [`DirFd`].
//!
//! What belongs to subordinate ids is closed to a process that is not privileged. A *deputy* is a process of init's that has
//! joined the namespace with those ids: it makes the calls, one after another, and this process keeps all that is decided.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmodat, fstatat, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};

use crate::sys;

/// An argument of a deputy's call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg<'a> {
    Is(u64),
    /// A NUL comes behind it.
    Text(&'a [u8]),
    Words(&'a [u64]),
    Bytes(&'a [u8]),
    /// Room for an answer whose length is the call's result.
    Room(usize),
    /// Room that the call fills.
    Whole(usize),
}

/// Who makes calls in a sandbox's user namespace. Its fds are numbers of its own.
pub(crate) trait Deputy: std::fmt::Debug + Send + Sync {
    /// The result of one call, and what is in its room.
    fn call(&self, number: libc::c_long, args: &[Arg<'_>]) -> nix::Result<(u64, Vec<u8>)>;
    /// Its fd, for this process.
    fn hand_out(&self, number: i32) -> nix::Result<OwnedFd>;
    /// An fd of this process's, for it.
    fn hand_in(&self, fd: BorrowedFd<'_>) -> nix::Result<i32>;
    /// Nothing uses this number any more.
    fn close(&self, number: i32);
}

/// A directory, open.
#[derive(Debug)]
pub(crate) enum DirFd {
    Here(OwnedFd),
    There(Remote),
}

/// A directory that a deputy has open.
#[derive(Debug)]
pub(crate) struct Remote {
    deputy: Arc<dyn Deputy>,
    number: i32,
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.deputy.close(self.number);
    }
}

impl Remote {
    fn fd(&self) -> Arg<'static> {
        number(self.number)
    }

    /// A call on a name in it that answers with nothing.
    fn done(&self, call: libc::c_long, name: &OsStr, more: &[Arg<'_>]) -> nix::Result<()> {
        let mut args = vec![self.fd(), Arg::Text(name.as_bytes())];
        args.extend_from_slice(more);
        self.deputy.call(call, &args).map(drop)
    }

    /// A call that opens something.
    fn opened(&self, call: libc::c_long, name: &OsStr, more: &[Arg<'_>]) -> nix::Result<Self> {
        let mut args = vec![self.fd(), Arg::Text(name.as_bytes())];
        args.extend_from_slice(more);
        let (opened, _) = self.deputy.call(call, &args)?;
        Ok(Self { deputy: Arc::clone(&self.deputy), number: i32::try_from(opened).map_err(|_| Errno::EPROTO)? })
    }
}

impl DirFd {
    /// The directory as the deputy has it, or as this process has it without one.
    pub fn new(fd: OwnedFd, deputy: Option<&Arc<dyn Deputy>>) -> nix::Result<Self> {
        Ok(match deputy {
            None => Self::Here(fd),
            Some(deputy) => Self::There(Remote { number: deputy.hand_in(fd.as_fd())?, deputy: Arc::clone(deputy) }),
        })
    }

    /// Whether this process makes the calls: ids are then those of its own user namespace.
    pub fn is_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }

    /// A directory below it, by real directories of the same mount only.
    pub fn below(&self, path: &OsStr) -> nix::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
        match self {
            Self::Here(fd) => openat2(fd, path, OpenHow::new().flags(flags).resolve(resolve)).map(Self::Here),
            Self::There(there) => {
                let how = [flags.bits() as u64, 0, resolve.bits()];
                let more = [Arg::Words(&how), Arg::Is(size_of_val(&how) as u64)];
                there.opened(libc::SYS_openat2, path, &more).map(Self::There)
            }
        }
    }

    /// A directory in it, whatever mount it is of.
    pub fn enter(&self, name: &OsStr) -> nix::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match self {
            Self::Here(fd) => openat(fd, name, flags, Mode::empty()).map(Self::Here),
            Self::There(there) => {
                there.opened(libc::SYS_openat, name, &[number(flags.bits()), Arg::Is(0)]).map(Self::There)
            }
        }
    }

    /// Every name in it, sorted.
    pub fn names(&self) -> nix::Result<Vec<OsString>> {
        let mut names = match self {
            Self::Here(fd) => {
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
                let mut entries = Dir::openat(fd, ".", flags, Mode::empty())?;
                let names = entries.iter().map(|entry| Ok(entry?.file_name().to_bytes().to_vec()));
                names.collect::<nix::Result<Vec<_>>>()?
            }
            Self::There(there) => {
                there.deputy.call(libc::SYS_lseek, &[there.fd(), Arg::Is(0), number(libc::SEEK_SET)])?;
                let mut names = Vec::new();
                loop {
                    let room = [there.fd(), Arg::Room(LARGEST), Arg::Is(LARGEST as u64)];
                    let (length, entries) = there.deputy.call(libc::SYS_getdents64, &room)?;
                    if length == 0 {
                        break names;
                    }
                    parse_entries(&entries, &mut names)?;
                }
            }
        };
        names.retain(|name| name != b"." && name != b"..");
        names.sort_unstable();
        Ok(names.into_iter().map(OsString::from_vec).collect())
    }

    /// What is under a name, links as such.
    pub fn stat(&self, name: &OsStr) -> nix::Result<FileStat> {
        match self {
            Self::Here(fd) => fstatat(fd, name, AtFlags::AT_SYMLINK_NOFOLLOW),
            Self::There(there) => {
                let args = [
                    there.fd(),
                    Arg::Text(name.as_bytes()),
                    Arg::Whole(size_of::<FileStat>()),
                    number(libc::AT_SYMLINK_NOFOLLOW),
                ];
                let (_, bytes) = there.deputy.call(libc::SYS_newfstatat, &args)?;
                sys::stat_of(&bytes).ok_or(Errno::EPROTO)
            }
        }
    }

    /// The text of a link.
    pub fn link(&self, name: &OsStr) -> nix::Result<OsString> {
        match self {
            Self::Here(fd) => readlinkat(fd, name),
            Self::There(there) => {
                const PAGE: usize = 4096;
                let args = [there.fd(), Arg::Text(name.as_bytes()), Arg::Room(PAGE), Arg::Is(PAGE as u64)];
                there.deputy.call(libc::SYS_readlinkat, &args).map(|(_, text)| OsString::from_vec(text))
            }
        }
    }

    /// A file in it, open in this process. The flags keep links from being followed.
    pub fn open(&self, name: &OsStr, flags: OFlag, mode: Mode) -> nix::Result<OwnedFd> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match self {
            Self::Here(fd) => openat(fd, name, flags, mode),
            Self::There(there) => {
                let more = [number(flags.bits()), Arg::Is(mode.bits().into())];
                let opened = there.opened(libc::SYS_openat, name, &more)?;
                opened.deputy.hand_out(opened.number)
            }
        }
    }

    // -- making ---------------------------------------------------------------------------------------------------------

    pub fn make_directory(&self, name: &OsStr) -> nix::Result<()> {
        match self {
            Self::Here(fd) => mkdirat(fd, name, Mode::S_IRWXU),
            Self::There(there) => there.done(libc::SYS_mkdirat, name, &[Arg::Is(Mode::S_IRWXU.bits().into())]),
        }
    }

    /// A device, a pipe or a socket, which its owner may read and write.
    pub fn make_node(&self, name: &OsStr, kind: SFlag, device: u64) -> nix::Result<()> {
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        match self {
            Self::Here(fd) => mknodat(fd, name, kind, mode, device),
            Self::There(there) => {
                // The kernel's own encoding of a device number has 32 bits.
                let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
                let device = minor & 0xff | major << 8 | (minor & !0xff) << 12;
                let mode = kind.bits() | mode.bits();
                there.done(libc::SYS_mknodat, name, &[Arg::Is(mode.into()), Arg::Is(device & 0xffff_ffff)])
            }
        }
    }

    pub fn make_link(&self, name: &OsStr, text: &OsStr) -> nix::Result<()> {
        match self {
            Self::Here(fd) => symlinkat(text, fd, name),
            Self::There(there) => {
                let args = [Arg::Text(text.as_bytes()), there.fd(), Arg::Text(name.as_bytes())];
                there.deputy.call(libc::SYS_symlinkat, &args).map(drop)
            }
        }
    }

    /// Another name for what is `old` in `from`, which is reached in the same way.
    pub fn make_name(&self, name: &OsStr, from: &Self, old: &OsStr) -> nix::Result<()> {
        match (self, from) {
            (Self::Here(fd), Self::Here(from)) => linkat(from, old, fd, name, LinkatFlags::empty()),
            (Self::There(there), Self::There(from)) => {
                from.done(libc::SYS_linkat, old, &[there.fd(), Arg::Text(name.as_bytes()), Arg::Is(0)])
            }
            _ => Err(Errno::EXDEV),
        }
    }

    pub fn set_owner(&self, name: &OsStr, uid: u32, gid: u32) -> nix::Result<()> {
        match self {
            Self::Here(fd) => {
                let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
                fchownat(fd, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
            }
            Self::There(there) => {
                let more = [Arg::Is(uid.into()), Arg::Is(gid.into()), number(libc::AT_SYMLINK_NOFOLLOW)];
                there.done(libc::SYS_fchownat, name, &more)
            }
        }
    }

    /// Of something that is no link.
    pub fn set_mode(&self, name: &OsStr, mode: u32) -> nix::Result<()> {
        let mode = Mode::from_bits_truncate(mode & 0o7777);
        match self {
            Self::Here(fd) => fchmodat(fd, name, mode, FchmodatFlags::FollowSymlink),
            Self::There(there) => there.done(libc::SYS_fchmodat, name, &[Arg::Is(mode.bits().into())]),
        }
    }

    /// When it was read and written last.
    pub fn set_times(&self, name: &OsStr, stat: &FileStat) -> nix::Result<()> {
        match self {
            Self::Here(fd) => {
                let accessed = TimeSpec::new(stat.st_atime, stat.st_atime_nsec);
                let modified = TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec);
                utimensat(fd, name, &accessed, &modified, UtimensatFlags::NoFollowSymlink)
            }
            Self::There(there) => {
                let times = [stat.st_atime, stat.st_atime_nsec, stat.st_mtime, stat.st_mtime_nsec].map(|at| at as u64);
                there.done(libc::SYS_utimensat, name, &[Arg::Words(&times), number(libc::AT_SYMLINK_NOFOLLOW)])
            }
        }
    }

    // -- extended attributes ----------------------------------------------------------------------------------------------

    /// Where the kernel finds the entry itself, link or not: there is no call that takes a directory fd and a name.
    fn place(&self, name: &OsStr) -> nix::Result<CString> {
        let number = match self {
            Self::Here(fd) => fd.as_raw_fd(),
            Self::There(there) => there.number,
        };
        let mut path = format!("/proc/self/fd/{number}/").into_bytes();
        path.extend_from_slice(name.as_bytes());
        CString::new(path).map_err(|_| Errno::EINVAL)
    }

    pub fn xattr(&self, name: &OsStr, key: &CStr) -> nix::Result<Vec<u8>> {
        let place = self.place(name)?;
        match self {
            Self::Here(_) => sys::xattr::get(&place, key),
            Self::There(there) => grown(256, |room| {
                let args =
                    [Arg::Text(place.to_bytes()), Arg::Text(key.to_bytes()), Arg::Room(room), Arg::Is(room as u64)];
                there.deputy.call(libc::SYS_lgetxattr, &args)
            }),
        }
    }

    pub fn xattr_names(&self, name: &OsStr) -> nix::Result<Vec<CString>> {
        let place = self.place(name)?;
        match self {
            Self::Here(_) => sys::xattr::list(&place),
            Self::There(there) => {
                let names = grown(1024, |room| {
                    let args = [Arg::Text(place.to_bytes()), Arg::Room(room), Arg::Is(room as u64)];
                    there.deputy.call(libc::SYS_llistxattr, &args)
                })?;
                Ok(sys::xattr::split(&names))
            }
        }
    }

    pub fn set_xattr(&self, name: &OsStr, key: &CStr, value: &[u8]) -> nix::Result<()> {
        let place = self.place(name)?;
        match self {
            Self::Here(_) => sys::xattr::set(&place, key, value),
            Self::There(there) => {
                let args = [
                    Arg::Text(place.to_bytes()),
                    Arg::Text(key.to_bytes()),
                    Arg::Bytes(value),
                    Arg::Is(value.len() as u64),
                    Arg::Is(0),
                ];
                there.deputy.call(libc::SYS_lsetxattr, &args).map(drop)
            }
        }
    }

    // -- removing -----------------------------------------------------------------------------------------------------------

    fn unlink(&self, name: &OsStr, flag: UnlinkatFlags) -> nix::Result<()> {
        match self {
            Self::Here(fd) => unlinkat(fd, name, flag),
            Self::There(there) => {
                let flag = if matches!(flag, UnlinkatFlags::RemoveDir) { libc::AT_REMOVEDIR } else { 0 };
                there.done(libc::SYS_unlinkat, name, &[number(flag)])
            }
        }
    }

    /// Remove what is under a name, a directory with all that is in it, links as such.
    pub fn remove(&self, name: &OsStr) -> nix::Result<()> {
        match self.unlink(name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => {}
            other => return other,
        }
        self.enter(name)?.clear()?;
        self.unlink(name, UnlinkatFlags::RemoveDir)
    }

    /// Remove all that is in it.
    pub fn clear(&self) -> nix::Result<()> {
        let mut pending = vec![PathBuf::new()];
        let mut emptied = Vec::new();
        while let Some(path) = pending.pop() {
            let directory = self.descend(&path)?;
            for name in directory.names()? {
                match directory.unlink(&name, UnlinkatFlags::NoRemoveDir) {
                    Err(Errno::EISDIR) => pending.push(path.join(&name)),
                    Err(Errno::ENOENT) | Ok(()) => {}
                    Err(errno) => return Err(errno),
                }
            }
            emptied.push(path);
        }
        for path in emptied.into_iter().rev().filter(|path| !path.as_os_str().is_empty()) {
            let (above, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
            self.descend(above)?.unlink(name, UnlinkatFlags::RemoveDir)?;
        }
        Ok(())
    }

    /// A directory below it, by real directories only. A piece at a time: each was just listed, and its path may be long.
    pub fn descend(&self, path: &Path) -> nix::Result<Self> {
        let mut at = self.enter(OsStr::new("."))?;
        for name in path.iter() {
            at = at.enter(name)?;
        }
        Ok(at)
    }
}

/// The kernel's limit for one value and for the list of names (xattr(7)).
const LARGEST: usize = 64 << 10;

fn number(value: i32) -> Arg<'static> {
    Arg::Is(i64::from(value) as u64)
}

/// A call into a little room, and into the largest where that is not enough.
fn grown(room: usize, call: impl Fn(usize) -> nix::Result<(u64, Vec<u8>)>) -> nix::Result<Vec<u8>> {
    match call(room) {
        Err(Errno::ERANGE) => call(LARGEST),
        other => other,
    }
    .map(|(_, bytes)| bytes)
}

/// `struct linux_dirent64`: inode (8), offset (8), length of the record (2), kind (1), name, NUL.
fn parse_entries(mut bytes: &[u8], names: &mut Vec<Vec<u8>>) -> nix::Result<()> {
    while !bytes.is_empty() {
        let length = match bytes.get(16..18) {
            Some(&[low, high]) => usize::from(u16::from_le_bytes([low, high])),
            _ => return Err(Errno::EPROTO),
        };
        let record = bytes.get(..length).ok_or(Errno::EPROTO)?;
        let name = record.get(19..).and_then(|name| CStr::from_bytes_until_nul(name).ok()).ok_or(Errno::EPROTO)?;
        names.push(name.to_bytes().to_vec());
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_the_kernel_are_read_and_others_refused() {
        let mut bytes = vec![0; 16];
        bytes.extend_from_slice(&24u16.to_le_bytes());
        bytes.extend_from_slice(b"\x08name\0");
        let mut names = Vec::new();
        assert_eq!(parse_entries(&bytes, &mut names), Ok(()));
        assert_eq!(names, [b"name"]);
        for length in [0, 1, 19, 20] {
            bytes[16..18].copy_from_slice(&(length as u16).to_le_bytes());
            assert_eq!(parse_entries(&bytes, &mut names), Err(Errno::EPROTO), "{length}");
        }
        assert_eq!(parse_entries(&bytes[..10], &mut names), Err(Errno::EPROTO));
    }
}
