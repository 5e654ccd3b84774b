//! Hosts that differ from this one: each test runs once more in a mount namespace of its own, in which something is
//! changed first. Only root can make one.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pinfold::{Ended, ErrorKind, IdMapConfig, Mount, Propagation, Sandbox, SandboxBuilder, Stdio};
use pinfold_tests::{Leaks, eventually, is_root, open_to_all, scratch, skip};
use support::*;

const INNER: &str = "PINFOLD_TEST_INNER";

/// Where the inner part works; none: this is the outer one.
fn inner() -> Option<String> {
    std::env::var(INNER).ok()
}

/// Run `name` again after `change` (a shell script; `$1` is a scratch directory), as root or as uid 1000.
#[track_caller]
fn changed(name: &str, change: &str, uid: u32) {
    let _leaks = Leaks::watch();
    let directory = scratch();
    open_to_all(directory.path(), 0o777);
    let path = directory.path().display().to_string();
    // Where uid 1000 may execute it.
    let program = directory.path().join("test");
    fs::copy(std::env::current_exe().expect("this program"), &program).expect("a copy");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
    let user = if uid == 0 { String::new() } else { format!("setpriv --reuid {uid} --regid {uid} --clear-groups") };
    let script = format!(
        "set -e; {change}\nTMPDIR=$1 {INNER}=$1 exec {user} $1/test --exact {name} --nocapture --test-threads=1"
    );
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh", &path])
        .current_dir("/")
        .output()
        .expect("unshare runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let problems = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{name}: {}\n{text}\n{problems}", output.status);
}

/// The test in both of its parts: the outer one needs root.
macro_rules! on_changed_host {
    ($name:ident, $change:expr, $uids:expr, $body:expr) => {
        #[test]
        fn $name() {
            match inner() {
                Some(directory) =>
                {
                    #[allow(clippy::redundant_closure_call)]
                    ($body)(Path::new(&directory))
                }
                None if !is_root() => skip!("only root can change a host"),
                None => {
                    for uid in $uids {
                        changed(stringify!($name), $change, uid);
                    }
                }
            }
        }
    };
}

const SUBMOUNT: &str = "mkdir -p $1/data/sub/deep; mount -t tmpfs -o mode=1777 tmpfs $1/data/sub; mkdir -m 777 $1/data/sub/deep; \
    mount -t tmpfs -o mode=1777,nosuid,noexec tmpfs $1/data/sub/deep; chmod 777 $1/data; echo file > $1/data/sub/file";

on_changed_host!(read_only_is_recursive, SUBMOUNT, [0, 1000], |directory: &Path| {
    let data = directory.join("data");
    let sandbox = Sandbox::builder().ro_bind(&data, "/data").built();
    for path in ["/data/new", "/data/sub/new", "/data/sub/deep/new"] {
        let outcome = run(&sandbox, &["sh", "-c", &format!("echo x > {path}")]);
        assert!(outcome.stderr_text().contains("Read-only file system"), "{path}: {}", outcome.stderr_text());
    }
    let mounts = mountinfo(&sandbox);
    for target in ["/data", "/data/sub", "/data/sub/deep"] {
        let mount = at(&mounts, target);
        assert!(mount.has("ro") && mount.has("nosuid") && mount.has("nodev"), "{mount:?}");
    }
    // A flag that the host has stays, one that is not asked for is not set.
    assert!(at(&mounts, "/data/sub/deep").has("noexec") && !at(&mounts, "/data/sub").has("noexec"));
    // Writable is recursive too, and still without set-user-ID.
    let sandbox = Sandbox::builder().bind(&data, "/data").built();
    assert_eq!(
        sh(&sandbox, "for d in /data /data/sub /data/sub/deep; do echo x > $d/new && cat $d/new; done"),
        "x\nx\nx"
    );
    assert!(at(&mountinfo(&sandbox), "/data/sub").has("nosuid"));
});

