//! Owns: configs and hosts made of choices: every key with values that matter.
//! Must not: judge them.

use std::path::{Path, PathBuf};

use super::choices::Choices;
use super::recorded;
use crate::config::{Document, SandboxConfig};
use crate::host::{CgroupPlace, Cgroups, HostCaps, UserManager};

/// Assignments as of `--set`.
const ASSIGNMENTS: &[&str] = &[
    "hostname=box",
    "namespaces.user=host",
    "namespaces.user={ join = { pid = 7 } }",
    "namespaces.pid=host",
    "namespaces.pid={ join = \"/proc/7/ns/pid\" }",
    "namespaces.mount=host",
    "namespaces.mount={ join = { fd = \"mnt\" } }",
    "namespaces.ipc=host",
    "namespaces.ipc={ join = { fd = \"ipc\" } }",
    "namespaces.uts=host",
    "namespaces.cgroup=host",
    "namespaces.time=new",
    "namespaces.time={ offset_boottime = 5, offset_monotonic = -5 }",
    "network.mode=host",
    "network.mode={ join = \"/run/netns/blue\" }",
    "identity.uid=0",
    "identity.gid=0",
    "identity.uid=70000",
    "identity.groups=[0, 44]",
    "identity.uid_map=[{ inside = 0, outside = 100000, count = 65536 }]",
    "identity.gid_map=[{ inside = 0, outside = 100000, count = 65536 }]",
    "identity.uid_map=[{ inside = 1000, outside = 1000 }]",
    "identity.host_root=true",
    "rootfs=host",
    "rootfs=empty",
    "rootfs=./root",
    "rootfs={ kind = \"layers\", layers = [\"a\", \"b\"] }",
    "rootfs.overlay=memory",
    "rootfs.overlay=memory:1M",
    "rootfs.overlay=./changes",
    "rootfs.propagation=slave",
    "rootfs.propagation=shared",
    "rootfs.propagation=unbindable",
    "limits.memory=64M",
    "limits.memory_high=32M",
    "limits.swap=0",
    "limits.oom_group=true",
    "limits.payload_groups=true",
    "limits.pids=4",
    "limits.cpus=0.5",
    "limits.cpu_weight=50",
    "limits.cpuset=0",
    "limits.io_weight=50",
    "limits.devices=[\"c 10:200 rw\"]",
    "limits.wall_time=1s",
    "limits.cpu_time=1s",
    "limits.output=1K",
    "limits.overflow=kill",
    "limits.rlimits={ nofile = 64, core = \"unlimited\" }",
    "limits.cgroup_parent=/x",
    "security.seccomp=none",
    "security.capabilities=[\"all\"]",
    "security.capabilities=[\"net_raw\", \"sys_admin\"]",
    "security.securebits=none",
    "security.securebits=[\"noroot\"]",
    "security.no_new_privs=false",
    "security.landlock=off",
    "security.landlock=require",
    "security.keyring=host",
    "security.nested_user_namespaces=true",
    "process.cwd=/tmp",
    "process.env.A=b",
    "process.env_clear=true",
    "process.inherit_env=[\"LANG\"]",
    "process.umask=0077",
    "process.nice=5",
    "process.nice=-5",
    "process.terminal=true",
    "process.init=false",
    "compat.prefer=[\"*\"]",
    "compat.prefer=[\"limits.*\"]",
    "fds=[{ name = \"a\", target = 3 }, { name = \"b\", target = 9 }]",
    "fds=[{ name = \"a\", socket_activation = true }]",
    "fds=[{ name = \"a\", inetd = true }]",
    "rootfs.overlay={ upper = \"./changes\", work = \"./work\" }",
    "rootfs=system",
    "rootfs.kind=dir",
    "rootfs.propagation=private",
    "namespaces.user=new",
    "namespaces.uts={ join = { pid = 7 } }",
    "namespaces.cgroup={ join = \"/proc/7/ns/cgroup\" }",
    "namespaces.time={ join = { pid = 7 } }",
    "namespaces.time=host",
    "network=none",
    "network=host",
    "identity={ uid = 0, gid = 0, host_root = true }",
    "limits={ memory = \"64M\", swap = \"64M\", pids = 8, cpus = 2.5, cpu_weight = 1, cpuset = \"0-1,3\" }",
    "limits.io=[{ device = \"/dev/vda\", read_bps = \"1M\", write_bps = 5, read_iops = 7, write_iops = 9 }]",
    "limits.devices=[\"/dev/net/tun:rw\", \"b 8:* rwm\"]",
    "limits.hugepages={ \"2MiB\" = \"64MiB\", \"1GiB\" = 0 }",
    "limits.cgroup_parent=jobs/a",
    "limits.rlimits={ nproc = 9, cpu = 4, data = \"1G\", fsize = 0, nice = 5 }",
    "limits.overflow=truncate",
    "limits.timeout=3",
    "security.seccomp=./profile.json",
    "security.seccomp=default",
    "security.capabilities=[\"cap_chown\", \"SETUID\", \"checkpoint_restore\"]",
    "security.securebits=[\"noroot\", \"noroot_locked\", \"keep_caps_locked\"]",
    "security.securebits=default",
    "security.landlock=auto",
    "process.env={ PATH = \"/bin:/usr/bin\", TERM = { unset = true }, B = \"2\" }",
    "process.nice=19",
    "process.nice=-20",
    "init.path=/usr/libexec/pinfold-init",
    "compat.prefer=[\"limits.memory\", \"limits.pids\", \"limits.c*\"]",
    "compat.prefer=[\"limits.cgroup_parent\", \"limits.io*\"]",
    "fds=[{ name = \"c\", socket_activation = true }, { name = \"dir\", target = 12 }, { name = \"ipc\", target = 30 }]",
    "version=1",
    "limits.payload_groups=false",
    "limits.cgroup_parent=system.slice/x.slice",
    "limits.cpu_time=1500ms",
    "limits.cpu_time=7ns",
    "compat.prefer=[\"limits.cpu_time\", \"limits.payload_groups\", \"limits.d*s\", \"l*x*y\"]",
    "namespaces.ipc={ join = { pid = 7 } }",
    "namespaces.pid={ join = { fd = \"pid\" } }",
    "network={ mode = \"host\" }",
    "security.seccomp=./other.json",
    "security.capabilities=[\"bpf\", \"perfmon\", \"checkpoint_restore\"]",
    "identity={ uid = 0, gid = 0 }",
    "identity.uid_map=[{ inside = 0, outside = 1000 }, { inside = 1, outside = 100000, count = 1000 }]",
    "limits.rlimits={ nproc = 1000000, cpu = 1, data = 5, nofile = \"unlimited\" }",
    "mounts=[{ kind = \"bind\", source = \"data\", target = \"/m\", idmap = true }]",
    "mounts=[{ kind = \"bind\", source = { fd = \"dir\" }, target = \"/m\", idmap = true }, { kind = \"overlay\", lower = [\"low\"], upper = \"memory\", target = \"/o\" }]",
    "mounts=[{ kind = \"bind\", source = \"/srv\", target = \"/m\", recursive = true, propagation = \"shared\", read_only = true }]",
];

