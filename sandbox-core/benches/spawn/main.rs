//! How long does it take to start and end a program in a sandbox, and how close is that to what the kernel allows?
//!
//! Owns: the order of the whole run. Must not: measure (`serve`), decide what is measured (`plan`) or print tables (`report`).
//! Start at: [`run`]. How to read the result: README.md beside this folder.

mod args;
mod cases;
mod host;
mod measure;
mod pinfold_case;
mod plan;
mod report;
mod serve;
mod workshop;

use std::process::ExitCode;

use args::{Args, Invocation};
use workshop::Workshop;

type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let done = match args::parse(std::env::args().skip(1)) {
        Ok(Invocation::Bench(args)) => run(&args),
        Ok(Invocation::Serve(job)) => cases::serve(&job),
        Ok(Invocation::Say(text)) => {
            println!("{text}");
            Ok(())
        }
        Err(message) => Err(format!("{message}\n\n{}", args::HELP)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let workshop = Workshop::open(args.peers)?;
    let groups = plan::groups(args, &workshop);
    report::head(args);
    let mut results = Vec::with_capacity(groups.len());
    for group in groups {
        let result = measure::group(group)?;
        report::group(&result);
        results.push(result);
    }
    let findings = report::findings(&results);
    report::print_findings(&findings);
    if let Some(path) = &args.json {
        std::fs::write(path, report::json(&results, &findings)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    workshop.close()
}
