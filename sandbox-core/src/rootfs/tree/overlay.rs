//! Owns: stacking layers: how they get short names in one place, whose ids they have, where changes go.
//! Must not: know how an overlay is mounted (plan/lower), or read what was changed (changes).
//! Start at: [`Tree::stacked_base`].
//!
//! PID 1 mounts every overlay, in the sandbox's user namespace. Its layers are attached under short names below the
//! staging tmpfs, which goes with the old root. Below all other layers of a root lies a small tmpfs of our own, the
//! *skeleton*, with the mount points: so nothing of ours is ever written to the layer that keeps the changes.

use std::path::{Path, PathBuf};

use crate::idmap::{MapWriter, to_inside};
use crate::plan::{Attributes, Fd, Handed, Op, ROOT, Slot, Step, Witness};
use crate::settle::TreeMode;
use crate::spec::{HostPath, Mount, Overlay, OverlayUpper, Propagation, RootKind};
use crate::{Error, Result};

use super::super::{StackedLayer, contents};
use super::places::Region;
use super::{Phase, Tree, of_one_start};

const PHASE: Phase = Phase::Launch;
const WRITABLE: Attributes = Attributes { read_only: false, nosuid: true, nodev: true, noexec: false, atime: 0 };

/// What overlayfs takes (`OVL_MAX_STACK`).
const MOST_LAYERS: usize = 500;

/// How many layers can travel one by one: a message carries 253 fds, and streams, devices and mounts need some.
const MOST_PASSED: usize = 190;

/// A directory that becomes a layer.
struct Layer<'a> {
    path: &'a Path,
    origin: String,
    witness: Option<Witness>,
    owner: (u32, u32),
    mode: u32,
}

/// A stack, and what is left to reach it by.
struct Stack {
    mount: Fd,
    upper: Option<Fd>,
}