/// The same, each with something that is refused when its meaning is looked at.
const REFUSED: &[&str] = &[
    "version=2",
    "hostname=under/score",
    "hostname=",
    "namespaces.ipc={ join = \"\" }",
    "namespaces.ipc={ join = { pid = 0 } }",
    "namespaces.ipc={ join = { fd = \"\" } }",
    "namespaces.time={ offset_boottime = 9223372036854775807 }",
    "identity.uid=4294967295",
    "identity.gid=4294967295",
    "identity.groups=[4294967295]",
    "identity.uid_map=[]",
    "identity.uid_map=[{ inside = 0, outside = 0, count = 0 }]",
    "identity.uid_map=[{ inside = 0, outside = 1 }, { inside = 0, outside = 2 }]",
    "identity.gid_map=[{ inside = 4294967290, outside = 5, count = 100 }]",
    "identity.gid_map=[{ inside = 5, outside = 0 }]",
    "rootfs={ kind = \"dir\" }",
    "rootfs={ kind = \"system\", path = \"./x\" }",
    "rootfs={ kind = \"layers\" }",
    "rootfs={ kind = \"layers\", layers = [\"a\", \"a\"] }",
    "rootfs={ kind = \"dir\", path = \"./x\", overlay = \"./x/changes\" }",
    "rootfs.overlay={ upper = \"./u\", work = \"./u/w\" }",
    "rootfs.overlay={ upper = \"./u\", size = \"1M\" }",
    "rootfs.overlay={ upper = \"memory\", work = \"./w\" }",
    "rootfs.overlay=memory:0",
    "limits.memory=0",
    "limits.memory=x",
    "limits.swap=y",
    "limits.pids=0",
    "limits.cpus=0",
    "limits.cpus=nan",
    "limits.cpu_weight=20000",
    "limits.io_weight=0",
    "limits.cpuset=3-1",
    "limits.cpuset=a",
    "limits.cpuset=",
    "limits.io=[{ device = \"vda\" }, { device = \"/dev/vda\", read_bps = 0 }]",
    "limits.io=[{ device = \"/dev/vda\", read_iops = 1 }, { device = \"/dev/vda\", read_iops = 0 }]",
    "limits.devices=[\"c 10:200\", \"x 1:1 r\", \"/dev/a\", \"/dev/a:q\", \"\"]",
    "limits.hugepages={ \"3MiB\" = 5, x = 1, \"2MiB\" = \"y\" }",
    "limits.rlimits={ nofiles = 5, cpu = \"x\" }",
    "limits.cgroup_parent=../x",
    "limits.wall_time=0",
    "limits.wall_time=soon",
    "limits.cpu_time=0s",
    "limits.output=many",
    "security.seccomp=",
    "security.capabilities=[\"net_rwa\", \"chown\", \"cap_chown\"]",
    "security.securebits=[\"norot\"]",
    "process.cwd=tmp",
    "process.env={ \"A=B\" = \"1\", \"\" = \"2\", N = \"a\\u0000b\" }",
    "process.inherit_env=[\"A=B\", \"\"]",
    "process.umask=0999",
    "process.umask=1000",
    "process.nice=20",
    "init.path=here",
    "compat.prefer=[\"\", \"lim its\", \"limits.memroy\"]",
    "fds=[{ name = \"a\" }]",
    "fds=[{ name = \"a\", target = 3, inetd = true }]",
    "fds=[{ name = \"a\", target = 1 }, { name = \"a\", target = 1 }]",
    "fds=[{ name = \"a\", target = 3 }, { name = \"b\", target = 3 }]",
    "fds=[{ name = \"a\", target = 5000 }, { name = \"b:c\", socket_activation = true }]",
    "fds=[{ name = \"a\", target = 3 }, { name = \"b\", socket_activation = true }]",
    "fds=[{ name = \"a\", inetd = true }, { name = \"b\", inetd = true }]",
    "mounts=[{}, { kind = \"tmpfs\" }, { target = \"/x\" }]",
];

