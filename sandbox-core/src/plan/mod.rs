//! Owns: the plan: an ordered list of operations as plain data, printable before anything runs.
//! Must not: touch the system.
//! Start at: [`Plan`], then `compile.rs` for the order and `lower` for what init gets.

mod compile;
mod display;
#[cfg(any(test, fuzzing))]
pub(crate) mod invariants;
mod lower;
mod op;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use serde::Serialize;

use crate::idmap::MapWriter;
use crate::rootfs::StackedLayer;
use crate::spec::Propagation;
use crate::wire::{FLAG_END_ONLY, FLAG_OWN_PID_NAMESPACE, FLAG_PAYLOAD_IS_PID1};

pub(crate) use compile::{
    AGENT, CPU_TIME, Call, Filter, GROUP, GROUP_KILL, THAW, compile_base, compile_payload, compile_session,
    compile_standing, filter, joined_name, tasks_name,
};
pub(crate) use lower::{Ends, Fault, Template};
pub(crate) use op::{Attributes, Fd, Handed, LandlockRule, Op, Slot, Step, Witness};

/// What will be done, in order. Made by [`Sandbox::explain`](crate::Sandbox::explain); `Display` prints it like strace,
/// each line with the config key it came from.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) base: Arc<Base>,
    /// The payload's process, up to its exec.
    pub(crate) payload: Vec<Step>,
}

/// The part of a plan that is the same for every payload of a sandbox.
#[derive(Debug)]
pub(crate) struct Base {
    /// Mount trees that the host makes once per sandbox and clones for every start. Empty on hosts that can't.
    pub prepared: Vec<Step>,
    /// What the host does itself at every start: clones of mount trees, in its own mount namespace.
    pub host: Vec<Step>,
    /// What init does: the keeper up to `CreateInit`, then PID 1 up to `StartPayload`.
    pub steps: Vec<Step>,
    /// The names of the fds that go along, in order.
    pub passed: Vec<String>,
    /// The namespace that starts can use instead of mounting the prepared tree, if they can.
    pub standing: Option<Standing>,
    /// This one uses it.
    pub stands: bool,
    /// The layers below the writable one, where the root has one.
    pub layers: Vec<StackedLayer>,
    pub own_pid_namespace: bool,
    /// No init inside: PID 1 is the payload.
    pub payload_is_pid1: bool,
    /// `steps`, lowered.
    pub template: Template,
}

/// The name under which the clone of the prepared tree travels.
pub(crate) const ROOT: &str = "root";
/// And the standing namespace.
pub(crate) const STANDING: &str = "standing mounts";

/// How the standing namespace is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// By the host: the clone of the prepared tree that becomes its root.
    pub tree: Step,
    /// By an errand, which opens the namespace.
    pub steps: Vec<Step>,
}

impl Base {
    /// What was done for the standing namespace, where it is used.
    pub fn standing_steps(&self) -> &[Step] {
        self.standing.as_ref().filter(|_| self.stands).map_or(&[], |standing| &standing.steps)
    }
}

impl Plan {
    /// Init's operation `index`, counted as failures are.
    pub(crate) fn step(&self, index: usize) -> Option<&Step> {
        self.base.steps.get(index).or_else(|| self.payload.get(index.checked_sub(self.base.steps.len())?))
    }

    /// Whether init hands this to the host.
    pub(crate) fn hands(&self, what: Handed) -> bool {
        let hands = |step: &Step| matches!(step.op, Op::SendFd { what: sent, .. } if sent == what);
        self.base.steps.iter().chain(&self.payload).any(hands)
    }

    /// How many operations init carries out.
    pub(crate) fn step_count(&self) -> usize {
        self.base.steps.len() + self.payload.len()
    }

    /// How many operations the host carries out before.
    pub(crate) fn host_count(&self) -> usize {
        self.base.prepared.len() + self.base.standing_steps().len() + self.base.host.len()
    }

    /// Whether init hands anything to the host.
    pub(crate) fn hands_anything(&self) -> bool {
        self.base.steps.iter().chain(&self.payload).any(|step| matches!(step.op, Op::SendFd { .. }))
    }

    /// Whether init asks the host for something before it starts the payload.
    pub(crate) fn asks(&self) -> bool {
        let asks = |op: &Op| matches!(op, Op::MapIds { maps } if maps.writer != MapWriter::Init);
        self.base.steps.iter().any(|step| asks(&step.op))
    }

    /// The bytes that init gets. `end_only`: the host asks for nothing before the end.
    pub(crate) fn lower(&self, ends: Ends, end_only: bool, fault: Option<Fault>) -> Vec<u8> {
        let base = &*self.base;
        let mut flags = if end_only { FLAG_END_ONLY } else { 0 };
        if base.own_pid_namespace {
            flags |= FLAG_OWN_PID_NAMESPACE;
        }
        if base.payload_is_pid1 {
            flags |= FLAG_PAYLOAD_IS_PID1;
        }
        let finish = |template: &Template| template.finish(&self.payload, flags, ends, fault);
        match fault {
            Some(_) => finish(&Template::new(&base.steps, &base.passed, fault)),
            None => finish(&base.template),
        }
    }
}

impl Plan {
    /// The bytes that a shepherd gets for one more payload of a session, and the names of the fds that go along, in order.
    /// `ends`: by the session's clock.
    pub(crate) fn lower_run(&self, passed: &[String], ends: Ends, end_only: bool, fault: Option<Fault>) -> Vec<u8> {
        let flags = if end_only { FLAG_END_ONLY } else { 0 };
        lower::lower_run(passed, compile::RULESET_SLOT, self.base.steps.len(), &self.payload, ends, flags, fault)
    }
}

/// One line of a plan, as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlanLine {
    /// Counted from 1 over the whole plan.
    pub number: usize,
    /// `prepare`, `host`, `keeper`, `init` or `payload`.
    pub by: &'static str,
    /// The operation in words.
    pub what: String,
    /// The config key that asked for it, or `default`.
    pub origin: String,
}

/// As mount(8) writes them.
fn mount_options(options: &[(&'static str, Option<String>)]) -> String {
    let words = options.iter().map(|(key, value)| match value {
        Some(value) => format!("{key}={value}"),
        None => (*key).to_owned(),
    });
    words.collect::<Vec<_>>().join(",")
}

pub(crate) fn propagation_flags(propagation: Propagation) -> u64 {
    match propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::Slave => libc::MS_SLAVE,
        Propagation::Shared => libc::MS_SHARED,
        Propagation::Unbindable => libc::MS_UNBINDABLE,
    }
}
