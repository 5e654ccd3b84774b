//! Files of a root, read and written by the host, through sessions and kept roots.

mod support;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use pinfold::{ErrorKind, FileKind, IdMapConfig, Overlay, Sandbox};
use pinfold_tests::{Leaks, is_root, scratch};
use support::*;

#[test]
fn what_the_host_writes_the_payload_has_and_the_other_way_round() {
    let _leaks = Leaks::watch();
    let session = Sandbox::builder().overlay(Overlay::memory("16MiB")).built().open().expect("opens");
    let files = session.files().expect("has files");
    files.write("/job/deep/in.txt", "3\n1\n2\n").expect("written, with the directories above");
    let script = "sort -o /job/out.txt /job/deep/in.txt; stat -c '%u:%g %a' /job/deep/in.txt /job; echo more >> /job/deep/in.txt";
    let outcome = session.command("sh").args(["-c", script]).output().expect("runs");
    assert_eq!((outcome.text(), outcome.stderr_text()), ("1000:1000 644\n1000:1000 755\n".into(), String::new()));
    assert_eq!(files.read("/job/out.txt").expect("read"), b"1\n2\n3\n");
    let status = files.stat("/job/out.txt").expect("there");
    assert_eq!((status.kind, status.size, status.uid, status.gid), (FileKind::File, 6, 1000, 1000));
    files.mkdir("/job/a/b").expect("made");
    files.mkdir("/job/a/b").expect("is there");
    let names: Vec<_> = files.list("/job").expect("listed").into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["a", "deep", "out.txt"]);
    // A mount of its own, where a directory was made by nobody.
    files.write("/tmp/t", "t").expect("written");
    assert_eq!(session.command("cat").arg("/tmp/t").output().expect("runs").text(), "t");
    files.remove("/job/deep").expect("removed");
    assert!(!session.command("test").args(["-e", "/job/deep"]).output().expect("runs").success());
    session.close();
    assert_eq!(session.files().expect_err("closed").kind(), ErrorKind::Closed);
}

#[test]
fn a_session_without_an_overlay_has_files_too() {
    let _leaks = Leaks::watch();
    let session = Sandbox::builder().built().open().expect("opens");
    let files = session.files().expect("has files");
    files.write("/tmp/a/b", "x").expect("written");
    assert_eq!(session.command("cat").arg("/tmp/a/b").output().expect("runs").text(), "x");
    let error = files.write("/new", "x").expect_err("read-only");
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Files, Some(libc::EROFS)), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("overlay")), "{error}");
    let error = session.changes().expect_err("no overlay");
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[test]
fn links_of_the_payload_lead_nowhere_outside() {
    let _leaks = Leaks::watch();
    let outside = scratch();
    fs::write(outside.path().join("secret"), "secret").expect("a file");
    let session = Sandbox::builder().overlay(Overlay::memory("16MiB")).built().open().expect("opens");
    let files = session.files().expect("has files");
    let script = format!(
        "mkdir /w; cd /w; ln -s {0}/secret file; ln -s {0} dir; ln -s ../../../../.. up; ln -s /proc/self/root magic; mkfifo pipe; ln -s loop loop; ln -s /etc/hostname good",
        outside.path().display()
    );
    assert!(session.command("sh").args(["-c", &script]).output().expect("runs").success());
    for path in ["/w/file", "/w/dir/secret", "/w/magic/etc/passwd", "/w/loop", "/w/pipe", "/w"] {
        let error = files.read(path).expect_err(path);
        assert_eq!(error.kind(), ErrorKind::Files, "{path}: {error}");
    }
    // Above the root is the root.
    assert_eq!(files.read("/w/up/etc/hostname").expect("inside"), b"sandbox\n");
    assert_eq!(files.read("/w/good").expect("inside"), b"sandbox\n");
    for path in ["/w/file", "/w/dir/new"] {
        // Where the link leads to inside nothing is there: made there, or refused, but never outside.
        drop(files.write(path, "x"));
    }
    assert_eq!(fs::read_to_string(outside.path().join("secret")).expect("as before"), "secret");
    assert!(!outside.path().join("new").exists());
    assert_eq!(files.read("relative").expect_err("no guest path").errno(), Some(libc::EINVAL));
    files.remove("/w/dir").expect("the link");
    assert!(outside.path().exists());
}

