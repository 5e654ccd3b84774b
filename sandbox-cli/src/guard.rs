//! Owns: `--tty` survived: a process beside this command that puts the terminal back when the command can't any more.
//! Must not: hold anything of the sandbox, or touch a terminal that somebody else has set since.
//! Start at: [`Guard::set`] in the command, [`stand`] in that process.
//!
//! It is this program once more, in a process group of its own, which neither the terminal's signals nor a kill of the
//! command's group reaches. Its input is a socket of the command's; an end of it without a word is the command's death.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

/// The word that makes this program a guard. No subcommand, so that no help or completion speaks of it.
pub const WORD: &str = "__guard-terminal";

/// Both say it: the guard when it knows how the terminal was found, the command when it has put it back itself.
const DONE: &[u8] = b".";

/// The command's end.
pub struct Guard {
    child: Child,
    socket: UnixStream,
}

impl Guard {
    /// Before the terminal at standard input is changed. None: this program can't be started once more, and a command that
    /// is killed leaves the terminal as it was then.
    pub fn set() -> Option<Self> {
        let (mut socket, theirs) = UnixStream::pair().ok()?;
        let terminal = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
        let child = Command::new("/proc/self/exe")
            .arg0("pinfold")
            .arg(WORD)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(terminal))
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .ok()?;
        let mut said = [0; DONE.len()];
        let stands = socket.read_exact(&mut said);
        let guard = Self { child, socket };
        // One that does not stand is waited for here.
        stands.ok().map(|()| guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // One that is gone needs no telling.
        self.socket.write_all(DONE).unwrap_or_default();
        if self.child.wait().is_err() {
            // Somebody else has reaped it: gone as well.
        }
    }
}

/// The guard itself: standard input is the command's socket, standard output the terminal.
pub fn stand() -> std::io::Result<()> {
    // A process in the background that sets its terminal would be stopped; one whose SIGTTOU is blocked is not.
    SigSet::from_iter([Signal::SIGTTOU, Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT]).thread_block()?;
    let (mut command, terminal) = (std::io::stdin(), std::io::stdout());
    let found = tcgetattr(&terminal)?;
    let mut socket = UnixStream::from(command.as_fd().try_clone_to_owned()?);
    socket.write_all(DONE)?;
    let mut said = [0; DONE.len()];
    if command.read_exact(&mut said).is_ok() {
        return Ok(());
    }
    // What is not raw any more is somebody else's by now: a shell's that has noticed.
    let mut raw = found.clone();
    cfmakeraw(&mut raw);
    if tcgetattr(&terminal)? == raw {
        tcsetattr(&terminal, SetArg::TCSADRAIN, &found)?;
    }
    Ok(())
}
