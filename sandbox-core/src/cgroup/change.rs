//! Owns: which limits can change while a sandbox runs and to what, and what is said where there is no group.
//! Must not: write a limit.

use std::fs;
use std::path::Path;

use super::{Directory, Leaf, failure};
use crate::config::{LimitsConfig, SandboxConfig};
use crate::error::Problems;
use crate::settle;
use crate::spec::{Limits, validate};
use crate::{Error, Result, Stage};

/// The limits of a change, checked like those of a config.
pub(crate) fn changeable(limits: &LimitsConfig) -> Result<Limits> {
    let fixed = [
        ("limits.oom_group", limits.oom_group.is_some()),
        ("limits.devices", !limits.devices.is_empty()),
        ("limits.wall_time", limits.wall_time.is_some()),
        ("limits.cpu_time", limits.cpu_time.is_some()),
        ("limits.output", limits.output.is_some()),
        ("limits.overflow", limits.overflow.is_some()),
        ("limits.rlimits", !limits.rlimits.is_empty()),
        ("limits.cgroup_parent", limits.cgroup_parent.is_some()),
        ("limits.payload_groups", limits.payload_groups.is_some()),
    ];
    let mut problems = Problems::new(Stage::Validate);
    for (key, _) in fixed.into_iter().filter(|(_, given)| *given) {
        problems.add(key, "can't be changed while the sandbox runs");
    }
    problems.into_result(())?;
    let config = SandboxConfig { limits: limits.clone(), ..SandboxConfig::default() };
    let limits = validate(&config, Path::new("/"))?.limits;
    super::check_devices(&limits)?;
    Ok(limits)
}

impl Leaf {
    /// Refuse what could be written and would do nothing, and what there is no file for.
    pub(super) fn takes_effect(&self, wanted: &Limits) -> Result<()> {
        let on_v1 = self.with("memory", "memory").is_some_and(|directory| !directory.unified);
        let without = [
            ("limits.memory_high", wanted.memory_high.is_some() && on_v1, settle::ONLY_ON_V2),
            ("limits.swap", wanted.swap.is_some() && wanted.memory.is_none() && on_v1, settle::SWAP_ALONE),
            ("limits.io_weight", wanted.io_weight.is_some() && !self.weighs_io, settle::NOTHING_WEIGHS),
        ];
        match without.into_iter().find(|(_, useless, _)| *useless) {
            Some((key, _, (why, remedy))) => Err(Error::unsupported(key, why).with_hint(remedy)),
            None => settle::in_groups(wanted).try_for_each(|(key, v1, v2)| needs(self, key, v1, v2).map(drop)),
        }
    }

    /// Refuse a limit of memory below what is in use and can't be reclaimed, as v1 does by itself; the kernel would kill for it.
    /// What is used between this look and the write is killed for all the same.
    pub(super) fn has_room_for(&self, memory: u64) -> Result<()> {
        let Some(directory) = self.unified.as_ref().filter(|directory| directory.has("memory")) else { return Ok(()) };
        let over =
            || directory.number("memory.current").and_then(|used| used.checked_sub(memory)).filter(|over| *over > 0);
        let Some(first) = over() else { return Ok(()) };
        // Since Linux 5.19. EAGAIN: not all of it; what counts is how much is left.
        if let Err(error) = fs::write(directory.path.join("memory.reclaim"), first.to_string())
            && !matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOENT))
        {
            return Err(failure(
                "could not reclaim memory".to_owned(),
                error.raw_os_error().unwrap_or(libc::EIO),
                &directory.path,
            ));
        }
        match over() {
            None => Ok(()),
            Some(over) => {
                let message = format!("limits.memory = {memory} is {over} bytes less than what is in use");
                Err(failure(message, libc::EBUSY, &directory.path)
                    .with_origin("limits.memory")
                    .with_hint("more than that is in use already and can't be reclaimed"))
            }
        }
    }
}

/// The directory that has the controller of a limit.
pub(super) fn needs<'a>(leaf: &'a Leaf, key: &'static str, v1: &str, v2: &str) -> Result<&'a Directory> {
    leaf.with(v1, v2).ok_or_else(|| {
        Error::unsupported(
            key,
            format!("the group of this sandbox has no controller {}", if v2.is_empty() { v1 } else { v2 }),
        )
        .with_hint("a limit can be changed while the sandbox runs if it was set when it was made")
    })
}

/// The error for whoever asks something of a group that is not there.
pub(crate) fn no_group(verb: &'static str) -> Error {
    Error::unsupported(verb, "this sandbox is in no group").with_hint(
        "set a limit that needs one (limits.pids, limits.memory) or limits.cgroup_parent, where this process may make groups",
    )
}
