use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::error::{ErrorKind, Stage};

/// The keys of the manual, each with the value that stands there (and the network namespace elsewhere than in a host file).
pub(crate) const ANNOTATED: &str = r#"
version = 1
hostname = "box"

[namespaces]
user = "new"
ipc = { join = "/proc/1/ns/ipc" }
uts = "new"
cgroup = { join = { pid = 1 } }
time = { offset_boottime = 0, offset_monotonic = 0 }

[network]
mode = "none"

[identity]
uid = 1000
gid = 1000
groups = []
uid_map = [{ inside = 0, outside = 100000, count = 65536 }]
gid_map = [{ inside = 0, outside = 100000, count = 65536 }]
host_root = false

[rootfs]
kind = "dir"
path = "rootfs"
propagation = "private"

[rootfs.overlay]
upper = "memory"
size = "256MiB"

[[mounts]]
kind = "bind"
source = "data"
target = "/data"
read_only = true
recursive = true
optional = false
nosuid = true
nodev = true
noexec = false
propagation = "slave"
idmap = false

[limits]
memory = "256MiB"
memory_high = "200MiB"
swap = 0
oom_group = true
pids = 64
cpus = 0.5
cpu_weight = 100
cpuset = "0-1"
io_weight = 100
io = [{ device = "/dev/vda", read_bps = "10MiB", write_iops = 500 }]
devices = ["/dev/net/tun:rw", "c 10:200 rw"]
hugepages = { "2MiB" = "64MiB" }
wall_time = "5s"
cpu_time = "2s"
output = "16MiB"
overflow = "truncate"
rlimits = { nofile = 256 }
cgroup_parent = ""
payload_groups = false

[[fds]]
name = "http"
target = 3

[security]
seccomp = "default"
capabilities = []
securebits = "default"
no_new_privs = true
landlock = "auto"
keyring = "new"
nested_user_namespaces = false

[process]
cwd = "/"
env = { A = "b", TERM = { unset = true } }
inherit_env = ["NAME"]
umask = "0022"
nice = 10
terminal = false
init = true

[init]
path = ""

[compat]
prefer = ["limits.*"]
"#;

fn problems(result: Result<SandboxConfig>) -> Vec<String> {
    let error = result.expect_err("has problems");
    assert_eq!((error.kind(), error.report().stage), (ErrorKind::Config, Stage::Parse));
    error.report().problems.iter().map(ToString::to_string).collect()
}

#[test]
fn toml_and_json_read_alike() {
    let config = SandboxConfig::from_toml(ANNOTATED).expect("reads");
    let json = config.to_json().expect("prints");
    assert_eq!(SandboxConfig::from_json(&json).expect("reads"), config);
    let toml = config.to_toml().expect("prints");
    assert_eq!(SandboxConfig::from_toml(&toml).expect("reads"), config);
    // Plain serde, as the bindings use it.
    assert_eq!(serde_json::from_str::<SandboxConfig>(&json).expect("reads"), config);
    let plain = serde_json::to_string(&config).expect("prints");
    assert_eq!(serde_json::from_str::<SandboxConfig>(&plain).expect("reads"), config);
    assert_eq!(toml::from_str::<SandboxConfig>(ANNOTATED).expect("reads"), config);
}

