//! Owns: turning typed operations into the flat table of raw system calls that init walks.
//! Must not: decide, reorder, or touch the system. The bytes depend on nothing but the plan.
//! Start at: [`Template`].

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::idmap::{MapWriter, map_text};
use crate::sys;
use crate::wire::{self, PLAN_ADDR, PlanHeader, RUN_ADDR, RawOp};

use super::compile::{CPU_TIME, GROUP_KILL, THAW};
use super::op::{Fd, Op, Slot, Step};
use super::{mount_options, propagation_flags};

/// One argument of a raw call.
#[derive(Clone, Copy)]
enum Arg {
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

struct Lowering<'a> {
    /// Where init maps what is lowered.
    base: u64,
    passed: &'a [String],
    blob: Vec<u8>,
    blob_at: u64,
    ops: Vec<u8>,
    /// Slots of the part before this one.
    known: Option<&'a BTreeMap<u16, u64>>,
    slots: BTreeMap<u16, u64>,
    texts: BTreeMap<Vec<u8>, u64>,
    pid_texts: Vec<u64>,
    /// The working directory, as far as it was set here.
    inside: Option<Fd>,
    op: u16,
}

/// A fault to plant: the operation of this index fails with this errno instead of being carried out.
pub(crate) type Fault = (usize, i32);

/// What ends a sandbox before its time; the keeper watches it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ends {
    /// Nanoseconds of CLOCK_MONOTONIC, 0 for none.
    pub deadline: u64,
    /// Nanoseconds of CPU time.
    pub cpu_limit: u64,
    /// Nanoseconds that 1 in the statistics stands for.
    pub cpu_unit: u64,
    /// How many CPUs can be busy at once.
    pub cpu_width: u64,
}

/// The lowered beginning of a plan, which every payload of a sandbox shares.
#[derive(Debug)]
pub(crate) struct Template {
    passed: Vec<String>,
    steps: usize,
    blob: Vec<u8>,
    ops: Vec<u8>,
    slots: BTreeMap<u16, u64>,
}

const HEADER: usize = size_of::<PlanHeader>();
const OP: usize = size_of::<RawOp>();

/// Where init writes the number of the fd that was sent at `index`. Behind these slots the blobs begin.
fn slot_at(base: u64, index: usize) -> u64 {
    base + (HEADER + index * 8) as u64
}

impl Template {
    /// Lower the steps that do not depend on the payload. `passed`: the names of the fds, in the order they are sent.
    pub fn new(steps: &[Step], passed: &[String], fault: Option<Fault>) -> Self {
        let mut lowering = Lowering::new(PLAN_ADDR, passed, slot_at(PLAN_ADDR, passed.len()), None);
        lowering.steps(0, steps, fault);
        lowering.align();
        let Lowering { blob, ops, slots, .. } = lowering;
        Self { passed: passed.to_vec(), steps: steps.len(), blob, ops, slots }
    }

