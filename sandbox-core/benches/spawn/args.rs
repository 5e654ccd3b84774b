//! Owns: what was asked for on the command line. Must not: act on it.

use std::path::PathBuf;

use crate::Result;
use crate::cases::{Job, Kind};
use crate::measure::Rhythm;

pub const HELP: &str = "\
cargo bench -p pinfold --bench spawn -- [OPTIONS]

  --quick         a fifth of the starts: for a look, not for a claim
  --pin           only pinned to one CPU (the figures to compare between machines and versions)
  --free          only unpinned
  --only TEXT     only the rows whose \"group: case\" contains TEXT; may be repeated
  --peers         also build and measure the crate hakoniwa (needs the registry)
  --json FILE     write all figures to FILE
  --help          this text";

pub struct Args {
    pub quick: bool,
    pub pinned: bool,
    pub free: bool,
    pub only: Vec<String>,
    pub peers: bool,
    pub json: Option<PathBuf>,
}

pub enum Invocation {
    Bench(Args),
    /// One of our own processes: measure this on request.
    Serve(Job),
    Say(&'static str),
}

impl Args {
    pub fn wants(&self, group: &str, case: &str) -> bool {
        let row = format!("{group}: {case}");
        self.only.is_empty() || self.only.iter().any(|text| row.contains(text.as_str()))
    }

    /// How often and how densely a group of rows is measured. The first round warms up and is not counted.
    pub fn rhythm(&self, pause_us: u32) -> Rhythm {
        let (rounds, block) = match (pause_us, self.quick) {
            // Short blocks: what else a machine does comes and goes within a second, and is to hit all rows alike.
            (0, false) => (61, 10),
            (0, true) => (8, 10),
            (_, false) => (17, 6),
            (_, true) => (4, 4),
        };
        Rhythm { rounds, block, pause_us }
    }
}

pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Invocation> {
    let mut args = Args { quick: false, pinned: true, free: true, only: Vec::new(), peers: false, json: None };
    let mut asked = false;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            // What `cargo bench` adds. Without it we were started by `cargo test --all-targets`, which wants no figures.
            "--bench" => asked = true,
            "--quick" => args.quick = true,
            "--pin" => args.free = false,
            "--free" => args.pinned = false,
            "--only" => args.only.push(value()?),
            "--peers" => args.peers = true,
            "--json" => args.json = Some(value()?.into()),
            "--serve" => return job(words).map(Invocation::Serve),
            "--help" | "-h" => return Ok(Invocation::Say(HELP)),
            _ => return Err(format!("unknown option {word}")),
        }
    }
    match (asked, args.pinned || args.free) {
        (false, _) => Ok(Invocation::Say("not run: this is a benchmark; use cargo bench, or add --bench")),
        (true, false) => Err("--pin and --free exclude each other".to_owned()),
        (true, true) => Ok(Invocation::Bench(args)),
    }
}

/// `KIND DIR MEMORY_MIB THREADS BINDS`, as [`Job::words`] writes it.
fn job(mut words: impl Iterator<Item = String>) -> Result<Job> {
    let mut next = || words.next().ok_or_else(|| "--serve needs KIND DIR MEMORY_MIB THREADS BINDS".to_owned());
    let kind = Kind::from_name(&next()?)?;
    let dir = PathBuf::from(next()?);
    let mut number = || next()?.parse::<usize>().map_err(|e| e.to_string());
    Ok(Job { kind, dir, memory_mib: number()?, threads: number()?, binds: number()? })
}
