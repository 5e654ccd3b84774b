//! Owns: config to spec, reporting every problem at once, each with its key path.
//! Must not: do I/O. A value that is wrong is reported and replaced by a harmless one, so that checking goes on.
//! Start at: [`validate`].

mod identity;
mod limits;
mod mounts;
mod rootfs;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::names::{self, FEATURES};
use super::{
    Capability, DeclaredFd, FdRole, GuestPath, HostPath, JoinTarget, Landlock, MountKind, Namespace, Namespaces,
    ProcessDefaults, RootKind, Seccomp, Securebits, Security, Spec,
};
use crate::config::{self, Bytes, EnvValue, SandboxConfig, Timespan, did_you_mean};
use crate::error::{Problems, Result, Stage};

/// The host name where none is given.
pub(crate) const DEFAULT_HOSTNAME: &str = "sandbox";
const MAX_FDS: usize = 512;
const MAX_ENV: usize = 4096;
/// `MAX_ARG_STRLEN` of execve(2): name, `=`, value and NUL together.
const MAX_ENV_STRING: usize = 128 * 1024;
/// `PID_MAX_LIMIT`.
const MAX_PID: u64 = 4 << 20;

/// Turns a config into what it means. `base` is what relative host paths are relative to.
pub(crate) fn validate(config: &SandboxConfig, base: &Path) -> Result<Spec> {
    let (spec, problems) = examine(config, base);
    problems.into_result(spec)
}

/// The same, with what is wrong beside what it means otherwise.
pub(crate) fn examine(config: &SandboxConfig, base: &Path) -> (Spec, Problems) {
    let mut check = Check { problems: Problems::new(Stage::Validate), config, base };
    check.document();
    let spec = Spec {
        hostname: check.hostname(),
        namespaces: check.namespaces(),
        network: check.network(),
        identity: check.identity(),
        rootfs: check.rootfs(),
        mounts: check.mounts(),
        limits: check.limits(),
        fds: check.fds(),
        security: check.security(),
        process: check.process(),
        init_path: check.init_path(),
        prefer: check.prefer(),
    };
    check.combinations(&spec);
    (spec, check.problems)
}

/// A config under examination.
struct Check<'a> {
    problems: Problems,
    config: &'a SandboxConfig,
    base: &'a Path,
}

