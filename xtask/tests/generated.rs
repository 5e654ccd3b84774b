//! Owns: that generated files are fresh, and that every key of a config is documented, has a verb of the builder and occurs
//! in a conformance case.
//! Must not: name keys, but to set them by verbs.

use std::collections::BTreeSet;

use pinfold::{
    EnvValue, Fd, FdConfig, IdMapConfig, IoLimit, Keyring, Landlock, Mount, MountConfig, MountKind, Namespace,
    Overflow, Overlay, OverlayUpper, Propagation, Rootfs, RootfsKind, SandboxBuilder, SandboxConfig, Securebits,
    TimeNamespace,
};
use pinfold_tests::conformance::cases;
use serde_json::Value;
use xtask::model::{Model, parts};

#[test]
fn generated_files_are_fresh() {
    if let Err(message) = xtask::check() {
        panic!("{message}");
    }
}

#[test]
fn every_key_is_documented() {
    let model = Model::read();
    let mut wrong = Vec::new();
    for (path, key) in model.leaves() {
        let parts = parts(&key.about);
        if parts.text.len() < 10 {
            wrong.push(format!("{path}: no documentation"));
        }
        if parts.default.is_none() && !parts.required {
            wrong.push(format!("{path}: neither `Default: ..` nor `Required.`"));
        }
        match parts.example {
            None => wrong.push(format!("{path}: no example")),
            Some(example) => {
                // The example stands in its table, as it would in a file.
                let (table, _) = path.rsplit_once('.').unwrap_or(("", ""));
                let text = within(table, &example);
                if let Err(error) = SandboxConfig::from_toml(&text) {
                    wrong.push(format!("{path}: the example is refused: {error}\n{text}"));
                }
            }
        }
    }
    for table in &model.tables {
        for key in table.keys.iter().filter(|key| key.about.len() < 10) {
            wrong.push(format!("{} {}: no documentation", table.name, key.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `limits.io[]` and `device = "x"`: `[[limits.io]]`, then the line.
fn within(table: &str, line: &str) -> String {
    match (table, table.strip_suffix("[]")) {
        ("", _) => line.to_owned(),
        (_, Some(list)) => format!("[[{list}]]\n{line}"),
        (table, None) => format!("[{table}]\n{line}"),
    }
}

#[test]
fn every_key_has_a_verb_of_the_builder() {
    let wanted: BTreeSet<String> = Model::read().leaves().into_iter().map(|(path, _)| path).collect();
    let mut set = BTreeSet::new();
    for config in configs_made_by_verbs() {
        let text = config.to_json().expect("a config that prints");
        keys(&serde_json::from_str(&text).expect("JSON"), "", &wanted, &mut set);
    }
    // `version` is that of the text, `extends` works in files only, `timeout` is another name.
    for key in ["version", "extends", "limits.timeout"] {
        set.insert(key.to_owned());
    }
    assert_eq!(wanted.difference(&set).collect::<Vec<_>>(), Vec::<&String>::new(), "keys without a verb");
}

fn configs_made_by_verbs() -> Vec<SandboxConfig> {
    let mount = |mount: MountConfig| mount.propagation(Propagation::Slave);
    let bind = mount(Mount::bind("data", "/data"))
        .read_only(true)
        .recursive(true)
        .optional(true)
        .nosuid(true)
        .nodev(true)
        .noexec(true)
        .idmap(true);
    let overlay = Mount::overlay(["a"], "/o").upper(OverlayUpper::Dir("./u".into())).work("./w");
    let ranges = || [IdMapConfig::new(0, 100_000, 1)];
    let io = IoLimit::new("/dev/vda").read_bps("1M").write_bps("1M").read_iops(1).write_iops(1);
    let first = SandboxBuilder::new()
        .hostname("box")
        .user_namespace(Namespace::New)
        .pid_namespace(Namespace::New)
        .mount_namespace(Namespace::New)
        .ipc_namespace(Namespace::New)
        .uts_namespace(Namespace::New)
        .cgroup_namespace(Namespace::New)
        .time_namespace(TimeNamespace::New)
        .network("none")
        .user((1, 2))
        .groups([3])
        .uid_map(ranges())
        .gid_map(ranges())
        .host_root(false)
        .rootfs(Rootfs::dir("root"))
        .propagation(Propagation::Private)
        .overlay(Overlay::dir("./upper").work("./work"))
        .mounts([bind, overlay])
        .mount(Mount::tmpfs("/t").size("1M").inodes(10).mode(0o755))
        .mount(Mount::file("x", "/f"))
        .mount(Mount::proc("/p").masked(["a"]).readonly_paths(["b"]))
        .memory("1M")
        .memory_high("1M")
        .swap(0)
        .oom_group(true)
        .payload_groups(true)
        .pids(1)
        .cpus(1.0)
        .cpu_weight(1)
        .cpuset("0")
        .io_weight(1)
        .io_limit(io)
        .device("/dev/fuse:rw")
        .hugepages("2MiB", "2M")
        .timeout("1s")
        .cpu_time("1s")
        .output("1M")
        .overflow(Overflow::Kill)
        .rlimit("nofile", 1)
        .cgroup_parent("/x")
        .fd(Fd::number("n", 3))
        .fd(FdConfig::socket_activation("s"))
        .fd(FdConfig::inetd("i"))
        .seccomp("none")
        .capability("kill")
        .securebits(Securebits::None)
        .no_new_privs(true)
        .landlock(Landlock::Off)
        .keyring(Keyring::New)
        .nested_user_namespaces(false)
        .cwd("/")
        .env_clear()
        .env("A", EnvValue::from("b"))
        .inherit_env("C")
        .umask(0o22)
        .nice(1)
        .terminal(true)
        .init_path("/init")
        .prefer("limits.*");
    let second = SandboxBuilder::new().rootfs(Rootfs::layers(["a"])).overlay(Overlay::memory("1M")).own_init(false);
    assert_eq!(second.config().rootfs.kind, Some(RootfsKind::Layers));
    assert_eq!(first.config().mounts[0].kind, Some(MountKind::Bind));
    [first, second].map(|builder| builder.into_config().expect("every verb's value can be read")).to_vec()
}

/// The key paths in a value that are keys of a config, `[]` for any index.
fn keys(value: &Value, path: &str, known: &BTreeSet<String>, found: &mut BTreeSet<String>) {
    if known.contains(path) {
        found.insert(path.to_owned());
    }
    match value {
        Value::Object(table) => {
            for (name, value) in table {
                keys(value, &xtask::model::join(path, name), known, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, &format!("{path}[]"), known, found)),
        _ => {}
    }
}

#[test]
fn every_key_is_in_a_conformance_case() {
    let wanted: BTreeSet<String> = Model::read().leaves().into_iter().map(|(path, _)| path).collect();
    let mut found = BTreeSet::new();
    for case in cases() {
        let texts = case.files.iter().filter(|(name, _)| name.ends_with(".toml")).map(|(_, text)| text);
        for text in texts.chain(&case.config).chain(&case.shows) {
            // Cases of bad syntax have no keys.
            if let Ok(table) = toml::from_str::<toml::Table>(text) {
                keys(&serde_json::to_value(table).expect("JSON"), "", &wanted, &mut found);
            }
        }
        if let Some(text) = &case.json {
            keys(&serde_json::from_str(text).unwrap_or_default(), "", &wanted, &mut found);
        }
    }
    assert_eq!(wanted.difference(&found).collect::<Vec<_>>(), Vec::<&String>::new(), "keys in no case");
}

#[test]
fn the_sample_of_the_reference_is_a_case() {
    let cases = cases();
    let case = cases.iter().find(|case| case.name == "examples/the_sample_of_the_reference").expect("the case");
    assert_eq!(case.config.as_deref().map(str::trim), Some(xtask::reference::SAMPLE.trim()));
    assert!(!case.command.is_empty() && case.error.is_none(), "it runs");
}
