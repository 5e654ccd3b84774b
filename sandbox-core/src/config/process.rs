//! Owns: the sections `process`, `init` and `compat`.  Must not: know how a payload is started.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::{self, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::or_default;

/// The section `[process]`: how payloads are started, unless the call says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ProcessConfig {
    /// The working directory inside: an absolute path that exists there. The host's is never used. Default: `"/"`.
    /// Example: `cwd = "/data"`.
    pub cwd: Option<PathBuf>,
    /// Environment variables, in addition to `PATH`, `HOME`, `USER` and `LANG` (and `TERM` with a terminal). `null`, in
    /// TOML `{ unset = true }`, removes one. 4,096 at most. Default: none. Example: `env = { JOB = "7" }`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,
    /// Variables that are taken from the environment of the host process where they are set there; `env` wins.
    /// Default: none. Example: `inherit_env = ["LANG"]`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub inherit_env: Vec<String>,
    /// Whether the default variables are left out. Default: false. Example: `env_clear = true`.
    pub env_clear: Option<bool>,
    /// The permissions that new files never have, as an octal string up to `"0777"`. Default: `"0022"`.
    /// Example: `umask = "0077"`.
    pub umask: Option<String>,
    /// The niceness: -20 to 19; below 0 needs a privileged host process. Default: that of the host process.
    /// Example: `nice = 10`.
    pub nice: Option<i32>,
    /// Whether payloads get a terminal of their own. Default: false. Example: `terminal = true`.
    pub terminal: Option<bool>,
    /// Whether Pinfold's init is PID 1. With false the payload is PID 1 itself, as a system container wants it, and there
    /// are no sessions. Default: true. Example: `init = false`.
    pub init: Option<bool>,
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvValue {
    /// The variable has this value.
    Set(String),
    /// The variable is not there, not even with its default.
    Unset,
}

/// The section `[init]`: the program that sets the sandbox up and is PID 1 in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct InitConfig {
    /// An installed copy of init, for hosts whose policy must name a path (AppArmor); relative to this file. Also as the
    /// environment variable `PINFOLD_INIT`. Default: `""`, the one that is built in.
    /// Example: `path = "/usr/lib/pinfold/init"`.
    pub path: Option<PathBuf>,
}

/// The section `[compat]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CompatConfig {
    /// What may be weaker than asked for where the host can't do it: config keys, in which `*` stands for anything. Each
    /// weakening is in the report. Everything else is required. Default: none. Example: `prefer = ["limits.*"]`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub prefer: Vec<String>,
}

impl From<&str> for EnvValue {
    fn from(value: &str) -> Self {
        Self::Set(value.to_owned())
    }
}

impl From<String> for EnvValue {
    fn from(value: String) -> Self {
        Self::Set(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for EnvValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unset, Into::into)
    }
}

impl Serialize for EnvValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Unset {
            unset: bool,
        }
        match self {
            Self::Set(value) => serializer.serialize_str(value),
            Self::Unset => Unset { unset: true }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for EnvValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            unset: bool,
        }

        struct EnvVisitor;

        impl<'de> Visitor<'de> for EnvVisitor {
            type Value = EnvValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, null or { unset = true }")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<EnvValue, E> {
                Ok(value.into())
            }

            fn visit_unit<E: de::Error>(self) -> Result<EnvValue, E> {
                Ok(EnvValue::Unset)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EnvValue, A::Error> {
                match Table::deserialize(MapAccessDeserializer::new(map))? {
                    Table { unset: true } => Ok(EnvValue::Unset),
                    Table { unset: false } => Err(de::Error::custom("must be a string, null or { unset = true }")),
                }
            }
        }

        deserializer.deserialize_any(EnvVisitor)
    }
}
