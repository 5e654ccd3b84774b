//! Each wall alone: what must be denied is tried with the other walls taken away, as root inside, and in roots that show
//! the whole host. What the default sandbox denies is in containment.rs.

mod support;

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use pinfold::{FdConfig, Landlock, Mount, Sandbox, SandboxBuilder, Stdio};
use pinfold_tests::{Leaks, eventually, is_root, scratch, skip};
use support::*;

/// A root host gives a sandbox the ids from here on.
const FIRST_ID: u32 = 0x6FFF_0000;

const PROC_OF_INIT: &[(&str, &str)] = &[
    ("/proc/1/mem", "EACCES"),
    ("/proc/1/environ", "EACCES"),
    ("/proc/1/fd", "EACCES"),
    ("/proc/1/exe", "EACCES"),
    ("/proc/1/root", "EACCES"),
    ("/proc/1/cwd", "EACCES"),
    ("/proc/1/maps", "EACCES"),
    ("/proc/1/auxv", "EACCES"),
    ("/proc/1/stack", "EACCES"),
    ("/proc/1/syscall", "EACCES"),
    ("/proc/1/map_files", "EACCES"),
    ("/proc/1/task/1/mem", "EACCES"),
    ("/proc/1/task/1/environ", "EACCES"),
    ("/proc/1/task/1/fd", "EACCES"),
];

#[track_caller]
fn reads(sandbox: &Sandbox, expected: &[(&str, &str)]) {
    let argv: Vec<&str> = ["read"].into_iter().chain(expected.iter().map(|(path, _)| *path)).collect();
    expect(&ask(sandbox, &argv), expected);
}

#[track_caller]
fn writes(sandbox: &Sandbox, expected: &[(&str, &str)]) {
    let argv: Vec<&str> = ["write"].into_iter().chain(expected.iter().map(|(path, _)| *path)).collect();
    expect(&ask(sandbox, &argv), expected);
}

#[test]
fn the_whole_host_read_only_still_keeps_its_secrets() {
    let _leaks = Leaks::watch();
    for builder in
        [with_probe(), with_probe().user((0, 0)), with_probe().user((0, 0)).landlock(Landlock::Off).seccomp("none")]
    {
        let sandbox = builder.rootfs("host").built();
        reads(
            &sandbox,
            &[("/usr/bin/env", "ok"), ("/etc/shadow", "EACCES"), ("/root", "EACCES"), ("/dev/vda", "ENOENT")],
        );
        reads(&sandbox, PROC_OF_INIT);
        writes(
            &sandbox,
            &[
                ("/", "EROFS"),
                ("/usr", "EROFS"),
                ("/etc", "EROFS"),
                ("/var", "EROFS"),
                ("/var/tmp", "EROFS"),
                ("/home", "EROFS"),
                ("/sys", "EROFS"),
                ("/sys/fs/cgroup", "EROFS"),
                ("/tmp", "ok"),
            ],
        );
    }
}

#[test]
fn nothing_of_init_can_be_read() {
    let _leaks = Leaks::watch();
    reads(&with_probe().built(), PROC_OF_INIT);
    reads(&with_probe().user((0, 0)).built(), PROC_OF_INIT);
    // With every capability there is: they count inside the sandbox's user namespace, and init's program was executed
    // outside of it.
    let all = with_probe().user((0, 0)).capability("all").seccomp("none").landlock(Landlock::Off).built();
    let answers = ask(
        &all,
        &["read", "/proc/1/mem", "/proc/1/environ", "/proc/1/exe", "/proc/1/root", "/proc/1/fd", "/proc/1/maps"],
    );
    for path in ["/proc/1/mem", "/proc/1/environ", "/proc/1/exe", "/proc/1/root", "/proc/1/fd", "/proc/1/maps"] {
        assert_eq!(answers[path], "EACCES", "{path}");
    }
}

