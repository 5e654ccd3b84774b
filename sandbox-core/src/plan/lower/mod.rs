//! Owns: turning typed operations into the flat table of raw system calls that init walks.
//! Must not: decide, reorder, or touch the system. The bytes depend on nothing but the plan.
//! Start at: [`Template`].

mod calls;
mod lowering;
mod mounts;
mod privilege;
mod processes;

use std::collections::BTreeMap;

use crate::wire::{self, PLAN_ADDR, PlanHeader, RUN_ADDR, RawOp};

use super::compile::{CPU_TIME, GROUP_KILL, THAW};
use super::op::Step;
use lowering::Lowering;

/// A fault to plant: the operation of this index fails with this errno instead of being carried out.
pub(crate) type Fault = (usize, i32);

/// What ends a sandbox before its time; the keeper watches it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ends {
    /// Nanoseconds of CLOCK_MONOTONIC, 0 for none.
    pub deadline: u64,
    /// Nanoseconds of CPU time.
    pub cpu_limit: u64,
    /// Nanoseconds that 1 in the statistics stands for.
    pub cpu_unit: u64,
    /// How many CPUs can be busy at once.
    pub cpu_width: u64,
}

/// The lowered beginning of a plan, which every payload of a sandbox shares.
#[derive(Debug)]
pub(crate) struct Template {
    passed: Vec<String>,
    steps: usize,
    blob: Vec<u8>,
    ops: Vec<u8>,
    slots: BTreeMap<u16, u64>,
}

const HEADER: usize = size_of::<PlanHeader>();
const OP: usize = size_of::<RawOp>();

/// Where init writes the number of the fd that was sent at `index`. Behind these slots the blobs begin.
fn slot_at(base: u64, index: usize) -> u64 {
    base + (HEADER + index * 8) as u64
}

impl Template {
    /// Lower the steps that do not depend on the payload. `passed`: the names of the fds, in the order they are sent.
    pub fn new(steps: &[Step], passed: &[String], fault: Option<Fault>) -> Self {
        let mut lowering = Lowering::new(PLAN_ADDR, passed, slot_at(PLAN_ADDR, passed.len()), None);
        lowering.steps(0, steps, fault);
        lowering.align();
        let Lowering { blob, ops, slots, .. } = lowering;
        Self { passed: passed.to_vec(), steps: steps.len(), blob, ops, slots }
    }

    /// The whole plan as init reads it: header, fd slots, blobs, calls.
    pub fn finish(&self, payload: &[Step], flags: u64, ends: Ends, fault: Option<Fault>) -> Vec<u8> {
        let passed = self.passed.len();
        let blob_at = slot_at(PLAN_ADDR, passed) + self.blob.len() as u64;
        let mut rest = Lowering::new(PLAN_ADDR, &self.passed, blob_at, Some(&self.slots));
        rest.steps(self.steps, payload, fault);
        rest.align();
        let ops_at = rest.blob_at + rest.blob.len() as u64;
        let length = (ops_at - PLAN_ADDR) as usize + self.ops.len() + rest.ops.len();
        let slot_of =
            |wanted| self.passed.iter().position(|name| name == wanted).map_or(0, |at| slot_at(PLAN_ADDR, at));
        let header = PlanHeader {
            magic: wire::MAGIC,
            version: wire::VERSION,
            length: length as u32,
            ops: ops_at,
            op_count: ((self.ops.len() + rest.ops.len()) / OP) as u32,
            fd_count: passed as u32,
            fds: PLAN_ADDR + HEADER as u64,
            deadline: ends.deadline,
            flags,
            group_kill: slot_of(GROUP_KILL),
            cpu_stat: slot_of(CPU_TIME),
            cpu_limit: ends.cpu_limit,
            cpu_unit: ends.cpu_unit,
            cpu_width: ends.cpu_width,
            thaw: slot_of(THAW),
        };
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&header.to_bytes());
        bytes.resize(HEADER + passed * 8, 0);
        for part in [&self.blob, &rest.blob, &self.ops, &rest.ops] {
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// One more payload of a session, as a shepherd reads it. `first`: the number of its first step; `ruleset`: the slot that
/// the steps know the Landlock ruleset by. Otherwise as [`Template::finish`].
pub(crate) fn lower_run(
    passed: &[String],
    ruleset: u16,
    first: usize,
    payload: &[Step],
    ends: Ends,
    flags: u64,
    fault: Option<Fault>,
) -> Vec<u8> {
    let mut lowering = Lowering::new(RUN_ADDR, passed, slot_at(RUN_ADDR, passed.len()), None);
    let at = lowering.words(&[wire::RULESET_FD as u64]);
    lowering.slots.insert(ruleset, at);
    lowering.steps(first, payload, fault);
    lowering.align();
    let ops_at = lowering.blob_at + lowering.blob.len() as u64;
    let length = (ops_at - RUN_ADDR) as usize + lowering.ops.len();
    let clock = passed.iter().position(|name| name == CPU_TIME);
    let header = PlanHeader {
        magic: wire::MAGIC,
        version: wire::VERSION,
        length: length as u32,
        ops: ops_at,
        op_count: (lowering.ops.len() / OP) as u32,
        fd_count: passed.len() as u32,
        fds: slot_at(RUN_ADDR, 0),
        deadline: ends.deadline,
        flags,
        group_kill: 0,
        cpu_stat: clock.map_or(0, |at| slot_at(RUN_ADDR, at)),
        cpu_limit: ends.cpu_limit,
        cpu_unit: ends.cpu_unit,
        cpu_width: ends.cpu_width,
        thaw: 0,
    };
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&header.to_bytes());
    bytes.resize(HEADER + passed.len() * 8, 0);
    bytes.extend_from_slice(&lowering.blob);
    bytes.extend_from_slice(&lowering.ops);
    bytes
}
