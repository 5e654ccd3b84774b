//! Owns: the init program as something that can be executed: a sealed memfd, a private file, or an installed copy.
//! Must not: know what it is told.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::sys::{self, Program};
use crate::{Error, Result};

/// The program that build.rs made.
pub(crate) static INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pinfold-init"));

/// How init is executed.
#[derive(Debug, Clone)]
pub(crate) enum Image {
    /// Sealed, in memory, shared by all sandboxes of the process.
    Memory(&'static OwnedFd),
    /// A file without a name, because this host does not execute memfds.
    File(&'static OwnedFd),
    /// An installed copy.
    Installed(PathBuf),
}

/// MFD_EXEC of `<linux/memfd.h>`, since Linux 6.3: where `vm.memfd_noexec` is 1, a memfd is executable only if asked for.
const MFD_EXEC: u32 = 0x10;

static MEMORY: OnceLock<std::result::Result<OwnedFd, Errno>> = OnceLock::new();
static FILE: OnceLock<std::result::Result<OwnedFd, i32>> = OnceLock::new();

impl Image {
    /// The image for a sandbox: the installed copy that is named, else a memfd where the host runs one, else a file.
    pub fn choose(installed: Option<&Path>, memfd_noexec: Option<u8>) -> Result<Self> {
        if let Some(path) = installed {
            return Ok(Self::Installed(path.to_owned()));
        }
        if memfd_noexec.unwrap_or(0) < 2 {
            return match MEMORY.get_or_init(|| in_memory(memfd_noexec.is_some())) {
                Ok(fd) => Ok(Self::Memory(fd)),
                Err(errno) => Err(Error::launch("could not keep init in memory (memfd_create)", *errno as i32)),
            };
        }
        match FILE.get_or_init(in_file) {
            Ok(fd) => Ok(Self::File(fd)),
            Err(errno) => Err(Error::launch("could not write init to a private file", *errno).with_hint(
                "vm.memfd_noexec = 2 forbids memfds here, and no directory takes an executable file: install init and name it with init.path or PINFOLD_INIT",
            )),
        }
    }

    /// Start it, with its end of the control socket where it looks for it: its pid and a pidfd.
    pub fn start(&self, control: &OwnedFd) -> nix::Result<(i32, OwnedFd)> {
        let start = |program| sys::start(program, c"pinfold-init", control.as_fd(), crate::wire::CONTROL_FD);
        match self {
            Self::Memory(fd) | Self::File(fd) => start(Program::Fd(fd.as_fd())),
            Self::Installed(path) => {
                let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
                start(Program::Path(&path))
            }
        }
    }

    /// For the report.
    pub fn describe(&self) -> String {
        match self {
            Self::Memory(_) => "memfd".to_owned(),
            Self::File(_) => "private file".to_owned(),
            Self::Installed(path) => path.display().to_string(),
        }
    }
}

fn in_memory(knows_exec: bool) -> std::result::Result<OwnedFd, Errno> {
    let exec = if knows_exec { MFdFlags::from_bits_retain(MFD_EXEC) } else { MFdFlags::empty() };
    let fd = memfd_create(c"pinfold-init", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING | exec)?;
    write_all(&fd, INIT)?;
    seal(&fd)?;
    out_of_the_way(&fd)
}

/// The child of a spawn puts the control socket at 3 before it executes: the image must stand elsewhere.
fn out_of_the_way(fd: &OwnedFd) -> nix::Result<OwnedFd> {
    const ABOVE: i32 = 10;
    let moved = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(ABOVE))?;
    Ok(sys::adopt(moved))
}

/// All seals: nobody can change it any more, ourselves included.
pub(crate) fn seal(fd: &OwnedFd) -> nix::Result<()> {
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(fd.as_fd(), FcntlArg::F_ADD_SEALS(seals)).map(drop)
}

pub(crate) fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(fd, bytes) {
            Ok(0) => return Err(Errno::ENOSPC),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// A file without a name in the first directory that lets it be executed. Reopened read-only: a file that is open for
/// writing can't be executed (ETXTBSY).
fn in_file() -> std::result::Result<OwnedFd, i32> {
    let mut last = libc::EACCES;
    for directory in [std::env::temp_dir(), "/dev/shm".into(), "/run".into(), "/var/tmp".into()] {
        match unnamed(&directory) {
            Ok(fd) => return Ok(fd),
            Err(error) => last = error.raw_os_error().unwrap_or(last),
        }
    }
    Err(last)
}

fn unnamed(directory: &Path) -> std::io::Result<OwnedFd> {
    let mut file = OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).mode(0o500).open(directory)?;
    file.write_all(INIT)?;
    let readable = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    drop(file);
    let mounted = nix::sys::statvfs::fstatvfs(&readable)?;
    if mounted.flags().contains(nix::sys::statvfs::FsFlags::ST_NOEXEC) {
        return Err(std::io::Error::from_raw_os_error(libc::EACCES));
    }
    Ok(out_of_the_way(&readable.into())?)
}
