//! A Debian root: a package is installed in an overlay, the changes are listed and committed, and the committed stack has
//! the package. The root is made once, by root, and kept in `tests/.cache`.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pinfold::{ChangeKind, Overlay, Rootfs, Sandbox};
use pinfold_tests::{Leaks, is_root, scratch};
use support::*;

/// The root, made if it is missing. None: this host can't make one.
fn debian() -> Option<PathBuf> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache");
    let root = cache.join("debian");
    if root.join("var/lib/dpkg/status").exists() {
        return Some(root);
    }
    if !is_root() {
        return None;
    }
    fs::create_dir_all(&cache).expect("a directory for the root");
    let partial = cache.join(format!("partial-{}", std::process::id()));
    // A mirror that stands still is as good as any, and its lists have expired.
    let options = ["--quiet", "--variant=essential", "--aptopt=Acquire::Check-Valid-Until \"false\"", "stable"];
    let made = Command::new("mmdebstrap").args(options).arg(&partial).status().ok()?;
    if !made.success() {
        // Whatever there is of it is of no use.
        fs::remove_dir_all(&partial).unwrap_or_default();
        return None;
    }
    // Another run may have been faster.
    if fs::rename(&partial, &root).is_err() {
        fs::remove_dir_all(&partial).expect("removed");
    }
    Some(root)
}

/// A package with a program, a file that is only root's, and a script that runs after it is unpacked.
fn package(directory: &Path) -> PathBuf {
    let tree = directory.join("tree");
    for name in ["DEBIAN", "usr/bin", "etc/greet"] {
        fs::create_dir_all(tree.join(name)).expect("a directory");
    }
    let control =
        "Package: greet\nVersion: 1.0\nArchitecture: all\nMaintainer: Tests <tests@example.org>\nDescription: greets\n";
    fs::write(tree.join("DEBIAN/control"), control).expect("a file");
    fs::write(tree.join("DEBIAN/postinst"), "#!/bin/sh\nset -e\necho configured > /etc/greet/state\nrm -f /etc/motd\n")
        .expect("a file");
    fs::write(tree.join("usr/bin/greet"), "#!/bin/sh\necho hello from a package\n").expect("a file");
    for (name, mode) in [("DEBIAN/postinst", 0o755), ("usr/bin/greet", 0o755)] {
        pinfold_tests::open_to_all(&tree.join(name), mode);
    }
    let deb = directory.join("greet.deb");
    let built = Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).args([&tree, &deb]).output();
    let built = built.expect("dpkg-deb runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    deb
}

#[test]
fn a_package_is_installed_committed_and_there() {
    let _leaks = Leaks::watch();
    let Some(cached) = debian() else {
        pinfold_tests::skip!("needs mmdebstrap and a mirror, or a root that was made before by root");
    };
    let directory = scratch();
    let root = if is_root() {
        cached
    } else {
        // A tree of one's own: what this user may read of it.
        let own = directory.path().join("debian");
        Command::new("cp").arg("-a").args([&cached, &own]).output().expect("cp runs");
        assert!(own.join("usr/bin/dpkg").exists(), "the copy has what everybody may read");
        own
    };
    let layer = directory.path().join("layer");
    let deb = package(directory.path());
    let sandbox = Sandbox::builder()
        .timeout("120s")
        .rootfs(Rootfs::dir(&root))
        .overlay(Overlay::memory("128MiB"))
        .user("0:0")
        .ro_bind(&deb, "/tmp/greet.deb")
        .built();
    let (outcome, kept) =
        sandbox.command("dpkg").args(["--install", "/tmp/greet.deb"]).output_kept().expect("dpkg is started");
    assert!(outcome.success(), "{}\n{}", outcome.text(), outcome.stderr_text());
    let changes = outcome.changes().unwrap_or_else(|| panic!("listed: {:?}", outcome.report()));
    let of = |path: &str| changes.iter().find(|change| change.path == Path::new(path)).map(|change| change.change);
    assert_eq!(of("/usr/bin/greet"), Some(ChangeKind::Added), "{changes:?}");
    assert_eq!(of("/etc/greet/state"), Some(ChangeKind::Added));
    assert_eq!(of("/var/lib/dpkg/status"), Some(ChangeKind::Modified));
    let unrelated =
        changes.iter().find(|change| change.path.starts_with("/usr/lib") || change.path.starts_with("/proc"));
    assert_eq!(unrelated, None, "what was only looked at is no change");
    kept.commit(&layer).expect("commits");
    drop(kept);
    let owner = fs::metadata(layer.join("usr/bin/greet")).expect("in the layer").uid();
    assert_eq!(owner, nix::unistd::geteuid().as_raw(), "root's inside is root's in the layer");

    let stacked = Sandbox::builder().timeout("60s").rootfs(Rootfs::layers([&layer, &root])).user("0:0").built();
    assert_eq!(
        sh(&stacked, "greet; cat /etc/greet/state; dpkg-query --show --showformat='${Status}' greet"),
        "hello from a package\nconfigured\ninstall ok installed"
    );
    assert!(
        !run(
            &Sandbox::builder().rootfs(Rootfs::layers([&root])).user("0:0").built(),
            &["test", "-e", "/usr/bin/greet"]
        )
        .success()
    );
}
