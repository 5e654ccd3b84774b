//! Owns: where limits are enforced on hosts of every kind, and what is refused with which remedy. The hosts are made up.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::settle;
use super::*;
use crate::config::SandboxConfig;
use crate::host::{CgroupPlace, UserManager, fakes};
use crate::spec::validate;
use crate::{ErrorKind, settle::Settled};

const V1: [&str; 9] = ["blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "pids"];

fn host(cgroups: Cgroups) -> HostCaps {
    HostCaps { cgroups, ..fakes::root() }
}

/// Without any unified hierarchy; `cpu` and `cpuacct` are mounted together.
fn v1_only() -> HostCaps {
    let mount = |name: &str| match name {
        "cpu" | "cpuacct" => "/sys/fs/cgroup/cpu,cpuacct".into(),
        name => format!("/sys/fs/cgroup/{name}").into(),
    };
    let v1: BTreeMap<String, PathBuf> = V1.iter().map(|name| ((*name).to_owned(), mount(name))).collect();
    let v1_places = v1.iter().map(|(name, mount)| (name.clone(), mount.join("job"))).collect();
    host(Cgroups { v1, v1_places, swap: true, ..Cgroups::default() })
}

/// Nothing but v2; this process is in a group from which it can't hand controllers down, the one above does.
fn v2_only() -> HostCaps {
    let place = |path: &str, enabled: &[&str], possible: &[&str]| CgroupPlace {
        path: path.into(),
        enabled: enabled.iter().map(|name| (*name).to_owned()).collect(),
        possible: possible.iter().map(|name| (*name).to_owned()).collect(),
    };
    let places = vec![
        place("/sys/fs/cgroup/app/host", &[], &[]),
        place("/sys/fs/cgroup/app", &["memory", "pids"], &["cpu", "io", "hugetlb"]),
    ];
    let mount = PathBuf::from("/sys/fs/cgroup");
    host(Cgroups { unified: Some(mount), unified_places: places, swap: true, ..Cgroups::default() })
}

/// A login session: v2, no group of its own, and a systemd of the user that has some controllers.
fn session() -> HostCaps {
    let controllers = ["cpu", "memory", "pids"].map(str::to_owned).to_vec();
    let manager = UserManager { socket: "/run/user/1000/systemd/private".into(), controllers };
    let unified = Some(PathBuf::from("/sys/fs/cgroup"));
    let cgroups = Cgroups { unified, user_manager: Some(manager), swap: true, ..Cgroups::default() };
    HostCaps { cgroups, ..fakes::user() }
}

fn settled(toml: &str, host: &HostCaps) -> Result<Settled> {
    let config = SandboxConfig::from_toml(toml).expect("the tests' configs are valid");
    settle(validate(&config, Path::new("/work")).expect("the tests' configs are valid"), host)
}

#[track_caller]
fn refused(toml: &str, host: &HostCaps, key: &str) -> Error {
    let error = settled(toml, host).expect_err(toml);
    assert_eq!((error.kind(), error.report().origin.as_deref()), (ErrorKind::Unsupported, Some(key)), "{error}");
    let way_out = format!("compat.prefer = [\"{key}\"]");
    assert!(error.hint().is_some_and(|hint| hint.contains(&way_out)), "{error}");
    error
}

#[cfg(not(feature = "cgroups"))]
#[test]
fn without_the_feature_every_limit_of_a_group_is_refused() {
    let all = [
        ("memory", "\"64MiB\""),
        ("memory_high", "\"64MiB\""),
        ("swap", "0"),
        ("oom_group", "true"),
        ("pids", "9"),
        ("cpus", "0.5"),
        ("cpu_weight", "50"),
        ("cpuset", "\"0\""),
        ("io_weight", "50"),
        ("io", "[{ device = \"8:0\", read_bps = \"1MiB\" }]"),
        ("devices", "[\"c 10:200 rw\"]"),
        ("hugepages", "{ \"2MB\" = \"2MiB\" }"),
        ("cpu_time", "\"2s\""),
    ];
    for host in [v1_only(), v2_only(), session(), fakes::root(), fakes::user()] {
        for (key, value) in all {
            let error = refused(&format!("[limits]\n{key} = {value}"), &host, &format!("limits.{key}"));
            assert!(error.to_string().contains("without the feature `cgroups`"), "{error}");
        }
        let weaker = "[limits]\npids = 9\nmemory = \"64MiB\"\n[compat]\nprefer = [\"limits.*\"]";
        let settled = settled(weaker, &host).expect("weaker");
        assert!(settled.report.used("limits.memory", "RLIMIT_DATA per process"), "{:?}", settled.report);
        assert_eq!(settled.group, None);
        let error = crate::cgroup::changeable(&crate::LimitsConfig::default());
        assert_eq!(in_groups(&error.expect("nothing to change")).next(), None);
    }
}

#[cfg(feature = "cgroups")]
mod with_groups {
    use super::*;
    use crate::host::cap;

    fn paths(places: &[Place]) -> Vec<(&str, String)> {
        places.iter().map(|place| (place.parent.to_str().unwrap_or_default(), place.controllers.join(" "))).collect()
    }

    #[test]
    fn v1_alone_limits_counts_freezes_and_watches() {
        let all = "[limits]\nmemory = \"64MiB\"\nswap = 0\npids = 9\ncpus = 0.5\ncpu_weight = 50\ncpuset = \"0\"\n\
                   cpu_time = \"2s\"\ndevices = [\"c 10:200 rw\"]\nhugepages = { \"2MB\" = \"2MiB\" }";
        let settled = settled(all, &v1_only()).expect("all of it is possible");
        let group = settled.group.expect("a group");
        assert_eq!(group.unified, None);
        let mut places = paths(&group.v1);
        places.sort();
        let wanted = [
            ("/sys/fs/cgroup/blkio/job", "blkio"),
            ("/sys/fs/cgroup/cpu,cpuacct/job", "cpu cpuacct"),
            ("/sys/fs/cgroup/cpuset/job", "cpuset"),
            ("/sys/fs/cgroup/devices/job", "devices"),
            ("/sys/fs/cgroup/freezer/job", "freezer"),
            ("/sys/fs/cgroup/hugetlb/job", "hugetlb"),
            ("/sys/fs/cgroup/memory/job", "memory"),
            ("/sys/fs/cgroup/pids/job", "pids"),
        ];
        assert_eq!(places, wanted.map(|(path, controllers)| (path, controllers.to_owned())));
        assert!(group.freezes_by_v1());
        assert_eq!((group.cpu_unit(), group.cpu_time), (1, Some(Duration::from_secs(2))));
        assert!(settled.report.used("limits.memory", "cgroup-v1"));
        assert!(settled.report.used("limits.cpu_time", "cgroup-v1 by the keeper"));
    }

    #[test]
    fn v1_alone_refuses_what_only_v2_has() {
        for (limit, key) in [("memory_high = \"8MiB\"", "limits.memory_high"), ("oom_group = true", "limits.oom_group")]
        {
            let error = refused(&format!("[limits]\n{limit}"), &v1_only(), key);
            assert!(error.hint().is_some_and(|hint| hint.contains("unified_cgroup_hierarchy=1")), "{error}");
        }
        let error = refused("[limits]\nswap = 0", &v1_only(), "limits.swap");
        assert!(error.hint().is_some_and(|hint| hint.contains("set limits.memory too")), "{error}");
        let without_pids = settled("[namespaces]\npid = \"host\"", &v1_only()).expect_err("nothing kills the tree");
        assert_eq!(without_pids.report().origin.as_deref(), Some("namespaces.pid"));
    }

    #[test]
    fn v2_alone_takes_the_nearest_place_that_hands_down() {
        let settled = settled("[limits]\nmemory = \"64MiB\"\ncpus = 0.5\npids = 9\ncpu_time = \"2s\"", &v2_only());
        let settled = settled.expect("possible");
        let group = settled.group.expect("a group");
        assert_eq!(group.v1, Vec::new());
        let place = group.unified.as_ref().expect("in the unified hierarchy");
        assert_eq!(place.parent, Path::new("/sys/fs/cgroup/app"));
        assert_eq!((place.controllers.join(" "), place.enable.join(" ")), ("cpu memory pids".into(), "cpu".into()));
        assert!(!group.freezes_by_v1());
        assert_eq!(group.cpu_unit(), 1000);
    }

    #[test]
    fn a_login_session_gets_a_scope_only_where_one_is_needed() {
        let settled = |toml| super::settled(toml, &session()).expect("possible");
        let limited = settled("[limits]\npids = 9\ncpu_time = \"2s\"");
        assert!(limited.report.used("limits.pids", "cgroup-v2"), "{:?}", limited.report);
        let below = "below a transient scope of the user's systemd (cpu memory pids)";
        assert!(limited.report.used("cgroup", below), "{:?}", limited.report);
        let group = limited.group.expect("a group");
        assert_eq!(group.scope.as_deref(), Some(Path::new("/run/user/1000/systemd/private")));
        let inside = group.within(Path::new("/sys/fs/cgroup/app.scope")).unified.expect("in the unified hierarchy");
        assert_eq!(inside.parent, Path::new("/sys/fs/cgroup/app.scope"));
        assert_eq!(inside.enable, inside.controllers, "a new scope hands nothing down");
        assert_eq!(settled("").group, None);
        // Whoever has a place needs no scope.
        let mut both = session();
        both.cgroups.unified_places = v2_only().cgroups.unified_places;
        let group = super::settled("[limits]\npids = 9", &both).expect("possible").group.expect("a group");
        assert_eq!((group.scope, group.unified.expect("a place").parent), (None, "/sys/fs/cgroup/app".into()));
    }

    #[test]
    fn what_the_users_systemd_was_not_given_is_refused_with_the_remedy() {
        let error = refused("[limits]\ncpuset = \"0\"", &session(), "limits.cpuset");
        assert!(error.hint().is_some_and(|hint| hint.contains("systemctl edit user@.service")), "{error}");
        assert!(!error.hint().is_some_and(|hint| hint.contains("systemd-run")), "it would not help: {error}");
    }

    #[test]
    fn devices_take_the_controller_of_v1_or_a_program_or_are_refused() {
        let devices = "[limits]\ndevices = [\"c 10:200 rw\"]";
        let settled = |host: &HostCaps| super::settled(devices, host).expect("possible");
        assert!(settled(&v1_only()).report.used("limits.devices", "cgroup-v1"));
        let mut able = v2_only();
        able.cgroups.device_programs = true;
        let by_program = settled(&able);
        assert!(by_program.report.used("limits.devices", "cgroup-v2 by a BPF program"), "{:?}", by_program.report);
        let group = by_program.group.expect("a group, whatever its controllers");
        assert_eq!((group.v1, group.limits.devices.len()), (Vec::new(), 1));
        // A hybrid host has both: there v1 does it, if this process may make groups in it.
        let mut hybrid = able.clone();
        hybrid.cgroups.v1 = v1_only().cgroups.v1;
        assert!(settled(&hybrid).report.used("limits.devices", "cgroup-v2 by a BPF program"));
        hybrid.cgroups.v1_places = v1_only().cgroups.v1_places;
        assert!(settled(&hybrid).report.used("limits.devices", "cgroup-v1"));

        let mut nested = able.clone();
        nested.uid_map = vec![(0, 1000, 1)];
        let mut powerless = able.clone();
        powerless.capabilities &= !(1 << cap::SYS_ADMIN | 1 << cap::BPF);
        for (host, why) in [
            (&powerless, "CAP_BPF"),
            (&nested, "CAP_BPF"),
            (&session(), "CAP_BPF"),
            (&v2_only(), "this kernel has no device programs"),
            (&host(Cgroups::default()), "there is no cgroup v2"),
        ] {
            let error = refused(devices, host, "limits.devices");
            assert!(error.to_string().contains(why), "{error}");
            assert!(!error.hint().unwrap_or_default().contains("subtree_control"), "no controller helps: {error}");
        }
        let weaker = super::settled(&format!("{devices}\n[compat]\nprefer = [\"limits.devices\"]"), &powerless);
        let weaker = weaker.expect("weaker");
        assert!(weaker.report.used("limits.devices", "nothing"), "{:?}", weaker.report);
        assert_eq!(weaker.group, None);
    }

    #[test]
    fn v2_alone_refuses_what_it_has_not_and_names_the_remedy_that_fits() {
        let error = refused("[limits]\ncpuset = \"0\"", &v2_only(), "limits.cpuset");
        assert!(error.hint().is_some_and(|hint| hint.contains("subtree_control")), "{error}");
        let mut silent = v2_only();
        silent.cgroups.swap = false;
        refused("[limits]\nswap = 0", &silent, "limits.swap");
        let error = refused("[limits]\nio_weight = 50", &v2_only(), "limits.io_weight");
        assert!(error.hint().is_some_and(|hint| hint.contains("bfq")), "{error}");
        let mut weighed = v2_only();
        weighed.cgroups.io_weight = vec!["8:0".to_owned()];
        assert!(settled("[limits]\nio_weight = 50", &weighed).is_ok());
    }
}
