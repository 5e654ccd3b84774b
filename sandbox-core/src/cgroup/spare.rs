//! Owns: which directories of an empty leaf serve the next sandbox too, and what they had counted by then.
//! Must not: keep one that somebody has changed, or whose counters can't be told as differences: a peak can't, unless it is
//! the lowest that there is.
//!
//! To make and remove a directory costs a tenth of a millisecond, and on hosts with v1 a leaf has five. Those in which only sums
//! are counted are used again by the same sandbox, whose limits are in them already (ADR 0011). That of `pids` is one of them
//! as long as no payload had more than one process: every sandbox comes to that peak.

use std::fs;
use std::sync::atomic::Ordering;

use super::{Directory, Leaf, Sample};
use crate::outcome::{IoUsage, Usage};
use crate::settle::{Group, Place};
use crate::spec::Limits;

/// What the next leaf begins with. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Spare {
    name: String,
    directories: Vec<Directory>,
    before: Usage,
    /// Processes of ours in it.
    ours: u64,
}

/// The v1 controllers whose directories may serve the next sandbox: those that count nothing but sums, and the one whose peak may
/// be the lowest.
const LASTING: [&str; 3] = ["blkio", "cpu", PIDS];
const PIDS: &str = "pids";

impl Spare {
    /// Whether a leaf of this group, with so many processes of ours, has all these directories. The keeper reads CPU time
    /// itself, and as it is.
    pub fn fits(&self, group: &Group, ours: u64) -> bool {
        let places = || group.unified.iter().chain(&group.v1);
        let known = |directory: &Directory| places().any(|place| directory.is_at(place));
        group.cpu_time.is_none() && self.ours == ours && self.directories.iter().all(known)
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        for directory in &self.directories {
            // Empty. What can't be removed now is swept by a later start.
            drop(fs::remove_dir(&directory.path));
        }
    }
}

impl Leaf {
    /// Begin with what is there, under its name. `sampled`: also with how long something had to wait there before.
    pub(super) fn take(&mut self, mut spare: Spare, sampled: bool) -> String {
        self.before = Sample { usage: std::mem::take(&mut spare.before), ..Sample::default() };
        for directory in spare.directories.drain(..) {
            match directory.unified {
                true => self.unified = Some(directory),
                false => self.v1.push(directory),
            }
        }
        if sampled {
            self.before.pressure = self.pressure();
        }
        std::mem::take(&mut spare.name)
    }

    /// Remove it, if it is empty, but for what the next one may use. False: not yet.
    pub fn retire(&mut self) -> bool {
        // Whoever is in one of its directories is in all of them: one that can be removed shows that it is empty.
        if !self.has_spare() || self.v1.iter().all(Directory::lasts) {
            return self.try_remove();
        }
        self.v1.retain(|directory| directory.lasts() || !directory.try_remove());
        if !self.v1.iter().all(Directory::lasts) {
            return false;
        }
        let (ours, mut stay) = (self.ours, false);
        self.v1.retain(|directory| {
            directory.is_as_new(ours) || {
                let stays = !directory.try_remove();
                stay |= stays;
                stays
            }
        });
        !stay
    }

    /// What is left of one that has retired.
    pub fn into_spare(mut self) -> Option<Spare> {
        self.has_spare().then(|| {
            let before = self.sums();
            let directories = self.unified.take().into_iter().chain(self.v1.drain(..)).collect();
            Spare { name: std::mem::take(&mut self.name), directories, before, ours: self.ours }
        })
    }

    fn has_spare(&self) -> bool {
        !self.changed.load(Ordering::Relaxed)
            && self.unified.as_ref().is_some_and(|directory| directory.controllers.is_empty())
    }
}

impl Directory {
    pub(super) fn is_at(&self, place: &Place) -> bool {
        self.path.parent() == Some(&place.parent)
    }

    /// Whether it may serve the next sandbox too.
    pub(super) fn lasts(&self) -> bool {
        self.controllers.iter().all(|name| !self.unified && LASTING.contains(&name.as_str()))
    }

    /// Whether its peak of processes, if it has one, says of the next sandbox what is true of every one.
    fn is_as_new(&self, ours: u64) -> bool {
        !self.has(PIDS) || self.number("pids.peak").is_none_or(|peak| peak <= ours.saturating_add(1))
    }
}

/// What is still to be written where the directories of these v1 controllers have their limits from before.
pub(super) fn unwritten(limits: &Limits, reused: &[String]) -> Limits {
    let mut limits = limits.clone();
    for controller in reused {
        match controller.as_str() {
            "cpu" => (limits.cpus, limits.cpu_weight) = (None, None),
            "blkio" => (limits.io_weight, limits.io) = (None, Vec::new()),
            PIDS => limits.pids = None,
            _ => {}
        }
    }
    limits
}

/// What was counted since `before`.
pub(super) fn since(now: &mut Usage, before: &Usage) {
    seconds(&mut now.cpu_user, before.cpu_user);
    seconds(&mut now.cpu_system, before.cpu_system);
    seconds(&mut now.cpu_throttled, before.cpu_throttled);
    count(&mut now.pids_limit_hits, before.pids_limit_hits);
    if let (Some(now), Some(before)) = (&mut now.io, &before.io) {
        now.iter_mut().for_each(|usage| {
            if let Some(before) = before.iter().find(|before| before.device == usage.device) {
                less(usage, before);
            }
        });
        now.retain(|usage| {
            [usage.read_bytes, usage.write_bytes, usage.read_ops, usage.write_ops].iter().any(|n| *n > Some(0))
        });
    }
}

pub(super) fn seconds(now: &mut Option<f64>, before: Option<f64>) {
    if let (Some(now), Some(before)) = (now, before) {
        *now = (*now - before).max(0.0);
    }
}

fn count(now: &mut Option<u64>, before: Option<u64>) {
    *now = now.map(|now| now.saturating_sub(before.unwrap_or(0)));
}

fn less(now: &mut IoUsage, before: &IoUsage) {
    count(&mut now.read_bytes, before.read_bytes);
    count(&mut now.write_bytes, before.write_bytes);
    count(&mut now.read_ops, before.read_ops);
    count(&mut now.write_ops, before.write_ops);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(device: &str, read: u64, written: u64) -> IoUsage {
        let [read_ops, write_ops] = [read, written].map(|bytes| Some(bytes / 512));
        let device = device.to_owned();
        IoUsage {
            device,
            read_bytes: Some(read),
            write_bytes: Some(written),
            read_ops,
            write_ops,
            ..IoUsage::default()
        }
    }

    #[test]
    fn sums_are_told_since_the_beginning() {
        let before = Usage {
            cpu_user: Some(1.5),
            cpu_system: Some(0.5),
            cpu_throttled: Some(0.25),
            io: Some(vec![disk("8:0", 4096, 0), disk("8:16", 512, 512)]),
            pids_limit_hits: Some(2),
            ..Usage::default()
        };
        let mut now = Usage {
            cpu_user: Some(2.0),
            cpu_system: Some(0.5),
            memory_peak: Some(7),
            pids_limit_hits: Some(5),
            io: Some(vec![disk("8:0", 8192, 512), disk("8:16", 512, 512), disk("8:32", 0, 512)]),
            ..Usage::default()
        };
        since(&mut now, &before);
        let wanted = Usage {
            cpu_user: Some(0.5),
            cpu_system: Some(0.0),
            memory_peak: Some(7),
            pids_limit_hits: Some(3),
            io: Some(vec![disk("8:0", 4096, 512), disk("8:32", 0, 512)]),
            ..Usage::default()
        };
        assert_eq!(now, wanted);
    }
}
