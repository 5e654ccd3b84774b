//! Owns: bpf(2), for programs that decide on devices.  Must not: know what they decide.
//!
//! Source: bpf(2) and `union bpf_attr` of `<linux/bpf.h>`. All of it is older than Linux 5.14.

#![allow(unsafe_code)]
#![cfg_attr(not(feature = "cgroups"), allow(dead_code, reason = "a build without groups only asks"))]

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::{new_fd, result};

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub code: u8,
    /// Destination in the low half, source in the high half; the other way round on big-endian machines.
    pub registers: u8,
    pub offset: i16,
    pub immediate: i32,
}

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_QUERY: libc::c_int = 16;
const PROG_TYPE_CGROUP_DEVICE: u64 = 15;
const CGROUP_DEVICE: u64 = 6;
/// Beside programs of groups above and below; each of them must allow.
const ALLOW_MULTI: u64 = 2;

/// `union bpf_attr`, and room for what later kernels write behind the fields that we know; zero is what they take for absent.
type Attr = [u64; 32];

/// Two 32-bit fields of a `union bpf_attr`, in their order in memory.
const fn pair(first: u64, second: u64) -> u64 {
    if cfg!(target_endian = "little") { first | second << 32 } else { first << 32 | second }
}

fn number(fd: BorrowedFd<'_>) -> u64 {
    fd.as_raw_fd().unsigned_abs().into()
}

/// `BPF_PROG_LOAD` of a program that decides on devices.
pub(crate) fn load_device_program(program: &[Instruction]) -> nix::Result<OwnedFd> {
    let license = c"MIT";
    let mut attr: Attr = [0; 32];
    attr[0] = pair(PROG_TYPE_CGROUP_DEVICE, program.len() as u64);
    attr[1] = program.as_ptr() as u64;
    attr[2] = license.as_ptr() as u64;
    // SAFETY: `attr` is as large as is said; it points to as many whole instructions as it says, and to a text with its NUL;
    // both are borrowed for the call and only read.
    new_fd(unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, attr.as_mut_ptr(), size_of::<Attr>()) })
}

/// `BPF_PROG_ATTACH` to a group of the unified hierarchy, for as long as the group is there.
pub(crate) fn attach_device_program(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> nix::Result<()> {
    let mut attr: Attr = [0; 32];
    attr[0] = pair(number(group), number(program));
    attr[1] = pair(CGROUP_DEVICE, ALLOW_MULTI);
    // SAFETY: `attr` is as large as is said, and points to nothing.
    result(unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, attr.as_mut_ptr(), size_of::<Attr>()) }).map(drop)
}

/// `BPF_PROG_QUERY`: how many such programs a group has of its own. Needs CAP_NET_ADMIN in the initial user namespace.
pub(crate) fn device_programs(group: BorrowedFd<'_>) -> nix::Result<u32> {
    let mut attr: Attr = [0; 32];
    attr[0] = pair(number(group), CGROUP_DEVICE);
    // SAFETY: `attr` is as large as is said, and has room for what the kernel writes into it; it points to nothing.
    result(unsafe { libc::syscall(libc::SYS_bpf, PROG_QUERY, attr.as_mut_ptr(), size_of::<Attr>()) })?;
    let count = if cfg!(target_endian = "little") { attr[3] } else { attr[3] >> 32 };
    Ok(count as u32)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::errno::Errno;

    use super::*;

    #[test]
    fn what_is_no_program_and_no_group_is_refused() {
        // EPERM: this user may not even ask.
        let refused =
            |errno| matches!(errno, Errno::E2BIG | Errno::EINVAL | Errno::EBADF | Errno::EPERM | Errno::ENOSYS);
        let file = std::fs::File::open("/proc/self/exe").expect("a file");
        let answers = [
            load_device_program(&[]).expect_err("no instruction"),
            device_programs(file.as_fd()).expect_err("no group"),
            attach_device_program(file.as_fd(), file.as_fd()).expect_err("neither"),
        ];
        assert!(answers.into_iter().all(refused), "{answers:?}");
    }
}
