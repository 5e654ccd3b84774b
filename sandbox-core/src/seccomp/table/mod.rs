//! Owns: looking up system calls by name and number. Must not: say which are dangerous.

mod aarch64;
mod elsewhere;
mod x86_64;

use super::Arch;

/// The kernel version whose calls are all in the tables.
pub(crate) const LINUX: (u32, u32) = (6, 18);

/// What a name is on one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// This architecture has the call, under this number.
    Number(u32),
    /// Only other architectures have it: nothing to filter here.
    Elsewhere,
    /// No architecture has it, as far as the tables go.
    Unknown,
}

pub(super) fn calls(arch: Arch) -> &'static [(&'static str, u32)] {
    match arch {
        Arch::X86_64 => x86_64::CALLS,
        Arch::Aarch64 => aarch64::CALLS,
    }
}

/// The runs of numbers that name a call, in order.
pub(crate) fn known_ranges(arch: Arch) -> &'static [(u32, u32)] {
    match arch {
        Arch::X86_64 => x86_64::KNOWN,
        Arch::Aarch64 => aarch64::KNOWN,
    }
}

/// Whether a call has this number.
pub(crate) fn is_known(arch: Arch, nr: u32) -> bool {
    known_ranges(arch).iter().any(|&(first, last)| (first..=last).contains(&nr))
}

/// The number of a name.
pub(crate) fn number(arch: Arch, name: &str) -> Option<u32> {
    let calls = calls(arch);
    let at = calls.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    calls.get(at).map(|&(_, nr)| nr)
}

/// The name of a number.
#[cfg(any(test, fuzzing))]
pub(crate) fn name(arch: Arch, nr: u32) -> Option<&'static str> {
    calls(arch).iter().find(|&&(_, known)| known == nr).map(|&(name, _)| name)
}

/// What this name is on `arch`.
pub(crate) fn look_up(arch: Arch, name: &str) -> Lookup {
    match number(arch, name) {
        Some(nr) => Lookup::Number(nr),
        None if elsewhere::NAMES.binary_search(&name).is_ok()
            || [Arch::X86_64, Arch::Aarch64].into_iter().any(|other| number(other, name).is_some()) =>
        {
            Lookup::Elsewhere
        }
        None => Lookup::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_match_their_ranges() {
        assert!(elsewhere::NAMES.is_sorted_by(|a, b| a < b));
        for arch in [Arch::X86_64, Arch::Aarch64] {
            assert!(calls(arch).is_sorted_by(|a, b| a.0 < b.0), "{arch:?}");
            let mut numbers: Vec<u32> = calls(arch).iter().map(|&(_, nr)| nr).collect();
            numbers.sort_unstable();
            let known: Vec<u32> = known_ranges(arch).iter().flat_map(|&(first, last)| first..=last).collect();
            assert_eq!(numbers, known, "{arch:?}: the ranges and the table differ");
            for elsewhere in elsewhere::NAMES {
                assert_eq!(number(arch, elsewhere), None, "{elsewhere} is in the table of {arch:?}");
            }
        }
    }

    #[test]
    fn numbers_agree_with_libc() {
        let native = Arch::native().expect("tests run where there is a table");
        for (name, nr) in [
            ("read", libc::SYS_read),
            ("execve", libc::SYS_execve),
            ("clone", libc::SYS_clone),
            ("clone3", libc::SYS_clone3),
            ("ioctl", libc::SYS_ioctl),
            ("socket", libc::SYS_socket),
            ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
            ("close_range", libc::SYS_close_range),
            ("landlock_restrict_self", libc::SYS_landlock_restrict_self),
            ("mseal", libc::SYS_mseal),
        ] {
            assert_eq!(number(native, name).map(i64::from), Some(nr), "{name}");
        }
    }

    #[test]
    fn the_newest_calls_have_the_same_number_everywhere() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            assert_eq!(number(arch, "statmount"), Some(457));
            assert_eq!(number(arch, "file_setattr"), Some(469));
            assert_eq!(name(arch, 467), Some("open_tree_attr"));
        }
    }

    #[test]
    fn absent_here_is_not_unknown() {
        assert_eq!(look_up(Arch::X86_64, "open"), Lookup::Number(2));
        assert_eq!(look_up(Arch::Aarch64, "open"), Lookup::Elsewhere);
        assert_eq!(look_up(Arch::X86_64, "socketcall"), Lookup::Elsewhere);
        assert_eq!(look_up(Arch::X86_64, "s390_pci_mmio_read"), Lookup::Elsewhere);
        for name in ["_llseek", "chown32", "clock_settime64", "recv", "riscv_hwprobe", "set_tls", "stime", "umount"] {
            assert_eq!(look_up(Arch::X86_64, name), Lookup::Elsewhere, "{name}");
        }
        assert_eq!(look_up(Arch::X86_64, "opne"), Lookup::Unknown);
    }
}
