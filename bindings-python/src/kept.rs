//! Owns: the changed root of a sandbox that has ended.  Must not: know what a change is.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::files::Files;
use crate::owned::Owned;

/// A root that was kept.
#[pyclass(frozen, module = "pinfold._native")]
pub struct KeptRoot(Owned<pinfold::KeptRoot>);

impl KeptRoot {
    pub fn new(kept: pinfold::KeptRoot) -> Self {
        Self(Owned::new("kept root", kept))
    }
}

#[pymethods]
impl KeptRoot {
    /// What was changed, as JSON.
    fn changes(&self, py: Python<'_>) -> PyResult<String> {
        crate::json(&self.0.ask(py, pinfold::KeptRoot::changes)?)
    }

    /// Writes the changes to a directory.
    fn commit(&self, py: Python<'_>, directory: PathBuf) -> PyResult<()> {
        self.0.ask(py, |kept| kept.commit(directory))
    }

    /// Its files.
    fn files(&self, py: Python<'_>) -> PyResult<Files> {
        Ok(Files::new(self.0.get(py)?.files()))
    }

    /// Lets go of it.
    fn close(&self) {
        drop(self.0.take());
    }

    /// Whether it can't be used any more.
    fn closed(&self, py: Python<'_>) -> bool {
        self.0.get(py).is_err()
    }
}

impl Drop for KeptRoot {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}