#[test]
fn an_empty_config_prints_as_nothing() {
    assert_eq!(SandboxConfig::default().to_toml().expect("prints"), "");
    assert_eq!(SandboxConfig::default().to_json().expect("prints"), "{}");
    assert_eq!(SandboxConfig::from_toml("").expect("reads"), SandboxConfig::default());
    assert_eq!(SandboxConfig::from_json("{}").expect("reads"), SandboxConfig::default());
    assert_eq!(
        SandboxConfig::from_json(r#"{"limits": null, "mounts": null, "hostname": null}"#).expect("reads"),
        SandboxConfig::default()
    );
}

#[test]
fn short_forms_are_the_tables_they_stand_for() {
    for (short, long) in [
        ("rootfs = 'system'", "rootfs.kind = 'system'"),
        ("rootfs = './r'", "rootfs = { kind = 'dir', path = './r' }"),
        ("rootfs.overlay = 'memory'", "rootfs.overlay.upper = 'memory'"),
        ("rootfs.overlay = 'memory:64MiB'", "rootfs.overlay = { upper = 'memory', size = '64MiB' }"),
        ("rootfs.overlay = './u'", "rootfs.overlay.upper = './u'"),
        ("network = 'host'", "network.mode = 'host'"),
        ("limits.timeout = '5s'", "limits.wall_time = '5s'"),
        ("namespaces.time = {}", "namespaces.time = 'new'"),
    ] {
        assert_eq!(
            SandboxConfig::from_toml(short).expect(short),
            SandboxConfig::from_toml(long).expect(long),
            "{short}"
        );
        // Without the document between.
        assert_eq!(
            toml::from_str::<SandboxConfig>(short).expect(short),
            SandboxConfig::from_toml(long).expect(long),
            "{short}"
        );
    }
}

#[test]
fn bad_toml_is_located() {
    for (text, expected) in [
        (
            "limits.memroy = 5",
            "limits.memroy: there is no such key (line 1, column 8) (hint: did you mean \"memory\"?)",
        ),
        ("memory = 5", "memory: there is no such key (line 1, column 1) (hint: write limits.memory)"),
        (
            "[namespaces]\nnetwork = 'new'",
            "namespaces.network: there is no such key (line 2, column 1) (hint: the network namespace is decided by network.mode)",
        ),
        ("[network]\nx = 1", "network.x: there is no such key (line 2, column 1) (hint: known here: mode)"),
        ("hostname = 5", "hostname: expected a string, found the integer 5 (line 1, column 12)"),
        ("\n  limits = 5", "limits: expected a table, found the integer 5 (line 2, column 12)"),
        (
            "limits.pids = 'many'",
            "limits.pids: expected an integer of at least 0, found the string \"many\" (line 1, column 15)",
        ),
        (
            "limits.pids = -1",
            "limits.pids: expected an integer of at least 0, found the integer -1 (line 1, column 15)",
        ),
        (
            "limits.memory = -1",
            "limits.memory: expected a size (bytes, or a string such as \"64MiB\"), found the integer -1 (line 1, column 17)",
        ),
        (
            "limits.memory = true",
            "limits.memory: expected a size (bytes, or a string such as \"64MiB\"), found true (line 1, column 17)",
        ),
        (
            "limits.wall_time = -0.5",
            "limits.wall_time: expected a duration (seconds, or a string such as \"1.5s\" or \"200ms\"), found the number -0.5 (line 1, column 20)",
        ),
        ("limits = { wall_time = 1, timeout = 2 }", "limits: wall_time is given twice (line 1, column 10)"),
        (
            "identity.uid = 4294967296",
            "identity.uid: expected an integer from 0 to 4294967295, found the integer 4294967296 (line 1, column 16)",
        ),
        (
            "rootfs = 'sytem'",
            "rootfs: must be \"system\", \"host\", \"empty\" or a directory (with a \"/\"), got \"sytem\" (line 1, column 10)",
        ),
        (
            "rootfs.overlay = 'disk'",
            "rootfs.overlay: must be \"memory\", \"memory:SIZE\" or a directory (with a \"/\"), got \"disk\" (line 1, column 18)",
        ),
        (
            "rootfs.propagation = 'privat'",
            "rootfs.propagation: must be one of \"private\", \"slave\", \"shared\", \"unbindable\", got \"privat\" (line 1, column 22) (hint: did you mean \"private\"?)",
        ),
        (
            "mounts = [{ kind = 3 }]",
            "mounts[0].kind: expected one of \"bind\", \"tmpfs\", \"proc\", \"sysfs\", \"devpts\", \"dev\", \"mqueue\", \"overlay\", \"symlink\", \"file\", found the integer 3 (line 1, column 20)",
        ),
        ("mounts = [{ mode = 755 }]", "mounts[0].mode: expected a string, found the integer 755 (line 1, column 20)"),
        (
            "namespaces.ipc = 'nwe'",
            "namespaces.ipc: must be \"new\", \"host\" or { join = ... }, got \"nwe\" (line 1, column 18)",
        ),
        (
            "namespaces.ipc = '/proc/1/ns/ipc'",
            "namespaces.ipc: must be \"new\", \"host\" or { join = ... }, got \"/proc/1/ns/ipc\" (a path is written { join = \"/path\" }) (line 1, column 18)",
        ),
        (
            "namespaces.ipc = { join = { pid = 1, fd = 'x' } }",
            "namespaces.ipc.join: must be a path or have exactly one of pid and fd (line 1, column 27)",
        ),
        (
            "namespaces.ipc = { joined = 1 }",
            "namespaces.ipc.joined: there is no such key (line 1, column 20) (hint: did you mean \"join\"?)",
        ),
        (
            "namespaces.time = { join = '/x', offset_boottime = 1 }",
            "namespaces.time: offsets can be set in a new namespace only, not with join (line 1, column 19)",
        ),
        (
            "security.seccomp = 'strict'",
            "security.seccomp: must be \"default\", \"none\" or the path of a profile (with a \"/\"), got \"strict\" (line 1, column 20)",
        ),
        (
            "process.env = { A = 5 }",
            "process.env.A: expected a string, null or { unset = true }, found the integer 5 (line 1, column 21)",
        ),
        (
            "process.env = { A = { unset = false } }",
            "process.env.A: must be a string, null or { unset = true } (line 1, column 21)",
        ),
        ("hostname = 1979-05-27", "line 1, column 12: no key takes a date (hint: write a string, in quotes)"),
        ("hostname = 'a'\nhostname = 'b'", "line 2, column 1: is not TOML: duplicate key"),
        ("fds = 5", "fds: expected an array, found the integer 5 (line 1, column 7)"),
    ] {
        assert_eq!(problems(SandboxConfig::from_toml(text)), [expected], "{text}");
    }
}

#[test]
fn bad_json_is_located() {
    for (text, expected) in [
        (
            "{\n  \"limits\": {\"memroy\": 5}}",
            "limits.memroy: there is no such key (line 2, column 14) (hint: did you mean \"memory\"?)",
        ),
        ("{\"hostname\": 5}", "hostname: expected a string, found the integer 5 (line 1, column 14)"),
        ("{\"limits\": []}", "limits: expected a table, found an array (line 1, column 12)"),
        ("{\"mounts\": [[]]}", "mounts[0]: expected a table, found an array (line 1, column 13)"),
        ("[]", "config: expected a table, found an array (line 1, column 1)"),
        ("{\"hostname\": \"a\", \"hostname\": \"b\"}", "line 1, column 19: the key \"hostname\" is given twice"),
        (
            "{\"a\\\"b\": 1}",
            "a\"b: there is no such key (line 1, column 2) (hint: known here: version, extends, hostname, namespaces, network, identity, rootfs, mounts, limits, fds, security, process, init, compat)",
        ),
        ("{", "line 1, column 1: is not JSON: EOF while parsing an object"),
        ("{} x", "line 1, column 4: is not JSON: trailing characters"),
    ] {
        assert_eq!(problems(SandboxConfig::from_json(text)), [expected], "{text}");
    }
}

#[test]
fn all_problems_of_a_text_are_reported_at_once() {
    let text = "hostname = 5\nmemory = 1\n[limits]\npids = 'x'\nmemroy = 2\n[[mounts]]\nkind = 'bnd'\n[[mounts]]\ntarget = 7\n";
    assert_eq!(
        problems(SandboxConfig::from_toml(text)),
        [
            "hostname: expected a string, found the integer 5 (line 1, column 12)",
            "limits.memroy: there is no such key (line 5, column 1) (hint: did you mean \"memory\"?)",
            "limits.pids: expected an integer of at least 0, found the string \"x\" (line 4, column 8)",
            "memory: there is no such key (line 2, column 1) (hint: write limits.memory)",
            "mounts[0].kind: must be one of \"bind\", \"tmpfs\", \"proc\", \"sysfs\", \"devpts\", \"dev\", \"mqueue\", \"overlay\", \"symlink\", \"file\", got \"bnd\" (line 7, column 8) (hint: did you mean \"bind\"?)",
            "mounts[1].target: expected a path, found the integer 7 (line 9, column 10)",
        ]
    );
}

#[test]
fn what_is_wrong_by_itself_is_told_with_what_could_not_be_read() {
    // A name that is unknown may be that of a limit that another one needs: of that nothing is said.
    let text = "[limits]\nfoo = 1\nmemory = 'lots'\nwall_time = 'soon'\nmemory_high = '1G'\nuser = 1\n[process]\numask = '9'\n\
        [security]\nlandlock = 'maybe'\ncapabilities = ['CAP_NOPE']\nsecurebits = ['x']\n[[mounts]]\nkind = 'bind'\n";
    let error = crate::SandboxBuilder::from(crate::Document::from_toml(text).expect("a text")).into_config();
    let keys: Vec<String> =
        error.expect_err("nonsense").report().problems.iter().map(|problem| problem.key.clone()).collect();
    let wanted = [
        "limits.foo",
        "limits.memory",
        "limits.user",
        "limits.wall_time",
        "mounts[0].source",
        "mounts[0].target",
        "process.umask",
        "security.capabilities[0]",
        "security.landlock",
        "security.securebits[0]",
    ];
    assert_eq!(keys, wanted);
}

#[test]
fn size_and_nesting_are_limited() {
    let long = format!("# {}", "x".repeat(1 << 20));
    let error = SandboxConfig::from_toml(&long).expect_err("too long");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Config, "the config must be at most 1048576 bytes long")
    );
    let deep = format!("a = {}{}", "[".repeat(40), "]".repeat(40));
    assert_eq!(problems(SandboxConfig::from_toml(&deep)), ["line 1, column 37: must be nested at most 32 levels deep"]);
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(100), "]".repeat(100));
    assert_eq!(problems(SandboxConfig::from_json(&deep)), ["line 1, column 39: must be nested at most 32 levels deep"]);
    for text in ["[".repeat(500_000), "{\"a\":".repeat(100_000), format!("a={}", "[".repeat(500_000))] {
        assert!(SandboxConfig::from_json(&text).is_err());
        assert!(SandboxConfig::from_toml(&text).is_err());
    }
}

