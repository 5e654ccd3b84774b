//! Owns: a payload that runs: its streams, waiting for its end, ending it.
//! Must not: start anything.
//! Start at: [`Process`].

mod capture;
mod conclude;
mod group;
mod state;
mod stdio;
mod terminal;
mod turn;
mod watch;

use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};

use crate::cancel::Canceller;
use crate::kept::{KeptRoot, WrittenRoot};
use crate::launch::{GRACE, Home, Kept, Message, Running, until_gone, wait};
use crate::outcome::Outcome;
use crate::settle::Report;
use crate::{Error, ErrorKind, Result, Stage, sys, trace, wire};

pub use group::Samples;
use state::State;
pub use stdio::Stdio;
pub(crate) use stdio::{Opened, open};
pub use terminal::TerminalSize;
use turn::Turn;

/// A payload that was started. Dropping it kills its tree, unlike [`std::process::Child`]: the whole sandbox, or in a
/// [`Session`](crate::Session) the payload and all its descendants.
///
/// All methods take `&self`: one thread may wait while another kills.
#[derive(Debug)]
#[must_use = "dropping a Process kills it"]
pub struct Process {
    /// Shared with the session, if it runs in one.
    running: Arc<Running>,
    kept: Arc<Kept>,
    root: Mutex<Option<Root>>,
    limits: Limits,
    report: Arc<Report>,
    streams: Mutex<Streams>,
    turn: Turn,
    /// Of whoever has the turn.
    state: Mutex<State>,
    /// What came of it: there for everybody, also while somebody waits.
    outcome: Mutex<Option<Outcome>>,
    cancel: Option<Canceller>,
}

/// A root with a writable layer, and whether it is kept for the caller.
#[derive(Debug)]
pub(crate) struct Root {
    pub written: WrittenRoot,
    pub keep: bool,
}

/// What the host itself watches.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub output: u64,
    pub overflow_kills: bool,
    pub wall_time: Option<Duration>,
    pub cpu_time: Option<Duration>,
    /// Each process has an RLIMIT_CPU of it.
    pub cpu_by_rlimit: bool,
    pub memory: Option<u64>,
}

/// The ends of the pipes that nobody has taken.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub stdin: Option<PipeWriter>,
    pub stdout: Option<PipeReader>,
    pub stderr: Option<PipeReader>,
}

/// How long streams are read on after everything inside is dead: only a holder outside of the sandbox keeps them open.
const LINGER: u64 = 50_000_000;

impl Process {
    pub(crate) fn new(
        running: Arc<Running>,
        kept: Arc<Kept>,
        root: Option<Root>,
        limits: Limits,
        report: Arc<Report>,
        streams: Streams,
        cancel: Option<Canceller>,
    ) -> Self {
        let state = State { unproven: running.unproven.is_some(), ..State::default() };
        let (turn, state) = (Turn::default(), Mutex::new(state));
        let (root, streams, outcome) = (Mutex::new(root), Mutex::new(streams), Mutex::default());
        let process = Self { running, kept, root, limits, report, streams, turn, state, outcome, cancel };
        if let Some(printed) = process.printed() {
            process.streams().stdout = Some(printed);
        }
        process
    }

    /// Whether that is known, and not told with its end.
    pub(crate) fn was_executed(&self) -> bool {
        self.running.executed.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outcome(&self) -> MutexGuard<'_, Option<Outcome>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writing end of a piped standard input. Close it (drop it) to let the payload see the end.
    pub fn take_stdin(&self) -> Option<PipeWriter> {
        self.streams().stdin.take()
    }

    /// The reading end of a piped standard output.
    pub fn take_stdout(&self) -> Option<PipeReader> {
        self.streams().stdout.take()
    }

    /// The reading end of a piped standard error.
    pub fn take_stderr(&self) -> Option<PipeReader> {
        self.streams().stderr.take()
    }

    /// Waits for the end of the payload. Pipes that nobody took are drained into the outcome, bounded by
    /// `limits.output`; an untaken standard input is closed.
    ///
    /// # Errors
    /// Kind `lost` when init died before it could tell how the payload ended.
    pub fn wait(&self) -> Result<Outcome> {
        loop {
            if let Some(outcome) = self.wait_until(None)? {
                return Ok(outcome);
            }
        }
    }

    /// Waits for the end and gives the one outcome away: what was captured is not copied.
    pub(crate) fn into_outcome(self) -> Result<Outcome> {
        loop {
            self.ended_by(None)?;
            // It has told everything: dropping it need not kill.
            self.state().abandoned = true;
            if let Some(outcome) = self.outcome().take() {
                return Ok(outcome);
            }
        }
    }

    /// Waits at most `timeout`; `None` when the payload runs on. This does not kill: `limits.wall_time` and
    /// `Command::timeout` do.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<Outcome>> {
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        self.wait_until(Some(sys::monotonic().saturating_add(timeout)))
    }

