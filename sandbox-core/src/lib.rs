//! Run application containers from inside the program that needs them: no daemon, no setuid helper, no root needed.
//!
//! ```
//! use pinfold::Sandbox;
//!
//! let sandbox = Sandbox::builder().timeout("5s").build()?; // checked; nothing runs yet
//! let outcome = sandbox.command("sh").args(["-c", "id -un; cat /etc/shadow"]).output()?;
//!
//! assert_eq!(outcome.text(), "sandbox\n"); // a user of its own
//! assert!(outcome.stderr_text().contains("No such file")); // of the host's files, programs and libraries only
//! assert_eq!(outcome.code(), Some(1)); // a payload that fails is an outcome, not an error
//! # Ok::<(), pinfold::Error>(())
//! ```
//!
//! # The life of a sandbox
//!
//! ```text
//!  TOML / JSON / builder                                                                 Outcome + Report
//!         | parse          validate        settle            compile       launch              ^
//!         v                                                                                    | supervise
//!   SandboxConfig ------> Spec ---------> Settled ---------> Plan -------> Process ------------+
//!   as written           as meant         + Degradations     Vec<Step>     control socket, pidfd, stdio
//!                                            ^                  |
//!                           HostCaps --------+   probe          +--> sealed memfd --> init (PID 1) --> payload
//! ```
//!
//! Data flows one way. [`Sandbox::builder`], [`Sandbox::from_config`] and [`Sandbox::from_path`] go as far as *settled*; a [`Sandbox`] is
//! immutable and cheap to clone. [`Command::output`], [`Command::status`] and [`Command::spawn`] do the rest, each in a fresh sandbox.
//! [`Sandbox::explain`] shows the [`Plan`] and runs nothing. [`HostCaps`] and [`findings`] say what this host can do.
//!
//! # Errors and outcomes
//!
//! The border is the exec of the payload. Before it everything is an [`Error`]: nothing ran, and it is the host's fault or the
//! caller's. After it everything is an [`Outcome`]: how the payload ended, and why ([`Ended`]). What this host can't enforce is an
//! error of kind [`Unsupported`](ErrorKind::Unsupported), unless `compat.prefer` names it; then it is a [`Degradation`] in the [`Report`]. Nothing is
//! weakened silently.
//!
//! # What it does to your process
//!
//! It is never forked, so that the cost of a start depends neither on its memory nor on its threads, and nothing of its memory,
//! environment or open files is inside. There are no threads, signal handlers, or changes of process-wide settings; two
//! immutable caches stay (the init program, the facts about the host). A sandbox lives as long as its [`Process`] and dies with
//! this process, also by SIGKILL. Everything is `Send + Sync`.
//!
//! # What is there
//!
//! * namespaces: all, each new, host or joined ([`Namespace`], [`Network`])
//! * ids: single maps, ranges, explicit maps; never the host's root unless asked for by name ([`IdentityConfig`])
//! * roots: `system`, `host`, a directory, layers, empty ([`Rootfs`]); mounts of every kind ([`Mount`])
//! * a writable layer above any root ([`Overlay`]), its changes ([`Change`]), committed or kept ([`KeptRoot`]); its [`Files`]
//! * privileges: no capabilities, `no_new_privs`, a default seccomp filter or a profile ([`Seccomp`]), Landlock ([`Landlock`])
//! * open files under chosen numbers, socket activation ([`Fd`]); streams that are captured, piped, passed ([`Stdio`])
//! * limits: wall time, CPU time, output, rlimits; memory, processes, CPUs, I/O by control groups; usage and reasons from the kernel's counters
//!
//! * sessions: many payloads in one live sandbox ([`Session`]), sandboxes that are ready ([`Pool`]), terminals, a payload beside
//!   a process that runs ([`enter()`])
//!
//! Linux 5.14 or newer, x86-64 or aarch64. Cargo features: `cgroups` (default), limits by control groups; `schema`, the JSON Schema
//! of a config; `tokio`, the calls as futures; `tracing`, events for a subscriber. A sandbox shares the host's kernel: the threat model in the
//! repository's `docs` says what that means.
#![warn(missing_docs)]

#[cfg(feature = "tokio")]
mod asynchronous;
mod cancel;
mod cgroup;
mod changes;
mod command;
mod config;
mod dirfd;
mod enter;
mod error;
mod fds;
mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod idmap;
mod kept;
mod landlock;
mod launch;
mod masks;
mod outcome;
mod plan;
mod pool;
mod process;
mod rootfs;
mod sandbox;
mod seccomp;
mod session;
mod settle;
mod spec;
mod sys;
mod systemd;
mod trace;
#[path = "../wire/mod.rs"]
#[allow(dead_code)]
mod wire;

#[cfg(feature = "tokio")]
pub use asynchronous::AsyncProcess;
pub use cancel::Canceller;
pub use cgroup::{Pressure, Sample};
pub use changes::{Change, ChangeKind, FileKind};
pub use command::Command;
pub use config::{
    Bytes, CallOptions, CompatConfig, Document, EnvValue, Fd, FdConfig, FileContent, IdMapConfig, IdentityConfig,
    InitConfig, IntoBytes, IntoDuration, InvalidValue, IoLimit, IoLimitConfig, Join, Keyring, Landlock, LimitsConfig,
    Mount, MountConfig, MountKind, MountSource, Namespace, NamespacesConfig, Network, NetworkConfig, NetworkMode,
    Overflow, Overlay, OverlayConfig, OverlayUpper, ProcessConfig, Propagation, RlimitValue, Rootfs, RootfsConfig,
    RootfsKind, SHORTHANDS, SandboxBuilder, SandboxConfig, Seccomp, Securebits, SecurityConfig, Shorthand,
    TimeNamespace, Timespan, User, apply_shorthand, snake_case_options,
};
pub use enter::enter;
pub use error::{Error, ErrorKind, ErrorReport, Problem, Problems, Result, Stage, Step};
pub use files::{FileEntry, FileStatus, Files};
pub use host::{Availability, CgroupPlace, Cgroups, Finding, HostCaps, SystemPath, UserManager, findings};
pub use kept::KeptRoot;
pub use masks::{MASKED_PROC_PATHS, MASKED_SYS_PATHS, READONLY_PROC_PATHS};
pub use outcome::{Ended, IoUsage, Outcome, Timings, Usage};
pub use plan::{Plan, PlanLine};
pub use pool::{Pool, PoolStats};
pub use process::{Process, Samples, Stdio, TerminalSize};
pub use sandbox::Sandbox;
pub use session::Session;
pub use settle::{Degradation, Report};