fn hex(bytes: impl Iterator<Item = u8>) -> String {
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_marker_of_the_host_is_found_nowhere() {
    let Ok(marker) = std::env::var("PINFOLD_TEST_MARKER") else {
        let _leaks = Leaks::watch();
        let mut random = [0; 16];
        std::fs::File::open("/dev/urandom").expect("/dev/urandom").read_exact(&mut random).expect("random bytes");
        again(&[], "a_marker_of_the_host_is_found_nowhere", &[("PINFOLD_TEST_MARKER", &hex(random.into_iter()))]);
        return;
    };
    // In the environment it is; now also on the heap, in an open file and in a pipe, neither with CLOEXEC.
    let heap: &'static str = Box::leak(marker.repeat(1000).into_boxed_str());
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(marker.as_bytes()).expect("it can be written");
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(marker.as_bytes()).expect("it can be written");
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).expect("no CLOEXEC");
    nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).expect("no CLOEXEC");
    let inverted = hex(marker.bytes().map(|byte| !byte));
    for builder in [with_probe(), with_probe().user((0, 0)).capability("all").seccomp("none").landlock(Landlock::Off)] {
        let sandbox = builder.built();
        let outcome = run(&sandbox, &[PROBE, "scan", &inverted]);
        assert_eq!(outcome.text(), "found 0\n");
        // The search finds what is there.
        let seen = sandbox.command(PROBE).args(["scan", &inverted]).env("SEEN", heap.split_at(marker.len()).0);
        let text = seen.output().expect("the probe runs").text();
        assert!(text.contains("found in /proc/") && !text.contains("found 0\n"), "{text}");
    }
}

#[test]
fn writes_where_it_may_and_nowhere_else() {
    let _leaks = Leaks::watch();
    let everywhere: &[(&str, &str)] = &[
        ("/", "EROFS"),
        ("/usr", "EROFS"),
        ("/usr/bin/env", "EACCES|EROFS"),
        ("/etc", "EROFS"),
        ("/etc/passwd", "EACCES|EROFS"),
        ("/bin", "EROFS"),
        ("/lib", "EROFS"),
        ("/home", "EROFS"),
        ("/var", "EROFS"),
        ("/var/tmp", "EROFS"),
        ("/root", "EROFS"),
        ("/dev", "EROFS"),
        ("/proc", "ENOENT"),
        ("/proc/sys/kernel/core_pattern", "EACCES|EROFS"),
        ("/proc/sys/kernel/hostname", "EACCES|EROFS"),
        ("/proc/sys/vm/drop_caches", "EACCES|EROFS"),
        ("/proc/1/oom_score_adj", "EACCES"),
        ("/tmp", "ok"),
        ("/run", "ok"),
        ("/dev/shm", "ok"),
        ("/dev/null", "ok"),
    ];
    writes(&with_probe().built(), everywhere);
    writes(&with_probe().user((0, 0)).built(), everywhere);
    // Each wall alone holds: without Landlock and without the filter, as root inside.
    writes(&with_probe().user((0, 0)).landlock(Landlock::Off).seccomp("none").built(), everywhere);
}

const PRIVILEGED: &[(&str, &str)] = &[
    ("mount", "EPERM"),
    ("bind", "EPERM"),
    ("remount", "EPERM"),
    ("umount", "EPERM"),
    ("pivot_root", "EPERM"),
    ("chroot", "EPERM"),
    ("fsopen", "EPERM"),
    ("fsmount", "EPERM"),
    ("open_tree", "EPERM"),
    ("move_mount", "EPERM"),
    ("mount_setattr", "EPERM"),
    ("unshare mount", "EPERM"),
    ("unshare pid", "EPERM"),
    ("unshare net", "EPERM"),
    ("unshare uts", "EPERM"),
    ("unshare ipc", "EPERM"),
    ("unshare cgroup", "EPERM"),
    ("unshare time", "EPERM"),
    ("setns self", "EPERM"),
    ("setns init", "EACCES"),
    ("ptrace init", "EPERM"),
    ("ptrace seize init", "EPERM"),
    ("process_vm_readv init", "EPERM"),
    ("kcmp init", "EPERM"),
    ("pidfd_getfd init", "EPERM"),
    ("sethostname", "EPERM"),
    ("setdomainname", "EPERM"),
    ("reboot", "EPERM"),
    ("settimeofday", "EPERM"),
    ("clock_settime", "EPERM"),
    ("swapon", "EPERM"),
    ("swapoff", "EPERM"),
    ("acct", "EPERM"),
    ("syslog", "EPERM"),
    ("mknod block", "EPERM"),
    ("mknod char", "EPERM"),
    ("fanotify_init", "EPERM"),
    ("vhangup", "EPERM"),
    ("rlimit core", "EPERM"),
    ("no_new_privs off", "EINVAL"),
    ("cap_ambient raise", "EPERM"),
    ("securebits", "EPERM"),
    ("nice", "EACCES"),
];

