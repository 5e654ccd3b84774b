//! Owns: PID 1 of a session: makes shepherds, reaps whom nobody else does, ends everything.
//! Must not: start a payload, or know one: that is what shepherds are for.
//!
//! PID 1 can't be killed or stopped from inside. A shepherd can where its ids are the payload's and no Landlock domain keeps
//! their signals apart: PID 1 then ends the whole session, so that nothing runs on that nobody watches.

use crate::reaper::{self, SIGNAL_FD};
use crate::start::Plan;
use crate::sys::{self, POLLERR, POLLHUP, POLLIN, PollFd};
use crate::wire::{
    CONTROL_FD, OP_PLACE, OP_SHEPHERD, RECORD_DONE, RECORD_FAIL, RECORD_KILL_ALL, RECORD_OPEN, RECORD_SHEPHERD,
    RULESET_FD, Record, SHEPHERDS_MAX,
};
use crate::{send, shepherd};

/// The socket that the host's requests come from. A shepherd has its plan here.
const AGENT_FD: i32 = 6;
/// The directory of processes, for hunts.
pub const PROC_FD: i32 = 8;
const NEXT_FD: u32 = 9;

const EAGAIN: i32 = 11;

struct Agent {
    own: bool,
    shepherds: [i32; SHEPHERDS_MAX],
}

/// `fds`: the agent socket, the Landlock ruleset or -1, the directory of processes.
pub fn serve(plan: &Plan, [socket, ruleset, processes, ..]: [i32; 6]) -> ! {
    const HIGH: i32 = 64;
    // Out of the way of the numbers first: any of them may be one of these.
    let [socket, ruleset, processes] = [socket, ruleset, processes].map(|fd| sys::lift(fd, HIGH));
    sys::close_range(SIGNAL_FD as u32, HIGH as u32 - 1);
    sys::place(sys::signalfd_all() as i32, SIGNAL_FD);
    sys::place(socket, AGENT_FD);
    sys::place(ruleset, RULESET_FD);
    sys::place(processes, PROC_FD);
    sys::close_range(NEXT_FD, u32::MAX);
    let mut agent = Agent { own: reaper::owns_namespace(plan), shepherds: [0; SHEPHERDS_MAX] };
    send(&mut Record::new(RECORD_OPEN), None);
    let mut fds = [
        PollFd { fd: SIGNAL_FD, events: POLLIN, revents: 0 },
        PollFd { fd: AGENT_FD, events: POLLIN, revents: 0 },
        // What the host writes there is for the keeper.
        PollFd { fd: CONTROL_FD, events: 0, revents: 0 },
    ];
    loop {
        if sys::poll(&mut fds, None) < 0 {
            continue;
        }
        let [signal, requests, control] = &fds;
        if (requests.revents | control.revents) & (POLLHUP | POLLERR) != 0 {
            agent.end();
        }
        if signal.revents & POLLIN != 0 {
            match sys::next_signal(SIGNAL_FD) {
                Some(signal) if reaper::is_end(&signal) => agent.end(),
                // Anybody's signals: they mean nothing here, there is no payload to pass them on to.
                _ => agent.reap(),
            }
        }
        if requests.revents & POLLIN != 0 {
            agent.request();
        }
    }
}

impl Agent {
    /// Kill everything, say what it used, and be gone.
    fn end(&self) -> ! {
        if self.own {
            reaper::end(Some(-1), None)
        }
        // Without a namespace of our own the keeper ends the group; ours are the shepherds, and whom they hold falls to it.
        for &pid in self.shepherds.iter().filter(|&&pid| pid > 0) {
            sys::kill(pid, sys::SIGKILL);
        }
        reaper::end(None, None)
    }

    fn reap(&mut self) {
        loop {
            let (pid, status, _) = sys::wait_usage(true);
            if pid <= 0 {
                return;
            }
            let Some(place) = self.shepherds.iter_mut().find(|shepherd| **shepherd == pid as i32) else { continue };
            *place = 0;
            // It leaves by itself with 0. Killed or stopped: a payload's doing.
            if status != 0 {
                self.end();
            }
        }
    }

    fn request(&mut self) {
        let mut bytes = [0; Record::SIZE];
        let mut fds = sys::ManyFds::empty();
        let (got, count) = sys::receive(AGENT_FD, &mut bytes, &mut fds);
        let Some(record) = Record::from_bytes(&bytes).filter(|_| got == Record::SIZE as isize) else { self.end() };
        match (record.kind, count) {
            (RECORD_SHEPHERD, 3) => self.shepherd(fds.fds),
            (RECORD_KILL_ALL, 0) if self.own => {
                // The host has sent the shepherds away; those that are still here go as well.
                self.shepherds = [0; SHEPHERDS_MAX];
                sys::kill(-1, sys::SIGKILL);
                while sys::wait(-1, true).0 > 0 {}
                sys::send_record(AGENT_FD, &Record::new(RECORD_DONE).to_bytes(), None);
            }
            _ => self.end(),
        }
        sys::close_range(NEXT_FD, u32::MAX);
    }

    fn shepherd(&mut self, [control, doorbell, plan, ..]: [i32; crate::wire::FDS_MAX]) {
        let place = self.shepherds.iter_mut().find(|pid| **pid == 0);
        let full = place.is_none();
        let pid = if !full { sys::fork() } else { -(EAGAIN as isize) };
        if pid == 0 {
            shepherd::tend(control, doorbell, plan);
        }
        match place {
            Some(place) if pid > 0 => *place = pid as i32,
            _ => {
                let mut record = Record::new(RECORD_FAIL);
                record.value = if full { OP_PLACE } else { OP_SHEPHERD };
                record.detail = -pid as u32;
                sys::send_record(control, &record.to_bytes(), None);
            }
        }
    }
}