#[test]
fn set_reads_values_as_they_look() {
    let mut config = SandboxConfig::default();
    for assignment in [
        "limits.memory=64M",
        "limits.pids = 64",
        "limits.cpus=0.5",
        "limits.timeout=5s",
        "hostname=123",
        "rootfs=host",
        "rootfs.overlay=memory:1M",
        "namespaces.ipc={ join = { pid = 7 } }",
        "namespaces.time.offset_boottime=5",
        "process.env.JOBS=4",
        "process.env.\"A.B\"=x=y",
        "process.env.TERM=null",
        "process.umask=0077",
        "mounts[0].kind=tmpfs",
        "mounts[0].target=/x",
        "mounts[0].read_only=true",
        "security.capabilities=[\"kill\"]",
    ] {
        config.apply_set(assignment).unwrap_or_else(|error| panic!("{assignment}: {error}"));
    }
    let expected = SandboxConfig::from_toml(
        r#"
        hostname = "123"
        limits = { memory = "64M", pids = 64, cpus = 0.5, wall_time = "5s" }
        rootfs = { kind = "host", overlay = { upper = "memory", size = "1M" } }
        namespaces = { ipc = { join = { pid = 7 } }, time = { offset_boottime = 5 } }
        process = { umask = "0077", env = { JOBS = "4", "A.B" = "x=y", TERM = { unset = true } } }
        mounts = [{ kind = "tmpfs", target = "/x", read_only = true }]
        security.capabilities = ["kill"]
        "#,
    )
    .expect("reads");
    assert_eq!(config, expected);
    config.apply_set("limits.memory=null").expect("unsets");
    assert_eq!(config.limits.memory, None);
}

