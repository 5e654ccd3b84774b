//! Owns: looking at the entries of one directory of a layer, by its fd.  Must not: follow a link, or know another layer.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, fstat};

use crate::dirfd::DirFd;

const OPAQUE: &CStr = c"user.overlay.opaque";
const WHITEOUT: &CStr = c"user.overlay.whiteout";

/// One directory of one layer, open.
#[derive(Debug)]
pub(super) struct Directory {
    fd: DirFd,
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
    pub fn open(root: &DirFd, path: &Path) -> nix::Result<Option<Self>> {
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
    fn descend(root: &DirFd, path: &Path) -> nix::Result<DirFd> {
        const PIECE: usize = 3000;
        let mut at: Option<DirFd> = None;
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
            at = Some(at.as_ref().unwrap_or(root).below(&piece)?);
            piece = OsString::from(".");
        }
        at.ok_or(Errno::ENOENT)
    }

    pub fn fd(&self) -> &DirFd {
        &self.fd
    }

    /// Every name in it, sorted.
    pub fn names(&self) -> nix::Result<Vec<OsString>> {
        self.fd.names()
    }

    pub fn stat(&self, name: &OsStr) -> nix::Result<Option<FileStat>> {
        match self.fd.stat(name) {
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
        self.fd.link(name)
    }

    /// A regular file in it, for reading: the one that `stat` is of.
    pub fn file(&self, name: &OsStr, stat: &FileStat) -> nix::Result<File> {
        // A fifo that came in its place must not hold us up.
        let open = || self.fd.open(name, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, Mode::empty());
        let fd = match open() {
            Err(Errno::EACCES) => self.by_its_owner(name, stat, open),
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
        match self.fd.below(name) {
            Ok(_) => Ok(false),
            Err(Errno::EACCES) if stat.st_uid == nix::unistd::geteuid().as_raw() => {
                self.fd.set_mode(name, stat.st_mode | libc::S_IRWXU)?;
                Ok(true)
            }
            Err(errno) => Err(errno),
        }
    }

    /// What belongs to this process's own user may be read whatever its mode says: a payload under the same id could, too.
    fn by_its_owner<T>(&self, name: &OsStr, stat: &FileStat, open: impl FnOnce() -> nix::Result<T>) -> nix::Result<T> {
        if stat.st_uid != nix::unistd::geteuid().as_raw() {
            return Err(Errno::EACCES);
        }
        self.fd.set_mode(name, stat.st_mode | libc::S_IRWXU)?;
        let opened = open();
        self.fd.set_mode(name, stat.st_mode)?;
        opened
    }

    // -- extended attributes ------------------------------------------------------------------------------------------

    pub fn xattr(&self, name: &OsStr, key: &CStr) -> nix::Result<Option<Vec<u8>>> {
        match self.fd.xattr(name, key) {
            Ok(value) => Ok(Some(value)),
            Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::EACCES) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    pub fn xattr_names(&self, name: &OsStr) -> nix::Result<Vec<CString>> {
        match self.fd.xattr_names(name) {
            Ok(names) => Ok(names),
            Err(Errno::EOPNOTSUPP) => Ok(Vec::new()),
            Err(errno) => Err(errno),
        }
    }

    pub fn set_xattr(&self, name: &OsStr, key: &CStr, value: &[u8]) -> nix::Result<()> {
        self.fd.set_xattr(name, key, value)
    }

    pub fn set_opaque(&self, name: &OsStr) -> nix::Result<()> {
        self.set_xattr(name, OPAQUE, b"y")
    }
}
