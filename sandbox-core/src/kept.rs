//! Owns: a root with a writable layer, as the host reaches it while and after it is used: its changes, its layers, its end.
//! Must not: know how it was mounted, or how what is in it is compared (changes).
//! Start at: [`KeptRoot`].

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat};

use crate::changes::{self, Change, Ids, Lower};
use crate::dirfd::{Deputy, DirFd};
use crate::files::{Files, Reach};
use crate::idmap::IdMaps;
use crate::launch::{Handover, Image};
use crate::plan::Handed;
use crate::rootfs::StackedLayer;
use crate::settle::{Settled, TreeMode};
use crate::{Error, ErrorKind, Result, Stage, sys};

/// The way to a root's files, from what init has handed over. None: it has not.
pub(crate) fn reach(handed: &mut Handover, settled: &Settled, image: &Image) -> Option<Arc<Reach>> {
    let identity = &settled.spec.identity;
    Some(Arc::new(Reach {
        root: handed.fds.remove(&Handed::Root)?,
        namespace: handed.fds.remove(&Handed::UserNamespace),
        maps: settled.maps.clone(),
        user: (identity.uid, identity.gid),
        image: image.clone(),
    }))
}

/// What the host has of a root with a writable layer. It keeps the layer alive, and the directory of its changes locked.
#[derive(Debug)]
pub(crate) struct WrittenRoot {
    reach: Arc<Reach>,
    upper: OwnedFd,
    skeleton: OwnedFd,
    layers: Vec<StackedLayer>,
    maps: Option<IdMaps>,
    trees: TreeMode,
    _claims: Vec<OwnedFd>,
}

impl WrittenRoot {
    /// From what init has handed over. None: the root has no writable layer.
    pub fn new(reach: Arc<Reach>, handed: Handover, layers: &[StackedLayer], settled: &Settled) -> Option<Self> {
        let Handover { mut fds, claims } = handed;
        Some(Self {
            reach,
            upper: fds.remove(&Handed::Upper)?,
            skeleton: fds.remove(&Handed::Skeleton)?,
            layers: layers.to_vec(),
            maps: settled.maps.clone(),
            trees: settled.trees,
            _claims: claims,
        })
    }

    /// Whether the changes are in a directory of the host's.
    pub fn is_claimed(&self) -> bool {
        !self._claims.is_empty()
    }

    pub fn changes(&self) -> Result<Vec<Change>> {
        let stack = self.stack()?;
        changes::list(&stack.upper, &stack.lower, &stack.ids).map_err(|errno| match errno {
            Errno::E2BIG => failed("too many changes to list", errno).with_hint("commit them, and look at the layer"),
            _ => failed("could not list the changes", errno),
        })
    }

    pub fn commit(&self, target: &Path) -> Result<()> {
        let stack = self.stack()?;
        changes::commit(&stack.upper, &stack.lower, &stack.ids, target, stack.deputy.as_ref()).map_err(|errno| {
            let error = failed(&format!("could not commit the changes to {}", target.display()), errno)
                .with_subject(target.display().to_string());
            match errno {
                Errno::ENOTEMPTY | Errno::EEXIST => {
                    error.with_hint("a layer is written to a new or an empty directory")
                }
                Errno::ENOENT => error.with_hint("the directory itself is made, but not the one above it"),
                Errno::EOPNOTSUPP => error.with_hint(
                    "a layer needs a file system with user xattrs: ext4, xfs, btrfs, or tmpfs since Linux 6.6",
                ),
                Errno::EACCES | Errno::EPERM | Errno::EOVERFLOW if stack.deputy.is_some() => error.with_hint(
                    "the layer is written in the sandbox's user namespace: this process's own uid and gid must be among its ids (identity.uid_map, identity.gid_map)",
                ),
                Errno::EACCES => {
                    error.with_hint("this process may not write there, or may not read what the payload made")
                }
                _ => error,
            }
        })
    }

