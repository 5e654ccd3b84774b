//! Owns: checking the section `mounts`.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Check;
use super::rootfs::{DEFAULT_MEMORY_SIZE, propagation};
use crate::config::{MountConfig, MountKind as Kind, MountSource, Propagation};
use crate::masks::{MASKED_PROC_PATHS, READONLY_PROC_PATHS};
use crate::spec::{BindSource, GuestPath, Mount, MountKind};

const MAX_MOUNTS: usize = 1024;
/// What a plan carries of one file.
const MAX_CONTENT: usize = 1 << 20;
/// Symbolic links hold `PATH_MAX` with the NUL.
const MAX_LINK: usize = 4095;
const MIN_INODES: u64 = 1024;
const MAX_INODES: u64 = 1 << 32;

/// Fields of a mount that only some kinds have: name, whether it was given, and which kinds.
type Field = (&'static str, fn(&MountConfig) -> bool, &'static [Kind]);

const FIELDS: &[Field] = &[
    ("source", |m| m.source.is_some(), &[Kind::Bind, Kind::Symlink]),
    ("recursive", |m| m.recursive.is_some(), &[Kind::Bind]),
    ("optional", |m| m.optional.is_some(), &[Kind::Bind]),
    ("idmap", |m| m.idmap.is_some(), &[Kind::Bind]),
    ("size", |m| m.size.is_some(), &[Kind::Tmpfs, Kind::Overlay]),
    ("inodes", |m| m.inodes.is_some(), &[Kind::Tmpfs]),
    ("mode", |m| m.mode.is_some(), &[Kind::Tmpfs, Kind::File]),
    ("content", |m| m.content.is_some(), &[Kind::File]),
    ("lower", |m| m.lower.is_some(), &[Kind::Overlay]),
    ("upper", |m| m.upper.is_some(), &[Kind::Overlay]),
    ("work", |m| m.work.is_some(), &[Kind::Overlay]),
    ("masked", |m| m.masked.is_some(), &[Kind::Proc]),
    ("readonly_paths", |m| m.readonly_paths.is_some(), &[Kind::Proc]),
    ("read_only", |m| m.read_only.is_some(), ALL_BUT_SYMLINK),
    ("nosuid", |m| m.nosuid.is_some(), ALL_BUT_SYMLINK),
    ("nodev", |m| m.nodev.is_some(), ALL_BUT_SYMLINK),
    ("noexec", |m| m.noexec.is_some(), ALL_BUT_SYMLINK),
    ("propagation", |m| m.propagation.is_some(), ALL_BUT_SYMLINK),
];

const ALL_BUT_SYMLINK: &[Kind] = &[
    Kind::Bind,
    Kind::Tmpfs,
    Kind::Proc,
    Kind::Sysfs,
    Kind::Devpts,
    Kind::Dev,
    Kind::Mqueue,
    Kind::Overlay,
    Kind::File,
];

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Bind => "bind",
        Kind::Tmpfs => "tmpfs",
        Kind::Proc => "proc",
        Kind::Sysfs => "sysfs",
        Kind::Devpts => "devpts",
        Kind::Dev => "dev",
        Kind::Mqueue => "mqueue",
        Kind::Overlay => "overlay",
        Kind::Symlink => "symlink",
        Kind::File => "file",
    }
}