on_changed_host!(not_recursive_shows_what_lies_below, SUBMOUNT, [0], |directory: &Path| {
    let sandbox = Sandbox::builder().mount(Mount::bind(directory.join("data"), "/data").recursive(false)).built();
    assert_eq!(sh(&sandbox, "ls /data /data/sub"), "/data:\nsub\n\n/data/sub:\ndeep");
    assert!(!mountinfo(&sandbox).iter().any(|mount| mount.target == "/data/sub"));
});

on_changed_host!(what_is_covered_stays_covered, SUBMOUNT, [1000], |directory: &Path| {
    // Without privileges the kernel does not let go of what the host has mounted over something.
    let mount = Mount::bind(directory.join("data"), "/data").recursive(false);
    let error = Sandbox::builder().mount(mount).built().command("true").output().expect_err("it would be uncovered");
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Setup, Some(libc::EINVAL)), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("recursive = true")), "{error}");
});

on_changed_host!(
    later_mounts_of_the_host_arrive_where_asked,
    "mkdir -p $1/data/sub; mount --bind $1/data $1/data; mount --make-shared $1/data",
    [0],
    |directory: &Path| {
        let data = directory.join("data");
        let sandbox = Sandbox::builder()
            .timeout("30s")
            .mount(Mount::bind(&data, "/slave").propagation(Propagation::Slave))
            .mount(Mount::bind(&data, "/private"))
            .built();
        let process = sandbox
            .command("sh")
            .args(["-c", "read line; cat /slave/sub/file; ls /private/sub; grep -c slave/sub /proc/self/mountinfo"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let host = |argv: &[&str]| {
            assert!(
                std::process::Command::new(argv[0]).args(&argv[1..]).status().expect("it runs").success(),
                "{argv:?}"
            );
        };
        let sub = data.join("sub").display().to_string();
        host(&["mount", "-t", "tmpfs", "tmpfs", &sub]);
        fs::write(data.join("sub/file"), "from the host\n").expect("a file");
        drop(process.take_stdin());
        assert_eq!(process.wait().expect("it ends").text(), "from the host\n1\n");
        host(&["umount", &sub]);
        // Nothing that a sandbox mounts arrives at the host.
        let before = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let sandbox = Sandbox::builder()
            .propagation(Propagation::Shared)
            .mount(Mount::bind(&data, "/data").propagation(Propagation::Shared))
            .tmpfs("/data/sub")
            .built();
        assert_eq!(sh(&sandbox, "echo x > /data/sub/x; cat /data/sub/x"), "x");
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"), before);
        assert_eq!(fs::read_dir(data.join("sub")).expect("it is there").count(), 0);
    }
);

on_changed_host!(
    a_root_with_an_overlay_has_the_propagation_that_was_asked_for,
    "mkdir -p $1/data/sub $1/base/data; mount --bind $1/data $1/data; mount --make-shared $1/data",
    [0],
    |directory: &Path| {
        let data = directory.join("data");
        let sub = data.join("sub").display().to_string();
        let host = |argv: &[&str]| {
            let status = std::process::Command::new(argv[0]).args(&argv[1..]).status().expect("it runs");
            assert!(status.success(), "{argv:?}");
        };
        for (propagation, word) in
            [(Propagation::Private, "private"), (Propagation::Slave, "slave"), (Propagation::Shared, "shared")]
        {
            let overlaid = |kind: pinfold::Overlay| {
                Sandbox::builder()
                    .timeout("30s")
                    .user((0, 0))
                    .overlay(kind)
                    .propagation(propagation)
                    .mount(Mount::bind(&data, "/slave").propagation(Propagation::Slave))
                    .tmpfs("/mine")
                    .built()
            };
            for kind in
                [pinfold::Overlay::memory("16MiB"), pinfold::Overlay::dir(directory.join(format!("kept-{word}")))]
            {
                let before = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
                let sandbox = overlaid(kind);
                let mounts = mountinfo(&sandbox);
                let root = at(&mounts, "/");
                assert_eq!(root.kind, "overlay", "{root:?}");
                // A peer group of its own, or none; never one that it follows.
                assert_eq!(
                    root.propagation.iter().any(|word| word.starts_with("shared:")),
                    word == "shared",
                    "{word}: {root:?}"
                );
                assert!(!root.propagation.iter().any(|word| word.starts_with("master:")), "{word}: {root:?}");
                let process = sandbox
                    .command("sh")
                    .args(["-c", "echo x > /written; read line; cat /slave/sub/file"])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .expect("it starts");
                // What the host mounts later arrives where that was asked for, also below an overlay ..
                host(&["mount", "-t", "tmpfs", "tmpfs", &sub]);
                fs::write(data.join("sub/file"), "from the host\n").expect("a file");
                drop(process.take_stdin());
                let outcome = process.wait().expect("it ends");
                assert_eq!(outcome.text(), "from the host\n", "{word}");
                host(&["umount", &sub]);
                assert_eq!(letters(outcome.changes().expect("listed")), ["A /written"], "{word}");
                // .. and nothing of the sandbox's arrives at the host.
                assert_eq!(fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"), before, "{word}");
            }
        }
    }
);

on_changed_host!(sandboxes_with_a_shared_root_do_not_see_each_others_mounts, "true", [0, 1000], |_: &Path| {
    // One description, two starts at a time: the payload may mount.
    let sandbox = with_probe()
        .propagation(Propagation::Shared)
        .user((0, 0))
        .capability("sys_admin")
        .landlock(pinfold::Landlock::Off)
        .built();
    let first = sandbox
        .command("sh")
        .args(["-c", "mount -t tmpfs first /srv && echo mounted; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let second = sandbox.command("sh").args(["-c", "sleep 0.3; grep -c ' /srv ' /proc/self/mountinfo"]);
    assert_eq!(second.output().expect("it runs").text(), "0\n");
    drop(first.take_stdin());
    assert_eq!(first.wait().expect("it ends").text(), "mounted\n");
    assert_eq!(sh(&sandbox, "grep -c ' /srv ' /proc/self/mountinfo; true"), "0");
});

const SUBIDS: &str = "printf '1000:200000:65536\\nroot:300000:65536\\n' > $1/subuid; printf '1000:400000:65536\\nroot:500000:65536\\n' > $1/subgid; \
    mount --bind $1/subuid /etc/subuid; mount --bind $1/subgid /etc/subgid";

fn map_of(sandbox: &Sandbox, file: &str) -> Vec<u32> {
    let text = sh(sandbox, &format!("cat /proc/self/{file}"));
    text.split_whitespace().map(|word| word.parse().expect("a number")).collect()
}

on_changed_host!(roots_range_is_its_line_in_subuid, SUBIDS, [0], |_: &Path| {
    let sandbox = Sandbox::builder().built();
    assert_eq!(map_of(&sandbox, "uid_map"), [0, 300_000, 65536]);
    assert_eq!(map_of(&sandbox, "gid_map"), [0, 500_000, 65536]);
    let process = sandbox.command("sleep").arg("60").spawn().expect("it starts");
    let status = fs::read_to_string(format!("/proc/{}/status", process.id().expect("its pid"))).expect("its status");
    assert!(status.contains("Uid:\t301000\t301000\t301000\t301000"), "{status}");
    assert!(status.contains("Gid:\t501000\t501000\t501000\t501000"), "{status}");
    process.kill().expect("it can be killed");
    process.wait().expect("it ends");
});

on_changed_host!(a_user_with_a_range_uses_newuidmap, SUBIDS, [1000], |directory: &Path| {
    // The default stays the caller's own id.
    assert_eq!(map_of(&Sandbox::builder().built(), "uid_map"), [1000, 1000, 1]);
    let uids =
        [IdMapConfig::new(0, 200_000, 1000), IdMapConfig::new(1000, 1000, 1), IdMapConfig::new(1001, 201_000, 60000)];
    let gids =
        [IdMapConfig::new(0, 400_000, 1000), IdMapConfig::new(1000, 1000, 1), IdMapConfig::new(1001, 401_000, 60000)];
    let builder = Sandbox::builder().uid_map(uids).gid_map(gids);
    let sandbox = builder.clone().built();
    assert_eq!(map_of(&sandbox, "uid_map"), [0, 200_000, 1000, 1000, 1000, 1, 1001, 201_000, 60000]);
    assert_eq!(map_of(&sandbox, "gid_map"), [0, 400_000, 1000, 1000, 1000, 1, 1001, 401_000, 60000]);
    assert_eq!(sh(&sandbox, "id -u; id -g"), "1000\n1000");
    // Groups can be set, another user be taken, and files given away.
    assert_eq!(sh(&builder.clone().groups([5, 2000]).built(), "id -G"), "1000 5 2000");
    assert_eq!(sandbox.command("id").arg("-u").user(0, 0).output().expect("it runs").text(), "0\n");
    let data = directory.join("owned");
    fs::create_dir(&data).expect("a directory");
    open_to_all(&data, 0o777);
    let root = builder.clone().bind(&data, "/data").user((0, 0)).built();
    assert_eq!(sh(&root, "touch /data/file; stat -c %u:%g /data/file"), "0:0");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(data.join("file")).expect("the file"));
    assert_eq!(owner, 200_000);
    // Ids that are nobody's to give.
    let error =
        Sandbox::builder().uid_map([IdMapConfig::new(0, 300_000, 1000), IdMapConfig::new(1000, 1000, 1)]).refused();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("/etc/subuid")), "{error}");
});

/// Groups of the v1 hierarchies that count, handed to uid 1000; gone with this.
struct Delegated(Vec<PathBuf>);

const DELEGATED: &str = "handed-to-1000";

impl Delegated {
    /// None: this host has none of those.
    fn new() -> Option<Self> {
        let cgroups = pinfold::HostCaps::probe().expect("facts").cgroups;
        let mounts: BTreeSet<&PathBuf> =
            ["memory", "pids", "cpuacct"].iter().filter_map(|name| cgroups.v1.get(*name)).collect();
        let made = Self(mounts.into_iter().map(|mount| mount.join(DELEGATED)).collect());
        for group in &made.0 {
            fs::create_dir(group).expect("a group");
            for file in [group.clone(), group.join("tasks"), group.join("cgroup.procs")] {
                std::os::unix::fs::chown(&file, Some(1000), Some(1000)).expect("it can be given away");
            }
        }
        (!made.0.is_empty()).then_some(made)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for group in &self.0 {
            eventually("the group is empty", || fs::remove_dir(group).is_ok());
        }
    }
}

/// `tasks` takes only processes of the user who has opened it: those of a sandbox whose root is another id it does not.
#[test]
fn payloads_have_groups_on_v1_where_the_sandbox_is_the_caller() {
    const NAME: &str = "payloads_have_groups_on_v1_where_the_sandbox_is_the_caller";
    if inner().is_none() {
        if !is_root() {
            skip!("only root can change a host");
        }
        // A host of v2 alone has no such files.
        let Some(_delegated) = Delegated::new() else { return };
        changed(NAME, SUBIDS, 1000);
        return;
    }
    let grouped = |builder: SandboxBuilder| {
        builder.set(&format!("limits.cgroup_parent=\"/{DELEGATED}\"")).set("limits.pids=64").timeout("60s")
    };
    let stranger = || {
        let own = [IdMapConfig::new(0, 200_000, 1000), IdMapConfig::new(1000, 1000, 1)];
        let groups = [IdMapConfig::new(0, 400_000, 1000), IdMapConfig::new(1000, 1000, 1)];
        grouped(Sandbox::builder().uid_map(own).gid_map(groups))
    };
    for builder in [grouped(Sandbox::builder()), grouped(ranged())] {
        let session = builder.clone().payload_groups(true).built().open().expect("it opens");
        for _ in 0..2 {
            let outcome = session.command("cat").arg("/proc/self/cgroup").output().expect("it enters");
            assert!(outcome.text().contains(":/payload-"), "{}", outcome.text());
            assert!(outcome.usage().memory_source.as_deref() == Some("cgroup-v1"), "{:?}", outcome.usage());
        }
        let session = builder.built().open().expect("it opens");
        let spin = session.command("sh").args(["-c", "while :; do :; done"]).cpu_time("100ms").output();
        assert_eq!(spin.expect("it starts").ended(), Ended::CpuTime);
    }
    // One payload alone enters before its ids change: the group of the whole sandbox is there in any case.
    let alone = stranger().built().command("cat").arg("/proc/self/cgroup").output().expect("it enters");
    assert!(alone.success() && alone.usage().pids_peak.is_some(), "{alone:?}");
    let error = stranger().payload_groups(true).refused();
    assert_eq!(
        (error.kind(), error.report().origin.as_deref()),
        (ErrorKind::Unsupported, Some("limits.payload_groups"))
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("identity.uid_map")), "{error}");
    let weakened = stranger().payload_groups(true).set("compat.prefer=[\"limits.payload_groups\"]").built();
    assert!(weakened.report().degradations.iter().any(|one| one.feature == "limits.payload_groups"));
    let session = weakened.open().expect("it opens");
    assert!(session.command("true").output().expect("it starts, in the session's group").success());
    let error = session.command("true").cpu_time("1s").output().expect_err("it has no group of its own");
    assert_eq!((error.kind(), error.report().origin.as_deref()), (ErrorKind::Unsupported, Some("limits.cpu_time")));
    assert!(error.hint().is_some_and(|hint| hint.contains("identity.uid_map")), "{error}");
}

/// uid 1000 is the sandbox's root, its range is everybody else.
fn ranged() -> pinfold::SandboxBuilder {
    Sandbox::builder()
        .timeout("60s")
        .uid_map([IdMapConfig::new(0, 1000, 1), IdMapConfig::new(1, 200_000, 65535)])
        .gid_map([IdMapConfig::new(0, 1000, 1), IdMapConfig::new(1, 400_000, 65535)])
        .user((0, 0))
        .capability("chown")
        .capability("dac_override")
        .capability("fowner")
        .capability("fsetid")
}

/// What only the sandbox's own ids may see: closed files and directories of another user's, attributes, links of all kinds.
const DEEDS: &str = "set -e; umask 077; mkdir /home/seven; echo secret > /home/seven/file; mkdir -p /home/seven/shut/in
    ln -s file /home/seven/link; ln /home/seven/file /home/seven/twin; mkfifo /home/seven/pipe
    truncate -s 1M /home/seven/sparse; printf end >> /home/seven/sparse; chown -hR 7:8 /home/seven; chmod 4711 /home/seven/twin
    rm -r /data/sub; mkdir /data/sub; chown 9:9 /data/sub; rm /data/file; chown 7 /data/other; cat /data/same > /copy
    cat /copy > /data/same; chmod 000 /home/seven/shut; echo $(id -u)";

/// What it is like inside, of the files of [`DEEDS`].
const LOOK: &str = "cd /; for f in data data/sub data/other data/same $(find home | sort); do stat -c '%n %F %a %u:%g %h' $f; \
    test ! -f $f || sha256sum < $f; test ! -L $f || readlink $f; done; test ! -e /data/file; du -k /home/seven/sparse | cut -f 1";

const DONE: [&str; 12] = [
    "A /copy",
    "D /data/file",
    "m /data/other",
    "R /data/sub",
    "A /home/seven",
    "A /home/seven/file",
    "A /home/seven/link",
    "A /home/seven/pipe",
    "A /home/seven/shut",
    "A /home/seven/shut/in",
    "A /home/seven/sparse",
    "A /home/seven/twin",
];

fn letters(changes: &[pinfold::Change]) -> Vec<String> {
    let letter = |change: &pinfold::Change| match change.change {
        pinfold::ChangeKind::Added => "A",
        pinfold::ChangeKind::Deleted => "D",
        _ if change.replaced => "R",
        _ if change.metadata_only => "m",
        _ => "M",
    };
    changes.iter().map(|change| format!("{} {}", letter(change), change.path.display())).collect()
}

on_changed_host!(changes_of_subordinate_ids_are_listed_committed_and_read, SUBIDS, [1000], |directory: &Path| {
    let base = directory.join("base");
    for name in ["data/sub/deep", "home", "bin"] {
        fs::create_dir_all(base.join(name)).expect("a directory");
    }
    fs::remove_dir(base.join("bin")).expect("empty");
    for name in ["bin", "lib", "lib64", "sbin"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), base.join(name)).expect("a link");
    }
    for name in ["file", "other", "same"] {
        fs::write(base.join("data").join(name), name).expect("a file");
    }
    let over = |layers: &[&Path]| ranged().rootfs(pinfold::Rootfs::layers(layers)).ro_bind("/usr", "/usr");
    for (number, overlay) in
        [pinfold::Overlay::memory("16MiB"), pinfold::Overlay::dir(directory.join("kept"))].into_iter().enumerate()
    {
        let sandbox = over(&[&base]).overlay(overlay).built();
        let (outcome, kept) =
            sandbox.command("sh").args(["-c", &format!("{DEEDS}; {LOOK}")]).output_kept().expect("it runs");
        assert!(outcome.success(), "{}{}", outcome.text(), outcome.stderr_text());
        let (_, seen) =
            outcome.text().split_once('\n').map(|(id, seen)| (id.to_owned(), seen.to_owned())).expect("two parts");
        assert!(seen.contains("home/seven/twin regular file 4711 7:8 2"), "{seen}");
        assert_eq!(letters(outcome.changes().expect("they are listed with the outcome")), DONE);
        assert_eq!(letters(&kept.changes().expect("listed")), DONE);
        // Files, closed to this process and read by it.
        let files = kept.files();
        assert_eq!(files.read("/home/seven/file").expect("read"), b"secret\n");
        let listed = files.list("/home/seven").expect("listed");
        let owners: Vec<_> = listed.iter().map(|entry| (entry.status.uid, entry.status.gid)).collect();
        assert_eq!(owners, [(7, 8); 6], "{listed:?}");
        let stat = files.stat("/home/seven/file").expect("its status");
        assert_eq!((stat.uid, stat.gid, stat.mode), (7, 8, 0o4711));
        let out = directory.join(format!("out{number}"));
        files.copy_out("/home", &out).expect("copied");
        assert_eq!(fs::read(out.join("seven/file")).expect("a copy"), b"secret\n");
        assert!(
            out.join("seven/shut/in")
                .symlink_metadata()
                .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
        );
        fs::set_permissions(out.join("seven/shut"), fs::Permissions::from_mode(0o700)).expect("its owner may");
        assert!(out.join("seven/shut/in").is_dir());
        // The layer has what was seen, owners and all, and stacks.
        let layer = directory.join(format!("layer{number}"));
        kept.commit(&layer).expect("committed");
        assert_eq!(kept.commit(&layer).expect_err("not twice").errno(), Some(libc::ENOTEMPTY));
        assert_eq!(
            std::os::unix::fs::MetadataExt::uid(&fs::metadata(layer.join("home/seven")).expect("there")),
            200_006
        );
        let again = over(&[&layer, &base]).built();
        assert_eq!(sh(&again, LOOK), seen.trim_end());
        // One more on top of it: what is compared below belongs to those ids, too.
        let next = over(&[&layer, &base]).overlay(pinfold::Overlay::memory("16MiB")).built();
        let outcome = run(
            &next,
            &[
                "sh",
                "-c",
                "cat /home/seven/file > /dev/null; touch /home/seven/file; rm /home/seven/twin; echo more >> /home/seven/sparse",
            ],
        );
        assert!(outcome.success(), "{}", outcome.stderr_text());
        assert_eq!(letters(outcome.changes().expect("listed")), ["M /home/seven/sparse", "D /home/seven/twin"]);
        files.remove("/home/seven").expect("removed by the sandbox's ids");
        assert_eq!(files.list("/home").expect("listed").len(), 0);
        drop(kept);
        // What belongs to other ids is removed by them.
        let remover = ranged().bind(directory, "/mine").built();
        assert_eq!(
            sh(
                &remover,
                &format!(
                    "rm -rf /mine/layer{number} /mine/kept /mine/kept.work /mine/out{number}; ls /mine/kept /mine/layer{number} 2>&1 | wc -l"
                )
            ),
            "2"
        );
    }
});

