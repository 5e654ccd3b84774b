//! Owns: the table from (what was tried, errno, host facts) to advice.  Must not: do I/O, or repeat what the error says.
//! Start at: [`hint_for`].
//!
//! The first line that fits wins, so special cases stand above general ones. Advice is a sentence a tired person can act
//! on: it names the sysctl, the key or the command, never "check the permissions".
//!
//! The operations it knows, which the plan's operations translate to: `spawn init`, `join KIND`, `unshare`, `write time
//! offsets`, `write uid_map`, `write gid_map`, `write setgroups`, `newuidmap`, `newgidmap`, `clone3`, `clone into cgroup`,
//! `setgroups`, `setresuid`, `sethostname`, `set loopback`, `open source`, `clone source`, `mount KIND` (a file system),
//! `mount_setattr`, `create ..`, `write file`, `resolve target`, `move_mount`, `pivot_root`, `new keyring`, `seccomp`,
//! `landlock`, `setrlimit NAME`, `setpriority`, `chdir`, `capset`, `execve`, `create cgroup`, `write cgroup`.

use nix::errno::Errno;

use crate::host::{HostCaps, cap};

/// What is known about a failed operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HintContext<'a> {
    /// What was tried, in the words of the plan: `unshare`, `mount proc`, `open source`, `execve` ..
    pub operation: &'a str,
    /// What the kernel answered.
    pub errno: i32,
    /// Where.
    pub host: &'a HostCaps,
}

/// One line of the table.
struct Line {
    /// The operations it is about: whole names, or with a trailing `*` how they begin; `*` alone is any.
    operations: &'static [&'static str],
    errno: Errno,
    /// What must be so on the host.
    when: fn(&HostCaps) -> bool,
    advice: &'static str,
}

/// Advice for a failed operation, if we have any.
pub(crate) fn hint_for(context: &HintContext<'_>) -> Option<String> {
    let errno = Errno::from_raw(context.errno);
    TABLE
        .iter()
        .find(|line| {
            line.errno == errno
                && line.operations.iter().any(|pattern| matches(pattern, context.operation))
                && (line.when)(context.host)
        })
        .map(|line| line.advice.to_owned())
}

fn matches(pattern: &str, operation: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => operation.starts_with(prefix),
        None => operation == pattern,
    }
}

fn always(_: &HostCaps) -> bool {
    true
}

fn apparmor_restricts(host: &HostCaps) -> bool {
    host.apparmor_restrict_userns == Some(true) && !host.has_capability(cap::SYS_ADMIN)
}

fn clone_switched_off(host: &HostCaps) -> bool {
    host.unprivileged_userns_clone == Some(false) && host.euid != 0
}

fn no_user_namespaces(host: &HostCaps) -> bool {
    host.max_user_namespaces == Some(0)
}

fn chrooted(host: &HostCaps) -> bool {
    host.chrooted
}

/// A filter is on us and it isn't ours: a container engine's, a service manager's.
fn filtered(host: &HostCaps) -> bool {
    host.seccomp_mode == 2
}

fn in_container(host: &HostCaps) -> bool {
    host.container.is_some()
}

fn proc_is_covered(host: &HostCaps) -> bool {
    !host.proc_covered.is_empty()
}

fn some_kind_is_limited_to_0(host: &HostCaps) -> bool {
    host.max_namespaces.values().any(|most| *most == 0)
}

fn old_for_tmpfs_xattrs(host: &HostCaps) -> bool {
    !host.kernel_at_least(6, 6) && host.euid != 0
}

fn unprivileged(host: &HostCaps) -> bool {
    host.euid != 0
}

fn memfds_are_refused(host: &HostCaps) -> bool {
    host.memfd_noexec == Some(2)
}

fn nested(host: &HostCaps) -> bool {
    !host.in_initial_user_namespace()
}

const UNSHARE: &[&str] = &["unshare*", "clone3*"];
const NAMESPACES: &[&str] = &["unshare*", "clone3*", "setns*", "join*"];
const MAPS: &[&str] = &["write uid_map", "write gid_map", "write setgroups"];
const EXEC: &[&str] = &["exec*"];
const SPAWN: &[&str] = &["unshare*", "clone3*", "clone into*", "spawn*"];
const SOURCE: &[&str] = &["open source", "clone source", "open layer*", "open upper", "open rootfs"];
const TARGET: &[&str] = &["resolve target", "open target"];
const ANY: &[&str] = &["*"];

