//! Owns: the section `mounts`.  Must not: know which fields fit which kind (`spec` does).

use std::fmt;
use std::path::PathBuf;

use serde::de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::rootfs::{OverlayUpper, Propagation};
use super::values::{Bytes, IntoBytes};

/// One entry of `[[mounts]]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct MountConfig {
    /// What is mounted. Required. Example: `kind = "bind"`.
    pub kind: Option<MountKind>,
    /// What is shown at the target. For `bind`: a file or directory of the host, relative to this file (in code to the
    /// cwd at build time), or the name of an fd that the caller attaches (`{ fd = "name" }`). For `symlink`: the link's
    /// text, as it is. Default: none; these two kinds need one. Example: `source = "data"`.
    pub source: Option<MountSource>,
    /// Where it appears inside: an absolute path other than `/`. Required. Nothing is ever created on a host file
    /// system, so on a writable bind the target must exist. Example: `target = "/data"`.
    pub target: Option<PathBuf>,
    /// Whether it can't be written to, with everything mounted below it. Default: false; sysfs always is.
    /// Example: `read_only = true`.
    pub read_only: Option<bool>,
    /// For `bind`: whether what is mounted below the source comes along. Default: true. Example: `recursive = false`.
    pub recursive: Option<bool>,
    /// For `bind`: a missing source is skipped and reported, instead of an error. Default: false.
    /// Example: `optional = true`.
    pub optional: Option<bool>,
    /// Whether set-user-id bits and file capabilities count for nothing. Default: true. Example: `nosuid = false`.
    pub nosuid: Option<bool>,
    /// Whether device files can't be opened. Default: true; false for `dev` and `devpts`. Example: `nodev = true`.
    pub nodev: Option<bool>,
    /// Whether programs can't be executed. Default: false; true for `proc`, `sysfs`, `devpts`, `dev` and `mqueue`.
    /// Example: `noexec = true`.
    pub noexec: Option<bool>,
    /// Whether mounts travel between the host and this mount. Default: that of the root.
    /// Example: `propagation = "slave"`.
    pub propagation: Option<Propagation>,
    /// For `bind`: whether owners are translated, so that the host's ids appear as those inside. Needs a privileged host
    /// process and a file system that can. Since Linux 5.12. Default: false. Example: `idmap = true`.
    pub idmap: Option<bool>,
    /// For `tmpfs` and an `overlay` in memory: how many bytes fit. Default: 256 MiB. Example: `size = "16MiB"`.
    pub size: Option<Bytes>,
    /// For `tmpfs`: how many files fit. Default: one for each 4 KiB of the size, 1,024 at least.
    /// Example: `inodes = 10000`.
    pub inodes: Option<u64>,
    /// For `tmpfs` and `file`: the permissions, as an octal string up to `"7777"`. Default: `"1777"` for tmpfs, `"0644"`
    /// for a file. A file belongs to the sandbox's root where `identity` gives it an id of its own, else to the payload's
    /// user: what the payload is to read in every case has its last digit set. Example: `mode = "0755"`.
    pub mode: Option<String>,
    /// For `file`: what is in it, as a string (in JSON also an array of bytes); 1 MiB at most. Required.
    /// Example: `content = "hello\n"`.
    pub content: Option<FileContent>,
    /// For `overlay`: the directories below, highest precedence first: 1 to 500; relative to this file. Required.
    /// Example: `lower = ["top", "base"]`.
    pub lower: Option<Vec<PathBuf>>,
    /// For `overlay`: where changes go: `"memory"` or a directory (with a `/`). Default: nowhere, it is read-only.
    /// Example: `upper = "./changes"`.
    pub upper: Option<OverlayUpper>,
    /// For `overlay` with a directory as upper: the work directory. Default: the upper directory's name with `.work`
    /// added. Example: `work = "./changes.work"`.
    pub work: Option<PathBuf>,
    /// For `proc`: what is covered, relative to the target or absolute. Default: what OCI runtimes cover (`kcore`,
    /// `keys`, `timer_list`, ...). Example: `masked = ["kcore"]`.
    pub masked: Option<Vec<PathBuf>>,
    /// For `proc`: what can't be written to, relative to the target or absolute. Default: what OCI runtimes protect
    /// (`bus`, `fs`, `irq`, `sys`, `sysrq-trigger`). Example: `readonly_paths = ["sys"]`.
    pub readonly_paths: Option<Vec<PathBuf>>,
}

/// One mount: short for [`MountConfig`].
pub type Mount = MountConfig;

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MountKind {
    /// A file or directory of the host.
    Bind,
    /// An empty directory in memory.
    Tmpfs,
    /// A fresh view of the sandbox's processes.
    Proc,
    /// The devices and drivers of the network namespace, read-only.
    Sysfs,
    /// A fresh set of pseudo terminals.
    Devpts,
    /// The minimal set of devices.
    Dev,
    /// POSIX message queues.
    Mqueue,
    /// A stack of directories.
    Overlay,
    /// A symbolic link.
    Symlink,
    /// A file with the given content.
    File,
}

/// What a bind mount shows, or a symbolic link says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountSource {
    /// A path on the host; for a symbolic link its text.
    Path(PathBuf),
    /// The fd that the caller attaches to the sandbox under this name.
    Fd(String),
}

/// The bytes of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileContent(pub Vec<u8>);