    /// The writable layer and those below, highest precedence first, without what is mounted in them. What belongs to
    /// subordinate ids is reached by a deputy, who sees the ids of the inside.
    fn stack(&self) -> Result<Stack> {
        let could_not = |errno| failed("could not read the layers", errno);
        let deputy =
            self.reach.deputy().map_err(|errno| failed("could not enter the sandbox's user namespace", errno))?;
        let ids = match (&self.maps, &deputy) {
            (Some(maps), None) => Ids::Mapped(maps.clone()),
            _ => Ids::Same,
        };
        let reached = |fd: nix::Result<OwnedFd>| fd.and_then(|fd| DirFd::new(fd, deputy.as_ref()));
        let copy = |fd: &OwnedFd| reached(fd.try_clone().map_err(|_| Errno::EMFILE)).map_err(could_not);
        let mut lower = Vec::with_capacity(self.layers.len() + 1);
        for layer in &self.layers {
            let path = layer.path.as_path();
            let root = reached(self.open(layer)).map_err(|errno| {
                let error = failed(&format!("cannot use the layer {}", path.display()), errno)
                    .with_subject(path.display().to_string());
                if errno == Errno::ESTALE {
                    error.with_hint("it was exchanged since the sandbox was built")
                } else {
                    error
                }
            })?;
            lower.push(Lower { root, ids: if layer.mapped { Ids::Same } else { ids.clone() } });
        }
        lower.push(Lower { root: copy(&self.skeleton)?, ids: ids.clone() });
        Ok(Stack { upper: copy(&self.upper)?, lower, ids, deputy })
    }

    fn open(&self, layer: &StackedLayer) -> nix::Result<OwnedFd> {
        let path = layer.path.as_path();
        let fd = if self.trees == TreeMode::InitClones {
            open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?
        } else {
            let text = std::ffi::CString::new(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
                .map_err(|_| Errno::EINVAL)?;
            sys::open_tree(sys::cwd(), &text, sys::OPEN_TREE_CLONE)?
        };
        let stat = fstat(&fd)?;
        match layer.witness {
            Some(witness) if (witness.device, witness.inode) != (stat.st_dev, stat.st_ino) => Err(Errno::ESTALE),
            _ => Ok(fd),
        }
    }
}

/// Layers as they are compared.
struct Stack {
    upper: DirFd,
    lower: Vec<Lower>,
    ids: Ids,
    deputy: Option<Arc<dyn Deputy>>,
}

fn failed(message: &str, errno: Errno) -> Error {
    Error::new(ErrorKind::Files, Stage::Supervise, message).with_errno(errno as i32)
}

/// The changed root of a sandbox that has ended, kept. It holds the changes in memory, or the lock on their directory,
/// until it is closed or dropped.
#[derive(Debug, Clone)]
#[must_use = "it keeps the changes in memory until it is closed"]
pub struct KeptRoot(Arc<WrittenRoot>);

impl KeptRoot {
    pub(crate) fn new(root: WrittenRoot) -> Self {
        Self(Arc::new(root))
    }

    /// What differs from the layers below, sorted by path.
    ///
    /// # Errors
    /// Kind `files`: a layer is gone or was exchanged, or can't be read.
    pub fn changes(&self) -> Result<Vec<Change>> {
        self.0.changes()
    }

    /// Writes the changes to `directory` as a layer, which `Rootfs::layers` takes above the layers they were made on. The
    /// directory must be new or empty. It appears as a whole, or not at all.
    ///
    /// On a privileged host files get the owners they have inside: what belongs to the sandbox's root belongs to root, with
    /// set-user-ID bits if it has any. Keep layers where only root can enter. On an unprivileged host whose sandbox has a range
    /// of subordinate ids they keep the owners they have outside, so that the layer is for sandboxes with the same maps.
    ///
    /// # Errors
    /// As [`changes`](Self::changes), and whatever keeps the directory from being written.
    pub fn commit(&self, directory: impl AsRef<Path>) -> Result<()> {
        self.0.commit(directory.as_ref())
    }

    /// The files of the root, as the payload saw them last. What was mounted in it is gone: `/tmp`, your binds.
    pub fn files(&self) -> Files {
        Files::new(Arc::clone(&self.0.reach))
    }

    /// Lets go of it. Dropping the last copy does the same.
    ///
    /// # Errors
    /// None so far: for callers that may not rely on drop.
    pub fn close(self) -> Result<()> {
        drop(self);
        Ok(())
    }
}
