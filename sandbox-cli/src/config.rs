//! Owns: `pinfold config`: check, schema and show.  Must not: know the format; the library does.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use pinfold::{ErrorKind, Result, Sandbox, SandboxConfig};

use crate::{describe, tell};

pub fn config(matches: &ArgMatches) -> Result<u8> {
    match matches.subcommand() {
        Some(("show", matches)) => show(matches),
        Some(("schema", _)) => tell::answer(&SandboxConfig::json_schema()).map(|()| 0),
        Some((_, matches)) => check(matches.get_one::<PathBuf>("file").map_or(Path::new(""), PathBuf::as_path)),
        // clap lets no other through.
        None => Ok(crate::SETUP_FAILED),
    }
}

/// A file is right or wrong wherever it is checked. Whether this machine can do what it asks for is another matter.
fn check(path: &Path) -> Result<u8> {
    match Sandbox::from_path(path) {
        Ok(sandbox) => tell::degradations(sandbox.report()),
        Err(error) if error.kind() == ErrorKind::Config => return Err(error),
        Err(error) => tell::warning(format_args!("the file is right, but can't be used on this machine: {error}")),
    }
    tell::answer(&format!("{}: ok\n", path.display()))?;
    Ok(0)
}

fn show(matches: &ArgMatches) -> Result<u8> {
    let (config, _) = describe::config_with_live(matches)?;
    if matches.get_flag("json") {
        tell::answer(&format!("{}\n", config.to_json()?))?;
    } else {
        tell::answer(&config.to_toml()?)?;
    }
    Ok(0)
}
