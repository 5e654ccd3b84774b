//! Owns: the description.  Must not: wait for anything.

use std::path::PathBuf;

use pinfold::{Error, ErrorKind, SHORTHANDS, SandboxConfig};
use pyo3::prelude::*;

use crate::call::Call;
use crate::errors::Raised;
use crate::pool::Pool;
use crate::process::Process;
use crate::session::Session;

/// A checked description.
#[pyclass(frozen, module = "pinfold._native")]
pub struct Sandbox(pinfold::Sandbox);

#[pymethods]
impl Sandbox {
    /// A description from options above the config `base`, both JSON.
    #[new]
    fn new(py: Python<'_>, base: &str, options: &str) -> PyResult<Self> {
        py.detach(|| above(&without_places(base)?, options)).map(Self).map_err(|error| error.raise(py))
    }

    /// A description from a file.
    #[staticmethod]
    fn from_file(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| pinfold::Sandbox::from_path(path)).map(Self).map_err(|error| error.raise(py))
    }

    /// Another description: options above this one's config.
    fn replace(&self, py: Python<'_>, options: &str) -> PyResult<Self> {
        py.detach(|| above(self.0.config(), options)).map(Self).map_err(|error| error.raise(py))
    }

    /// The config as JSON.
    fn config(&self, py: Python<'_>) -> PyResult<String> {
        self.0.config().to_json().map_err(|error| error.raise(py))
    }

    /// `limits.wall_time` in seconds.
    fn wall_time(&self) -> Option<f64> {
        let time = self.0.config().limits.wall_time.as_ref()?;
        time.get().ok().map(|time| time.as_secs_f64())
    }

    /// What will be enforced, as JSON.
    fn report(&self) -> PyResult<String> {
        crate::json(self.0.report())
    }

    /// The plan as text.
    fn explain(&self, py: Python<'_>, call: Call<'_>) -> PyResult<String> {
        let command = call.command(py, &self.0, |program| self.0.command(program))?;
        self.0.explain(&command).map(|plan| plan.to_string()).map_err(|error| error.raise(py))
    }

    /// Starts a payload.
    fn spawn(&self, py: Python<'_>, call: Call<'_>) -> PyResult<Process> {
        let command = call.command(py, &self.0, |program| self.0.command(program))?;
        py.detach(|| command.spawn()).map(Process::new).map_err(|error| error.raise(py))
    }

    /// Opens a session.
    fn open(&self, py: Python<'_>) -> PyResult<Session> {
        py.detach(|| self.0.open()).map(Session::new).map_err(|error| error.raise(py))
    }

    /// Opens `size` sandboxes.
    fn pool(&self, py: Python<'_>, size: usize) -> PyResult<Pool> {
        py.detach(|| pinfold::Pool::new(&self.0, size)).map(Pool::new).map_err(|error| error.raise(py))
    }
}

fn above(config: &SandboxConfig, options: &str) -> pinfold::Result<pinfold::Sandbox> {
    pinfold::Sandbox::from_config(config.with_options(options)?)
}

/// The config in a JSON text that a program made, and whose lines therefore tell nobody anything. What values mean is not
/// checked: options may still replace them.
fn without_places(text: &str) -> pinfold::Result<SandboxConfig> {
    match SandboxConfig::from_json(text) {
        // Types that are read directly have no places.
        Ok(config) => serde_json::from_str(&config.to_json()?)
            .map_err(|error| Error::of_front_end(ErrorKind::Config, format!("config: {error}"), None, None)),
        // Read as options it has the same problems, without places, but may have shorthands.
        Err(error) => Err(SandboxConfig::from_options(text).err().or_else(|| misplaced(text)).unwrap_or(error)),
    }
}

/// What is wrong with a config that has shorthands.
fn misplaced(text: &str) -> Option<Error> {
    let keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let is_section = |name: &str| SandboxConfig::section_names().contains(&name);
    let (names, meant): (Vec<&str>, Vec<&str>) = SHORTHANDS
        .iter()
        .filter(|short| keys.contains_key(short.name) && !is_section(short.name))
        .map(|short| (short.name, short.key))
        .unzip();
    if names.is_empty() {
        return None;
    }
    let message = format!("{}: shorthands are no keys of a config", names.join(", "));
    let hint = format!("write {}, or give them as keyword arguments", meant.join(", "));
    Some(Error::of_front_end(ErrorKind::Config, message, None, Some(&hint)))
}
