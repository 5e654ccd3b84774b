//! Owns: the answers of the default policy, by name. Must not: depend on how it is written down.

use super::vm;
use super::*;
use crate::seccomp::{DefaultOptions, compile, default_policy};

const PLAIN: DefaultOptions = DefaultOptions { arch: Arch::X86_64, nested_user_namespaces: false, keep: 0 };

fn ask(options: &DefaultOptions, name: &str, args: &[u64]) -> Verdict {
    let nr = table::number(options.arch, name).unwrap_or_else(|| panic!("{name} on {:?}", options.arch));
    let mut six = [0; 6];
    six[..args.len()].copy_from_slice(args);
    let policy = default_policy(options);
    let verdict = policy.evaluate(options.arch.audit(), nr, &six);
    let program = compile(&policy).unwrap();
    assert_eq!(vm::run(&program, options.arch.audit(), nr, &six).0, verdict.ret(), "{name}");
    verdict
}

fn both() -> [DefaultOptions; 2] {
    [PLAIN, DefaultOptions { arch: Arch::Aarch64, ..PLAIN }]
}

fn keeping(capability: u32) -> DefaultOptions {
    DefaultOptions { keep: 1 << capability, ..PLAIN }
}

#[test]
fn stays_small() {
    for options in both() {
        let program = compile(&default_policy(&options)).unwrap();
        vm::check(&program).unwrap();
        let arch = options.arch.audit();
        let steps: Vec<usize> =
            numbers(options.arch).into_iter().map(|nr| vm::run(&program, arch, nr, &[u64::MAX; 6]).1).collect();
        let deepest = steps.iter().max().copied().unwrap_or(0);
        println!("{:?}: {} instructions, {deepest} steps at most", options.arch, program.len());
        assert!(program.len() <= 180, "{} instructions", program.len());
        assert!(deepest <= 20, "{deepest} steps");
    }
}

#[test]
fn init_and_its_child_before_exec_can_do_their_work() {
    const CLONE_VM_VFORK_PIDFD: u64 = 0x100 | 0x4000 | 0x1000 | 17;
    const TIOCSCTTY: u64 = 0x540E;
    for options in both() {
        assert_eq!(ask(&options, "clone", &[CLONE_VM_VFORK_PIDFD]), Verdict::Allow);
        assert_eq!(ask(&options, "ioctl", &[0, TIOCSCTTY]), Verdict::Allow);
        for name in [
            "wait4",
            "waitid",
            "kill",
            "pidfd_send_signal",
            "sendmsg",
            "recvmsg",
            "ppoll",
            "setsid",
            "setresuid",
            "setresgid",
            "setgroups",
            "capset",
            "prctl",
            "prlimit64",
            "setpriority",
            "dup3",
            "fcntl",
            "chdir",
            "umask",
            "close_range",
            "close",
            "getpid",
            "read",
            "write",
            "faccessat2",
            "openat",
            "clock_gettime",
            "landlock_create_ruleset",
            "landlock_add_rule",
            "landlock_restrict_self",
            "execve",
            "execveat",
            "exit",
            "exit_group",
            "rt_sigaction",
            "rt_sigprocmask",
            "rt_sigreturn",
            "signalfd4",
            "seccomp",
            "pidfd_open",
        ] {
            assert_eq!(ask(&options, name, &[]), Verdict::Allow, "{name} on {:?}", options.arch);
        }
    }
}

#[test]
fn ordinary_programs_can_do_theirs() {
    for options in both() {
        for name in [
            "mmap",
            "mprotect",
            "brk",
            "futex",
            "rseq",
            "set_robust_list",
            "getrandom",
            "statx",
            "newfstatat",
            "epoll_pwait2",
            "eventfd2",
            "timerfd_create",
            "memfd_create",
            "memfd_secret",
            "splice",
            "vmsplice",
            "sendfile",
            "copy_file_range",
            "inotify_init1",
            "fanotify_mark",
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "name_to_handle_at",
            "sched_setaffinity",
            "mlock",
            "membarrier",
            "io_setup",
            "shmget",
            "mq_open",
            "semget",
            "flock",
            "sysinfo",
            "cachestat",
            "fchmodat2",
            "futex_wait",
            "mseal",
            "setxattrat",
            "statmount",
            "listmount",
            "map_shadow_stack",
            "clock_adjtime",
            "mknodat",
            "sync",
            "process_mrelease",
            "ioprio_set",
            "openat2",
            "bind",
            "accept4",
            "setsockopt",
        ] {
            assert_eq!(ask(&options, name, &[]), Verdict::Allow, "{name} on {:?}", options.arch);
        }
    }
    for name in ["open", "fork", "vfork", "arch_prctl", "modify_ldt", "time", "select", "uretprobe", "alarm"] {
        assert_eq!(ask(&PLAIN, name, &[]), Verdict::Allow, "{name}");
    }
}

