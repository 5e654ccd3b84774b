//! Owns: the profile form, case by case. Must not: contain somebody else's profile.

use super::vm;
use super::*;
use crate::seccomp::{ImportedProfile, ProfileContext, ProfileError, compile, profile_from_json};

const CONTEXT: ProfileContext = ProfileContext { arch: Arch::X86_64, kernel: (5, 14), caps: 0 };

fn import(text: &str) -> Result<ImportedProfile, ProfileError> {
    let imported = profile_from_json(text, &CONTEXT);
    if let Ok(imported) = &imported {
        vm::check(&compile(&imported.policy).unwrap()).unwrap();
    }
    imported
}

fn ask(imported: &ImportedProfile, name: &str, args: &[u64]) -> Verdict {
    let arch = imported.policy.arch;
    let mut six = [0; 6];
    six[..args.len()].copy_from_slice(args);
    imported.policy.evaluate(arch.audit(), table::number(arch, name).unwrap(), &six)
}

/// A profile around these entries, that refuses by default.
fn allow_list(entries: &str) -> String {
    format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{entries}]}}"#)
}

fn refusal(text: &str) -> String {
    import(text).expect_err(text).to_string()
}

#[test]
fn reads_dockers_form() {
    let imported = import(
        r#"{
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "archMap": [
                {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
                {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null}
            ],
            "syscalls": [
                {"names": ["read", "write", "socketcall", "file_setattr"], "action": "SCMP_ACT_ALLOW", "args": null,
                 "comment": "", "includes": {}, "excludes": {}},
                {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
                 "args": [{"index": 0, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]},
                {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
                 "args": [{"index": 0, "value": 4294967295, "op": "SCMP_CMP_EQ"}]},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
                 "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}],
                 "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]}},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
                 "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
                {"names": ["kcmp"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.1"}},
                {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
                {"names": ["set_tls"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm", "arm64"]}}
            ]
        }"#,
    )
    .unwrap();
    assert_eq!(imported.ignored, [""; 0]);
    assert_eq!(imported.other_architectures, ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    assert_eq!(imported.policy.default, Verdict::EPERM);
    assert_eq!(imported.policy.unknown, Verdict::ENOSYS);
    for (name, args, wanted) in [
        ("read", &[][..], Verdict::Allow),
        ("open", &[], Verdict::EPERM),
        ("personality", &[0], Verdict::EPERM),
        ("personality", &[8], Verdict::Allow),
        ("personality", &[0xffff_ffff], Verdict::Allow),
        ("clone", &[17], Verdict::Allow),
        ("clone", &[0x1000_0011], Verdict::EPERM),
        ("clone3", &[], Verdict::ENOSYS),
        ("ptrace", &[], Verdict::Allow),
        ("kcmp", &[], Verdict::EPERM),
        ("arch_prctl", &[], Verdict::Allow),
    ] {
        assert_eq!(ask(&imported, name, args), wanted, "{name} {args:?}");
    }
}

#[test]
fn includes_and_excludes_follow_the_context() {
    let text = allow_list(
        r#"{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
           {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
           {"names": ["read"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "6.0"}},
           {"names": ["write"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["arm64"]}},
           {"names": ["file_setattr"], "action": "SCMP_ACT_ALLOW"}"#,
    );
    let ask_all = |context: ProfileContext| {
        let imported = profile_from_json(&text, &context).unwrap();
        ["mount", "bpf", "read", "write"].map(|name| ask(&imported, name, &[]) == Verdict::Allow)
    };
    let (admin, both) = (1 << 21, 1 << 21 | 1 << 39);
    assert_eq!(ask_all(CONTEXT), [false, true, true, true]);
    assert_eq!(ask_all(ProfileContext { caps: admin, ..CONTEXT }), [false, false, true, true]);
    assert_eq!(ask_all(ProfileContext { caps: both, ..CONTEXT }), [true, false, true, true]);
    assert_eq!(ask_all(ProfileContext { kernel: (6, 0), ..CONTEXT }), [false, true, false, true]);
    assert_eq!(ask_all(ProfileContext { arch: Arch::Aarch64, ..CONTEXT }), [false, true, true, false]);
}

#[test]
fn all_comparisons_mean_what_libseccomp_says() {
    for (op, matching, other) in [
        ("SCMP_CMP_NE", 6, 5),
        ("SCMP_CMP_LT", 4, 5),
        ("SCMP_CMP_LE", 5, 6),
        ("SCMP_CMP_EQ", 5, 1 << 32 | 5),
        ("SCMP_CMP_GE", 1 << 32, 4),
        ("SCMP_CMP_GT", 6, 5),
    ] {
        let entry = format!(
            r#"{{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 1, "value": 5, "op": "{op}"}}]}}"#
        );
        let imported = import(&allow_list(&entry)).unwrap();
        assert_eq!(ask(&imported, "ioctl", &[0, matching]), Verdict::Allow, "{op}");
        assert_eq!(ask(&imported, "ioctl", &[0, other]), Verdict::EPERM, "{op}");
    }
    let imported = import(&allow_list(
        r#"{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 1, "value": 255, "valueTwo": 18, "op": "SCMP_CMP_MASKED_EQ"},
                     {"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}]}"#,
    ))
    .unwrap();
    assert_eq!(ask(&imported, "ioctl", &[3, 0x5412]), Verdict::Allow);
    assert_eq!(ask(&imported, "ioctl", &[3, 0x5413]), Verdict::EPERM);
    assert_eq!(ask(&imported, "ioctl", &[2, 0x5412]), Verdict::EPERM, "all of an entry must hold");
}

#[test]
fn every_action_is_read() {
    for (action, verdict) in [
        ("SCMP_ACT_ALLOW", Verdict::Allow),
        ("SCMP_ACT_ERRNO", Verdict::EPERM),
        ("SCMP_ACT_KILL", Verdict::KillThread),
        ("SCMP_ACT_KILL_THREAD", Verdict::KillThread),
        ("SCMP_ACT_KILL_PROCESS", Verdict::KillProcess),
        ("SCMP_ACT_TRAP", Verdict::Trap),
        ("SCMP_ACT_LOG", Verdict::Log),
        ("SCMP_ACT_TRACE", Verdict::Trace(1)),
    ] {
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["read"], "action": "{action}"}}]}}"#
        );
        assert_eq!(ask(&import(&text).unwrap(), "read", &[]), verdict, "{action}");
    }
}

#[test]
fn calls_newer_than_the_profile_answer_enosys() {
    let imported = import(&allow_list(r#"{"names": ["read", "clone3"], "action": "SCMP_ACT_ALLOW"}"#)).unwrap();
    assert_eq!(ask(&imported, "openat2", &[]), Verdict::ENOSYS);
    assert_eq!(ask(&imported, "fsopen", &[]), Verdict::EPERM);

    let kill = import(r#"{"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": []}"#).unwrap();
    assert_eq!(ask(&kill, "openat2", &[]), Verdict::KillProcess);
    assert_eq!(kill.policy.unknown, Verdict::KillProcess);
}

#[test]
fn unknown_names_are_reported_and_known_elsewhere_are_not() {
    let imported =
        import(&allow_list(r#"{"names": ["zread", "raed", "chown32"], "action": "SCMP_ACT_ALLOW"}"#)).unwrap();
    assert_eq!(imported.ignored, ["raed", "zread"]);
}

#[test]
fn nothing_is_dropped_silently() {
    for (text, wanted) in [
        (r#"{"defaultAction": "SCMP_ACT_DENY"}"#, "defaultAction: unknown action `SCMP_ACT_DENY`"),
        (r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "listener"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"}"#, "listener"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscals": []}"#, "unknown field `syscals`"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultAction": "SCMP_ACT_ALLOW"}"#, "duplicate field"),
        (r#"{"syscalls": []}"#, "missing field `defaultAction`"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW"} x"#, "trailing characters"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 5}"#, "defaultErrnoRet: has no meaning"),
        (r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}"#, "at most 4095, got 4096"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_X"]}"#, "flags[0]: unknown flag"),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_ARM"]}"#,
            "does not list SCMP_ARCH_X86_64",
        ),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X68_64"]}"#, "unknown architecture"),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_S390X"}]}"#,
            "archMap: does not list SCMP_ARCH_X86_64",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}"#,
            "only one of them",
        ),
    ] {
        let message = refusal(text);
        assert!(message.contains(wanted), "{text}\n{message}");
    }
    for (entry, wanted) in [
        (r#"{"names": [], "action": "SCMP_ACT_ALLOW"}"#, "syscalls[0].names: is empty"),
        (r#"{"action": "SCMP_ACT_ALLOW"}"#, "syscalls[0]: has no `names`"),
        (r#"{"name": "read", "names": ["read"], "action": "SCMP_ACT_ALLOW"}"#, "both `name` and `names`"),
        (r#"{"names": ["read"], "action": "allow"}"#, "syscalls[0].action: unknown action `allow`"),
        (r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1}"#, "syscalls[0].errnoRet: has no meaning"),
        (r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "priority": 1}"#, "unknown field `priority`"),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}"#,
            "syscalls[0].args[0].index: must be 0 to 5, got 6",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}]}"#,
            "invalid value",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "=="}]}"#,
            "syscalls[0].args[0].op: unknown comparison `==`",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 0, "valueTwo": 1, "op": "SCMP_CMP_EQ"}]}"#,
            "valueTwo",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_GE"}, {"index": 0, "value": 9, "op": "SCMP_CMP_LE"}]}"#,
            "syscalls[0].args[1]: a second test of argument 0",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["SYS_ADMIN"]}}"#,
            "unknown capability",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["x86-64"]}}"#,
            "unknown architecture",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "5"}}"#,
            "minKernel: must be like",
        ),
        (r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"os": ["linux"]}}"#, "unknown field `os`"),
    ] {
        let message = refusal(&allow_list(entry));
        assert!(message.contains(wanted), "{entry}\n{message}");
    }
}

