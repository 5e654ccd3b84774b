//! Owns: assembling one root out of mounts: in which order, by whom, and who clones a mount's source.
//! Must not: know what the default mounts are, or what a system root contains.
//! Start at: [`Tree`].
//!
//! Two phases. What can be shared by every start (`Base`) is put together by the host once and cloned; what must be
//! fresh (`Launch`) is mounted by PID 1. On hosts that can't clone a detached tree everything is `Launch`.

mod dev;
mod overlay;
mod places;
mod proc;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::plan::{Attributes, Fd, Op, ROOT, Slot, Step, Witness};
use crate::settle::{Settled, TreeMode};
use crate::spec::{BindSource, Mount, MountKind, Namespace, Propagation, RootKind};
use crate::{Error, Result};

use super::facts::{Facts, Source};
use super::{RootSteps, contents};
use places::{Region, nothing_created};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Base,
    Launch,
}

pub(super) struct Tree<'a> {
    pub settled: &'a Settled,
    pub facts: &'a Facts,
    mounts: &'a [Mount],
    steps: RootSteps,
    slots: u16,
    regions: Vec<Region>,
    /// Targets of the mounts that are made at launch.
    late: Vec<PathBuf>,
    dirs: BTreeMap<(Phase, PathBuf), Fd>,
    /// A second mount of the root's own file system, of the host's alone, through which its files are written.
    root_files: Option<Fd>,
    /// Symbolic links that were made with the mount points: positions in `mounts`.
    linked: BTreeSet<usize>,
    /// The tmpfs of each executor that holds files mounted over existing ones.
    staging: BTreeMap<Phase, Fd>,
    /// Mounts whose propagation differs from that of the root, which is set last, and the keys that ask for it.
    apart: Vec<(Fd, Propagation, String)>,
    /// What a root of ours contains of the host, while the overlay it goes on is not there yet.
    waiting: Vec<(Fd, PathBuf, bool)>,
    /// How many overlays there are so far.
    stacks: usize,
    /// Something is to receive what the host mounts later: clones stay slaves until they are set otherwise.
    follows: bool,
    /// PID 1 is born in a copy of the standing namespace: the root is there.
    stands: bool,
    /// The root, in PID 1, where the host has prepared it.
    launched: Fd,
}

impl<'a> Tree<'a> {
    pub fn new(settled: &'a Settled, facts: &'a Facts, mounts: &'a [Mount], first_slot: u16, stands: bool) -> Self {
        Self {
            settled,
            facts,
            mounts,
            steps: RootSteps::default(),
            slots: first_slot,
            regions: Vec::new(),
            late: Vec::new(),
            dirs: BTreeMap::new(),
            root_files: None,
            linked: BTreeSet::new(),
            staging: BTreeMap::new(),
            apart: Vec::new(),
            waiting: Vec::new(),
            stacks: 0,
            follows: follows_host(settled),
            stands,
            launched: Fd::Passed(ROOT.to_owned()),
        }
    }

    pub fn into_steps(self) -> RootSteps {
        self.steps
    }

    // -- small words --------------------------------------------------------------------------------------------------

    pub fn slot(&mut self, name: impl Into<String>) -> Slot {
        self.slots += 1;
        Slot { id: self.slots, name: name.into() }
    }

    pub fn push(&mut self, phase: Phase, op: Op, origin: &str) {
        let steps = if phase == Phase::Base { &mut self.steps.prepared } else { &mut self.steps.init };
        steps.push(Step { op, origin: origin.to_owned() });
    }

    fn prepares(&self) -> bool {
        self.settled.trees == TreeMode::Prepared
    }

    fn first_phase(&self) -> Phase {
        if self.prepares() { Phase::Base } else { Phase::Launch }
    }

    fn root(&self, phase: Phase) -> Fd {
        match &self.regions[0].fd {
            Some(fd) if phase == self.regions[0].phase => fd.clone(),
            _ => self.launched.clone(),
        }
    }

