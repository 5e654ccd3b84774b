//! Owns: one payload as the public face hands it over, by plain values.  Must not: start it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use pinfold::{CallOptions, Command, Sandbox, Stdio};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::errors::Raised;
use crate::stdio::stdio;

/// `pinfold._call.Call`.
#[derive(FromPyObject)]
pub struct Call<'py> {
    argv: Vec<PyBackedBytes>,
    env: Vec<(PyBackedBytes, Option<PyBackedBytes>)>,
    options: String,
    stdio: [Bound<'py, PyAny>; 3],
    fds: Vec<(String, i32)>,
    /// Columns and rows.
    terminal: Option<(u16, u16)>,
    keep_root: bool,
}

impl Call<'_> {
    /// The command; `begin` makes it from the program's name. Output is piped unless it was set, or there is a terminal.
    pub fn command(
        &self,
        py: Python<'_>,
        sandbox: &Sandbox,
        begin: impl FnOnce(&OsStr) -> Command,
    ) -> PyResult<Command> {
        let mut argv = self.argv.iter().map(|arg| OsStr::from_bytes(arg));
        let options = CallOptions::from_json(&self.options).map_err(|error| error.raise(py))?;
        let mut command = begin(argv.next().unwrap_or_default()).args(argv).options(&options);
        for (name, value) in &self.env {
            let name = OsStr::from_bytes(name);
            command = match value {
                Some(value) => command.env(name, OsStr::from_bytes(value)),
                None => command.env_remove(name),
            };
        }
        if let Some(size) = self.terminal {
            command = command.terminal(size);
        }
        let terminal = self.terminal.is_some() || sandbox.config().process.terminal == Some(true);
        let or_pipe = |stream: Option<Stdio>| stream.or_else(|| (!terminal).then_some(Stdio::Piped));
        let [stdin, stdout, stderr] = &self.stdio;
        if let Some(stdin) = stdio(stdin)? {
            command = command.stdin(stdin);
        }
        if let Some(stdout) = or_pipe(stdio(stdout)?) {
            command = command.stdout(stdout);
        }
        if let Some(stderr) = or_pipe(stdio(stderr)?) {
            command = command.stderr(stderr);
        }
        for (name, number) in &self.fds {
            command = command.fd_number(name, *number);
        }
        Ok(command.keep_root(self.keep_root))
    }
}
