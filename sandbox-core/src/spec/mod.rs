//! Owns: the config as meant: types that cannot hold nonsense, made by [`validate`] which reports every problem at once.
//! Must not: do I/O, know the host, or know how anything is enforced.
//! Start at: [`Spec`].

mod names;
mod paths;
mod validate;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use validate::{examine, validate};

/// A sandbox as meant. Every value was checked; what is not asked for is absent or the documented default.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spec {
    pub hostname: String,
    pub namespaces: Namespaces,
    pub network: Namespace,
    pub identity: Identity,
    pub rootfs: Rootfs,
    pub mounts: Vec<Mount>,
    pub limits: Limits,
    pub fds: Vec<DeclaredFd>,
    pub security: Security,
    pub process: ProcessDefaults,
    /// An installed copy of the init program.
    pub init_path: Option<PathBuf>,
    /// `compat.prefer`: feature patterns (`limits.*`) that may be weakened.
    pub prefer: Vec<String>,
}

impl Spec {
    /// Whether the root is an overlay.
    pub fn has_stacked_root(&self) -> bool {
        self.rootfs.overlay.is_some() || matches!(self.rootfs.kind, RootKind::Layers(_))
    }

    /// Whether the user allowed `feature` (a key path such as `limits.memory`) to be weaker than asked for.
    pub fn may_weaken(&self, feature: &str) -> bool {
        self.prefer.iter().any(|pattern| names::matches(pattern, feature))
    }
}

/// How the sandbox gets one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Namespace {
    New,
    Host,
    Join(JoinTarget),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JoinTarget {
    Path(PathBuf),
    Pid(u32),
    /// The name of an fd that the caller attaches to the sandbox (`Sandbox::fd`).
    Fd(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespaces {
    pub user: Namespace,
    pub pid: Namespace,
    pub mount: Namespace,
    pub ipc: Namespace,
    pub uts: Namespace,
    pub cgroup: Namespace,
    pub time: Namespace,
    /// Seconds added to CLOCK_BOOTTIME and CLOCK_MONOTONIC in a new time namespace.
    pub offset_boottime: i64,
    pub offset_monotonic: i64,
}

/// One line of an id map: `count` ids from `inside` stand for those from `outside`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdRange {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    /// None: the default of the host's kind (single map, or a range where the host may write one).
    pub uid_map: Option<Vec<IdRange>>,
    pub gid_map: Option<Vec<IdRange>>,
    /// The payload may be host uid 0.
    pub host_root: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rootfs {
    pub kind: RootKind,
    pub propagation: Propagation,
    pub overlay: Option<Overlay>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RootKind {
    System,
    Host,
    Dir(HostPath),
    Layers(Vec<HostPath>),
    Empty,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overlay {
    pub upper: OverlayUpper,
    /// Bytes; only for a memory upper.
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OverlayUpper {
    Memory,
    Dir { upper: HostPath, work: HostPath },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    Private,
    Slave,
    Shared,
    Unbindable,
}

/// An absolute path on the host, without `.` or `..` components and without NUL bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostPath(PathBuf);

/// An absolute path inside the sandbox, normalised: no `.`, `..`, doubled or trailing slashes, no NUL bytes, below 4096 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GuestPath(PathBuf);

impl HostPath {
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl GuestPath {
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The key path it came from (`mounts[2]`).
    pub origin: String,
    pub kind: MountKind,
    pub target: GuestPath,
    pub read_only: bool,
    pub nosuid: bool,
    pub nodev: bool,
    pub noexec: bool,
    /// None: what the root has.
    pub propagation: Option<Propagation>,
    /// A missing source is skipped and reported.
    pub optional: bool,
    pub idmap: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MountKind {
    Bind { source: BindSource, recursive: bool },
    Tmpfs { size: u64, inodes: u64, mode: u32 },
    Proc { masked: Vec<GuestPath>, readonly: Vec<GuestPath> },
    Sysfs,
    Devpts,
    Dev,
    Mqueue,
    Overlay { lower: Vec<HostPath>, upper: Option<Overlay> },
    Symlink { text: Vec<u8> },
    File { content: Vec<u8>, mode: u32 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BindSource {
    Path(HostPath),
    /// The name of an fd that the caller attaches to the sandbox.
    Fd(String),
}

/// Limits. `None` means: no limit of this kind. Those that need cgroups are refused by settle where there are none.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Limits {
    pub memory: Option<u64>,
    pub memory_high: Option<u64>,
    pub swap: Option<u64>,
    pub oom_group: Option<bool>,
    pub pids: Option<u64>,
    pub cpus: Option<f64>,
    pub cpu_weight: Option<u64>,
    pub cpuset: Option<String>,
    pub io_weight: Option<u64>,
    pub io: Vec<IoLimit>,
    pub devices: Vec<String>,
    pub hugepages: Vec<(String, u64)>,
    pub wall_time: Option<Duration>,
    pub cpu_time: Option<Duration>,
    /// Bytes per captured stream.
    pub output: u64,
    pub output_overflow: Overflow,
    /// Soft and hard limit alike; `RLIM_INFINITY` is `u64::MAX`. Always has `core`.
    pub rlimits: Vec<(Rlimit, u64)>,
    pub cgroup_parent: Option<String>,
    pub payload_groups: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IoLimit {
    pub device: PathBuf,
    pub read_bps: Option<u64>,
    pub write_bps: Option<u64>,
    pub read_iops: Option<u64>,
    pub write_iops: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Overflow {
    #[default]
    Truncate,
    Kill,
}

/// A resource of setrlimit(2): its name in config and its number on this architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rlimit {
    pub name: &'static str,
    pub resource: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeclaredFd {
    pub name: String,
    pub role: FdRole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FdRole {
    /// The number it has inside.
    Number(u32),
    /// One of LISTEN_FDS, numbered from 3 in the order of declaration.
    SocketActivation,
    /// Standard input and output.
    Inetd,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Security {
    pub seccomp: Seccomp,
    /// Kept capabilities, by number, sorted.
    pub capabilities: Vec<Capability>,
    pub securebits: Securebits,
    pub no_new_privs: bool,
    pub landlock: Landlock,
    pub new_keyring: bool,
    pub nested_user_namespaces: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seccomp {
    Default,
    None,
    /// A profile file, read when the sandbox is built.
    Profile(HostPath),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Capability {
    pub number: u8,
    pub name: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Securebits {
    /// `NOROOT`, `NO_SETUID_FIXUP`, `NO_CAP_AMBIENT_RAISE`, all locked, unless capabilities are kept.
    Default,
    /// Leave the bits at 0.
    None,
    /// The bits of capabilities(7).
    Bits(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Landlock {
    Auto,
    Require,
    Off,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessDefaults {
    pub cwd: GuestPath,
    /// `None` removes a default or inherited variable.
    pub env: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub inherit_env: Vec<String>,
    pub env_clear: bool,
    pub umask: u32,
    /// None: that of the host process.
    pub nice: Option<i32>,
    pub terminal: bool,
    pub init: bool,
}

/// The capabilities of a set, for people: `none`, `all`, or their names.
pub(crate) fn capability_names(set: u64) -> String {
    let names: Vec<&str> =
        Capability::all().filter(|known| set & 1 << known.number != 0).map(|known| known.name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}