    /// The outcome, if the payload has ended. Never blocks.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&self) -> Result<Option<Outcome>> {
        self.wait_until(Some(0))
    }

    /// For event loops: takes what has arrived, without blocking. The same as [`try_wait`](Self::try_wait), called when
    /// the [`doorbell`](Self::doorbell) is readable.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn drain(&self) -> Result<Option<Outcome>> {
        self.running.link.hush();
        self.try_wait()
    }

    /// A stream socket on which a byte arrives for every piece of news, and which closes when init ends; for event
    /// loops that watch only streams. Read by [`drain`](Self::drain).
    pub fn doorbell(&self) -> BorrowedFd<'_> {
        // `spawn` makes one; what `output` and `status` start is never handed out.
        self.running.link.doorbell.as_ref().map_or_else(|| AsFd::as_fd(self), AsFd::as_fd)
    }

    /// The payload's pid as seen by this process, if its pidfd still knows it.
    pub fn id(&self) -> Option<u32> {
        let path = format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(self.running.payload.as_ref()?));
        let text = std::fs::read_to_string(path).ok()?;
        let pid = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
        pid.trim().parse().ok().filter(|&pid| pid > 0)
    }

    /// Sends a signal to the payload (not to its descendants). One that has ended already is no error.
    ///
    /// # Errors
    /// The kernel refuses the number (EINVAL) or the right to send (EPERM).
    pub fn signal(&self, signal: i32) -> Result<()> {
        self.running.signal(signal)
    }

    /// Kills the whole sandbox (in a session: the payload's tree); its outcome says `killed`. Returns at once: [`wait`](Self::wait) waits for the end.
    ///
    /// # Errors
    /// The control socket refuses the request.
    pub fn kill(&self) -> Result<()> {
        self.end_with(wire::CAUSE_KILLED)
    }

    /// Kills as [`kill`](Self::kill) does; the outcome says `cancelled`.
    ///
    /// # Errors
    /// The control socket refuses the request.
    pub fn cancel(&self) -> Result<()> {
        self.end_with(wire::CAUSE_CANCELLED)
    }

    /// Kills the whole sandbox; its outcome says `output`. For front ends that relay the streams themselves and count.
    #[doc(hidden)]
    pub fn end_for_output(&self) -> Result<()> {
        self.end_with(wire::CAUSE_OUTPUT)
    }

    /// How many bytes of each stream are kept, and whether more ends the sandbox. For front ends that read the streams
    /// themselves.
    #[doc(hidden)]
    pub fn output_limit(&self) -> (u64, bool) {
        (self.limits.output, self.limits.overflow_kills)
    }

    fn end_with(&self, cause: u32) -> Result<()> {
        self.running.link.send_kill(cause).map_err(|errno| {
            Error::new(ErrorKind::Lost, Stage::Supervise, "could not tell init to end the sandbox")
                .with_errno(errno as i32)
        })?;
        // Without a PID namespace PID 1's end does not take the others along, and what v1 has frozen does not die.
        if let Home::Sandbox(held) = &self.running.home
            && let Some(group) = &held.group
            && (!held.own_pids || group.freezes_by_v1())
        {
            group.kill().map_err(|error| {
                Error::new(ErrorKind::Lost, Stage::Supervise, "could not kill the group")
                    .with_errno(error.raw_os_error().unwrap_or(libc::EIO))
            })?;
        }
        Ok(())
    }

    /// The changed root of a command with [`keep_root`](crate::Command::keep_root), once: after the outcome.
    pub fn take_kept_root(&self) -> Option<KeptRoot> {
        self.outcome().as_ref()?;
        let mut root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        root.take_if(|root| root.keep).map(|root| KeptRoot::new(root.written))
    }

    // -- waiting --------------------------------------------------------------------------------------------------------

    fn wait_until(&self, deadline: Option<u64>) -> Result<Option<Outcome>> {
        Ok(if self.ended_by(deadline)? { self.outcome().clone() } else { None })
    }

    /// Whether the outcome is there, which `deadline` bounds the waiting for.
    fn ended_by(&self, deadline: Option<u64>) -> Result<bool> {
        let Some(_turn) = self.turn.take(deadline) else { return Ok(false) };
        if self.outcome().is_some() {
            return Ok(true);
        }
        let mut state = self.state();
        let mut streams = {
            let mut all = self.streams();
            // Nobody will write any more: a payload that reads its input to the end must see one.
            if deadline != Some(0) {
                drop(all.stdin.take());
            }
            [all.stdout.take(), all.stderr.take()]
        };
        let ended = self.pump(&mut state, &mut streams, deadline);
        if !ended {
            // Untouched pipes go back: the caller may still want to take them.
            let [stdout, stderr] = streams;
            let mut all = self.streams();
            all.stdout = stdout;
            all.stderr = stderr;
            return Ok(false);
        }
        let outcome = self.conclude(&mut state).inspect(trace::ended).inspect_err(trace::failed)?;
        *self.outcome() = Some(outcome);
        Ok(true)
    }

    /// Read records and streams until the end or the deadline. False: the deadline came first.
    fn pump(&self, state: &mut State, streams: &mut [Option<PipeReader>; 2], deadline: Option<u64>) -> bool {
        let mut linger = None;
        // Whoever waits for long is told when there is something to read.
        let mut news = deadline.is_some();
        for (stream, captured) in streams.iter().zip(&mut state.captured) {
            if stream.is_some() {
                captured.begin();
            }
        }
        loop {
            while news && !state.is_over() {
                let Some(message) = self.running.link.control.take() else { break };
                state.take(message);
            }
            let over = state.is_over();
            if over && streams.iter().all(Option::is_none) {
                return true;
            }
            let mut until = deadline.filter(|_| !over);
            if over {
                until = Some(*linger.get_or_insert_with(|| sys::monotonic() + LINGER));
            }
            // A pipe that is ready does not block: one read each, then the records again, so that an endless stream
            // can't hide the end.
            let cancel = self.cancel.as_ref().filter(|_| !over && !state.cancelled);
            let [control, cancelled, ready @ ..] = self.ready(streams, !over, cancel, until);
            news = control;
            if cancelled {
                state.cancelled = true;
                state.lost |= self.end_with(wire::CAUSE_CANCELLED).is_err();
            }
            for ((stream, captured), ready) in streams.iter_mut().zip(&mut state.captured).zip(ready) {
                if let Some(pipe) = stream
                    && ready
                    && captured.read(pipe, self.limits.output)
                {
                    *stream = None;
                }
            }
            if self.limits.overflow_kills && !over && state.captured.iter().any(|captured| captured.truncated) {
                // The keeper repeats the cause in END; a keeper that can't be told is as good as lost.
                state.lost |= self.end_with(wire::CAUSE_OUTPUT).is_err();
            }
            // A limited wait ends also while a stream goes on and on; what the dead have left in a pipe is read first.
            let read_all = !control && ready == [false, false];
            let passed =
                |until: u64| sys::monotonic() >= until && (read_all || !over || sys::monotonic() >= until + GRACE);
            if until.is_some_and(passed) {
                return over;
            }
        }
    }

    /// Which of control socket, canceller, standard output and standard error have something to say. Waits until then.
    fn ready(
        &self,
        streams: &[Option<PipeReader>; 2],
        control: bool,
        cancel: Option<&Canceller>,
        until: Option<u64>,
    ) -> [bool; 4] {
        let fds = [
            control.then(|| self.running.link.control.as_fd()),
            cancel.map(AsFd::as_fd),
            streams[0].as_ref().map(AsFd::as_fd),
            streams[1].as_ref().map(AsFd::as_fd),
        ];
        let mut polled: Vec<PollFd<'_>> = fds.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        if wait(&mut polled, until).is_err() {
            return [false; 4];
        }
        let mut polled = polled.iter();
        fds.map(|fd| fd.is_some() && polled.next().is_some_and(|fd| fd.any().unwrap_or(true)))
    }
}

