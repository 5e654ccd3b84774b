//! Owns: what a leaf has used, from the kernel's counters.
//! Must not: guess: a number that this kernel or this hierarchy does not have is null, never 0.
//! Source: the kernel's `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/{memory,blkio-controller,cpuacct}.rst`.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::spare::{seconds, since};
use super::{Directory, Leaf};
use crate::outcome::{IoUsage, Usage, seconds as in_seconds};

/// What a sandbox uses at one moment. Made by [`Process::samples`](crate::Process::samples).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sample {
    /// Since the payload was executed.
    #[serde(with = "in_seconds")]
    pub elapsed: Duration,
    /// Everything used until now.
    pub usage: Usage,
    /// Bytes in use now. `None`: no group with the memory controller.
    pub memory_current: Option<u64>,
    /// Processes and threads now, without those of Pinfold. `None`: no group with the pids controller.
    pub pids_current: Option<u64>,
    /// How long something had to wait. `None`: no group in the unified hierarchy, or a kernel without PSI.
    pub pressure: Option<Pressure>,
}

/// Seconds in which at least one process waited for a resource (`some` of the kernel's pressure stall information).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pressure {
    /// For a CPU.
    pub cpu: Option<f64>,
    /// For memory: reclaim, refaults, swap.
    pub memory: Option<f64>,
    /// For block I/O.
    pub io: Option<f64>,
}

impl Leaf {
    /// Everything that the group has counted for this sandbox.
    pub fn usage(&self) -> Usage {
        let mut usage = self.sums();
        since(&mut usage, &self.before.usage);
        self.memory(&mut usage);
        let below = self.local();
        let peak = self.with("pids", "pids").and_then(|directory| directory.number("pids.peak"));
        usage.pids_peak = peak.map(|peak| peak.saturating_sub(self.ours));
        usage.pids_limit_hits = usage.pids_limit_hits.map(|hits| hits + below.pids_limit_hits);
        usage.oom_kills = usage.oom_kills.map(|kills| kills + below.oom_kills);
        if self.session.is_some() {
            self.forget_the_limits_of_the_session(&mut usage);
        }
        usage
    }

    /// Where a payload's own group has no limit: how often those above were hit for it is counted there, if anywhere.
    fn forget_the_limits_of_the_session(&self, usage: &mut Usage) {
        let own = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        if own.memory.is_none() {
            usage.memory_limit_hits = None;
        }
        // Before Linux 6.11 v2 counted in the group of who was refused, as v1 does.
        if own.pids.is_none()
            && self.unified.as_ref().is_some_and(|directory| directory.path.join("pids.events.local").exists())
        {
            usage.pids_limit_hits = None;
        }
    }

    /// What its directories have counted that may serve the next sandbox.
    pub(super) fn sums(&self) -> Usage {
        let mut usage = Usage::default();
        self.cpu(&mut usage);
        let pids = self.with("pids", "pids");
        usage.pids_limit_hits = pids.and_then(|directory| directory.number_of("pids.events", "max"));
        usage.io = self.with("blkio", "io").and_then(|directory| match directory.unified {
            true => Some(unified_io(&directory.read("io.stat")?)),
            false => Some(v1_io(
                &directory.read("blkio.throttle.io_service_bytes_recursive")?,
                &directory.read("blkio.throttle.io_serviced_recursive")?,
            )),
        });
        usage
    }

    /// How many processes the out-of-memory killer took. None: the group does not count memory.
    pub fn oom_kills(&self) -> Option<u64> {
        let directory = self.with("memory", "memory")?;
        directory.number_of(if directory.unified { "memory.events" } else { "memory.oom_control" }, "oom_kill")
    }

    /// What is in use now, beside what was used.
    pub fn sample(&self, elapsed: Duration) -> Sample {
        let memory = self.with("memory", "memory").and_then(|directory| {
            directory.number(if directory.unified { "memory.current" } else { "memory.usage_in_bytes" })
        });
        let pids = self.with("pids", "pids").and_then(|directory| directory.number("pids.current"));
        let mut pressure = self.pressure();
        if let (Some(now), Some(before)) = (&mut pressure, self.before.pressure) {
            seconds(&mut now.cpu, before.cpu);
            seconds(&mut now.memory, before.memory);
            seconds(&mut now.io, before.io);
        }
        Sample {
            elapsed,
            usage: self.usage(),
            memory_current: memory,
            pids_current: pids.map(|pids| pids.saturating_sub(self.ours)),
            pressure,
        }
    }

