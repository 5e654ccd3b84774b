//! Owns: checking the section `limits`.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Check, MAX_PID, did_you_mean};
use crate::config;
use crate::spec::{IoLimit, Limits, Overflow, Rlimit};

/// Captured bytes per stream where no limit is given.
pub(crate) const DEFAULT_OUTPUT: u64 = 16 << 20;
const MAX_CPUS: f64 = 65536.0;
/// Above what any kernel is built for (`NR_CPUS`).
const MAX_CPU: u32 = 8191;

impl Check<'_> {
    pub(super) fn limits(&mut self) -> Limits {
        let written = &self.config.limits;
        let limits = Limits {
            memory: self.size("limits.memory", written.memory.as_ref()),
            memory_high: self.size("limits.memory_high", written.memory_high.as_ref()),
            swap: self.size_or_zero("limits.swap", written.swap.as_ref()),
            oom_group: written.oom_group,
            pids: self.count("limits.pids", written.pids, 1..=MAX_PID),
            cpus: self.cpus(),
            cpu_weight: self.count("limits.cpu_weight", written.cpu_weight, 1..=10_000),
            cpuset: self.cpuset(),
            io_weight: self.count("limits.io_weight", written.io_weight, 1..=10_000),
            io: self.io(),
            devices: self.devices(),
            hugepages: self.hugepages(),
            wall_time: self.duration("limits.wall_time", written.wall_time.as_ref()),
            cpu_time: self.duration("limits.cpu_time", written.cpu_time.as_ref()),
            output: self.size_or_zero("limits.output", written.output.as_ref()).unwrap_or(DEFAULT_OUTPUT),
            output_overflow: match written.overflow {
                None | Some(config::Overflow::Truncate) => Overflow::Truncate,
                Some(config::Overflow::Kill) => Overflow::Kill,
            },
            rlimits: self.rlimits(),
            cgroup_parent: self.cgroup_parent(),
            payload_groups: written.payload_groups == Some(true),
        };
        if let (Some(high), Some(memory)) = (limits.memory_high, limits.memory)
            && high > memory
        {
            self.add("limits.memory_high", format_args!("must be at most limits.memory ({memory}), got {high}"));
        }
        limits
    }

    fn cpus(&mut self) -> Option<f64> {
        let cpus = self.config.limits.cpus?;
        // Also refuses NaN. The kernel's shortest quota is 1 ms of 100 ms.
        if (0.01..=MAX_CPUS).contains(&cpus) {
            return Some(cpus);
        }
        let message = if cpus > 0.0 { "must be 0.01 to 65536" } else { "must be more than 0" };
        self.wrong("limits.cpus", format_args!("{message}, got {cpus}"));
        None
    }

    fn cpuset(&mut self) -> Option<String> {
        let written = self.config.limits.cpuset.as_deref()?;
        let cpu = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| text.parse::<u32>().ok())
                .flatten()
                .filter(|n| *n <= MAX_CPU)
        };
        let fits = written.split(',').all(|part| match part.split_once('-') {
            Some((first, last)) => matches!((cpu(first), cpu(last)), (Some(first), Some(last)) if first <= last),
            None => cpu(part).is_some(),
        });
        if !fits {
            self.add(
                "limits.cpuset",
                format_args!("must be CPU numbers and ranges such as \"0-1,4\", got {written:?}"),
            );
        }
        Some(written.to_owned())
    }

    fn io(&mut self) -> Vec<IoLimit> {
        let mut devices: BTreeMap<&Path, usize> = BTreeMap::new();
        let mut io = Vec::new();
        for (index, limit) in self.config.limits.io.iter().enumerate() {
            let key = format!("limits.io[{index}]");
            let checked = IoLimit {
                device: limit.device.clone().unwrap_or_default(),
                read_bps: self.size(&format!("{key}.read_bps"), limit.read_bps.as_ref()),
                write_bps: self.size(&format!("{key}.write_bps"), limit.write_bps.as_ref()),
                read_iops: self.count(&format!("{key}.read_iops"), limit.read_iops, 1..=u64::from(u32::MAX)),
                write_iops: self.count(&format!("{key}.write_iops"), limit.write_iops, 1..=u64::from(u32::MAX)),
            };
            let bytes = limit.read_bps.is_some() || limit.write_bps.is_some();
            if !bytes && limit.read_iops.is_none() && limit.write_iops.is_none() {
                self.add(&key, "needs at least one of read_bps, write_bps, read_iops and write_iops");
            }
            let device_key = format!("{key}.device");
            match limit.device.as_deref() {
                None => self.add(device_key, "is required"),
                Some(device) => {
                    if !is_device(device) {
                        self.add(&device_key, format_args!("must be an absolute path or MAJOR:MINOR, got {device:?}"));
                    }
                    if let Some(other) = devices.insert(device, index) {
                        self.add(&device_key, format_args!("{device:?} already has limits in limits.io[{other}]"));
                    }
                }
            }
            io.push(checked);
        }
        io
    }

    fn devices(&mut self) -> Vec<String> {
        let written = &self.config.limits.devices;
        for (index, rule) in written.iter().enumerate() {
            if !is_device_rule(rule) {
                self.add(
                    format!("limits.devices[{index}]"),
                    format_args!("must be such as \"/dev/net/tun:rw\" or \"c 10:200 rw\", got {rule:?}"),
                );
            }
        }
        written.clone()
    }

    /// Page sizes in the kernel's spelling (`2MB`).
    fn hugepages(&mut self) -> Vec<(String, u64)> {
        let mut limits: Vec<(String, u64)> = Vec::new();
        for (page, limit) in &self.config.limits.hugepages {
            let key = format!("limits.hugepages.{page}");
            let size = match config::Bytes::from(page.as_str()).get() {
                Ok(size) if size >= 4096 && size.is_power_of_two() => size,
                _ => {
                    self.add(&key, format_args!("the page size must be such as \"2MiB\" or \"1GiB\", got {page:?}"));
                    continue;
                }
            };
            let name = match size {
                size if size >= 1 << 30 => format!("{}GB", size >> 30),
                size if size >= 1 << 20 => format!("{}MB", size >> 20),
                size => format!("{}KB", size >> 10),
            };
            let Some(limit) = self.size_or_zero(&key, Some(limit)) else { continue };
            if !limit.is_multiple_of(size) {
                self.add(&key, format_args!("must be a multiple of the page size, got {limit}"));
            }
            if limits.iter().any(|(other, _)| *other == name) {
                self.add(&key, format_args!("pages of {name} already have a limit"));
            }
            limits.push((name, limit));
        }
        limits
    }

    fn rlimits(&mut self) -> Vec<(Rlimit, u64)> {
        let mut limits: BTreeMap<u32, (Rlimit, u64)> = BTreeMap::new();
        for (name, value) in &self.config.limits.rlimits {
            let key = format!("limits.rlimits.{name}");
            let value = self.take(&key, value.get());
            let Some(rlimit) = Rlimit::by_name(name) else {
                let hint = did_you_mean(&name.to_ascii_lowercase(), Rlimit::all().map(|r| r.name));
                self.add_unknown(key, "resource limit", name, hint);
                continue;
            };
            if limits.insert(rlimit.resource, (rlimit, value.unwrap_or(0))).is_some() {
                self.add(key, format_args!("{} already has a limit", rlimit.name));
            }
        }
        // Core dumps hold the payload's secrets and land where the host says.
        if let Some(core) = Rlimit::by_name("core") {
            limits.entry(core.resource).or_insert((core, 0));
        }
        limits.into_values().collect()
    }

    fn cgroup_parent(&mut self) -> Option<String> {
        let written = self.config.limits.cgroup_parent.as_deref().filter(|parent| !parent.is_empty())?;
        let plain = |name: &str| name != ".." && name != "." && name.len() <= 255;
        if written.contains('\0') || written.len() > 4095 || !written.split('/').all(plain) {
            self.add(
                "limits.cgroup_parent",
                format_args!("must be a path in the cgroup hierarchy without \".\" and \"..\", got {written:?}"),
            );
        }
        Some(written.to_owned())
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit())
}

