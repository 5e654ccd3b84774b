//! Owns: looking at the entries of one directory of a layer, by its fd.  Must not: follow a link, or know another layer.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, fchmodat, fstat, fstatat};

use crate::sys;

const OPAQUE: &CStr = c"user.overlay.opaque";
const WHITEOUT: &CStr = c"user.overlay.whiteout";

/// One directory of one layer, open.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    /// Whiteouts in it may be empty files with an attribute (Linux 6.7), beside the usual device nodes.
    marked: bool,
}

/// Whether a directory hides what is below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opacity {
    Merges,
    Opaque,
}

impl Directory {
    /// The directory at `path` below `root`, by real directories only, on the same mount. None: there is no such directory.
    pub fn open(root: BorrowedFd<'_>, path: &Path) -> nix::Result<Option<Self>> {
        match Self::descend(root, path) {
            Ok(fd) => {
                let mut directory = Self { fd, marked: false };
                directory.marked = directory.xattr(OsStr::new("."), OPAQUE)?.as_deref() == Some(b"x");
                Ok(Some(directory))
            }
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Piece by piece, because a payload can make paths that are longer than one call takes.
    fn descend(root: BorrowedFd<'_>, path: &Path) -> nix::Result<OwnedFd> {
        const PIECE: usize = 3000;
        let mut at: Option<OwnedFd> = None;
        let mut piece = OsString::from(".");
        let mut components = path.iter().peekable();
        loop {
            match components.next() {
                Some(name) => {
                    piece.push("/");
                    piece.push(name);
                    if piece.len() < PIECE && components.peek().is_some() {
                        continue;
                    }
                }
                None if at.is_some() => break,
                None => {}
            }
            let from = at.as_ref().map_or(root, AsFd::as_fd);
            at = Some(open_directory(from, &piece)?);
            piece = OsString::from(".");
        }
        at.ok_or(Errno::ENOENT)
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Every name in it, sorted.
    pub fn names(&self) -> nix::Result<Vec<OsString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut entries = Dir::openat(&self.fd, ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in entries.iter() {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    pub fn stat(&self, name: &OsStr) -> nix::Result<Option<FileStat>> {
        match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether the entry says that there is nothing of this name in any layer below.
    pub fn is_whiteout(&self, name: &OsStr, stat: &FileStat) -> nix::Result<bool> {
        let device = stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == 0;
        let marked = || {
            let empty = stat.st_mode & libc::S_IFMT == libc::S_IFREG && stat.st_size == 0;
            Ok(self.marked && empty && self.xattr(name, WHITEOUT)?.is_some())
        };
        if device { Ok(true) } else { marked() }
    }

    /// Of a directory in it.
    pub fn opacity(&self, name: &OsStr) -> nix::Result<Opacity> {
        let value = self.xattr(name, OPAQUE)?;
        Ok(if value.as_deref() == Some(b"y") { Opacity::Opaque } else { Opacity::Merges })
    }

    pub fn link(&self, name: &OsStr) -> nix::Result<OsString> {
        readlinkat(&self.fd, name)
    }

    /// A regular file in it, for reading: the one that `stat` is of.
    pub fn file(&self, name: &OsStr, stat: &FileStat) -> nix::Result<File> {
        // A fifo that came in its place must not hold us up.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::EACCES) => self.by_its_owner(name, stat, || openat(&self.fd, name, flags, Mode::empty())),
            other => other,
        }?;
        let found = fstat(&fd)?;
        if (found.st_dev, found.st_ino) != (stat.st_dev, stat.st_ino) {
            return Err(Errno::ESTALE);
        }
        Ok(fd.into())
    }

    /// Open a directory in it for its owner, where that is this process's user, who has closed it to itself. Whether
    /// that was needed.
    pub fn unlock(&self, name: &OsStr, stat: &FileStat) -> nix::Result<bool> {
        match open_directory(self.as_fd(), name) {
            Ok(_) => Ok(false),
            Err(Errno::EACCES) if stat.st_uid == nix::unistd::geteuid().as_raw() => {
                self.set_mode(name, stat.st_mode | libc::S_IRWXU)?;
                Ok(true)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Of something that is no link.
    pub fn set_mode(&self, name: &OsStr, mode: u32) -> nix::Result<()> {
        fchmodat(&self.fd, name, Mode::from_bits_truncate(mode & 0o7777), FchmodatFlags::FollowSymlink)
    }

    /// What belongs to this process's own user may be read whatever its mode says: a payload under the same id could, too.
    fn by_its_owner<T>(&self, name: &OsStr, stat: &FileStat, open: impl FnOnce() -> nix::Result<T>) -> nix::Result<T> {
        if stat.st_uid != nix::unistd::geteuid().as_raw() {
            return Err(Errno::EACCES);
        }
        self.set_mode(name, stat.st_mode | libc::S_IRWXU)?;
        let opened = open();
        self.set_mode(name, stat.st_mode)?;
        opened
    }

    // -- extended attributes ------------------------------------------------------------------------------------------

    /// Where the kernel finds the entry itself, link or not: there is no call that takes a directory fd and a name.
    fn place(&self, name: &OsStr) -> nix::Result<CString> {
        let mut path = format!("/proc/self/fd/{}/", self.fd.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.as_bytes());
        CString::new(path).map_err(|_| Errno::EINVAL)
    }

    pub fn xattr(&self, name: &OsStr, key: &CStr) -> nix::Result<Option<Vec<u8>>> {
        match sys::xattr::get(&self.place(name)?, key) {
            Ok(value) => Ok(Some(value)),
            Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::EACCES) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    pub fn xattr_names(&self, name: &OsStr) -> nix::Result<Vec<CString>> {
        match sys::xattr::list(&self.place(name)?) {
            Ok(names) => Ok(names),
            Err(Errno::EOPNOTSUPP) => Ok(Vec::new()),
            Err(errno) => Err(errno),
        }
    }

    pub fn set_xattr(&self, name: &OsStr, key: &CStr, value: &[u8]) -> nix::Result<()> {
        sys::xattr::set(&self.place(name)?, key, value)
    }

    pub fn set_opaque(&self, name: &OsStr) -> nix::Result<()> {
        self.set_xattr(name, OPAQUE, b"y")
    }
}

fn open_directory(at: BorrowedFd<'_>, path: &OsStr) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV);
    openat2(at, path, how)
}
