//! Owns: the verbs that fill a config, with an error that is kept until the end.
//! Must not: know anything that a config file can't say.
//! Start at: [`SandboxBuilder`].

use std::path::PathBuf;

use super::shorthand::{set_rootfs, set_user};
use super::{
    CompatConfig, Document, EnvValue, FdConfig, IdMapConfig, IdentityConfig, InitConfig, IntoBytes, IntoDuration,
    InvalidValue, IoLimitConfig, Keyring, Landlock, LimitsConfig, MountConfig, Namespace, NamespacesConfig,
    NetworkConfig, Overflow, OverlayConfig, ProcessConfig, Propagation, RlimitValue, RootfsConfig, SandboxConfig,
    Seccomp, Securebits, SecurityConfig, TimeNamespace, User, apply_shorthand,
};
use crate::error::{Problems, Stage};

/// Describes a sandbox step by step. Every verb sets a key of one [`SandboxConfig`]; values that mean nothing are
/// reported by `build()`, all at once.
///
/// The short verbs (`memory`, `bind`, `timeout`, ...) are the shorthands of every language; the verbs named like a section
/// (`limits`, `security`, ...) replace that whole section.
///
/// ```
/// use std::time::Duration;
///
/// use pinfold::{Mount, Overlay, Rootfs, SandboxBuilder};
///
/// let config = SandboxBuilder::new()
///     .rootfs(Rootfs::system())
///     .overlay(Overlay::memory("64MiB"))
///     .mount(Mount::bind("data", "/data").read_only(true))
///     .user(1000)
///     .rlimit("nofile", 256)
///     .memory("256MiB")
///     .pids(64)
///     .cpus(0.5)
///     .timeout(Duration::from_secs(5))
///     .into_config()?;
/// assert_eq!(config.limits.pids, Some(64));
/// # Ok::<(), pinfold::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct SandboxBuilder {
    config: SandboxConfig,
    problems: Problems,
}

impl Default for SandboxBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl From<SandboxConfig> for SandboxBuilder {
    /// Goes on from a config, for example one that was read from a file.
    fn from(config: SandboxConfig) -> Self {
        Self { config, problems: Problems::new(Stage::Parse) }
    }
}

impl From<Document> for SandboxBuilder {
    /// What texts say together. What is wrong with them is told by `into_config()` and `build()`, with all the rest.
    fn from(document: Document) -> Self {
        let (config, problems) = document.into_parts();
        Self::from_parts(config.unwrap_or_default(), problems)
    }
}

impl SandboxBuilder {
    /// A builder that asks for nothing: every default.
    pub fn new() -> Self {
        SandboxConfig::default().into()
    }

    /// The config as it is so far, without values that could not be read.
    pub fn config(&self) -> &SandboxConfig {
        &self.config
    }

    pub(crate) fn from_parts(config: SandboxConfig, problems: Problems) -> Self {
        Self { config, problems }
    }

    /// The config without the values that could not be read, and what was wrong with those.
    pub(crate) fn into_parts(self) -> (SandboxConfig, Problems) {
        (self.config, self.problems)
    }

    /// Takes a value that may be unreadable.
    fn take<T, V>(&mut self, key: &str, value: V) -> Option<T>
    where
        V: TryInto<T>,
        V::Error: Into<InvalidValue>,
    {
        match value.try_into() {
            Ok(value) => Some(value),
            Err(error) => {
                let error: InvalidValue = error.into();
                self.problems.add(key, error.to_string());
                None
            }
        }
    }

    /// Sets a key from text, as `--set` does: `limits.memory=64M`.
    pub fn set(mut self, assignment: &str) -> Self {
        if let Err(error) = self.config.apply_set(assignment) {
            self.adopt(&error);
        }
        self
    }

    /// Sets a shorthand from text, by its name.
    pub fn shorthand(mut self, name: &str, text: &str) -> Self {
        if let Err(error) = apply_shorthand(&mut self.config, name, text) {
            self.adopt(&error);
        }
        self
    }