#[test]
fn a_restriction_that_would_never_take_effect_is_refused() {
    let restriction = r#"{"names": ["socket"], "action": "SCMP_ACT_ERRNO",
                          "args": [{"index": 0, "value": 38, "op": "SCMP_CMP_EQ"}]}"#;
    let everything = r#"{"names": ["read", "socket"], "action": "SCMP_ACT_ALLOW"}"#;
    for entries in [format!("{restriction}, {everything}"), format!("{everything}, {restriction}")] {
        let message = refusal(&allow_list(&entries));
        assert!(message.contains("`socket`") && message.contains("would never take effect"), "{message}");
    }
    // The same verdict twice is no contradiction.
    let narrow = restriction.replace("ERRNO", "ALLOW");
    let imported = import(&allow_list(&format!("{narrow}, {everything}"))).unwrap();
    assert_eq!(ask(&imported, "socket", &[1]), Verdict::Allow);
}

#[test]
fn of_two_plain_entries_the_first_decides_and_the_other_is_reported() {
    let imported = import(&allow_list(
        r#"{"names": ["syslog"], "action": "SCMP_ACT_ALLOW"}, {"names": ["read", "syslog"], "action": "SCMP_ACT_ERRNO"}"#,
    ))
    .unwrap();
    assert_eq!(ask(&imported, "syslog", &[]), Verdict::Allow);
    assert_eq!(imported.shadowed, ["syscalls[1].names[1]: `syslog` EPERM, but allowed in syscalls[0].names[0]"]);
}

