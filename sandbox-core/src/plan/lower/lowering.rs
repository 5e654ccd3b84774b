//! Owns: writing raw calls, what they point to, and the slots that one of them fills for another.
//! Must not: know operations (calls.rs has them).
//! Start at: [`Lowering`].

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::plan::op::{Fd, Slot};
use crate::wire::{self, RawOp};

use super::{OP, slot_at};

/// One argument of a raw call.
#[derive(Clone, Copy)]
pub(super) enum Arg {
    /// As it is.
    Is(u64),
    /// What stands at this address when the call is made.
    At(u64),
}

impl From<u64> for Arg {
    fn from(value: u64) -> Self {
        Self::Is(value)
    }
}

impl From<i32> for Arg {
    fn from(value: i32) -> Self {
        Self::Is(i64::from(value) as u64)
    }
}

impl From<u32> for Arg {
    fn from(value: u32) -> Self {
        Self::Is(value.into())
    }
}

impl From<usize> for Arg {
    fn from(value: usize) -> Self {
        Self::Is(value as u64)
    }
}

pub(super) struct Lowering<'a> {
    /// Where init maps what is lowered.
    base: u64,
    passed: &'a [String],
    pub blob: Vec<u8>,
    pub blob_at: u64,
    pub ops: Vec<u8>,
    /// Slots of the part before this one.
    known: Option<&'a BTreeMap<u16, u64>>,
    pub slots: BTreeMap<u16, u64>,
    texts: BTreeMap<Vec<u8>, u64>,
    pub pid_texts: Vec<u64>,
    /// The working directory, as far as it was set here.
    pub inside: Option<Fd>,
    pub op: u16,
}

impl<'a> Lowering<'a> {
    pub fn new(base: u64, passed: &'a [String], blob_at: u64, known: Option<&'a BTreeMap<u16, u64>>) -> Self {
        Self {
            base,
            passed,
            blob: Vec::with_capacity(4 << 10),
            blob_at,
            ops: Vec::with_capacity(128 * OP),
            known,
            slots: BTreeMap::new(),
            texts: BTreeMap::new(),
            pid_texts: Vec::new(),
            inside: None,
            op: 0,
        }
    }

    // -- the blob -----------------------------------------------------------------------------------------------------

    pub fn align(&mut self) {
        self.blob.resize(self.blob.len().next_multiple_of(8), 0);
    }

    /// `bytes`, 8-aligned; returns the address.
    pub fn bytes(&mut self, bytes: &[u8]) -> u64 {
        self.align();
        let at = self.blob_at + self.blob.len() as u64;
        self.blob.extend_from_slice(bytes);
        at
    }

