//! Owns: what will be enforced: spec + host -> [`Settled`], or a refusal. The only place where anything may be weakened.
//! Must not: do I/O.
//! Start at: [`settle`].

mod limits;
mod report;

use std::time::Duration;

use crate::host::HostCaps;
use crate::idmap::{self, IdMaps, MapWriter};
use crate::spec::{Landlock, MountKind, Namespace, OverlayUpper, Rlimit, RootKind, Spec};
use crate::{Error, Result};

pub(crate) use crate::host::{NOTHING_WEIGHS, ONLY_ON_V2};
pub(crate) use limits::{Group, Place, SWAP_ALONE, in_groups};
pub use report::{Degradation, Report};

/// How bind sources become mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TreeMode {
    /// The host clones them with its own credentials, once per sandbox, into one tree that is cloned for every start.
    Prepared,
    /// The host clones them with its own credentials at every start.
    HostClones,
    /// Init clones them in its own mount namespace; it has the host's credentials, no more.
    InitClones,
}

/// What will be enforced.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub spec: Spec,
    pub host: HostCaps,
    /// None: no user namespace of our own.
    pub maps: Option<IdMaps>,
    pub trees: TreeMode,
    /// 0: none.
    pub landlock_abi: u32,
    /// Those of the config and those that stand in for a weakened limit.
    pub rlimits: Vec<(Rlimit, u64)>,
    /// None: no group is needed.
    pub group: Option<Group>,
    pub report: Report,
}

impl Settled {
    /// The decisions for a changed spec, on the same host. What others have put into the report stays there.
    pub(crate) fn again(&self, spec: Spec) -> Result<Self> {
        let mut settled = settle(spec, &self.host)?;
        let mut report = self.report.clone();
        report.enforced.append(&mut settled.report.enforced);
        settled.report.degradations.retain(|one| !report.degradations.contains(one));
        report.degradations.append(&mut settled.report.degradations);
        Ok(Self { report, ..settled })
    }

    /// With a CPU time for each process of one payload, if the config allows that to stand for its tree.
    pub(crate) fn with_cpu_time_per_process(&self, time: Duration) -> Result<Self> {
        let mut settled = self.clone();
        limits::cpu_time_per_process(&mut settled, time)?;
        Ok(settled)
    }
}

const SYS_ADMIN: u8 = 21;

/// Decide.
pub(crate) fn settle(spec: Spec, host: &HostCaps) -> Result<Settled> {
    let mut report = Report::default();
    let maps = user_namespace(&spec, host, &mut report)?;
    other_namespaces(&spec, host, &mut report)?;
    let limits::Settled { rlimits, group } = limits::settle(&spec, host, maps.as_ref(), &mut report)?;
    let landlock_abi = landlock(&spec, host, &mut report)?;
    root(&spec, host, &mut report)?;
    idmapped(&spec, host, maps.as_ref())?;
    let privileged = host.capabilities & 1 << SYS_ADMIN != 0;
    let trees = match (privileged, host.clone_detached_tree) {
        // An overlay is of one start: what lies on it can't be part of a tree that is made once.
        (true, true) if spec.has_stacked_root() => TreeMode::HostClones,
        (true, true) => TreeMode::Prepared,
        (true, false) => TreeMode::HostClones,
        _ => TreeMode::InitClones,
    };
    report.enforced(
        "rootfs",
        match trees {
            TreeMode::Prepared => "prepared tree",
            TreeMode::HostClones => "trees of the host",
            TreeMode::InitClones => "trees of init",
        },
    );
    privileges(&spec, host, &mut report)?;
    Ok(Settled { spec, host: host.clone(), maps, trees, landlock_abi, rlimits, group, report })
}