const APPARMOR: &str = "AppArmor restricts user namespaces here: install a copy of init, give its path an AppArmor profile with the rule `userns,` (`pinfold doctor` prints it) and name it in init.path or PINFOLD_INIT; or lift the restriction for everyone: sysctl kernel.apparmor_restrict_unprivileged_userns=0";

#[rustfmt::skip]
const TABLE: &[Line] = &[
    // User namespaces, from the most certain cause to the least.
    line(UNSHARE, Errno::ENOSPC, no_user_namespaces, "user namespaces are switched off (user.max_user_namespaces is 0): sysctl user.max_user_namespaces=15000"),
    line(UNSHARE, Errno::ENOSPC, some_kind_is_limited_to_0, "one of the sysctls user.max_*_namespaces is 0: `pinfold doctor` names it; raise it, or use that namespace of the host"),
    line(UNSHARE, Errno::ENOSPC, always, "a limit on namespaces is reached (the sysctls user.max_*_namespaces, or 32 levels of nesting): end sandboxes that are no longer used, or raise the sysctl"),
    line(UNSHARE, Errno::EPERM, chrooted, "this process lives in a chroot, where the kernel refuses user namespaces: enter the directory with pivot_root instead (bwrap, systemd-nspawn, `unshare --mount` and `pivot_root`)"),
    line(UNSHARE, Errno::EPERM, clone_switched_off, "user namespaces are switched off for unprivileged users: sysctl kernel.unprivileged_userns_clone=1"),
    line(UNSHARE, Errno::EPERM, filtered, "a seccomp filter is on this process, as in a container, and most of them refuse new namespaces: Docker: --security-opt seccomp=unconfined (or a profile that allows unshare, clone and mount); Podman: --security-opt seccomp=unconfined; Kubernetes: seccompProfile Unconfined; systemd: RestrictNamespaces=no"),
    line(UNSHARE, Errno::EPERM, apparmor_restricts, APPARMOR),
    line(UNSHARE, Errno::EACCES, apparmor_restricts, APPARMOR),
    line(UNSHARE, Errno::EACCES, always, "a security module (SELinux, AppArmor) refuses the namespace: the kernel's log (dmesg, journalctl -k) names the rule"),
    line(UNSHARE, Errno::EPERM, always, "the kernel refuses the namespace: run `pinfold doctor`, which tries each kind by itself"),
    line(UNSHARE, Errno::EINVAL, always, "this kernel lacks one of the namespaces: `pinfold doctor` shows which it has"),
    line(UNSHARE, Errno::ENOSYS, filtered, "the seccomp filter of the surrounding container hides this system call: allow unshare, clone and clone3 in its profile"),
    line(&["setns*", "join*"], Errno::EPERM, always, "joining needs CAP_SYS_ADMIN in the namespace's owner: join its user namespace too, or run as the user who made it"),
    line(&["setns*", "join*"], Errno::EINVAL, always, "that file is no namespace of this kind, or it is the user namespace this process is in already"),
    line(&["setns*", "join*", "open namespace*"], Errno::ENOENT, always, "the process whose namespace is to be joined is gone: pass an open fd of the namespace, which keeps it alive"),
    line(NAMESPACES, Errno::ENOMEM, always, "the kernel has no memory for the namespaces: the cgroup's memory limit, or (in a new PID namespace) its init is dead"),

    line(&["write time offsets"], Errno::ERANGE, always, "a clock would be before 1970 or too far ahead: namespaces.time offsets are seconds added to the host's clocks"),
    line(&["write time offsets"], Errno::EPERM, always, "time offsets need a time namespace that belongs to the sandbox's user namespace: namespaces.time = \"new\""),

    // Id maps. Ubuntu's kind of the restriction grants the namespace and takes every capability in it: the maps fail first.
    line(MAPS, Errno::EPERM, apparmor_restricts, APPARMOR),
    line(MAPS, Errno::EACCES, apparmor_restricts, APPARMOR),
    line(MAPS, Errno::EPERM, nested, "the user namespace this process is in lacks these ids, or its setgroups is denied: choose ids that /proc/self/uid_map and gid_map list"),
    line(&["write gid_map"], Errno::EPERM, unprivileged, "a gid map without privileges needs setgroups denied first, and one line with the caller's own gid; for ranges use /etc/subgid and newgidmap"),
    line(&["write uid_map"], Errno::EPERM, unprivileged, "a uid map without privileges is one line with the caller's own uid; for ranges add a line to /etc/subuid and install newuidmap (package uidmap)"),
    line(MAPS, Errno::EPERM, always, "writing this map needs CAP_SETUID, CAP_SETGID and, where uid 0 is mapped, CAP_SETFCAP"),
    line(MAPS, Errno::EINVAL, always, "the kernel refuses the map's form: its ranges overlap, end above the last id, or are more than 340"),
    line(&["newuidmap", "newgidmap"], Errno::EPERM, always, "newuidmap allows only ranges of /etc/subuid (newgidmap: /etc/subgid), needs its set-user-ID bit or file capabilities, and a process without no_new_privs"),
    line(&["newuidmap", "newgidmap"], Errno::ENOENT, always, "install newuidmap and newgidmap: apt install uidmap (Debian, Ubuntu), dnf install shadow-utils (Fedora, RHEL)"),
    line(&["setresuid*", "setresgid*", "setgroups*", "chown*"], Errno::EINVAL, always, "this id is not in the sandbox's id map: add it to identity.uid_map or identity.gid_map"),
    line(&["setgroups*"], Errno::EPERM, always, "setgroups is denied in this user namespace: supplementary groups need a gid range (/etc/subgid and newgidmap) or a privileged host"),
    line(&["setresuid*"], Errno::EAGAIN, always, "the user has reached RLIMIT_NPROC: raise it (ulimit -u), or end processes of that user"),

    // proc, sysfs and other file systems.
    line(&["mount proc"], Errno::EPERM, proc_is_covered, "parts of /proc are covered here, as in Docker, and the kernel then refuses a fresh one: Docker: --security-opt systempaths=unconfined; Podman: --security-opt unmask=ALL; Kubernetes: procMount: Unmasked; or use namespaces.pid = \"host\" and bind the host's /proc"),
    line(&["mount proc"], Errno::EPERM, always, "a fresh proc needs a PID namespace that belongs to the sandbox's user namespace: use namespaces.pid = \"new\""),
    line(&["mount sysfs"], Errno::EPERM, always, "a sysfs needs a network namespace that belongs to the sandbox: use network.mode = \"none\", or bind the host's /sys read-only"),
    line(&["mount mqueue"], Errno::ENODEV, always, "this kernel has no POSIX message queues (CONFIG_POSIX_MQUEUE)"),
    line(&["mount overlay"], Errno::ENODEV, always, "this kernel has no overlayfs: modprobe overlay"),
    line(&["mount*", "fsopen*", "fsconfig*"], Errno::ENODEV, always, "this kernel doesn't have that file system: load its module (modprobe), which an unprivileged user can't"),
    line(&["mount overlay", "fsconfig overlay", "create overlay"], Errno::EINVAL, old_for_tmpfs_xattrs, "an overlay in memory needs user xattrs on tmpfs (Linux 6.6) where the host is unprivileged: use a directory: rootfs.overlay.upper = \"DIR\""),
    line(&["mount overlay", "fsconfig overlay", "create overlay"], Errno::EOPNOTSUPP, old_for_tmpfs_xattrs, "an overlay in memory needs user xattrs on tmpfs (Linux 6.6) where the host is unprivileged: use a directory: rootfs.overlay.upper = \"DIR\""),
    line(&["mount overlay", "fsconfig overlay", "create overlay"], Errno::EINVAL, always, "upper and work directory must be on one file system that has xattrs and is not itself an overlay; lower layers can be overlays only one deep"),
    line(&["mount overlay", "fsconfig overlay", "create overlay"], Errno::EXDEV, always, "upper and work directory must be on one file system"),
    line(&["mount overlay", "fsconfig overlay", "create overlay"], Errno::EBUSY, always, "the upper or work directory is used by another overlay: each sandbox needs its own"),
    line(&["mount overlay", "fsconfig overlay", "create overlay"], Errno::EROFS, always, "the upper directory is on a read-only file system: put it elsewhere, or keep it in memory"),
    line(&["mount overlay"], Errno::ENOENT, always, "a layer is gone, or /proc is not mounted on this host"),
    line(&["claim upper"], Errno::EAGAIN, always, "another sandbox uses this directory for its changes: each needs its own, or waits for the other's end"),
    line(&["claim upper"], Errno::EOVERFLOW, always, "the directory has files and does not belong to the sandbox's ids: use an empty or a new one, or give it and all in it to those ids"),
    line(&["claim upper"], Errno::ENOENT, always, "the directory is made if it is missing, but not the one above it: make that first"),
    line(&["claim upper"], Errno::ELOOP, always, "a symbolic link can't keep changes: name the directory itself"),
    line(&["claim upper"], Errno::ENOTDIR, always, "what keeps the changes must be a directory, which a file is not, nor a symbolic link"),
    line(&["claim upper"], Errno::EACCES, always, "this process may not make or open a directory there"),
    line(&["claim upper"], Errno::EROFS, always, "the file system is read-only: keep the changes elsewhere, or in memory"),
    line(&["mount tmpfs"], Errno::EINVAL, always, "the kernel refuses the size or the number of inodes of this tmpfs"),
    line(&["mount tmpfs", "mount*"], Errno::ENOSPC, always, "a limit on mounts is reached: the sysctl fs.mount-max"),
    line(&["mount bind", "open_tree*", "clone source"], Errno::EINVAL, always, "the source is an unbindable mount, or it has mounts below it that may not be left out: use recursive = true"),
    line(&["mount_setattr*", "remount*"], Errno::EPERM, always, "a flag of this mount is locked by the host (nosuid, nodev, noexec or read-only): the sandbox may add flags and not remove them"),
    line(&["mount_setattr*"], Errno::EINVAL, always, "the source's file system can't be id-mapped, or it is id-mapped already: leave idmap out"),
    line(&["move_mount*", "mount*"], Errno::ELOOP, always, "a component of the target inside the root is a symbolic link that leads into a loop, or out of where links are followed: name the real path"),
    line(&["move_mount*", "mount*"], Errno::ENOTDIR, always, "source and target differ in kind: a directory can only be mounted on a directory, a file on a file"),
    line(&["move_mount*"], Errno::EINVAL, always, "source and target differ in kind: a directory can only be mounted on a directory, a file on a file"),
    line(&["move_mount*", "mount*"], Errno::ENOENT, always, "the mount target doesn't exist in the root and Pinfold creates nothing on host file systems: create it there, or use an overlay"),
    line(&["mount*", "move_mount*", "open_tree*", "fsopen*", "fsconfig*", "fsmount*", "pivot_root*"], Errno::EPERM, filtered, "the seccomp filter of the surrounding container refuses mounts: Docker, Podman: --security-opt seccomp=unconfined, or a profile that allows mount, umount2, pivot_root, open_tree, move_mount and mount_setattr"),
    line(&["mount*", "move_mount*", "pivot_root*"], Errno::EACCES, in_container, "a security module of the surrounding container refuses mounts: Docker: --security-opt apparmor=unconfined (SELinux: label=disable)"),
    line(&["mount*", "set loopback*"], Errno::EACCES, apparmor_restricts, APPARMOR),
    line(&["mount*", "move_mount*"], Errno::EACCES, always, "a security module refuses the mount, or the file system is read-only at its source: the kernel's log (dmesg) names the rule"),
    line(&["mount*", "move_mount*", "open_tree*"], Errno::EPERM, always, "the kernel allows this mount only to root of the initial user namespace, or the mount below it is locked by the host: bind the whole tree with recursive = true"),
    line(&["pivot_root*"], Errno::EINVAL, always, "the host's root is the initramfs, which can't be left by pivot_root: boot into a real root (switch_root) first"),

    // Sources: opened on the host, with the embedder's credentials.
    line(SOURCE, Errno::ENOENT, always, "the source doesn't exist on this host: correct the path (it is relative to the config file, in code to the current directory), or set optional = true"),
    line(SOURCE, Errno::EACCES, unprivileged, "this process may not reach the source: every directory above it needs the x permission for this user"),
    line(SOURCE, Errno::EACCES, always, "a security module, or a file system without root access (NFS with root_squash, FUSE without allow_root), keeps even root from the source"),
    line(SOURCE, Errno::ELOOP, always, "the source goes through too many symbolic links: name the real path"),
    line(SOURCE, Errno::ENOTDIR, always, "a component of the source is a file: correct the path"),
    line(SOURCE, Errno::ESTALE, always, "the file server no longer knows the source: mount that file system again"),

    // Targets: resolved inside the new root.
    line(TARGET, Errno::ENOENT, always, "the mount target doesn't exist in the root and Pinfold creates nothing on host file systems: create it there, or use an overlay (rootfs.overlay = \"memory\")"),
    line(TARGET, Errno::ELOOP, always, "a component of the target is a symbolic link that may not be followed (a magic link of /proc, or a loop): name the real path"),
    line(TARGET, Errno::EXDEV, always, "the target leads out of the root by a symbolic link, which is refused: name a path inside the root"),
    line(TARGET, Errno::EAGAIN, always, "the target's path was changed while it was being resolved: something else is renaming directories of this root; give the sandbox a root of its own"),
    line(TARGET, Errno::ENOTDIR, always, "a component of the target is a file in this root: correct the target"),
    line(TARGET, Errno::EACCES, always, "the payload's root isn't readable for the sandbox's ids: its directories need the x permission for them (with an id range, files of other users are `nobody`'s)"),
    line(&["create*", "mkdir*", "symlink*", "write file*", "resolve target", "open target"], Errno::EROFS, always, "the root is read-only: add an overlay (rootfs.overlay = \"memory\"), or mount a tmpfs above it"),
    line(&["create*", "mkdir*", "write file*", "copy*"], Errno::EOVERFLOW, always, "a file there belongs to an id that the sandbox's map lacks: map a range (identity.uid_map), or change the owner on the host"),
    line(&["create*", "mkdir*", "write file*", "copy*"], Errno::ENOSPC, always, "the file system is full: give the overlay or tmpfs a larger `size` or more `inodes`"),
    line(&["create*", "mkdir*", "write file*", "copy*"], Errno::EDQUOT, always, "the user's disk quota is used up"),

    // The working directory.
    line(&["chdir"], Errno::ENOENT, always, "the working directory doesn't exist inside: the host's current directory is never used; mount it, or choose a directory of the sandbox"),
    line(&["chdir"], Errno::ENOTDIR, always, "the working directory is a file inside: name a directory"),
    line(&["chdir"], Errno::EACCES, always, "the payload's user may not enter the working directory: change its mode, or run as its owner (identity.uid)"),
    line(&["chdir"], Errno::ELOOP, always, "the working directory goes through too many symbolic links"),

    // Programs.
    line(EXEC, Errno::ENOENT, always, "interpreter or loader missing: the program is there, but the `#!` line or the dynamic loader it names is not in the sandbox's root (statically linked programs need none)"),
    line(EXEC, Errno::ENOEXEC, always, "the file is no program for this machine: a script needs a `#!` line, a binary must be of this architecture"),
    line(EXEC, Errno::E2BIG, always, "arguments and environment together are too long (a quarter of RLIMIT_STACK, and 128 KiB for each string): pass the data on stdin or in a file"),
    line(EXEC, Errno::EACCES, always, "the program isn't executable for the payload's user, or it lies on a mount with noexec: chmod +x, or put it elsewhere"),
    line(EXEC, Errno::EPERM, always, "a security module or no_new_privs keeps the program from gaining the privileges its file asks for"),
    line(EXEC, Errno::ETXTBSY, always, "the program is open for writing somewhere: close it before it is run"),
    line(EXEC, Errno::ENOTDIR, always, "a component of the program's path is a file"),
    line(EXEC, Errno::ELOOP, always, "the program goes through too many symbolic links, or `#!` lines name each other"),
    line(EXEC, Errno::EISDIR, always, "the program's interpreter is a directory"),
    line(EXEC, Errno::EINVAL, always, "the program's ELF header names more than one interpreter, or none that can be used"),
    line(EXEC, Errno::ELIBBAD, always, "the program's dynamic loader is damaged or for another architecture"),
    line(EXEC, Errno::ENOMEM, always, "no memory to start the program: raise limits.memory or rlimits.as"),
    line(EXEC, Errno::EAGAIN, always, "the user has reached RLIMIT_NPROC, which execve checks after a change of ids: raise it"),

    // Starting init.
    line(&["spawn init", "create init", "memfd_create*"], Errno::EACCES, memfds_are_refused, "executable memfds are switched off (vm.memfd_noexec is 2): name an installed copy of init in init.path or PINFOLD_INIT, or sysctl vm.memfd_noexec=1"),
    line(&["spawn init", "create init"], Errno::EACCES, always, "the init program couldn't be executed: its directory is mounted noexec or a security module refuses it; name an installed copy in init.path or PINFOLD_INIT"),
    line(&["spawn init"], Errno::ENOENT, always, "init.path (or PINFOLD_INIT) names no file"),
    line(&["spawn init"], Errno::ENOEXEC, always, "init.path (or PINFOLD_INIT) is no init program of this version and architecture"),

    // Walls.
    line(&["seccomp*"], Errno::EACCES, always, "a filter needs no_new_privs or CAP_SYS_ADMIN: leave security.no_new_privs at true"),
    line(&["seccomp*"], Errno::EINVAL, always, "the kernel refuses the filter: it is longer than 4096 instructions, or it uses an action that this kernel lacks (`pinfold doctor` lists them)"),
    line(&["seccomp*"], Errno::ENOMEM, always, "the filters of this process together are too long (32,768 instructions): use a smaller one"),
    line(&["landlock*"], Errno::ENOSYS, always, "this kernel has no Landlock: set security.landlock = \"auto\" or \"off\""),
    line(&["landlock*"], Errno::EOPNOTSUPP, always, "Landlock is built in but not enabled: add it to the kernel's parameter lsm= (lsm=landlock,..), or set security.landlock = \"auto\""),
    line(&["landlock*"], Errno::E2BIG, always, "16 Landlock domains are stacked already: start the sandbox from a process with fewer"),
    line(&["landlock*"], Errno::EPERM, always, "Landlock needs no_new_privs or CAP_SYS_ADMIN: leave security.no_new_privs at true"),
    line(&["keyctl*", "new keyring"], Errno::EDQUOT, always, "the user's quota of keys is used up: raise kernel.keys.maxkeys (root: kernel.keys.root_maxkeys)"),
    line(&["setrlimit*", "prlimit*"], Errno::EPERM, always, "a hard limit can only be raised with CAP_SYS_RESOURCE: lower the rlimit, or raise the limit of the process that starts the sandbox"),
    line(&["capset*", "drop capabilities*", "ambient*"], Errno::EPERM, always, "a capability that is to be kept isn't one the sandbox has: remove it from security.capabilities"),
    line(&["sethostname*"], Errno::EPERM, always, "the host name can only be set in a UTS namespace of the sandbox's own: namespaces.uts = \"new\""),
    line(&["set loopback*", "loopback*"], Errno::EPERM, always, "the network namespace is older than the sandbox's user namespace, so its loopback can't be brought up: join a namespace where it is up"),
    line(&["nice*", "setpriority*"], Errno::EACCES, always, "a nice value can only be lowered with CAP_SYS_NICE or RLIMIT_NICE"),

    // cgroups.
    line(&["write cgroup*", "create cgroup*", "clone into cgroup*"], Errno::EACCES, always, "this user may not change that group: run in a delegated one (systemd-run --user --scope -p Delegate=yes COMMAND), or as root"),
    line(&["write cgroup*", "create cgroup*"], Errno::EPERM, always, "this user may not change that group: run in a delegated one (systemd-run --user --scope -p Delegate=yes COMMAND), or as root"),
    line(&["write cgroup*", "create cgroup*"], Errno::EROFS, always, "the cgroup file system is read-only, as in a container: mount it writable (Docker: --cgroupns=private and a read-write /sys/fs/cgroup)"),
    line(&["write cgroup*", "create cgroup*", "clone into cgroup*"], Errno::EBUSY, always, "a group with processes can't have controlled groups below it: name another one in limits.cgroup_parent"),
    line(&["write cgroup*", "create cgroup*"], Errno::ENOENT, always, "the controller isn't enabled in the group above: enable it in its cgroup.subtree_control (systemd: Delegate=yes)"),
    line(&["create cgroup*"], Errno::EAGAIN, always, "the limit on groups (cgroup.max.descendants, cgroup.max.depth) is reached"),

    // What any operation can meet.
    line(SPAWN, Errno::EAGAIN, always, "no more processes: RLIMIT_NPROC of this user, the pids limit of this cgroup, or kernel.pid_max is reached"),
    line(ANY, Errno::EMFILE, always, "this process has no file descriptors left: raise RLIMIT_NOFILE (ulimit -n), or run fewer sandboxes at a time"),
    line(ANY, Errno::ENFILE, always, "the whole host has no file descriptors left: sysctl fs.file-max"),
    line(ANY, Errno::ENOMEM, always, "the kernel has no memory for this: the host's, or the limit of the cgroup this process is in"),
    line(ANY, Errno::ENAMETOOLONG, always, "a path is longer than 4095 bytes, or one of its components longer than the file system's limit (mostly 255)"),
    line(ANY, Errno::ENOSYS, filtered, "a seccomp filter of the surrounding container hides this system call: use a newer profile, or --security-opt seccomp=unconfined"),
    line(ANY, Errno::ENOSYS, always, "this kernel lacks the system call: Pinfold needs Linux 5.14 or newer"),
    line(ANY, Errno::EDQUOT, always, "a quota of this user is used up"),
    line(ANY, Errno::EIO, always, "the device or file server failed: the kernel's log (dmesg) says more"),
    line(ANY, Errno::ETIMEDOUT, always, "a server behind this file system doesn't answer"),
];