#[test]
fn bad_assignments_change_nothing() {
    let mut config = SandboxConfig::from_toml("hostname = 'a'").expect("reads");
    let before = config.clone();
    for (assignment, expected) in [
        ("limits.memory", "--set limits.memory: must be KEY=VALUE, as in limits.memory=64M"),
        ("=5", "--set =5: the key must be names with dots between them, as in limits.memory"),
        ("a..b=5", "--set a..b=5: the key must be names with dots between them, as in limits.memory"),
        ("a[x]=5", "--set a[x]=5: the key must be names with dots between them, as in limits.memory"),
        (
            "limits.memroy=5",
            "limits.memroy: there is no such key (--set limits.memroy=5) (hint: did you mean \"memory\"?)",
        ),
        (
            "limits.pids=many",
            "limits.pids: expected an integer of at least 0, found the string \"many\" (--set limits.pids=many)",
        ),
        ("hostname.x=5", "--set hostname.x=5: hostname is not a table"),
        ("mounts[1].kind=tmpfs", "--set mounts[1].kind=tmpfs: mounts has 0 elements"),
        ("limits[0]=5", "--set limits[0]=5: limits is not an array"),
    ] {
        // A table that is there, for the last case.
        let mut config = config.clone();
        if assignment.starts_with("limits[") {
            config.limits.pids = Some(1);
        }
        let error = config.apply_set(assignment).expect_err(assignment);
        let found: Vec<_> = error.report().problems.iter().map(ToString::to_string).collect();
        assert_eq!(found, [expected]);
    }
    assert!(config.apply_set("x=1").is_err());
    assert_eq!(config, before);
}

