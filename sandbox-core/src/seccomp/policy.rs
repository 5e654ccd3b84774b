//! Owns: what a filter means, and the answer it must give. Must not: know BPF.

use std::collections::BTreeMap;
use std::fmt;

use nix::errno::Errno;

use super::{Arch, table};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Verdict {
    /// The kernel carries it out.
    Allow,
    /// It fails with this errno; 0 makes it "succeed" without being carried out.
    Errno(u16),
    /// The process dies of SIGSYS.
    KillProcess,
    /// The thread dies of SIGSYS.
    KillThread,
    /// The thread gets a SIGSYS it may handle.
    Trap,
    /// Carried out and logged.
    Log,
    /// A tracer is told, with this number; without a tracer the call fails with ENOSYS.
    Trace(u16),
}

impl Verdict {
    pub(crate) const EPERM: Self = Self::Errno(libc::EPERM as u16);
    pub(crate) const ENOSYS: Self = Self::Errno(libc::ENOSYS as u16);

    /// The value the filter returns to the kernel (`SECCOMP_RET_*`).
    pub(crate) const fn ret(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
            Self::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
            Self::KillThread => libc::SECCOMP_RET_KILL_THREAD,
            Self::Trap => libc::SECCOMP_RET_TRAP,
            Self::Log => libc::SECCOMP_RET_LOG,
            Self::Trace(message) => libc::SECCOMP_RET_TRACE | message as u32,
        }
    }

    /// Whether the kernel carries the call out, as far as the filter is concerned.
    pub(crate) const fn lets_through(self) -> bool {
        matches!(self, Self::Allow | Self::Log)
    }
}

/// As in `refused with EPERM`, without the verb: `EPERM`, `allowed`, `kills the process`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("allowed"),
            Self::Errno(errno) => match Errno::from_raw(i32::from(*errno)) {
                Errno::UnknownErrno => write!(f, "errno {errno}"),
                known => write!(f, "{known:?}"),
            },
            Self::KillProcess => f.write_str("kills the process"),
            Self::KillThread => f.write_str("kills the thread"),
            Self::Trap => f.write_str("SIGSYS"),
            Self::Log => f.write_str("allowed and logged"),
            Self::Trace(message) => write!(f, "left to a tracer ({message})"),
        }
    }
}

/// How many bits of an argument are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Width {
    /// The low 32 bits of argument and value. Right for arguments the kernel takes as `int`: it ignores the rest, so
    /// a comparison of all 64 bits could be evaded by setting a high one.
    Low32,
    Full64,
}

/// How an argument is compared with a value, both unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// `argument & mask == value & mask`
    MaskedEq(u64),
}

/// Which of the six arguments of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Arg(u8);

impl Arg {
    pub(crate) const FIRST: Self = Self(0);
    pub(crate) const SECOND: Self = Self(1);

    /// Counted from 0; `None` beyond the sixth.
    pub(crate) const fn new(index: u8) -> Option<Self> {
        if index < 6 { Some(Self(index)) } else { None }
    }

    /// 0 to 5.
    pub(crate) const fn index(self) -> u8 {
        self.0
    }
}

/// One test of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Condition {
    pub(crate) arg: Arg,
    pub(crate) op: Op,
    pub(crate) value: u64,
    pub(crate) width: Width,
}

impl Condition {
    /// Whether it holds for any arguments, because no bit is compared.
    fn is_void(&self) -> bool {
        match (self.op, self.width) {
            (Op::MaskedEq(mask), Width::Low32) => mask & u64::from(u32::MAX) == 0,
            (Op::MaskedEq(mask), Width::Full64) => mask == 0,
            _ => false,
        }
    }

    /// Whether the condition holds for these arguments.
    #[cfg(test)]
    pub(crate) fn holds(&self, args: &[u64; 6]) -> bool {
        let bits = match self.width {
            Width::Low32 => u64::from(u32::MAX),
            Width::Full64 => u64::MAX,
        };
        let Some(argument) = args.get(usize::from(self.arg.index())) else { return false };
        let (argument, value) = (argument & bits, self.value & bits);
        match self.op {
            Op::Eq => argument == value,
            Op::Ne => argument != value,
            Op::Lt => argument < value,
            Op::Le => argument <= value,
            Op::Gt => argument > value,
            Op::Ge => argument >= value,
            Op::MaskedEq(mask) => argument & mask == value & mask,
        }
    }
}

/// A verdict for the calls for which all conditions hold; without conditions, for all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rule {
    pub(crate) when: Vec<Condition>,
    pub(crate) verdict: Verdict,
}

impl Rule {
    pub(crate) const fn always(verdict: Verdict) -> Self {
        Self { when: Vec::new(), verdict }
    }

