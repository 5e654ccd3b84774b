//! Owns: what must hold for every plan, whatever the config and the host; and a few whole plans to read.

use std::path::Path;

use proptest::prelude::*;

use super::invariants::{call, check, facts};
use super::*;
use crate::config::{Mount, SandboxBuilder, SandboxConfig};
use crate::host::{HostCaps, fakes};
use crate::settle::settle;
use crate::spec::validate;
use crate::wire;

/// Of the first start. None: this host refuses the config.
fn plan(config: &SandboxConfig, host: &HostCaps) -> Option<Plan> {
    plans(config, host)?.into_iter().next()
}

/// Of the first start, and of later ones where they differ. None: this host refuses the config.
fn plans(config: &SandboxConfig, host: &HostCaps) -> Option<Vec<Plan>> {
    let spec = validate(config, Path::new("/work")).expect("the tests' configs are valid");
    let facts = facts(&spec);
    let call = call(&spec, &["true"]);
    let settled = settle(spec, host).ok()?;
    let filter = filter(&settled, None).expect("the default filter compiles");
    let base = compile_base(&settled, &facts, filter.as_ref()).ok()?;
    let standing =
        compile_standing(&settled, &facts, filter.as_ref()).expect("what the first start can, later ones can");
    assert_eq!(standing.is_some(), base.standing.is_some(), "a namespace is made where it is used");
    let payload = compile_payload(&settled, filter.as_ref(), &call).expect("the call is valid");
    let bases = std::iter::once(base).chain(standing);
    Some(bases.map(|base| Plan { base: base.into(), payload: payload.clone() }).collect())
}

fn built(builder: SandboxBuilder) -> SandboxConfig {
    builder.into_config().expect("the tests' values are valid")
}

#[test]
fn the_default_sandbox_of_a_root_host() {
    insta::assert_snapshot!(plan(&SandboxConfig::default(), &fakes::root()).expect("runs"));
}

#[test]
fn later_starts_of_a_root_host() {
    let later = plans(&SandboxConfig::default(), &fakes::root()).expect("runs").pop().expect("a plan");
    assert!(later.base.stands);
    // What was prepared is what was prepared for the first one.
    let own =
        later.to_string().lines().skip(later.base.prepared.len()).map(|line| format!("{line}\n")).collect::<String>();
    insta::assert_snapshot!(own);
}

/// What a standing namespace could not give makes every start like the first.
#[test]
fn who_starts_like_the_first_time() {
    type Change = fn(SandboxBuilder) -> SandboxBuilder;
    let changes: [(&str, Change); 13] = [
        ("the mounts of the host are its own", |b| b.rootfs(crate::Rootfs::host())),
        ("a directory may have anything at /proc", |b| b.rootfs(crate::Rootfs::dir("/srv/root"))),
        ("changes are of one start", |b| b.overlay(crate::Overlay::memory("8MiB"))),
        ("mounts of the host arrive", |b| b.propagation(crate::Propagation::Slave)),
        ("mounts are seen elsewhere", |b| b.mount(Mount::bind("/srv/a", "/a").propagation(crate::Propagation::Shared))),
        ("a fresh sysfs needs one that is seen", |b| b.mount(Mount::sysfs("/sys"))),
        ("processes are the host's", |b| b.set("namespaces.pid=host")),
        ("there is no other user namespace", |b| b.set("namespaces.user=host")),
        ("clocks are set below /proc/self", |b| b.set("namespaces.time={ offset_boottime = 5 }")),
        ("it may unmount", |b| b.capability("sys_admin")),
        ("/dev/null may be anything", |b| b.mount(Mount::bind("/srv/c.file", "/dev/null"))),
        ("the devices come late", |b| b.mount(Mount::tmpfs("/dev/shm")).mount(Mount::dev("/dev"))),
        ("proc is somewhere else", |b| b.mount(Mount::tmpfs("/proc"))),
    ];
    for (reason, change) in changes {
        let plans =
            plans(&built(change(SandboxBuilder::new())), &fakes::root()).unwrap_or_else(|| panic!("{reason}: runs"));
        assert_eq!(plans.len(), 1, "{reason}");
    }
    assert_eq!(
        plans(&SandboxConfig::default(), &fakes::user()).expect("runs").len(),
        1,
        "only a privileged host prepares"
    );
}

