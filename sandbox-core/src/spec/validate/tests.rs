use std::path::Path;
use std::time::Duration;

use super::super::*;
use super::validate;
use crate::config::SandboxConfig;
use crate::error::{ErrorKind, Stage};

fn spec(toml: &str) -> Spec {
    let config = SandboxConfig::from_toml(toml).unwrap_or_else(|error| panic!("{toml}\n{error}"));
    validate(&config, Path::new("/base")).unwrap_or_else(|error| panic!("{toml}\n{error}"))
}

/// The problems of a config, as users see them, without their places.
fn problems(toml: &str) -> Vec<String> {
    let mut config = SandboxConfig::from_toml(toml).unwrap_or_else(|error| panic!("{toml}\n{error}"));
    config.locations = Default::default();
    let error = validate(&config, Path::new("/base")).expect_err(toml);
    assert_eq!((error.kind(), error.report().stage), (ErrorKind::Config, Stage::Validate));
    error.report().problems.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_means_the_defaults() {
    let spec = spec("");
    assert_eq!(spec.hostname, "sandbox");
    assert_eq!((spec.identity.uid, spec.identity.gid), (1000, 1000));
    assert_eq!((&spec.network, &spec.namespaces.time), (&Namespace::New, &Namespace::Host));
    assert_eq!(spec.rootfs, Rootfs { kind: RootKind::System, propagation: Propagation::Private, overlay: None });
    assert_eq!(spec.limits.output, 16 << 20);
    assert_eq!(spec.limits.rlimits.iter().map(|(r, v)| (r.name, *v)).collect::<Vec<_>>(), [("core", 0)]);
    assert_eq!(spec.process.umask, 0o022);
    assert!(spec.process.init && spec.security.no_new_privs && spec.security.new_keyring);
    assert!(spec.security.capabilities.is_empty() && spec.mounts.is_empty() && spec.init_path.is_none());
}

#[test]
fn the_annotated_list_means_what_it_says() {
    let spec = spec(crate::config::tests::ANNOTATED);
    assert_eq!(spec.hostname, "box");
    assert_eq!(spec.identity.uid_map, Some(vec![IdRange { inside: 0, outside: 100_000, count: 65536 }]));
    assert_eq!(spec.limits.memory, Some(256 << 20));
    assert_eq!(spec.limits.wall_time, Some(Duration::from_secs(5)));
    assert_eq!(spec.limits.cpus, Some(0.5));
    let [mount] = spec.mounts.as_slice() else { panic!("one mount") };
    assert_eq!(mount.target.as_path(), Path::new("/data"));
    assert!(mount.read_only && mount.nosuid && mount.nodev && !mount.noexec);
    let MountKind::Bind { source: BindSource::Path(source), recursive: true } = &mount.kind else { panic!("a bind") };
    assert_eq!(source.as_path(), Path::new("/base/data"));
    assert_eq!(
        spec.rootfs.overlay.as_ref().map(|overlay| (&overlay.upper, overlay.size)),
        Some((&OverlayUpper::Memory, 256 << 20))
    );
    assert_eq!(spec.fds, [DeclaredFd { name: "http".into(), role: FdRole::Number(3) }]);
}

#[test]
fn kinds_of_mounts() {
    let spec = spec(
        r#"
        mounts = [
            { kind = "tmpfs", target = "/t", size = "1M", mode = "0755" },
            { kind = "proc", target = "/proc", masked = ["kcore", "/proc/keys"] },
            { kind = "sysfs", target = "/sys" },
            { kind = "overlay", target = "/o", lower = ["a", "b"], upper = "./u" },
            { kind = "symlink", target = "/l", source = "../x" },
            { kind = "file", target = "/f", content = "hi" },
            { kind = "bind", target = "/b", source = { fd = "in" } },
            { kind = "dev", target = "/dev2" },
        ]
        "#,
    );
    let kinds: Vec<_> = spec.mounts.iter().map(|mount| &mount.kind).collect();
    assert_eq!(*kinds[0], MountKind::Tmpfs { size: 1 << 20, inodes: 1024, mode: 0o755 });
    let MountKind::Proc { masked, readonly } = kinds[1] else { panic!("a proc") };
    assert_eq!(
        masked.iter().map(|path| path.as_path()).collect::<Vec<_>>(),
        [Path::new("/proc/kcore"), Path::new("/proc/keys")]
    );
    assert_eq!(readonly.len(), crate::masks::READONLY_PROC_PATHS.len());
    assert!(spec.mounts[2].read_only && spec.mounts[2].noexec);
    let MountKind::Overlay { lower, upper: Some(Overlay { upper: OverlayUpper::Dir { upper, work }, .. }) } = kinds[3]
    else {
        panic!("an overlay")
    };
    assert_eq!(lower.len(), 2);
    assert_eq!((upper.as_path(), work.as_path()), (Path::new("/base/u"), Path::new("/base/u.work")));
    assert_eq!(*kinds[4], MountKind::Symlink { text: b"../x".to_vec() });
    assert_eq!(*kinds[5], MountKind::File { content: b"hi".to_vec(), mode: 0o644 });
    assert_eq!(*kinds[6], MountKind::Bind { source: BindSource::Fd("in".into()), recursive: true });
    assert!(!spec.mounts[7].nodev && spec.mounts[7].nosuid);
}

#[test]
fn each_problem_has_its_message() {
    let cases: &[(&str, &[&str])] = &[
        ("version = 2", &["version: must be 1, got 2 (hint: this config was written for another version of Pinfold)"]),
        (
            "extends = [\"a.toml\"]",
            &[
                "extends: works only in a file that is read by its path (hint: use SandboxConfig::from_path, or merge the configs)",
            ],
        ),
        ("hostname = ''", &["hostname: must be 1 to 64 bytes long, got 0"]),
        (
            "hostname = 'a b'",
            &[
                "hostname: must be letters, digits, \"-\", \".\" and \"_\", not starting with \"-\" or \".\", got \"a b\"",
            ],
        ),
        (
            "hostname = \"a\\u0000b\"",
            &[
                "hostname: must be letters, digits, \"-\", \".\" and \"_\", not starting with \"-\" or \".\", got \"a\\0b\"",
            ],
        ),
        (
            "hostname = 'x'\nnamespaces.uts = 'host'",
            &["hostname: can be set in a new uts namespace only (hint: remove it, or set namespaces.uts = \"new\")"],
        ),
        ("namespaces.ipc = { join = { pid = 0 } }", &["namespaces.ipc.join: the pid must be 1 to 4194304, got 0"]),
        (
            "namespaces.ipc = { join = \"a\\u0000b\" }",
            &["namespaces.ipc.join: must not contain a NUL byte, got \"a\\0b\""],
        ),
        (
            "namespaces.ipc = { join = { fd = '' } }",
            &["namespaces.ipc.join: must be 1 to 255 printable ASCII characters without \":\", got \"\""],
        ),
        (
            "namespaces.time = { offset_boottime = 9000000000 }",
            &["namespaces.time.offset_boottime: must be -4611686018 to 4611686018 seconds, got 9000000000"],
        ),
        (
            "namespaces.mount = 'host'\nrootfs = 'system'\nmounts = [{ kind = 'tmpfs', target = '/x' }]",
            &[
                "mounts: needs a mount namespace of the sandbox's own (hint: set namespaces.mount = \"new\", or remove it)",
                "rootfs: needs a mount namespace of the sandbox's own (hint: set namespaces.mount = \"new\", or remove it)",
            ],
        ),
        (
            "network.mode = 'host'\nmounts = [{ kind = 'sysfs', target = '/sys' }]",
            &[
                "mounts[0].kind: a sysfs needs a namespace of the sandbox's own (hint: set network.mode = \"none\", or bind the host's)",
            ],
        ),
        ("identity.uid = 4294967295", &["identity.uid: must be 0 to 4294967294, got 4294967295"]),
        ("identity.groups = [4294967295]", &["identity.groups[0]: must be 0 to 4294967294, got 4294967295"]),
        ("identity.uid_map = []", &["identity.uid_map: must have at least one range"]),
        (
            "identity.uid_map = [{ inside = 0, outside = 100000, count = 10 }]",
            &["identity.uid: 1000 is not an id inside, by identity.uid_map"],
        ),
        (
            "identity.uid_map = [{ inside = 1000, outside = 0 }]",
            &[
                "identity.uid_map[0].outside: must not be 0, which is root on the host (hint: set identity.host_root = true if that is meant)",
            ],
        ),
        ("identity.uid_map = [{ inside = 1000 }]", &["identity.uid_map[0].outside: is required"]),
        (
            "identity.uid_map = [{ inside = 1000, outside = 5, count = 0 }]",
            &["identity.uid_map[0].count: must be at least 1"],
        ),
        (
            "identity.uid_map = [{ inside = 1000, outside = 4294967290, count = 6 }]",
            &["identity.uid_map[0].count: the range must end at 4294967294 or before"],
        ),
        (
            "identity.uid_map = [{ inside = 1000, outside = 5, count = 10 }, { inside = 1009, outside = 50, count = 1 }]",
            &["identity.uid_map[1].inside: the range overlaps with that of [0]"],
        ),
        (
            "identity.gid_map = [{ inside = 1000, outside = 5, count = 10 }, { inside = 0, outside = 14, count = 1 }]",
            &["identity.gid_map[1].outside: the range overlaps with that of [0]"],
        ),
        (
            "identity.uid_map = [{ inside = 1000, outside = 5 }]\nnamespaces.user = 'host'",
            &[
                "identity.uid_map: needs a user namespace of the sandbox's own (hint: set namespaces.user = \"new\", or remove it)",
            ],
        ),
        (
            "identity.uid = 0\nnamespaces.user = 'host'",
            &[
                "identity.uid: would be root on the host, because there is no user namespace (hint: set identity.host_root = true if that is meant)",
            ],
        ),
        ("rootfs.kind = 'dir'", &["rootfs.path: is required for kind = \"dir\""]),
        ("rootfs.kind = 'layers'", &["rootfs.layers: is required for kind = \"layers\""]),
        ("rootfs = { layers = [] }", &["rootfs.layers: must be 1 to 500 directories, got 0"]),
        ("rootfs = { layers = ['a', './a'] }", &["rootfs.layers[1]: is the same directory as [0]"]),
        ("rootfs = { kind = 'system', path = 'x' }", &["rootfs.path: is for kind = \"dir\" only"]),
        ("rootfs.overlay = 'memory:0'", &["rootfs.overlay.size: must be more than 0"]),
        (
            "rootfs.overlay = 'memory:lots'",
            &["rootfs.overlay.size: must be a size such as 1048576 or \"64MiB\", got \"lots\""],
        ),
        ("rootfs.overlay = { upper = './u', size = 5 }", &["rootfs.overlay.size: is for upper = \"memory\" only"]),
        (
            "rootfs.overlay = { upper = './u', work = './u/w' }",
            &["rootfs.overlay.work: must be apart from upper: neither the same nor one inside the other"],
        ),
        (
            "rootfs = { path = 'r', overlay = './r/u' }",
            &[
                "rootfs.overlay.upper: must be apart from the directories below: neither the same nor one inside the other",
            ],
        ),
        ("mounts = [{ target = '/x' }]", &["mounts[0].kind: is required"]),
        ("mounts = [{ kind = 'tmpfs' }]", &["mounts[0].target: is required"]),
        (
            "mounts = [{ kind = 'tmpfs', target = '/' }]",
            &["mounts[0].target: must not be \"/\" (hint: the root file system is decided by rootfs)"],
        ),
        ("mounts = [{ kind = 'tmpfs', target = 'data' }]", &["mounts[0].target: must be absolute, got \"data\""]),
        (
            "mounts = [{ kind = 'tmpfs', target = '/a/../b' }]",
            &["mounts[0].target: must not contain \"..\", got \"/a/../b\""],
        ),
        (
            "mounts = [{ kind = 'tmpfs', target = '/a' }, { kind = 'tmpfs', target = '//a/' }]",
            &["mounts[1].target: \"/a\" is already the target of mounts[0]"],
        ),
        (
            "mounts = [{ kind = 'tmpfs', target = '/a', source = 'x' }]",
            &["mounts[0].source: means nothing for kind = \"tmpfs\""],
        ),
        (
            "mounts = [{ kind = 'tmpfs', target = '/a', mode = '0888' }]",
            &["mounts[0].mode: must be an octal string from \"0\" to \"7777\", got \"0888\""],
        ),
        (
            "mounts = [{ kind = 'tmpfs', target = '/a', inodes = 0 }]",
            &["mounts[0].inodes: must be 1 to 4294967296, got 0"],
        ),
        ("mounts = [{ kind = 'bind', target = '/a' }]", &["mounts[0].source: is required for kind = \"bind\""]),
        ("mounts = [{ kind = 'bind', target = '/a', source = '' }]", &["mounts[0].source: must not be empty"]),
        (
            "mounts = [{ kind = 'symlink', target = '/a', source = '' }]",
            &["mounts[0].source: must be 1 to 4095 bytes without NUL bytes, got 0"],
        ),
        ("mounts = [{ kind = 'file', target = '/a' }]", &["mounts[0].content: is required for kind = \"file\""]),
        (
            "mounts = [{ kind = 'sysfs', target = '/a', read_only = false }]",
            &["mounts[0].read_only: a sysfs is always read-only"],
        ),
        (
            "mounts = [{ kind = 'dev', target = '/a', nodev = true }]",
            &["mounts[0].nodev: would make the devices useless"],
        ),
        ("mounts = [{ kind = 'overlay', target = '/a' }]", &["mounts[0].lower: is required for kind = \"overlay\""]),
        (
            "mounts = [{ kind = 'overlay', target = '/a', lower = ['l'], size = 1 }]",
            &["mounts[0].size: needs an upper"],
        ),
        (
            "mounts = [{ kind = 'proc', target = '/proc', masked = ['/etc', '.'] }]",
            &[
                "mounts[0].masked[0]: must be below \"/proc\", got \"/etc\"",
                "mounts[0].masked[1]: must be below \"/proc\", got \".\"",
            ],
        ),
        ("limits.memory = 0", &["limits.memory: must be more than 0"]),
        ("limits.memory = '64Q'", &["limits.memory: must be a size such as 1048576 or \"64MiB\", got \"64Q\""]),
        ("limits.memory = '9E'", &["limits.memory: must be below 8 EiB, got 10376293541461622784"]),
        (
            "limits = { memory = '1M', memory_high = '2M' }",
            &["limits.memory_high: must be at most limits.memory (1048576), got 2097152"],
        ),
        ("limits.pids = 0", &["limits.pids: must be 1 to 4194304, got 0"]),
        ("limits.cpus = 0", &["limits.cpus: must be more than 0, got 0"]),
        ("limits.cpus = 1e9", &["limits.cpus: must be 0.01 to 65536, got 1000000000"]),
        ("limits.cpu_weight = 10001", &["limits.cpu_weight: must be 1 to 10000, got 10001"]),
        ("limits.cpuset = '2-1'", &["limits.cpuset: must be CPU numbers and ranges such as \"0-1,4\", got \"2-1\""]),
        (
            "limits.io = [{ device = 'vda' }]",
            &[
                "limits.io[0]: needs at least one of read_bps, write_bps, read_iops and write_iops",
                "limits.io[0].device: must be an absolute path or MAJOR:MINOR, got \"vda\"",
            ],
        ),
        (
            "limits.devices = ['/dev/x']",
            &["limits.devices[0]: must be such as \"/dev/net/tun:rw\" or \"c 10:200 rw\", got \"/dev/x\""],
        ),
        (
            "limits.hugepages = { '3M' = '6M' }",
            &["limits.hugepages.3M: the page size must be such as \"2MiB\" or \"1GiB\", got \"3M\""],
        ),
        (
            "limits.hugepages = { '2M' = '3M' }",
            &["limits.hugepages.2M: must be a multiple of the page size, got 3145728"],
        ),
        (
            "limits.wall_time = '5x'",
            &["limits.wall_time: must be a duration such as 5 (seconds), \"1.5s\" or \"200ms\", got \"5x\""],
        ),
        ("limits.timeout = 0", &["limits.wall_time: must be more than 0"]),
        (
            "limits.rlimits = { nofiles = 5 }",
            &["limits.rlimits.nofiles: there is no resource limit \"nofiles\" (hint: did you mean \"nofile\"?)"],
        ),
        (
            "limits.rlimits = { nofile = 'x' }",
            &["limits.rlimits.nofile: must be a number, a size such as \"64MiB\", or \"unlimited\", got \"x\""],
        ),
        ("limits.rlimits = { nofile = 5, RLIMIT_NOFILE = 6 }", &["limits.rlimits.nofile: nofile already has a limit"]),
        (
            "limits.cgroup_parent = 'a/../b'",
            &["limits.cgroup_parent: must be a path in the cgroup hierarchy without \".\" and \"..\", got \"a/../b\""],
        ),
        ("fds = [{ target = 3 }]", &["fds[0].name: is required"]),
        (
            "fds = [{ name = 'a:b', target = 3 }]",
            &["fds[0].name: must be 1 to 255 printable ASCII characters without \":\", got \"a:b\""],
        ),
        ("fds = [{ name = 'a' }]", &["fds[0]: needs one of target, socket_activation = true and inetd = true"]),
        (
            "fds = [{ name = 'a', target = 3, inetd = true }]",
            &["fds[0]: can have only one of target, socket_activation = true and inetd = true"],
        ),
        (
            "fds = [{ name = 'a', target = 2 }, { name = 'b', target = 1024 }]",
            &["fds[0].target: must be 3 to 1023, got 2", "fds[1].target: must be 3 to 1023, got 1024"],
        ),
        (
            "fds = [{ name = 'a', target = 3 }, { name = 'a', target = 3 }]",
            &["fds[1].name: \"a\" is already the name of fds[0]", "fds[1].target: 3 is already the target of fds[0]"],
        ),
        (
            "fds = [{ name = 'a', target = 3 }, { name = 'b', socket_activation = true }]",
            &["fds[0].target: must be above 3, as the numbers from 3 belong to socket_activation, got 3"],
        ),
        (
            "fds = [{ name = 'a', inetd = true }, { name = 'b', inetd = true }]",
            &["fds[1].inetd: stdin and stdout are already those of fds[0]"],
        ),
        (
            "fds = [{ name = 'a', inetd = true }]\nprocess.terminal = true",
            &["process.terminal: can't be stdin and stdout, because an inetd fd is (remove one of the two)"],
        ),
        (
            "security.capabilities = ['net_bind_servise']",
            &[
                "security.capabilities[0]: there is no capability \"net_bind_servise\" (hint: did you mean \"net_bind_service\"?)",
            ],
        ),
        (
            "security.seccomp = '/p.json'\nsecurity.no_new_privs = false",
            &[
                "security.seccomp: a profile takes effect last, which the kernel allows with no_new_privs or CAP_SYS_ADMIN alone \
               (hint: leave security.no_new_privs at true, or use the default filter)",
            ],
        ),
        (
            "security.securebits = ['no_root']",
            &["security.securebits[0]: there is no securebit \"no_root\" (hint: did you mean \"noroot\"?)"],
        ),
        ("process.cwd = 'data'", &["process.cwd: must be absolute, got \"data\""]),
        ("process.env = { '' = 'x' }", &["process.env: the name of a variable must not be empty"]),
        (
            "process.env = { 'A=B' = 'x' }",
            &["process.env.A=B: the name of a variable must not contain \"=\" or a NUL byte, got \"A=B\""],
        ),
        ("process.env = { A = \"x\\u0000\" }", &["process.env.A: the value must not contain a NUL byte"]),
        (
            "process.inherit_env = ['A=B']",
            &["process.inherit_env[0]: the name of a variable must not contain \"=\" or a NUL byte, got \"A=B\""],
        ),
        ("process.umask = '1000'", &["process.umask: must be an octal string from \"0\" to \"0777\", got \"1000\""]),
        ("process.nice = 20", &["process.nice: must be -20 to 19, got 20"]),
        (
            "process.init = false\nnamespaces.pid = 'host'",
            &[
                "process.init: false makes the payload PID 1, which needs a new pid namespace (hint: set namespaces.pid = \"new\")",
            ],
        ),
        ("init.path = \"a\\u0000\"", &["init.path: must not contain a NUL byte, got \"a\\0\""]),
        (
            "compat.prefer = ['limits.memroy']",
            &["compat.prefer[0]: there is no feature \"limits.memroy\" (hint: did you mean \"limits.memory\"?)"],
        ),
        (
            "compat.prefer = ['namespaces.network']",
            &[
                "compat.prefer[0]: there is no feature \"namespaces.network\" (hint: the network namespace is decided by network.mode)",
            ],
        ),
        ("compat.prefer = ['nothing.*']", &["compat.prefer[0]: there is no feature \"nothing.*\""]),
    ];
    for (toml, expected) in cases {
        assert_eq!(problems(toml), *expected, "{toml}");
    }
}

#[test]
fn long_texts_are_refused() {
    let name = "a".repeat(65);
    assert_eq!(problems(&format!("hostname = '{name}'")), ["hostname: must be 1 to 64 bytes long, got 65"]);
    let path = "/a".repeat(2048);
    assert_eq!(
        problems(&format!("process.cwd = '{path}'")),
        ["process.cwd: must be at most 4095 bytes long, got 4096"]
    );
    let value = "x".repeat(128 * 1024);
    assert_eq!(
        problems(&format!("process.env = {{ A = '{value}' }}")),
        ["process.env.A: name and value must be at most 131070 bytes long, got 131073"]
    );
    let ranges: Vec<_> = (0..341).map(|n| format!("{{ inside = {n}, outside = {} }}", n + 1)).collect();
    assert_eq!(
        problems(&format!("identity.uid_map = [{}]", ranges.join(","))),
        ["identity.uid_map: must have at most 340 ranges, got 341"]
    );
    let layers: Vec<_> = (0..501).map(|n| format!("'l{n}'")).collect();
    assert_eq!(
        problems(&format!("rootfs.layers = [{}]", layers.join(","))),
        ["rootfs.layers: must be 1 to 500 directories, got 501"]
    );
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let text = "hostname = ''\n[limits]\nmemory = 'x'\n[[mounts]]\nkind = 'tmpfs'\ntarget = 'data'\n[[mounts]]\ntarget = '/x'\n";
    let config = SandboxConfig::from_toml(text).expect("types are right");
    let error = validate(&config, Path::new("/")).expect_err("four problems");
    assert_eq!(
        error.to_string(),
        "the configuration has 4 problems\n  \
         hostname: must be 1 to 64 bytes long, got 0 (line 1, column 1)\n  \
         limits.memory: must be a size such as 1048576 or \"64MiB\", got \"x\" (line 3, column 1)\n  \
         mounts[0].target: must be absolute, got \"data\" (line 6, column 1)\n  \
         mounts[1].kind: is required (line 7, column 1)"
    );
}

#[test]
fn host_root_can_be_asked_for_by_name() {
    let spec = spec("identity = { uid = 0, host_root = true, uid_map = [{ inside = 0, outside = 0 }] }");
    assert!(spec.identity.host_root);
    let spec = super::tests::spec("identity = { uid = 0, gid = 0, host_root = true }\nnamespaces.user = 'host'");
    assert_eq!(spec.identity.uid, 0);
}

#[test]
fn capabilities_are_sorted_and_unique() {
    let spec = spec("security.capabilities = ['CAP_KILL', 'chown', 'Kill']");
    assert_eq!(spec.security.capabilities.iter().map(|c| c.name).collect::<Vec<_>>(), ["chown", "kill"]);
    assert_eq!(super::tests::spec("security.capabilities = ['all']").security.capabilities.len(), 41);
}

#[test]
fn preferences_are_globs() {
    let spec = spec("compat.prefer = ['limits.*', 'security.landlock']");
    assert!(spec.may_weaken("limits.memory") && spec.may_weaken("security.landlock"));
    assert!(!spec.may_weaken("security.seccomp") && !spec.may_weaken("namespaces.user"));
}
