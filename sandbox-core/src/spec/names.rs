//! Owns: the tables of names that a config may use: capabilities, resource limits, securebits, features.
//! Must not: know which of them this kernel has.

use super::{Capability, Rlimit};

/// Capabilities by number (capabilities(7)).
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// Resources of setrlimit(2), with the numbers that x86-64 and aarch64 share.
const RLIMITS: [&str; 16] = [
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];

/// Securebits by number.
const SECUREBITS: [&str; 8] = [
    "noroot",
    "noroot_locked",
    "no_setuid_fixup",
    "no_setuid_fixup_locked",
    "keep_caps",
    "keep_caps_locked",
    "no_cap_ambient_raise",
    "no_cap_ambient_raise_locked",
];

/// What `compat.prefer` may name: the keys whose enforcement depends on the host.
pub(crate) const FEATURES: &[&str] = &[
    "hostname",
    "identity.gid_map",
    "identity.groups",
    "identity.uid_map",
    "limits.cpu_time",
    "limits.cpu_weight",
    "limits.cpus",
    "limits.cpuset",
    "limits.devices",
    "limits.hugepages",
    "limits.io",
    "limits.io_weight",
    "limits.memory",
    "limits.memory_high",
    "limits.oom_group",
    "limits.payload_groups",
    "limits.pids",
    "limits.rlimits",
    "limits.swap",
    "mounts.idmap",
    "mounts.propagation",
    "namespaces.cgroup",
    "namespaces.ipc",
    "namespaces.mount",
    "namespaces.pid",
    "namespaces.time",
    "namespaces.user",
    "namespaces.uts",
    "network.mode",
    "process.nice",
    "process.terminal",
    "rootfs.overlay",
    "rootfs.propagation",
    "security.capabilities",
    "security.keyring",
    "security.landlock",
    "security.nested_user_namespaces",
    "security.no_new_privs",
    "security.seccomp",
    "security.securebits",
];

impl Capability {
    /// The capability called `name`, with or without `CAP_`, in any case.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let bare = lower.strip_prefix("cap_").unwrap_or(&lower);
        Self::all().find(|capability| capability.name == bare)
    }

    /// All that Linux 5.14 knows, by number.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..).zip(CAPABILITIES).map(|(number, name)| Self { number, name })
    }
}

impl Rlimit {
    /// The resource called `name` (`nofile`, also `RLIMIT_NOFILE`).
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let bare = lower.strip_prefix("rlimit_").unwrap_or(&lower);
        Self::all().find(|rlimit| rlimit.name == bare)
    }

    /// All resources, by number.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..).zip(RLIMITS).map(|(resource, name)| Self { name, resource })
    }
}

/// The bit called `name`.
pub(crate) fn securebit(name: &str) -> Option<u32> {
    SECUREBITS.iter().position(|known| *known == name).map(|bit| 1 << bit)
}

/// The names of all securebits, for messages.
pub(crate) fn securebit_names() -> impl Iterator<Item = &'static str> {
    SECUREBITS.into_iter()
}

/// Whether `name` fits `pattern`, in which `*` stands for anything.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut tail) = name.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return tail.ends_with(part);
        }
        // The leftmost place leaves the most for what follows.
        match tail.find(part) {
            Some(at) => tail = &tail[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_the_kernels_numbers() {
        let number = |name| Capability::by_name(name).map(|c| c.number);
        assert_eq!(number("CAP_CHOWN"), Some(0));
        assert_eq!(number("net_bind_service"), Some(10));
        assert_eq!(number("Cap_Sys_Admin"), Some(21));
        assert_eq!(number("setfcap"), Some(31));
        assert_eq!(number("checkpoint_restore"), Some(40));
        assert_eq!(number("cap_cap_chown"), None);
        assert_eq!(number(""), None);
    }

    #[test]
    fn rlimits_have_the_systems_numbers() {
        for (name, resource) in [
            ("cpu", libc::RLIMIT_CPU),
            ("as", libc::RLIMIT_AS),
            ("core", libc::RLIMIT_CORE),
            ("nofile", libc::RLIMIT_NOFILE),
            ("RLIMIT_NPROC", libc::RLIMIT_NPROC),
            ("memlock", libc::RLIMIT_MEMLOCK),
            ("rttime", libc::RLIMIT_RTTIME),
        ] {
            // The C library has them signed or not.
            assert_eq!(Rlimit::by_name(name).map(|r| i64::from(r.resource)), Some(i64::from(resource)), "{name}");
        }
    }

    #[test]
    fn securebits_have_the_kernels_numbers() {
        assert_eq!(securebit("noroot"), Some(1));
        assert_eq!(securebit("no_setuid_fixup"), Some(4));
        assert_eq!(securebit("no_cap_ambient_raise_locked"), Some(128));
    }

    #[test]
    fn globs() {
        for (pattern, name, fits) in [
            ("limits.*", "limits.memory", true),
            ("limits.*", "limit.memory", false),
            ("*", "anything", true),
            ("*.memory", "limits.memory", true),
            ("l*s.m*y", "limits.memory", true),
            ("l*s.m*x", "limits.memory", false),
            ("limits.memory", "limits.memory", true),
            ("limits.memory", "limits.memory_high", false),
            ("a*a", "a", false),
            ("a**b", "ab", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
