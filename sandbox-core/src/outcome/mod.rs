//! Owns: how a payload ended, as plain data: what, why, what it used, what it wrote.
//! Must not: hold an fd, or guess: every field comes from a record, a counter, or is null.
//! Start at: [`Outcome`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::changes::Change;
use crate::settle::Report;
use crate::wire::RawUsage;

/// How a payload ended. Clones, compares and serialises; the JSON form is that of `pinfold run --report`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    ended: Ended,
    exit_code: Option<i32>,
    signal: Option<i32>,
    signal_name: Option<String>,
    ok: bool,
    detail: String,
    stdout_truncated: bool,
    stderr_truncated: bool,
    #[serde(with = "seconds")]
    duration: Duration,
    /// None: the root has no writable layer.
    changes: Option<Vec<Change>>,
    usage: Usage,
    timings: Timings,
    report: Arc<Report>,
    #[serde(skip)]
    stdout: Captured,
    #[serde(skip)]
    stderr: Captured,
}

/// Captured bytes, which print as text.
#[derive(Clone, PartialEq, Default)]
struct Captured(Option<Vec<u8>>);

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.0.as_deref().unwrap_or_default()).fmt(f)
    }
}

/// Why a payload ended. The first cause wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ended {
    /// By itself, with an exit code.
    Exited,
    /// By a signal that was not ours.
    Signaled,
    /// `limits.wall_time`, or the call's timeout.
    WallTime,
    /// `limits.cpu_time`.
    CpuTime,
    /// `limits.memory`.
    Memory,
    /// `limits.output` with `overflow = "kill"`.
    Output,
    /// By [`Process::kill`](crate::Process::kill), or because its sandbox was killed from outside.
    Killed,
    /// By [`Process::cancel`](crate::Process::cancel).
    Cancelled,
}

impl Ended {
    /// The stable name (`wall_time`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Signaled => "signaled",
            Self::WallTime => "wall_time",
            Self::CpuTime => "cpu_time",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Killed => "killed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What the payload and its descendants used. `None`: this host can't tell.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// User CPU time in seconds.
    pub cpu_user: Option<f64>,
    /// System CPU time in seconds.
    pub cpu_system: Option<f64>,
    /// Seconds in which it could have run and was not let, by a CPU quota.
    pub cpu_throttled: Option<f64>,
    /// Bytes; see `memory_source`.
    pub memory_peak: Option<u64>,
    /// Where `memory_peak` comes from: `cgroup-v1`, `cgroup-v2`, or `vmhwm`: the largest resident set of any one process.
    pub memory_source: Option<String>,
    /// How often the memory limit was hit.
    pub memory_limit_hits: Option<u64>,
    /// How many processes the out-of-memory killer killed.
    pub oom_kills: Option<u64>,
    /// Bytes.
    pub swap_peak: Option<u64>,
    /// Page faults that needed I/O (getrusage(2), `ru_majflt`).
    pub page_faults_major: Option<u64>,
    /// Pages brought in.
    pub page_ins: Option<u64>,
    /// Pages written out.
    pub page_outs: Option<u64>,
    /// The most processes and threads at one time.
    pub pids_peak: Option<u64>,
    /// How often the pids limit refused a fork.
    pub pids_limit_hits: Option<u64>,
    /// Per device; needs cgroups.
    pub io: Option<Vec<IoUsage>>,
    /// `ru_nvcsw`.
    pub context_switches_voluntary: Option<u64>,
    /// `ru_nivcsw`.
    pub context_switches_involuntary: Option<u64>,
}

/// What was read from and written to one device.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IoUsage {
    /// `major:minor`.
    pub device: String,
    /// Bytes.
    pub read_bytes: Option<u64>,
    /// Bytes.
    pub write_bytes: Option<u64>,
    /// Operations.
    pub read_ops: Option<u64>,
    /// Operations.
    pub write_ops: Option<u64>,
    /// Operations waiting.
    pub queued: Option<u64>,
    /// Seconds.
    pub wait_time: Option<f64>,
    /// Seconds.
    pub service_time: Option<f64>,
}

