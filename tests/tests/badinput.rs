//! Owns: what is refused before anything runs: the kind, the errno, the key, the advice; and that nothing is left.
//! Must not: repeat every message of the validator (its own tests do).

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use pinfold::{
    Command, ErrorKind, ErrorReport, Fd, IdMapConfig, Mount, Rootfs, Sandbox, SandboxBuilder, SandboxConfig,
};
use pinfold_tests::{Leaks, cc, is_root, open_to_all, scratch, skip};

fn sandbox() -> Sandbox {
    Sandbox::builder().build().expect("a sandbox")
}

/// Why this can't be built.
#[track_caller]
fn unbuilt(builder: SandboxBuilder) -> ErrorReport {
    builder.build().map(drop).expect_err("it is refused").report().clone()
}

/// Why this can't be started.
#[track_caller]
fn unstarted(command: Command) -> ErrorReport {
    command.output().map(|outcome| outcome.detail().to_owned()).expect_err("it is refused").report().clone()
}

#[track_caller]
fn assert_config(report: &ErrorReport, key: &str) {
    assert_eq!(report.kind, ErrorKind::Config, "{report:?}");
    assert!(
        report.problems.iter().any(|problem| problem.key == key) || report.origin.as_deref() == Some(key),
        "{report:?}"
    );
}

#[track_caller]
fn assert_kernel(report: &ErrorReport, kind: ErrorKind, errno: i32, origin: &str) {
    assert_eq!((report.kind, report.errno, report.origin.as_deref()), (kind, Some(errno), Some(origin)), "{report:?}");
}

#[track_caller]
fn assert_hint(report: &ErrorReport, words: &str) {
    assert!(report.hint.as_deref().is_some_and(|hint| hint.contains(words)), "{report:?} does not say {words:?}");
}

#[test]
fn texts_that_are_no_config() {
    let _leaks = Leaks::watch();
    for text in [
        "unknown = 1",
        "limits.memroy = '1M'",
        "[[mounts]]\nkind = 'bind'\nsorce = '/x'",
        "hostname = 5",
        "limits.pids = 'many'",
        "limits.pids = -1",
        "mounts = {}",
        "rootfs = 7",
        "process.env = ['A']",
        "identity.uid = 4294967296",
        "namespaces.pid = 'old'",
        "hostname = ",
        "\0",
    ] {
        let error = SandboxConfig::from_toml(text).and_then(Sandbox::from_config).map(drop).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Config, "{text}: {error}");
    }
    for text in ["", "[]", "{\"limits\": {\"memory\": []}}", "{\"a\": 1}", "{"] {
        let error = SandboxConfig::from_json(text).and_then(Sandbox::from_config).map(drop).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Config, "{text}: {error}");
    }
    let missing = SandboxConfig::from_path("/nonexistent/box.toml").expect_err("there is no such file");
    assert_eq!(missing.kind(), ErrorKind::Config, "{missing}");
}

#[test]
fn combinations_that_make_no_sense() {
    let _leaks = Leaks::watch();
    for (text, key) in [
        ("process.init = false\nnamespaces.pid = 'host'", "process.init"),
        ("namespaces.user = 'host'\nidentity.uid_map = [{ inside = 0, outside = 1 }]", "identity.uid_map"),
        ("namespaces.user = 'host'\nidentity.uid = 0", "identity.uid"),
        ("rootfs = { kind = 'system', path = '/x' }", "rootfs.path"),
        ("mounts = [{ kind = 'tmpfs', target = '/x', source = '/y' }]", "mounts[0].source"),
        ("mounts = [{ kind = 'bind', target = '/x' }]", "mounts[0].source"),
        ("mounts = [{ kind = 'tmpfs', target = '/' }]", "mounts[0].target"),
        ("mounts = [{ kind = 'tmpfs', target = '/a' }, { kind = 'tmpfs', target = '/a/' }]", "mounts[1].target"),
    ] {
        let config = SandboxConfig::from_toml(text).expect("types are right");
        let error = Sandbox::from_config(config).map(drop).expect_err(text);
        assert_config(error.report(), key);
    }
}

