//! Owns: the way from the host into a root: resolving guest paths, making things in it under the payload's ids.
//! Must not: read or write content, or let a path lead out of the root.
//! Start at: [`Reach`].
//!
//! To make a file in a file system of the sandbox's takes an id that its user namespace knows. Where the host's own id is
//! one (a single map) the host does it itself. Else an *errand* does: one more process of init, outside of the sandbox's
//! PID namespace, that enters the user namespace, makes what is on its list, and hands over the fds.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, fchown, symlinkat};

use crate::changes::Ids;
use crate::dirfd::{Deputy, DirFd};
use crate::idmap::{IdMaps, MapWriter};
use crate::launch::{Hand, Image, errand};
use crate::plan::{Fd, Handed, Op, Slot, Step};

/// How many things one errand makes: each may be an fd in flight.
const BATCH: usize = 64;

/// A root, as the host reaches it.
#[derive(Debug)]
pub(crate) struct Reach {
    pub root: OwnedFd,
    /// None: no user namespace of its own.
    pub namespace: Option<OwnedFd>,
    pub maps: Option<IdMaps>,
    /// The payload's user, inside.
    pub user: (u32, u32),
    pub image: Image,
}

/// Something to make, at a path relative to the root. What is above it is there.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub path: PathBuf,
    pub made: Made,
}

#[derive(Debug, Clone)]
pub(super) enum Made {
    Directory {
        mode: u32,
    },
    /// `fresh`: it must not be there yet.
    File {
        mode: u32,
        fresh: bool,
    },
    Link {
        text: PathBuf,
    },
}

impl Made {
    fn flags(&self) -> OFlag {
        let fresh = matches!(self, Self::File { fresh: true, .. });
        let exclusive = if fresh { OFlag::O_EXCL } else { OFlag::O_TRUNC };
        // A pipe in its place must not hold us up.
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | exclusive
    }
}

impl Reach {
    pub fn ids(&self) -> Ids {
        self.maps.clone().map_or(Ids::Same, Ids::Mapped)
    }

    /// Whether what is in it may be closed to this process: it belongs to subordinate ids.
    fn is_subordinate(&self) -> bool {
        self.maps.as_ref().is_some_and(|maps| maps.writer == MapWriter::Newidmap)
    }

    /// Who makes calls on it where this process may not. None: it may itself.
    pub fn deputy(&self) -> nix::Result<Option<Arc<dyn Deputy>>> {
        if !self.is_subordinate() {
            return Ok(None);
        }
        let namespace = self.namespace.as_ref().ok_or(Errno::EPERM)?;
        Hand::start(&self.image, self.way(), &[(NAMESPACE, namespace.as_fd())]).map(Some)
    }

    /// A directory, links followed inside, for calls on what is in it.
    pub fn directory(&self, path: &Path) -> nix::Result<DirFd> {
        DirFd::new(self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?, self.deputy()?.as_ref())
    }

    fn needs_errand(&self) -> bool {
        self.maps.as_ref().is_some_and(|maps| maps.writer != MapWriter::Init)
    }

    /// What is at a path, links followed inside. Without O_CREAT.
    pub fn open(&self, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
        let opened = open(self.root.as_fd(), path, flags, 0);
        match opened {
            Err(Errno::EACCES) if self.is_subordinate() => {}
            other => return other,
        }
        // What belongs to a subordinate id is closed to this process, but not to the sandbox's own users.
        let into = slot(0);
        let ops = vec![
            Op::OpenBelow { root: root(), path: dotted(path), flags: flags.bits(), mode: 0, into: into.clone() },
            Op::SendFd { fd: into.into(), what: Handed::Opened },
        ];
        self.send(ops)?.pop().ok_or(Errno::EIO)
    }

    /// Make the missing directories above a path.
    pub fn parents(&self, path: &Path) -> nix::Result<()> {
        self.directories(path.parent().unwrap_or(Path::new("")))
    }

    /// Make a directory and the missing ones above it.
    pub fn directories(&self, path: &Path) -> nix::Result<()> {
        let mut missing = Vec::new();
        for directory in path.ancestors() {
            match self.open(directory, OFlag::O_PATH | OFlag::O_DIRECTORY) {
                Ok(_) => break,
                Err(Errno::ENOENT) => missing.push(directory),
                Err(errno) => return Err(errno),
            }
        }
        let items: Vec<Item> = missing
            .into_iter()
            .rev()
            .map(|path| Item { path: path.to_owned(), made: Made::Directory { mode: 0o755 } })
            .collect();
        self.make(&items).map(drop)
    }

    /// Make things in their order. For each file its fd, open for writing.
    pub(super) fn make(&self, items: &[Item]) -> nix::Result<Vec<Option<OwnedFd>>> {
        let mut made = Vec::with_capacity(items.len());
        for batch in items.chunks(BATCH) {
            if self.needs_errand() {
                made.extend(self.make_by_errand(batch)?);
            } else {
                for item in batch {
                    made.push(self.make_here(item)?);
                }
            }
        }
        Ok(made)
    }

