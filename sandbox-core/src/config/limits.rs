//! Owns: the section `limits`.  Must not: know which limits need cgroups, or what the host has of them.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::or_default;
use super::values::{Bytes, IntoBytes, RlimitValue, Timespan};

/// The section `[limits]`: how much the sandbox may use. What is not given is not limited, except `output` and
/// `rlimits.core`.
///
/// A limit that the host can't enforce is an error, unless `compat.prefer` names it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = super::schema::with_timeout))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// Memory of all processes together, with the page cache they cause: a size of at least 1 byte. Beyond it the kernel
    /// kills. Needs cgroups. Default: no limit. Example: `memory = "256MiB"`.
    pub memory: Option<Bytes>,
    /// Memory beyond which processes are slowed down and their pages reclaimed: at most `memory`. Needs cgroups v2.
    /// Default: no limit. Example: `memory_high = "200MiB"`.
    pub memory_high: Option<Bytes>,
    /// Swap in addition to memory: a size, 0 for none. Needs cgroups. Default: no limit. Example: `swap = 0`.
    pub swap: Option<Bytes>,
    /// Whether running out of memory kills the whole sandbox instead of one process. Needs cgroups v2.
    /// Default: false. Example: `oom_group = true`.
    pub oom_group: Option<bool>,
    /// Number of processes and threads, without PID 1: 1 to 4194304. In a session each running payload's supervisor counts too.
    /// Needs cgroups. Default: no limit. Example: `pids = 64`.
    pub pids: Option<u64>,
    /// How many CPUs' worth of time per time: more than 0, up to 65536. Needs cgroups. Default: no limit.
    /// Example: `cpus = 0.5`.
    pub cpus: Option<f64>,
    /// Share of CPU time where it is scarce: 1 to 10000, where 100 is what everybody has. Needs cgroups.
    /// Default: 100. Example: `cpu_weight = 50`.
    pub cpu_weight: Option<u64>,
    /// Which CPUs may be used: numbers and ranges, all of them CPUs that the group above has. Needs cgroups. Default: all.
    /// Example: `cpuset = "0-1"`.
    pub cpuset: Option<String>,
    /// Share of block I/O where it is scarce: 1 to 10000, where 100 is what everybody has. Needs cgroups.
    /// Default: 100. Example: `io_weight = 100`.
    pub io_weight: Option<u64>,
    /// Limits of block I/O by device. Needs cgroups. Default: none.
    /// Example: `io = [{ device = "/dev/vda", read_bps = "10MiB", write_iops = 500 }]`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub io: Vec<IoLimitConfig>,
    /// Devices beyond the minimal set, each as `PATH:ACCESS` or `TYPE MAJOR:MINOR ACCESS`, where the access is made of
    /// `r`, `w` and `m`, the type is `c` or `b`, and a number may be `*`. Once there is one, opening and making any other
    /// device is refused. Needs cgroups; on v2 also the right to load BPF programs. Default: none, and no such wall.
    /// Example: `devices = ["/dev/net/tun:rw", "c 10:200 rw"]`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Huge pages: page size to bytes. Needs cgroups. Default: no limit. Example: `hugepages = { "2MiB" = "64MiB" }`.
    #[serde(deserialize_with = "without_nulls", skip_serializing_if = "BTreeMap::is_empty")]
    pub hugepages: BTreeMap<String, Bytes>,
    /// How long a call may take, counted from its start: a duration above 0. Then the whole tree is killed. Also spelled
    /// `timeout`. Default: no limit. Example: `wall_time = "5s"`.
    #[serde(alias = "timeout")]
    pub wall_time: Option<Timespan>,
    /// CPU time of the whole tree: a duration above 0. Needs cgroups. Default: no limit. Example: `cpu_time = "2s"`.
    pub cpu_time: Option<Timespan>,
    /// How many bytes of stdout, and of stderr, are captured: a size. Default: 16 MiB. Example: `output = "1MiB"`.
    pub output: Option<Bytes>,
    /// What happens beyond `output`: the rest is dropped and the outcome says so, or the tree is killed.
    /// Default: `"truncate"`. Example: `overflow = "kill"`.
    pub overflow: Option<Overflow>,
    /// Limits of setrlimit(2), of each process: names without `RLIMIT_`, to a number, a size, or `"unlimited"`.
    /// Default: `core = 0`, the others are those of the host process. Example: `rlimits = { nofile = 256, stack = "8MiB" }`.
    #[serde(deserialize_with = "without_nulls", skip_serializing_if = "BTreeMap::is_empty")]
    pub rlimits: BTreeMap<String, RlimitValue>,
    /// Below which cgroup that of the sandbox is made, as a path in the hierarchy; empty: that of the host process.
    /// Default: `""`. Example: `cgroup_parent = "/grading"`.
    pub cgroup_parent: Option<String>,
    /// Whether each payload of a session gets a group of its own, below that of the session: for its numbers, and for a
    /// `cpu_time` of one call. Needs cgroups; on v2 it counts CPU time and processes. Default: false.
    /// Example: `payload_groups = true`.
    pub payload_groups: Option<bool>,
}

/// Limits of block I/O on one device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct IoLimitConfig {
    /// The block device: its path, or `MAJOR:MINOR`. Required. Example: `device = "/dev/vda"`.
    pub device: Option<PathBuf>,
    /// Bytes read per second. Default: no limit. Example: `read_bps = "10MiB"`.
    pub read_bps: Option<Bytes>,
    /// Bytes written per second. Default: no limit. Example: `write_bps = "10MiB"`.
    pub write_bps: Option<Bytes>,
    /// Reads per second. Default: no limit. Example: `read_iops = 1000`.
    pub read_iops: Option<u64>,
    /// Writes per second. Default: no limit. Example: `write_iops = 500`.
    pub write_iops: Option<u64>,
}

/// Limits of block I/O on one device: short for [`IoLimitConfig`].
pub type IoLimit = IoLimitConfig;

/// What happens when more is written than is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overflow {
    /// The rest is dropped, and the outcome says so.
    #[default]
    Truncate,
    /// The tree is killed, and the outcome says so.
    Kill,
}

impl IoLimitConfig {
    /// No limit yet on `device`, a path or `MAJOR:MINOR`.
    pub fn new(device: impl Into<PathBuf>) -> Self {
        Self { device: Some(device.into()), ..Self::default() }
    }

    /// Bytes read per second.
    #[must_use]
    pub fn read_bps(mut self, bytes: impl IntoBytes) -> Self {
        self.read_bps = Some(bytes.into_bytes());
        self
    }

    /// Bytes written per second.
    #[must_use]
    pub fn write_bps(mut self, bytes: impl IntoBytes) -> Self {
        self.write_bps = Some(bytes.into_bytes());
        self
    }

    /// Reads per second.
    #[must_use]
    pub fn read_iops(mut self, operations: u64) -> Self {
        self.read_iops = Some(operations);
        self
    }

    /// Writes per second.
    #[must_use]
    pub fn write_iops(mut self, operations: u64) -> Self {
        self.write_iops = Some(operations);
        self
    }
}

/// Reads a map whose entries may be null, which stands for "not given".
fn without_nulls<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct MapVisitor<V>(PhantomData<V>);

    impl<'de, V: Deserialize<'de>> Visitor<'de> for MapVisitor<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = BTreeMap::new();
            while let Some((key, value)) = map.next_entry::<String, Option<V>>()? {
                if let Some(value) = value {
                    entries.insert(key, value);
                }
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_any(MapVisitor(PhantomData))
}
