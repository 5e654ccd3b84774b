//! Owns: something live that one process opened, that may be closed, and that a forked child leaves alone.
//! Must not: know what it is.
//! Start at: [`Owned`].

use std::sync::{Arc, Mutex, PoisonError};

use pinfold::{Error, ErrorKind};
use pyo3::prelude::*;

use crate::errors::Raised;

/// A live thing.
pub struct Owned<T> {
    live: Mutex<Option<Arc<T>>>,
    /// What people call it.
    name: &'static str,
    /// The process that opened it.
    owner: u32,
}

impl<T: Send + Sync> Owned<T> {
    pub fn new(name: &'static str, live: T) -> Self {
        Self { live: Mutex::new(Some(Arc::new(live))), name, owner: std::process::id() }
    }

    /// Asks something of it, without the interpreter's lock.
    pub fn ask<R: Send>(&self, py: Python<'_>, what: impl FnOnce(&T) -> pinfold::Result<R> + Send) -> PyResult<R> {
        let live = self.get(py)?;
        py.detach(|| what(&live)).map_err(|error| error.raise(py))
    }

    /// It, unless it was closed or belongs to another process.
    pub fn get(&self, py: Python<'_>) -> PyResult<Arc<T>> {
        let what = self.name;
        let closed =
            |message: String, hint: &str| Error::of_front_end(ErrorKind::Closed, message, None, Some(hint)).raise(py);
        if std::process::id() != self.owner {
            let message = format!("this {what} belongs to process {}", self.owner);
            return Err(closed(message, "after a fork, start one of your own"));
        }
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner).clone();
        live.ok_or_else(|| {
            closed(format!("this {what} was closed"), "use it before close(), or inside its `with` block")
        })
    }

    /// It, for the last time. None: it was closed, or it is shared with the parent, whose it is: sockets that both have
    /// must not be told anything here.
    pub fn take(&self) -> Option<Arc<T>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        if std::process::id() == self.owner {
            return Some(live);
        }
        std::mem::forget(live);
        None
    }
}
