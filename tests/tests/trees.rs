//! Mounts at unusual places and in unusual orders, roots that point elsewhere, and what is still true of the host after.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pinfold::{ErrorKind, Landlock, Mount, Propagation, Rootfs, Sandbox, SandboxBuilder};
use pinfold_tests::{Leaks, open_to_all, scratch};
use support::*;

/// A root directory with mount points for the defaults and for the host's programs.
fn bare_root(root: &Path) -> SandboxBuilder {
    for name in ["dev", "proc", "tmp", "run", "usr", "etc", "data"] {
        fs::create_dir_all(root.join(name)).expect("a directory");
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        symlink(format!("usr/{name}"), root.join(name)).expect("a link");
    }
    open_to_all(root, 0o755);
    Sandbox::builder().timeout("20s").rootfs(Rootfs::dir(root)).ro_bind("/usr", "/usr")
}

#[test]
fn files_and_links_at_new_places_of_the_root() {
    let _leaks = Leaks::watch();
    let builder = Sandbox::builder()
        .mount(Mount::file("top\n", "/top"))
        .mount(Mount::file("deep\n", "/etc/a/b/deep").mode(0o666))
        .mount(Mount::file("device\n", "/dev/conf").read_only(true))
        .mount(Mount::tmpfs("/sealed").read_only(true))
        .mount(Mount::file("sealed\n", "/sealed/x/file"))
        .mount(Mount::file("tmp\n", "/tmp/x/file").mode(0o640))
        .mount(Mount::symlink("../top", "/etc/link"))
        .mount(Mount::symlink("/top", "/dev/link"))
        .mount(Mount::symlink("x/file", "/sealed/link"));
    let sandbox = builder.built();
    assert_eq!(
        sh(
            &sandbox,
            "cat /top /etc/a/b/deep /dev/conf /sealed/x/file /etc/link /dev/link /sealed/link; stat -c %a /tmp/x/file"
        ),
        "top\ndeep\ndevice\nsealed\ntop\ntop\nsealed\n640"
    );
    // Read-only is what was said to be.
    assert_eq!(sh(&sandbox, "echo new > /etc/a/b/deep; cat /etc/a/b/deep"), "new");
    for path in ["/dev/conf", "/sealed/new", "/etc/a/b/new", "/new"] {
        let outcome = run(&sandbox, &["sh", "-c", &format!("echo x > {path}")]);
        let denied = ["Read-only file system", "Permission denied"];
        assert!(denied.iter().any(|text| outcome.stderr_text().contains(text)), "{path}: {}", outcome.stderr_text());
    }
}

/// Found where a file was mounted: the tmpfs that files are made in was detached, the host's root below it was not.
#[test]
fn nothing_lies_below_the_root() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let bare = bare_root(&directory.path().join("root"));
    fs::write(directory.path().join("root/etc/passwd"), "root:x:0:0::/:/bin/sh\n").expect("a file");
    for landlock in [Landlock::Auto, Landlock::Off] {
        for base in
            [Sandbox::builder(), Sandbox::builder().rootfs("empty"), Sandbox::builder().rootfs("host"), bare.clone()]
        {
            let base = base.landlock(landlock);
            assert_closed(base.clone());
            assert_closed(base.clone().mount(Mount::file("x", "/etc/passwd")));
            assert_closed(base.clone().mount(Mount::file("x", "/etc/passwd")).mount(Mount::file("y", "/tmp/file")));
            assert_closed(
                base.clone().mount(Mount::bind(directory.path(), "/tmp/a/b")).mount(Mount::file("y", "/tmp/file")),
            );
            assert_closed(base.propagation(Propagation::Slave).mount(Mount::file("x", "/etc/passwd")));
        }
    }
}

#[test]
fn mounts_inside_of_mounts() {
    let _leaks = Leaks::watch();
    let outside = scratch();
    fs::create_dir(outside.path().join("sub")).expect("a directory");
    fs::write(outside.path().join("file"), "outside\n").expect("a file");
    let sandbox = Sandbox::builder()
        .tmpfs("/a")
        .mount(Mount::tmpfs("/a/b/c").size("1MiB"))
        .mount(Mount::bind(outside.path(), "/a/b/bound").read_only(true))
        .mount(Mount::tmpfs("/a/b/bound/sub"))
        .mount(Mount::file("f\n", "/a/b/bound/sub/f"))
        .mount(Mount::bind(outside.path().join("file"), "/a/b/bound/sub/again"))
        .built();
    let script =
        "cat /a/b/bound/file /a/b/bound/sub/f /a/b/bound/sub/again; touch /a/x /a/b/c/x /a/b/bound/sub/x && echo ok";
    assert_eq!(sh(&sandbox, script), "outside\nf\noutside\nok");
    assert_eq!(fs::read_dir(outside.path().join("sub")).expect("it is there").count(), 0);
}

