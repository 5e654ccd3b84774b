//! Owns: seccomp profiles made of choices, or taken as they are, and comparing the compiled filter with what they say.
//! Must not: know how a profile is imported.

use serde_json::{Value, json};

use super::choices::Choices;
use crate::seccomp::reference::{Meaning, arguments, numbers};
use crate::seccomp::{Arch, ProfileContext, compile, profile_from_json, vm};

const ACTIONS: &[&str] = &[
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRACE",
];
const COMPARISONS: &[&str] =
    &["SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"];
const CALLS: &[&str] = &[
    "read",
    "write",
    "openat",
    "clone",
    "clone3",
    "socket",
    "personality",
    "ioctl",
    "mount",
    "umount2",
    "execve",
    "exit",
    "prctl",
    "kill",
    "mseal",
    "io_uring_setup",
    "landlock_create_ruleset",
    "ptrace",
    "bpf",
    "fork",
    "no_such_call",
];
const CAPS: &[&str] = &["CAP_SYS_ADMIN", "CAP_NET_RAW", "CAP_SYS_PTRACE"];
const ARCHES: &[&str] = &["amd64", "arm64", "s390x"];
const KERNELS: &[&str] = &["4.8", "5.14", "6.18"];

pub(super) fn agree(choices: &mut Choices<'_>) {
    let context = ProfileContext {
        arch: choices.pick(&[Arch::X86_64, Arch::Aarch64]),
        kernel: choices.pick(&[(5, 14), (6, 1), (6, 18)]),
        caps: choices.pick(&[0, 1 << 21, 1 << 13, u64::MAX]),
    };
    let text = if choices.flip() {
        let Ok(text) = std::str::from_utf8(choices.rest()) else { return };
        text.to_owned()
    } else {
        made(choices).to_string()
    };
    let Ok(imported) = profile_from_json(&text, &context) else { return };
    // Longer than the kernel takes is refused with an error.
    let Ok(program) = compile(&imported.policy) else { return };
    vm::check(&program).expect("the kernel takes it");
    let profile: Value = serde_json::from_str(&text).expect("what was imported is JSON");
    let meaning = Meaning::new(&profile, &context);
    for (nr, args) in calls(&profile, context.arch, choices) {
        let (got, _) = vm::run(&program, context.arch.audit(), nr, &args);
        let wanted = meaning.answer(nr, &args);
        assert_eq!(got, wanted, "call {nr} with {args:x?} under {text}");
    }
}

/// Calls at which the profile could be misread: the named ones and their neighbours, arguments around the compared values.
fn calls(profile: &Value, arch: Arch, choices: &mut Choices<'_>) -> Vec<(u32, [u64; 6])> {
    let mut calls = Vec::new();
    for nr in [0, 1, 59, 435, 461, 462, 469, 470, 999, 0x3fff_ffff, 0x4000_0000, u32::MAX, choices.id()] {
        calls.push((nr, [0; 6]));
    }
    for entry in profile["syscalls"].as_array().into_iter().flatten().take(400) {
        let mut sets = vec![[0; 6], [u64::MAX; 6]];
        for test in arguments(entry) {
            let index = test["index"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(0).min(5);
            for value in [&test["value"], &test["valueTwo"]].into_iter().filter_map(Value::as_u64) {
                for value in [value, value.wrapping_add(1), value.wrapping_sub(1), value ^ 1 << 32, !value] {
                    let mut set = sets[sets.len() - 1];
                    set[index] = value;
                    sets.push(set);
                }
            }
        }
        for nr in numbers(entry, arch).into_iter().take(8) {
            calls.extend(sets.iter().map(|set| (nr, *set)));
            calls.push((nr + 1, [choices.number(); 6]));
        }
    }
    calls
}

fn made(choices: &mut Choices<'_>) -> Value {
    let action = choices.pick(ACTIONS);
    let mut profile = json!({ "defaultAction": action });
    if action == "SCMP_ACT_ERRNO" && choices.flip() {
        profile["defaultErrnoRet"] = choices.below(134).into();
    }
    let mut entries = Vec::new();
    while entries.len() < 12 && !choices.is_empty() {
        entries.push(entry(choices));
    }
    profile["syscalls"] = entries.into();
    profile
}

fn entry(choices: &mut Choices<'_>) -> Value {
    let names: Vec<&str> = (0..=choices.below(3)).map(|_| choices.pick(CALLS)).collect();
    let action = choices.pick(ACTIONS);
    let mut entry = json!({ "names": names, "action": action });
    if matches!(action, "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE") && choices.flip() {
        entry["errnoRet"] = choices.below(4096).into();
    }
    let tests: Vec<Value> = (0..choices.below(4))
        .map(|index| {
            let op = choices.pick(COMPARISONS);
            let mut test = json!({ "index": (index + choices.below(2)) % 6, "value": choices.number(), "op": op });
            if op == "SCMP_CMP_MASKED_EQ" {
                test["valueTwo"] = choices.number().into();
            }
            test
        })
        .collect();
    if !tests.is_empty() {
        entry["args"] = tests.into();
    }
    for side in ["includes", "excludes"] {
        match choices.below(8) {
            5 => entry[side] = json!({ "caps": [choices.pick(CAPS)] }),
            6 => entry[side] = json!({ "arches": [choices.pick(ARCHES)] }),
            7 => entry[side] = json!({ "minKernel": choices.pick(KERNELS) }),
            _ => {}
        }
    }
    entry
}
