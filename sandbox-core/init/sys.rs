//! Owns: raw system calls, the entry point and the one clone that shares memory.  Must not: know the plan.
//!
//! Every function is one call with its arguments in words a caller can't mix up; errors are negative errnos, as the
//! kernel returns them.

use core::arch::{asm, global_asm};

#[cfg(target_arch = "x86_64")]
mod nr {
    pub const CLOSE: usize = 3;
    pub const MMAP: usize = 9;
    pub const MUNMAP: usize = 11;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const SENDTO: usize = 44;
    pub const SENDMSG: usize = 46;
    pub const RECVMSG: usize = 47;
    pub const CLONE: usize = 56;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const GETPID: usize = 39;
    pub const GETRUSAGE: usize = 98;
    pub const SETPGID: usize = 109;
    pub const PRCTL: usize = 157;
    pub const CLOCK_GETTIME: usize = 228;
    pub const EXIT_GROUP: usize = 231;
    pub const FACCESSAT: usize = 269;
    pub const PPOLL: usize = 271;
    pub const SIGNALFD4: usize = 289;
    pub const DUP3: usize = 292;
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const EXECVE: usize = 59;
    pub const PREAD64: usize = 17;
    pub const FCNTL: usize = 72;
    pub const GETPPID: usize = 110;
    pub const FUTEX: usize = 202;
    pub const GETDENTS64: usize = 217;
    pub const OPENAT: usize = 257;
    pub const PRLIMIT64: usize = 302;
}

#[cfg(target_arch = "aarch64")]
mod nr {
    pub const CLOSE: usize = 57;
    pub const MMAP: usize = 222;
    pub const MUNMAP: usize = 215;
    pub const RT_SIGACTION: usize = 134;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const SENDTO: usize = 206;
    pub const SENDMSG: usize = 211;
    pub const RECVMSG: usize = 212;
    pub const CLONE: usize = 220;
    pub const WAIT4: usize = 260;
    pub const KILL: usize = 129;
    pub const GETPID: usize = 172;
    pub const GETRUSAGE: usize = 165;
    pub const SETPGID: usize = 154;
    pub const PRCTL: usize = 167;
    pub const CLOCK_GETTIME: usize = 113;
    pub const EXIT_GROUP: usize = 94;
    pub const FACCESSAT: usize = 48;
    pub const PPOLL: usize = 73;
    pub const SIGNALFD4: usize = 74;
    pub const DUP3: usize = 24;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const EXECVE: usize = 221;
    pub const PREAD64: usize = 67;
    pub const FCNTL: usize = 25;
    pub const GETPPID: usize = 173;
    pub const FUTEX: usize = 98;
    pub const GETDENTS64: usize = 61;
    pub const OPENAT: usize = 56;
    pub const PRLIMIT64: usize = 261;
}

// The numbers below are the same on every architecture that has them only in the unified table.
const PIDFD_SEND_SIGNAL: usize = 424;
const CLONE3: usize = 435;
const CLOSE_RANGE: usize = 436;

const O_CLOEXEC: usize = 0o2_000_000;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_DONTWAIT: usize = 0x40;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
const CLONE_VM: usize = 0x100;
const CLONE_PIDFD: usize = 0x1000;
const CLONE_PARENT: usize = 0x8000;
const CLONE_CHILD_CLEARTID: usize = 0x20_0000;
const SIGCHLD: usize = 17;
const WALL: usize = 0x4000_0000;
const WNOHANG: usize = 1;
const WUNTRACED: usize = 2;
pub const SIGKILL: i32 = 9;
pub const SIGCHLD_NUMBER: i32 = SIGCHLD as i32;
pub const EINTR: isize = -4;
const ETIMEDOUT: i32 = 110;
pub const POLLIN: i16 = 1;
pub const POLLERR: i16 = 8;
pub const POLLHUP: i16 = 16;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".global _start",
    "_start:",
    "xor %ebp, %ebp",
    "and $-16, %rsp",
    "call {begin}",
    "ud2",
    begin = sym crate::begin,
    options(att_syntax)
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".global _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "bl {begin}",
    "brk #1",
    begin = sym crate::begin
);