    /// A detached clone of a source, made by whoever has the embedder's credentials in this mode.
    pub fn clone_source(
        &mut self,
        phase: Phase,
        path: &Path,
        recursive: bool,
        witness: Option<Witness>,
        origin: &str,
    ) -> Fd {
        let into = self.slot(path.display().to_string());
        let op = Op::CloneTree { path: path.to_owned(), recursive, witness, into: into.clone() };
        self.cloned(phase, op, into, origin)
    }

    /// A clone made outside of PID 1, cut off from what it was cloned from before anything is mounted in it: attaching
    /// to a clone that shares propagation with the host's mount would mount on the host.
    fn cloned(&mut self, phase: Phase, op: Op, mut into: Slot, origin: &str) -> Fd {
        let by_host = match self.settled.trees {
            TreeMode::Prepared => phase == Phase::Launch,
            TreeMode::HostClones => true,
            TreeMode::InitClones => false,
        };
        let mut op = op;
        if by_host {
            into.name = format!("{}#{}", into.name, into.id);
            if let Op::CloneTree { into: slot, .. } | Op::CloneFd { into: slot, .. } = &mut op {
                *slot = into.clone();
            }
            self.steps.passed.push(into.name.clone());
        }
        let steps = match self.settled.trees {
            _ if by_host => &mut self.steps.host,
            TreeMode::InitClones => &mut self.steps.keeper,
            _ => &mut self.steps.prepared,
        };
        steps.push(Step { op, origin: origin.to_owned() });
        let propagation = if self.follows { Propagation::Slave } else { Propagation::Private };
        if self.settled.trees != TreeMode::InitClones {
            let op = Op::SetPropagation { mount: into.clone().into(), propagation, recursive: true };
            steps.push(Step { op, origin: origin.to_owned() });
        }
        if by_host { Fd::Passed(into.name) } else { into.into() }
    }

