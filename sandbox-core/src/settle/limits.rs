//! Owns: which limits a group enforces, in which hierarchy, and what stands in for those it can't.
//! Must not: do I/O, or know the kernel's file names (cgroup does).
//! Start at: [`settle`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Report;
use crate::host::{
    CgroupPlace, Cgroups, HostCaps, NOTHING_WEIGHS, ONLY_ON_V2, UserManager, delegate, no_device_program,
};
use crate::idmap::{IdMaps, of_init, to_outside};
use crate::spec::{Limits, Namespace, Rlimit, Spec};
use crate::{Error, Result};

#[cfg(test)]
mod tests;

/// What was decided about limits.
pub(super) struct Settled {
    pub rlimits: Vec<(Rlimit, u64)>,
    pub group: Option<Group>,
}

/// The group of a sandbox: where it is made, and what is limited in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    /// In the unified hierarchy, where PID 1 is born in it.
    pub unified: Option<Place>,
    /// Where that is in a scope, which is made by a systemd that listens on this socket.
    pub scope: Option<PathBuf>,
    /// In v1 hierarchies, which PID 1 enters before anything else.
    pub v1: Vec<Place>,
    /// Those that the group enforces, and no others.
    pub limits: Limits,
    /// CPU time of all processes, watched by the keeper.
    pub cpu_time: Option<Duration>,
    /// Whether payloads of a session can enter groups of their own below it.
    pub enterable: bool,
    /// Whether a block device here heeds weights.
    pub weighs_io: bool,
}

/// Why a limit that could be written would do nothing, and what to do about it.
pub(crate) type Useless = (&'static str, &'static str);

pub(crate) const SWAP_ALONE: Useless = ("cgroup v1 limits swap only together with memory", "set limits.memory too");

/// A directory in which the group of a sandbox is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Empty: in a scope; where that is shows when it is there.
    pub parent: PathBuf,
    /// Those that the group has here.
    pub controllers: Vec<String>,
    /// Those that the parent must be told to hand down first.
    pub enable: Vec<String>,
}

impl Group {
    /// Whether the group has this controller (by its v1 or v2 name) in either hierarchy.
    pub fn has(&self, v1: &str, v2: &str) -> bool {
        let on = |place: &Place, name: &str| place.controllers.iter().any(|have| have == name);
        self.unified.iter().any(|place| on(place, v2)) || self.v1.iter().any(|place| on(place, v1))
    }
}

impl Group {
    /// Whether it counts CPU time, and could for one payload of a session alone.
    pub fn counts_cpu_time_of_one(&self) -> bool {
        self.enterable && (self.unified.is_some() || self.has("cpuacct", ""))
    }

    /// The same, with its scope at this directory.
    pub fn within(&self, scope: &Path) -> Self {
        let unified = self.unified.clone().map(|place| Place { parent: scope.to_owned(), ..place });
        Self { unified, ..self.clone() }
    }

    /// How many nanoseconds 1 in its CPU time stands for: `cpu.stat` counts microseconds, `cpuacct.usage` nanoseconds.
    pub fn cpu_unit(&self) -> u64 {
        if self.unified.is_some() { 1000 } else { 1 }
    }

    /// Whether it can only be frozen by the v1 controller, where what is frozen does not die.
    pub fn freezes_by_v1(&self) -> bool {
        self.unified.is_none() && self.has("freezer", "")
    }
}

/// One limit that is asked for.
struct Wanted {
    key: &'static str,
    value: String,
    v1: Option<&'static str>,
    v2: Option<&'static str>,
}

/// The one that needs no controller on v2, but a program.
const DEVICES: &str = "limits.devices";