/// One system call.
///
/// # Safety
/// Whatever the call reads or writes through its arguments must be memory this program owns; a call that changes
/// this program's own memory map must leave what is in use alone. The caller of each use says who keeps that.
#[cfg(target_arch = "x86_64")]
pub unsafe fn call(number: usize, args: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = args;
    let result: isize;
    // SAFETY: the registers are those of the kernel's calling convention; rcx and r11 are clobbered by `syscall`.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// One system call; see the x86-64 twin.
///
/// # Safety
/// As there.
#[cfg(target_arch = "aarch64")]
pub unsafe fn call(number: usize, args: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = args;
    let result: isize;
    // SAFETY: the registers are those of the kernel's calling convention.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack)
        );
    }
    result
}

pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: exit_group takes no memory and does not return.
        unsafe { call(nr::EXIT_GROUP, [code as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Set every signal back to its default: execve(2) resets handlers, but what the host ignores would stay ignored, and with an
/// ignored SIGCHLD every wait would hang.
pub fn default_signals() {
    #[cfg(target_arch = "x86_64")]
    const WORDS: usize = 4; // handler, flags, restorer, mask
    #[cfg(target_arch = "aarch64")]
    const WORDS: usize = 3; // handler, flags, mask
    let default = [0usize; WORDS];
    let mut signal = 1;
    while signal <= 64 {
        // SAFETY: `default` is a whole kernel sigaction, read only during the call. Two signals can't be set: EINVAL.
        unsafe { call(nr::RT_SIGACTION, [signal, default.as_ptr() as usize, 0, 8, 0, 0]) };
        signal = signal.wrapping_add(1);
    }
}

pub fn block_all_signals() {
    let all = u64::MAX;
    // SAFETY: an 8-byte set, read only during the call.
    unsafe { call(nr::RT_SIGPROCMASK, [2, &raw const all as usize, 0, 8, 0, 0]) };
}

pub fn unblock_all_signals() {
    let none = 0u64;
    // SAFETY: as above.
    unsafe { call(nr::RT_SIGPROCMASK, [2, &raw const none as usize, 0, 8, 0, 0]) };
}

/// setpgid(0, 0).
pub fn new_process_group() {
    // SAFETY: no memory.
    unsafe { call(nr::SETPGID, [0; 6]) };
}

pub fn set_name(name: &[u8; 16]) {
    // SAFETY: PR_SET_NAME reads at most 16 bytes.
    unsafe { call(nr::PRCTL, [15, name.as_ptr() as usize, 0, 0, 0, 0]) };
}

pub fn close(fd: i32) {
    // SAFETY: no memory; no code here relies on an fd it has closed.
    unsafe { call(nr::CLOSE, [fd as usize, 0, 0, 0, 0, 0]) };
}

pub fn close_range(first: u32, last: u32) {
    // SAFETY: as close.
    unsafe { call(CLOSE_RANGE, [first as usize, last as usize, 0, 0, 0, 0]) };
}

/// Duplicate `fd` to the number `to`, close-on-exec.
pub fn place(fd: i32, to: i32) -> isize {
    // SAFETY: no memory.
    unsafe { call(nr::DUP3, [fd as usize, to as usize, O_CLOEXEC, 0, 0, 0]) }
}

/// Map `length` bytes of `fd` privately at exactly `address`.
pub fn map_plan(fd: i32, address: u64, length: usize) -> bool {
    const PROT_READ_WRITE: usize = 3;
    const PRIVATE_FIXED_NOREPLACE_POPULATE: usize = 0x2 | 0x10_0000 | 0x8000;
    // SAFETY: NOREPLACE: nothing of this program's can lie under the new mapping.
    let at = unsafe {
        call(nr::MMAP, [address as usize, length, PROT_READ_WRITE, PRIVATE_FIXED_NOREPLACE_POPULATE, fd as usize, 0])
    };
    at == address as isize
}

pub fn monotonic() -> u64 {
    let mut time = [0i64; 2];
    // SAFETY: a timespec is two i64 on both architectures.
    unsafe { call(nr::CLOCK_GETTIME, [1, time.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    let [seconds, nanoseconds] = time;
    (seconds as u64).wrapping_mul(1_000_000_000).wrapping_add(nanoseconds as u64)
}

pub fn getpid() -> i32 {
    // SAFETY: no memory.
    unsafe { call(nr::GETPID, [0; 6]) as i32 }
}

pub fn kill(pid: i32, signal: i32) -> isize {
    // SAFETY: no memory.
    unsafe { call(nr::KILL, [pid as isize as usize, signal as usize, 0, 0, 0, 0]) }
}

pub fn getppid() -> i32 {
    // SAFETY: no memory.
    unsafe { call(nr::GETPPID, [0; 6]) as i32 }
}

pub fn pidfd_signal(pidfd: i32, signal: i32) {
    // SAFETY: no siginfo is handed over.
    unsafe { call(PIDFD_SEND_SIGNAL, [pidfd as usize, signal as usize, 0, 0, 0, 0]) };
}

/// wait4(-1 or pid) for children of every kind. Returns (pid or negative errno, status).
pub fn wait(pid: i32, block: bool) -> (isize, u32) {
    let mut status = 0u32;
    let options = if block { WALL } else { WALL | WNOHANG };
    // SAFETY: `status` is the int the kernel writes; no rusage is asked for.
    let pid = unsafe { call(nr::WAIT4, [pid as isize as usize, &raw mut status as usize, options, 0, 0, 0]) };
    (pid, status)
}

/// struct rusage: two timevals and fourteen longs.
pub type Rusage = [i64; 18];

/// The same without blocking, with what the child and its own reaped children used. `stops`: a child that was stopped is
/// told as well.
pub fn wait_usage(stops: bool) -> (isize, u32, Rusage) {
    let mut status = 0u32;
    let mut usage: Rusage = [0; 18];
    let options = WALL | WNOHANG | if stops { WUNTRACED } else { 0 };
    let (status_at, usage_at) = (&raw mut status as usize, usage.as_mut_ptr() as usize);
    // SAFETY: `status` and `usage` are an int and a struct rusage, written only during the call.
    let pid = unsafe { call(nr::WAIT4, [-1isize as usize, status_at, options, usage_at, 0, 0]) };
    (pid, status, usage)
}

/// getrusage(RUSAGE_CHILDREN).
pub fn children_usage() -> Rusage {
    let mut usage: Rusage = [0; 18];
    // SAFETY: a whole struct rusage.
    unsafe { call(nr::GETRUSAGE, [-1isize as usize, usage.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    usage
}

/// A signalfd for every signal, close-on-exec.
pub fn signalfd_all() -> isize {
    let all = u64::MAX;
    // SAFETY: an 8-byte set, read only during the call.
    unsafe { call(nr::SIGNALFD4, [-1isize as usize, &raw const all as usize, 8, O_CLOEXEC, 0, 0]) }
}

/// What a signalfd says of a signal.
pub struct Signal {
    pub number: i32,
    /// 0: kill(2), whose sender the kernel names. Nobody else can make a signal of this code for another process.
    pub code: i32,
    /// As seen here; 0 from outside of our PID namespace.
    pub sender: i32,
}

/// The next signal of a signalfd.
pub fn next_signal(fd: i32) -> Option<Signal> {
    let mut info = [0u32; 32];
    // SAFETY: the buffer is exactly one signalfd_siginfo.
    let got = unsafe { call(nr::READ, [fd as usize, info.as_mut_ptr() as usize, 128, 0, 0, 0]) };
    let [number, _, code, sender, ..] = info;
    (got == 128).then_some(Signal { number: number as i32, code: code as i32, sender: sender as i32 })
}

#[repr(C)]
pub struct PollFd {
    pub fd: i32,
    pub events: i16,
    pub revents: i16,
}

/// ppoll(2); `timeout` in nanoseconds, None: for ever.
pub fn poll(fds: &mut [PollFd], timeout: Option<u64>) -> isize {
    let ns = timeout.unwrap_or(0);
    let time = [(ns / 1_000_000_000) as i64, (ns % 1_000_000_000) as i64];
    let time = if timeout.is_some() { time.as_ptr() as usize } else { 0 };
    // SAFETY: a slice of pollfds of its own length, a timespec or NULL, no signal mask.
    unsafe { call(nr::PPOLL, [fds.as_mut_ptr() as usize, fds.len(), time, 0, 8, 0]) }
}

#[repr(C)]
struct MsgHdr {
    name: usize,
    name_length: u32,
    pad: u32,
    iov: usize,
    iov_length: usize,
    control: usize,
    control_length: usize,
    flags: i32,
    pad2: u32,
}

#[repr(C)]
struct OneFd {
    length: usize,
    level: i32,
    kind: i32,
    fd: i32,
    pad: i32,
}

#[repr(C)]
pub struct ManyFds {
    length: usize,
    level: i32,
    kind: i32,
    pub fds: [i32; crate::wire::FDS_MAX],
}

/// Send `bytes` as one message, with at most one fd. A negative errno when the message, or its fd, did not go.
pub fn send_record(socket: i32, bytes: &[u8], fd: Option<i32>) -> isize {
    let control = OneFd { length: 20, level: SOL_SOCKET, kind: SCM_RIGHTS, fd: fd.unwrap_or(-1), pad: 0 };
    let iov = [bytes.as_ptr() as usize, bytes.len()];
    let message = MsgHdr {
        name: 0,
        name_length: 0,
        pad: 0,
        iov: iov.as_ptr() as usize,
        iov_length: 1,
        control: if fd.is_some() { &raw const control as usize } else { 0 },
        control_length: if fd.is_some() { 24 } else { 0 },
        flags: 0,
        pad2: 0,
    };
    loop {
        // SAFETY: the message names an iovec of `bytes` and at most one whole control message, all alive here.
        let sent = unsafe { call(nr::SENDMSG, [socket as usize, &raw const message as usize, MSG_NOSIGNAL, 0, 0, 0]) };
        if sent != EINTR {
            return sent;
        }
    }
}

/// Receive one message into `bytes` and its fds, close-on-exec. Returns (bytes, fds).
pub fn receive(socket: i32, bytes: &mut [u8], fds: &mut ManyFds) -> (isize, usize) {
    // SAFETY: there is no rest.
    unsafe { receive_long(socket, bytes, (0, 0), fds) }
}

/// The same of a message that goes on: what `bytes` can't take goes to the address and up to the length in `rest`.
///
/// # Safety
/// That memory must be mapped, writable, and nobody's.
pub unsafe fn receive_long(socket: i32, bytes: &mut [u8], rest: (u64, usize), fds: &mut ManyFds) -> (isize, usize) {
    let (address, length) = rest;
    let iov = [bytes.as_mut_ptr() as usize, bytes.len(), address as usize, length];
    let mut message = MsgHdr {
        name: 0,
        name_length: 0,
        pad: 0,
        iov: iov.as_ptr() as usize,
        iov_length: if length > 0 { 2 } else { 1 },
        control: &raw mut *fds as usize,
        control_length: core::mem::size_of::<ManyFds>(),
        flags: 0,
        pad2: 0,
    };
    loop {
        // SAFETY: the message names an iovec of `bytes` and a control buffer of the length given, both borrowed mutably, and
        // one that the caller answers for.
        let got = unsafe { call(nr::RECVMSG, [socket as usize, &raw mut message as usize, MSG_CMSG_CLOEXEC, 0, 0, 0]) };
        if got == EINTR {
            continue;
        }
        let count = if message.control_length >= 16 && fds.level == SOL_SOCKET && fds.kind == SCM_RIGHTS {
            fds.length.saturating_sub(16) / 4
        } else {
            0
        };
        return (got, count);
    }
}

impl ManyFds {
    pub const fn empty() -> Self {
        Self { length: 0, level: 0, kind: 0, fds: [-1; crate::wire::FDS_MAX] }
    }
}

/// write(2) of a few bytes to a file of the kernel's, which takes them whole or not at all.
pub fn write(fd: i32, bytes: &[u8]) {
    // SAFETY: `bytes` is read only during the call.
    unsafe { call(nr::WRITE, [fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0]) };
}

/// pread(2) from the beginning; how many bytes were read.
pub fn read_again(fd: i32, bytes: &mut [u8]) -> isize {
    // SAFETY: `bytes` is borrowed mutably and as long as said.
    unsafe { call(nr::PREAD64, [fd as usize, bytes.as_mut_ptr() as usize, bytes.len(), 0, 0, 0]) }
}

pub fn send_byte(socket: i32) {
    let byte = 0u8;
    // SAFETY: one byte, read only during the call.
    unsafe { call(nr::SENDTO, [socket as usize, &raw const byte as usize, 1, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0]) };
}

/// clone3: runs `body(argument)` in a child on `stack`, whether or not it shares our memory (CLONE_VM among `flags`).
/// Returns its pid and fills `pidfd`.
pub fn clone_process(
    flags: u64,
    cgroup: u64,
    stack: &mut [u8],
    pidfd: &mut i32,
    body: extern "C" fn(usize) -> !,
    argument: usize,
) -> isize {
    let size = stack.len() & !15;
    let arguments: [u64; 11] = [
        flags | CLONE_PIDFD as u64,
        &raw mut *pidfd as u64,
        0,
        0,
        SIGCHLD as u64,
        stack.as_mut_ptr() as u64,
        size as u64,
        0,
        0,
        0,
        cgroup,
    ];
    let at = arguments.as_ptr() as usize;
    let result: isize;
    // SAFETY: a clone_args of CLONE_ARGS_SIZE_VER2 (88 bytes). The child runs on its own stack, which nobody else uses,
    // and leaves by `body`, which never returns; the parent's registers are kept by the kernel.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") CLONE3 as isize => result,
            in("rdi") at, in("rsi") 88usize, in("rdx") 0usize, in("r10") 0usize, in("r8") 0usize,
            in("r12") body, in("r13") argument,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, #0",
            "mov x0, x10",
            "blr x9",
            "brk #1",
            "2:",
            in("x8") CLONE3,
            inlateout("x0") at as isize => result,
            in("x1") 88usize, in("x2") 0usize, in("x3") 0usize,
            in("x9") body, in("x10") argument,
        );
    }
    result
}

/// clone(CLONE_VM): runs `body(argument)` in a child on `stack`; `using` becomes 0 when the child no longer uses our
/// memory, because it has executed or ended ([`released`]). clone and not clone3: PID 1 is already under the payload's
/// filter, which has no clone3. No CLONE_VFORK: somebody who stops the child must not stop us.
pub fn clone_shared(
    stack: &mut [u8],
    pidfd: Option<&mut i32>,
    using: &mut u32,
    body: extern "C" fn(usize) -> !,
    argument: usize,
) -> isize {
    let top = (stack.as_mut_ptr() as usize).wrapping_add(stack.len()) & !15;
    let handle = if pidfd.is_some() { CLONE_PIDFD } else { 0 };
    let flags = CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD | handle;
    let pidfd = pidfd.map_or(0, |pidfd| &raw mut *pidfd as usize);
    let using = &raw mut *using as usize;
    let result: isize;
    // SAFETY: the child runs on its own stack, which nobody touches until it has released our memory (the callers wait for
    // that); it leaves by `body`, which never returns. The parent's registers are kept by the kernel.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") nr::CLONE as isize => result,
            in("rdi") flags, in("rsi") top, in("rdx") pidfd, in("r10") using, in("r8") 0usize,
            in("r12") body, in("r13") argument,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    // SAFETY: as above; on aarch64 clone's fourth argument is tls, the fifth the child's tid.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, #0",
            "mov x0, x10",
            "blr x9",
            "brk #1",
            "2:",
            in("x8") nr::CLONE,
            inlateout("x0") flags as isize => result,
            in("x1") top, in("x2") pidfd, in("x3") 0usize, in("x4") using,
            in("x9") body, in("x10") argument,
        );
    }
    result
}

/// Whether the child that [`clone_shared`] made has released our memory; waits for that, at most `timeout` nanoseconds.
pub fn released(using: &u32, timeout: Option<u64>) -> bool {
    let at = &raw const *using;
    let ns = timeout.unwrap_or(0);
    let time = [(ns / 1_000_000_000) as i64, (ns % 1_000_000_000) as i64];
    let time = if timeout.is_some() { time.as_ptr() as usize } else { 0 };
    loop {
        // SAFETY: a valid word; volatile because the kernel writes it.
        if unsafe { core::ptr::read_volatile(at) } == 0 {
            return true;
        }
        // SAFETY: FUTEX_WAIT (0) reads the word and a timespec or NULL.
        let woken = unsafe { call(nr::FUTEX, [at as usize, 0, 1, time, 0, 0]) };
        if timeout.is_some() && woken == -(ETIMEDOUT as isize) {
            // SAFETY: as above.
            return unsafe { core::ptr::read_volatile(at) } == 0;
        }
    }
}

/// clone(SIGCHLD): a copy of this process. 0 in the copy.
pub fn fork() -> isize {
    // SAFETY: the copy has memory of its own and goes on on its own copy of the stack.
    unsafe { call(nr::CLONE, [SIGCHLD, 0, 0, 0, 0, 0]) }
}

/// A copy of this process that is a child of its parent. 0 in the copy; here its pid, with its pidfd.
pub fn fork_sibling() -> (isize, i32) {
    let mut pidfd = -1;
    let flags = CLONE_PARENT | CLONE_PIDFD;
    // SAFETY: as fork; `pidfd` is the int the kernel writes, here and not in the copy.
    let pid = unsafe { call(nr::CLONE, [flags, 0, &raw mut pidfd as usize, 0, 0, 0]) };
    (pid, pidfd)
}

/// prctl(2) with one number.
pub fn prctl(option: usize, value: usize) -> isize {
    // SAFETY: the options used here (PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER) take numbers.
    unsafe { call(nr::PRCTL, [option, value, 0, 0, 0, 0]) }
}

/// A copy of `fd` at a number of at least `above`, close-on-exec.
pub fn lift(fd: i32, above: i32) -> i32 {
    const F_DUPFD_CLOEXEC: usize = 1030;
    // SAFETY: no memory.
    unsafe { call(nr::FCNTL, [fd as usize, F_DUPFD_CLOEXEC, above as usize, 0, 0, 0]) as i32 }
}

/// Map `length` zeroed bytes at exactly `address`, taken only where they are touched.
pub fn map_empty(address: u64, length: usize) -> bool {
    const PROT_READ_WRITE: usize = 3;
    const PRIVATE_ANONYMOUS_FIXED_NOREPLACE_NORESERVE: usize = 0x2 | 0x20 | 0x10_0000 | 0x4000;
    // SAFETY: NOREPLACE: nothing of this program's can lie under the new mapping.
    let at = unsafe {
        call(
            nr::MMAP,
            [
                address as usize,
                length,
                PROT_READ_WRITE,
                PRIVATE_ANONYMOUS_FIXED_NOREPLACE_NORESERVE,
                -1isize as usize,
                0,
            ],
        )
    };
    at == address as isize
}

/// Map zeroed memory at exactly `address` that stays common to this process and its children.
pub fn map_shared(address: u64, length: usize) -> bool {
    const PROT_READ_WRITE: usize = 3;
    const SHARED_ANONYMOUS_FIXED_NOREPLACE: usize = 0x1 | 0x20 | 0x10_0000;
    let nowhere = -1isize as usize;
    // SAFETY: NOREPLACE: nothing of this program's can lie under the new mapping.
    let at = unsafe {
        call(nr::MMAP, [address as usize, length, PROT_READ_WRITE, SHARED_ANONYMOUS_FIXED_NOREPLACE, nowhere, 0])
    };
    at == address as isize
}

/// Undo [`map_empty`].
pub fn unmap(address: u64, length: usize) -> bool {
    // SAFETY: nothing of this program's lies at the addresses of the wire, but what was mapped there on purpose.
    unsafe { call(nr::MUNMAP, [address as usize, length, 0, 0, 0, 0]) == 0 }
}

/// pread(2) of `length` bytes from the beginning of `fd` to `address`. Whether all came.
///
/// # Safety
/// `length` bytes at `address` are mapped, and nothing is borrowed from them.
pub unsafe fn load(fd: i32, address: u64, length: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe { call(nr::PREAD64, [fd as usize, address as usize, length, 0, 0, 0]) == length as isize }
}

/// openat(2), read-only, close-on-exec. `path` ends with a NUL.
pub fn open(at: i32, path: &[u8]) -> i32 {
    // SAFETY: a NUL-terminated path, read only during the call.
    unsafe { call(nr::OPENAT, [at as usize, path.as_ptr() as usize, O_CLOEXEC, 0, 0, 0]) as i32 }
}

/// getdents64(2). Returns the bytes that were written.
pub fn entries(directory: i32, buffer: &mut [u8]) -> isize {
    // SAFETY: the buffer is borrowed mutably for the call.
    unsafe { call(nr::GETDENTS64, [directory as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0]) }
}

/// read(2).
pub fn read(fd: i32, buffer: &mut [u8]) -> isize {
    // SAFETY: the buffer is borrowed mutably for the call.
    unsafe { call(nr::READ, [fd as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0]) }
}

/// Take the right to fork from another process (RLIMIT_NPROC 0, also the hard limit). Whether it still had it.
pub fn forbid_forks(pid: i32) -> bool {
    const RLIMIT_NPROC: usize = 6;
    let (none, mut before) = ([0u64; 2], [0u64; 2]);
    // SAFETY: two struct rlimit, read and written only during the call.
    let done = unsafe {
        call(nr::PRLIMIT64, [pid as usize, RLIMIT_NPROC, none.as_ptr() as usize, before.as_mut_ptr() as usize, 0, 0])
    };
    let [_, hard] = before;
    done == 0 && hard != 0
}

/// execve(2) with addresses inside the plan.
pub fn execute(path: u64, argv: u64, envp: u64) -> isize {
    // SAFETY: the host put a NUL-terminated path and two NULL-terminated lists of strings into the plan, which stays mapped.
    unsafe { call(nr::EXECVE, [path as usize, argv as usize, envp as usize, 0, 0, 0]) }
}

/// Whether something is at `path`.
pub fn exists(path: u64) -> bool {
    const AT_FDCWD: usize = -100isize as usize;
    // SAFETY: a NUL-terminated path inside the plan.
    unsafe { call(nr::FACCESSAT, [AT_FDCWD, path as usize, 0, 0, 0, 0]) == 0 }
}