const fn line(
    operations: &'static [&'static str],
    errno: Errno,
    when: fn(&HostCaps) -> bool,
    advice: &'static str,
) -> Line {
    Line { operations, errno, when, advice }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::host::fakes;

    fn hint(operation: &str, errno: Errno, host: &HostCaps) -> String {
        hint_for(&HintContext { operation, errno: errno as i32, host }).unwrap_or_default()
    }

    #[test]
    fn the_cause_that_the_host_shows_is_named() {
        let mut switched_off = fakes::user();
        switched_off.unprivileged_userns_clone = Some(false);
        let mut chrooted = fakes::root();
        chrooted.chrooted = true;
        let mut old = fakes::apparmor();
        old.apparmor_restrict_userns = None;
        let mut no_memfd = fakes::user();
        no_memfd.memfd_noexec = Some(2);
        for (operation, errno, host, words) in [
            ("unshare", Errno::EPERM, &fakes::apparmor(), "AppArmor"),
            ("unshare user", Errno::EACCES, &fakes::apparmor(), "AppArmor"),
            ("unshare", Errno::ENOSPC, &fakes::no_userns(), "user.max_user_namespaces=15000"),
            ("unshare", Errno::ENOSPC, &fakes::root(), "limit on namespaces"),
            ("clone3", Errno::EPERM, &switched_off, "unprivileged_userns_clone=1"),
            ("unshare", Errno::EPERM, &fakes::docker(), "seccomp=unconfined"),
            ("unshare", Errno::EPERM, &chrooted, "chroot"),
            ("unshare", Errno::EPERM, &fakes::root(), "pinfold doctor"),
            ("mount proc", Errno::EPERM, &fakes::docker(), "systempaths=unconfined"),
            ("mount proc", Errno::EPERM, &fakes::root(), "namespaces.pid"),
            ("mount sysfs", Errno::EPERM, &fakes::user(), "network"),
            ("mount overlay", Errno::EINVAL, &old, "6.6"),
            ("mount overlay", Errno::EINVAL, &fakes::root(), "one file system"),
            ("mount overlay", Errno::ENODEV, &fakes::root(), "modprobe overlay"),
            ("mount tmpfs", Errno::ENOSPC, &fakes::root(), "fs.mount-max"),
            ("mount bind", Errno::EPERM, &fakes::docker(), "seccomp"),
            ("mount bind", Errno::EPERM, &fakes::user(), "recursive"),
            ("move_mount", Errno::EINVAL, &fakes::user(), "differ in kind"),
            ("move_mount", Errno::ENOTDIR, &fakes::user(), "differ in kind"),
            ("move_mount", Errno::ENOENT, &fakes::user(), "creates nothing on host file systems"),
            ("resolve target", Errno::ENOENT, &fakes::user(), "creates nothing on host file systems"),
            ("resolve target", Errno::EROFS, &fakes::user(), "overlay"),
            ("resolve target", Errno::ELOOP, &fakes::user(), "symbolic link"),
            ("resolve target", Errno::EXDEV, &fakes::user(), "out of the root"),
            ("resolve target", Errno::ENOTDIR, &fakes::user(), "is a file in this root"),
            ("clone source", Errno::ENOENT, &fakes::user(), "optional = true"),
            ("clone source", Errno::EINVAL, &fakes::user(), "unbindable"),
            ("open source", Errno::ENOENT, &fakes::user(), "optional = true"),
            ("open source", Errno::EACCES, &fakes::user(), "x permission"),
            ("open source", Errno::EACCES, &fakes::root(), "security module"),
            ("write uid_map", Errno::EPERM, &fakes::user(), "/etc/subuid"),
            ("write gid_map", Errno::EPERM, &fakes::user(), "setgroups"),
            ("write uid_map", Errno::EPERM, &fakes::root(), "CAP_SETUID"),
            ("write uid_map", Errno::EPERM, &fakes::apparmor(), "AppArmor"),
            ("mount tmpfs", Errno::EACCES, &fakes::apparmor(), "AppArmor"),
            ("write uid_map", Errno::EINVAL, &fakes::root(), "overlap"),
            ("setresuid", Errno::EINVAL, &fakes::root(), "identity.uid_map"),
            ("create file", Errno::EOVERFLOW, &fakes::user(), "map a range"),
            ("chdir", Errno::ENOENT, &fakes::user(), "the working directory"),
            ("chdir", Errno::ENAMETOOLONG, &fakes::user(), "4095"),
            ("execve", Errno::ENOENT, &fakes::user(), "interpreter or loader missing"),
            ("execve", Errno::ENOEXEC, &fakes::user(), "#!"),
            ("execve", Errno::EACCES, &fakes::user(), "noexec"),
            ("execve", Errno::E2BIG, &fakes::user(), "too long"),
            ("execve", Errno::ETXTBSY, &fakes::user(), "open for writing"),
            ("clone3", Errno::EAGAIN, &fakes::user(), "RLIMIT_NPROC"),
            ("spawn init", Errno::EAGAIN, &fakes::user(), "RLIMIT_NPROC"),
            ("spawn init", Errno::EACCES, &no_memfd, "vm.memfd_noexec"),
            ("open source", Errno::EMFILE, &fakes::user(), "RLIMIT_NOFILE"),
            ("open source", Errno::ENFILE, &fakes::user(), "fs.file-max"),
            ("mount tmpfs", Errno::ENOMEM, &fakes::user(), "memory"),
            ("seccomp", Errno::EINVAL, &fakes::user(), "4096"),
            ("landlock", Errno::EOPNOTSUPP, &fakes::user(), "lsm="),
            ("open_tree", Errno::ENOSYS, &fakes::user(), "5.14"),
            ("open_tree", Errno::ENOSYS, &fakes::docker(), "hides"),
            ("create cgroup", Errno::EACCES, &fakes::user(), "Delegate=yes"),
            ("setrlimit nofile", Errno::EPERM, &fakes::root(), "CAP_SYS_RESOURCE"),
        ] {
            let found = hint(operation, errno, host);
            assert!(found.contains(words), "{operation} {errno:?}: {found:?} lacks {words:?}");
        }
    }

    #[test]
    fn what_nobody_knows_has_no_advice() {
        assert_eq!(hint("open source", Errno::EDOM, &fakes::user()), "");
        assert_eq!(hint_for(&HintContext { operation: "unshare", errno: 4095, host: &fakes::user() }), None);
    }

    #[test]
    fn the_cause_is_not_named_where_it_is_not_so() {
        assert!(!hint("unshare", Errno::EPERM, &fakes::user()).contains("AppArmor"));
        assert!(!hint("mount proc", Errno::EPERM, &fakes::user()).contains("covered"));
        assert!(!hint("unshare", Errno::ENOSPC, &fakes::user()).contains("switched off"));
    }

    #[test]
    fn every_line_can_win_on_some_host_and_reads_like_advice() {
        let mut hosts = vec![fakes::root(), fakes::user(), fakes::apparmor(), fakes::no_userns(), fakes::docker()];
        let variants: [fn(&mut HostCaps); 6] = [
            |h| h.chrooted = true,
            |h| h.unprivileged_userns_clone = Some(false),
            |h| h.memfd_noexec = Some(2),
            |h| h.uid_map = vec![(0, 1000, 1)],
            |h| h.max_namespaces = [("net".to_owned(), 0)].into(),
            |h| h.kernel = (6, 1),
        ];
        for change in variants {
            let mut host = fakes::user();
            change(&mut host);
            hosts.push(host);
        }
        for line in TABLE {
            let wins = line.operations.iter().any(|pattern| {
                let operation = pattern.trim_end_matches('*');
                hosts.iter().any(|host| hint(operation, line.errno, host) == line.advice)
            });
            assert!(wins, "never reached: {:?} {:?} {:?}", line.operations, line.errno, line.advice);
            assert!(!line.advice.ends_with('.') && !line.advice.contains('\n'), "{:?}", line.advice);
        }
    }

    proptest! {
        #[test]
        fn any_question_has_an_answer_or_none(operation in "\\PC{0,20}", errno in any::<i32>()) {
            let host = fakes::user();
            hint_for(&HintContext { operation: &operation, errno, host: &host });
        }
    }
}
