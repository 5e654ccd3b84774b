//! Owns: which limits can change while a sandbox runs, and what is said where there is no group.
//! Must not: write anything.

use std::path::Path;

use crate::config::{LimitsConfig, SandboxConfig};
use crate::error::Problems;
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

/// The error for whoever asks something of a group that is not there.
pub(crate) fn no_group(verb: &'static str) -> Error {
    Error::unsupported(verb, "this sandbox is in no group").with_hint(
        "set a limit that needs one (limits.pids, limits.memory) or limits.cgroup_parent, where this process may make groups",
    )
}
