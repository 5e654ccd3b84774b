//! Owns: the section `rootfs` with its overlay.  Must not: look at the host's files.

use std::fmt;
use std::path::PathBuf;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::values::{Bytes, IntoBytes, InvalidValue};
use super::word::string_or_table;

/// The section `[rootfs]`. Also as one word or a directory: `rootfs = "system"`, `rootfs = "./rootfs"`; a string with
/// a `/` is a directory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = super::schema::or_text))]
#[serde(deny_unknown_fields, default, remote = "Self")]
#[non_exhaustive]
pub struct RootfsConfig {
    /// What the root is made of. Default: `"dir"` where `path` is given, `"layers"` where `layers` is given, else
    /// `"system"`. Example: `kind = "host"`.
    pub kind: Option<RootfsKind>,
    /// The directory, for `kind = "dir"`; relative to this file. Default: none. Example: `path = "rootfs"`.
    pub path: Option<PathBuf>,
    /// The directories that are stacked, highest precedence first, for `kind = "layers"`: 1 to 500; relative to this
    /// file. Default: none. Example: `layers = ["top", "base"]`.
    pub layers: Option<Vec<PathBuf>>,
    /// Whether mounts made outside later become visible inside (`"slave"`), in both directions (`"shared"`), or not at
    /// all. Default: `"private"`. Example: `propagation = "slave"`.
    pub propagation: Option<Propagation>,
    /// A writable layer above the root: a table, `"memory"`, `"memory:64MiB"`, or a directory. Default: none, the root
    /// is read-only. In memory on an unprivileged host since Linux 6.6. Example: `overlay = "memory"`.
    pub overlay: Option<OverlayConfig>,
}

/// The root file system of a sandbox: short for [`RootfsConfig`].
pub type Rootfs = RootfsConfig;

/// What the root file system is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RootfsKind {
    /// The host's programs and libraries, read-only, without homes, secrets and host state.
    System,
    /// All of the host's `/`, read-only.
    Host,
    /// A directory.
    Dir,
    /// A stack of directories.
    Layers,
    /// Nothing.
    Empty,
}

/// Whether mounts travel between the host and the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Propagation {
    /// Not at all.
    #[doc(alias = "MS_PRIVATE")]
    Private,
    /// From outside to inside.
    #[doc(alias = "MS_SLAVE")]
    Slave,
    /// Both ways.
    #[doc(alias = "MS_SHARED")]
    Shared,
    /// Not at all, and it can't be bind-mounted.
    #[doc(alias = "MS_UNBINDABLE")]
    Unbindable,
}

/// The section `[rootfs.overlay]`. Also as a string: `"memory"`, `"memory:64MiB"` or a directory with a `/`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = super::schema::or_text))]
#[serde(deny_unknown_fields, default, remote = "Self")]
#[non_exhaustive]
pub struct OverlayConfig {
    /// Where changes go: `"memory"`, which is gone afterwards, or a directory that is kept (a string with a `/`,
    /// relative to this file). Default: `"memory"`. Example: `upper = "./changes"`.
    pub upper: Option<OverlayUpper>,
    /// The work directory of overlayfs: on the same file system as `upper`, and empty. Only with a directory. Default:
    /// the upper directory's name with `.work` added. Example: `work = "./changes.work"`.
    pub work: Option<PathBuf>,
    /// How many bytes of changes fit in memory. Only in memory. Default: 256 MiB. Example: `size = "64MiB"`.
    pub size: Option<Bytes>,
}

/// The writable layer above a root: short for [`OverlayConfig`].
pub type Overlay = OverlayConfig;

/// Where the changes of an overlay go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverlayUpper {
    /// In memory, gone afterwards.
    Memory,
    /// In this directory, which is kept.
    Dir(PathBuf),
}