    /// The whole plan as init reads it: header, fd slots, blobs, calls.
    pub fn finish(&self, payload: &[Step], flags: u64, ends: Ends, fault: Option<Fault>) -> Vec<u8> {
        let passed = self.passed.len();
        let blob_at = slot_at(PLAN_ADDR, passed) + self.blob.len() as u64;
        let mut rest = Lowering::new(PLAN_ADDR, &self.passed, blob_at, Some(&self.slots));
        rest.steps(self.steps, payload, fault);
        rest.align();
        let ops_at = rest.blob_at + rest.blob.len() as u64;
        let length = (ops_at - PLAN_ADDR) as usize + self.ops.len() + rest.ops.len();
        let slot_of =
            |wanted| self.passed.iter().position(|name| name == wanted).map_or(0, |at| slot_at(PLAN_ADDR, at));
        let header = PlanHeader {
            magic: wire::MAGIC,
            version: wire::VERSION,
            length: length as u32,
            ops: ops_at,
            op_count: ((self.ops.len() + rest.ops.len()) / OP) as u32,
            fd_count: passed as u32,
            fds: PLAN_ADDR + HEADER as u64,
            deadline: ends.deadline,
            flags,
            group_kill: slot_of(GROUP_KILL),
            cpu_stat: slot_of(CPU_TIME),
            cpu_limit: ends.cpu_limit,
            cpu_unit: ends.cpu_unit,
            cpu_width: ends.cpu_width,
            thaw: slot_of(THAW),
        };
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&header.to_bytes());
        bytes.resize(HEADER + passed * 8, 0);
        for part in [&self.blob, &rest.blob, &self.ops, &rest.ops] {
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// One more payload of a session, as a shepherd reads it. `first`: the number of its first step; `ruleset`: the slot that
/// the steps know the Landlock ruleset by. Otherwise as [`Template::finish`].
pub(crate) fn lower_run(
    passed: &[String],
    ruleset: u16,
    first: usize,
    payload: &[Step],
    ends: Ends,
    flags: u64,
    fault: Option<Fault>,
) -> Vec<u8> {
    let mut lowering = Lowering::new(RUN_ADDR, passed, slot_at(RUN_ADDR, passed.len()), None);
    let at = lowering.words(&[wire::RULESET_FD as u64]);
    lowering.slots.insert(ruleset, at);
    lowering.steps(first, payload, fault);
    lowering.align();
    let ops_at = lowering.blob_at + lowering.blob.len() as u64;
    let length = (ops_at - RUN_ADDR) as usize + lowering.ops.len();
    let clock = passed.iter().position(|name| name == CPU_TIME);
    let header = PlanHeader {
        magic: wire::MAGIC,
        version: wire::VERSION,
        length: length as u32,
        ops: ops_at,
        op_count: (lowering.ops.len() / OP) as u32,
        fd_count: passed.len() as u32,
        fds: slot_at(RUN_ADDR, 0),
        deadline: ends.deadline,
        flags,
        group_kill: 0,
        cpu_stat: clock.map_or(0, |at| slot_at(RUN_ADDR, at)),
        cpu_limit: ends.cpu_limit,
        cpu_unit: ends.cpu_unit,
        cpu_width: ends.cpu_width,
        thaw: 0,
    };
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&header.to_bytes());
    bytes.resize(HEADER + passed.len() * 8, 0);
    bytes.extend_from_slice(&lowering.blob);
    bytes.extend_from_slice(&lowering.ops);
    bytes
}

impl<'a> Lowering<'a> {
    fn new(base: u64, passed: &'a [String], blob_at: u64, known: Option<&'a BTreeMap<u16, u64>>) -> Self {
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

    fn steps(&mut self, first: usize, steps: &[Step], fault: Option<Fault>) {
        for (index, step) in steps.iter().enumerate() {
            let index = first + index;
            self.op = index as u16;
            if let Some((_, errno)) = fault.filter(|&(at, _)| at == index) {
                self.check(Arg::Is(0), 1, errno, u64::MAX);
            }
            self.step(&step.op);
        }
    }

    // -- the blob -----------------------------------------------------------------------------------------------------

    fn align(&mut self) {
        self.blob.resize(self.blob.len().next_multiple_of(8), 0);
    }

    /// `bytes`, 8-aligned; returns the address.
    fn bytes(&mut self, bytes: &[u8]) -> u64 {
        self.align();
        let at = self.blob_at + self.blob.len() as u64;
        self.blob.extend_from_slice(bytes);
        at
    }

    fn words(&mut self, words: &[u64]) -> u64 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.bytes(&bytes)
    }

    /// A NUL-terminated text; equal ones share their place.
    fn text(&mut self, text: &[u8]) -> u64 {
        if let Some(&at) = self.texts.get(text) {
            return at;
        }
        let at = self.fresh_text(text);
        self.texts.insert(text.to_vec(), at);
        at
    }

    fn fresh_text(&mut self, text: &[u8]) -> u64 {
        let at = self.blob_at + self.blob.len() as u64;
        self.blob.extend_from_slice(text);
        self.blob.push(0);
        at
    }

    fn path(&mut self, path: &Path) -> u64 {
        self.text(path.as_os_str().as_bytes())
    }

    /// A NULL-terminated list of texts.
    fn list(&mut self, texts: &[Vec<u8>]) -> u64 {
        let mut words: Vec<u64> = texts.iter().map(|text| self.text(text)).collect();
        words.push(0);
        self.words(&words)
    }

    /// A word that init fills.
    fn word(&mut self) -> u64 {
        self.words(&[0])
    }

    fn slot(&mut self, slot: &Slot) -> u64 {
        let known = self.slots.get(&slot.id).or_else(|| self.known?.get(&slot.id));
        if let Some(&at) = known {
            return at;
        }
        // Not 0, which is an fd: a slot that nothing has filled is none (EBADF).
        let at = self.words(&[u64::MAX]);
        self.slots.insert(slot.id, at);
        at
    }

