//! Owns: what a payload sees of file systems: roots, binds, what is fresh, flags, and that nothing of the host is changed.
//! Must not: test namespaces other than the mount namespace.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pinfold::{Mount, Outcome, Propagation, Rootfs, Sandbox, SandboxBuilder};
use pinfold_tests::{Leaks, open_to_all, scratch};

fn sh(builder: SandboxBuilder, script: &str) -> Outcome {
    builder.build().unwrap().command("sh").args(["-c", script]).output().unwrap()
}

fn text(builder: SandboxBuilder, script: &str) -> String {
    let outcome = sh(builder, script);
    assert_eq!(outcome.stderr_text(), "", "{outcome:?}");
    outcome.text()
}

/// Every path below, with its kind, mode, size and link text.
fn listing(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let link = fs::read_link(&path).unwrap_or_default();
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let is = format!("{:o} {} {content:?} {}", meta.mode(), meta.uid(), link.display());
        if meta.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(path.display().to_string(), is);
    }
    found
}

/// A root directory with the host's programs bound into it, and what every root must have.
fn rooted(root: &Path) -> SandboxBuilder {
    let mut builder = Sandbox::builder().rootfs(Rootfs::dir(root));
    for name in ["usr", "proc", "dev", "tmp", "run", "etc"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for name in ["bin", "lib", "lib64"] {
        if !root.join(name).exists() {
            symlink(format!("usr/{name}"), root.join(name)).unwrap();
        }
    }
    builder = builder.ro_bind("/usr", "/usr");
    builder
}

/// mountinfo(5) of the payload: target to (options, optional fields, kind, options of the file system).
fn mountinfo(builder: SandboxBuilder) -> BTreeMap<String, (String, String, String, String)> {
    let mut mounts = BTreeMap::new();
    for line in text(builder, "cat /proc/self/mountinfo").lines() {
        let (left, right) = line.split_once(" - ").unwrap();
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let is = (left[5].to_owned(), left[6..].join(" "), right[0].to_owned(), right[2].to_owned());
        mounts.insert(left[4].to_owned(), is);
    }
    mounts
}

#[test]
fn the_system_root() {
    let _leaks = Leaks::watch();
    let script = "for d in home root opt srv var; do ls -A /$d; done; ls -d /sys /boot /mnt 2>/dev/null; ls -A /etc/shadow 2>/dev/null; \
                  id -un; touch /x 2>/dev/null || echo ro; touch /usr/x 2>/dev/null || echo ro; touch /tmp/x && echo rw; pwd";
    assert_eq!(text(Sandbox::builder(), script), "tmp\nsandbox\nro\nro\nrw\n/\n");
}

#[test]
fn the_hosts_root_is_read_only() {
    let _leaks = Leaks::watch();
    let outcome = sh(Sandbox::builder().rootfs(Rootfs::host()), "ls / ; touch /x || echo ro; touch /tmp/x && echo rw");
    assert!(outcome.text().ends_with("ro\nrw\n") && outcome.text().contains("etc\n"), "{outcome:?}");
    assert!(outcome.stderr_text().contains("Read-only file system"), "{outcome:?}");
}

#[test]
fn an_empty_root_has_what_is_always_there() {
    let _leaks = Leaks::watch();
    let builder = Sandbox::builder().rootfs(Rootfs::empty());
    let builder =
        ["/usr", "/bin", "/lib", "/lib64"].iter().fold(builder, |builder, path| builder.ro_bind(*path, *path));
    assert_eq!(
        text(builder, "ls /; ls /etc"),
        "bin\ndev\netc\nlib\nlib64\nproc\nrun\ntmp\nusr\ngroup\nhostname\nhosts\npasswd\nresolv.conf\n"
    );
}

#[test]
fn a_directory_as_root_is_read_only_and_untouched() {
    let _leaks = Leaks::watch();
    let root = scratch();
    let builder = rooted(root.path());
    fs::write(root.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\nother:x:7:7::/:/bin/sh").unwrap();
    fs::write(root.path().join("mine"), "here").unwrap();
    let before = listing(root.path());
    let script = "cat /mine; echo; id -un; cat /etc/passwd; echo x 2>/dev/null > /mine || echo ro";
    let line = "sandbox:x:1000:1000:sandbox:/tmp:/bin/sh\n";
    let wanted = format!("here\nsandbox\nroot:x:0:0::/:/bin/sh\nother:x:7:7::/:/bin/sh\n{line}ro\n");
    assert_eq!(text(builder.clone(), script), wanted);
    // A missing target is an error, and nothing is created.
    let error = builder.tmpfs("/missing").build().unwrap().command("true").output().unwrap_err();
    assert_eq!(
        (error.errno(), error.report().origin.as_deref()),
        (Some(libc::ENOENT), Some("mounts[1].target")),
        "{error}"
    );
    assert_eq!(listing(root.path()), before);
}

#[test]
fn binds() {
    let _leaks = Leaks::watch();
    let data = scratch();
    open_to_all(data.path(), 0o777);
    fs::write(data.path().join("a"), "text").unwrap();
    let file = data.path().join("a");
    let script = "cat /d/a /f; echo; touch /d/new && echo rw; touch /r/no 2>/dev/null || echo ro; echo x 2>/dev/null >/f || echo ro";
    let builder = Sandbox::builder().bind(data.path(), "/d").ro_bind(data.path(), "/r").ro_bind(file, "/f");
    assert_eq!(text(builder, script), "texttext\nrw\nro\nro\n");
    assert!(data.path().join("new").exists() && !data.path().join("no").exists());

    let sandbox = Sandbox::builder().mount(Mount::bind_fd("dir", "/by/fd").read_only(true)).build().unwrap();
    let command = sandbox.command("cat").arg("/by/fd/a").fd("dir", File::open(data.path()).unwrap());
    assert_eq!(command.output().unwrap().text(), "text");
}

#[test]
fn an_optional_source_may_be_missing() {
    let _leaks = Leaks::watch();
    let missing = Mount::bind("/nothing/here", "/n");
    let error = Sandbox::builder().mount(missing.clone()).build().unwrap_err();
    assert_eq!((error.errno(), error.report().origin.as_deref()), (Some(libc::ENOENT), Some("mounts[0].source")));
    let outcome = sh(Sandbox::builder().mount(missing.optional(true)), "ls -d /n 2>/dev/null || echo none");
    assert_eq!((outcome.text().as_str(), outcome.report().degradations.len()), ("none\n", 1));
    assert_eq!(outcome.report().degradations[0].feature, "mounts[0]");
}

#[test]
fn a_tmpfs_is_bounded() {
    let _leaks = Leaks::watch();
    let mount = Mount::tmpfs("/t").size("1MiB").inodes(10).mode(0o750);
    let script = "stat -c %a:%u:%g /t; head -c 2000000 /dev/zero > /t/f; stat -c %s /t/f; rm /t/f; \
                  i=0; while [ $i -lt 20 ] && touch /t/$i; do i=$((i+1)); done; echo $i";
    let outcome = sh(Sandbox::builder().mount(mount), script);
    assert_eq!(outcome.text(), "750:1000:1000\n1048576\n9\n");
    assert_eq!(outcome.stderr_text().matches("No space left").count(), 2, "{outcome:?}");
}

#[test]
fn links_and_files() {
    let _leaks = Leaks::watch();
    let builder = Sandbox::builder()
        .tmpfs("/t")
        .mount(Mount::symlink("../etc/hosts", "/t/link"))
        .mount(Mount::file("bytes\n", "/t/file").mode(0o604))
        .mount(Mount::file(&b"\xff\0"[..], "/t/odd"));
    assert_eq!(
        text(builder, "readlink /t/link; stat -c %a /t/file /t/odd; wc -c < /t/odd; cat /t/file"),
        "../etc/hosts\n604\n644\n2\nbytes\n"
    );
    let root = scratch();
    let builder = rooted(root.path());
    fs::write(root.path().join("etc/config"), "old").unwrap();
    let before = listing(root.path());
    assert_eq!(text(builder.mount(Mount::file("new", "/etc/config")), "cat /etc/config"), "new");
    assert_eq!(listing(root.path()), before);
}

#[test]
fn proc_is_fresh_masked_and_partly_read_only() {
    let _leaks = Leaks::watch();
    let script = "for f in kcore keys timer_list sched_debug; do [ -e /proc/$f ] && cat /proc/$f | head -c 9; done; \
                  for d in acpi scsi; do [ -d /proc/$d ] && ls -A /proc/$d; done; cat /proc/1/comm; \
                  touch /proc/sys/kernel/hostname; echo 1 > /proc/sys/vm/swappiness";
    let outcome = sh(Sandbox::builder(), script);
    assert_eq!(outcome.text().lines().count(), 1, "{outcome:?}");
    assert_eq!(
        outcome.stderr_text().matches("ermission denied").count()
            + outcome.stderr_text().matches("ead-only file system").count(),
        2,
        "{outcome:?}"
    );
}

#[test]
fn every_mount_has_its_flags() {
    let _leaks = Leaks::watch();
    let data = scratch();
    let builder = Sandbox::builder()
        .mount(Mount::bind(data.path(), "/plain"))
        .mount(Mount::bind(data.path(), "/closed").read_only(true).noexec(true))
        .mount(Mount::tmpfs("/t").noexec(true))
        .mount(Mount::sysfs("/sys"));
    let mounts = mountinfo(builder);
    // Device nodes: the minimal ones, and /dev/null over masked files.
    let node = |target: &str| {
        ["null", "zero", "full", "random", "urandom", "tty"].iter().any(|name| target == format!("/dev/{name}"))
            || (target.starts_with("/proc/") && mounts[target].2 == "devtmpfs")
    };
    for (target, (options, fields, kind, _)) in mounts.iter().filter(|(target, _)| !node(target)) {
        assert!(options.split(',').any(|o| o == "nosuid"), "{target}: {options}");
        assert_eq!(fields, "", "{target} is private");
        assert!(target.starts_with("/dev") || options.contains("nodev"), "{target} ({kind}): {options}");
    }
    let has = |target: &str, wanted: &[&str]| {
        let options: Vec<&str> = mounts[target].0.split(',').collect();
        assert!(wanted.iter().all(|w| options.contains(w)), "{target}: {options:?}");
    };
    has("/", &["ro"]);
    has("/usr", &["ro"]);
    has("/plain", &["rw"]);
    has("/closed", &["ro", "noexec"]);
    has("/t", &["rw", "noexec"]);
    has("/sys", &["ro", "noexec"]);
    has("/proc", &["rw", "noexec"]);
    has("/proc/sys", &["ro", "noexec"]);
    has("/dev", &["ro", "noexec"]);
    has("/dev/pts", &["rw", "noexec"]);
    has("/dev/mqueue", &["rw", "noexec"]);
    has("/dev/shm", &["rw", "noexec"]);
    has("/tmp", &["rw"]);
    has("/run", &["rw", "noexec"]);
    let kinds =
        [("/dev/pts", "devpts"), ("/dev/mqueue", "mqueue"), ("/sys", "sysfs"), ("/proc", "proc"), ("/tmp", "tmpfs")];
    for (target, kind) in kinds {
        assert_eq!(mounts[target].2, kind, "{target}");
    }
}

#[test]
fn propagation_as_asked_for() {
    let _leaks = Leaks::watch();
    let data = scratch();
    let builder = Sandbox::builder()
        .mount(Mount::bind(data.path(), "/private").propagation(Propagation::Private))
        .mount(Mount::tmpfs("/shared").propagation(Propagation::Shared))
        .mount(Mount::tmpfs("/closed").propagation(Propagation::Unbindable));
    let mounts = mountinfo(builder);
    assert_eq!(mounts["/private"].1, "");
    assert!(mounts["/shared"].1.starts_with("shared:"), "{:?}", mounts["/shared"]);
    assert_eq!(mounts["/closed"].1, "unbindable");
}

#[test]
fn the_working_directory() {
    let _leaks = Leaks::watch();
    assert_eq!(text(Sandbox::builder().cwd("/usr/bin"), "pwd"), "/usr/bin\n");
    let sandbox = Sandbox::builder().build().unwrap();
    assert_eq!(sandbox.command("pwd").cwd("/tmp").output().unwrap().text(), "/tmp\n");
    let error = sandbox.command("pwd").cwd("/missing").output().unwrap_err();
    assert_eq!((error.kind(), error.errno()), (pinfold::ErrorKind::Setup, Some(libc::ENOENT)));
    assert_eq!(error.report().origin.as_deref(), Some("cwd"));
}

/// A directory full of links that lead out of it, next to something that must stay as it is.
fn hostile(directory: &Path) -> std::path::PathBuf {
    let root = directory.join("root");
    fs::create_dir_all(&root).unwrap();
    fs::create_dir(directory.join("canary")).unwrap();
    fs::write(directory.join("canary/file"), "alive").unwrap();
    fs::create_dir(root.join("usr")).unwrap();
    let links = [
        ("usr/bin", "bin"),
        ("usr/lib", "lib"),
        ("usr/lib64", "lib64"),
        ("/", "etc"),
        ("../../../../tmp", "tmp"),
        ("/etc", "proc"),
        ("../..", "dev"),
        ("../canary", "run"),
        ("../canary", "data"),
    ];
    for (to, name) in links {
        symlink(to, root.join(name)).unwrap();
    }
    root
}

#[test]
fn links_in_a_root_lead_nowhere_else() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let root = hostile(directory.path());
    let before = listing(directory.path());
    let builders = [
        Sandbox::builder().rootfs(Rootfs::dir(&root)).ro_bind("/usr", "/usr"),
        Sandbox::builder().rootfs(Rootfs::dir(&root)).ro_bind("/usr", "/usr").tmpfs("/data"),
        Sandbox::builder().rootfs(Rootfs::dir(&root)).mount(Mount::file("x", "/data/file")),
    ];
    for builder in builders {
        let result = builder.build().and_then(|sandbox| sandbox.command("true").output());
        assert!(result.is_err(), "{result:?}");
    }
    assert_eq!(listing(directory.path()), before);
}

#[test]
fn a_link_that_comes_and_goes_leads_nowhere_else() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let canary = directory.path().join("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "alive").unwrap();
    let root = directory.path().join("root");
    let builder = rooted(&root);
    open_to_all(&canary, 0o777);
    for name in ["a", "b"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    let (data, link, aside) = (root.join("data"), root.join("link"), root.join("aside"));
    fs::create_dir(&data).unwrap();
    symlink(&canary, &link).unwrap();
    let sandbox = builder.tmpfs("/data").build().unwrap();
    let before = listing(&canary);
    let stop = AtomicBool::new(false);
    let (mut ran, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for (from, to) in [(&data, &aside), (&link, &data), (&data, &link), (&aside, &data)] {
                    fs::rename(from, to).unwrap();
                }
            }
        });
        // Longer where the machine is slow: some must come to an end.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2)
            || (ran + refused <= 20 && begun.elapsed() < Duration::from_secs(60))
        {
            match sandbox.command("sh").args(["-c", "echo x > /data/x; echo y > /data/file"]).output() {
                Ok(_) => ran += 1,
                Err(_) => refused += 1,
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(ran + refused > 20, "{ran} {refused}");
    assert_eq!(listing(&canary), before);
    assert_eq!(fs::metadata(&canary).unwrap().permissions().mode() & 0o777, 0o777);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "what was written is in the tmpfs");
}
