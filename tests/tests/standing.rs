//! Owns: starts in copies of a sandbox's standing namespace: they are what the first start was, and where that namespace can't be
//! had, all are.
//! Must not: test what a sandbox contains; other tests ask that of first and of later starts alike.

mod support;

use std::fs;
use std::path::Path;

use pinfold::{Mount, Sandbox, SandboxBuilder};
use pinfold_tests::{Leaks, is_root, makes_standing_namespaces, open_fds, scratch, settle_in, skip, stands};
use support::*;

macro_rules! needs_standing_namespaces {
    () => {
        if !makes_standing_namespaces() {
            skip!("only root makes standing namespaces, on Linux 6.15 or newer");
        }
    };
}

/// What a payload can see of its mounts: without their numbers, and without the proc that lies below its own.
fn mounts(sandbox: &Sandbox) -> Vec<String> {
    let seen = text(sandbox, &["cat", "/proc/self/mountinfo"]);
    let mut seen: Vec<String> = seen
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let device = if words[2].starts_with("0:") { "0" } else { words[2] };
            [&[device], &words[3..]].concat().join(" ")
        })
        .collect();
    let covered = "0 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw";
    if seen.iter().filter(|line| *line == covered).count() == 2 {
        let at = seen.iter().position(|line| line == covered).expect("there are two");
        seen.remove(at);
    }
    seen.sort();
    seen
}

/// What it can see of its files; not of processes, nor of what is the host's.
const FILES: &str = "find / -path /usr -prune -o -path '/proc/[0-9]*' -prune -o -path /proc/sys -prune -o -path /etc/alternatives -prune -o -printf '%p %y %m %u:%g %l\\n' | sort";

#[test]
fn later_starts_see_what_the_first_one_saw() {
    let _leaks = Leaks::watch();
    needs_standing_namespaces!();
    let data = scratch();
    fs::write(data.path().join("file"), "of the host\n").expect("a file");
    let builders: [fn(SandboxBuilder, &Path) -> SandboxBuilder; 5] = [
        |builder, _| builder,
        |builder, data| builder.bind(data, "/data").ro_bind(data, "/tmp/below").mount(Mount::tmpfs("/data/inner")),
        |builder, _| builder.set("process.init=false"),
        |builder, _| builder.user((0, 0)).mount(Mount::file("x", "/etc/new")).mount(Mount::symlink("new", "/etc/link")),
        |builder, _| {
            builder.set("network.mode=\"host\"").set("namespaces.ipc=\"host\"").set("namespaces.cgroup=\"host\"")
        },
    ];
    fs::create_dir(data.path().join("inner")).expect("a mount point");
    for (index, change) in builders.iter().enumerate() {
        let sandbox = change(Sandbox::builder().timeout("30s"), data.path()).built();
        let seen = || [mounts(&sandbox), sh(&sandbox, FILES).lines().map(str::to_owned).collect()].concat();
        let first = seen();
        assert!(settle_in(&sandbox), "{index}: later starts are in copies of the standing namespace");
        let later = seen();
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|line| !those.contains(line)).cloned().collect()
        };
        assert_eq!((only(&first, &later), only(&later, &first)), (vec![], vec![]), "{index}");
    }
}

#[test]
fn what_a_payload_writes_is_gone_with_it() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().built();
    settle_in(&sandbox);
    for _ in 0..3 {
        assert_eq!(
            sh(&sandbox, "ls -A /tmp /dev/shm; echo x > /tmp/x; echo x > /dev/shm/x; cat /tmp/x"),
            "/dev/shm:\n\n/tmp:\nx"
        );
    }
}

/// What the host mounts later is not there, as in the first start: in a mount namespace of the test's own.
#[test]
fn mounts_of_the_host_are_those_of_the_first_start() {
    let _leaks = Leaks::watch();
    needs_standing_namespaces!();
    if std::env::var_os("PINFOLD_TEST_APART").is_none() {
        again(
            &["unshare", "--mount", "--propagation", "private"],
            "mounts_of_the_host_are_those_of_the_first_start",
            &[("PINFOLD_TEST_APART", "1")],
        );
        return;
    }
    let data = scratch();
    let path = data.path().display().to_string();
    let sandbox = Sandbox::builder().bind(data.path(), "/data").built();
    assert!(settle_in(&sandbox));
    let host = |argv: &[&str]| {
        assert!(std::process::Command::new(argv[0]).args(&argv[1..]).status().expect("it runs").success(), "{argv:?}");
    };
    host(&["mount", "-t", "tmpfs", "tmpfs", &path]);
    fs::write(data.path().join("new"), "x").expect("a file");
    assert_eq!(sh(&sandbox, "ls /data"), "", "as for the prepared tree that the first start was given");
    host(&["umount", &path]);
}