    fn fd(&mut self, fd: &Fd) -> Arg {
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

    fn call<const N: usize>(&mut self, nr: libc::c_long, args: [Arg; N]) {
        self.pseudo(nr as u32, args);
    }

    /// A call whose result is kept at the address `save`.
    fn call_into<const N: usize>(&mut self, nr: libc::c_long, args: [Arg; N], save: u64) {
        let op = RawOp { save, ..self.raw(nr as u32, args) };
        self.ops.extend_from_slice(&op.to_bytes());
    }

    /// A call for which `errno` is no failure.
    fn call_or<const N: usize>(&mut self, nr: libc::c_long, args: [Arg; N], errno: i32) {
        let op = RawOp { tolerate: [errno as u8, 0, 0, 0, 0, 0, 0, 0], ..self.raw(nr as u32, args) };
        self.ops.extend_from_slice(&op.to_bytes());
    }

    fn pseudo<const N: usize>(&mut self, nr: u32, args: [Arg; N]) {
        let op = self.raw(nr, args);
        self.ops.extend_from_slice(&op.to_bytes());
    }

    fn raw<const N: usize>(&self, nr: u32, args: [Arg; N]) -> RawOp {
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

    fn check(&mut self, actual: Arg, expected: u64, errno: i32, mask: u64) {
        self.pseudo(wire::PSEUDO_CHECK, [actual, expected.into(), errno.into(), mask.into()]);
    }

    fn close(&mut self, fd: Arg) {
        self.call(libc::SYS_close, [fd]);
    }

    /// Open, write all, close.
    fn write_file(&mut self, path: &str, content: &[u8]) {
        let (path, fd) = (self.text(path.as_bytes()), self.word());
        self.call_into(libc::SYS_openat, [cwd(), path.into(), (libc::O_WRONLY | libc::O_CLOEXEC).into(), 0.into()], fd);
        self.write(fd, content);
        self.close(Arg::At(fd));
    }

    fn write(&mut self, fd: u64, content: &[u8]) {
        let (text, written) = (self.bytes(content), self.word());
        self.call_into(libc::SYS_write, [Arg::At(fd), text.into(), content.len().into()], written);
        self.check(Arg::At(written), content.len() as u64, libc::ENOSPC, u64::MAX);
    }

    /// Have this as the working directory.
    fn go_to(&mut self, directory: &Fd) {
        if self.inside.as_ref() != Some(directory) {
            let fd = self.fd(directory);
            self.call(libc::SYS_fchdir, [fd]);
            self.inside = Some(directory.clone());
        }
    }

    fn prctl(&mut self, option: i32, value: u64) {
        self.call(libc::SYS_prctl, [option.into(), value.into(), 0.into(), 0.into(), 0.into()]);
    }

    // -- operations ---------------------------------------------------------------------------------------------------

    fn step(&mut self, op: &Op) {
        match op {
            Op::JoinNamespace { flag, from, .. } => {
                let from = self.fd(from);
                self.call(libc::SYS_setns, [from, (*flag).into()]);
            }
            Op::Unshare { flags } => {
                self.call(libc::SYS_unshare, [(*flags).into()]);
            }
            Op::TimeOffsets { monotonic, boottime } => {
                self.write_file(
                    "/proc/self/timens_offsets",
                    format!("monotonic {monotonic} 0\nboottime {boottime} 0\n").as_bytes(),
                );
            }
            Op::MapIds { maps } if maps.writer == MapWriter::Init => {
                if maps.deny_setgroups {
                    self.write_file("/proc/self/setgroups", b"deny");
                }
                self.write_file("/proc/self/uid_map", map_text(&maps.uid).as_bytes());
                self.write_file("/proc/self/gid_map", map_text(&maps.gid).as_bytes());
            }
            // The host's answer to READY.
            Op::IdMapMount { .. } => {}
            Op::MapIds { .. } => {
                self.pseudo(wire::PSEUDO_READY, []);
            }
            Op::OpenNamespace { kind, into } => {
                let (path, into) = (self.text(format!("/proc/self/ns/{kind}").as_bytes()), self.slot(into));
                let flags = libc::O_RDONLY | libc::O_CLOEXEC;
                self.call_into(libc::SYS_openat, [cwd(), path.into(), flags.into(), 0.into()], into);
            }
            Op::Undumpable => {
                self.prctl(libc::PR_SET_DUMPABLE, 0);
            }
            Op::CreateInit { cgroup, shared, payload } => {
                const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
                let memory = if *shared { libc::CLONE_VM as u64 } else { 0 };
                let wait = if *payload { libc::CLONE_VFORK as u64 } else { 0 };
                let flags = memory | wait | if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
                let cgroup = cgroup.as_ref().map_or(Arg::from(0), |fd| self.fd(fd));
                self.pseudo(wire::PSEUDO_CLONE, [flags.into(), cgroup]);
            }
            Op::EnterGroup { tasks } => {
                // 0 is the one who writes: nobody else's pid is ever written, which would wait for all other CPUs.
                let (tasks, zero) = (self.fd(tasks), self.text(b"0"));
                self.call(libc::SYS_write, [tasks, zero.into(), 1.into()]);
                self.close(tasks);
            }
            Op::ClearUmask => {
                self.call(libc::SYS_umask, [0.into()]);
            }
            Op::KeepCapabilities => {
                const NO_SETUID_FIXUP: u64 = 4;
                self.prctl(libc::PR_SET_SECUREBITS, NO_SETUID_FIXUP);
            }
            Op::SetIds { uid, gid, groups } => self.set_ids(*uid, *gid, groups.as_deref()),
            Op::DieWithKeeper => {
                self.prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64);
            }
            Op::SetHostname { name } => {
                let text = self.text(name.as_bytes());
                self.call(libc::SYS_sethostname, [text.into(), name.len().into()]);
            }
            Op::LoopbackUp => self.loopback_up(),
            Op::Detach { propagation } => {
                let flags = libc::MS_REC | propagation_flags(*propagation);
                let root = self.text(b"/");
                self.call(libc::SYS_mount, [0.into(), root.into(), 0.into(), flags.into(), 0.into()]);
            }
            Op::CloneTree { .. }
            | Op::CloneFd { .. }
            | Op::NewFileSystem { .. }
            | Op::MountAt { .. }
            | Op::SetAttributes { .. }
            | Op::SetPropagation { .. }
            | Op::MakeDir { .. }
            | Op::MakeNode { .. }
            | Op::MakeFile { .. }
            | Op::MakeSymlink { .. }
            | Op::WriteFile { .. }
            | Op::Resolve { .. }
            | Op::OpenBelow { .. }
            | Op::CloneBelow { .. }
            | Op::Bind { .. }
            | Op::Attach { .. } => self.tree(op),
            Op::MountOverlay { at, name, lower, upper, attributes, into } => {
                self.mount_overlay(at, name, lower, upper.as_ref(), attributes.mount_flags(), into);
            }
            Op::SetOwner { at, name, uid, gid } => {
                let (at, name) = (self.fd(at), self.path(name));
                let flags = libc::AT_SYMLINK_NOFOLLOW;
                self.call(libc::SYS_fchownat, [at, name.into(), (*uid).into(), (*gid).into(), flags.into()]);
            }
            // By the host.
            Op::ClaimUpper { .. } => {}
            Op::SendFd { fd, what } => {
                let fd = self.fd(fd);
                self.pseudo(wire::PSEUDO_SEND, [fd, (*what as u32).into()]);
            }
            Op::Deputize { memory } => {
                let memory = self.fd(memory);
                let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE);
                self.call(
                    libc::SYS_mmap,
                    [wire::TABLE_ADDR.into(), wire::TABLE_SIZE.into(), access.into(), kind.into(), memory, 0.into()],
                );
                self.pseudo(wire::PSEUDO_DEPUTIZE, [wire::TABLE_ADDR.into()]);
            }
            Op::OpenRoot { into } => {
                let (root, into) = (self.text(b"/"), self.slot(into));
                let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
                self.call_into(libc::SYS_openat, [cwd(), root.into(), flags.into(), 0.into()], into);
            }
            Op::EnterRoot { root: fd } => {
                let (root, slash, empty) = (self.fd(fd), self.text(b"/"), self.text(b""));
                self.call(
                    libc::SYS_move_mount,
                    [root, empty.into(), cwd(), slash.into(), sys::MOVE_MOUNT_F_EMPTY_PATH.into()],
                );
                self.inside = None;
                self.go_to(fd);
            }
            Op::PivotRoot { root, over } => {
                self.go_to(root);
                let (dot, slash) = (self.text(b"."), self.text(b"/"));
                self.call(libc::SYS_pivot_root, [dot.into(), dot.into()]);
                // The path is that of the new root, and each time the topmost mount over it is detached.
                for _ in 0..*over {
                    self.call(libc::SYS_umount2, [dot.into(), libc::MNT_DETACH.into()]);
                }
                self.call(libc::SYS_chdir, [slash.into()]);
                self.nothing_over_the_root();
            }
            _ => self.privilege(op),
        }
    }