#[test]
fn files_extend_each_other() {
    let dir = tempfile::tempdir().expect("tempdir");
    let root = dir.path().canonicalize().expect("real");
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("mkdir");
        fs::write(path, text).expect("write");
    };
    write(
        "shared/base.json",
        r#"{"rootfs": "./root", "hostname": "base", "limits": {"pids": 10, "memory": "1M"}, "process": {"env": {"A": "1", "B": "2"}},
            "mounts": [{"kind": "bind", "source": "lib", "target": "/lib2"}, {"kind": "symlink", "source": "a/b", "target": "/l"}]}"#,
    );
    write("shared/more.toml", "hostname = 'more'\nlimits.pids = 20\nrootfs.overlay = 'memory'\n");
    write(
        "job.json",
        r#"{"extends": ["shared/base.json", "shared/more.toml"], "limits": {"memory": null}, "process": {"env": {"B": null}},
            "security": {"seccomp": "./p.json"}, "init": {"path": ""}}"#,
    );
    let config = SandboxConfig::from_path(root.join("job.json")).expect("reads");
    assert_eq!(config.hostname.as_deref(), Some("more"));
    assert_eq!((config.limits.pids, &config.limits.memory), (Some(20), &None));
    assert_eq!(config.rootfs.path.as_deref(), Some(root.join("shared/./root").as_path()));
    assert_eq!(config.rootfs.overlay.as_ref().and_then(|o| o.upper.as_ref()), Some(&OverlayUpper::Memory));
    assert_eq!(config.mounts[0].source, Some(MountSource::Path(root.join("shared/lib"))));
    assert_eq!(config.mounts[1].source, Some(MountSource::Path("a/b".into())));
    assert_eq!(config.process.env["A"], EnvValue::from("1"));
    assert_eq!(config.process.env["B"], EnvValue::Unset);
    assert_eq!(config.security.seccomp, Some(Seccomp::Profile(root.join("./p.json"))));
    assert!(config.extends.is_empty());

    // Places name the file that a value came from.
    write("shared/bad.toml", "\nhostname = ''\n");
    write("bad.toml", "extends = ['shared/bad.toml']\n[limits]\nmemory = 'x'\n");
    let config = SandboxConfig::from_path(root.join("bad.toml")).expect("types are right");
    let error = crate::spec::validate(&config, Path::new("/")).expect_err("problems");
    let found: Vec<_> = error.report().problems.iter().map(ToString::to_string).collect();
    let root = root.display();
    assert_eq!(
        found,
        [
            format!("hostname: must be 1 to 64 bytes long, got 0 ({root}/shared/bad.toml:2:1)"),
            format!("limits.memory: must be a size such as 1048576 or \"64MiB\", got \"x\" ({root}/bad.toml:3:1)"),
        ]
    );
}

#[test]
fn files_that_are_none_are_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    let root = dir.path();
    let refused = |name: &str, text: &[u8]| {
        let path = root.join(name);
        if !text.is_empty() {
            fs::write(&path, text).expect("write");
        }
        let error = SandboxConfig::from_path(&path).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Config, "{name}");
        error.to_string().replace(&root.display().to_string(), "ROOT")
    };
    assert_eq!(
        refused("missing.toml", b""),
        "could not read the config file ROOT/missing.toml: No such file or directory (os error 2)\n  kernel  ENOENT   No such file or directory"
    );
    assert_eq!(refused("x.yaml", b"a: b"), "ROOT/x.yaml: a config file must be called .toml or .json");
    assert_eq!(refused("utf8.toml", b"hostname = '\xff'"), "ROOT/utf8.toml: the config file is not UTF-8");
    assert_eq!(refused("self.toml", b"extends = ['self.toml']"), "ROOT/self.toml: the config file extends itself");
    fs::create_dir(root.join("dir.toml")).expect("mkdir");
    assert_eq!(refused("dir.toml", b""), "ROOT/dir.toml: is not a regular file");
    assert_eq!(
        refused("wrong.toml", b"extends = 'a.toml'"),
        "the configuration has a problem\n  extends: expected an array, found the string \"a.toml\" (ROOT/wrong.toml:1:11)"
    );
    assert_eq!(
        refused("syntax.toml", b"a = \n"),
        "the configuration has a problem\n  ROOT/syntax.toml:1:5: is not TOML: string values must be quoted, expected literal string"
    );
    for n in 0..20 {
        fs::write(root.join(format!("chain{n}.toml")), format!("extends = ['chain{}.toml']", n + 1)).expect("write");
    }
    assert!(refused("chain0.toml", b"").contains("extends must be at most 16 levels deep"));
}

#[test]
fn merging_follows_the_order() {
    let mut base = SandboxConfig::from_toml(
        "rootfs = { kind = 'dir', path = '/r', overlay = 'memory' }\nnetwork = 'host'\nnamespaces.ipc = { join = { pid = 1 } }\nlimits = { wall_time = 5, pids = 1 }\nidentity.groups = [1, 2]",
    )
    .expect("reads");
    let over = SandboxConfig::from_toml(
        "rootfs = 'host'\nnetwork.mode = 'none'\nnamespaces.ipc = { join = { fd = 'x' } }\nlimits.timeout = 3\nidentity.groups = [3]",
    )
    .expect("reads");
    base.merge(&over).expect("merges");
    let expected = SandboxConfig::from_toml(
        "rootfs = { kind = 'host', overlay = 'memory' }\nnetwork = 'none'\nnamespaces.ipc = { join = { fd = 'x' } }\nlimits = { wall_time = 3, pids = 1 }\nidentity.groups = [3]",
    )
    .expect("reads");
    // Between typed configs nothing is unset: the path of the directory stays, and validating says so.
    assert_eq!(base.rootfs.path.take().as_deref(), Some(Path::new("/r")));
    assert_eq!(base.limits.wall_time.as_ref().map(Timespan::get), Some(Ok(Duration::from_secs(3))));
    base.limits.wall_time.clone_from(&expected.limits.wall_time);
    assert_eq!(base, expected);

    let mut base = Document::from_toml("rootfs = { kind = 'dir', path = '/r', overlay = 'memory' }").expect("reads");
    base.merge(Document::from_toml("rootfs = 'host'").expect("reads"));
    let merged = base.into_config().expect("types");
    assert_eq!(
        merged.rootfs,
        SandboxConfig::from_toml("rootfs = { kind = 'host', overlay = 'memory' }").expect("reads").rootfs
    );
}

