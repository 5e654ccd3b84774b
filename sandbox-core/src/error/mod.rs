//! Owns: the one public error type, its closed set of kinds, and the serialisable report every front end shows.
//! Must not: know how any stage works; it only carries what a stage says.
//! Start at: [`Error`], then [`ErrorReport`].

mod hint;
mod problems;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use hint::{HintContext, hint_for};
pub use problems::{Problem, Problems};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Nothing ran, or Pinfold's own part of the work was lost.
///
/// An `Error` is the host's or the caller's fault; how a payload ended is an [`Outcome`](crate::Outcome), never an
/// error. The type is opaque and one pointer wide; everything it knows is in its [`report`](Error::report).
#[derive(Clone)]
pub struct Error(Box<ErrorReport>);

/// What went wrong, as a closed set. The strings are the same in Rust, Python, Node and the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration or a call's arguments can't mean anything. Exit status 125.
    Config,
    /// The host lacks something that was asked for, and `compat.prefer` does not name it. Exit status 125.
    Unsupported,
    /// A step of the set-up was refused by the kernel. Exit status 125.
    Setup,
    /// The program does not exist inside the sandbox. Exit status 127.
    ProgramNotFound,
    /// The program exists inside the sandbox and can't be executed. Exit status 126.
    NotExecutable,
    /// The deadline passed before the payload was started. Exit status 125.
    Timeout,
    /// The caller cancelled, or killed everything in the session, before the payload was started. Exit status 125.
    Cancelled,
    /// Reading or writing files of a sandbox failed. Exit status 125.
    Files,
    /// The handle was closed before. Exit status 125.
    Closed,
    /// Init died after the payload was started, so that its fate is unknown. Exit status 125.
    Lost,
}

impl ErrorKind {
    /// The stable name, as it stands in reports (`program_not_found`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Unsupported => "unsupported",
            Self::Setup => "setup",
            Self::ProgramNotFound => "program_not_found",
            Self::NotExecutable => "not_executable",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Files => "files",
            Self::Closed => "closed",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which stage of the life of a sandbox an error comes from (ARCHITECTURE.md draws them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Text to config.
    Parse,
    /// Config to spec.
    Validate,
    /// Finding out what the host can do.
    Probe,
    /// Spec and host to what will be enforced.
    Settle,
    /// Settled to plan.
    Compile,
    /// Carrying out the plan.
    Launch,
    /// From the payload's exec to its end.
    Supervise,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parse => "parse",
            Self::Validate => "validate",
            Self::Probe => "probe",
            Self::Settle => "settle",
            Self::Compile => "compile",
            Self::Launch => "launch",
            Self::Supervise => "supervise",
        })
    }
}

/// Which operation of the plan failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// The number of the operation as `explain` prints it, counted from 1.
    pub number: usize,
    /// How many operations the plan has.
    pub of: usize,
    /// The operation in words, as `explain` prints it.
    pub what: String,
}

/// Everything an [`Error`] knows, as plain data. The same fields in every language and in `--report`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorReport {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The stage that failed.
    pub stage: Stage,
    /// The failed operation of the plan, if one was reached.
    pub step: Option<Step>,
    /// The config key the failed part came from (`mounts[2].target`), or `default`.
    pub origin: Option<String>,
    /// Where that key was written (`job.toml:14`), if in a text. For people: not part of the JSON.
    #[serde(skip)]
    pub place: Option<String>,
    /// What it was done to: a path, a program, a key.
    pub subject: Option<String>,
    /// The kernel's error number.
    pub errno: Option<i32>,
    /// The kernel's error name (`EACCES`).
    pub errno_name: Option<String>,
    /// One sentence: what was tried, on what, what came back.
    pub message: String,
    /// One sentence: what to do.
    pub hint: Option<String>,
    /// Every problem of a config at once; empty for other kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, stage: Stage, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorReport {
            kind,
            stage,
            step: None,
            origin: None,
            place: None,
            subject: None,
            errno: None,
            errno_name: None,
            message: message.into(),
            hint: None,
            problems: Vec::new(),
        }))
    }

    /// For front ends (command line, bindings): an error of their own, in the form that all errors have.
    #[doc(hidden)]
    pub fn of_front_end(kind: ErrorKind, message: impl Into<String>, errno: Option<i32>, hint: Option<&str>) -> Self {
        let mut error = Self::new(kind, if kind == ErrorKind::Config { Stage::Parse } else { Stage::Launch }, message);
        if let Some(errno) = errno {
            error = error.with_errno(errno);
        }
        if let Some(hint) = hint {
            error = error.with_hint(hint);
        }
        error
    }

    /// A refusal at settling: the host lacks what `origin` asks for.
    pub(crate) fn unsupported(origin: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, Stage::Settle, message).with_origin(origin)
    }

    /// A failed system call on the host's side of a launch.
    pub(crate) fn launch(message: impl Into<String>, errno: i32) -> Self {
        Self::new(ErrorKind::Setup, Stage::Launch, message).with_errno(errno)
    }

    pub(crate) fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.0.origin = Some(origin.into());
        self
    }

    pub(crate) fn with_place(mut self, place: impl Into<String>) -> Self {
        self.0.place = Some(place.into());
        self
    }

    pub(crate) fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.0.subject = Some(subject.into());
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_step(mut self, step: Step) -> Self {
        self.0.step = Some(step);
        self
    }

    pub(crate) fn with_errno(mut self, errno: i32) -> Self {
        self.0.errno = Some(errno);
        self.0.errno_name = Some(errno_name(errno));
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The kernel's error number, if a system call failed.
    pub fn errno(&self) -> Option<i32> {
        self.0.errno
    }

    /// The advice, if there is any.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Everything this error knows.
    pub fn report(&self) -> &ErrorReport {
        &self.0
    }
}

/// `EACCES` for 13. Unknown numbers print as `errno 4095`.
pub(crate) fn errno_name(errno: i32) -> String {
    match nix::errno::Errno::from_raw(errno) {
        nix::errno::Errno::UnknownErrno => format!("errno {errno}"),
        known => format!("{known:?}"),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &*self.0;
        f.write_str(&report.message)?;
        for problem in &report.problems {
            write!(f, "\n  {problem}")?;
        }
        if let Some(step) = &report.step {
            write!(f, "\n  step    {} of {}, {}", step.number, step.of, step.what)?;
        }
        // A problem names its own key.
        if let Some(origin) = report.origin.as_ref().filter(|_| report.step.is_some() || report.problems.is_empty()) {
            write!(f, "\n  from    {origin}")?;
            if let Some(place) = &report.place {
                write!(f, " ({place})")?;
            }
        }
        if let (Some(errno), Some(name)) = (report.errno, &report.errno_name) {
            write!(f, "\n  kernel  {name}   {}", nix::errno::Errno::from_raw(errno).desc())?;
        }
        // A problem has its own key and hint, which are those of the error if it is the only one.
        if let (Some(hint), []) = (&report.hint, &*report.problems) {
            // Further sentences stand below the first.
            write!(f, "\n  hint    {}", hint.replace('\n', "\n          "))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        let (stage, problems) = problems.into_sorted();
        let mut error = Self::new(
            ErrorKind::Config,
            stage,
            match problems.len() {
                1 => "the configuration has a problem".to_owned(),
                n => format!("the configuration has {n} problems"),
            },
        );
        if let [only] = problems.as_slice() {
            error.0.origin = Some(only.key.clone());
            error.0.hint.clone_from(&only.hint);
        }
        error.0.problems = problems;
        error
    }
}