fn user_namespace(spec: &Spec, host: &HostCaps, report: &mut Report) -> Result<Option<IdMaps>> {
    report.enforced("namespaces.user", word(&spec.namespaces.user));
    match spec.namespaces.user {
        Namespace::New => {}
        Namespace::Join(_) => return Ok(None),
        Namespace::Host => {
            if host.capabilities & 1 << SYS_ADMIN == 0 {
                return Err(Error::unsupported(
                    "namespaces.user",
                    "without a user namespace of its own a sandbox needs a host with CAP_SYS_ADMIN",
                )
                .with_hint("leave namespaces.user at \"new\""));
            }
            if spec.identity.uid == 0 && !spec.identity.host_root {
                return Err(Error::unsupported("identity.uid", "without a user namespace, uid 0 is the host's root")
                    .with_hint("set identity.host_root = true if that is meant"));
            }
            return Ok(None);
        }
    }
    if host.max_user_namespaces == Some(0) {
        return Err(Error::unsupported(
            "namespaces.user",
            "user namespaces are switched off here (user.max_user_namespaces = 0)",
        )
        .with_hint("as root: sysctl user.max_user_namespaces=10000"));
    }
    if host.unprivileged_userns_clone == Some(false) && host.capabilities & 1 << SYS_ADMIN == 0 {
        return Err(Error::unsupported("namespaces.user", "unprivileged user namespaces are switched off here")
            .with_hint("as root: sysctl kernel.unprivileged_userns_clone=1"));
    }
    let maps = idmap::settle(&spec.identity, host)?;
    report.enforced("identity.uid_map", maps.describe_uids());
    report.enforced("identity.gid_map", maps.describe_gids());
    Ok(Some(maps))
}

fn word(namespace: &Namespace) -> &'static str {
    match namespace {
        Namespace::New => "new",
        Namespace::Host => "host",
        Namespace::Join(_) => "join",
    }
}

fn other_namespaces(spec: &Spec, host: &HostCaps, report: &mut Report) -> Result<()> {
    let namespaces = &spec.namespaces;
    let all = [
        ("namespaces.pid", "pid", &namespaces.pid),
        ("namespaces.mount", "mnt", &namespaces.mount),
        ("network.mode", "net", &spec.network),
        ("namespaces.ipc", "ipc", &namespaces.ipc),
        ("namespaces.uts", "uts", &namespaces.uts),
        ("namespaces.cgroup", "cgroup", &namespaces.cgroup),
        ("namespaces.time", "time", &namespaces.time),
    ];
    for (key, file, namespace) in all {
        if *namespace == Namespace::New && !host.namespaces.iter().any(|known| known == file) {
            return Err(Error::unsupported(key, format!("this kernel has no {file} namespaces")));
        }
        report.enforced(
            key,
            if key == "network.mode" && *namespace == Namespace::New { "none" } else { word(namespace) },
        );
    }
    if !spec.process.init && namespaces.time != Namespace::Host {
        return Err(Error::unsupported("process.init", "without an init the payload can't enter a time namespace")
            .with_hint("leave process.init at true, or namespaces.time at \"host\""));
    }
    Ok(())
}

fn landlock(spec: &Spec, host: &HostCaps, report: &mut Report) -> Result<u32> {
    let wanted = spec.security.landlock;
    // A process under Landlock may not change mounts: what was asked for by name goes first.
    let mounts_inside =
        spec.security.nested_user_namespaces || spec.security.capabilities.iter().any(|kept| kept.number == SYS_ADMIN);
    let (abi, word) = match wanted {
        Landlock::Off => (0, "off".to_owned()),
        Landlock::Auto if mounts_inside => (0, "off: the payload may mount".to_owned()),
        Landlock::Auto if host.landlock_abi == 0 => (0, "absent".to_owned()),
        Landlock::Require if host.landlock_abi == 0 => {
            return Err(Error::unsupported(
                "security.landlock",
                "this kernel has no Landlock, or it is not switched on",
            )
            .with_hint("boot with landlock in the list of lsm=, or set security.landlock = \"auto\""));
        }
        Landlock::Require if mounts_inside => {
            return Err(Error::unsupported("security.landlock", "a payload under Landlock can't mount anything")
                .with_hint(
                    "give up security.nested_user_namespaces and CAP_SYS_ADMIN, or set security.landlock = \"off\"",
                ));
        }
        Landlock::Auto | Landlock::Require => (host.landlock_abi, format!("ABI {}", host.landlock_abi)),
    };
    report.enforced("security.landlock", word);
    Ok(abi)
}

