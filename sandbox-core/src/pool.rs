//! Owns: sandboxes that are set up before they are needed.  Must not: start a payload itself, or have a thread.
//! Start at: [`Pool`].

use std::borrow::Borrow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::{Error, ErrorKind, Result, Stage};

/// Sandboxes that are open already, so that the next payload costs a spawn and no set-up. Each is used once.
///
/// A pool has no thread. What was taken is replaced by [`fill`](Self::fill), which a host calls when it has time, usually after it
/// has answered. A pool that has none left opens one on the spot, so that forgetting to fill costs time and nothing else.
///
/// ```
/// use pinfold::{Pool, Sandbox};
///
/// let pool = Pool::new(&Sandbox::builder().build()?, 2)?;
/// let outcome = pool.run(|session| session.command("echo").arg("hi").output())?;
/// assert_eq!(outcome.text(), "hi\n");
/// pool.fill()?;
/// assert_eq!(pool.stats().ready, 2);
/// # Ok::<(), pinfold::Error>(())
/// ```
#[derive(Debug)]
pub struct Pool {
    sandbox: Sandbox,
    size: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ready: Vec<Session>,
    /// How many are being opened.
    coming: usize,
    closed: bool,
    taken: u64,
    missed: u64,
    lost: u64,
}

/// What a pool has and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolStats {
    /// How many it keeps ready when it is full.
    pub size: usize,
    /// How many are ready now.
    pub ready: usize,
    /// How many were taken so far.
    pub taken: u64,
    /// How many of these were opened on the spot, because none was ready.
    pub missed: u64,
    /// How many ended while they waited, and were thrown away.
    pub lost: u64,
}

/// A pool may hold at most so many: each is four processes' worth of kernel memory, and nobody takes them all at once.
const MOST: usize = 1024;

impl Pool {
    /// Opens `size` sandboxes, 1 to 1024.
    ///
    /// # Errors
    /// Kind `config` for any other size; otherwise as [`Sandbox::open`].
    pub fn new(sandbox: impl Borrow<Sandbox>, size: usize) -> Result<Self> {
        if !(1..=MOST).contains(&size) {
            let message = format!("a pool has 1 to {MOST} sandboxes, got {size}");
            return Err(Error::new(ErrorKind::Config, Stage::Validate, message).with_origin("size"));
        }
        let pool = Self { sandbox: sandbox.borrow().clone(), size, state: Mutex::default() };
        pool.fill()?;
        Ok(pool)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fresh sandbox, the caller's from here on. It is not replaced before the next [`fill`](Self::fill).
    ///
    /// # Errors
    /// Kind `closed`; as [`Sandbox::open`] when none was ready.
    pub fn take(&self) -> Result<Session> {
        let mut state = self.state();
        if state.closed {
            return Err(closed());
        }
        state.taken += 1;
        while let Some(session) = state.ready.pop() {
            if !session.is_lost() {
                return Ok(session);
            }
            state.lost += 1;
        }
        state.missed += 1;
        drop(state);
        self.sandbox.open()
    }

    /// Does `work` in a fresh sandbox, which is killed afterwards without waiting for its end.
    ///
    /// # Errors
    /// As [`take`](Self::take), and what `work` returns.
    pub fn run<T>(&self, work: impl FnOnce(&Session) -> Result<T>) -> Result<T> {
        let session = self.take()?;
        let done = work(&session);
        session.leave();
        done
    }

    /// Opens as many as are missing, one after another. Several threads may fill: together they open no more than that.
    ///
    /// # Errors
    /// Kind `closed`; as [`Sandbox::open`]. What was opened before stays.
    pub fn fill(&self) -> Result<()> {
        while self.fill_one()? {}
        Ok(())
    }

    /// Opens one if one is missing, and says whether it did: [`fill`](Self::fill) for hosts that do something else in between.
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    pub fn fill_one(&self) -> Result<bool> {
        let mut state = self.state();
        if state.closed {
            return Err(closed());
        }
        if state.ready.len() + state.coming >= self.size {
            return Ok(false);
        }
        state.coming += 1;
        drop(state);
        let opened = self.sandbox.open().and_then(|session| session.warm().map(|()| session));
        let mut state = self.state();
        state.coming -= 1;
        let session = opened?;
        if state.closed {
            return Err(closed());
        }
        state.ready.push(session);
        Ok(true)
    }

    /// What it has and has done.
    pub fn stats(&self) -> PoolStats {
        let state = self.state();
        let State { taken, missed, lost, .. } = *state;
        PoolStats { size: self.size, ready: state.ready.len(), taken, missed, lost }
    }

    /// Ends those that wait. Sessions that were taken go on. Every use after that is an error of kind `closed`.
    pub fn close(&self) {
        let waiting = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.ready)
        };
        drop(waiting);
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, Stage::Launch, "the pool is closed")
}