const KINDS: &[&str] = &["bind", "tmpfs", "proc", "sysfs", "devpts", "dev", "mqueue", "overlay", "symlink", "file"];
const TARGETS: &[&str] = &[
    "/a",
    "/a/b",
    "/a/b/c",
    "/tmp",
    "/tmp/x",
    "/dev",
    "/dev/shm",
    "/dev/pts",
    "/proc",
    "/proc/sys",
    "/sys",
    "/run/x",
    "/etc",
    "/etc/passwd",
    "/usr",
    "/usr/lib/x",
    "/home/u",
    "/bin",
    "/lib64",
    "/opt/deep/er",
    "/a.file",
    "/var/x",
    "/",
    "relative",
    "/a/../b",
];

/// What few mounts take.
const ODD: &[&str] = &[
    "upper = \"memory\"",
    "upper = \"./up\"",
    "upper = \"./up\", work = \"./wk\"",
    "upper = \"./low\"",
    "propagation = \"private\"",
    "propagation = \"unbindable\"",
    "mode = \"8\"",
    "size = 0",
    "inodes = 0",
    "content = \"x\\u0000\"",
    "lower = []",
    "masked = [\"../x\", \"/etc\"]",
    "readonly_paths = [\"\"]",
];

/// A config; none where the choices contradict each other in its text.
pub(super) fn config(choices: &mut Choices<'_>) -> Option<SandboxConfig> {
    let mut document = Document::new();
    for _ in 0..choices.below(12) {
        // What contradicts another one in its text is left out.
        let assignment = if choices.below(24) == 23 { choices.pick(REFUSED) } else { choices.pick(ASSIGNMENTS) };
        let mut with = document.clone();
        if with.set(assignment).is_ok() && with.clone().into_config().is_ok() {
            document = with;
        }
    }
    for _ in 0..choices.below(8) {
        let before = document.clone().into_config().map_or(0, |config| config.mounts.len());
        document.set(&format!("mounts[{before}]={}", mount(choices))).ok()?;
    }
    document.into_config().ok()
}

