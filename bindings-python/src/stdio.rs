//! Owns: what a stream is connected to, as Python says it.  Must not: open anything but copies of fds.

use pinfold::Stdio;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString};

use crate::errors::Raised;

/// A word, the number of an open fd, or the bytes of standard input; None leaves the default.
pub fn stdio(value: &Bound<'_, PyAny>) -> PyResult<Option<Stdio>> {
    if value.is_none() {
        return Ok(None);
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(Stdio::Bytes(bytes.as_bytes().to_vec())));
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return Stdio::from_number(number.extract()?).map(Some).map_err(|error| error.raise(value.py()));
    }
    let word = value.cast::<PyString>().map_err(|_| PyTypeError::new_err("a stream is a word, an fd or bytes"))?;
    match &*word.to_cow()? {
        "null" => Ok(Some(Stdio::Null)),
        "inherit" => Ok(Some(Stdio::Inherit)),
        "pipe" => Ok(Some(Stdio::Piped)),
        "stdout" => Ok(Some(Stdio::Stdout)),
        other => Err(PyTypeError::new_err(format!("{other:?} is not a stream: null, inherit, pipe, stdout"))),
    }
}
