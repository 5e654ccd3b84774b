//! Owns: the emitter against the reference evaluator. Must not: know the default policy.

use proptest::prelude::*;

use super::vm;
use super::*;
use crate::seccomp::arch::{AUDIT_ARM, AUDIT_I386};
use crate::seccomp::{FilterTooLong, compile};

/// Runs the program and the evaluator over every interesting call.
fn assert_same(policy: &Policy) -> usize {
    let program = compile(policy).expect("fits");
    vm::check(&program).expect("the kernel takes it");
    let mut steps_max = 0;
    for nr in numbers(policy.arch).into_iter().chain(policy.rules.keys().copied()) {
        let mut same = |arch, args: &[u64; 6]| {
            let wanted = policy.evaluate(arch, nr, args);
            let (got, steps) = vm::run(&program, arch, nr, args);
            assert_eq!(got, wanted.ret(), "arch {arch:#x} nr {nr} args {args:x?}: wanted {wanted:?}");
            steps_max = steps_max.max(steps);
        };
        for args in telling_args(rules_of(policy, nr)) {
            same(policy.arch.audit(), &args);
        }
        for arch in [Arch::X86_64.audit(), Arch::Aarch64.audit(), AUDIT_I386, AUDIT_ARM, 0, u32::MAX] {
            same(arch, &[0; 6]);
        }
    }
    steps_max
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 100 } else { 2000 }))]

    #[test]
    fn program_answers_as_the_policy_does(policy in any_policy()) {
        assert_same(&policy);
    }

    #[test]
    fn fixed_agrees_with_evaluate(policy in any_policy(), args in any::<[u64; 6]>()) {
        for &nr in policy.rules.keys() {
            if nr < 0x4000_0000 && let Some(verdict) = policy.fixed(nr) {
                prop_assert_eq!(policy.evaluate(policy.arch.audit(), nr, &args), verdict);
            }
        }
    }
}

fn allow_all(arch: Arch) -> Policy {
    Policy { arch, default: Verdict::Allow, unknown: Verdict::Allow, rules: Default::default() }
}

#[test]
fn trivial_policies_compile() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        assert_same(&allow_all(arch));
        assert_same(&Policy::new(arch, Verdict::EPERM));
        assert_same(&Policy::new(arch, Verdict::ENOSYS));
    }
}

#[test]
fn jumps_over_long_chains_use_stepping_stones() {
    // Every known call has a chain of its own, all longer than a conditional jump reaches.
    let mut policy = allow_all(Arch::X86_64);
    for nr in 0..5 {
        let rules = (0..120).map(|at| Rule {
            when: vec![Condition {
                arg: Arg::FIRST,
                op: Op::Gt,
                value: at << 32 | u64::from(nr),
                width: Width::Full64,
            }],
            verdict: Verdict::Errno(nr as u16 * 100 + at as u16),
        });
        policy.rules.insert(nr * 3, rules.collect());
    }
    let program = compile(&policy).expect("fits");
    assert!(program.len() > 3000, "{}", program.len());
    assert!(program.iter().any(|instruction| instruction.code == 0x05), "no stone was needed");
    assert_same(&policy);
}

#[test]
fn equal_chains_are_shared() {
    let mut policy = allow_all(Arch::X86_64);
    let rules: Vec<Rule> = (0..10)
        .map(|value| Rule {
            when: vec![Condition { arg: Arg::SECOND, op: Op::Eq, value, width: Width::Full64 }],
            verdict: Verdict::EPERM,
        })
        .collect();
    policy.rules.insert(1, rules.clone());
    let one = compile(&policy).unwrap().len();
    policy.rules.insert(100, rules);
    let two = compile(&policy).unwrap().len();
    assert!(two <= one + 2, "{one} instructions for one call, {two} for two");
    assert_same(&policy);
}

#[test]
fn a_value_compared_many_times_is_loaded_once() {
    let mut policy = allow_all(Arch::X86_64);
    let rules = (0..10).map(|value| Rule {
        when: vec![Condition { arg: Arg::FIRST, op: Op::Eq, value, width: Width::Low32 }],
        verdict: Verdict::EPERM,
    });
    policy.rules.insert(41, rules.collect());
    let program = compile(&policy).unwrap();
    let loads = program.iter().filter(|instruction| instruction.code == 0x20).count();
    assert_eq!(loads, 3, "architecture, number, argument");
    assert_same(&policy);
}

#[test]
fn depth_is_logarithmic() {
    let mut policy = Policy::new(Arch::X86_64, Verdict::EPERM);
    for nr in (0..470).filter(|nr| nr % 3 == 0) {
        policy.rules.insert(nr, vec![Rule::always(Verdict::Allow)]);
    }
    let steps = assert_same(&policy);
    assert!(steps <= 16, "{steps} steps");
}

#[test]
fn too_long_is_an_error() {
    let mut policy = allow_all(Arch::X86_64);
    let rules = (0..2000).map(|value| Rule {
        when: vec![Condition { arg: Arg::FIRST, op: Op::Eq, value, width: Width::Full64 }],
        verdict: Verdict::EPERM,
    });
    policy.rules.insert(0, rules.collect());
    let error = compile(&policy).unwrap_err();
    assert!(matches!(error, FilterTooLong { instructions } if instructions > 4096), "{error}");
    assert!(error.to_string().contains("at most 4096"), "{error}");
}

#[test]
fn foreign_architectures_are_never_let_through() {
    let policy = allow_all(Arch::X86_64);
    let program = compile(&policy).unwrap();
    let answer = |arch, nr| vm::run(&program, arch, nr, &[0; 6]).0;
    assert_eq!(answer(AUDIT_I386, 0), Verdict::ENOSYS.ret());
    assert_eq!(answer(Arch::Aarch64.audit(), 0), Verdict::KillProcess.ret());
    assert_eq!(answer(Arch::X86_64.audit(), 0x4000_0000), Verdict::ENOSYS.ret(), "x32 read");
    assert_eq!(answer(Arch::X86_64.audit(), u32::MAX), Verdict::ENOSYS.ret());
    assert_eq!(answer(Arch::X86_64.audit(), 0x3fff_ffff), Verdict::Allow.ret());
}
