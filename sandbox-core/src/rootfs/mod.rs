//! Owns: the root of a sandbox and everything mounted in it, as operations.
//! Must not: do I/O (what it must know of the host is in `facts.rs`), know raw calls, or what comes before and after.
//! Start at: [`build`].

mod contents;
mod defaults;
pub(crate) mod facts;
mod standing;
mod tree;

use std::path::PathBuf;

use crate::Result;
use crate::plan::{Fd, Handed, Standing, Step, Witness};
use crate::settle::Settled;
use crate::spec::{BindSource, Mount, MountKind};
use facts::Facts;
use tree::Tree;
pub(crate) use tree::follows_host;

/// The operations of a root, by who carries them out.
#[derive(Debug, Default)]
pub(crate) struct RootSteps {
    /// By the host, once per sandbox.
    pub prepared: Vec<Step>,
    /// By the host, at every start.
    pub host: Vec<Step>,
    /// By the keeper, with the host's credentials, in the new mount namespace.
    pub keeper: Vec<Step>,
    /// By PID 1.
    pub init: Vec<Step>,
    /// What the host passes, in order.
    pub passed: Vec<String>,
    /// The clone of the prepared tree.
    pub tree: Option<Step>,
    /// The namespace that later starts can use, if they can.
    pub standing: Option<Standing>,
    /// The root itself, in PID 1.
    pub root: Option<Fd>,
    /// What PID 1 hands to the host.
    pub handed: Vec<(Fd, Handed)>,
    /// The layers of the root, highest precedence first, where it is an overlay.
    pub layers: Vec<StackedLayer>,
    /// Of those passed, the ones whose ids are mapped, and the keys that ask for it.
    pub idmapped: Vec<(Fd, String)>,
    /// Where the payload may write.
    pub writable: Vec<Writable>,
}

/// A directory of the host's that is a layer of the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StackedLayer {
    pub path: PathBuf,
    pub witness: Option<Witness>,
    /// Its files have inside the owners they have outside.
    pub mapped: bool,
}

/// A place where the payload may write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Writable {
    pub path: PathBuf,
    pub directory: bool,
    /// Device files may be controlled (ioctl) here.
    pub devices: bool,
}

/// The whole root: its base, the default mounts, those of the config, pivoted into. `first_slot`: the numbers of slots begin here.
/// `stands`: for a start that begins in the standing namespace, where that fits.
pub(crate) fn build(settled: &Settled, facts: &Facts, first_slot: u16, stands: bool) -> Result<RootSteps> {
    let mounts = defaults::with_defaults(settled, facts);
    let fits = standing::fits(settled, &mounts);
    let mut tree = Tree::new(settled, facts, &mounts, first_slot, stands && fits);
    tree.base()?;
    for index in 0..mounts.len() {
        tree.mount(index)?;
    }
    tree.pivot();
    let mut steps = tree.into_steps();
    if fits {
        steps.standing = steps.tree.take().map(|tree| standing::of(tree, settled));
    }
    let root = settled.spec.rootfs.overlay.as_ref();
    steps.writable =
        root.map(|_| Writable { path: PathBuf::from("/"), directory: true, devices: false }).into_iter().collect();
    steps.writable.extend(mounts.iter().filter_map(|mount| writable(mount, facts)));
    Ok(steps)
}

fn writable(mount: &Mount, facts: &Facts) -> Option<Writable> {
    let (directory, devices) = match &mount.kind {
        MountKind::Symlink { .. } | MountKind::Sysfs | MountKind::Overlay { upper: None, .. } => return None,
        MountKind::Dev | MountKind::Devpts => (true, true),
        _ if mount.read_only => return None,
        MountKind::File { .. } => (false, false),
        MountKind::Bind { source: BindSource::Path(path), .. } => (facts.sources.get(path)?.directory, !mount.nodev),
        MountKind::Bind { source: BindSource::Fd(name), .. } => (facts.fds.get(name)?.directory, !mount.nodev),
        _ => (true, false),
    };
    Some(Writable { path: mount.target.as_path().to_owned(), directory, devices })
}
