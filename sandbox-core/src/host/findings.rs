//! Owns: what the facts mean for each feature, and how to enable what is missing (`pinfold doctor`).
//! Must not: do I/O; everything here follows from [`HostCaps`], so that it can be right about a recorded host too.
//! Start at: [`findings`].

use serde::{Deserialize, Serialize};

use super::{HostCaps, cap};

/// What this host offers of one feature, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// The feature, as a stable name: the config key it stands behind where there is one (`namespaces.user`).
    pub feature: String,
    /// Whether it is there.
    pub state: Availability,
    /// What was found.
    pub detail: String,
    /// What to do to have it, or more of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How much of a feature a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Availability {
    /// All of it.
    Available,
    /// A part; the detail says which.
    Limited,
    /// Nothing of it.
    Missing,
}

impl std::fmt::Display for Availability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Available => "available",
            Self::Limited => "limited",
            Self::Missing => "missing",
        })
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<10} {:<26} {}", self.state, self.feature, self.detail)?;
        if let Some(remedy) = &self.remedy {
            for (i, line) in remedy.lines().enumerate() {
                write!(f, "\n{:<37} {}{line}", "", if i == 0 { "-> " } else { "   " })?;
            }
        }
        Ok(())
    }
}

/// What `host` offers of each feature of this library, in a fixed order.
pub fn findings(host: &HostCaps) -> Vec<Finding> {
    let mut found = vec![kernel(host), user_namespaces(host)];
    found.extend(OTHER_NAMESPACES.iter().map(|kind| namespace(host, kind)));
    found.extend([
        id_ranges(host),
        supplementary_groups(host),
        fresh_proc(host),
        system_root(host),
        overlay(host),
        memfd(host),
        mount_tree(host),
        seccomp(host),
        landlock(host),
        birth_in_group(host),
    ]);
    found.extend(LIMITS.iter().map(|(key, v1, v2)| controller(host, key, v1, v2)));
    found.extend(["limits.memory_high", "limits.oom_group"].map(|key| only_on_v2(host, key)));
    found.extend([swap(host), io_weight(host), devices(host)]);
    found
}

fn finding(feature: impl Into<String>, state: Availability, detail: impl Into<String>) -> Finding {
    Finding { feature: feature.into(), state, detail: detail.into(), remedy: None }
}

fn available(feature: impl Into<String>, detail: impl Into<String>) -> Finding {
    finding(feature, Availability::Available, detail)
}

fn limited(feature: impl Into<String>, detail: impl Into<String>) -> Finding {
    finding(feature, Availability::Limited, detail)
}

fn missing(feature: impl Into<String>, detail: impl Into<String>) -> Finding {
    finding(feature, Availability::Missing, detail)
}

