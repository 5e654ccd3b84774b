//! Owns: the host's end of a payload's terminal.  Must not: touch the terminal of this process.

use std::fs::File;
use std::io::PipeReader;
use std::os::fd::{AsFd, OwnedFd};

use super::Process;
use crate::{Error, ErrorKind, Result, Stage, sys};

/// Columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

impl TerminalSize {
    /// The size of an open terminal. `None`: it is none, or it does not know.
    pub fn of(terminal: impl AsFd) -> Option<Self> {
        sys::window_size(terminal.as_fd()).ok().filter(|(columns, rows)| *columns > 0 && *rows > 0).map(Self::from)
    }
}

impl Default for TerminalSize {
    /// 80x24.
    fn default() -> Self {
        Self { columns: 80, rows: 24 }
    }
}

impl From<(u16, u16)> for TerminalSize {
    /// (columns, rows).
    fn from((columns, rows): (u16, u16)) -> Self {
        Self { columns, rows }
    }
}

impl Process {
    /// The host's end of its terminal, if it has one: what is written is typed, what the payload prints is read. A read
    /// fails with EIO when nobody has the other end any more. Take it before waiting, which reads what nobody took.
    pub fn take_terminal(&self) -> Option<File> {
        let terminal = self.terminal()?.try_clone().ok()?;
        drop(self.streams().stdout.take());
        Some(terminal.into())
    }

    /// Tells the terminal its new size; the payload's foreground group gets SIGWINCH.
    ///
    /// # Errors
    /// Kind `config`: it has no terminal.
    pub fn resize(&self, size: impl Into<TerminalSize>) -> Result<()> {
        let size = size.into();
        let terminal = self.terminal().ok_or_else(|| {
            Error::new(ErrorKind::Config, Stage::Supervise, "this payload has no terminal")
                .with_hint("ask for one with `Command::terminal`")
        })?;
        sys::set_window_size(terminal.as_fd(), size.columns, size.rows).map_err(|errno| {
            Error::new(ErrorKind::Setup, Stage::Supervise, "could not resize the terminal").with_errno(errno as i32)
        })
    }

    fn terminal(&self) -> Option<&OwnedFd> {
        self.running.terminal.as_ref()
    }

    /// What the payload prints, for `wait` to read if nobody takes the terminal.
    pub(super) fn printed(&self) -> Option<PipeReader> {
        self.terminal()?.try_clone().ok().map(PipeReader::from)
    }
}