    fn make_here(&self, item: &Item) -> nix::Result<Option<OwnedFd>> {
        let above = item.path.parent().unwrap_or(Path::new(""));
        let name = item.path.file_name().ok_or(Errno::EEXIST)?;
        let at = open(self.root.as_fd(), above, OFlag::O_PATH | OFlag::O_DIRECTORY, 0)?;
        let mode = |mode: u32| Mode::from_bits_truncate(mode);
        match &item.made {
            Made::Directory { mode: bits } => {
                match mkdirat(&at, name, mode(0o700)) {
                    Ok(()) => {}
                    Err(Errno::EEXIST) => return Ok(None),
                    Err(errno) => return Err(errno),
                }
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let directory = nix::fcntl::openat(&at, name, flags, Mode::empty())?;
                self.own(&directory)?;
                // The umask of this process must not decide.
                fchmod(&directory, mode(*bits))?;
                Ok(None)
            }
            Made::File { mode: bits, .. } => {
                let there = open(self.root.as_fd(), &item.path, OFlag::O_PATH, 0).is_ok();
                let file = open(self.root.as_fd(), &item.path, item.made.flags(), *bits)?;
                if !there {
                    self.own(&file)?;
                    fchmod(&file, mode(*bits))?;
                }
                Ok(Some(file))
            }
            Made::Link { text } => {
                symlinkat(text.as_path(), &at, name)?;
                Ok(None)
            }
        }
    }

    /// Without a user namespace what root makes is root's until it is given away.
    fn own(&self, fd: &OwnedFd) -> nix::Result<()> {
        if self.maps.is_some() || !nix::unistd::geteuid().is_root() {
            return Ok(());
        }
        fchown(fd, Some(Uid::from_raw(self.user.0)), Some(Gid::from_raw(self.user.1)))
    }

    fn make_by_errand(&self, items: &[Item]) -> nix::Result<Vec<Option<OwnedFd>>> {
        let mut ops = Vec::with_capacity(items.len() * 2);
        for (index, item) in items.iter().enumerate() {
            let above = dotted(item.path.parent().unwrap_or(Path::new("")));
            let name = PathBuf::from(item.path.file_name().ok_or(Errno::EEXIST)?);
            let into = slot(index);
            match &item.made {
                Made::Directory { mode } => {
                    ops.push(Op::Resolve { root: root(), path: above, directory: true, into: into.clone() });
                    ops.push(Op::MakeDir { at: into.into(), name, mode: *mode });
                }
                Made::Link { text } => {
                    ops.push(Op::Resolve { root: root(), path: above, directory: true, into: into.clone() });
                    ops.push(Op::MakeSymlink { at: into.into(), name, text: text.clone() });
                }
                Made::File { mode, .. } => {
                    let flags = item.made.flags().bits();
                    let path = item.path.clone();
                    ops.push(Op::OpenBelow { root: root(), path, flags, mode: *mode, into: into.clone() });
                    ops.push(Op::SendFd { fd: into.into(), what: Handed::Opened });
                }
            }
        }
        let mut opened = self.send(ops)?.into_iter();
        items
            .iter()
            .map(|item| match item.made {
                Made::File { .. } => opened.next().map(Some).ok_or(Errno::EIO),
                _ => Ok(None),
            })
            .collect()
    }

    /// Send an errand into the user namespace.
    fn send(&self, ops: Vec<Op>) -> nix::Result<Vec<OwnedFd>> {
        let Some(namespace) = &self.namespace else { return Err(Errno::EPERM) };
        let mut steps = self.way();
        steps.extend(ops.into_iter().map(step));
        errand(&self.image, &steps, &[(NAMESPACE, namespace.as_fd()), (ROOT, self.root.as_fd())])
    }

    /// How an errand gets into the user namespace, as the payload's user with every capability there.
    fn way(&self) -> Vec<Step> {
        let (uid, gid) = self.user;
        let groups = self.maps.as_ref().is_none_or(|maps| !maps.deny_setgroups).then(Vec::new);
        let ops = [
            Op::JoinNamespace { kind: "user", flag: libc::CLONE_NEWUSER, from: Fd::Passed(NAMESPACE.to_owned()) },
            Op::Undumpable,
            Op::ClearUmask,
            Op::KeepCapabilities,
            Op::SetIds { uid, gid, groups },
        ];
        ops.into_iter().map(step).collect()
    }
}

fn step(op: Op) -> Step {
    Step { op, origin: "files".to_owned() }
}

const NAMESPACE: &str = "user namespace";
const ROOT: &str = "root";

fn root() -> Fd {
    Fd::Passed(ROOT.to_owned())
}

fn slot(index: usize) -> Slot {
    Slot { id: u16::try_from(index).unwrap_or(u16::MAX), name: format!("file {index}") }
}

/// The root itself has a name, too.
fn dotted(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() }
}

fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlag, mode: u32) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .mode(Mode::from_bits_truncate(mode))
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(root, &dotted(path), how)
}
