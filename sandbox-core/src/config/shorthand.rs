//! Owns: the one table of shorthands. Flags of the command line, keyword arguments of Python, options of Node and the
//! builder's short verbs are this table.
//! Start at: [`SHORTHANDS`].

use super::mounts::MountConfig;
use super::{EnvValue, NetworkConfig, OverlayConfig, RootfsConfig, SandboxConfig, Seccomp, User, did_you_mean};
use crate::error::{Problems, Result, Stage};

/// A short name for a config key that is often set.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Shorthand {
    /// Its name; a flag has `-` for `_`.
    pub name: &'static str,
    /// The config key it sets.
    pub key: &'static str,
    /// What its value looks like (`SRC:DST`).
    pub value: &'static str,
    /// A value that works.
    pub example: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
    /// Whether it adds to what is there, so that it may be given several times.
    pub appends: bool,
    /// What null unsets beside `key`.
    pub(crate) also: Option<&'static str>,
    apply: fn(&mut SandboxConfig, &str) -> Result<(), String>,
}

/// Every shorthand.
pub const SHORTHANDS: &[Shorthand] = &[
    Shorthand {
        name: "memory",
        key: "limits.memory",
        value: "SIZE",
        example: "256M",
        help: "Memory of all processes together; units are powers of 1024",
        appends: false,
        also: None,
        apply: |config, text| set(&mut config.limits.memory, text),
    },
    Shorthand {
        name: "swap",
        key: "limits.swap",
        value: "SIZE",
        example: "0",
        help: "Swap in addition to memory; 0 for none",
        appends: false,
        also: None,
        apply: |config, text| set(&mut config.limits.swap, text),
    },
    Shorthand {
        name: "pids",
        key: "limits.pids",
        value: "N",
        example: "64",
        help: "Number of processes and threads",
        appends: false,
        also: None,
        apply: |config, text| {
            let pids: u64 = text.parse().map_err(|_| format!("must be a number such as 64, got {text:?}"))?;
            set(&mut config.limits.pids, pids)
        },
    },
    Shorthand {
        name: "cpus",
        key: "limits.cpus",
        value: "N",
        example: "0.5",
        help: "How many CPUs' worth of time per time",
        appends: false,
        also: None,
        apply: |config, text| {
            let cpus: Option<f64> = text.parse().ok().filter(|cpus: &f64| cpus.is_finite());
            let cpus = cpus.ok_or_else(|| format!("must be a number such as 0.5, got {text:?}"))?;
            set(&mut config.limits.cpus, cpus)
        },
    },
    Shorthand {
        name: "timeout",
        key: "limits.wall_time",
        value: "DURATION",
        example: "5s",
        help: "How long the call may take, from its start; then the whole tree is killed",
        appends: false,
        also: None,
        apply: |config, text| set(&mut config.limits.wall_time, text),
    },
    Shorthand {
        name: "cpu_time",
        key: "limits.cpu_time",
        value: "DURATION",
        example: "2s",
        help: "CPU time of the whole tree",
        appends: false,
        also: None,
        apply: |config, text| set(&mut config.limits.cpu_time, text),
    },
    Shorthand {
        name: "output",
        key: "limits.output",
        value: "SIZE",
        example: "1M",
        help: "How many bytes of stdout, and of stderr, are captured",
        appends: false,
        also: None,
        apply: |config, text| set(&mut config.limits.output, text),
    },
    Shorthand {
        name: "rootfs",
        key: "rootfs",
        value: "system|host|empty|DIR/",
        example: "system",
        help: "The root file system; a directory is written with a /",
        appends: false,
        also: None,
        apply: |config, text| {
            let rootfs = RootfsConfig::try_from(text).map_err(|error| error.to_string())?;
            set_rootfs(config, rootfs);
            Ok(())
        },
    },
    Shorthand {
        name: "overlay",
        key: "rootfs.overlay",
        value: "memory[:SIZE]|DIR/",
        example: "memory:64M",
        help: "A writable layer above the root, in memory or in a directory that is kept",
        appends: false,
        also: None,
        apply: |config, text| {
            let overlay = OverlayConfig::try_from(text).map_err(|error| error.to_string())?;
            set(&mut config.rootfs.overlay, overlay)
        },
    },
    Shorthand {
        name: "bind",
        key: "mounts",
        value: "SRC:DST",
        example: "data:/data",
        help: "Show a file or directory of the host inside, writable",
        appends: true,
        also: None,
        apply: |config, text| bind(config, text, false),
    },
    Shorthand {
        name: "ro_bind",
        key: "mounts",
        value: "SRC:DST",
        example: "data:/data",
        help: "Show a file or directory of the host inside, read-only",
        appends: true,
        also: None,
        apply: |config, text| bind(config, text, true),
    },
    Shorthand {
        name: "tmpfs",
        key: "mounts",
        value: "DST[:SIZE]",
        example: "/scratch:64M",
        help: "An empty directory in memory",
        appends: true,
        also: None,
        apply: |config, text| {
            let mount = match text.rsplit_once(':') {
                Some((target, size)) => MountConfig::tmpfs(target).size(size),
                None => MountConfig::tmpfs(text),
            };
            config.mounts.push(mount);
            Ok(())
        },
    },
    Shorthand {
        name: "network",
        key: "network.mode",
        value: "none|host",
        example: "none",
        help: "The network: a loopback interface alone, or that of the host",
        appends: false,
        also: None,
        apply: |config, text| {
            config.network = NetworkConfig::try_from(text).map_err(|error| error.to_string())?;
            Ok(())
        },
    },
    Shorthand {
        name: "user",
        key: "identity.uid",
        value: "UID[:GID]",
        example: "1000:1000",
        help: "Who the payload is inside, by number",
        appends: false,
        also: Some("identity.gid"),
        apply: |config, text| {
            let user = User::try_from(text).map_err(|error| error.to_string())?;
            set_user(config, user);
            Ok(())
        },
    },
    Shorthand {
        name: "env",
        key: "process.env",
        value: "K=V",
        example: "LANG=C",
        help: "An environment variable",
        appends: true,
        also: None,
        apply: |config, text| {
            let (name, value) = text.split_once('=').ok_or_else(|| format!("must be NAME=VALUE, got {text:?}"))?;
            config.process.env.insert(name.to_owned(), EnvValue::from(value));
            Ok(())
        },
    },
    Shorthand {
        name: "cwd",
        key: "process.cwd",
        value: "DIR",
        example: "/tmp",
        help: "The working directory inside",
        appends: false,
        also: None,
        apply: |config, text| set(&mut config.process.cwd, text),
    },
    Shorthand {
        name: "hostname",
        key: "hostname",
        value: "NAME",
        example: "box",
        help: "The host name inside",
        appends: false,
        also: None,
        apply: |config, text| set(&mut config.hostname, text),
    },
    Shorthand {
        name: "seccomp",
        key: "security.seccomp",
        value: "default|none|FILE",
        example: "default",
        help: "The filter of system calls; a profile is written with a /",
        appends: false,
        also: None,
        apply: |config, text| {
            let seccomp = Seccomp::try_from(text).map_err(|error| error.to_string())?;
            set(&mut config.security.seccomp, seccomp)
        },
    },
];