/// The payload's pidfd: readable when the payload has ended.
impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // What `output` and `status` start may have none, and is never handed out.
        self.running.payload.as_ref().map_or_else(|| self.running.link.control.as_fd(), AsFd::as_fd)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let over = self.outcome().is_some() || self.state().abandoned;
        let held = match &self.running.home {
            Home::Sandbox(held) => held,
            Home::Session(_) => {
                self.leave_session();
                return;
            }
        };
        if over && held.own_pids {
            // It is about to end; the next start reaps it and removes its group.
            if let Ok(keeper) = held.keeper.try_clone() {
                self.kept.leave(keeper, held.group.clone());
                return;
            }
        }
        // A keeper that is gone already needs no telling, and the wait below sees it.
        drop(self.end_with(wire::CAUSE_KILLED));
        if !until_gone(&held.keeper, sys::monotonic() + GRACE)
            && let Ok(keeper) = held.keeper.try_clone()
        {
            self.kept.leave(keeper, held.group.clone());
        }
    }
}

impl Process {
    /// The session goes on: its shepherd is free for the next payload, or ends this one's tree.
    fn leave_session(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        while !state.is_over()
            && let Some(message) = self.running.link.control.take()
        {
            state.take(message);
        }
        match (&state.exit, &state.failure) {
            (Some(exit), _) if exit.free => self.running.give_back(self.running.executed.is_some()),
            // One that was told to give up has a request for that before it.
            (None, Some(failure)) if failure.leaves_a_shepherd() => self.running.give_back(true),
            (Some(_), _) | (_, Some(_)) => {}
            (None, None) if state.end.is_some() || state.lost || state.abandoned => {}
            (None, None) => {
                self.running.link.send_kill(wire::CAUSE_KILLED).unwrap_or_default();
                let deadline = sys::monotonic() + GRACE;
                while let Ok(message) = self.running.link.control.receive(Some(deadline), None) {
                    if matches!(message, Message::End { .. } | Message::Exit { .. } | Message::Fail { .. }) {
                        break;
                    }
                }
            }
        }
    }
}