#[test]
fn the_default_sandbox_of_an_unprivileged_host() {
    insta::assert_snapshot!(plan(&SandboxConfig::default(), &fakes::user()).expect("runs"));
}

#[test]
fn a_directory_root_with_mounts_of_every_kind() {
    let config = built(
        SandboxBuilder::new()
            .rootfs(crate::Rootfs::dir("/srv/root"))
            .hostname("box")
            .mount(Mount::bind("/srv/data", "/data").read_only(true))
            .mount(Mount::bind("/srv/one.file", "/data/one"))
            .mount(Mount::tmpfs("/scratch").size("8MiB"))
            .mount(Mount::file("hello\n", "/scratch/greeting"))
            .mount(Mount::symlink("greeting", "/scratch/link"))
            .mount(Mount::sysfs("/sys")),
    );
    insta::assert_snapshot!(plan(&config, &fakes::user()).expect("runs"));
}

#[test]
fn a_stack_with_changes_in_memory_on_a_root_host() {
    let config = built(
        SandboxBuilder::new()
            .rootfs(crate::Rootfs::layers(["/srv/top", "/srv/base"]))
            .overlay(crate::Overlay::memory("8MiB")),
    );
    insta::assert_snapshot!(plan(&config, &fakes::root()).expect("runs"));
}

#[test]
fn a_directory_with_kept_changes_on_an_unprivileged_host() {
    let config = built(
        SandboxBuilder::new().rootfs(crate::Rootfs::dir("/srv/root")).overlay(crate::Overlay::dir("/srv/changes")),
    );
    insta::assert_snapshot!(plan(&config, &fakes::user()).expect("runs"));
}

#[test]
fn kept_changes_on_a_root_host_that_clones_by_itself() {
    let mut older = fakes::root();
    (older.kernel, older.clone_detached_tree) = ((6, 1), false);
    let config = built(
        SandboxBuilder::new()
            .rootfs(crate::Rootfs::layers(["/srv/top", "/srv/base"]))
            .overlay(crate::Overlay::dir("/srv/changes")),
    );
    insta::assert_snapshot!(plan(&config, &older).expect("runs"));
}

#[test]
fn what_an_overlay_can_not_do_is_refused_with_the_remedy() {
    let refusal = |builder: SandboxBuilder, host: &HostCaps| {
        let spec = validate(&built(builder), Path::new("/work")).expect("valid");
        let facts = facts(&spec);
        let settled = settle(spec, host)?;
        compile_base(&settled, &facts, None).map(|_| ())
    };
    let memory = || SandboxBuilder::new().overlay(crate::Overlay::memory("8MiB"));
    let mut old = fakes::user();
    old.kernel = (6, 5);
    let error = refusal(memory(), &old).expect_err("no xattrs on tmpfs");
    assert_eq!(error.kind(), crate::ErrorKind::Unsupported);
    assert!(error.to_string().contains("6.6") && error.hint().is_some_and(|hint| hint.contains("directory")));
    let error = refusal(memory().rootfs(crate::Rootfs::host()), &fakes::user()).expect_err("mounts below /");
    assert!(error.hint().is_some_and(|hint| hint.contains("system")), "{error}");
    let mut other = fakes::user();
    (other.euid, other.egid) = (1001, 1001);
    let error = refusal(memory().rootfs(crate::Rootfs::dir("/srv/root")), &other).expect_err("another's files");
    assert!(error.to_string().contains("belongs to 1000:1000"), "{error}");
    let mut older = fakes::root();
    (older.kernel, older.clone_detached_tree) = ((6, 1), false);
    let many = (0..300).map(|n| format!("/srv/{n}"));
    let error = refusal(SandboxBuilder::new().rootfs(crate::Rootfs::layers(many)), &older).expect_err("too many fds");
    assert!(error.to_string().contains("300 layers"), "{error}");
}

#[test]
fn socket_activation_and_late_filter() {
    let config = built(
        SandboxBuilder::new()
            .rootfs(crate::Rootfs::empty())
            .fd(crate::Fd::socket_activation("http"))
            .fd(crate::Fd::number("log", 9))
            .capability("net_bind_service")
            .seccomp("none"),
    );
    insta::assert_snapshot!(plan(&config, &fakes::root()).expect("runs"));
}

