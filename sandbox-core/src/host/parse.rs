//! Owns: pure parsers of the small text files the probe reads.
//! Must not: do I/O, panic, or allocate in proportion to anything but the text.
//! Each takes bytes, because /proc and /etc promise no encoding, and gives what it could read.

/// `6.18.44-fc-v595` -> (6, 18). Source: uname(2).
pub(super) fn kernel_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.trim().splitn(3, '.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?;
    let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    Some((major, minor.get(..digits)?.parse().ok()?))
}

/// What `/proc/thread-self/status` says about this thread's credentials (proc_pid_status(5)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub uid: u32,
    pub euid: u32,
    pub egid: u32,
    pub capabilities: u64,
    pub no_new_privs: bool,
    pub seccomp: u8,
}

/// None without the two lines that every kernel writes (`Uid`, `Gid`).
pub(super) fn status(text: &[u8]) -> Option<Status> {
    let mut found = Status::default();
    let (mut uids, mut gids) = (false, false);
    for line in lines(text) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let mut fields = value.split_ascii_whitespace();
        match key {
            "Uid" => {
                found.uid = fields.next()?.parse().ok()?;
                found.euid = fields.next()?.parse().ok()?;
                uids = true;
            }
            "Gid" => {
                found.egid = fields.nth(1)?.parse().ok()?;
                gids = true;
            }
            "CapEff" => found.capabilities = u64::from_str_radix(fields.next()?, 16).ok()?,
            "NoNewPrivs" => found.no_new_privs = fields.next() == Some("1"),
            "Seccomp" => found.seccomp = fields.next().and_then(|v| v.parse().ok()).unwrap_or(0),
            _ => {}
        }
    }
    (uids && gids).then_some(found)
}

/// `/proc/self/uid_map`: lines of (inside, outside, count). Source: user_namespaces(7).
pub(super) fn id_map(text: &[u8]) -> Vec<(u32, u32, u32)> {
    lines(text)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().map(|f| f.parse().ok());
            let range = (fields.next()??, fields.next()??, fields.next()??);
            (range.2 > 0).then_some(range)
        })
        .collect()
}

/// The ranges that `/etc/subuid` or `/etc/subgid` gives to any of `names`, in the order of the file. Source: subuid(5).
pub(super) fn subids(text: &[u8], names: &[&str]) -> Vec<(u32, u32)> {
    lines(text)
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            if !names.contains(&owner) {
                return None;
            }
            let first: u32 = fields.next()?.parse().ok()?;
            let count: u32 = fields.next()?.parse().ok()?;
            // A range past the last id (4294967295 means "no id") is nonsense: shadow ignores it too.
            (count > 0 && first.checked_add(count).is_some()).then_some((first, count))
        })
        .collect()
}

/// The login name of `uid` in the text of `/etc/passwd`. Source: passwd(5).
pub(super) fn passwd_name(text: &[u8], uid: u32) -> Option<String> {
    lines(text).find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id: u32 = fields.nth(1)?.parse().ok()?;
        (id == uid && !name.is_empty()).then(|| name.to_owned())
    })
}

/// This process's group in the unified hierarchy, from `/proc/self/cgroup` (`0::/user.slice`). Source: cgroups(7).
pub(super) fn unified_group(text: &[u8]) -> Option<String> {
    lines(text).find_map(|line| line.strip_prefix("0::").map(str::to_owned)).filter(|group| group.starts_with('/'))
}

/// This process's group in the v1 hierarchy of a controller (`4:memory:/job`, `2:cpu,cpuacct:/`). Source: cgroups(7).
pub(super) fn v1_group(text: &[u8], controller: &str) -> Option<String> {
    lines(text).find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        (controllers.split(',').any(|name| name == controller) && group.starts_with('/')).then(|| group.to_owned())
    })
}

/// The names in `/proc/filesystems`, with or without a device.
pub(super) fn filesystems(text: &[u8]) -> Vec<String> {
    lines(text).filter_map(|line| line.split_ascii_whitespace().next_back()).map(str::to_owned).collect()
}

