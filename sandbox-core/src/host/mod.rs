//! Owns: facts about this machine, probed once, printable, and fakeable in tests.
//! Must not: decide anything; settle does.
//! Start at: [`HostCaps`], then [`HostCaps::probe`].
//!
//! `probe` and `cgroups` are the only files that read anything; `parse`, `mountinfo`, `procfs` and `system_root` are pure and are fed
//! with hostile bytes in their tests. [`findings`] says in words what the facts mean (`pinfold doctor`).

mod cgroups;
mod display;
mod findings;
mod mountinfo;
mod parse;
mod probe;
mod procfs;
mod system_root;

pub use cgroups::{CgroupPlace, Cgroups, UserManager};
pub use findings::{Availability, Finding, findings};
pub(crate) use findings::{NOTHING_WEIGHS, ONLY_ON_V2, delegate, no_device_program};

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What this host can do. Plain data: tests hand in one from a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostCaps {
    /// Kernel release as `(major, minor)`.
    pub kernel: (u32, u32),
    /// The full release string of `uname -r`.
    pub release: String,
    /// Machine name of `uname -m`.
    pub machine: String,
    /// Effective uid of this process.
    pub euid: u32,
    /// Effective gid of this process.
    pub egid: u32,
    /// Effective capabilities of this process, as a mask.
    pub capabilities: u64,
    /// Whether this thread has no_new_privs set: set-user-ID helpers such as `newuidmap` are then without effect.
    #[serde(default)]
    pub no_new_privs: bool,
    /// The seccomp mode this thread already runs under: 0 none, 1 strict, 2 filter (as in a container).
    #[serde(default)]
    pub seccomp_mode: u8,
    /// The actions a filter may use (`/proc/sys/kernel/seccomp/actions_avail`); empty where the kernel has no seccomp.
    #[serde(default)]
    pub seccomp_actions: Vec<String>,
    /// The container engine whose marker file is at the root (`docker`, `podman`). Only for advice: files can lie.
    #[serde(default)]
    pub container: Option<String>,
    /// Whether nothing is mounted at this process's root, so that it lives in a chroot: user namespaces are then refused.
    #[serde(default)]
    pub chrooted: bool,
    /// The last capability the kernel knows (`cap_last_cap`).
    pub cap_last: u8,
    /// This process's own id maps, as in `/proc/self/uid_map`: (inside, outside, count).
    pub uid_map: Vec<(u32, u32, u32)>,
    /// The same for groups.
    pub gid_map: Vec<(u32, u32, u32)>,
    /// Whether setgroups(2) is allowed in our user namespace (`/proc/self/setgroups`); new ones inherit a refusal.
    #[serde(default = "yes")]
    pub setgroups_allowed: bool,
    /// Namespace kinds the kernel has (`/proc/self/ns/*`), by the kernel's
    /// names: `cgroup, ipc, mnt, net, pid, time, user, uts`. Sorted.
    pub namespaces: Vec<String>,
    /// `user.max_user_namespaces`; None where the file can't be read.
    pub max_user_namespaces: Option<u64>,
    /// `user.max_*_namespaces` of the other kinds, by the kernel's names.
    #[serde(default)]
    pub max_namespaces: BTreeMap<String, u64>,
    /// `kernel.unprivileged_userns_clone` of Debian's older kernels, if there.
    pub unprivileged_userns_clone: Option<bool>,
    /// `kernel.apparmor_restrict_unprivileged_userns`, if there.
    pub apparmor_restrict_userns: Option<bool>,
    /// Active security modules (`/sys/kernel/security/lsm`), if readable.
    pub lsms: Vec<String>,
    /// File systems the kernel has now (`/proc/filesystems`). One that is a module not yet loaded is missing here.
    #[serde(default)]
    pub filesystems: Vec<String>,
    /// Landlock ABI version, 0 where it is absent or off.
    pub landlock_abi: u32,
    /// `vm.memfd_noexec` (0, 1 or 2); None where the kernel has no such knob.
    pub memfd_noexec: Option<u8>,
    /// `fs.suid_dumpable`.
    pub suid_dumpable: u8,
    /// The login name the ranges below were looked up by.
    #[serde(default)]
    pub user: Option<String>,
    /// Subordinate ranges this user (or, for root, `pinfold` and then `root`) has in /etc/subuid: (first, count).
    pub subuid: Vec<(u32, u32)>,
    /// The same of /etc/subgid.
    pub subgid: Vec<(u32, u32)>,
    /// Absolute path of `newuidmap`, if it is installed.
    pub newuidmap: Option<PathBuf>,
    /// Absolute path of `newgidmap`, if it is installed.
    pub newgidmap: Option<PathBuf>,
    /// Paths of /proc (relative to it) that are covered by something on this host, so that a fresh proc is refused
    /// in a new user namespace. Empty: it is granted. `.`: our proc as a whole is no witness (read-only, or partial).
    pub proc_covered: Vec<String>,
    /// Access-time options that a fresh proc in a new user namespace must have, because the kernel refuses it otherwise
    /// (`noatime`, `strictatime`, `nodiratime`); empty: the default, `relatime`.
    #[serde(default)]
    pub proc_options: Vec<String>,
    /// Of [`MASKED_PROC_PATHS`](crate::MASKED_PROC_PATHS) and [`READONLY_PROC_PATHS`](crate::READONLY_PROC_PATHS), those that exist here: (path below /proc, is a
    /// directory).
    pub proc_paths: BTreeMap<String, bool>,
    /// What of the `system` root exists here: absolute path -> what it is.
    pub system_paths: BTreeMap<PathBuf, SystemPath>,
    /// Whether a tree of mounts that is attached nowhere can be cloned (Linux >= 6.15 and CAP_SYS_ADMIN in
    /// the initial user namespace; in a nested one the owner of our mount namespace is not known cheaply, so: no).
    pub clone_detached_tree: bool,
    /// The cgroup mounts and what this process may do in them.
    pub cgroups: Cgroups,
    /// How many CPUs are online.
    #[serde(default = "one")]
    pub cpus: u32,
}