#[test]
fn privileged_and_dangerous_calls_are_refused() {
    for options in both() {
        for name in [
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
            "userfaultfd",
            "keyctl",
            "add_key",
            "request_key",
            "bpf",
            "perf_event_open",
            "open_tree",
            "open_tree_attr",
            "move_mount",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "mount_setattr",
            "mount",
            "umount2",
            "pivot_root",
            "chroot",
            "setns",
            "unshare",
            "kexec_load",
            "kexec_file_load",
            "reboot",
            "swapon",
            "swapoff",
            "init_module",
            "finit_module",
            "delete_module",
            "acct",
            "quotactl",
            "quotactl_fd",
            "nfsservctl",
            "lookup_dcookie",
            "open_by_handle_at",
            "clock_settime",
            "settimeofday",
            "syslog",
            "vhangup",
            "kcmp",
            "pidfd_getfd",
            "process_madvise",
            "mbind",
            "get_mempolicy",
            "set_mempolicy",
            "set_mempolicy_home_node",
            "migrate_pages",
            "move_pages",
            "fanotify_init",
            "sethostname",
            "setdomainname",
            "lsm_get_self_attr",
            "lsm_set_self_attr",
            "lsm_list_modules",
        ] {
            assert_eq!(ask(&options, name, &[]), Verdict::EPERM, "{name} on {:?}", options.arch);
        }
        for name in ["clone3", "file_getattr", "file_setattr"] {
            assert_eq!(ask(&options, name, &[]), Verdict::ENOSYS, "{name} on {:?}", options.arch);
        }
    }
    for name in ["iopl", "ioperm", "uselib", "ustat", "sysfs", "_sysctl", "create_module", "vserver", "security"] {
        assert_eq!(ask(&PLAIN, name, &[]), Verdict::EPERM, "{name}");
    }
}

#[test]
fn unknown_numbers_and_x32_answer_enosys() {
    let policy = default_policy(&PLAIN);
    for nr in [337, 400, 423, 470, 512, 1000, 0x3fff_ffff, 0x4000_0000, 0x4000_0010, u32::MAX] {
        assert_eq!(policy.evaluate(Arch::X86_64.audit(), nr, &[0; 6]), Verdict::ENOSYS, "{nr}");
    }
}

