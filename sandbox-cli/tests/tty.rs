//! `--tty`, driven through tmux as a person would: prompt, sizes, Ctrl-C, Ctrl-Z, the end, and the terminal afterwards.

mod kit;

use std::cell::Cell;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use kit::Kit;
use pinfold_tests::{comm, in_foreground};

/// A terminal of 80x24 with a shell in it, on a tmux server of its own.
struct Screen {
    socket: String,
    /// How many shells were started inside: each has a prompt of its own, for what an earlier one printed is still there.
    shells: Cell<u32>,
}

impl Screen {
    fn open(directory: &Path) -> Self {
        let socket = directory.join("tmux").display().to_string();
        let screen = Self { socket, shells: Cell::new(0) };
        let environment = ["env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", "TERM=screen", "PS1=outer> ", "sh"];
        let mut command = screen.command(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24"]);
        let output = command.args(environment).current_dir(directory).output().expect("tmux runs");
        assert!(output.status.success(), "{output:?}");
        screen.until("outer>");
        screen
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-S", &self.socket]).args(args).env_remove("TMUX").stdin(Stdio::null());
        command
    }

    fn tmux(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("tmux runs")
    }

    fn line(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
        self.tmux(&["send-keys", "Enter"]);
    }

    fn key(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p", "-S", "-200"]).stdout).into_owned()
    }

    #[track_caller]
    fn until(&self, wanted: &str) {
        self.eventually(&format!("{wanted:?} appears"), || self.text().contains(wanted));
    }

    #[track_caller]
    fn eventually(&self, what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + pinfold_tests::patience();
        while !done() {
            let told = || self.below().into_iter().map(|pid| (pid, comm(pid))).collect::<Vec<_>>();
            assert!(
                Instant::now() < end,
                "not in time: {what}. Below the shell: {:?}. Screen:\n{}",
                told(),
                self.text()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `pinfold run --tty -- bash`, up to its prompt. Its status is printed when it has ended.
    fn shell(&self) {
        let program = env!("CARGO_BIN_EXE_pinfold");
        let number = self.shells.replace(self.shells.get() + 1);
        self.line(&format!(
            "{program} run --tty --env \"PS1=in${{x}}ner-{number}> \" -- bash --norc; echo status-$?-{number}"
        ));
        self.until(&format!("inner-{number}>"));
    }

    /// Every process of this terminal, and of the one inside.
    fn below(&self) -> Vec<u32> {
        let shell = String::from_utf8_lossy(&self.tmux(&["display-message", "-p", "#{pane_pid}"]).stdout).into_owned();
        pinfold_tests::descendants(shell.trim().parse().expect("a pid"))
    }

    /// The command that runs in this terminal.
    fn running(&self) -> Option<u32> {
        self.below().into_iter().find(|pid| comm(*pid) == "pinfold")
    }

    /// `sleep` runs inside and has the terminal: until then control characters are the shell's.
    fn until_asleep(&self) {
        let asleep = |pid: u32| comm(pid) == "sleep" && in_foreground(pid);
        self.eventually("sleep is in the foreground", || self.below().into_iter().any(asleep));
    }

    #[track_caller]
    fn gone(&self) {
        self.eventually("the command ends", || self.running().is_none());
    }

    /// The command has ended, and the shell knows: what is typed from now on is for the shell.
    #[track_caller]
    fn ended(&self, status: i32) {
        self.gone();
        self.until(&format!("status-{status}-{}", self.shells.get() - 1));
    }

    fn signal(&self, signal: &str) {
        let command = self.running().expect("it runs there");
        let sent = Command::new("kill").args([format!("-{signal}"), command.to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// The terminal is as it was: it echoes, edits lines, and Ctrl-C is a signal.
    #[track_caller]
    fn is_restored(&self, mark: &str) {
        // A text of its own, whatever it is printed beside: the prompt may come late.
        let settings = "stty -a | tr ' ' '\\n' | grep -cxE 'icanon|echo|isig|opost'";
        self.line(&format!("echo {mark}-$({settings})-$((40 + 2))"));
        self.until(&format!("{mark}-4-42"));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn an_interactive_shell() {
    let kit = Kit::new();
    let screen = Screen::open(kit.dir.path());
    screen.shell();
    screen.line("stty size; echo $TERM; id -un");
    screen.until("24 80\nscreen\nsandbox");
    // A new size arrives inside.
    screen.tmux(&["set-option", "-g", "window-size", "manual"]);
    screen.tmux(&["resize-window", "-x", "101", "-y", "31"]);
    screen.line("until [ \"$(stty size)\" = '31 101' ]; do sleep 0.05; done; echo size-$((6 * 7))");
    screen.until("size-42");
    // Control characters are for what runs inside.
    screen.line("sleep 1001");
    screen.until_asleep();
    screen.key("C-c");
    screen.line("echo status-$?");
    screen.until("status-130");
    screen.line("sleep 1002");
    screen.until_asleep();
    screen.key("C-z");
    screen.until("Stopped");
    // `wait` does not wait for what is still known as stopped, and then the first `exit` would be refused.
    screen.line("kill %1; fg 2> /dev/null; echo jobs-$((6 * 7))");
    screen.until("jobs-42");
    screen.line("exit 7");
    screen.ended(7);
    screen.is_restored("end");
}

#[test]
fn the_terminal_is_put_back_whatever_ends_the_shell() {
    let kit = Kit::new();
    let screen = Screen::open(kit.dir.path());
    // The payload crashes.
    screen.shell();
    screen.line("stty raw -echo; kill -SEGV $$");
    screen.ended(139);
    screen.is_restored("crash");
    // The command is asked to go, in every way that can be caught, or dies. An interactive shell ignores TERM and leaves
    // upon HUP.
    for (signal, status) in [("TERM", 9), ("HUP", 129), ("ALRM", 130), ("XCPU", 130), ("KILL", 137)] {
        screen.shell();
        if signal == "TERM" {
            // Not at its prompt, where it heeds what is trapped when the next line was typed.
            screen.line("trap 'exit 9' TERM; echo set-$((40 + 2)); while :; do sleep 0.1; done");
            screen.until("set-42");
        }
        screen.signal(signal);
        screen.ended(status);
        screen.is_restored(signal);
    }
}

#[test]
fn stopped_from_outside_it_goes_on_where_it_was() {
    let kit = Kit::new();
    let screen = Screen::open(kit.dir.path());
    screen.shell();
    screen.signal("TSTP");
    screen.until("Stopped");
    screen.is_restored("stopped");
    screen.line("fg");
    screen.eventually("it goes on", || screen.running().is_some_and(in_foreground));
    // The payload's own terminal, and what is typed arrives there again.
    screen.line("tty; echo again-$((40 + 2))");
    screen.until("/dev/pts/0\nagain-42");
    screen.line("exit 7");
    // The list of commands went on when its first one was stopped.
    screen.gone();
    screen.line("echo left-$?");
    screen.until("left-7");
    screen.is_restored("end");
}

#[test]
fn without_a_terminal_the_input_is_typed() {
    let kit = Kit::new();
    let mut command = kit.command(["run", "--tty", "--", "sh", "-c", "read x; echo got $x; cat; exit 4"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), b"a\nb\n").expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("got a\r\n") && text.contains("b\r\n"), "{text}");
}

#[test]
fn a_config_gives_a_terminal_as_well() {
    let kit = Kit::new();
    let mut command =
        kit.command(["run", "--set", "process.terminal=true", "--", "sh", "-c", "tty; read x; echo got $x; exit 4"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), b"a\n").expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("/dev/pts/0\r\n") && text.contains("got a\r\n"), "{text}");
}

#[test]
fn a_terminal_and_counted_output_exclude_each_other() {
    let kit = Kit::new();
    let output = kit.command(["run", "--tty", "--output", "1M", "--", "true"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--tty"), "{output:?}");
}