#[test]
fn a_mount_of_ones_own_replaces_a_default_one() {
    let _leaks = Leaks::watch();
    let outside = scratch();
    fs::write(outside.path().join("mine"), "").expect("a file");
    let sandbox = Sandbox::builder()
        .ro_bind(outside.path(), "/tmp")
        .mount(Mount::tmpfs("/run").size("1MiB").mode(0o700))
        .mount(Mount::file("me:x:1000:1000::/:/bin/sh\n", "/etc/passwd"))
        .built();
    assert_eq!(sh(&sandbox, "ls /tmp; id -un; stat -c %a /run"), "mine\nme\n700");
    let mounts = mountinfo(&sandbox);
    for target in ["/tmp", "/run"] {
        assert_eq!(mounts.iter().filter(|mount| mount.target == target).count(), 1, "{target}");
    }
    assert!(at(&mounts, "/tmp").has("ro"));
    assert!(at(&mounts, "/run").of_file_system.contains(&"size=1024k".to_owned()));
}

#[test]
fn special_file_systems_work() {
    let _leaks = Leaks::watch();
    let source = r#"
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <mqueue.h>
        #include <semaphore.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <unistd.h>
        int main(void) {
            int terminal = posix_openpt(O_RDWR | O_NOCTTY);
            printf("pts %s\n", terminal < 0 || grantpt(terminal) || unlockpt(terminal) ? "failed" : ptsname(terminal));
            int slave = open(ptsname(terminal), O_RDWR | O_NOCTTY);
            printf("slave %d\n", slave >= 0 && isatty(slave));
            printf("mqueue %d\n", mq_open("/q", O_RDWR | O_CREAT, 0600, NULL) >= 0 && access("/dev/mqueue/q", F_OK) == 0);
            printf("shm %d\n", shm_open("/s", O_RDWR | O_CREAT, 0600) >= 0 && access("/dev/shm/s", F_OK) == 0);
            printf("sem %d\n", sem_open("/m", O_CREAT, 0600, 1) != SEM_FAILED);
            char c;
            printf("full %d\n", write(open("/dev/full", O_WRONLY), &c, 1) < 0);
            printf("zero %d\n", read(open("/dev/zero", O_RDONLY), &c, 1) == 1 && c == 0);
            printf("random %d\n", read(open("/dev/urandom", O_RDONLY), &c, 1) == 1 && read(open("/dev/random", O_RDONLY), &c, 1) == 1);
            printf("null %d\n", read(open("/dev/null", O_RDWR), &c, 1) == 0);
            return 0;
        }"#;
    let program = pinfold_tests::cc("special", source);
    let sandbox = Sandbox::builder().ro_bind(program, "/special").built();
    assert_eq!(
        text(&sandbox, &["/special"]),
        "pts /dev/pts/0\nslave 1\nmqueue 1\nshm 1\nsem 1\nfull 1\nzero 1\nrandom 1\nnull 1\n"
    );
    assert_eq!(
        sh(&sandbox, "ls -1 /dev | tr '\\n' ' '"),
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "
    );
    assert_eq!(sh(&sandbox, "echo x > /dev/stdout; readlink /dev/fd /dev/ptmx"), "x\n/proc/self/fd\npts/ptmx");
}

#[test]
fn a_sysfs_is_read_only_and_hides_the_firmware() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().user((0, 0)).mount(Mount::sysfs("/sys")).built();
    assert!(at(&mountinfo(&sandbox), "/sys").has("ro"));
    assert_eq!(sh(&sandbox, "ls /sys/class/net"), "lo");
    for path in pinfold::MASKED_SYS_PATHS {
        assert_eq!(sh(&sandbox, &format!("ls -A {path} 2>/dev/null | wc -l")), "0", "{path}");
    }
    let host = with_probe().rootfs("host").built();
    for path in pinfold::MASKED_SYS_PATHS {
        assert_eq!(sh(&host, &format!("ls -A {path} 2>/dev/null | wc -l")), "0", "the host's {path}");
    }
}

#[test]
fn a_proc_with_other_masks() {
    let _leaks = Leaks::watch();
    let sandbox =
        Sandbox::builder().mount(Mount::proc("/proc").masked(["cpuinfo", "fs"]).readonly_paths(["sys"])).built();
    let covers = |path: &str| mountinfo(&sandbox).iter().any(|mount| mount.target == path);
    // What isn't named is not covered, what the library does not know cannot be.
    assert!(covers("/proc/sys") && !covers("/proc/keys"));
}

