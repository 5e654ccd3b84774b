//! Owns: a payload that runs, with waits that signals interrupt, and which a forked child leaves alone.
//! Must not: read streams that were taken.
//! Start at: [`Process::wait`].

use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pinfold::Outcome;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::Raised;
use crate::kept::KeptRoot;
use crate::owned::Owned;

/// How long a wait goes on without a look at Python's signals. A signal interrupts it at once; this is for one that came just
/// before it began, or that the kernel gave to another thread.
const BACKSTOP: Duration = Duration::from_millis(100);
/// How long an interrupted wait waits for the tree to die.
const GRACE: Duration = Duration::from_secs(1);

/// A payload that runs.
#[pyclass(frozen, module = "pinfold._native")]
pub struct Process(Owned<pinfold::Process>);

/// The outcome as JSON, and what was captured.
type Told<'py> = (String, Option<Bound<'py, PyBytes>>, Option<Bound<'py, PyBytes>>);

fn told<'py>(py: Python<'py>, outcome: &Outcome) -> PyResult<Told<'py>> {
    let bytes = |captured: Option<&[u8]>| captured.map(|bytes| PyBytes::new(py, bytes));
    Ok((crate::json(outcome)?, bytes(outcome.captured_stdout()), bytes(outcome.captured_stderr())))
}

impl Process {
    pub fn new(process: pinfold::Process) -> Self {
        Self(Owned::new("process", process))
    }
}

#[pymethods]
impl Process {
    /// Waits for the end, at most `timeout` seconds. A signal handler that raises (Ctrl-C) ends the sandbox first.
    #[pyo3(signature = (timeout=None))]
    fn wait<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Option<Told<'py>>> {
        let process = self.0.get(py)?;
        // Nobody will write to it any more: a payload that reads its input to the end must see one.
        drop(process.take_stdin());
        let watch = process.watch().map_err(|error| error.raise(py))?;
        // Beyond what a Duration can say is for ever.
        let timeout = timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(outcome) = py.detach(|| process.drain()).map_err(|error| error.raise(py))? {
                return told(py, &outcome).map(Some);
            }
            if let Err(interrupt) = py.check_signals() {
                // The interrupt is what the caller wants to know, not whether the tree was quick to die.
                drop(py.detach(|| process.cancel().and_then(|()| process.wait_timeout(GRACE))));
                return Err(interrupt);
            }
            let left = deadline.map_or(BACKSTOP, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            py.detach(|| until_news(&watch, left.min(BACKSTOP)))?;
        }
    }

    /// Takes what has arrived; the outcome, if that was the last.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Option<Told<'py>>> {
        let outcome = self.0.ask(py, pinfold::Process::drain)?;
        outcome.map(|outcome| told(py, &outcome)).transpose()
    }

    /// A new fd, readable whenever `drain` has something to take. The caller closes it.
    fn watch(&self, py: Python<'_>) -> PyResult<i32> {
        self.0.ask(py, pinfold::Process::watch).map(IntoRawFd::into_raw_fd)
    }

    /// The number of the payload's pidfd, which stays this object's.
    fn pidfd(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.0.get(py)?.as_fd().as_raw_fd())
    }

    /// The payload's pid on the host.
    fn pid(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        Ok(self.0.get(py)?.id())
    }

    /// The writing end of a piped standard input, which is the caller's from here on.
    fn take_stdin(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        Ok(self.0.get(py)?.take_stdin().map(into_number))
    }

    /// The reading end of a piped standard output.
    fn take_stdout(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        Ok(self.0.get(py)?.take_stdout().map(into_number))
    }

    /// The reading end of a piped standard error.
    fn take_stderr(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        Ok(self.0.get(py)?.take_stderr().map(into_number))
    }

    /// Our end of its terminal.
    fn take_terminal(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        Ok(self.0.get(py)?.take_terminal().map(into_number))
    }

    /// Tells the terminal its size.
    fn resize(&self, py: Python<'_>, columns: u16, rows: u16) -> PyResult<()> {
        self.0.ask(py, |process| process.resize((columns, rows)))
    }

    /// The changed root, once, after the end of a call that keeps it.
    fn take_kept_root(&self, py: Python<'_>) -> PyResult<Option<KeptRoot>> {
        Ok(self.0.get(py)?.take_kept_root().map(KeptRoot::new))
    }

    /// Sends a signal to the payload.
    fn signal(&self, py: Python<'_>, number: i32) -> PyResult<()> {
        self.0.ask(py, |process| process.signal(number))
    }

    /// Kills the sandbox.
    fn kill(&self, py: Python<'_>) -> PyResult<()> {
        self.0.ask(py, pinfold::Process::kill)
    }

    /// Kills the sandbox; the outcome says `cancelled`.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.0.ask(py, pinfold::Process::cancel)
    }

    /// What the payload has used until now, as JSON.
    fn usage(&self, py: Python<'_>) -> PyResult<String> {
        crate::json(&self.0.ask(py, pinfold::Process::usage)?)
    }

    /// What is used after at most `pause` seconds, as JSON; none once the payload has ended. A signal handler that raises ends the
    /// wait.
    fn sample(&self, py: Python<'_>, pause: f64) -> PyResult<Option<String>> {
        let process = self.0.get(py)?;
        let pause = Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX);
        let due = Instant::now().checked_add(pause);
        loop {
            py.check_signals()?;
            let left = due.map_or(BACKSTOP, |due| due.saturating_duration_since(Instant::now()));
            if left.is_zero() || py.detach(|| until_news(&process, left.min(BACKSTOP)))? {
                let sample = py.detach(|| process.sample()).map_err(|error| error.raise(py))?;
                return sample.as_ref().map(crate::json).transpose();
            }
        }
    }

    /// Stops every process until `thaw`.
    fn freeze(&self, py: Python<'_>) -> PyResult<()> {
        self.0.ask(py, pinfold::Process::freeze)
    }

    /// Lets every process go on.
    fn thaw(&self, py: Python<'_>) -> PyResult<()> {
        self.0.ask(py, pinfold::Process::thaw)
    }

    /// Changes limits; `options` as JSON.
    fn update(&self, py: Python<'_>, options: &str) -> PyResult<()> {
        self.0.ask(py, |process| process.update(&crate::limits(options)?))
    }

    /// Kills the sandbox if it lives, and waits until it is gone.
    fn close(&self, py: Python<'_>) {
        let Some(process) = self.0.take() else { return };
        py.detach(|| match Arc::try_unwrap(process) {
            Ok(process) => drop(process),
            // Another thread waits: its wait ends, and it has the last reference. One that is gone needs no telling.
            Err(shared) => drop(shared.cancel()),
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The garbage collector does not wait.
        if let Some(process) = self.0.take().and_then(Arc::into_inner) {
            process.abandon();
        }
    }
}

/// Whether there is news. Returns early when a signal comes, so that Python's handlers run (PEP 475).
fn until_news(watch: &impl AsFd, time: Duration) -> PyResult<bool> {
    let time = PollTimeout::try_from(time.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(watch.as_fd(), PollFlags::POLLIN)], time) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(io::Error::from(errno).into()),
    }
}

fn into_number(pipe: impl Into<OwnedFd>) -> i32 {
    pipe.into().into_raw_fd()
}
