//! Owns: a list of devices as a program of the kernel's (BPF), for groups of the unified hierarchy (ADR 0020).
//! Must not: call the kernel (sys does), or know where a list comes from.
//! Start at: [`program`]. Source: `struct bpf_cgroup_dev_ctx` of `<linux/bpf.h>`; the kernel's `bpf/standardization/instruction-set.rst`.
//!
//! The kernel runs it when a process of the group opens or makes a device node. 1: allowed, 0: EPERM.
//!
//! ```text
//!         type   = context[0] & 0xffff        1 block, 2 character
//!         access = context[0] >> 16           1 to make the node, 2 to read, 4 to write: all that is asked for
//!         major  = context[4]
//!         minor  = context[8]
//! rule:   if type != its type        goto next    one block for each rule
//!         if access & ~its access    goto next    left out where the rule allows all
//!         if major != its major      goto next    left out where it is `*`
//!         if minor != its minor      goto next    the same
//!         return 1
//! next:   ..
//!         return 0
//! ```

use std::collections::BTreeMap;

use super::device::Rule;
use crate::sys::Instruction;

/// Registers: the result, and the context when the program begins.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
/// What is asked for.
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Instruction codes: class | operation | source.
const LOAD_WORD: u8 = 0x61; // LDX | W | MEM
const MOVE: u8 = 0xb4; // ALU | MOV | K
const MOVE_REGISTER: u8 = 0xbc; // ALU | MOV | X
const AND: u8 = 0x54; // ALU | AND | K
const SHIFT_RIGHT: u8 = 0x74; // ALU | RSH | K
const IF_NOT_EQUAL: u8 = 0x56; // JMP32 | JNE | K
const IF_ANY_BIT: u8 = 0x46; // JMP32 | JSET | K
const EXIT: u8 = 0x95; // JMP | EXIT

const BLOCK: u32 = 1;
const CHARACTER: u32 = 2;
const MAKE: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;
const ALL: u32 = MAKE | READ | WRITE;

/// Whether what is asked for is in one of the rules; those for the same numbers count as one, as in the list of v1.
pub(super) fn program(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        load(TYPE, CONTEXT, 0),
        Instruction { code: MOVE_REGISTER, registers: registers(ACCESS, TYPE), offset: 0, immediate: 0 },
        with(SHIFT_RIGHT, ACCESS, 16),
        with(AND, TYPE, 0xffff),
        load(MAJOR, CONTEXT, 4),
        load(MINOR, CONTEXT, 8),
    ];
    for ((block, major, minor), access) in united(rules) {
        let tests = [
            Some((IF_NOT_EQUAL, TYPE, if block { BLOCK } else { CHARACTER })),
            (access != ALL).then_some((IF_ANY_BIT, ACCESS, ALL & !access)),
            major.map(|major| (IF_NOT_EQUAL, MAJOR, major)),
            minor.map(|minor| (IF_NOT_EQUAL, MINOR, minor)),
        ];
        let tests: Vec<_> = tests.into_iter().flatten().collect();
        // Over the tests that follow, and the two that return.
        let mut skip = tests.len() as i16 + 1;
        for (code, register, value) in tests {
            program.push(Instruction { offset: skip, ..with(code, register, value) });
            skip -= 1;
        }
        program.extend(answer(1));
    }
    program.extend(answer(0));
    program
}

type Numbers = (bool, Option<u32>, Option<u32>);

fn united(rules: &[Rule]) -> BTreeMap<Numbers, u32> {
    let mut all = BTreeMap::new();
    for rule in rules {
        *all.entry((rule.block, rule.major, rule.minor)).or_insert(0) |= bits(&rule.access);
    }
    all
}

fn bits(access: &str) -> u32 {
    let bit = |letter| match letter {
        b'm' => MAKE,
        b'r' => READ,
        b'w' => WRITE,
        _ => 0,
    };
    access.bytes().fold(0, |bits, letter| bits | bit(letter))
}

fn answer(number: u32) -> [Instruction; 2] {
    [with(MOVE, RESULT, number), with(EXIT, 0, 0)]
}

/// The bits of `value` are what counts: every instruction here is one of 32 bits.
fn with(code: u8, register: u8, value: u32) -> Instruction {
    Instruction { code, registers: registers(register, 0), offset: 0, immediate: value.cast_signed() }
}

fn load(register: u8, from: u8, offset: i16) -> Instruction {
    Instruction { code: LOAD_WORD, registers: registers(register, from), offset, immediate: 0 }
}

