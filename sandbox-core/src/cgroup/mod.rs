//! Owns: the group of one sandbox: making it, its limits and numbers, freezing, killing, removing it.
//! Must not: decide where it is made or what is limited (settle has), or know what a payload is.
//! Start at: [`Leaf`].
//!
//! A leaf is one directory in the unified hierarchy, or one in each v1 hierarchy that is needed, or both, all of the same
//! name. Nothing is ever put into it by pid: PID 1 is born in it, or enters it by itself (ADR 0011).

mod change;
#[cfg(any(feature = "cgroups", test))]
mod convert;
mod device;
mod freeze;
mod payload;
#[cfg(feature = "cgroups")]
mod program;
mod spare;
mod stat;
mod sweep;
#[cfg(feature = "cgroups")]
mod write;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::Mode;

use crate::settle::{Group, Place};
use crate::spec::Limits;
use crate::{Error, ErrorKind, Result, Stage};

pub(crate) use change::{changeable, no_group};
pub(crate) use device::check as check_devices;
pub(crate) use spare::Spare;
#[cfg(any(test, fuzzing))]
pub(crate) use stat::read_hostile;
pub use stat::{Pressure, Sample};
pub(crate) use sweep::Sweep;

/// The group of one sandbox. Locked while its owner lives, so that another start can tell one that was left behind.
/// Dropping it kills what is in it and removes it.
#[derive(Debug)]
pub(crate) struct Leaf {
    name: String,
    unified: Option<Directory>,
    v1: Vec<Directory>,
    /// Processes of ours in it, which neither count against the limit nor as used.
    ours: u64,
    limits: Mutex<Limits>,
    /// Whether a block device of this host heeds weights.
    weighs_io: bool,
    /// What its directories had counted when they were made, or for the sandbox before.
    before: Sample,
    /// By freezing, new limits, a device program or groups below it: nothing of it serves another sandbox.
    changed: AtomicBool,
    /// The groups of single payloads below it.
    below: Mutex<payload::Below>,
    /// Of one payload alone: that of its session, which takes over what is left.
    session: Option<Arc<Leaf>>,
}

/// The part of a leaf in one hierarchy.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    controllers: Vec<String>,
    unified: bool,
    /// It itself, open and locked.
    owned: Flock<File>,
    /// Files that stay open, because it serves one sandbox after another.
    open: Mutex<BTreeMap<&'static str, OwnedFd>>,
}

const PREFIX: &str = "pinfold-";
static NEXT: AtomicU32 = AtomicU32::new(0);
/// Tells this process from one that had its pid: the first of each container has the same.
static BEGUN: OnceLock<u64> = OnceLock::new();

/// What every statistics file fits into, usually.
const ROOM: usize = 4096;

/// How long a leaf that is dropped may take to become empty.
const GRACE: u64 = 1_000_000_000;

impl Leaf {
    /// Make it, with its limits. `ours`: how many processes of ours will be in it. `spare`: what an earlier one of the
    /// same group has left, which fits. `sampled`: whether anybody may ask for samples.
    pub fn create(group: &Group, ours: u64, spare: Option<Spare>, sampled: bool) -> Result<Self> {
        let mut leaf = Self::empty(ours, group.limits.clone());
        leaf.weighs_io = group.weighs_io;
        if let Some(place) = &group.unified {
            enable(place)?;
        }
        let mut name = spare.map(|spare| leaf.take(spare, sampled));
        for _ in 0..100 {
            leaf.name = name.take().unwrap_or_else(next_name);
            match leaf.make(group) {
                // Somebody else's, or taken for one that was left behind before it was locked.
                Err(error) if error.errno() == Some(libc::EEXIST) => leaf.discard(),
                Err(error) => return Err(error),
                Ok(reused) => {
                    leaf.write(&spare::unwritten(&group.limits, &reused))?;
                    leaf.hand_down()?;
                    return Ok(leaf);
                }
            }
        }
        Err(Error::launch("could not find a free name for a group", libc::EEXIST).with_origin("limits"))
    }

    fn empty(ours: u64, limits: Limits) -> Self {
        Self {
            name: String::new(),
            unified: None,
            v1: Vec::new(),
            ours,
            limits: Mutex::new(limits),
            weighs_io: false,
            before: Sample::default(),
            changed: AtomicBool::new(false),
            below: Mutex::default(),
            session: None,
        }
    }

    /// Those of its directories that are not there yet. The v1 controllers of those that are.
    fn make(&mut self, group: &Group) -> Result<Vec<String>> {
        let reused = self.v1.iter().flat_map(|directory| directory.controllers.clone()).collect();
        if let (Some(place), None) = (&group.unified, &self.unified) {
            self.unified = Some(Directory::make(place, &self.name, true)?);
        }
        for place in &group.v1 {
            if !self.v1.iter().any(|directory| directory.is_at(place)) {
                self.v1.push(Directory::make(place, &self.name, false)?);
            }
        }
        Ok(reused)
    }

    fn discard(&mut self) {
        self.before = Sample::default();
        for directory in self.unified.take().into_iter().chain(self.v1.drain(..)) {
            // Just made and empty; if it can't be removed it stays to be swept.
            drop(fs::remove_dir(&directory.path));
        }
    }

