//! Owns: that one thread at a time waits for init.
//! Must not: know what is waited for.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::sys;

/// One thread at a time waits for init; the others wait for their turn, each no longer than it said.
#[derive(Debug, Default)]
pub(super) struct Turn {
    state: Mutex<TurnState>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct TurnState {
    taken: bool,
    /// How many wait for it: to wake nobody is a call of the kernel, too.
    waiting: usize,
}

/// Given back when it is dropped.
pub(super) struct Taken<'a>(&'a Turn);

impl Turn {
    /// None: `deadline` (CLOCK_MONOTONIC nanoseconds) passed while another thread had the turn.
    pub fn take(&self, deadline: Option<u64>) -> Option<Taken<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.taken {
            let left = deadline.map(|deadline| Duration::from_nanos(deadline.saturating_sub(sys::monotonic())));
            if left == Some(Duration::ZERO) {
                return None;
            }
            state.waiting += 1;
            state = match left {
                None => self.free.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.free.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            state.waiting -= 1;
        }
        state.taken = true;
        Some(Taken(self))
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.taken = false;
        if state.waiting > 0 {
            self.0.free.notify_all();
        }
    }
}