    pub(super) fn pressure(&self) -> Option<Pressure> {
        let directory = self.unified.as_ref()?;
        let [cpu, memory, io] =
            ["cpu.pressure", "memory.pressure", "io.pressure"].map(|file| stalled(&directory.read(file)?));
        (cpu.is_some() || memory.is_some() || io.is_some()).then_some(Pressure { cpu, memory, io })
    }

    /// The unified hierarchy counts CPU time without any controller; throttling is the cpu controller's.
    fn cpu(&self, usage: &mut Usage) {
        let throttled = self.with("cpu", "cpu");
        if let Some(directory) = &self.unified {
            let text = directory.read("cpu.stat").unwrap_or_default();
            usage.cpu_user = number_after(&text, "user_usec").map(microseconds);
            usage.cpu_system = number_after(&text, "system_usec").map(microseconds);
            if throttled.is_some_and(|directory| directory.unified) {
                usage.cpu_throttled = number_after(&text, "throttled_usec").map(microseconds);
            }
        } else if let Some(directory) = self.with("cpuacct", "") {
            let [total, user, system] =
                ["cpuacct.usage", "cpuacct.usage_user", "cpuacct.usage_sys"].map(|file| directory.number(file));
            if let (Some(total), Some(user), Some(system)) = (total, user, system) {
                let user = share(total, user, system);
                usage.cpu_user = Some(nanoseconds(user));
                usage.cpu_system = Some(nanoseconds(total.saturating_sub(user)));
            }
        }
        if let Some(directory) = throttled.filter(|directory| !directory.unified) {
            usage.cpu_throttled = directory.number_of("cpu.stat", "throttled_time").map(nanoseconds);
        }
    }

    fn memory(&self, usage: &mut Usage) {
        let Some(directory) = self.with("memory", "memory") else { return };
        let stat = directory.read("memory.stat").unwrap_or_default();
        if directory.unified {
            let events = directory.read("memory.events").unwrap_or_default();
            // Since Linux 5.19 and 6.5.
            usage.memory_peak = directory.number("memory.peak");
            usage.swap_peak = directory.number("memory.swap.peak");
            usage.memory_limit_hits = number_after(&events, "max");
            usage.oom_kills = number_after(&events, "oom_kill");
            usage.page_faults_major = number_after(&stat, "pgmajfault");
        } else {
            usage.memory_peak = directory.number("memory.max_usage_in_bytes");
            // Without a limit of swap the sum of both has none either. Without swap the sum has the same limit and is the one
            // that is hit, and kernels since 6.13 do not count that.
            let swap = self.limits.lock().unwrap_or_else(PoisonError::into_inner).swap;
            let sum = swap.and_then(|_| directory.number("memory.memsw.failcnt")).unwrap_or(0);
            let hits = directory.number("memory.failcnt").map(|hits| hits.saturating_add(sum));
            usage.memory_limit_hits = hits.filter(|hits| swap != Some(0) || *hits > 0);
            usage.oom_kills = directory.number_of("memory.oom_control", "oom_kill");
            usage.page_faults_major = number_after(&stat, "total_pgmajfault");
            usage.page_ins = number_after(&stat, "total_pgpgin");
            usage.page_outs = number_after(&stat, "total_pgpgout");
        }
        let source = if directory.unified { "cgroup-v2" } else { "cgroup-v1" };
        usage.memory_source = usage.memory_peak.map(|_| source.to_owned());
    }
}

impl Directory {
    pub(super) fn number(&self, file: &'static str) -> Option<u64> {
        self.read(file)?.trim().parse().ok()
    }

    fn number_of(&self, file: &'static str, key: &str) -> Option<u64> {
        number_after(&self.read(file)?, key)
    }
}