/// What only the filter refuses.
const FILTERED: &[(&str, &str)] = &[
    ("unshare user", "EPERM"),
    ("clone user", "EPERM"),
    ("fsconfig", "EPERM"),
    ("init_module", "EPERM"),
    ("finit_module", "EPERM"),
    ("delete_module", "EPERM"),
    ("kexec_load", "EPERM"),
    ("quotactl", "EPERM"),
    ("iopl", "EPERM"),
    ("ioperm", "EPERM"),
    ("bpf", "EPERM"),
    ("perf_event_open", "EPERM"),
    ("keyctl", "EPERM"),
    ("add_key", "EPERM"),
    ("request_key", "EPERM"),
    ("userfaultfd", "EPERM"),
    ("io_uring_setup", "EPERM"),
    ("io_uring_enter", "EPERM"),
    ("io_uring_register", "EPERM"),
    ("open_by_handle_at", "EPERM"),
    ("move_pages", "EPERM"),
    ("migrate_pages", "EPERM"),
    ("personality", "EPERM"),
    ("clone3", "ENOSYS"),
];

#[test]
fn privileged_calls_are_refused() {
    let _leaks = Leaks::watch();
    for builder in [with_probe(), with_probe().user((0, 0)), with_probe().landlock(Landlock::Off)] {
        let answers = ask(&builder.built(), &["privileges"]);
        expect(&answers, PRIVILEGED);
        expect(&answers, FILTERED);
    }
}

#[test]
fn privileged_calls_are_refused_without_the_filter() {
    let _leaks = Leaks::watch();
    for builder in [with_probe(), with_probe().user((0, 0)), with_probe().landlock(Landlock::Off)] {
        let answers = ask(&builder.seccomp("none").built(), &["privileges"]);
        expect(&answers, PRIVILEGED);
        // Nested user namespaces are refused twice.
        expect(&answers, &[("unshare user", "ENOSPC"), ("clone user", "ENOSPC"), ("userfaultfd", "ok")]);
    }
}

#[test]
fn nested_user_namespaces_work_when_they_are_asked_for() {
    let _leaks = Leaks::watch();
    let sandbox = with_probe().nested_user_namespaces(true).built();
    let all = ["unshare", "setgroups", "uid_map", "gid_map", "mount", "write", "chroot"].map(|name| (name, "ok"));
    expect(&ask(&sandbox, &["nested"]), &all);
    let answers = ask(&with_probe().built(), &["nested"]);
    expect(&answers, &[("unshare", "EPERM"), ("mount", "EPERM"), ("chroot", "EPERM")]);
}

#[test]
fn only_four_socket_families_exist() {
    let _leaks = Leaks::watch();
    let answers = ask(&with_probe().built(), &["families"]);
    assert_eq!(answers.len(), 64);
    for (family, answer) in answers {
        let known = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(|family| family.to_string());
        assert_eq!(answer, if known.contains(&family) { "ok" } else { "EAFNOSUPPORT" }, "family {family}");
    }
}

