//! A host that is killed while a deputy makes calls for it: nothing is left. A test program of its own, because adopting orphans
//! is a property of the whole process. It runs three times over: as root, which changes the host; as uid 1000, which kills; as
//! what is killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use pinfold::{IdMapConfig, Overlay, Sandbox};
use pinfold_tests::{Leaks, comm, descendants, is_root, open_to_all, reap_adopted, scratch, skip};

const NAME: &str = "a_host_killed_in_a_deputys_call_leaves_nothing";
const PART: &str = "PINFOLD_TEST_PART";

/// A range of subordinate ids for uid 1000, then this test once more as that user. `$1`: a directory.
const CHANGE: &str = "set -e; echo 1000:200000:65536 > $1/subuid; echo 1000:400000:65536 > $1/subgid; \
    mount --bind $1/subuid /etc/subuid; mount --bind $1/subgid /etc/subgid; \
    TMPDIR=$1 exec setpriv --reuid 1000 --regid 1000 --clear-groups $1/test --exact $2 --nocapture";

#[test]
fn a_host_killed_in_a_deputys_call_leaves_nothing() {
    match std::env::var(PART).as_deref() {
        Ok("killed") => ask_for_ever(),
        Ok(_) => kill_hosts(),
        Err(_) if !is_root() => skip!("only root can change a host"),
        Err(_) => on_changed_host(),
    }
}

fn on_changed_host() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    open_to_all(directory.path(), 0o777);
    // Where uid 1000 may execute it.
    let program = directory.path().join("test");
    fs::copy(std::env::current_exe().expect("this program"), &program).expect("a copy");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", CHANGE, "sh"])
        .args([directory.path().as_os_str(), NAME.as_ref()])
        .env(PART, "kills")
        .current_dir("/")
        .output()
        .expect("unshare runs");
    let (said, problems) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{}\n{said}\n{problems}", output.status);
    println!("{said}");
}

/// What belongs to subordinate ids is listed by a deputy: the host does nothing else here.
fn ask_for_ever() {
    let sandbox = Sandbox::builder()
        .uid_map([IdMapConfig::new(0, 1000, 1), IdMapConfig::new(1, 200_000, 65535)])
        .gid_map([IdMapConfig::new(0, 1000, 1), IdMapConfig::new(1, 400_000, 65535)])
        .user((0, 0))
        .capability("chown")
        .overlay(Overlay::memory("16MiB"))
        .build()
        .expect("a sandbox");
    let session = sandbox.open().expect("it opens");
    let line = "umask 077; mkdir /job; for i in $(seq 50); do echo $i > /job/$i; done; chown -R 33:33 /job";
    assert!(session.command("sh").args(["-c", line]).output().expect("it runs").success());
    loop {
        assert_eq!(session.changes().expect("listed").len(), 51);
    }
}

fn inits() -> usize {
    descendants(std::process::id()).into_iter().filter(|pid| comm(*pid) == "pinfold-init").count()
}

fn kill_hosts() {
    set_child_subreaper(true).expect("orphans can be adopted");
    let mut in_a_call = 0;
    for round in 0..60u64 {
        let mut host = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", NAME, "--nocapture"])
            .env(PART, "killed")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        // Keeper, PID 1 and shepherd are the session's; one more is a deputy. Then somewhere in its life of some milliseconds.
        let begun = Instant::now();
        while inits() < 4 && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_micros((round + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) % 10_000));
        in_a_call += u32::from(inits() == 4);
        host.kill().expect("it can be killed");
        host.wait().expect("it has ended");
        reap_adopted(Duration::from_secs(5));
    }
    println!("{in_a_call} of 60 hosts had a deputy");
    assert!(in_a_call > 10, "hosts were to be killed while a deputy was there: {in_a_call}");
    set_child_subreaper(false).expect("as it was");
}
