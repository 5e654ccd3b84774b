//! Owns: the `pinfold` command: from arguments to an exit status.  Must not: know how a sandbox is made; the library does.
//! Start at: [`args::command`], the definitions that help, completions and the man page come from; then [`run::run`].

mod args;
mod attach;
mod config;
mod describe;
mod doctor;
mod explain;
mod guard;
mod pages;
mod relay;
mod report;
mod run;
mod signals;
mod tell;
mod tty;

use std::process::ExitCode;

use clap::ArgMatches;
use pinfold::{ErrorKind, Result};

/// The sandbox could not be set up, or the command line means nothing.
const SETUP_FAILED: u8 = 125;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == guard::WORD) {
        return guard::stand().map_or(ExitCode::from(SETUP_FAILED), |()| ExitCode::SUCCESS);
    }
    let status = match args::command().try_get_matches() {
        Ok(matches) => dispatch(&matches).unwrap_or_else(|error| {
            tell::error(&error);
            exit_status(error.kind())
        }),
        Err(error) => usage(&error),
    };
    ExitCode::from(status)
}

fn dispatch(matches: &ArgMatches) -> Result<u8> {
    match matches.subcommand() {
        Some(("run", matches)) => run::run(matches),
        Some(("exec", matches)) => run::exec(matches),
        Some(("explain", matches)) => explain::explain(matches),
        Some(("doctor", matches)) => doctor::doctor(matches),
        Some(("config", matches)) => config::config(matches),
        Some(("completions", matches)) => pages::completions(matches),
        Some(("man", matches)) => pages::man(matches),
        // clap lets no other through.
        _ => Ok(SETUP_FAILED),
    }
}

fn exit_status(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::ProgramNotFound => 127,
        ErrorKind::NotExecutable => 126,
        _ => SETUP_FAILED,
    }
}

/// Help that was asked for is a success. A wrong command line is an error of ours, which must not look like one of the
/// payload's: clap's own 2 would.
fn usage(error: &clap::Error) -> u8 {
    // Where nobody reads the words, the status still tells.
    let written = error.print();
    if error.use_stderr() || written.is_err() { SETUP_FAILED } else { 0 }
}