#[test]
fn programs_that_are_not_there() {
    let _leaks = Leaks::watch();
    for program in ["nonexistent-program", "/nonexistent/program", "./nonexistent", "/etc/passwd/x"] {
        let report = unstarted(sandbox().command(program));
        assert_eq!(report.kind, ErrorKind::ProgramNotFound, "{report:?}");
        assert_eq!(report.errno, Some(libc::ENOENT), "{report:?}");
        assert!(report.message.contains(program), "{report:?}");
        assert_hint(&report, "looked up inside");
    }
    let report = unstarted(sandbox().command("ls").env_clear().env("PATH", "/nonexistent"));
    assert_eq!((report.kind, report.errno), (ErrorKind::ProgramNotFound, Some(libc::ENOENT)));
}

#[test]
fn programs_that_cannot_be_executed() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let file = |name: &str, content: &str, mode: u32| {
        let path = directory.path().join(name);
        fs::write(&path, content).expect("a file");
        open_to_all(&path, mode);
    };
    file("plain", "#!/bin/sh\n", 0o644);
    file("script", "#!/nonexistent/interpreter\n", 0o755);
    file("nothing", "", 0o755);
    file("garbage", "\u{1}\u{2}\u{3}garbage", 0o755);
    file("short", "\u{7f}ELF", 0o755);
    let sandbox = Sandbox::builder().ro_bind(directory.path(), "/run/d").build().expect("a sandbox");
    for (program, kind, errno, hint) in [
        ("/run/d/plain", ErrorKind::NotExecutable, libc::EACCES, "noexec"),
        ("/run/d", ErrorKind::NotExecutable, libc::EACCES, ""),
        ("/run/d/garbage", ErrorKind::NotExecutable, libc::ENOEXEC, "#!"),
        ("/run/d/nothing", ErrorKind::NotExecutable, libc::ENOEXEC, "#!"),
        ("/run/d/short", ErrorKind::NotExecutable, libc::ENOEXEC, ""),
        ("/run/d/script", ErrorKind::ProgramNotFound, libc::ENOENT, "interpreter"),
    ] {
        let report = unstarted(sandbox.command(program));
        assert_eq!((report.kind, report.errno), (kind, Some(errno)), "{report:?}");
        assert_hint(&report, hint);
        assert!(report.step.is_some(), "{report:?}");
    }
    // On a mount without exec.
    let mount = Mount::bind("/bin/true", "/run/true").read_only(true).noexec(true);
    let sandbox = Sandbox::builder().mount(mount).build().expect("a sandbox");
    let report = unstarted(sandbox.command("/run/true"));
    assert_eq!((report.kind, report.errno), (ErrorKind::NotExecutable, Some(libc::EACCES)), "{report:?}");
}

#[test]
fn calls_that_mean_nothing() {
    let _leaks = Leaks::watch();
    let nul = std::ffi::OsStr::from_bytes(b"a\0b");
    assert_config(&unstarted(sandbox().command("true").arg(nul)), "argv[1]");
    assert_config(&unstarted(sandbox().command(nul)), "argv[0]");
    let report = unstarted(sandbox().command(""));
    assert_eq!(report.kind, ErrorKind::Config, "{report:?}");
    assert_config(&unstarted(sandbox().command("true").env("A=B", "x")), "env.A=B");
    assert_config(&unstarted(sandbox().command("true").env("", "x")), "env.");
    assert_config(&unstarted(sandbox().command("true").env("A", nul)), "env.A");
    assert_config(&unstarted(sandbox().command("true").env(nul, "x")), "env.a\0b");
    assert_config(&unstarted(sandbox().command("true").cwd("data")), "cwd");
    assert_config(&unstarted(sandbox().command("true").cwd("/a/../b")), "cwd");
    assert_config(&unstarted(sandbox().command("true").umask(0o1000)), "umask");
    assert_config(&unstarted(sandbox().command("true").nice(20)), "nice");
    assert_config(&unstarted(sandbox().command("true").rlimit("nofiles", 1)), "rlimits.nofiles");
    assert_config(&unstarted(sandbox().command("true").timeout("soon")), "timeout");
    assert_config(&unstarted(sandbox().command("true").user(70_000, 1000)), "user.uid");
    assert_config(&unstarted(sandbox().command("true").user(1000, 70_000)), "user.gid");
    // All at once.
    let report = unstarted(sandbox().command(nul).cwd("x").nice(99));
    assert_eq!(report.problems.len(), 3, "{report:?}");
}

