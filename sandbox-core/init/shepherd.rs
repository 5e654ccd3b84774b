//! Owns: one process of init's per payload of a session: starts it, watches it, ends its tree, and is then free for the next.
//! Must not: die before the tree it started, share memory with a payload that runs, or believe a signal.
//!
//! A shepherd is the subreaper of its payload: whatever the payload leaves behind becomes the shepherd's child, not PID 1's,
//! so that a tree stays a tree also when its members call setsid(2) or fork twice.

use crate::cpu::Watch;
use crate::hunt;
use crate::reaper::{self, SIGNAL_FD};
use crate::start::Plan;
use crate::sys::{self, POLLERR, POLLHUP, POLLIN, PollFd, Rusage};
use crate::walk::Birth;
use crate::wire::{
    CAUSE_CPU_TIME, CAUSE_KILLED, CAUSE_NONE, CAUSE_WALL_TIME, CONTROL_FD, DOORBELL_FD, FLAG_END_ONLY, MAGIC,
    MESSAGE_MAX, PLAN_MAX, PlanHeader, RECORD_END, RECORD_EXEC, RECORD_EXIT, RECORD_KILL, RECORD_RUN, RECORD_SIGNAL,
    RECORD_USAGE, RUN_ADDR, Record, VERSION,
};
use crate::{Failure, report, send};

/// Where the host writes a plan that is too long for its message.
const PLAN_FD: i32 = 6;
const NEXT_FD: u32 = 9;

const PR_SET_PDEATHSIG: usize = 1;
const PR_SET_CHILD_SUBREAPER: usize = 36;

/// How often a start that does not come to its exec is asked whether it still may: nanoseconds.
const SLICE: u64 = 20_000_000;
/// How long the end of a tree may take before what is known is told: nanoseconds. The hunt goes on.
const PATIENCE: u64 = 50_000_000;

/// From here to the end of the process: one payload after another, until the host closes its end.
pub fn tend(control: i32, doorbell: i32, plan: i32) -> ! {
    sys::place(control, CONTROL_FD);
    sys::place(doorbell, DOORBELL_FD);
    sys::place(plan, PLAN_FD);
    sys::close_range(NEXT_FD, u32::MAX);
    if sys::prctl(PR_SET_PDEATHSIG, sys::SIGKILL as usize) < 0
        || sys::prctl(PR_SET_CHILD_SUBREAPER, 1) < 0
        || !sys::map_empty(RUN_ADDR, PLAN_MAX)
    {
        sys::exit(0)
    }
    loop {
        let Some(plan) = next() else { sys::exit(0) };
        let mut birth = Birth::new(&plan, 0);
        match start(&plan, &mut birth) {
            Err(failure) => {
                report(&failure);
                sys::close_range(NEXT_FD, u32::MAX);
            }
            Ok(()) => watch(&plan, &Watched { birth: &birth, end_only: is_end_only(&plan) }),
        }
    }
}

/// Whether the host waits for the end alone.
fn is_end_only(plan: &Plan) -> bool {
    plan.header.flags & FLAG_END_ONLY != 0
}

/// Start the payload, and say that it was executed, where the host waits for that. Where it does not, nobody here waits for it
/// either: to be woken for it costs more than anything else between the exec and the end.
fn start(plan: &Plan, birth: &mut Birth<'_>) -> Result<(), Failure> {
    let end_only = is_end_only(plan);
    birth.begin(!end_only)?;
    if end_only {
        return Ok(());
    }
    birth.finish(Some(SLICE), || is_over(plan.header.deadline))?;
    // The host waits for this one: it needs no bell.
    let mut record = Record::new(RECORD_EXEC);
    record.time = sys::monotonic();
    sys::send_record(CONTROL_FD, &record.to_bytes(), Some(birth.pidfd));
    Ok(())
}