impl Check<'_> {
    pub(super) fn mounts(&mut self) -> Vec<Mount> {
        let written = &self.config.mounts;
        if written.len() > MAX_MOUNTS {
            self.add("mounts", format_args!("must be at most {MAX_MOUNTS}, got {}", written.len()));
            return Vec::new();
        }
        let mut targets: BTreeMap<GuestPath, usize> = BTreeMap::new();
        let mut mounts = Vec::with_capacity(written.len());
        for (index, mount) in written.iter().enumerate() {
            let origin = format!("mounts[{index}]");
            let target = self.target(&origin, mount.target.as_deref());
            if let Some(target) = &target
                && let Some(other) = targets.insert(target.clone(), index)
            {
                self.add(
                    format!("{origin}.target"),
                    format_args!("{:?} is already the target of mounts[{other}]", target.as_path()),
                );
            }
            let target = target.unwrap_or_else(|| GuestPath(PathBuf::from("/")));
            mounts.extend(self.mount(origin, target, mount));
        }
        mounts
    }

    fn target(&mut self, origin: &str, written: Option<&Path>) -> Option<GuestPath> {
        let key = format!("{origin}.target");
        let Some(written) = written else {
            self.add(key, "is required");
            return None;
        };
        let target = self.guest_path(&key, written)?;
        if target.is_root() {
            self.add_with_hint(key, "must not be \"/\"", "the root file system is decided by rootfs");
            return None;
        }
        Some(target)
    }

    fn mount(&mut self, origin: String, target: GuestPath, mount: &MountConfig) -> Option<Mount> {
        let Some(kind) = mount.kind else {
            self.add(format!("{origin}.kind"), "is required");
            return None;
        };
        for (name, given, kinds) in FIELDS {
            if given(mount) && !kinds.contains(&kind) {
                self.add(format!("{origin}.{name}"), format_args!("means nothing for kind = \"{}\"", word(kind)));
            }
        }
        if kind == Kind::Sysfs && mount.read_only == Some(false) {
            self.add(format!("{origin}.read_only"), "a sysfs is always read-only");
        }
        let devices = matches!(kind, Kind::Dev | Kind::Devpts);
        if devices && mount.nodev == Some(true) {
            self.add(format!("{origin}.nodev"), "would make the devices useless");
        }
        let noexec = matches!(kind, Kind::Proc | Kind::Sysfs | Kind::Devpts | Kind::Dev | Kind::Mqueue);
        Some(Mount {
            kind: self.mount_kind(&origin, &target, kind, mount)?,
            origin,
            target,
            read_only: kind == Kind::Sysfs || mount.read_only.unwrap_or(false),
            nosuid: mount.nosuid.unwrap_or(true),
            nodev: mount.nodev.unwrap_or(!devices),
            noexec: mount.noexec.unwrap_or(noexec),
            propagation: mount.propagation.map(|p: Propagation| propagation(p)),
            optional: mount.optional.unwrap_or(false),
            idmap: mount.idmap.unwrap_or(false),
        })
    }

    fn mount_kind(&mut self, origin: &str, target: &GuestPath, kind: Kind, mount: &MountConfig) -> Option<MountKind> {
        Some(match kind {
            Kind::Bind => {
                MountKind::Bind { source: self.bind_source(origin, mount)?, recursive: mount.recursive.unwrap_or(true) }
            }
            Kind::Tmpfs => {
                let size = self.size(&format!("{origin}.size"), mount.size.as_ref()).unwrap_or(DEFAULT_MEMORY_SIZE);
                let inodes = self.count(&format!("{origin}.inodes"), mount.inodes, 1..=MAX_INODES);
                MountKind::Tmpfs {
                    size,
                    inodes: inodes.unwrap_or((size / 4096).clamp(MIN_INODES, MAX_INODES)),
                    mode: self.octal(&format!("{origin}.mode"), mount.mode.as_deref(), 0o7777).unwrap_or(0o1777),
                }
            }
            Kind::Proc => MountKind::Proc {
                masked: self.proc_paths(
                    &format!("{origin}.masked"),
                    target,
                    mount.masked.as_deref(),
                    &MASKED_PROC_PATHS,
                ),
                readonly: self.proc_paths(
                    &format!("{origin}.readonly_paths"),
                    target,
                    mount.readonly_paths.as_deref(),
                    &READONLY_PROC_PATHS,
                ),
            },
            Kind::Sysfs => MountKind::Sysfs,
            Kind::Devpts => MountKind::Devpts,
            Kind::Dev => MountKind::Dev,
            Kind::Mqueue => MountKind::Mqueue,
            Kind::Overlay => self.overlay_mount(origin, mount)?,
            Kind::Symlink => MountKind::Symlink { text: self.link_text(origin, mount)? },
            Kind::File => MountKind::File {
                content: self.content(origin, mount)?,
                mode: self.octal(&format!("{origin}.mode"), mount.mode.as_deref(), 0o7777).unwrap_or(0o644),
            },
        })
    }

    fn bind_source(&mut self, origin: &str, mount: &MountConfig) -> Option<BindSource> {
        let key = format!("{origin}.source");
        match &mount.source {
            None => {
                self.add(key, "is required for kind = \"bind\"");
                None
            }
            Some(MountSource::Path(path)) => Some(BindSource::Path(self.host_path(&key, path))),
            Some(MountSource::Fd(name)) => {
                self.fd_name(&key, name);
                if mount.optional == Some(true) {
                    self.add(format!("{origin}.optional"), "means nothing for a source that is an fd");
                }
                Some(BindSource::Fd(name.clone()))
            }
        }
    }

    fn overlay_mount(&mut self, origin: &str, mount: &MountConfig) -> Option<MountKind> {
        let Some(lower) = &mount.lower else {
            self.add(format!("{origin}.lower"), "is required for kind = \"overlay\"");
            return None;
        };
        let lower = self.layers(&format!("{origin}.lower"), lower);
        if mount.upper.is_none() {
            for (name, given) in [("work", mount.work.is_some()), ("size", mount.size.is_some())] {
                if given {
                    self.add(format!("{origin}.{name}"), "needs an upper");
                }
            }
        }
        let upper = mount.upper.as_ref().map(|upper| {
            let overlay = self.overlay(origin, upper, mount.work.as_deref(), mount.size.as_ref());
            self.apart(origin, &overlay, &lower);
            overlay
        });
        Some(MountKind::Overlay { lower, upper })
    }

    fn link_text(&mut self, origin: &str, mount: &MountConfig) -> Option<Vec<u8>> {
        let key = format!("{origin}.source");
        match &mount.source {
            None => self.add(key, "is required for kind = \"symlink\": the text of the link"),
            Some(MountSource::Fd(_)) => self.add(key, "must be the text of the link"),
            Some(MountSource::Path(text)) => {
                let text = text.as_os_str().as_bytes();
                if !text.is_empty() && text.len() <= MAX_LINK && !text.contains(&0) {
                    return Some(text.to_vec());
                }
                self.add(key, format_args!("must be 1 to {MAX_LINK} bytes without NUL bytes, got {}", text.len()));
            }
        }
        None
    }

    fn content(&mut self, origin: &str, mount: &MountConfig) -> Option<Vec<u8>> {
        let key = format!("{origin}.content");
        match &mount.content {
            None => self.add(key, "is required for kind = \"file\""),
            Some(content) if content.0.len() > MAX_CONTENT => {
                self.add(key, format_args!("must be at most {MAX_CONTENT} bytes, got {}", content.0.len()));
            }
            Some(content) => return Some(content.0.clone()),
        }
        None
    }

    fn proc_paths(
        &mut self,
        key: &str,
        target: &GuestPath,
        written: Option<&[PathBuf]>,
        default: &[&str],
    ) -> Vec<GuestPath> {
        let Some(written) = written else {
            return default.iter().map(|path| GuestPath(target.as_path().join(path))).collect();
        };
        let mut paths = Vec::with_capacity(written.len());
        for (index, path) in written.iter().enumerate() {
            paths.extend(self.take(&format!("{key}[{index}]"), GuestPath::below(target, path)));
        }
        paths
    }
}