/// One entry of the `system` root on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SystemPath {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link with this text.
    Symlink(PathBuf),
}

/// Capability numbers of capabilities(7) that the host side asks about.
pub(crate) mod cap {
    pub(crate) const SETGID: u8 = 6;
    pub(crate) const SETUID: u8 = 7;
    pub(crate) const SYS_ADMIN: u8 = 21;
    pub(crate) const SETFCAP: u8 = 31;
    pub(crate) const BPF: u8 = 39;
}

impl HostCaps {
    /// Finds out what this host can do: files, sysctls and a few harmless system calls; well below a millisecond.
    ///
    /// Nothing is started, mounted or changed. The facts about credentials are those of the calling thread.
    ///
    /// # Errors
    /// `unsupported` where `/proc` is missing or is not a proc file system of ours.
    pub fn probe() -> crate::Result<Self> {
        probe::probe()
    }

    /// Whether the kernel is at least this version.
    pub fn kernel_at_least(&self, major: u32, minor: u32) -> bool {
        self.kernel >= (major, minor)
    }

    /// Whether this capability (its number in capabilities(7)) is effective.
    pub fn has_capability(&self, number: u8) -> bool {
        self.capabilities.checked_shr(u32::from(number)).is_some_and(|mask| mask & 1 == 1)
    }

    /// Whether the kernel has this kind of namespace, by the kernel's name (`mnt`, `net`).
    pub fn has_namespace(&self, kind: &str) -> bool {
        self.namespaces.iter().any(|have| have == kind)
    }

    /// Whether this process may give a group of the unified hierarchy a program that decides on devices.
    pub(crate) fn may_filter_devices(&self) -> bool {
        let may_load = self.has_capability(cap::BPF) || self.has_capability(cap::SYS_ADMIN);
        self.cgroups.device_programs && may_load && self.in_initial_user_namespace()
    }

    /// Whether this security module is known to be active.
    pub fn has_lsm(&self, name: &str) -> bool {
        self.lsms.iter().any(|have| have == name)
    }

    /// Whether this process is in the initial user namespace, going by its id map: every id stands for itself.
    pub fn in_initial_user_namespace(&self) -> bool {
        self.uid_map == [(0, 0, u32::MAX)]
    }
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

/// Feeds every parser of host files, for fuzzing: they may find nothing, and must not panic.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_hostile(text: &[u8]) {
    parse::status(text);
    parse::id_map(text);
    parse::subids(text, &["root", "1000", ""]);
    parse::passwd_name(text, 0);
    parse::unified_group(text);
    parse::filesystems(text);
    parse::words(text);
    parse::number(text);
    parse::kernel_release(&String::from_utf8_lossy(text));
    let mounts = mountinfo::parse(text);
    assert!(mounts.len() <= text.split(|byte| *byte == b'\n').count(), "a mount per line at most");
    procfs::witness(&mounts);
    mountinfo::unescape(text);
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fakes {
    //! Recorded and made-up hosts for the tests of every stage.

    use super::HostCaps;

    fn load(text: &str) -> HostCaps {
        serde_json::from_str(text).expect("recorded host facts")
    }

    /// The development machine, as root.
    pub(crate) fn root() -> HostCaps {
        load(include_str!("testdata/root.json"))
    }

    /// The development machine, as uid 1000.
    pub(crate) fn user() -> HostCaps {
        load(include_str!("testdata/user.json"))
    }

    /// A Debian-like host with Linux 6.1, systemd and AppArmor's restriction of user namespaces, as uid 1000.
    pub(crate) fn apparmor() -> HostCaps {
        load(include_str!("testdata/apparmor.json"))
    }

    /// A host whose administrator switched user namespaces off, as uid 1000.
    pub(crate) fn no_userns() -> HostCaps {
        load(include_str!("testdata/no_userns.json"))
    }

    /// A container of Docker's default kind, as its root.
    pub(crate) fn docker() -> HostCaps {
        load(include_str!("testdata/docker.json"))
    }
}
