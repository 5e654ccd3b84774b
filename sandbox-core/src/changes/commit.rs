//! Owns: writing the changes as a layer: a directory that an overlay can have below another.
//! Must not: leave half of one behind, or change what it reads.
//! Start at: [`commit`].

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, fstat, futimens, mkdirat, mknodat,
    utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, Whence, fchown, fchownat, linkat, lseek, symlinkat};

use super::directory::Directory;
use super::walk::{Entry, Verdict, Visitor, walk};
use super::{FileKind, Ids, Lower, xattrs};

/// Write what differs from `lower` to the directory `target`, which is not there yet or empty. With the owners of the
/// inside where this process may give files away.
pub(crate) fn commit(upper: BorrowedFd<'_>, lower: &[Lower], ids: &Ids, target: &Path) -> nix::Result<()> {
    if std::fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Errno::ENOTEMPTY);
    }
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().ok_or(Errno::EINVAL)?);
    name.push(format!(".partial-{}", std::process::id()));
    let partial = target.with_file_name(name);
    nix::unistd::mkdir(&partial, Mode::S_IRWXU)?;
    let written = write(upper, lower, ids, &partial)
        .and_then(|()| std::fs::rename(&partial, target).map_err(|error| errno(&error)));
    if written.is_err() {
        // The first error is the one to tell.
        std::fs::remove_dir_all(&partial).unwrap_or_default();
    }
    written
}

fn write(upper: BorrowedFd<'_>, lower: &[Lower], ids: &Ids, partial: &Path) -> nix::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let root = open(partial, flags, Mode::empty())?;
    let mut writer = Writer {
        ids,
        gives: nix::unistd::geteuid().is_root(),
        at: None,
        links: HashMap::new(),
        directories: vec![(PathBuf::new(), fstat(upper)?)],
        root,
    };
    let top = |root| Directory::open(root, Path::new("")).and_then(|top| top.ok_or(Errno::ESTALE));
    let (from, to) = (top(upper)?, top(writer.root.as_fd())?);
    for (key, value) in xattrs::of(&from, OsStr::new("."), ids)? {
        to.set_xattr(OsStr::new("."), &key, &value)?;
    }
    walk(upper, lower, ids, &mut writer)?;
    writer.finish()
}

struct Writer<'a> {
    ids: &'a Ids,
    /// Whether files may be given to others.
    gives: bool,
    root: OwnedFd,
    /// Where the entries of the directory that is being read go.
    at: Option<Directory>,
    /// Where a file with several names was written first.
    links: HashMap<(u64, u64), PathBuf>,
    /// Their modes and times are set when nothing is written to them any more.
    directories: Vec<(PathBuf, FileStat)>,
}

