//! Owns: what each fuzz target does with its bytes. The targets in `fuzz/` are one line each; the corpora are also replayed
//! by this module's test, so that a finding stays found.
//! Must not: be part of the library that is shipped; make anything public for it.
//! Start at: [`TARGETS`].

mod choices;
mod configs;
mod layers;
mod profiles;
mod views;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::de::IgnoredAny;

use crate::Error;
use crate::cgroup;
use crate::changes::Ids;
use crate::config::{
    Bytes, CallOptions, Document, RlimitValue, SHORTHANDS, SandboxConfig, Timespan, User, apply_shorthand,
    snake_case_options,
};
use crate::fds::Layout;
use crate::host::{self, HostCaps, fakes};
use crate::idmap::MapWriter;
use crate::launch::decode;
use crate::plan::{
    self, Base, Ends, Handed, Plan, compile_base, compile_payload, compile_session, compile_standing, invariants,
};
use crate::settle::{Settled, settle};
use crate::spec::{BindSource, MountKind, validate};
use crate::systemd;
use crate::wire::Record;
use choices::Choices;
use layers::Place;

/// What a target does with its bytes. What it finds is a panic.
pub type Target = fn(&[u8]);

/// Every target, by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("config_toml", config_toml),
    ("config_json", config_json),
    ("config_to_plan", config_to_plan),
    ("plan_wire", plan_wire),
    ("control_records", control_records),
    ("seccomp_profile", seccomp_profile),
    ("idmap", idmap),
    ("mountinfo_and_cgroup_files", mountinfo_and_cgroup_files),
    ("overlay_changes", overlay_changes),
    ("systemd_messages", systemd_messages),
    ("shorthand_values", shorthand_values),
];

/// What was read prints, and what was printed reads as the same.
pub fn config_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match SandboxConfig::from_toml(text) {
        Ok(config) => prints_and_reads(&config),
        Err(error) => assert!(!error.report().message.is_empty()),
    }
    if text.contains(BETWEEN_FILES) {
        from_files(text);
    }
}

/// What parts the files of one input.
const BETWEEN_FILES: &str = "\n#---\n";

/// Files that extend each other: the first is read, and is called `0.toml`, the others `1.toml` and so on.
fn from_files(text: &str) {
    let files = Place::new();
    for (number, text) in text.split(BETWEEN_FILES).take(8).enumerate() {
        let kind = if text.starts_with('{') { "json" } else { "toml" };
        std::fs::write(files.path(&format!("{number}.{kind}")), text).expect("a file");
    }
    match SandboxConfig::from_path(files.path("0.toml")) {
        Ok(config) => {
            assert!(config.extends.is_empty(), "what was extended is part of it");
            prints_and_reads(&config);
            let mut twice = config.clone();
            twice.merge(&config).expect("it prints");
            assert_eq!(twice, config, "above itself a config is itself");
        }
        Err(error) => assert!(!error.report().message.is_empty()),
    }
}

/// The same for JSON; what JSON says, TOML can say too.
pub fn config_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match SandboxConfig::from_json(text) {
        Ok(config) => prints_and_reads(&config),
        Err(error) => assert!(!error.report().message.is_empty()),
    }
    as_options(text);
}

/// What front ends with keyword arguments make of the same text.
fn as_options(text: &str) {
    if let Ok(config) = SandboxConfig::from_options(text) {
        prints_and_reads(&config);
    }
    if let Ok(snake) = snake_case_options(text) {
        assert_eq!(snake_case_options(&snake).ok(), Some(snake), "what was rewritten stays");
    }
    match CallOptions::from_json(text) {
        Ok(_) => {
            let given: BTreeMap<String, IgnoredAny> = serde_json::from_str(text).expect("it was an object");
            assert!(given.keys().all(|name| CallOptions::names().contains(&name.as_str())), "what is taken has a name");
        }
        Err(error) => assert!(!error.report().message.is_empty()),
    }
}

fn prints_and_reads(config: &SandboxConfig) {
    let json = config.to_json().expect("a config that was text prints");
    assert_eq!(&SandboxConfig::from_json(&json).expect("what was printed reads"), config, "{json}");
    // TOML has no integers beyond 64 bits with a sign.
    if let Ok(toml) = config.to_toml() {
        assert_eq!(&SandboxConfig::from_toml(&toml).expect("what was printed reads"), config, "{toml}");
    } else {
        assert!(json.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() >= 19), "{json}");
    }
    // Whatever it means, meaning it is not the end of the world.
    if let Err(error) = validate(config, Path::new("/work")) {
        assert!(!error.report().problems.is_empty(), "a refusal has reasons");
    }
}