/// What a part of a config may be, one of each kind of thing that changes the shape of a plan.
fn configs() -> impl Strategy<Value = SandboxConfig> {
    let mounts = prop::collection::btree_set(0usize..14, 0..6);
    let toggles = prop::array::uniform8(any::<bool>());
    (0usize..5, mounts, toggles, 0usize..3, 0usize..4).prop_map(|(root, mounts, toggles, fds, overlay)| {
        let [host_network, time, keep, no_filter, nested, slave, no_init, keyring] = toggles;
        let mut builder = SandboxBuilder::new().rootfs(match root {
            0 => crate::Rootfs::system(),
            1 => crate::Rootfs::host(),
            2 => crate::Rootfs::empty(),
            3 => crate::Rootfs::layers(["/srv/top", "/srv/middle", "/srv/base"]),
            _ => crate::Rootfs::dir("/srv/root"),
        });
        builder = match overlay {
            0 => builder.overlay(crate::Overlay::memory("8MiB")),
            1 => builder.overlay(crate::Overlay::dir("/srv/changes")),
            _ => builder,
        };
        for mount in mounts {
            builder = builder.mount(match mount {
                0 => Mount::bind("/srv/a", "/a"),
                1 => Mount::bind("/srv/b", "/tmp/b").read_only(true),
                2 => Mount::bind("/srv/c.file", "/a/c"),
                3 => Mount::tmpfs("/work"),
                4 => Mount::tmpfs("/work/deep/er"),
                5 => Mount::file("x", "/work/file"),
                6 => Mount::bind("/srv/d", "/work/deep"),
                7 => Mount::devpts("/a/pts"),
                8 => Mount::bind_fd("dir", "/passed"),
                9 => Mount::file("y", "/etc/motd"),
                10 => Mount::bind("/srv/e", "/dev/e"),
                11 => Mount::overlay(["/srv/one", "/srv/two"], "/stack"),
                12 => Mount::overlay(["/srv/three"], "/work/stack").upper(crate::OverlayUpper::Memory),
                _ => Mount::tmpfs("/tmp"),
            });
        }
        if host_network {
            builder = builder.network("host");
        }
        if time && !no_init {
            builder = builder.set("namespaces.time={ offset_boottime = 5 }");
        }
        if keep {
            builder = builder.capability("net_raw");
        }
        if no_filter {
            builder = builder.seccomp("none");
        }
        for n in 0..fds {
            builder = builder.fd(crate::Fd::number(format!("fd{n}"), 10 - n as u32));
        }
        builder = builder.nested_user_namespaces(nested).set(if keyring {
            "security.keyring=new"
        } else {
            "security.keyring=host"
        });
        if slave {
            builder = builder.propagation(crate::Propagation::Slave);
        }
        if no_init {
            builder = builder.set("process.init=false");
        }
        built(builder)
    })
}

fn hosts() -> impl Strategy<Value = HostCaps> {
    prop_oneof![
        Just(fakes::root()),
        Just(fakes::user()),
        Just({
            let mut older = fakes::root();
            (older.kernel, older.clone_detached_tree, older.landlock_abi) = ((6, 1), false, 2);
            older
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_plan_keeps_the_order(config in configs(), host in hosts()) {
        for plan in plans(&config, &host).unwrap_or_default() {
            check(&plan, &["fd dir".to_owned()]);
        }
    }

    #[test]
    fn every_fault_stands_at_its_operation(config in configs(), at in 0usize..60, errno in 1i32..134) {
        let Some(plan) = plan(&config, &fakes::user()) else { return Ok(()) };
        let at = at % plan.step_count();
        let (whole, faulty) = (plan.lower(Ends::default(), false, None), plan.lower(Ends::default(), false, Some((at, errno))));
        prop_assert_eq!(faulty.len(), whole.len() + size_of::<wire::RawOp>());
    }
}

#[test]
fn lowering_is_deterministic() {
    let one = plan(&SandboxConfig::default(), &fakes::root()).expect("runs");
    let two = plan(&SandboxConfig::default(), &fakes::root()).expect("runs");
    let ends = Ends { deadline: 5, ..Ends::default() };
    assert_eq!(one.lower(ends, false, None), two.lower(ends, false, None));
}
