//! Owns: every `unsafe` block of the host side: the system calls that nix does not wrap.
//! Must not: contain logic. One call per function, safe signatures, the kernel's errno as it is.
//!
//! # Safety
//! This directory is the only place of the library that re-allows `unsafe_code`. Every function takes borrowed fds and
//! NUL-terminated strings, so that no caller can hand in a closed number or a wild pointer.
#![allow(unsafe_code)]

mod birth;
mod bpf;
mod landlock;
pub(crate) mod xattr;

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

pub(crate) use birth::{Program, start};
pub(crate) use bpf::device_programs;
#[cfg(feature = "cgroups")]
pub(crate) use bpf::{Instruction, attach_device_program, load_device_program};
pub(crate) use landlock::landlock_abi;

/// `struct mount_attr` of mount_setattr(2), since Linux 5.12.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MountAttr {
    pub set: u64,
    pub clear: u64,
    pub propagation: u64,
    pub userns_fd: u64,
}

pub(crate) const MOUNT_ATTR_RDONLY: u64 = 0x1;
pub(crate) const MOUNT_ATTR_NOSUID: u64 = 0x2;
pub(crate) const MOUNT_ATTR_NODEV: u64 = 0x4;
pub(crate) const MOUNT_ATTR_NOEXEC: u64 = 0x8;
pub(crate) const MOUNT_ATTR_NOATIME: u64 = 0x10;
pub(crate) const MOUNT_ATTR_STRICTATIME: u64 = 0x20;
pub(crate) const MOUNT_ATTR_NODIRATIME: u64 = 0x80;
pub(crate) const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

pub(crate) const OPEN_TREE_CLONE: u32 = 1;
pub(crate) const AT_RECURSIVE: u32 = 0x8000;
pub(crate) const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x4;
pub(crate) const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
pub(crate) const FSOPEN_CLOEXEC: u32 = 1;
pub(crate) const FSMOUNT_CLOEXEC: u32 = 1;
pub(crate) const FSCONFIG_SET_FLAG: u32 = 0;
pub(crate) const FSCONFIG_SET_STRING: u32 = 1;
pub(crate) const FSCONFIG_CMD_CREATE: u32 = 6;
pub(crate) const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
pub(crate) const RESOLVE_IN_ROOT: u64 = 0x10;

fn result(value: libc::c_long) -> nix::Result<libc::c_long> {
    Errno::result(value)
}

fn new_fd(value: libc::c_long) -> nix::Result<OwnedFd> {
    let fd = result(value)?;
    // SAFETY: the kernel has just returned this number as a new fd, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// `open_tree(dir, path, flags)`, close-on-exec. Since Linux 5.2.
pub(crate) fn open_tree(dir: BorrowedFd<'_>, path: &CStr, flags: u32) -> nix::Result<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC as u32;
    // SAFETY: `path` is NUL-terminated and borrowed for the call.
    new_fd(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) })
}

/// `move_mount(from, "", to, to_path, flags)`. Since Linux 5.2.
pub(crate) fn move_mount(from: BorrowedFd<'_>, to: BorrowedFd<'_>, to_path: &CStr) -> nix::Result<()> {
    let mut flags = MOVE_MOUNT_F_EMPTY_PATH;
    if to_path.is_empty() {
        flags |= MOVE_MOUNT_T_EMPTY_PATH;
    }
    // SAFETY: both paths are NUL-terminated and borrowed for the call.
    let done = unsafe {
        libc::syscall(libc::SYS_move_mount, from.as_raw_fd(), c"".as_ptr(), to.as_raw_fd(), to_path.as_ptr(), flags)
    };
    result(done).map(drop)
}

/// `mount_setattr(fd, "", AT_EMPTY_PATH | flags, attr)`. Since Linux 5.12.
pub(crate) fn mount_setattr(fd: BorrowedFd<'_>, flags: u32, attr: &MountAttr) -> nix::Result<()> {
    let flags = flags | libc::AT_EMPTY_PATH as u32;
    // SAFETY: `attr` is a whole struct mount_attr, whose size is handed over with it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    result(done).map(drop)
}

/// `fsopen(name, FSOPEN_CLOEXEC)`. Since Linux 5.2.
pub(crate) fn fsopen(name: &CStr) -> nix::Result<OwnedFd> {
    // SAFETY: `name` is NUL-terminated and borrowed for the call.
    new_fd(unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), FSOPEN_CLOEXEC) })
}

/// `fsconfig(fs, FSCONFIG_SET_STRING or SET_FLAG, key, value)`.
pub(crate) fn fsconfig_set(fs: BorrowedFd<'_>, key: &CStr, value: Option<&CStr>) -> nix::Result<()> {
    let (command, value) = match value {
        Some(value) => (FSCONFIG_SET_STRING, value.as_ptr()),
        None => (FSCONFIG_SET_FLAG, std::ptr::null()),
    };
    // SAFETY: key and value are NUL-terminated (a flag has no value) and borrowed for the call.
    let done = unsafe { libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), command, key.as_ptr(), value, 0) };
    result(done).map(drop)
}

