//! Owns: the sections `namespaces` and `network`.  Must not: know what the kernel has.

use std::fmt;
use std::path::PathBuf;

use serde::de::{self, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::values::InvalidValue;
use super::word::string_or_table;

/// The section `[namespaces]`: each one `"new"`, `"host"` or `{ join = ... }`.
///
/// `join` takes a path (`"/proc/1/ns/ipc"`), a process (`{ pid = 1 }`) or the name of an fd that the caller attaches to
/// the sandbox (`{ fd = "name" }`). The network namespace is decided by `network.mode` and nowhere else.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct NamespacesConfig {
    /// Users, groups and capabilities. Default: `"new"`. `"host"` needs a privileged host process.
    /// Example: `user = "new"`.
    pub user: Option<Namespace>,
    /// Process ids. Default: `"new"`. Without one of its own the tree can only be killed through its cgroup.
    /// Example: `pid = { join = { pid = 4711 } }`.
    pub pid: Option<Namespace>,
    /// Mounts. Default: `"new"`. With `"host"` or `join` there is no rootfs and there are no mounts of the sandbox.
    /// Example: `mount = "new"`.
    pub mount: Option<Namespace>,
    /// System V IPC and POSIX message queues. Default: `"new"`. Example: `ipc = { join = "/proc/1/ns/ipc" }`.
    pub ipc: Option<Namespace>,
    /// Host and domain name. Default: `"new"`. Example: `uts = "host"`.
    pub uts: Option<Namespace>,
    /// The view of the cgroup tree. Default: `"new"`. Example: `cgroup = "new"`.
    pub cgroup: Option<Namespace>,
    /// The boot-time and monotonic clocks: also a table of offsets in seconds, which means a new namespace.
    /// Default: `"host"`. Since Linux 5.6. Example: `time = { offset_boottime = 3600, offset_monotonic = 0 }`.
    pub time: Option<TimeNamespace>,
}

/// How the sandbox gets one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Namespace {
    /// One of its own.
    New,
    /// The one of the host process.
    Host,
    /// One that exists.
    Join(Join),
}

/// A namespace that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Join {
    /// The namespace at this path (`/proc/1/ns/ipc`, `/run/netns/blue`).
    Path(PathBuf),
    /// That of the process with this id.
    Pid(u32),
    /// That of an fd which the caller attaches to the sandbox under this name: a namespace or a pidfd.
    Fd(String),
}

/// How the sandbox gets its time namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeNamespace {
    /// One of its own, whose clocks agree with the host's.
    New,
    /// The one of the host process.
    Host,
    /// One that exists.
    Join(Join),
    /// One of its own, whose clocks differ from the host's.
    Offsets {
        /// Seconds added to `CLOCK_BOOTTIME`.
        boottime: i64,
        /// Seconds added to `CLOCK_MONOTONIC`.
        monotonic: i64,
    },
}

impl Namespace {
    /// The namespace at `path`.
    pub fn join(path: impl Into<PathBuf>) -> Self {
        Self::Join(Join::Path(path.into()))
    }

    /// The namespace of the process `pid`.
    pub fn join_pid(pid: u32) -> Self {
        Self::Join(Join::Pid(pid))
    }

    /// The namespace of the fd attached as `name`.
    pub fn join_fd(name: impl Into<String>) -> Self {
        Self::Join(Join::Fd(name.into()))
    }
}

/// The section `[network]`. Also as one word: `network = "none"`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = super::schema::or_network))]
#[serde(deny_unknown_fields, default, remote = "Self")]
#[non_exhaustive]
pub struct NetworkConfig {
    /// The network of the sandbox: `"none"` is a namespace of its own with nothing but a loopback interface that is up,
    /// `"host"` the network of the host process with all that listens there, `{ join = ... }` a namespace that exists,
    /// by path, pid or fd. Default: `"none"`. Example: `mode = { join = "/run/netns/blue" }`.
    pub mode: Option<NetworkMode>,
}

/// The network of a sandbox: short for [`NetworkConfig`].
pub type Network = NetworkConfig;

/// Which network the sandbox is in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkMode {
    /// A namespace of its own with a loopback interface only, which is up.
    None,
    /// The network of the host process.
    Host,
    /// A network namespace that exists.
    Join(Join),
}

impl NetworkConfig {
    /// Only a loopback interface, which is up. The default.
    pub fn none() -> Self {
        Self { mode: Some(NetworkMode::None) }
    }

    /// The network of the host process.
    pub fn host() -> Self {
        Self { mode: Some(NetworkMode::Host) }
    }

    /// The network namespace at `path`.
    pub fn join(path: impl Into<PathBuf>) -> Self {
        Self { mode: Some(NetworkMode::Join(Join::Path(path.into()))) }
    }

    /// The network namespace of the process `pid`.
    pub fn join_pid(pid: u32) -> Self {
        Self { mode: Some(NetworkMode::Join(Join::Pid(pid))) }
    }

    /// The network namespace of the fd attached as `name`.
    pub fn join_fd(name: impl Into<String>) -> Self {
        Self { mode: Some(NetworkMode::Join(Join::Fd(name.into()))) }
    }
}

impl TryFrom<&str> for NetworkConfig {
    type Error = InvalidValue;

    fn try_from(word: &str) -> Result<Self, InvalidValue> {
        match word {
            "none" => Ok(Self::none()),
            "host" => Ok(Self::host()),
            _ => Err(InvalidValue::new(format!("must be \"none\", \"host\" or {{ join = ... }}, got {word:?}"))),
        }
    }
}