/// Words between white space or commas (`lsm`, `cgroup.controllers`, `actions_avail`).
pub(super) fn words(text: &[u8]) -> Vec<String> {
    lines(text)
        .flat_map(|line| line.split(|c: char| c == ',' || c.is_ascii_whitespace()))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A file that holds one number.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// Lines that are text; a line that is not is skipped without hiding the others.
fn lines(text: &[u8]) -> impl Iterator<Item = &str> {
    text.split(|&b| b == b'\n').filter_map(|line| std::str::from_utf8(line).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn kernel_releases() {
        for (text, wanted) in [
            ("6.18.44-fc-v595", Some((6, 18))),
            ("5.14.0-427.13.1.el9_4.x86_64\n", Some((5, 14))),
            ("6.1-rc3", Some((6, 1))),
            ("7.0", Some((7, 0))),
            ("6", None),
            ("", None),
            ("6.x", None),
            ("99999999999.1", None),
        ] {
            assert_eq!(kernel_release(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn status_of_a_thread() {
        let text = b"Name:\t\xff\nUid:\t1000\t1001\t1000\t1000\nGid:\t100\t101\t100\t100\nCapEff:\t000001fffeffffff\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(
            status(text),
            Some(Status {
                uid: 1000,
                euid: 1001,
                egid: 101,
                capabilities: 0x1ff_feff_ffff,
                no_new_privs: true,
                seccomp: 2
            })
        );
        assert_eq!(status(b"Uid:\t1 2 3 4\n"), None);
        assert_eq!(status(b""), None);
    }

    #[test]
    fn id_maps_with_the_kernels_padding() {
        assert_eq!(id_map(b"         0          0 4294967295\n"), [(0, 0, u32::MAX)]);
        assert_eq!(id_map(b"0 1000 1\n1 100000 65536\nx\n5 5 0\n"), [(0, 1000, 1), (1, 100_000, 65536)]);
    }

    #[test]
    fn subids_are_taken_by_name_and_by_number_and_only_whole() {
        let text =
            b"alice:100000:65536\n1000:300000:10\nbob:1:1\nalice:4294967290:100\nalice:5:0\nalice:7\n# alice:1:1\n";
        assert_eq!(subids(text, &["alice", "1000"]), [(100_000, 65536), (300_000, 10)]);
        assert_eq!(subids(text, &["al"]), []);
    }

    #[test]
    fn login_names() {
        let text = b"root:x:0:0::/root:/bin/sh\n:x:5:5::/:\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(passwd_name(text, 1000).as_deref(), Some("alice"));
        assert_eq!(passwd_name(text, 5), None);
        assert_eq!(passwd_name(text, 7), None);
    }

    #[test]
    fn own_group_is_the_line_of_the_unified_hierarchy() {
        assert_eq!(unified_group(b"4:memory:/a\n0::/user.slice\n").as_deref(), Some("/user.slice"));
        assert_eq!(unified_group(b"4:memory:/a\n"), None);
        assert_eq!(unified_group(b"0::\n"), None);
    }

    #[test]
    fn lists_of_words() {
        assert_eq!(words(b"capability,landlock,yama\n"), ["capability", "landlock", "yama"]);
        assert_eq!(words(b"cpuset cpu\tio\n"), ["cpuset", "cpu", "io"]);
        assert_eq!(filesystems(b"nodev\toverlay\n\text4\n"), ["overlay", "ext4"]);
        let groups = b"4:memory:/job\n2:cpu,cpuacct:/a/b\n0::/\n";
        assert_eq!(v1_group(groups, "memory").as_deref(), Some("/job"));
        assert_eq!(v1_group(groups, "cpuacct").as_deref(), Some("/a/b"));
        assert_eq!(v1_group(groups, "pids"), None);
        assert_eq!(number(b" 42\n"), Some(42));
        assert_eq!(number(b"4 2"), None);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            status(&text);
            id_map(&text);
            subids(&text, &["a", ""]);
            passwd_name(&text, 0);
            unified_group(&text);
            v1_group(&text, "memory");
            filesystems(&text);
            words(&text);
            number(&text);
            kernel_release(&String::from_utf8_lossy(&text));
        }

        #[test]
        fn hostile_text_never_panics(text in r"(Uid|Gid|CapEff|0:|a|[0-9]{1,12}|[: \t\n.]){0,60}") {
            let bytes = text.as_bytes();
            status(bytes);
            id_map(bytes);
            subids(bytes, &["a", ""]);
            passwd_name(bytes, 0);
            unified_group(bytes);
            v1_group(bytes, "a");
            kernel_release(&text);
        }

        #[test]
        fn what_the_kernel_writes_is_read_back(map in proptest::collection::vec((any::<u32>(), any::<u32>(), 1..u32::MAX), 0..20)) {
            let text: String = map.iter().map(|(i, o, c)| format!("{i:>10} {o:>10} {c:>10}\n")).collect();
            prop_assert_eq!(id_map(text.as_bytes()), map);
        }
    }
}