    fn directories(&self) -> impl Iterator<Item = &Directory> {
        self.unified.iter().chain(&self.v1)
    }

    /// The directory that has a controller, by its v1 or v2 name.
    fn with(&self, v1: &str, v2: &str) -> Option<&Directory> {
        let has = |directory: &&Directory| directory.has(if directory.unified { v2 } else { v1 });
        self.directories().find(has)
    }

    /// For CLONE_INTO_CGROUP. None: not in the unified hierarchy.
    pub fn birthplace(&self) -> Option<io::Result<OwnedFd>> {
        // Not a copy of the locked one, whose lock would go on in init.
        self.unified.as_ref().map(|directory| directory.copy(".", OFlag::O_RDONLY | OFlag::O_DIRECTORY))
    }

    /// `cgroup.threads`, through which a payload alone enters its threaded group. None: not in the unified hierarchy.
    pub fn threads(&self) -> Option<io::Result<OwnedFd>> {
        self.unified.as_ref().map(|directory| directory.open("cgroup.threads", OFlag::O_WRONLY))
    }

    /// The `tasks` files of v1 groups, with the controllers of each.
    pub fn tasks(&self) -> impl Iterator<Item = (&[String], io::Result<OwnedFd>)> {
        self.v1.iter().map(|directory| (directory.controllers.as_slice(), directory.copy("tasks", OFlag::O_WRONLY)))
    }

    /// `cgroup.kill`, with which the keeper ends the tree when the host can't any more.
    pub fn killer(&self) -> io::Result<OwnedFd> {
        match &self.unified {
            Some(directory) => directory.open("cgroup.kill", OFlag::O_WRONLY),
            None => Err(io::Error::from_raw_os_error(libc::ENOENT)),
        }
    }

    /// A file that begins with the CPU time of the group (in the unit that `Group::cpu_unit` says).
    pub fn cpu_clock(&self) -> io::Result<OwnedFd> {
        match (&self.unified, self.with("cpuacct", "")) {
            (Some(directory), _) => directory.open("cpu.stat", OFlag::O_RDONLY),
            (None, Some(directory)) => directory.open("cpuacct.usage", OFlag::O_RDONLY),
            (None, None) => Err(io::Error::from_raw_os_error(libc::ENOENT)),
        }
    }

    /// Whether what is frozen does not even die.
    pub fn freezes_by_v1(&self) -> bool {
        self.unified.is_none() && self.with("freezer", "").is_some()
    }

    /// `freezer.state`, where only v1 can freeze.
    pub fn thawer(&self) -> Option<io::Result<OwnedFd>> {
        let directory = self.with("freezer", "").filter(|_| self.unified.is_none());
        directory.map(|directory| directory.open("freezer.state", OFlag::O_WRONLY))
    }

    /// Kill every process in it, frozen and stopped ones too (`cgroup.kill`, since Linux 5.14). Without the unified
    /// hierarchy a PID namespace holds the processes, and this only sees to it that they can die.
    pub fn kill(&self) -> io::Result<()> {
        match &self.unified {
            Some(directory) => fs::write(directory.path.join("cgroup.kill"), "1"),
            None => self.thaw_if_frozen(),
        }
    }

    /// Change limits while it is used. What is not given stays as it is. Nothing is written of a change in which something would do
    /// nothing or has no controller here. Memory goes first; of one that is refused in the middle, what was written before stays.
    pub fn update(&self, change: &Limits) -> Result<()> {
        self.changed.store(true, Ordering::Relaxed);
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = change.clone();
        // On v1 one file holds the sum of the two.
        if wanted.memory.is_some() != wanted.swap.is_some() {
            wanted.memory = wanted.memory.or(limits.memory);
            wanted.swap = wanted.swap.or(limits.swap);
        }
        self.takes_effect(&wanted)?;
        if let Some(memory) = change.memory {
            self.has_room_for(memory)?;
        }
        let Limits { memory, swap, memory_high, .. } = wanted;
        self.write(&Limits { memory, swap, memory_high, ..Limits::default() })?;
        limits.memory = memory.or(limits.memory);
        limits.swap = swap.or(limits.swap);
        limits.pids = wanted.pids.or(limits.pids);
        self.write(&Limits { memory: None, swap: None, memory_high: None, ..wanted })
    }

    #[cfg(feature = "cgroups")]
    fn write(&self, limits: &Limits) -> Result<()> {
        write::write(self, limits)
    }

    /// Settle lets no limit through to here, a change of limits may.
    #[cfg(not(feature = "cgroups"))]
    fn write(&self, limits: &Limits) -> Result<()> {
        match crate::settle::in_groups(limits).next() {
            Some((key, ..)) => Err(Error::unsupported(key, "this build is without the feature `cgroups`")),
            None => Ok(()),
        }
    }

