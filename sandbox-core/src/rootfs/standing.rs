//! Owns: the standing namespace: a mount namespace that has nothing but the prepared tree, as its root. It is made once per
//! sandbox; a start joins it and takes a copy, instead of a copy of the host's, and has nothing to mount over and to detach.
//! Must not: know how a tree is put together (tree.rs), or when the namespace is made (launch).
//! Start at: [`fits`], then [`of`].

use std::path::{Path, PathBuf};

use crate::idmap::MapWriter;
use crate::masks::{MASKED_PROC_PATHS, READONLY_PROC_PATHS};
use crate::plan::{Attributes, Fd, Handed, Op, ROOT, STANDING, Slot, Standing, Step};
use crate::settle::{Settled, TreeMode};
use crate::spec::{Mount, MountKind, Namespace, Propagation, RootKind};

use super::tree::follows_host;

const PROC: &str = "/proc";
const DEV: &str = "/dev";
const NULL: &str = "/dev/null";

/// Whether starts can use one: nothing that they do needs the host's mounts, or could use what lies below the fresh proc.
pub(super) fn fits(settled: &Settled, mounts: &[Mount]) -> bool {
    let spec = &settled.spec;
    let namespaces = &spec.namespaces;
    let own = [&namespaces.user, &namespaces.mount, &namespaces.pid].iter().all(|mode| **mode == Namespace::New);
    // Written below /proc/self, which is not there before the sandbox's own proc.
    let clocks =
        namespaces.time == Namespace::New && (namespaces.offset_monotonic, namespaces.offset_boottime) != (0, 0);
    let maps = settled.maps.as_ref().is_some_and(|maps| maps.writer == MapWriter::Init);
    // Who may unmount the fresh proc gets the mounts that everybody starts with.
    let unmounts = spec.security.capabilities.iter().any(|kept| kept.number == SYS_ADMIN);
    let private = spec.rootfs.propagation == Propagation::Private
        && !follows_host(settled)
        && mounts.iter().all(|mount| mount.propagation.is_none());
    settled.trees == TreeMode::Prepared
        && own
        && !(clocks || maps)
        && !unmounts
        && private
        && matches!(spec.rootfs.kind, RootKind::System | RootKind::Empty)
        && mounts.iter().all(|mount| !matches!(mount.kind, MountKind::Sysfs | MountKind::Overlay { .. }))
        && proc_is_usual(mounts)
        && null_is_ours(mounts)
}

const SYS_ADMIN: u8 = 21;

/// One fresh proc at its usual place, with none but the usual paths hidden: those are covered by name.
fn proc_is_usual(mounts: &[Mount]) -> bool {
    let mut procs = mounts.iter().filter(|mount| mount.target.as_path().starts_with(PROC));
    let Some(Mount { kind: MountKind::Proc { masked, readonly }, target, .. }) = procs.next() else { return false };
    let usual = |path: &Path, list: &[&str]| list.iter().any(|name| path == Path::new(PROC).join(name));
    target.as_path() == Path::new(PROC)
        && procs.next().is_none()
        && masked.iter().all(|path| usual(path.as_path(), &MASKED_PROC_PATHS))
        && readonly.iter().all(|path| usual(path.as_path(), &READONLY_PROC_PATHS))
}

/// Whether the prepared tree has a /dev/null, and it is the null device.
pub(super) fn null_is_ours(mounts: &[Mount]) -> bool {
    // One that comes behind another mount in its place, or differs from the root, is made at every start.
    let prepared = |mount: &Mount| mount.kind == MountKind::Dev && mount.propagation.is_none();
    let mut devices = mounts.iter().filter(|mount| mount.target.as_path().starts_with(DEV));
    devices.next().is_some_and(|first| first.target.as_path() == Path::new(DEV) && prepared(first))
        && devices.all(|mount| mount.target.as_path() != Path::new(DEV) && !mount.target.as_path().starts_with(NULL))
}

/// How it is made. `tree`: the clone of the prepared tree that the host takes.
pub(super) fn of(tree: Step, settled: &Settled) -> Standing {
    let root = Fd::Passed(ROOT.to_owned());
    let own = Slot { id: 1, name: STANDING.to_owned() };
    let proc = Attributes { read_only: false, nosuid: true, nodev: true, noexec: true, atime: 0 }
        .with_atime_of(&settled.host.proc_options);
    let steps = vec![
        Op::Unshare { flags: libc::CLONE_NEWNS | libc::CLONE_NEWPID },
        Op::Detach { propagation: Propagation::Private },
        Op::CreateInit { cgroup: None, shared: true, payload: false },
        Op::DieWithKeeper,
        Op::EnterRoot { root: root.clone() },
        // A new proc may be mounted only where a whole one is seen already (mount_namespaces(7)). This one covers the place of the
        // fresh ones, and shows a PID namespace that has ended.
        Op::MountAt {
            kind: "proc",
            options: Vec::new(),
            attributes: proc,
            at: root.clone(),
            name: PathBuf::from("proc"),
        },
        Op::PivotRoot { root, over: 1 },
        Op::OpenNamespace { kind: "mnt", into: own.clone() },
        Op::SendFd { fd: own.clone().into(), what: Handed::Opened },
        // What a start will do with it: a host that may not is told now, and goes on without.
        Op::JoinNamespace { kind: "mount", flag: libc::CLONE_NEWNS, from: own.into() },
        Op::Unshare { flags: libc::CLONE_NEWUSER | libc::CLONE_NEWNS },
    ];
    let step = |op| Step { op, origin: "default".to_owned() };
    Standing { tree, steps: steps.into_iter().map(step).collect() }
}
