//! Owns: where a mount lands: which file system its target is in by then, who makes its mount point, by which fd and name it is reached.
//! Must not: mount anything.
//! Start at: [`Tree::landing`].
//!
//! A mount point is created only in a file system of ours: the skeleton or a tmpfs. Everywhere else the target is
//! resolved (`RESOLVE_IN_ROOT`) and must be there; so nothing is ever created on a host file system.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::plan::{Fd, Op};
use crate::spec::{Mount, MountKind, Propagation};
use crate::{Error, Result};

use super::{Phase, Tree};

/// A place of the root with a file system of its own.
pub(super) struct Region {
    pub path: PathBuf,
    /// Ours and fresh: mount points may be made here, and no symlink in it is a stranger's.
    pub ours: bool,
    /// Read-only as soon as its mount points are there.
    pub sealed: bool,
    pub phase: Phase,
    pub fd: Option<Fd>,
}

impl Tree<'_> {
    /// A place that something covers and nothing may be created in.
    pub fn foreign(&mut self, path: &Path, phase: Phase) {
        self.regions.push(Region { path: path.to_owned(), ours: false, sealed: false, phase, fd: None });
    }

    pub(super) fn seal_last(&mut self, sealed: bool) {
        if let Some(region) = self.regions.last_mut() {
            region.sealed = sealed;
        }
    }

    /// The index of the innermost region so far that `path` lies in.
    pub(super) fn region_of(&self, path: &Path) -> usize {
        let mut best = 0;
        for (index, region) in self.regions.iter().enumerate() {
            if path.starts_with(&region.path) && path != region.path {
                // Of two at the same place the later one is on top.
                if region.path.starts_with(&self.regions[best].path) {
                    best = index;
                }
            }
        }
        best
    }

    /// Make the mount points of all mounts still to come that lie in region `index`, which is writable right now.
    pub(super) fn mount_points(&mut self, index: usize) -> Result<()> {
        if !self.regions[index].ours {
            return Ok(());
        }
        let mounts = self.mounts;
        let region = self.regions[index].path.clone();
        for (position, mount) in mounts.iter().enumerate() {
            let target = mount.target.as_path();
            let inside = target.starts_with(&region) && target != region && self.region_of(target) == index;
            // An earlier mount that is still to come may cover it: then it is that one's to make.
            let covered = mounts[..position].iter().any(|other| {
                let other = other.target.as_path();
                target.starts_with(other) && target != other && other.starts_with(&region) && other != region
            });
            // A file is created in its turn, unless its place is sealed by then: it is mounted over an empty one there.
            let later = matches!(mount.kind, MountKind::File { .. }) && !self.regions[index].sealed;
            // In the lowest layer of a stack a link would only show where no other layer has anything.
            let hidden = index == 0 && self.has_strangers() && matches!(mount.kind, MountKind::Symlink { .. });
            if !inside || covered || later || hidden {
                continue;
            }
            let phase = self.regions[index].phase;
            let (at, name) = self.parent(phase, index, target, &mount.origin)?;
            let op = match &mount.kind {
                // Here and now: the region may be sealed before its turn comes.
                MountKind::Symlink { text } => Op::MakeSymlink { at, name, text: OsStr::from_bytes(text).into() },
                _ if self.is_directory(mount) => Op::MakeDir { at, name, mode: 0o755 },
                _ => Op::MakeNode { at, name },
            };
            self.push(phase, op, &mount.origin);
            if matches!(mount.kind, MountKind::Symlink { .. }) {
                self.linked.insert(position);
                self.foreign(target, phase);
            }
        }
        Ok(())
    }

    fn is_directory(&self, mount: &Mount) -> bool {
        match &mount.kind {
            MountKind::Bind { source, .. } => self.source(source).is_none_or(|source| source.directory),
            MountKind::File { .. } | MountKind::Symlink { .. } => false,
            _ => true,
        }
    }

    /// The directory above `path`, made if need be, and the last component. Only inside region `index`, which is ours.
    pub fn parent(&mut self, phase: Phase, index: usize, path: &Path, origin: &str) -> Result<(Fd, PathBuf)> {
        let name = PathBuf::from(path.file_name().unwrap_or_default());
        let above = path.parent().unwrap_or(Path::new("/")).to_owned();
        Ok((self.directory(phase, index, &above, origin)?, name))
    }

    fn directory(&mut self, phase: Phase, index: usize, path: &Path, origin: &str) -> Result<Fd> {
        if path == self.regions[index].path
            && let Some(fd) = &self.regions[index].fd
        {
            return Ok(fd.clone());
        }
        if let Some(fd) = self.dirs.get(&(phase, path.to_owned())) {
            return Ok(fd.clone());
        }
        if path != self.regions[index].path {
            let (at, name) = self.parent(phase, index, path, origin)?;
            self.push(phase, Op::MakeDir { at, name, mode: 0o755 }, origin);
        }
        let into = self.slot(path.display().to_string());
        let region = &self.regions[index];
        // Inside a region of ours no link leads out of it, so that its own fd is as good as the root's; and it need not
        // be attached yet.
        let (root, base) = match &region.fd {
            Some(fd) => (fd.clone(), region.path.clone()),
            None => (self.root(phase), PathBuf::from("/")),
        };
        let relative = path.strip_prefix(&base).unwrap_or(path).to_owned();
        self.push(phase, Op::Resolve { root, path: relative, directory: true, into: into.clone() }, origin);
        let fd = Fd::from(into);
        self.dirs.insert((phase, path.to_owned()), fd.clone());
        Ok(fd)
    }

    pub(super) fn resolve(&mut self, phase: Phase, path: &Path, directory: bool, origin: &str) -> Fd {
        let into = self.slot(path.display().to_string());
        let relative = path.strip_prefix("/").unwrap_or(path).to_owned();
        let root = self.root(phase);
        self.push(phase, Op::Resolve { root, path: relative, directory, into: into.clone() }, origin);
        into.into()
    }

    /// Where a mount lands to which nothing else is to be done.
    pub(super) fn plain_place(&self, phase: Phase, mount: &Mount) -> Option<(Fd, PathBuf)> {
        let target = mount.target.as_path();
        let inside = |other: &Mount| other.target != mount.target && other.target.as_path().starts_with(target);
        let plain = phase == Phase::Launch
            && self.settled.spec.rootfs.propagation == Propagation::Private
            && mount.propagation.is_none()
            && !self.follows
            && !self.mounts.iter().any(inside);
        self.named(phase, target).filter(|_| plain)
    }

    /// Where a mount is attached: by name in a region of ours, else by an fd of the resolved target.
    pub(super) fn landing(&mut self, phase: Phase, mount: &Mount) -> (Fd, PathBuf) {
        let target = mount.target.as_path();
        self.named(phase, target).unwrap_or_else(|| {
            let origin = format!("{}.target", mount.origin);
            (self.resolve(phase, target, self.is_directory(mount), &origin), PathBuf::new())
        })
    }

    /// A mount point by its name below an fd, where no symlink can lead it astray: directly in a region of ours, which is the
    /// root or directly in a root of ours.
    fn named(&self, phase: Phase, target: &Path) -> Option<(Fd, PathBuf)> {
        const ROOT: &str = "/";
        let region = &self.regions[self.region_of(target)];
        if !region.ours || target.parent() != Some(region.path.as_path()) {
            return None;
        }
        let from_root = || Some((self.root(phase), target.strip_prefix(ROOT).ok()?.to_owned()));
        if region.path == Path::new(ROOT) {
            return from_root();
        }
        match region.fd.clone().filter(|_| region.phase == phase) {
            Some(fd) => Some((fd, PathBuf::from(target.file_name()?))),
            None if self.regions[0].ours && region.path.parent() == Some(Path::new(ROOT)) => from_root(),
            None => None,
        }
    }

    /// What is at `path` from here on.
    pub(super) fn cover(&mut self, phase: Phase, path: &Path, ours: bool, fd: Option<Fd>) {
        self.dirs.retain(|(_, known), _| !known.starts_with(path));
        self.regions.push(Region { path: path.to_owned(), ours, sealed: false, phase, fd });
    }
}

pub(super) fn nothing_created(mount: &Mount) -> Error {
    let target = mount.target.as_path().display();
    Error::unsupported(
        format!("{}.target", mount.origin),
        format!("{target} lies in a file system of the host's, where nothing is created"),
    )
    .with_hint("put it below a tmpfs, or into the root directory itself")
}
