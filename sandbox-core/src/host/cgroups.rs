//! Owns: how control groups are laid out here: which hierarchies, and where this process may make groups.
//! Must not: make, change or choose anything; settle chooses.
//! Start at: [`probe`]. Source: cgroups(7), and the kernel's `Documentation/admin-guide/cgroup-v2.rst`.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{AccessFlags, eaccess};
use serde::{Deserialize, Serialize};

use super::mountinfo::MountEntry;
use super::parse;
use super::probe::{list, read, text};
use crate::systemd;

/// How cgroups are laid out here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cgroups {
    /// The unified hierarchy's mount point, if mounted.
    pub unified: Option<PathBuf>,
    /// The directory of the unified hierarchy this process is in, if it may create groups there.
    pub unified_writable: Option<PathBuf>,
    /// Controllers of the unified hierarchy that our own group there has (`cgroup.controllers`).
    #[serde(default)]
    pub unified_controllers: Vec<String>,
    /// Groups of the unified hierarchy in which this process may make groups: its own, then those above it.
    #[serde(default)]
    pub unified_places: Vec<CgroupPlace>,
    /// The systemd of this user, where there is no such group and it answers. What it made for itself is no such group.
    #[serde(default)]
    pub user_manager: Option<UserManager>,
    /// v1 controllers and their mount points.
    pub v1: BTreeMap<String, PathBuf>,
    /// v1 controllers and the group in which this process may make groups: its own there.
    #[serde(default)]
    pub v1_places: BTreeMap<String, PathBuf>,
    /// Whether swap can be limited (`memory.memsw.limit_in_bytes`; on v2 unless the kernel was told `swapaccount=0`).
    #[serde(default)]
    pub swap: bool,
    /// Block devices (`MAJOR:MINOR`) for which an I/O weight has an effect: those scheduled by bfq, or with a cost model.
    #[serde(default)]
    pub io_weight: Vec<String>,
    /// Whether the kernel has device programs for groups of the unified hierarchy (`CONFIG_CGROUP_BPF`) and tells this process
    /// of them (`CAP_NET_ADMIN` in the initial user namespace).
    #[serde(default)]
    pub device_programs: bool,
}

/// The systemd of a user, which makes scopes in the unified hierarchy on request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UserManager {
    /// The socket it listens on.
    pub socket: PathBuf,
    /// Controllers that it has, and hands down to a scope.
    pub controllers: Vec<String>,
}

/// A group of the unified hierarchy in which groups can be made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CgroupPlace {
    /// Its directory.
    pub path: PathBuf,
    /// Controllers that groups made here have (`cgroup.subtree_control`).
    pub enabled: Vec<String>,
    /// Controllers that this process could give them in addition: those of the group itself, unless processes live in it.
    pub possible: Vec<String>,
}

impl CgroupPlace {
    /// Whether groups made here have this controller.
    pub(crate) fn enables(&self, controller: &str) -> bool {
        self.enabled.iter().any(|have| have == controller)
    }

    /// Whether groups made here have, or can be given, this controller.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.enables(controller) || self.possible.iter().any(|have| have == controller)
    }
}

/// Controllers of cgroups(7) that a v1 hierarchy's super block names.
const V1_CONTROLLERS: [&str; 13] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
];

/// The hierarchies that are mounted, and our places in them.
pub(super) fn probe(mounts: &[MountEntry]) -> Cgroups {
    let mut found = Cgroups::default();
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let mut unified = None;
    // The last mount at a place is the one that is seen. A path that isn't UTF-8 can't be printed nor recorded: skipped.
    for mount in mounts.iter().filter(|mount| mount.mount_point.to_str().is_some()) {
        match mount.fstype.as_str() {
            "cgroup2" => {
                found.unified = Some(mount.mount_point.clone());
                unified = Some(mount);
            }
            "cgroup" => {
                for controller in mount.super_options.iter().filter(|o| V1_CONTROLLERS.contains(&o.as_str())) {
                    found.v1.insert(controller.clone(), mount.mount_point.clone());
                    let own = parse::v1_group(&groups, controller).and_then(|group| own_group(mount, &group));
                    match own.filter(|dir| may_make_groups(dir, "tasks")) {
                        Some(dir) => found.v1_places.insert(controller.clone(), dir),
                        None => found.v1_places.remove(controller),
                    };
                }
            }
            _ => {}
        }
    }
    let own = unified.and_then(|mount| own_group(mount, &parse::unified_group(&groups)?));
    if let (Some(own), Some(mount)) = (&own, &found.unified) {
        found.unified_controllers = list(own.join("cgroup.controllers"), parse::words);
        found.unified_writable = may_make_groups(own, "cgroup.procs").then(|| own.clone());
        found.unified_places = own.ancestors().take_while(|dir| dir.starts_with(mount)).filter_map(place).collect();
    }
    let below = own.filter(|own| is_below_a_manager(own));
    if (found.unified_places.is_empty() || below.is_some())
        && let Some((manager, root)) = unified.and_then(user_manager)
    {
        // A group elsewhere is none of its affairs.
        if below.is_some_and(|own| own.starts_with(&root)) {
            found.unified_places.retain(|place| is_ours(place, &root));
        }
        found.user_manager = Some(manager).filter(|_| found.unified_places.is_empty());
    }
    found.swap = swap(&found);
    found.io_weight = weighed_devices(found.unified.as_deref());
    let asked = found.unified.as_ref().and_then(|mount| std::fs::File::open(mount).ok());
    found.device_programs = asked.is_some_and(|group| crate::sys::device_programs(group.as_fd()).is_ok());
    found
}