/// A host that may not enter a mount namespace finds out once, and its starts stay what they were.
#[test]
fn a_host_without_cap_sys_chroot_goes_on_as_before() {
    let _leaks = Leaks::watch();
    needs_standing_namespaces!();
    if std::env::var_os("PINFOLD_TEST_WITHOUT").is_none() {
        again(
            &["setpriv", "--bounding-set", "-sys_chroot", "--inh-caps", "-sys_chroot"],
            "a_host_without_cap_sys_chroot_goes_on_as_before",
            &[("PINFOLD_TEST_WITHOUT", "1")],
        );
        return;
    }
    let sandbox = Sandbox::builder().built();
    let first = mounts(&sandbox);
    assert!(!settle_in(&sandbox), "this host can't enter it");
    assert_eq!(mounts(&sandbox), first);
}

#[test]
fn who_may_unmount_gets_no_proc_below_its_own() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder()
        .user((0, 0))
        .capability("sys_admin")
        .seccomp("none")
        .landlock(pinfold::Landlock::Off)
        .built();
    assert!(!settle_in(&sandbox), "what lies below would be seen");
    let seen = mounts(&sandbox);
    assert_eq!(seen.iter().filter(|line| line.contains(" / /proc ")).count(), 1, "{seen:#?}");
}

/// Whoever makes a user namespace inside has copies of mounts that can't be taken apart (mount_namespaces(7)).
#[test]
fn nested_user_namespaces_do_not_uncover_it() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().set("security.nested_user_namespaces=true").seccomp("none").built();
    let line = "unshare --user --map-root-user --mount --pid --fork sh -c 'umount /proc; mount -t proc proc /tmp; umount -l /proc/keys; cat /proc/keys | wc -c' 2>&1 | sed 's/^umount: //; s/^mount: //'";
    let first = sh(&sandbox, line);
    assert!(first.ends_with("\n0"), "{first}");
    settle_in(&sandbox);
    assert_eq!(stands(&sandbox), is_root() && makes_standing_namespaces());
    assert_eq!(sh(&sandbox, line), first);
}

#[test]
fn threads_that_start_at_once_make_one() {
    let _leaks = Leaks::watch();
    let before = open_fds();
    let sandbox = Sandbox::builder().built();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..4).for_each(|_| assert!(run(&sandbox, &["true"]).success())));
        }
    });
    assert_eq!(stands(&sandbox), makes_standing_namespaces());
    drop(sandbox);
    assert_eq!(open_fds(), before, "all of it goes with the sandbox");
}

/// With a CPU time of its own a call is settled anew; what was prepared is shared.
#[test]
fn a_call_with_a_limit_of_its_own_stands_too() {
    let _leaks = Leaks::watch();
    needs_standing_namespaces!();
    let sandbox = Sandbox::builder().built();
    if sandbox.explain(&sandbox.command("true").cpu_time("5s")).is_err() {
        skip!("no groups here");
    }
    assert!(settle_in(&sandbox));
    let command = || sandbox.command("true").cpu_time("5s");
    assert!(sandbox.explain(&command()).expect("a plan").to_string().contains("join mount namespace"));
    assert!(command().output().expect("it starts").success());
}

#[test]
fn a_plan_says_what_was_done_for_it() {
    let _leaks = Leaks::watch();
    needs_standing_namespaces!();
    let sandbox = Sandbox::builder().built();
    let plan = |sandbox: &Sandbox| sandbox.explain(&sandbox.command("true")).expect("a plan");
    let first = plan(&sandbox);
    assert!(settle_in(&sandbox));
    let later = plan(&sandbox);
    let by = |plan: &pinfold::Plan, who: &str| plan.lines().iter().filter(|line| line.by == who).count();
    assert_eq!(later.lines().len(), later.len());
    assert!(by(&later, "prepare") > by(&first, "prepare") && by(&later, "init") < by(&first, "init"), "{later}");
    assert_eq!((by(&first, "host"), by(&later, "host")), (1, 0));
}