/// `/dev/vda` or `254:0`.
fn is_device(device: &Path) -> bool {
    let Some(text) = device.to_str() else { return device.is_absolute() };
    is_device_path(text) || text.split_once(':').is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

fn is_device_path(text: &str) -> bool {
    text.starts_with('/')
        && text.len() > 1
        && text.len() <= 4095
        && !text.contains('\0')
        && !text.split('/').any(|name| name == "..")
}

/// `/dev/net/tun:rw` or `c 10:200 rw`.
fn is_device_rule(rule: &str) -> bool {
    let access = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| matches!(b, b'r' | b'w' | b'm'))
            && text.bytes().enumerate().all(|(at, b)| !text.as_bytes()[..at].contains(&b))
    };
    if rule.starts_with('/') {
        return rule.rsplit_once(':').is_some_and(|(path, rights)| is_device_path(path) && access(rights));
    }
    let number = |text: &str| text == "*" || is_number(text);
    match rule.split(' ').collect::<Vec<_>>().as_slice() {
        ["c" | "b", numbers, rights] => {
            access(rights) && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_rules() {
        for rule in ["/dev/net/tun:rw", "/dev/fuse:rwm", "c 10:200 rw", "b *:* m", "c 1:* r"] {
            assert!(is_device_rule(rule), "{rule}");
        }
        for rule in
            ["", "/dev/net/tun", "/dev/x:", "/dev/x:rx", "/dev/x:rr", "dev/x:r", "c 10 rw", "d 1:2 r", "c 1:2", "/:r"]
        {
            assert!(!is_device_rule(rule), "{rule}");
        }
    }
}
