//! Owns: the groups of single payloads, below that of their session: making them, their numbers, removing them.
//! Must not: limit anything, wait for what a payload leaves running, or put anybody in: a payload enters by itself.
//!
//! The session's processes stay where they are. On v1 that is no matter. On v2 only *threaded* groups may lie below a group
//! with processes; they have no memory and no I/O of their own, and `cgroup.kill` refuses them. One thread alone moves
//! among them (`cgroup.threads`) without waiting for other CPUs, as it does on v1 (ADR 0014).

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::{Directory, Leaf, stat};
use crate::Result;
use crate::settle::Place;
use crate::spec::Limits;

/// What the group of a session knows of those of its payloads.
#[derive(Debug, Default)]
pub(super) struct Below {
    made: u64,
    /// Of payloads that are over, with what they have left running.
    left: Vec<Directory>,
    /// What those that are gone had counted, where a group above does not count it too.
    gone: Local,
}

/// Numbers that some kernels count only where they happen.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Local {
    pub oom_kills: u64,
    pub pids_limit_hits: u64,
}

impl Local {
    /// Those of the group at `path`, in the same hierarchy as `of`.
    fn add(&mut self, of: &Directory, path: &Path) {
        let number = |file: &str, key: &str| {
            fs::read_to_string(path.join(file)).ok().and_then(|text| stat::number_after(&text, key)).unwrap_or(0)
        };
        if !of.unified {
            self.oom_kills += number("memory.oom_control", "oom_kill");
        }
        // Since Linux 6.11 v2 counts these in the groups above as well, and has this file.
        if !path.join("pids.events.local").exists() {
            self.pids_limit_hits += number("pids.events", "max");
        }
    }
}

impl Leaf {
    /// The group of one payload of this session.
    pub fn for_payload(self: &Arc<Self>) -> Result<Self> {
        self.changed.store(true, Ordering::Relaxed);
        let name = {
            let mut below = self.below.lock().unwrap_or_else(PoisonError::into_inner);
            below.made += 1;
            format!("payload-{}", below.made)
        };
        self.tidy();
        let make = |above: &Directory, controllers: &[String]| {
            let place = Place { parent: above.path.clone(), controllers: controllers.to_vec(), enable: Vec::new() };
            Directory::make(&place, &name, above.unified)
        };
        let mut leaf = Self::empty(0, Limits::default());
        leaf.session = Some(Arc::clone(self));
        for above in self.v1.iter().filter(|above| Place::counts_payloads(&above.controllers)) {
            leaf.v1.push(make(above, &above.controllers)?);
        }
        if let Some(above) = &self.unified {
            let counted: &[String] = if self.hands_down_pids() { &["pids".to_owned()] } else { &[] };
            let directory = leaf.unified.insert(make(above, counted)?);
            directory.write("cgroup.type", "threaded")?;
        }
        Ok(leaf)
    }

    /// Whether payloads' groups of the unified hierarchy count processes.
    fn hands_down_pids(&self) -> bool {
        let counts = self.unified.as_ref().is_some_and(|directory| directory.has("pids"));
        counts && self.limits.lock().unwrap_or_else(PoisonError::into_inner).payload_groups
    }

    /// While nobody is in it: later all its processes would wait for that.
    pub(super) fn hand_down(&self) -> Result<()> {
        match &self.unified {
            Some(directory) if self.hands_down_pids() => directory.write("cgroup.subtree_control", "+pids"),
            _ => Ok(()),
        }
    }

    /// Take over the group of a payload that is over.
    pub(super) fn inherit(&self, directories: impl Iterator<Item = Directory>) {
        self.below.lock().unwrap_or_else(PoisonError::into_inner).left.extend(directories);
        self.tidy();
    }

    /// Remove what payloads have left, where nothing runs any more. Whether nothing is left.
    pub(super) fn tidy(&self) -> bool {
        let mut below = self.below.lock().unwrap_or_else(PoisonError::into_inner);
        let below = &mut *below;
        below.left.retain(|directory| {
            let mut counted = below.gone;
            counted.add(directory, &directory.path);
            let removed = directory.try_remove();
            if removed {
                below.gone = counted;
            }
            !removed
        });
        below.left.is_empty()
    }

    /// What was counted below this group and not in it.
    pub(super) fn local(&self) -> Local {
        let below = self.below.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = below.gone;
        if below.made == 0 {
            return sum;
        }
        for above in self.directories() {
            let entries = fs::read_dir(&above.path).into_iter().flatten().flatten();
            let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            groups.for_each(|group| sum.add(above, &group.path()));
        }
        sum
    }
}
