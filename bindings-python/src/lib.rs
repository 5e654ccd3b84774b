//! Owns: the native module `pinfold._native`: the library's verbs with bytes, JSON text and fd numbers for arguments.
//! Must not: know an option, or hold anything that the public face (`python/pinfold`) could hold.
//! Start at: [`sandbox::Sandbox`], [`process::Process`].

mod call;
mod errors;
mod files;
mod kept;
mod owned;
mod pool;
mod process;
mod sandbox;
mod session;
mod stdio;

use pyo3::prelude::*;

/// Private: use the package `pinfold`.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::files::Files;
    #[pymodule_export]
    use crate::kept::KeptRoot;
    #[pymodule_export]
    use crate::pool::Pool;
    #[pymodule_export]
    use crate::process::Process;
    #[pymodule_export]
    use crate::sandbox::Sandbox;
    #[pymodule_export]
    use crate::session::Session;

    use crate::errors::Raised;

    /// What this host can do: the facts as JSON, and what they mean as JSON.
    #[pyfunction]
    fn doctor(py: Python<'_>) -> PyResult<(String, String)> {
        let host = py.detach(pinfold::HostCaps::probe).map_err(|error| error.raise(py))?;
        Ok((crate::json(&host)?, crate::json(&pinfold::findings(&host))?))
    }

    /// The names that a description takes: sections, then shorthands.
    #[pyfunction]
    fn option_names() -> (Vec<&'static str>, Vec<&'static str>) {
        let shorthands = pinfold::SHORTHANDS.iter().map(|shorthand| shorthand.name).collect();
        (pinfold::SandboxConfig::section_names().to_vec(), shorthands)
    }

    /// The names that a call takes beside its streams.
    #[pyfunction]
    fn call_option_names() -> Vec<&'static str> {
        pinfold::CallOptions::names().to_vec()
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// The limits that options say, which may say nothing else.
fn limits(options: &str) -> pinfold::Result<pinfold::LimitsConfig> {
    let mut config = pinfold::SandboxConfig::from_options(options)?;
    let limits = std::mem::take(&mut config.limits);
    if config == pinfold::SandboxConfig::default() {
        return Ok(limits);
    }
    let hint = "memory, swap, pids, cpus and the other keys of `limits` can be changed";
    Err(pinfold::Error::of_front_end(pinfold::ErrorKind::Config, "only limits can be changed", None, Some(hint)))
}

/// Text that the public face reads.
fn json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| pyo3::exceptions::PyRuntimeError::new_err(error.to_string()))
}
