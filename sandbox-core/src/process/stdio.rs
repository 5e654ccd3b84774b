//! Owns: what a standard stream of a payload is connected to.  Must not: read or write.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::OwnedFd;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::launch::write_all;
use crate::sys;
use crate::{Error, Result};

/// What a standard stream of the payload is connected to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stdio {
    /// `/dev/null`.
    Null,
    /// This process's own stream.
    Inherit,
    /// A pipe: [`Process::take_stdin`](crate::Process::take_stdin) and its like give the other end, `wait` drains what nobody took.
    Piped,
    /// An open file, pipe or socket.
    Fd(OwnedFd),
    /// Standard input only: these bytes.
    Bytes(Vec<u8>),
    /// Standard error only: wherever standard output goes.
    Stdout,
}

impl Stdio {
    /// `/dev/null`.
    pub fn null() -> Self {
        Self::Null
    }

    /// This process's own stream.
    pub fn inherit() -> Self {
        Self::Inherit
    }

    /// A pipe.
    pub fn piped() -> Self {
        Self::Piped
    }

    /// A copy of this process's own open fd `number`, for front ends that have fds as numbers.
    ///
    /// # Errors
    /// Kind `config`: no fd is open under this number.
    pub fn from_number(number: i32) -> Result<Self> {
        sys::duplicate(number).map(Self::Fd).map_err(|errno| {
            let message = format!("cannot use fd {number} as a standard stream: {}", errno.desc());
            Error::of_front_end(crate::ErrorKind::Config, message, Some(errno as i32), None)
        })
    }
}

impl From<OwnedFd> for Stdio {
    fn from(fd: OwnedFd) -> Self {
        Self::Fd(fd)
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        Self::Fd(file.into())
    }
}

impl From<PipeReader> for Stdio {
    fn from(pipe: PipeReader) -> Self {
        Self::Fd(pipe.into())
    }
}

impl From<PipeWriter> for Stdio {
    fn from(pipe: PipeWriter) -> Self {
        Self::Fd(pipe.into())
    }
}

/// The payload's end and, of a pipe, ours.
pub(crate) enum Opened {
    Only(OwnedFd),
    Write(OwnedFd, PipeWriter),
    Read(OwnedFd, PipeReader),
}

/// What a stream that goes nowhere is connected to.
pub(crate) fn null() -> std::io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}

/// Open standard stream `number`. `stdout`: where standard output goes, for `Stdio::Stdout`.
pub(crate) fn open(stdio: Stdio, number: usize, stdout: Option<&OwnedFd>) -> Result<Opened> {
    let failed = |what: &str, error: std::io::Error| {
        Error::launch(format!("could not {what}"), error.raw_os_error().unwrap_or(libc::EIO))
            .with_origin("process.stdio")
    };
    Ok(match stdio {
        Stdio::Null => Opened::Only(null().map_err(|error| failed("open /dev/null", error))?),
        Stdio::Inherit => {
            let own = sys::borrow_standard(number as i32).try_clone_to_owned();
            Opened::Only(own.map_err(|error| failed("inherit a standard stream of this process", error))?)
        }
        Stdio::Fd(fd) => Opened::Only(fd),
        Stdio::Stdout => match stdout {
            Some(fd) => Opened::Only(fd.try_clone().map_err(|error| failed("duplicate standard output", error))?),
            None => return open(Stdio::Null, number, None),
        },
        // In memory: a pipe would need somebody to fill it.
        Stdio::Bytes(bytes) => {
            let memory = || -> nix::Result<OwnedFd> {
                let fd = memfd_create(c"pinfold-input", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
                write_all(&fd, &bytes)?;
                nix::unistd::lseek(&fd, 0, nix::unistd::Whence::SeekSet)?;
                crate::launch::seal(&fd)?;
                Ok(fd)
            };
            Opened::Only(memory().map_err(|errno| failed("keep the input in memory", errno.into()))?)
        }
        Stdio::Piped => {
            let (reader, writer) = pipe().map_err(|error| failed("make a pipe", error))?;
            // /dev/stdout and its like open it once more, as the payload's user.
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
            nix::sys::stat::fchmod(&reader, mode).map_err(|errno| failed("make a pipe", errno.into()))?;
            if number == 0 { Opened::Write(reader.into(), writer) } else { Opened::Read(writer.into(), reader) }
        }
    })
}
