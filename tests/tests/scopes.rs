//! Owns: limits for a user who has no group but a systemd, after a login or in a unit of it: in a scope, which goes with its sandbox.
//! Must not: test what limits do (limits does, there as well).

#[macro_use]
#[path = "support/groups.rs"]
mod groups;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use groups::*;
use pinfold::{Ended, HostCaps, Process, Sandbox};
use pinfold_tests::{Leaks, eventually, skip};

/// They count the scopes of this user.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

macro_rules! needs_a_manager {
    () => {
        if HostCaps::probe().expect("facts").cgroups.user_manager.is_none() {
            skip!("not in a login session of a user whose systemd runs");
        }
    };
}

/// Every scope of ours that there is.
fn scopes() -> Vec<PathBuf> {
    let mut found = vec![HostCaps::probe().expect("facts").cgroups.unified.expect("it is mounted")];
    let mut at = 0;
    while at < found.len() {
        let below = std::fs::read_dir(&found[at]).into_iter().flatten().flatten().map(|entry| entry.path());
        found.extend(below.filter(|path| path.is_dir()));
        at += 1;
    }
    found.retain(|path| is_scope(path));
    found
}

fn is_scope(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("app-pinfold-") && name.ends_with(".scope")
}

fn sleeper(sandbox: &Sandbox) -> (Process, PathBuf) {
    let process = sandbox.command(WORKER).args(["sleep", "100000"]).spawn().expect("starts");
    let group = groups_of(process.id().expect("it runs"))[""].clone();
    let scope = group.parent().expect("it is in a group").to_owned();
    (process, scope)
}

#[test]
fn a_scope_is_there_from_the_first_start_to_the_end_of_its_sandbox() {
    let _alone = alone();
    needs_a_manager!();
    let leaks = Leaks::watch();
    let sandbox = built(worker().memory("24MiB").swap(0).pids(8));
    let below = &sandbox.report().enforced["cgroup"];
    assert!(below.contains("transient scope of the user's systemd"), "{below}");
    sandbox.explain(&sandbox.command(WORKER)).expect("a plan");
    assert_eq!(scopes(), Vec::<PathBuf>::new(), "nothing has run");
    assert_eq!(run(&sandbox, &["touch", "64"]).ended(), Ended::Memory);
    let (first, scope) = sleeper(&sandbox);
    assert!(is_scope(&scope), "{}", scope.display());
    let (second, beside) = sleeper(&sandbox);
    assert_eq!((&beside, scopes()), (&scope, vec![scope.clone()]), "one for all");
    assert_eq!(number(raw(&second, "pids", "", "pids.max")), Some(9));
    let session = sandbox.open().expect("opens");
    assert_eq!(session.command(WORKER).args(["touch", "64"]).output().expect("starts").ended(), Ended::Memory);
    assert!(session.command(WORKER).args(["exit", "0"]).output().expect("starts").success());
    first.kill().expect("dies");
    assert_eq!(first.wait().expect("ends").ended(), Ended::Killed);
    // What still runs keeps it.
    drop((sandbox, session));
    assert!(second.try_wait().expect("can be asked").is_none());
    drop((first, second));
    eventually("the scope is gone", || scopes().is_empty());
    drop(leaks);
}

/// In a slice they would be gone: what is enabled there is the manager's affair.
#[test]
fn a_manager_that_reloads_takes_no_limit_away() {
    let _alone = alone();
    needs_a_manager!();
    let _leaks = Leaks::watch();
    needs!(MEMORY, PIDS, CPU);
    let sandbox = built(worker().cpus(0.5).memory("64MiB").pids(8));
    let (process, scope) = sleeper(&sandbox);
    assert!(is_scope(&scope), "{}", scope.display());
    let limits = || {
        let files = ["cpu.max", "memory.max", "pids.max"];
        files.map(|file| raw(&process, "", file, file).unwrap_or_default().trim().to_owned())
    };
    let before = limits();
    assert_eq!(before, ["50000 100000", "67108864", "9"]);
    let neighbour = ["systemd-run", "--user", "--wait", "--quiet", "-p", "CPUWeight=50", "true"];
    for command in
        [&["systemctl", "--user", "daemon-reload"][..], &neighbour, &["systemctl", "--user", "daemon-reload"]]
    {
        let status = Command::new(command[0]).args(&command[1..]).status().expect("it runs");
        assert!(status.success(), "{command:?}");
        assert_eq!(limits(), before, "{command:?}");
    }
    drop((process, sandbox));
    eventually("the scope is gone", || scopes().is_empty());
}

#[test]
fn a_killed_host_leaves_no_scope() {
    let _alone = alone();
    needs_a_manager!();
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("test-host")));
    let program = beside.filter(|path| path.exists()).unwrap_or_else(|| env!("CARGO_BIN_EXE_test-host").into());
    let mut host = Command::new(&program)
        .args(["loop", "limits={pids=9,memory=\"64MiB\",cpus=1.0}"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let leaf = |scope: &Path| {
        let below = std::fs::read_dir(scope).into_iter().flatten().flatten();
        below.filter(|entry| entry.file_name().to_string_lossy().starts_with("pinfold-")).count()
    };
    eventually("it has sandboxes", || scopes().iter().any(|scope| leaf(scope) > 1));
    host.kill().expect("it can be killed");
    host.wait().expect("it has ended");
    eventually("the scope is gone", || scopes().is_empty());
}

#[test]
fn a_scope_that_was_stopped_is_made_again() {
    let _alone = alone();
    needs_a_manager!();
    let _leaks = Leaks::watch();
    let sandbox = built(worker().pids(8));
    let (process, scope) = sleeper(&sandbox);
    let stopped = Command::new("systemctl")
        .args(["--user", "stop"])
        .arg(scope.file_name().expect("a name"))
        .status()
        .expect("systemctl runs");
    assert!(stopped.success());
    assert_eq!(process.wait().expect("ends").signal(), Some(15), "systemd ends what is in it");
    eventually("the scope is gone", || !scope.exists());
    drop(process);
    let (process, again) = sleeper(&sandbox);
    assert!(is_scope(&again) && again != scope, "{}", again.display());
    drop((process, sandbox));
    eventually("the scope is gone", || scopes().is_empty());
}