#[test]
fn trees_go_in_and_come_out() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let source = directory.path().join("source");
    fs::create_dir_all(source.join("a/b")).expect("a directory");
    for number in 0..150 {
        fs::write(source.join(format!("a/{number}")), format!("file {number}")).expect("a file");
    }
    fs::write(source.join("a/b/run"), "#!/bin/sh\necho ran\n").expect("a file");
    fs::set_permissions(source.join("a/b/run"), fs::Permissions::from_mode(0o755)).expect("a mode");
    symlink("a/b/run", source.join("link")).expect("a link");
    let session = Sandbox::builder().overlay(Overlay::memory("16MiB")).built().open().expect("opens");
    let files = session.files().expect("has files");
    let copied = files.copy_in(&source, "/in/tree").expect("copied in");
    let outcome = session
        .command("sh")
        .args(["-c", "/in/tree/link; ls /in/tree/a | wc -l; stat -c %u /in/tree/a/7; mkfifo /in/tree/pipe"])
        .output()
        .expect("runs");
    assert_eq!((outcome.text(), outcome.stderr_text()), ("ran\n151\n1000\n".into(), String::new()));
    let out = directory.path().join("out");
    assert_eq!(files.copy_out("/in/tree", &out).expect("copied out"), copied);
    assert_eq!(fs::read_to_string(out.join("a/149")).expect("a file"), "file 149");
    assert_eq!(fs::read_link(out.join("link")).expect("a link"), std::path::Path::new("a/b/run"));
    assert_eq!(fs::metadata(out.join("a/b/run")).expect("a file").mode() & 0o7777, 0o755);
    assert!(!out.join("pipe").exists());
    for error in
        [files.copy_out("/in/tree", &out).expect_err("there"), files.copy_in(&source, "/in/tree").expect_err("there")]
    {
        assert_eq!(error.errno(), Some(libc::EEXIST), "{error}");
    }
    let one = directory.path().join("one");
    assert_eq!(files.copy_out("/in/tree/a/7", &one).expect("a file"), 6);
    files.copy_in(&one, "/in/one").expect("a file");
    assert_eq!(files.read("/in/one").expect("read"), b"file 7");
}

#[test]
fn sizes_are_limited_on_request() {
    let _leaks = Leaks::watch();
    let session = Sandbox::builder().overlay(Overlay::memory("16MiB")).built().open().expect("opens");
    let files = session.files().expect("has files");
    let few = files.clone().limit(10);
    few.write("/ten", "0123456789").expect("as much as may be");
    assert_eq!(few.read("/ten").expect("as much as may be").len(), 10);
    files.write("/eleven", "0123456789a").expect("no limit");
    for error in [few.read("/eleven").expect_err("too much"), few.write("/x", "0123456789a").expect_err("too much")] {
        assert_eq!(error.errno(), Some(libc::EFBIG), "{error}");
    }
    assert_eq!(files.clone().limit("lots").read("/ten").expect_err("no size").kind(), ErrorKind::Files);
    // A stream that never ends is no danger with a limit.
    assert_eq!(few.write_from("/x", &mut std::io::repeat(7)).expect_err("endless").errno(), Some(libc::EFBIG));
    let mut reader = files.reader("/ten").expect("opens");
    drop(session);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("still there");
    assert_eq!(text, "0123456789");
}

#[test]
fn a_kept_root_has_its_files_after_the_end() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().overlay(Overlay::memory("16MiB")).built();
    let (outcome, kept) = sandbox.command("sh").args(["-c", "echo result > /out"]).output_kept().expect("runs");
    assert!(outcome.success());
    let files = kept.files();
    assert_eq!(files.read("/out").expect("read"), b"result\n");
    assert_eq!(files.read("/etc/hostname").expect("read"), b"sandbox\n");
    files.write("/late", "by the host").expect("written after the end");
    assert_eq!(kept.changes().expect("listed").len(), 2);
}

#[test]
fn what_belongs_to_other_ids_of_the_sandbox_is_reached() {
    let _leaks = Leaks::watch();
    if !is_root() {
        pinfold_tests::skip!("an unprivileged host has one id");
    }
    let map = |outside| IdMapConfig::new(0, outside, 2000);
    let session = Sandbox::builder()
        .overlay(Overlay::memory("16MiB"))
        .uid_map([map(500_000)])
        .gid_map([map(600_000)])
        .user("0:0")
        .built()
        .open()
        .expect("opens");
    let files = session.files().expect("has files");
    files.write("/root/secret", "s").expect("written");
    assert!(
        session
            .command("sh")
            .args(["-c", "chmod 600 /root/secret; umask 777; mkdir /shut"])
            .output()
            .expect("runs")
            .success()
    );
    assert_eq!(files.read("/root/secret").expect("read"), b"s");
    assert_eq!(files.stat("/root/secret").expect("there").uid, 0);
    files.write("/shut/in", "x").expect("the payload's root may");
}
