//! Owns: `pinfold explain`.  Must not: run, bind or open anything of the payload's.

use clap::ArgMatches;
use pinfold::Result;

use crate::{describe, tell};

pub fn explain(matches: &ArgMatches) -> Result<u8> {
    let (sandbox, _) = describe::sandbox(matches)?;
    tell::degradations(sandbox.report());
    let plan = sandbox.explain(&describe::payload(&sandbox, matches))?;
    if matches.get_flag("json") {
        tell::answer_json(&tell::json(&plan.lines())?)?;
    } else {
        tell::answer(&plan.to_string())?;
    }
    Ok(0)
}
