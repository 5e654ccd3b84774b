//! Owns: the handles on a sandbox's files and on a root that was kept.
//! Must not: do on the event loop what may take long; keep more than what was asked for.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::SystemTime;

use napi::bindgen_prelude::*;
use napi_derive::napi;
use serde_json::{Value, json};

use crate::aside::{Aside, aside, aside_as};
use crate::fail::{closed, fail};

/// A path, as text or as bytes.
pub type Given = Either<String, Buffer>;

/// How many entries are in one piece of a list, so that reading one is short.
const PIECE: usize = 1000;

pub fn path(given: Given) -> PathBuf {
    match given {
        Either::A(text) => text.into(),
        Either::B(bytes) => OsString::from_vec(bytes.to_vec()).into(),
    }
}

/// A list as JSON, in pieces.
pub fn in_pieces(entries: &[impl serde::Serialize]) -> Result<Vec<String>> {
    entries.chunks(PIECE).map(|piece| crate::fail::json(&piece)).collect()
}

fn status(status: &pinfold::FileStatus) -> Value {
    let modified = match status.modified.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    };
    json!({
        "kind": status.kind.as_str(), "size": status.size, "mode": status.mode,
        "uid": status.uid, "gid": status.gid, "modified_ms": modified * 1000.0,
    })
}

fn entry(entry: &pinfold::FileEntry) -> Value {
    let name = entry.name.to_str().map_or_else(|| json!(entry.name.as_bytes()), |text| json!(text));
    json!({ "name": name, "status": status(&entry.status) })
}

/// The files of a root.
#[napi]
pub struct Files(pinfold::Files);

impl Files {
    pub fn new(files: pinfold::Files) -> Self {
        Self(files)
    }

    fn limited(&self, most: Option<f64>) -> pinfold::Files {
        match most {
            Some(most) => self.0.clone().limit(most as u64),
            None => self.0.clone(),
        }
    }
}

#[napi]
impl Files {
    /// All of a regular file, at most so many bytes.
    #[napi]
    pub fn read(&self, at: Given, most: Option<f64>) -> AsyncTask<Aside<Buffer>> {
        let (files, at) = (self.limited(most), path(at));
        aside(move || files.read(&at).map(Buffer::from).map_err(fail))
    }

    /// Writes a file, at most so many bytes.
    #[napi]
    pub fn write(&self, at: Given, bytes: Buffer, most: Option<f64>) -> AsyncTask<Aside<()>> {
        let (files, at) = (self.limited(most), path(at));
        aside(move || files.write(&at, &bytes).map_err(fail))
    }

    /// Opens a regular file for reading.
    #[napi]
    pub fn reader(&self, at: Given) -> AsyncTask<Aside<File, OpenFile>> {
        let (files, at) = (self.0.clone(), path(at));
        aside_as(move || files.reader(&at).map_err(fail), OpenFile::new)
    }

    /// Opens a file for writing, new or emptied.
    #[napi]
    pub fn writer(&self, at: Given) -> AsyncTask<Aside<File, OpenFile>> {
        let (files, at) = (self.0.clone(), path(at));
        aside_as(move || files.writer(&at).map_err(fail), OpenFile::new)
    }

    /// What is in a directory. JSON, in pieces.
    #[napi]
    pub fn list(&self, at: Given) -> AsyncTask<Aside<Vec<String>>> {
        let (files, at) = (self.0.clone(), path(at));
        aside(move || in_pieces(&files.list(&at).map_err(fail)?.iter().map(entry).collect::<Vec<_>>()))
    }

    /// What is at a path. JSON.
    #[napi]
    pub fn stat(&self, at: Given) -> AsyncTask<Aside<String>> {
        let (files, at) = (self.0.clone(), path(at));
        aside(move || files.stat(&at).map(|found| status(&found).to_string()).map_err(fail))
    }

    /// Makes a directory and the missing ones above it.
    #[napi]
    pub fn mkdir(&self, at: Given) -> AsyncTask<Aside<()>> {
        let (files, at) = (self.0.clone(), path(at));
        aside(move || files.mkdir(&at).map_err(fail))
    }

    /// Removes a file, a link or a tree.
    #[napi]
    pub fn remove(&self, at: Given) -> AsyncTask<Aside<()>> {
        let (files, at) = (self.0.clone(), path(at));
        aside(move || files.remove(&at).map_err(fail))
    }

    /// Copies a file or a tree of the host's into the root. The number of bytes.
    #[napi]
    pub fn copy_in(&self, from: Given, to: Given, most: Option<f64>) -> AsyncTask<Aside<f64>> {
        let (files, from, to) = (self.limited(most), path(from), path(to));
        aside(move || files.copy_in(&from, &to).map(|bytes| bytes as f64).map_err(fail))
    }

    /// Copies a file or a tree out of the root. The number of bytes.
    #[napi]
    pub fn copy_out(&self, from: Given, to: Given, most: Option<f64>) -> AsyncTask<Aside<f64>> {
        let (files, from, to) = (self.limited(most), path(from), path(to));
        aside(move || files.copy_out(&from, &to).map(|bytes| bytes as f64).map_err(fail))
    }
}

/// A file that is open, until it is closed or nobody has it any more.
#[napi]
pub struct OpenFile(Option<File>);

impl OpenFile {
    pub fn new(file: File) -> Self {
        Self(Some(file))
    }
}

#[napi]
impl OpenFile {
    /// Its number, for as long as it is open.
    #[napi(getter)]
    pub fn fd(&self) -> Option<i32> {
        self.0.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Closes it. What it was reported to have written is the kernel's by then.
    #[napi]
    pub fn close(&mut self) {
        self.0 = None;
    }
}

/// The changed root of a sandbox that has ended. It holds the changes until it is closed, also in the middle of a call.
#[napi]
pub struct KeptRoot(RefCell<Option<pinfold::KeptRoot>>);

impl KeptRoot {
    pub fn new(root: pinfold::KeptRoot) -> Self {
        Self(RefCell::new(Some(root)))
    }

    fn get(&self) -> Result<pinfold::KeptRoot> {
        self.0.borrow().clone().ok_or_else(|| fail(closed("kept root")))
    }
}

#[napi]
impl KeptRoot {
    /// The files of the root, as the payload saw them last.
    #[napi]
    pub fn files(&self) -> Result<Files> {
        Ok(Files::new(self.get()?.files()))
    }

    /// What differs from the layers below. JSON, in pieces.
    #[napi]
    pub fn changes(&self) -> Result<AsyncTask<Aside<Vec<String>>>> {
        let root = self.get()?;
        Ok(aside(move || in_pieces(&root.changes().map_err(fail)?)))
    }

    /// Writes the changes as a layer.
    #[napi]
    pub fn commit(&self, directory: Given) -> Result<AsyncTask<Aside<()>>> {
        let (root, directory) = (self.get()?, path(directory));
        Ok(aside(move || root.commit(&directory).map_err(fail)))
    }

    /// Lets go of it.
    #[napi]
    pub fn close(&self) -> AsyncTask<Aside<()>> {
        let mut root = self.0.take();
        aside(move || root.take().map_or(Ok(()), pinfold::KeptRoot::close).map_err(fail))
    }
}
