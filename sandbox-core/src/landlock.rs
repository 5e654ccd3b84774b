//! Owns: which Landlock rights the second wall handles and where it grants them (landlock(7)).
//! Must not: restrict anything itself.
//!
//! The mounts are the first wall: what the payload may not see is not there, what it may not change is read-only.
//! Landlock says the same a second time, by file hierarchy: read and execute everywhere, write only where a mount of
//! the plan is writable. From ABI 6 on it also keeps signals and abstract unix sockets inside the sandbox.

use crate::plan::LandlockRule;
use crate::rootfs::Writable;
use crate::spec::GuestPath;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
/// REMOVE_DIR (bit 4) to MAKE_SYM (bit 12).
const ENTRIES: u64 = 0x1FF0;
/// ABI 2, Linux 5.19.
const REFER: u64 = 1 << 13;
/// ABI 3, Linux 6.2.
const TRUNCATE: u64 = 1 << 14;
/// ABI 5, Linux 6.10.
const IOCTL_DEV: u64 = 1 << 15;
/// ABI 6, Linux 6.12: abstract unix sockets and signals.
const SCOPED: u64 = 3;

/// What may be said of a file, as against a directory.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

/// What the ruleset handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handled {
    pub file_system: u64,
    pub network: u64,
    pub scoped: u64,
}

/// Everything the ABI knows, but network ports, which the network namespace decides.
pub(crate) fn handled(abi: u32) -> Handled {
    let mut file_system = EXECUTE | WRITE_FILE | READ_FILE | READ_DIR | ENTRIES;
    for (since, right) in [(2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)] {
        if abi >= since {
            file_system |= right;
        }
    }
    Handled { file_system, network: 0, scoped: if abi >= 6 { SCOPED } else { 0 } }
}

/// Read and execute everywhere, the rest where the plan mounts something writable.
pub(crate) fn rules(abi: u32, writable: &[Writable]) -> Vec<LandlockRule> {
    let all = handled(abi).file_system;
    let place =
        |path: &std::path::Path, access: u64| GuestPath::new(path).ok().map(|path| LandlockRule { path, access });
    let root = place(std::path::Path::new("/"), EXECUTE | READ_FILE | READ_DIR);
    let others = writable.iter().filter_map(|writable| {
        let mut access = all;
        if !writable.devices {
            access &= !IOCTL_DEV;
        }
        if !writable.directory {
            access &= OF_FILES;
        }
        place(&writable.path, access)
    });
    root.into_iter().chain(others).collect()
}