    fn tree(&mut self, op: &Op) {
        match op {
            Op::CloneTree { path, recursive, witness, into } => {
                let (path, into) = (self.path(path), self.slot(into));
                let flags = clone_flags(*recursive);
                self.call_into(libc::SYS_open_tree, [cwd(), path.into(), flags.into()], into);
                if let Some(witness) = witness {
                    self.witness(into, witness.device, witness.inode);
                }
            }
            Op::CloneFd { from, recursive, into } => {
                let (from, empty, into) = (self.fd(from), self.text(b""), self.slot(into));
                let flags = clone_flags(*recursive) | libc::AT_EMPTY_PATH as u32;
                self.call_into(libc::SYS_open_tree, [from, empty.into(), flags.into()], into);
            }
            Op::NewFileSystem { kind, options, attributes, into } => {
                let (kind, fs, into) = (self.text(kind.as_bytes()), self.word(), self.slot(into));
                self.call_into(libc::SYS_fsopen, [kind.into(), sys::FSOPEN_CLOEXEC.into()], fs);
                for (key, value) in options {
                    let key = self.text(key.as_bytes());
                    let (command, value) = match value {
                        Some(value) => (sys::FSCONFIG_SET_STRING, self.text(value.as_bytes())),
                        None => (sys::FSCONFIG_SET_FLAG, 0),
                    };
                    self.call(libc::SYS_fsconfig, [Arg::At(fs), command.into(), key.into(), value.into(), 0.into()]);
                }
                self.call(
                    libc::SYS_fsconfig,
                    [Arg::At(fs), sys::FSCONFIG_CMD_CREATE.into(), 0.into(), 0.into(), 0.into()],
                );
                self.call_into(
                    libc::SYS_fsmount,
                    [Arg::At(fs), sys::FSMOUNT_CLOEXEC.into(), attributes.bits().into()],
                    into,
                );
                self.close(Arg::At(fs));
            }
            Op::MountAt { kind, options, attributes, at, name } => {
                let (kind, name) = (self.text(kind.as_bytes()), self.path(name));
                let options = self.text(mount_options(options).as_bytes());
                self.go_to(at);
                self.call(
                    libc::SYS_mount,
                    [kind.into(), name.into(), kind.into(), attributes.mount_flags().into(), options.into()],
                );
            }
            Op::Bind { at, from, name, set } => {
                let (from, name) = (self.path(from), self.path(name));
                self.go_to(at);
                self.call(libc::SYS_mount, [from.into(), name.into(), 0.into(), libc::MS_BIND.into(), 0.into()]);
                if let Some(set) = set {
                    let flags = libc::MS_BIND | libc::MS_REMOUNT | set.mount_flags();
                    self.call(libc::SYS_mount, [0.into(), name.into(), 0.into(), flags.into(), 0.into()]);
                }
            }
            Op::SetAttributes { mount, set, recursive } => self.setattr(mount, set.bits(), 0, *recursive),
            Op::SetPropagation { mount, propagation, recursive } => {
                self.setattr(mount, 0, propagation_flags(*propagation), *recursive);
            }
            Op::MakeDir { at, name, mode } => {
                let (at, name) = (self.fd(at), self.path(name));
                self.call_or(libc::SYS_mkdirat, [at, name.into(), (*mode).into()], libc::EEXIST);
            }
            Op::MakeNode { at, name } => {
                let (at, name) = (self.fd(at), self.path(name));
                self.call_or(
                    libc::SYS_mknodat,
                    [at, name.into(), (libc::S_IFREG | 0o444).into(), 0.into()],
                    libc::EEXIST,
                );
            }
            Op::MakeFile { at, name, content, mode } => {
                let (at, name, fd) = (self.fd(at), self.path(name), self.word());
                let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_NOFOLLOW | libc::O_CLOEXEC;
                self.call_into(libc::SYS_openat, [at, name.into(), flags.into(), (*mode).into()], fd);
                self.write(fd, content);
                self.close(Arg::At(fd));
            }
            Op::WriteFile { at, name, content } => {
                let (at, name, fd) = (self.fd(at), self.path(name), self.word());
                self.call_into(
                    libc::SYS_openat,
                    [at, name.into(), (libc::O_WRONLY | libc::O_CLOEXEC).into(), 0.into()],
                    fd,
                );
                self.write(fd, content.as_bytes());
                self.close(Arg::At(fd));
            }
            Op::MakeSymlink { at, name, text } => {
                let (at, name, text) = (self.fd(at), self.path(name), self.path(text));
                self.call(libc::SYS_symlinkat, [text.into(), at, name.into()]);
            }
            Op::Resolve { root, path, directory, into } => {
                let kind = if *directory { libc::O_DIRECTORY } else { 0 };
                self.open_below(root, path, libc::O_PATH | kind, 0, into);
            }
            Op::OpenBelow { root, path, flags, mode, into } => self.open_below(root, path, *flags, *mode, into),
            Op::CloneBelow { at, name, into } => {
                let (at, name, into) = (self.fd(at), self.path(name), self.slot(into));
                self.call_into(libc::SYS_open_tree, [at, name.into(), clone_flags(true).into()], into);
            }
            Op::Attach { mount, at, name } => {
                let (mount, at, empty) = (self.fd(mount), self.fd(at), self.text(b""));
                let mut flags = sys::MOVE_MOUNT_F_EMPTY_PATH;
                if name.as_os_str().is_empty() {
                    flags |= sys::MOVE_MOUNT_T_EMPTY_PATH;
                }
                let name = self.path(name);
                self.call(libc::SYS_move_mount, [mount, empty.into(), at, name.into(), flags.into()]);
            }
            _ => {}
        }
    }

