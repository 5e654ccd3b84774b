//! Owns: the mounts that every sandbox has unless the config puts something else there.  Must not: order the rest.

use std::path::{Path, PathBuf};

use crate::masks::{MASKED_PROC_PATHS, READONLY_PROC_PATHS};
use crate::settle::Settled;
use crate::spec::{GuestPath, Identity, Mount, MountKind, Namespace, RootKind};

use super::facts::Facts;

const MIB: u64 = 1 << 20;

/// The defaults that are not replaced, then the mounts of the config in their order; without those that were skipped.
pub(super) fn with_defaults(settled: &Settled, facts: &Facts) -> Vec<Mount> {
    let spec = &settled.spec;
    let mut mounts = Vec::new();
    let mut add = |target: &str, kind: MountKind, noexec: bool| {
        let Ok(target) = GuestPath::new(Path::new(target)) else { return };
        // Something of the user's at the target or above it comes instead.
        if spec.mounts.iter().any(|mount| target.as_path().starts_with(mount.target.as_path())) {
            return;
        }
        mounts.push(Mount {
            origin: "default".to_owned(),
            read_only: matches!(kind, MountKind::File { .. }),
            kind,
            target,
            nosuid: true,
            nodev: true,
            noexec,
            propagation: None,
            optional: false,
            idmap: false,
        });
    };
    let below = |name: &&str| GuestPath::new(&Path::new("/proc").join(name)).ok();
    add(
        "/proc",
        MountKind::Proc {
            masked: MASKED_PROC_PATHS.iter().filter_map(below).collect(),
            readonly: READONLY_PROC_PATHS.iter().filter_map(below).collect(),
        },
        true,
    );
    add("/dev", MountKind::Dev, true);
    add("/dev/pts", MountKind::Devpts, true);
    add("/dev/shm", tmpfs(64 * MIB, 0o1777), true);
    if spec.namespaces.ipc == Namespace::New {
        add("/dev/mqueue", MountKind::Mqueue, true);
    }
    add("/tmp", tmpfs(256 * MIB, 0o1777), false);
    add("/run", tmpfs(16 * MIB, 0o755), true);
    let identity = &spec.identity;
    let users = [
        ("/etc/passwd", &facts.passwd, identity.uid, passwd_line(identity)),
        ("/etc/group", &facts.group, identity.gid, group_line(identity)),
    ];
    for (target, present, id, line) in users {
        if let Some(content) = present.as_deref().and_then(|present| completed(present, id, &line)) {
            add(target, MountKind::File { content, mode: 0o644 }, true);
        }
    }
    mounts.extend(
        spec.mounts.iter().filter(|mount| !facts.skipped.iter().any(|(origin, _)| *origin == mount.origin)).cloned(),
    );
    mounts.extend(masks_of_sys(settled, facts));
    mounts
}

/// What is hidden of every sysfs: one of our own, and the host's in the `host` root.
fn masks_of_sys(settled: &Settled, facts: &Facts) -> Vec<Mount> {
    let spec = &settled.spec;
    let given = |path: &Path| spec.mounts.iter().any(|mount| path.starts_with(mount.target.as_path()));
    let mut roots: Vec<&Path> = Vec::new();
    roots.extend(spec.mounts.iter().filter(|mount| mount.kind == MountKind::Sysfs).map(|mount| mount.target.as_path()));
    roots.extend(Some(Path::new("/sys")).filter(|sys| spec.rootfs.kind == RootKind::Host && !given(sys)));
    let masked = roots.into_iter().flat_map(|root| {
        let below = facts.masked_sys.iter().filter_map(|path| path.strip_prefix("/sys").ok());
        below.map(|path| root.join(path)).collect::<Vec<_>>()
    });
    let mine = |path: &PathBuf| !spec.mounts.iter().any(|mount| mount.target.as_path().starts_with(path));
    let mask = |target| Mount {
        origin: "default".to_owned(),
        kind: MountKind::Tmpfs { size: 4096, inodes: 1, mode: 0o555 },
        target,
        read_only: true,
        nosuid: true,
        nodev: true,
        noexec: true,
        propagation: None,
        optional: false,
        idmap: false,
    };
    masked.filter(mine).filter_map(|path| GuestPath::new(&path).ok()).map(mask).collect()
}

fn tmpfs(size: u64, mode: u32) -> MountKind {
    // About one inode per 16 KiB, as many as a tmpfs of that size would get by default from RAM of four times the size.
    MountKind::Tmpfs { size, inodes: (size >> 14).max(1024), mode }
}

/// passwd(5) of a root that has none: root, the payload's user, nobody.
pub(super) fn passwd(identity: &Identity) -> String {
    let mut text = String::from("root:x:0:0:root:/root:/usr/sbin/nologin\n");
    if identity.uid != 0 {
        text.push_str(&passwd_line(identity));
    }
    text.push_str("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
    text
}

fn passwd_line(identity: &Identity) -> String {
    format!("sandbox:x:{}:{}:sandbox:/tmp:/bin/sh\n", identity.uid, identity.gid)
}

/// group(5), likewise.
pub(super) fn group(identity: &Identity) -> String {
    let mut text = String::from("root:x:0:\n");
    if identity.gid != 0 {
        text.push_str(&group_line(identity));
    }
    text.push_str("nogroup:x:65534:\n");
    text
}

fn group_line(identity: &Identity) -> String {
    format!("sandbox:x:{}:\n", identity.gid)
}

/// The file of a directory root with the payload's line added; None where its id is known already.
fn completed(present: &[u8], id: u32, line: &str) -> Option<Vec<u8>> {
    let id = id.to_string();
    let known = present
        .split(|&byte| byte == b'\n')
        .any(|entry| entry.split(|&byte| byte == b':').nth(2).is_some_and(|field| field == id.as_bytes()));
    if known {
        return None;
    }
    let mut content = present.to_vec();
    if !content.is_empty() && !content.ends_with(b"\n") {
        content.push(b'\n');
    }
    content.extend_from_slice(line.as_bytes());
    Some(content)
}
