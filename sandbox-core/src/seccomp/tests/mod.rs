//! Owns: tests that cross the files of this module. Must not: install a filter (see the containment tests for real runs).

mod default;
mod docker;
mod emitter;
mod oracle;
mod profile;

use proptest::prelude::*;

use super::vm;
use super::{Arch, Arg, Condition, Op, Policy, Rule, Verdict, Width, table};

/// Numbers and limits at which comparisons go wrong.
const VALUES: [u64; 14] = [
    0,
    1,
    2,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x7e02_0000,
    0x1234_5678_9abc_def0,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_0000_0000,
    u64::MAX,
];

/// Call numbers at the borders of the tables and around them, and all known ones.
fn numbers(arch: Arch) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..=600).collect();
    numbers.extend([999, 0x3fff_ffff, 0x4000_0000, 0x4000_0001, 0x4000_0200, 0x7fff_ffff, 0x8000_0000, u32::MAX]);
    numbers.extend(table::known_ranges(arch).iter().flat_map(|&(first, last)| first..=last));
    numbers
}

/// Argument sets that tell the conditions of `rules` apart: every compared value, its neighbours and its halves.
fn telling_args(rules: &[Rule]) -> Vec<[u64; 6]> {
    let mut sets = vec![[0; 6], [u64::MAX; 6]];
    for condition in rules.iter().flat_map(|rule| &rule.when) {
        let value = condition.value;
        let mut values = vec![
            value,
            value.wrapping_add(1),
            value.wrapping_sub(1),
            value ^ (1 << 32),
            value ^ (1 << 63),
            value & 0xffff_ffff,
            value & 0xffff_ffff_0000_0000,
            value.wrapping_add(1 << 32),
            value.wrapping_sub(1 << 32),
            !value,
        ];
        if let Op::MaskedEq(mask) = condition.op {
            values.extend([value & mask, value | !mask, value ^ mask, (value & mask) | 1 << 40]);
        }
        for value in values {
            for mut set in [[0; 6], [value; 6]] {
                set[usize::from(condition.arg.index())] = value;
                sets.push(set);
            }
        }
    }
    sets
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        3 => Just(Verdict::Allow),
        3 => Just(Verdict::EPERM),
        1 => Just(Verdict::ENOSYS),
        1 => Just(Verdict::KillProcess),
        1 => Just(Verdict::KillThread),
        1 => Just(Verdict::Trap),
        1 => Just(Verdict::Log),
        1 => (0u16..=4095).prop_map(Verdict::Errno),
        1 => any::<u16>().prop_map(Verdict::Trace),
    ]
}

fn any_value() -> impl Strategy<Value = u64> {
    prop_oneof![3 => prop::sample::select(VALUES.to_vec()), 1 => any::<u64>(), 1 => any::<u32>().prop_map(u64::from)]
}

fn any_condition() -> impl Strategy<Value = Condition> {
    let op = prop_oneof![
        Just(Op::Eq),
        Just(Op::Ne),
        Just(Op::Lt),
        Just(Op::Le),
        Just(Op::Gt),
        Just(Op::Ge),
        any_value().prop_map(Op::MaskedEq),
    ];
    // Few arguments, so that rules often test the same one.
    (0u8..3, op, any_value(), any::<bool>()).prop_map(|(arg, op, value, low)| Condition {
        arg: Arg::new(arg * 2).expect("0, 2 and 4 are arguments"),
        op,
        value,
        width: if low { Width::Low32 } else { Width::Full64 },
    })
}

fn any_rule(verdict: impl Strategy<Value = Verdict>) -> impl Strategy<Value = Rule> {
    (prop::collection::vec(any_condition(), 0..4), verdict).prop_map(|(when, verdict)| Rule { when, verdict })
}

fn any_arch() -> impl Strategy<Value = Arch> {
    prop_oneof![Just(Arch::X86_64), Just(Arch::Aarch64)]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let number = prop_oneof![30 => 0u32..480, 1 => any::<u32>(), 1 => Just(u32::MAX), 1 => Just(0x3fff_ffff)];
    let rules = prop::collection::btree_map(number, prop::collection::vec(any_rule(any_verdict()), 0..5), 0..60);
    (any_arch(), any_verdict(), any_verdict(), rules).prop_map(|(arch, default, unknown, rules)| Policy {
        arch,
        default,
        unknown,
        rules,
    })
}

fn rules_of(policy: &Policy, nr: u32) -> &[Rule] {
    policy.rules.get(&nr).map_or(&[], Vec::as_slice)
}
