//! Owns: going through the writable layer, and what each of its entries means beside the layers below.
//! Must not: write, or follow a link.
//! Start at: [`walk`].

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::FileStat;

use super::directory::{Directory, Opacity};
use super::{Change, ChangeKind, FileKind, Ids, Lower, xattrs};
use crate::dirfd::DirFd;

/// What an entry of the writable layer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A mark that something is not there, of something that is not below either.
    Nothing,
    /// Something of this kind and mode is below and no longer there.
    Deleted(FileKind, u32, u64),
    Added,
    /// There below, and the same.
    Same,
    Metadata,
    Content,
    /// There below, and nothing of it shows any more.
    Replaced,
}

/// One entry of the writable layer.
pub(super) struct Entry<'a> {
    pub directory: &'a Directory,
    pub name: &'a OsStr,
    /// Relative to the root.
    pub path: &'a Path,
    pub stat: &'a FileStat,
    pub verdict: Verdict,
    /// Of a directory: nothing below it shows.
    pub opaque: bool,
    /// Here or below it is one of several names of a file.
    pub linked: bool,
}

pub(super) trait Visitor {
    /// The entries of this directory come next. Each directory was an entry before, but for the root.
    fn enter(&mut self, path: &Path) -> nix::Result<()>;
    fn visit(&mut self, entry: &Entry<'_>) -> nix::Result<()>;
}

/// Go through all of the writable layer, each directory before what is in it.
pub(super) fn walk(upper: &DirFd, lower: &[Lower], ids: &Ids, visitor: &mut impl Visitor) -> nix::Result<()> {
    let mut unlocked = Vec::new();
    let walked = walk_unlocking(upper, lower, ids, visitor, &mut unlocked);
    // The innermost first: the others lead to it.
    for (path, mode) in unlocked.into_iter().rev() {
        let (above, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
        if let Some(directory) = Directory::open(upper, above)? {
            directory.fd().set_mode(name, mode)?;
        }
    }
    walked
}

fn walk_unlocking(
    upper: &DirFd,
    lower: &[Lower],
    ids: &Ids,
    visitor: &mut impl Visitor,
    unlocked: &mut Vec<(PathBuf, u32)>,
) -> nix::Result<()> {
    let mut pending: Vec<(PathBuf, Vec<usize>)> = vec![(PathBuf::new(), (0..lower.len()).collect())];
    while let Some((path, merged)) = pending.pop() {
        // Gone meanwhile: a root that is still in use changes.
        let Some(directory) = Directory::open(upper, &path)? else { continue };
        visitor.enter(&path)?;
        let mut below = Vec::with_capacity(merged.len());
        for index in merged {
            if let Some(layer) = lower.get(index)
                && let Some(directory) = Directory::open(&layer.root, &path)?
            {
                below.push((index, directory, &layer.ids));
            }
        }
        for name in directory.names()? {
            let Some(stat) = directory.stat(&name)? else { continue };
            let found = Below::find(&below, &name)?;
            let kind = FileKind::of_mode(stat.st_mode);
            let whiteout = directory.is_whiteout(&name, &stat)?;
            let opaque = kind == FileKind::Directory && !whiteout && directory.opacity(&name)? == Opacity::Opaque;
            let here = Place { directory: &directory, name: &name, stat, ids };
            let verdict = match &found {
                None if whiteout => Verdict::Nothing,
                None => Verdict::Added,
                Some(below) if whiteout => below.deleted(),
                Some(below) if opaque || kind != FileKind::of_mode(below.place.stat.st_mode) => Verdict::Replaced,
                Some(below) => here.compare(&below.place)?,
            };
            let path = path.join(&name);
            let linked = stat.st_nlink > 1 || found.as_ref().is_some_and(|below| below.place.stat.st_nlink > 1);
            visitor.visit(&Entry {
                directory: &directory,
                name: &name,
                path: &path,
                stat: &stat,
                verdict,
                opaque,
                linked,
            })?;
            if kind == FileKind::Directory && !whiteout {
                if directory.unlock(&name, &stat)? {
                    unlocked.push((path.clone(), stat.st_mode));
                }
                let merged = found.filter(|_| !matches!(verdict, Verdict::Replaced)).map(|below| below.merged);
                pending.push((path, merged.unwrap_or_default()));
            }
        }
    }
    Ok(())
}

/// An entry somewhere.
struct Place<'a> {
    directory: &'a Directory,
    name: &'a OsStr,
    stat: FileStat,
    ids: &'a Ids,
}

/// What the layers below show under a name.
struct Below<'a> {
    place: Place<'a>,
    /// Of a directory: the layers that have a part of it.
    merged: Vec<usize>,
}

