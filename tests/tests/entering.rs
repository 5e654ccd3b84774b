//! Entering the namespaces of a process that runs, as nsenter does.

use pinfold::{ErrorKind, Sandbox, SandboxConfig};
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
    let sandbox = match Sandbox::from_config(entered(pid)) {
        Ok(sandbox) => sandbox,
        // Without a group nothing would hold what is started there.
        Err(error) if !is_root() => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let line = "cat /tmp/mark; uname -n; id -u; id -g; grep -c Seccomp:.2 /proc/self/status; grep NoNewPrivs /proc/self/status; \
                grep CapEff /proc/self/status; for n in user pid mnt net ipc uts cgroup time; do readlink /proc/self/ns/$n; done";
    let outcome = sandbox.command("sh").args(["-c", line]).output().expect("it enters");
    let text = outcome.text();
    let lines: Vec<&str> = text.lines().collect();
    let same: Vec<String> = NAMESPACES
        .iter()
        .map(|name| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("ours").display().to_string())
        .collect();
    assert_eq!(lines.first(), Some(&"here"), "{outcome:?}");
    assert_eq!(lines[1..7], ["entered", "1000", "1000", "1", "NoNewPrivs:\t1", "CapEff:\t0000000000000000"], "{text}");
    assert_eq!(lines[7..], same, "{text}");
    // Its end is not the end of what it has entered.
    assert!(session.command("true").output().expect("the session goes on").success());
}

#[test]
fn what_is_not_there_can_not_be_entered() {
    assert_eq!(pinfold::enter(u32::MAX).expect_err("there is none").kind(), ErrorKind::Setup);
}
