//! Owns: the kernel's rule for a fresh proc.
//! Must not: do I/O.
//! Start at: [`witness`].

use std::path::Path;

use super::mountinfo::MountEntry;

/// Directories of /proc that are permanently empty below what is mounted on them, so that a mount there hides nothing
/// (`register_sysctl_mount_point`, `proc_create_mount_point` in the kernel).
const EMPTY_BY_NATURE: [&str; 4] = ["sys/fs/binfmt_misc", "fs/nfsd", "openprom", "xen"];

/// What the kernel says to a fresh proc in a new user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Witness {
    /// Paths relative to /proc that keep it from being granted, sorted; empty: it is granted. `.` stands for "there is a
    /// proc and it can't be the witness as a whole" (read-only, or a part of a proc), and for "there is none".
    pub covered: Vec<String>,
    /// The access-time options it must have.
    pub options: Vec<String>,
}

/// The rule (`mnt_already_visible` in the kernel's `fs/namespace.c`): some proc mount of the caller's mount namespace must
/// show its file system's root, be writable, have nothing mounted inside but on permanently empty directories, and have
/// the access-time options of the new one.
pub(super) fn witness(mounts: &[MountEntry]) -> Witness {
    let mut best: Option<Witness> = None;
    for proc in mounts.iter().filter(|mount| mount.fstype == "proc") {
        let found = Witness { covered: covered(proc, mounts), options: access_time(proc) };
        if found == Witness::default() {
            return found;
        }
        // One that would do with its options is better than one that wouldn't; among those that wouldn't, the last one
        // at /proc is the one that people see.
        let better = match &best {
            None => true,
            Some(old) if found.covered.is_empty() => !old.covered.is_empty(),
            Some(old) => !old.covered.is_empty() && proc.mount_point == Path::new("/proc"),
        };
        if better {
            best = Some(found);
        }
    }
    best.unwrap_or_else(|| Witness { covered: vec![".".to_owned()], options: Vec::new() })
}

fn covered(proc: &MountEntry, mounts: &[MountEntry]) -> Vec<String> {
    let mut hidden = Vec::new();
    if proc.read_only || proc.root != Path::new("/") {
        hidden.push(".".to_owned());
    }
    for child in mounts.iter().filter(|mount| mount.parent == proc.id && mount.id != proc.id) {
        let relative = child.mount_point.strip_prefix(&proc.mount_point).unwrap_or(&child.mount_point);
        if !EMPTY_BY_NATURE.iter().any(|empty| relative == Path::new(empty)) {
            hidden.push(match relative.to_string_lossy() {
                name if name.is_empty() => ".".to_owned(),
                name => name.into_owned(),
            });
        }
    }
    hidden.sort();
    hidden.dedup();
    hidden
}

/// In a new user namespace these are locked, and the kernel compares them. `relatime` is what a new mount has by default;
/// `strictatime` is printed as neither of the two others.
fn access_time(proc: &MountEntry) -> Vec<String> {
    let has = |option: &str| proc.options.iter().any(|have| have == option);
    let mut options = Vec::new();
    if has("noatime") {
        options.push("noatime".to_owned());
    } else if !has("relatime") {
        options.push("strictatime".to_owned());
    }
    if has("nodiratime") {
        options.push("nodiratime".to_owned());
    }
    options
}

#[cfg(test)]
mod tests {
    use super::super::mountinfo;
    use super::*;

    fn covered_in(text: &str) -> Vec<String> {
        witness(&mountinfo::parse(text.as_bytes())).covered
    }

    const PLAIN: &str = "27 1 254:0 / / rw - ext4 /dev/vda rw\n22 27 0:21 / /proc rw,relatime - proc proc rw\n";

    #[test]
    fn a_plain_host_is_not_covered() {
        assert!(covered_in(PLAIN).is_empty());
    }

    #[test]
    fn systemd_s_binfmt_misc_hides_nothing() {
        let text = format!(
            "{PLAIN}30 22 0:30 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n31 30 0:31 / /proc/sys/fs/binfmt_misc rw - binfmt_misc binfmt_misc rw\n"
        );
        assert!(covered_in(&text).is_empty());
    }

    #[test]
    fn docker_covers_proc() {
        let docker = "\
            600 500 0:50 / / rw - overlay overlay rw\n\
            601 600 0:60 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n\
            602 601 0:60 /bus /proc/bus ro,nosuid - proc proc rw\n\
            603 601 0:60 /sysrq-trigger /proc/sysrq-trigger ro - proc proc rw\n\
            604 601 0:65 / /proc/acpi ro - tmpfs tmpfs ro\n\
            605 601 0:62 /null /proc/kcore rw,nosuid - tmpfs tmpfs rw\n";
        assert_eq!(covered_in(docker), ["acpi", "bus", "kcore", "sysrq-trigger"]);
    }

    #[test]
    fn a_second_whole_proc_anywhere_is_enough() {
        let text = format!(
            "{PLAIN}30 22 0:30 / /proc/kcore rw - tmpfs t rw\n31 27 0:40 / /mnt/proc rw,relatime - proc proc rw\n"
        );
        assert!(covered_in(&text).is_empty());
    }

    #[test]
    fn a_proc_over_a_proc_leaves_the_upper_as_witness() {
        let text = format!("{PLAIN}30 22 0:30 / /proc rw,relatime - proc proc rw\n");
        assert!(covered_in(&text).is_empty());
    }

    #[test]
    fn a_read_only_a_partial_and_no_proc_are_no_witness() {
        assert_eq!(covered_in("22 1 0:21 / /proc ro - proc proc rw\n"), ["."]);
        assert_eq!(covered_in("22 1 0:21 /sys /mnt rw - proc proc rw\n"), ["."]);
        assert_eq!(covered_in(""), ["."]);
    }

    #[test]
    fn access_time_options_must_be_repeated() {
        for (options, wanted) in [
            ("rw,nosuid,relatime", vec![]),
            ("rw,noatime", vec!["noatime"]),
            ("rw", vec!["strictatime"]),
            ("rw,nodiratime,relatime", vec!["nodiratime"]),
        ] {
            let text = format!("22 1 0:21 / /proc {options} - proc proc rw\n");
            let found = witness(&mountinfo::parse(text.as_bytes()));
            assert_eq!((found.covered.len(), found.options), (0, wanted.iter().map(|&o| o.to_owned()).collect()));
        }
        let two = "22 1 0:21 / /proc rw,noatime - proc proc rw\n23 1 0:22 / /mnt rw,relatime - proc proc rw\n";
        assert_eq!(witness(&mountinfo::parse(two.as_bytes())), Witness::default());
    }
}
