//! Owns: the one loop that carries out a plan.  Must not: decide anything; every branch is one the plan asks for.

use crate::start::{HOST_FD, Plan};
use crate::sys::{self, POLLIN, PollFd};
use crate::wire::{
    CONTROL_FD, EXECUTED_ADDR, FLAG_END_ONLY, FLAG_PAYLOAD_IS_PID1, OP_FORK, PSEUDO_BASE, PSEUDO_CHECK, PSEUDO_CLONE,
    PSEUDO_DEPUTIZE, PSEUDO_EXEC, PSEUDO_PID, PSEUDO_READY, PSEUDO_SEND, PSEUDO_SERVE, PSEUDO_START, PlanHeader,
    RECORD_EXEC, RECORD_FD, RECORD_GO, RECORD_READY, RawOp, Record,
};
use crate::{Failure, report, send};

/// Who walks: decides only what a plan may ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Keeper,
    Pid1,
    Payload,
}

pub enum End {
    /// In PID 1: the payload runs.
    Started {
        payload: i32,
    },
    Failed(Failure),
    /// The plan had nothing to execute.
    Finished,
}

const EPROTO: i32 = 71;
const EACCES: i32 = 13;
const ENOENT: i32 = 2;
const ENOTDIR: i32 = 20;
const ENOMEM: i32 = 12;
const CLONE_VM: u64 = 0x100;
pub const ECANCELED: i32 = 125;

/// Carry out the plan from call `at` on.
pub fn walk(plan: &Plan, mut at: u32, role: Role) -> End {
    while at < plan.header.op_count {
        let op = load(plan, at);
        at = at.wrapping_add(1);
        let args = [0, 1, 2, 3, 4, 5].map(|i| argument(&op, i));
        let result = match op.nr {
            PSEUDO_READY => ready(),
            PSEUDO_CHECK => check(args),
            PSEUDO_PID => write_pid(args),
            PSEUDO_SEND => send_fd(args),
            PSEUDO_CLONE if role == Role::Keeper => {
                let mut start = Start { plan, at, failure: None };
                let mut pid1 = -1;
                match create_pid1(args, &mut start, &mut pid1) {
                    // PID 1 may share this memory and reads `start`: this frame stays until the process ends.
                    pid if pid > 0 => match start.take_failure() {
                        Some(failure) => return End::Failed(failure),
                        None => crate::keeper::keep(plan, pid1),
                    },
                    error => error,
                }
            }
            PSEUDO_START if role == Role::Pid1 => {
                let mut birth = Birth::new(plan, at);
                let end_only = plan.header.flags & FLAG_END_ONLY != 0;
                if let Err(failure) = birth.begin(!end_only) {
                    return End::Failed(failure);
                }
                if end_only {
                    // Nobody waits for the exec. It needs `birth`: this frame stays until the process ends.
                    crate::reaper::reap(plan, birth.pid, Some(&birth));
                }
                if let Err(failure) = birth.finish(None, || false) {
                    return End::Failed(failure);
                }
                send(&mut Record::new(RECORD_EXEC), Some(birth.pidfd));
                return End::Started { payload: birth.pid };
            }
            PSEUDO_SERVE if role == Role::Pid1 => crate::agent::serve(plan, args.map(|fd| fd as i32)),
            PSEUDO_DEPUTIZE if role == Role::Keeper => deputize(args),
            PSEUDO_EXEC if role != Role::Keeper => {
                if plan.header.flags & FLAG_END_ONLY != 0 {
                    note_exec(sys::monotonic());
                }
                let (errno, extra) = execute(args);
                return End::Failed(Failure { op: op.op.into(), errno, extra });
            }
            nr if nr >= PSEUDO_BASE => -(EPROTO as isize),
            // SAFETY: the host lowered the plan; every pointer among the arguments is an address inside the plan, which
            // stays mapped, and no call of the plan unmaps or remaps memory.
            nr => unsafe { sys::call(nr as usize, args.map(|a| a as usize)) },
        };
        if (-4095..0).contains(&result) {
            let errno = -result as i32;
            if !op.tolerate.iter().any(|&tolerated| tolerated != 0 && i32::from(tolerated) == errno) {
                return End::Failed(Failure { op: op.op.into(), errno, extra: 0 });
            }
            at = at.wrapping_add(op.skip.into());
        } else if op.save != 0 {
            // SAFETY: the host names a u64 inside the plan's private mapping.
            unsafe { core::ptr::write_unaligned(op.save as *mut u64, result as u64) };
        }
    }
    End::Finished
}

