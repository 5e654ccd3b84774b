//! Owns: what differs between the writable layer of a root and the layers below it, and writing that as a layer.
//! Must not: know how the layers were stacked, start anything, or follow a link that the payload has made.
//! Start at: [`Change`], then `walk.rs`.
//!
//! Everything here works on directory fds (dirfd.rs). What is in them is the payload's and hostile: names are bytes, no link is
//! followed, nothing is opened that was not looked at before, depth costs no stack and no fds.

mod commit;
mod directory;
mod walk;
mod xattrs;

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dirfd::DirFd;
use crate::idmap::{IdMaps, to_inside};

pub(crate) use commit::commit;
pub(crate) use walk::list;

/// One difference between the root as it is and the layers below its writable one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The absolute path inside. Bytes: in JSON a text, or a list of numbers where it is not UTF-8.
    #[serde(serialize_with = "write_path", deserialize_with = "read_path")]
    pub path: PathBuf,
    /// What happened to it.
    pub change: ChangeKind,
    /// What it is now; of something deleted: what it was.
    pub kind: FileKind,
    /// Bytes of a regular file, or of a link's text; else 0.
    pub size: u64,
    /// The permission bits, with set-user-ID and the like. In JSON an octal string, `"0644"`.
    #[serde(serialize_with = "write_mode", deserialize_with = "read_mode")]
    pub mode: u32,
    /// Of something modified: its owner, mode or extended attributes are others, its content is the same.
    pub metadata_only: bool,
    /// Of something modified: nothing of what was there shows any more. A directory was removed and made again, or it is
    /// of another kind than before.
    pub replaced: bool,
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It was there and is different.
    Modified,
    /// It is gone; a directory with all that was in it, as one change.
    Deleted,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
}

impl ChangeKind {
    /// The stable name (`added`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
        }
    }
}

impl FileKind {
    pub(crate) fn of_mode(mode: u32) -> Self {
        match mode & libc::S_IFMT {
            libc::S_IFDIR => Self::Directory,
            libc::S_IFLNK => Self::Symlink,
            libc::S_IFIFO => Self::Fifo,
            libc::S_IFSOCK => Self::Socket,
            libc::S_IFCHR | libc::S_IFBLK => Self::Device,
            _ => Self::File,
        }
    }

    /// The stable name (`directory`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Device => "device",
        }
    }
}

/// A directory below the writable one.
#[derive(Debug)]
pub(crate) struct Lower {
    pub root: DirFd,
    pub ids: Ids,
}

/// How the owner of a file, as this process sees it, becomes the owner inside.
#[derive(Debug, Clone)]
pub(crate) enum Ids {
    /// They are the same: no user namespace, or a mount that maps them.
    Same,
    Mapped(IdMaps),
}

impl Ids {
    /// What shows for an id that is not mapped.
    const NOBODY: u32 = 65_534;

    pub fn uid(&self, id: u32) -> u32 {
        match self {
            Self::Same => id,
            Self::Mapped(maps) => to_inside(&maps.uid, id).unwrap_or(Self::NOBODY),
        }
    }

    pub fn gid(&self, id: u32) -> u32 {
        match self {
            Self::Same => id,
            Self::Mapped(maps) => to_inside(&maps.gid, id).unwrap_or(Self::NOBODY),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenPath {
    Text(String),
    Bytes(Vec<u8>),
}

fn write_mode<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

fn read_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    u32::from_str_radix(&text, 8).map_err(|_| serde::de::Error::custom("must be an octal string such as \"0644\""))
}

fn write_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    match path.to_str() {
        Some(text) => serializer.serialize_str(text),
        None => path.as_os_str().as_bytes().serialize(serializer),
    }
}

fn read_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    Ok(match WrittenPath::deserialize(deserializer)? {
        WrittenPath::Text(text) => text.into(),
        WrittenPath::Bytes(bytes) => std::ffi::OsString::from_vec(bytes).into(),
    })
}