impl<'a> Below<'a> {
    fn find(layers: &'a [(usize, Directory, &'a Ids)], name: &'a OsStr) -> nix::Result<Option<Self>> {
        let mut found: Option<Self> = None;
        for (index, directory, ids) in layers {
            let Some(stat) = directory.stat(name)? else { continue };
            if directory.is_whiteout(name, &stat)? {
                break;
            }
            let is_directory = FileKind::of_mode(stat.st_mode) == FileKind::Directory;
            match &mut found {
                None => found = Some(Self { place: Place { directory, name, stat, ids }, merged: vec![*index] }),
                Some(found) if is_directory => found.merged.push(*index),
                Some(_) => break,
            }
            if !is_directory || directory.opacity(name)? == Opacity::Opaque {
                break;
            }
        }
        Ok(found)
    }

    fn deleted(&self) -> Verdict {
        let (kind, mode, size) = shown(&self.place.stat);
        Verdict::Deleted(kind, mode, size)
    }
}

impl Place<'_> {
    /// Two entries of one kind. Times are not compared: they differ after every copy.
    fn compare(&self, below: &Place<'_>) -> nix::Result<Verdict> {
        let content = match FileKind::of_mode(self.stat.st_mode) {
            FileKind::File => self.same_content(below)?,
            FileKind::Symlink => self.directory.link(self.name)? == below.directory.link(below.name)?,
            FileKind::Device => self.stat.st_rdev == below.stat.st_rdev,
            FileKind::Directory | FileKind::Fifo | FileKind::Socket => true,
        };
        if !content {
            return Ok(Verdict::Content);
        }
        let same = self.metadata() == below.metadata() && self.xattrs()? == below.xattrs()?;
        Ok(if same { Verdict::Same } else { Verdict::Metadata })
    }

    fn metadata(&self) -> (u32, u32, u32) {
        (self.stat.st_mode & 0o7777, self.ids.uid(self.stat.st_uid), self.ids.gid(self.stat.st_gid))
    }

    fn xattrs(&self) -> nix::Result<BTreeMap<CString, Vec<u8>>> {
        xattrs::of(self.directory, self.name, self.ids)
    }

    fn same_content(&self, below: &Place<'_>) -> nix::Result<bool> {
        if self.stat.st_size != below.stat.st_size {
            return Ok(false);
        }
        let mut files = [self, below].map(|place| place.directory.file(place.name, &place.stat));
        let [ours, theirs] = &mut files;
        let (ours, theirs) = match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            // What can't be read can't be shown to be the same.
            _ => return Ok(false),
        };
        let room = usize::try_from(self.stat.st_size).map_or(64 << 10, |size| size.clamp(1, 64 << 10));
        let mut buffers = (vec![0u8; room], vec![0u8; room]);
        loop {
            let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
            let got = ours.read(&mut buffers.0).map_err(errno)?;
            let (Some(a), Some(b)) = (buffers.0.get(..got), buffers.1.get_mut(..got)) else { return Ok(false) };
            if got == 0 {
                return Ok(true);
            }
            match theirs.read_exact(b) {
                Ok(()) if a == b => {}
                _ => return Ok(false),
            }
        }
    }
}

/// Kind, mode and size as they are told.
fn shown(stat: &FileStat) -> (FileKind, u32, u64) {
    let kind = FileKind::of_mode(stat.st_mode);
    let sized = matches!(kind, FileKind::File | FileKind::Symlink);
    (kind, stat.st_mode & 0o7777, if sized { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 })
}

/// More changes than this are not listed: memory is bounded.
const MOST: usize = 1 << 20;

/// Collects what is told.
struct Listing(Vec<Change>);

impl Visitor for Listing {
    fn enter(&mut self, _: &Path) -> nix::Result<()> {
        Ok(())
    }

    fn visit(&mut self, entry: &Entry<'_>) -> nix::Result<()> {
        if self.0.len() >= MOST {
            return Err(Errno::E2BIG);
        }
        let (kind, mode, size) = shown(entry.stat);
        let change = Change {
            path: Path::new("/").join(entry.path),
            change: ChangeKind::Modified,
            kind,
            size,
            mode,
            metadata_only: entry.verdict == Verdict::Metadata,
            replaced: entry.verdict == Verdict::Replaced,
        };
        self.0.push(match entry.verdict {
            Verdict::Nothing | Verdict::Same => return Ok(()),
            Verdict::Added => Change { change: ChangeKind::Added, ..change },
            Verdict::Deleted(kind, mode, size) => Change { change: ChangeKind::Deleted, kind, mode, size, ..change },
            Verdict::Metadata | Verdict::Content | Verdict::Replaced => change,
        });
        Ok(())
    }
}

/// Every change, sorted by path, bytewise. The root directory itself is not listed.
pub(crate) fn list(upper: &DirFd, lower: &[Lower], ids: &Ids) -> nix::Result<Vec<Change>> {
    let mut listing = Listing(Vec::new());
    walk(upper, lower, ids, &mut listing)?;
    listing.0.sort_unstable_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    Ok(listing.0)
}
