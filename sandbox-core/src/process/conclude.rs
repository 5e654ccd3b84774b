//! Owns: the way from what was said to an [`Outcome`]: why the payload ended, what it used, how long it took.
//! Must not: wait for anything, or guess from an exit status.
//! Start at: [`Process::conclude`].

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::changes::Change;
use crate::launch::{GRACE, Home, Told, until_gone};
use crate::outcome::{Ended, Facts, Outcome, Timings, Usage};
use crate::settle::Report;
use crate::{Error, ErrorKind, Result, Stage, sys, wire};

use super::Process;
use super::state::{Exit, State};

fn is_cancelled(judged: &Result<()>) -> bool {
    judged.as_ref().is_err_and(|error| error.kind() == ErrorKind::Cancelled)
}

impl Process {
    /// Whether its session was closed, and everything inside killed with it.
    fn is_orphan(&self) -> bool {
        matches!(&self.running.home, Home::Session(live) if live.is_closed())
    }

    /// Whether its session has used up the CPU time of all its payloads.
    fn is_of_a_spent_session(&self) -> bool {
        matches!(&self.running.home, Home::Session(live) if live.has_used_its_cpu_time())
    }

    /// From what was said to what is told.
    pub(super) fn conclude(&self, state: &mut State) -> Result<Outcome> {
        let now = sys::monotonic();
        let running = &self.running;
        running.is_over_now();
        let told = [state.exit.as_ref().map(|exit| exit.executed), state.end.as_ref().map(|end| end.executed)];
        let executed = told.into_iter().flatten().fold(running.executed, Option::or);
        if let Some(unproven) = &running.unproven {
            let told = match (state.cancelled, running.link.is_dismissed()) {
                (true, _) => Told::Cancelled,
                (_, true) => Told::Killed,
                _ => Told::Nothing,
            };
            let judged = unproven.verdict(state.failure, told, executed);
            match &running.home {
                // Without a word of the keeper's nothing is known.
                Home::Sandbox(held) => {
                    let ended = state.end.as_ref().filter(|_| executed.is_none());
                    held.was_set_up(judged, ended.map(|end| end.cause))?;
                }
                // It was still to be executed when the session was closed.
                Home::Session(live) if told == Told::Killed && live.is_closed() && is_cancelled(&judged) => {
                    return Err(live.gone());
                }
                Home::Session(_) => judged?,
            }
        }
        let killed_at = state.end.as_ref().map(|end| end.time);
        let (ended, status, usage, over_at) = match (&state.exit, &state.end) {
            (Some(exit), _) => {
                let usage = Usage::from_rusage(&exit.usage).or(self.group_usage());
                (self.why(exit, &usage), Some(exit.status), usage, exit.time)
            }
            (None, Some(end)) => {
                let ended = match end.cause {
                    wire::CAUSE_CPU_TIME => Ended::CpuTime,
                    // With `oom_group` PID 1 goes too.
                    wire::CAUSE_NONE if self.running.oom_kills() > Some(0) => Ended::Memory,
                    wire::CAUSE_WALL_TIME => Ended::WallTime,
                    wire::CAUSE_CANCELLED => Ended::Cancelled,
                    wire::CAUSE_OUTPUT => Ended::Output,
                    wire::CAUSE_KILLED => Ended::Killed,
                    // PID 1 was killed from outside and its namespace with it.
                    _ => Ended::Killed,
                };
                let usage = state.usage.as_ref().map(Usage::from_rusage).unwrap_or_default().or(self.group_usage());
                (ended, None, usage, end.time)
            }
            (None, None) if self.running.oom_kills() > Some(0) => (Ended::Memory, None, self.group_usage(), now),
            (None, None) if self.is_orphan() || running.is_killed_with_all() => {
                (Ended::Killed, None, self.group_usage(), now)
            }
            (None, None) if self.is_of_a_spent_session() => (Ended::CpuTime, None, self.group_usage(), now),
            (None, None) => {
                return Err(Error::new(
                    ErrorKind::Lost,
                    Stage::Supervise,
                    "init died before it could tell how the payload ended",
                )
                .with_hint("something killed it: the out-of-memory killer or an operator"));
            }
        };
        let executed = executed.unwrap_or(over_at);
        let span = |from: u64, to: u64| Duration::from_nanos(to.saturating_sub(from));
        let limit = match ended {
            Ended::WallTime => self.limits.wall_time.map(|time| format!("{time:?}")),
            Ended::CpuTime => self.limits.cpu_time.map(|time| format!("{time:?}")),
            Ended::Memory => self.limits.memory.map(|bytes| format!("{bytes} bytes")),
            Ended::Output => Some(format!("{} bytes", self.limits.output)),
            _ => None,
        };
        let mut report = Arc::clone(&self.report);
        let changes = self.changes(&mut report);
        let [stdout, stderr] = &mut state.captured;
        Ok(Outcome::new(Facts {
            ended,
            status,
            usage,
            timings: Timings {
                setup: span(running.called, executed),
                payload: span(executed, over_at),
                teardown: span(killed_at.unwrap_or(over_at), now),
            },
            duration: span(running.called, now),
            report,
            stdout: stdout.finish(),
            stderr: stderr.finish(),
            limit,
            changes,
        }))
    }

    /// Of a payload that ended by itself: RLIMIT_CPU, where it stands for `limits.cpu_time`, ends with SIGXCPU, and one
    /// second later with SIGKILL. The counter decides, not the signal.
    ///
    /// SIGKILL that nobody of us has sent, in a group where the out-of-memory killer was: that is `memory`.
    fn why(&self, exit: &Exit, usage: &Usage) -> Ended {
        if !libc::WIFSIGNALED(exit.status) {
            return Ended::Exited;
        }
        if libc::WTERMSIG(exit.status) == libc::SIGKILL && self.running.was_taken_for_memory() {
            return Ended::Memory;
        }
        // RLIMIT_CPU goes by sampled ticks, which run ahead of the exact time under load (0.8 s told for 1 s counted).
        let share = match libc::WTERMSIG(exit.status) {
            libc::SIGXCPU => 0.5,
            libc::SIGKILL => 1.0,
            _ => return Ended::Signaled,
        };
        let used = usage.cpu_user.unwrap_or(0.0) + usage.cpu_system.unwrap_or(0.0);
        match self.limits.cpu_time.filter(|_| self.limits.cpu_by_rlimit) {
            Some(limit) if used >= limit.as_secs_f64() * share => Ended::CpuTime,
            _ => Ended::Signaled,
        }
    }

    /// What was changed, listed before the root goes, and what the report says if that was not possible.
    fn changes(&self, report: &mut Arc<Report>) -> Option<Vec<Change>> {
        let mut kept = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        let root = kept.as_ref()?;
        if let (true, Home::Sandbox(held)) = (root.written.is_claimed(), &self.running.home) {
            // Whoever uses the directory next must find it unmounted.
            until_gone(&held.keeper, sys::monotonic() + GRACE);
        }
        let listed = root.written.changes();
        kept.take_if(|root| !root.keep);
        listed.map_err(|error| Arc::make_mut(report).degraded("changes", "listed", "unknown", &error.to_string())).ok()
    }
}