on_changed_host!(a_session_of_subordinate_ids_tells_its_changes, SUBIDS, [1000], |directory: &Path| {
    let session = ranged().overlay(pinfold::Overlay::memory("16MiB")).built().open().expect("opens");
    let run =
        |line: &str| assert!(session.command("sh").args(["-c", line]).output().expect("runs").success(), "{line}");
    run("umask 077; mkdir /job; echo 1 > /job/one; chown -R 33:33 /job");
    assert_eq!(letters(&session.changes().expect("listed")), ["A /job", "A /job/one"]);
    run("rm /job/one; touch /job/two");
    assert_eq!(letters(&session.changes().expect("listed")), ["A /job", "A /job/two"]);
    session.commit(directory.join("layer")).expect("committed");
    let names: Vec<_> =
        session.files().expect("files").list("/job").expect("listed").into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["two"]);
    session.close();
    sh(&ranged().bind(directory, "/mine").built(), "rm -r /mine/layer");
});

on_changed_host!(a_layer_can_not_be_given_to_ids_without_the_callers_own, SUBIDS, [1000], |directory: &Path| {
    let sandbox = Sandbox::builder()
        .uid_map([IdMapConfig::new(0, 200_000, 65536)])
        .gid_map([IdMapConfig::new(0, 400_000, 65536)])
        .user((7, 8))
        .overlay(pinfold::Overlay::memory("16MiB"))
        .built();
    let session = sandbox.open().expect("opens");
    let command =
        session.command("sh").args(["-c", "umask 077; echo 1 > /tmp/x; echo 1 > /home/x"]).user(0, 0).output();
    assert!(command.expect("runs").success());
    // Listed and read, but this process's directory is none that the sandbox's ids may write to.
    assert_eq!(letters(&session.changes().expect("listed")), ["A /home/x"]);
    assert_eq!(session.files().expect("files").read("/home/x").expect("read"), b"1\n");
    let error = session.commit(directory.join("layer")).expect_err("it can't be written");
    assert!(error.hint().is_some_and(|hint| hint.contains("identity.uid_map")), "{error}");
    assert!(!directory.join("layer").exists() && fs::read_dir(directory).expect("listed").count() > 0);
    let left: Vec<_> =
        fs::read_dir(directory).expect("listed").map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("partial")), "{left:?}");
});

