//! Owns: a checker and an interpreter for classic BPF as seccomp runs it. Must not: share code with the emitter.

use seccompiler::sock_filter;

/// What the kernel would refuse at installation, or undefined behaviour in the program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) String);

/// The rules of `bpf_check_classic` and `seccomp_check_filter`, as far as our words go, and: no instruction is dead.
pub(crate) fn check(program: &[sock_filter]) -> Result<(), Invalid> {
    let fail = |at: usize, what: &str| Err(Invalid(format!("instruction {at}: {what}: {:?}", program.get(at))));
    if program.is_empty() || program.len() > 4096 {
        return fail(0, "length");
    }
    let mut reached = vec![false; program.len()];
    reached[0] = true;
    for (at, instruction) in program.iter().enumerate() {
        if !reached[at] {
            return fail(at, "never reached");
        }
        let mut targets = vec![at + 1];
        match instruction.code {
            0x20 if instruction.k >= 64 || instruction.k % 4 != 0 => return fail(at, "load offset"),
            0x20 | 0x54 => {}
            0x05 => targets = vec![at + 1 + instruction.k as usize],
            0x15 | 0x25 | 0x35 => {
                targets = vec![at + 1 + usize::from(instruction.jt), at + 1 + usize::from(instruction.jf)]
            }
            0x06 => targets.clear(),
            _ => return fail(at, "unknown code"),
        }
        for target in targets {
            match reached.get_mut(target) {
                Some(reached) => *reached = true,
                None => return fail(at, "jumps out of the program"),
            }
        }
    }
    Ok(())
}

/// The value the program returns and the number of instructions it took.
pub(crate) fn run(program: &[sock_filter], arch: u32, nr: u32, args: &[u64; 6]) -> (u32, usize) {
    let mut data = Vec::with_capacity(64);
    data.extend(nr.to_le_bytes());
    data.extend(arch.to_le_bytes());
    data.extend(0xdead_beef_u64.to_le_bytes());
    for arg in args {
        data.extend(arg.to_le_bytes());
    }
    let (mut a, mut at, mut steps) = (0u32, 0usize, 0usize);
    loop {
        let instruction = &program[at];
        steps += 1;
        at += 1;
        let mut jump = |taken: bool| at += usize::from(if taken { instruction.jt } else { instruction.jf });
        match instruction.code {
            0x20 => {
                let offset = instruction.k as usize;
                a = u32::from_le_bytes(data[offset..offset + 4].try_into().expect("four bytes"));
            }
            0x54 => a &= instruction.k,
            0x05 => at += instruction.k as usize,
            0x15 => jump(a == instruction.k),
            0x25 => jump(a > instruction.k),
            0x35 => jump(a >= instruction.k),
            0x06 => return (instruction.k, steps),
            other => panic!("code {other:#x}"),
        }
    }
}
