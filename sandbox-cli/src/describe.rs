//! Owns: from options to a config, a sandbox and a payload.  Must not: start anything.
//! Start at: [`sandbox`].

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgMatches;
use pinfold::{Command, Document, Result, SHORTHANDS, Sandbox, SandboxBuilder, SandboxConfig};

use crate::attach::Live;

/// What `extends` < the file < `--set` < flags say together.
fn config(matches: &ArgMatches) -> Result<SandboxConfig> {
    let mut document = match matches.get_one::<PathBuf>("config") {
        Some(path) => Document::from_path(path)?,
        None => Document::new(),
    };
    for assignment in matches.get_many::<String>("set").into_iter().flatten() {
        document.set(assignment)?;
    }
    let mut builder = SandboxBuilder::from(document);
    for (name, text) in flags(matches) {
        builder = builder.shorthand(name, text);
    }
    builder.into_config()
}

/// The shorthands that were given, in the order of the command line: mounts lie above each other in that order.
fn flags(matches: &ArgMatches) -> impl Iterator<Item = (&'static str, &String)> {
    let mut given: Vec<(usize, &'static str, &String)> = Vec::new();
    // Not every command has every shorthand.
    for shorthand in SHORTHANDS.iter().filter(|shorthand| matches.try_contains_id(shorthand.name).is_ok()) {
        let values = matches.get_many::<String>(shorthand.name).into_iter().flatten();
        let places = matches.indices_of(shorthand.name).into_iter().flatten();
        given.extend(places.zip(values).map(|(place, text)| (place, shorthand.name, text)));
    }
    given.sort_by_key(|(place, ..)| *place);
    given.into_iter().map(|(_, name, text)| (name, text))
}

/// What it takes to enter a process, with `--set` and flags over it.
fn entering(matches: &ArgMatches) -> Result<SandboxConfig> {
    // clap lets no command line without it through.
    let pid = matches.get_one::<u32>("pid").copied().unwrap_or_default();
    let mut builder = SandboxBuilder::from(pinfold::enter(pid)?);
    for assignment in matches.get_many::<String>("set").into_iter().flatten() {
        builder = builder.set(assignment);
    }
    for (name, text) in flags(matches) {
        builder = builder.shorthand(name, text);
    }
    builder.into_config()
}

/// The sandbox of a payload that enters a process, and what to attach to it.
pub fn entered(matches: &ArgMatches) -> Result<(Sandbox, Live)> {
    let mut config = entering(matches)?;
    let live = Live::read(matches)?;
    live.declare(&mut config)?;
    Ok((Sandbox::from_config(config)?, live))
}

/// The config with the fds that `--fd` and `--listen` add to it, and what to attach to the payload.
pub fn config_with_live(matches: &ArgMatches) -> Result<(SandboxConfig, Live)> {
    let mut config = config(matches)?;
    let live = Live::read(matches)?;
    live.declare(&mut config)?;
    Ok((config, live))
}

/// The sandbox, and what to attach to its payload.
pub fn sandbox(matches: &ArgMatches) -> Result<(Sandbox, Live)> {
    let (config, live) = config_with_live(matches)?;
    Ok((Sandbox::from_config(config)?, live))
}

/// The payload, with nothing attached yet.
pub fn payload(sandbox: &Sandbox, matches: &ArgMatches) -> Command {
    let mut words = matches.get_many::<OsString>("command").into_iter().flatten();
    // clap lets no command line without a program through.
    let program = words.next().cloned().unwrap_or_default();
    sandbox.command(program).args(words)
}
