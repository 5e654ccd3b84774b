//! Owns: removing leaves that a killed host left behind.
//! Must not: kill anything, or touch a leaf whose owner lives: its lock says so, no recorded pid does.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{Flock, FlockArg};

use super::{PREFIX, own_prefix};
use crate::settle::Group;

/// When was swept last. At most once a second: with many sandboxes side by side a look at each of them is not free.
#[derive(Debug, Default)]
pub(crate) struct Sweep(AtomicU64);

const PAUSE: u64 = 1_000_000_000;

impl Sweep {
    /// Remove empty leaves without an owner wherever this sandbox's own are made, and in `others`: those of the v1 hierarchies that
    /// other sandboxes of this host use.
    pub fn maybe<'a>(&self, group: &'a Group, others: impl Iterator<Item = &'a PathBuf>) {
        let now = crate::sys::monotonic();
        let last = self.0.load(Ordering::Relaxed);
        if (last != 0 && now.saturating_sub(last) < PAUSE)
            || self.0.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let places: BTreeSet<&PathBuf> =
            group.unified.iter().chain(&group.v1).map(|place| &place.parent).chain(others).collect();
        places.into_iter().for_each(|place| sweep(place));
    }
}

/// The groups of a session's payloads.
fn below(leaf: &Path) {
    let groups = fs::read_dir(leaf).into_iter().flatten().flatten();
    groups.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).for_each(|group| {
        // EBUSY, as above.
        drop(fs::remove_dir(group.path()));
    });
}

fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let ours = own_prefix();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(PREFIX) || name.starts_with(&ours) {
            continue;
        }
        if let Ok(file) = File::open(entry.path())
            && let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock)
        {
            // EBUSY: processes that outlived their owner for a moment; the next sweep sees it again.
            if fs::remove_dir(entry.path()).is_err() {
                below(&entry.path());
                drop(fs::remove_dir(entry.path()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::Directory;
    use super::*;
    use crate::settle::Place;

    #[test]
    fn whoever_makes_a_leaf_has_it_or_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Place { parent: dir.path().to_owned(), controllers: Vec::new(), enable: Vec::new() };
        let parent = dir.path();
        let (running, over) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while over.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
                    sweep(parent);
                }
            });
            // Gone at the end, whatever that is.
            let _running = running;
            // Names of somebody else: what begins like ours is not swept.
            for number in 0..3000 {
                match Directory::make(&place, &format!("{PREFIX}1-1-{number}"), false) {
                    Ok(made) => {
                        std::thread::yield_now();
                        assert!(made.path.exists(), "{number} was swept while it was locked");
                        assert!(made.try_remove());
                    }
                    Err(error) => assert_eq!(error.errno(), Some(libc::EEXIST), "{error}"),
                }
            }
        });
    }
}