/// Every limit of the spec that needs a group. The controllers' names on v1 and v2; None: that version has none.
fn wanted(limits: &Limits) -> Vec<Wanted> {
    let mut all = Vec::new();
    let mut want = |key, value: Option<String>, v1, v2| {
        all.extend(value.map(|value| Wanted { key, value, v1, v2 }));
    };
    let text = |number: Option<u64>| number.map(|number| number.to_string());
    let (memory, cpu) = (Some("memory"), Some("cpu"));
    want("limits.memory", text(limits.memory), memory, memory);
    want("limits.memory_high", text(limits.memory_high), None, memory);
    want("limits.swap", text(limits.swap), memory, memory);
    want("limits.oom_group", limits.oom_group.filter(|on| *on).map(|on| on.to_string()), None, memory);
    want("limits.pids", text(limits.pids), Some("pids"), Some("pids"));
    want("limits.cpus", limits.cpus.map(|cpus| cpus.to_string()), cpu, cpu);
    want("limits.cpu_weight", text(limits.cpu_weight), cpu, cpu);
    want("limits.cpuset", limits.cpuset.clone(), Some("cpuset"), Some("cpuset"));
    want("limits.io_weight", text(limits.io_weight), Some("blkio"), Some("io"));
    let devices = |count: usize| (count > 0).then(|| format!("{count} devices"));
    want("limits.io", devices(limits.io.len()), Some("blkio"), Some("io"));
    let rules = (!limits.devices.is_empty()).then(|| limits.devices.join(", "));
    want(DEVICES, rules, Some("devices"), None);
    let sizes: Vec<&str> = limits.hugepages.iter().map(|(size, _)| size.as_str()).collect();
    want("limits.hugepages", (!sizes.is_empty()).then(|| sizes.join(", ")), Some("hugetlb"), Some("hugetlb"));
    all
}

/// The keys of those that need a group, with the controllers of v1 and v2 that they need.
pub(crate) fn in_groups(limits: &Limits) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    wanted(limits).into_iter().map(|want| (want.key, want.v1.unwrap_or_default(), want.v2.unwrap_or_default()))
}

/// Why a build without the feature has none of them, and what to do about it.
const WITHOUT: Option<(&str, &str)> = if cfg!(feature = "cgroups") {
    None
} else {
    Some(("this build is without the feature `cgroups`", "build with the default features"))
};

/// Controllers that only count, and are asked to wherever there is a group anyway: (v1, v2).
const COUNTING: [(&str, &str); 4] = [("memory", "memory"), ("pids", "pids"), ("cpu", "cpu"), ("blkio", "io")];

/// The v1 controllers that a payload of a session has a group of its own for.
const OF_A_PAYLOAD: [&str; 4] = ["memory", "pids", "cpuacct", "blkio"];

impl Place {
    /// Whether a v1 hierarchy has a group of a payload's own. A new group of the cpuset controller can't be entered.
    pub fn counts_payloads(controllers: &[String]) -> bool {
        let has = |name: &&str| controllers.iter().any(|have| have == name);
        OF_A_PAYLOAD.iter().any(has) && !has(&"cpuset")
    }
}

/// Whether a payload of a session can enter a group of its own on v1: a `tasks` file that was opened by another user than root
/// takes that user's own processes only, and what writes there is still what PID 1 is (`cgroup1_procs_write`).
fn may_enter_v1(spec: &Spec, host: &HostCaps, maps: Option<&IdMaps>) -> bool {
    let Some(maps) = maps.filter(|_| host.euid != 0) else { return true };
    to_outside(&maps.uid, of_init(&maps.uid, spec.identity.uid)) == Some(host.euid)
}

const STRANGER: &str = "a group of cgroup v1 takes only processes of the user who made it, and in this id map the sandbox's root is another";

