//! Owns: a fresh proc, what of it is read-only, and what of it is covered.
//! Must not: decide which paths these are (spec has, from masks).

use std::path::{Path, PathBuf};

use crate::masks::{MASKED_PROC_PATHS, READONLY_PROC_PATHS};
use crate::plan::{Attributes, Fd, Op, Slot};
use crate::spec::{Mount, MountKind, Namespace};
use crate::{Error, Result};

use super::super::standing;
use super::dev::DEVICE;
use super::{Phase, Tree};

/// What covers a directory that must not be seen.
const HIDDEN: Attributes = Attributes { read_only: true, nosuid: true, nodev: true, noexec: true, atime: 0 };

/// What covers paths of one kind.
#[derive(Default)]
struct Cover {
    /// A mount that is attached somewhere: further ones are clones of it.
    attached: Option<Slot>,
    /// What there is to bind by its name, and what must be set on the first that is bound.
    named: Option<(PathBuf, Option<Attributes>)>,
}

#[derive(Default)]
struct Covers {
    file: Cover,
    directory: Cover,
}

/// A place below a directory that is known by an fd.
struct Inside {
    at: Fd,
    below: PathBuf,
    /// Reached by its name alone: nothing is mounted there but what the plan mounts.
    plain: bool,
}

impl Inside {
    /// Whether a path below a fresh proc may be bound by its name: the usual ones are no links. Of what else was asked for
    /// that is not known, and mount(2) follows links.
    fn binds(&self, name: &Path) -> bool {
        let usual = |list: &[&str]| list.iter().any(|usual| Path::new(usual) == name);
        self.plain && (usual(&MASKED_PROC_PATHS) || usual(&READONLY_PROC_PATHS))
    }
}