impl Visitor for Writer<'_> {
    fn enter(&mut self, path: &Path) -> nix::Result<()> {
        self.at = Directory::open(self.root.as_fd(), path)?;
        if self.at.is_some() { Ok(()) } else { Err(Errno::ESTALE) }
    }

    fn visit(&mut self, entry: &Entry<'_>) -> nix::Result<()> {
        let Some(at) = &self.at else { return Err(Errno::ESTALE) };
        let (fd, name, stat) = (at.as_fd(), entry.name, entry.stat);
        let kind = FileKind::of_mode(stat.st_mode);
        match entry.verdict {
            Verdict::Nothing => return Ok(()),
            Verdict::Deleted(..) => return mknodat(fd, name, SFlag::S_IFCHR, Mode::empty(), 0),
            // A second name of the same file may be new, or no longer one.
            Verdict::Same if kind != FileKind::Directory && !entry.linked => return Ok(()),
            _ => {}
        }
        let inode = (stat.st_dev, stat.st_ino);
        match kind {
            FileKind::Directory => {
                mkdirat(fd, name, Mode::S_IRWXU)?;
                if entry.opaque || entry.verdict == Verdict::Replaced {
                    at.set_opaque(name)?;
                }
                copy_xattrs(entry, at, self.ids)?;
                self.directories.push((entry.path.to_owned(), *stat));
                return Ok(());
            }
            _ if stat.st_nlink > 1 && self.links.contains_key(&inode) => {
                let first = &self.links[&inode];
                // By its directory: the whole path may be longer than a call takes.
                let above = Directory::open(self.root.as_fd(), first.parent().unwrap_or(Path::new("")))?;
                let (above, old) = (above.ok_or(Errno::ESTALE)?, first.file_name().ok_or(Errno::EINVAL)?);
                return linkat(above.as_fd(), old, fd, name, LinkatFlags::empty());
            }
            FileKind::File => {
                let mut from = entry.directory.file(name, stat)?;
                let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let mut to = File::from(openat(fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
                copy_sparse(&mut from, &mut to, u64::try_from(stat.st_size).unwrap_or(0))?;
            }
            FileKind::Symlink => symlinkat(entry.directory.link(name)?.as_os_str(), fd, name)?,
            FileKind::Fifo | FileKind::Socket | FileKind::Device => {
                let kind = SFlag::from_bits_truncate(stat.st_mode & libc::S_IFMT);
                mknodat(fd, name, kind, Mode::S_IRUSR | Mode::S_IWUSR, stat.st_rdev)?;
            }
        }
        self.dress(fd, name, stat, || copy_xattrs(entry, at, self.ids))?;
        if stat.st_nlink > 1 {
            self.links.insert(inode, entry.path.to_owned());
        }
        Ok(())
    }
}

impl Writer<'_> {
    /// Owner, then what a change of the owner takes away, then the mode, then times.
    fn dress(
        &self,
        at: BorrowedFd<'_>,
        name: &OsStr,
        stat: &FileStat,
        attributes: impl FnOnce() -> nix::Result<()>,
    ) -> nix::Result<()> {
        if self.gives {
            let (uid, gid) = self.owner(stat);
            fchownat(at, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        attributes()?;
        if stat.st_mode & libc::S_IFMT != libc::S_IFLNK {
            let mode = Mode::from_bits_truncate(stat.st_mode & 0o7777);
            fchmodat(at, name, mode, FchmodatFlags::FollowSymlink)?;
        }
        let (accessed, modified) = times(stat);
        utimensat(at, name, &accessed, &modified, UtimensatFlags::NoFollowSymlink)
    }

    fn owner(&self, stat: &FileStat) -> (Uid, Gid) {
        (Uid::from_raw(self.ids.uid(stat.st_uid)), Gid::from_raw(self.ids.gid(stat.st_gid)))
    }

    /// The innermost directories first: what is done in one changes its times.
    fn finish(&self) -> nix::Result<()> {
        for (path, stat) in self.directories.iter().rev() {
            let directory = Directory::open(self.root.as_fd(), path)?.ok_or(Errno::ESTALE)?;
            let fd = directory.as_fd();
            if self.gives {
                let (uid, gid) = self.owner(stat);
                fchown(fd, Some(uid), Some(gid))?;
            }
            fchmod(fd, Mode::from_bits_truncate(stat.st_mode & 0o7777))?;
            let (accessed, modified) = times(stat);
            futimens(fd, &accessed, &modified)?;
        }
        Ok(())
    }
}

fn times(stat: &FileStat) -> (TimeSpec, TimeSpec) {
    (TimeSpec::new(stat.st_atime, stat.st_atime_nsec), TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec))
}

fn copy_xattrs(entry: &Entry<'_>, to: &Directory, ids: &Ids) -> nix::Result<()> {
    for (key, value) in xattrs::of(entry.directory, entry.name, ids)? {
        to.set_xattr(entry.name, &key, &value)?;
    }
    Ok(())
}

/// Holes stay holes.
fn copy_sparse(from: &mut File, to: &mut File, size: u64) -> nix::Result<()> {
    let mut at = 0;
    while at < size {
        let offset = |at: u64| i64::try_from(at).map_err(|_| Errno::EOVERFLOW);
        let data = match lseek(from.as_fd(), offset(at)?, Whence::SeekData) {
            Ok(data) => data.unsigned_abs(),
            // Nothing but a hole is left.
            Err(Errno::ENXIO) => break,
            Err(errno) => return Err(errno),
        };
        let hole = lseek(from.as_fd(), offset(data)?, Whence::SeekHole)?.unsigned_abs();
        from.seek(SeekFrom::Start(data)).and_then(|_| to.seek(SeekFrom::Start(data))).map_err(|error| errno(&error))?;
        let copied = std::io::copy(&mut from.take(hole.saturating_sub(data)), to).map_err(|error| errno(&error))?;
        if copied == 0 {
            break;
        }
        at = hole;
    }
    to.set_len(size).map_err(|error| errno(&error))
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::sys;

    fn directory(path: &Path) -> OwnedFd {
        open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).expect("a directory")
    }

    #[test]
    fn the_root_itself_keeps_its_attributes() {
        let scratch = tempfile::tempdir().expect("a directory");
        let [upper, layer] = ["upper", "layer"].map(|name| scratch.path().join(name));
        std::fs::create_dir(&upper).expect("a directory");
        let path = |path: &Path| std::ffi::CString::new(path.as_os_str().as_bytes()).expect("no NUL");
        for (key, value) in [(c"user.of-root", b"1"), (c"user.overlay.impure", b"y")] {
            sys::xattr::set(&path(&upper), key, value).expect("attributes");
        }
        commit(directory(&upper).as_fd(), &[], &Ids::Same, &layer).expect("commits");
        assert_eq!(sys::xattr::get(&path(&layer), c"user.of-root").expect("there"), b"1");
        assert_eq!(sys::xattr::get(&path(&layer), c"user.overlay.impure"), Err(Errno::ENODATA), "overlayfs' own note");
    }

    #[test]
    fn names_of_one_file_deeper_than_a_path_can_say() {
        let scratch = tempfile::tempdir().expect("a directory");
        let [upper, layer] = ["upper", "layer"].map(|name| scratch.path().join(name));
        std::fs::create_dir(&upper).expect("a directory");
        let name = "d".repeat(250);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let down = |fd: OwnedFd| openat(&fd, name.as_str(), flags, Mode::empty()).expect("one level");
        let deepest = (0..20).fold(directory(&upper), |fd, _| {
            mkdirat(&fd, name.as_str(), Mode::S_IRWXU).expect("one more level");
            down(fd)
        });
        openat(&deepest, "one", OFlag::O_CREAT | OFlag::O_WRONLY, Mode::S_IRWXU).expect("a file");
        linkat(&deepest, "one", &deepest, "two", LinkatFlags::empty()).expect("another name");
        commit(directory(&upper).as_fd(), &[], &Ids::Same, &layer).expect("commits");
        let deepest = (0..20).fold(directory(&layer), |fd, _| down(fd));
        let inode = |name| fs_stat(&deepest, name);
        assert_eq!(inode("one"), inode("two"));
    }

    fn fs_stat(at: &OwnedFd, name: &str) -> u64 {
        let file = openat(at, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).expect("a file");
        File::from(file).metadata().expect("its status").ino()
    }
}