#[test]
fn every_shorthand_applies() {
    for shorthand in SHORTHANDS {
        let mut config = SandboxConfig::default();
        apply_shorthand(&mut config, shorthand.name, shorthand.example)
            .unwrap_or_else(|e| panic!("{}: {e}", shorthand.name));
        assert_ne!(config, SandboxConfig::default(), "{}", shorthand.name);
        crate::spec::validate(&config, Path::new("/base")).unwrap_or_else(|e| panic!("{}: {e}", shorthand.name));
        // The key is the one that the table names.
        let json = serde_json::to_value(Document::from_config(&config).expect("prints").into_config().expect("reads"))
            .expect("prints");
        let mut place = &json;
        for name in shorthand.key.split('.') {
            place = &place[name];
        }
        assert!(!place.is_null(), "{} does not set {}", shorthand.name, shorthand.key);
        // Twice adds, or replaces.
        let once = config.clone();
        apply_shorthand(&mut config, shorthand.name, shorthand.example).expect("applies again");
        assert_eq!(config.mounts.len(), if shorthand.key == "mounts" { 2 } else { 0 }, "{}", shorthand.name);
        assert_eq!(once == config, shorthand.key != "mounts", "{}", shorthand.name);
        assert!(shorthand.help.len() > 10 && !shorthand.value.is_empty());
    }
    let names: Vec<_> = SHORTHANDS.iter().map(|shorthand| shorthand.name).collect();
    assert_eq!(
        names.join(", "),
        "memory, swap, pids, cpus, timeout, cpu_time, output, rootfs, overlay, bind, ro_bind, tmpfs, network, user, env, cwd, hostname, seccomp"
    );
}

#[test]
fn shorthand_values() {
    let apply = |name: &str, text: &str| {
        let mut config = SandboxConfig::default();
        apply_shorthand(&mut config, name, text).map(|()| config)
    };
    let config = apply("ro-bind", "/a:b:/c/d").expect("applies");
    assert_eq!(config.mounts, [Mount::bind("/a:b", "/c/d").read_only(true)]);
    assert_eq!(apply("tmpfs", "/t").expect("applies").mounts, [Mount::tmpfs("/t")]);
    assert_eq!(apply("tmpfs", "/t:1M").expect("applies").mounts, [Mount::tmpfs("/t").size("1M")]);
    assert_eq!(apply("user", "5").expect("applies").identity.gid, None);
    for (name, text, expected) in [
        ("bind", "/data", "bind: must be SRC:DST, as in data:/data, got \"/data\""),
        ("bind", ":/data", "bind: must be SRC:DST, as in data:/data, got \":/data\""),
        ("pids", "-1", "pids: must be a number such as 64, got \"-1\""),
        ("cpus", "x", "cpus: must be a number such as 0.5, got \"x\""),
        ("user", "root", "user: must be UID or UID:GID in numbers, got \"root\""),
        ("user", "+5", "user: must be UID or UID:GID in numbers, got \"+5\""),
        ("user", "5:", "user: must be UID or UID:GID in numbers, got \"5:\""),
        ("env", "A", "env: must be NAME=VALUE, got \"A\""),
        ("rootfs", "dir", "rootfs: must be \"system\", \"host\", \"empty\" or a directory (with a \"/\"), got \"dir\""),
        ("network", "bridge", "network: must be \"none\", \"host\" or { join = ... }, got \"bridge\""),
        ("memroy", "1", "memroy: there is no such shorthand (hint: did you mean \"memory\"?)"),
    ] {
        assert_eq!(problems(apply(name, text)), [expected]);
    }
}

