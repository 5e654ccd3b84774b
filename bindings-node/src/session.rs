//! Owns: the handle on a live sandbox.  Must not: know what runs in it.

use std::sync::Arc;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::aside::{Aside, aside};
use crate::fail::{fail, json};
use crate::files::{Files, Given, in_pieces, path};
use crate::payload::{self, Payload};
use crate::process::Process;

/// A live sandbox. It is closed when the handle goes.
#[napi]
pub struct Session(Arc<pinfold::Session>);

impl Session {
    pub fn new(session: pinfold::Session) -> Self {
        Self(Arc::new(session))
    }
}

#[napi]
impl Session {
    /// Starts a payload. Returns when it was executed.
    #[napi]
    pub fn spawn(&self, payload: Payload) -> Result<Process> {
        let command = payload.command(|program| self.0.command(program))?;
        command.spawn().map(|process| Process::new(process, false)).map_err(fail)
    }

    /// What is enforced, and what was weakened. JSON.
    #[napi(getter)]
    pub fn report(&self) -> Result<String> {
        json(self.0.report())
    }

    /// Whether it was closed.
    #[napi(getter)]
    pub fn closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends a signal to every payload that runs.
    #[napi]
    pub fn signal(&self, number: i32) -> Result<()> {
        self.0.signal(number).map_err(fail)
    }

    /// Kills everything inside. The session stays.
    #[napi]
    pub fn kill_all(&self) -> Result<()> {
        self.0.kill_all().map_err(fail)
    }

    /// What was used until now. JSON.
    #[napi]
    pub fn usage(&self) -> Result<String> {
        json(&self.0.usage().map_err(fail)?)
    }

    /// Stops every process inside.
    #[napi]
    pub fn freeze(&self) -> Result<()> {
        self.0.freeze().map_err(fail)
    }

    /// Lets every process go on.
    #[napi]
    pub fn thaw(&self) -> Result<()> {
        self.0.thaw().map_err(fail)
    }

    /// Changes limits. JSON.
    #[napi]
    pub fn update(&self, limits: String) -> Result<()> {
        self.0.update(&payload::limits(&limits)?).map_err(fail)
    }

    /// The files inside, as payloads see them.
    #[napi]
    pub fn files(&self) -> Result<Files> {
        self.0.files().map(Files::new).map_err(fail)
    }

    /// What differs from the layers below until now. JSON, in pieces.
    #[napi]
    pub fn changes(&self) -> AsyncTask<Aside<Vec<String>>> {
        let session = Arc::clone(&self.0);
        aside(move || in_pieces(&session.changes().map_err(fail)?))
    }

    /// Writes the changes until now as a layer.
    #[napi]
    pub fn commit(&self, directory: Given) -> AsyncTask<Aside<()>> {
        let (session, directory) = (Arc::clone(&self.0), path(directory));
        aside(move || session.commit(&directory).map_err(fail))
    }

    /// Kills everything inside, and ends.
    #[napi]
    pub fn close(&self) -> AsyncTask<Aside<()>> {
        let session = Arc::clone(&self.0);
        aside(move || {
            session.close();
            Ok(())
        })
    }
}