#[test]
fn an_error_says_where_its_key_was_written() {
    let _leaks = Leaks::watch();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("job.toml");
    std::fs::write(&path, "[process]\ncwd = \"/nonexistent\"\n").expect("a config");
    let sandbox = Sandbox::from_path(&path).expect("a sandbox");
    let error = sandbox.command("true").output().expect_err("no such directory");
    let from = format!("from    process.cwd ({}:2)", path.display());
    assert!(error.to_string().contains(&from), "{error}");
    // What the call has said was written nowhere.
    let error = sandbox.command("true").cwd("/missing").output().expect_err("no such directory");
    assert!(error.to_string().contains("from    cwd\n"), "{error}");
}

#[test]
fn a_directory_that_is_missing_inside() {
    let _leaks = Leaks::watch();
    let report = unstarted(sandbox().command("true").cwd("/nonexistent"));
    assert_kernel(&report, ErrorKind::Setup, libc::ENOENT, "cwd");
    let step = report.step.expect("the step");
    assert!(step.what.starts_with("chdir /nonexistent"), "{step:?}");
    assert!(step.number <= step.of, "{step:?}");
    let report = unstarted(sandbox().command("true").cwd("/etc/passwd"));
    assert_kernel(&report, ErrorKind::Setup, libc::ENOTDIR, "cwd");
}

#[test]
fn sources_that_cannot_be_used() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let missing = directory.path().join("missing");
    let report = unbuilt(Sandbox::builder().ro_bind(&missing, "/run/x"));
    assert_kernel(&report, ErrorKind::Setup, libc::ENOENT, "mounts[0].source");
    assert_hint(&report, "on the host");
    let optional = Mount::bind(&missing, "/run/x").optional(true);
    let sandbox = Sandbox::builder().mount(optional).build().expect("it is skipped");
    let outcome = sandbox.command("ls").arg("/run").output().expect("it runs");
    assert!(outcome.success() && outcome.text().is_empty(), "{outcome:?}");
    let [degradation] = outcome.report().degradations.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(degradation.feature, "mounts[0]");
    assert_eq!(degradation.wanted, missing.display().to_string());
}

#[test]
fn sources_that_cannot_be_read() {
    let _leaks = Leaks::watch();
    if is_root() {
        skip!("root may search every directory");
    }
    let directory = scratch();
    let closed = directory.path().join("closed");
    fs::create_dir(&closed).expect("a directory");
    fs::write(closed.join("file"), "").expect("a file");
    open_to_all(&closed, 0);
    let report = unbuilt(Sandbox::builder().ro_bind(closed.join("file"), "/run/x"));
    let optional = unbuilt(Sandbox::builder().mount(Mount::bind(closed.join("file"), "/run/x").optional(true)));
    open_to_all(&closed, 0o755);
    assert_kernel(&report, ErrorKind::Setup, libc::EACCES, "mounts[0].source");
    assert_hint(&report, "search permission");
    // Optional is about what is missing.
    assert_kernel(&optional, ErrorKind::Setup, libc::EACCES, "mounts[0].source");
}

