//! Every operation of a full plan is made to fail once: the error names it, and nothing is left behind.

use pinfold::{Error, ErrorKind, Mount, Sandbox};
use pinfold_tests::{Leaks, is_root, scratch, settle_in, skip, stands};

/// `sandbox`: one that starts as the plan says which it explains.
fn fail_each(sandbox: &dyn Fn() -> Sandbox, errno: i32) -> Vec<(usize, Error)> {
    let explained = sandbox();
    let (first, count) = explained.command("true").step_count().expect("a plan");
    // What no sandbox is without, so that it is a whole plan whose operations fail.
    let plan = explained.explain(&explained.command("true")).expect("it can be explained").to_string();
    let root = if stands(&explained) { "join mount namespace" } else { "pivot_root to" };
    for what in ["PID 1", root, "bounding set", "seccomp filter", "set capabilities", "execute true"] {
        assert!(plan.contains(what), "{what} is missing:\n{plan}");
    }
    let by_init =
        |line: &&str| line.split_whitespace().nth(1).is_some_and(|by| ["keeper", "init", "payload"].contains(&by));
    assert_eq!(plan.lines().filter(by_init).count(), count, "{plan}");
    let mut errors = Vec::new();
    for index in 0..count {
        match sandbox().command("true").fail_step(index, errno).output() {
            Ok(outcome) => panic!("operation {index} was to fail and the payload ran: {}", outcome.detail()),
            Err(error) => errors.push((first + index, error)),
        }
    }
    errors
}

/// In first starts, and in later ones.
fn check(sandbox: &Sandbox, errno: i32) {
    let anew = || Sandbox::from_config(sandbox.config().clone()).expect("it was built before");
    check_each(&anew, errno);
    let settled = anew();
    settle_in(&settled);
    check_each(&|| settled.clone(), errno);
}

fn check_each(sandbox: &dyn Fn() -> Sandbox, errno: i32) {
    for (number, error) in fail_each(sandbox, errno) {
        let report = error.report();
        let step = report.step.as_ref().unwrap_or_else(|| panic!("operation {number}: no step in {error}"));
        assert_eq!(step.number, number, "{error}");
        assert_eq!(error.errno(), Some(errno), "{error}");
        let expected = match (step.what.starts_with("execute"), errno) {
            (true, libc::EACCES | libc::EPERM | libc::ENOEXEC) => ErrorKind::NotExecutable,
            (true, libc::ENOENT) => ErrorKind::ProgramNotFound,
            _ => ErrorKind::Setup,
        };
        assert_eq!(error.kind(), expected, "{error}");
        assert!(report.origin.is_some(), "{error}");
    }
}

#[test]
fn every_operation_of_the_default_sandbox() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().build().expect("the default sandbox");
    check(&sandbox, libc::ENOMEM);
    assert!(sandbox.command("true").output().expect("it still works").success());
}

#[test]
fn every_operation_of_a_sandbox_with_everything() {
    let _leaks = Leaks::watch();
    let data = scratch();
    let mut builder = Sandbox::builder()
        .hostname("box")
        .mount(Mount::bind(data.path(), "/data"))
        .mount(Mount::bind(data.path(), "/tmp/again").read_only(true))
        .mount(Mount::tmpfs("/scratch"))
        .mount(Mount::file("x", "/scratch/file"))
        .mount(Mount::symlink("file", "/scratch/link"))
        .mount(Mount::sysfs("/sys"))
        .set("namespaces.time={ offset_boottime = 100 }")
        .timeout("60s");
    if is_root() {
        builder = builder.capability("net_raw").set("mounts[0].idmap=true");
    }
    let sandbox = builder.build().expect("a sandbox with everything");
    check(&sandbox, libc::EACCES);
    assert!(sandbox.command("true").output().expect("it still works").success());
}

#[test]
fn every_operation_of_the_host() {
    let _leaks = Leaks::watch();
    let data = scratch();
    let builder = Sandbox::builder().mount(Mount::bind(data.path(), "/data")).mount(Mount::tmpfs("/scratch"));
    // Nothing is prepared by a start that fails, so that one sandbox can fail at every operation.
    let sandbox = builder.build().expect("a sandbox");
    let (first, _) = sandbox.command("true").step_count().expect("a plan");
    // Trees are prepared by privileged hosts only: elsewhere init does everything.
    assert!(first > 10 || !is_root(), "a privileged host has many operations of its own, here {first}");
    for index in 0..first - 1 {
        let error = sandbox.command("true").fail_host_step(index, libc::ENOMEM).output().expect_err("planted");
        let report = error.report();
        assert_eq!(report.step.as_ref().map(|step| step.number), Some(index + 1), "{error}");
        assert_eq!((error.kind(), error.errno()), (ErrorKind::Setup, Some(libc::ENOMEM)), "{error}");
        assert!(report.origin.is_some(), "{error}");
    }
    assert!(sandbox.command("true").output().expect("it still works").success());
}

#[test]
fn every_operation_whatever_the_kernel_says() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().build().expect("the default sandbox");
    // Among them those that some operations tolerate from the kernel: a planted failure is one all the same.
    for errno in [libc::EPERM, libc::ENOENT, libc::EEXIST, libc::EINVAL, libc::ENOSYS, libc::ENOEXEC, libc::E2BIG, 4095]
    {
        check(&sandbox, errno);
    }
}

#[test]
fn every_operation_of_a_payload_that_is_pid_1() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().set("process.init=false").build().expect("a sandbox without init");
    check(&sandbox, libc::EPERM);
    assert!(sandbox.command("true").output().expect("it still works").success());
}

#[test]
fn every_operation_without_a_pid_namespace() {
    let _leaks = Leaks::watch();
    let sandbox = match Sandbox::builder().set("namespaces.pid=\"host\"").build() {
        Ok(sandbox) => sandbox,
        Err(error) if is_root() => panic!("{error}"),
        Err(_) => skip!("this user may not make groups"),
    };
    check(&sandbox, libc::EPERM);
    assert!(sandbox.command("true").output().expect("it still works").success());
}

#[test]
fn failing_starts_beside_each_other_do_not_mix() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().build().expect("the default sandbox");
    settle_in(&sandbox);
    let (first, count) = sandbox.command("true").step_count().expect("a plan");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let sandbox = &sandbox;
            scope.spawn(move || {
                for index in (thread..count).step_by(8) {
                    let error = sandbox.command("true").fail_step(index, libc::EIO).output().expect_err("planted");
                    assert_eq!(error.report().step.as_ref().map(|step| step.number), Some(first + index), "{error}");
                    assert!(sandbox.command("true").output().expect("others work meanwhile").success());
                }
            });
        }
    });
}