    fn adopt(&mut self, error: &crate::error::Error) {
        for problem in &error.report().problems {
            match &problem.hint {
                Some(hint) => self.problems.add_with_hint(&problem.key, &problem.message, hint),
                None => self.problems.add(&problem.key, &problem.message),
            }
        }
        if error.report().problems.is_empty() {
            self.problems.add("config", error.to_string());
        }
    }

    /// The host name inside.
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.config.hostname = Some(name.into());
        self
    }

    /// The root file system: a [`Rootfs`](super::Rootfs), or `"system"`, `"host"`, `"empty"`, or a directory with a `/`. An
    /// overlay that was set before stays.
    pub fn rootfs<V>(mut self, rootfs: V) -> Self
    where
        V: TryInto<RootfsConfig>,
        V::Error: Into<InvalidValue>,
    {
        if let Some(rootfs) = self.take("rootfs", rootfs) {
            set_rootfs(&mut self.config, rootfs);
        }
        self
    }

    /// A writable layer above the root: an [`Overlay`](super::Overlay), or `"memory"`, `"memory:64MiB"`, or a directory
    /// with a `/`.
    pub fn overlay<V>(mut self, overlay: V) -> Self
    where
        V: TryInto<OverlayConfig>,
        V::Error: Into<InvalidValue>,
    {
        if let Some(overlay) = self.take("rootfs.overlay", overlay) {
            self.config.rootfs.overlay = Some(overlay);
        }
        self
    }

    /// Whether mounts travel between the host and the root.
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.config.rootfs.propagation = Some(propagation);
        self
    }

    /// Adds a mount.
    pub fn mount(mut self, mount: MountConfig) -> Self {
        self.config.mounts.push(mount);
        self
    }

    /// Adds mounts.
    pub fn mounts(mut self, mounts: impl IntoIterator<Item = MountConfig>) -> Self {
        self.config.mounts.extend(mounts);
        self
    }

    /// Shows the host's `source` at `target`, writable.
    pub fn bind(self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        self.mount(MountConfig::bind(source, target))
    }

    /// Shows the host's `source` at `target`, read-only.
    pub fn ro_bind(self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        self.mount(MountConfig::bind(source, target).read_only(true))
    }

    /// An empty directory in memory at `target`, of the default size; [`mount`](Self::mount) takes one of any size.
    pub fn tmpfs(self, target: impl Into<PathBuf>) -> Self {
        self.mount(MountConfig::tmpfs(target))
    }

    /// The network: a [`Network`](super::Network), or `"none"` or `"host"`.
    pub fn network<V>(mut self, network: V) -> Self
    where
        V: TryInto<NetworkConfig>,
        V::Error: Into<InvalidValue>,
    {
        if let Some(network) = self.take("network", network) {
            self.config.network = network;
        }
        self
    }

    /// Who the payload is inside: `1000`, `(1000, 100)` or `"1000:100"`.
    pub fn user<V>(mut self, user: V) -> Self
    where
        V: TryInto<User>,
        V::Error: Into<InvalidValue>,
    {
        if let Some(user) = self.take("user", user) {
            set_user(&mut self.config, user);
        }
        self
    }

    /// The payload's supplementary groups inside.
    pub fn groups(mut self, groups: impl IntoIterator<Item = u32>) -> Self {
        self.config.identity.groups = groups.into_iter().collect();
        self
    }

    /// Which user ids of the host stand behind those inside.
    pub fn uid_map(mut self, ranges: impl IntoIterator<Item = IdMapConfig>) -> Self {
        self.config.identity.uid_map = Some(ranges.into_iter().collect());
        self
    }

    /// Which group ids of the host stand behind those inside.
    pub fn gid_map(mut self, ranges: impl IntoIterator<Item = IdMapConfig>) -> Self {
        self.config.identity.gid_map = Some(ranges.into_iter().collect());
        self
    }

    /// Whether the payload may be uid 0 of the host.
    pub fn host_root(mut self, allowed: bool) -> Self {
        self.config.identity.host_root = Some(allowed);
        self
    }

    /// How the sandbox gets its time namespace.
    pub fn time_namespace(mut self, namespace: TimeNamespace) -> Self {
        self.config.namespaces.time = Some(namespace);
        self
    }

    /// Memory of all processes together.
    pub fn memory(mut self, size: impl IntoBytes) -> Self {
        self.config.limits.memory = Some(size.into_bytes());
        self
    }

    /// Memory beyond which processes are slowed down.
    pub fn memory_high(mut self, size: impl IntoBytes) -> Self {
        self.config.limits.memory_high = Some(size.into_bytes());
        self
    }

    /// Swap in addition to memory.
    pub fn swap(mut self, size: impl IntoBytes) -> Self {
        self.config.limits.swap = Some(size.into_bytes());
        self
    }

    /// Whether running out of memory kills the whole sandbox.
    pub fn oom_group(mut self, whole: bool) -> Self {
        self.config.limits.oom_group = Some(whole);
        self
    }

    /// Whether each payload of a session gets a group of its own.
    pub fn payload_groups(mut self, each: bool) -> Self {
        self.config.limits.payload_groups = Some(each);
        self
    }

    /// Number of processes and threads.
    pub fn pids(mut self, pids: u64) -> Self {
        self.config.limits.pids = Some(pids);
        self
    }

    /// How many CPUs' worth of time per time.
    pub fn cpus(mut self, cpus: f64) -> Self {
        self.config.limits.cpus = Some(cpus);
        self
    }

    /// Share of CPU time where it is scarce.
    pub fn cpu_weight(mut self, weight: u64) -> Self {
        self.config.limits.cpu_weight = Some(weight);
        self
    }

    /// Which CPUs may be used, as in `"0-1,4"`.
    pub fn cpuset(mut self, cpus: impl Into<String>) -> Self {
        self.config.limits.cpuset = Some(cpus.into());
        self
    }

    /// Share of block I/O where it is scarce.
    pub fn io_weight(mut self, weight: u64) -> Self {
        self.config.limits.io_weight = Some(weight);
        self
    }

    /// Adds limits of block I/O on one device.
    pub fn io_limit(mut self, limit: IoLimitConfig) -> Self {
        self.config.limits.io.push(limit);
        self
    }

    /// Adds a device beyond the minimal set, as in `"/dev/net/tun:rw"`.
    pub fn device(mut self, rule: impl Into<String>) -> Self {
        self.config.limits.devices.push(rule.into());
        self
    }

    /// Limits huge pages of one size.
    pub fn hugepages(mut self, page: impl Into<String>, size: impl IntoBytes) -> Self {
        self.config.limits.hugepages.insert(page.into(), size.into_bytes());
        self
    }

    /// How long a call may take, counted from its start. Then the whole tree is killed.
    pub fn timeout(mut self, duration: impl IntoDuration) -> Self {
        self.config.limits.wall_time = Some(duration.into_duration());
        self
    }

    /// CPU time of the whole tree.
    pub fn cpu_time(mut self, duration: impl IntoDuration) -> Self {
        self.config.limits.cpu_time = Some(duration.into_duration());
        self
    }

    /// How many bytes of stdout, and of stderr, are captured.
    pub fn output(mut self, size: impl IntoBytes) -> Self {
        self.config.limits.output = Some(size.into_bytes());
        self
    }

    /// What happens when more is written than is captured.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.config.limits.overflow = Some(overflow);
        self
    }

    /// A limit of setrlimit(2), as in `rlimit("nofile", 256)`.
    pub fn rlimit(mut self, name: impl Into<String>, value: impl Into<RlimitValue>) -> Self {
        self.config.limits.rlimits.insert(name.into(), value.into());
        self
    }

    /// Below which cgroup that of the sandbox is made.
    pub fn cgroup_parent(mut self, parent: impl Into<String>) -> Self {
        self.config.limits.cgroup_parent = Some(parent.into());
        self
    }

    /// Declares an open file that the payload gets; the live one is attached when a payload is started.
    pub fn fd(mut self, fd: FdConfig) -> Self {
        self.config.fds.push(fd);
        self
    }

    /// The filter of system calls: a [`Seccomp`], or `"default"`, `"none"`, or the path of a profile with a `/`.
    pub fn seccomp<V>(mut self, seccomp: V) -> Self
    where
        V: TryInto<Seccomp>,
        V::Error: Into<InvalidValue>,
    {
        if let Some(seccomp) = self.take("security.seccomp", seccomp) {
            self.config.security.seccomp = Some(seccomp);
        }
        self
    }

    /// Keeps a capability, as in `capability("net_bind_service")`.
    pub fn capability(mut self, name: impl Into<String>) -> Self {
        self.config.security.capabilities.push(name.into());
        self
    }

    /// The bits that say whether uid 0 is special.
    pub fn securebits(mut self, bits: Securebits) -> Self {
        self.config.security.securebits = Some(bits);
        self
    }

    /// Whether programs can never gain privileges.
    pub fn no_new_privs(mut self, never: bool) -> Self {
        self.config.security.no_new_privs = Some(never);
        self
    }

    /// A second wall around the file system.
    pub fn landlock(mut self, landlock: Landlock) -> Self {
        self.config.security.landlock = Some(landlock);
        self
    }

    /// The session keyring.
    pub fn keyring(mut self, keyring: Keyring) -> Self {
        self.config.security.keyring = Some(keyring);
        self
    }

    /// Whether the payload may make user namespaces.
    pub fn nested_user_namespaces(mut self, allowed: bool) -> Self {
        self.config.security.nested_user_namespaces = Some(allowed);
        self
    }

    /// The working directory inside.
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> Self {
        self.config.process.cwd = Some(directory.into());
        self
    }

    /// Sets an environment variable; `None::<&str>` removes it.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<EnvValue>) -> Self {
        self.config.process.env.insert(name.into(), value.into());
        self
    }

    /// Sets environment variables.
    pub fn envs<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<EnvValue>,
    {
        self.config.process.env.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Takes a variable from the environment of this process, where it is set.
    pub fn inherit_env(mut self, name: impl Into<String>) -> Self {
        self.config.process.inherit_env.push(name.into());
        self
    }

    /// Leaves out the default variables, and those set before.
    pub fn env_clear(mut self) -> Self {
        self.config.process.env.clear();
        self.config.process.inherit_env.clear();
        self.config.process.env_clear = Some(true);
        self
    }

    /// The permissions that new files never have, as in `0o022`.
    pub fn umask(mut self, umask: u32) -> Self {
        self.config.process.umask = Some(format!("{umask:04o}"));
        self
    }

    /// The niceness.
    pub fn nice(mut self, nice: i32) -> Self {
        self.config.process.nice = Some(nice);
        self
    }

    /// Whether payloads get a terminal of their own.
    pub fn terminal(mut self, terminal: bool) -> Self {
        self.config.process.terminal = Some(terminal);
        self
    }

    /// Whether Pinfold's init is PID 1; with false the payload is.
    pub fn own_init(mut self, init: bool) -> Self {
        self.config.process.init = Some(init);
        self
    }

    /// An installed copy of the init program.
    pub fn init_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.init.path = Some(path.into());
        self
    }

    /// What may be weaker than asked for where the host can't do it, as in `prefer("limits.*")`.
    pub fn prefer(mut self, feature: impl Into<String>) -> Self {
        self.config.compat.prefer.push(feature.into());
        self
    }
}

macro_rules! sections {
    ($($name:ident: $type:ty),* $(,)?) => {
        impl SandboxBuilder {
            $(
                #[doc = concat!("Replaces the section `", stringify!($name), "`.")]
                pub fn $name(mut self, section: $type) -> Self {
                    self.config.$name = section;
                    self
                }
            )*
        }
    };
}

sections! {
    namespaces: NamespacesConfig,
    identity: IdentityConfig,
    limits: LimitsConfig,
    security: SecurityConfig,
    process: ProcessConfig,
    init: InitConfig,
    compat: CompatConfig,
}

macro_rules! namespaces {
    ($($verb:ident $field:ident),* $(,)?) => {
        impl SandboxBuilder {
            $(
                #[doc = concat!("How the sandbox gets its ", stringify!($field), " namespace.")]
                pub fn $verb(mut self, namespace: Namespace) -> Self {
                    self.config.namespaces.$field = Some(namespace);
                    self
                }
            )*
        }
    };
}

namespaces! {
    user_namespace user,
    pid_namespace pid,
    mount_namespace mount,
    ipc_namespace ipc,
    uts_namespace uts,
    cgroup_namespace cgroup,
}