fn root(spec: &Spec, host: &HostCaps, report: &mut Report) -> Result<()> {
    let kind = match &spec.rootfs.kind {
        RootKind::System => "system",
        RootKind::Host => "host",
        RootKind::Dir(_) => "dir",
        RootKind::Empty => "empty",
        RootKind::Layers(_) => "layers",
    };
    report.enforced("rootfs.kind", kind);
    overlays(spec, host, report)?;
    if spec.namespaces.mount == Namespace::New
        && spec.namespaces.pid == Namespace::New
        && spec.namespaces.user == Namespace::New
        && !host.proc_covered.is_empty()
    {
        return Err(Error::unsupported(
            "mounts",
            format!(
                "the kernel refuses a fresh /proc here, because parts of the host's are covered ({})",
                host.proc_covered.join(", ")
            ),
        )
        .with_hint("in Docker: --security-opt systempaths=unconfined; in Kubernetes: procMount: Unmasked"));
    }
    Ok(())
}

/// What overlays of the root and elsewhere need of the kernel. What they need of the directories is seen by rootfs.
fn overlays(spec: &Spec, host: &HostCaps, report: &mut Report) -> Result<()> {
    let root = spec.rootfs.overlay.as_ref().map(|overlay| ("rootfs.overlay", overlay));
    let mounts = spec.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Overlay { upper: Some(overlay), .. } => Some((mount.origin.as_str(), overlay)),
        _ => None,
    });
    for (key, overlay) in root.into_iter().chain(mounts) {
        let memory = overlay.upper == OverlayUpper::Memory;
        if memory && !host.kernel_at_least(6, 6) {
            return Err(Error::unsupported(
                format!("{key}.upper"),
                "changes in memory need user xattrs on tmpfs, which Linux has since 6.6",
            )
            .with_hint("keep the changes in a directory: upper = \"./changes\""));
        }
        report.enforced(key, if memory { "memory" } else { "directory" });
    }
    let privileged = host.capabilities & 1 << SYS_ADMIN != 0;
    if spec.rootfs.overlay.is_some() && spec.rootfs.kind == RootKind::Host && !privileged {
        return Err(Error::unsupported(
            "rootfs.overlay",
            "without CAP_SYS_ADMIN the host's / can't be a layer: what is mounted below it must not be uncovered",
        )
        .with_hint("use rootfs = \"system\", or a directory of your own"));
    }
    Ok(())
}

/// An id-mapped mount is made by a host with CAP_SYS_ADMIN over the file system, between READY and GO.
fn idmapped(spec: &Spec, host: &HostCaps, maps: Option<&IdMaps>) -> Result<()> {
    let Some(mount) = spec.mounts.iter().find(|mount| mount.idmap) else { return Ok(()) };
    let key = format!("{}.idmap", mount.origin);
    if !host.kernel_at_least(5, 12) {
        return Err(Error::unsupported(key, "id-mapped mounts need Linux 5.12"));
    }
    if host.capabilities & 1 << SYS_ADMIN == 0 || maps.is_none_or(|maps| maps.writer != MapWriter::Host) {
        return Err(Error::unsupported(
            key,
            "only a host with CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID can map the ids of a mount",
        )
        .with_hint("leave idmap out: files then show as owned by nobody where their owner is not mapped"));
    }
    Ok(())
}

fn privileges(spec: &Spec, host: &HostCaps, report: &mut Report) -> Result<()> {
    for kept in &spec.security.capabilities {
        if kept.number > host.cap_last {
            return Err(Error::unsupported(
                "security.capabilities",
                format!("this kernel does not know {}", kept.name),
            ));
        }
        if spec.namespaces.user != Namespace::New && host.capabilities & 1 << kept.number == 0 {
            return Err(Error::unsupported(
                "security.capabilities",
                format!("this process does not have {} itself", kept.name),
            ));
        }
    }
    let seccomp = match &spec.security.seccomp {
        crate::spec::Seccomp::Default => "default".to_owned(),
        crate::spec::Seccomp::None => "none".to_owned(),
        crate::spec::Seccomp::Profile(path) => path.as_path().display().to_string(),
    };
    report.enforced("security.seccomp", seccomp);
    report.enforced("security.no_new_privs", spec.security.no_new_privs.to_string());
    Ok(())
}
