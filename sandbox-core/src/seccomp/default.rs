//! Owns: what Pinfold refuses unless told otherwise, and why. Must not: be looser than Docker's default profile, but where it says so.
//!
//! Everything known is allowed but what is named here. A refused call answers EPERM, as it would without the privilege
//! it needs; ENOSYS where programs then take an older way (`clone3`, the newest calls); EAFNOSUPPORT for a socket family,
//! because that is what a kernel built without it says and what programs that probe for one expect.
//!
//! Stricter than Docker: socket families, `ioctl`, user namespaces also with CAP_SYS_ADMIN. Looser: `uprobe`, which only
//! the kernel's own trampoline can use, and which newer kernels let pass every filter.

use super::caps;
use super::policy::{Arg, Condition, Op, Policy, Rule, Verdict, Width};
use super::{Arch, table};

/// What the default policy depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DefaultOptions {
    pub(crate) arch: Arch,
    /// The payload may make user namespaces, and in them all others and mounts.
    pub(crate) nested_user_namespaces: bool,
    /// The capabilities the payload keeps: bit N is capability N.
    pub(crate) keep: u64,
}

/// Kernel objects of the host that no namespace separates, whole subsystems with a long record of holes, and calls
/// nobody needs any more. No capability opens these.
const NEVER: &[&str] = &[
    // Rings and fault handlers: much code in the kernel, and work done behind the filter's back.
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "userfaultfd",
    // Keyrings are not namespaced.
    "add_key",
    "request_key",
    "keyctl",
    // Another kernel, swap: the whole machine's.
    "kexec_load",
    "kexec_file_load",
    "swapon",
    "swapoff",
    // Moving pages of other processes.
    "migrate_pages",
    "move_pages",
    // Old, removed or never there.
    "_sysctl",
    "afs_syscall",
    "create_module",
    "get_kernel_syms",
    "getpmsg",
    "nfsservctl",
    "putpmsg",
    "query_module",
    "security",
    "sysfs",
    "tuxcall",
    "uselib",
    "ustat",
    "vserver",
];

