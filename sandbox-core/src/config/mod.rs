//! Owns: the serde types of the configuration, whose doc comments are the manual; reading, merging and printing it.
//! Must not: decide what a config means (`spec` does) or touch the host, except to read the files it is asked to read.
//! Start at: [`SandboxConfig`], then [`SandboxBuilder`], which is sugar that fills one.

mod builder;
mod call;
mod camel;
mod de;
mod document;
mod fds;
mod identity;
mod limits;
mod mounts;
mod namespaces;
mod options;
mod print;
mod process;
mod read;
mod rootfs;
#[cfg(feature = "schema")]
mod schema;
mod security;
mod shorthand;
mod suggest;
mod values;
mod word;

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Result;

pub use builder::SandboxBuilder;
pub use call::CallOptions;
pub(crate) use call::TextOrNumber;
pub use camel::snake_case_options;
pub use document::Document;
pub use fds::{Fd, FdConfig};
pub use identity::{IdMapConfig, IdentityConfig, User};
pub use limits::{IoLimit, IoLimitConfig, LimitsConfig, Overflow};
pub use mounts::{FileContent, Mount, MountConfig, MountKind, MountSource};
pub use namespaces::{Join, Namespace, NamespacesConfig, Network, NetworkConfig, NetworkMode, TimeNamespace};
pub(crate) use options::read_options;
pub use process::{CompatConfig, EnvValue, InitConfig, ProcessConfig};
pub use rootfs::{Overlay, OverlayConfig, OverlayUpper, Propagation, Rootfs, RootfsConfig, RootfsKind};
pub use security::{Keyring, Landlock, Seccomp, Securebits, SecurityConfig};
pub use shorthand::{SHORTHANDS, Shorthand, apply_shorthand};
pub use values::{Bytes, IntoBytes, IntoDuration, InvalidValue, RlimitValue, Timespan};

pub(crate) use suggest::did_you_mean;

/// A sandbox as the user wrote it: plain data, every field optional, nothing checked beyond its type.
///
/// TOML, JSON, Python's dicts, Node's objects and the builder all end here, with the same keys. A config is checked
/// when a sandbox is built from it, and then every problem is reported at once.
///
/// ```toml
/// version = 1
/// hostname = "box"
/// rootfs = "system"
///
/// [limits]
/// wall_time = "5s"
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SandboxConfig {
    /// The version of this format. Only `1` exists. Default: 1. Example: `version = 1`.
    pub version: Option<u32>,
    /// Config files that this one builds on, relative to this file; later files override earlier ones, and this file
    /// overrides them all. Tables merge key by key, arrays replace, null unsets. Works in files that are read by path;
    /// 16 levels deep at most. Default: none. Example: `extends = ["base.toml"]`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub extends: Vec<String>,
    /// The host name inside: 1 to 64 letters, digits, `-`, `.` and `_`. Needs a new uts namespace. Default: `"sandbox"`.
    /// Example: `hostname = "box"`.
    pub hostname: Option<String>,
    /// Which parts of the system the sandbox sees a copy of its own of.
    #[serde(deserialize_with = "or_default")]
    pub namespaces: NamespacesConfig,
    /// The network, also as one word: `network = "none"`.
    #[serde(deserialize_with = "or_default")]
    pub network: NetworkConfig,
    /// Who the payload is, inside and on the host.
    #[serde(deserialize_with = "or_default")]
    pub identity: IdentityConfig,
    /// The root file system, also as one word or a directory: `rootfs = "system"`, `rootfs = "./rootfs"`.
    #[serde(deserialize_with = "or_default")]
    pub rootfs: RootfsConfig,
    /// What is mounted above the root file system, in this order. `/proc`, `/dev`, `/tmp`, `/dev/shm` and `/run` are
    /// there without being asked for; a mount at the same target replaces them. 1,024 at most.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountConfig>,
    /// How much the sandbox may use.
    #[serde(deserialize_with = "or_default")]
    pub limits: LimitsConfig,
    /// Open files that the payload gets from its caller. 512 at most.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub fds: Vec<FdConfig>,
    /// What the payload may do.
    #[serde(deserialize_with = "or_default")]
    pub security: SecurityConfig,
    /// How payloads are started, unless the call says otherwise.
    #[serde(deserialize_with = "or_default")]
    pub process: ProcessConfig,
    /// The program that sets the sandbox up.
    #[serde(deserialize_with = "or_default")]
    pub init: InitConfig,
    /// What may be weaker than asked for on hosts that can't do better.
    #[serde(deserialize_with = "or_default")]
    pub compat: CompatConfig,
    /// Where each key was written, for messages. Not part of the value.
    #[serde(skip)]
    pub(crate) locations: document::Locations,
}

impl SandboxConfig {
    /// Reads a config from TOML text.
    ///
    /// # Errors
    /// Every problem of the text at once: unknown keys, wrong types, syntax, input beyond 1 MiB or 32 levels.
    pub fn from_toml(text: &str) -> Result<Self> {
        Document::from_toml(text)?.into_config()
    }

    /// Reads a config from JSON text. The keys are those of TOML.
    ///
    /// # Errors
    /// As for [`from_toml`](Self::from_toml).
    pub fn from_json(text: &str) -> Result<Self> {
        Document::from_json(text)?.into_config()
    }

    /// Reads a config from a file, as TOML or JSON by its extension, with all files it `extends`.
    ///
    /// Relative paths in a file are relative to that file; the config returned has them absolute.
    ///
    /// # Errors
    /// A file can't be read, or it has problems, all of which are reported with file and line.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        Document::from_path(path)?.into_config()
    }

    /// Sets one key from text, as `--set` of the command line does: `limits.memory=64M`, `mounts[0].read_only=true`.
    ///
    /// The value is read as TOML where it is TOML (`true`, `64`, `["a"]`, `{ join = { pid = 1 } }`), `null` unsets, and
    /// everything else is a string.
    ///
    /// # Errors
    /// There is no such key, or it can't have this value. The config is unchanged then.
    pub fn apply_set(&mut self, assignment: &str) -> Result<()> {
        let mut document = Document::from_config(self)?;
        document.set(assignment)?;
        *self = document.into_config()?;
        Ok(())
    }

    /// Lays another config above this one: its values win, tables merge key by key, arrays replace.
    ///
    /// # Errors
    /// Never for configs that can be printed (a path that is not UTF-8 can't).
    pub fn merge(&mut self, over: &Self) -> Result<()> {
        let mut document = Document::from_config(self)?;
        document.merge(Document::from_config(over)?);
        *self = document.into_config()?;
        Ok(())
    }
}

/// Lets null stand for "not given" where the field itself is not an `Option`.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
pub(crate) mod tests;
