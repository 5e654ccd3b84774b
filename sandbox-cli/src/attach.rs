//! Owns: `--fd` and `--listen`: open files of this process that the payload gets.
//! Must not: decide where they are inside, except for those that the config does not mention.
//! Start at: [`Live`].

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use pinfold::{Command, Error, ErrorKind, FdConfig, Result, SandboxConfig};
use serde_json::Value;

use crate::tell;

/// What `--fd` and `--listen` ask for. Nothing is open yet.
#[derive(Debug, Default)]
pub struct Live {
    fds: Vec<(String, i32)>,
    listen: Vec<(String, Address)>,
}

#[derive(Debug)]
enum Address {
    Tcp(String),
    Unix(PathBuf),
}

impl Live {
    pub fn read(matches: &ArgMatches) -> Result<Self> {
        let mut live = Self::default();
        let given = |option| matches.get_many::<String>(option).into_iter().flatten();
        for text in given("fd") {
            let (name, number) = named("--fd", text, "--fd log=5")?;
            let number = number.parse().map_err(|_| {
                tell::refused(format!("--fd {text}: {number:?} is not the number of an fd"), "write --fd log=5")
            })?;
            live.fds.push((name, number));
        }
        for text in given("listen") {
            let (name, address) = named("--listen", text, "--listen http=127.0.0.1:8080")?;
            live.listen.push((name, Address::read(address)));
        }
        live.once_each()?;
        Ok(live)
    }

    fn once_each(&self) -> Result<()> {
        let mut names: Vec<&String> = self.fds.iter().map(|(name, _)| name).collect();
        names.extend(self.listen.iter().map(|(name, _)| name));
        names.sort();
        match names.windows(2).find(|pair| pair.first() == pair.last()) {
            Some(pair) => Err(tell::refused(format!("{pair:?} is attached twice"), "give each fd a name of its own")),
            None => Ok(()),
        }
    }

    /// Declares what the config does not mention: fds under their own numbers, sockets as systemd passes them.
    pub fn declare(&self, config: &mut SandboxConfig) -> Result<()> {
        if self.fds.is_empty() && self.listen.is_empty() {
            return Ok(());
        }
        let mut known: Vec<String> = config.fds.iter().filter_map(|fd| fd.name.clone()).collect();
        mentioned(&tell::json(config)?, &mut known);
        for (name, number) in self.fds.iter().filter(|(name, _)| !known.contains(name)) {
            let target = u32::try_from(*number).map_err(|_| {
                tell::refused(format!("--fd {name}={number}: fds are not negative"), "write --fd log=5")
            })?;
            config.fds.push(FdConfig::number(name, target));
        }
        let sockets = self.listen.iter().filter(|(name, _)| !known.contains(name));
        config.fds.extend(sockets.map(|(name, _)| FdConfig::socket_activation(name)));
        Ok(())
    }

    /// Opens everything. The files of unix sockets go when what is returned goes.
    pub fn attach(&self, mut command: Command) -> Result<(Command, Vec<SocketFile>)> {
        for (name, number) in &self.fds {
            if !was_handed_over(*number) {
                let hint = "the shell opens one with `5>log.txt` behind the command";
                let message = format!("--fd {name}={number}: this command was started without an open fd {number}");
                return Err(tell::refused(message, hint));
            }
            command = command.fd_number(name, *number);
        }
        let mut files = Vec::new();
        for (name, address) in &self.listen {
            let (socket, file) = address.listen().map_err(|error| address.refusal(name, &error))?;
            files.extend(file);
            command = command.fd(name, socket);
        }
        Ok((command, files))
    }
}

fn named<'a>(option: &str, text: &'a str, example: &str) -> Result<(String, &'a str)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name.to_owned(), value)),
        _ => Err(tell::refused(format!("{option} {text}: must be NAME=VALUE"), &format!("write {example}"))),
    }
}

/// Names of fds wherever a config refers to one: `{ fd = "name" }` as the source of a mount or a namespace to join.
fn mentioned(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(table) => {
            if let Some(Value::String(name)) = table.get("fd") {
                names.push(name.clone());
            }
            table.values().for_each(|value| mentioned(value, names));
        }
        Value::Array(list) => list.iter().for_each(|value| mentioned(value, names)),
        _ => {}
    }
}

/// Whether an fd came from whoever started this command. Our own ones all close at exec, and those that came can't: they
/// have just come through one.
fn was_handed_over(number: i32) -> bool {
    const O_CLOEXEC: u32 = 0o2_000_000;
    std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"))
        .ok()
        .and_then(|text| {
            let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?.trim();
            u32::from_str_radix(flags, 8).ok()
        })
        .is_some_and(|flags| flags & O_CLOEXEC == 0)
}

impl Address {
    /// A path has a slash, or `unix:` in front; everything else is an address with a port.
    fn read(text: &str) -> Self {
        match text.strip_prefix("unix:") {
            Some(path) => Self::Unix(path.into()),
            None if text.contains('/') => Self::Unix(text.into()),
            None => Self::Tcp(text.to_owned()),
        }
    }

    fn listen(&self) -> std::io::Result<(OwnedFd, Option<SocketFile>)> {
        match self {
            Self::Tcp(address) => Ok((TcpListener::bind(address)?.into(), None)),
            Self::Unix(path) => {
                let socket = UnixListener::bind(path)?;
                let file = SocketFile::made(path);
                Ok((socket.into(), file))
            }
        }
    }

    fn refusal(&self, name: &str, error: &std::io::Error) -> Error {
        let (place, hint) = match (self, error.kind()) {
            (Self::Tcp(address), std::io::ErrorKind::InvalidInput) => (
                address.clone(),
                Some("write HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080, or the path of a unix socket"),
            ),
            (Self::Tcp(address), _) => (address.clone(), None),
            (Self::Unix(path), std::io::ErrorKind::AddrInUse) => (
                path.display().to_string(),
                Some("something is there already: remove it if nobody listens on it any more"),
            ),
            (Self::Unix(path), _) => (path.display().to_string(), None),
        };
        let kind = match error.raw_os_error() {
            Some(_) => ErrorKind::Setup,
            None => ErrorKind::Config,
        };
        let why = if error.raw_os_error().is_none() { format!(": {error}") } else { String::new() };
        Error::of_front_end(kind, format!("--listen {name}: cannot listen on {place}{why}"), error.raw_os_error(), hint)
    }
}

/// The file of a unix socket that we made, removed with it, unless somebody has put another there.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    fn made(path: &Path) -> Option<Self> {
        let id = identity(path)?;
        Some(Self { path: path.to_owned(), id })
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|found| (found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path) == Some(self.id) {
            // Gone already is as good.
            drop(std::fs::remove_file(&self.path));
        }
    }
}
