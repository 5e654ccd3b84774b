//! Owns: the handle on a checked sandbox.  Must not: know what is in its config.

use napi::bindgen_prelude::*;
use napi_derive::napi;
use pinfold::{CallOptions, SandboxConfig, snake_case_options};
use serde_json::{Map, Value};

use crate::fail::{closed, fail, json};
use crate::payload::Payload;
use crate::process::Process;
use crate::session::Session;

/// A checked sandbox.
#[napi(custom_finalize)]
pub struct Sandbox(Option<pinfold::Sandbox>);

/// What the garbage collector is told that a sandbox weighs: the fds and the mounts that its starts share are nothing that
/// it sees by itself.
const WEIGHT: i64 = 1 << 20;

#[napi]
impl Sandbox {
    /// From options in either spelling, as JSON.
    #[napi(factory)]
    pub fn from_options(env: Env, options: String) -> Result<Self> {
        Self::above(env, &SandboxConfig::default(), &options)
    }

    /// From a file, TOML or JSON by its name.
    #[napi(factory)]
    pub fn from_file(env: Env, path: String) -> Result<Self> {
        let sandbox = pinfold::Sandbox::from_path(path).map_err(fail)?;
        Self::new(env, sandbox)
    }

    /// Another sandbox: this one's config with options above it.
    #[napi]
    pub fn with_options(&self, env: Env, options: String) -> Result<Self> {
        Self::above(env, self.get()?.config(), &options)
    }

    /// What the config says, and nothing of what it does not: null would unset. JSON.
    #[napi(getter)]
    pub fn config(&self) -> Result<String> {
        self.get()?.config().to_json().map_err(fail)
    }

    /// What will be enforced, and what was weakened. JSON.
    #[napi(getter)]
    pub fn report(&self) -> Result<String> {
        json(self.get()?.report())
    }

    /// What would be done, as it is printed.
    #[napi]
    pub fn explain(&self, payload: Payload) -> Result<String> {
        let sandbox = self.get()?;
        let command = payload.command(sandbox, |program| sandbox.command(program))?;
        sandbox.explain(&command).map(|plan| plan.to_string()).map_err(fail)
    }

    /// Starts a payload in a fresh sandbox. Returns when it was executed.
    #[napi]
    pub fn spawn(&self, payload: Payload) -> Result<Process> {
        let sandbox = self.get()?;
        let command = payload.command(sandbox, |program| sandbox.command(program))?;
        let lists_changes = sandbox.config().rootfs.overlay.is_some();
        command.spawn().map(|process| Process::new(process, lists_changes)).map_err(fail)
    }

    /// Sets a sandbox up that stays, for many payloads.
    #[napi]
    pub fn open(&self) -> Result<Session> {
        self.get()?.open().map(Session::new).map_err(fail)
    }

    /// Gives back what its starts share, without waiting for the garbage collector. Its processes go on.
    #[napi]
    pub fn close(&mut self) {
        self.0 = None;
    }
}

impl Sandbox {
    fn new(env: Env, sandbox: pinfold::Sandbox) -> Result<Self> {
        env.adjust_external_memory(WEIGHT)?;
        Ok(Self(Some(sandbox)))
    }

    fn above(env: Env, config: &SandboxConfig, options: &str) -> Result<Self> {
        let options = snake_case_options(options).map_err(fail)?;
        let config = config.with_options(&options).map_err(fail)?;
        let sandbox = pinfold::Sandbox::from_config(config).map_err(fail)?;
        Self::new(env, sandbox)
    }

    fn get(&self) -> Result<&pinfold::Sandbox> {
        self.0.as_ref().ok_or_else(|| fail(closed("sandbox")))
    }
}

impl ObjectFinalize for Sandbox {
    fn finalize(self, env: Env) -> Result<()> {
        env.adjust_external_memory(-WEIGHT).map(drop)
    }
}

/// The options of a call, rewritten in the config's spelling. JSON.
#[napi]
pub fn call_options(options: String) -> Result<String> {
    snake_case_options(&options).map_err(fail)
}

/// Options of `run` and `spawn` without a sandbox, parted: first those that describe the sandbox, then those that only a
/// call has. JSON.
#[napi]
pub fn part_options(options: String) -> Result<Vec<String>> {
    let options = snake_case_options(&options).map_err(fail)?;
    let all: Map<String, Value> =
        serde_json::from_str(&options).map_err(|error| Error::from_reason(error.to_string()))?;
    let of_a_sandbox = |name: &str| {
        SandboxConfig::section_names().contains(&name) || pinfold::SHORTHANDS.iter().any(|short| short.name == name)
    };
    let (call, sandbox): (Map<_, _>, Map<_, _>) =
        all.into_iter().partition(|(name, _)| CallOptions::names().contains(&name.as_str()) && !of_a_sandbox(name));
    Ok(vec![json(&sandbox)?, json(&call)?])
}
