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

    fn aside<T: Send + ToNapiValue + TypeName + 'static>(
        &self,
        work: impl Fn(&pinfold::Session) -> pinfold::Result<T> + Send + 'static,
    ) -> AsyncTask<Aside<T>> {
        let session = Arc::clone(&self.0);
        aside(move || work(&session).map_err(fail))
    }
}

#[napi]
impl Session {
    /// Starts a payload. Returns when it was executed.
    #[napi]
    pub fn spawn(&self, payload: Payload) -> Result<Process> {
        let command = payload.command(self.0.sandbox(), |program| self.0.command(program))?;
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
    pub fn kill_all(&self) -> AsyncTask<Aside<()>> {
        self.aside(pinfold::Session::kill_all)
    }

    /// What was used until now. JSON.
    #[napi]
    pub fn usage(&self) -> AsyncTask<Aside<String>> {
        let session = Arc::clone(&self.0);
        aside(move || json(&session.usage().map_err(fail)?))
    }

    /// Stops every process inside.
    #[napi]
    pub fn freeze(&self) -> AsyncTask<Aside<()>> {
        self.aside(pinfold::Session::freeze)
    }

    /// Lets every process go on.
    #[napi]
    pub fn thaw(&self) -> AsyncTask<Aside<()>> {
        self.aside(pinfold::Session::thaw)
    }

    /// Changes limits. JSON.
    #[napi]
    pub fn update(&self, limits: String) -> Result<AsyncTask<Aside<()>>> {
        let limits = payload::limits(&limits)?;
        Ok(self.aside(move |session| session.update(&limits)))
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
        let directory = path(directory);
        self.aside(move |session| session.commit(&directory))
    }

    /// Kills everything inside, and ends.
    #[napi]
    pub fn close(&self) -> AsyncTask<Aside<()>> {
        self.aside(|session| {
            session.close();
            Ok(())
        })
    }
}
