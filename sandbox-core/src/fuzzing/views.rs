//! Owns: what a stack of layers shows, said as plainly as possible: the reference that `changes` is compared with.
//! Must not: share a line with what it judges, but for the ids.
//! Start at: [`agree`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::choices::Choices;
use super::layers::{Place, SECRET, directory, place};
use crate::changes::{Change, ChangeKind, FileKind, Ids, Lower, commit, list};
use crate::dirfd::DirFd;
use crate::sys;

type Attributes = BTreeMap<String, Vec<u8>>;

/// An entry as it is seen inside.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    kind: FileKind,
    mode: u32,
    owner: (u32, u32),
    /// A file's bytes, a link's text, a device's number.
    content: Vec<u8>,
    attributes: Attributes,
}

/// An entry as it is on the disk.
#[derive(Debug, PartialEq, Eq)]
struct Raw {
    stat: (u32, u64, u64, u32, u32, i64),
    content: Vec<u8>,
    attributes: Attributes,
}

/// The list of changes is what the views differ in; the committed layer shows what was seen; nothing else happened.
pub(super) fn agree(choices: &mut Choices<'_>, ids: &Ids) {
    let files = Place::new();
    let lower: Vec<&str> = ["lower0", "lower1"].into_iter().take(choices.below(3)).collect();
    for layer in lower.iter().copied().chain(["upper"]) {
        files.make(layer, choices);
    }
    let below =
        || lower.iter().map(|name| Lower { root: DirFd::Here(files.open(name)), ids: ids.clone() }).collect::<Vec<_>>();
    let stack = |top: Option<(&str, &Ids)>| {
        let mut stack: Vec<(OwnedFd, Ids)> =
            top.into_iter().map(|(name, ids)| (files.open(name), ids.clone())).collect();
        stack.extend(lower.iter().map(|name| (files.open(name), ids.clone())));
        view(stack)
    };
    let disk = || ["outside", "lower0", "lower1", "upper"].map(|name| raw(&files.path(name)));
    let (before, old, new) = (disk(), stack(None), stack(Some(("upper", ids))));
    let upper = DirFd::Here(files.open("upper"));

    let listed = list(&upper, &below(), ids).expect("whatever is there can be listed");
    assert!(listed.is_sorted_by(|a, b| a.path.as_os_str() < b.path.as_os_str()), "sorted, and each once");
    let wanted = differences(&old, &new, &opaque(files.open("upper")));
    let listed: BTreeMap<PathBuf, Change> = listed.into_iter().map(|change| (change.path.clone(), change)).collect();
    assert_eq!(listed, wanted);
    assert_eq!(disk(), before, "listing leaves all as it was");

    let written = commit(&upper, &below(), ids, &files.path("layer"), None);
    assert_eq!(disk(), before, "a commit leaves all as it was");
    match written {
        Ok(()) => {}
        // No attributes of users here.
        Err(Errno::EOPNOTSUPP) => {
            assert!(!files.path("layer").exists(), "half a layer");
            return;
        }
        Err(errno) => panic!("no commit: {errno}"),
    }
    // A privileged process has given the files to the ids of the inside.
    assert_eq!(stack(Some(("layer", &Ids::Same))), new, "the layer shows what was seen");
    let layer = raw(&files.path("layer"));
    assert!(layer.values().all(|entry| entry.content != SECRET.as_bytes()), "something from outside is in the layer");
    same_links(&before[3], &layer);
    let again = commit(&upper, &below(), ids, &files.path("layer"), None);
    // An empty layer is an empty directory, which may be written to once more.
    assert_eq!(again, if layer.len() > 1 { Err(Errno::ENOTEMPTY) } else { Ok(()) });
}