impl Check<'_> {
    fn add(&mut self, key: impl Into<String>, message: impl fmt::Display) {
        let key = key.into();
        let message = self.located(&key, message);
        self.problems.add(key, message);
    }

    fn add_with_hint(&mut self, key: impl Into<String>, message: impl fmt::Display, hint: impl Into<String>) {
        let key = key.into();
        let message = self.located(&key, message);
        self.problems.add_with_hint(key, message, hint);
    }

    /// What is wrong with this value whatever the others are.
    fn wrong(&mut self, key: impl Into<String>, message: impl fmt::Display) {
        self.add(key, message);
        self.problems.last_stands_alone();
    }

    /// The message with the file, line and column that the key was written in, where that is known.
    fn located(&self, key: &str, message: impl fmt::Display) -> String {
        match self.config.locations.get(key) {
            Some(place) => format!("{message} ({})", place.exact()),
            None => message.to_string(),
        }
    }

    /// The value, or none and a problem.
    fn take<T, E: fmt::Display>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => {
                self.wrong(key, message);
                None
            }
        }
    }

    fn host_path(&mut self, key: &str, path: &Path) -> HostPath {
        let checked = HostPath::new(self.base, path);
        self.take(key, checked).unwrap_or_else(|| HostPath(PathBuf::from("/")))
    }

    fn guest_path(&mut self, key: &str, path: &Path) -> Option<GuestPath> {
        self.take(key, GuestPath::new(path))
    }

    /// A size above 0.
    fn size(&mut self, key: &str, size: Option<&Bytes>) -> Option<u64> {
        let size = self.size_or_zero(key, size)?;
        if size == 0 {
            self.wrong(key, "must be more than 0");
            return None;
        }
        Some(size)
    }

    fn size_or_zero(&mut self, key: &str, size: Option<&Bytes>) -> Option<u64> {
        let size = self.take(key, size?.get())?;
        // Offsets of the kernel are signed.
        if size > i64::MAX as u64 {
            self.wrong(key, format_args!("must be below 8 EiB, got {size}"));
            return None;
        }
        Some(size)
    }

    fn duration(&mut self, key: &str, span: Option<&Timespan>) -> Option<Duration> {
        let duration = self.take(key, span?.get())?;
        if duration.is_zero() {
            self.wrong(key, "must be more than 0");
            return None;
        }
        Some(duration)
    }

    fn count(&mut self, key: &str, value: Option<u64>, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let value = value?;
        if range.contains(&value) {
            return Some(value);
        }
        self.wrong(key, format_args!("must be {} to {}, got {value}", range.start(), range.end()));
        None
    }

    /// Permissions written in octal.
    fn octal(&mut self, key: &str, text: Option<&str>, max: u32) -> Option<u32> {
        let text = text?;
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let mode = (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| u32::from_str_radix(digits, 8).ok())
            .flatten()
            .filter(|mode| *mode <= max);
        if mode.is_none() {
            self.wrong(key, format_args!("must be an octal string from \"0\" to \"{max:04o}\", got {text:?}"));
        }
        mode
    }

    fn fd_name(&mut self, key: &str, name: &str) {
        let fits = !name.is_empty() && name.len() <= 255 && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if !fits {
            self.wrong(key, format_args!("must be 1 to 255 printable ASCII characters without \":\", got {name:?}"));
        }
    }

    fn document(&mut self) {
        if let Some(version) = self.config.version.filter(|version| *version != 1) {
            self.add_with_hint(
                "version",
                format_args!("must be 1, got {version}"),
                "this config was written for another version of Pinfold",
            );
        }
        if !self.config.extends.is_empty() {
            self.add_with_hint(
                "extends",
                "works only in a file that is read by its path",
                "use SandboxConfig::from_path, or merge the configs",
            );
        }
    }

    fn hostname(&mut self) -> String {
        let Some(hostname) = self.config.hostname.as_deref() else { return DEFAULT_HOSTNAME.to_owned() };
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if hostname.is_empty() || hostname.len() > 64 {
            self.wrong("hostname", format_args!("must be 1 to 64 bytes long, got {}", hostname.len()));
        } else if !hostname.bytes().all(plain) || hostname.starts_with(['-', '.']) {
            self.wrong(
                "hostname",
                format_args!("must be letters, digits, \"-\", \".\" and \"_\", not starting with \"-\" or \".\", got {hostname:?}"),
            );
        }
        hostname.to_owned()
    }

    fn join(&mut self, key: &str, join: &config::Join) -> JoinTarget {
        match join {
            config::Join::Path(path) => JoinTarget::Path(self.host_path(key, path).as_path().to_owned()),
            config::Join::Pid(pid) => {
                if *pid == 0 || u64::from(*pid) > MAX_PID {
                    self.wrong(key, format_args!("the pid must be 1 to {MAX_PID}, got {pid}"));
                }
                JoinTarget::Pid(*pid)
            }
            config::Join::Fd(name) => {
                self.fd_name(key, name);
                JoinTarget::Fd(name.clone())
            }
        }
    }

    fn namespace(&mut self, key: &str, namespace: Option<&config::Namespace>) -> Namespace {
        match namespace {
            None | Some(config::Namespace::New) => Namespace::New,
            Some(config::Namespace::Host) => Namespace::Host,
            Some(config::Namespace::Join(join)) => Namespace::Join(self.join(&format!("{key}.join"), join)),
        }
    }

    fn namespaces(&mut self) -> Namespaces {
        let written = &self.config.namespaces;
        let (time, offset_boottime, offset_monotonic) = self.time_namespace();
        Namespaces {
            user: self.namespace("namespaces.user", written.user.as_ref()),
            pid: self.namespace("namespaces.pid", written.pid.as_ref()),
            mount: self.namespace("namespaces.mount", written.mount.as_ref()),
            ipc: self.namespace("namespaces.ipc", written.ipc.as_ref()),
            uts: self.namespace("namespaces.uts", written.uts.as_ref()),
            cgroup: self.namespace("namespaces.cgroup", written.cgroup.as_ref()),
            time,
            offset_boottime,
            offset_monotonic,
        }
    }

    fn time_namespace(&mut self) -> (Namespace, i64, i64) {
        /// Half of `KTIME_MAX`, in seconds: what the kernel takes.
        const MAX_OFFSET: u64 = 4_611_686_018;
        match &self.config.namespaces.time {
            None | Some(config::TimeNamespace::Host) => (Namespace::Host, 0, 0),
            Some(config::TimeNamespace::New) => (Namespace::New, 0, 0),
            Some(config::TimeNamespace::Join(join)) => (Namespace::Join(self.join("namespaces.time.join", join)), 0, 0),
            Some(config::TimeNamespace::Offsets { boottime, monotonic }) => {
                for (key, offset) in [("offset_boottime", *boottime), ("offset_monotonic", *monotonic)] {
                    if offset.unsigned_abs() > MAX_OFFSET {
                        self.wrong(
                            format!("namespaces.time.{key}"),
                            format_args!("must be -{MAX_OFFSET} to {MAX_OFFSET} seconds, got {offset}"),
                        );
                    }
                }
                (Namespace::New, *boottime, *monotonic)
            }
        }
    }

    fn network(&mut self) -> Namespace {
        match &self.config.network.mode {
            None | Some(config::NetworkMode::None) => Namespace::New,
            Some(config::NetworkMode::Host) => Namespace::Host,
            Some(config::NetworkMode::Join(join)) => Namespace::Join(self.join("network.mode.join", join)),
        }
    }

    fn fds(&mut self) -> Vec<DeclaredFd> {
        let written = &self.config.fds;
        if written.len() > MAX_FDS {
            self.add("fds", format_args!("must be at most {MAX_FDS}, got {}", written.len()));
        }
        let activated = written.iter().filter(|fd| fd.socket_activation == Some(true)).count();
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let mut numbers: BTreeMap<u32, usize> = BTreeMap::new();
        let mut inetd: Option<usize> = None;
        let mut declared = Vec::new();
        for (index, fd) in written.iter().enumerate() {
            let key = format!("fds[{index}]");
            match fd.name.as_deref() {
                None => self.add(format!("{key}.name"), "is required"),
                Some(name) => {
                    self.fd_name(&format!("{key}.name"), name);
                    if let Some(other) = names.insert(name, index) {
                        self.add(format!("{key}.name"), format_args!("{name:?} is already the name of fds[{other}]"));
                    }
                }
            }
            let role = match (fd.target, fd.socket_activation == Some(true), fd.inetd == Some(true)) {
                (Some(number), false, false) => FdRole::Number(number),
                (None, true, false) => FdRole::SocketActivation,
                (None, false, true) => FdRole::Inetd,
                (None, false, false) => {
                    self.add(&key, "needs one of target, socket_activation = true and inetd = true");
                    continue;
                }
                _ => {
                    self.add(&key, "can have only one of target, socket_activation = true and inetd = true");
                    continue;
                }
            };
            if let FdRole::Number(number) = role {
                let key = format!("{key}.target");
                if !(3..=1023).contains(&number) {
                    self.add(&key, format_args!("must be 3 to 1023, got {number}"));
                } else if let Some(other) = numbers.insert(number, index) {
                    self.add(&key, format_args!("{number} is already the target of fds[{other}]"));
                } else if (number as usize) < 3 + activated {
                    self.add(
                        &key,
                        format_args!(
                            "must be above {}, as the numbers from 3 belong to socket_activation, got {number}",
                            2 + activated
                        ),
                    );
                }
            }
            if role == FdRole::Inetd
                && let Some(other) = inetd.replace(index)
            {
                self.add(format!("{key}.inetd"), format_args!("stdin and stdout are already those of fds[{other}]"));
            }
            declared.push(DeclaredFd { name: fd.name.clone().unwrap_or_default(), role });
        }
        declared
    }

    fn security(&mut self) -> Security {
        let written = &self.config.security;
        let capabilities = self.capabilities();
        let alone = written.no_new_privs == Some(false) && !capabilities.iter().any(|kept| kept.name == "sys_admin");
        if alone && matches!(written.seccomp, Some(config::Seccomp::Profile(_))) {
            self.add_with_hint(
                "security.seccomp",
                "a profile takes effect last, which the kernel allows with no_new_privs or CAP_SYS_ADMIN alone",
                "leave security.no_new_privs at true, or use the default filter",
            );
        }
        Security {
            seccomp: match &written.seccomp {
                None | Some(config::Seccomp::Default) => Seccomp::Default,
                Some(config::Seccomp::None) => Seccomp::None,
                Some(config::Seccomp::Profile(path)) => Seccomp::Profile(self.host_path("security.seccomp", path)),
            },
            capabilities,
            securebits: match &written.securebits {
                None | Some(config::Securebits::Default) => Securebits::Default,
                Some(config::Securebits::None) => Securebits::None,
                Some(config::Securebits::Bits(names)) => self.securebits(names),
            },
            no_new_privs: written.no_new_privs.unwrap_or(true),
            landlock: match written.landlock {
                None | Some(config::Landlock::Auto) => Landlock::Auto,
                Some(config::Landlock::Require) => Landlock::Require,
                Some(config::Landlock::Off) => Landlock::Off,
            },
            new_keyring: written.keyring != Some(config::Keyring::Host),
            nested_user_namespaces: written.nested_user_namespaces.unwrap_or(false),
        }
    }

    fn capabilities(&mut self) -> Vec<Capability> {
        let mut kept = Vec::new();
        for (index, name) in self.config.security.capabilities.iter().enumerate() {
            if name.eq_ignore_ascii_case("all") {
                kept.extend(Capability::all());
            } else if let Some(capability) = Capability::by_name(name) {
                kept.push(capability);
            } else {
                let lower = name.to_ascii_lowercase();
                let hint = did_you_mean(lower.trim_start_matches("cap_"), Capability::all().map(|c| c.name));
                self.add_unknown(format!("security.capabilities[{index}]"), "capability", name, hint);
            }
        }
        kept.sort();
        kept.dedup();
        kept
    }

    fn securebits(&mut self, written: &[String]) -> Securebits {
        let mut bits = 0;
        for (index, name) in written.iter().enumerate() {
            match names::securebit(name) {
                Some(bit) => bits |= bit,
                None => {
                    let hint = did_you_mean(name, names::securebit_names());
                    self.add_unknown(format!("security.securebits[{index}]"), "securebit", name, hint);
                }
            }
        }
        Securebits::Bits(bits)
    }

    fn add_unknown(&mut self, key: String, what: &str, name: &str, hint: Option<String>) {
        let message = format!("there is no {what} {name:?}");
        match hint {
            Some(hint) => self.add_with_hint(key, message, hint),
            None => self.add(key, message),
        }
        self.problems.last_stands_alone();
    }

    fn process(&mut self) -> ProcessDefaults {
        let written = &self.config.process;
        let cwd = written.cwd.as_deref().unwrap_or(Path::new("/"));
        let cwd = self.guest_path("process.cwd", cwd).unwrap_or_else(|| GuestPath(PathBuf::from("/")));
        if let Some(nice) = written.nice.filter(|nice| !(-20..=19).contains(nice)) {
            self.wrong("process.nice", format_args!("must be -20 to 19, got {nice}"));
        }
        for (index, name) in written.inherit_env.iter().enumerate() {
            self.env_name(&format!("process.inherit_env[{index}]"), name);
        }
        ProcessDefaults {
            cwd,
            env: self.env(),
            inherit_env: written.inherit_env.clone(),
            env_clear: written.env_clear.unwrap_or(false),
            umask: self.octal("process.umask", written.umask.as_deref(), 0o777).unwrap_or(0o022),
            nice: written.nice,
            terminal: written.terminal.unwrap_or(false),
            init: written.init.unwrap_or(true),
        }
    }

    fn env(&mut self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let written = &self.config.process.env;
        if written.len() > MAX_ENV {
            self.add("process.env", format_args!("must be at most {MAX_ENV} variables, got {}", written.len()));
        }
        let mut env = Vec::new();
        for (name, value) in written {
            let key = if name.is_empty() { "process.env".to_owned() } else { format!("process.env.{name}") };
            self.env_name(&key, name);
            let value = match value {
                EnvValue::Unset => None,
                EnvValue::Set(value) => {
                    if value.contains('\0') {
                        self.wrong(&key, "the value must not contain a NUL byte");
                    }
                    if name.len() + value.len() + 2 > MAX_ENV_STRING {
                        self.add(
                            &key,
                            format_args!(
                                "name and value must be at most {} bytes long, got {}",
                                MAX_ENV_STRING - 2,
                                name.len() + value.len()
                            ),
                        );
                    }
                    Some(value.clone().into_bytes())
                }
            };
            env.push((name.clone().into_bytes(), value));
        }
        env
    }

    fn env_name(&mut self, key: &str, name: &str) {
        if name.is_empty() {
            self.wrong(key, "the name of a variable must not be empty");
        } else if name.contains(['=', '\0']) {
            self.wrong(key, format_args!("the name of a variable must not contain \"=\" or a NUL byte, got {name:?}"));
        }
    }

    fn init_path(&mut self) -> Option<PathBuf> {
        let path = self.config.init.path.as_deref().filter(|path| !path.as_os_str().is_empty())?;
        Some(self.host_path("init.path", path).as_path().to_owned())
    }

    fn prefer(&mut self) -> Vec<String> {
        let written = &self.config.compat.prefer;
        for (index, pattern) in written.iter().enumerate() {
            if FEATURES.iter().any(|feature| names::matches(pattern, feature)) {
                continue;
            }
            let hint = match pattern.as_str() {
                "namespaces.network" => Some("the network namespace is decided by network.mode".to_owned()),
                _ => did_you_mean(pattern, FEATURES.iter().copied()),
            };
            self.add_unknown(format!("compat.prefer[{index}]"), "feature", pattern, hint);
        }
        written.clone()
    }

    /// What is impossible together, though each part is fine.
    fn combinations(&mut self, spec: &Spec) {
        let config = self.config;
        if spec.namespaces.uts != Namespace::New && config.hostname.is_some() {
            self.add_with_hint(
                "hostname",
                "can be set in a new uts namespace only",
                "remove it, or set namespaces.uts = \"new\"",
            );
        }
        if spec.namespaces.mount != Namespace::New {
            self.without_mount_namespace(spec);
        }
        if !spec.process.init && spec.namespaces.pid != Namespace::New {
            self.add_with_hint(
                "process.init",
                "false makes the payload PID 1, which needs a new pid namespace",
                "set namespaces.pid = \"new\"",
            );
        }
        if spec.process.terminal && spec.fds.iter().any(|fd| fd.role == FdRole::Inetd) {
            self.add("process.terminal", "can't be stdin and stdout, because an inetd fd is (remove one of the two)");
        }
        self.fresh_views(spec);
    }

    /// The kernel gives a fresh view of a namespace only to who owns the namespace.
    fn fresh_views(&mut self, spec: &Spec) {
        if spec.namespaces.user != Namespace::New {
            return;
        }
        for mount in &spec.mounts {
            let (namespace, what, key) = match mount.kind {
                MountKind::Proc { .. } => (&spec.namespaces.pid, "a proc", "namespaces.pid = \"new\""),
                MountKind::Sysfs => (&spec.network, "a sysfs", "network.mode = \"none\""),
                MountKind::Mqueue => (&spec.namespaces.ipc, "an mqueue", "namespaces.ipc = \"new\""),
                _ => continue,
            };
            if *namespace != Namespace::New {
                self.add_with_hint(
                    format!("{}.kind", mount.origin),
                    format_args!("{what} needs a namespace of the sandbox's own"),
                    format!("set {key}, or bind the host's"),
                );
            }
        }
    }

    fn without_mount_namespace(&mut self, spec: &Spec) {
        let config = self.config;
        const WHY: &str = "needs a mount namespace of the sandbox's own";
        const HINT: &str = "set namespaces.mount = \"new\", or remove it";
        if spec.rootfs.kind != RootKind::Host {
            self.add_with_hint("rootfs", WHY, HINT);
        }
        if config.rootfs.overlay.is_some() {
            self.add_with_hint("rootfs.overlay", WHY, HINT);
        }
        if config.rootfs.propagation.is_some() {
            self.add_with_hint("rootfs.propagation", WHY, HINT);
        }
        if !config.mounts.is_empty() {
            self.add_with_hint("mounts", WHY, HINT);
        }
    }
}

#[cfg(test)]
mod tests;