/// A stack that begins and ends with a page: of most only the last one is touched, and each page more is a fault.
#[repr(C, align(4096))]
struct Stack<const SIZE: usize>([u8; SIZE]);

static mut PID1_STACK: Stack<{ 32 << 10 }> = Stack([0; 32 << 10]);

fn create_pid1([flags, cgroup, ..]: [u64; 6], start: &mut Start<'_>, pidfd: &mut i32) -> isize {
    // SAFETY: only PID 1 runs on this stack, and a keeper creates one PID 1.
    let stack = unsafe { &mut (*&raw mut PID1_STACK).0 };
    let apart = flags & CLONE_VM == 0 && start.plan.header.flags & FLAG_END_ONLY != 0;
    if apart && !sys::map_shared(EXECUTED_ADDR, size_of::<u64>()) {
        return -(ENOMEM as isize);
    }
    // Written in any case: what is read first is a fault more. SAFETY: this process has one thread.
    unsafe { BIRTHPLACE.apart = apart };
    let body = if start.plan.header.flags & FLAG_PAYLOAD_IS_PID1 == 0 { pid1 } else { payload };
    sys::clone_process(flags, cgroup, stack, pidfd, body, &raw mut *start as usize)
}

extern "C" fn pid1(start: usize) -> ! {
    // SAFETY: the keeper's frame that holds `Start` is never left (walk goes on to keep), shared or copied.
    let start = unsafe { &*(start as *const Start<'_>) };
    crate::go_on(start.plan, start.at, Role::Pid1)
}

fn load(plan: &Plan, at: u32) -> RawOp {
    // SAFETY: `at` is below `op_count`, and the host laid out that many calls at `ops`.
    unsafe { core::ptr::read((plan.header.ops as *const RawOp).add(at as usize)) }
}

fn argument(op: &RawOp, index: usize) -> u64 {
    let Some(&value) = op.args.get(index) else { return 0 };
    if op.deref & (1u8 << (index & 7)) == 0 {
        return value;
    }
    // SAFETY: a dereferenced argument is the address of a u64 inside the plan.
    unsafe { core::ptr::read_unaligned(value as *const u64) }
}

/// Let the host write the id maps.
fn ready() -> isize {
    send(&mut Record::new(RECORD_READY), None);
    if await_go().is_some() { 0 } else { -(ECANCELED as isize) }
}

/// The fd that came along, or -1.
fn await_go() -> Option<i32> {
    let mut bytes = [0; Record::SIZE];
    let mut fds = sys::ManyFds::empty();
    let (got, _) = sys::receive(CONTROL_FD, &mut bytes, &mut fds);
    let [first, ..] = fds.fds;
    Record::from_bytes(&bytes).filter(|record| got == Record::SIZE as isize && record.kind == RECORD_GO).map(|_| first)
}

/// Make calls for the host, which writes them to memory that it shares, until it is gone.
fn deputize([table, ..]: [u64; 6]) -> isize {
    loop {
        send(&mut Record::new(RECORD_READY), None);
        let mut fds = [CONTROL_FD, HOST_FD].map(|fd| PollFd { fd, events: POLLIN, revents: 0 });
        sys::poll(&mut fds, None);
        let [_, host] = &fds;
        if host.revents & POLLIN != 0 {
            return -(ECANCELED as isize);
        }
        let Some(fd) = await_go() else { return -(ECANCELED as isize) };
        // SAFETY: the plan has mapped the table here, and the host has laid it out: a header, whose `fds` is one word of it.
        let header = unsafe {
            let header = core::ptr::read_volatile(table as *const PlanHeader);
            core::ptr::write_volatile(header.fds as *mut u64, fd as u64);
            header
        };
        if let End::Failed(failure) = walk(&Plan { header }, 0, Role::Keeper) {
            report(&failure);
        }
    }
}

/// An fd for the host. One that does not arrive is a failure: the host counts on it.
fn send_fd([fd, tag, ..]: [u64; 6]) -> isize {
    let mut record = Record::new(RECORD_FD);
    record.value = tag as u32;
    send(&mut record, Some(fd as i32))
}

fn check([actual, expected, errno, mask, ..]: [u64; 6]) -> isize {
    if actual & mask == expected { 0 } else { -(errno as isize) }
}

fn write_pid([address, ..]: [u64; 6]) -> isize {
    let mut digits = [0u8; 12];
    let mut rest = sys::getpid() as u32;
    let mut first = 11;
    loop {
        first = if first > 0 { first - 1 } else { 0 };
        if let Some(digit) = digits.get_mut(first) {
            *digit = b'0'.wrapping_add((rest % 10) as u8);
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let mut to = address as *mut u8;
    for digit in digits.iter().skip(first) {
        // SAFETY: the host reserved 12 bytes at `address` inside the plan.
        unsafe {
            core::ptr::write(to, *digit);
            to = to.add(1);
        }
    }
    0
}

/// Where a new process goes on, and what the payload's, which shares memory until it executes, leaves behind.
struct Start<'a> {
    plan: &'a Plan,
    at: u32,
    failure: Option<Failure>,
}

impl Start<'_> {
    /// Why a child that shared this memory did not execute.
    fn take_failure(&self) -> Option<Failure> {
        // SAFETY: the child, the only writer, has executed or ended; volatile because the compiler saw no write. A PID 1
        // that is no payload never writes.
        unsafe { core::ptr::read_volatile(&raw const self.failure) }
    }
}

/// What a payload's process needs of this memory until its exec. In one place, of which only the last page is touched.
#[repr(C, align(4096))]
struct Birthplace {
    stack: [u8; (16 << 10) - 16],
    /// When it was about to execute, where its plan has FLAG_END_ONLY.
    executed: u64,
    /// Whether that stands at EXECUTED_ADDR instead, for a keeper that does not share this memory.
    apart: bool,
}

static mut BIRTHPLACE: Birthplace = Birthplace { stack: [0; (16 << 10) - 16], executed: 0, apart: false };

/// The cell of that time.
fn exec_time() -> *mut u64 {
    // SAFETY: `apart` is written by a keeper before there is another process; the address alone is taken of the other.
    unsafe { if BIRTHPLACE.apart { EXECUTED_ADDR as *mut u64 } else { &raw mut BIRTHPLACE.executed } }
}

/// 0: there was none.
fn note_exec(time: u64) {
    // SAFETY: a whole, aligned word that is mapped for it. Whoever else has it reads it only once the payload's process has
    // executed or ended.
    unsafe { core::ptr::write_volatile(exec_time(), time) };
}

/// When it executed; 0: it has not.
pub fn executed() -> u64 {
    // SAFETY: as above; a word is never seen half written.
    unsafe { core::ptr::read_volatile(exec_time()) }
}

/// A payload's process from its birth on. Until its exec it shares this memory, and it and the kernel write to this: it
/// must stay where it is.
pub struct Birth<'a> {
    start: Start<'a>,
    using: u32,
    pub pid: i32,
    pub pidfd: i32,
}

impl<'a> Birth<'a> {
    /// Its process is to walk on from call `at`.
    pub const fn new(plan: &'a Plan, at: u32) -> Self {
        Self { start: Start { plan, at, failure: None }, using: 1, pid: 0, pidfd: -1 }
    }

    /// Make the process. `handle`: with a pidfd.
    pub fn begin(&mut self, handle: bool) -> Result<(), Failure> {
        // SAFETY: this process has one thread, and no process of an earlier birth shares its memory any more.
        let stack = unsafe { &mut *&raw mut BIRTHPLACE.stack };
        note_exec(0);
        let start = &raw mut self.start as usize;
        let pid = sys::clone_shared(stack, handle.then_some(&mut self.pidfd), &mut self.using, payload, start);
        if pid < 0 {
            // The first call of a session's payload is not what starts it.
            let op = if self.start.at == 0 { OP_FORK } else { self.cancelled().op };
            return Err(Failure { op, errno: -pid as i32, extra: 0 });
        }
        self.pid = pid as i32;
        Ok(())
    }

    /// Wait for the exec, or say what failed. `slice`: how often, in nanoseconds, `give_up` is asked whether that takes too long.
    pub fn finish(&self, slice: Option<u64>, mut give_up: impl FnMut() -> bool) -> Result<(), Failure> {
        while !sys::released(&self.using, slice) {
            if give_up() {
                return Err(self.abort());
            }
        }
        self.failure().map_or(Ok(()), |failure| {
            sys::wait(self.pid, true);
            Err(failure)
        })
    }

    /// Whether it was executed, as far as can be said now.
    pub fn is_executed(&self) -> bool {
        sys::released(&self.using, Some(0)) && self.failure().is_none()
    }

    /// Why it did not execute.
    pub fn failure(&self) -> Option<Failure> {
        self.start.take_failure()
    }

    /// When it executed.
    pub fn executed(&self) -> u64 {
        executed()
    }

    /// It is killed, and what it has noted does not count unless it has executed.
    pub fn forget_unless_executed(&self) {
        if !self.is_executed() {
            note_exec(0);
        }
    }

    /// The end of one that has not executed, and may no longer.
    pub fn abort(&self) -> Failure {
        // Not yet reaped, so the number is still its own.
        sys::kill(self.pid, sys::SIGKILL);
        sys::wait(self.pid, true);
        self.cancelled()
    }

    fn cancelled(&self) -> Failure {
        let op = load(self.start.plan, self.start.at.saturating_sub(1)).op;
        Failure { op: op.into(), errno: ECANCELED, extra: 0 }
    }
}

/// The payload's process, up to its exec. From here on: no state of the parent's but `Start`.
extern "C" fn payload(start: usize) -> ! {
    let start = start as *mut Start<'_>;
    // SAFETY: the parent waits for the release of this memory and keeps `Start` alive.
    let (plan, at) = unsafe { ((*start).plan, (*start).at) };
    if let End::Failed(failure) = walk(plan, at, Role::Payload) {
        // SAFETY: as above; the parent reads it after this process has ended.
        unsafe { core::ptr::write_volatile(&raw mut (*start).failure, Some(failure)) };
    }
    sys::exit(127)
}

/// Try every path in order, as execvpe(3) does, but without a shell for what the kernel does not know.
fn execute([paths, argv, envp, ..]: [u64; 6]) -> (i32, u32) {
    let mut verdict = (ENOENT, 0);
    let mut at = paths as *const u64;
    loop {
        // SAFETY: the host made a list of addresses inside the plan that ends with 0.
        let path = unsafe { core::ptr::read(at) };
        if path == 0 {
            return verdict;
        }
        // SAFETY: the list goes on at least to its 0.
        at = unsafe { at.add(1) };
        match -sys::execute(path, argv, envp) as i32 {
            ENOENT if sys::exists(path) => return (ENOENT, 1),
            ENOENT | ENOTDIR => {}
            EACCES => verdict = (EACCES, 0),
            errno => return (errno, 0),
        }
    }
}