    /// Remove it if it is empty. False: not yet.
    pub fn try_remove(&mut self) -> bool {
        if !self.tidy() {
            return false;
        }
        self.v1.retain(|directory| !directory.try_remove());
        if self.unified.as_ref().is_some_and(Directory::try_remove) {
            self.unified = None;
        }
        self.unified.is_none() && self.v1.is_empty()
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.inherit(self.v1.drain(..).chain(self.unified.take()));
            return;
        }
        let deadline = crate::sys::monotonic() + GRACE;
        // A process that is already dead but not yet reaped keeps the directory busy for a moment. What can't be removed
        // now is swept by a later start, once it is empty and nobody holds its lock.
        while !self.try_remove() && self.kill().is_ok() && crate::sys::monotonic() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Directory {
    fn make(place: &Place, name: &str, unified: bool) -> Result<Self> {
        let path = place.parent.join(name);
        let failed = |errno: i32| failure(format!("could not make the group {}", path.display()), errno, &path);
        let errno = |error: &io::Error| error.raw_os_error().unwrap_or(libc::EIO);
        fs::create_dir(&path).map_err(|error| failed(errno(&error)))?;
        let owner = File::open(&path)
            .map_err(|error| errno(&error))
            .and_then(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno as i32))
            .and_then(|owner| match path.try_exists() {
                Ok(true) => Ok(owner),
                // Removed after it was opened, and unlocked before it was locked.
                Ok(false) => Err(libc::ENOENT),
                Err(error) => Err(errno(&error)),
            });
        match owner {
            Ok(owner) => {
                let controllers = place.controllers.clone();
                Ok(Self { path, controllers, unified, owned: owner, open: Mutex::default() })
            }
            Err(errno) => {
                // Empty: nobody has had the time to use it.
                drop(fs::remove_dir(&path));
                // Gone or locked already: a sweep of another process has seen it before it was locked.
                Err(failed(if matches!(errno, libc::ENOENT | libc::EWOULDBLOCK) { libc::EEXIST } else { errno }))
            }
        }
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|have| have == controller)
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        let path = self.path.join(file);
        fs::write(&path, value).map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            failure(format!("could not write {value} to {}", path.display()), errno, &path)
        })
    }

    fn open(&self, name: &str, flags: OFlag) -> io::Result<OwnedFd> {
        Ok(openat(&*self.owned, name, flags | OFlag::O_CLOEXEC, Mode::empty())?)
    }

    /// A file of it for somebody else; one that serves many starts stays open for the next.
    fn copy(&self, name: &'static str, flags: OFlag) -> io::Result<OwnedFd> {
        if self.lasts() { self.with_open(name, flags, OwnedFd::try_clone)? } else { self.open(name, flags) }
    }

    fn read(&self, name: &'static str) -> Option<String> {
        let read = if self.lasts() {
            self.with_open(name, OFlag::O_RDONLY, read_from_start)
        } else {
            self.open(name, OFlag::O_RDONLY).map(|file| read_from_start(&file))
        };
        String::from_utf8(read.ok()?.ok()?).ok()
    }

    fn with_open<T>(&self, name: &'static str, flags: OFlag, act: impl FnOnce(&OwnedFd) -> T) -> io::Result<T> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match open.entry(name) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(missing) => missing.insert(self.open(name, flags)?),
        };
        Ok(act(file))
    }

    fn try_remove(&self) -> bool {
        match fs::remove_dir(&self.path) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

/// All of a statistics file, wherever it was read to before.
fn read_from_start(file: &OwnedFd) -> nix::Result<Vec<u8>> {
    let mut text = vec![0; ROOM];
    let mut length = 0;
    loop {
        let room = text.get_mut(length..).unwrap_or_default();
        let got = nix::sys::uio::pread(file, room, length as i64)?;
        length += got;
        // The kernel writes such a file at one go: what leaves room is all.
        if length < text.len() {
            text.truncate(length);
            return Ok(text);
        }
        text.resize(2 * length, 0);
    }
}

/// What the names of this process's groups begin with.
fn own_prefix() -> String {
    format!("{PREFIX}{}-{:x}-", std::process::id(), BEGUN.get_or_init(crate::sys::monotonic))
}

fn next_name() -> String {
    format!("{}{}", own_prefix(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Let the parent hand down what the leaf needs. Nothing is limited there.
fn enable(place: &Place) -> Result<()> {
    if place.enable.is_empty() {
        return Ok(());
    }
    let control = place.parent.join("cgroup.subtree_control");
    let enabled = fs::read_to_string(&control).unwrap_or_default();
    let missing: Vec<String> = place
        .enable
        .iter()
        .filter(|name| !enabled.split_ascii_whitespace().any(|have| have == **name))
        .map(|name| format!("+{name}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    fs::write(&control, missing.join(" ")).map_err(|error| {
        failure(
            format!("could not enable {} in {}", missing.join(" "), control.display()),
            error.raw_os_error().unwrap_or(libc::EIO),
            &control,
        )
    })
}

/// The error of a step on a group; launch knows the hints.
fn failure(what: String, errno: i32, path: &Path) -> Error {
    Error::new(ErrorKind::Setup, Stage::Launch, what)
        .with_errno(errno)
        .with_origin("limits")
        .with_subject(path.display().to_string())
}
