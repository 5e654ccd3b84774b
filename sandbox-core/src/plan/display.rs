//! Owns: the words of a plan: one stable line per operation, like strace.  Must not: know the system.

use std::fmt;

use super::op::{Attributes, Fd, Handed, Op};
use super::{Plan, PlanLine, Step, mount_options};
use crate::idmap::MapWriter;
use crate::spec::{IdRange, Propagation};

impl Plan {
    /// Every line, in order.
    pub fn lines(&self) -> Vec<PlanLine> {
        let mut lines = Vec::with_capacity(self.len());
        let mut add = |by, step: &Step| {
            lines.push(PlanLine {
                number: lines.len() + 1,
                by,
                what: step.op.to_string(),
                origin: step.origin.clone(),
            });
        };
        self.base.prepared.iter().for_each(|step| add("prepare", step));
        self.base.standing_steps().iter().for_each(|step| add("prepare", step));
        self.base.host.iter().for_each(|step| add("host", step));
        let mut by = "keeper";
        for step in &self.base.steps {
            add(by, step);
            if matches!(step.op, Op::CreateInit { .. }) {
                by = "init";
            }
        }
        self.payload.iter().for_each(|step| add("payload", step));
        lines
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.host_count() + self.step_count()
    }

    /// Never true: every plan executes something.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        let width = lines.iter().map(|line| line.what.len()).filter(|&len| len <= 88).max().unwrap_or(0);
        for PlanLine { number, by, what, origin } in lines {
            writeln!(f, "{number:>4}  {by:<8} {what:<width$}  # {origin}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot(slot) => write!(f, "<{}>", slot.name),
            Self::Passed(name) => write!(f, "<host:{name}>"),
        }
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.read_only, "ro"), (self.nosuid, "nosuid"), (self.nodev, "nodev"), (self.noexec, "noexec")];
        let set: Vec<&str> = words.into_iter().filter_map(|(on, word)| on.then_some(word)).collect();
        f.write_str(if set.is_empty() { "none" } else { "" })?;
        f.write_str(&set.join(","))
    }
}

fn propagation(propagation: Propagation) -> &'static str {
    match propagation {
        Propagation::Private => "private",
        Propagation::Slave => "slave",
        Propagation::Shared => "shared",
        Propagation::Unbindable => "unbindable",
    }
}

fn map(ranges: &[IdRange]) -> String {
    let ranges: Vec<String> = ranges
        .iter()
        .map(|range| match range.count {
            1 => format!("{} -> {}", range.inside, range.outside),
            n => format!(
                "{}-{} -> {}-{}",
                range.inside,
                range.inside.saturating_add(n - 1),
                range.outside,
                range.outside.saturating_add(n - 1)
            ),
        })
        .collect();
    ranges.join(", ")
}

/// The CLONE_NEW* flags in the order of namespaces(7).
pub(crate) const NAMESPACES: [(&str, i32); 8] = [
    ("user", libc::CLONE_NEWUSER),
    ("pid", libc::CLONE_NEWPID),
    ("mount", libc::CLONE_NEWNS),
    ("network", libc::CLONE_NEWNET),
    ("ipc", libc::CLONE_NEWIPC),
    ("uts", libc::CLONE_NEWUTS),
    ("cgroup", libc::CLONE_NEWCGROUP),
    ("time", 0x80),
];

