//! Owns: a deputy: a process of init's in a sandbox's user namespace that makes calls for the host, one after another.
//! Must not: decide which calls, run a payload, or outlive what it was started for.
//! Start at: [`Hand::start`].
//!
//! A table of calls is written to memory that both have mapped or open: a header, two words (the number of an fd that came
//! along, the result), the calls, what their arguments point to, and room for an answer. GO makes the deputy walk it as it
//! walks a plan; READY says that it has, FAIL before it how that ended.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::errand::{PATIENCE, send};
use super::{Control, GRACE, Image, Message, Silence, until_gone_or_killed};
use crate::dirfd::{Arg, Deputy};
use crate::plan::{Fd, Handed, Op, Step};
use crate::wire::{self, PlanHeader, RawOp, TABLE_ADDR, TABLE_SIZE};

const HEADER: usize = size_of::<PlanHeader>();
const OP: usize = size_of::<RawOp>();
/// Where the number of an fd that came along stands, and the result.
const CAME: usize = HEADER;
const RESULT: usize = HEADER + 8;
const OPS: usize = HEADER + 16;
/// Numbers are closed together with the next call, at most this many.
const CLOSED_AT_ONCE: usize = 64;
const MEMORY: &str = "calls";

/// A deputy that waits for calls.
#[derive(Debug)]
pub(crate) struct Hand {
    memory: File,
    talk: Mutex<Talk>,
    process: OwnedFd,
}

#[derive(Debug)]
struct Talk {
    control: Control,
    /// Numbers that nothing uses any more.
    closing: Vec<i32>,
}

