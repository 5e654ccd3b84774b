//! Owns: what this command says itself: errors, warnings and notes on stderr, answers on stdout.
//! Must not: print anything on stdout while a payload may; stdout is the payload's.

use std::fmt::Display;
use std::io::{ErrorKind as Io, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pinfold::{ChangeKind, Error, ErrorKind, Outcome, Report, Result};

/// What died of SIGPIPE has this status in a shell.
const BROKEN_PIPE: i32 = 128 + 13;

/// The form of DESIGN.md, section 7.
pub fn error(error: &Error) {
    say("error:", "31", error);
}

pub fn warning(message: impl Display) {
    say("warning:", "33", message);
}

/// One line about the payload.
pub fn note(message: impl Display) {
    say("pinfold:", "", message);
}

/// Everything that is weaker than asked for.
pub fn degradations(report: &Report) {
    for weaker in &report.degradations {
        let (feature, wanted, got, because) = (&weaker.feature, &weaker.wanted, &weaker.got, &weaker.because);
        warning(format_args!("{feature} = {wanted} is weaker here: {got}, because {because}"));
    }
}

/// One line for each change of the payload's.
pub fn changes(outcome: &Outcome) {
    let Some(changes) = outcome.changes() else {
        return warning("the changes could not be listed; the report says why");
    };
    let mut lines = String::new();
    for change in changes {
        let letter = match change.change {
            ChangeKind::Added => 'A',
            ChangeKind::Deleted => 'D',
            _ if change.replaced => 'R',
            _ if change.metadata_only => 'm',
            _ => 'M',
        };
        lines.push(letter);
        lines.push(' ');
        lines.push_str(&printable(&change.path));
        lines.push('\n');
    }
    // As in `say`.
    drop(std::io::stderr().lock().write_all(lines.as_bytes()));
}

/// A name that the payload chose must not talk to the terminal.
fn printable(path: &Path) -> String {
    match path.to_str() {
        Some(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => path.as_os_str().as_bytes().escape_ascii().to_string(),
    }
}

fn say(label: &str, colour: &str, message: impl Display) {
    let mut stderr = std::io::stderr().lock();
    let line = if !colour.is_empty() && coloured(&stderr) {
        format!("\x1b[1;{colour}m{label}\x1b[0m {message}\n")
    } else {
        format!("{label} {message}\n")
    };
    // Where stderr is closed or full there is nobody to tell; the exit status still says it.
    drop(stderr.write_all(line.as_bytes()));
}

/// no-color.org, and terminals that know none.
fn coloured(stream: &impl IsTerminal) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// An answer on stdout. A reader that has seen enough (`| head`) ends this process as SIGPIPE would, without a word;
/// nothing is running then.
pub fn answer(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == Io::BrokenPipe => std::process::exit(BROKEN_PIPE),
        Err(error) => Err(failed("could not write to standard output", &error)),
    }
}

/// JSON, for people too.
pub fn answer_json(value: &serde_json::Value) -> Result<()> {
    answer(&format!("{value:#}\n"))
}

/// A value of the library's as JSON.
pub fn json<T>(value: &T) -> Result<serde_json::Value>
where
    T: serde::Serialize + ?Sized,
{
    serde_json::to_value(value)
        .map_err(|error| Error::of_front_end(ErrorKind::Setup, format!("could not write JSON: {error}"), None, None))
}

/// A system call of ours that failed.
pub fn failed(what: impl Into<String>, error: &std::io::Error) -> Error {
    Error::of_front_end(ErrorKind::Setup, what, error.raw_os_error(), None)
}

/// An argument that means nothing.
pub fn refused(message: impl Into<String>, hint: &str) -> Error {
    Error::of_front_end(ErrorKind::Config, message, None, Some(hint))
}