#[test]
fn the_builder_fills_a_config() {
    let config = SandboxBuilder::new()
        .overlay(Overlay::memory("64MiB"))
        .rootfs(Rootfs::system())
        .mount(Mount::bind("data", "/data").read_only(true))
        .memory("256MiB")
        .pids(64)
        .cpus(0.5)
        .timeout(Duration::from_secs(5))
        .network("none")
        .user((7, 8))
        .env("A", "b")
        .env("TERM", None::<&str>)
        .rlimit("nofile", 256_u32)
        .capability("kill")
        .into_config()
        .expect("builds");
    let expected = SandboxConfig::from_toml(
        r#"
        rootfs = { kind = "system", overlay = "memory:64MiB" }
        mounts = [{ kind = "bind", source = "data", target = "/data", read_only = true }]
        limits = { memory = "256MiB", pids = 64, cpus = 0.5, wall_time = 5, rlimits = { nofile = 256 } }
        network = "none"
        identity = { uid = 7, gid = 8 }
        process.env = { A = "b", TERM = { unset = true } }
        security.capabilities = ["kill"]
        "#,
    )
    .expect("reads");
    assert_eq!(config, expected);
}

#[test]
fn the_builder_keeps_its_errors_for_the_end() {
    let builder =
        SandboxBuilder::new().rootfs("sytem").user("root").hostname("ok").set("limits.x=1").shorthand("pids", "x");
    assert_eq!(builder.config().hostname.as_deref(), Some("ok"));
    assert_eq!(
        problems(builder.into_config()),
        [
            "limits.x: there is no such key (--set limits.x=1) (hint: known here: memory, memory_high, swap, oom_group, pids, cpus, cpu_weight, cpuset, io_weight, io, devices, hugepages, timeout, wall_time, cpu_time, output, overflow, rlimits, cgroup_parent, payload_groups)",
            "pids: must be a number such as 64, got \"x\"",
            "rootfs: must be \"system\", \"host\", \"empty\" or a directory (with a \"/\"), got \"sytem\"",
            "user: must be UID or UID:GID in numbers, got \"root\"",
        ]
    );
    // Sizes and durations are reported with all else.
    let config =
        SandboxBuilder::new().memory("64Q").timeout("soon").memory_high(-5).into_config().expect("no error yet");
    let error = crate::spec::validate(&config, Path::new("/")).expect_err("three problems");
    assert_eq!(error.report().problems.len(), 3);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,8}", any::<String>()]
}

fn path() -> impl Strategy<Value = String> {
    "(/[a-z.]{1,6}){1,3}"
}

fn size() -> impl Strategy<Value = Bytes> {
    prop_oneof![any::<u64>().prop_map(Bytes::from), text().prop_map(Bytes::from)]
}

fn duration() -> impl Strategy<Value = Timespan> {
    prop_oneof![any::<u64>().prop_map(|n| Timespan::from(Duration::from_nanos(n))), text().prop_map(Timespan::from)]
}

fn join() -> impl Strategy<Value = Join> {
    prop_oneof![
        path().prop_map(|path| Join::Path(path.into())),
        any::<u32>().prop_map(Join::Pid),
        text().prop_map(Join::Fd)
    ]
}

fn namespace() -> impl Strategy<Value = Namespace> {
    prop_oneof![Just(Namespace::New), Just(Namespace::Host), join().prop_map(Namespace::Join)]
}

fn upper() -> impl Strategy<Value = OverlayUpper> {
    prop_oneof![Just(OverlayUpper::Memory), path().prop_map(|path| OverlayUpper::Dir(path.into()))]
}

prop_compose! {
    fn mount()(
        kind in proptest::option::of(prop_oneof![Just(MountKind::Bind), Just(MountKind::Proc), Just(MountKind::File)]),
        source in proptest::option::of(prop_oneof![
            text().prop_map(|p| MountSource::Path(p.into())),
            text().prop_map(MountSource::Fd),
        ]),
        target in proptest::option::of(text()),
        read_only in any::<Option<bool>>(),
        size in proptest::option::of(size()),
        mode in proptest::option::of(text()),
        content in proptest::option::of(any::<Vec<u8>>()),
        masked in proptest::option::of(proptest::collection::vec(text(), 0..3)),
        upper in proptest::option::of(upper()),
    ) -> MountConfig {
        MountConfig {
            kind, source, target: target.map(Into::into), read_only, size, mode, upper,
            content: content.map(FileContent), masked: masked.map(|m| m.into_iter().map(Into::into).collect()),
            ..MountConfig::default()
        }
    }
}

prop_compose! {
    fn limits()(
        memory in proptest::option::of(size()),
        wall_time in proptest::option::of(duration()),
        pids in proptest::option::of(0..=i64::MAX as u64),
        cpus in proptest::option::of(proptest::num::f64::NORMAL | proptest::num::f64::ZERO),
        devices in proptest::collection::vec(text(), 0..3),
        hugepages in proptest::collection::btree_map(text(), size(), 0..3),
        rlimits in proptest::collection::btree_map(text(), any::<u64>().prop_map(RlimitValue::from), 0..3),
        overflow in proptest::option::of(prop_oneof![Just(Overflow::Truncate), Just(Overflow::Kill)]),
    ) -> LimitsConfig {
        LimitsConfig { memory, wall_time, pids, cpus, devices, hugepages, rlimits, overflow, ..LimitsConfig::default() }
    }
}