/// Two names of one file above are two names of one file in the layer.
fn same_links(upper: &BTreeMap<PathBuf, Raw>, layer: &BTreeMap<PathBuf, Raw>) {
    let mut inodes = BTreeMap::new();
    for (path, here) in layer {
        let Some(there) = upper.get(path) else { continue };
        let kind = |raw: &Raw| raw.stat.0 & libc::S_IFMT;
        if matches!(kind(there), libc::S_IFREG | libc::S_IFIFO) && kind(here) == kind(there) {
            assert_eq!(
                *inodes.entry(there.stat.1).or_insert(here.stat.1),
                here.stat.1,
                "{} was a link",
                path.display()
            );
        }
    }
}

/// What differs, as it is told.
fn differences(
    old: &BTreeMap<PathBuf, Seen>,
    new: &BTreeMap<PathBuf, Seen>,
    opaque: &BTreeSet<PathBuf>,
) -> BTreeMap<PathBuf, Change> {
    let root = PathBuf::new();
    let replaced = |path: &PathBuf| match (old.get(path), new.get(path)) {
        (Some(was), Some(is)) => was.kind != is.kind || opaque.contains(path),
        _ => false,
    };
    // Below what was replaced everything is new.
    let hidden = |path: &Path| path.ancestors().skip(1).any(|above| replaced(&above.to_owned()));
    let mut told = BTreeMap::new();
    let mut tell = |path: &Path, change, seen: &Seen, metadata_only, replaced| {
        let size = if matches!(seen.kind, FileKind::File | FileKind::Symlink) { seen.content.len() as u64 } else { 0 };
        let path = Path::new("/").join(path);
        let (kind, mode) = (seen.kind, seen.mode);
        told.insert(path.clone(), Change { path, change, kind, size, mode, metadata_only, replaced });
    };
    for (path, is) in new.iter().filter(|(path, _)| **path != root) {
        match old.get(path).filter(|_| !hidden(path)) {
            None => tell(path, ChangeKind::Added, is, false, false),
            Some(_) if replaced(path) => tell(path, ChangeKind::Modified, is, false, true),
            Some(was) if was != is => tell(path, ChangeKind::Modified, is, was.content == is.content, false),
            Some(_) => {}
        }
    }
    for (path, was) in old.iter().filter(|(path, _)| !new.contains_key(*path) && !hidden(path)) {
        let above = path.parent().unwrap_or(Path::new(""));
        if new.get(above).is_some_and(|above| above.kind == FileKind::Directory) {
            tell(path, ChangeKind::Deleted, was, false, false);
        }
    }
    told
}

/// Everything that a stack shows, the highest layer first; the root as the empty path.
fn view(stack: Vec<(OwnedFd, Ids)>) -> BTreeMap<PathBuf, Seen> {
    let mut seen = BTreeMap::new();
    if let Some((top, ids)) = stack.first() {
        seen.insert(PathBuf::new(), look(&place(top, OsStr::new(".")), ids));
    }
    merge(Path::new(""), &stack, &mut seen);
    seen
}

fn merge(path: &Path, stack: &[(OwnedFd, Ids)], seen: &mut BTreeMap<PathBuf, Seen>) {
    let names: BTreeSet<OsString> = stack.iter().flat_map(|(fd, _)| names(fd)).collect();
    for name in names {
        let mut merged: Vec<(OwnedFd, Ids)> = Vec::new();
        let below = path.join(&name);
        for (fd, ids) in stack {
            let at = place(fd, &name);
            let Ok(meta) = fs::symlink_metadata(&at) else { continue };
            if is_whiteout(fd, &at) || (!meta.is_dir() && !merged.is_empty()) {
                break;
            }
            seen.entry(below.clone()).or_insert_with(|| look(&at, ids));
            if !meta.is_dir() {
                break;
            }
            merged.push((directory(&at), ids.clone()));
            if attribute(&at, "user.overlay.opaque").as_deref() == Some(b"y") {
                break;
            }
        }
        merge(&below, &merged, seen);
    }
}

