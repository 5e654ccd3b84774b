//! Owns: the stable text of [`HostCaps`], for people and for snapshots.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{HostCaps, SystemPath};

/// Width of the column of names.
const COLUMN: usize = 22;

impl Display for HostCaps {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: &dyn Display| writeln!(f, "{name:<COLUMN$}{value}");
        row("kernel", &format_args!("{} ({}.{}, {})", self.release, self.kernel.0, self.kernel.1, self.machine))?;
        row("ids", &format_args!("uid {}, gid {}{}", self.euid, self.egid, Named(self.user.as_deref())))?;
        row("capabilities", &format_args!("{:#x} of 0..={}", self.capabilities, self.cap_last))?;
        row("no_new_privs", &YesNo(self.no_new_privs))?;
        row("seccomp", &format_args!("mode {}, actions {}", self.seccomp_mode, Words(&self.seccomp_actions)))?;
        row("container", &self.container.as_deref().unwrap_or("-"))?;
        row("chrooted", &YesNo(self.chrooted))?;
        row("uid map", &Map(&self.uid_map))?;
        row("gid map", &Map(&self.gid_map))?;
        row("setgroups", &if self.setgroups_allowed { "allowed" } else { "denied" })?;
        row("namespaces", &Words(&self.namespaces))?;
        row("user namespaces", &Maybe(self.max_user_namespaces, "at most "))?;
        for (kind, most) in self.max_namespaces.iter().filter(|(_, most)| **most == 0) {
            row(&format!("{kind} namespaces"), &format_args!("at most {most}"))?;
        }
        row("unprivileged clone", &Switch(self.unprivileged_userns_clone))?;
        row("apparmor restriction", &Switch(self.apparmor_restrict_userns))?;
        row("security modules", &Words(&self.lsms))?;
        row("landlock", &if self.landlock_abi == 0 { "absent".into() } else { format!("abi {}", self.landlock_abi) })?;
        row("memfd_noexec", &Maybe(self.memfd_noexec, ""))?;
        row("suid_dumpable", &self.suid_dumpable)?;
        row("subuid", &Ranges(&self.subuid))?;
        row("subgid", &Ranges(&self.subgid))?;
        row("newuidmap", &Path(self.newuidmap.as_deref()))?;
        row("newgidmap", &Path(self.newgidmap.as_deref()))?;
        row("proc covered", &Words(&self.proc_covered))?;
        row("proc options", &Words(&self.proc_options))?;
        let proc_paths: Vec<String> =
            self.proc_paths.iter().map(|(path, dir)| if *dir { format!("{path}/") } else { path.clone() }).collect();
        row("proc paths", &Words(&proc_paths))?;
        row("clone of mount trees", &YesNo(self.clone_detached_tree))?;
        row("cgroup v2", &Path(self.cgroups.unified.as_deref()))?;
        row("cgroup v2 writable", &Path(self.cgroups.unified_writable.as_deref()))?;
        row("cgroup v2 control", &Words(&self.cgroups.unified_controllers))?;
        for place in &self.cgroups.unified_places {
            let possible: Vec<String> = place.possible.iter().map(|name| format!("({name})")).collect();
            let words = [place.enabled.as_slice(), &possible].concat();
            row("cgroup v2 place", &format_args!("{} {}", place.path.display(), Words(&words)))?;
        }
        if let Some(manager) = &self.cgroups.user_manager {
            row("user's systemd", &format_args!("{} {}", manager.socket.display(), Words(&manager.controllers)))?;
        }
        for (controller, mount) in &self.cgroups.v1 {
            match self.cgroups.v1_places.get(controller) {
                Some(place) => row(&format!("cgroup v1 {controller}"), &format_args!("{} writable", place.display()))?,
                None => row(&format!("cgroup v1 {controller}"), &mount.display())?,
            }
        }
        row("swap limits", &YesNo(self.cgroups.swap))?;
        row("io weights for", &Words(&self.cgroups.io_weight))?;
        row("device programs", &YesNo(self.cgroups.device_programs))?;
        row("cpus", &self.cpus)?;
        row("file systems", &Words(&self.filesystems))?;
        for (path, what) in &self.system_paths {
            let mut line = path.display().to_string();
            match what {
                SystemPath::Directory => line.push('/'),
                SystemPath::File => {}
                SystemPath::Symlink(text) => write!(line, " -> {}", text.display())?,
            }
            row("system root", &line)?;
        }
        Ok(())
    }
}

struct YesNo(bool);
impl Display for YesNo {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "yes" } else { "no" })
    }
}

struct Switch(Option<bool>);
impl Display for Switch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(true) => "on",
            Some(false) => "off",
            None => "-",
        })
    }
}

struct Named<'a>(Option<&'a str>);
impl Display for Named<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

struct Maybe<T>(Option<T>, &'static str);
impl<T: Display> Display for Maybe<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => write!(f, "{}{value}", self.1),
            None => f.write_str("-"),
        }
    }
}

struct Path<'a>(Option<&'a std::path::Path>);
impl Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => path.display().fmt(f),
            None => f.write_str("-"),
        }
    }
}

struct Words<'a>(&'a [String]);
impl Display for Words<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&if self.0.is_empty() { "-".to_owned() } else { self.0.join(" ") })
    }
}

struct Map<'a>(&'a [(u32, u32, u32)]);
impl Display for Map<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|(i, o, c)| format!("{i} {o} {c}")).collect();
        f.write_str(&if lines.is_empty() { "-".to_owned() } else { lines.join(", ") })
    }
}

struct Ranges<'a>(&'a [(u32, u32)]);
impl Display for Ranges<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|(first, count)| format!("{first}:{count}")).collect();
        f.write_str(&if lines.is_empty() { "-".to_owned() } else { lines.join(", ") })
    }
}
