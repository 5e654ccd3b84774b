//! Owns: the files of a root, by paths as bytes and streams that are Python's file objects.
//! Must not: know where they are, or hold a whole stream.
//! Start at: [`Files`].

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use pinfold::{Error, ErrorKind, FileStatus, IntoBytes};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::errors::Raised;

/// The files of a root.
#[pyclass(frozen, module = "pinfold._native")]
pub struct Files(pinfold::Files);

impl Files {
    pub fn new(files: pinfold::Files) -> Self {
        Self(files)
    }
}

/// What it is, size, mode, uid, gid, seconds since the epoch.
type Status = (&'static str, u64, u32, u32, u32, f64);

fn status(told: &FileStatus) -> Status {
    let seconds = |time: SystemTime| match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    };
    (told.kind.as_str(), told.size, told.mode, told.uid, told.gid, seconds(told.modified))
}

/// A number of bytes, or a text that says one.
#[derive(FromPyObject)]
enum Size {
    Count(u64),
    Text(String),
}

#[pymethods]
impl Files {
    /// The same files, of which no call reads or writes more than `size` bytes.
    fn limit(&self, py: Python<'_>, size: Size) -> PyResult<Self> {
        let bytes = match size {
            Size::Count(count) => IntoBytes::into_bytes(count),
            Size::Text(text) => IntoBytes::into_bytes(text.as_str()),
        };
        let bytes = bytes
            .get()
            .map_err(|error| Error::of_front_end(ErrorKind::Config, format!("size: {error}"), None, None).raise(py))?;
        Ok(Self(self.0.clone().limit(bytes)))
    }

    fn read<'py>(&self, py: Python<'py>, path: PyBackedBytes) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.0.read(at(&path))).map_err(|error| error.raise(py))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// A new fd, the caller's.
    fn reader(&self, py: Python<'_>, path: PyBackedBytes) -> PyResult<i32> {
        py.detach(|| self.0.reader(at(&path))).map(IntoRawFd::into_raw_fd).map_err(|error| error.raise(py))
    }

    fn read_to(&self, py: Python<'_>, path: PyBackedBytes, target: Py<PyAny>) -> PyResult<u64> {
        let mut stream = Stream::new(target);
        let done = py.detach(|| self.0.read_to(at(&path), &mut stream));
        stream.settle(py, done)
    }

    fn write(&self, py: Python<'_>, path: PyBackedBytes, data: PyBackedBytes) -> PyResult<()> {
        py.detach(|| self.0.write(at(&path), &*data)).map_err(|error| error.raise(py))
    }

    fn write_from(&self, py: Python<'_>, path: PyBackedBytes, source: Py<PyAny>) -> PyResult<u64> {
        let mut stream = Stream::new(source);
        let done = py.detach(|| self.0.write_from(at(&path), &mut stream));
        stream.settle(py, done)
    }

    fn list(&self, py: Python<'_>, path: PyBackedBytes) -> PyResult<Vec<(OsString, Status)>> {
        let entries = py.detach(|| self.0.list(at(&path))).map_err(|error| error.raise(py))?;
        Ok(entries.into_iter().map(|entry| (entry.name, status(&entry.status))).collect())
    }

    fn stat(&self, py: Python<'_>, path: PyBackedBytes) -> PyResult<Status> {
        py.detach(|| self.0.stat(at(&path))).map(|told| status(&told)).map_err(|error| error.raise(py))
    }

    fn mkdir(&self, py: Python<'_>, path: PyBackedBytes) -> PyResult<()> {
        py.detach(|| self.0.mkdir(at(&path))).map_err(|error| error.raise(py))
    }

    fn remove(&self, py: Python<'_>, path: PyBackedBytes) -> PyResult<()> {
        py.detach(|| self.0.remove(at(&path))).map_err(|error| error.raise(py))
    }

    /// From the host.
    fn copy_in(&self, py: Python<'_>, source: PyBackedBytes, target: PyBackedBytes) -> PyResult<u64> {
        py.detach(|| self.0.copy_in(at(&source), at(&target))).map_err(|error| error.raise(py))
    }

    /// To the host.
    fn copy_out(&self, py: Python<'_>, source: PyBackedBytes, target: PyBackedBytes) -> PyResult<u64> {
        py.detach(|| self.0.copy_out(at(&source), at(&target))).map_err(|error| error.raise(py))
    }
}

fn at(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// A file object of Python's, and what it raised.
struct Stream {
    object: Py<PyAny>,
    raised: Option<PyErr>,
}

impl Stream {
    fn new(object: Py<PyAny>) -> Self {
        Self { object, raised: None }
    }

    /// What a call has done; what the file object raised comes first.
    fn settle(self, py: Python<'_>, done: pinfold::Result<u64>) -> PyResult<u64> {
        match self.raised {
            Some(raised) => Err(raised),
            None => done.map_err(|error| error.raise(py)),
        }
    }

    fn call(&mut self, work: impl FnOnce(Python<'_>, &Bound<'_, PyAny>) -> PyResult<usize>) -> io::Result<usize> {
        Python::attach(|py| work(py, self.object.bind(py))).map_err(|raised| {
            self.raised = Some(raised);
            io::ErrorKind::Other.into()
        })
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.call(|_, object| {
            let data: PyBackedBytes = object.call_method1("read", (buffer.len(),))?.extract()?;
            let place = buffer
                .get_mut(..data.len())
                .ok_or_else(|| pyo3::exceptions::PyValueError::new_err("read(n) returned more than n bytes"))?;
            place.copy_from_slice(&data);
            Ok(data.len())
        })
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.call(|py, object| {
            let written: Option<usize> = object.call_method1("write", (PyBytes::new(py, buffer),))?.extract()?;
            Ok(written.unwrap_or(buffer.len()).min(buffer.len()))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
