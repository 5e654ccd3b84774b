//! Owns: the entry of init, the one static program that carries a plan out.
//! Must not: allocate, decide, format, or contain a word of text. All knowledge is in the plan, which the host made.
//! Start at: [`begin`], then `walk.rs`, `keeper.rs`, `reaper.rs`.
//!
//! One binary, two roles. The host starts it as the *keeper*, outside of the new PID namespace. It receives the plan,
//! walks the first part of it (join, unshare, maps), and clones *PID 1*, which walks the rest and starts the payload.
//! It is executed in the host's user namespace and never executes anything itself, so that its memory belongs to that
//! user namespace and stays unreadable for a payload with every capability (ptrace(2), `mm->user_ns`).
//!
//! Built by `build.rs` with plain `rustc`; see there for the flags.
#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

#[path = "../wire/mod.rs"]
#[allow(dead_code)]
mod wire;

mod agent;
mod cpu;
mod holder;
mod hunt;
mod keeper;
mod memory;
mod reaper;
mod shepherd;
mod start;
mod sys;
mod walk;

use wire::Record;

/// Which operation failed, and how.
#[derive(Clone, Copy)]
pub struct Failure {
    pub op: u32,
    pub errno: i32,
    pub extra: u32,
}

/// From here to the end of the process: every exit is a record or `exit_group`.
pub extern "C" fn begin() -> ! {
    start::clean_inheritance();
    let Some(plan) = start::receive_plan() else { sys::exit(1) };
    go_on(&plan, 0, walk::Role::Keeper)
}

/// Walk on from call `at`, then be what the walk has made of this process.
pub fn go_on(plan: &start::Plan, at: u32, role: walk::Role) -> ! {
    match walk::walk(plan, at, role) {
        walk::End::Started { payload } => reaper::reap(plan, payload, None),
        walk::End::Failed(failure) => {
            report(&failure);
            sys::exit(1)
        }
        walk::End::Finished => sys::exit(0),
    }
}

/// Tell the host which operation failed.
pub fn report(failure: &Failure) {
    let mut record = Record::new(wire::RECORD_FAIL);
    record.value = failure.op;
    record.detail = failure.errno as u32;
    record.extra = failure.extra;
    send(&mut record, None);
}

/// Send one record, with at most one fd, and ring the doorbell. A host that is gone is noticed by the poll loops.
pub fn send(record: &mut Record, fd: Option<i32>) -> isize {
    record.time = sys::monotonic();
    let sent = sys::send_record(wire::CONTROL_FD, &record.to_bytes(), fd);
    sys::send_byte(wire::DOORBELL_FD);
    sent
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(70)
}