/// Wait for the host's next request. None: it has none, or none that can be understood.
fn next() -> Option<Plan> {
    let mut bytes = [0; Record::SIZE];
    let mut fds = sys::ManyFds::empty();
    let (record, behind, count) = loop {
        // SAFETY: more bytes are mapped there for this, and the plan before this one is over.
        let (got, count) = unsafe { sys::receive_long(CONTROL_FD, &mut bytes, (RUN_ADDR, MESSAGE_MAX), &mut fds) };
        let behind = (got as usize).checked_sub(Record::SIZE).filter(|_| got > 0)?;
        let record = Record::from_bytes(&bytes)?;
        // A signal crossed the end of whom it was for.
        if record.kind != RECORD_SIGNAL {
            break (record, behind, count);
        }
    };
    let length = record.value as usize;
    if record.kind != RECORD_RUN || record.extra != VERSION || length > PLAN_MAX || count != record.detail as usize {
        return None;
    }
    // SAFETY: as above, PLAN_MAX bytes.
    if behind != length && (behind != 0 || !unsafe { sys::load(PLAN_FD, RUN_ADDR, length) }) {
        return None;
    }
    // SAFETY: mapped, and larger than a header.
    let header = unsafe { core::ptr::read(RUN_ADDR as *const PlanHeader) };
    if header.magic != MAGIC
        || header.version != VERSION
        || header.length as usize != length
        || header.fd_count as usize != count
    {
        return None;
    }
    let mut slot = header.fds as *mut u64;
    for fd in fds.fds.iter().take(count) {
        // SAFETY: the host laid out `fd_count` slots at `fds` inside the plan, and the counts agree.
        unsafe {
            core::ptr::write(slot, *fd as u64);
            slot = slot.add(1);
        }
    }
    Some(Plan { header })
}

/// Whether a start may go on no longer: its time has passed, or the host has lost interest.
fn is_over(deadline: u64) -> bool {
    let mut control = [PollFd { fd: CONTROL_FD, events: POLLIN, revents: 0 }];
    (deadline != 0 && sys::monotonic() >= deadline) || sys::poll(&mut control, Some(0)) > 0
}

/// What was used by the children that were reaped.
struct Used(Rusage);

impl Used {
    fn add(&mut self, more: &Rusage) {
        const USER_US: usize = 1;
        const SYSTEM_US: usize = 3;
        const MAX_RSS: usize = 4;
        for (index, (sum, more)) in self.0.iter_mut().zip(more).enumerate() {
            *sum = if index == MAX_RSS { (*sum).max(*more) } else { sum.wrapping_add(*more) };
        }
        // Microseconds stay below a second: two sums of two can't overflow, many could.
        for index in [USER_US, SYSTEM_US] {
            let Some([seconds, micros]) = self.0.get_mut(index.wrapping_sub(1)..=index) else { continue };
            if *micros >= 1_000_000 {
                *micros = micros.wrapping_sub(1_000_000);
                *seconds = seconds.wrapping_add(1);
            }
        }
    }
}

enum Reaped {
    /// Some of the tree are left.
    Some,
    None,
}

/// Reap who is dead. `ended` gets the payload's status.
fn reap(payload: i32, used: &mut Used, ended: &mut Option<u32>) -> Reaped {
    loop {
        let (pid, status, usage) = sys::wait_usage(false);
        match pid {
            0 => return Reaped::Some,
            pid if pid < 0 => return Reaped::None,
            pid => {
                used.add(&usage);
                if pid == payload as isize {
                    *ended = Some(status);
                }
            }
        }
    }
}

/// The payload that runs, or is about to.
struct Watched<'a> {
    birth: &'a Birth<'a>,
    /// When it was executed is still to be told; then nobody listens for the bell either.
    end_only: bool,
}

impl Watched<'_> {
    fn tell(&self, mut record: Record) {
        if self.end_only {
            record.executed = self.birth.executed();
            record.time = sys::monotonic();
            sys::send_record(CONTROL_FD, &record.to_bytes(), None);
        } else {
            send(&mut record, None);
        }
    }
}