    pub fn words(&mut self, words: &[u64]) -> u64 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.bytes(&bytes)
    }

    /// A NUL-terminated text; equal ones share their place.
    pub fn text(&mut self, text: &[u8]) -> u64 {
        if let Some(&at) = self.texts.get(text) {
            return at;
        }
        let at = self.fresh_text(text);
        self.texts.insert(text.to_vec(), at);
        at
    }

    pub fn fresh_text(&mut self, text: &[u8]) -> u64 {
        let at = self.blob_at + self.blob.len() as u64;
        self.blob.extend_from_slice(text);
        self.blob.push(0);
        at
    }

    pub fn path(&mut self, path: &Path) -> u64 {
        self.text(path.as_os_str().as_bytes())
    }

    /// A NULL-terminated list of texts.
    pub fn list(&mut self, texts: &[Vec<u8>]) -> u64 {
        let mut words: Vec<u64> = texts.iter().map(|text| self.text(text)).collect();
        words.push(0);
        self.words(&words)
    }

    /// A word that init fills.
    pub fn word(&mut self) -> u64 {
        self.words(&[0])
    }

    pub fn slot(&mut self, slot: &Slot) -> u64 {
        let known = self.slots.get(&slot.id).or_else(|| self.known?.get(&slot.id));
        if let Some(&at) = known {
            return at;
        }
        // Not 0, which is an fd: a slot that nothing has filled is none (EBADF).
        let at = self.words(&[u64::MAX]);
        self.slots.insert(slot.id, at);
        at
    }

    pub fn fd(&mut self, fd: &Fd) -> Arg {
        match fd {
            Fd::Slot(slot) => Arg::At(self.slot(slot)),
            // An unknown name would be a bug of compile: the number -1 makes the kernel say EBADF at this very operation.
            Fd::Passed(name) => match self.passed.iter().position(|passed| passed == name) {
                Some(index) => Arg::At(slot_at(self.base, index)),
                None => Arg::from(-1),
            },
        }
    }

    // -- calls --------------------------------------------------------------------------------------------------------

    pub fn call<const N: usize>(&mut self, nr: libc::c_long, args: [Arg; N]) {
        self.pseudo(nr as u32, args);
    }

    /// A call whose result is kept at the address `save`.
    pub fn call_into<const N: usize>(&mut self, nr: libc::c_long, args: [Arg; N], save: u64) {
        let op = RawOp { save, ..self.raw(nr as u32, args) };
        self.ops.extend_from_slice(&op.to_bytes());
    }

    /// A call for which `errno` is no failure.
    pub fn call_or<const N: usize>(&mut self, nr: libc::c_long, args: [Arg; N], errno: i32) {
        let op = RawOp { tolerate: [errno as u8, 0, 0, 0, 0, 0, 0, 0], ..self.raw(nr as u32, args) };
        self.ops.extend_from_slice(&op.to_bytes());
    }

    pub fn pseudo<const N: usize>(&mut self, nr: u32, args: [Arg; N]) {
        let op = self.raw(nr, args);
        self.ops.extend_from_slice(&op.to_bytes());
    }

    pub fn raw<const N: usize>(&self, nr: u32, args: [Arg; N]) -> RawOp {
        let mut op = RawOp { nr, deref: 0, skip: 0, op: self.op, tolerate: [0; 8], save: 0, args: [0; 6] };
        for (index, (to, arg)) in op.args.iter_mut().zip(args).enumerate() {
            *to = match arg {
                Arg::Is(value) => value,
                Arg::At(address) => {
                    op.deref |= 1 << index;
                    address
                }
            };
        }
        op
    }

    pub fn check(&mut self, actual: Arg, expected: u64, errno: i32, mask: u64) {
        self.pseudo(wire::PSEUDO_CHECK, [actual, expected.into(), errno.into(), mask.into()]);
    }

    pub fn close(&mut self, fd: Arg) {
        self.call(libc::SYS_close, [fd]);
    }

    /// Open, write all, close.
    pub fn write_file(&mut self, path: &str, content: &[u8]) {
        let (path, fd) = (self.text(path.as_bytes()), self.word());
        self.call_into(libc::SYS_openat, [cwd(), path.into(), (libc::O_WRONLY | libc::O_CLOEXEC).into(), 0.into()], fd);
        self.write(fd, content);
        self.close(Arg::At(fd));
    }

    pub fn write(&mut self, fd: u64, content: &[u8]) {
        let (text, written) = (self.bytes(content), self.word());
        self.call_into(libc::SYS_write, [Arg::At(fd), text.into(), content.len().into()], written);
        self.check(Arg::At(written), content.len() as u64, libc::ENOSPC, u64::MAX);
    }

    /// Have this as the working directory.
    pub fn go_to(&mut self, directory: &Fd) {
        if self.inside.as_ref() != Some(directory) {
            let fd = self.fd(directory);
            self.call(libc::SYS_fchdir, [fd]);
            self.inside = Some(directory.clone());
        }
    }

    pub fn prctl(&mut self, option: i32, value: u64) {
        self.call(libc::SYS_prctl, [option.into(), value.into(), 0.into(), 0.into(), 0.into()]);
    }
}

pub(super) fn cwd() -> Arg {
    libc::AT_FDCWD.into()
}
