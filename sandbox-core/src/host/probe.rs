//! Owns: reading the files and asking the few system calls that [`HostCaps`] is made of.
//! Must not: interpret text (the parsers do), start, mount, create or change anything.
//! Start at: [`probe`].

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Uid, User, eaccess};

use super::{HostCaps, SystemPath, cap, cgroups, mountinfo, parse, procfs, system_root};
use crate::masks::{MASKED_PROC_PATHS, READONLY_PROC_PATHS};
use crate::{Error, ErrorKind, Result, Stage};

/// No file is read further than this; /proc/self/mountinfo of a host with 10,000 mounts is a tenth of it.
const LONGEST: u64 = 16 << 20;

/// Where distributions install the shadow tools. PATH is not asked: it is the caller's, and these get privileges.
const HELPER_DIRS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"];

pub(super) fn probe() -> Result<HostCaps> {
    let status = read("/proc/thread-self/status").as_deref().and_then(parse::status).ok_or_else(no_proc)?;
    let release = text("/proc/sys/kernel/osrelease").ok_or_else(no_proc)?;
    let kernel = parse::kernel_release(&release).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, Stage::Probe, format!("the kernel release {release:?} is not a version"))
    })?;
    let mounts = mountinfo::parse(&read("/proc/self/mountinfo").ok_or_else(no_proc)?);
    let witness = procfs::witness(&mounts);
    let uid_map = list("/proc/self/uid_map", parse::id_map);
    let user = login_name(status.uid);
    let privileged = status.capabilities & (1 << cap::SYS_ADMIN) != 0 && uid_map == [(0, 0, u32::MAX)];

    Ok(HostCaps {
        kernel,
        release,
        // Since 6.1; before that, what this library was built for.
        machine: text("/proc/sys/kernel/arch").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        euid: status.euid,
        egid: status.egid,
        capabilities: status.capabilities,
        no_new_privs: status.no_new_privs,
        seccomp_mode: status.seccomp,
        seccomp_actions: list("/proc/sys/kernel/seccomp/actions_avail", parse::words),
        container: container(),
        // A mount that is not below our root is not listed, so neither is the root of a chroot into a plain directory.
        chrooted: !mounts.iter().any(|mount| mount.mount_point == Path::new("/")),
        cap_last: number("/proc/sys/kernel/cap_last_cap").unwrap_or(40),
        gid_map: list("/proc/self/gid_map", parse::id_map),
        setgroups_allowed: text("/proc/self/setgroups").is_none_or(|word| word == "allow"),
        namespaces: namespaces(),
        max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
        max_namespaces: ["cgroup", "ipc", "mnt", "net", "pid", "time", "uts"]
            .iter()
            .filter_map(|kind| Some(((*kind).to_owned(), number(&format!("/proc/sys/user/max_{kind}_namespaces"))?)))
            .collect(),
        unprivileged_userns_clone: number::<u8>("/proc/sys/kernel/unprivileged_userns_clone").map(|v| v != 0),
        apparmor_restrict_userns: number::<u8>("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
            .map(|v| v != 0),
        lsms: list("/sys/kernel/security/lsm", parse::words),
        filesystems: list("/proc/filesystems", parse::filesystems),
        landlock_abi: crate::sys::landlock_abi(),
        memfd_noexec: number("/proc/sys/vm/memfd_noexec"),
        suid_dumpable: number("/proc/sys/fs/suid_dumpable").unwrap_or(0),
        subuid: subids("/etc/subuid", status.uid, user.as_deref()),
        subgid: subids("/etc/subgid", status.uid, user.as_deref()),
        user,
        newuidmap: helper("newuidmap"),
        newgidmap: helper("newgidmap"),
        proc_covered: witness.covered,
        proc_options: witness.options,
        proc_paths: proc_paths(),
        system_paths: system_paths(),
        clone_detached_tree: kernel >= (6, 15) && privileged,
        cgroups: cgroups::probe(&mounts),
        cpus: online_cpus(),
        uid_map,
    })
}

fn no_proc() -> Error {
    Error::new(ErrorKind::Unsupported, Stage::Probe, "the facts about this host can't be read from /proc")
        .with_subject("/proc")
        .with_hint("mount a proc file system of this PID namespace at /proc: mount -t proc proc /proc")
}

