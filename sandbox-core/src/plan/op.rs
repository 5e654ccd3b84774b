//! Owns: the operations a plan is made of, as typed values.
//! Must not: know system call numbers (lower), words for people (display.rs), or what led to an operation (compile).
//! Start at: [`Op`].

use std::os::fd::RawFd;
use std::path::PathBuf;

use crate::idmap::IdMaps;
use crate::spec::{GuestPath, Propagation};

/// An fd that one operation makes and later ones use. The name is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub id: u16,
    pub name: String,
}

/// Where an operation takes an fd from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fd {
    /// Made by an earlier operation of the same executor.
    Slot(Slot),
    /// Handed over by the host under this name.
    Passed(String),
}

/// What an fd of a known identity must be, so that a path that was exchanged meanwhile is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Witness {
    pub device: u64,
    pub inode: u64,
}

/// Attributes of a mount, as mount_setattr(2) has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Attributes {
    pub read_only: bool,
    pub nosuid: bool,
    pub nodev: bool,
    pub noexec: bool,
    /// Of a new mount only: how access times are kept, where the kernel insists on what the host has.
    pub atime: u64,
}

/// What an fd that init hands to the host stands for. The number is the tag it travels under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Handed {
    /// The root directory of the sandbox.
    Root = 1,
    /// The upper directory of the root's overlay.
    Upper = 2,
    /// The user namespace.
    UserNamespace = 3,
    /// The layer of Pinfold's own below all others, with the mount points.
    Skeleton = 4,
    /// What an errand has opened.
    Opened = 5,
    /// The host's end of a payload's terminal.
    Terminal = 6,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LandlockRule {
    pub path: GuestPath,
    pub access: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    // -- of the keeper, outside -------------------------------------------------------------------------------------
    JoinNamespace {
        kind: &'static str,
        flag: i32,
        from: Fd,
    },
    Unshare {
        flags: i32,
    },
    TimeOffsets {
        monotonic: i64,
        boottime: i64,
    },
    MapIds {
        maps: IdMaps,
    },
    /// A namespace of the caller's own, as an fd.
    OpenNamespace {
        kind: &'static str,
        into: Slot,
    },
    Undumpable,
    CreateInit {
        cgroup: Option<Fd>,
        /// It shares the keeper's memory, which saves a copy. Not with a new time namespace: a process that shares memory
        /// stays in the old one.
        shared: bool,
        /// It is the payload itself: the keeper waits until it executes.
        payload: bool,
    },

    // -- of PID 1 ---------------------------------------------------------------------------------------------------
    /// Enter a v1 group by its `tasks` file, or a threaded one by its `cgroup.threads`.
    EnterGroup {
        tasks: Fd,
    },
    ClearUmask,
    /// Capabilities survive a change of ids until `SetCapabilities`.
    KeepCapabilities,
    /// `groups` None: they can't be set (setgroups denied).
    SetIds {
        uid: u32,
        gid: u32,
        groups: Option<Vec<u32>>,
    },
    DieWithKeeper,
    SetHostname {
        name: String,
    },
    LoopbackUp,
    /// Of every mount this namespace was born with.
    Detach {
        propagation: Propagation,
    },

    // -- trees of mounts; those up to `Attach` can also be carried out by the host ------------------------------------
    CloneTree {
        path: PathBuf,
        recursive: bool,
        witness: Option<Witness>,
        into: Slot,
    },
    /// Clone the mount that an fd stands for.
    CloneFd {
        from: Fd,
        recursive: bool,
        into: Slot,
    },
    NewFileSystem {
        kind: &'static str,
        options: Vec<(&'static str, Option<String>)>,
        attributes: Attributes,
        into: Slot,
    },
    /// The same, mounted at `name` of `at` at once: one call instead of eight, for what nothing else is done to.
    MountAt {
        kind: &'static str,
        options: Vec<(&'static str, Option<String>)>,
        attributes: Attributes,
        at: Fd,
        name: PathBuf,
    },
    SetAttributes {
        mount: Fd,
        set: Attributes,
        recursive: bool,
    },
    SetPropagation {
        mount: Fd,
        propagation: Propagation,
        recursive: bool,
    },
    MakeDir {
        at: Fd,
        name: PathBuf,
        mode: u32,
    },
    /// An empty file, to mount something on.
    MakeNode {
        at: Fd,
        name: PathBuf,
    },
    MakeFile {
        at: Fd,
        name: PathBuf,
        content: Vec<u8>,
        mode: u32,
    },
    MakeSymlink {
        at: Fd,
        name: PathBuf,
        text: PathBuf,
    },
    /// Open what is at `path` below `root`, never leaving it.
    Resolve {
        root: Fd,
        path: PathBuf,
        directory: bool,
        into: Slot,
    },
    /// Open or make what is at `path` below `root`, never leaving it. `flags`: O_*.
    OpenBelow {
        root: Fd,
        path: PathBuf,
        flags: i32,
        mode: u32,
        into: Slot,
    },
    /// By the host, once the maps are written: the ids of the mount's files are those of the sandbox.
    IdMapMount {
        mount: Fd,
    },
    /// Write to a file that is there (a sysctl of the sandbox's own).
    WriteFile {
        at: Fd,
        name: PathBuf,
        content: &'static str,
    },
    /// A bind of part of one mount over another part of it (masked and read-only paths of a fresh proc).
    CloneBelow {
        at: Fd,
        name: PathBuf,
        into: Slot,
    },
    /// Mount `from` over `name`, both below `at` and without what is mounted below them: one call instead of two, or with
    /// attributes two instead of three, where nobody else can have put a link in the way.
    Bind {
        at: Fd,
        from: PathBuf,
        name: PathBuf,
        /// None: those that `from` has.
        set: Option<Attributes>,
    },
    /// `name` empty: over `at` itself.
    Attach {
        mount: Fd,
        at: Fd,
        name: PathBuf,
    },

    /// Hand an fd to the host. It arrives before the payload's exec, or the start fails.
    SendFd {
        fd: Fd,
        what: Handed,
    },

    /// An overlay at the directory `name` of `at`. Its layers, highest precedence first, are directories below `at`.
    MountOverlay {
        at: Fd,
        name: PathBuf,
        lower: Vec<PathBuf>,
        /// Upper and work directory, which are on one mount below `at`. None: it is read-only.
        upper: Option<(Fd, Fd)>,
        attributes: Attributes,
        into: Slot,
    },
    SetOwner {
        at: Fd,
        name: PathBuf,
        uid: u32,
        gid: u32,
    },
    /// By the host: make the directories that keep an overlay's changes where they are missing, and lock them against
    /// use by another sandbox for as long as this one lives.
    ClaimUpper {
        upper: PathBuf,
        work: PathBuf,
        into: Slot,
    },

    /// The root that this process has, because its mount namespace was joined or copied.
    OpenRoot {
        into: Slot,
    },
    /// Mount the new root over the old one, still reachable below it, and go there.
    EnterRoot {
        root: Fd,
    },
    /// `over`: how many mounts lie over the new root then: the old root, and what was entered before the new one. All go.
    PivotRoot {
        root: Fd,
        over: u8,
    },

    // -- privileges -------------------------------------------------------------------------------------------------
    NewKeyring,
    NoNewPrivileges,
    DropBoundingSet {
        keep: u64,
        last: u8,
    },
    InstallFilter {
        name: String,
        program: Vec<u64>,
        /// SECCOMP_FILTER_FLAG_*.
        flags: u64,
    },
    PrepareLandlock {
        abi: u32,
        file_system: u64,
        network: u64,
        scoped: u64,
        rules: Vec<LandlockRule>,
        into: Slot,
    },
    StartPayload,
    /// From here on payloads are asked for over a socket.
    Serve {
        socket: Fd,
        ruleset: Option<Fd>,
    },

    /// Make calls for the host, which writes them to this shared memory, until it is gone.
    Deputize {
        memory: Fd,
    },

    // -- of the payload's process -------------------------------------------------------------------------------------
    ClearSignalMask,
    NewSession,
    SetRlimit {
        name: &'static str,
        resource: u32,
        soft: u64,
        hard: u64,
    },
    SetNice {
        value: i32,
    },
    ChangeDirectory {
        path: GuestPath,
    },
    SetCapabilities {
        keep: u64,
        all: u64,
        securebits: Option<u32>,
    },
    RestrictSelf {
        ruleset: Fd,
    },
    SetUmask {
        mask: u32,
    },
    /// A new pair of the sandbox's own devpts: the host's end, and the payload's.
    OpenTerminal {
        columns: u16,
        rows: u16,
        host: Slot,
        payload: Slot,
    },
    /// Make it the controlling terminal of this session.
    ControlTerminal {
        from: Fd,
    },
    /// Copy an fd out of the way of the numbers that will be taken.
    LiftFd {
        from: Fd,
        above: RawFd,
        into: Slot,
    },
    CloseOnExec {
        first: RawFd,
    },
    PlaceFd {
        from: Fd,
        number: RawFd,
    },
    /// Put the payload's own pid into its environment.
    OwnPid {
        variable: &'static str,
    },
    Execute {
        program: String,
        candidates: Vec<Vec<u8>>,
        argv: Vec<Vec<u8>>,
        env: Vec<Vec<u8>>,
    },
}

/// One operation and the config key that asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub op: Op,
    pub origin: String,
}

impl Attributes {
    /// With the access-time options of a mount that a fresh one of its kind must share (`mnt_already_visible`).
    pub fn with_atime_of(self, options: &[String]) -> Self {
        use crate::sys::{MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_STRICTATIME};
        let bit = |option: &String| match option.as_str() {
            "noatime" => MOUNT_ATTR_NOATIME,
            "strictatime" => MOUNT_ATTR_STRICTATIME,
            "nodiratime" => MOUNT_ATTR_NODIRATIME,
            _ => 0,
        };
        Self { atime: options.iter().map(bit).fold(0, |bits, bit| bits | bit), ..self }
    }

    pub fn bits(self) -> u64 {
        use crate::sys::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
        [
            (self.read_only, MOUNT_ATTR_RDONLY),
            (self.nosuid, MOUNT_ATTR_NOSUID),
            (self.nodev, MOUNT_ATTR_NODEV),
            (self.noexec, MOUNT_ATTR_NOEXEC),
        ]
        .into_iter()
        .filter_map(|(on, bit)| on.then_some(bit))
        .sum::<u64>()
            | self.atime
    }

    /// The same for mount(2).
    pub fn mount_flags(self) -> u64 {
        use crate::sys::{MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_STRICTATIME};
        [
            (self.read_only, libc::MS_RDONLY),
            (self.nosuid, libc::MS_NOSUID),
            (self.nodev, libc::MS_NODEV),
            (self.noexec, libc::MS_NOEXEC),
            (self.atime & MOUNT_ATTR_NOATIME != 0, libc::MS_NOATIME),
            (self.atime & MOUNT_ATTR_STRICTATIME != 0, libc::MS_STRICTATIME),
            (self.atime & MOUNT_ATTR_NODIRATIME != 0, libc::MS_NODIRATIME),
        ]
        .into_iter()
        .filter_map(|(on, bit)| on.then_some(bit))
        .sum()
    }
}

impl Handed {
    pub fn from_tag(tag: u32) -> Option<Self> {
        [Self::Root, Self::Upper, Self::UserNamespace, Self::Skeleton, Self::Opened, Self::Terminal]
            .into_iter()
            .find(|what| *what as u32 == tag)
    }
}

impl From<Slot> for Fd {
    fn from(slot: Slot) -> Self {
        Self::Slot(slot)
    }
}