impl Tree<'_> {
    pub(super) fn proc(
        &mut self,
        phase: Phase,
        mount: &Mount,
        attributes: Attributes,
        masked: &[PathBuf],
        readonly: &[PathBuf],
    ) -> Result<()> {
        let origin = mount.origin.as_str();
        let set = Attributes { nosuid: true, nodev: true, noexec: true, ..attributes };
        let target = mount.target.as_path().to_owned();
        let host = &self.settled.host.proc_paths;
        let named = &self.facts.proc_paths;
        let known = |key: &str, paths: &[PathBuf]| -> Result<Vec<(PathBuf, bool)>> {
            let mut found = Vec::with_capacity(paths.len());
            for name in paths.iter().filter_map(|path| path.strip_prefix(&target).ok()) {
                let text = name.to_str().unwrap_or_default();
                match host.get(text).or_else(|| named.get(name)) {
                    Some(directory) => found.push((name.to_owned(), *directory)),
                    // Not every kernel has all of the usual ones. What was asked for by name is never left out silently.
                    None if MASKED_PROC_PATHS.contains(&text) || READONLY_PROC_PATHS.contains(&text) => {}
                    None => {
                        let message = format!("there is no /proc/{} on this host", name.display());
                        return Err(Error::unsupported(format!("{origin}.{key}"), message).with_hint("leave it out"));
                    }
                }
            }
            Ok(found)
        };
        let readonly = known("readonly_paths", readonly)?;
        let masked = known("masked", masked)?;
        let fresh = self.settled.spec.namespaces.pid == Namespace::New;
        let mounted = Attributes { read_only: false, ..set }.with_atime_of(&self.settled.host.proc_options);
        let place = self.plain_place(phase, mount).filter(|_| fresh);
        let proc = match place {
            Some((at, below)) if self.mount_at(phase, mount, "proc", &[], mounted) => Inside { at, below, plain: true },
            _ => {
                let proc = if fresh {
                    self.new_file_system(phase, "proc", Vec::new(), mounted, "proc", origin)
                } else {
                    // The processes it shows are not this user namespace's: only the host's own proc shows them.
                    self.clone_source(phase, Path::new("/proc"), true, None, origin)
                };
                self.attach(phase, mount, proc.clone(), false)?;
                Inside { at: proc, below: PathBuf::new(), plain: false }
            }
        };
        let namespaces = &self.settled.spec.namespaces;
        if namespaces.user == Namespace::New && fresh && !self.settled.spec.security.nested_user_namespaces {
            // A second wall behind the filter, which a profile of the user's may not have (namespaces(7)).
            let name = proc.below.join("sys/user/max_user_namespaces");
            let op = Op::WriteFile { at: proc.at.clone(), name, content: "0" };
            self.push(phase, op, "security.nested_user_namespaces");
        }
        let set = Attributes { read_only: true, ..set };
        for (name, _) in readonly {
            let by_name = proc.binds(&name);
            let (at, name) = (proc.at.clone(), proc.below.join(name));
            if by_name {
                self.push(phase, Op::Bind { at, from: name.clone(), name, set: Some(set) }, origin);
                continue;
            }
            let into = self.slot(format!("proc/{}", name.display()));
            self.push(phase, Op::CloneBelow { at: at.clone(), name: name.clone(), into: into.clone() }, origin);
            self.push(phase, Op::SetAttributes { mount: into.clone().into(), set, recursive: true }, origin);
            self.push(phase, Op::Attach { mount: into.into(), at, name }, origin);
        }
        let mut covers = Covers::default();
        if proc.plain {
            covers.directory.named = self.uncovered(mount).map(|name| (name, Some(HIDDEN)));
            let there = self.prepares() && standing::null_is_ours(self.mounts);
            covers.file.named = there.then(|| ("dev/null".into(), None));
        }
        self.mask(phase, &proc, masked, covers, origin);
        Ok(())
    }

    /// A directory that one of the mounts after this one is going to cover, by its name below the root, if that is ours: it is empty,
    /// and nobody can put anything into it any more. To cover others with it is cheaper than to make a file system for that.
    fn uncovered(&self, mount: &Mount) -> Option<PathBuf> {
        let fresh = |kind: &MountKind| matches!(kind, MountKind::Tmpfs { .. } | MountKind::Devpts | MountKind::Mqueue);
        let later = self.mounts.iter().skip_while(|other| other.target != mount.target).skip(1);
        later.filter(|later| fresh(&later.kind)).find_map(|later| Some(self.plain_place(Phase::Launch, later)?.1))
    }

    /// Cover files with /dev/null and directories with an empty one; of each kind, with what there is, or else one for all.
    fn mask(&mut self, phase: Phase, proc: &Inside, masked: Vec<(PathBuf, bool)>, mut covers: Covers, origin: &str) {
        for (name, directory) in masked {
            let by_name = proc.binds(&name);
            let (at, name) = (proc.at.clone(), proc.below.join(name));
            let cover = if directory { &mut covers.directory } else { &mut covers.file };
            if by_name && let Some((from, set)) = &mut cover.named {
                let op = Op::Bind { at, from: from.clone(), name: name.clone(), set: *set };
                if set.take().is_some() {
                    *from = name;
                }
                self.push(phase, op, origin);
                continue;
            }
            if by_name {
                cover.named = Some((name.clone(), None));
            }
            let mount = match cover.attached.clone() {
                Some(from) => {
                    let into = self.slot("mask");
                    let op = Op::CloneFd { from: from.into(), recursive: false, into: into.clone() };
                    self.push(phase, op, origin);
                    into
                }
                None if directory => self.empty_file_system(phase, origin),
                None => self.null_device(phase, origin),
            };
            cover.attached.get_or_insert_with(|| mount.clone());
            self.push(phase, Op::Attach { mount: mount.into(), at, name }, origin);
        }
    }

    fn null_device(&mut self, phase: Phase, origin: &str) -> Slot {
        let into = self.slot("mask");
        let op = Op::CloneTree { path: "/dev/null".into(), recursive: false, witness: None, into: into.clone() };
        self.push(phase, op, origin);
        let op = Op::SetAttributes { mount: into.clone().into(), set: DEVICE, recursive: false };
        self.push(phase, op, origin);
        into
    }

    fn empty_file_system(&mut self, phase: Phase, origin: &str) -> Slot {
        let into = self.slot("mask");
        let options =
            vec![("mode", Some("555".to_owned())), ("size", Some("0".to_owned())), ("nr_inodes", Some("1".to_owned()))];
        self.push(phase, Op::NewFileSystem { kind: "tmpfs", options, attributes: HIDDEN, into: into.clone() }, origin);
        into
    }
}
