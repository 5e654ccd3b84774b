//! Owns: how an error travels to JavaScript: its report as JSON, which `lib/errors.js` makes a `SandboxError` of.
//! Must not: lose a field.

use napi::bindgen_prelude::*;
use serde::Serialize;

/// For `map_err`.
pub fn fail(error: pinfold::Error) -> Error {
    match serde_json::to_string(error.report()) {
        Ok(report) => Error::from_reason(report),
        Err(unprintable) => Error::from_reason(format!("{error} ({unprintable})")),
    }
}

/// An error of the caller's.
pub fn refused(message: impl Into<String>) -> pinfold::Error {
    pinfold::Error::of_front_end(pinfold::ErrorKind::Config, message, None, None)
}

/// The handle was closed.
pub fn closed(what: &str) -> pinfold::Error {
    pinfold::Error::of_front_end(pinfold::ErrorKind::Closed, format!("this {what} was closed"), None, None)
}

/// A value on its way to JavaScript.
pub fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::from_reason(error.to_string()))
}
