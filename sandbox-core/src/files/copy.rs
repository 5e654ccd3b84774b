//! Owns: copying trees between the host and a root.
//! Must not: follow a link of either side, recurse on the stack, or copy what is neither file, directory nor link.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat};
use nix::unistd::symlinkat;

use crate::changes::FileKind;
use crate::dirfd::DirFd;

use super::reach::{Item, Made, Reach};

/// How many files are open at a time.
const OPEN: usize = 32;

/// From one stream to another, at most `most` bytes: one more is EFBIG.
pub(super) fn pour(from: &mut impl Read, to: &mut impl Write, most: u64) -> nix::Result<u64> {
    let copied = std::io::copy(&mut from.take(most), to).map_err(|error| errno(&error))?;
    if copied == most {
        let mut one = [0];
        match from.read(&mut one) {
            Ok(0) => {}
            Ok(_) => return Err(Errno::EFBIG),
            Err(error) => return Err(errno(&error)),
        }
    }
    to.flush().map_err(|error| errno(&error))?;
    Ok(copied)
}

pub(super) fn inward(reach: &Reach, from: &Path, to: &Path, most: u64) -> nix::Result<u64> {
    reach.parents(to)?;
    let mut copied = 0;
    let top = fs::symlink_metadata(from).map_err(|error| errno(&error))?;
    let mut pending = vec![(from.to_owned(), to.to_owned())];
    if top.is_dir() {
        match reach.open(to, OFlag::O_PATH) {
            Err(Errno::ENOENT) => {}
            Ok(_) => return Err(Errno::EEXIST),
            Err(errno) => return Err(errno),
        }
    }
    let fresh = top.is_dir();
    while let Some((source, target)) = pending.pop() {
        let meta = fs::symlink_metadata(&source).map_err(|error| errno(&error))?;
        if !meta.is_dir() {
            copied += files_in(reach, &[(source, target, meta)], fresh, most - copied)?;
            continue;
        }
        let item = Item { path: target.clone(), made: Made::Directory { mode: meta.mode() & 0o777 | 0o700 } };
        reach.make(&[item])?;
        let mut files = Vec::new();
        for entry in fs::read_dir(&source).map_err(|error| errno(&error))? {
            let entry = entry.map_err(|error| errno(&error))?;
            let meta = entry.metadata().map_err(|error| errno(&error))?;
            let place = (entry.path(), target.join(entry.file_name()));
            if meta.is_dir() { pending.push(place) } else { files.push((place.0, place.1, meta)) }
        }
        for batch in files.chunks(OPEN) {
            copied += files_in(reach, batch, fresh, most - copied)?;
        }
    }
    Ok(copied)
}

fn files_in(reach: &Reach, files: &[(PathBuf, PathBuf, fs::Metadata)], fresh: bool, most: u64) -> nix::Result<u64> {
    let mut items = Vec::new();
    let mut sources = Vec::new();
    for (source, target, meta) in files {
        let made = if meta.is_file() {
            Made::File { mode: meta.mode() & 0o777, fresh }
        } else if meta.is_symlink() {
            Made::Link { text: fs::read_link(source).map_err(|error| errno(&error))? }
        } else {
            continue;
        };
        items.push(Item { path: target.clone(), made });
        sources.push(source);
    }
    let mut copied = 0;
    for (made, source) in reach.make(&items)?.into_iter().zip(sources) {
        let Some(made) = made else { continue };
        let mut from = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(source)
            .map_err(|error| errno(&error))?;
        copied += pour(&mut from, &mut File::from(made), most - copied)?;
    }
    Ok(copied)
}

pub(super) fn outward(reach: &Reach, from: &Path, to: &Path, most: u64) -> nix::Result<u64> {
    let top = reach.open(from, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
    let stat = fstat(&top)?;
    match FileKind::of_mode(stat.st_mode) {
        FileKind::Directory => {}
        FileKind::File => {
            let mut target = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(to)
                .map_err(|error| errno(&error))?;
            return pour(&mut File::from(top), &mut target, most);
        }
        _ => return Err(Errno::EINVAL),
    }
    fs::create_dir(to).map_err(|error| errno(&error))?;
    let mut copied = 0;
    let mut modes = vec![(to.to_owned(), stat.st_mode)];
    let mut pending = vec![(PathBuf::new(), to.to_owned())];
    let top = DirFd::new(top, reach.deputy()?.as_ref())?;
    while let Some((path, target)) = pending.pop() {
        let source = top.descend(&path)?;
        for name in source.names()? {
            let stat = source.stat(&name)?;
            let place = target.join(&name);
            match FileKind::of_mode(stat.st_mode) {
                FileKind::Directory => {
                    fs::create_dir(&place).map_err(|error| errno(&error))?;
                    modes.push((place.clone(), stat.st_mode));
                    pending.push((path.join(&name), place));
                }
                FileKind::File => {
                    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
                    let mut from = File::from(source.open(&name, flags, Mode::empty())?);
                    let mut file = fs::OpenOptions::new()
                        .write(true)
                        .create_new(true)
                        .mode(0o600)
                        .open(&place)
                        .map_err(|error| errno(&error))?;
                    copied += pour(&mut from, &mut file, most - copied)?;
                    let mode = fs::Permissions::from_mode(stat.st_mode & 0o777);
                    file.set_permissions(mode).map_err(|error| errno(&error))?;
                }
                FileKind::Symlink => {
                    let text = source.link(&name)?;
                    symlinkat(text.as_os_str(), crate::sys::cwd(), &place)?;
                }
                FileKind::Fifo | FileKind::Socket | FileKind::Device => {}
            }
        }
    }
    // The innermost first: a directory may be closed to its owner.
    for (path, mode) in modes.into_iter().rev() {
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o777)).map_err(|error| errno(&error))?;
    }
    Ok(copied)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