/// Calls that a kept capability makes legitimate. Named twice: either capability will do.
const WITH_CAPABILITY: &[(u32, &[&str])] = &[
    (
        caps::SYS_ADMIN,
        &[
            "bpf",
            "fanotify_init",
            "lookup_dcookie",
            "lsm_get_self_attr",
            "lsm_list_modules",
            "lsm_set_self_attr",
            "perf_event_open",
            "quotactl",
            "quotactl_fd",
            "syslog",
        ],
    ),
    (caps::BPF, &["bpf"]),
    (caps::DAC_READ_SEARCH, &["open_by_handle_at"]),
    (caps::PERFMON, &["perf_event_open"]),
    (caps::SYSLOG, &["syslog"]),
    (caps::SYS_BOOT, &["reboot"]),
    (caps::SYS_CHROOT, &["chroot"]),
    (caps::SYS_MODULE, &["delete_module", "finit_module", "init_module"]),
    (caps::SYS_NICE, &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    (caps::SYS_PACCT, &["acct"]),
    (caps::SYS_PTRACE, &["kcmp", "pidfd_getfd", "process_madvise"]),
    (caps::SYS_RAWIO, &["ioperm", "iopl"]),
    (caps::SYS_TIME, &["clock_settime", "settimeofday"]),
    (caps::SYS_TTY_CONFIG, &["vhangup"]),
];

/// Names and mounts: with CAP_SYS_ADMIN, and in a nested user namespace, whose owner has it there.
const NAMESPACES: &[&str] = &[
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "setdomainname",
    "sethostname",
    "setns",
    "umount2",
];

/// Only in a nested user namespace. Docker's profile has no capability for `pivot_root`.
const NESTED: &[&str] = &["chroot", "pivot_root"];

/// Too new for Docker's profile. There is an older ioctl for both, taken upon ENOSYS.
const NEWER: &[&str] = &["file_getattr", "file_setattr"];

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. CLONE_NEWTIME is part of the exit signal in clone.
const CLONE_NEW: u64 = 0x7E02_0000;
const CLONE_NEWUSER: u64 = 0x1000_0000;

/// Socket families a payload may have. The other forty are rarely used and were often broken; vsock and RDMA leave the
/// machine without passing through the network namespace. Netlink stays: getifaddrs needs it, and it is namespaced.
const FAMILIES: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Pushes a character into a terminal's input: an escape if the host's terminal is inherited.
const TIOCSTI: u64 = 0x5412;
/// The same by way of the console's selection.
const TIOCLINUX: u64 = 0x541C;

/// PER_LINUX, PER_LINUX32, each also with UNAME26, and the question "which is it?".
const PERSONALITIES: &[u64] = &[0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The policy for payloads that ask for none.
pub(crate) fn default_policy(options: &DefaultOptions) -> Policy {
    let mut policy = Policy::new(options.arch, Verdict::Allow);
    let nested = options.nested_user_namespaces;
    let admin = caps::has(options.keep, caps::SYS_ADMIN);

    set(&mut policy, NEVER, Verdict::EPERM);
    set(&mut policy, NEWER, Verdict::ENOSYS);
    for (_, names) in WITH_CAPABILITY {
        set(&mut policy, names, Verdict::EPERM);
    }
    set(&mut policy, NAMESPACES, Verdict::EPERM);
    set(&mut policy, NESTED, Verdict::EPERM);

    for &(capability, names) in WITH_CAPABILITY {
        if caps::has(options.keep, capability) {
            set(&mut policy, names, Verdict::Allow);
        }
    }
    if nested || admin {
        set(&mut policy, NAMESPACES, Verdict::Allow);
    }
    if nested {
        set(&mut policy, NESTED, Verdict::Allow);
    } else {
        // CAP_SYS_ADMIN makes the other namespaces legitimate; user namespaces are asked for by name.
        let refused = if admin { CLONE_NEWUSER } else { CLONE_NEW };
        rules(&mut policy, "clone", &[flags_clear(refused, Verdict::Allow), Rule::always(Verdict::EPERM)]);
        let unshare: &[Rule] = if admin { &[flags_clear(refused, Verdict::Allow)] } else { &[] };
        rules(&mut policy, "unshare", &[unshare, &[Rule::always(Verdict::EPERM)]].concat());
        // Its flags are behind a pointer: libc then takes clone, where they can be seen.
        set(&mut policy, &["clone3"], Verdict::ENOSYS);
    }

    let mut families: Vec<Rule> = FAMILIES.iter().map(|&family| family_is(family)).collect();
    if caps::has(options.keep, caps::NET_RAW) {
        families.push(family_is(libc::AF_PACKET));
    }
    families.push(Rule::always(Verdict::Errno(libc::EAFNOSUPPORT as u16)));
    rules(&mut policy, "socket", &families);
    rules(&mut policy, "socketpair", &families);

    rules(&mut policy, "ioctl", &[TIOCSTI, TIOCLINUX].map(|request| int_is(Arg::SECOND, request, Verdict::EPERM)));

    let mut personalities: Vec<Rule> =
        PERSONALITIES.iter().map(|&persona| int_is(Arg::FIRST, persona, Verdict::Allow)).collect();
    personalities.push(Rule::always(Verdict::EPERM));
    rules(&mut policy, "personality", &personalities);
    policy
}

fn set(policy: &mut Policy, names: &[&str], verdict: Verdict) {
    for name in names {
        rules(policy, name, &[Rule::always(verdict)]);
    }
}

/// Replaces the rules of a call. A call this architecture does not have needs none; `tests` check the spelling.
fn rules(policy: &mut Policy, name: &str, rules: &[Rule]) {
    if let Some(nr) = table::number(policy.arch, name) {
        policy.rules.insert(nr, rules.to_vec());
    }
}

fn family_is(family: i32) -> Rule {
    int_is(Arg::FIRST, u64::from(family.unsigned_abs()), Verdict::Allow)
}

/// For an argument the kernel takes as 32 bits.
fn int_is(arg: Arg, value: u64, verdict: Verdict) -> Rule {
    Rule { when: vec![Condition { arg, op: Op::Eq, value, width: Width::Low32 }], verdict }
}

/// For the first argument: none of these flags. All are in the low half, which is all the kernel looks at.
fn flags_clear(flags: u64, verdict: Verdict) -> Rule {
    let clear = Condition { arg: Arg::FIRST, op: Op::MaskedEq(flags), value: 0, width: Width::Low32 };
    Rule { when: vec![clear], verdict }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::Lookup;

    #[test]
    fn every_name_is_a_call_somewhere() {
        let with_capability = WITH_CAPABILITY.iter().flat_map(|(_, names)| names.iter());
        let more = ["clone", "clone3", "unshare", "socket", "socketpair", "ioctl", "personality"];
        for name in [NEVER, NAMESPACES, NESTED, NEWER, &more].concat().iter().chain(with_capability) {
            assert_ne!(table::look_up(Arch::X86_64, name), Lookup::Unknown, "{name}");
        }
    }
}