/// Sets what the shorthand `name` sets, from text.
///
/// # Errors
/// There is no such shorthand, or the text can't be its value. A size or duration that is none is reported when the
/// sandbox is built.
pub fn apply_shorthand(config: &mut SandboxConfig, name: &str, text: &str) -> Result<()> {
    let mut problems = Problems::new(Stage::Parse);
    let wanted = name.replace('-', "_");
    match SHORTHANDS.iter().find(|shorthand| shorthand.name == wanted) {
        Some(shorthand) => match (shorthand.apply)(config, text) {
            Ok(()) => {
                if !shorthand.appends {
                    config.locations.put(shorthand.key, &format!("{} = {text}", shorthand.name));
                }
                return Ok(());
            }
            Err(message) => problems.add(shorthand.name, message),
        },
        None => {
            let message = "there is no such shorthand";
            match did_you_mean(&wanted, SHORTHANDS.iter().map(|shorthand| shorthand.name)) {
                Some(hint) => problems.add_with_hint(name, message, hint),
                None => problems.add(name, message),
            }
        }
    }
    Err(problems.into())
}

fn set<T>(place: &mut Option<T>, value: impl Into<T>) -> Result<(), String> {
    *place = Some(value.into());
    Ok(())
}

/// The colon that splits is the last one that an absolute path follows, so that a source may contain colons.
fn bind(config: &mut SandboxConfig, text: &str, read_only: bool) -> Result<(), String> {
    let (source, target) = match text.rfind(":/") {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => text.split_once(':').unwrap_or((text, "")),
    };
    if source.is_empty() || target.is_empty() {
        return Err(format!("must be SRC:DST, as in data:/data, got {text:?}"));
    }
    let mut mount = MountConfig::bind(source, target);
    if read_only {
        mount = mount.read_only(true);
    }
    config.mounts.push(mount);
    Ok(())
}

/// A root that says nothing of an overlay or propagation leaves them as they are.
pub(super) fn set_rootfs(config: &mut SandboxConfig, rootfs: RootfsConfig) {
    let before = std::mem::replace(&mut config.rootfs, rootfs);
    let rootfs = &mut config.rootfs;
    rootfs.overlay = rootfs.overlay.take().or(before.overlay);
    rootfs.propagation = rootfs.propagation.or(before.propagation);
}

pub(super) fn set_user(config: &mut SandboxConfig, user: User) {
    config.identity.uid = Some(user.uid);
    if user.gid.is_some() {
        config.identity.gid = user.gid;
    }
}