#[test]
fn a_terminal_cannot_be_typed_into() {
    let _leaks = Leaks::watch();
    let terminal = nix::pty::openpty(None, None).expect("a terminal");
    let sandbox = with_probe().built();
    let outcome = sandbox.command(PROBE).arg("terminal").stdin(terminal.slave).output().expect("the probe runs");
    let answers = answers(&outcome.text());
    expect(
        &answers,
        &[
            ("TIOCSTI", "EPERM"),
            ("TIOCSTI high", "EPERM"),
            ("TIOCLINUX", "EPERM"),
            ("TIOCLINUX high", "EPERM"),
            ("TIOCGWINSZ", "ok"),
            // An inherited terminal is not the controlling one.
            ("/dev/tty", "ENXIO"),
            ("session", "1"),
        ],
    );
}

fn status(sandbox: &Sandbox, field: &str) -> String {
    sh(sandbox, &format!("sed -n 's/^{field}:[[:space:]]*//p' /proc/self/status"))
}

#[test]
fn there_are_no_privileges() {
    let _leaks = Leaks::watch();
    for builder in [with_probe(), with_probe().user((0, 0))] {
        let sandbox = builder.built();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status(&sandbox, set), "0000000000000000", "{set}");
        }
        assert_eq!(status(&sandbox, "NoNewPrivs"), "1");
        assert_eq!(status(&sandbox, "Seccomp"), "2");
        // NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE, KEEP_CAPS off, all locked.
        expect(
            &ask(&sandbox, &["state"]),
            &[("no_new_privs", "1"), ("seccomp", "2"), ("securebits", "239"), ("core 0", "0")],
        );
        for bit in ["SigBlk", "SigIgn"] {
            assert_eq!(status(&sandbox, bit), "0000000000000000", "{bit}");
        }
    }
    assert_eq!(status(&with_probe().seccomp("none").built(), "Seccomp"), "0");
}

#[test]
fn kept_capabilities_are_exactly_the_ones_named() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().capability("CAP_NET_BIND_SERVICE").built();
    for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb", "CapInh"] {
        assert_eq!(status(&sandbox, set), "0000000000000400", "{set}");
    }
}

#[test]
fn a_directory_fd_is_no_door() {
    let _leaks = Leaks::watch();
    let outside = scratch();
    pinfold_tests::open_to_all(outside.path(), 0o777);
    for name in ["file", "victim"] {
        std::fs::write(outside.path().join(name), "x").expect("a file");
        pinfold_tests::open_to_all(&outside.path().join(name), 0o666);
    }
    let ask_from = |builder: SandboxBuilder| {
        let sandbox = builder.fd(FdConfig::number("door", 7)).built();
        let door = std::fs::File::open(outside.path()).expect("the directory");
        let outcome = sandbox.command(PROBE).args(["from_fd", "7"]).fd("door", door).output().expect("the probe runs");
        answers(&outcome.text())
    };
    let walls = ask_from(with_probe());
    let abi = pinfold::HostCaps::probe().expect("the host's facts").landlock_abi;
    if abi == 0 {
        skip!("this kernel has no Landlock");
    }
    // Landlock knows the places by their mounts, and this directory is none of them.
    expect(
        &walls,
        &[("create", "EACCES"), ("read", "EACCES"), ("write", "EACCES"), ("parent", "EACCES"), ("unlink", "EACCES")],
    );
    // The same without Landlock: whoever passes a directory gives what its mode gives.
    expect(
        &ask_from(with_probe().landlock(Landlock::Off)),
        &[("create", "ok"), ("read", "ok"), ("write", "ok"), ("unlink", "ok")],
    );
}

