//! Owns: sandboxes that are open already.  Must not: run anything in them.

use pyo3::prelude::*;

use crate::owned::Owned;
use crate::session::Session;

/// A pool.
#[pyclass(frozen, module = "pinfold._native")]
pub struct Pool(Owned<pinfold::Pool>);

impl Pool {
    pub fn new(pool: pinfold::Pool) -> Self {
        Self(Owned::new("pool", pool))
    }
}

#[pymethods]
impl Pool {
    /// A fresh session, the caller's from here on.
    fn take(&self, py: Python<'_>) -> PyResult<Session> {
        self.0.ask(py, pinfold::Pool::take).map(Session::new)
    }

    /// Opens one if one is missing, and says whether it did.
    fn fill_one(&self, py: Python<'_>) -> PyResult<bool> {
        self.0.ask(py, pinfold::Pool::fill_one)
    }

    /// What it has and has done, as JSON.
    fn stats(&self, py: Python<'_>) -> PyResult<String> {
        crate::json(&self.0.get(py)?.stats())
    }

    /// Ends those that wait.
    fn close(&self, py: Python<'_>) {
        if let Some(pool) = self.0.take() {
            py.detach(|| pool.close());
        }
    }

    /// Whether it can't be used any more.
    fn closed(&self, py: Python<'_>) -> bool {
        self.0.get(py).is_err()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}
