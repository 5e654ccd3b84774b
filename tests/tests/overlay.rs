//! The writable root: layers, changes, commit, kept roots. As root and as an unprivileged user, on real directories.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pinfold::{
    Change, ChangeKind, ErrorKind, FileKind, Mount, Outcome, Overlay, OverlayUpper, Rootfs, Sandbox, SandboxBuilder,
};
use pinfold_tests::{Leaks, is_root, open_to_all, scratch};
use support::*;

/// A root directory that needs no mount point of its own: those come from below all layers.
fn base(root: &Path) {
    for name in ["etc", "data/sub"] {
        fs::create_dir_all(root.join(name)).expect("a directory");
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        symlink(format!("usr/{name}"), root.join(name)).expect("a link");
    }
    fs::write(root.join("data/file"), "below\n").expect("a file");
    fs::write(root.join("data/other"), "other\n").expect("a file");
    fs::write(root.join("data/sub/deep"), "deep\n").expect("a file");
    fs::hard_link(root.join("data/other"), root.join("data/twin")).expect("a link");
    open_to_all(root, 0o755);
}

/// The sandbox's root over `layers`, with the host's programs.
fn over(layers: &[&Path]) -> SandboxBuilder {
    Sandbox::builder().timeout("30s").rootfs(Rootfs::layers(layers)).ro_bind("/usr", "/usr").user("0:0")
}

fn in_memory(layers: &[&Path]) -> SandboxBuilder {
    over(layers).overlay(Overlay::memory("16MiB"))
}

/// `A /path`, as `pinfold run --changes` prints them.
fn words(changes: &[Change]) -> Vec<String> {
    let word = |change: &Change| {
        let letter = match change.change {
            ChangeKind::Added => "A",
            ChangeKind::Deleted => "D",
            _ if change.replaced => "R",
            _ if change.metadata_only => "m",
            _ => "M",
        };
        format!("{letter} {}", change.path.display())
    };
    changes.iter().map(word).collect()
}

#[track_caller]
fn changes(outcome: &Outcome) -> Vec<String> {
    assert!(outcome.success(), "{}{}", outcome.detail(), outcome.stderr_text());
    words(outcome.changes().unwrap_or_else(|| panic!("no changes: {:?}", outcome.report())))
}

#[test]
fn the_system_root_becomes_writable_and_nothing_stays() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().timeout("30s").overlay(Overlay::memory("16MiB")).built();
    let outcome =
        run(&sandbox, &["sh", "-c", "mkdir /job && echo 1 > /job/x && cat /job/x /etc/hostname; echo t > /tmp/t"]);
    assert_eq!(outcome.text(), "1\nsandbox\n");
    // What was written to a mount of its own is no change of the root.
    assert_eq!(changes(&outcome), ["A /job", "A /job/x"]);
    assert!(!run(&sandbox, &["cat", "/job/x"]).success(), "each start has changes of its own");
    let denied = run(&sandbox, &["sh", "-c", "echo x > /usr/bin/pinfold-was-here"]);
    assert!(denied.stderr_text().contains("Read-only") || denied.stderr_text().contains("Permission"), "{denied:?}");
}

#[test]
fn every_kind_of_change_is_told_apart() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    base(directory.path());
    let script = "set -e; cd /data
        echo more >> file; echo new > added; mkdir new; ln -s file new/link; mkfifo new/pipe
        chmod 600 other
        rm -r sub; mkdir sub; echo fresh > sub/fresh
        cd /; rm -r etc; echo now a file > etc; rm bin; mkdir bin";
    let before = tree(directory.path());
    let outcome = run(&in_memory(&[directory.path()]).built(), &["/usr/bin/sh", "-c", script]);
    assert_eq!(
        changes(&outcome),
        [
            "R /bin",
            "A /data/added",
            "M /data/file",
            "A /data/new",
            "A /data/new/link",
            "A /data/new/pipe",
            "m /data/other",
            "R /data/sub",
            "A /data/sub/fresh",
            "R /etc"
        ]
    );
    let all = outcome.changes().expect("listed");
    let of = |path: &str| all.iter().find(|change| change.path == Path::new(path)).expect("listed");
    assert_eq!((of("/data/file").kind, of("/data/file").size, of("/data/file").mode), (FileKind::File, 11, 0o644));
    assert_eq!((of("/data/new").kind, of("/data/new/link").kind), (FileKind::Directory, FileKind::Symlink));
    assert_eq!((of("/data/new/pipe").kind, of("/etc").kind), (FileKind::Fifo, FileKind::File));
    assert_eq!(tree(directory.path()), before, "a layer is never changed");
}