impl RootfsConfig {
    fn of(kind: RootfsKind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    /// The host's programs and libraries, read-only, without homes, secrets and host state. The default.
    pub fn system() -> Self {
        Self::of(RootfsKind::System)
    }

    /// All of the host's `/`, read-only.
    pub fn host() -> Self {
        Self::of(RootfsKind::Host)
    }

    /// The directory `path`.
    pub fn dir(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()), ..Self::of(RootfsKind::Dir) }
    }

    /// A stack of directories, highest precedence first.
    pub fn layers(layers: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self { layers: Some(layers.into_iter().map(Into::into).collect()), ..Self::of(RootfsKind::Layers) }
    }

    /// Nothing but the mounts.
    pub fn empty() -> Self {
        Self::of(RootfsKind::Empty)
    }

    /// A writable layer above it.
    #[must_use]
    pub fn overlay(mut self, overlay: OverlayConfig) -> Self {
        self.overlay = Some(overlay);
        self
    }

    /// Whether mounts travel between the host and the sandbox.
    #[must_use]
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = Some(propagation);
        self
    }
}

impl OverlayConfig {
    /// Changes are kept in memory, at most `size`, and gone afterwards.
    pub fn memory(size: impl IntoBytes) -> Self {
        Self { upper: Some(OverlayUpper::Memory), size: Some(size.into_bytes()), work: None }
    }

    /// Changes are kept in the directory `upper`.
    pub fn dir(upper: impl Into<PathBuf>) -> Self {
        Self { upper: Some(OverlayUpper::Dir(upper.into())), ..Self::default() }
    }

    /// The work directory of overlayfs, which must be on the same file system as the upper directory.
    #[must_use]
    pub fn work(mut self, work: impl Into<PathBuf>) -> Self {
        self.work = Some(work.into());
        self
    }
}

impl TryFrom<&str> for RootfsConfig {
    type Error = InvalidValue;

    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "system" => Ok(Self::system()),
            "host" => Ok(Self::host()),
            "empty" => Ok(Self::empty()),
            path if path.contains('/') => Ok(Self::dir(path)),
            _ => Err(InvalidValue::new(format!(
                "must be \"system\", \"host\", \"empty\" or a directory (with a \"/\"), got {text:?}"
            ))),
        }
    }
}

impl TryFrom<&str> for OverlayConfig {
    type Error = InvalidValue;

    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "memory" => Ok(Self { upper: Some(OverlayUpper::Memory), ..Self::default() }),
            path if path.contains('/') => Ok(Self::dir(path)),
            _ => match text.strip_prefix("memory:") {
                Some(size) => Ok(Self::memory(size)),
                None => Err(InvalidValue::new(format!(
                    "must be \"memory\", \"memory:SIZE\" or a directory (with a \"/\"), got {text:?}"
                ))),
            },
        }
    }
}

string_or_table!(RootfsConfig, "\"system\", \"host\", \"empty\", a directory or a table", RootfsConfig::try_from);
string_or_table!(OverlayConfig, "\"memory\", a directory or a table", OverlayConfig::try_from);

impl<'de> Deserialize<'de> for OverlayUpper {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UpperVisitor;

        impl Visitor<'_> for UpperVisitor {
            type Value = OverlayUpper;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"memory\" or a directory")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OverlayUpper, E> {
                match text {
                    "memory" => Ok(OverlayUpper::Memory),
                    path if path.contains('/') => Ok(OverlayUpper::Dir(path.into())),
                    _ => Err(E::custom(format_args!("must be \"memory\" or a directory (with a \"/\"), got {text:?}"))),
                }
            }
        }

        deserializer.deserialize_str(UpperVisitor)
    }
}

impl Serialize for OverlayUpper {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Memory => serializer.serialize_str("memory"),
            // The short form knows a directory by its slash.
            Self::Dir(path) if !path.as_os_str().as_encoded_bytes().contains(&b'/') => {
                PathBuf::from(".").join(path).serialize(serializer)
            }
            Self::Dir(path) => path.serialize(serializer),
        }
    }
}