#[test]
fn every_namespace_flag_of_clone_is_refused() {
    let flags = [0x2_0000u64, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
    for options in both() {
        for flag in flags {
            assert_eq!(ask(&options, "clone", &[flag | 17]), Verdict::EPERM, "{flag:#x}");
            assert_eq!(ask(&options, "clone", &[flag | 1 << 40]), Verdict::EPERM, "a high bit hides nothing");
        }
        let pthread = 0x003d_0f00;
        assert_eq!(ask(&options, "clone", &[pthread]), Verdict::Allow);
        assert_eq!(ask(&options, "clone", &[pthread | 1 << 40]), Verdict::Allow);
    }
}

#[test]
fn nested_user_namespaces_open_what_they_need() {
    let nested = DefaultOptions { nested_user_namespaces: true, ..PLAIN };
    for name in ["clone3", "unshare", "setns", "mount", "umount2", "pivot_root", "fsopen", "open_tree", "sethostname"] {
        assert_eq!(ask(&nested, name, &[u64::MAX]), Verdict::Allow, "{name}");
    }
    assert_eq!(ask(&nested, "clone", &[0x7e02_0000]), Verdict::Allow);
    for name in ["bpf", "io_uring_setup", "keyctl", "reboot", "init_module", "quotactl"] {
        assert_eq!(ask(&nested, name, &[]), Verdict::EPERM, "{name}");
    }
}

#[test]
fn kept_capabilities_open_their_calls_and_no_others() {
    for (capability, names) in [
        (2, &["open_by_handle_at"][..]),
        (16, &["init_module", "finit_module", "delete_module"]),
        (17, &["iopl", "ioperm"]),
        (18, &["chroot"]),
        (19, &["kcmp", "pidfd_getfd", "process_madvise"]),
        (20, &["acct"]),
        (22, &["reboot"]),
        (23, &["mbind", "get_mempolicy", "set_mempolicy", "set_mempolicy_home_node"]),
        (25, &["clock_settime", "settimeofday"]),
        (26, &["vhangup"]),
        (34, &["syslog"]),
        (38, &["perf_event_open"]),
        (39, &["bpf"]),
    ] {
        let options = keeping(capability);
        for name in names {
            assert_eq!(ask(&options, name, &[]), Verdict::Allow, "{name} with capability {capability}");
        }
        let (before, after) = (default_policy(&PLAIN), default_policy(&options));
        let changed = (0..470).filter(|nr| before.rules.get(nr) != after.rules.get(nr)).count();
        assert_eq!(changed, names.len(), "capability {capability}");
    }
    // CAP_KILL opens nothing.
    assert_eq!(default_policy(&keeping(5)), default_policy(&PLAIN));
}

#[test]
fn sys_admin_opens_all_namespaces_but_user() {
    let admin = keeping(21);
    for name in ["mount", "umount2", "setns", "fsopen", "bpf", "syslog", "quotactl", "sethostname", "perf_event_open"] {
        assert_eq!(ask(&admin, name, &[]), Verdict::Allow, "{name}");
    }
    assert_eq!(ask(&admin, "clone", &[0x6e02_0011]), Verdict::Allow);
    assert_eq!(ask(&admin, "unshare", &[0x6e02_0000]), Verdict::Allow);
    assert_eq!(ask(&admin, "clone", &[0x1000_0011]), Verdict::EPERM);
    assert_eq!(ask(&admin, "unshare", &[0x1002_0000]), Verdict::EPERM);
    assert_eq!(ask(&admin, "clone3", &[]), Verdict::ENOSYS);
    for name in ["chroot", "pivot_root", "reboot", "init_module", "io_uring_setup", "keyctl"] {
        assert_eq!(ask(&admin, name, &[]), Verdict::EPERM, "{name}");
    }
    let nested = DefaultOptions { nested_user_namespaces: true, ..admin };
    assert_eq!(ask(&nested, "unshare", &[0x1002_0000]), Verdict::Allow);
}

#[test]
fn socket_families_are_an_allow_list() {
    let refused = Verdict::Errno(97);
    for options in both() {
        for family in 0..64 {
            let wanted = if [1, 2, 10, 16].contains(&family) { Verdict::Allow } else { refused };
            assert_eq!(ask(&options, "socket", &[family, 1]), wanted, "family {family}");
        }
        assert_eq!(ask(&options, "socketpair", &[1, 1]), Verdict::Allow);
        assert_eq!(ask(&options, "socketpair", &[30, 1]), refused, "TIPC");
        // The kernel takes an int: it would see AF_VSOCK, and AF_UNIX.
        assert_eq!(ask(&options, "socket", &[1 << 32 | 40]), refused);
        assert_eq!(ask(&options, "socket", &[1 << 32 | 1]), Verdict::Allow);
    }
    assert_eq!(ask(&PLAIN, "socket", &[17]), refused);
    assert_eq!(ask(&keeping(13), "socket", &[17]), Verdict::Allow, "AF_PACKET with CAP_NET_RAW");
    assert_eq!(ask(&keeping(13), "socket", &[40]), refused);
}

#[test]
fn terminal_injection_is_refused_whatever_the_high_bits() {
    for options in both() {
        for request in [0x5412, 0x541c] {
            assert_eq!(ask(&options, "ioctl", &[0, request]), Verdict::EPERM);
            assert_eq!(ask(&options, "ioctl", &[0, 1 << 32 | request]), Verdict::EPERM);
        }
        for request in [0x5401, 0x5413, 0x540e, 0x5410, 0x5423] {
            assert_eq!(ask(&options, "ioctl", &[0, request]), Verdict::Allow, "{request:#x}");
        }
    }
}

#[test]
fn personality_takes_dockers_values() {
    for options in both() {
        for persona in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
            assert_eq!(ask(&options, "personality", &[persona]), Verdict::Allow, "{persona:#x}");
        }
        for persona in [1, 0x0040_0000, 0x0004_0000, 0x0100_0000] {
            assert_eq!(ask(&options, "personality", &[persona]), Verdict::EPERM, "{persona:#x}");
        }
    }
}

#[test]
fn explains_itself() {
    insta::assert_snapshot!(default_policy(&PLAIN).to_string());
}