    fn new_file_system(
        &mut self,
        phase: Phase,
        kind: &'static str,
        options: Vec<(&'static str, Option<String>)>,
        attributes: Attributes,
        name: &str,
        origin: &str,
    ) -> Fd {
        let into = self.slot(name);
        self.push(phase, Op::NewFileSystem { kind, options, attributes, into: into.clone() }, origin);
        into.into()
    }

    // -- the base -----------------------------------------------------------------------------------------------------

    /// The first region: the root itself, read-only, with every mount point it needs.
    pub fn base(&mut self) -> Result<()> {
        if self.settled.spec.has_stacked_root() {
            return self.stacked_base();
        }
        let phase = self.first_phase();
        let attributes = Attributes { read_only: true, nosuid: true, nodev: true, noexec: false, atime: 0 };
        let staged = |mount: &Mount| match mount.kind {
            MountKind::File { .. } => phase == Phase::Launch,
            MountKind::Overlay { .. } => true,
            _ => false,
        };
        if self.mounts.iter().any(staged) {
            // Only an attached mount can be cloned before Linux 6.15, or be a layer of an overlay: below the new root it
            // is out of the way and goes with the old one.
            let root = self.staging(Phase::Launch);
            self.push(Phase::Launch, Op::EnterRoot { root }, "default");
        }
        let (root, ours) = match &self.settled.spec.rootfs.kind {
            RootKind::Dir(path) => {
                let witness = self.facts.sources.get(path).map(|source| source.witness);
                (self.clone_source(phase, path.as_path(), true, witness, "rootfs.path"), false)
            }
            RootKind::Host => (self.clone_source(phase, Path::new("/"), true, None, "rootfs.kind"), false),
            RootKind::System | RootKind::Empty | RootKind::Layers(_) => {
                let writable = Attributes { read_only: false, ..attributes };
                let options = vec![
                    ("mode", Some("755".to_owned())),
                    ("size", Some("4m".to_owned())),
                    ("nr_inodes", Some("4096".to_owned())),
                ];
                let fresh = self.new_file_system(phase, "tmpfs", options, writable, ROOT, "rootfs.kind");
                (if phase == Phase::Base { self.clone_for_files(fresh) } else { fresh }, true)
            }
        };
        self.regions.push(Region { path: PathBuf::from("/"), ours, sealed: true, phase, fd: Some(root.clone()) });
        if phase == Phase::Launch {
            self.push(phase, Op::EnterRoot { root: root.clone() }, "rootfs.kind");
        }
        match self.settled.spec.rootfs.kind {
            RootKind::System => contents::system(self, phase)?,
            RootKind::Empty => contents::skeleton(self, phase)?,
            _ => {}
        }
        self.mount_points(0)?;
        self.push(phase, Op::SetAttributes { mount: root.clone(), set: attributes, recursive: true }, "rootfs.kind");
        let propagation = self.settled.spec.rootfs.propagation;
        if !of_one_start(propagation) && (self.follows || propagation != Propagation::Private) {
            self.push(phase, Op::SetPropagation { mount: root, propagation, recursive: true }, "rootfs.propagation");
        }
        if phase == Phase::Base {
            self.launch_in_prepared();
        }
        Ok(())
    }

    /// How PID 1 comes to the root that is prepared.
    fn launch_in_prepared(&mut self) {
        let into = self.slot(ROOT);
        let op = Op::CloneFd { from: self.root(Phase::Base), recursive: true, into };
        let clone = Step { op, origin: "rootfs.kind".to_owned() };
        self.steps.tree = Some(clone.clone());
        if self.stands {
            let into = self.slot(ROOT);
            self.launched = into.clone().into();
            self.push(Phase::Launch, Op::OpenRoot { into }, "rootfs.kind");
            return;
        }
        self.steps.passed.push(ROOT.to_owned());
        self.steps.host.push(clone);
        self.push(Phase::Launch, Op::EnterRoot { root: self.launched.clone() }, "rootfs.kind");
    }

    /// The root is another mount of the file system in `files` than the one its files are written through. A mount that
    /// has a file open for writing can't become read-only (EBUSY), and a process that another thread of the host has
    /// just forked holds a copy of every open file, close-on-exec or not.
    fn clone_for_files(&mut self, files: Fd) -> Fd {
        let into = self.slot(ROOT);
        let op = Op::CloneFd { from: files.clone(), recursive: false, into: into.clone() };
        self.push(Phase::Base, op, "rootfs.kind");
        self.root_files = Some(files);
        into.into()
    }

    /// A file in the root's own file system, which is still writable.
    pub fn root_file(&mut self, phase: Phase, path: &Path, content: Vec<u8>, origin: &str) -> Result<()> {
        let (at, name) = self.parent(phase, 0, path, origin)?;
        let (at, name) = match &self.root_files {
            Some(files) => (files.clone(), path.strip_prefix("/").unwrap_or(path).to_owned()),
            None => (at, name),
        };
        self.push(phase, Op::MakeFile { at, name, content, mode: 0o644 }, origin);
        Ok(())
    }

    fn source(&self, source: &BindSource) -> Option<&'a Source> {
        match source {
            BindSource::Path(path) => self.facts.sources.get(path),
            BindSource::Fd(name) => self.facts.fds.get(name),
        }
    }

    // -- mounts -------------------------------------------------------------------------------------------------------

    /// Whether a mount can be part of the tree that is made once.
    fn phase_of(&self, mount: &Mount) -> Phase {
        let shared = match &mount.kind {
            MountKind::Bind { source: BindSource::Path(_), .. } => !mount.idmap,
            MountKind::Dev | MountKind::File { .. } | MountKind::Symlink { .. } => true,
            _ => false,
        };
        let root = self.settled.spec.rootfs.propagation;
        let of_its_own = mount.propagation.is_some_and(|own| of_one_start(own) || of_one_start(root));
        let shared = shared && !of_its_own;
        let target = mount.target.as_path();
        let apart = self.late.iter().all(|late| !target.starts_with(late) && !late.starts_with(target));
        if shared && apart { self.first_phase() } else { Phase::Launch }
    }

