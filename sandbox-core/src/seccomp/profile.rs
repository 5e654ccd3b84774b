//! Owns: reading a seccomp profile in the OCI/Docker JSON form. Must not: read files, guess, or drop anything silently.
//!
//! What the form leaves open is decided as runc and libseccomp do, except where that would make a restriction vanish:
//! those profiles are refused, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use nix::errno::Errno;
use serde::Deserialize;

use super::policy::{Arg, Condition, Op, Policy, Rule, Verdict, Width};
use super::table::Lookup;
use super::{Arch, caps, table};

/// Profiles are a few tens of KiB.
pub(crate) const PROFILE_BYTES_MAX: usize = 1 << 20;
/// The kernel's largest errno.
const ERRNO_MAX: u32 = 4095;

/// What `includes` and `excludes` are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProfileContext {
    pub(crate) arch: Arch,
    /// Major and minor version.
    pub(crate) kernel: (u32, u32),
    /// The kept capabilities: bit N is capability N.
    pub(crate) caps: u64,
}

/// A profile as our policy, and what of it has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImportedProfile {
    pub(crate) policy: Policy,
    /// Names of calls that no table knows, sorted: misspelt, or newer than the tables. libseccomp skips them too.
    pub(crate) ignored: Vec<String>,
    /// Entries that come too late: an earlier one decides the same call, otherwise. libseccomp skips them too.
    pub(crate) shadowed: Vec<String>,
    /// Other architectures the profile lists. Their calls are refused all the same.
    pub(crate) other_architectures: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_*` the profile asks for.
    pub(crate) filter_flags: u64,
}

/// Why a profile is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) struct ProfileError {
    /// As in `syscalls[2].args[0].op`; empty for the whole text.
    pub(crate) key: String,
    /// Line of the text, where the text itself is at fault.
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

fn error(key: impl Into<String>, message: impl Into<String>) -> ProfileError {
    ProfileError { key: key.into(), line: None, message: message.into() }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    /// containers-common writes the name beside the number.
    default_errno: Option<String>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<ArchEntry>>,
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    listener_metadata: Option<String>,
    syscalls: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArchEntry {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    /// Before Docker 1.13 there was one name per entry.
    name: Option<String>,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    errno: Option<String>,
    args: Option<Vec<ArgEntry>>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArgEntry {
    index: u32,
    value: u64,
    value_two: Option<u64>,
    op: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Reads a profile for the machine in `context`.
pub(crate) fn profile_from_json(text: &str, context: &ProfileContext) -> Result<ImportedProfile, ProfileError> {
    if text.len() > PROFILE_BYTES_MAX {
        return Err(error(
            "",
            format!("the profile has {} bytes, at most {PROFILE_BYTES_MAX} are accepted", text.len()),
        ));
    }
    // serde_json stops at 128 levels, and the types here at 4.
    let profile: Profile = serde_json::from_str(text).map_err(|e| ProfileError {
        key: String::new(),
        line: Some(e.line()),
        message: format!("not a seccomp profile: {e}"),
    })?;
    let Profile {
        default_action,
        default_errno_ret,
        default_errno,
        architectures,
        arch_map,
        flags,
        listener_path,
        listener_metadata,
        syscalls,
    } = profile;
    if listener_path.is_some_and(|path| !path.is_empty()) || listener_metadata.is_some_and(|data| !data.is_empty()) {
        return Err(error("listenerPath", "a profile with a listener is not supported: no SCMP_ACT_NOTIFY here"));
    }

    let other_architectures = other_architectures(context.arch, architectures, arch_map)?;
    let filter_flags = filter_flags(flags)?;
    let default_errno =
        errno(default_errno_ret, default_errno.as_deref(), "defaultErrnoRet", &default_action, "defaultAction")?;
    let default = action(&default_action, default_errno, "defaultAction")?;

    let mut calls = Calls::default();
    for (at, entry) in syscalls.unwrap_or_default().iter().enumerate() {
        calls.add(&format!("syscalls[{at}]"), entry, context)?;
    }
    let policy = calls.policy(context.arch, default);
    Ok(ImportedProfile {
        policy,
        ignored: calls.ignored.into_iter().collect(),
        shadowed: calls.shadowed,
        other_architectures,
        filter_flags,
    })
}

/// One rule and where it stands in the profile.
struct Sourced {
    key: String,
    rule: Rule,
}

#[derive(Default)]
struct Calls {
    rules: BTreeMap<u32, Vec<Sourced>>,
    ignored: BTreeSet<String>,
    shadowed: Vec<String>,
}

impl Calls {
    fn add(&mut self, key: &str, entry: &Entry, context: &ProfileContext) -> Result<(), ProfileError> {
        let names = match (&entry.name, &entry.names) {
            (Some(_), Some(_)) => return Err(error(key, "has both `name` and `names`")),
            (Some(name), None) => std::slice::from_ref(name),
            (None, Some(names)) => names.as_slice(),
            (None, None) => return Err(error(key, "has no `names`")),
        };
        if names.is_empty() {
            return Err(error(format!("{key}.names"), "is empty: nothing would be filtered"));
        }
        // Everything is checked, also what does not apply here: the same profile is right or wrong on every machine.
        let number =
            errno(entry.errno_ret, entry.errno.as_deref(), &format!("{key}.errnoRet"), &entry.action, "action")?;
        let verdict = action(&entry.action, number, &format!("{key}.action"))?;
        let when = conditions(key, entry.args.as_deref().unwrap_or_default())?;
        let included = matches(&format!("{key}.includes"), entry.includes.as_ref(), context)?;
        let excluded = matches(&format!("{key}.excludes"), entry.excludes.as_ref(), context)?;
        let applies = included.into_iter().flatten().all(|holds| holds) && !excluded.into_iter().flatten().any(|h| h);

        for (at, name) in names.iter().enumerate() {
            match table::look_up(context.arch, name) {
                Lookup::Unknown => {
                    self.ignored.insert(name.clone());
                }
                Lookup::Number(nr) if applies => {
                    self.rule(nr, name, &format!("{key}.names[{at}]"), Rule { when: when.clone(), verdict })?;
                }
                Lookup::Number(_) | Lookup::Elsewhere => {}
            }
        }
        Ok(())
    }

    /// As in libseccomp, an entry without arguments decides alone, wherever it stands, and the first such entry. Where that
    /// would silence a test of arguments that says something else, the profile contradicts itself.
    fn rule(&mut self, nr: u32, name: &str, key: &str, rule: Rule) -> Result<(), ProfileError> {
        let rules = self.rules.entry(nr).or_default();
        for old in rules.iter().filter(|old| old.rule.verdict != rule.verdict) {
            match (old.rule.when.is_empty(), rule.when.is_empty()) {
                (true, true) => {
                    self.shadowed
                        .push(format!("{key}: `{name}` {}, but {} in {}", rule.verdict, old.rule.verdict, old.key));
                    return Ok(());
                }
                (false, false) => {}
                _ => {
                    let message = format!(
                        "`{name}` {}, but {} in {}, and only one of the two looks at arguments: it would never take effect",
                        rule.verdict, old.rule.verdict, old.key
                    );
                    return Err(error(key, message));
                }
            }
        }
        rules.push(Sourced { key: key.to_owned(), rule });
        Ok(())
    }

    fn policy(&mut self, arch: Arch, default: Verdict) -> Policy {
        let mut policy = Policy::new(arch, default);
        // runc answers ENOSYS to calls newer than the newest the profile names, because libraries then take an older
        // way and EPERM would stop them. A profile that allows or kills by default is taken at its word.
        if let Verdict::Errno(_) = default {
            let newest = self.rules.keys().next_back().copied();
            let newer = table::known_ranges(arch).iter().flat_map(|&(first, last)| first..=last);
            for nr in newer.filter(|nr| newest.is_some_and(|newest| *nr > newest)) {
                policy.rules.insert(nr, vec![Rule::always(Verdict::ENOSYS)]);
            }
        } else {
            policy.unknown = default;
        }
        for (nr, rules) in std::mem::take(&mut self.rules) {
            policy.rules.insert(nr, rules.into_iter().map(|sourced| sourced.rule).collect());
        }
        policy
    }
}

/// The listed architectures but the native one, which must be among them if any are.
fn other_architectures(
    native: Arch,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<ArchEntry>>,
) -> Result<Vec<String>, ProfileError> {
    // An empty list is how Go writes an absent one.
    let listed = architectures.filter(|list| !list.is_empty());
    let mapped = arch_map.filter(|map| !map.is_empty());
    let (key, mut listed) = match (listed, mapped) {
        (Some(_), Some(_)) => return Err(error("archMap", "stands beside `architectures`: only one of them may")),
        (None, None) => return Ok(Vec::new()),
        (Some(listed), None) => ("architectures", listed),
        (None, Some(mapped)) => {
            for entry in &mapped {
                known_architecture("archMap", &entry.architecture)?;
            }
            let Some(entry) = mapped.into_iter().find(|entry| entry.architecture == native.oci_name()) else {
                return Err(error("archMap", format!("does not list {}", native.oci_name())));
            };
            let mut listed = vec![entry.architecture];
            listed.extend(entry.sub_architectures.unwrap_or_default());
            ("archMap", listed)
        }
    };
    for name in &listed {
        known_architecture(key, name)?;
    }
    if !listed.iter().any(|name| name == native.oci_name()) {
        return Err(error(key, format!("does not list {}, so it is not for this machine", native.oci_name())));
    }
    listed.retain(|name| name != native.oci_name());
    Ok(listed)
}

/// The names of the runtime specification, without their prefix.
const OCI_ARCHITECTURES: &[&str] = &[
    "X86",
    "X86_64",
    "X32",
    "ARM",
    "AARCH64",
    "MIPS",
    "MIPS64",
    "MIPS64N32",
    "MIPSEL",
    "MIPSEL64",
    "MIPSEL64N32",
    "PPC",
    "PPC64",
    "PPC64LE",
    "S390",
    "S390X",
    "PARISC",
    "PARISC64",
    "RISCV64",
    "LOONGARCH64",
    "M68K",
    "SH",
    "SHEB",
];

fn known_architecture(key: &str, name: &str) -> Result<(), ProfileError> {
    match name.strip_prefix("SCMP_ARCH_") {
        Some(short) if OCI_ARCHITECTURES.contains(&short) => Ok(()),
        _ => Err(error(key, format!("unknown architecture `{name}`"))),
    }
}

/// The names in Docker's `arches`.
const DOCKER_ARCHES: &[&str] = &[
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "loong64",
    "loongarch64",
    "mips",
    // Sic: the profile in Debian's docker.io says so.
    "mips3l64n32",
    "mips64",
    "mips64le",
    "mips64n32",
    "mipsel",
    "mipsel64",
    "mipsel64n32",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv64",
    "s390",
    "s390x",
    "x32",
    "x86",
];

fn filter_flags(flags: Option<Vec<String>>) -> Result<u64, ProfileError> {
    let mut mask = 0;
    for (at, flag) in flags.unwrap_or_default().iter().enumerate() {
        let key = format!("flags[{at}]");
        mask |= match flag.as_str() {
            "SECCOMP_FILTER_FLAG_TSYNC" => libc::SECCOMP_FILTER_FLAG_TSYNC,
            "SECCOMP_FILTER_FLAG_LOG" => libc::SECCOMP_FILTER_FLAG_LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => {
                return Err(error(key, "needs a listener (SCMP_ACT_NOTIFY), which is not supported"));
            }
            _ => return Err(error(key, format!("unknown flag `{flag}`"))),
        };
    }
    Ok(mask)
}

/// The number that comes with an action, given as number, name or both.
fn errno(
    number: Option<u32>,
    name: Option<&str>,
    key: &str,
    action: &str,
    action_key: &str,
) -> Result<Option<u16>, ProfileError> {
    let name = name.filter(|name| !name.is_empty());
    let named = match name {
        None => None,
        Some(name) => match errno_by_name(name) {
            Some(named) => Some(named),
            None => return Err(error(key, format!("unknown errno `{name}`"))),
        },
    };
    let number = match (number, named) {
        (None, None) => return Ok(None),
        (Some(number), None) => number,
        (None, Some(named)) => named,
        (Some(number), Some(named)) if number == named => number,
        (Some(number), Some(named)) => {
            return Err(error(key, format!("is {number}, but the errno named beside it is {named}")));
        }
    };
    let max = match action {
        "SCMP_ACT_ERRNO" => ERRNO_MAX,
        "SCMP_ACT_TRACE" => u32::from(u16::MAX),
        _ => return Err(error(key, format!("has no meaning with the {action_key} {action}"))),
    };
    match u16::try_from(number) {
        Ok(short) if number <= max => Ok(Some(short)),
        _ => Err(error(key, format!("must be at most {max}, got {number}"))),
    }
}

fn errno_by_name(name: &str) -> Option<u32> {
    // Linux' errnos end at 133.
    (1..=133).find(|&number| format!("{:?}", Errno::from_raw(number)) == name).and_then(|number| number.try_into().ok())
}

fn action(name: &str, number: Option<u16>, key: &str) -> Result<Verdict, ProfileError> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => Verdict::Allow,
        "SCMP_ACT_ERRNO" => number.map_or(Verdict::EPERM, Verdict::Errno),
        "SCMP_ACT_KILL_PROCESS" => Verdict::KillProcess,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Verdict::KillThread,
        "SCMP_ACT_TRAP" => Verdict::Trap,
        "SCMP_ACT_LOG" => Verdict::Log,
        // runc's default for the message, too.
        "SCMP_ACT_TRACE" => Verdict::Trace(number.unwrap_or(libc::EPERM as u16)),
        "SCMP_ACT_NOTIFY" => {
            return Err(error(key, "SCMP_ACT_NOTIFY needs a listener outside the sandbox, which is not supported"));
        }
        _ => return Err(error(key, format!("unknown action `{name}`"))),
    })
}

fn conditions(key: &str, args: &[ArgEntry]) -> Result<Vec<Condition>, ProfileError> {
    let mut conditions: Vec<Condition> = Vec::with_capacity(args.len());
    for (at, entry) in args.iter().enumerate() {
        let key = format!("{key}.args[{at}]");
        let arg = u8::try_from(entry.index).ok().and_then(Arg::new);
        let arg = arg.ok_or_else(|| error(format!("{key}.index"), format!("must be 0 to 5, got {}", entry.index)))?;
        if conditions.iter().any(|other| other.arg == arg) {
            return Err(error(
                key,
                format!(
                    "a second test of argument {}: some engines take either, some both, some refuse; \
                     write one entry per case",
                    entry.index
                ),
            ));
        }
        let (op, value) = match entry.op.as_str() {
            "SCMP_CMP_NE" => (Op::Ne, entry.value),
            "SCMP_CMP_LT" => (Op::Lt, entry.value),
            "SCMP_CMP_LE" => (Op::Le, entry.value),
            "SCMP_CMP_EQ" => (Op::Eq, entry.value),
            "SCMP_CMP_GE" => (Op::Ge, entry.value),
            "SCMP_CMP_GT" => (Op::Gt, entry.value),
            // Here `value` is the mask and `valueTwo` what is compared, 0 if absent.
            "SCMP_CMP_MASKED_EQ" => (Op::MaskedEq(entry.value), entry.value_two.unwrap_or(0)),
            other => return Err(error(format!("{key}.op"), format!("unknown comparison `{other}`"))),
        };
        let masked = matches!(op, Op::MaskedEq(_));
        if !masked && entry.value_two.is_some_and(|two| two != 0) {
            return Err(error(format!("{key}.valueTwo"), "has a meaning only with SCMP_CMP_MASKED_EQ"));
        }
        conditions.push(Condition { arg, op, value, width: Width::Full64 });
    }
    Ok(conditions)
}

/// Whether each part of a filter holds; `None` for a part that is absent. `includes` wants all, `excludes` any.
fn matches(key: &str, filter: Option<&Filter>, context: &ProfileContext) -> Result<[Option<bool>; 3], ProfileError> {
    let Some(filter) = filter else { return Ok([None; 3]) };
    let excludes = key.ends_with("excludes");

    let mut caps = None;
    for name in filter.caps.iter().flatten() {
        let bit =
            caps::bit_of(name).ok_or_else(|| error(format!("{key}.caps"), format!("unknown capability `{name}`")))?;
        let kept = context.caps & bit != 0;
        // Docker includes for all of them, and excludes for any.
        caps = Some(match caps {
            None => kept,
            Some(before) if excludes => before || kept,
            Some(before) => before && kept,
        });
    }

    let mut arches = None;
    for name in filter.arches.iter().flatten() {
        if !DOCKER_ARCHES.contains(&name.as_str()) {
            return Err(error(format!("{key}.arches"), format!("unknown architecture `{name}`")));
        }
        arches = Some(arches.unwrap_or(false) || name == context.arch.docker_name());
    }

    let min_kernel = match filter.min_kernel.as_deref() {
        None | Some("") => None,
        Some(version) => {
            let parsed = kernel_version(version)
                .ok_or_else(|| error(format!("{key}.minKernel"), format!("must be like \"5.14\", got `{version}`")))?;
            Some(context.kernel >= parsed)
        }
    };
    Ok([caps, arches, min_kernel])
}

fn kernel_version(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?;
    Some((number(major)?, number(minor)?))
}
