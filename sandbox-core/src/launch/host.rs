//! Owns: carrying out those operations of a plan that the host does itself: detached mount trees, never attached to its
//! own mount namespace.
//! Must not: change the host's mount table, or know why an operation is there.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat, mknodat};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};

use crate::plan::{Fd, Op, Step, propagation_flags};
use crate::sys::{self, MountAttr};

/// The fds that operations make and use.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    pub fds: BTreeMap<u16, OwnedFd>,
}

/// What an operation may refer to besides slots.
pub(crate) struct Context<'a> {
    /// Slots of the tree that was prepared before.
    pub prepared: Option<&'a Slots>,
    /// Fds that the caller attached, by the name they travel under.
    pub passed: &'a BTreeMap<String, OwnedFd>,
    /// Who owns what is created: the sandbox's root, in ids of the host.
    pub owner: (u32, u32),
}

impl Slots {
    fn get<'s>(&'s self, fd: &Fd, context: &'s Context<'_>) -> nix::Result<BorrowedFd<'s>> {
        let found = match fd {
            Fd::Slot(slot) => self.fds.get(&slot.id).or_else(|| context.prepared?.fds.get(&slot.id)),
            Fd::Passed(name) => context.passed.get(name),
        };
        found.map(AsFd::as_fd).ok_or(Errno::EBADF)
    }

    /// Carry out one operation.
    pub fn carry_out(&mut self, step: &Step, context: &Context<'_>) -> nix::Result<()> {
        let made = match &step.op {
            Op::CloneTree { path, recursive, witness, into } => {
                let fd = sys::open_tree(sys::cwd(), &text(path)?, clone_flags(*recursive))?;
                if let Some(witness) = witness {
                    let stat = fstat(&fd)?;
                    if (stat.st_dev, stat.st_ino) != (witness.device, witness.inode) {
                        return Err(Errno::ESTALE);
                    }
                }
                Some((into, fd))
            }
            Op::CloneFd { from, recursive, into } => {
                let flags = clone_flags(*recursive) | libc::AT_EMPTY_PATH as u32;
                Some((into, sys::open_tree(self.get(from, context)?, c"", flags)?))
            }
            Op::CloneBelow { at, name, into } => {
                Some((into, sys::open_tree(self.get(at, context)?, &text(name)?, clone_flags(true))?))
            }
            Op::NewFileSystem { kind, options, attributes, into } => {
                let fs = sys::fsopen(&CString::new(*kind).map_err(|_| Errno::EINVAL)?)?;
                for (key, value) in options {
                    // A tmpfs made here belongs to the host's user namespace: ids in its options are the host's.
                    let value = match (*key, value) {
                        ("uid", _) => Some(context.owner.0.to_string()),
                        ("gid", _) => Some(context.owner.1.to_string()),
                        (_, value) => value.clone(),
                    };
                    let value = value.map(CString::new).transpose().map_err(|_| Errno::EINVAL)?;
                    sys::fsconfig_set(fs.as_fd(), &CString::new(*key).map_err(|_| Errno::EINVAL)?, value.as_deref())?;
                }
                sys::fsconfig_create(fs.as_fd())?;
                let mount = sys::fsmount(fs.as_fd(), attributes.bits())?;
                self.own(mount.as_fd(), Path::new(""), context)?;
                Some((into, mount))
            }
            Op::Resolve { root, path, directory, into } => {
                let kind = if *directory { OFlag::O_DIRECTORY } else { OFlag::empty() };
                let how = OpenHow::new()
                    .flags(OFlag::O_PATH | OFlag::O_CLOEXEC | kind)
                    .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
                Some((into, openat2(self.get(root, context)?, path.as_path(), how)?))
            }
            Op::ClaimUpper { upper, work, into } => Some((into, super::upper::claim(upper, work, context.owner)?)),
            _ => None,
        };
        match made {
            Some((into, fd)) => {
                self.fds.insert(into.id, fd);
                Ok(())
            }
            None => self.change(&step.op, context),
        }
    }

    /// The operations that make no fd.
    fn change(&self, op: &Op, context: &Context<'_>) -> nix::Result<()> {
        match op {
            Op::SetAttributes { mount, set, recursive } => {
                let attr = MountAttr { set: set.bits(), ..MountAttr::default() };
                sys::mount_setattr(self.get(mount, context)?, recursive_flag(*recursive), &attr)
            }
            Op::SetPropagation { mount, propagation, recursive } => {
                let attr = MountAttr { propagation: propagation_flags(*propagation), ..MountAttr::default() };
                sys::mount_setattr(self.get(mount, context)?, recursive_flag(*recursive), &attr)
            }
            Op::MakeDir { at, name, mode } => {
                let at = self.get(at, context)?;
                match mkdirat(at, name.as_path(), Mode::from_bits_truncate(*mode)) {
                    Ok(()) => self.own(at, name, context),
                    Err(Errno::EEXIST) => Ok(()),
                    Err(errno) => Err(errno),
                }
            }
            Op::MakeNode { at, name } => {
                let at = self.get(at, context)?;
                match mknodat(at, name.as_path(), SFlag::S_IFREG, Mode::from_bits_truncate(0o444), 0) {
                    Ok(()) => self.own(at, name, context),
                    Err(Errno::EEXIST) => Ok(()),
                    Err(errno) => Err(errno),
                }
            }
            Op::MakeFile { at, name, content, mode } => {
                let at = self.get(at, context)?;
                let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let file = openat(at, name.as_path(), flags, Mode::from_bits_truncate(0o600))?;
                super::image::write_all(&file, content)?;
                // The host's umask must not decide.
                nix::sys::stat::fchmod(&file, Mode::from_bits_truncate(*mode))?;
                self.own(at, name, context)
            }
            Op::MakeSymlink { at, name, text } => {
                let at = self.get(at, context)?;
                symlinkat(text.as_path(), at, name.as_path())?;
                self.own(at, name, context)
            }
            Op::Attach { mount, at, name } => {
                sys::move_mount(self.get(mount, context)?, self.get(at, context)?, &text(name)?)
            }
            // compile puts nothing else into the host's lists.
            _ => Err(Errno::ENOTSUP),
        }
    }

    fn own(&self, at: BorrowedFd<'_>, name: &Path, context: &Context<'_>) -> nix::Result<()> {
        let (uid, gid) = context.owner;
        let flags = if name.as_os_str().is_empty() { AtFlags::AT_EMPTY_PATH } else { AtFlags::AT_SYMLINK_NOFOLLOW };
        fchownat(at, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags)
    }
}

fn clone_flags(recursive: bool) -> u32 {
    sys::OPEN_TREE_CLONE | recursive_flag(recursive)
}

fn recursive_flag(recursive: bool) -> u32 {
    if recursive { sys::AT_RECURSIVE } else { 0 }
}

fn text(path: &Path) -> nix::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}
