//! Owns: the first microseconds: undo what was inherited, receive the plan.  Must not: trust what was inherited.

use crate::sys::{self, ManyFds};
use crate::wire::{
    CONTROL_FD, DOORBELL_FD, FDS_MAX, FIXED_FDS, MAGIC, MESSAGE_MAX, PLAN_ADDR, PLAN_MAX, PlanHeader, RECORD_HOLD,
    RECORD_START, Record, VERSION,
};

/// Where the pidfd of the host stands from here on.
pub const HOST_FD: i32 = 5;

/// The plan, mapped.
pub struct Plan {
    pub header: PlanHeader,
}

impl Plan {
    /// The number of the fd whose slot is at `address`; 0: none.
    pub fn fd_at(&self, address: u64) -> Option<i32> {
        if address == 0 {
            return None;
        }
        // SAFETY: the host names one of the fd slots, which receive_plan has filled.
        Some(unsafe { core::ptr::read(address as *const u64) } as i32)
    }
}

/// A terminal's Ctrl-C reaches every process of the foreground group; an inherited fd is a hole. A session of its own would
/// do no more for this process (payloads get one) and cost more than anything else here.
pub fn clean_inheritance() {
    sys::block_all_signals();
    sys::default_signals();
    sys::new_process_group();
    sys::set_name(b"pinfold-init\0\0\0\0");
    sys::close_range(4, u32::MAX);
    // Nothing that is received may land on 0 to 2, which a host may have closed or marked close-on-exec (Node does), or on
    // DOORBELL_FD, which another fd gets than the first.
    for number in [0, 1, 2, DOORBELL_FD] {
        sys::place(CONTROL_FD, number);
    }
}

/// Wait for the host's one start message. None when it is not exactly what this build expects.
pub fn receive_plan() -> Option<Plan> {
    let mut bytes = [0; Record::SIZE];
    let mut fds = ManyFds::empty();
    if !sys::map_empty(PLAN_ADDR, MESSAGE_MAX) {
        return None;
    }
    // SAFETY: mapped for this, just now.
    let (got, count) = unsafe { sys::receive_long(CONTROL_FD, &mut bytes, (PLAN_ADDR, MESSAGE_MAX), &mut fds) };
    let behind = (got as usize).checked_sub(Record::SIZE).filter(|_| got > 0)?;
    let record = Record::from_bytes(&bytes)?;
    let length = record.value as usize;
    let [first, host, ..] = fds.fds;
    if record.kind == RECORD_HOLD && record.extra == VERSION && count == 1 && behind == 0 {
        // The keepers that it makes map a plan of their own there.
        sys::unmap(PLAN_ADDR, MESSAGE_MAX);
        // The only fd.
        crate::holder::hold(first);
    }
    let doorbell = first;
    let named = (record.detail as usize).checked_sub(FIXED_FDS)?;
    let apart = length > MESSAGE_MAX || behind == 0;
    if record.kind != RECORD_START
        || record.extra != VERSION
        || length > PLAN_MAX
        || behind != if apart { 0 } else { length }
        || count > FDS_MAX
        || count != (record.detail as usize).wrapping_add(usize::from(apart))
    {
        return None;
    }
    if apart {
        let plan = *fds.fds.get(record.detail as usize)?;
        if !sys::unmap(PLAN_ADDR, MESSAGE_MAX) || !sys::map_plan(plan, PLAN_ADDR, length) {
            return None;
        }
        sys::close(plan);
    }
    // SAFETY: at least one page is mapped at PLAN_ADDR, zero-filled behind the plan's end, and a header is smaller.
    let header = unsafe { core::ptr::read(PLAN_ADDR as *const PlanHeader) };
    if header.magic != MAGIC
        || header.version != VERSION
        || header.length as usize != length
        || header.fd_count as usize != named
    {
        return None;
    }
    let mut slot = header.fds as *mut u64;
    for fd in fds.fds.iter().skip(FIXED_FDS).take(named) {
        // SAFETY: the host laid out `fd_count` slots at `fds` inside the plan, and the counts agree.
        unsafe {
            core::ptr::write(slot, *fd as u64);
            slot = slot.add(1);
        }
    }
    // The received fds are 5 (doorbell), 6 (host), 7 and on: everything above 4 was closed before.
    sys::place(doorbell, DOORBELL_FD);
    sys::place(host, HOST_FD);
    // The host's own stdio goes; the three numbers stay taken, so that nothing opened later gets them.
    for number in 0..3 {
        sys::place(host, number);
    }
    sys::close(host);
    Some(Plan { header })
}
