//! Owns: seccomp policies and filters. Must not: install a filter (init does), know the configuration, touch the system.
//!
//! ```text
//! default_policy() --+
//!                    +--> Policy (what is meant) --> compile() --> BpfProgram (what the kernel runs)
//! profile_from_json -+         |
//!                              +--> evaluate(): the same answer without BPF, for tests and fuzzing
//! ```
//!
//! Start at `policy`: it says what a filter means. `emit` says how that becomes a tree of jumps, `default` what Pinfold
//! refuses and why, `profile` how the OCI/Docker form is read, `table` which calls exist.

mod arch;
mod bpf;
mod caps;
mod default;
mod emit;
mod policy;
mod profile;
#[cfg(any(test, fuzzing))]
pub(crate) mod reference;
mod table;
#[cfg(any(test, fuzzing))]
pub(crate) mod vm;

#[cfg(test)]
mod tests;

pub(crate) use arch::Arch;
pub(crate) use default::{DefaultOptions, default_policy};
pub(crate) use emit::compile;
pub(crate) use profile::{ProfileContext, profile_from_json};
#[cfg(test)]
use {
    emit::FilterTooLong,
    policy::{Arg, Condition, Op, Policy, Rule, Verdict, Width},
    profile::{ImportedProfile, ProfileError},
    table::Lookup,
};
