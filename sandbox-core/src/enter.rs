//! Owns: from a running process to the config that enters its namespaces, as nsenter(1) does.
//! Must not: start anything, or weaken what a sandbox enforces on its payload.
//! Start at: [`enter`].

use std::path::{Path, PathBuf};

use crate::config::{Join, Namespace, Network, SandboxConfig, TimeNamespace};
use crate::{Error, ErrorKind, Result, Stage};

/// The config of a payload that is to run beside the process `pid`: in all of its namespaces that are not ours already,
/// under its ids. Its root directory is that of the mount namespace, its directory `/`.
///
/// A payload that enters is confined like any other: no capabilities, `no_new_privs`, the default seccomp filter. Where it is
/// to do more, say so (`security.capabilities`, `security.seccomp`). The caller needs what setns(2) asks for: for a sandbox of its
/// own user nothing, else CAP_SYS_ADMIN. A PID namespace that is entered does not end with the payload; its tree is held by a
/// group instead, so that a host without a writable unified cgroup can't enter one ([`Unsupported`](ErrorKind::Unsupported)).
///
/// The namespaces are named by `pid` and opened when a payload is started: keep the process from ending meanwhile.
///
/// # Errors
/// Kind `setup`: there is no such process, or this one may not look at it.
pub fn enter(pid: u32) -> Result<SandboxConfig> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let ours = Path::new("/proc/self");
    let failed = |path: &Path, error: &std::io::Error| {
        let error = Error::new(ErrorKind::Setup, Stage::Probe, format!("cannot enter process {pid}"))
            .with_errno(error.raw_os_error().unwrap_or(libc::EIO))
            .with_subject(path.display().to_string());
        error.with_hint("the process must run, and be this user's or in a user namespace that this user made")
    };
    let namespace = |of: &Path, name: &str| {
        let path = of.join("ns").join(name);
        std::fs::read_link(&path).map_err(|error| failed(&path, &error))
    };
    let other = |name: &str| -> Result<bool> { Ok(namespace(&process, name)? != namespace(ours, name)?) };
    let mode =
        |name: &str| other(name).map(|other| Some(if other { Namespace::join_pid(pid) } else { Namespace::Host }));
    let mut config = SandboxConfig::default();
    let joined_user = other("user")?;
    config.namespaces.user = mode("user")?;
    config.namespaces.pid = mode("pid")?;
    config.namespaces.mount = mode("mnt")?;
    config.namespaces.ipc = mode("ipc")?;
    config.namespaces.uts = mode("uts")?;
    config.namespaces.cgroup = mode("cgroup")?;
    config.namespaces.time =
        Some(if other("time")? { TimeNamespace::Join(Join::Pid(pid)) } else { TimeNamespace::Host });
    config.network = if other("net")? { Network::join_pid(pid) } else { Network::host() };

    let read = |name: &str| {
        let path = process.join(name);
        std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))
    };
    let status = read("status")?;
    let [uid, gid] = [("Uid:", "uid_map"), ("Gid:", "gid_map")].map(|(field, map)| {
        let outside = effective(&status, field);
        read(map).map(|map| outside.map(|outside| (outside, inside(&map, outside))))
    });
    let (uid, gid) = (uid?, gid?);
    config.identity.uid = uid.and_then(|(_, inside)| inside);
    config.identity.gid = gid.and_then(|(_, inside)| inside);
    // Root there is not root here, unless it is.
    let host_root = [uid, gid].iter().flatten().any(|(outside, _)| *outside == 0);
    config.identity.host_root = Some(joined_user && !host_root);
    Ok(config)
}

/// The second number of `Uid:` and `Gid:` in proc_pid_status(5).
fn effective(status: &str, field: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().nth(1)?.parse().ok()
}

/// What an id of ours is inside, by a uid_map as we read it.
fn inside(map: &str, outside: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (Some(Ok(first)), Some(Ok(at)), Some(Ok(count))) = (numbers.next(), numbers.next(), numbers.next()) else {
            return None;
        };
        let offset = outside.checked_sub(at).filter(|offset| *offset < count)?;
        first.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_translated() {
        assert_eq!(effective("Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n", "Uid:"), Some(2));
        assert_eq!(inside("         0     100000      65536\n", 101_000), Some(1000));
        assert_eq!(inside("      1000       1000          1\n", 1000), Some(1000));
        assert_eq!(inside("      1000       1000          1\n", 0), None);
        assert_eq!(inside("", 0), None);
    }

    #[test]
    fn our_own_namespaces_are_kept() {
        let config = enter(std::process::id()).expect("it is there");
        assert_eq!(config.namespaces.user, Some(Namespace::Host));
        assert_eq!(config.identity.host_root, Some(false));
        assert_eq!(enter(u32::MAX).expect_err("there is none").kind(), ErrorKind::Setup);
    }
}
