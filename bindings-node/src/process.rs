//! Owns: the handle on a payload that runs.  Must not: wait; read its streams.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use napi::bindgen_prelude::*;
use napi_derive::napi;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::aside::{Aside, aside};
use crate::fail::{closed, fail, json};
use crate::files::{KeptRoot, OpenFile};
use crate::payload;

/// A payload that was started. It is killed when the handle goes.
///
/// Cells, because the runtime refuses `&mut self` for as long as a call of ours is on its worker pool.
#[napi]
pub struct Process {
    /// None: closed.
    process: RefCell<Option<Arc<pinfold::Process>>>,
    /// Our ends of its pipes, until they are taken. Not the core's, which would read them to the end in `drain`.
    streams: [Cell<Option<OwnedFd>>; 3],
    /// The end of its terminal to type at. What is printed there is standard output.
    terminal: Cell<Option<File>>,
    has_terminal: bool,
    lists_changes: bool,
}

impl Process {
    pub fn new(process: pinfold::Process, lists_changes: bool) -> Self {
        let streams = [
            process.take_stdin().map(OwnedFd::from),
            process.take_stdout().map(OwnedFd::from),
            process.take_stderr().map(OwnedFd::from),
        ]
        .map(Cell::new);
        let terminal = process.take_terminal();
        let has_terminal = terminal.is_some();
        let process = RefCell::new(Some(Arc::new(process)));
        Self { process, streams, terminal: Cell::new(terminal), has_terminal, lists_changes }
    }

    fn aside<T: Send + ToNapiValue + TypeName + 'static>(
        &self,
        work: impl Fn(&pinfold::Process) -> pinfold::Result<T> + Send + 'static,
    ) -> Result<AsyncTask<Aside<T>>> {
        let process = self.get()?;
        Ok(aside(move || work(&process).map_err(fail)))
    }

    fn get(&self) -> Result<Arc<pinfold::Process>> {
        self.process.borrow().clone().ok_or_else(|| fail(closed("process")))
    }
}

#[napi]
impl Process {
    /// Its pid on the host.
    #[napi(getter)]
    pub fn pid(&self) -> Result<Option<u32>> {
        Ok(self.get()?.id())
    }

    /// Whether its root has a writable layer of its own, so that its end comes with a list of changes.
    #[napi(getter)]
    pub fn lists_changes(&self) -> bool {
        self.lists_changes
    }

    /// Whether it has a terminal of its own.
    #[napi(getter)]
    pub fn has_terminal(&self) -> bool {
        self.has_terminal
    }

    /// How many bytes of each stream are kept.
    #[napi(getter)]
    pub fn output_limit(&self) -> Result<f64> {
        self.get().map(|process| process.output_limit().0 as f64)
    }

    /// Whether writing more ends it.
    #[napi(getter)]
    pub fn overflow_kills(&self) -> Result<bool> {
        self.get().map(|process| process.output_limit().1)
    }

    /// A copy of the stream socket that tells of news. The caller's from here on.
    #[napi]
    pub fn doorbell(&self) -> Result<i32> {
        own(self.get()?.doorbell())
    }

    /// Our end of a piped stream, once. The caller's from here on.
    #[napi]
    pub fn take_stream(&self, number: u32) -> Option<i32> {
        self.streams.get(number as usize)?.take().map(IntoRawFd::into_raw_fd)
    }

    /// The end of its terminal to type at, once: a write never waits, and fails with EAGAIN where nobody reads.
    #[napi]
    pub fn take_terminal(&self) -> Result<Option<OpenFile>> {
        let Some(terminal) = self.terminal.take() else { return Ok(None) };
        fcntl(&terminal, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|errno| Error::from_reason(errno.to_string()))?;
        Ok(Some(OpenFile::new(terminal)))
    }

    /// Tells the terminal its new size.
    #[napi]
    pub fn resize(&self, size: payload::Size) -> Result<()> {
        self.get()?.resize(size).map_err(fail)
    }

    /// The outcome, if it has ended: JSON. Of a root with a writable layer its changes are listed first: `drain_aside`.
    #[napi]
    pub fn drain(&self) -> Result<Option<String>> {
        self.get()?.drain().map_err(fail)?.map(|outcome| json(&outcome)).transpose()
    }

    /// The same, off the event loop.
    #[napi]
    pub fn drain_aside(&self) -> Result<AsyncTask<Aside<Option<String>>>> {
        let process = self.get()?;
        Ok(aside(move || process.drain().map_err(fail)?.map(|outcome| json(&outcome)).transpose()))
    }

    /// The changed root, once, after the outcome, where it was asked for.
    #[napi]
    pub fn take_kept_root(&self) -> Result<Option<KeptRoot>> {
        Ok(self.get()?.take_kept_root().map(KeptRoot::new))
    }

    /// Kills the whole sandbox: its outcome says `killed`.
    #[napi]
    pub fn kill(&self) -> Result<()> {
        self.get()?.kill().map_err(fail)
    }

    /// Kills the whole sandbox: its outcome says `cancelled`.
    #[napi]
    pub fn cancel(&self) -> Result<()> {
        self.get()?.cancel().map_err(fail)
    }

    /// Kills the whole sandbox: its outcome says `output`.
    #[napi]
    pub fn end_for_output(&self) -> Result<()> {
        self.get()?.end_for_output().map_err(fail)
    }

    /// Sends a signal to the payload alone.
    #[napi]
    pub fn signal(&self, number: i32) -> Result<()> {
        self.get()?.signal(number).map_err(fail)
    }

    /// What was used until now. JSON.
    #[napi]
    pub fn usage(&self) -> Result<AsyncTask<Aside<String>>> {
        let process = self.get()?;
        Ok(aside(move || json(&process.usage().map_err(fail)?)))
    }

    /// What is used now; none once the payload has ended. JSON.
    #[napi]
    pub fn sample(&self) -> Result<AsyncTask<Aside<Option<String>>>> {
        let process = self.get()?;
        Ok(aside(move || process.sample().map_err(fail)?.map(|sample| json(&sample)).transpose()))
    }

    /// Stops every process inside.
    #[napi]
    pub fn freeze(&self) -> Result<AsyncTask<Aside<()>>> {
        self.aside(pinfold::Process::freeze)
    }

    /// Lets every process go on.
    #[napi]
    pub fn thaw(&self) -> Result<AsyncTask<Aside<()>>> {
        self.aside(pinfold::Process::thaw)
    }

    /// Changes limits. JSON.
    #[napi]
    pub fn update(&self, limits: String) -> Result<AsyncTask<Aside<()>>> {
        let limits = payload::limits(&limits)?;
        self.aside(move |process| process.update(&limits))
    }

    /// Gives back what belongs to it, without waiting for the garbage collector.
    #[napi]
    pub fn close(&self) {
        drop(self.process.take());
        drop(self.terminal.take());
        for stream in &self.streams {
            drop(stream.take());
        }
    }
}

fn own(fd: BorrowedFd<'_>) -> Result<i32> {
    let copy = fd.as_fd().try_clone_to_owned().map_err(|error| Error::from_reason(error.to_string()))?;
    Ok(copy.into_raw_fd())
}
