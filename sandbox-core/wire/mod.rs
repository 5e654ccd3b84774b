//! Owns: the byte layouts shared by the host and init: the lowered plan, the records of the control socket.
//! Must not: allocate, call the kernel, or know what any operation means.
//!
//! This one file is compiled twice: as a module of the library and as a module of the `no_std` init program.
//! Both are built from the same source by the same build, so the layouts need no versioning on the wire beyond
//! [`VERSION`], which catches an installed init of another release.

/// `"PINFOLD\0"`, little endian.
pub const MAGIC: u64 = 0x0044_4C4F_464E_4950;

/// Changes with every change of a layout, of an address below, or of the meaning of a pseudo call.
pub const VERSION: u32 = 12;

/// Where init maps the plan. Blobs inside the plan hold absolute addresses, so that init relocates nothing. This and the
/// addresses below lie in the same GiB as init's image: fewer tables of pages to make and to take down.
pub const PLAN_ADDR: u64 = 0x1000_0000;

/// Where a shepherd reads the plan of a session's next payload to. No multiple of 2 MiB: where the kernel gives huge pages unasked,
/// the first byte of a plan would take one of the sandbox's memory, and make the shepherd larger than what it watches over.
pub const RUN_ADDR: u64 = 0x1210_0000;

/// Where a deputy maps the memory that the host writes its tables of calls to, a [`PlanHeader`] first.
pub const TABLE_ADDR: u64 = 0x1400_0000;

/// How long that memory is: two values of the kernel's largest (64 KiB), and some.
pub const TABLE_SIZE: usize = 160 << 10;

/// Where a keeper and a PID 1 that does not share its memory have the time of the payload's exec in common.
pub const EXECUTED_ADDR: u64 = 0x1500_0000;

/// Where the processes that start a session's payloads have the Landlock ruleset.
pub const RULESET_FD: i32 = 7;

/// How many payloads of one session can run at the same time.
pub const SHEPHERDS_MAX: usize = 1024;

/// A plan larger than this is refused by both sides.
pub const PLAN_MAX: usize = 16 << 20;

/// A plan up to this long is part of the message that starts it, behind the record. A longer one is a sealed file, the message's
/// last fd, or in a session in the shepherd's file.
pub const MESSAGE_MAX: usize = 64 << 10;

/// The control socket's number in init.
pub const CONTROL_FD: i32 = 3;

/// The doorbell's number in init.
pub const DOORBELL_FD: i32 = 4;

/// How many fds one message may carry (`SCM_MAX_FD`).
pub const FDS_MAX: usize = 253;

/// The fds that every start message begins with: the doorbell, a pidfd of the host.
pub const FIXED_FDS: usize = 2;

/// How many fds may have names: one more is the plan, where it is a file.
pub const NAMED_FDS_MAX: usize = FDS_MAX - FIXED_FDS - 1;

/// At the start of the plan. All offsets are absolute addresses in init's address space.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanHeader {
    pub magic: u64,
    pub version: u32,
    /// Bytes of the whole plan.
    pub length: u32,
    /// Address of the first [`RawOp`].
    pub ops: u64,
    pub op_count: u32,
    /// How many `u64` fd slots follow at `fds`; init writes the numbers of the received fds there.
    pub fd_count: u32,
    pub fds: u64,
    /// CLOCK_MONOTONIC nanoseconds at which the keeper ends the sandbox; 0: never.
    pub deadline: u64,
    /// Bits of `FLAG_*`.
    pub flags: u64,
    /// Address of the fd slot of the group's `cgroup.kill`, with which the keeper ends a tree that no PID namespace holds; 0: none.
    pub group_kill: u64,
    /// Address of the fd slot of a file that begins with the CPU time of the group; 0: it is not limited.
    pub cpu_stat: u64,
    /// Nanoseconds of CPU time after which the keeper ends the sandbox.
    pub cpu_limit: u64,
    /// Nanoseconds that 1 in `cpu_stat` stands for.
    pub cpu_unit: u64,
    /// How many CPUs can be busy at once, at least 1.
    pub cpu_width: u64,
    /// Address of the fd slot of a v1 group's `freezer.state`, because what is frozen there does not even die; 0: none.
    pub thaw: u64,
}

