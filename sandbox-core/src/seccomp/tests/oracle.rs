//! Owns: the emitter against seccompiler, for the policies both can express. Must not: be the only test of anything.

use proptest::prelude::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::vm;
use super::*;
use crate::seccomp::compile;

fn action(verdict: Verdict) -> SeccompAction {
    match verdict {
        Verdict::Allow => SeccompAction::Allow,
        Verdict::Errno(errno) => SeccompAction::Errno(errno.into()),
        Verdict::KillProcess => SeccompAction::KillProcess,
        Verdict::KillThread => SeccompAction::KillThread,
        Verdict::Trap => SeccompAction::Trap,
        Verdict::Log => SeccompAction::Log,
        Verdict::Trace(message) => SeccompAction::Trace(message.into()),
    }
}

fn condition(condition: &Condition) -> SeccompCondition {
    let op = match condition.op {
        Op::Eq => SeccompCmpOp::Eq,
        Op::Ne => SeccompCmpOp::Ne,
        Op::Lt => SeccompCmpOp::Lt,
        Op::Le => SeccompCmpOp::Le,
        Op::Gt => SeccompCmpOp::Gt,
        Op::Ge => SeccompCmpOp::Ge,
        Op::MaskedEq(mask) => SeccompCmpOp::MaskedEq(mask),
    };
    let width = match condition.width {
        Width::Low32 => SeccompCmpArgLen::Dword,
        Width::Full64 => SeccompCmpArgLen::Qword,
    };
    SeccompCondition::new(condition.arg.index(), width, op, condition.value).unwrap()
}

/// Two verdicts, everything else as in [`Policy`]; no rules means "always" here.
fn oracle(policy: &Policy, on_match: Verdict) -> BpfProgram {
    let rules = policy.rules.iter().map(|(&nr, rules)| {
        let unconditional = rules.iter().any(|rule| rule.when.is_empty());
        let chain = rules
            .iter()
            .filter(|_| !unconditional)
            .map(|rule| SeccompRule::new(rule.when.iter().map(condition).collect()).unwrap())
            .collect();
        (i64::from(nr), chain)
    });
    let arch = match policy.arch {
        Arch::X86_64 => TargetArch::x86_64,
        Arch::Aarch64 => TargetArch::aarch64,
    };
    let filter = SeccompFilter::new(rules.collect(), action(policy.default), action(on_match), arch).unwrap();
    filter.try_into().unwrap()
}

fn two_verdicts() -> impl Strategy<Value = (Policy, Verdict)> {
    (any_verdict(), any_verdict())
        .prop_filter("seccompiler wants two different actions", |(a, b)| a != b)
        .prop_flat_map(|(default, on_match)| {
            let rules = prop::collection::vec(any_rule(Just(on_match)), 1..4);
            let rules = prop::collection::btree_map(0u32..480, rules, 0..40);
            // seccompiler has one answer for calls known and unknown.
            (any_arch(), rules)
                .prop_map(move |(arch, rules)| (Policy { arch, default, unknown: default, rules }, on_match))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 100 } else { 1000 }))]

    #[test]
    fn both_compilers_agree((policy, on_match) in two_verdicts()) {
        let (ours, theirs) = (compile(&policy).unwrap(), oracle(&policy, on_match));
        let arch = policy.arch.audit();
        // It has no x32 test.
        for nr in numbers(policy.arch).into_iter().filter(|nr| *nr < 0x4000_0000) {
            for args in telling_args(rules_of(&policy, nr)) {
                let (ours, theirs) = (vm::run(&ours, arch, nr, &args).0, vm::run(&theirs, arch, nr, &args).0);
                prop_assert_eq!(ours, theirs, "nr {} args {:x?}", nr, args);
            }
        }
        prop_assert_eq!(vm::run(&ours, 0, 0, &[0; 6]).0, vm::run(&theirs, 0, 0, &[0; 6]).0);
    }
}
