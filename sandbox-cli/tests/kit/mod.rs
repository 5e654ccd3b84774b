//! Owns: what the tests of the command share: the built binary, as this user and as uid 1000, in a directory of its own.
#![allow(dead_code, reason = "no test program uses all of it")]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// A directory for one test, and the command in it.
pub struct Kit {
    pub dir: TempDir,
    /// Run as uid 1000 instead of as whoever runs the tests.
    other: Option<PathBuf>,
}

impl Kit {
    /// As whoever runs the tests.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("pinfold-cli-").tempdir().expect("a temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("chmod");
        Self { dir, other: None }
    }

    /// As every user that can be had: this one, and uid 1000 where this one is root.
    pub fn each(test: impl Fn(&Self)) {
        test(&Self::new());
        if nix::unistd::geteuid().is_root() {
            let mut kit = Self::new();
            let copy = kit.dir.path().join("pinfold");
            pinfold_tests::copy_program(Path::new(env!("CARGO_BIN_EXE_pinfold")), &copy);
            kit.other = Some(copy);
            test(&kit);
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// A file that can be executed.
    pub fn program(&self, name: &str, text: &str) {
        let text = self.write(&format!("{name}.text"), text);
        pinfold_tests::copy_program(&text, &self.path(name));
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).expect("JSON")
    }

    /// `pinfold` with these arguments, to be changed further.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        // The tests themselves may run under nohup(1) or in the background of a script, where these are ignored.
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP,INT,QUIT,TERM");
        match &self.other {
            None => command.arg(env!("CARGO_BIN_EXE_pinfold")),
            Some(copy) => command.args(["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]).arg(copy),
        };
        command
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .env_remove("COLUMNS")
            .env_remove("PINFOLD_INIT");
        command
    }

    /// Runs it to its end.
    pub fn pinfold<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        Ended::from(self.command(args).output().expect("pinfold can be started"))
    }

    /// `pinfold run -- sh -c SCRIPT`.
    pub fn sh(&self, script: &str) -> Ended {
        self.pinfold(["run", "--", "sh", "-c", script])
    }

    /// Starts it and waits until it has written a line, which is not kept.
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Started {
        let mut command = self.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pinfold can be started");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        if line != "ready\n" {
            child.kill().expect("kill");
            panic!("{line:?} instead of \"ready\": {:?}", child.wait_with_output());
        }
        Started { child, stdout }
    }
}

/// What it said and how it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ended {
    #[track_caller]
    pub fn with(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    /// Status 0 and a silent stderr.
    #[track_caller]
    pub fn well(self) -> Self {
        assert_eq!((self.status, self.stderr.as_str()), (Some(0), ""), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in {self:#?}");
        self
    }

    #[track_caller]
    pub fn silent(self) -> Self {
        assert_eq!(self.stdout, "", "{self:#?}");
        self
    }
}

/// One that runs.
pub struct Started {
    pub child: Child,
    pub stdout: BufReader<std::process::ChildStdout>,
}

impl Started {
    /// Sends a signal and waits until it was taken: two of a kind that wait are one.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        nix::sys::signal::kill(Pid::from_raw(pid), signal).expect("kill");
        let taken = || !pinfold_tests::is_pending(self.child.id(), signal as i32);
        pinfold_tests::eventually("the signal is taken", taken);
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line
    }

    /// Its end, which comes soon.
    pub fn end(mut self) -> Ended {
        let begun = Instant::now();
        while self.child.try_wait().expect("wait").is_none() {
            if begun.elapsed() > pinfold_tests::patience() {
                self.child.kill().expect("kill");
                let mut said = Vec::new();
                self.stdout.read_to_end(&mut said).expect("stdout");
                let said = String::from_utf8_lossy(&said);
                panic!("pinfold runs on. It said {said:?} and {:?}", self.child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut stdout = Vec::new();
        self.stdout.read_to_end(&mut stdout).expect("stdout");
        let mut output = self.child.wait_with_output().expect("wait");
        output.stdout = stdout;
        output.into()
    }
}

/// The names in a directory, sorted.
pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("a directory")
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into())
        .collect();
    names.sort();
    names
}
