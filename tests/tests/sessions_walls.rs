//! What a session's payload may not do: less confined than a first one, reach init, or end another's time.

#[path = "support/confinement.rs"]
mod confinement;

use std::io::Write;
use std::time::{Duration, Instant};

use confinement::{confinement, ids, without_ids};
use pinfold::{Ended, ErrorKind, Sandbox, Session, Stdio};
use pinfold_tests::{Leaks, comm, descendants, eventually, is_root};

const BOUND: Duration = Duration::from_secs(30);

fn open(sandbox: &Sandbox) -> Session {
    sandbox.open().expect("it opens")
}

#[test]
fn a_payload_of_a_session_is_confined_as_a_first_one_is() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().set("limits.rlimits.nofile=123").build().expect("a sandbox");
    let session = open(&sandbox);
    let first = confinement(sandbox.command("sh"));
    let payloads: Vec<String> = (0..3).map(|_| confinement(session.command("sh"))).collect();
    assert_eq!(payloads[0], payloads[1], "each is as the other");
    assert_eq!(payloads[1], payloads[2]);
    assert_eq!(without_ids(&payloads[0]), without_ids(&first));
    assert!(first.contains("Seccomp:\t2") && first.contains("NoNewPrivs:\t1"), "{first}");
    let landlock = sandbox.report().enforced.get("security.landlock").and_then(|abi| abi.strip_prefix("ABI "));
    if landlock.and_then(|abi| abi.parse::<u32>().ok()).is_some_and(|abi| abi >= 6) {
        assert!(first.contains("signal to init 1\nsignal to its parent 1\n"), "{first}");
    }
    for line in ids(&payloads[0]).into_iter().filter(|line| !line.starts_with("time")) {
        let (name, _) = line.split_once(':').expect("a namespace");
        let host = std::fs::read_link(format!("/proc/self/ns/{name}")).expect("ours");
        assert_ne!(line, host.to_string_lossy(), "not the host's");
        assert!(!ids(&first).contains(&line), "its own: {line}");
    }
}

/// Tries to reach init: PID 1 and its own parent, which is what started it.
const ATTACK: &str = r#"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
static void say(const char *what, int who, long done) { printf("%s %d %d\n", what, who, done < 0 ? errno : 0); }
int main(void) {
    int them[2] = { 1, getppid() };
    for (int i = 0; i < 2; i++) {
        char path[64], byte;
        struct iovec own = { &byte, 1 }, other = { (void *)0x10000000, 1 };
        say("ptrace", i, ptrace(PTRACE_ATTACH, them[i], 0, 0));
        say("readv", i, syscall(SYS_process_vm_readv, them[i], &own, 1, &other, 1, 0));
        const char *files[] = { "mem", "fd", "exe", "environ" };
        for (int j = 0; j < 4; j++) {
            snprintf(path, sizeof path, "/proc/%d/%s", them[i], files[j]);
            int fd = open(path, O_RDONLY);
            say(files[j], i, fd < 0 ? -1 : read(fd, &byte, 1) < 0 && errno != EISDIR ? -1 : 0);
            snprintf(path, sizeof path, "/proc/%d/fd/3", them[i]);
        }
        say("fd3", i, open(path, O_RDWR));
        int pidfd = syscall(434, them[i], 0);
        say("getfd", i, pidfd < 0 ? -1 : syscall(438, pidfd, 3, 0));
    }
    return 0;
}
"#;

#[test]
fn a_payload_can_not_reach_init() {
    let _leaks = Leaks::watch();
    let program = pinfold_tests::cc("attack", ATTACK);
    let sandbox = Sandbox::builder().ro_bind(&program, "/attack").build().expect("a sandbox");
    let session = open(&sandbox);
    let outcome = session.command("/attack").output().expect("it runs");
    assert!(outcome.success(), "{outcome:?}");
    for line in outcome.text().lines() {
        let errno: i32 = line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("an errno");
        assert!([libc::EPERM, libc::EACCES].contains(&errno), "{line}");
    }
    assert_eq!(outcome.text().lines().count(), 16, "{}", outcome.text());
}

#[test]
fn a_payload_can_not_end_or_stop_init() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().build().expect("a sandbox");
    if sandbox.report().enforced.get("security.landlock").is_none_or(|abi| abi == "absent") && !is_root() {
        // Then it can, and the next test says what happens.
        return;
    }
    let session = open(&sandbox);
    let other = session.command("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    // All the signals there are, to PID 1, to the one that started it, and to everybody.
    let line = "for s in $(seq 1 64); do kill -$s 1 $PPID 2> /dev/null; done; \
                trap '' TERM; kill -STOP -1; kill -CONT -1; kill -TERM -1; kill -9 -1; echo not reached";
    let begun = Instant::now();
    let attack = session.command("sh").args(["-c", line]).timeout("2s").output().expect("it runs");
    assert!(begun.elapsed() < BOUND);
    assert_ne!(attack.ended(), Ended::Killed, "{attack:?}");
    other.take_stdin().expect("piped").write_all(b"untouched").expect("it lives");
    if is_root() {
        // One id for all payloads: without Landlock's scope they could end each other, never init.
        drop(other.wait());
    } else {
        assert_eq!(other.wait().expect("an outcome").text(), "untouched");
    }
    let late = session.command("sleep").arg("1000").timeout("1s").output().expect("the session goes on");
    assert_eq!(late.ended(), Ended::WallTime);
}

#[test]
fn who_can_attack_a_shepherd_ends_the_session() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().set("security.landlock=\"off\"").build().expect("a sandbox");
    for attack in ["kill -9 $PPID", "kill -STOP $PPID"] {
        let session = open(&sandbox);
        let line = format!("{attack}; sleep 1000");
        let outcome = session.command("sh").args(["-c", &line]).timeout("1s").output();
        if is_root() {
            // It is the sandbox's root there, and the payload is not.
            assert_eq!(outcome.expect("it runs").ended(), Ended::WallTime);
            assert!(session.command("true").output().expect("the session goes on").success());
        } else {
            assert_eq!(outcome.expect_err("nobody can tell").kind(), ErrorKind::Lost);
            assert_eq!(session.command("true").output().expect_err("it is over").kind(), ErrorKind::Lost);
        }
        eventually("nothing runs on unwatched", || {
            descendants(std::process::id()).into_iter().filter(|pid| comm(*pid) == "sleep").count() == 0
        });
    }
}

#[test]
fn a_fork_bomb_meets_its_limit_and_its_neighbour_answers() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().build().expect("a sandbox");
    let session = open(&sandbox);
    let line = "while read x; do echo pong; done";
    let neighbour = session.command("sh").args(["-c", line]);
    let neighbour = neighbour.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut ping = neighbour.take_stdin().expect("piped");
    let bomb = "b() { b 2> /dev/null | b 2> /dev/null & }; b; sleep 1000";
    let bomb = session.command("sh").args(["-c", bomb]).rlimit("nproc", 60).timeout("1s").spawn().expect("it starts");
    for _ in 0..10 {
        ping.write_all(b"ping\n").expect("it lives");
        std::thread::sleep(Duration::from_millis(50));
    }
    let outcome = bomb.wait().expect("an outcome");
    assert_eq!(outcome.ended(), Ended::WallTime);
    drop(ping);
    assert_eq!(neighbour.wait().expect("an outcome").text(), "pong\n".repeat(10));
    eventually("the bomb is gone", || {
        descendants(std::process::id()).into_iter().filter(|pid| comm(*pid) == "sh").count() == 0
    });
    assert!(session.command("true").output().expect("the session goes on").success());
}