/// A random config on a random host: the plan keeps its invariants, or there is none.
pub fn config_to_plan(data: &[u8]) {
    let Some(Random { plan, attached, session, names }) = random_plan(&mut Choices::new(data)) else { return };
    invariants::check(&plan, &attached);
    assert!(plan.to_string().lines().count() >= plan.step_count(), "every step is printed");
    for step in (0..plan.step_count()).filter_map(|index| plan.step(index)) {
        assert!(!step.op.hint_word().is_empty() && step.op.subject() != Some(String::new()), "{}", step.op);
    }
    let handed =
        [Handed::Root, Handed::Upper, Handed::UserNamespace, Handed::Skeleton, Handed::Opened, Handed::Terminal];
    assert!(handed.iter().all(|what| Handed::from_tag(*what as u32) == Some(*what)), "a tag is of one thing");
    assert_eq!(handed.iter().any(|what| plan.hands(*what)), plan.hands_anything());
    // The same for a session, which is told of its payloads one by one.
    if let Some(base) = session {
        let session = Plan { base: base.into(), payload: plan.payload };
        let ends = Ends { deadline: 7, ..Ends::default() };
        let bytes = session.lower_run(&names, ends, true, None);
        // Magic, version, length.
        let length = bytes.get(12..16).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes);
        assert_eq!(length, u32::try_from(bytes.len()).ok(), "a payload of a session says its length");
        assert_eq!(bytes, session.lower_run(&names, ends, true, None), "the same payload is the same bytes");
    }
}

/// What came of a random config on a random host.
struct Random {
    plan: Plan,
    /// The fds that the caller attaches.
    attached: Vec<String>,
    session: Option<Base>,
    /// Those that travel to each payload.
    names: Vec<String>,
}

/// The bytes for init say what the plan says; records are what they were.
pub fn plan_wire(data: &[u8]) {
    let mut choices = Choices::new(data);
    let ends = Ends {
        deadline: choices.number(),
        cpu_limit: choices.number(),
        cpu_unit: choices.number(),
        cpu_width: choices.number(),
    };
    let words = [choices.number(), choices.number(), choices.number()];
    let mut record = Record::new(words[0] as u32);
    (record.value, record.detail, record.extra) = ((words[0] >> 32) as u32, words[1] as u32, (words[1] >> 32) as u32);
    (record.time, record.usage.user_us, record.usage.max_rss) = (words[2], words[0], words[1]);
    assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
    let fault = choices.flip().then(|| (choices.below(64), choices.below(133) as i32 + 1));
    if let Some(Random { plan, .. }) = random_plan(&mut choices) {
        let fault = fault.map(|(step, errno)| (step % plan.step_count(), errno));
        let bytes = plan.lower(ends, false, fault);
        let decoded = invariants::decode(&bytes).expect("what was lowered decodes");
        assert_eq!(decoded.header.deadline, ends.deadline);
        assert_eq!(decoded.encode(&bytes), bytes, "what was decoded encodes as it was");
        assert!(decoded.ops.iter().all(|op| usize::from(op.op) < plan.step_count()), "calls name operations");
        assert_eq!(bytes, plan.lower(ends, false, fault), "the same plan is the same bytes");
    }
}

