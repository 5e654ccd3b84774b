//! Owns: completions and man pages, from the same definitions as the command line.

use std::path::PathBuf;

use clap::ArgMatches;
use clap_complete::Shell;
use pinfold::Result;

use crate::{args, tell};

pub fn completions(matches: &ArgMatches) -> Result<u8> {
    let mut script = Vec::new();
    if let Some(shell) = matches.get_one::<Shell>("shell") {
        clap_complete::generate(*shell, &mut args::command(), "pinfold", &mut script);
    }
    tell::answer(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

pub fn man(matches: &ArgMatches) -> Result<u8> {
    match matches.get_one::<PathBuf>("directory") {
        Some(directory) => {
            let failed = |error| tell::failed(format!("could not write man pages to {}", directory.display()), &error);
            clap_mangen::generate_to(args::command(), directory).map_err(failed)?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(args::command())
                .render(&mut page)
                .map_err(|error| tell::failed("could not make the man page", &error))?;
            tell::answer(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(0)
}