fn mount(choices: &mut Choices<'_>) -> String {
    let kind = choices.pick(KINDS);
    let mut fields = vec![format!("kind = \"{kind}\""), format!("target = \"{}\"", choices.pick(TARGETS))];
    match kind {
        "bind" => fields.push(match choices.below(4) {
            0 => "source = { fd = \"dir\" }".to_owned(),
            1 => "source = \"one.file\"".to_owned(),
            2 => "source = \"data\"".to_owned(),
            _ => "source = \"/srv/other\"".to_owned(),
        }),
        // Now and then what a kind needs is not there.
        "symlink" | "file" | "overlay" if choices.below(16) == 15 => {}
        "symlink" => fields.push("source = \"../x\"".to_owned()),
        "file" => fields.push("content = \"hello\"".to_owned()),
        "overlay" => fields.push("lower = [\"low\", \"lower\"]".to_owned()),
        "tmpfs" if choices.flip() => fields.push("size = \"2M\", inodes = 100, mode = \"1777\"".to_owned()),
        "proc" if choices.flip() => {
            fields.push("masked = [\"acpi\", \"/proc/x\"], readonly_paths = [\"sys\", \"irq\"]".to_owned());
        }
        _ => {}
    }
    for flag in ["read_only", "nosuid", "nodev", "noexec", "recursive", "optional", "idmap"] {
        // Most mounts say little.
        if choices.below(6) == 5 {
            fields.push(format!("{flag} = {}", choices.flip()));
        }
    }
    match choices.below(12) {
        7 => fields.push("propagation = \"slave\"".to_owned()),
        8 => fields.push("propagation = \"shared\"".to_owned()),
        9 => fields.push("size = \"1M\"".to_owned()),
        10 => fields.push("mode = \"0700\"".to_owned()),
        11 => fields.push(choices.pick(ODD).to_owned()),
        _ => {}
    }
    format!("{{ {} }}", fields.join(", "))
}

/// A recorded host with some facts changed.
pub(super) fn host(choices: &mut Choices<'_>) -> HostCaps {
    let mut host = recorded(choices);
    for _ in 0..choices.below(8) {
        match choices.below(24) {
            0 => host.kernel = choices.pick(&[(5, 10), (5, 14), (6, 1), (6, 12), (6, 18), (7, 0)]),
            1 => host.landlock_abi = choices.below(8) as u32,
            2 => host.clone_detached_tree = choices.flip(),
            3 => host.seccomp_actions.clear(),
            4 => host.memfd_noexec = Some(choices.below(3) as u8),
            5 => host.newuidmap = None,
            6 => host.newgidmap = None,
            7 => host.capabilities = choices.number(),
            8 => host.proc_covered.push("/proc/x".to_owned()),
            9 => host.setgroups_allowed = choices.flip(),
            10 => host.chrooted = choices.flip(),
            11 => host.max_user_namespaces = Some(choices.below(2) as u64),
            12 => host.unprivileged_userns_clone = Some(choices.flip()),
            13 => host.namespaces.retain(|kind| kind != choices.pick(&["time", "cgroup", "user", "net"])),
            14 => host.cap_last = choices.pick(&[36, 39, 40, 63]),
            15 => host.capabilities = choices.pick(&[0, 1 << 21, u64::MAX, 1 << 6 | 1 << 7, (1 << 41) - 1]),
            16 => host.proc_covered.clear(),
            17 => host.proc_options = vec!["noatime".to_owned()],
            18 => host.cgroups.device_programs = choices.flip(),
            19 if choices.flip() => ids(choices, &mut host),
            // A user with ids of its own and the helpers that map them.
            19 => {
                (host.subuid, host.subgid) = (vec![(100_000, 65_536)], vec![(100_000, 65_536)]);
                (host.newuidmap, host.newgidmap) =
                    (Some("/usr/bin/newuidmap".into()), Some("/usr/bin/newgidmap".into()));
            }
            _ => groups(choices, &mut host.cgroups),
        }
    }
    host
}