impl Finding {
    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

fn kernel(host: &HostCaps) -> Finding {
    if host.kernel_at_least(5, 14) {
        available("kernel", format!("Linux {}", host.release))
    } else {
        missing("kernel", format!("Linux {} is older than 5.14, the oldest that Pinfold knows", host.release))
            .remedy("upgrade the kernel")
    }
}

/// A profile that lifts AppArmor's restriction for an installed copy of init, and for nothing else.
const APPARMOR_PROFILE: &str = "\
install a copy of init, name it in init.path or PINFOLD_INIT, and allow it user namespaces:
  cat > /etc/apparmor.d/pinfold-init <<'EOF'
  abi <abi/4.0>,
  include <tunables/global>
  profile pinfold-init /usr/local/lib/pinfold/init flags=(unconfined) {
    userns,
  }
  EOF
  apparmor_parser -r /etc/apparmor.d/pinfold-init
or lift the restriction for everyone: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";

fn user_namespaces(host: &HostCaps) -> Finding {
    const FEATURE: &str = "namespaces.user";
    let privileged = host.has_capability(cap::SYS_ADMIN);
    if !host.has_namespace("user") {
        return missing(FEATURE, "the kernel is built without them (CONFIG_USER_NS)").remedy("use another kernel");
    }
    if host.max_user_namespaces == Some(0) {
        return missing(FEATURE, "switched off: user.max_user_namespaces is 0").remedy(
            "sysctl -w user.max_user_namespaces=15000\nto keep it: echo user.max_user_namespaces=15000 > /etc/sysctl.d/50-pinfold.conf",
        );
    }
    if host.chrooted {
        return missing(FEATURE, "this process lives in a chroot, where the kernel refuses them")
            .remedy("enter the directory with pivot_root (bwrap, systemd-nspawn) instead of chroot");
    }
    if host.unprivileged_userns_clone == Some(false) && !privileged {
        return missing(FEATURE, "switched off for unprivileged users: kernel.unprivileged_userns_clone is 0").remedy(
            "sysctl -w kernel.unprivileged_userns_clone=1\nto keep it: echo kernel.unprivileged_userns_clone=1 > /etc/sysctl.d/50-pinfold.conf",
        );
    }
    if host.seccomp_mode == 2 {
        return limited(FEATURE, "a seccomp filter is on this process, as in a container: it may refuse them").remedy(
            "Docker, Podman: --security-opt seccomp=unconfined (or a profile that allows unshare, clone and mount)\n\
             Kubernetes: seccompProfile Unconfined; systemd: RestrictNamespaces=no",
        );
    }
    if host.apparmor_restrict_userns == Some(true) && !privileged {
        return limited(FEATURE, "AppArmor restricts them to programs with a profile").remedy(APPARMOR_PROFILE);
    }
    match host.max_user_namespaces {
        Some(most) => available(FEATURE, format!("at most {most}")),
        None => available(FEATURE, "no limit is known"),
    }
}

/// (kernel's name, config key, kernel option)
type Kind = (&'static str, &'static str, &'static str);

const OTHER_NAMESPACES: [Kind; 7] = [
    ("mnt", "namespaces.mount", "CONFIG_NAMESPACES"),
    ("pid", "namespaces.pid", "CONFIG_PID_NS"),
    ("net", "network", "CONFIG_NET_NS"),
    ("ipc", "namespaces.ipc", "CONFIG_IPC_NS"),
    ("uts", "namespaces.uts", "CONFIG_UTS_NS"),
    ("cgroup", "namespaces.cgroup", "CONFIG_CGROUPS"),
    ("time", "namespaces.time", "CONFIG_TIME_NS"),
];

fn namespace(host: &HostCaps, &(kind, key, option): &Kind) -> Finding {
    if !host.has_namespace(kind) {
        return missing(key, format!("the kernel is built without it ({option})")).remedy(format!(
            "use another kernel, or {}",
            if key == "network" { "network.mode = \"host\"".to_owned() } else { format!("{key} = \"host\"") }
        ));
    }
    match host.max_namespaces.get(kind) {
        Some(0) => missing(key, format!("switched off: user.max_{kind}_namespaces is 0"))
            .remedy(format!("sysctl -w user.max_{kind}_namespaces=15000")),
        Some(most) => available(key, format!("at most {most}")),
        None => available(key, "no limit is known"),
    }
}

fn id_ranges(host: &HostCaps) -> Finding {
    const FEATURE: &str = "identity.uid_map";
    if host.has_capability(cap::SETUID) && host.has_capability(cap::SETGID) {
        return available(FEATURE, "any range: this process has CAP_SETUID and CAP_SETGID");
    }
    let user = host.user.clone().unwrap_or_else(|| host.euid.to_string());
    let mut lacks = Vec::new();
    let mut todo = Vec::new();
    for (ranges, file) in [(&host.subuid, "/etc/subuid"), (&host.subgid, "/etc/subgid")] {
        if ranges.is_empty() {
            lacks.push(format!("a range of {user} in {file}"));
            todo.push(format!("echo {user}:100000:65536 >> {file}   (a range that no other line there has)"));
        }
    }
    if host.newuidmap.is_none() || host.newgidmap.is_none() {
        lacks.push("newuidmap and newgidmap".to_owned());
        todo.push("apt install uidmap (Debian, Ubuntu); dnf install shadow-utils (Fedora, RHEL)".to_owned());
    }
    if host.no_new_privs {
        lacks.push("set-user-ID programs (no_new_privs is set)".to_owned());
        todo.push("start this process without no_new_privs (systemd: NoNewPrivileges=no)".to_owned());
    }
    if lacks.is_empty() {
        return available(FEATURE, "ranges of /etc/subuid and /etc/subgid, written by newuidmap and newgidmap");
    }
    limited(FEATURE, format!("only the caller's own id; for ranges there is no {}", lacks.join(", no ")))
        .remedy(todo.join("\n"))
}

fn supplementary_groups(host: &HostCaps) -> Finding {
    const FEATURE: &str = "identity.groups";
    if !host.setgroups_allowed {
        return missing(FEATURE, "setgroups is denied in the user namespace around us, and new ones inherit that");
    }
    let by_newgidmap = host.newgidmap.is_some() && !host.subgid.is_empty() && !host.no_new_privs;
    if host.has_capability(cap::SETGID) || by_newgidmap {
        return available(FEATURE, "can be set, and the host's are dropped");
    }
    limited(FEATURE, "the single gid map of an unprivileged host denies setgroups: the caller's groups stay")
        .remedy("use a range: /etc/subgid and newgidmap, as for identity.uid_map")
}

fn fresh_proc(host: &HostCaps) -> Finding {
    const FEATURE: &str = "mounts.proc";
    if host.proc_covered.is_empty() {
        return available(FEATURE, "nothing covers /proc, so that a fresh one is granted");
    }
    missing(FEATURE, format!("parts of /proc are covered, so that a fresh one is refused: {}", host.proc_covered.join(" ")))
        .remedy(
            "Docker: --security-opt systempaths=unconfined; Podman: --security-opt unmask=ALL; Kubernetes: procMount: Unmasked",
        )
}

fn system_root(host: &HostCaps) -> Finding {
    const FEATURE: &str = "rootfs.system";
    let count = host.system_paths.len();
    if host.system_paths.contains_key(std::path::Path::new("/usr"))
        || host.system_paths.contains_key(std::path::Path::new("/nix/store"))
    {
        available(FEATURE, format!("{count} of its paths exist here"))
    } else {
        limited(FEATURE, format!("neither /usr nor /nix/store: only {count} of its paths exist here"))
            .remedy("use rootfs = \"DIR/\" with a root file system of your own")
    }
}

fn overlay(host: &HostCaps) -> Finding {
    const FEATURE: &str = "rootfs.overlay";
    let loaded = host.filesystems.iter().any(|have| have == "overlay");
    if !loaded {
        return limited(FEATURE, "overlayfs is not loaded (a module may be loaded on first use by root)")
            .remedy("modprobe overlay\nto keep it: echo overlay > /etc/modules-load.d/overlay.conf");
    }
    if !host.kernel_at_least(6, 6) {
        return limited(FEATURE, "in a directory only: an overlay in memory needs user xattrs on tmpfs (Linux 6.6)")
            .remedy("use rootfs.overlay.upper = \"DIR\"");
    }
    available(FEATURE, "in memory and in a directory")
}

fn memfd(host: &HostCaps) -> Finding {
    const FEATURE: &str = "init.memfd";
    match host.memfd_noexec {
        Some(2..) => {
            limited(FEATURE, "executable memfds are switched off (vm.memfd_noexec is 2): a private file is used")
                .remedy("sysctl -w vm.memfd_noexec=1, or name an installed copy in init.path")
        }
        _ => available(FEATURE, "init runs from a sealed memfd"),
    }
}

fn mount_tree(host: &HostCaps) -> Finding {
    const FEATURE: &str = "mounts.prepared_tree";
    if host.clone_detached_tree {
        return available(FEATURE, "the mounts of a sandbox are made once and cloned");
    }
    let why = if host.kernel_at_least(6, 15) { "CAP_SYS_ADMIN on the host" } else { "Linux 6.15" };
    limited(FEATURE, format!("mounts are made one by one for each start (cloning a prepared tree needs {why})"))
}

fn seccomp(host: &HostCaps) -> Finding {
    const FEATURE: &str = "security.seccomp";
    if host.seccomp_actions.is_empty() {
        return missing(FEATURE, "the kernel is built without filters (CONFIG_SECCOMP_FILTER)")
            .remedy("use another kernel; seccomp = \"none\" gives up this wall");
    }
    let detail = format!("actions {}", host.seccomp_actions.join(" "));
    if host.seccomp_mode == 2 {
        available(FEATURE, format!("{detail}; a filter of somebody else's is on this process and stays in force"))
    } else {
        available(FEATURE, detail)
    }
}

/// What each ABI added. Source: the kernel's `Documentation/userspace-api/landlock.rst`.
const LANDLOCK_ADDS: [(u32, &str); 7] = [
    (1, "file system access"),
    (2, "renaming and linking between directories"),
    (3, "truncation"),
    (4, "TCP bind and connect"),
    (5, "ioctl on devices"),
    (6, "abstract UNIX sockets and signals"),
    (7, "audit logging"),
];

fn landlock(host: &HostCaps) -> Finding {
    const FEATURE: &str = "security.landlock";
    if host.landlock_abi == 0 {
        return missing(FEATURE, "absent (a second wall only: the mount namespace is the first)")
            .remedy("a kernel with CONFIG_SECURITY_LANDLOCK, and landlock in its parameter lsm=");
    }
    let part = |have: bool| {
        let words: Vec<&str> = LANDLOCK_ADDS
            .iter()
            .filter(|(abi, _)| (*abi <= host.landlock_abi) == have)
            .map(|(_, what)| *what)
            .collect();
        words.join(", ")
    };
    let detail = format!("ABI {}: {}", host.landlock_abi, part(true));
    match part(false) {
        lacks if lacks.is_empty() => available(FEATURE, detail),
        lacks => limited(FEATURE, format!("{detail}; not {lacks}")),
    }
}

/// How to get a group of one's own with these controllers.
pub(crate) fn delegate(host: &HostCaps) -> &'static str {
    if host.euid == 0 {
        "enable the controller in the cgroup.subtree_control files above our group (systemd: Delegate=yes for our unit),\n\
         or name a group without processes of its own in limits.cgroup_parent"
    } else if host.cgroups.user_manager.is_some() {
        "as root: Delegate=cpu cpuset io memory pids for user@.service (systemctl edit user@.service)"
    } else {
        "start this process in a group below that of the user's manager: systemd-run --user --scope -p Delegate=yes COMMAND\n\
         for cpu, cpuset and io, as root: Delegate=cpu cpuset io memory pids for user@.service (systemctl edit user@.service)"
    }
}

fn birth_in_group(host: &HostCaps) -> Finding {
    const FEATURE: &str = "cgroup";
    let cgroups = &host.cgroups;
    match (&cgroups.unified, &cgroups.unified_writable) {
        (Some(_), _) if cgroups.user_manager.is_some() => {
            available(FEATURE, "v2, groups in a transient scope that the user's systemd makes for each sandbox object")
        }
        (_, Some(dir)) if cgroups.v1.is_empty() => available(FEATURE, format!("v2, groups below {}", dir.display())),
        (_, Some(dir)) => available(FEATURE, format!("hybrid, groups below {} and in v1 hierarchies", dir.display())),
        (Some(mount), None) => {
            limited(FEATURE, format!("v2 at {}, and our group there can't be changed", mount.display()))
                .remedy(delegate(host))
        }
        (None, None) if !cgroups.v1.is_empty() => {
            limited(FEATURE, "v1 only: no birth in a group, no cgroup.kill, no pressure")
                .remedy("boot with systemd.unified_cgroup_hierarchy=1")
        }
        (None, None) => {
            missing(FEATURE, "no cgroup file system is mounted").remedy("mount -t cgroup2 none /sys/fs/cgroup")
        }
    }
}

/// (config key, v1 controller, v2 controller). `cpu.stat` needs no v2 controller.
const LIMITS: [(&str, &str, &str); 7] = [
    ("limits.memory", "memory", "memory"),
    ("limits.pids", "pids", "pids"),
    ("limits.cpu_time", "cpuacct", ""),
    ("limits.cpus", "cpu", "cpu"),
    ("limits.cpuset", "cpuset", "cpuset"),
    ("limits.io", "blkio", "io"),
    ("limits.hugepages", "hugetlb", "hugetlb"),
];

fn controller(host: &HostCaps, key: &str, v1: &str, v2: &str) -> Finding {
    let cgroups = &host.cgroups;
    let any = v2.is_empty();
    if let Some(place) = cgroups.unified_places.iter().find(|place| any || place.has(v2)) {
        return available(key, format!("cgroup v2, groups below {}", place.path.display()));
    }
    if cgroups.user_manager.as_ref().is_some_and(|manager| any || manager.controllers.iter().any(|have| have == v2)) {
        return available(key, "cgroup v2, groups in a scope of the user's systemd");
    }
    if let Some(place) = cgroups.v1_places.get(v1) {
        return available(key, format!("cgroup v1, groups below {}", place.display()));
    }
    if cgroups.unified_controllers.iter().any(|have| have == v2) {
        return limited(key, format!("cgroup v2 has {v2}, and this process can't make groups that have it"))
            .remedy(delegate(host));
    }
    if let Some(mount) = cgroups.v1.get(v1) {
        return limited(
            key,
            format!("cgroup v1 at {}, where an unprivileged user needs a group of its own", mount.display()),
        )
        .remedy(format!(
            "as root: mkdir {0}/pinfold && chown -R {1} {0}/pinfold, and name it in limits.cgroup_parent",
            mount.display(),
            host.user.clone().unwrap_or_else(|| host.euid.to_string()),
        ));
    }
    let fallback = match key {
        "limits.memory" => "; compat.prefer = [\"limits.memory\"] falls back to RLIMIT_DATA per process",
        "limits.pids" => "; compat.prefer = [\"limits.pids\"] falls back to RLIMIT_NPROC",
        "limits.cpu_time" => "; compat.prefer = [\"limits.cpu_time\"] falls back to RLIMIT_CPU per process",
        _ => "",
    };
    let controller = if any { v1 } else { v2 };
    missing(key, format!("no hierarchy gives us the controller {controller}{fallback}")).remedy(delegate(host))
}

/// Why `memory_high` and `oom_group` can't be had where the memory controller is one of v1, and what to do about it.
pub(crate) const ONLY_ON_V2: (&str, &str) = (
    "the memory controller is in a cgroup v1 hierarchy, which has no such thing",
    "boot with systemd.unified_cgroup_hierarchy=1, or leave it out",
);

fn only_on_v2(host: &HostCaps, key: &str) -> Finding {
    if !host.cgroups.v1.contains_key("memory") {
        return controller(host, key, "", "memory");
    }
    let (why, remedy) = ONLY_ON_V2;
    missing(key, why).remedy(remedy)
}

fn swap(host: &HostCaps) -> Finding {
    const FEATURE: &str = "limits.swap";
    match (host.cgroups.swap, host.cgroups.v1.contains_key("memory")) {
        (true, true) => available(FEATURE, "where memory is limited too, as cgroup v1 has it"),
        (true, false) => available(FEATURE, "where memory can be limited"),
        (false, _) => missing(FEATURE, "this kernel does not account for swap").remedy("boot with swapaccount=1"),
    }
}

/// Why `io_weight` can't be had, and what to do about it.
pub(crate) const NOTHING_WEIGHS: (&str, &str) = (
    "no block device here has a scheduler that heeds weights (bfq, or a cost model)",
    "as root: echo bfq > /sys/block/DISK/queue/scheduler; or limit it with limits.io",
);

fn io_weight(host: &HostCaps) -> Finding {
    const FEATURE: &str = "limits.io_weight";
    match host.cgroups.io_weight.as_slice() {
        [] => missing(FEATURE, NOTHING_WEIGHS.0).remedy(NOTHING_WEIGHS.1),
        disks => available(FEATURE, format!("where I/O can be limited, for {}", disks.join(" "))),
    }
}

/// Why there is no device program, and what to do about it.
pub(crate) fn no_device_program(host: &HostCaps) -> (&'static str, &'static str) {
    let privileged = host.has_capability(cap::SYS_ADMIN) && host.in_initial_user_namespace();
    match (&host.cgroups.unified, privileged) {
        (None, _) => ("there is no cgroup v2, and no devices controller of v1 for this process", LEAVE_OUT),
        (Some(_), true) => (
            "this kernel has no device programs for cgroup v2, or refuses bpf(2)",
            "a kernel with CONFIG_CGROUP_BPF; or leave it out",
        ),
        (Some(_), false) => (
            "cgroup v2 needs a BPF program for it, which takes CAP_BPF and CAP_NET_ADMIN in the initial user namespace",
            LEAVE_OUT,
        ),
    }
}

const LEAVE_OUT: &str = "run as root, outside of user namespaces; or leave it out:\n\
    a sandbox's /dev has the minimal set, and no other device can be made in it";

fn devices(host: &HostCaps) -> Finding {
    const FEATURE: &str = "limits.devices";
    if let Some(place) = host.cgroups.v1_places.get("devices") {
        return available(FEATURE, format!("cgroup v1, groups below {}", place.display()));
    }
    if host.may_filter_devices() && !host.cgroups.unified_places.is_empty() {
        return available(FEATURE, "cgroup v2, by a BPF program on the group");
    }
    let (why, remedy) = no_device_program(host);
    missing(FEATURE, why).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::super::fakes;
    use super::*;

    fn find(host: &HostCaps, feature: &str) -> Finding {
        findings(host).into_iter().find(|f| f.feature == feature).expect("every feature is always listed")
    }

    #[test]
    fn each_fake_host_tells_its_story() {
        use Availability::{Available, Limited, Missing};
        for (host, feature, state, words) in [
            (fakes::root(), "namespaces.user", Available, "at most"),
            (fakes::root(), "identity.uid_map", Available, "any range"),
            (fakes::root(), "mounts.proc", Available, "nothing covers"),
            (fakes::root(), "limits.memory", Available, "v1"),
            (fakes::root(), "limits.swap", Available, "where memory is limited too"),
            (fakes::root(), "limits.io_weight", Missing, "no block device"),
            (fakes::root(), "limits.devices", Available, "v1"),
            (fakes::root(), "security.landlock", Available, "ABI 7"),
            (fakes::root(), "mounts.prepared_tree", Available, "cloned"),
            (fakes::user(), "identity.uid_map", Limited, "/etc/subuid"),
            (fakes::user(), "mounts.prepared_tree", Limited, "CAP_SYS_ADMIN"),
            (fakes::user(), "limits.memory", Limited, "group of its own"),
            (fakes::apparmor(), "namespaces.user", Limited, "AppArmor"),
            (fakes::apparmor(), "identity.uid_map", Limited, "newuidmap"),
            (fakes::apparmor(), "rootfs.overlay", Limited, "not loaded"),
            (fakes::apparmor(), "limits.memory", Available, "app.slice"),
            (fakes::apparmor(), "limits.cpus", Missing, "controller cpu"),
            (fakes::apparmor(), "security.landlock", Limited, "not truncation"),
            (fakes::no_userns(), "namespaces.user", Missing, "max_user_namespaces is 0"),
            (fakes::no_userns(), "security.landlock", Missing, "second wall"),
            (fakes::docker(), "namespaces.user", Limited, "seccomp"),
            (fakes::docker(), "mounts.proc", Missing, "kcore"),
            (fakes::docker(), "limits.memory", Limited, "can't make groups"),
        ] {
            let found = find(&host, feature);
            assert_eq!(found.state, state, "{found}");
            assert!(found.detail.contains(words), "{found} lacks {words:?}");
        }
    }

    #[test]
    fn a_users_systemd_is_a_place() {
        let controllers = vec!["memory".to_owned(), "pids".to_owned()];
        let manager = super::super::UserManager { socket: "/run/user/1000/systemd/private".into(), controllers };
        let mut host = fakes::user();
        host.cgroups = super::super::Cgroups {
            unified: Some("/sys/fs/cgroup".into()),
            user_manager: Some(manager),
            ..super::super::Cgroups::default()
        };
        for (feature, state) in [
            ("cgroup", Availability::Available),
            ("limits.memory", Availability::Available),
            ("limits.cpuset", Availability::Missing),
        ] {
            let found = find(&host, feature);
            assert_eq!(found.state, state, "{found}");
            assert!(state == Availability::Missing || found.detail.contains("user's systemd"), "{found}");
        }
        let remedy = find(&host, "limits.cpuset").remedy.unwrap_or_default();
        assert!(remedy.contains("user@.service"), "{remedy}");
        assert!(host.to_string().contains("/run/user/1000/systemd/private memory pids"), "{host}");
    }

    #[test]
    fn whatever_is_missing_says_what_to_do() {
        for host in [fakes::root(), fakes::user(), fakes::apparmor(), fakes::no_userns(), fakes::docker()] {
            for found in findings(&host).iter().filter(|f| f.state == Availability::Missing) {
                assert!(found.remedy.is_some(), "{found}");
            }
        }
    }

    #[test]
    fn the_list_of_features_does_not_depend_on_the_host() {
        let names = |host| findings(&host).into_iter().map(|f| f.feature).collect::<Vec<_>>();
        let first = names(fakes::root());
        for host in [fakes::user(), fakes::apparmor(), fakes::no_userns(), fakes::docker()] {
            assert_eq!(names(host), first);
        }
        let mut unique = first.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), first.len());
    }

    #[test]
    fn the_text_of_a_host_and_its_findings() {
        let host = fakes::apparmor();
        let report: Vec<String> = findings(&host).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!("apparmor", format!("{host}\n{}", report.join("\n")));
    }
}
