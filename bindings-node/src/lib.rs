//! Owns: the native part of the Node module: sandboxes and processes as handles, values as JSON, streams as fds.
//! Must not: be used but by `lib/` beside it; know any option; wait, except for a start and `doctor`, on the event loop; start a
//! thread.
//! Start at: [`Sandbox`], then [`Process`].

mod aside;
mod fail;
pub mod files;
mod payload;
mod process;
pub mod sandbox;
mod session;

use std::os::fd::IntoRawFd;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use fail::{fail, json};

/// What this host can do: the facts, what they mean in words, and whether a default sandbox runs `true`. JSON.
#[napi]
pub fn doctor() -> Result<String> {
    let host = pinfold::HostCaps::probe().map_err(fail)?;
    let findings = pinfold::findings(&host);
    let (ok, error) = match trial() {
        Ok(outcome) => (outcome.success(), None),
        Err(error) => (false, Some(error)),
    };
    let error = error.as_ref().map(pinfold::Error::report);
    json(&serde_json::json!({ "host": host, "findings": findings, "ok": ok, "error": error }))
}

/// The default sandbox, tried.
fn trial() -> pinfold::Result<pinfold::Outcome> {
    pinfold::Sandbox::builder().timeout("10s").build()?.command("true").output()
}

/// The number of bytes that a size means (`"64MiB"`).
#[napi]
pub fn parse_size(text: String) -> Result<f64> {
    let bytes = pinfold::Bytes::from(text).get();
    bytes.map(|bytes| bytes as f64).map_err(|error| fail(fail::refused(error.to_string())))
}

/// A pipe: the fds of its reading and its writing end, close-on-exec. They are the caller's.
#[napi]
pub fn pipe() -> Result<Vec<i32>> {
    let (reader, writer) = std::io::pipe().map_err(|error| Error::from_reason(error.to_string()))?;
    Ok(vec![reader.into_raw_fd(), writer.into_raw_fd()])
}
