//! Entering the namespaces of a process that runs, as nsenter does.

use std::fs::File;

use pinfold::{ErrorKind, Join, Namespace, NetworkMode, Sandbox, SandboxConfig, TimeNamespace};
use pinfold_tests::{Leaks, is_root};

const NAMESPACES: [&str; 8] = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"];

fn entered(pid: u32) -> SandboxConfig {
    pinfold::enter(pid).expect("it can be looked at")
}

#[test]
fn a_payload_enters_every_namespace_of_a_process() {
    let _leaks = Leaks::watch();
    let session = Sandbox::builder().hostname("entered").build().expect("a sandbox").open().expect("it opens");
    let target = session.command("sh").args(["-c", "echo here > /tmp/mark; sleep 1000"]).spawn().expect("it starts");
    let pid = target.id().expect("it runs");
    pinfold_tests::eventually("the mark", || {
        session.command("cat").arg("/tmp/mark").output().is_ok_and(|outcome| outcome.text() == "here\n")
    });
    for way in ["pid", "path", "fd"] {
        let sandbox = match Sandbox::from_config(by(way, pid)) {
            Ok(sandbox) => sandbox,
            // Without a group nothing would hold what is started there.
            Err(error) if !is_root() => {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let mut command = sandbox.command("sh");
        // Those that the target shares with us are not joined.
        for name in NAMESPACES.iter().filter(|name| way == "fd" && link("self", name) != link(&pid.to_string(), name)) {
            command = command.fd(*name, File::open(format!("/proc/{pid}/ns/{name}")).expect("ours"));
        }
        check(command, pid);
    }
    // The end of those is not the end of what they have entered.
    assert!(session.command("true").output().expect("the session goes on").success());
}

fn link(pid: &str, name: &str) -> String {
    std::fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("ours").display().to_string()
}

/// The config that enters `pid`, with every namespace named in one way.
fn by(way: &str, pid: u32) -> SandboxConfig {
    let mut config = entered(pid);
    let named = |name: &str| match way {
        "pid" => Join::Pid(pid),
        "path" => Join::Path(format!("/proc/{pid}/ns/{name}").into()),
        _ => Join::Fd(name.to_owned()),
    };
    let namespaces = &mut config.namespaces;
    for (namespace, name) in [
        (&mut namespaces.user, "user"),
        (&mut namespaces.pid, "pid"),
        (&mut namespaces.mount, "mnt"),
        (&mut namespaces.ipc, "ipc"),
        (&mut namespaces.uts, "uts"),
        (&mut namespaces.cgroup, "cgroup"),
    ] {
        assert_eq!(*namespace, Some(Namespace::join_pid(pid)), "{name}: a sandbox has its own");
        *namespace = Some(Namespace::Join(named(name)));
    }
    if let Some(TimeNamespace::Join(join)) = &mut namespaces.time {
        *join = named("time");
    }
    if let Some(NetworkMode::Join(join)) = &mut config.network.mode {
        *join = named("net");
    }
    config
}

/// Runs there what says where it is.
#[track_caller]
fn check(command: pinfold::Command, pid: u32) {
    let line = "cat /tmp/mark; uname -n; id -u; id -g; grep -c Seccomp:.2 /proc/self/status; grep NoNewPrivs /proc/self/status; \
                grep CapEff /proc/self/status; for n in user pid mnt net ipc uts cgroup time; do readlink /proc/self/ns/$n; done";
    let outcome = command.args(["-c", line]).output().expect("it enters");
    let text = outcome.text();
    let lines: Vec<&str> = text.lines().collect();
    let same: Vec<String> = NAMESPACES.iter().map(|name| link(&pid.to_string(), name)).collect();
    assert_eq!(lines.first(), Some(&"here"), "{outcome:?}");
    assert_eq!(lines[1..7], ["entered", "1000", "1000", "1", "NoNewPrivs:\t1", "CapEff:\t0000000000000000"], "{text}");
    assert_eq!(lines[7..], same, "{text}");
}

#[test]
fn what_is_not_there_can_not_be_entered() {
    let _leaks = Leaks::watch();
    assert_eq!(pinfold::enter(u32::MAX).expect_err("there is none").kind(), ErrorKind::Setup);
}
