//! The init program as the host names it: in memory, in a private file, installed; and what is not an init at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use pinfold::{Error, ErrorKind, Sandbox};
use pinfold_tests::{Leaks, cc, is_root, open_to_all, scratch, skip};

/// What `test-host run` prints.
fn run_host(command: &mut Command) -> serde_json::Value {
    let output = command.output().expect("the host program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).expect("JSON")
}

fn host() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("test-host")));
    beside.filter(|path| path.exists()).unwrap_or_else(|| env!("CARGO_BIN_EXE_test-host").into())
}

/// The library's init, as an administrator would install it. Its bytes stand in the memfd that this process keeps.
fn install(at: &Path) {
    drop(Sandbox::builder().build().expect("the default sandbox"));
    let fds = fs::read_dir("/proc/self/fd").expect("proc").flatten().map(|entry| entry.path());
    let is_init =
        |fd: &PathBuf| fs::read_link(fd).is_ok_and(|link| link.to_string_lossy().starts_with("/memfd:pinfold-init"));
    let memory = fds.into_iter().find(is_init).expect("init is kept in memory");
    fs::write(at, fs::read(memory).expect("readable")).expect("a copy");
    open_to_all(at, 0o755);
}

fn refused(path: &Path) -> Error {
    let sandbox = Sandbox::builder().init_path(path).build();
    let begun = Instant::now();
    let refused = sandbox.and_then(|sandbox| sandbox.command("true").output()).expect_err("this is no init");
    assert!(begun.elapsed() < pinfold_tests::patience(), "{refused}");
    refused
}

#[test]
fn an_installed_copy_works_by_key() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let path = directory.path().join("pinfold-init");
    install(&path);
    let sandbox = Sandbox::builder().init_path(&path).build().expect("a sandbox");
    let outcome = sandbox.command("sh").args(["-c", "exit 3"]).output().expect("it runs");
    assert_eq!(outcome.code(), Some(3));
    let report = serde_json::to_value(outcome.report()).expect("plain data");
    assert_eq!(
        report["enforced"]["init"],
        path.to_str().expect("a text"),
        "the copy was taken, and the report says so"
    );
}

#[test]
fn an_installed_copy_works_by_environment() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let path = directory.path().join("pinfold-init");
    install(&path);
    let outcome = run_host(Command::new(host()).arg("run").env("PINFOLD_INIT", &path));
    assert_eq!(outcome["report"]["enforced"]["init"], path.to_str().expect("a text"));
    assert_eq!(outcome["ended"], "exited");
    let error = run_host(Command::new(host()).arg("run").env("PINFOLD_INIT", "/nonexistent"));
    assert_eq!((&error["kind"], &error["errno_name"]), (&"setup".into(), &"ENOENT".into()), "{error}");
    let outcome = run_host(Command::new(host()).arg("run").env("PINFOLD_INIT", ""));
    assert_eq!(outcome["report"]["enforced"]["init"], "memfd", "an empty variable names nothing");
}

#[test]
fn a_file_that_is_not_there_or_no_program_is_named() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let cases = [
        ("missing", None, 0, libc::ENOENT),
        ("text", Some("hello\n"), 0o755, libc::ENOEXEC),
        ("plain", Some("x"), 0o644, libc::EACCES),
    ];
    for (name, content, mode, errno) in cases {
        let path = directory.path().join(name);
        if let Some(content) = content {
            fs::write(&path, content).expect("a file");
            open_to_all(&path, mode);
        }
        let error = refused(&path);
        assert_eq!((error.kind(), error.errno()), (ErrorKind::Setup, Some(errno)), "{name}: {error}");
        assert_eq!(error.report().origin.as_deref(), Some("init.path"), "{name}: {error}");
        assert_eq!(error.report().subject.as_deref(), path.to_str(), "{name}: {error}");
    }
}

#[test]
fn a_program_that_is_no_init_is_refused() {
    let _leaks = Leaks::watch();
    // Another program, and an init of another release, end without a word: before the plan is sent, or after.
    for _ in 0..100 {
        let error = refused(Path::new("/bin/true"));
        assert_eq!(error.kind(), ErrorKind::Setup);
        assert!(error.hint().is_some_and(|hint| hint.contains("another release")), "{error}");
    }

    // Records are six 16-byte lines: kind, value, detail, extra, time, usage.
    let says = [
        ("no_record", "write(3, \"hello\", 5)"),
        ("unknown_kind", "r[0] = 99; write(3, r, 96)"),
        ("exec_without_a_pidfd", "r[0] = 17; write(3, r, 96)"),
        ("fail_of_no_operation", "r[0] = 18; r[1] = 60000; r[2] = 1; write(3, r, 96)"),
        ("fail_without_an_errno", "r[0] = 18; write(3, r, 96)"),
        ("exit_before_the_exec", "r[0] = 19; write(3, r, 96)"),
        ("end_before_the_exec", "r[0] = 21; write(3, r, 96)"),
    ];
    for (name, says) in says {
        let source = format!("#include <unistd.h>\nint main() {{ unsigned r[24] = {{0}}; {says}; pause(); }}");
        let error = refused(&cc(name, &source));
        assert_eq!(error.kind(), ErrorKind::Setup, "{name}: {error}");
        assert!(error.report().message.contains("init"), "{name}: {error}");
    }
}

#[test]
fn a_program_that_says_nothing_is_ended_with_the_time() {
    let _leaks = Leaks::watch();
    let silent = cc("silent", "#include <unistd.h>\nint main() { for (;;) pause(); }");
    let sandbox = Sandbox::builder().init_path(silent).timeout("300ms").build().expect("a sandbox");
    let begun = Instant::now();
    let error = sandbox.command("true").output().expect_err("this is no init");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    println!("{:?} over the limit", begun.elapsed().saturating_sub(Duration::from_millis(300)));
    assert!(begun.elapsed() < pinfold_tests::patience());
}

/// `vm.memfd_noexec` belongs to a PID namespace: one of our own may forbid memfds without touching the machine.
fn where_memfd_noexec_is(value: u8) -> serde_json::Value {
    let script = format!("echo {value} > /proc/sys/vm/memfd_noexec && exec \"$0\" run");
    run_host(Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "sh", "-c", &script]).arg(host()))
}

#[test]
fn init_runs_from_a_private_file_where_memfds_may_not() {
    let _leaks = Leaks::watch();
    if !is_root() {
        skip!("only root may set vm.memfd_noexec");
    }
    if !Path::new("/proc/sys/vm/memfd_noexec").exists() {
        skip!("vm.memfd_noexec came with Linux 6.3");
    }
    for (value, image) in [(0, "memfd"), (1, "memfd"), (2, "private file")] {
        let outcome = where_memfd_noexec_is(value);
        assert_eq!(outcome["ended"], "exited", "{value}: {outcome}");
        assert_eq!(outcome["report"]["enforced"]["init"], image, "vm.memfd_noexec = {value}");
    }
}
