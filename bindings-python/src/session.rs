//! Owns: one live sandbox, many payloads.  Must not: know how a payload is described or supervised.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::call::Call;
use crate::errors::Raised;
use crate::files::Files;
use crate::owned::Owned;
use crate::process::Process;

/// A live sandbox.
#[pyclass(frozen, module = "pinfold._native")]
pub struct Session(Owned<pinfold::Session>);

impl Session {
    pub fn new(session: pinfold::Session) -> Self {
        Self(Owned::new("session", session))
    }
}

#[pymethods]
impl Session {
    /// Starts a payload in it.
    fn spawn(&self, py: Python<'_>, call: Call<'_>) -> PyResult<Process> {
        let session = self.0.get(py)?;
        let command = call.command(py, session.sandbox(), |program| session.command(program))?;
        py.detach(|| command.spawn()).map(Process::new).map_err(|error| error.raise(py))
    }

    /// Sends a signal to every payload that runs.
    fn signal(&self, py: Python<'_>, number: i32) -> PyResult<()> {
        self.0.ask(py, |session| session.signal(number))
    }

    /// Kills everything inside; it stays open.
    fn kill_all(&self, py: Python<'_>) -> PyResult<()> {
        self.0.ask(py, pinfold::Session::kill_all)
    }

    /// What everything inside has used until now, as JSON.
    fn usage(&self, py: Python<'_>) -> PyResult<String> {
        crate::json(&self.0.ask(py, pinfold::Session::usage)?)
    }

    /// Stops every process until `thaw`.
    fn freeze(&self, py: Python<'_>) -> PyResult<()> {
        self.0.ask(py, pinfold::Session::freeze)
    }

    /// Lets every process go on.
    fn thaw(&self, py: Python<'_>) -> PyResult<()> {
        self.0.ask(py, pinfold::Session::thaw)
    }

    /// Changes limits; `options` as JSON.
    fn update(&self, py: Python<'_>, options: &str) -> PyResult<()> {
        self.0.ask(py, |session| session.update(&crate::limits(options)?))
    }

    /// The files inside.
    fn files(&self, py: Python<'_>) -> PyResult<Files> {
        self.0.ask(py, pinfold::Session::files).map(Files::new)
    }

    /// What was changed so far, as JSON.
    fn changes(&self, py: Python<'_>) -> PyResult<String> {
        crate::json(&self.0.ask(py, pinfold::Session::changes)?)
    }

    /// Writes the changes so far to a directory.
    fn commit(&self, py: Python<'_>, directory: PathBuf) -> PyResult<()> {
        self.0.ask(py, |session| session.commit(directory))
    }

    /// Kills everything inside, for good.
    fn close(&self, py: Python<'_>) {
        if let Some(session) = self.0.take() {
            py.detach(|| session.close());
        }
    }

    /// Whether it can't be used any more.
    fn closed(&self, py: Python<'_>) -> bool {
        self.0.get(py).map_or(true, |session| session.is_closed())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}