/// `fsconfig(fs, FSCONFIG_CMD_CREATE)`.
pub(crate) fn fsconfig_create(fs: BorrowedFd<'_>) -> nix::Result<()> {
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: the command takes neither key nor value.
    let done = unsafe { libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), FSCONFIG_CMD_CREATE, null, null, 0) };
    result(done).map(drop)
}

/// `fsmount(fs, FSMOUNT_CLOEXEC, attributes)`.
pub(crate) fn fsmount(fs: BorrowedFd<'_>, attributes: u64) -> nix::Result<OwnedFd> {
    // SAFETY: no memory is handed over.
    new_fd(unsafe { libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), FSMOUNT_CLOEXEC, attributes as u32) })
}

/// `pidfd_open(pid, 0)`. Since Linux 5.3.
pub(crate) fn pidfd_open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: no memory is handed over.
    new_fd(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// `pidfd_send_signal(pidfd, signal, NULL, 0)`. Since Linux 5.1.
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> nix::Result<()> {
    let null = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: no siginfo is handed over.
    result(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, null, 0) }).map(drop)
}

/// `ioctl(terminal, TIOCGWINSZ)`: columns and rows.
pub(crate) fn window_size(terminal: BorrowedFd<'_>) -> nix::Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is a whole winsize, written only during the call.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    result(done.into()).map(|_| (size.ws_col, size.ws_row))
}

/// `ioctl(terminal, TIOCSWINSZ, size)`.
pub(crate) fn set_window_size(terminal: BorrowedFd<'_>, columns: u16, rows: u16) -> nix::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is a whole winsize, read only during the call.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    result(done.into()).map(drop)
}

/// An fd for tokio's reactor to watch for reading.
#[cfg(feature = "tokio")]
pub(crate) fn watched(fd: OwnedFd) -> std::io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd keeps its number, open, for as long as it lives, and the AsyncFd owns it.
    let watched = unsafe { tokio::io::unix::AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE) };
    Ok(watched?)
}

/// CLOCK_MONOTONIC in nanoseconds, the clock that init stamps its records with.
pub(crate) fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a whole timespec. CLOCK_MONOTONIC can't fail (clock_gettime(2)).
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

/// The current directory, as an fd argument.
pub(crate) fn cwd() -> BorrowedFd<'static> {
    // SAFETY: AT_FDCWD is a constant that every *at call understands; it is never closed.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
}

/// An fd that a system call has just returned as a bare number, owned.
pub(crate) fn adopt(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just installed this number for this process, and the caller hands it in once.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// `fcntl(number, F_DUPFD_CLOEXEC, 3)`: a copy of our own of whatever is open under this number.
pub(crate) fn duplicate(number: i32) -> nix::Result<OwnedFd> {
    // SAFETY: no memory is handed over; a number that is not open gives EBADF.
    new_fd(libc::c_long::from(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) }))
}

/// `getrlimit(resource)`: the soft limit of this process. None: there is no such resource.
pub(crate) fn soft_limit(resource: u32) -> Option<u64> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit64 to the address of ours, which outlives the call; 0 is this process.
    let got = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, 0, &raw mut limit) };
    (got == 0).then_some(limit.rlim_cur)
}

/// `flock(fd, LOCK_EX | LOCK_NB)`. The lock goes with the last copy of the fd. EWOULDBLOCK: somebody else has it.
pub(crate) fn lock(fd: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: no memory is handed over.
    result(libc::c_long::from(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) })).map(drop)
}

/// A borrowed fd from a number the caller declares to be open for the whole call.
pub(crate) fn borrow_standard(number: i32) -> BorrowedFd<'static> {
    debug_assert!((0..=2).contains(&number));
    // SAFETY: standard streams are never closed by this library; a program that has closed one gets EBADF from the kernel.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// A `struct stat` that the kernel has written elsewhere. None: these are not as many bytes.
pub(crate) fn stat_of(bytes: &[u8]) -> Option<libc::stat> {
    let whole = bytes.len() == size_of::<libc::stat>();
    // SAFETY: a whole struct stat, whose fields are numbers: every byte is one of a valid value.
    whole.then(|| unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast()) })
}

/// `waitid(P_PIDFD, WEXITED | WNOHANG)`: reap a child that has ended. `Ok(true)` when it is gone.
pub(crate) fn reap(pidfd: impl AsFd) -> nix::Result<bool> {
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    match waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::__WALL) {
        Ok(WaitStatus::StillAlive) => Ok(false),
        // Somebody else reaped it (SIGCHLD ignored, waitpid(-1)): gone as well.
        Ok(_) | Err(Errno::ECHILD) => Ok(true),
        Err(errno) => Err(errno),
    }
}