/// Until the payload is over and this process is free again.
fn watch(plan: &Plan, payload: &Watched<'_>) {
    let birth = payload.birth;
    let mut cpu = Watch::new(plan);
    let mut first = NEXT_FD;
    if let Some(clock) = cpu.as_ref().map(|cpu| cpu.fd() as u32) {
        if first < clock {
            sys::close_range(first, clock.wrapping_sub(1));
        }
        first = clock.wrapping_add(1);
    }
    sys::close_range(first, u32::MAX);
    let mut used = Used([0; 18]);
    let mut ended = None;
    // By the host, to end: then it has nothing more to say.
    let mut told = false;
    let mut fds = [SIGNAL_FD, CONTROL_FD].map(|fd| PollFd { fd, events: POLLIN, revents: 0 });
    let cause = loop {
        let wall = match plan.header.deadline {
            0 => None,
            deadline => Some(deadline.saturating_sub(sys::monotonic())),
        };
        let left = cpu.as_mut().map(Watch::left);
        if wall == Some(0) {
            break CAUSE_WALL_TIME;
        }
        if left == Some(0) && birth.is_executed() {
            break CAUSE_CPU_TIME;
        }
        let timeout = match (wall, left) {
            (Some(wall), Some(left)) => Some(wall.min(left)),
            (wall, left) => wall.or(left),
        };
        if sys::poll(&mut fds, timeout) < 0 {
            continue;
        }
        let [signal, control] = &mut fds;
        if signal.revents & POLLIN != 0 {
            // Whoever sent it and whatever it says: it is only a reason to look.
            sys::next_signal(SIGNAL_FD);
            let left = reap(birth.pid, &mut used, &mut ended);
            if let (Some(_), Some(failure)) = (ended, birth.failure()) {
                report(&failure);
                return;
            }
            if let Some(status) = ended
                && control.fd >= 0
            {
                let free = matches!(left, Reaped::None);
                let mut record = Record::new(RECORD_EXIT);
                record.value = status;
                record.detail = 1;
                record.extra = u32::from(free);
                record.usage = reaper::raw(used.0);
                payload.tell(record);
                if free {
                    if let Some(cpu) = cpu {
                        sys::close(cpu.fd());
                    }
                    return;
                }
                if plan.header.deadline == 0 && cpu.is_none() {
                    // Whom it left behind is PID 1's from here on, and lives as long as the session.
                    sys::exit(0)
                }
                // They live until the deadline, or until the CPU time is used up. The host has no more to say.
                control.fd = -1;
                sys::close(CONTROL_FD);
                sys::close(DOORBELL_FD);
            } else if ended.is_some() && matches!(left, Reaped::None) {
                sys::exit(0)
            }
        }
        if control.fd >= 0 && control.revents & (POLLIN | POLLHUP | POLLERR) != 0 {
            match request() {
                // Not yet reaped, so the number is still its own.
                Request::Signal(signal) => {
                    sys::kill(birth.pid, signal);
                }
                Request::End(cause) => {
                    told = true;
                    break cause;
                }
            }
        }
    };
    if ended.is_none() && !birth.is_executed() {
        report(&birth.abort());
        if told {
            sys::exit(0)
        }
        return;
    }
    end(payload, cause, ended, used)
}

enum Request {
    Signal(i32),
    /// For this cause.
    End(u32),
}

/// What the host says of a payload that runs: a signal for it, kill, or nothing more ever.
fn request() -> Request {
    let mut bytes = [0; Record::SIZE];
    let (got, _) = sys::receive(CONTROL_FD, &mut bytes, &mut sys::ManyFds::empty());
    match Record::from_bytes(&bytes).filter(|_| got == Record::SIZE as isize) {
        Some(record) if record.kind == RECORD_SIGNAL => Request::Signal(record.value as i32),
        Some(record) if record.kind == RECORD_KILL && record.detail != CAUSE_NONE => Request::End(record.detail),
        _ => Request::End(CAUSE_KILLED),
    }
}

/// Kill the tree to its last member, and say why and what it used, unless the payload's end was told before.
fn end(payload: &Watched<'_>, cause: u32, told: Option<u32>, mut used: Used) -> ! {
    let mut told = told.is_some();
    let mut ended = None;
    let last_moment = sys::monotonic().saturating_add(PATIENCE);
    if !told {
        // Not yet reaped, so the number is still its own.
        sys::kill(payload.birth.pid, sys::SIGKILL);
    }
    let mut signal = [PollFd { fd: SIGNAL_FD, events: POLLIN, revents: 0 }];
    loop {
        let left = match reap(payload.birth.pid, &mut used, &mut ended) {
            Reaped::None => false,
            Reaped::Some => {
                // A process that can't be found can't be killed: then the session ends.
                if !hunt::kill_descendants() {
                    sys::exit(1)
                }
                true
            }
        };
        if !told && (!left || sys::monotonic() >= last_moment) {
            told = true;
            let mut record = Record::new(RECORD_USAGE);
            record.usage = reaper::raw(used.0);
            payload.tell(record);
            let mut record = Record::new(RECORD_END);
            record.detail = cause;
            payload.tell(record);
        }
        if !left {
            sys::exit(0)
        }
        const MOMENT: u64 = 1_000_000;
        if sys::poll(&mut signal, Some(MOMENT)) > 0 {
            sys::next_signal(SIGNAL_FD);
        }
    }
}