fn at(at: &Fd, name: &std::path::Path) -> String {
    if name.as_os_str().is_empty() { at.to_string() } else { format!("{at}/{}", name.display()) }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JoinNamespace { kind, from, .. } => write!(f, "join {kind} namespace {from}"),
            Self::Unshare { flags } => {
                let names: Vec<&str> =
                    NAMESPACES.iter().filter_map(|(name, flag)| (flags & flag != 0).then_some(*name)).collect();
                write!(f, "unshare {}", names.join(","))
            }
            Self::TimeOffsets { monotonic, boottime } => {
                write!(f, "set time offsets monotonic {monotonic} s, boottime {boottime} s")
            }
            Self::MapIds { maps } => {
                let by = match maps.writer {
                    MapWriter::Init => "init",
                    MapWriter::Host => "the host",
                    MapWriter::Newidmap => "newuidmap and newgidmap",
                };
                let setgroups = if maps.deny_setgroups { ", setgroups denied" } else { "" };
                write!(f, "map uid {}, gid {} by {by}{setgroups}", map(&maps.uid), map(&maps.gid))
            }
            Self::OpenNamespace { kind, into } => write!(f, "open the {kind} namespace as <{}>", into.name),
            Self::Undumpable => f.write_str("make memory unreadable (PR_SET_DUMPABLE 0)"),
            Self::CreateInit { cgroup, payload, .. } => {
                f.write_str(if *payload { "create the payload's process as PID 1" } else { "create PID 1" })?;
                cgroup.as_ref().map_or(Ok(()), |group| write!(f, " in group {group}"))
            }
            Self::EnterGroup { tasks } => write!(f, "enter group {tasks}"),
            Self::ClearUmask => f.write_str("umask 0 for the set-up"),
            Self::KeepCapabilities => f.write_str("keep capabilities over a change of ids"),
            Self::SetIds { uid, gid, groups } => match groups {
                Some(groups) => write!(f, "set ids {uid}:{gid}, groups {groups:?}"),
                None => write!(f, "set ids {uid}:{gid}"),
            },
            Self::DieWithKeeper => f.write_str("die with the keeper"),
            Self::SetHostname { name } => write!(f, "set hostname {name}"),
            Self::LoopbackUp => f.write_str("bring lo up"),
            Self::Detach { propagation: kind } => write!(f, "make every inherited mount {}", propagation(*kind)),
            Self::CloneTree { path, recursive, into, .. } => {
                let recursive = if *recursive { "tree" } else { "mount" };
                write!(f, "clone {recursive} {} as <{}>", path.display(), into.name)
            }
            Self::CloneFd { from, recursive, into } => {
                let recursive = if *recursive { "tree" } else { "mount" };
                write!(f, "clone {recursive} {from} as <{}>", into.name)
            }
            Self::NewFileSystem { kind, options, attributes, into } => {
                write!(f, "new {kind} ({}) {attributes} as <{}>", mount_options(options), into.name)
            }
            Self::MountAt { kind, options, attributes, at: dir, name } => {
                write!(f, "mount {kind} ({}) {attributes} at {}", mount_options(options), at(dir, name))
            }
            Self::SetAttributes { mount, set, recursive } => {
                write!(f, "set {set} on {mount}{}", if *recursive { ", recursively" } else { "" })
            }
            Self::SetPropagation { mount, propagation: kind, recursive } => {
                write!(f, "make {mount} {}{}", propagation(*kind), if *recursive { ", recursively" } else { "" })
            }
            Self::MakeDir { at: dir, name, mode } => write!(f, "mkdir {} {mode:04o}", at(dir, name)),
            Self::MakeNode { at: dir, name } => write!(f, "mount point {}", at(dir, name)),
            Self::MakeFile { at: dir, name, content, mode } => {
                write!(f, "write {} ({} bytes) {mode:04o}", at(dir, name), content.len())
            }
            Self::WriteFile { at: dir, name, content } => write!(f, "write {content} to {}", at(dir, name)),
            Self::IdMapMount { mount } => write!(f, "id-map {mount} by the host"),
            Self::MakeSymlink { at: dir, name, text } => write!(f, "symlink {} -> {}", at(dir, name), text.display()),
            Self::Resolve { root, path, into, .. } => {
                write!(f, "resolve {} in {root} as <{}>", path.display(), into.name)
            }
            Self::OpenBelow { root, path, into, .. } => {
                write!(f, "open {} in {root} as <{}>", path.display(), into.name)
            }
            Self::CloneBelow { at: dir, name, into } => write!(f, "clone tree {} as <{}>", at(dir, name), into.name),
            Self::Bind { at: dir, from, name, set } => {
                let (from, name) = (at(dir, from), at(dir, name));
                if from == name {
                    write!(f, "bind {name} to itself")?;
                } else {
                    write!(f, "bind {from} to {name}")?;
                }
                set.map_or(Ok(()), |set| write!(f, ", {set}"))
            }
            Self::Attach { mount, at: dir, name } => write!(f, "attach {mount} to {}", at(dir, name)),
            Self::SendFd { fd, what } => {
                let what = match what {
                    Handed::Root => "the root directory",
                    Handed::Upper => "the upper directory",
                    Handed::UserNamespace => "the user namespace",
                    Handed::Skeleton => "the lowest layer",
                    Handed::Opened => "what it is",
                    Handed::Terminal => "the host's end of the terminal",
                };
                write!(f, "hand {fd} to the host as {what}")
            }
            Self::MountOverlay { at: dir, name, lower, upper, attributes, into } => {
                let layers = match lower.len() {
                    1 => "1 layer".to_owned(),
                    n => format!("{n} layers"),
                };
                write!(f, "mount overlay {} of {layers}", at(dir, name))?;
                match upper {
                    Some((upper, work)) => write!(f, " with upper {upper}, work {work}")?,
                    None => f.write_str(", read-only")?,
                }
                write!(f, " {attributes} as <{}>", into.name)
            }
            Self::SetOwner { at: dir, name, uid, gid } => write!(f, "give {} to {uid}:{gid}", at(dir, name)),
            Self::ClaimUpper { upper, work, .. } => {
                write!(f, "claim {} and {} for the changes", upper.display(), work.display())
            }
            Self::OpenRoot { into } => write!(f, "open / as <{}>", into.name),
            Self::EnterRoot { root } => write!(f, "mount {root} over / and go there"),
            Self::PivotRoot { root, .. } => write!(f, "pivot_root to {root} and detach the old root"),
            Self::NewKeyring => f.write_str("new session keyring"),
            Self::NoNewPrivileges => f.write_str("set no_new_privs"),
            Self::DropBoundingSet { keep, .. } => {
                write!(f, "drop the bounding set except {}", crate::spec::capability_names(*keep))
            }
            Self::InstallFilter { name, program, .. } => {
                write!(f, "install seccomp filter {name} ({} instructions)", program.len())
            }
            Self::PrepareLandlock { abi, rules, .. } => {
                write!(f, "make Landlock ruleset (ABI {abi}, {} rules)", rules.len())
            }
            Self::StartPayload => f.write_str("start the payload's process"),
            Self::Deputize { memory } => write!(f, "make the calls in {memory}"),
            Self::Serve { socket, .. } => write!(f, "wait for payloads at {socket}"),
            Self::ClearSignalMask => f.write_str("unblock all signals"),
            Self::NewSession => f.write_str("setsid"),
            Self::SetRlimit { name, soft, .. } => match *soft {
                u64::MAX => write!(f, "rlimit {name} unlimited"),
                value => write!(f, "rlimit {name} {value}"),
            },
            Self::SetNice { value } => write!(f, "nice {value}"),
            Self::ChangeDirectory { path } => write!(f, "chdir {}", path.as_path().display()),
            Self::SetCapabilities { keep, securebits, .. } => {
                write!(f, "set capabilities to {}", crate::spec::capability_names(*keep))?;
                securebits.map_or(Ok(()), |bits| write!(f, ", securebits {bits:#x}"))
            }
            Self::RestrictSelf { ruleset } => write!(f, "enforce Landlock {ruleset}"),
            Self::SetUmask { mask } => write!(f, "umask {mask:04o}"),
            Self::OpenTerminal { columns, rows, host, payload } => {
                write!(f, "open a terminal of {columns}x{rows} as <{}> and <{}>", host.name, payload.name)
            }
            Self::ControlTerminal { from } => write!(f, "make {from} the controlling terminal"),
            Self::LiftFd { from, above, .. } => write!(f, "lift fd {from} to {above} or above"),
            Self::CloseOnExec { first } => write!(f, "close every fd from {first} on at exec"),
            Self::PlaceFd { from, number } => write!(f, "place fd {from} at {number}"),
            Self::OwnPid { variable } => write!(f, "put the own pid into {variable}"),
            Self::Execute { program, argv, env, .. } => {
                write!(f, "execute {program}, argv [")?;
                for (i, arg) in argv.iter().enumerate() {
                    write!(f, "{}\"{}\"", if i > 0 { ", " } else { "" }, lossy(arg))?;
                }
                write!(f, "], {} variables", env.len())
            }
        }
    }
}