    pub fn mount(&mut self, index: usize) -> Result<()> {
        let mount = &self.mounts[index];
        let phase = self.phase_of(mount);
        if phase == Phase::Launch {
            self.late.push(mount.target.as_path().to_owned());
        }
        let attributes = Attributes {
            read_only: mount.read_only,
            nosuid: mount.nosuid,
            nodev: mount.nodev,
            noexec: mount.noexec,
            atime: 0,
        };
        let origin = mount.origin.as_str();
        match &mount.kind {
            MountKind::Bind { source, recursive } => {
                let fd = self.bind_source(phase, source, *recursive, origin)?;
                if mount.idmap {
                    self.steps.idmapped.push((fd.clone(), format!("{origin}.idmap")));
                }
                if attributes != Attributes::default() {
                    self.push(phase, Op::SetAttributes { mount: fd.clone(), set: attributes, recursive: true }, origin);
                }
                self.attach(phase, mount, fd, false)
            }
            MountKind::Tmpfs { size, inodes, mode } => {
                let identity = &self.settled.spec.identity;
                let mut options = vec![
                    ("mode", Some(format!("{mode:o}"))),
                    ("size", Some(size.to_string())),
                    ("nr_inodes", Some(inodes.to_string())),
                ];
                // Directories that not everybody may write to belong to the payload.
                if mode & 0o002 == 0 {
                    options.push(("uid", Some(identity.uid.to_string())));
                    options.push(("gid", Some(identity.gid.to_string())));
                }
                let writable = Attributes { read_only: false, ..attributes };
                if !attributes.read_only && self.mount_at(phase, mount, "tmpfs", &options, writable) {
                    return Ok(());
                }
                let fd = self.new_file_system(phase, "tmpfs", options, writable, &display(mount), origin);
                self.attach(phase, mount, fd.clone(), true)?;
                self.seal_last(attributes.read_only);
                self.mount_points(self.regions.len() - 1)?;
                if attributes.read_only {
                    self.push(phase, Op::SetAttributes { mount: fd, set: attributes, recursive: false }, origin);
                }
                Ok(())
            }
            MountKind::Proc { masked, readonly } => {
                let masked: Vec<PathBuf> = masked.iter().map(|path| path.as_path().to_owned()).collect();
                let readonly: Vec<PathBuf> = readonly.iter().map(|path| path.as_path().to_owned()).collect();
                self.proc(phase, mount, attributes, &masked, &readonly)
            }
            MountKind::Sysfs => {
                let set = Attributes { read_only: true, nosuid: true, nodev: true, noexec: true, atime: 0 };
                let fd = if self.settled.spec.network == Namespace::New {
                    self.new_file_system(phase, "sysfs", Vec::new(), set, "sysfs", origin)
                } else {
                    let fd = self.clone_source(phase, Path::new("/sys"), true, None, origin);
                    self.push(phase, Op::SetAttributes { mount: fd.clone(), set, recursive: true }, origin);
                    fd
                };
                self.attach(phase, mount, fd, false)
            }
            MountKind::Devpts => {
                let mut options = vec![
                    ("newinstance", None),
                    ("ptmxmode", Some("0666".to_owned())),
                    ("mode", Some("0620".to_owned())),
                ];
                const TTY: u32 = 5;
                let mapped = |maps: &crate::idmap::IdMaps| crate::idmap::to_outside(&maps.gid, TTY).is_some();
                // What a joined user namespace maps is not known.
                let unmapped = self.settled.spec.namespaces.user == Namespace::Host;
                if self.settled.maps.as_ref().map_or(unmapped, mapped) {
                    options.push(("gid", Some(TTY.to_string())));
                }
                let set = Attributes { read_only: false, nosuid: true, nodev: false, noexec: true, atime: 0 };
                self.fresh(phase, mount, "devpts", options, set)
            }
            MountKind::Mqueue => {
                let set = Attributes { read_only: false, nosuid: true, nodev: true, noexec: true, atime: 0 };
                self.fresh(phase, mount, "mqueue", Vec::new(), set)
            }
            MountKind::Dev => self.dev(phase, mount),
            MountKind::Symlink { .. } if self.linked.contains(&index) => Ok(()),
            MountKind::Symlink { .. } => Err(nothing_created(mount)),
            MountKind::File { content, mode } => self.file(phase, mount, content, *mode, attributes),
            MountKind::Overlay { lower, upper } => self.overlay(mount, lower, upper.as_ref(), attributes),
        }
    }

