//! Owns: a payload as JavaScript describes it, made a command of the core's.
//! Must not: give any option a meaning.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use napi::bindgen_prelude::*;
use napi_derive::napi;
use pinfold::{CallOptions, Command, Sandbox, Stdio, TerminalSize};

use crate::fail::{fail, refused};

/// The size of a terminal.
#[napi(object)]
#[derive(Clone, Copy)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

impl From<Size> for TerminalSize {
    fn from(Size { columns, rows }: Size) -> Self {
        (columns, rows).into()
    }
}

/// One payload.
#[napi(object)]
pub struct Payload {
    /// Program and arguments, as text or as bytes.
    pub argv: Vec<Either<String, Buffer>>,
    /// What the call says differently: JSON, in the config's spelling.
    pub call: String,
    /// Standard input, output and error: `null`, `pipe`, `inherit`, `stdout`; an fd's number; bytes as input. Where
    /// nothing is said: nothing to read, and pipes to write to, unless there is a terminal.
    pub stdio: Vec<Option<Either3<String, i32, Buffer>>>,
    /// A terminal of its own.
    pub terminal: Option<Size>,
    /// Names of the config and the numbers of the fds that are attached to them.
    pub fds: HashMap<String, i32>,
    /// Whether the changed root is kept after the end.
    pub keep_root: bool,
}

impl Payload {
    /// Fills what `command` makes of a program.
    pub fn command(self, sandbox: &Sandbox, command: impl FnOnce(OsString) -> Command) -> Result<Command> {
        let mut argv = self.argv.into_iter().map(|arg| match arg {
            Either::A(text) => OsString::from(text),
            Either::B(bytes) => OsString::from_vec(bytes.to_vec()),
        });
        let Some(program) = argv.next() else { return Err(fail(refused("the command is empty"))) };
        let options = CallOptions::from_json(&self.call).map_err(fail)?;
        let mut command = command(program).args(argv).options(&options).keep_root(self.keep_root);
        if let Some(size) = self.terminal {
            command = command.terminal(size);
        }
        let terminal = self.terminal.is_some() || sandbox.config().process.terminal == Some(true);
        for (number, stdio) in self.stdio.into_iter().enumerate() {
            let stdio = match stdio {
                Some(stdio) => standard(stdio)?,
                None if number > 0 && !terminal => Stdio::Piped,
                None => continue,
            };
            command = match number {
                0 => command.stdin(stdio),
                1 => command.stdout(stdio),
                _ => command.stderr(stdio),
            };
        }
        for (name, number) in self.fds {
            command = command.fd_number(name, number);
        }
        Ok(command)
    }
}

fn standard(stdio: Either3<String, i32, Buffer>) -> Result<Stdio> {
    match stdio {
        Either3::A(word) => match word.as_str() {
            "null" => Ok(Stdio::Null),
            "pipe" => Ok(Stdio::Piped),
            "inherit" => Ok(Stdio::Inherit),
            "stdout" => Ok(Stdio::Stdout),
            _ => Err(fail(refused(format!("there is no standard stream {word:?}")))),
        },
        Either3::B(number) => Stdio::from_number(number).map_err(fail),
        Either3::C(bytes) => Ok(Stdio::Bytes(bytes.to_vec())),
    }
}

/// The limits of `update`: what stands in the section `limits`, in either spelling, as JSON.
pub fn limits(text: &str) -> Result<pinfold::LimitsConfig> {
    let options = format!("{{\"limits\":{text}}}");
    let options = pinfold::snake_case_options(&options).map_err(fail)?;
    Ok(pinfold::SandboxConfig::from_options(&options).map_err(fail)?.limits)
}
