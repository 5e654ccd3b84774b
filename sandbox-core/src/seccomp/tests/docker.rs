//! Owns: Docker's default profile as moby publishes it, of two ages (`data`): it imports, compiles, and answers as it says.
//! Must not: repeat the profile: verdicts here are those that users rely on.

use super::vm;
use super::*;
use crate::seccomp::reference::{Meaning, arguments, numbers};
use crate::seccomp::{ProfileContext, compile, profile_from_json};

/// Of Docker 20.10, with io_uring.
const OLD: &str = include_str!("data/docker-default.json");
/// Of Docker 28.5, without.
const NEW: &str = include_str!("data/moby-default.json");
const SYS_ADMIN: u64 = 1 << 21;
const SYS_CHROOT: u64 = 1 << 18;
const SYS_BOOT: u64 = 1 << 22;

fn context(arch: Arch, caps: u64) -> ProfileContext {
    ProfileContext { arch, kernel: (6, 18), caps }
}

/// The answer of the compiled filter.
fn verdict(profile: &str, arch: Arch, caps: u64, name: &str, args: &[u64]) -> u32 {
    verdict_on((6, 18), profile, arch, caps, name, args)
}

fn verdict_on(kernel: (u32, u32), profile: &str, arch: Arch, caps: u64, name: &str, args: &[u64]) -> u32 {
    let context = ProfileContext { arch, kernel, caps };
    let imported = profile_from_json(profile, &context).expect("Docker's profile is read");
    let program = compile(&imported.policy).expect("it compiles");
    vm::check(&program).expect("the kernel takes it");
    let nr = table::number(arch, name).unwrap_or_else(|| panic!("there is a call {name}"));
    let mut six = [0; 6];
    six[..args.len()].copy_from_slice(args);
    vm::run(&program, arch.audit(), nr, &six).0
}

#[test]
fn it_gives_the_verdicts_that_docker_gives() {
    const NEWUSER: u64 = 0x1000_0000;
    const NEWNS: u64 = 0x0002_0000;
    const THREAD: u64 = 0x003d_0f00;
    let allow = Verdict::Allow.ret();
    let eperm = Verdict::EPERM.ret();
    let enosys = Verdict::ENOSYS.ret();
    for arch in [Arch::X86_64, Arch::Aarch64] {
        for (caps, name, args, wanted) in [
            (0, "read", &[][..], allow),
            (0, "openat2", &[], allow),
            (0, "execve", &[], allow),
            (0, "ptrace", &[], allow),
            (0, "clone", &[THREAD], allow),
            (0, "clone", &[17], allow),
            (0, "clone", &[NEWUSER | 17], eperm),
            (0, "clone", &[NEWNS], eperm),
            (SYS_ADMIN, "clone", &[NEWUSER], allow),
            (0, "clone3", &[], enosys),
            (SYS_ADMIN, "clone3", &[], allow),
            (0, "unshare", &[NEWUSER], eperm),
            (SYS_ADMIN, "unshare", &[NEWUSER], allow),
            (0, "mount", &[], eperm),
            (SYS_ADMIN, "mount", &[], allow),
            (SYS_CHROOT, "mount", &[], eperm),
            (0, "chroot", &[], eperm),
            (SYS_CHROOT, "chroot", &[], allow),
            (0, "reboot", &[], eperm),
            (SYS_BOOT, "reboot", &[], allow),
            (u64::MAX, "keyctl", &[], eperm),
            (u64::MAX, "add_key", &[], eperm),
            (u64::MAX, "kexec_load", &[], eperm),
            (u64::MAX, "swapon", &[], eperm),
            (0, "personality", &[0], allow),
            (0, "personality", &[8], allow),
            (0, "personality", &[0xffff_ffff], allow),
            (0, "personality", &[0x0004_0000], eperm),
        ] {
            for profile in [OLD, NEW] {
                let got = verdict(profile, arch, caps, name, args);
                assert_eq!(got, wanted, "{} {name} {args:x?} with capabilities {caps:x}", arch.name());
            }
        }
        // What has changed in between.
        for (name, args, old, new) in [
            ("io_uring_setup", &[][..], allow, eperm),
            ("io_uring_enter", &[], allow, eperm),
            ("io_uring_register", &[], allow, eperm),
            ("socket", &[2], allow, allow),
            ("socket", &[40], allow, eperm), // AF_VSOCK
            ("process_vm_readv", &[], eperm, allow),
            ("pkey_alloc", &[], eperm, allow),
            // Younger than the old profile: calls that it can't know are not there.
            ("mseal", &[], enosys, allow),
        ] {
            for (profile, wanted) in [(OLD, old), (NEW, new)] {
                assert_eq!(verdict(profile, arch, 0, name, args), wanted, "{} {name} {args:x?}", arch.name());
            }
        }
        // ptrace came with a hole that 4.8 has closed.
        for profile in [OLD, NEW] {
            assert_eq!(verdict_on((4, 7), profile, arch, 0, "ptrace", &[]), eperm);
            assert_eq!(verdict_on((4, 8), profile, arch, 0, "ptrace", &[]), allow);
        }
    }
    for profile in [OLD, NEW] {
        assert_eq!(verdict(profile, Arch::X86_64, 0, "arch_prctl", &[]), allow);
        assert_eq!(verdict(profile, Arch::X86_64, 0, "iopl", &[]), eperm);
    }
}

/// Every call of the table and around it, with arguments that tell the profile's conditions apart.
#[test]
fn the_filter_says_what_the_profile_says() {
    [OLD, NEW].into_iter().for_each(says_what_it_says);
}

fn says_what_it_says(text: &str) {
    let profile: serde_json::Value = serde_json::from_str(text).expect("JSON");
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let entries = profile["syscalls"].as_array().expect("entries").iter();
        let named: Vec<_> = entries.map(|entry| (numbers(entry, arch), entry)).collect();
        assert!(named.iter().any(|(numbers, _)| numbers.len() > 200), "the long list is there");
        for caps in [0, SYS_ADMIN, u64::MAX] {
            let context = context(arch, caps);
            let imported = profile_from_json(text, &context).expect("Docker's profile is read");
            let program = compile(&imported.policy).expect("it compiles");
            let meaning = Meaning::new(&profile, &context);
            for nr in super::numbers(arch) {
                let mut sets = vec![[0; 6], [u64::MAX; 6]];
                let of_call = named.iter().filter(|(numbers, _)| numbers.contains(&nr));
                for test in of_call.flat_map(|(_, entry)| arguments(entry)) {
                    let value = test["value"].as_u64().expect("a number");
                    sets.extend([[value; 6], [value + 1; 6], [value | 1 << 32; 6], [!value; 6]]);
                }
                for args in &sets {
                    let (got, wanted) = (vm::run(&program, arch.audit(), nr, args).0, meaning.answer(nr, args));
                    assert_eq!(got, wanted, "{} call {nr} {args:x?} with capabilities {caps:x}", arch.name());
                }
            }
        }
    }
}

/// What of it has no effect here is said.
#[test]
fn nothing_of_it_is_dropped_silently() {
    for profile in [OLD, NEW] {
        let imported = profile_from_json(profile, &context(Arch::X86_64, 0)).expect("Docker's profile is read");
        assert_eq!(imported.other_architectures, ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
        assert_eq!(imported.shadowed, Vec::<String>::new());
        assert_eq!(imported.ignored, Vec::<String>::new(), "the tables know every call of every architecture it names");
    }
}