#[test]
fn abstract_sockets_of_the_host_are_out_of_reach() {
    let _leaks = Leaks::watch();
    let name = format!("pinfold-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = UnixListener::bind_addr(&address).expect("a listener");
    expect(&ask(&with_probe().built(), &["abstract", &name]), &[("connect", "ECONNREFUSED")]);
    // In the host's network the name is there; Landlock keeps it out of reach (ABI 6), also from who may gain privileges.
    let host = with_probe().network("host");
    let abi = pinfold::HostCaps::probe().expect("the host's facts").landlock_abi;
    let expected = if abi >= 6 { "EPERM" } else { "ok" };
    for no_new_privs in [true, false] {
        let sandbox = host.clone().no_new_privs(no_new_privs).built();
        expect(&ask(&sandbox, &["abstract", &name]), &[("connect", expected)]);
    }
    expect(&ask(&host.landlock(Landlock::Off).built(), &["abstract", &name]), &[("connect", "ok")]);
}

#[test]
fn it_is_another_host() {
    let _leaks = Leaks::watch();
    assert_eq!(
        sh(&Sandbox::builder().built(), "uname -n; cat /etc/hostname /proc/sys/kernel/hostname"),
        "sandbox\nsandbox\nsandbox"
    );
    assert_eq!(sh(&Sandbox::builder().hostname("box").built(), "uname -n; cat /etc/hostname"), "box\nbox");
    assert!(sh(&Sandbox::builder().hostname("box").built(), "cat /etc/hosts").contains("127.0.1.1 box"));
}

#[test]
fn masked_paths_are_empty_and_others_read_only() {
    let _leaks = Leaks::watch();
    let sandbox = with_probe().built();
    for path in pinfold::MASKED_PROC_PATHS {
        // What this kernel lacks need not be hidden.
        let line = format!(
            "if [ -d /proc/{path} ]; then ls -A /proc/{path} | wc -c; elif [ -e /proc/{path} ]; then wc -c < /proc/{path}; else echo 0; fi"
        );
        assert_eq!(sh(&sandbox, &line), "0", "/proc/{path}");
    }
    let mounts = mountinfo(&sandbox);
    for path in pinfold::READONLY_PROC_PATHS {
        let target = format!("/proc/{path}");
        if std::path::Path::new(&target).exists() {
            assert!(at(&mounts, &target).has("ro"), "{target}");
        }
    }
    // The same for root inside, whom the modes let through.
    let root = with_probe().user((0, 0)).capability("dac_override").built();
    writes(&root, &[("/proc/sys/kernel/hostname", "EROFS|EACCES"), ("/proc/interrupts", "ok|EACCES")]);
}

#[test]
fn init_cannot_be_killed_from_inside() {
    let _leaks = Leaks::watch();
    let line = "kill -KILL 1; kill -STOP 1; kill -KILL 1; sleep 0.05; echo alive; exit 7";
    for builder in [
        Sandbox::builder(),
        Sandbox::builder().user((0, 0)),
        Sandbox::builder().user((0, 0)).landlock(Landlock::Off).seccomp("none"),
    ] {
        let outcome = run(&builder.timeout("20s").built(), &["sh", "-c", line]);
        assert_eq!((outcome.text().as_str(), outcome.code()), ("alive\n", Some(7)), "{}", outcome.detail());
    }
    // By default init is not even asked.
    let line = "for s in KILL STOP TERM SEGV HUP CHLD; do kill -$s 1 2>&1; done; exit 7";
    let outcome = run(&Sandbox::builder().built(), &["sh", "-c", line]);
    assert_eq!(outcome.text().matches("Operation not permitted").count(), 6, "{}", outcome.text());
    assert_eq!(outcome.code(), Some(7));
}

#[test]
fn killing_everything_kills_only_itself() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().timeout("120s").built();
    let other = sandbox
        .command("sh")
        .args(["-c", "read line; echo $line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("another sandbox");
    // kill(-1) spares the caller.
    let outcome = run(&sandbox, &["sh", "-c", "sleep 60 & kill -KILL -1; wait $!; echo $?; kill -KILL $$"]);
    assert_eq!(outcome.text(), "137\n");
    assert_eq!(outcome.signal(), Some(libc::SIGKILL));
    assert_eq!(outcome.ended(), pinfold::Ended::Signaled);
    let mut stdin = other.take_stdin().expect("a pipe");
    stdin.write_all(b"still here\n").expect("it reads");
    drop(stdin);
    assert_eq!(other.wait().expect("it ends").text(), "still here\n");
}

#[test]
fn the_host_sees_an_id_that_is_not_root() {
    let _leaks = Leaks::watch();
    let inside_root = Sandbox::builder().user((0, 0)).built();
    for (sandbox, inside) in [(Sandbox::builder().built(), 1000), (inside_root, 0)] {
        let process = sandbox.command("sleep").arg("60").spawn().expect("it starts");
        let pid = process.id().expect("its pid");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).expect("its map");
        for (field, own) in [("Uid:", nix::unistd::geteuid().as_raw()), ("Gid:", nix::unistd::getegid().as_raw())] {
            let line = status.lines().find(|line| line.starts_with(field)).expect("a line");
            let ids: Vec<u32> = line.split_whitespace().skip(1).map(|id| id.parse().expect("an id")).collect();
            let expected = if is_root() { FIRST_ID + inside } else { own };
            assert_eq!(ids, [expected; 4], "{line}");
        }
        let map: Vec<u32> = map.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        assert_eq!(
            map,
            if is_root() { vec![0, FIRST_ID, 65536] } else { vec![inside, nix::unistd::geteuid().as_raw(), 1] }
        );
        // Its init is nobody else either.
        let parent: u32 = status
            .lines()
            .find_map(|line| line.strip_prefix("PPid:"))
            .expect("a parent")
            .trim()
            .parse()
            .expect("a pid");
        let init = std::fs::read_to_string(format!("/proc/{parent}/status")).expect("init's status");
        let line = init.lines().find(|line| line.starts_with("Uid:")).expect("a line");
        assert!(!line.split_whitespace().skip(1).any(|id| id == "0"), "init is {line}");
        process.kill().expect("it can be killed");
        process.wait().expect("it ends");
    }
}

#[test]
fn set_user_id_programs_gain_nothing() {
    let _leaks = Leaks::watch();
    let host = scratch();
    let program = host.path().join("elevate");
    std::fs::copy(probe(), &program).expect("a copy");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o6755)).expect("set-user-ID");
    let inside = "/tmp/elevate";
    for no_new_privs in [true, false] {
        let sandbox = Sandbox::builder().mount(Mount::bind(&program, inside)).no_new_privs(no_new_privs).built();
        expect(
            &answers(&text(&sandbox, &[inside, "state"])),
            &[("uids 1000 1000", "1000"), ("gids 1000 1000", "1000")],
        );
        assert!(at(&mountinfo(&sandbox), inside).has("nosuid"));
        assert!(at(&mountinfo(&sandbox), "/usr").has("nosuid"));
    }
}