/// Where groups can be made, and what they could limit.
fn groups(choices: &mut Choices<'_>, cgroups: &mut Cgroups) {
    const UNIFIED: &[&str] = &["memory", "pids", "cpu", "cpuset", "io", "hugetlb"];
    const V1: &[&str] = &["memory", "pids", "cpu", "cpuset", "blkio", "hugetlb", "devices", "cpuacct", "freezer"];
    let mut some = |names: &[&str]| -> Vec<String> {
        names.iter().filter(|_| choices.below(4) > 0).map(|name| (*name).to_owned()).collect()
    };
    let (enabled, possible, v1) = (some(UNIFIED), some(UNIFIED), some(V1));
    let path = |name: &String| (name.clone(), Path::new("/sys/fs/cgroup").join(name));
    match choices.below(5) {
        0 => *cgroups = Cgroups::default(),
        1 => {
            // Version 2 alone.
            *cgroups = Cgroups::default();
            let places = ["/sys/fs/cgroup/own", "/sys/fs/cgroup"].map(PathBuf::from);
            let place = |path| CgroupPlace { path, enabled: enabled.clone(), possible: possible.clone() };
            cgroups.unified_places = places.into_iter().take(choices.below(3)).map(place).collect();
            cgroups.user_manager =
                choices.flip().then(|| UserManager { controllers: possible, ..UserManager::default() });
        }
        2 => {
            // Version 1 alone, of which some is ours.
            *cgroups = Cgroups::default();
            cgroups.v1 = V1.iter().map(|name| path(&(*name).to_owned())).collect();
            cgroups.v1_places = v1.iter().map(path).collect();
        }
        3 => {
            // Both, and controllers of version 1 that are mounted together.
            let together = |name: &String| (name.clone(), PathBuf::from("/sys/fs/cgroup/cpu,cpuacct"));
            let (two, own): (Vec<String>, _) = v1.into_iter().partition(|name| name.starts_with("cpu"));
            cgroups.v1 = own.iter().map(path).chain(two.iter().map(together)).collect();
            cgroups.v1_places = cgroups.v1.clone();
            cgroups.unified_places = vec![CgroupPlace { path: "/sys/fs/cgroup/unified".into(), enabled, possible }];
        }
        _ => {
            cgroups.v1 = v1.iter().map(path).collect();
            cgroups.v1_places = v1.iter().map(path).collect();
        }
    }
    cgroups.swap = choices.flip();
    cgroups.device_programs = choices.flip();
    cgroups.io_weight = if choices.flip() { vec!["8:0".to_owned()] } else { Vec::new() };
}

/// Another owner of ids.
pub(super) fn ids(choices: &mut Choices<'_>, host: &mut HostCaps) {
    host.euid = choices.pick(&[0, 1, 1000, 65_534, 100_000]);
    host.egid = choices.pick(&[0, 1, 1000, 65_534, 100_000]);
    for _ in 0..choices.below(3) {
        host.subuid.push((choices.id(), choices.id()));
        host.subgid.push((choices.id(), choices.id()));
    }
    if choices.flip() {
        host.uid_map = (0..choices.below(4)).map(|_| (choices.id(), choices.id(), choices.id())).collect();
        host.gid_map = (0..choices.below(4)).map(|_| (choices.id(), choices.id(), choices.id())).collect();
    }
}

/// A config with a section `identity` of any numbers.
pub(super) fn identity(choices: &mut Choices<'_>) -> Option<SandboxConfig> {
    let mut document = Document::new();
    for key in ["uid", "gid"] {
        if choices.flip() {
            document.set(&format!("identity.{key}={}", choices.id())).ok()?;
        }
        if choices.flip() {
            let ranges: Vec<String> = (0..choices.below(4))
                .map(|_| {
                    let (inside, outside, count) = (choices.id(), choices.id(), choices.id());
                    format!("{{ inside = {inside}, outside = {outside}, count = {count} }}")
                })
                .collect();
            document.set(&format!("identity.{key}_map=[{}]", ranges.join(", "))).ok()?;
        }
    }
    if choices.flip() {
        document.set(&format!("identity.groups=[{}]", choices.id())).ok()?;
    }
    document.set(&format!("identity.host_root={}", choices.flip())).ok()?;
    document.into_config().ok()
}
