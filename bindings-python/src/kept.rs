//! Owns: the changed root of a sandbox that has ended.  Must not: know what a change is.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::errors::Raised;
use crate::files::Files;
use crate::owned::Owned;

/// A root that was kept.
#[pyclass(frozen, module = "pinfold._native")]
pub struct KeptRoot(Owned<pinfold::KeptRoot>);

impl KeptRoot {
    pub fn new(kept: pinfold::KeptRoot) -> Self {
        Self(Owned::new(kept))
    }
}

#[pymethods]
impl KeptRoot {
    /// What was changed, as JSON.
    fn changes(&self, py: Python<'_>) -> PyResult<String> {
        let kept = self.0.get(py, "kept root")?;
        let changes = py.detach(|| kept.changes()).map_err(|error| error.raise(py))?;
        crate::json(&changes)
    }

    /// Writes the changes to a directory.
    fn commit(&self, py: Python<'_>, directory: PathBuf) -> PyResult<()> {
        let kept = self.0.get(py, "kept root")?;
        py.detach(|| kept.commit(directory)).map_err(|error| error.raise(py))
    }

    /// Its files.
    fn files(&self, py: Python<'_>) -> PyResult<Files> {
        Ok(Files::new(self.0.get(py, "kept root")?.files()))
    }

    /// Lets go of it.
    fn close(&self) {
        drop(self.0.take());
    }

    /// Whether it can't be used any more.
    fn closed(&self, py: Python<'_>) -> bool {
        self.0.get(py, "kept root").is_err()
    }
}

impl Drop for KeptRoot {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}