on_changed_host!(a_covered_proc_is_refused_with_the_remedy, "mount -t tmpfs tmpfs /proc/fs", [0, 1000], |_: &Path| {
    let error = Sandbox::builder().refused();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("fs"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("systempaths=unconfined")), "{error}");
});

on_changed_host!(
    a_source_on_a_noexec_mount_runs_nothing,
    "mkdir $1/noexec; mount -t tmpfs -o mode=755,noexec,nosuid,nodev tmpfs $1/noexec; cp /bin/true $1/noexec/program",
    [0, 1000],
    |directory: &Path| {
        let open = Mount::bind(directory.join("noexec"), "/data").noexec(false).nosuid(false).nodev(false);
        let sandbox = Sandbox::builder().mount(open).built();
        let error = sandbox.command("/data/program").output().expect_err("it can't be executed");
        assert_eq!((error.kind(), error.errno()), (ErrorKind::NotExecutable, Some(libc::EACCES)), "{error}");
        let mounts = mountinfo(&sandbox);
        let mount = at(&mounts, "/data");
        assert!(mount.has("noexec") && mount.has("nosuid") && mount.has("nodev"), "{mount:?}");
    }
);

on_changed_host!(
    many_mounts_of_the_host_are_not_there,
    "mkdir $1/many; mount -t tmpfs tmpfs $1/many; for i in $(seq 200); do mkdir $1/many/$i; mount -t tmpfs tmpfs $1/many/$i; done",
    [0, 1000],
    |directory: &Path| {
        let sandbox = Sandbox::builder().built();
        let mounts = text(&sandbox, &["cat", "/proc/self/mountinfo"]);
        assert!(mounts.lines().count() < 60, "{mounts}");
        assert!(!mounts.contains("many"), "{mounts}");
        let before = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        drop(sandbox);
        eventually("the host's mounts are what they were", || {
            fs::read_to_string("/proc/self/mountinfo").expect("mountinfo") == before
        });
        assert!(directory.exists());
    }
);
