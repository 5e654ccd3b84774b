//! Owns: the one process that the host makes: it shares the host's memory until its exec, as that of posix_spawn(3) does.
//! Must not: allocate or lock in the child, or run code of the host in it: no handler of a signal either.
//!
//! posix_spawn(3) itself would cost more than all else that the host does for a start: it maps a stack, asks for every
//! signal's handler, and can't execute an fd but through `/proc`. What it undoes of the host's signals, init does.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;

/// What is to be executed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Program<'a> {
    Fd(BorrowedFd<'a>),
    Path(&'a CStr),
}

/// What the child needs, and what it leaves: all of it the parent's, who is suspended meanwhile.
struct Child<'a> {
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    argv: [*const c_char; 2],
    given: c_int,
    number: c_int,
    failed: &'a mut c_int,
}

/// 16 KiB, aligned as both architectures want it. The child's frames need a fraction of that.
type Stack = [MaybeUninit<u128>; 1024];

/// Execute `program`, named `name`, with no environment, and with `given` under `number`; everything that is to be closed
/// on exec is. All its signals are blocked. The pid, and a pidfd (clone(2), CLONE_PIDFD since Linux 5.2).
pub(crate) fn start(
    program: Program<'_>,
    name: &CStr,
    given: BorrowedFd<'_>,
    number: i32,
) -> nix::Result<(i32, OwnedFd)> {
    let (directory, path, flags) = match program {
        Program::Fd(fd) => (fd.as_raw_fd(), c"", libc::AT_EMPTY_PATH),
        Program::Path(path) => (libc::AT_FDCWD, path, 0),
    };
    let (path, argv, given) = (path.as_ptr(), [name.as_ptr(), ptr::null()], given.as_raw_fd());
    let mut failed = 0;
    let mut child = Child { directory, path, flags, argv, given, number, failed: &mut failed };
    let mut stack: Stack = [MaybeUninit::uninit(); 1024];
    let mut pidfd: c_int = -1;
    let sharing = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let before = set_mask(u64::MAX);
    // SAFETY: CLONE_VFORK suspends this thread until the child has executed or ended, so that `stack`, `child` and what it
    // points to outlive the child's use of them. The child only makes system calls (see `run`), and no handler runs in it,
    // because every signal is blocked. The kernel writes `pidfd` before it returns.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.len()).cast::<c_void>();
        libc::clone(run, top, sharing, (&raw mut child).cast(), &raw mut pidfd)
    };
    let pid = Errno::result(pid);
    set_mask(before);
    let (pid, pidfd) = (pid?, super::adopt(pidfd));
    // SAFETY: a plain read; volatile because the compiler saw no write of the child's.
    match unsafe { ptr::read_volatile(&raw const failed) } {
        0 => Ok((pid, pidfd)),
        errno => {
            // It has ended, and is nobody's to see.
            while !super::reap(&pidfd)? {}
            Err(Errno::from_raw(errno))
        }
    }
}

/// The child. Returns only if it could not execute.
extern "C" fn run(child: *mut c_void) -> c_int {
    // SAFETY: `start` hands in a `Child` that nobody else uses until this process has executed or ended. Only system calls
    // follow; the C library's errno, which they set, is that of the suspended thread.
    unsafe {
        let child = &mut *child.cast::<Child<'_>>();
        // dup2(2) of a number to itself would leave it to be closed on exec.
        let placed = if child.given == child.number {
            libc::fcntl(child.number, libc::F_SETFD, 0)
        } else {
            libc::dup2(child.given, child.number)
        };
        if placed >= 0 {
            let environment: [*const c_char; 1] = [ptr::null()];
            let (argv, envp) = (child.argv.as_ptr(), environment.as_ptr());
            libc::syscall(libc::SYS_execveat, child.directory, child.path, argv, envp, child.flags);
        }
        ptr::write_volatile(child.failed, Errno::last_raw());
    }
    127
}

/// The thread's signal mask, all 64 bits: the C library's function would spare its own signals. Returns the one before.
fn set_mask(mask: u64) -> u64 {
    let mut before = 0u64;
    // SAFETY: both masks are as long as the call is told, and used only during it. It can't fail with these arguments.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, &raw mut before, size_of::<u64>());
    }
    before
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs::{File, Permissions};
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_child_has_the_fd_under_its_number() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("given");
        std::fs::write(&path, "here").expect("writable");
        for other in [true, false] {
            let given = File::open(&path).expect("readable");
            let number = if other { 3 } else { given.as_raw_fd() };
            let program = directory.path().join(format!("program{number}"));
            std::fs::write(&program, format!("#!/bin/sh\nread -r word <&{number}; [ \"$word\" = here ]\n"))
                .expect("writable");
            std::fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("ours");
            let path = CString::new(program.as_os_str().as_encoded_bytes()).expect("no NUL");
            let (pid, pidfd) = start(Program::Path(&path), c"sh", given.as_fd(), number).expect("it starts");
            let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None).expect("a child");
            assert!(matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)), "{status:?}");
            assert!(super::super::reap(&pidfd).expect("a pidfd"), "it is gone");
        }
    }

    #[test]
    fn what_can_not_be_executed_leaves_nothing() {
        let given = File::open("/dev/null").expect("every machine has it");
        let failed = start(Program::Path(c"/nowhere"), c"nothing", given.as_fd(), 3);
        assert_eq!(failed.expect_err("nothing there"), Errno::ENOENT);
        assert_eq!(
            start(Program::Fd(given.as_fd()), c"nothing", given.as_fd(), 3).expect_err("a device"),
            Errno::EACCES
        );
    }

    #[test]
    fn the_mask_is_the_one_before() {
        let before = set_mask(0);
        set_mask(before);
        let given = File::open("/dev/null").expect("every machine has it");
        start(Program::Path(c"/nowhere"), c"nothing", given.as_fd(), 3).expect_err("nothing there");
        let after = set_mask(before);
        assert_eq!(after, before);
    }
}