/// Decide.
pub(super) fn settle(spec: &Spec, host: &HostCaps, maps: Option<&IdMaps>, report: &mut Report) -> Result<Settled> {
    let mut choice = Choice {
        spec,
        host,
        report,
        rlimits: spec_rlimits(spec),
        enforced: spec.limits.clone(),
        enters_v1: may_enter_v1(spec, host, maps),
    };
    let own_pids = spec.namespaces.pid == Namespace::New;
    let wanted = wanted(&spec.limits);
    let cgroups = &host.cgroups;
    let scope = cgroups.user_manager.as_ref().filter(|_| cgroups.unified_places.is_empty());
    let in_scope = scope.map(|manager| CgroupPlace { enabled: manager.controllers.clone(), ..CgroupPlace::default() });
    let unified = unified(cgroups, wanted.iter().filter_map(|want| want.v2)).or(in_scope.as_ref());
    let (mut in_unified, mut in_v1, mut program) = (Vec::new(), Vec::new(), false);
    for want in &wanted {
        let v2 = want.v2.filter(|v2| unified.is_some_and(|place| place.has(v2)));
        let v1 = want.v1.filter(|v1| cgroups.v1_places.contains_key(*v1));
        match (choice.without_effect(want), v2, v1) {
            (Some((why, remedy)), ..) => choice.weaken(want.key, &want.value, why, remedy)?,
            (None, Some(v2), _) => {
                choice.report.enforced(want.key, "cgroup-v2");
                in_unified.push(v2);
            }
            (None, None, Some(v1)) => {
                choice.report.enforced(want.key, "cgroup-v1");
                in_v1.push(v1);
            }
            (None, None, None) if want.key == DEVICES && unified.is_some() && host.may_filter_devices() => {
                choice.report.enforced(want.key, "cgroup-v2 by a BPF program");
                program = true;
            }
            (None, None, None) if want.key == DEVICES => {
                let (why, remedy) = no_device_program(host);
                choice.weaken(want.key, &want.value, why, remedy)?;
            }
            (None, None, None) => {
                let why = choice.nowhere(want);
                choice.weaken(want.key, &want.value, &why, delegate(host))?;
            }
        }
    }
    let cpu_time = choice.cpu_time(unified.is_some())?;
    let payload_groups = choice.payload_groups(unified)?;
    let parent_named = spec.limits.cgroup_parent.is_some();
    let needed = !in_unified.is_empty()
        || !in_v1.is_empty()
        || program
        || cpu_time.is_some()
        || !own_pids
        || parent_named
        || payload_groups;
    if !own_pids && unified.is_none() {
        return Err(Error::unsupported(
            "namespaces.pid",
            "without a PID namespace of its own a sandbox can only be killed as a whole through a cgroup, and this process may not make one",
        )
        .with_hint("leave namespaces.pid at \"new\", or run in a delegated cgroup of the unified hierarchy"));
    }
    let group = if needed { choice.group(unified, scope, in_unified, in_v1, cpu_time)? } else { None };
    if let Some(time) = spec.limits.wall_time {
        choice.report.enforced("limits.wall_time", format!("{time:?} by the keeper"));
    }
    Ok(Settled { rlimits: choice.rlimits.into_values().collect(), group })
}

/// One payload among others, without a group of its own.
pub(super) fn cpu_time_per_process(settled: &mut super::Settled, time: Duration) -> Result<()> {
    settled.spec.limits.cpu_time = Some(time);
    let mut choice = Choice {
        spec: &settled.spec,
        host: &settled.host,
        report: &mut settled.report,
        rlimits: settled.rlimits.iter().map(|&(rlimit, value)| (rlimit.name, (rlimit, value))).collect(),
        enforced: Limits::default(),
        enters_v1: settled.group.as_ref().is_none_or(|group| group.enterable),
    };
    let (why, remedy) = if choice.enters_v1 {
        (
            "this session is in no group below which a payload could have one of its own",
            "open the session with limits.payload_groups = true, or run this payload in a sandbox of its own",
        )
    } else {
        (STRANGER, "run this payload in a sandbox of its own, or map 0 inside to your own id (identity.uid_map)")
    };
    choice.weaken("limits.cpu_time", &format!("{time:?}"), why, remedy)?;
    settled.rlimits = choice.rlimits.into_values().collect();
    Ok(())
}

fn spec_rlimits(spec: &Spec) -> BTreeMap<&'static str, (Rlimit, u64)> {
    spec.limits.rlimits.iter().map(|&(rlimit, value)| (rlimit.name, (rlimit, value))).collect()
}

/// The nearest place that has most of what is wanted.
fn unified<'a, 'b>(cgroups: &'a Cgroups, wanted: impl Iterator<Item = &'b str> + Clone) -> Option<&'a CgroupPlace> {
    let score = |place: &CgroupPlace| wanted.clone().filter(|controller| place.has(controller)).count();
    // The last of several equal maxima: nearest first, so reversed.
    cgroups.unified_places.iter().rev().max_by_key(|place| score(place))
}

struct Choice<'a> {
    spec: &'a Spec,
    host: &'a HostCaps,
    report: &'a mut Report,
    rlimits: BTreeMap<&'static str, (Rlimit, u64)>,
    enforced: Limits,
    /// Whether a payload of a session can enter a v1 group of its own.
    enters_v1: bool,
}