fn random_plan(choices: &mut Choices<'_>) -> Option<Random> {
    const ODD_PROFILE: &str = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "syscalls": [{ "names": ["exit"], "action": "SCMP_ACT_LOG" }, { "name": "exit", "action": "SCMP_ACT_ERRNO" }] }"#;
    const PROFILE: &str = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["exit", "nocall"], "action": "SCMP_ACT_ALLOW" }] }"#;
    let host = configs::host(choices);
    let config = configs::config(choices)?;
    let spec = validate(&config, Path::new("/work")).inspect_err(told).ok()?;
    let facts = invariants::facts(&spec);
    let attached = spec
        .mounts
        .iter()
        .filter_map(|mount| match &mount.kind {
            MountKind::Bind { source: BindSource::Fd(name), .. } => Some(format!("fd {name}")),
            _ => None,
        })
        .collect();
    let mut call = invariants::call(&spec, &[choices.pick(&["true", "true", "/bin/sh", ""]), "argument"]);
    call.terminal = choices.flip().then_some((80, 25));
    call.grouped = choices.flip();
    let profile = choices.pick(&[Some(PROFILE), Some("{"), Some(ODD_PROFILE), None]);
    call.nice = spec.process.nice;
    call.rlimits.clone_from(&spec.limits.rlimits);
    let names = Layout::new(&spec.fds).names();
    let settled = settle(spec, &host).inspect_err(told).ok()?;
    decided(&settled);
    let filter = plan::filter(&settled, profile).inspect_err(told).ok()?;
    let base = compile_base(&settled, &facts, filter.as_ref()).inspect_err(told).ok()?;
    let payload = compile_payload(&settled, filter.as_ref(), &call).inspect_err(told).ok()?;
    let session = compile_session(&settled, &facts, filter.as_ref()).inspect_err(told).ok();
    let standing =
        compile_standing(&settled, &facts, filter.as_ref()).expect("what the first start can, later ones can");
    assert_eq!(standing.is_some(), base.standing.is_some(), "a namespace is made where it is used");
    let base = standing.filter(|_| choices.flip()).unwrap_or(base);
    let plan = Plan { base: base.into(), payload };
    assert_eq!(
        plan.asks(),
        settled.maps.is_some_and(|maps| maps.writer != MapWriter::Init),
        "who writes maps is asked to"
    );
    Some(Random { plan, attached, session, names })
}

/// What was decided is decided the same again, said as it is, and weakened only where the config allows that.
fn decided(settled: &Settled) {
    let again = settled.again(settled.spec.clone()).expect("it was possible before");
    assert_eq!((&again.report, &again.rlimits), (&settled.report, &settled.rlimits), "the same spec on the same host");
    assert!(settled.report.enforced.iter().all(|(feature, how)| settled.report.used(feature, how)));
    assert!(settled.group.iter().all(|group| [1, 1000].contains(&group.cpu_unit())));
    if let Some(group) = &settled.group {
        let scope = Path::new("/sys/fs/cgroup/scope");
        let within = group.within(scope);
        let parent = within.unified.as_ref().map(|place| place.parent.as_path());
        assert_eq!(parent, group.unified.as_ref().map(|_| scope), "only a place that there is moves");
        assert_eq!((&within.v1, &within.limits), (&group.v1, &group.limits), "nothing else changes");
        assert!(group.scope.is_none() || group.unified.is_some(), "scopes are in the unified hierarchy");
        assert!(
            group.cpu_time.is_none() || !group.enterable || group.counts_cpu_time_of_one(),
            "what is limited is counted"
        );
    }
    match settled.with_cpu_time_per_process(Duration::from_millis(1500)) {
        Ok(weaker) => {
            assert!(settled.spec.may_weaken("limits.cpu_time"), "weakened unasked");
            assert!(weaker.report.degradations.iter().any(|one| one.feature == "limits.cpu_time"), "weakened unsaid");
        }
        Err(error) => {
            told(&error);
            assert!(!settled.spec.may_weaken("limits.cpu_time"), "refused although it may be weaker");
        }
    }
}

/// Every refusal has words.
fn told(error: &Error) {
    assert!(!error.to_string().is_empty() && error.hint() != Some(""), "{error:?}");
}

/// Bytes from inside, with some fds: refused, or one of the known messages.
pub fn control_records(data: &[u8]) {
    let Some((fds, bytes)) = data.split_first() else { return };
    let fds =
        (0..fds % 3).map(|_| std::fs::File::open("/dev/null").expect("every machine has /dev/null").into()).collect();
    if decode(bytes, fds).is_some() {
        let record = Record::from_bytes(bytes).expect("a message is a record");
        assert_eq!(record.to_bytes(), bytes, "no byte of a record is without meaning");
    }
}

/// What a user's systemd might say: a message, or refused.
pub fn systemd_messages(data: &[u8]) {
    systemd::read_hostile(data);
}

/// The compiled filter answers as the profile says.
pub fn seccomp_profile(data: &[u8]) {
    profiles::agree(&mut Choices::new(data));
}