/// PID 1 is pid 1 of a namespace of its own: it may kill everything it sees.
pub const FLAG_OWN_PID_NAMESPACE: u64 = 1;

/// There is no init inside: PID 1 is the payload. The keeper waits for its exec (CLONE_VFORK among the flags of
/// `PSEUDO_CLONE`) and says how it ended.
pub const FLAG_PAYLOAD_IS_PID1: u64 = 2;

/// The host waits for the payload's end and for nothing before it: PID 1, or in a session its shepherd, does not tell of the exec,
/// makes no pidfd, and is not woken for it. The payload notes the time; EXIT and END say it.
pub const FLAG_END_ONLY: u64 = 4;

/// One system call of the plan.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawOp {
    /// The kernel's number, or one of `PSEUDO_*`.
    pub nr: u32,
    /// Bit i: `args[i]` is the address of the value, not the value.
    pub deref: u8,
    /// How many further calls are skipped when a tolerated errno came back.
    pub skip: u8,
    /// The typed operation this call belongs to, counted from 0: what a failure names.
    pub op: u16,
    /// Errnos that are no failure; 0 ends the list.
    pub tolerate: [u8; 8],
    /// Where the result is stored as a `u64`; 0: nowhere.
    pub save: u64,
    pub args: [u64; 6],
}