#[test]
fn of_two_entries_with_arguments_the_first_that_holds_decides() {
    let entry = |action: &str, op: &str| {
        format!(r#"{{"names": ["socket"], "action": "{action}", "args": [{{"index": 0, "value": 16, "op": "{op}"}}]}}"#)
    };
    let imported = import(&allow_list(&format!(
        "{}, {}",
        entry("SCMP_ACT_KILL_PROCESS", "SCMP_CMP_EQ"),
        entry("SCMP_ACT_ALLOW", "SCMP_CMP_LE")
    )))
    .unwrap();
    assert_eq!(ask(&imported, "socket", &[16]), Verdict::KillProcess);
    assert_eq!(ask(&imported, "socket", &[1]), Verdict::Allow);
    assert_eq!(ask(&imported, "socket", &[17]), Verdict::EPERM);
    assert_eq!(imported.shadowed, [""; 0]);
}

#[test]
fn flags_and_named_errnos_are_read() {
    let imported = import(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "defaultErrno": "ENOSYS",
            "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
            "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errno": "EAFNOSUPPORT"}]}"#,
    )
    .unwrap();
    assert_eq!(imported.filter_flags, 2 | 4);
    assert_eq!(imported.policy.default, Verdict::ENOSYS);
    assert_eq!(ask(&imported, "read", &[]), Verdict::Errno(97));
    let contradiction = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "defaultErrno": "ENOSYS"}"#;
    assert!(refusal(contradiction).contains("is 1, but the errno named beside it is 38"));
}

#[test]
fn size_and_nesting_are_limited() {
    let long = format!("{}{}", " ".repeat(1 << 20), r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#);
    assert!(refusal(&long).contains("at most 1048576"));
    let deep = format!(r#"{{"defaultAction": {}"#, "[".repeat(100_000));
    assert!(!refusal(&deep).is_empty());
    let error = import("{\n\n  \"defaultAction\": 3}").unwrap_err();
    assert_eq!(error.line, Some(3));
}

proptest! {
    #[test]
    fn any_text_is_an_answer_or_an_error(text in "\\PC*") {
        drop(profile_from_json(&text, &CONTEXT));
    }
}
