//! Owns: an errand: a process of init that carries out a few operations elsewhere and hands over what it opened.
//! Must not: run a payload, or outlive the call.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::cancel::Canceller;
use crate::plan::{Ends, Handed, Step, Template};

use super::{Control, GRACE, Image, Message, Silence, until_gone_or_killed};

/// It makes files and opens them, but a file system may be slow: nanoseconds.
pub(super) const PATIENCE: u64 = 30 * 1_000_000_000;

/// Carry out `steps`, with these fds under their names. What was opened comes back in its order; the errno is that of the
/// step that failed.
pub(crate) fn errand(image: &Image, steps: &[Step], passed: &[(&str, BorrowedFd<'_>)]) -> nix::Result<Vec<OwnedFd>> {
    errand_of_a_start(image, steps, passed, None, None)
}

/// The same for a start that has a deadline, or may be cancelled.
pub(super) fn errand_of_a_start(
    image: &Image,
    steps: &[Step],
    passed: &[(&str, BorrowedFd<'_>)],
    deadline: Option<u64>,
    cancel: Option<&Canceller>,
) -> nix::Result<Vec<OwnedFd>> {
    let (control, process) = send(image, steps, passed)?;
    let opened = listen(&control, deadline, cancel);
    let patience = if opened.is_ok() { GRACE } else { GRACE / 20 };
    until_gone_or_killed(&process, patience);
    opened
}

/// Start a process of init's on these steps: the socket to it, and its pidfd.
pub(super) fn send(
    image: &Image,
    steps: &[Step],
    passed: &[(&str, BorrowedFd<'_>)],
) -> nix::Result<(Control, OwnedFd)> {
    let names: Vec<String> = passed.iter().map(|(name, _)| (*name).to_owned()).collect();
    let bytes = Template::new(steps, &names, None).finish(&[], 0, Ends::default(), None);
    let (control, inits) = Control::pair()?;
    let host = crate::sys::pidfd_open(std::process::id() as i32)?;
    let (_, process) = image.start(&inits)?;
    drop(inits);
    // Nobody watches: the host's pidfd stands in for the doorbell.
    let mut fds = vec![host.as_raw_fd(), host.as_raw_fd()];
    fds.extend(passed.iter().map(|(_, fd)| fd.as_raw_fd()));
    if let Err(errno) = control.send_start(&bytes, fds) {
        drop(control);
        until_gone_or_killed(&process, GRACE);
        return Err(errno);
    }
    Ok((control, process))
}

fn listen(control: &Control, deadline: Option<u64>, cancel: Option<&Canceller>) -> nix::Result<Vec<OwnedFd>> {
    let patience = crate::sys::monotonic() + PATIENCE;
    let deadline = deadline.map_or(patience, |deadline| deadline.min(patience));
    let mut opened = Vec::new();
    loop {
        match control.receive(Some(deadline), cancel) {
            Ok(Message::Fd { what: Handed::Opened, fd }) => opened.push(fd),
            Ok(Message::Fail { errno, .. }) => return Err(Errno::from_raw(errno)),
            // It has done all; the keeper of one that had a PID 1 says so.
            Ok(Message::End { .. }) | Err(Silence::Closed) => return Ok(opened),
            Err(Silence::Timeout) => return Err(Errno::ETIMEDOUT),
            Err(Silence::Cancelled) => return Err(Errno::ECANCELED),
            Err(Silence::Failed(errno)) => return Err(errno),
            Ok(_) | Err(Silence::Garbled) => return Err(Errno::EPROTO),
        }
    }
}