impl MountConfig {
    fn of(kind: MountKind, target: impl Into<PathBuf>) -> Self {
        Self { kind: Some(kind), target: Some(target.into()), ..Self::default() }
    }

    /// The host's `source` appears at `target`, writable unless `read_only` is set.
    pub fn bind(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: Some(MountSource::Path(source.into())), ..Self::of(MountKind::Bind, target) }
    }

    /// The fd that is attached as `name` appears at `target`.
    pub fn bind_fd(name: impl Into<String>, target: impl Into<PathBuf>) -> Self {
        Self { source: Some(MountSource::Fd(name.into())), ..Self::of(MountKind::Bind, target) }
    }

    /// An empty directory in memory.
    pub fn tmpfs(target: impl Into<PathBuf>) -> Self {
        Self::of(MountKind::Tmpfs, target)
    }

    /// A fresh proc.
    pub fn proc(target: impl Into<PathBuf>) -> Self {
        Self::of(MountKind::Proc, target)
    }

    /// A sysfs, read-only.
    pub fn sysfs(target: impl Into<PathBuf>) -> Self {
        Self::of(MountKind::Sysfs, target)
    }

    /// A fresh set of pseudo terminals.
    pub fn devpts(target: impl Into<PathBuf>) -> Self {
        Self::of(MountKind::Devpts, target)
    }

    /// The minimal set of devices.
    pub fn dev(target: impl Into<PathBuf>) -> Self {
        Self::of(MountKind::Dev, target)
    }

    /// POSIX message queues.
    pub fn mqueue(target: impl Into<PathBuf>) -> Self {
        Self::of(MountKind::Mqueue, target)
    }

    /// A stack of directories, highest precedence first; read-only unless an `upper` is set.
    pub fn overlay(lower: impl IntoIterator<Item = impl Into<PathBuf>>, target: impl Into<PathBuf>) -> Self {
        Self { lower: Some(lower.into_iter().map(Into::into).collect()), ..Self::of(MountKind::Overlay, target) }
    }

    /// A symbolic link at `target` that says `text`.
    pub fn symlink(text: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: Some(MountSource::Path(text.into())), ..Self::of(MountKind::Symlink, target) }
    }

    /// A file at `target` with these bytes.
    pub fn file(content: impl Into<Vec<u8>>, target: impl Into<PathBuf>) -> Self {
        Self { content: Some(FileContent(content.into())), ..Self::of(MountKind::File, target) }
    }

    /// How many bytes fit.
    #[must_use]
    pub fn size(mut self, size: impl IntoBytes) -> Self {
        self.size = Some(size.into_bytes());
        self
    }

    /// How many files fit.
    #[must_use]
    pub fn inodes(mut self, inodes: u64) -> Self {
        self.inodes = Some(inodes);
        self
    }

    /// The permissions, as in `0o755`.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(format!("{mode:04o}"));
        self
    }

    /// Where the changes of an overlay go.
    #[must_use]
    pub fn upper(mut self, upper: OverlayUpper) -> Self {
        self.upper = Some(upper);
        self
    }

    /// The work directory of an overlay whose upper is a directory.
    #[must_use]
    pub fn work(mut self, work: impl Into<PathBuf>) -> Self {
        self.work = Some(work.into());
        self
    }

    /// What is covered in a proc.
    #[must_use]
    pub fn masked(mut self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.masked = Some(paths.into_iter().map(Into::into).collect());
        self
    }

    /// What can't be written to in a proc.
    #[must_use]
    pub fn readonly_paths(mut self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.readonly_paths = Some(paths.into_iter().map(Into::into).collect());
        self
    }

    /// Whether mounts travel between the host and this mount.
    #[must_use]
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = Some(propagation);
        self
    }
}

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        impl MountConfig {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(mut self, $name: bool) -> Self {
                self.$name = Some($name);
                self
            })*
        }
    };
}

flags! {
    /// Whether it can't be written to.
    read_only,
    /// Whether what is mounted below the source comes along.
    recursive,
    /// Whether a missing source is skipped and reported.
    optional,
    /// Whether set-user-id bits count for nothing.
    nosuid,
    /// Whether device files can't be opened.
    nodev,
    /// Whether programs can't be executed.
    noexec,
    /// Whether owners are translated.
    idmap,
}

impl<'de> Deserialize<'de> for MountSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct FdTable {
            fd: String,
        }

        struct SourceVisitor;

        impl<'de> Visitor<'de> for SourceVisitor {
            type Value = MountSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or { fd = \"name\" }")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<MountSource, E> {
                Ok(MountSource::Path(path.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MountSource, A::Error> {
                FdTable::deserialize(MapAccessDeserializer::new(map)).map(|table| MountSource::Fd(table.fd))
            }
        }

        deserializer.deserialize_any(SourceVisitor)
    }
}

impl Serialize for MountSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct FdTable<'a> {
            fd: &'a str,
        }
        match self {
            Self::Path(path) => path.serialize(serializer),
            Self::Fd(name) => FdTable { fd: name }.serialize(serializer),
        }
    }
}

impl From<&str> for FileContent {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<Vec<u8>> for FileContent {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Serialize for FileContent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for FileContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;

        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = FileContent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FileContent, E> {
                Ok(text.into())
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<FileContent, E> {
                Ok(bytes.to_vec().into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<FileContent, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes.into())
            }
        }

        deserializer.deserialize_any(ContentVisitor)
    }
}
