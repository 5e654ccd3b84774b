//! Owns: a process as event loops and garbage collectors see it: one fd to watch, and an end without waiting.
//! Must not: read a stream or a record (`drain` does).
//! Start at: [`Process::watch`].

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::Process;
use crate::{Error, ErrorKind, Result, Stage, wire};

impl Process {
    /// For event loops that watch any fd: one that is readable whenever [`drain`](Self::drain) has something to take, be
    /// it a piece of news or what was written to a pipe that nobody took. Pipes that are taken later stay in it: take them
    /// first.
    ///
    /// # Errors
    /// Kind `setup`: this process has no fd left.
    pub fn watch(&self) -> Result<OwnedFd> {
        let make = || -> nix::Result<OwnedFd> {
            let all = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
            let readable = || EpollEvent::new(EpollFlags::EPOLLIN, 0);
            all.add(self.doorbell(), readable())?;
            let streams = self.streams();
            for pipe in [&streams.stdout, &streams.stderr].into_iter().flatten() {
                all.add(pipe.as_fd(), readable())?;
            }
            Ok(all.0)
        };
        make().map_err(|errno| {
            Error::new(ErrorKind::Setup, Stage::Supervise, "could not make an fd to watch").with_errno(errno as i32)
        })
    }

    /// Kills the whole sandbox and does not wait for its end, which dropping it would do: for garbage collectors, which
    /// must not stop the world. The keeper kills; the sandbox's next start reaps it.
    pub fn abandon(self) {
        // Who has told its end needs no telling, and in a session it is free for the next payload.
        if self.outcome().is_none() {
            // Nor does a keeper that is gone already.
            drop(self.end_with(wire::CAUSE_KILLED));
            self.state().abandoned = true;
        }
    }
}