/// Where the time went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Timings {
    /// From the call to the payload's exec.
    #[serde(with = "seconds")]
    pub setup: Duration,
    /// From the exec to the payload's end.
    #[serde(with = "seconds")]
    pub payload: Duration,
    /// From the payload's end to the return of the outcome.
    #[serde(with = "seconds")]
    pub teardown: Duration,
}

/// A time as a number of seconds, in every form that is written.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}

impl Usage {
    /// What getrusage(2) says of the reaped tree.
    pub(crate) fn from_rusage(raw: &RawUsage) -> Self {
        let seconds = |us: u64| Some(Duration::from_micros(us).as_secs_f64());
        Self {
            cpu_user: seconds(raw.user_us),
            cpu_system: seconds(raw.system_us),
            memory_peak: Some(raw.max_rss.saturating_mul(1024)),
            memory_source: Some("vmhwm".to_owned()),
            page_faults_major: Some(raw.major_faults),
            context_switches_voluntary: Some(raw.voluntary_switches),
            context_switches_involuntary: Some(raw.involuntary_switches),
            ..Self::default()
        }
    }
}

impl Usage {
    /// What a group has counted goes before what getrusage(2) says of those that were reaped.
    pub(crate) fn or(self, group: Self) -> Self {
        Self {
            cpu_user: group.cpu_user.or(self.cpu_user),
            cpu_system: group.cpu_system.or(self.cpu_system),
            memory_source: if group.memory_peak.is_some() { group.memory_source } else { self.memory_source },
            memory_peak: group.memory_peak.or(self.memory_peak),
            page_faults_major: self.page_faults_major.or(group.page_faults_major),
            context_switches_voluntary: self.context_switches_voluntary,
            context_switches_involuntary: self.context_switches_involuntary,
            ..group
        }
    }

    /// Of a running process and the children it has waited for: proc_pid_stat(5), proc_pid_status(5).
    pub(crate) fn from_proc(stat: &str, status: &str, ticks: u64) -> Option<Self> {
        // The name, in parentheses, may hold anything.
        let fields: Vec<u64> =
            stat.rsplit_once(") ")?.1.split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect();
        // Field 3 (state) is the first one behind the name.
        let field = |number: usize| fields.get(number - 3).copied();
        let seconds = |one: usize, other: usize| {
            let both = field(one)?.checked_add(field(other)?)?;
            Some(both as f64 / ticks.max(1) as f64)
        };
        let line = |key: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(key))?;
            rest.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        let memory_peak = line("VmHWM:").map(|kib| kib.saturating_mul(1024));
        Some(Self {
            cpu_user: seconds(14, 16),
            cpu_system: seconds(15, 17),
            memory_source: memory_peak.map(|_| "vmhwm".to_owned()),
            memory_peak,
            page_faults_major: field(12).and_then(|own| own.checked_add(field(13)?)),
            context_switches_voluntary: line("voluntary_ctxt_switches:"),
            context_switches_involuntary: line("nonvoluntary_ctxt_switches:"),
            ..Self::default()
        })
    }
}

/// What process tells of a payload that has ended.
pub(crate) struct Facts {
    pub ended: Ended,
    /// wait(2) status; None: it died with its sandbox.
    pub status: Option<i32>,
    pub usage: Usage,
    pub timings: Timings,
    pub duration: Duration,
    pub report: Arc<Report>,
    pub stdout: Option<(Vec<u8>, bool)>,
    pub stderr: Option<(Vec<u8>, bool)>,
    /// The limit that ended it, in words.
    pub limit: Option<String>,
    pub changes: Option<Vec<Change>>,
}