/// The bytes of a file; None if it can't be read. A fact that can't be read is absent, never guessed.
pub(super) fn read(path: impl AsRef<Path>) -> Option<Vec<u8>> {
    // One read and one end-of-file for nearly every file here: files of /proc have no size to go by.
    let mut bytes = Vec::with_capacity(8192);
    File::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

pub(super) fn text(path: impl AsRef<Path>) -> Option<String> {
    let bytes = read(path)?;
    let text = std::str::from_utf8(&bytes).ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn number<T: TryFrom<u64>>(path: &str) -> Option<T> {
    parse::number(&read(path)?)?.try_into().ok()
}

pub(super) fn list<T>(path: impl AsRef<Path>, parser: fn(&[u8]) -> Vec<T>) -> Vec<T> {
    read(path).map(|bytes| parser(&bytes)).unwrap_or_default()
}

fn namespaces() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc/self/ns") else { return Vec::new() };
    let mut kinds: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|kind| !kind.ends_with("_for_children"))
        .collect();
    kinds.sort();
    kinds
}

/// At least 1.
fn online_cpus() -> u32 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN)
        .ok()
        .flatten()
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(1)
        .max(1)
}

fn container() -> Option<String> {
    [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")]
        .iter()
        .find(|(marker, _)| Path::new(marker).exists())
        .map(|(_, engine)| (*engine).to_owned())
}

/// /etc/passwd first: a name service may take milliseconds to answer, and most users are in the file.
fn login_name(uid: u32) -> Option<String> {
    read("/etc/passwd")
        .and_then(|bytes| parse::passwd_name(&bytes, uid))
        .or_else(|| User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name))
}

/// By login name and by number; root uses what was set aside for us (`pinfold`), then its own.
fn subids(path: &str, uid: u32, user: Option<&str>) -> Vec<(u32, u32)> {
    let Some(bytes) = read(path) else { return Vec::new() };
    if uid == 0 {
        let mut ranges = parse::subids(&bytes, &["pinfold"]);
        ranges.extend(parse::subids(&bytes, &["root", "0"]));
        return ranges;
    }
    let number = uid.to_string();
    parse::subids(&bytes, &[user.unwrap_or(&number), &number])
}

fn helper(name: &str) -> Option<PathBuf> {
    HELPER_DIRS.iter().map(|dir| Path::new(dir).join(name)).find(|path| eaccess(path, AccessFlags::X_OK).is_ok())
}

fn proc_paths() -> BTreeMap<String, bool> {
    MASKED_PROC_PATHS
        .iter()
        .chain(&READONLY_PROC_PATHS)
        .filter_map(|path| {
            let meta = fs::symlink_metadata(Path::new("/proc").join(path)).ok()?;
            Some(((*path).to_owned(), meta.is_dir()))
        })
        .collect()
}

fn system_paths() -> BTreeMap<PathBuf, SystemPath> {
    system_root::SYSTEM_PATHS
        .iter()
        .map(Path::new)
        .filter_map(|path| Some((path.to_path_buf(), system_path(path)?)))
        .collect()
}

/// None for what is missing, dangling, or neither a directory nor a file.
fn system_path(path: &Path) -> Option<SystemPath> {
    let meta = fs::symlink_metadata(path).ok()?;
    if meta.is_symlink() {
        let text = fs::read_link(path).ok()?;
        // Host facts are JSON too: a link text that isn't UTF-8 is followed instead.
        if text.to_str().is_some() && system_root::stays_inside(path, &text) {
            return Some(SystemPath::Symlink(text));
        }
    }
    let meta = fs::metadata(path).ok()?;
    if meta.is_dir() {
        Some(SystemPath::Directory)
    } else if meta.is_file() {
        Some(SystemPath::File)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_can_be_probed_and_agrees_with_the_system_calls() {
        let host = HostCaps::probe().expect("a host with /proc");
        assert_eq!(host.euid, nix::unistd::geteuid().as_raw());
        assert_eq!(host.egid, nix::unistd::getegid().as_raw());
        assert!(host.kernel_at_least(5, 14));
        assert!(host.has_namespace("user") && host.has_namespace("mnt"), "{:?}", host.namespaces);
        assert!(!host.uid_map.is_empty());
        assert!(host.system_paths.contains_key(Path::new("/usr")));
        assert!(host.proc_paths.get("sys").copied().unwrap_or(false));
    }

    #[test]
    fn facts_survive_json() {
        let host = HostCaps::probe().expect("a host with /proc");
        let text = serde_json::to_string(&host).expect("plain data");
        assert_eq!(serde_json::from_str::<HostCaps>(&text).expect("the same"), host);
    }
}
