//! Owns: the handle on a payload that runs.  Must not: wait; read its streams.

use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::aside::{Aside, aside};
use crate::fail::{closed, fail, json};
use crate::files::KeptRoot;
use crate::payload;

/// A payload that was started. It is killed when the handle goes.
#[napi]
pub struct Process {
    /// None: closed.
    process: Option<Arc<pinfold::Process>>,
    /// Our ends of its pipes, until they are taken. Not the core's, which would read them to the end in `drain`.
    streams: [Option<OwnedFd>; 3],
    lists_changes: bool,
}

impl Process {
    pub fn new(process: pinfold::Process, lists_changes: bool) -> Self {
        let streams = [
            process.take_stdin().map(OwnedFd::from),
            process.take_stdout().map(OwnedFd::from),
            process.take_stderr().map(OwnedFd::from),
        ];
        Self { process: Some(Arc::new(process)), streams, lists_changes }
    }

    fn get(&self) -> Result<&Arc<pinfold::Process>> {
        self.process.as_ref().ok_or_else(|| fail(closed("process")))
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
    pub fn take_stream(&mut self, number: u32) -> Option<i32> {
        let stream = self.streams.get_mut(number as usize)?;
        stream.take().map(IntoRawFd::into_raw_fd)
    }

    /// The outcome, if it has ended: JSON. Of a root with a writable layer its changes are listed first: `drain_aside`.
    #[napi]
    pub fn drain(&self) -> Result<Option<String>> {
        self.get()?.drain().map_err(fail)?.map(|outcome| json(&outcome)).transpose()
    }

    /// The same, off the event loop.
    #[napi]
    pub fn drain_aside(&self) -> Result<AsyncTask<Aside<Option<String>>>> {
        let process = Arc::clone(self.get()?);
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
    pub fn usage(&self) -> Result<String> {
        json(&self.get()?.usage().map_err(fail)?)
    }

    /// Stops every process inside.
    #[napi]
    pub fn freeze(&self) -> Result<()> {
        self.get()?.freeze().map_err(fail)
    }

    /// Lets every process go on.
    #[napi]
    pub fn thaw(&self) -> Result<()> {
        self.get()?.thaw().map_err(fail)
    }

    /// Changes limits. JSON.
    #[napi]
    pub fn update(&self, limits: String) -> Result<()> {
        self.get()?.update(&payload::limits(&limits)?).map_err(fail)
    }

    /// Gives back what belongs to it, without waiting for the garbage collector.
    #[napi]
    pub fn close(&mut self) {
        self.process = None;
        self.streams = [None, None, None];
    }
}

fn own(fd: BorrowedFd<'_>) -> Result<i32> {
    let copy = fd.as_fd().try_clone_to_owned().map_err(|error| Error::from_reason(error.to_string()))?;
    Ok(copy.into_raw_fd())
}