#[test]
fn no_mount_but_those_with_devices_has_devices_or_set_user_id() {
    let _leaks = Leaks::watch();
    for rootfs in ["system", "host", "empty"] {
        let sandbox = with_probe().rootfs(rootfs).mount(Mount::sysfs("/sys")).built();
        let mounts = parse_mountinfo(&outcome_of_cat(&sandbox));
        for mount in &mounts {
            let device = mount.kind == "devtmpfs";
            assert!(device || mount.has("nosuid"), "{mount:?}");
            assert!(device || mount.target.starts_with("/dev") || mount.has("nodev"), "{mount:?}");
        }
    }
}

fn outcome_of_cat(sandbox: &Sandbox) -> String {
    let outcome = run(sandbox, &[PROBE, "cat", "/proc/self/mountinfo"]);
    assert!(outcome.success(), "{}", outcome.detail());
    outcome.text()
}

#[test]
fn descendants_die_with_the_payload() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().timeout("120s").built();
    let outcome = run(&sandbox, &["sh", "-c", "(setsid sleep 987 &) ; (trap '' TERM HUP; sleep 987) & echo started"]);
    assert_eq!(outcome.text(), "started\n");
    let sleeping =
        || pinfold_tests::descendants(std::process::id()).iter().any(|pid| pinfold_tests::comm(*pid) == "sleep");
    eventually("nothing sleeps on", || !sleeping());
    assert!(outcome.duration() < pinfold_tests::patience());
}
