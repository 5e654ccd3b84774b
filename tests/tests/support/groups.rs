//! Owns: what the tests of limits share: the payload, the kernel's own files of a group beside our numbers.
//! Must not: assert what a test is about.
#![allow(dead_code, unused_macros)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use pinfold::{HostCaps, LimitsConfig, Mount, Outcome, Process, Sandbox, SandboxBuilder, Stdio};
use pinfold_tests::{cc, is_root, scratch, skip};

pub const WORKER: &str = "/tmp/worker";

pub fn worker() -> SandboxBuilder {
    let program = cc("limits", include_str!("../limits.c"));
    Sandbox::builder().timeout("60s").mount(Mount::bind(program, WORKER).read_only(true))
}

/// In an emulated machine.
pub fn slow() -> bool {
    std::env::var_os("PINFOLD_SLOW").is_some()
}

/// Full counts, which take longer than every change is worth.
pub fn long() -> bool {
    std::env::var_os("PINFOLD_LONG").is_some()
}

pub fn built(builder: SandboxBuilder) -> Sandbox {
    builder.build().unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
pub fn run(sandbox: &Sandbox, args: &[&str]) -> Outcome {
    sandbox.command(WORKER).args(args).output().unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

/// Whether this process can make groups with these controllers (names of v1, v2).
pub fn can_limit(wanted: &[(&str, &str)]) -> bool {
    let cgroups = HostCaps::probe().expect("facts").cgroups;
    wanted.iter().all(|(v1, v2)| {
        let unified = |place: &pinfold::CgroupPlace| place.enabled.iter().chain(&place.possible).any(|have| have == v2);
        let manager = |manager: &pinfold::UserManager| manager.controllers.iter().any(|have| have == v2);
        cgroups.v1_places.contains_key(*v1)
            || cgroups.unified_places.iter().any(unified)
            || cgroups.user_manager.as_ref().is_some_and(manager)
    })
}

pub const MEMORY: (&str, &str) = ("memory", "memory");
pub const PIDS: (&str, &str) = ("pids", "pids");
pub const CPU: (&str, &str) = ("cpu", "cpu");
pub const IO: (&str, &str) = ("blkio", "io");

macro_rules! needs {
    ($($controller:expr),*) => {
        if !groups::can_limit(&[$($controller),*]) {
            skip!("this process may not make groups");
        }
    };
}

/// The groups of a process by controller (`""`: the unified hierarchy), as directories, from the kernel's own word.
pub fn groups_of(pid: u32) -> BTreeMap<String, PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the groups of a running process");
    let cgroups = HostCaps::probe().expect("facts").cgroups;
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        for controller in controllers.split(',') {
            let mount = if controller.is_empty() { cgroups.unified.as_ref() } else { cgroups.v1.get(controller) };
            if let Some(mount) = mount {
                found.insert(controller.to_owned(), mount.join(path.trim_start_matches('/')));
            }
        }
    }
    found
}

/// A file of the group that has a controller: the v1 name, else the v2 name.
pub fn raw(process: &Process, controller: &str, v1: &str, v2: &str) -> Option<String> {
    let groups = groups_of(process.id().expect("it runs"));
    let path = match groups.get(controller) {
        Some(directory) => directory.join(v1),
        None => groups.get("")?.join(v2),
    };
    fs::read_to_string(path).ok()
}

pub fn number(text: Option<String>) -> Option<u64> {
    text?.trim().parse().ok()
}

pub fn after(text: Option<String>, key: &str) -> Option<u64> {
    text?.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
}

/// Starts a payload and waits until it says so.
#[track_caller]
pub fn until_done(sandbox: &Sandbox, args: &[&str]) -> Process {
    let process = sandbox.command(WORKER).args(args).stdout(Stdio::Piped).spawn().expect("starts");
    let mut said = [0; 5];
    process.take_stdout().expect("piped").read_exact(&mut said).expect("it says that it is done");
    assert_eq!(&said, b"done\n");
    process
}

pub fn limits(set: impl FnOnce(&mut LimitsConfig)) -> LimitsConfig {
    let mut limits = LimitsConfig::default();
    set(&mut limits);
    limits
}

/// A directory that every mapped id may write, not in a tmpfs if possible.
pub fn disk_directory() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("test-").tempdir_in("/var/tmp").unwrap_or_else(|_| scratch());
    pinfold_tests::open_to_all(directory.path(), 0o777);
    directory
}

/// Runs tests of this program once more where nothing but v1 is mounted: a hybrid host's unified hierarchy would hide what is
/// missing on such a machine.
pub fn without_unified(tests: &[&str]) {
    let cgroups = HostCaps::probe().expect("facts").cgroups;
    // Nothing but v2 has nothing to hide.
    if let (Some(unified), true) = (cgroups.unified, cgroups.v1.contains_key("memory")) {
        without(unified, tests);
    }
}

/// The same where a v1 hierarchy is not mounted, so that the unified one of a hybrid host must do.
pub fn without_v1(controller: &str, tests: &[&str]) {
    let cgroups = HostCaps::probe().expect("facts").cgroups;
    if let (Some(_), Some(mount)) = (cgroups.unified, cgroups.v1.get(controller)) {
        without(mount.clone(), tests);
    }
}

fn without(hierarchy: PathBuf, tests: &[&str]) {
    if !is_root() {
        skip!("only root can hide a mount");
    }
    let program = std::env::current_exe().expect("a path");
    let outcome = Command::new("unshare")
        .args(["--mount", "sh", "-c", "umount \"$0\" && exec \"$@\""])
        .args([hierarchy, program])
        .arg("--test-threads=1")
        .args(tests)
        .output()
        .expect("unshare runs");
    let said = String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success(), "{said}{}", String::from_utf8_lossy(&outcome.stderr));
    assert!(said.contains(&format!(" {} passed", tests.len())), "{said}");
}
