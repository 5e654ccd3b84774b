//! Owns: who a payload is, inside and outside: maps, ids, groups, names, the owners of files.
//! Must not: edit the host's subordinate ranges.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pinfold::{Error, ErrorKind, IdMapConfig, Mount, Rootfs, Sandbox, SandboxBuilder};
use pinfold_tests::{Leaks, cc, is_root, open_to_all, scratch, skip};

/// Where a root host takes ids from when it has no range of its own.
const FIRST: u32 = 0x6FFF_0000;

fn own() -> (u32, u32) {
    (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
}

fn has_range(file: &str) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| line.starts_with("root:") || line.starts_with("pinfold:"))
}

/// What a shell script says in this sandbox, its lines trimmed to single spaces.
#[track_caller]
fn say(builder: SandboxBuilder, script: &str) -> Vec<String> {
    said(builder.build().expect("a sandbox").command("sh").args(["-c", script]))
}

#[track_caller]
fn said(command: pinfold::Command) -> Vec<String> {
    let outcome = command.output().expect("it runs");
    assert!(outcome.success(), "{} {}", outcome.detail(), outcome.stderr_text());
    outcome.text().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[track_caller]
fn refused(builder: SandboxBuilder, kind: ErrorKind, key: &str) -> Error {
    let error = builder.build().map(drop).expect_err("it is refused");
    assert_eq!((error.kind(), error.report().origin.as_deref()), (kind, Some(key)), "{error}");
    error
}

const IDS: &str = "id -u; id -g; id -G";
const MAPS: &str = "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups";

#[test]
fn by_default_it_is_1000_inside() {
    let _leaks = Leaks::watch();
    assert_eq!(say(Sandbox::builder(), IDS), ["1000", "1000", "1000"]);
    let maps = say(Sandbox::builder(), MAPS);
    if !is_root() {
        let (uid, gid) = own();
        assert_eq!(maps, [format!("1000 {uid} 1"), format!("1000 {gid} 1"), "deny".to_owned()]);
    } else if has_range("/etc/subuid") || has_range("/etc/subgid") {
        assert!(maps.iter().all(|line| line.split(' ').nth(1) != Some("0")), "{maps:?}");
    } else {
        let range = format!("0 {FIRST} 65536");
        assert_eq!(maps, [range.as_str(), &range, "allow"]);
    }
}

#[test]
fn the_report_says_which_ids_stand_behind_it() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().build().expect("a sandbox");
    let map = &sandbox.report().enforced["identity.uid_map"];
    if is_root() && !has_range("/etc/subuid") {
        assert!(map.starts_with(&format!("0-65535 -> {FIRST}-{}", FIRST + 65_535)), "{map}");
    } else if !is_root() {
        assert!(map.contains("the caller's own id"), "{map}");
    }
}

#[test]
fn ids_of_the_config() {
    let _leaks = Leaks::watch();
    assert_eq!(say(Sandbox::builder().user((7, 8)), IDS), ["7", "8", "8"]);
    assert_eq!(say(Sandbox::builder().user((0, 0)), IDS), ["0", "0", "0"]);
    // Above the range, too.
    assert_eq!(say(Sandbox::builder().user((100_000, 4_294_967_294)), IDS), ["100000", "4294967294", "4294967294"]);
    let status = say(Sandbox::builder().user((0, 0)), "grep Cap /proc/self/status");
    assert!(status.iter().all(|line| line.ends_with(" 0000000000000000")), "{status:?}");
}

#[test]
fn supplementary_groups() {
    let _leaks = Leaks::watch();
    let grouped = || Sandbox::builder().groups([44, 100]);
    if is_root() {
        assert_eq!(say(grouped(), IDS), ["1000", "1000", "1000 44 100"]);
    } else {
        let error = refused(grouped(), ErrorKind::Unsupported, "identity.groups");
        assert!(error.hint().is_some_and(|hint| hint.contains("/etc/subgid")), "{error}");
    }
}

#[test]
fn another_user_for_one_call() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().build().expect("a sandbox");
    let ids = |uid, gid| sandbox.command("sh").args(["-c", IDS]).user(uid, gid);
    assert_eq!(said(ids(1000, 1000)), ["1000", "1000", "1000"]);
    if is_root() {
        assert_eq!(said(ids(5, 6)), ["5", "6", "6"]);
        assert_eq!(said(ids(0, 0)), ["0", "0", "0"]);
        let caps = sandbox.command("grep").args(["CapEff", "/proc/self/status"]).user(0, 0);
        assert_eq!(said(caps), ["CapEff: 0000000000000000"]);
    } else {
        let error = ids(5, 6).output().map(drop).expect_err("5 is not mapped");
        assert_eq!(error.kind(), ErrorKind::Config);
        let keys: Vec<&str> = error.report().problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["user.gid", "user.uid"]);
    }
}