impl Tree<'_> {
    /// Whether the root shows files that are not ours.
    pub(super) fn has_strangers(&self) -> bool {
        matches!(self.settled.spec.rootfs.kind, RootKind::Dir(_) | RootKind::Layers(_) | RootKind::Host)
    }

    /// The first region where the root is an overlay.
    pub(super) fn stacked_base(&mut self) -> Result<()> {
        let spec = &self.settled.spec;
        let overlay = spec.rootfs.overlay.as_ref();
        let staging = self.staging(PHASE);
        self.push(PHASE, Op::EnterRoot { root: staging }, "rootfs.overlay");
        let options = vec![
            ("mode", Some("755".to_owned())),
            ("size", Some("4m".to_owned())),
            ("nr_inodes", Some("4096".to_owned())),
        ];
        let skeleton = self.new_file_system(PHASE, "tmpfs", options, WRITABLE, "skeleton", "rootfs.kind");
        let region =
            Region { path: PathBuf::from("/"), ours: true, sealed: true, phase: PHASE, fd: Some(skeleton.clone()) };
        self.regions.push(region);
        match &spec.rootfs.kind {
            RootKind::System => contents::system(self, PHASE)?,
            RootKind::Empty => contents::skeleton(self, PHASE)?,
            _ => {}
        }
        self.mount_points(0)?;

        let layers = match &spec.rootfs.kind {
            RootKind::Dir(path) => vec![self.layer(path, "rootfs.path".to_owned())],
            RootKind::Layers(layers) => {
                layers.iter().enumerate().map(|(i, path)| self.layer(path, format!("rootfs.layers[{i}]"))).collect()
            }
            RootKind::Host => {
                let path = Path::new("/");
                vec![Layer { path, origin: "rootfs.kind".to_owned(), witness: None, owner: (0, 0), mode: 0o755 }]
            }
            RootKind::System | RootKind::Empty => Vec::new(),
        };
        let attributes = Attributes { read_only: overlay.is_none(), ..WRITABLE };
        let stack = self.stack(&layers, &skeleton, overlay, attributes, "rootfs.overlay")?;
        // Whatever else was made in the skeleton now shows through the overlay, where any layer may have something else.
        self.dirs.clear();
        if let Some(root) = self.regions.first_mut() {
            (root.fd, root.ours) = (Some(stack.mount.clone()), false);
        }
        self.push(PHASE, Op::EnterRoot { root: stack.mount.clone() }, "rootfs.overlay");
        for (mount, path, directory) in std::mem::take(&mut self.waiting) {
            let at = self.resolve(PHASE, &path, directory, "rootfs.kind");
            self.push(PHASE, Op::Attach { mount, at, name: PathBuf::new() }, "rootfs.kind");
        }
        let propagation = spec.rootfs.propagation;
        if !of_one_start(propagation) && (self.follows || propagation != Propagation::Private) {
            let op = Op::SetPropagation { mount: stack.mount.clone(), propagation, recursive: true };
            self.push(PHASE, op, "rootfs.propagation");
        }
        if let Some(upper) = stack.upper {
            for layer in &layers {
                let mapped = self.is_mapped(layer, true)?;
                let (path, witness) = (layer.path.to_owned(), layer.witness);
                self.steps.layers.push(StackedLayer { path, witness, mapped });
            }
            self.steps.handed.extend([
                (stack.mount, Handed::Root),
                (upper, Handed::Upper),
                (skeleton, Handed::Skeleton),
            ]);
        }
        Ok(())
    }

    /// A mount of the host's that a root of ours contains: attached now, or when the overlay is there.
    pub fn attach_host(
        &mut self,
        phase: Phase,
        mount: Fd,
        (at, name): (Fd, PathBuf),
        path: &Path,
        directory: bool,
        origin: &str,
    ) {
        if self.settled.spec.has_stacked_root() {
            self.waiting.push((mount, path.to_owned(), directory));
        } else {
            self.push(phase, Op::Attach { mount, at, name }, origin);
        }
    }

    /// A mount of the kind `overlay`.
    pub(super) fn overlay(
        &mut self,
        mount: &Mount,
        lower: &[HostPath],
        upper: Option<&Overlay>,
        attributes: Attributes,
    ) -> Result<()> {
        let origin = mount.origin.as_str();
        let layers: Vec<Layer<'_>> =
            lower.iter().enumerate().map(|(i, path)| self.layer(path, format!("{origin}.lower[{i}]"))).collect();
        let options = vec![("mode", Some("755".to_owned())), ("size", Some("4k".to_owned()))];
        let empty = self.new_file_system(PHASE, "tmpfs", options, WRITABLE, "empty layer", origin);
        let attributes = Attributes { read_only: attributes.read_only || upper.is_none(), ..attributes };
        let stack = self.stack(&layers, &empty, upper, attributes, origin)?;
        self.attach(PHASE, mount, stack.mount, false)
    }

    fn layer<'p>(&self, path: &'p HostPath, origin: String) -> Layer<'p> {
        let found = self.facts.sources.get(path);
        Layer {
            path: path.as_path(),
            origin,
            witness: found.map(|source| source.witness),
            owner: found.map_or((0, 0), |source| source.owner),
            mode: found.map_or(0o755, |source| source.mode),
        }
    }

    /// Mount an overlay of `layers`, with `lowest` below them, somewhere in the staging tmpfs.
    fn stack(
        &mut self,
        layers: &[Layer<'_>],
        lowest: &Fd,
        upper: Option<&Overlay>,
        attributes: Attributes,
        origin: &str,
    ) -> Result<Stack> {
        let staging = self.staging(PHASE);
        let number = self.stacks;
        self.stacks += 1;
        let own = |name: &str| PathBuf::from(format!("{name}{number}"));
        let mut lower = self.place(layers, number, upper.is_some())?;
        self.put(lowest.clone(), &staging, own("base"), origin);
        // With as many layers as overlayfs takes, the mount points must be among them.
        if lower.len() < MOST_LAYERS {
            lower.push(own("base"));
        }
        let upper = upper.map(|overlay| match &overlay.upper {
            OverlayUpper::Memory => {
                let (uid, gid, mode) = self.top(layers.first());
                self.memory(&staging, own("changes"), overlay.size, (uid, gid), mode, origin)
            }
            OverlayUpper::Dir { upper, work } => self.directories(&staging, own("changes"), upper, work, origin),
        });
        let into = self.slot(if origin.starts_with("rootfs") { ROOT } else { "overlay" });
        self.push(PHASE, Op::MakeDir { at: staging.clone(), name: own("merged"), mode: 0o755 }, origin);
        let op = Op::MountOverlay {
            at: staging,
            name: own("merged"),
            lower,
            upper: upper.clone(),
            attributes,
            into: into.clone(),
        };
        self.push(PHASE, op, origin);
        Ok(Stack { mount: into.into(), upper: upper.map(|(upper, _)| upper) })
    }

    /// Attach a mount to a new directory of the staging tmpfs.
    fn put(&mut self, mount: Fd, staging: &Fd, name: PathBuf, origin: &str) {
        self.push(PHASE, Op::MakeDir { at: staging.clone(), name: name.clone(), mode: 0o755 }, origin);
        self.push(PHASE, Op::Attach { mount, at: staging.clone(), name }, origin);
    }

    /// Give every layer a short name. A host that can clones all of them at once, from a tree that is made once per sandbox.
    fn place(&mut self, layers: &[Layer<'_>], number: usize, written: bool) -> Result<Vec<PathBuf>> {
        let mapped = layers.iter().map(|layer| self.is_mapped(layer, written)).collect::<Result<Vec<bool>>>()?;
        let staging = self.staging(PHASE);
        let name = |index: usize| {
            let group = if mapped.get(index) == Some(&true) { "m" } else { "l" };
            PathBuf::from(format!("{group}{number}/{}", short(index)))
        };
        let prepared = self.settled.trees == TreeMode::Prepared
            || self.settled.trees == TreeMode::HostClones && self.settled.host.clone_detached_tree;
        let most = MOST_PASSED;
        if self.settled.trees == TreeMode::HostClones && !prepared && layers.len() > most {
            let key = layers.first().map_or("rootfs.layers", |layer| layer.origin.trim_end_matches("[0]"));
            return Err(Error::unsupported(
                key,
                format!("{} layers: before Linux 6.15 a privileged host can hand {most} to a sandbox", layers.len()),
            )
            .with_hint("merge some of them, or start the sandbox as an unprivileged user"));
        }
        for kind in [true, false] {
            let chosen: Vec<usize> = (0..layers.len()).filter(|&index| mapped.get(index) == Some(&kind)).collect();
            let Some(first) = chosen.first() else { continue };
            let group = name(*first).parent().map(Path::to_owned).unwrap_or_default();
            let origin = layers[*first].origin.clone();
            if prepared {
                let tree = self.prepared_layers(layers, &chosen, &group, &origin);
                if kind {
                    self.steps.idmapped.push((tree.clone(), origin.clone()));
                }
                self.put(tree, &staging, group, &origin);
                continue;
            }
            self.push(PHASE, Op::MakeDir { at: staging.clone(), name: group, mode: 0o755 }, &origin);
            for index in chosen {
                let layer = &layers[index];
                let mount = self.clone_source(PHASE, layer.path, false, layer.witness, &layer.origin);
                if kind {
                    self.steps.idmapped.push((mount.clone(), layer.origin.clone()));
                }
                self.put(mount, &staging, name(index), &layer.origin);
            }
        }
        Ok((0..layers.len()).map(name).collect())
    }

    /// One tree with the chosen layers under their numbers, made by the host once, cloned by it for each start.
    fn prepared_layers(&mut self, layers: &[Layer<'_>], chosen: &[usize], group: &Path, origin: &str) -> Fd {
        let propagation = if self.follows { Propagation::Slave } else { Propagation::Private };
        let name = group.display().to_string();
        let tree = self.slot(name.clone());
        let mut steps = Vec::with_capacity(chosen.len() * 4 + 2);
        let mut add = |op, origin: &str| steps.push(Step { op, origin: origin.to_owned() });
        let options = vec![("mode", Some("755".to_owned())), ("size", Some("1m".to_owned()))];
        add(Op::NewFileSystem { kind: "tmpfs", options, attributes: WRITABLE, into: tree.clone() }, origin);
        for &index in chosen {
            let layer = &layers[index];
            let (at, place) = (Fd::from(tree.clone()), PathBuf::from(short(index)));
            let into = self.slot(layer.path.display().to_string());
            let (path, witness) = (layer.path.to_owned(), layer.witness);
            add(Op::CloneTree { path, recursive: false, witness, into: into.clone() }, &layer.origin);
            add(Op::SetPropagation { mount: into.clone().into(), propagation, recursive: true }, &layer.origin);
            add(Op::MakeDir { at: at.clone(), name: place.clone(), mode: 0o755 }, &layer.origin);
            add(Op::Attach { mount: into.into(), at, name: place }, &layer.origin);
        }
        self.steps.prepared.extend(steps);
        let mut into = self.slot(name);
        into.name = format!("{}#{}", into.name, into.id);
        self.steps.passed.push(into.name.clone());
        let op = Op::CloneFd { from: tree.into(), recursive: true, into: into.clone() };
        self.steps.host.push(Step { op, origin: origin.to_owned() });
        Fd::Passed(into.name)
    }

    /// Whether the layer's files get the sandbox's ids through the mount. A layer whose owner is one of the sandbox's ids
    /// has them already. `written`: what the sandbox changes is copied, which needs an owner that it knows.
    fn is_mapped(&self, layer: &Layer<'_>, written: bool) -> Result<bool> {
        let Some(maps) = &self.settled.maps else { return Ok(false) };
        let (uid, gid) = layer.owner;
        if to_inside(&maps.uid, uid).is_some() && to_inside(&maps.gid, gid).is_some() {
            return Ok(false);
        }
        let able = self.settled.trees != TreeMode::InitClones && maps.writer == MapWriter::Host;
        if able && self.settled.host.kernel_at_least(5, 19) {
            return Ok(true);
        }
        if !written {
            return Ok(false);
        }
        let path = layer.path.display();
        Err(Error::unsupported(
            &layer.origin,
            format!("{path} belongs to {uid}:{gid}, which this sandbox does not map: nothing in it could be changed"),
        )
        .with_subject(path.to_string())
        .with_hint(if able {
            "layers with mapped ids need Linux 5.19: change the owner of its files to the ids of the sandbox"
        } else {
            "use a tree whose files belong to you; only a privileged host can map the ids of a layer"
        }))
    }

    /// Owner, inside, and mode of the root directory of a new upper: that of the topmost layer. A root of ours belongs to
    /// the payload, which could write nowhere else.
    fn top(&self, layer: Option<&Layer<'_>>) -> (u32, u32, u32) {
        let identity = &self.settled.spec.identity;
        let Some(layer) = layer else { return (identity.uid, identity.gid, 0o755) };
        let (uid, gid) = layer.owner;
        let inside = |map, id| to_inside(map, id).unwrap_or(id);
        match (&self.settled.maps, self.is_mapped(layer, false)) {
            (Some(maps), Ok(false)) => (inside(&maps.uid, uid), inside(&maps.gid, gid), layer.mode),
            _ => (uid, gid, layer.mode),
        }
    }

    /// Upper and work directory in a tmpfs of the sandbox's own.
    fn memory(
        &mut self,
        staging: &Fd,
        place: PathBuf,
        size: u64,
        (uid, gid): (u32, u32),
        mode: u32,
        origin: &str,
    ) -> (Fd, Fd) {
        // As many inodes as a tmpfs of four times the size in RAM has by default.
        let inodes = (size >> 12).max(1024);
        let options = vec![
            ("mode", Some("755".to_owned())),
            ("size", Some(size.to_string())),
            ("nr_inodes", Some(inodes.to_string())),
        ];
        let memory = self.new_file_system(PHASE, "tmpfs", options, WRITABLE, "changes", origin);
        self.put(memory.clone(), staging, place, origin);
        let upper = self.made(&memory, "upper", mode, origin);
        if (uid, gid) != (0, 0) {
            self.push(PHASE, Op::SetOwner { at: memory.clone(), name: "upper".into(), uid, gid }, origin);
        }
        (upper, self.made(&memory, "work", 0o700, origin))
    }

    fn made(&mut self, at: &Fd, name: &str, mode: u32, origin: &str) -> Fd {
        self.push(PHASE, Op::MakeDir { at: at.clone(), name: name.into(), mode }, origin);
        let into = self.slot(name);
        let op = Op::Resolve { root: at.clone(), path: name.into(), directory: true, into: into.clone() };
        self.push(PHASE, op, origin);
        into.into()
    }

    /// Upper and work directory of the host's, through one mount of the directory that contains both, as overlayfs wants it.
    fn directories(
        &mut self,
        staging: &Fd,
        place: PathBuf,
        upper: &HostPath,
        work: &HostPath,
        origin: &str,
    ) -> (Fd, Fd) {
        let key = format!("{origin}.upper");
        let claim = self.slot("claim");
        let (upper, work) = (upper.as_path(), work.as_path());
        let op = Op::ClaimUpper { upper: upper.to_owned(), work: work.to_owned(), into: claim };
        self.steps.host.push(Step { op, origin: key.clone() });
        let above = upper.ancestors().skip(1).find(|above| work.starts_with(above)).unwrap_or(Path::new("/"));
        // A mount of a less privileged namespace can't be left out of a clone; a privileged host needs none of them.
        let recursive = self.settled.trees == TreeMode::InitClones;
        let into = self.slot(above.display().to_string());
        let op = Op::CloneTree { path: above.to_owned(), recursive, witness: None, into: into.clone() };
        let mount = self.cloned(PHASE, op, into.clone(), &key);
        self.put(mount.clone(), staging, place, &key);
        let mut below = |path: &Path| {
            let path = path.strip_prefix(above).unwrap_or(path);
            self.below(&mount, &into, path, &key)
        };
        (below(upper), below(work))
    }

    /// A directory of `mount`, which the host has in `slot`, opened by whoever may search the directories above it.
    fn below(&mut self, mount: &Fd, slot: &Slot, path: &Path, origin: &str) -> Fd {
        let mut into = self.slot(path.display().to_string());
        let resolve = |root: Fd, into: Slot| Op::Resolve { root, path: path.to_owned(), directory: true, into };
        if self.settled.trees == TreeMode::InitClones {
            self.push(PHASE, resolve(mount.clone(), into.clone()), origin);
            return into.into();
        }
        into.name = format!("{}#{}", into.name, into.id);
        let op = resolve(slot.clone().into(), into.clone());
        self.steps.host.push(Step { op, origin: origin.to_owned() });
        self.steps.passed.push(into.name.clone());
        Fd::Passed(into.name)
    }
}

/// A name of at most two letters for each of [`MOST_LAYERS`]: all of them go into the one page that mount(2) takes.
fn short(index: usize) -> String {
    let digit = |value: usize| char::from_digit((value % 36) as u32, 36).unwrap_or('0');
    [digit(index / 36), digit(index)].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_layers_are_short_and_differ() {
        let names: std::collections::BTreeSet<String> = (0..MOST_LAYERS).map(short).collect();
        assert_eq!(names.len(), MOST_LAYERS);
        assert!(names.iter().all(|name| name.len() == 2));
    }
}
