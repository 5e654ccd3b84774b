//! Owns: files of a sandbox's root, read and written by the host: bytes, streams, trees.
//! Must not: follow a link out of the root, hold the whole of a stream in memory, or know how ids are crossed (reach.rs).
//! Start at: [`Files`].

mod copy;
mod reach;

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, fstat};

use crate::changes::{FileKind, Ids};
use crate::config::IntoBytes;
use crate::launch::Live;
use crate::{Error, ErrorKind, Result, Stage};

pub(crate) use reach::Reach;
use reach::{Item, Made};

/// The files of a sandbox's root, as the payload sees them. Paths are guest paths; symbolic links lead where they lead
/// inside, never out of it. What is written belongs to the payload's user.
///
/// ```no_run
/// use pinfold::{Overlay, Sandbox};
///
/// let session = Sandbox::builder().overlay(Overlay::memory("64MiB")).build()?.open()?;
/// let files = session.files()?;
/// files.write("/job/in.txt", "3 1 2\n")?;
/// session.command("sort").args(["-o", "/job/out.txt", "/job/in.txt"]).output()?;
/// let sorted = files.read("/job/out.txt")?;
/// # Ok::<(), pinfold::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Files {
    reach: Arc<Reach>,
    most: u64,
    problem: Option<String>,
    /// Whose files these are, as long as that is open. None: they outlive it.
    session: Option<Arc<Live>>,
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileStatus {
    /// What it is.
    pub kind: FileKind,
    /// Bytes of a regular file, or of a link's text; else 0.
    pub size: u64,
    /// The permission bits, with set-user-ID and the like.
    pub mode: u32,
    /// The owner, as the payload sees it.
    pub uid: u32,
    /// The group, as the payload sees it.
    pub gid: u32,
    /// When its content was changed last.
    pub modified: SystemTime,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileEntry {
    /// Its name.
    pub name: OsString,
    /// What it is; of a link, the link itself.
    pub status: FileStatus,
}

impl Files {
    pub(crate) fn new(reach: Arc<Reach>) -> Self {
        Self { reach, most: u64::MAX, problem: None, session: None }
    }

    /// Those of a session, which end with it.
    pub(crate) fn within(session: Arc<Live>, reach: Arc<Reach>) -> Self {
        Self { session: Some(session), ..Self::new(reach) }
    }

    /// No single call reads, writes or copies more than `bytes`: the next byte is an error (EFBIG). Default: no limit.
    #[must_use]
    pub fn limit(mut self, bytes: impl IntoBytes) -> Self {
        match bytes.into_bytes().get() {
            Ok(bytes) => self.most = bytes,
            Err(error) => self.problem = Some(error.to_string()),
        }
        self
    }

    /// All of a regular file.
    ///
    /// # Errors
    /// Kind `closed` after the end of the session whose files these are. Kind `files`, as of every method here, with the kernel's errno and the path: it is not there, is no regular file
    /// (EINVAL), is larger than the [`limit`](Self::limit) (EFBIG).
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_to(path, &mut bytes)?;
        Ok(bytes)
    }

    /// A regular file, as a stream. Returns how many bytes it had.
    ///
    /// # Errors
    /// As [`read`](Self::read), and what `to` says.
    pub fn read_to(&self, path: impl AsRef<Path>, to: &mut impl Write) -> Result<u64> {
        let path = path.as_ref();
        let failed = self.failed("read", path);
        let mut from = self.open(path, &failed)?;
        self.pour(&mut from, to).map_err(&failed)
    }

    /// Opens a regular file for reading. It stays readable after the sandbox's end.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn reader(&self, path: impl AsRef<Path>) -> Result<File> {
        let path = path.as_ref();
        self.open(path, &self.failed("open", path))
    }

    /// Writes a file, new or over what it had, with the missing directories above it.
    ///
    /// # Errors
    /// As [`read`](Self::read); the root or the mount is read-only (EROFS), or full (ENOSPC).
    pub fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.write_from(path, &mut bytes.as_ref()).map(drop)
    }

    /// Writes a file from a stream. Returns how many bytes it has.
    ///
    /// # Errors
    /// As [`write`](Self::write), and what `from` says.
    pub fn write_from(&self, path: impl AsRef<Path>, from: &mut impl Read) -> Result<u64> {
        let path = path.as_ref();
        let failed = self.failed("write", path);
        let mut file = self.create(path, &failed)?;
        self.pour(from, &mut file).map_err(&failed)
    }

    /// Opens a file for writing, new or emptied, with the missing directories above it. The [`limit`](Self::limit) is not
    /// asked: how much is written is the caller's matter.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn writer(&self, path: impl AsRef<Path>) -> Result<File> {
        let path = path.as_ref();
        self.create(path, &self.failed("open", path))
    }

    /// What is in a directory, sorted by name.
    ///
    /// # Errors
    /// As [`read`](Self::read); it is no directory (ENOTDIR).
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Vec<FileEntry>> {
        let path = path.as_ref();
        let failed = self.failed("list", path);
        let guest = self.guest(path, &failed)?;
        self.entries(&guest).map_err(&failed)
    }

    fn entries(&self, guest: &Path) -> nix::Result<Vec<FileEntry>> {
        let directory = self.reach.directory(guest)?;
        let ids = if directory.is_here() { self.reach.ids() } else { Ids::Same };
        let mut entries = Vec::new();
        for name in directory.names()? {
            match directory.stat(&name) {
                Ok(stat) => entries.push(FileEntry { name, status: status(&stat, &ids) }),
                // Gone since.
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(entries)
    }

    /// What is at a path; of a symbolic link, what it leads to.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn stat(&self, path: impl AsRef<Path>) -> Result<FileStatus> {
        let path = path.as_ref();
        let failed = self.failed("stat", path);
        let guest = self.guest(path, &failed)?;
        let stat = self.reach.open(&guest, OFlag::O_PATH).and_then(fstat).map_err(&failed)?;
        Ok(status(&stat, &self.reach.ids()))
    }

    /// Makes a directory, with the missing ones above it. One that is there already is fine.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn mkdir(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = self.failed("make the directory", path);
        let guest = self.guest(path, &failed)?;
        self.reach
            .directories(&guest)
            .and_then(|()| self.reach.open(&guest, OFlag::O_PATH | OFlag::O_DIRECTORY))
            .map(drop)
            .map_err(&failed)
    }

    /// Removes a file, a link (not what it leads to), or a directory with all that is in it.
    ///
    /// # Errors
    /// As [`write`](Self::write); something in it is a mount (EBUSY).
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = self.failed("remove", path);
        let guest = self.guest(path, &failed)?;
        let (Some(above), Some(name)) = (guest.parent(), guest.file_name()) else { return Err(failed(Errno::EBUSY)) };
        self.reach.directory(above).and_then(|directory| directory.remove(name)).map_err(&failed)
    }

    /// Copies a file or a tree of the host's to `to`, which is new or, for a file, is written over; with the missing
    /// directories above it. Links stay links; owners become the payload's user; sockets, pipes and devices are left out.
    /// Returns how many bytes were copied.
    ///
    /// # Errors
    /// As [`write`](Self::write); `from` can't be read.
    pub fn copy_in(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<u64> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let failed = self.failed(&format!("copy {} to", from.display()), to);
        let guest = self.guest(to, &failed)?;
        copy::inward(&self.reach, from, &guest, self.most).map_err(&failed)
    }

    /// Copies a file or a tree to `to` on the host, which is new or, for a file, is written over. Nothing is followed out
    /// of the root; links stay links, so that whoever follows them later must know whose they are. Files belong to this
    /// process's user, without set-user-ID bits; sockets, pipes and devices are left out. Returns how many bytes were copied.
    ///
    /// # Errors
    /// As [`read`](Self::read); `to` can't be written, or is there already (EEXIST).
    pub fn copy_out(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<u64> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let failed = self.failed(&format!("copy to {}", to.display()), from);
        let guest = self.guest(from, &failed)?;
        copy::outward(&self.reach, &guest, to, self.most).map_err(&failed)
    }

    // -- inside -----------------------------------------------------------------------------------------------------------

    /// Every call begins here. Relative to the root, without `.` and `..`: where those would lead depends on links.
    fn guest(&self, path: &Path, failed: &impl Fn(Errno) -> Error) -> Result<PathBuf> {
        if let Some(session) = self.session.as_ref().filter(|session| session.is_closed()) {
            return Err(session.gone());
        }
        if let Some(problem) = &self.problem {
            return Err(failed(Errno::EINVAL).with_hint(format!("the limit {problem}")));
        }
        crate::spec::GuestPath::new(path)
            .map(|path| path.as_path().strip_prefix("/").unwrap_or(Path::new("")).to_owned())
            .map_err(|message| failed(Errno::EINVAL).with_hint(format!("the path {message}")))
    }

    fn open(&self, path: &Path, failed: &impl Fn(Errno) -> Error) -> Result<File> {
        let guest = self.guest(path, failed)?;
        // A pipe must not hold us up.
        let fd = self.reach.open(&guest, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).map_err(failed)?;
        match FileKind::of_mode(fstat(&fd).map_err(failed)?.st_mode) {
            FileKind::File => Ok(fd.into()),
            FileKind::Directory => Err(failed(Errno::EISDIR)),
            _ => Err(failed(Errno::EINVAL).with_hint("only regular files can be read")),
        }
    }

    fn create(&self, path: &Path, failed: &impl Fn(Errno) -> Error) -> Result<File> {
        let guest = self.guest(path, failed)?;
        let item = Item { path: guest.clone(), made: Made::File { mode: 0o644, fresh: false } };
        self.reach.parents(&guest).and_then(|()| self.one(item)).map_err(failed)
    }

    fn one(&self, item: Item) -> nix::Result<File> {
        let made = self.reach.make(&[item])?;
        let fd: OwnedFd = made.into_iter().flatten().next().ok_or(Errno::EIO)?;
        match FileKind::of_mode(fstat(&fd)?.st_mode) {
            FileKind::File => Ok(fd.into()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn pour(&self, from: &mut impl Read, to: &mut impl Write) -> nix::Result<u64> {
        copy::pour(from, to, self.most)
    }

    fn failed<'a>(&self, what: &str, path: &'a Path) -> impl Fn(Errno) -> Error + use<'a> {
        let what = format!("could not {what} {}", path.display());
        move |errno| {
            let error = Error::new(ErrorKind::Files, Stage::Supervise, &*what)
                .with_errno(errno as i32)
                .with_subject(path.display().to_string());
            match errno {
                Errno::EROFS => error.with_hint(
                    "the root is read-only: add an overlay (rootfs.overlay = \"memory\"), or use a path below /tmp",
                ),
                Errno::EXDEV | Errno::ELOOP => {
                    error.with_hint("a symbolic link there leads out of the root, or nowhere")
                }
                Errno::EFBIG => error.with_hint("it is larger than the limit that was set for this call"),
                Errno::ENOSPC => error.with_hint("give the overlay or tmpfs a larger `size`"),
                _ => error,
            }
        }
    }
}

/// As it is told. `ids`: how the owner becomes the one of the inside.
fn status(stat: &FileStat, ids: &Ids) -> FileStatus {
    let kind = FileKind::of_mode(stat.st_mode);
    let sized = matches!(kind, FileKind::File | FileKind::Symlink);
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    let since = Duration::new(stat.st_mtime.unsigned_abs(), nanoseconds);
    let modified = if stat.st_mtime < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(since)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(since)
    };
    FileStatus {
        kind,
        size: if sized { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 },
        mode: stat.st_mode & 0o7777,
        uid: ids.uid(stat.st_uid),
        gid: ids.gid(stat.st_gid),
        modified: modified.unwrap_or(SystemTime::UNIX_EPOCH),
    }
}
