//! Owns: the library's errors as Python exceptions.  Must not: know the classes (`pinfold._errors` does).

use pinfold::Error;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// An error that Python raises.
pub trait Raised {
    /// The exception that says the same.
    fn raise(&self, py: Python<'_>) -> PyErr;
}

impl Raised for Error {
    fn raise(&self, py: Python<'_>) -> PyErr {
        let made = crate::json(self.report()).and_then(|report| {
            static FROM_REPORT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
            FROM_REPORT.import(py, "pinfold._errors", "from_report")?.call1((report,))
        });
        made.map_or_else(|error| error, PyErr::from_value)
    }
}
