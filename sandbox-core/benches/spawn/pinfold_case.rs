//! Owns: Pinfold, in process, as an embedder uses it. Must not: set anything that is not in the default sandbox, but limits where they are measured.

use std::path::Path;

use std::sync::Arc;

use pinfold::{Command, Outcome, Pool, Sandbox, SandboxBuilder, Session, Stdio};

use crate::Result;

fn in_sandbox(dir: &Path) -> pinfold::Result<Sandbox> {
    Sandbox::builder().ro_bind(dir.join("program"), "/bench").build()
}

fn one_more(session: &Session) -> pinfold::Result<Outcome> {
    session.command("/bench/true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
}

fn well(outcome: pinfold::Result<Outcome>) -> Result<()> {
    let outcome = outcome.map_err(|e| e.to_string())?;
    if outcome.success() { Ok(()) } else { Err(outcome.detail().to_owned()) }
}

/// One more payload in a session that is open.
pub fn in_session(dir: &Path) -> Result<(String, impl FnMut() -> Result<()> + use<>)> {
    let session = in_sandbox(dir).and_then(|sandbox| sandbox.open()).map_err(|e| e.to_string())?;
    Ok(("one session, one payload after another".to_owned(), move || well(one_more(&session))))
}

/// A pool, for the first payload in each of its sandboxes.
pub fn pool(dir: &Path) -> Result<Arc<Pool>> {
    in_sandbox(dir).and_then(|sandbox| Pool::new(&sandbox, 2)).map(Arc::new).map_err(|e| e.to_string())
}

/// What is not measured.
pub fn fill(pool: &Pool) -> Result<()> {
    pool.fill().map_err(|e| e.to_string())
}

pub fn from_pool(pool: &Pool) -> Result<()> {
    well(pool.run(one_more))
}

/// Start, wait for the end; all three streams are null.
pub fn started(dir: &Path, binds: usize) -> Result<(String, impl FnMut() -> Result<()> + use<>)> {
    prepared(Sandbox::builder(), dir, binds, silent)
}

/// The same with limits of memory, processes and CPUs.
pub fn limited(dir: &Path, binds: usize) -> Result<(String, impl FnMut() -> Result<()> + use<>)> {
    prepared(Sandbox::builder().memory("256MiB").pids(64).cpus(1.0), dir, binds, silent)
}

fn silent(command: Command) -> pinfold::Result<Outcome> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
}

/// `output()`: the same, and both streams captured.
pub fn captured(dir: &Path, binds: usize) -> Result<(String, impl FnMut() -> Result<()> + use<>)> {
    prepared(Sandbox::builder(), dir, binds, Command::output)
}

/// The default sandbox, the directory of the program, and as many read-only binds more. Checked once, started often.
fn prepared<Run>(
    builder: SandboxBuilder,
    dir: &Path,
    binds: usize,
    run: Run,
) -> Result<(String, impl FnMut() -> Result<()> + use<Run>)>
where
    Run: Fn(Command) -> pinfold::Result<Outcome>,
{
    let mut builder = builder.ro_bind(dir.join("program"), "/bench");
    for number in 0..binds {
        builder = builder.ro_bind(dir.join("binds").join(number.to_string()), format!("/binds/{number}"));
    }
    let sandbox = builder.build().map_err(|e| e.to_string())?;
    let enforced = &sandbox.report().enforced;
    let of = |key: &str| enforced.get(key).map_or("-", String::as_str);
    let mut note = format!("{}, Landlock {}", of("rootfs"), of("security.landlock"));
    if enforced.contains_key("limits.memory") {
        note = format!(
            "{note}, memory by {}, pids by {}, cpus by {}",
            of("limits.memory"),
            of("limits.pids"),
            of("limits.cpus")
        );
    }
    let once = move || well(run(sandbox.command("/bench/true")));
    Ok((note, once))
}
