//! Owns: the host's end of the control socket: sending the plan, receiving records, deciding what a record may say.
//! Must not: trust the other end: a record is exactly one of the known forms, or it is refused.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recv, recvmsg, sendmsg,
    socketpair,
};
use nix::sys::time::{TimeSpec, TimeValLike};

use super::image::{seal, write_all};
use crate::cancel::Canceller;
use crate::plan::Handed;
use crate::wire::{self, RawUsage, Record};

/// What init says.
#[derive(Debug)]
pub(crate) enum Message {
    Ready,
    /// A session is open.
    Open,
    /// PID 1 of a session has killed everything.
    Done,
    /// The keeper at the other end was made.
    Made {
        pid: i32,
        keeper: OwnedFd,
    },
    /// The payload was executed; its pidfd.
    Exec {
        time: u64,
        pidfd: OwnedFd,
    },
    /// An fd for the host, and what it stands for.
    Fd {
        what: Handed,
        fd: OwnedFd,
    },
    Fail {
        op: usize,
        errno: i32,
        present: bool,
    },
    Exit {
        status: i32,
        complete: bool,
        /// Nothing of its tree is left, so that its shepherd can start another.
        free: bool,
        usage: RawUsage,
        time: u64,
        /// When it was executed, if nothing has told that before.
        executed: Option<u64>,
    },
    Usage {
        usage: RawUsage,
    },
    End {
        cause: u32,
        time: u64,
        executed: Option<u64>,
    },
}

/// Why no message came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Init is gone.
    Closed,
    /// Nothing within the time given.
    Timeout,
    /// Nothing until the caller lost interest.
    Cancelled,
    /// Bytes that no init of ours sends.
    Garbled,
    Failed(Errno),
}

/// Bytes and fds of one received message -> what they say. Pure: this is what is fuzzed.
pub(crate) fn decode(bytes: &[u8], mut fds: Vec<OwnedFd>) -> Option<Message> {
    let record = Record::from_bytes(bytes)?;
    let (value, detail) = (record.value, record.detail);
    let executed = Some(record.executed).filter(|&executed| executed != 0);
    let message = match record.kind {
        wire::RECORD_READY => Message::Ready,
        wire::RECORD_OPEN => Message::Open,
        wire::RECORD_DONE => Message::Done,
        wire::RECORD_MADE if value > 0 => Message::Made { pid: value.try_into().ok()?, keeper: fds.pop()? },
        wire::RECORD_EXEC => Message::Exec { time: record.time, pidfd: fds.pop()? },
        wire::RECORD_FD => Message::Fd { what: Handed::from_tag(value)?, fd: fds.pop()? },
        wire::RECORD_FAIL if (1..4096).contains(&detail) => {
            Message::Fail { op: value as usize, errno: detail as i32, present: record.extra == 1 }
        }
        wire::RECORD_EXIT if value <= 0xFFFF && detail <= 1 => Message::Exit {
            status: value as i32,
            complete: detail == 1,
            free: record.extra == 1,
            usage: record.usage,
            time: record.time,
            executed,
        },
        wire::RECORD_USAGE => Message::Usage { usage: record.usage },
        wire::RECORD_END if value <= 0xFFFF && detail <= wire::CAUSE_CPU_TIME => {
            Message::End { cause: detail, time: record.time, executed }
        }
        _ => return None,
    };
    fds.is_empty().then_some(message)
}

/// The host's end.
#[derive(Debug)]
pub(crate) struct Control {
    socket: OwnedFd,
    /// How far the other end's CLOCK_MONOTONIC is ahead (a time namespace), in nanoseconds.
    ahead: i64,
}

