//! Owns: the answer that a profile in the OCI/Docker form gives to one call, read off its JSON.
//! Must not: share code with the importer or the emitter, which are compared with it; know a profile that they refuse.

use serde_json::Value;

use super::table::{self, Lookup};
use super::{Arch, ProfileContext};

/// A profile on one machine.
pub(crate) struct Meaning<'a> {
    arch: Arch,
    default: u32,
    /// The entries that apply, each with the numbers of its calls.
    entries: Vec<(Vec<u32>, &'a Value)>,
}

impl<'a> Meaning<'a> {
    pub(crate) fn new(profile: &'a Value, context: &ProfileContext) -> Self {
        let errno = profile["defaultErrnoRet"].as_u64().or_else(|| named(&profile["defaultErrno"]));
        let default = returned(profile["defaultAction"].as_str().unwrap_or_default(), errno);
        let entries = profile["syscalls"].as_array().into_iter().flatten().filter(|entry| applies(entry, context));
        Self {
            arch: context.arch,
            default,
            entries: entries.map(|entry| (numbers(entry, context.arch), entry)).collect(),
        }
    }

    /// `SECCOMP_RET_*` for this call of the native architecture.
    pub(crate) fn answer(&self, nr: u32, args: &[u64; 6]) -> u32 {
        const ERRNO: u32 = 0x0005_0000;
        const ENOSYS: u32 = ERRNO | 38;
        if self.arch == Arch::X86_64 && nr >= 0x4000_0000 {
            return ENOSYS;
        }
        let of_call: Vec<&Value> =
            self.entries.iter().filter(|(numbers, _)| numbers.contains(&nr)).map(|(_, entry)| *entry).collect();
        // An entry without arguments decides alone; else the first whose arguments fit.
        let plain = of_call.iter().find(|entry| arguments(entry).is_empty());
        let fits = || of_call.iter().find(|entry| arguments(entry).iter().all(|test| holds(test, args)));
        if let Some(entry) = plain.or_else(fits) {
            let errno = entry["errnoRet"].as_u64().or_else(|| named(&entry["errno"]));
            return returned(entry["action"].as_str().unwrap_or_default(), errno);
        }
        if self.default & 0xffff_0000 == ERRNO {
            // A list of what is allowed: calls newer than the newest it names, and unknown ones, are "not there".
            let newest = self.entries.iter().flat_map(|(numbers, _)| numbers).max();
            let newer = newest.is_some_and(|newest| nr > *newest) && of_call.is_empty();
            if newer || table::name(self.arch, nr).is_none() {
                return ENOSYS;
            }
        }
        self.default
    }
}

/// The numbers of the calls that an entry names.
pub(crate) fn numbers(entry: &Value, arch: Arch) -> Vec<u32> {
    let old = entry["name"].as_str().into_iter();
    let names = old.chain(entry["names"].as_array().into_iter().flatten().filter_map(Value::as_str));
    names
        .filter_map(|name| match table::look_up(arch, name) {
            Lookup::Number(nr) => Some(nr),
            _ => None,
        })
        .collect()
}

/// The tests of arguments of an entry.
pub(crate) fn arguments(entry: &Value) -> Vec<&Value> {
    entry["args"].as_array().into_iter().flatten().collect()
}

fn returned(action: &str, errno: Option<u64>) -> u32 {
    let data = u32::try_from(errno.unwrap_or(1)).unwrap_or_default();
    match action {
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | data,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | data,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        other => unreachable!("the importer refuses {other}"),
    }
}

fn named(errno: &Value) -> Option<u64> {
    let name = errno.as_str().filter(|name| !name.is_empty())?;
    let known = |number: &i32| format!("{:?}", nix::errno::Errno::from_raw(*number)) == name;
    (1..134).find(known).and_then(|number| u64::try_from(number).ok())
}

fn applies(entry: &Value, context: &ProfileContext) -> bool {
    let arch = if context.arch == Arch::X86_64 { "amd64" } else { "arm64" };
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    let kept = |name: &String| super::caps::bit_of(name).is_some_and(|bit| context.caps & bit != 0);
    let new_enough = |version: &str| {
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        context.kernel >= (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
    };
    let (wanted, barred) = (&entry["includes"], &entry["excludes"]);
    let version = |of: &Value| of["minKernel"].as_str().filter(|version| !version.is_empty()).map(new_enough);
    let (arches, caps) = (texts(&wanted["arches"]), texts(&wanted["caps"]));
    (arches.is_empty() || arches.iter().any(|name| name == arch))
        && caps.iter().all(kept)
        && version(wanted).unwrap_or(true)
        && !texts(&barred["arches"]).iter().any(|name| name == arch)
        && !texts(&barred["caps"]).iter().any(kept)
        && !version(barred).unwrap_or(false)
}

fn holds(test: &Value, args: &[u64; 6]) -> bool {
    let number = |field: &str| test[field].as_u64().unwrap_or(0);
    let argument = usize::try_from(number("index")).ok().and_then(|index| args.get(index)).copied().unwrap_or(0);
    let (value, two) = (number("value"), number("valueTwo"));
    match test["op"].as_str().unwrap_or_default() {
        "SCMP_CMP_NE" => argument != value,
        "SCMP_CMP_LT" => argument < value,
        "SCMP_CMP_LE" => argument <= value,
        "SCMP_CMP_EQ" => argument == value,
        "SCMP_CMP_GE" => argument >= value,
        "SCMP_CMP_GT" => argument > value,
        "SCMP_CMP_MASKED_EQ" => argument & value == two & value,
        other => unreachable!("the importer refuses {other}"),
    }
}