    fn bind_source(&mut self, phase: Phase, source: &BindSource, recursive: bool, origin: &str) -> Result<Fd> {
        let key = format!("{origin}.source");
        let Some(found) = self.source(source) else {
            return Err(Error::unsupported(key, "no fd of this name was attached")
                .with_hint("attach it with `fd(name, fd)` when the payload is started"));
        };
        match source {
            BindSource::Path(path) => {
                Ok(self.clone_source(phase, path.as_path(), recursive, Some(found.witness), &key))
            }
            BindSource::Fd(name) if self.settled.trees != TreeMode::InitClones => {
                let into = self.slot(name);
                let from = Fd::Passed(crate::fds::declared(name));
                Ok(self.cloned(Phase::Launch, Op::CloneFd { from, recursive, into: into.clone() }, into, &key))
            }
            // A mount of another namespace can't be cloned by its fd; its path can, with the fd's inode as the witness.
            BindSource::Fd(_) => {
                Ok(self.clone_source(phase, &found.path.clone(), recursive, Some(found.witness), &key))
            }
        }
    }

    /// A new file system in which nothing is mounted.
    fn fresh(
        &mut self,
        phase: Phase,
        mount: &Mount,
        kind: &'static str,
        options: Vec<(&'static str, Option<String>)>,
        attributes: Attributes,
    ) -> Result<()> {
        if self.mount_at(phase, mount, kind, &options, attributes) {
            return Ok(());
        }
        let fd = self.new_file_system(phase, kind, options, attributes, kind, &mount.origin);
        self.attach(phase, mount, fd, false)
    }

    /// Mount a new file system in one call, if nothing else is to be done to it: it lands at a name, nothing is mounted in it,
    /// and its propagation is that of the root. False: it was not.
    fn mount_at(
        &mut self,
        phase: Phase,
        mount: &Mount,
        kind: &'static str,
        options: &[(&'static str, Option<String>)],
        attributes: Attributes,
    ) -> bool {
        let Some((at, name)) = self.plain_place(phase, mount) else { return false };
        self.push(phase, Op::MountAt { kind, options: options.to_vec(), attributes, at, name }, &mount.origin);
        self.cover(phase, mount.target.as_path(), false, None);
        true
    }

    /// Attach at the mount's target, which is now a region of its own.
    fn attach(&mut self, phase: Phase, mount: &Mount, fd: Fd, ours: bool) -> Result<()> {
        let (at, name) = self.landing(phase, mount);
        self.propagate(phase, mount, &fd);
        self.push(phase, Op::Attach { mount: fd.clone(), at, name }, &mount.origin);
        self.cover(phase, mount.target.as_path(), ours, Some(fd));
        Ok(())
    }

    fn propagate(&mut self, phase: Phase, mount: &Mount, fd: &Fd) {
        let root = self.settled.spec.rootfs.propagation;
        if of_one_start(root) {
            let origin = format!("{}.propagation", mount.origin);
            self.apart.extend(mount.propagation.map(|propagation| (fd.clone(), propagation, origin)));
            return;
        }
        let wanted = mount.propagation.unwrap_or(root);
        if let Some(propagation) = Some(wanted).filter(|&wanted| self.follows || wanted != Propagation::Private) {
            let origin = format!("{}.propagation", mount.origin);
            self.push(phase, Op::SetPropagation { mount: fd.clone(), propagation, recursive: true }, &origin);
        }
    }

    /// A file of ours: created in a file system of ours, else mounted over the one that is there.
    fn file(&mut self, phase: Phase, mount: &Mount, content: &[u8], mode: u32, attributes: Attributes) -> Result<()> {
        let origin = mount.origin.as_str();
        let index = self.region_of(mount.target.as_path());
        let region = &self.regions[index];
        if region.ours && region.phase == phase && !region.sealed {
            let (at, name) = self.parent(phase, index, mount.target.as_path(), origin)?;
            self.push(phase, Op::MakeFile { at, name, content: content.to_vec(), mode }, origin);
            self.foreign(mount.target.as_path(), phase);
            return Ok(());
        }
        let staging = self.staging(phase);
        let name = PathBuf::from(format!("file{}", self.slots));
        self.push(
            phase,
            Op::MakeFile { at: staging.clone(), name: name.clone(), content: content.to_vec(), mode },
            origin,
        );
        let into = self.slot(display(mount));
        self.push(phase, Op::CloneBelow { at: staging, name, into: into.clone() }, origin);
        self.push(phase, Op::SetAttributes { mount: into.clone().into(), set: attributes, recursive: false }, origin);
        self.attach(phase, mount, into.into(), false)
    }

    fn staging(&mut self, phase: Phase) -> Fd {
        if let Some(fd) = self.staging.get(&phase) {
            return fd.clone();
        }
        let options = vec![("mode", Some("755".to_owned()))];
        let set = Attributes { read_only: false, nosuid: true, nodev: true, noexec: false, atime: 0 };
        let fd = self.new_file_system(phase, "tmpfs", options, set, "files", "default");
        self.staging.insert(phase, fd.clone());
        fd
    }

    // -- the end ------------------------------------------------------------------------------------------------------

    /// Everything is mounted: the propagation of the whole, and in.
    pub fn pivot(&mut self) {
        if self.stands {
            return;
        }
        let root = self.root(Phase::Launch);
        let entered = |step: &&Step| matches!(step.op, Op::EnterRoot { .. });
        let over = self.steps.init.iter().filter(entered).count() as u8;
        self.steps.root = Some(root.clone());
        self.push(Phase::Launch, Op::PivotRoot { root: root.clone(), over }, "rootfs.kind");
        let propagation = self.settled.spec.rootfs.propagation;
        if of_one_start(propagation) {
            // pivot_root refuses a shared root.
            let op = Op::SetPropagation { mount: root, propagation, recursive: true };
            self.push(Phase::Launch, op, "rootfs.propagation");
            for (mount, propagation, origin) in std::mem::take(&mut self.apart) {
                self.push(Phase::Launch, Op::SetPropagation { mount, propagation, recursive: true }, &origin);
            }
        }
    }
}

/// What the tree that is made once can't have: clones of a shared mount are its peers, so that every start would see the
/// mounts of all others; an unbindable one can't be cloned.
fn of_one_start(propagation: Propagation) -> bool {
    matches!(propagation, Propagation::Shared | Propagation::Unbindable)
}

/// Whether anything of the sandbox is to receive what the host mounts later.
pub(crate) fn follows_host(settled: &Settled) -> bool {
    let follows = |propagation: Propagation| matches!(propagation, Propagation::Slave | Propagation::Shared);
    let spec = &settled.spec;
    follows(spec.rootfs.propagation) || spec.mounts.iter().any(|mount| mount.propagation.is_some_and(follows))
}

fn display(mount: &Mount) -> String {
    mount.target.as_path().display().to_string()
}