impl Control {
    /// Both ends of a new control socket; the second is init's.
    pub fn pair() -> nix::Result<(Self, OwnedFd)> {
        let (ours, inits) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Self { socket: ours, ahead: 0 }, inits))
    }

    /// The same, of an end whose clock is ahead.
    pub fn ahead(self, nanoseconds: i64) -> Self {
        Self { ahead: nanoseconds, ..self }
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Send the plan and every fd it names: as one message, or where that is too long for the socket, as a file.
    pub fn send_start(&self, plan: &[u8], mut fds: Vec<RawFd>) -> nix::Result<()> {
        let mut record = Record::new(wire::RECORD_START);
        record.value = plan.len() as u32;
        record.detail = fds.len() as u32;
        record.extra = wire::VERSION;
        match self.send_whole(&record, plan, &fds) {
            Err(Errno::EMSGSIZE) => {}
            sent => return sent,
        }
        let file = sealed(plan)?;
        fds.push(file.as_raw_fd());
        self.send(&record, &fds)
    }

    /// Tell a new init to be a holder.
    pub fn send_hold(&self, host: RawFd) -> nix::Result<()> {
        let mut record = Record::new(wire::RECORD_HOLD);
        record.extra = wire::VERSION;
        self.send(&record, &[host])
    }

    /// Ask a holder for a keeper that has this control socket.
    pub fn send_keeper(&self, control: RawFd) -> nix::Result<()> {
        self.send(&Record::new(wire::RECORD_KEEPER), &[control])
    }

    pub fn send_go(&self) -> nix::Result<()> {
        self.send_go_with(&[])
    }

    /// GO with fds for a deputy.
    pub fn send_go_with(&self, fds: &[RawFd]) -> nix::Result<()> {
        self.send(&Record::new(wire::RECORD_GO), fds)
    }

    /// Ask the keeper to kill the tree. A keeper that is gone needs no telling.
    pub fn send_kill(&self, cause: u32) -> nix::Result<()> {
        let mut record = Record::new(wire::RECORD_KILL);
        record.detail = cause;
        match self.send(&record, &[]) {
            Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            other => other,
        }
    }

    /// Have a shepherd send its payload a signal. One that is gone has none.
    pub fn send_signal(&self, signal: i32) -> nix::Result<()> {
        let mut record = Record::new(wire::RECORD_SIGNAL);
        record.value = signal as u32;
        match self.send(&record, &[]) {
            Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            other => other,
        }
    }

    /// Have the keeper thaw a session at `time` by `file`, which may be that of the v1 freezer. A keeper that is gone has ended it.
    pub fn send_thaw(&self, time: u64, file: RawFd, by_v1: bool) -> nix::Result<()> {
        self.send_thawing(time, u32::from(by_v1), &[file])
    }

    /// Have it do so no more.
    pub fn send_thaw_no_more(&self) -> nix::Result<()> {
        self.send_thawing(0, 0, &[])
    }

    fn send_thawing(&self, time: u64, detail: u32, fds: &[RawFd]) -> nix::Result<()> {
        let record = Record { time, detail, ..Record::new(wire::RECORD_THAW) };
        match self.send(&record, fds) {
            Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            other => other,
        }
    }

    /// Ask PID 1 of a session for a shepherd.
    pub fn send_shepherd(&self, fds: &[RawFd; 3]) -> nix::Result<()> {
        self.send(&Record::new(wire::RECORD_SHEPHERD), fds)
    }

    /// Ask PID 1 of a session to kill everything but itself.
    pub fn send_kill_all(&self) -> nix::Result<()> {
        self.send(&Record::new(wire::RECORD_KILL_ALL), &[])
    }

    /// Ask a shepherd to start a payload.
    pub fn send_run(&self, plan: &[u8], file: &File, fds: &[RawFd]) -> nix::Result<()> {
        let mut record = Record::new(wire::RECORD_RUN);
        record.value = plan.len() as u32;
        record.detail = fds.len() as u32;
        record.extra = wire::VERSION;
        match self.send_whole(&record, plan, fds) {
            Err(Errno::EMSGSIZE) => {}
            sent => return sent,
        }
        let written = file.write_all_at(plan, 0);
        written.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
        self.send(&record, fds)
    }

    /// A record with a plan behind it. EMSGSIZE: that is too long.
    fn send_whole(&self, record: &Record, plan: &[u8], fds: &[RawFd]) -> nix::Result<()> {
        if plan.len() > wire::MESSAGE_MAX {
            return Err(Errno::EMSGSIZE);
        }
        // The administrator may have made sockets smaller (net.core.wmem_default).
        self.send_with(record, plan, fds)
    }

    fn send(&self, record: &Record, fds: &[RawFd]) -> nix::Result<()> {
        self.send_with(record, &[], fds)
    }

    fn send_with(&self, record: &Record, rest: &[u8], fds: &[RawFd]) -> nix::Result<()> {
        let bytes = record.to_bytes();
        let parts = [IoSlice::new(&bytes), IoSlice::new(rest)];
        let rights = [ControlMessage::ScmRights(fds)];
        let control = if fds.is_empty() { &[][..] } else { &rights[..] };
        loop {
            let sent = sendmsg::<()>(self.socket.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None);
            match sent {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// The next message; waits until `deadline` (CLOCK_MONOTONIC nanoseconds), for ever without one, or until it is cancelled.
    pub fn receive(&self, deadline: Option<u64>, cancel: Option<&Canceller>) -> Result<Message, Silence> {
        let fds = [Some(self.as_fd()), cancel.map(AsFd::as_fd)];
        let mut polled: Vec<PollFd<'_>> =
            fds.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        wait(&mut polled, deadline).map_err(|errno| match errno {
            Errno::ETIMEDOUT => Silence::Timeout,
            errno => Silence::Failed(errno),
        })?;
        self.take().unwrap_or(Err(Silence::Cancelled))
    }

    /// What kind of record is there already.
    pub fn peek(&self) -> Option<u32> {
        let mut kind = [0; 4];
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        let got = recv(self.socket.as_raw_fd(), &mut kind, flags).ok()?;
        (got == kind.len()).then(|| u32::from_le_bytes(kind))
    }

    /// A message that is there already; None when there is none.
    pub fn take(&self) -> Option<Result<Message, Silence>> {
        let mut bytes = [0; Record::SIZE + 1];
        let mut space = nix::cmsg_space!([RawFd; 2]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        loop {
            let mut buffers = [IoSliceMut::new(&mut bytes)];
            let message = match recvmsg::<()>(self.socket.as_raw_fd(), &mut buffers, Some(&mut space), flags) {
                Ok(message) => message,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return None,
                // Init ended without reading all that we had sent. The error is told once, before the messages that it
                // left for us: the next call gets those, and their end.
                Err(Errno::ECONNRESET) => continue,
                Err(errno) => return Some(Err(Silence::Failed(errno))),
            };
            let length = message.bytes;
            let mut fds = Vec::new();
            if let Ok(messages) = message.cmsgs() {
                for message in messages {
                    if let ControlMessageOwned::ScmRights(numbers) = message {
                        fds.extend(numbers.into_iter().map(crate::sys::adopt));
                    }
                }
            }
            if length == 0 {
                return Some(Err(Silence::Closed));
            }
            let mut message = decode(bytes.get(..length).unwrap_or_default(), fds).ok_or(Silence::Garbled);
            let ours = |time: &mut u64| *time = time.saturating_add_signed(self.ahead.saturating_neg());
            match &mut message {
                Ok(Message::Exec { time, .. }) => ours(time),
                Ok(Message::Exit { time, executed, .. } | Message::End { time, executed, .. }) => {
                    ours(time);
                    executed.as_mut().into_iter().for_each(ours);
                }
                _ => {}
            }
            return Some(message);
        }
    }
}

/// A plan as a file in memory, never to change.
fn sealed(plan: &[u8]) -> nix::Result<OwnedFd> {
    let fd = memfd_create(c"pinfold-plan", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    write_all(&fd, plan)?;
    seal(&fd)?;
    Ok(fd)
}

/// ppoll(2) until something happens or `deadline` passes (ETIMEDOUT). Interrupted waits go on.
pub(crate) fn wait(fds: &mut [PollFd<'_>], deadline: Option<u64>) -> nix::Result<()> {
    loop {
        let left = match deadline {
            None => None,
            Some(deadline) => {
                let left = deadline.saturating_sub(crate::sys::monotonic());
                Some(TimeSpec::nanoseconds(i64::try_from(left).unwrap_or(i64::MAX)))
            }
        };
        match ppoll(fds, left, None) {
            Ok(0) => return Err(Errno::ETIMEDOUT),
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fd() -> OwnedFd {
        std::fs::File::open("/dev/null").expect("every machine has /dev/null").into()
    }

    #[test]
    fn an_fd_is_taken_only_as_something_known() {
        let mut record = Record::new(wire::RECORD_FD);
        record.value = Handed::Upper as u32;
        assert!(matches!(decode(&record.to_bytes(), vec![fd()]), Some(Message::Fd { what: Handed::Upper, .. })));
        assert!(decode(&record.to_bytes(), vec![]).is_none(), "a record without its fd");
        assert!(decode(&record.to_bytes(), vec![fd(), fd()]).is_none(), "one fd too many");
        let mut made = Record::new(wire::RECORD_MADE);
        assert!(decode(&made.to_bytes(), vec![fd()]).is_none(), "no pid");
        made.value = 7;
        assert!(matches!(decode(&made.to_bytes(), vec![fd()]), Some(Message::Made { pid: 7, .. })));
        assert!(decode(&made.to_bytes(), vec![]).is_none(), "no pidfd");
        made.value = u32::MAX;
        assert!(decode(&made.to_bytes(), vec![fd()]).is_none(), "no pid that there can be");
        record.value = 99;
        assert!(decode(&record.to_bytes(), vec![fd()]).is_none(), "an unknown tag");
    }

    /// What arrives at init's end: how many bytes behind the record, and the fds.
    fn start_received(socket: &OwnedFd) -> (usize, Vec<OwnedFd>) {
        let mut bytes = vec![0; Record::SIZE + wire::MESSAGE_MAX];
        let mut space = nix::cmsg_space!([RawFd; 4]);
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut space), flags).expect("it arrives");
        let mut fds = Vec::new();
        for rights in message.cmsgs().expect("whole") {
            if let ControlMessageOwned::ScmRights(numbers) = rights {
                fds.extend(numbers.into_iter().map(crate::sys::adopt));
            }
        }
        (message.bytes - Record::SIZE, fds)
    }

    #[test]
    fn a_long_plan_is_a_file() {
        let (control, inits) = Control::pair().expect("a pair");
        let (one, two) = (fd(), fd());
        let named = || vec![one.as_raw_fd(), two.as_raw_fd()];
        let long = vec![7; wire::MESSAGE_MAX + 1];
        control.send_start(&long[1..], named()).expect("it fits");
        let (behind, fds) = start_received(&inits);
        assert_eq!((behind, fds.len()), (wire::MESSAGE_MAX, 2), "as one message");

        control.send_start(&long, named()).expect("as a file");
        let (behind, fds) = start_received(&inits);
        assert_eq!((behind, fds.len()), (0, 3), "with the file as the last fd");
        let mut file = std::fs::File::from(fds.into_iter().next_back().expect("three"));
        std::io::Seek::rewind(&mut file).expect("a file");
        assert_eq!(std::io::read_to_string(file).expect("readable").len(), long.len());

        // Where the administrator has made sockets small, earlier.
        nix::sys::socket::setsockopt(&control.socket, nix::sys::socket::sockopt::SndBuf, &4096).expect("settable");
        control.send_start(&long[..20_000], named()).expect("as a file");
        assert_eq!(start_received(&inits).0, 0);
    }
}
