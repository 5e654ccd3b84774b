//! Owns: `--report`: one JSON file, there as a whole or not at all.  Must not: decide what is in it.
//! Start at: [`Destination`].

use std::fs::{File, OpenOptions};
use std::io::{Error as IoError, ErrorKind as Io, Result as IoResult, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use pinfold::{Error, Result};
use serde_json::Value;

use crate::tell;

/// Where the report goes.
#[derive(Debug)]
pub struct Destination(PathBuf);

impl Destination {
    /// What can't work is refused before anything runs.
    pub fn new(path: &Path) -> Result<Self> {
        if path.as_os_str() == "-" {
            let hint = "stdout belongs to the payload: name a file, or an fd as in --report /dev/fd/3 3>report.json";
            return Err(tell::refused("--report -: the report can't go to standard output", hint));
        }
        let refused = |error: IoError| tell::failed(format!("cannot write the report {}", path.display()), &error);
        if path.is_dir() {
            return Err(refused(Errno::EISDIR.into()));
        }
        if !directory(path).metadata().map_err(refused)?.is_dir() {
            return Err(refused(Errno::ENOTDIR.into()));
        }
        Ok(Self(path.to_owned()))
    }

    /// `{"version": 1}` with these fields.
    pub fn write(&self, fields: Value) -> Result<()> {
        let mut report = serde_json::Map::new();
        report.insert("version".to_owned(), 1.into());
        if let Value::Object(fields) = fields {
            report.extend(fields);
        }
        let text = format!("{:#}\n", Value::Object(report));
        self.put(text.as_bytes()).map_err(|error| self.failed(&error))
    }

    fn put(&self, bytes: &[u8]) -> IoResult<()> {
        match self.0.symlink_metadata() {
            Ok(found) if found.is_file() => self.replace(bytes),
            // A pipe, a device, an fd by its path: there is nothing to put in its place.
            Ok(_) => OpenOptions::new().write(true).truncate(true).open(&self.0)?.write_all(bytes),
            Err(_) => self.replace(bytes),
        }
    }

    /// Written beside it and renamed, so that nobody ever reads half of it.
    fn replace(&self, bytes: &[u8]) -> IoResult<()> {
        let (mut file, beside) = self.beside()?;
        let done = file.write_all(bytes).and_then(|()| std::fs::rename(&beside, &self.0));
        if done.is_err() {
            // The first error is the one to tell.
            drop(std::fs::remove_file(&beside));
        }
        done
    }

    fn beside(&self) -> IoResult<(File, PathBuf)> {
        for attempt in 0..100_u32 {
            let name = format!(".pinfold-report.{}.{attempt}", std::process::id());
            let path = directory(&self.0).join(name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == Io::AlreadyExists => {}
                opened => return opened.map(|file| (file, path)),
            }
        }
        Err(Io::AlreadyExists.into())
    }

    fn failed(&self, error: &IoError) -> Error {
        tell::failed(format!("could not write the report {}", self.0.display()), error)
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