#[test]
fn a_deleted_directory_is_one_change_and_a_rename_two() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    base(directory.path());
    let outcome =
        run(&in_memory(&[directory.path()]).built(), &["sh", "-c", "rm -r /data/sub; mv /data/file /data/moved"]);
    assert_eq!(changes(&outcome), ["D /data/file", "A /data/moved", "D /data/sub"]);
    let gone = outcome.changes().expect("listed").last().expect("one").clone();
    assert_eq!((gone.kind, gone.metadata_only, gone.replaced), (FileKind::Directory, false, false));
}

#[test]
fn what_is_the_same_again_is_no_change() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    base(directory.path());
    let script = "cd /data; chmod 600 file; chmod 644 file; cp file /tmp/f; cat /tmp/f > file; touch sub/deep
        mv other x; mv x other; echo y > y; rm y; mkdir d; rmdir d";
    let outcome = run(&in_memory(&[directory.path()]).built(), &["sh", "-c", script]);
    assert_eq!(changes(&outcome), Vec::<String>::new());
}

#[test]
fn names_are_bytes_and_sorted_as_such() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    base(directory.path());
    let script = r#"cd /; mkdir a; touch a/x a-b "$(printf 'n\377')" "$(printf 'two\nlines')""#;
    let outcome = run(&in_memory(&[directory.path()]).built(), &["sh", "-c", script]);
    let paths: Vec<&[u8]> = outcome
        .changes()
        .expect("listed")
        .iter()
        .map(|change| std::os::unix::ffi::OsStrExt::as_bytes(change.path.as_os_str()))
        .collect();
    assert_eq!(paths, [&b"/a"[..], b"/a-b", b"/a/x", b"/n\xff", b"/two\nlines"]);
    let json = serde_json::to_string(&outcome).expect("JSON");
    let back: Outcome = serde_json::from_str(&json).expect("the same");
    assert_eq!(back.changes(), outcome.changes());
}

#[test]
fn a_committed_layer_stacks_and_so_does_the_next() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let [bottom, one, two] = ["base", "one", "two"].map(|name| directory.path().join(name));
    fs::create_dir(&bottom).expect("a directory");
    base(&bottom);
    let first = "set -e; cd /data; echo 1 > one; ln one again; rm file; rm -r sub; mkdir sub
        dd if=/dev/zero of=sparse bs=1 count=1 seek=8388607 2> /dev/null; chmod 4755 one; chmod 000 sub";
    let (outcome, kept) = in_memory(&[&bottom]).built().command("sh").args(["-c", first]).output_kept().expect("runs");
    assert!(outcome.success(), "{}", outcome.stderr_text());
    assert_eq!(kept.changes().expect("still there"), outcome.changes().expect("listed"));
    kept.commit(&one).expect("commits");
    let again = kept.commit(&one).expect_err("there is one already");
    assert_eq!((again.kind(), again.errno()), (ErrorKind::Files, Some(libc::ENOTEMPTY)));
    kept.close().expect("closes");

    let meta = |path: &str| fs::symlink_metadata(one.join(path)).expect("in the layer");
    assert_eq!(meta("data/one").ino(), meta("data/again").ino(), "hard links");
    assert_eq!(meta("data/one").mode() & 0o7777, 0o4755);
    assert_eq!((meta("data/sparse").len(), meta("data/sparse").blocks() < 64), (8 << 20, true), "holes");
    assert_eq!((meta("data/file").mode() & libc::S_IFMT, meta("data/file").rdev()), (libc::S_IFCHR, 0), "a whiteout");
    let me = nix::unistd::geteuid().as_raw();
    assert_eq!(meta("data/one").uid(), me, "the ids of the inside");

    let second =
        "set -e; cd /data; cat one; test ! -e file; test ! -e sub/deep; stat -c %a sub; rm again; echo 2 > two";
    let sandbox = in_memory(&[&one, &bottom]).built();
    let (outcome, kept) = sandbox.command("sh").args(["-c", second]).output_kept().expect("runs");
    assert_eq!((outcome.text(), outcome.stderr_text()), ("1\n0\n".into(), String::new()));
    assert_eq!(changes(&outcome), ["D /data/again", "A /data/two"]);
    kept.commit(&two).expect("commits");
    drop(kept);
    let third = over(&[&two, &one, &bottom]).built();
    assert_eq!(sh(&third, "cd /data; ls; cat two"), "one\nother\nsparse\nsub\ntwin\ntwo\n2");
    // Nothing to write to: a stack alone is read-only.
    let outcome = run(&third, &["sh", "-c", "echo x > /data/one"]);
    assert!(outcome.stderr_text().contains("Read-only"), "{}", outcome.stderr_text());
    assert_eq!(outcome.changes(), None);
}

