//! A terminal of the sandbox's own: what a payload sees, what the host's end sees.

use pinfold::{Command, Ended, ErrorKind, Process, Sandbox, Stdio};
use pinfold_tests::{Leaks, comm, descendants, eventually, in_foreground};
use std::fs::File;
use std::io::{Read, Write};

fn sandbox() -> Sandbox {
    Sandbox::builder().build().expect("the default sandbox")
}

/// The host's end, and what was read from it and not yet looked for.
struct Screen {
    terminal: File,
    text: String,
}

impl Screen {
    fn of(process: &Process) -> Self {
        Self { terminal: process.take_terminal().expect("it has one"), text: String::new() }
    }

    fn typed(&mut self, keys: &[u8]) {
        self.terminal.write_all(keys).expect("it is typed");
    }

    /// Reads on until `wanted` was printed, and returns what came up to it.
    fn until(&mut self, wanted: &str) -> String {
        let mut chunk = [0; 1024];
        loop {
            if let Some(at) = self.text.find(wanted) {
                let rest = self.text.split_off(at + wanted.len());
                return std::mem::replace(&mut self.text, rest);
            }
            match self.terminal.read(&mut chunk) {
                Ok(got) if got > 0 => self.text.push_str(&String::from_utf8_lossy(&chunk[..got])),
                ended => panic!("{ended:?}: {wanted:?} is not in {:?}", self.text),
            }
        }
    }
}

fn in_terminal(command: Command, line: &str) -> (Process, Screen) {
    let process = command.args(["-c", line]).terminal((90, 33)).timeout("30s").spawn().expect(line);
    let screen = Screen::of(&process);
    (process, screen)
}

/// `sleep` runs and has the terminal: control characters are for it.
fn until_asleep() {
    let asleep = |pid: u32| comm(pid) == "sleep" && in_foreground(pid);
    eventually("sleep is in the foreground", || descendants(std::process::id()).into_iter().any(asleep));
}

#[test]
fn a_payload_sees_its_own_terminal() {
    let _leaks = Leaks::watch();
    let session = sandbox().open().expect("it opens");
    let line = "tty; stty size; test -t 0 -a -t 1 -a -t 2 && echo all; ls -l $(tty) | cut -d' ' -f3; echo $TERM; echo > /dev/tty";
    for command in [sandbox().command("sh"), session.command("sh")] {
        let outcome = command.args(["-c", line]).terminal((90, 33)).output().expect("it runs");
        assert!(outcome.success(), "{outcome:?}");
        assert_eq!(outcome.text(), "/dev/pts/0\r\n33 90\r\nall\r\nsandbox\r\nxterm\r\n\r\n");
    }
}

#[test]
fn typing_printing_and_control_characters() {
    let _leaks = Leaks::watch();
    let session = sandbox().open().expect("it opens");
    for command in [sandbox().command("sh"), session.command("sh")] {
        let (process, mut screen) =
            in_terminal(command, "read x; echo got $x; trap 'echo int; exit 9' INT; sleep 1000");
        screen.typed(b"word\n");
        screen.until("got word");
        until_asleep();
        screen.typed(&[3]);
        screen.until("int");
        assert_eq!(process.wait().expect("an outcome").code(), Some(9));
    }
}

#[test]
fn a_new_size_arrives_with_a_signal() {
    let _leaks = Leaks::watch();
    let (process, mut screen) = in_terminal(
        sandbox().command("bash"),
        "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done",
    );
    screen.until("ready");
    process.resize((120, 40)).expect("it has a terminal");
    screen.until("40 120");
    assert!(process.wait().expect("an outcome").success());
}

#[test]
fn an_interactive_shell_controls_jobs() {
    let _leaks = Leaks::watch();
    let session = sandbox().open().expect("it opens");
    let command = session.command("bash").args(["--norc", "-i"]).env("PS1", "prompt> ");
    let process = command.terminal((80, 24)).timeout("30s").spawn().expect("it starts");
    let mut screen = Screen::of(&process);
    let first = screen.until("prompt> ");
    assert!(!first.contains("no job control"), "{first}");
    screen.typed(b"sleep 1000\n");
    until_asleep();
    screen.typed(&[26]);
    screen.until("Stopped");
    screen.until("prompt> ");
    screen.typed(b"fg\n");
    screen.until("sleep 1000");
    // Printed before the shell hands over the terminal and continues the job.
    until_asleep();
    screen.typed(&[3]);
    screen.until("prompt> ");
    screen.typed(b"exit 7\n");
    assert_eq!(process.wait().expect("an outcome").code(), Some(7));
}

#[test]
fn closing_the_hosts_end_hangs_up() {
    let _leaks = Leaks::watch();
    let (process, screen) = in_terminal(sandbox().command("sh"), "trap '' HUP; sleep 1000");
    drop(screen);
    process.kill().expect("it can be killed");
    assert_eq!(process.wait().expect("an outcome").ended(), Ended::Killed);
}

#[test]
fn streams_and_a_terminal_exclude_each_other() {
    let _leaks = Leaks::watch();
    let error = sandbox().command("true").terminal((80, 24)).stdout(Stdio::piped()).output().expect_err("both");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let process = sandbox().command("true").spawn().expect("it starts");
    assert_eq!(process.resize((1, 1)).expect_err("it has none").kind(), ErrorKind::Config);
    assert!(process.take_terminal().is_none());
}
