//! Owns: writing the changes as a layer: a directory that an overlay can have below another.
//! Must not: leave half of one behind, or change what it reads.
//! Start at: [`commit`].

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, SFlag};
use nix::unistd::{Whence, lseek};

use super::directory::Directory;
use super::walk::{Entry, Verdict, Visitor, walk};
use super::{FileKind, Ids, Lower, xattrs};
use crate::dirfd::{Deputy, DirFd};

/// A directory itself.
const ITSELF: &str = ".";

/// Write what differs from `lower` to the directory `target`, which is not there yet or empty. With the owners of the
/// inside where this process may give files away, or has a deputy that may: then as the deputy sees them.
pub(crate) fn commit(
    upper: &DirFd,
    lower: &[Lower],
    ids: &Ids,
    target: &Path,
    deputy: Option<&Arc<dyn Deputy>>,
) -> nix::Result<()> {
    if std::fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Errno::ENOTEMPTY);
    }
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().ok_or(Errno::EINVAL)?);
    name.push(format!(".partial-{}", std::process::id()));
    let partial = target.with_file_name(name);
    nix::unistd::mkdir(&partial, Mode::S_IRWXU)?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let root = open(&partial, flags, Mode::empty()).and_then(|root| DirFd::new(root, deputy));
    let written = root.and_then(|root| {
        let written = write(upper, lower, ids, &root, deputy.is_some()).and_then(|writer| {
            let renamed = || std::fs::rename(&partial, target).map_err(|error| errno(&error));
            if deputy.is_some() {
                // What belongs to somebody else can't be renamed everywhere (/tmp): it is given away at the very end.
                renamed()?;
                return writer.dress_directory(&root, &writer.top);
            }
            writer.dress_directory(&root, &writer.top)?;
            renamed()
        });
        if written.is_err() {
            // Perhaps only the deputy may. The first error is the one to tell.
            root.clear().unwrap_or_default();
        }
        written
    });
    if written.is_err() {
        std::fs::remove_dir_all(&partial).unwrap_or_default();
    }
    written
}

/// All but owner, mode and times of the root itself.
fn write<'a>(upper: &DirFd, lower: &[Lower], ids: &'a Ids, root: &'a DirFd, deputy: bool) -> nix::Result<Writer<'a>> {
    let mut writer = Writer {
        ids,
        gives: deputy || nix::unistd::geteuid().is_root(),
        root,
        at: None,
        links: HashMap::new(),
        top: upper.stat(OsStr::new(ITSELF))?,
        directories: Vec::new(),
    };
    let top = |root| Directory::open(root, Path::new("")).and_then(|top| top.ok_or(Errno::ESTALE));
    let (from, to) = (top(upper)?, top(root)?);
    for (key, value) in xattrs::of(&from, OsStr::new(ITSELF), ids)? {
        to.set_xattr(OsStr::new(ITSELF), &key, &value)?;
    }
    walk(upper, lower, ids, &mut writer)?;
    // The innermost directories first: what is done in one changes its times.
    for (path, stat) in writer.directories.iter().rev() {
        let directory = Directory::open(root, path)?.ok_or(Errno::ESTALE)?;
        writer.dress_directory(directory.fd(), stat)?;
    }
    Ok(writer)
}

struct Writer<'a> {
    ids: &'a Ids,
    /// Whether files may be given to others.
    gives: bool,
    root: &'a DirFd,
    /// Where the entries of the directory that is being read go.
    at: Option<Directory>,
    /// Where a file with several names was written first.
    links: HashMap<(u64, u64), PathBuf>,
    /// The root itself; of this and of those below it mode and times are set when nothing is written to them any more.
    top: FileStat,
    directories: Vec<(PathBuf, FileStat)>,
}

impl Visitor for Writer<'_> {
    fn enter(&mut self, path: &Path) -> nix::Result<()> {
        self.at = Directory::open(self.root, path)?;
        if self.at.is_some() { Ok(()) } else { Err(Errno::ESTALE) }
    }

    fn visit(&mut self, entry: &Entry<'_>) -> nix::Result<()> {
        let Some(at) = &self.at else { return Err(Errno::ESTALE) };
        let (fd, name, stat) = (at.fd(), entry.name, entry.stat);
        let kind = FileKind::of_mode(stat.st_mode);
        match entry.verdict {
            Verdict::Nothing => return Ok(()),
            Verdict::Deleted(..) => return fd.make_node(name, SFlag::S_IFCHR, 0),
            // A second name of the same file may be new, or no longer one.
            Verdict::Same if kind != FileKind::Directory && !entry.linked => return Ok(()),
            _ => {}
        }
        let inode = (stat.st_dev, stat.st_ino);
        match kind {
            FileKind::Directory => {
                fd.make_directory(name)?;
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
                let above = Directory::open(self.root, first.parent().unwrap_or(Path::new("")))?;
                let (above, old) = (above.ok_or(Errno::ESTALE)?, first.file_name().ok_or(Errno::EINVAL)?);
                return fd.make_name(name, above.fd(), old);
            }
            FileKind::File => {
                let mut from = entry.directory.file(name, stat)?;
                let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
                let mut to = File::from(fd.open(name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
                copy_sparse(&mut from, &mut to, u64::try_from(stat.st_size).unwrap_or(0))?;
            }
            FileKind::Symlink => fd.make_link(name, &entry.directory.link(name)?)?,
            FileKind::Fifo | FileKind::Socket | FileKind::Device => {
                let kind = SFlag::from_bits_truncate(stat.st_mode & libc::S_IFMT);
                fd.make_node(name, kind, stat.st_rdev)?;
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
        at: &DirFd,
        name: &OsStr,
        stat: &FileStat,
        attributes: impl FnOnce() -> nix::Result<()>,
    ) -> nix::Result<()> {
        self.own(at, name, stat)?;
        attributes()?;
        if stat.st_mode & libc::S_IFMT != libc::S_IFLNK {
            at.set_mode(name, stat.st_mode)?;
        }
        at.set_times(name, stat)
    }

    /// A directory to which nothing is written any more. The mode comes last: it may close the directory.
    fn dress_directory(&self, at: &DirFd, stat: &FileStat) -> nix::Result<()> {
        self.own(at, OsStr::new(ITSELF), stat)?;
        at.set_times(OsStr::new(ITSELF), stat)?;
        at.set_mode(OsStr::new(ITSELF), stat.st_mode)
    }

    fn own(&self, at: &DirFd, name: &OsStr, stat: &FileStat) -> nix::Result<()> {
        if !self.gives {
            return Ok(());
        }
        at.set_owner(name, self.ids.uid(stat.st_uid), self.ids.gid(stat.st_gid))
    }
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
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;

    use nix::fcntl::openat;
    use nix::sys::stat::mkdirat;
    use nix::unistd::{LinkatFlags, linkat};

    use super::*;
    use crate::sys;

    fn upper_of(path: &Path) -> DirFd {
        DirFd::Here(directory(path))
    }

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
        commit(&upper_of(&upper), &[], &Ids::Same, &layer, None).expect("commits");
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
        commit(&upper_of(&upper), &[], &Ids::Same, &layer, None).expect("commits");
        let deepest = (0..20).fold(directory(&layer), |fd, _| down(fd));
        let inode = |name| fs_stat(&deepest, name);
        assert_eq!(inode("one"), inode("two"));
    }

    fn fs_stat(at: &OwnedFd, name: &str) -> u64 {
        let file = openat(at, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).expect("a file");
        File::from(file).metadata().expect("its status").ino()
    }
}