#[test]
fn a_directory_keeps_the_changes_for_the_next_start() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let [bottom, kept] = ["base", "kept"].map(|name| directory.path().join(name));
    fs::create_dir(&bottom).expect("a directory");
    base(&bottom);
    let sandbox = || over(&[&bottom]).overlay(Overlay::dir(&kept)).built();
    assert_eq!(
        changes(&run(&sandbox(), &["sh", "-c", "echo 1 > /data/one; rm /data/file"])),
        ["D /data/file", "A /data/one"]
    );
    let outcome = run(&sandbox(), &["sh", "-c", "cat /data/one; ls /data; echo 2 > /data/two"]);
    assert_eq!(outcome.text(), "1\none\nother\nsub\ntwin\n");
    assert_eq!(changes(&outcome), ["D /data/file", "A /data/one", "A /data/two"], "all that is in the directory");
    assert!(directory.path().join("kept.work").is_dir());
}

#[test]
fn two_sandboxes_can_not_use_one_directory_for_their_changes() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let [bottom, kept] = ["base", "kept"].map(|name| directory.path().join(name));
    fs::create_dir(&bottom).expect("a directory");
    base(&bottom);
    let sandbox = over(&[&bottom]).overlay(Overlay::dir(&kept)).built();
    let first = sandbox.command("sleep").arg("1000").spawn().expect("the first");
    let second = sandbox.command("true").output().expect_err("the second");
    assert_eq!((second.kind(), second.errno()), (ErrorKind::Setup, Some(libc::EAGAIN)), "{second}");
    assert!(second.hint().is_some_and(|hint| hint.contains("another sandbox")), "{second}");
    drop(first);
    let begun = Instant::now();
    while sandbox.command("true").output().is_err() {
        assert!(begun.elapsed() < pinfold_tests::patience(), "free when the first is gone");
        std::thread::sleep(Duration::from_millis(10));
    }
    // A kept root holds it as well.
    let (_, root) = sandbox.command("true").output_kept().expect("runs");
    assert_eq!(sandbox.command("true").output().expect_err("locked").errno(), Some(libc::EAGAIN));
    drop(root);
    sandbox.command("true").output().expect("free again");
}

#[test]
fn a_root_that_nobody_would_have_is_not_kept() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().set("rootfs.overlay=memory").build().expect("a sandbox");
    let error = sandbox.command("true").keep_root(true).output().expect_err("an outcome alone");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("output_kept"), "{error}");
    let process = sandbox.command("true").keep_root(true).spawn().expect("runs");
    process.wait().expect("ends");
    assert!(process.take_kept_root().is_some());
}

#[test]
fn a_change_in_json_has_an_octal_mode() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().set("rootfs.overlay=memory").set("identity.uid=0").build().expect("a sandbox");
    let outcome = sandbox.command("sh").args(["-c", "echo a > /a; chmod 4640 /a"]).output().expect("runs");
    let json = serde_json::to_value(&outcome).expect("json");
    assert_eq!(json["changes"][0]["mode"], "4640", "{json}");
    let again: pinfold::Outcome = serde_json::from_value(json).expect("an outcome");
    assert_eq!(again.changes(), outcome.changes());
}