/// Maps are well-formed and never give away the host's root unasked.
pub fn idmap(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut host = configs::host(&mut choices);
    configs::ids(&mut choices, &mut host);
    let Some(config) = configs::identity(&mut choices) else { return };
    let Ok(spec) = validate(&config, Path::new("/work")) else { return };
    let Ok(maps) = crate::idmap::settle(&spec.identity, &host) else { return };
    for (map, id) in [(&maps.uid, spec.identity.uid), (&maps.gid, spec.identity.gid)] {
        assert!(crate::idmap::to_outside(map, id).is_some(), "the payload's id is mapped");
        for range in map {
            for offset in [0, range.count - 1] {
                let outside = crate::idmap::to_outside(map, range.inside + offset).expect("it is in the range");
                assert_eq!(crate::idmap::to_inside(map, outside), Some(range.inside + offset), "maps are one to one");
            }
        }
        let text = crate::idmap::map_text(map);
        assert_eq!(text.lines().count(), map.len());
        assert!(text.len() < 4096, "one write");
    }
    let root = host.uid_map.iter().find(|(_, outside, _)| *outside == 0).map(|(first, ..)| *first);
    if let Some(root) = root.filter(|_| !spec.identity.host_root) {
        assert_eq!(crate::idmap::to_inside(&maps.uid, root), None, "the host's root was not asked for");
    }
    assert!(!maps.deny_setgroups || spec.identity.groups.is_empty());
}

/// Files that name what others have made.
pub fn mountinfo_and_cgroup_files(data: &[u8]) {
    host::read_hostile(data);
    cgroup::read_hostile(&String::from_utf8_lossy(data));
}

/// Layers as a payload could leave them: what is listed and what is committed is what they show, and no more is touched.
pub fn overlay_changes(data: &[u8]) {
    let mut choices = Choices::new(data);
    // Files can be given away by root only; whoever else has one id has one.
    let ids = if choices.flip() && nix::unistd::geteuid().is_root() { mapped() } else { Ids::Same };
    views::agree(&mut choices, &ids);
}

fn mapped() -> Ids {
    let map = "[{ inside = 0, outside = 100000, count = 65536 }]";
    let mut document = Document::new();
    for key in ["uid_map", "gid_map"] {
        document.set(&format!("identity.{key}={map}")).expect("a key");
    }
    let spec = validate(&document.into_config().expect("a config"), Path::new("/work")).expect("it is sound");
    Ids::Mapped(crate::idmap::settle(&spec.identity, &fakes::root()).expect("root may"))
}

/// Short values: what is read is what is said again.
pub fn shorthand_values(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(bytes) = Bytes::from(text).get() {
        assert_eq!(Bytes::from(bytes.to_string()).get(), Ok(bytes));
    }
    if let Ok(duration) = Timespan::from(text).get() {
        assert_eq!(Timespan::from(Timespan::from(duration).to_string()).get(), Ok(duration));
    }
    if let Ok(limit) = RlimitValue::from(text).get() {
        assert_eq!(RlimitValue::from(limit.to_string()).get(), Ok(limit));
    }
    if let Ok(user) = User::try_from(text) {
        let again = user.gid.map_or(user.uid.to_string(), |gid| format!("{}:{gid}", user.uid));
        assert_eq!(User::try_from(again.as_str()), Ok(user));
    }
    let nothing = SandboxConfig::default().to_json().expect("it prints");
    for shorthand in SHORTHANDS {
        let mut config = SandboxConfig::default();
        if apply_shorthand(&mut config, shorthand.name, text).is_ok() {
            assert_ne!(config.to_json().expect("it prints"), nothing);
            prints_and_reads(&config);
        }
    }
    // The text as a name: there may be no such.
    let mut config = SandboxConfig::default();
    match apply_shorthand(&mut config, text, "1") {
        Ok(()) => prints_and_reads(&config),
        Err(error) => assert!(!error.report().problems.is_empty(), "a refusal has reasons"),
    }
    let mut config = SandboxConfig::default();
    // One after the other, as several `--set`.
    if text.lines().filter(|line| config.apply_set(line).is_ok()).count() > 0 {
        prints_and_reads(&config);
    }
}

/// A host to begin with.
fn recorded(choices: &mut Choices<'_>) -> HostCaps {
    match choices.below(5) {
        0 => fakes::root(),
        1 => fakes::user(),
        2 => fakes::apparmor(),
        3 => fakes::docker(),
        _ => fakes::no_userns(),
    }
}

#[cfg(test)]
mod tests;