impl Choice<'_> {
    /// By name: the C libraries have the numbers in different types.
    fn lower(&mut self, name: &'static str, value: u64) {
        if let Some(rlimit) = Rlimit::by_name(name) {
            let entry = self.rlimits.entry(name).or_insert((rlimit, value));
            entry.1 = entry.1.min(value);
        }
    }

    /// A limit that could be written and would do nothing: why, and what to do about it.
    fn without_effect(&self, want: &Wanted) -> Option<Useless> {
        let cgroups = &self.host.cgroups;
        let memory_on_v1 = cgroups.v1.contains_key("memory");
        match want.key {
            _ if WITHOUT.is_some() => WITHOUT,
            "limits.swap" if !cgroups.swap => {
                Some(("this kernel does not account for swap", "boot with swapaccount=1, or leave limits.swap out"))
            }
            "limits.swap" if memory_on_v1 && self.spec.limits.memory.is_none() => Some(SWAP_ALONE),
            "limits.io_weight" if cgroups.io_weight.is_empty() => Some(NOTHING_WEIGHS),
            "limits.memory_high" | "limits.oom_group" if memory_on_v1 => Some(ONLY_ON_V2),
            _ => None,
        }
    }

    /// Why no group has the controller.
    fn nowhere(&self, want: &Wanted) -> String {
        let controller = want.v2.or(want.v1).unwrap_or_default();
        let v1 = want.v1.and_then(|v1| self.host.cgroups.v1.get(v1));
        match (&self.spec.limits.cgroup_parent, v1) {
            (Some(parent), _) => {
                format!(
                    "there is no group {parent:?} in which this process may make one with the controller {controller}"
                )
            }
            (None, Some(mount)) => {
                format!("this process may not make groups in {} (cgroup v1)", mount.display())
            }
            (None, None) => format!("no group that this process may make has the controller {controller}"),
        }
    }

    /// Refuse, or take what is possible without a group if the config allows it.
    fn weaken(&mut self, key: &'static str, wanted: &str, why: &str, remedy: &str) -> Result<()> {
        let limits = &self.spec.limits;
        // RLIMIT_NPROC is counted per user namespace since 5.14: with a map of its own it is exact.
        let exact =
            self.host.kernel >= (5, 14) && self.spec.namespaces.user == Namespace::New && self.spec.identity.uid != 0;
        let got = match key {
            "limits.memory" => "RLIMIT_DATA per process",
            "limits.cpu_time" => "RLIMIT_CPU per process",
            "limits.pids" => "RLIMIT_NPROC",
            _ => "nothing",
        };
        if !self.spec.may_weaken(key) {
            return Err(Error::unsupported(key, format!("{key} = {wanted} needs a cgroup: {why}")).with_hint(format!(
                "{remedy}\nor accept what is possible without ({got}): compat.prefer = [\"{key}\"]",
            )));
        }
        match key {
            "limits.pids" if exact => self.report.enforced(key, got),
            _ => self.report.degraded(key, wanted, got, why),
        }
        match key {
            "limits.memory" => limits.memory.into_iter().for_each(|bytes| self.lower("data", bytes)),
            "limits.pids" => limits.pids.into_iter().for_each(|pids| self.lower("nproc", pids)),
            "limits.cpu_time" => limits.cpu_time.into_iter().for_each(|time| {
                let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
                self.lower("cpu", seconds.max(1));
            }),
            _ => {}
        }
        let enforced = &mut self.enforced;
        match key {
            "limits.memory" => enforced.memory = None,
            "limits.memory_high" => enforced.memory_high = None,
            "limits.swap" => enforced.swap = None,
            "limits.oom_group" => enforced.oom_group = None,
            "limits.pids" => enforced.pids = None,
            "limits.cpus" => enforced.cpus = None,
            "limits.cpu_weight" => enforced.cpu_weight = None,
            "limits.cpuset" => enforced.cpuset = None,
            "limits.io_weight" => enforced.io_weight = None,
            "limits.io" => enforced.io.clear(),
            DEVICES => enforced.devices.clear(),
            "limits.hugepages" => enforced.hugepages.clear(),
            "limits.payload_groups" => enforced.payload_groups = false,
            _ => {}
        }
        Ok(())
    }

    /// CPU time is counted by the unified hierarchy without any controller, or by `cpuacct`.
    fn cpu_time(&mut self, unified: bool) -> Result<Option<Duration>> {
        let Some(time) = self.spec.limits.cpu_time else { return Ok(None) };
        if WITHOUT.is_none() && (unified || self.host.cgroups.v1_places.contains_key("cpuacct")) {
            let how = if unified { "cgroup-v2 by the keeper" } else { "cgroup-v1 by the keeper" };
            self.report.enforced("limits.cpu_time", how);
            return Ok(Some(time));
        }
        let nowhere = ("no group that this process may make counts CPU time", delegate(self.host));
        let (why, remedy) = WITHOUT.unwrap_or(nowhere);
        self.weaken("limits.cpu_time", &format!("{time:?}"), why, remedy)?;
        Ok(None)
    }

    /// Whether payloads have groups of their own: in v1 hierarchies that count, and in the unified one.
    fn payload_groups(&mut self, unified: Option<&CgroupPlace>) -> Result<bool> {
        let key = "limits.payload_groups";
        if !self.spec.limits.payload_groups {
            return Ok(false);
        }
        let v1 = OF_A_PAYLOAD.iter().any(|name| self.host.cgroups.v1_places.contains_key(*name));
        let how = match (unified, v1) {
            _ if WITHOUT.is_some() => None,
            (_, true) => Some("cgroup-v1"),
            (Some(place), false) if place.has("pids") => Some("cgroup-v2: CPU time and processes"),
            (Some(_), false) => Some("cgroup-v2: CPU time"),
            (None, false) => None,
        };
        let how = how.filter(|_| self.enters_v1 || !v1);
        match how {
            Some(how) => self.report.enforced(key, how),
            None => {
                let nowhere = match v1 {
                    true => (STRANGER, "map 0 inside to your own id (identity.uid_map), or leave it out"),
                    false => ("this process may not make groups that count", delegate(self.host)),
                };
                let (why, remedy) = WITHOUT.unwrap_or(nowhere);
                self.weaken(key, "true", why, remedy)?;
            }
        }
        Ok(how.is_some())
    }

    fn group(
        &mut self,
        unified: Option<&CgroupPlace>,
        scope: Option<&UserManager>,
        mut in_unified: Vec<&str>,
        mut in_v1: Vec<&str>,
        cpu_time: Option<Duration>,
    ) -> Result<Option<Group>> {
        let places = &self.host.cgroups.v1_places;
        let on_v1 = |name: &str| places.contains_key(name);
        in_v1.extend(COUNTING.iter().map(|(v1, _)| *v1).filter(|name| on_v1(name)));
        if unified.is_none() {
            // What the unified hierarchy does without a controller.
            in_v1.extend(["cpuacct", "freezer"].into_iter().filter(|name| on_v1(name)));
        }
        if self.enforced.payload_groups {
            in_unified.extend(unified.filter(|place| place.has("pids")).map(|_| "pids"));
        }
        let counted = COUNTING.iter().map(|(_, v2)| *v2);
        in_unified.extend(counted.filter(|name| unified.is_some_and(|place| place.enables(name))));
        let mut v1: Vec<Place> = Vec::new();
        for controller in in_v1 {
            let Some(parent) = places.get(controller) else { continue };
            // Controllers that are mounted together share a group.
            let at = v1.iter().position(|place| place.parent == *parent).unwrap_or_else(|| {
                v1.push(Place { parent: parent.clone(), controllers: Vec::new(), enable: Vec::new() });
                v1.len() - 1
            });
            if let Some(place) = v1.get_mut(at)
                && !place.controllers.iter().any(|have| have == controller)
            {
                place.controllers.push(controller.to_owned());
            }
        }
        let unified = unified.map(|place| {
            in_unified.sort_unstable();
            in_unified.dedup();
            let controllers: Vec<String> = in_unified.iter().map(|name| (*name).to_owned()).collect();
            // A new scope hands nothing down yet.
            let enable = controllers.iter().filter(|name| scope.is_some() || !place.enables(name)).cloned().collect();
            Place { parent: place.path.clone(), controllers, enable }
        });
        if let (Some(parent), None, true) = (&self.spec.limits.cgroup_parent, &unified, v1.is_empty()) {
            let (key, why) = ("limits.cgroup_parent", "this process may not make groups there");
            if self.spec.may_weaken(key) {
                self.report.degraded(key, parent, "nothing", why);
                return Ok(None);
            }
            return Err(Error::unsupported(key, format!("{parent}: {why}"))
                .with_hint("it must be there already, and writable: its directory, cgroup.procs (v2) or tasks (v1)"));
        }
        let words = |place: &Place| {
            let parent = match place.parent.as_os_str() {
                scope if scope.is_empty() => "a transient scope of the user's systemd".to_owned(),
                parent => parent.display().to_string(),
            };
            match place.controllers.as_slice() {
                [] => parent,
                all => format!("{parent} ({})", all.join(" ")),
            }
        };
        let all: Vec<String> = unified.iter().chain(&v1).map(words).collect();
        self.report.enforced("cgroup", format!("below {}", all.join(", ")));
        let scope = scope.map(|manager| manager.socket.clone());
        let enterable = self.enters_v1 || !v1.iter().any(|place| Place::counts_payloads(&place.controllers));
        let weighs_io = !self.host.cgroups.io_weight.is_empty();
        Ok(Some(Group { unified, scope, v1, limits: self.enforced.clone(), cpu_time, enterable, weighs_io }))
    }
}