    fn privilege(&mut self, op: &Op) {
        match op {
            Op::NewKeyring => {
                const KEYCTL_JOIN_SESSION_KEYRING: u32 = 1;
                // A kernel without keyrings has none that could be inherited.
                self.call_or(libc::SYS_keyctl, [KEYCTL_JOIN_SESSION_KEYRING.into(), 0.into()], libc::ENOSYS);
            }
            Op::NoNewPrivileges => {
                self.prctl(libc::PR_SET_NO_NEW_PRIVS, 1);
            }
            Op::DropBoundingSet { keep, last } => {
                for capability in (0..=*last).filter(|bit| keep & 1 << bit == 0) {
                    self.prctl(libc::PR_CAPBSET_DROP, capability.into());
                }
            }
            Op::InstallFilter { program, flags, .. } => {
                let program_at = self.words(program);
                // struct sock_fprog: u16 length, padding, pointer.
                let fprog = self.words(&[program.len() as u64, program_at]);
                self.call(libc::SYS_seccomp, [libc::SECCOMP_SET_MODE_FILTER.into(), (*flags).into(), fprog.into()]);
            }
            Op::PrepareLandlock { file_system, network, scoped, rules, abi, into } => {
                let into = self.slot(into);
                let attr = self.words(&[*file_system, *network, *scoped]);
                let size: usize = match abi {
                    0..=3 => 8,
                    4..=5 => 16,
                    _ => 24,
                };
                self.call_into(libc::SYS_landlock_create_ruleset, [attr.into(), size.into(), 0.into()], into);
                for rule in rules {
                    // struct landlock_path_beneath_attr: u64 access, s32 fd (packed); init stores the fd as a whole
                    // word, whose low half comes first on the little-endian machines that init is written for.
                    let path = self.path(rule.path.as_path());
                    let attr = self.words(&[rule.access, 0]);
                    let flags = libc::O_PATH | libc::O_CLOEXEC;
                    self.call_into(libc::SYS_openat, [cwd(), path.into(), flags.into(), 0.into()], attr + 8);
                    self.call(libc::SYS_landlock_add_rule, [Arg::At(into), 1.into(), attr.into(), 0.into()]);
                    self.close(Arg::At(attr + 8));
                }
            }
            Op::StartPayload => {
                self.pseudo(wire::PSEUDO_START, []);
            }
            Op::Serve { socket, ruleset } => {
                let (processes, proc) = (self.word(), self.text(b"/proc"));
                let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
                self.call_into(libc::SYS_openat, [cwd(), proc.into(), flags.into(), 0.into()], processes);
                let (socket, ruleset) = (self.fd(socket), ruleset.as_ref().map_or(Arg::from(-1), |fd| self.fd(fd)));
                self.pseudo(wire::PSEUDO_SERVE, [socket, ruleset, Arg::At(processes)]);
            }
            _ => self.payload(op),
        }
    }