#[test]
fn a_killed_host_leaves_its_kept_changes_usable() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let [bottom, kept] = ["base", "kept"].map(|name| directory.path().join(name));
    fs::create_dir(&bottom).expect("a directory");
    base(&bottom);
    let sandbox = over(&[&bottom]).overlay(Overlay::dir(&kept)).built();
    // The test's own host program: it runs this sandbox's config, says so, and waits.
    let config = directory.path().join("config.json");
    fs::write(&config, sandbox.config().to_json().expect("it prints")).expect("a file");
    let script =
        "echo 1 > /data/one; rm /data/file; echo ready; i=0; while :; do echo $i > /data/n$i; i=$((i+1)); done";
    // scripts/test runs copies of the test programs: their host stands beside them.
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("test-host")));
    let program = beside.filter(|path| path.exists()).unwrap_or_else(|| env!("CARGO_BIN_EXE_test-host").into());
    for round in 0..10 {
        let mut host = std::process::Command::new(&program)
            .args(["config".as_ref(), config.as_os_str(), "sh".as_ref(), "-c".as_ref(), script.as_ref()])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the host program");
        let mut line = String::new();
        let output = host.stdout.take().expect("piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).expect("it says so");
        assert_eq!(line, "ready\n", "round {round}");
        std::thread::sleep(Duration::from_millis(round * 3));
        host.kill().expect("it can be killed");
        host.wait().expect("it has ended");
        // As soon as the sandbox has followed its host, the directory is free.
        let begun = Instant::now();
        let outcome = loop {
            match sandbox.command("sh").args(["-c", "cat /data/one; ls /data/file; rm -f /data/n*"]).output() {
                Ok(outcome) => break outcome,
                Err(error) => assert_eq!(error.errno(), Some(libc::EAGAIN), "{error}"),
            }
            assert!(begun.elapsed() < pinfold_tests::patience(), "free when the host is gone");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(outcome.text(), "1\n", "{}", outcome.stderr_text());
        let listed = words(outcome.changes().expect("listed"));
        assert_eq!(listed, ["D /data/file", "A /data/one"], "what was begun can be gone on with");
    }
    // Nothing but the two directories and what this test has made.
    let mut names: Vec<_> =
        fs::read_dir(directory.path()).expect("listed").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["base", "config.json", "kept", "kept.work"]);
}

#[test]
fn a_full_memory_is_enospc_and_nothing_worse() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    base(directory.path());
    let sandbox = over(&[directory.path()]).overlay(Overlay::memory("1MiB")).built();
    let outcome =
        run(&sandbox, &["sh", "-c", "dd if=/dev/zero of=/big bs=64k count=64; rm /big; echo ok > /small; cat /small"]);
    assert!(outcome.stderr_text().contains("No space left"), "{}", outcome.stderr_text());
    assert_eq!((outcome.success(), outcome.text().as_str()), (true, "ok\n"));
}

#[test]
fn overlays_elsewhere_are_mounts_of_their_own() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let [one, two, kept] = ["one", "two", "kept"].map(|name| directory.path().join(name));
    for (layer, text) in [(&one, "1"), (&two, "2")] {
        fs::create_dir(layer).expect("a directory");
        fs::write(layer.join("both"), text).expect("a file");
        fs::write(layer.join(text), text).expect("a file");
    }
    open_to_all(directory.path(), 0o755);
    let sandbox = Sandbox::builder()
        .timeout("30s")
        .user("0:0")
        .mount(Mount::overlay([&one, &two], "/stack"))
        .mount(Mount::overlay([&one], "/work/memory").upper(OverlayUpper::Memory))
        .mount(Mount::overlay([&two], "/work/kept").upper(OverlayUpper::Dir(kept.clone())))
        .built();
    let script = "ls /stack; cat /stack/both; echo; echo x > /stack/x; echo m > /work/memory/m; echo k > /work/kept/k; ls /work/*";
    let outcome = run(&sandbox, &["sh", "-c", script]);
    assert_eq!(outcome.text(), "1\n2\nboth\n1\n/work/kept:\n2\nboth\nk\n\n/work/memory:\n1\nboth\nm\n");
    assert!(outcome.stderr_text().contains("Read-only"), "{}", outcome.stderr_text());
    assert_eq!(fs::read_to_string(kept.join("k")).expect("kept"), "k\n");
}

