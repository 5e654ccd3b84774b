//! Owns: what a caller has said, merged with the sandbox's defaults. Every problem at once.
//! Must not: start anything.

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::error::Problems;
use crate::plan::Call;
use crate::process::TerminalSize;
use crate::spec::{BindSource, GuestPath, JoinTarget, MountKind, Namespace, Rlimit};

use crate::{Result, sys};

use super::Command;
use super::options::{in_nice_range, is_umask, rlimit};

impl Command {
    /// The call, merged with the sandbox's defaults. Every problem at once.
    pub(super) fn call(&self) -> Result<Call> {
        let spec = &self.sandbox.0.settled.spec;
        let mut problems = self.problems.clone();
        let cwd = match &self.cwd {
            None => spec.process.cwd.clone(),
            Some(path) => match GuestPath::new(path) {
                Ok(path) => path,
                Err(message) => {
                    problems.add("cwd", message);
                    spec.process.cwd.clone()
                }
            },
        };
        for (index, arg) in self.argv.iter().enumerate() {
            if arg.as_bytes().contains(&0) {
                problems.add(format!("argv[{index}]"), "must not contain a NUL byte");
            }
        }
        let mut rlimits = Vec::new();
        for (name, value) in &self.rlimits {
            match rlimit(name) {
                Ok(rlimit) => rlimits.push((rlimit, self.lowered(rlimit, *value))),
                Err(message) => problems.add(format!("rlimits.{name}"), message),
            }
        }
        let umask = self.umask.unwrap_or(spec.process.umask);
        if let Err(message) = is_umask(umask) {
            problems.add("umask", message);
        }
        let nice = self.nice.or(spec.process.nice);
        if let Some(Err(message)) = nice.map(in_nice_range) {
            problems.add("nice", message);
        }
        let (uid, gid) = self.user.unwrap_or((spec.identity.uid, spec.identity.gid));
        if let (Some(maps), true) = (&self.sandbox.0.settled.maps, self.user.is_some()) {
            for (key, map, id) in [("user.uid", &maps.uid, uid), ("user.gid", &maps.gid, gid)] {
                if crate::idmap::to_outside(map, id).is_none() {
                    problems.add(key, format!("{id} is not mapped in this sandbox"));
                }
            }
        }
        if self.sandbox.0.settled.maps.is_none() && !spec.identity.host_root {
            for (key, id) in [("user.uid", uid), ("user.gid", gid)].into_iter().filter(|(_, id)| *id == 0) {
                problems.add(
                    key,
                    format!("without a user namespace {id} is the host's root; identity.host_root allows it"),
                );
            }
        }
        for name in self.fds.keys().filter(|name| !self.is_declared(name)) {
            problems.add(format!("fds.{name}"), "the config declares no fd, bind source or namespace of this name");
        }
        if self.keep_root && self.session.is_some() {
            problems.add("keep_root", "a session's root stays as long as the session: use its changes and commit");
        } else if self.keep_root && spec.rootfs.overlay.is_none() {
            problems.add("keep_root", "needs a root with a writable layer: rootfs.overlay");
        }
        let env = self.environment(&mut problems);
        let terminal = self.wanted_terminal();
        for (name, stream) in ["stdin", "stdout", "stderr"].into_iter().zip(&self.streams) {
            if terminal.is_some() && stream.is_some() {
                problems.add(name, "is the terminal's: set a stream, or ask for a terminal");
            }
        }
        problems.into_result(Call {
            cwd_origin: if self.cwd.is_some() { "cwd" } else { "process.cwd" },
            grouped: self.is_grouped(),
            terminal: terminal.map(|size| (size.columns, size.rows)),
            argv: self.argv.iter().map(|arg| arg.clone().into_vec()).collect(),
            env,
            cwd,
            uid,
            gid,
            groups: spec.identity.groups.clone(),
            umask,
            nice,
            rlimits,
        })
    }

    /// Not above what holds here, where the sandbox has no limit of its own.
    fn lowered(&self, rlimit: Rlimit, value: u64) -> u64 {
        let limited = self.sandbox.0.settled.rlimits.iter().any(|(own, _)| own.resource == rlimit.resource);
        let here = if limited { None } else { sys::soft_limit(rlimit.resource) };
        here.map_or(value, |here| here.min(value))
    }

    pub(super) fn wanted_terminal(&self) -> Option<TerminalSize> {
        let process = &self.sandbox.0.settled.spec.process;
        self.terminal.or_else(|| process.terminal.then(TerminalSize::default))
    }

    /// Whether the config has a use for an fd of this name.
    fn is_declared(&self, name: &str) -> bool {
        let spec = &self.sandbox.0.settled.spec;
        let n = &spec.namespaces;
        let joined = [&n.user, &n.pid, &n.mount, &spec.network, &n.ipc, &n.uts, &n.cgroup, &n.time];
        spec.fds.iter().any(|fd| fd.name == name)
            || joined.iter().any(|mode| matches!(mode, Namespace::Join(JoinTarget::Fd(fd)) if fd == name))
            || spec
                .mounts
                .iter()
                .any(|mount| matches!(&mount.kind, MountKind::Bind { source: BindSource::Fd(fd), .. } if fd == name))
    }

    /// Defaults, then what the config inherits and sets, then the call's.
    fn environment(&self, problems: &mut Problems) -> Vec<(Vec<u8>, Vec<u8>)> {
        let process = &self.sandbox.0.settled.spec.process;
        let mut env: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        if !self.env_clear {
            if !process.env_clear {
                let defaults = [
                    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
                    ("HOME", "/tmp"),
                    ("USER", "sandbox"),
                    ("LANG", "C.UTF-8"),
                ];
                env.extend(defaults.map(|(name, value)| (name.into(), value.into())));
                if self.wanted_terminal().is_some() {
                    env.insert("TERM".into(), "xterm".into());
                }
            }
            let inherited = process
                .inherit_env
                .iter()
                .filter_map(|name| Some((name.as_bytes().to_vec(), std::env::var_os(name)?.into_vec())));
            env.extend(inherited);
            for (name, value) in &process.env {
                match value {
                    Some(value) => env.insert(name.clone(), value.clone()),
                    None => env.remove(name),
                };
            }
        }
        for (name, value) in &self.env {
            let bytes = name.as_bytes();
            if bytes.is_empty() || bytes.contains(&b'=') || bytes.contains(&0) {
                problems.add(
                    format!("env.{}", name.display()),
                    "a variable's name must not be empty and not contain `=` or NUL",
                );
            }
            match value {
                Some(value) if value.as_bytes().contains(&0) => {
                    problems.add(format!("env.{}", name.display()), "must not contain a NUL byte");
                }
                Some(value) => {
                    env.insert(bytes.to_vec(), value.as_bytes().to_vec());
                }
                None => {
                    env.remove(bytes);
                }
            }
        }
        env.into_iter().collect()
    }
}