    fn payload(&mut self, op: &Op) {
        match op {
            Op::ClearSignalMask => {
                let none = self.words(&[0]);
                self.call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK.into(), none.into(), 0.into(), 8.into()]);
            }
            Op::NewSession => {
                self.call(libc::SYS_setsid, []);
            }
            Op::SetRlimit { resource, soft, hard, .. } => {
                let limit = self.words(&[*soft, *hard]);
                self.call(libc::SYS_prlimit64, [0.into(), (*resource).into(), limit.into(), 0.into()]);
            }
            Op::SetNice { value } => {
                self.call(libc::SYS_setpriority, [0.into(), 0.into(), (*value).into()]);
            }
            Op::ChangeDirectory { path } => {
                let path = self.path(path.as_path());
                self.call(libc::SYS_chdir, [path.into()]);
            }
            Op::SetCapabilities { keep, all, securebits } => self.set_capabilities(*keep, *all, *securebits),
            Op::RestrictSelf { ruleset } => {
                let ruleset = self.fd(ruleset);
                self.call(libc::SYS_landlock_restrict_self, [ruleset, 0.into()]);
            }
            Op::SetUmask { mask } => {
                self.call(libc::SYS_umask, [(*mask).into()]);
            }
            Op::OpenTerminal { columns, rows, host, payload } => {
                /// As ints everywhere, whatever type the C library's header gives them.
                const TIOCSPTLCK: u32 = libc::TIOCSPTLCK as u32;
                const TIOCGPTPEER: u32 = libc::TIOCGPTPEER as u32;
                const TIOCSWINSZ: u32 = libc::TIOCSWINSZ as u32;
                let (host, payload, path) = (self.slot(host), self.slot(payload), self.text(b"/dev/ptmx"));
                let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
                self.call_into(libc::SYS_openat, [cwd(), path.into(), flags.into(), 0.into()], host);
                let unlocked = self.words(&[0]);
                self.call(libc::SYS_ioctl, [Arg::At(host), TIOCSPTLCK.into(), unlocked.into()]);
                // struct winsize: rows, columns, two that nobody uses; u16 each.
                let size = self.words(&[u64::from(*rows) | u64::from(*columns) << 16]);
                self.call(libc::SYS_ioctl, [Arg::At(host), TIOCSWINSZ.into(), size.into()]);
                self.call_into(libc::SYS_ioctl, [Arg::At(host), TIOCGPTPEER.into(), flags.into()], payload);
            }
            Op::ControlTerminal { from } => {
                const TIOCSCTTY: u32 = libc::TIOCSCTTY as u32;
                let from = self.fd(from);
                self.call(libc::SYS_ioctl, [from, TIOCSCTTY.into(), 0.into()]);
            }
            Op::LiftFd { from, above, into } => {
                let (from, into) = (self.fd(from), self.slot(into));
                self.call_into(libc::SYS_fcntl, [from, libc::F_DUPFD_CLOEXEC.into(), (*above).into()], into);
            }
            Op::CloseOnExec { first } => {
                const CLOSE_RANGE_CLOEXEC: u32 = 4;
                self.call(libc::SYS_close_range, [(*first).into(), u32::MAX.into(), CLOSE_RANGE_CLOEXEC.into()]);
            }
            Op::PlaceFd { from, number } => {
                let from = self.fd(from);
                self.call(libc::SYS_dup3, [from, (*number).into(), 0.into()]);
            }
            Op::OwnPid { variable } => {
                let mut text = format!("{variable}=").into_bytes();
                let digits = text.len() as u64;
                text.extend_from_slice(&[0; 12]);
                let at = self.fresh_text(&text);
                self.pid_texts.push(at);
                self.pseudo(wire::PSEUDO_PID, [(at + digits).into()]);
            }
            Op::Execute { candidates, argv, env, .. } => {
                let (paths, argv) = (self.list(candidates), self.list(argv));
                let mut words: Vec<u64> = env.iter().map(|variable| self.text(variable)).collect();
                words.extend(&self.pid_texts);
                words.push(0);
                let env = self.words(&words);
                self.pseudo(wire::PSEUDO_EXEC, [paths.into(), argv.into(), env.into()]);
            }
            _ => {}
        }
    }

    // -- operations of several calls ------------------------------------------------------------------------------------

    /// Fail with ESTALE unless the fd in `slot` is the inode that the host has seen.
    fn witness(&mut self, slot: u64, device: u64, inode: u64) {
        // struct statx, 256 bytes: stx_ino at 32, stx_dev_major and stx_dev_minor (u32 each) at 136.
        let (buffer, empty) = (self.bytes(&[0; 256]), self.text(b""));
        const STATX_INO: u32 = 0x100;
        self.call(
            libc::SYS_statx,
            [Arg::At(slot), empty.into(), libc::AT_EMPTY_PATH.into(), STATX_INO.into(), buffer.into()],
        );
        self.check(Arg::At(buffer + 32), inode, libc::ESTALE, u64::MAX);
        let (major, minor) = (libc::major(device), libc::minor(device));
        self.check(Arg::At(buffer + 136), u64::from(major) | u64::from(minor) << 32, libc::ESTALE, u64::MAX);
    }

    /// Fail with EXDEV if `/..` is anything but `/`: a mount that still lies over the root would be a way back to the host.
    fn nothing_over_the_root(&mut self) {
        // struct statx: stx_mnt_id at 144, since Linux 5.8.
        const STATX_MNT_ID: u32 = 0x1000;
        const MNT_ID: u64 = 144;
        let [root, above] = [&b"/"[..], b"/.."].map(|path| {
            let (path, buffer) = (self.text(path), self.bytes(&[0; 256]));
            self.call(libc::SYS_statx, [cwd(), path.into(), 0.into(), STATX_MNT_ID.into(), buffer.into()]);
            Arg::At(buffer + MNT_ID)
        });
        self.pseudo(wire::PSEUDO_CHECK, [above, root, libc::EXDEV.into(), u64::MAX.into()]);
    }

    fn open_below(&mut self, root: &Fd, path: &Path, flags: i32, mode: u32, into: &Slot) {
        let (root, path, into) = (self.fd(root), self.path(path), self.slot(into));
        // struct open_how: flags, mode, resolve (openat2(2)).
        let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
        let how = self.words(&[(flags | libc::O_CLOEXEC) as u64, mode.into(), resolve]);
        self.call_into(libc::SYS_openat2, [root, path.into(), how.into(), 24.into()], into);
    }

    /// mount(2) and not the new interface: only there a stack of 500 layers fits into one call on every kernel. Its one page
    /// of options is enough because the layers have short names below the working directory. Upper and work directory may
    /// lie below directories that the sandbox's ids can't search: they are named through the numbers 0 and 1, which
    /// stand for nothing while PID 1 sets things up.
    fn mount_overlay(
        &mut self,
        at: &Fd,
        name: &Path,
        lower: &[std::path::PathBuf],
        upper: Option<&(Fd, Fd)>,
        flags: u64,
        into: &Slot,
    ) {
        const PLACEHOLDER: i32 = 2;
        let lower: Vec<&[u8]> = lower.iter().map(|layer| layer.as_os_str().as_bytes()).collect();
        let mut options = [b"userxattr,index=off,lowerdir=".as_slice(), &lower.join(&b':')].concat();
        let (name, kind) = (self.path(name), self.text(b"overlay"));
        if let Some((upper, work)) = upper {
            options.extend_from_slice(b",upperdir=/proc/self/fd/0,workdir=/proc/self/fd/1");
            for (number, fd) in [(0, upper), (1, work)] {
                let fd = self.fd(fd);
                self.call(libc::SYS_dup3, [fd, number.into(), libc::O_CLOEXEC.into()]);
            }
        }
        let options = self.text(&options);
        self.go_to(at);
        let at = self.fd(at);
        self.call(libc::SYS_mount, [kind.into(), name.into(), kind.into(), flags.into(), options.into()]);
        if upper.is_some() {
            for number in [0, 1] {
                self.call(libc::SYS_dup3, [PLACEHOLDER.into(), number.into(), libc::O_CLOEXEC.into()]);
            }
        }
        let (open, into) = (libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, self.slot(into));
        self.call_into(libc::SYS_openat, [at, name.into(), open.into(), 0.into()], into);
    }

    fn setattr(&mut self, mount: &Fd, set: u64, propagation: u64, recursive: bool) {
        let (mount, empty) = (self.fd(mount), self.text(b""));
        let attr = self.words(&[set, 0, propagation, 0]);
        let flags = libc::AT_EMPTY_PATH as u32 | if recursive { sys::AT_RECURSIVE } else { 0 };
        self.call(
            libc::SYS_mount_setattr,
            [mount, empty.into(), flags.into(), attr.into(), size_of::<sys::MountAttr>().into()],
        );
    }

    fn set_ids(&mut self, uid: u32, gid: u32, groups: Option<&[u32]>) {
        if let Some(groups) = groups {
            let list: Vec<u8> = groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
            let at = self.bytes(&list);
            self.call(libc::SYS_setgroups, [groups.len().into(), at.into()]);
        }
        self.call(libc::SYS_setresgid, [gid.into(), gid.into(), gid.into()]);
        self.call(libc::SYS_setresuid, [uid.into(), uid.into(), uid.into()]);
    }

    fn loopback_up(&mut self) {
        /// As an int everywhere, whatever type the C library's header gives it.
        const SIOCSIFFLAGS: i32 = libc::SIOCSIFFLAGS as i32;
        let socket = self.word();
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        self.call_into(libc::SYS_socket, [libc::AF_INET.into(), kind.into(), 0.into()], socket);
        // struct ifreq: 16 bytes of name, then the flags.
        let mut request = [0u8; 40];
        request[..2].copy_from_slice(b"lo");
        request[16..18].copy_from_slice(&((libc::IFF_UP | libc::IFF_RUNNING) as u16).to_ne_bytes());
        let request = self.bytes(&request);
        self.call(libc::SYS_ioctl, [Arg::At(socket), SIOCSIFFLAGS.into(), request.into()]);
        self.close(Arg::At(socket));
    }

    /// Ambient needs permitted and inheritable, securebits need CAP_SETPCAP: so inheritable first, then both, then the rest goes.
    fn set_capabilities(&mut self, keep: u64, all: u64, securebits: Option<u32>) {
        const PR_CAP_AMBIENT_RAISE: u64 = 2;
        const PR_CAP_AMBIENT_CLEAR_ALL: u64 = 4;
        // Without any kept, capset(2) below empties the ambient set too (capabilities(7): what is not both permitted and
        // inheritable leaves it).
        if keep != 0 {
            self.call(
                libc::SYS_prctl,
                [libc::PR_CAP_AMBIENT.into(), PR_CAP_AMBIENT_CLEAR_ALL.into(), 0.into(), 0.into(), 0.into()],
            );
            self.capset(all, all, keep);
            for capability in (0..64u8).filter(|bit| keep & 1 << bit != 0) {
                self.call(
                    libc::SYS_prctl,
                    [
                        libc::PR_CAP_AMBIENT.into(),
                        PR_CAP_AMBIENT_RAISE.into(),
                        u64::from(capability).into(),
                        0.into(),
                        0.into(),
                    ],
                );
            }
        }
        if let Some(bits) = securebits {
            self.prctl(libc::PR_SET_SECUREBITS, bits.into());
        }
        self.capset(keep, keep, keep);
    }

    fn capset(&mut self, effective: u64, permitted: u64, inheritable: u64) {
        const VERSION_3: u64 = 0x2008_0522;
        let header = self.words(&[VERSION_3]);
        let half = |set: u64, high: bool| if high { set >> 32 } else { set & 0xFFFF_FFFF };
        let pack = |low: u64, high: u64| low | high << 32;
        let data = self.words(&[
            pack(half(effective, false), half(permitted, false)),
            pack(half(inheritable, false), half(effective, true)),
            pack(half(permitted, true), half(inheritable, true)),
        ]);
        self.call(libc::SYS_capset, [header.into(), data.into()]);
    }
}

fn cwd() -> Arg {
    libc::AT_FDCWD.into()
}

fn clone_flags(recursive: bool) -> u32 {
    sys::OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | if recursive { sys::AT_RECURSIVE } else { 0 }
}