/// The user time of an exact total, of which `user` and `system` were counted by ticks: as the kernel does it for `cpu.stat`.
fn share(total: u64, user: u64, system: u64) -> u64 {
    let both = u128::from(user) + u128::from(system);
    match (u128::from(total) * u128::from(user)).checked_div(both) {
        // At most `total`.
        Some(share) => u64::try_from(share).unwrap_or(total),
        None => total,
    }
}

fn microseconds(number: u64) -> f64 {
    Duration::from_micros(number).as_secs_f64()
}

fn nanoseconds(number: u64) -> f64 {
    Duration::from_nanos(number).as_secs_f64()
}

/// Of lines such as `oom_kill 1`.
pub(super) fn number_after(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=12345` -> seconds.
fn stalled(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = some.split(' ').find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok().map(microseconds)
}

/// `254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`, with more keys where a cost model is in use.
fn unified_io(text: &str) -> Vec<IoUsage> {
    let line = |line: &str| {
        let (device, values) = line.split_once(' ')?;
        let value = |key: &str| {
            values.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok())
        };
        let usage = IoUsage {
            device: device.to_owned(),
            read_bytes: value("rbytes"),
            write_bytes: value("wbytes"),
            read_ops: value("rios"),
            write_ops: value("wios"),
            ..IoUsage::default()
        };
        usage.read_bytes.or(usage.write_bytes).map(|_| usage)
    };
    text.lines().filter_map(line).collect()
}

/// `254:0 Read 4096`: bytes from one file, operations from the other. The last line is a total over all devices.
fn v1_io(bytes: &str, operations: &str) -> Vec<IoUsage> {
    let mut devices: BTreeMap<&str, IoUsage> = BTreeMap::new();
    for (text, counts) in [(bytes, false), (operations, true)] {
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [device, kind, number] = words.as_slice() else { continue };
            let usage = devices.entry(device).or_default();
            (*device).clone_into(&mut usage.device);
            let number = number.parse().ok();
            match (*kind, counts) {
                ("Read", false) => usage.read_bytes = number,
                ("Write", false) => usage.write_bytes = number,
                ("Read", true) => usage.read_ops = number,
                ("Write", true) => usage.write_ops = number,
                _ => {}
            }
        }
    }
    devices.into_values().collect()
}

/// Feeds every parser of a group's files, for fuzzing: they may find nothing, and must not panic.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_hostile(text: &str) {
    let half = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (first, second) = text.split_at(half);
    assert!(v1_io(first, second).iter().all(|usage| text.contains(&usage.device)));
    assert!(unified_io(text).iter().all(|usage| text.contains(&usage.device)));
    assert!(stalled(text).is_none_or(f64::is_finite));
    for key in ["max", "oom_kill", "usage_usec", "throttled_time", "pgmajfault"] {
        number_after(text, key);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_every_kind() {
        let events = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(number_after(events, "max"), Some(12));
        assert_eq!(number_after(events, "oom"), Some(1));
        assert_eq!(number_after(events, "oom_kil"), None);
        assert_eq!(stalled("some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0"), Some(2.5));
        let io = unified_io("254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0 cost.usage=9\n259:1 \n");
        let wanted = IoUsage {
            device: "254:0".into(),
            read_bytes: Some(4096),
            write_bytes: Some(8192),
            read_ops: Some(1),
            write_ops: Some(2),
            ..IoUsage::default()
        };
        assert_eq!(io.as_slice(), std::slice::from_ref(&wanted));
        let bytes = "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 0\n254:0 Total 12288\nTotal 12288\n";
        assert_eq!(v1_io(bytes, "254:0 Read 1\n254:0 Write 2\nTotal 3\n"), [wanted]);
    }

    #[test]
    fn ticks_are_scaled_to_the_total() {
        assert_eq!(share(300, 200, 56), 234);
        assert_eq!(share(300, 0, 40), 0);
        assert_eq!(share(300, 0, 0), 300, "shorter than a tick");
        assert_eq!(share(u64::MAX, u64::MAX, 0), u64::MAX);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"([0-9:]{0,9} ?(Read|Write|rbytes=|some|total=)? ?[0-9]{0,22}\PC?\n?){0,9}") {
            v1_io(&text, &text);
            unified_io(&text);
            stalled(&text);
            number_after(&text, "Read");
        }
    }
}