/// Whether a group is below `user@UID.service`, in which systemd runs a user's manager.
fn is_below_a_manager(group: &Path) -> bool {
    let name = |part: Component<'_>| {
        part.as_os_str().to_str().is_some_and(|name| name.starts_with("user@") && name.ends_with(".service"))
    };
    group.components().any(name)
}

/// Whether a group below `root`, the manager's own, was left to its units. Slices are the manager's: a controller that
/// somebody else has enabled there is gone with the next `daemon-reload`, under the sandboxes that it limits (ADR 0021).
fn is_ours(place: &CgroupPlace, root: &Path) -> bool {
    let slice = place.path.extension().is_some_and(|kind| kind == "slice");
    let hands_down = !place.enabled.is_empty() || !place.possible.is_empty();
    place.path.starts_with(root) && place.path != root && !slice && hands_down
}

/// The user's manager, and the group that was handed to it. Nothing is asked of it: who can be connected to is there.
fn user_manager(mount: &MountEntry) -> Option<(UserManager, PathBuf)> {
    let uid = nix::unistd::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let socket = runtime.unwrap_or_else(|| format!("/run/user/{uid}").into()).join(systemd::SOCKET);
    let (_, pid) = systemd::connect(&socket, uid).ok().filter(|_| socket.to_str().is_some())?;
    let group = own_group(mount, &parse::unified_group(&read(format!("/proc/{pid}/cgroup"))?)?)?;
    // It lives in a group of its own below the one that was handed to it.
    let root = group.parent()?.to_path_buf();
    let controllers = list(root.join("cgroup.controllers"), parse::words);
    Some((UserManager { socket, controllers }, root))
}

impl super::HostCaps {
    /// The same host, with a named group as the place where groups are made.
    pub(crate) fn below(&self, parent: &str) -> Self {
        Self { cgroups: self.cgroups.below(parent), ..self.clone() }
    }
}

impl Cgroups {
    /// The same host, with the group `parent` of every hierarchy as the place where groups are made.
    fn below(&self, parent: &str) -> Self {
        let relative = parent.trim_start_matches('/');
        let unified = self.unified.as_ref().map(|mount| mount.join(relative));
        let v1_places = self.v1.iter().filter_map(|(controller, mount)| {
            let dir = mount.join(relative);
            may_make_groups(&dir, "tasks").then(|| (controller.clone(), dir))
        });
        Self {
            unified_writable: unified.clone().filter(|dir| may_make_groups(dir, "cgroup.procs")),
            unified_controllers: unified
                .as_ref()
                .map(|dir| list(dir.join("cgroup.controllers"), parse::words))
                .unwrap_or_default(),
            unified_places: unified.iter().filter_map(|dir| place(dir)).collect(),
            user_manager: None,
            v1_places: v1_places.collect(),
            ..self.clone()
        }
    }
}