#[test]
fn targets_that_are_no_paths() {
    let _leaks = Leaks::watch();
    let nul = Path::new(std::ffi::OsStr::from_bytes(b"/a\0b"));
    let long = format!("/{}", "a".repeat(256));
    let longer = "/a".repeat(2048);
    for target in [Path::new("data"), Path::new(""), Path::new("/a/../b"), nul, Path::new(&long), Path::new(&longer)] {
        assert_config(&unbuilt(Sandbox::builder().tmpfs(target)), "mounts[0].target");
    }
    assert_config(&unbuilt(Sandbox::builder().cwd("data")), "process.cwd");
}

#[test]
fn ids_out_of_range() {
    let _leaks = Leaks::watch();
    assert_config(&unbuilt(Sandbox::builder().user(u32::MAX)), "identity.uid");
    assert_config(&unbuilt(Sandbox::builder().user((1000, u32::MAX))), "identity.gid");
    assert_config(&unbuilt(Sandbox::builder().uid_map([])), "identity.uid_map");
    assert_config(&unbuilt(Sandbox::builder().uid_map([IdMapConfig::new(1000, 1000, 0)])), "identity.uid_map[0].count");
    let far = [IdMapConfig::new(1000, u32::MAX - 1, 2)];
    assert_config(&unbuilt(Sandbox::builder().uid_map(far)), "identity.uid_map[0].count");
    let other = [IdMapConfig::new(5, 100_000, 1)];
    assert_config(&unbuilt(Sandbox::builder().uid_map(other)), "identity.uid");
    let overlapping = [IdMapConfig::new(0, 100_000, 2000), IdMapConfig::new(1000, 200_000, 1)];
    assert_config(&unbuilt(Sandbox::builder().uid_map(overlapping)), "identity.uid_map[1].inside");
    assert_config(&unbuilt(Sandbox::builder().uid_map([IdMapConfig::new(1000, 0, 1)])), "identity.uid_map[0].outside");
}

#[test]
fn arguments_that_are_too_long() {
    let _leaks = Leaks::watch();
    let report = unstarted(sandbox().command("true").arg("x".repeat(200_000)));
    assert_eq!((report.kind, report.errno), (ErrorKind::Setup, Some(libc::E2BIG)), "{report:?}");
    assert_hint(&report, "too long");
    // All together: more than the kernel takes, each by itself short enough.
    let report = unstarted(sandbox().command("true").args(vec!["x".repeat(100_000); 70]));
    assert_eq!(report.kind, ErrorKind::Setup, "{report:?}");
    assert_eq!(report.errno, Some(libc::E2BIG), "{report:?}");
}

#[test]
fn fds_that_do_not_match_the_config() {
    let _leaks = Leaks::watch();
    let fd = || OwnedFd::from(fs::File::open("/dev/null").expect("a file"));
    let declared = Sandbox::builder().fd(Fd::number("a", 3)).build().expect("a sandbox");
    let report = unstarted(declared.command("true"));
    assert_eq!((report.kind, report.origin.as_deref()), (ErrorKind::Config, Some("fds")), "{report:?}");
    assert!(report.message.contains("\"a\""), "{report:?}");
    assert_config(&unstarted(declared.command("true").fd("a", fd()).fd("b", fd())), "fds.b");
    assert_config(&unstarted(sandbox().command("true").fd("b", fd())), "fds.b");
    let outcome = declared.command("readlink").arg("/proc/self/fd/3").fd("a", fd()).output().expect("it runs");
    assert_eq!(outcome.text(), "/dev/null\n");
}

#[test]
fn limits_that_this_host_cannot_keep() {
    let _leaks = Leaks::watch();
    let strict = || Sandbox::builder().memory("256MiB");
    match strict().build() {
        // A build or host with cgroups: nothing to weaken.
        Ok(sandbox) => assert!(sandbox.report().degradations.is_empty(), "{:?}", sandbox.report()),
        Err(error) => {
            let report = error.report();
            assert_eq!((report.kind, report.origin.as_deref()), (ErrorKind::Unsupported, Some("limits.memory")));
            assert_hint(report, "compat.prefer");
            let sandbox = strict().prefer("limits.memory").build().expect("it is weakened");
            let outcome = sandbox.command("true").output().expect("it runs");
            assert!(outcome.success());
            let [degradation] = outcome.report().degradations.as_slice() else { panic!("{outcome:?}") };
            assert_eq!(
                (degradation.feature.as_str(), degradation.got.as_str()),
                ("limits.memory", "RLIMIT_DATA per process")
            );
            assert!(strict().prefer("limits.*").build().is_ok());
            assert_eq!(unbuilt(strict().prefer("limits.cpus")).kind, ErrorKind::Unsupported);
        }
    }
}

