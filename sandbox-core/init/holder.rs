//! Owns: the holder: a process of init that keeps a group alive, and makes keepers that are born in it.
//! Must not: know a plan, or outlive the host.

use crate::start::HOST_FD;
use crate::sys::{self, POLLIN, PollFd};
use crate::wire::{CONTROL_FD, RECORD_FAIL, RECORD_KEEPER, RECORD_MADE, Record};

/// Never returns here. A keeper begins like any other, on the control socket it was made with.
pub fn hold(host: i32) -> ! {
    // In this order: the number may be the one below.
    sys::place(host, HOST_FD);
    sys::close(CONTROL_FD + 1);
    sys::close_range(HOST_FD as u32 + 1, u32::MAX);
    // Who stops its group by a signal is obeyed at once; a keeper blocks them again.
    sys::unblock_all_signals();
    let mut fds = [CONTROL_FD, HOST_FD].map(|fd| PollFd { fd, events: POLLIN, revents: 0 });
    loop {
        if sys::poll(&mut fds, None) < 0 {
            continue;
        }
        let [_, host] = &fds;
        if host.revents != 0 {
            sys::exit(0);
        }
        let mut bytes = [0; Record::SIZE];
        let mut passed = sys::ManyFds::empty();
        let (got, count) = sys::receive(CONTROL_FD, &mut bytes, &mut passed);
        let asked = Record::from_bytes(&bytes).filter(|_| got == Record::SIZE as isize);
        // 0 bytes: the host has no use for it any more.
        if !asked.is_some_and(|record| record.kind == RECORD_KEEPER && count == 1) {
            sys::exit(0);
        }
        let [socket, ..] = passed.fds;
        make(socket);
    }
}

fn make(socket: i32) {
    let (pid, pidfd) = sys::fork_sibling();
    if pid == 0 {
        sys::place(socket, CONTROL_FD);
        crate::begin();
    }
    let mut record = Record::new(if pid > 0 { RECORD_MADE } else { RECORD_FAIL });
    record.value = pid.max(0) as u32;
    record.detail = pid.min(0).unsigned_abs() as u32;
    sys::send_record(socket, &record.to_bytes(), Some(pidfd).filter(|_| pid > 0));
    // A copy of the socket here would hide the keeper's end.
    sys::close(socket);
    sys::close(pidfd);
}