fn is_whiteout(above: &OwnedFd, at: &Path) -> bool {
    let meta = fs::symlink_metadata(at).expect("there");
    let noted = meta.is_file()
        && meta.len() == 0
        && attribute(at, "user.overlay.whiteout").is_some()
        && attribute(&place(above, OsStr::new(".")), "user.overlay.opaque").as_deref() == Some(b"x");
    noted || (meta.file_type().is_char_device() && meta.rdev() == 0)
}

/// Directories of one layer that say that nothing below them shows.
fn opaque(layer: OwnedFd) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut pending = vec![(PathBuf::new(), layer)];
    while let Some((path, fd)) = pending.pop() {
        for name in names(&fd) {
            let at = place(&fd, &name);
            if fs::symlink_metadata(&at).expect("there").is_dir() {
                if attribute(&at, "user.overlay.opaque").as_deref() == Some(b"y") {
                    found.insert(path.join(&name));
                }
                pending.push((path.join(&name), directory(&at)));
            }
        }
    }
    found
}

fn look(at: &Path, ids: &Ids) -> Seen {
    let meta = fs::symlink_metadata(at).expect("there");
    let kind = FileKind::of_mode(meta.mode());
    let content = if kind == FileKind::Device { meta.rdev().to_le_bytes().to_vec() } else { content(at, kind) };
    let mut attributes = attributes(at);
    attributes.retain(|key, _| {
        key.starts_with("user.overlay.overlay.")
            || key == "security.capability"
            || (key.starts_with("user.") && !key.starts_with("user.overlay."))
    });
    // A capability of the sandbox's root is one of root's.
    if let Some(value) = attributes.get_mut("security.capability")
        && value.len() == 24
        && ids.uid(u32::from_le_bytes([value[20], value[21], value[22], value[23]])) == 0
    {
        value.truncate(20);
        value[3] = 2;
    }
    Seen { kind, mode: meta.mode() & 0o7777, owner: (ids.uid(meta.uid()), ids.gid(meta.gid())), content, attributes }
}

fn content(at: &Path, kind: FileKind) -> Vec<u8> {
    match kind {
        FileKind::File => fs::read(at).expect("it can be read"),
        FileKind::Symlink => fs::read_link(at).expect("a link").into_os_string().as_bytes().to_vec(),
        _ => Vec::new(),
    }
}

/// All of a directory, as it is on the disk.
fn raw(root: &Path) -> BTreeMap<PathBuf, Raw> {
    let mut found = BTreeMap::from([(PathBuf::new(), on_disk(root))]);
    let mut pending = vec![(PathBuf::new(), directory(root))];
    while let Some((path, fd)) = pending.pop() {
        for name in names(&fd) {
            let at = place(&fd, &name);
            let entry = on_disk(&at);
            if entry.stat.0 & libc::S_IFMT == libc::S_IFDIR {
                pending.push((path.join(&name), directory(&at)));
            }
            found.insert(path.join(&name), entry);
        }
    }
    found
}

fn on_disk(at: &Path) -> Raw {
    let meta = fs::symlink_metadata(at).expect("there");
    Raw {
        stat: (meta.mode(), meta.ino(), meta.nlink(), meta.uid(), meta.gid(), meta.mtime_nsec()),
        content: content(at, FileKind::of_mode(meta.mode())),
        attributes: attributes(at),
    }
}

fn names(directory: &OwnedFd) -> Vec<OsString> {
    let entries = fs::read_dir(place(directory, OsStr::new("."))).expect("it can be listed");
    entries.map(|entry| entry.expect("an entry").file_name()).collect()
}

fn attributes(at: &Path) -> Attributes {
    let keys = sys::xattr::list(&path(at)).unwrap_or_default();
    let keys = keys.into_iter().filter_map(|key| key.into_string().ok());
    keys.filter_map(|key| Some((key.clone(), attribute(at, &key)?))).collect()
}

fn attribute(at: &Path, key: &str) -> Option<Vec<u8>> {
    sys::xattr::get(&path(at), &CString::new(key).expect("no NUL")).ok()
}

fn path(at: &Path) -> CString {
    CString::new(at.as_os_str().as_bytes()).expect("no NUL")
}