#[test]
fn propagation_of_root_and_mounts() {
    let _leaks = Leaks::watch();
    for (propagation, word) in
        [(Propagation::Private, ""), (Propagation::Shared, "shared:"), (Propagation::Unbindable, "unbindable")]
    {
        let sandbox = Sandbox::builder().propagation(propagation).built();
        let mounts = mountinfo(&sandbox);
        for target in ["/", "/usr", "/tmp"] {
            let fields = at(&mounts, target).propagation.join(" ");
            assert!(
                if word.is_empty() { fields.is_empty() } else { fields.contains(word) },
                "{target} {propagation:?}: {fields:?}"
            );
        }
    }
    // One mount apart from the rest.
    let data = scratch();
    let sandbox = Sandbox::builder()
        .propagation(Propagation::Shared)
        .mount(Mount::bind(data.path(), "/apart").propagation(Propagation::Private))
        .built();
    assert_eq!(at(&mountinfo(&sandbox), "/apart").propagation, Vec::<String>::new());
}

#[test]
fn a_source_that_was_exchanged_is_noticed() {
    let _leaks = Leaks::watch();
    let outside = scratch();
    let source = outside.path().join("source");
    fs::create_dir(&source).expect("a directory");
    let sandbox = Sandbox::builder().ro_bind(&source, "/data").built();
    fs::rename(&source, outside.path().join("old")).expect("it can be renamed");
    fs::create_dir(&source).expect("another directory");
    let error = sandbox.command("true").output().expect_err("it is another directory");
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Setup, Some(libc::ESTALE)), "{error}");
    assert_eq!(error.report().origin.as_deref(), Some("mounts[0].source"));
    fs::remove_dir(&source).expect("it can be removed");
    let error = sandbox.command("true").output().expect_err("it is gone");
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Setup, Some(libc::ENOENT)), "{error}");
}

#[test]
fn a_missing_target_is_an_error_and_stays_missing() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let root = directory.path().join("root");
    let builder = bare_root(&root);
    let data = scratch();
    let before = tree(directory.path());
    let mounts = [
        Mount::bind(data.path(), "/missing"),
        Mount::bind(data.path(), "/data/missing/deep"),
        Mount::tmpfs("/missing"),
        Mount::file("x", "/missing"),
        Mount::proc("/missing"),
        Mount::mqueue("/etc/missing"),
    ];
    for mount in mounts {
        let error = builder.clone().mount(mount.clone()).built().command("true").output().expect_err("no target");
        assert_eq!((error.kind(), error.errno()), (ErrorKind::Setup, Some(libc::ENOENT)), "{mount:?}: {error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("creates nothing on host file systems")), "{error}");
        assert_eq!(error.report().origin.as_deref(), Some("mounts[1].target"), "{error}");
        assert_eq!(tree(directory.path()), before, "{mount:?}");
    }
    // A link is not there and can't be: an error before anything runs.
    let error = builder.clone().mount(Mount::symlink("x", "/missing")).refused();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    // File over directory and the other way round.
    fs::write(root.join("etc/file"), "").expect("a file");
    let before = tree(directory.path());
    for mount in [Mount::bind(data.path(), "/etc/file"), Mount::file("x", "/data"), Mount::tmpfs("/etc/file")] {
        let error = builder.clone().mount(mount.clone()).built().command("true").output().expect_err("another kind");
        assert_eq!(error.kind(), ErrorKind::Setup, "{mount:?}: {error}");
        assert!(matches!(error.errno(), Some(libc::ENOTDIR | libc::EINVAL)), "{mount:?}: {error}");
        assert!(error.hint().is_some(), "{error}");
        assert_eq!(tree(directory.path()), before, "{mount:?}");
    }
}

#[test]
fn nothing_is_created_on_host_file_systems() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let root = directory.path().join("root");
    let builder = bare_root(&root);
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("a directory");
    fs::create_dir(data.join("sub")).expect("a directory");
    fs::write(data.join("file"), "x").expect("a file");
    open_to_all(&data, 0o777);
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").expect("a file");
    fs::write(root.join("etc/group"), "root:x:0:\n").expect("a file");
    let before = tree(directory.path());
    let sandbox = builder
        .mount(Mount::bind(&data, "/data"))
        .mount(Mount::tmpfs("/data/sub"))
        .mount(Mount::file("y", "/data/sub/new"))
        .mount(Mount::symlink("new", "/data/sub/link"))
        .mount(Mount::file("y", "/data/file"))
        .mount(Mount::bind(&data, "/tmp/a/b/c"))
        .built();
    assert_eq!(
        sh(&sandbox, "cat /data/file /data/sub/link; id -un; touch /data/sub/x /tmp/x /run/x 2>&1"),
        "yysandbox"
    );
    assert_eq!(tree(directory.path()), before);
    // The whole host below a sandbox that mounts at many places.
    let host = Sandbox::builder()
        .rootfs("host")
        .tmpfs(directory.path())
        .mount(Mount::file("z", directory.path().join("z")))
        .built();
    // The temporary directory is covered by the sandbox's own where it is /tmp.
    assert_eq!(sh(&host, &format!("cat {}/z", directory.path().display())), "z");
    assert_eq!(tree(directory.path()), before);
}