#[test]
fn five_hundred_layers() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let mut layers = Vec::new();
    for number in 0..500 {
        let layer = directory.path().join(format!("layer {number}: with, signs"));
        fs::create_dir(&layer).expect("a directory");
        fs::write(layer.join("which"), number.to_string()).expect("a file");
        layers.push(layer);
    }
    // The mount points must be in one of them: there is no room for a layer of ours.
    let last = &layers[499];
    base(last);
    for name in ["usr", "proc", "dev", "tmp", "run"] {
        fs::create_dir(last.join(name)).expect("a directory");
    }
    open_to_all(directory.path(), 0o755);
    let all: Vec<&Path> = layers.iter().map(PathBuf::as_path).collect();
    assert_eq!(sh(&over(&all).built(), "cat /which"), "0");
    let sandbox = in_memory(&all[1..]).built();
    assert_eq!(changes(&run(&sandbox, &["sh", "-c", "cat /which > /seen; rm /which"])), ["A /seen", "D /which"]);
    let error = over(&[all[0], all[0]]).build().expect_err("one layer twice");
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[test]
fn owners_are_those_of_the_inside() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    base(directory.path());
    if is_root() {
        nix::unistd::chown(&directory.path().join("data/other"), Some(7.into()), Some(8.into())).expect("chown");
    }
    let sandbox = in_memory(&[directory.path()]).built();
    let outcome = run(
        &sandbox,
        &["sh", "-c", "stat -c %u:%g /data/file /data/other; echo x >> /data/file; stat -c %u:%g /data/file"],
    );
    let other = if is_root() { "7:8" } else { "0:0" };
    assert_eq!(outcome.text(), format!("0:0\n{other}\n0:0\n"));
    assert_eq!(changes(&outcome), ["M /data/file"]);
}

#[test]
fn a_layer_of_somebody_else_is_refused_where_ids_can_not_be_mapped() {
    let _leaks = Leaks::watch();
    if is_root() {
        pinfold_tests::skip!("a privileged host maps the ids of its layers");
    }
    let error = in_memory(&[Path::new("/usr/share")]).build().expect_err("root's files");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint().is_some_and(|hint| hint.contains("belong to you")), "{error}");
    // To read them nothing has to be mapped.
    let directory = scratch();
    base(directory.path());
    let sandbox = over(&[directory.path(), Path::new("/usr/share")]).built();
    assert!(run(&sandbox, &["test", "-d", "/doc"]).success());
}

#[test]
fn a_session_tells_and_commits_what_was_changed_so_far() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let [bottom, layer] = ["base", "layer"].map(|name| directory.path().join(name));
    fs::create_dir(&bottom).expect("a directory");
    base(&bottom);
    let session = in_memory(&[&bottom]).built().open().expect("opens");
    assert_eq!(session.changes().expect("none yet"), []);
    assert!(session.command("sh").args(["-c", "echo 1 > /data/one"]).output().expect("runs").success());
    assert!(session.command("rm").arg("/data/file").output().expect("runs").success());
    assert_eq!(words(&session.changes().expect("listed")), ["D /data/file", "A /data/one"]);
    session.commit(&layer).expect("commits");
    session.close();
    assert_eq!(session.changes().expect_err("closed").kind(), ErrorKind::Closed);
    assert_eq!(sh(&over(&[&layer, &bottom]).built(), "ls /data"), "one\nother\nsub\ntwin");
}

#[test]
fn without_an_overlay_there_is_nothing_to_keep() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().built();
    let error = sandbox.command("true").output_kept().expect_err("read-only");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("rootfs.overlay"), "{error}");
    assert_eq!(run(&sandbox, &["true"]).changes(), None);
}

