//! Owns: the keeper: outside of the PID namespace, ends the sandbox when its time, its host or its PID 1 is over, and thaws a
//! session when the time of a payload is over that its shepherd, frozen with it, can't end.
//! Must not: touch what is inside.

use crate::cpu::Watch;
use crate::send;
use crate::start::{HOST_FD, Plan};
use crate::sys::{self, POLLERR, POLLHUP, POLLIN, PollFd};
use crate::wire::{
    CAUSE_CPU_TIME, CAUSE_NONE, CAUSE_WALL_TIME, CONTROL_FD, FLAG_END_ONLY, FLAG_PAYLOAD_IS_PID1, RECORD_END,
    RECORD_EXEC, RECORD_EXIT, RECORD_KILL, RECORD_THAW, RECORD_USAGE, Record,
};

const PID1_FD: i32 = 6;

/// How long PID 1 may take to end its tree and count what it used, before it is killed itself: nanoseconds.
const PATIENCE: u64 = 50_000_000;

pub fn keep(plan: &Plan, pid1: i32) -> ! {
    // Only the control socket, the doorbell, the host, PID 1 and its group: a copy of a payload's pipe would hide its end.
    sys::place(pid1, PID1_FD);
    let [group_kill, cpu, thaw] =
        [plan.header.group_kill, plan.header.cpu_stat, plan.header.thaw].map(|at| plan.fd_at(at));
    let mut first = PID1_FD as u32 + 1;
    // They came in this order, so their numbers rise.
    for fd in [group_kill, cpu, thaw].into_iter().flatten() {
        if first < fd as u32 {
            sys::close_range(first, (fd as u32).wrapping_sub(1));
        }
        first = (fd as u32).wrapping_add(1);
    }
    sys::close_range(first, u32::MAX);
    let kill = || {
        sys::pidfd_signal(PID1_FD, sys::SIGKILL);
        // What a v1 group has frozen dies when it is thawed.
        if let Some(fd) = thaw {
            sys::write(fd, b"THAWED");
        }
    };
    let mut cpu = Watch::new(plan);
    sys::close_range(0, 2);
    let no_init = plan.header.flags & FLAG_PAYLOAD_IS_PID1 != 0;
    if no_init {
        send(&mut Record::new(RECORD_EXEC), Some(PID1_FD));
    }
    let mut cause = CAUSE_NONE;
    let mut last_moment = None;
    let mut thawing: Option<Thawing> = None;
    let mut fds = [CONTROL_FD, HOST_FD, PID1_FD].map(|fd| PollFd { fd, events: POLLIN, revents: 0 });
    loop {
        let deadline = match plan.header.deadline {
            _ if cause != CAUSE_NONE => last_moment,
            0 => None,
            deadline => Some(deadline),
        };
        let wall = deadline.map(|deadline| deadline.saturating_sub(sys::monotonic()));
        let used = cpu.as_mut().filter(|_| cause == CAUSE_NONE).map(Watch::left);
        if wall == Some(0) || used == Some(0) {
            if cause == CAUSE_NONE {
                cause = if wall == Some(0) { CAUSE_WALL_TIME } else { CAUSE_CPU_TIME };
                last_moment = end(no_init);
            } else {
                last_moment = None;
                kill();
            }
            continue;
        }
        let thaw = thawing.as_ref().map(|thawing| thawing.time.saturating_sub(sys::monotonic()));
        let timeout = [wall, used, thaw].into_iter().flatten().min();
        let ready = sys::poll(&mut fds, timeout);
        if ready < 0 {
            continue;
        }
        // Not before what the host has said meanwhile.
        if ready == 0 && thaw == Some(0) {
            thawing.take().inspect(Thawing::carry_out);
            continue;
        }
        let [control, host, init] = &fds;
        if init.revents & POLLIN != 0 {
            break;
        }
        if control.revents & POLLIN != 0 {
            // 0 bytes: the host's end is closed. Anything but a kill is not ours to understand.
            match next_command() {
                Some((record, fd)) if record.kind == RECORD_THAW => {
                    thawing = Thawing::new(&record, fd);
                    continue;
                }
                Some((record, _)) if record.kind == RECORD_KILL => {
                    if cause == CAUSE_NONE {
                        cause = record.detail;
                        last_moment = end(no_init);
                    }
                }
                Some(_) => continue,
                None => kill(),
            }
            // From here on only PID 1's end counts.
            let [control, host, _] = &mut fds;
            control.fd = -1;
            host.fd = -1;
            if cause == CAUSE_NONE {
                cause = crate::wire::CAUSE_KILLED;
            }
        } else if (control.revents & (POLLHUP | POLLERR) != 0) || host.revents & POLLIN != 0 {
            kill();
            let [control, host, _] = &mut fds;
            control.fd = -1;
            host.fd = -1;
            cause = crate::wire::CAUSE_KILLED;
        }
    }
    let (_, status) = sys::wait(-1, true);
    if let Some(fd) = group_kill {
        sys::write(fd, b"1");
    }
    if no_init {
        // Killed or not, it was reaped here.
        let kind = if cause == CAUSE_NONE { RECORD_EXIT } else { RECORD_USAGE };
        let mut record = Record::new(kind);
        record.value = status;
        record.detail = 1;
        record.usage = crate::reaper::usage();
        send(&mut record, None);
    }
    let mut record = Record::new(RECORD_END);
    record.value = status;
    record.detail = cause;
    if plan.header.flags & FLAG_END_ONLY != 0 {
        record.executed = crate::walk::executed();
    }
    send(&mut record, None);
    sys::exit(0)
}

/// Ask PID 1 to end its tree, and say when it has had enough time. What is not init does not listen.
fn end(no_init: bool) -> Option<u64> {
    sys::pidfd_signal(PID1_FD, if no_init { sys::SIGKILL } else { crate::reaper::END_SIGNAL });
    Some(sys::monotonic().saturating_add(PATIENCE))
}

/// What the host says, and the fd that came along.
fn next_command() -> Option<(Record, Option<i32>)> {
    let mut bytes = [0; Record::SIZE];
    let mut fds = sys::ManyFds::empty();
    let (got, count) = sys::receive(CONTROL_FD, &mut bytes, &mut fds);
    let [fd, ..] = fds.fds;
    Record::from_bytes(&bytes)
        .filter(|_| got == Record::SIZE as isize)
        .map(|record| (record, (count == 1).then_some(fd)))
}

/// The first deadline of a payload whose session is frozen. Its shepherd ends it then.
struct Thawing {
    time: u64,
    fd: i32,
    by_v1: bool,
}

impl Thawing {
    fn new(record: &Record, fd: Option<i32>) -> Option<Self> {
        Some(Self { time: record.time, fd: fd?, by_v1: record.detail == 1 })
    }

    fn carry_out(&self) {
        sys::write(self.fd, if self.by_v1 { b"THAWED".as_slice() } else { b"0" });
    }
}

impl Drop for Thawing {
    fn drop(&mut self) {
        sys::close(self.fd);
    }
}
