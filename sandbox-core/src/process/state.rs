//! Owns: what the records of init have said so far.
//! Must not: read them, or judge (conclude.rs).

use crate::launch::{Failure, Message, Silence};
use crate::wire::RawUsage;

use super::capture::Capture;

/// What the records have said so far.
#[derive(Debug, Default)]
pub(super) struct State {
    pub exit: Option<Exit>,
    pub end: Option<End>,
    /// Of a tree that was killed.
    pub usage: Option<RawUsage>,
    /// Whether its exec may still fail.
    pub unproven: bool,
    /// Nothing was executed.
    pub failure: Option<Failure>,
    pub lost: bool,
    pub captured: [Capture; 2],
    /// It was told that the caller cancelled it.
    pub cancelled: bool,
    /// It was told to end, and nobody wants to wait for that.
    pub abandoned: bool,
}

#[derive(Debug)]
pub(super) struct Exit {
    pub status: i32,
    pub usage: RawUsage,
    pub time: u64,
    pub complete: bool,
    pub free: bool,
    pub executed: Option<u64>,
}

#[derive(Debug)]
pub(super) struct End {
    pub cause: u32,
    pub time: u64,
    pub executed: Option<u64>,
}

impl State {
    /// Whether everything that can be known is.
    pub fn is_over(&self) -> bool {
        self.end.is_some()
            || self.lost
            || self.failure.is_some()
            || self.exit.as_ref().is_some_and(|exit| exit.complete)
    }

    pub fn take(&mut self, message: Result<Message, Silence>) {
        match message {
            Ok(Message::Exit { status, complete, free, usage, time, executed }) if self.exit.is_none() => {
                self.exit = Some(Exit { status, usage, time, complete, free, executed });
            }
            Ok(Message::Usage { usage, .. }) => match &mut self.exit {
                Some(exit) => {
                    exit.usage = usage;
                    exit.complete = true;
                }
                None => self.usage = Some(usage),
            },
            Ok(Message::End { cause, time, executed }) => self.end = Some(End { cause, time, executed }),
            Ok(Message::Fail { op, errno, present }) if self.unproven && self.exit.is_none() => {
                self.failure = Some(Failure { op, errno, present });
            }
            // Nothing else is said after the exec: whoever says it is not our init.
            Ok(_) | Err(Silence::Closed | Silence::Garbled | Silence::Failed(_)) => self.lost = true,
            Err(Silence::Timeout | Silence::Cancelled) => {}
        }
    }
}