impl Hand {
    /// Start one. `steps` lead to where it is to be.
    pub fn start(
        image: &Image,
        mut steps: Vec<Step>,
        passed: &[(&str, BorrowedFd<'_>)],
    ) -> nix::Result<Arc<dyn Deputy>> {
        let memory = File::from(memfd_create(c"pinfold-calls", MFdFlags::MFD_CLOEXEC)?);
        memory.set_len(TABLE_SIZE as u64).map_err(errno)?;
        steps.push(Step { op: Op::Deputize { memory: Fd::Passed(MEMORY.to_owned()) }, origin: "files".to_owned() });
        let mut passed = passed.to_vec();
        passed.push((MEMORY, memory.as_fd()));
        let (control, process) = send(image, &steps, &passed)?;
        let hand = Self { memory, talk: Mutex::new(Talk { control, closing: Vec::new() }), process };
        hand.talk.lock().unwrap_or_else(PoisonError::into_inner).until_ready()?;
        Ok(Arc::new(hand))
    }

    /// Let one call be made after what is to be closed was. `fill` is told where the bytes of its arguments will stand, and
    /// gives the call and those bytes.
    fn exchange(
        &self,
        talk: &mut Talk,
        fill: impl FnOnce(u64) -> (Option<RawOp>, Vec<u8>),
        fd: Option<BorrowedFd<'_>>,
    ) -> nix::Result<Option<OwnedFd>> {
        let numbers = std::mem::take(&mut talk.closing);
        // A number that is not open any more is closed, too.
        let mut ops: Vec<RawOp> =
            numbers.iter().map(|number| call(libc::SYS_close as u32, &[*number as u64])).collect();
        ops.iter_mut().for_each(|op| op.tolerate = [libc::EBADF as u8, 0, 0, 0, 0, 0, 0, 0]);
        let (op, bytes) = fill(TABLE_ADDR + (OPS + (ops.len() + 1) * OP) as u64);
        ops.extend(op);
        let header = PlanHeader {
            magic: wire::MAGIC,
            version: wire::VERSION,
            length: TABLE_SIZE as u32,
            ops: TABLE_ADDR + OPS as u64,
            op_count: ops.len() as u32,
            fd_count: 1,
            fds: TABLE_ADDR + CAME as u64,
            deadline: 0,
            flags: 0,
            group_kill: 0,
            cpu_stat: 0,
            cpu_limit: 0,
            cpu_unit: 0,
            cpu_width: 0,
            thaw: 0,
        };
        let mut table = Vec::with_capacity(OPS + (numbers.len() + 1) * OP + bytes.len());
        table.extend_from_slice(&header.to_bytes());
        table.extend_from_slice(&[0xff; 16]);
        ops.iter().for_each(|op| table.extend_from_slice(&op.to_bytes()));
        table.resize(OPS + (numbers.len() + 1) * OP, 0);
        table.extend_from_slice(&bytes);
        if table.len() > TABLE_SIZE {
            return Err(Errno::E2BIG);
        }
        self.memory.write_all_at(&table, 0).map_err(errno)?;
        let fds: Vec<i32> = fd.iter().map(AsRawFd::as_raw_fd).collect();
        talk.control.send_go_with(&fds)?;
        talk.until_ready()
    }

    fn word(&self, at: usize) -> nix::Result<u64> {
        let mut word = [0; 8];
        self.memory.read_exact_at(&mut word, at as u64).map_err(errno)?;
        Ok(u64::from_le_bytes(word))
    }
}

impl Talk {
    /// The fd that came, if one did, when all is done.
    fn until_ready(&self) -> nix::Result<Option<OwnedFd>> {
        let deadline = crate::sys::monotonic() + PATIENCE;
        let (mut came, mut failed) = (None, None);
        loop {
            match self.control.receive(Some(deadline), None) {
                Ok(Message::Ready) => return failed.map_or(Ok(came), Err),
                Ok(Message::Fd { what: Handed::Opened, fd }) => came = Some(fd),
                Ok(Message::Fail { errno, .. }) => failed = Some(Errno::from_raw(errno)),
                // What failed was on the way to where it should be.
                Err(Silence::Closed) => return Err(failed.unwrap_or(Errno::ESRCH)),
                Err(Silence::Timeout) => return Err(Errno::ETIMEDOUT),
                Err(Silence::Failed(errno)) => return Err(errno),
                Ok(_) | Err(Silence::Garbled | Silence::Cancelled) => return Err(Errno::EPROTO),
            }
        }
    }
}

impl Deputy for Hand {
    fn call(&self, number: libc::c_long, args: &[Arg<'_>]) -> nix::Result<(u64, Vec<u8>)> {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = None;
        let fill = |at: u64| {
            let (mut bytes, mut words) = (Vec::new(), Vec::with_capacity(args.len()));
            for arg in args {
                bytes.resize(bytes.len().next_multiple_of(8), 0);
                let here = at + bytes.len() as u64;
                words.push(match arg {
                    Arg::Is(value) => *value,
                    _ => here,
                });
                match arg {
                    Arg::Is(_) => {}
                    Arg::Text(text) => {
                        bytes.extend_from_slice(text);
                        bytes.push(0);
                    }
                    Arg::Words(words) => words.iter().for_each(|word| bytes.extend_from_slice(&word.to_ne_bytes())),
                    Arg::Bytes(value) => bytes.extend_from_slice(value),
                    Arg::Room(length) | Arg::Whole(length) => {
                        answer = Some((here - TABLE_ADDR, *length, matches!(arg, Arg::Whole(_))));
                        bytes.resize(bytes.len() + length, 0);
                    }
                }
            }
            (Some(RawOp { save: TABLE_ADDR + RESULT as u64, ..call(number as u32, &words) }), bytes)
        };
        self.exchange(&mut talk, fill, None)?;
        let result = self.word(RESULT)?;
        let mut bytes = Vec::new();
        if let Some((at, room, whole)) = answer {
            let length = if whole { room } else { usize::try_from(result).unwrap_or(usize::MAX) };
            if length > room {
                return Err(Errno::EPROTO);
            }
            bytes.resize(length, 0);
            self.memory.read_exact_at(&mut bytes, at).map_err(errno)?;
        }
        Ok((result, bytes))
    }

    fn hand_out(&self, number: i32) -> nix::Result<OwnedFd> {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        let op = call(wire::PSEUDO_SEND, &[number as u64, Handed::Opened as u64]);
        self.exchange(&mut talk, |_| (Some(op), Vec::new()), None)?.ok_or(Errno::EPROTO)
    }

    fn hand_in(&self, fd: BorrowedFd<'_>) -> nix::Result<i32> {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        self.exchange(&mut talk, |_| (None, Vec::new()), Some(fd))?;
        i32::try_from(self.word(CAME)?).map_err(|_| Errno::EMFILE)
    }

    fn close(&self, number: i32) {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        talk.closing.push(number);
        if talk.closing.len() >= CLOSED_AT_ONCE {
            // Whoever is gone has closed everything; the next call says so.
            self.exchange(&mut talk, |_| (None, Vec::new()), None).map(drop).unwrap_or_default();
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let talk = self.talk.get_mut().unwrap_or_else(PoisonError::into_inner);
        // One that can't be told is gone, or is ended below.
        talk.control.send_kill(wire::CAUSE_KILLED).unwrap_or_default();
        until_gone_or_killed(&self.process, GRACE);
    }
}

fn call(nr: u32, values: &[u64]) -> RawOp {
    let mut args = [0; 6];
    args.iter_mut().zip(values).for_each(|(to, value)| *to = *value);
    RawOp { nr, deref: 0, skip: 0, op: 0, tolerate: [0; 8], save: 0, args }
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