#[test]
fn directory_roots_that_lack_something() {
    let _leaks = Leaks::watch();
    let root = scratch();
    for name in ["proc", "dev", "tmp", "run", "etc"] {
        fs::create_dir(root.path().join(name)).expect("a directory");
    }
    fs::copy(cc("nothing", "int main(void) { return 0; }"), root.path().join("nothing")).expect("a copy");
    let sandbox = Sandbox::builder().rootfs(Rootfs::dir(root.path())).build().expect("a sandbox");
    let outcome = sandbox.command("/nothing").output().expect("it runs");
    assert!(outcome.success(), "{outcome:?}");
    let before = listing(root.path());
    let builder = || Sandbox::builder().rootfs(Rootfs::dir(root.path()));
    let data = scratch();
    for builder in [
        builder().tmpfs("/data"),
        builder().ro_bind(data.path(), "/tmpx/data"),
        builder().ro_bind("/dev/null", "/file"),
    ] {
        let report = unstarted(builder.build().expect("a sandbox").command("/nothing"));
        assert_eq!((report.kind, report.errno), (ErrorKind::Setup, Some(libc::ENOENT)), "{report:?}");
        assert_eq!(report.origin.as_deref(), Some("mounts[0].target"), "{report:?}");
        assert_hint(&report, "creates nothing on host file systems");
        assert_eq!(listing(root.path()), before, "nothing was created");
    }
    let report = unbuilt(Sandbox::builder().rootfs(Rootfs::dir(root.path().join("nothing"))));
    assert_kernel(&report, ErrorKind::Setup, libc::ENOTDIR, "rootfs.path");
    let report = unbuilt(Sandbox::builder().rootfs(Rootfs::dir(root.path().join("missing"))));
    assert_kernel(&report, ErrorKind::Setup, libc::ENOENT, "rootfs.path");
}

fn listing(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn inits_that_are_none() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let garbage = directory.path().join("garbage");
    fs::write(&garbage, "\u{1}\u{2}garbage").expect("a file");
    open_to_all(&garbage, 0o755);
    let plain = directory.path().join("plain");
    fs::write(&plain, "text").expect("a file");
    let start = |path: &Path| match Sandbox::builder().init_path(path).build() {
        Ok(sandbox) => unstarted(sandbox.command("true")),
        Err(error) => error.report().clone(),
    };
    for (path, errno) in [
        (directory.path().join("missing"), Some(libc::ENOENT)),
        (garbage, Some(libc::ENOEXEC)),
        (plain, Some(libc::EACCES)),
        // A program, but not ours.
        (cc("nothing", "int main(void) { return 0; }"), None),
    ] {
        let report = start(&path);
        assert_eq!((report.kind, report.errno), (ErrorKind::Setup, errno), "{}: {report:?}", path.display());
        assert!(report.message.contains("init"), "{report:?}");
    }
}

#[test]
fn a_deadline_that_passes_first() {
    let _leaks = Leaks::watch();
    let report = unstarted(sandbox().command("true").timeout(Duration::from_nanos(1)));
    assert_eq!(report.kind, ErrorKind::Timeout, "{report:?}");
    let sandbox = Sandbox::builder().timeout(Duration::from_nanos(1)).build().expect("a sandbox");
    assert_eq!(unstarted(sandbox.command("true")).kind, ErrorKind::Timeout);
    assert_eq!(unstarted(sandbox.command("true").timeout("1h")).kind, ErrorKind::Timeout);
}