impl Outcome {
    pub(crate) fn new(facts: Facts) -> Self {
        let status = facts.status;
        let exit_code = status.filter(|status| libc::WIFEXITED(*status)).map(|status| libc::WEXITSTATUS(status));
        // What dies with its sandbox dies of SIGKILL.
        let signal = match status {
            Some(status) if libc::WIFSIGNALED(status) => Some(libc::WTERMSIG(status)),
            Some(_) => None,
            None => Some(libc::SIGKILL),
        };
        let signal_name = signal.map(signal_name);
        let named = signal_name.as_deref().unwrap_or("a signal");
        let limit = facts.limit.as_deref().unwrap_or("its limit");
        let detail = match facts.ended {
            Ended::Exited => format!("exited with {}", exit_code.unwrap_or_default()),
            Ended::Signaled => format!("killed by {named}"),
            Ended::WallTime => format!("killed after {limit} of wall time"),
            Ended::CpuTime => format!("killed after {limit} of CPU time"),
            Ended::Memory => format!("killed for using more than {limit} of memory"),
            Ended::Output => format!("killed for writing more than {limit}"),
            Ended::Killed => "killed on request".to_owned(),
            Ended::Cancelled => "cancelled".to_owned(),
        };
        let (stdout, stdout_truncated) = facts.stdout.unzip();
        let (stderr, stderr_truncated) = facts.stderr.unzip();
        Self {
            ended: facts.ended,
            exit_code,
            signal,
            signal_name,
            ok: facts.ended == Ended::Exited && exit_code == Some(0),
            detail,
            stdout_truncated: stdout_truncated.unwrap_or_default(),
            stderr_truncated: stderr_truncated.unwrap_or_default(),
            duration: facts.duration,
            changes: facts.changes,
            usage: facts.usage,
            timings: facts.timings,
            report: facts.report,
            stdout: Captured(stdout),
            stderr: Captured(stderr),
        }
    }

    /// Whether it exited with 0.
    pub fn success(&self) -> bool {
        self.ok
    }

    /// Why it ended.
    pub fn ended(&self) -> Ended {
        self.ended
    }

    /// The exit code, if it exited.
    pub fn code(&self) -> Option<i32> {
        self.exit_code
    }

    /// The signal it died of, if it did.
    pub fn signal(&self) -> Option<i32> {
        self.signal
    }

    /// The signal's name (`SIGSEGV`).
    pub fn signal_name(&self) -> Option<&str> {
        self.signal_name.as_deref()
    }

    /// One sentence: `exited with 0`, `killed after 5s of wall time`.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What it wrote to standard output, if that was captured; empty otherwise.
    pub fn stdout(&self) -> &[u8] {
        self.captured_stdout().unwrap_or_default()
    }

    /// What it wrote to standard error, if that was captured; empty otherwise.
    pub fn stderr(&self) -> &[u8] {
        self.captured_stderr().unwrap_or_default()
    }

    /// Standard output, where it was captured, if only as nothing.
    pub fn captured_stdout(&self) -> Option<&[u8]> {
        self.stdout.0.as_deref()
    }

    /// Standard error, where it was captured, if only as nothing.
    pub fn captured_stderr(&self) -> Option<&[u8]> {
        self.stderr.0.as_deref()
    }

    /// Standard output as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.stdout()).into_owned()
    }

    /// Standard error as text; what is not UTF-8 is replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(self.stderr()).into_owned()
    }

    /// Whether standard output went on beyond `limits.output`.
    pub fn stdout_truncated(&self) -> bool {
        self.stdout_truncated
    }

    /// Whether standard error went on beyond `limits.output`.
    pub fn stderr_truncated(&self) -> bool {
        self.stderr_truncated
    }

    /// From the call to the outcome.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// What it used.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Where the time went.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// What the payload changed in the root, sorted by path, where it has a writable layer.
    pub fn changes(&self) -> Option<&[Change]> {
        self.changes.as_deref()
    }

    /// What was enforced, and what was weakened and why.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The exit status a command line tool gives for this outcome: the payload's own; 128 + N for signal N; 124 for a
    /// time or output limit; 137 for memory or killed; 130 for cancelled.
    pub fn exit_status(&self) -> u8 {
        let status = match self.ended {
            Ended::Exited => self.exit_code.unwrap_or(0),
            Ended::Signaled => 128 + self.signal.unwrap_or(0),
            Ended::WallTime | Ended::CpuTime | Ended::Output => 124,
            Ended::Memory | Ended::Killed => 137,
            Ended::Cancelled => 130,
        };
        u8::try_from(status & 0xFF).unwrap_or(u8::MAX)
    }
}

/// `SIGSEGV` for 11; real-time signals print as `SIGRTMIN+n`.
fn signal_name(signal: i32) -> String {
    const RTMIN: i32 = 34;
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(known) => known.as_str().to_owned(),
        Err(_) if signal >= RTMIN => format!("SIGRTMIN+{}", signal - RTMIN),
        Err(_) => format!("signal {signal}"),
    }
}