/// Whether this process may make groups in a group and put processes there.
fn may_make_groups(dir: &Path, processes: &str) -> bool {
    dir.to_str().is_some()
        && eaccess(dir, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
        && eaccess(&dir.join(processes), AccessFlags::W_OK).is_ok()
}

/// None: no groups can be made here.
fn place(dir: &Path) -> Option<CgroupPlace> {
    if !may_make_groups(dir, "cgroup.procs") {
        return None;
    }
    let control = dir.join("cgroup.subtree_control");
    let enabled = list(&control, parse::words);
    // A group with processes of its own can't give controllers to groups below it; only the real root may, and it is
    // the one that has no type.
    let root = !dir.join("cgroup.type").exists();
    let free = eaccess(&control, AccessFlags::W_OK).is_ok()
        && (root || read(dir.join("cgroup.procs")).is_some_and(|processes| processes.is_empty()));
    let all = if free { list(dir.join("cgroup.controllers"), parse::words) } else { Vec::new() };
    let possible = all.into_iter().filter(|controller| !enabled.contains(controller)).collect();
    Some(CgroupPlace { path: dir.to_path_buf(), enabled, possible })
}

fn swap(found: &Cgroups) -> bool {
    if let Some(memory) = found.v1.get("memory") {
        return memory.join("memory.memsw.limit_in_bytes").exists();
    }
    // The root has no such file: there only the kernel's parameters tell.
    match found.unified_places.iter().find(|place| place.path.join("memory.max").exists()) {
        Some(place) => place.path.join("memory.swap.max").exists(),
        None => text("/proc/cmdline").is_none_or(|line| !line.split_ascii_whitespace().any(|w| w == "swapaccount=0")),
    }
}

/// Where a weight of I/O does something: `blkio.bfq.weight` and `io.bfq.weight` want bfq, `io.weight` a cost model.
fn weighed_devices(unified: Option<&Path>) -> Vec<String> {
    let costed = unified.and_then(|mount| read(mount.join("io.cost.qos"))).unwrap_or_default();
    let costed = String::from_utf8_lossy(&costed).into_owned();
    let costed = costed.lines().filter(|line| line.contains("enable=1")).filter_map(|line| line.split(' ').next());
    let Ok(entries) = std::fs::read_dir("/sys/block") else { return Vec::new() };
    let by_bfq = entries.flatten().map(|entry| entry.path()).filter(|device| {
        read(device.join("queue/scheduler")).is_some_and(|text| text.windows(5).any(|word| word == b"[bfq]"))
    });
    let mut devices: Vec<String> = by_bfq.filter_map(|device| text(device.join("dev"))).collect();
    devices.extend(costed.map(str::to_owned));
    devices.sort();
    devices.dedup();
    devices
}

/// Where our group is seen through this mount, which may show only a part of the tree.
fn own_group(mount: &MountEntry, group: &str) -> Option<PathBuf> {
    // `/../x`: outside of our cgroup namespace's root, reachable through no path.
    if Path::new(group).components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let below = Path::new(group).strip_prefix(&mount.root).ok()?;
    Some(if below.as_os_str().is_empty() { mount.mount_point.clone() } else { mount.mount_point.join(below) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_a_manager_are_not_ours() {
        let root = Path::new("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service");
        let place = |below: &str, enabled: &[&str], possible: &[&str]| CgroupPlace {
            path: root.join(below),
            enabled: enabled.iter().map(|name| (*name).to_owned()).collect(),
            possible: possible.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (below, enabled, possible, ours) in [
            ("app.slice/x.scope", &[][..], &["pids"][..], true),
            ("app.slice/x.service/y", &["pids"], &[], true),
            // With processes of its own: it hands nothing down.
            ("app.slice/x.scope", &[], &[], false),
            ("app.slice", &["memory", "pids"], &["cpu"], false),
            ("app.slice/app-x.slice", &["pids"], &[], false),
            ("", &["memory", "pids"], &[], false),
            ("/sys/fs/cgroup/system.slice/x.service", &["pids"], &[], false),
        ] {
            let place = place(below, enabled, possible);
            assert_eq!(is_ours(&place, root), ours, "{place:?}");
        }
        assert!(is_below_a_manager(&root.join("app.slice/x.scope")));
        assert!(!is_below_a_manager(Path::new("/sys/fs/cgroup/user.slice/user-1000.slice/session-1.scope")));
    }

    #[test]
    fn own_group_below_a_partial_mount() {
        let mount = |root: &str| MountEntry {
            id: 1,
            parent: 0,
            root: root.into(),
            mount_point: "/sys/fs/cgroup".into(),
            options: Vec::new(),
            read_only: false,
            fstype: "cgroup2".into(),
            super_options: Vec::new(),
        };
        for (root, group, wanted) in [
            ("/", "/", Some("/sys/fs/cgroup")),
            ("/", "/user.slice/a", Some("/sys/fs/cgroup/user.slice/a")),
            ("/docker/x", "/docker/x/y", Some("/sys/fs/cgroup/y")),
            ("/docker/x", "/other", None),
            ("/", "/../out", None),
        ] {
            assert_eq!(own_group(&mount(root), group).as_deref(), wanted.map(Path::new), "{root} {group}");
        }
    }
}