impl PlanHeader {
    pub fn to_bytes(self) -> [u8; core::mem::size_of::<Self>()] {
        let mut bytes = [0; core::mem::size_of::<Self>()];
        let words = [
            self.magic,
            self.version as u64 | (self.length as u64) << 32,
            self.ops,
            self.op_count as u64 | (self.fd_count as u64) << 32,
            self.fds,
            self.deadline,
            self.flags,
            self.group_kill,
            self.cpu_stat,
            self.cpu_limit,
            self.cpu_unit,
            self.cpu_width,
            self.thaw,
        ];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

impl RawOp {
    pub fn to_bytes(self) -> [u8; core::mem::size_of::<Self>()] {
        let mut bytes = [0; core::mem::size_of::<Self>()];
        let [a, b, c, d, e, f] = self.args;
        let head = self.nr as u64 | (self.deref as u64) << 32 | (self.skip as u64) << 40 | (self.op as u64) << 48;
        let words = [head, u64::from_le_bytes(self.tolerate), self.save, a, b, c, d, e, f];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// First of the numbers that are not the kernel's.
pub const PSEUDO_BASE: u32 = 0xFFFF_0000;
/// Tell the host `READY` and wait for `GO` (the host writes the id maps meanwhile).
pub const PSEUDO_READY: u32 = PSEUDO_BASE;
/// clone3 with flags `args[0]` and, with CLONE_INTO_CGROUP, the group fd `args[1]`. The parent becomes the keeper, the child walks on as PID 1.
pub const PSEUDO_CLONE: u32 = PSEUDO_BASE + 1;
/// Fail with errno `args[2]` unless `args[0] & args[3] == args[1]`.
pub const PSEUDO_CHECK: u32 = PSEUDO_BASE + 2;
/// The calls that follow are carried out by the payload's process; PID 1 stays behind as reaper.
pub const PSEUDO_START: u32 = PSEUDO_BASE + 3;
/// Execute the first of the NULL-ended list of paths `args[0]` that can be, with argv `args[1]` and envp `args[2]`.
pub const PSEUDO_EXEC: u32 = PSEUDO_BASE + 4;
/// Write the calling process's pid as decimal digits and a NUL to the address `args[0]`.
pub const PSEUDO_PID: u32 = PSEUDO_BASE + 5;
/// Send the fd `args[0]` to the host, as what `args[1]` says it is.
pub const PSEUDO_SEND: u32 = PSEUDO_BASE + 6;
/// PID 1 waits for requests on the socket `args[0]`; `args[1]`: the Landlock ruleset or -1, `args[2]`: the directory of processes.
pub const PSEUDO_SERVE: u32 = PSEUDO_BASE + 7;
/// Tell the host `READY`, wait for `GO`, note the number of an fd that comes along at the table's `fds`, and walk the table at
/// `args[0]`; then once more, until the host is gone. A `FAIL` says which call of the table was the last.
pub const PSEUDO_DEPUTIZE: u32 = PSEUDO_BASE + 8;

/// One message on the control socket, in either direction. Always exactly this long.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// One of `RECORD_*`.
    pub kind: u32,
    /// `FAIL`: the typed operation, or one of `OP_*`. `EXIT`: the wait status. `END`: PID 1's wait status. `START`: bytes of the
    /// plan. `SIGNAL`: the signal.
    pub value: u32,
    /// `FAIL`: the errno. `END`, `KILL`: one of `CAUSE_*`. `START`: how many fds come along, the plan not counted. `EXIT`: 1 if the usage is final.
    /// `THAW`: 1 if the file is that of the v1 freezer.
    pub detail: u32,
    /// `FAIL` of an exec: 1 if the program is there although the kernel said ENOENT. `START`: [`VERSION`]. `EXIT` of a
    /// shepherd: 1 if it is free for another payload.
    pub extra: u32,
    /// CLOCK_MONOTONIC nanoseconds at which it was sent. `THAW`: at which to thaw; 0: not any more.
    pub time: u64,
    /// `EXIT`, `END` of a payload with [`FLAG_END_ONLY`]: CLOCK_MONOTONIC nanoseconds of its exec, if it came to that; otherwise 0.
    pub executed: u64,
    /// `EXIT`, `USAGE`: of the payload's tree, as far as it was reaped.
    pub usage: RawUsage,
}

/// What getrusage(2) says of the reaped children.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RawUsage {
    pub user_us: u64,
    pub system_us: u64,
    /// KiB; the largest resident set of any one process of the tree.
    pub max_rss: u64,
    pub minor_faults: u64,
    pub major_faults: u64,
    pub blocks_in: u64,
    pub blocks_out: u64,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
}

/// Host to init: the plan and the fds.
pub const RECORD_START: u32 = 1;
/// Host to init: the id maps, or a table of calls, are written.
pub const RECORD_GO: u32 = 2;
/// Host to keeper: kill the tree; `detail` is the cause that END will repeat.
pub const RECORD_KILL: u32 = 3;
/// Host to PID 1 of a session: make a shepherd; its control socket, doorbell and plan come along.
pub const RECORD_SHEPHERD: u32 = 4;
/// Host to PID 1 of a session: kill everything but yourself.
pub const RECORD_KILL_ALL: u32 = 5;
/// Host to shepherd: start a payload. `value`: bytes of its plan, `detail`: how many fds come along, `extra`: [`VERSION`].
pub const RECORD_RUN: u32 = 6;
/// Host to init, instead of a plan: be a holder. A pidfd of the host comes along; `extra`: [`VERSION`].
pub const RECORD_HOLD: u32 = 7;
/// Host to holder: make a keeper. Its control socket comes along.
pub const RECORD_KEEPER: u32 = 8;
/// Host to shepherd: send the payload a signal. Says nothing to one whose payload is over.
pub const RECORD_SIGNAL: u32 = 9;
/// Host to the keeper of a session that is frozen, its shepherds too: thaw it at `time`, the first deadline of a payload. The file
/// to write to comes along. Replaces the one before.
pub const RECORD_THAW: u32 = 10;
/// Init to host: waiting for the id maps, or for a table of calls.
pub const RECORD_READY: u32 = 16;
/// PID 1 to host: the payload was executed; its pidfd comes along.
pub const RECORD_EXEC: u32 = 17;
/// Init to host: an operation failed, nothing was executed.
pub const RECORD_FAIL: u32 = 18;
/// PID 1 to host: the payload ended.
pub const RECORD_EXIT: u32 = 19;
/// PID 1 to host: every other process is gone too; the final usage.
pub const RECORD_USAGE: u32 = 20;
/// Keeper to host: PID 1 is gone, nothing of the sandbox runs any more.
pub const RECORD_END: u32 = 21;

/// Init to host: an fd comes along; `value` says what it stands for, in the words of the plan.
pub const RECORD_FD: u32 = 22;
/// PID 1 to host: the session is open.
pub const RECORD_OPEN: u32 = 23;
/// PID 1 to host: `KILL_ALL` is done.
pub const RECORD_DONE: u32 = 24;

/// Holder to host, on the keeper's control socket: it was made. `value`: its pid; its pidfd comes along.
pub const RECORD_MADE: u32 = 25;

/// In a FAIL, instead of an operation: a shepherd could not fork. It is free.
pub const OP_FORK: u32 = u32::MAX;
/// PID 1 of a session could not fork a shepherd.
pub const OP_SHEPHERD: u32 = u32::MAX - 1;
/// As many payloads run as can: [`SHEPHERDS_MAX`].
pub const OP_PLACE: u32 = u32::MAX - 2;

/// PID 1 ended by itself.
pub const CAUSE_NONE: u32 = 0;
/// The keeper's deadline passed.
pub const CAUSE_WALL_TIME: u32 = 1;
/// `Process::kill` or a dropped handle.
pub const CAUSE_KILLED: u32 = 2;
/// The caller's cancellation.
pub const CAUSE_CANCELLED: u32 = 3;
/// Too much output.
pub const CAUSE_OUTPUT: u32 = 4;
/// The CPU time of the group is used up.
pub const CAUSE_CPU_TIME: u32 = 5;

impl Record {
    pub const SIZE: usize = core::mem::size_of::<Self>();

    pub const fn new(kind: u32) -> Self {
        Self {
            kind,
            value: 0,
            detail: 0,
            extra: 0,
            time: 0,
            executed: 0,
            usage: RawUsage {
                user_us: 0,
                system_us: 0,
                max_rss: 0,
                minor_faults: 0,
                major_faults: 0,
                blocks_in: 0,
                blocks_out: 0,
                voluntary_switches: 0,
                involuntary_switches: 0,
            },
        }
    }

    const fn words(self) -> [u64; 13] {
        let u = self.usage;
        [
            self.kind as u64 | (self.value as u64) << 32,
            self.detail as u64 | (self.extra as u64) << 32,
            self.time,
            self.executed,
            u.user_us,
            u.system_us,
            u.max_rss,
            u.minor_faults,
            u.major_faults,
            u.blocks_in,
            u.blocks_out,
            u.voluntary_switches,
            u.involuntary_switches,
        ]
    }

    /// The record as bytes, as thirteen little-endian words.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.words()) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// None for anything that is not exactly one record.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::SIZE {
            return None;
        }
        let mut words = [0u64; 13];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            let mut eight = [0; 8];
            eight.copy_from_slice(chunk);
            *word = u64::from_le_bytes(eight);
        }
        let [
            head,
            second,
            time,
            executed,
            user_us,
            system_us,
            max_rss,
            minor_faults,
            major_faults,
            blocks_in,
            blocks_out,
            voluntary_switches,
            involuntary_switches,
        ] = words;
        Some(Self {
            kind: head as u32,
            value: (head >> 32) as u32,
            detail: second as u32,
            extra: (second >> 32) as u32,
            time,
            executed,
            usage: RawUsage {
                user_us,
                system_us,
                max_rss,
                minor_faults,
                major_faults,
                blocks_in,
                blocks_out,
                voluntary_switches,
                involuntary_switches,
            },
        })
    }
}