string_or_table!(NetworkConfig, "\"none\", \"host\" or a table", NetworkConfig::try_from);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoinTable {
    join: Join,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct TimeTable {
    join: Option<Join>,
    offset_boottime: Option<i64>,
    offset_monotonic: Option<i64>,
}

#[derive(Serialize)]
struct JoinRef<'a> {
    join: &'a Join,
}

/// What all namespace keys may be; each key then takes what it knows.
enum Written {
    Word(String),
    Join(Join),
}

struct WrittenVisitor(&'static str);

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Written, E> {
        Ok(Written::Word(word.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
        JoinTable::deserialize(MapAccessDeserializer::new(map)).map(|table| Written::Join(table.join))
    }
}

fn unknown_word<E: de::Error>(word: &str, expected: &str) -> E {
    let hint = if word.contains('/') { " (a path is written { join = \"/path\" })" } else { "" };
    E::custom(format_args!("must be {expected}, got {word:?}{hint}"))
}

impl<'de> Deserialize<'de> for Namespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "\"new\", \"host\" or { join = ... }";
        match deserializer.deserialize_any(WrittenVisitor(EXPECTED))? {
            Written::Word(word) if word == "new" => Ok(Self::New),
            Written::Word(word) if word == "host" => Ok(Self::Host),
            Written::Word(word) => Err(unknown_word(&word, EXPECTED)),
            Written::Join(join) => Ok(Self::Join(join)),
        }
    }
}

impl<'de> Deserialize<'de> for NetworkMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "\"none\", \"host\" or { join = ... }";
        match deserializer.deserialize_any(WrittenVisitor(EXPECTED))? {
            Written::Word(word) if word == "none" => Ok(Self::None),
            Written::Word(word) if word == "host" => Ok(Self::Host),
            Written::Word(word) => Err(unknown_word(&word, EXPECTED)),
            Written::Join(join) => Ok(Self::Join(join)),
        }
    }
}

impl<'de> Deserialize<'de> for TimeNamespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor;

        impl<'de> Visitor<'de> for TimeVisitor {
            type Value = TimeNamespace;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"new\", \"host\", { join = ... } or { offset_boottime = 0, offset_monotonic = 0 }")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<TimeNamespace, E> {
                match word {
                    "new" => Ok(TimeNamespace::New),
                    "host" => Ok(TimeNamespace::Host),
                    _ => Err(unknown_word(word, "\"new\", \"host\", { join = ... } or a table of offsets")),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TimeNamespace, A::Error> {
                let table = TimeTable::deserialize(MapAccessDeserializer::new(map))?;
                match (table.join, table.offset_boottime, table.offset_monotonic) {
                    (Some(join), None, None) => Ok(TimeNamespace::Join(join)),
                    (Some(_), _, _) => {
                        Err(de::Error::custom("offsets can be set in a new namespace only, not with join"))
                    }
                    (None, None, None) => Ok(TimeNamespace::New),
                    (None, boottime, monotonic) => Ok(TimeNamespace::Offsets {
                        boottime: boottime.unwrap_or_default(),
                        monotonic: monotonic.unwrap_or_default(),
                    }),
                }
            }
        }

        deserializer.deserialize_any(TimeVisitor)
    }
}

impl<'de> Deserialize<'de> for Join {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize, Default)]
        #[serde(deny_unknown_fields, default)]
        struct Target {
            pid: Option<u32>,
            fd: Option<String>,
        }

        struct JoinVisitor;

        impl<'de> Visitor<'de> for JoinVisitor {
            type Value = Join;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, { pid = 1 } or { fd = \"name\" }")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<Join, E> {
                Ok(Join::Path(path.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Join, A::Error> {
                match Target::deserialize(MapAccessDeserializer::new(map))? {
                    Target { pid: Some(pid), fd: None } => Ok(Join::Pid(pid)),
                    Target { pid: None, fd: Some(fd) } => Ok(Join::Fd(fd)),
                    _ => Err(de::Error::custom("must be a path or have exactly one of pid and fd")),
                }
            }
        }

        deserializer.deserialize_any(JoinVisitor)
    }
}

impl Serialize for Join {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "snake_case")]
        enum Table<'a> {
            Pid(u32),
            Fd(&'a str),
        }
        match self {
            Self::Path(path) => path.serialize(serializer),
            Self::Pid(pid) => Table::Pid(*pid).serialize(serializer),
            Self::Fd(name) => Table::Fd(name).serialize(serializer),
        }
    }
}

impl Serialize for Namespace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::New => serializer.serialize_str("new"),
            Self::Host => serializer.serialize_str("host"),
            Self::Join(join) => JoinRef { join }.serialize(serializer),
        }
    }
}

impl Serialize for NetworkMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Host => serializer.serialize_str("host"),
            Self::Join(join) => JoinRef { join }.serialize(serializer),
        }
    }
}

impl Serialize for TimeNamespace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Offsets {
            offset_boottime: i64,
            offset_monotonic: i64,
        }
        match self {
            Self::New => serializer.serialize_str("new"),
            Self::Host => serializer.serialize_str("host"),
            Self::Join(join) => JoinRef { join }.serialize(serializer),
            Self::Offsets { boottime, monotonic } => {
                Offsets { offset_boottime: *boottime, offset_monotonic: *monotonic }.serialize(serializer)
            }
        }
    }
}