    /// Whether it decides whatever the arguments.
    pub(super) fn is_unconditional(&self) -> bool {
        self.when.iter().all(Condition::is_void)
    }
}

/// What a filter means. The calls of other architectures are never let through: those of the 32-bit sibling and of x32
/// answer ENOSYS, anything else kills the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) arch: Arch,
    /// For calls of the table that no rule decides.
    pub(crate) default: Verdict,
    /// For numbers that the table has no call for, above its end or in a gap.
    pub(crate) unknown: Verdict,
    /// By number. The first rule that holds decides, else `default`.
    pub(crate) rules: BTreeMap<u32, Vec<Rule>>,
}

impl Policy {
    /// A policy without rules, that answers ENOSYS to unknown calls.
    pub(crate) const fn new(arch: Arch, default: Verdict) -> Self {
        Self { arch, default, unknown: Verdict::ENOSYS, rules: BTreeMap::new() }
    }

    /// What happens to a number that no rule decides.
    pub(crate) fn fallback(&self, nr: u32) -> Verdict {
        if table::is_known(self.arch, nr) { self.default } else { self.unknown }
    }

    /// The answer to a call: the reference for the emitter. `arch` is `seccomp_data.arch`.
    #[cfg(test)]
    pub(crate) fn evaluate(&self, arch: u32, nr: u32, args: &[u64; 6]) -> Verdict {
        if arch != self.arch.audit() {
            return if arch == self.arch.sibling() { Verdict::ENOSYS } else { Verdict::KillProcess };
        }
        if self.arch.second_abi().is_some_and(|first| nr >= first) {
            return Verdict::ENOSYS;
        }
        let mut rules = self.rules.get(&nr).into_iter().flatten();
        rules
            .find(|rule| rule.when.iter().all(|condition| condition.holds(args)))
            .map_or_else(|| self.fallback(nr), |rule| rule.verdict)
    }

    /// The rules of a number that look at arguments, up to the first that does not, and what holds after them.
    pub(super) fn chain(&self, nr: u32) -> (&[Rule], Verdict) {
        let rules = self.rules.get(&nr).map_or(&[][..], Vec::as_slice);
        match rules.iter().position(Rule::is_unconditional).and_then(|at| rules.split_at_checked(at)) {
            Some((conditional, [decides, ..])) => (conditional, decides.verdict),
            _ => (rules, self.fallback(nr)),
        }
    }

    /// The verdict of a call whatever its arguments, or `None` if they matter.
    pub(crate) fn fixed(&self, nr: u32) -> Option<Verdict> {
        let (conditional, last) = self.chain(nr);
        conditional.iter().all(|rule| rule.verdict == last).then_some(last)
    }

    /// Known calls whose verdict does not depend on arguments, by verdict; and those whose does.
    fn groups(&self) -> (BTreeMap<Verdict, Vec<&'static str>>, Vec<&'static str>) {
        let mut fixed: BTreeMap<Verdict, Vec<&'static str>> = BTreeMap::new();
        let mut by_argument = Vec::new();
        for &(name, nr) in table::calls(self.arch) {
            match self.fixed(nr) {
                Some(verdict) => fixed.entry(verdict).or_default().push(name),
                None => by_argument.push(name),
            }
        }
        (fixed, by_argument)
    }

    /// One line: `refuses 78 calls, checks the arguments of 5, unknown calls: ENOSYS`.
    pub(crate) fn summary(&self) -> String {
        let (fixed, by_argument) = self.groups();
        let count = |through: bool| -> usize {
            fixed.iter().filter(|(verdict, _)| verdict.lets_through() == through).map(|(_, names)| names.len()).sum()
        };
        let first = if self.default.lets_through() {
            format!("refuses {} calls", count(false))
        } else {
            format!("allows {} calls", count(true))
        };
        format!("{first}, checks the arguments of {}, unknown calls: {}", by_argument.len(), self.unknown)
    }
}

/// The summary, then one line per verdict with the names of the calls; the default's calls are only counted.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fixed, by_argument) = self.groups();
        let (major, minor) = table::LINUX;
        writeln!(f, "{}", self.summary())?;
        writeln!(f, "  architecture: {} (calls up to Linux {major}.{minor})", self.arch.name())?;
        for (verdict, names) in &fixed {
            if *verdict == self.default {
                writeln!(f, "  {verdict}: all {} others", names.len())?;
            } else {
                writeln!(f, "  {verdict}: {}", names.join(" "))?;
            }
        }
        if !by_argument.is_empty() {
            writeln!(f, "  by argument: {}", by_argument.join(" "))?;
        }
        Ok(())
    }
}