#[test]
fn an_explicit_single_map() {
    let _leaks = Leaks::watch();
    let (uid, gid) = if is_root() { (100_000, 100_001) } else { own() };
    let single = |inside| {
        Sandbox::builder()
            .user((inside, inside))
            .uid_map([IdMapConfig::new(inside, uid, 1)])
            .gid_map([IdMapConfig::new(inside, gid, 1)])
    };
    for inside in [0, 1000, 77_777] {
        let maps = say(single(inside), MAPS);
        assert_eq!(maps[..2], [format!("{inside} {uid} 1"), format!("{inside} {gid} 1")]);
        assert_eq!(maps[2], if is_root() { "allow" } else { "deny" });
        assert_eq!(say(single(inside), "id -u"), [inside.to_string()]);
    }
}

#[test]
fn an_explicit_range() {
    let _leaks = Leaks::watch();
    let range = || [IdMapConfig::new(0, 100_000, 1000), IdMapConfig::new(1000, 200_000, 10)];
    let builder = || Sandbox::builder().uid_map(range()).gid_map(range());
    if is_root() {
        let lines = ["0 100000 1000", "1000 200000 10"];
        assert_eq!(say(builder(), MAPS), [lines[0], lines[1], lines[0], lines[1], "allow"]);
        assert_eq!(owner_of_new_file(builder()), (200_000, 200_000));
        assert_eq!(owner_of_new_file(builder().user((5, 6))), (100_005, 100_006));
    } else {
        let error = refused(builder(), ErrorKind::Unsupported, "identity.uid_map[0]");
        assert!(error.hint().is_some_and(|hint| hint.contains("/etc/subuid")), "{error}");
    }
}

/// The owner outside of a file that the payload makes in a writable bind.
#[track_caller]
fn owner_of_new_file(builder: SandboxBuilder) -> (u32, u32) {
    let directory = scratch();
    open_to_all(directory.path(), 0o777);
    said(builder.bind(directory.path(), "/run/out").build().expect("a sandbox").command("touch").arg("/run/out/file"));
    owner(&directory.path().join("file"))
}

fn owner(path: &Path) -> (u32, u32) {
    let meta = fs::metadata(path).expect("a file");
    (meta.uid(), meta.gid())
}

#[test]
fn files_have_the_right_owner_outside() {
    let _leaks = Leaks::watch();
    let got = owner_of_new_file(Sandbox::builder());
    let as_root = owner_of_new_file(Sandbox::builder().user((0, 0)));
    if !is_root() {
        assert_eq!((got, as_root), (own(), own()));
    } else if !has_range("/etc/subuid") && !has_range("/etc/subgid") {
        assert_eq!((got, as_root), ((FIRST + 1000, FIRST + 1000), (FIRST, FIRST)));
    }
    assert!(!is_root() || (got.0 != 0 && as_root.0 != 0));
}

#[test]
fn uid_0_of_the_host_must_be_asked_for() {
    let _leaks = Leaks::watch();
    let zero = || [IdMapConfig::new(0, 0, 1)];
    let mapped = || Sandbox::builder().user((0, 0)).uid_map(zero()).gid_map(zero());
    let error = mapped().build().map(drop).expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::Config);
    let keys: Vec<&str> = error.report().problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["identity.gid_map[0].outside", "identity.uid_map[0].outside"]);
    if is_root() {
        assert_eq!(say(mapped().host_root(true), MAPS), ["0 0 1", "0 0 1", "allow"]);
        assert_eq!(owner_of_new_file(mapped().host_root(true)), (0, 0));
        assert_eq!(say(Sandbox::builder().user((0, 0)).host_root(true), MAPS), ["0 0 1", "0 0 1", "allow"]);
    } else {
        refused(mapped().host_root(true), ErrorKind::Unsupported, "identity.uid_map");
    }
}

#[test]
fn without_a_user_namespace() {
    let _leaks = Leaks::watch();
    let host = || Sandbox::builder().set("namespaces.user=host");
    if !is_root() {
        let error = refused(host(), ErrorKind::Unsupported, "namespaces.user");
        assert!(error.hint().is_some(), "{error}");
        return;
    }
    assert_eq!(say(host(), IDS), ["1000", "1000", "1000"]);
    assert_eq!(owner_of_new_file(host()), (1000, 1000));
    assert_eq!(say(host().groups([44]), "id -G"), ["1000 44"]);
    refused(host().user((0, 1000)), ErrorKind::Config, "identity.uid");
    refused(host().user((1000, 0)), ErrorKind::Config, "identity.gid");
    refused(host().groups([0]), ErrorKind::Config, "identity.groups[0]");
    let root = || host().user((0, 0)).host_root(true);
    assert_eq!(say(root(), IDS), ["0", "0", "0"]);
    assert_eq!(owner_of_new_file(root()), (0, 0));
    let status = say(root(), "grep Cap /proc/self/status");
    assert!(status.iter().all(|line| line.ends_with(" 0000000000000000")), "{status:?}");
    let sandbox = host().build().expect("a sandbox");
    for (uid, gid, key) in [(0, 1000, "user.uid"), (1000, 0, "user.gid")] {
        let error = sandbox.command("true").user(uid, gid).output().map(drop).expect_err("host_root is not given");
        assert_eq!((error.kind(), error.report().origin.as_deref()), (ErrorKind::Config, Some(key)), "{error}");
    }
}