/// Roots in which one of the places where something is always mounted leads elsewhere.
#[test]
fn roots_that_point_elsewhere() {
    let _leaks = Leaks::watch();
    let links: &[(&str, &str)] = &[
        ("etc", "/"),
        ("etc", "../../../../etc"),
        ("tmp", "../../.."),
        ("tmp", "/etc"),
        ("proc", "/etc"),
        ("proc", "/proc/self/root"),
        ("dev", "/"),
        ("dev", "../canary"),
        ("dev", "tmp"),
        ("run", "/proc/1/root"),
        ("run", "dev"),
        ("data", "../canary"),
        ("data", "/data"),
        ("data", "proc/self/cwd"),
        ("usr", "../../../../../usr"),
    ];
    for (name, text) in links {
        let directory = scratch();
        let canary = directory.path().join("canary");
        fs::create_dir(&canary).expect("a directory");
        fs::write(canary.join("file"), "alive").expect("a file");
        open_to_all(&canary, 0o777);
        let root = directory.path().join("root");
        let builder = bare_root(&root);
        fs::remove_dir(root.join(name)).expect("it is empty");
        symlink(text, root.join(name)).expect("a link");
        let before = tree(directory.path());
        let sandbox = builder.tmpfs("/data").mount(Mount::file("x", "/data/file")).built();
        // Whether it works does not matter: whatever is written is written inside.
        let line = "for d in /data /tmp /dev /run /etc /proc /; do echo x > $d/file; mkdir $d/new; rm -rf $d/file; done 2>/dev/null; true";
        if let Err(error) = sandbox.command("sh").args(["-c", line]).output() {
            assert!(matches!(error.kind(), ErrorKind::Setup | ErrorKind::ProgramNotFound), "{name} -> {text}: {error}");
        }
        assert_eq!(tree(directory.path()), before, "{name} -> {text}");
    }
}

#[test]
fn directories_that_become_links_lead_nowhere_else() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let canary = directory.path().join("canary");
    for sub in ["", "b", "b/c", "file"] {
        fs::create_dir_all(canary.join(sub)).expect("a directory");
        open_to_all(&canary.join(sub), 0o777);
    }
    let root = directory.path().join("root");
    let builder = bare_root(&root);
    fs::create_dir_all(root.join("a/b/c")).expect("a directory");
    // The middle of a path is a directory of the root or a link out of it, in turn.
    symlink("../../../canary", root.join("relative")).expect("a link");
    symlink(&canary, root.join("absolute")).expect("a link");
    let before = tree(&canary);
    let sandbox = builder
        .tmpfs("/a/b")
        .mount(Mount::bind(&root, "/a/b/c").read_only(true))
        .mount(Mount::file("x", "/a/b/file"))
        .built();
    let stop = AtomicBool::new(false);
    let (mut ran, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (place, aside) = (root.join("a"), root.join("aside"));
            while !stop.load(Ordering::Relaxed) {
                for link in ["relative", "absolute"] {
                    let link = root.join(link);
                    for (from, to) in [(&place, &aside), (&link, &place), (&place, &link), (&aside, &place)] {
                        fs::rename(from, to).expect("it can be renamed");
                    }
                }
            }
        });
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            match sandbox.command("sh").args(["-c", "echo x > /a/b/x; echo y > /a/b/file; mkdir /a/b/new"]).output() {
                Ok(_) => ran += 1,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Setup, "{error}");
                    refused += 1;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(ran + refused > 20, "{ran} {refused}");
    assert_eq!(tree(&canary), before);
}

#[test]
fn a_name_in_the_passwd_of_a_root_without_one() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let builder = bare_root(directory.path());
    fs::write(directory.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\nother:x:1001:1001::/:/bin/sh")
        .expect("a file");
    fs::set_permissions(directory.path().join("etc/passwd"), fs::Permissions::from_mode(0o644)).expect("a mode");
    let before = tree(directory.path());
    assert_eq!(sh(&builder.clone().built(), "id -un"), "sandbox");
    // An id that has a name keeps it.
    assert_eq!(sh(&builder.user((1001, 1000)).built(), "id -un"), "other");
    assert_eq!(tree(directory.path()), before);
}