/// One operation of a random sequence, in the words of the script below.
fn operation(random: &mut impl FnMut(u64) -> u64) -> Vec<String> {
    let names = [
        "a",
        "b",
        "c",
        "d",
        "a/a",
        "a/b",
        "b/c",
        "d/d",
        "a/a/a",
        "data/file",
        "data/sub",
        "data/sub/deep",
        "data/twin",
        "data",
    ];
    let mut name = || format!("/w/{}", names[random(names.len() as u64) as usize]);
    let (one, other) = (name(), name());
    let words: &[&str] = match random(12) {
        0 | 1 => &["write", &one, &other],
        2 => &["append", &one, &other],
        3 => &["chmod", &one, "0700"],
        4 => &["rename", &one, &other],
        5 => &["unlink", &one],
        6 | 7 => &["mkdir", &one],
        8 => &["rmdir", &one],
        9 => &["symlink", &one, &other],
        10 => &["link", &one, &other],
        _ => &["xattr", &one, &other],
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Does what it is told, each as far as it can be done, then prints all of /w: what, whose, content, attributes.
const SCRIPT: &str = r#"
use strict; use File::Find;
while (defined(my $line = shift @ARGV)) {
    my ($what, $a, $b) = split ' ', $line;
    if ($what eq 'write' and open my $f, '>', $a) { print $f $b }
    elsif ($what eq 'append' and -f $a and open my $f, '>>', $a) { print $f $b }
    elsif ($what eq 'chmod') { chmod oct $b, $a }
    elsif ($what eq 'rename') { rename $a, $b }
    elsif ($what eq 'unlink') { unlink $a }
    elsif ($what eq 'mkdir') { mkdir $a }
    elsif ($what eq 'rmdir') { rmdir $a }
    elsif ($what eq 'symlink') { symlink $a, $b }
    elsif ($what eq 'link') { link $a, $b }
    elsif ($what eq 'xattr') { my $n = 'user.test'; syscall(188, $a, $n, $b, length $b, 0) }
}
find({ no_chdir => 1, preprocess => sub { sort @_ }, wanted => sub {
    my @s = lstat $_; my $text = '';
    if (-l _) { $text = readlink $_ } elsif (-f _) { open my $f, '<', $_; local $/; $text = <$f> // '' }
    my $value = "\0" x 64; my $n = 'user.test'; my $got = syscall(192, $_, $n, $value, 64);
    # Not which names are of one file: over two file systems overlayfs tells it differently before and after a copy.
    printf "%s %o %d:%d %s %s\n", $_, $s[2], $s[4], $s[5], $text, $got > 0 ? substr $value, 0, $got : '-';
} }, '/w');
"#;

/// The base and the committed layer give what the payload saw; so does a second round upon that.
#[test]
fn random_operations_survive_a_commit() {
    let _leaks = Leaks::watch();
    if cfg!(not(target_arch = "x86_64")) || !Path::new("/usr/bin/perl").exists() {
        pinfold_tests::skip!("needs perl, and the numbers of x86-64's system calls");
    }
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for round in 0..40 {
        let directory = scratch();
        let bottom = directory.path().join("base");
        fs::create_dir_all(bottom.join("w")).expect("a directory");
        base(&bottom);
        fs::rename(bottom.join("data"), bottom.join("w/data")).expect("renamed");
        let mut layers = vec![bottom];
        for step in 0..3 {
            let mut random = |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            let operations: Vec<String> = (0..30).map(|_| operation(&mut random).join(" ")).collect();
            let stack: Vec<&Path> = layers.iter().map(PathBuf::as_path).collect();
            let command = in_memory(&stack).built().command("perl").args(["-e", SCRIPT]).args(&operations);
            let (outcome, kept) = command.output_kept().expect("runs");
            assert!(outcome.success(), "{}", outcome.stderr_text());
            let layer = directory.path().join(format!("layer{step}"));
            kept.commit(&layer).expect("commits");
            drop(kept);
            layers.insert(0, layer);
            let stack: Vec<&Path> = layers.iter().map(PathBuf::as_path).collect();
            let seen = text(&over(&stack).built(), &["perl", "-e", SCRIPT]);
            assert_eq!(lines(&seen), lines(&outcome.text()), "round {round}, step {step}: {operations:#?}");
            if outcome.changes().is_some_and(<[Change]>::is_empty) {
                assert_eq!(
                    fs::read_dir(&layers[0]).map(Iterator::count).ok(),
                    Some(usize::from(layers[0].join("w").exists()))
                );
            }
        }
    }
}

/// By path, so that a difference is shown as one.
fn lines(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(' ')).collect()
}

#[test]
fn modes_that_close_a_directory_to_its_owner_hide_nothing_from_the_host() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let [bottom, layer] = ["base", "layer"].map(|name| directory.path().join(name));
    fs::create_dir(&bottom).expect("a directory");
    base(&bottom);
    let script = "mkdir -p /shut/in; echo x > /shut/in/x; chmod 000 /shut/in/x /shut/in /shut";
    let (outcome, kept) = in_memory(&[&bottom]).built().command("sh").args(["-c", script]).output_kept().expect("runs");
    assert_eq!(changes(&outcome), ["A /shut", "A /shut/in", "A /shut/in/x"]);
    kept.commit(&layer).expect("commits");
    assert_eq!(kept.changes().expect("the same"), outcome.changes().expect("listed"), "modes are what they were");
    let shut = layer.join("shut");
    assert_eq!(fs::metadata(&shut).expect("there").mode() & 0o7777, 0);
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o700)).expect("for its removal");
    fs::set_permissions(shut.join("in"), fs::Permissions::from_mode(0o700)).expect("for its removal");
}