const fn registers(destination: u8, source: u8) -> u8 {
    if cfg!(target_endian = "little") { destination | source << 4 } else { destination << 4 | source }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the kernel hands to the program.
    #[derive(Debug, Clone, Copy)]
    struct Asked {
        block: bool,
        access: u32,
        major: u32,
        minor: u32,
    }

    /// As the kernel would: one step after the other, and nothing that it would refuse.
    fn run(program: &[Instruction], asked: Asked) -> u32 {
        let kind = if asked.block { BLOCK } else { CHARACTER };
        let context = [asked.access << 16 | kind, asked.major, asked.minor];
        let mut file: [Option<u32>; 11] = [None; 11];
        let mut at = 0;
        for _ in 0..=program.len() {
            let Instruction { code, registers, offset, immediate } = program[at];
            let (low, high) = (usize::from(registers & 15), usize::from(registers >> 4));
            let (to, from) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
            let value = immediate.cast_unsigned();
            let old = || file[to].expect("a register that was written");
            at += 1;
            let jump = match code {
                0x61 => {
                    assert_eq!((from, offset % 4, immediate), (1, 0, 0), "a word of the context");
                    file[to] = Some(context[usize::try_from(offset).expect("inside") / 4]);
                    false
                }
                0xb4 => {
                    file[to] = Some(value);
                    false
                }
                0xbc => {
                    file[to] = file[from];
                    false
                }
                0x54 => {
                    file[to] = Some(old() & value);
                    false
                }
                0x74 => {
                    file[to] = Some(old() >> value);
                    false
                }
                0x56 => old() != value,
                0x46 => old() & value != 0,
                0x95 => return file[0].expect("a result"),
                code => panic!("{code:#x} is not in use"),
            };
            if jump {
                assert!(offset >= 0, "no loops");
                at += usize::try_from(offset).expect("forward");
            }
        }
        panic!("it does not end");
    }

    /// What a list means, said without a program.
    fn listed(rules: &[Rule], asked: Asked) -> bool {
        let fits = |rule: &Rule, number: fn(&Rule) -> Option<u32>, asked| number(rule).is_none_or(|own| own == asked);
        let same = |a: &Rule, b: &Rule| (a.block, a.major, a.minor) == (b.block, b.major, b.minor);
        rules.iter().any(|rule| {
            let all: String =
                rules.iter().filter(|other| same(rule, other)).map(|other| other.access.as_str()).collect();
            rule.block == asked.block
                && fits(rule, |rule| rule.major, asked.major)
                && fits(rule, |rule| rule.minor, asked.minor)
                && [('m', MAKE), ('r', READ), ('w', WRITE)]
                    .iter()
                    .all(|(letter, bit)| asked.access & bit == 0 || all.contains(*letter))
        })
    }

    fn rule(text: &str) -> Rule {
        Rule::parse(text, "x").expect("a rule")
    }

    fn allows(rules: &[&str], asked: Asked) -> bool {
        let rules: Vec<Rule> = rules.iter().map(|text| rule(text)).collect();
        let answer = run(&program(&rules), asked);
        assert_eq!(answer == 1, listed(&rules, asked), "{rules:?} {asked:?}");
        answer == 1
    }

    const TUN: Asked = Asked { block: false, access: READ | WRITE, major: 10, minor: 200 };

    #[test]
    fn a_rule_allows_what_it_says_and_nothing_else() {
        for (rules, allowed) in [
            (&[][..], false),
            (&["c 10:200 rw"], true),
            (&["c 10:200 rwm"], true),
            (&["c 10:200 r"], false),
            (&["c 10:200 r", "c 10:200 w"], true),
            (&["c 10:200 r", "c 10:* w"], false),
            (&["c 10:201 rw"], false),
            (&["c 11:200 rw"], false),
            (&["b 10:200 rw"], false),
            (&["c 10:* rw"], true),
            (&["c *:200 rw"], true),
            (&["c *:* rw"], true),
            (&["c *:* m"], false),
            (&["b *:* rwm", "c 10:201 rwm", "c 10:200 rw"], true),
        ] {
            assert_eq!(allows(rules, TUN), allowed, "{rules:?}");
        }
        assert!(!allows(&["c 10:200 rw"], Asked { access: MAKE, ..TUN }));
        assert!(allows(&["c 10:200 m"], Asked { access: MAKE, ..TUN }));
        // The largest numbers are no sign.
        assert!(allows(
            &["c 4294967295:4294967295 r"],
            Asked { block: false, access: READ, major: u32::MAX, minor: u32::MAX }
        ));
    }

    #[test]
    fn the_minimal_set_is_for_every_sandbox() {
        let program = program(&Rule::minimal());
        for (major, minor, allowed) in
            [(1, 3, 1), (1, 9, 1), (5, 2, 1), (136, 77, 1), (1, 1, 0), (5, 1, 0), (10, 200, 0)]
        {
            assert_eq!(run(&program, Asked { major, minor, ..TUN }), allowed, "{major}:{minor}");
        }
        assert_eq!(run(&program, Asked { access: MAKE, major: 1, minor: 3, block: false }), 0);
    }

    /// Few numbers, so that some meet.
    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let number = prop_oneof![Just(None), (0u32..4).prop_map(Some), any::<u32>().prop_map(Some)];
        let rule =
            (any::<bool>(), number.clone(), number, prop::sample::select(vec!["r", "w", "m", "rw", "rm", "wm", "rwm"]));
        let rule =
            rule.prop_map(|(block, major, minor, access)| Rule { block, major, minor, access: access.to_owned() });
        prop::collection::vec(rule, 0..12)
    }

    proptest! {
        #[test]
        fn program_and_list_say_the_same(rules in rules(), block: bool, access in 1u32..8, major in 0u32..4, minor in 0u32..4) {
            let asked = Asked { block, access, major, minor };
            let program = program(&rules);
            prop_assert_eq!(run(&program, asked) == 1, listed(&rules, asked));
            for rule in &rules {
                let asked = Asked { major: rule.major.unwrap_or(major), minor: rule.minor.unwrap_or(minor), ..asked };
                prop_assert_eq!(run(&program, asked) == 1, listed(&rules, asked));
            }
        }
    }
}