#[test]
fn mounts_with_mapped_ids() {
    let _leaks = Leaks::watch();
    // A tmpfs can be id-mapped since Linux 6.3 only.
    let directory = tempfile::Builder::new().prefix("test-").tempdir_in("/var/tmp").unwrap_or_else(|_| scratch());
    open_to_all(directory.path(), 0o777);
    fs::write(directory.path().join("mine"), "x").expect("a file");
    let mapped = || Sandbox::builder().mount(Mount::bind(directory.path(), "/run/d").idmap(true));
    if !is_root() {
        let error = refused(mapped(), ErrorKind::Unsupported, "mounts[0].idmap");
        assert!(error.hint().is_some(), "{error}");
        return;
    }
    assert_eq!(say(mapped(), "stat -c '%u %g' /run/d/mine"), ["0 0"]);
    say(mapped(), "touch /run/d/theirs");
    assert_eq!(owner(&directory.path().join("theirs")), (1000, 1000), "as inside");
    let plain = Sandbox::builder().bind(directory.path(), "/run/d");
    assert_eq!(say(plain, "stat -c '%u %g' /run/d/mine"), ["65534 65534"]);
}

#[test]
fn root_may_not_read_what_is_not_mapped() {
    let _leaks = Leaks::watch();
    if !is_root() {
        skip!("only root can make files that a payload's ids do not own");
    }
    let directory = scratch();
    fs::write(directory.path().join("secret"), "x").expect("a file");
    open_to_all(&directory.path().join("secret"), 0o600);
    let sandbox = Sandbox::builder().user((0, 0)).ro_bind(directory.path(), "/run/d").build().expect("a sandbox");
    let outcome = sandbox.command("cat").arg("/run/d/secret").output().expect("it runs");
    assert_eq!((outcome.code(), outcome.stdout()), (Some(1), &b""[..]));
    assert!(outcome.stderr_text().contains("Permission denied"), "{}", outcome.stderr_text());
}

#[test]
fn it_has_a_name_in_the_system_root() {
    let _leaks = Leaks::watch();
    assert_eq!(say(Sandbox::builder(), "id -un; id -gn; cd ~ && pwd"), ["sandbox", "sandbox", "/tmp"]);
    assert_eq!(say(Sandbox::builder().user((5, 6)), "id -un; id -gn"), ["sandbox", "sandbox"]);
    assert_eq!(say(Sandbox::builder().user((0, 0)), "id -un; id -gn"), ["root", "root"]);
}

#[test]
fn it_has_a_name_in_a_directory_root() {
    let _leaks = Leaks::watch();
    let show = r#"
        #include <stdio.h>
        int main(int argc, char **argv) {
            char buf[4096];
            for (int i = 1; i < argc; i++) {
                FILE *f = fopen(argv[i], "r");
                if (!f) return 1;
                fwrite(buf, 1, fread(buf, 1, sizeof buf, f), stdout);
            }
            return 0;
        }
    "#;
    let root = scratch();
    for name in ["proc", "dev", "tmp", "run", "etc"] {
        fs::create_dir(root.path().join(name)).expect("a directory");
    }
    fs::copy(cc("show", show), root.path().join("show")).expect("a copy");
    // Without a last newline.
    let (passwd, group) = ("root:x:0:0::/:/bin/sh\nalice:x:5:5::/:/bin/sh", "root:x:0:\nalice:x:5:");
    fs::write(root.path().join("etc/passwd"), passwd).expect("a file");
    fs::write(root.path().join("etc/group"), group).expect("a file");
    let shown = |user: (u32, u32)| {
        let builder = Sandbox::builder().rootfs(Rootfs::dir(root.path())).user(user);
        said(builder.build().expect("a sandbox").command("/show").args(["/etc/passwd", "/etc/group"]))
    };
    assert_eq!(
        shown((1000, 1000)),
        [
            "root:x:0:0::/:/bin/sh",
            "alice:x:5:5::/:/bin/sh",
            "sandbox:x:1000:1000:sandbox:/tmp:/bin/sh",
            "root:x:0:",
            "alice:x:5:",
            "sandbox:x:1000:",
        ]
    );
    // Known already: as it is.
    assert_eq!(shown((5, 5)).join("\n"), format!("{passwd}{group}"));
    assert_eq!(fs::read_to_string(root.path().join("etc/passwd")).expect("a file"), passwd, "the host's is as it was");
}
