//! Owns: `pinfold doctor`: what this machine can do, and the one active probe: a default sandbox that runs `true`.
//! Must not: know what the facts mean; the library does.

use clap::ArgMatches;
use pinfold::{Error, HostCaps, Outcome, Result, Sandbox, findings};
use serde_json::json;

use crate::tell;

/// The default sandbox does not work here.
const UNFIT: u8 = 1;

pub fn doctor(matches: &ArgMatches) -> Result<u8> {
    let host = HostCaps::probe();
    let trial = trial();
    let fit = matches!(&trial, Ok(outcome) if outcome.success());
    if matches.get_flag("json") {
        let found = host.as_ref().map(findings).unwrap_or_default();
        let sandbox = match &trial {
            Ok(outcome) => json!({ "ok": outcome.success(), "outcome": tell::json(outcome)? }),
            Err(error) => json!({ "ok": false, "error": tell::json(error.report())? }),
        };
        let host = host.as_ref().map_or(Ok(serde_json::Value::Null), tell::json)?;
        tell::answer_json(&json!({
            "version": 1,
            "host": host,
            "findings": tell::json(&found)?,
            "default_sandbox": sandbox,
        }))?;
    } else {
        tell::answer(&text(host.as_ref(), &trial))?;
    }
    Ok(if fit { 0 } else { UNFIT })
}

/// The default sandbox, tried.
fn trial() -> Result<Outcome> {
    Sandbox::builder().timeout("10s").build()?.command("true").output()
}

fn text(host: Result<&HostCaps, &Error>, trial: &Result<Outcome>) -> String {
    let mut text = String::from("This machine\n");
    match host {
        Ok(host) => {
            text.extend(host.to_string().lines().map(|line| format!("  {line}\n")));
            text.push_str("\nWhat it can do\n");
            for finding in findings(host) {
                text.extend(finding.to_string().lines().map(|line| format!("  {line}\n")));
            }
        }
        Err(error) => text.push_str(&format!("  error: {error}\n")),
    }
    text.push_str("\nThe default sandbox, tried with `true`\n");
    match trial {
        Ok(outcome) if outcome.success() => {
            text.push_str(&format!("  works: {} in {:?}\n", outcome.detail(), outcome.duration()));
        }
        Ok(outcome) => text.push_str(&format!("  does not work: {}\n", outcome.detail())),
        Err(error) => {
            text.push_str("  does not work:\n");
            text.extend(error.to_string().lines().map(|line| format!("  {line}\n")));
        }
    }
    text
}
