//! Owns: PID 1 after the payload has started: reaps every orphan, forwards signals, says how the payload ended.
//! Must not: open, execute, or outlive the payload.

use crate::send;
use crate::start::Plan;
use crate::sys::{self, POLLERR, POLLHUP, POLLIN, PollFd};
use crate::walk::Birth;
use crate::wire::{CONTROL_FD, DOORBELL_FD, FLAG_OWN_PID_NAMESPACE, RECORD_EXIT, RECORD_USAGE, RawUsage, Record};

/// Where PID 1 and its children read their signals.
pub const SIGNAL_FD: i32 = 5;

/// With this signal the keeper asks PID 1 to end the tree and to say what it used.
pub const END_SIGNAL: i32 = 64;

/// Whether a signal is the keeper's request: the kernel names the sender, and only the keeper is our parent.
pub fn is_end(signal: &sys::Signal) -> bool {
    signal.number == END_SIGNAL && signal.code == 0 && signal.sender == sys::getppid()
}

/// Whether PID 1 may kill everything it sees. kill(-1) outside of a namespace of our own would reach the whole machine: two
/// witnesses, the plan and our pid.
pub fn owns_namespace(plan: &Plan) -> bool {
    plan.header.flags & FLAG_OWN_PID_NAMESPACE != 0 && sys::getpid() == 1
}

/// `birth`: of a payload whose exec nobody has waited for.
pub fn reap(plan: &Plan, payload: i32, birth: Option<&Birth<'_>>) -> ! {
    let own = owns_namespace(plan);
    let signals = sys::signalfd_all();
    sys::place(signals as i32, SIGNAL_FD);
    sys::close_range(0, 2);
    sys::close_range(DOORBELL_FD as u32 + 2, u32::MAX);
    let mut fds = [
        PollFd { fd: SIGNAL_FD, events: POLLIN, revents: 0 },
        // Only the end of the host's side; what the host writes is for the keeper.
        PollFd { fd: CONTROL_FD, events: 0, revents: 0 },
    ];
    loop {
        if sys::poll(&mut fds, None) < 0 {
            continue;
        }
        let [signal, control] = &fds;
        if control.revents & (POLLHUP | POLLERR) != 0 {
            sys::kill(if own { -1 } else { payload }, sys::SIGKILL);
            sys::exit(1);
        }
        if signal.revents & POLLIN == 0 {
            continue;
        }
        match sys::next_signal(SIGNAL_FD) {
            None => {}
            Some(signal) if signal.number == sys::SIGCHLD_NUMBER => {}
            Some(signal) if is_end(&signal) => end(Some(if own { -1 } else { payload }), birth),
            Some(other) => {
                sys::kill(payload, other.number);
                continue;
            }
        }
        loop {
            let (pid, status) = sys::wait(-1, false);
            if pid <= 0 {
                break;
            }
            if pid == payload as isize {
                finish(own, status, birth);
            }
        }
    }
}

/// The payload has ended: say so at once, then end the rest and say what all of it used.
fn finish(own: bool, status: u32, birth: Option<&Birth<'_>>) -> ! {
    if let Some(failure) = birth.and_then(Birth::failure) {
        crate::report(&failure);
        sys::exit(1);
    }
    // Every orphan is our child: where there is none (ECHILD), there is nobody to kill. kill(-1) walks over all processes
    // of the machine.
    let mut others = sys::wait(-1, false).0;
    while others > 0 {
        others = sys::wait(-1, false).0;
    }
    let alone = !own || others < 0 || sys::kill(-1, sys::SIGKILL) < 0;
    let mut record = Record::new(RECORD_EXIT);
    record.value = status;
    record.detail = u32::from(alone);
    record.executed = birth.map_or(0, Birth::executed);
    record.usage = usage();
    send(&mut record, None);
    if !alone {
        while sys::wait(-1, true).0 > 0 {}
        let mut record = Record::new(RECORD_USAGE);
        record.usage = usage();
        send(&mut record, None);
    }
    sys::exit(0)
}

/// Kill the tree (-1: all there is), wait for it, and say what it used; the keeper says why.
/// `birth`: as for [`reap`].
pub fn end(tree: Option<i32>, birth: Option<&Birth<'_>>) -> ! {
    if let Some(birth) = birth {
        birth.forget_unless_executed();
    }
    if let Some(tree) = tree {
        sys::kill(tree, sys::SIGKILL);
    }
    while sys::wait(-1, true).0 > 0 {}
    let mut record = Record::new(RECORD_USAGE);
    record.usage = usage();
    send(&mut record, None);
    sys::exit(0)
}

pub fn usage() -> RawUsage {
    raw(sys::children_usage())
}

pub fn raw(usage: sys::Rusage) -> RawUsage {
    let [us, uus, ss, sus, rss, _, _, _, minor, major, _, blocks_in, blocks_out, _, _, _, voluntary, involuntary] =
        usage;
    RawUsage {
        user_us: (us as u64).wrapping_mul(1_000_000).wrapping_add(uus as u64),
        system_us: (ss as u64).wrapping_mul(1_000_000).wrapping_add(sus as u64),
        max_rss: rss as u64,
        minor_faults: minor as u64,
        major_faults: major as u64,
        blocks_in: blocks_in as u64,
        blocks_out: blocks_out as u64,
        voluntary_switches: voluntary as u64,
        involuntary_switches: involuntary as u64,
    }
}