prop_compose! {
    fn config()(
        version in any::<Option<u32>>(),
        hostname in proptest::option::of(text()),
        user in proptest::option::of(namespace()),
        time in proptest::option::of(prop_oneof![
            Just(TimeNamespace::Host),
            join().prop_map(TimeNamespace::Join),
            (any::<i64>(), any::<i64>()).prop_map(|(boottime, monotonic)| TimeNamespace::Offsets { boottime, monotonic }),
        ]),
        mode in proptest::option::of(prop_oneof![Just(NetworkMode::Host), join().prop_map(NetworkMode::Join)]),
        uid_map in proptest::option::of(proptest::collection::vec(any::<(u32, u32, u32)>(), 0..3)),
        overlay in proptest::option::of((proptest::option::of(upper()), proptest::option::of(size()))),
        mounts in proptest::collection::vec(mount(), 0..3),
        limits in limits(),
        env in proptest::collection::btree_map(text(), proptest::option::of(text()).prop_map(EnvValue::from), 0..3),
        seccomp in proptest::option::of(prop_oneof![
            Just(Seccomp::Default),
            path().prop_map(|path| Seccomp::Profile(path.into())),
        ]),
        securebits in proptest::option::of(prop_oneof![
            Just(Securebits::None),
            proptest::collection::vec(text(), 0..3).prop_map(Securebits::Bits),
        ]),
        prefer in proptest::collection::vec(text(), 0..3),
    ) -> SandboxConfig {
        let mut config = SandboxConfig { version, hostname, mounts, limits, ..SandboxConfig::default() };
        config.namespaces.user = user;
        config.namespaces.time = time;
        config.network.mode = mode;
        config.identity.uid_map =
            uid_map.map(|map| map.into_iter().map(|(a, b, c)| IdMapConfig::new(a, b, c)).collect());
        // A table with nothing in it is no overlay when it is printed.
        config.rootfs.overlay = overlay
            .filter(|(upper, size)| upper.is_some() || size.is_some())
            .map(|(upper, size)| OverlayConfig { upper, size, work: None });
        config.process.env = env;
        config.security.seccomp = seccomp;
        config.security.securebits = securebits;
        config.compat.prefer = prefer;
        config
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same(config in config()) {
        let toml = config.to_toml().expect("prints");
        let json = config.to_json().expect("prints");
        let from_toml = SandboxConfig::from_toml(&toml).map_err(|e| TestCaseError::fail(format!("{toml}\n{e}")))?;
        let from_json = SandboxConfig::from_json(&json).map_err(|e| TestCaseError::fail(format!("{json}\n{e}")))?;
        prop_assert_eq!(&from_toml.to_json().expect("prints"), &json);
        prop_assert_eq!(&from_json.to_toml().expect("prints"), &toml);
        // Exact durations become their text.
        let mut config = config;
        config.limits.wall_time = config.limits.wall_time.map(|time| time.to_string().into());
        let big = |size: Bytes| size.get().map_or(size.clone(), |n| if n > i64::MAX as u64 { size.to_string().into() } else { size });
        config.limits.memory = config.limits.memory.map(big);
        for size in config.limits.hugepages.values_mut() { *size = big(size.clone()); }
        for mount in &mut config.mounts { mount.size = mount.size.take().map(big); }
        if let Some(overlay) = &mut config.rootfs.overlay { overlay.size = overlay.size.take().map(big); }
        for value in config.limits.rlimits.values_mut() {
            if value.get().is_ok_and(|n| n > i64::MAX as u64) { *value = value.to_string().into(); }
        }
        prop_assert_eq!(&from_toml, &config);
        prop_assert_eq!(&from_json, &config);
    }

    #[test]
    fn any_config_validates_without_a_panic(config in config()) {
        match crate::spec::validate(&config, Path::new("/base")) {
            Ok(_) => {}
            Err(error) => prop_assert!(!error.report().problems.is_empty()),
        }
    }

    #[test]
    fn any_text_reads_without_a_panic(text in any::<String>()) {
        for result in [SandboxConfig::from_toml(&text), SandboxConfig::from_json(&text)] {
            if let Err(error) = result { prop_assert_eq!(error.kind(), ErrorKind::Config); }
        }
        let mut config = SandboxConfig::default();
        config.apply_set(&text).ok();
        for shorthand in SHORTHANDS {
            apply_shorthand(&mut config, shorthand.name, &text).ok();
        }
    }
}
