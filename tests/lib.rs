//! Owns: what the cross-cutting tests share: skips that are counted, a guard against leftovers, small C programs.
//! Must not: hide a failure.
//!
//! Every test that really runs something begins with [`Leaks::watch`]; dropping the guard checks that nothing is left.
//! Test programs run in parallel threads, so the guard looks only at what this process's own children could leave.

pub mod conformance;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

/// Declares that a test can't run here, and why; the test then returns. `scripts/test` compares all of them with
/// `tests/skips.txt`: a skip that is not declared there fails the run.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::record_skip(&format!($($reason)*));
        return;
    }};
}

/// Use [`skip!`].
pub fn record_skip(reason: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("?");
    let who = if is_root() { "root" } else { "user" };
    println!("SKIP {who} {name}: {reason}");
    if let Some(path) = std::env::var_os("PINFOLD_SKIPS") {
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(path).expect("the file of skips can be written");
        // One write: tests that skip side by side must not mix their lines.
        file.write_all(format!("{who} {name}\n").as_bytes()).expect("the file of skips can be written");
    }
}

/// Whether this process is the host's root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A python3 that the `system` root has.
pub fn python() -> Option<&'static Path> {
    let path = Path::new("/usr/bin/python3");
    path.exists().then_some(path)
}

/// One test of this process at a time that counts processes or fds of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Sees to it that a test leaves nothing behind: no process, no mount, no temporary file, no group, no open fd.
#[must_use]
pub struct Leaks {
    mounts: String,
    groups: BTreeSet<PathBuf>,
    temporary: BTreeSet<PathBuf>,
    fds: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Leaks {
    /// Start watching. Tests that watch run one after another.
    pub fn watch() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        // The two things that are kept for ever (the init memfd, the host facts) are made before counting.
        drop(pinfold::Sandbox::builder().build());
        Self { mounts: mounts(), groups: groups(), temporary: temporary(), fds: open_fds(), _alone: alone }
    }
}

impl Drop for Leaks {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let end = Instant::now() + patience();
        loop {
            let left = self.left();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "left behind: {left:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Leaks {
    fn left(&self) -> Vec<String> {
        let mut left: Vec<String> =
            descendants(std::process::id()).iter().map(|pid| format!("process {pid} ({})", comm(*pid))).collect();
        if mounts() != self.mounts {
            left.push("the mount table changed".to_owned());
        }
        left.extend(groups().difference(&self.groups).map(|path| format!("group {}", path.display())));
        left.extend(temporary().difference(&self.temporary).map(|path| format!("file {}", path.display())));
        if open_fds() != self.fds {
            left.push(format!("{} open fds, {} before: {:?}", open_fds(), self.fds, fd_links()));
        }
        left
    }
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

fn groups() -> BTreeSet<PathBuf> {
    let Ok(host) = pinfold::HostCaps::probe() else { return BTreeSet::new() };
    let unified = host.cgroups.unified_places.into_iter().map(|place| place.path);
    entries(unified.chain(host.cgroups.v1_places.into_values()).collect())
}

fn temporary() -> BTreeSet<PathBuf> {
    entries(vec![std::env::temp_dir(), "/dev/shm".into(), "/run".into()])
}

fn entries(directories: Vec<PathBuf>) -> BTreeSet<PathBuf> {
    directories
        .into_iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            // Scratch directories of the command's own tests may be there at the same time.
            name.starts_with("pinfold") && !name.starts_with("pinfold-cli")
        })
        .collect()
}

fn fd_links() -> Vec<String> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string())).collect()
}

/// How many fds this process has open.
pub fn open_fds() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// The name of a process, empty when it is gone.
pub fn comm(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// The words of proc_pid_stat(5) after the name: state, parent, process group, session, terminal, its foreground group.
/// None of them when the process is gone.
fn stat(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    text.rsplit_once(") ").map(|(_, rest)| rest.split(' ').map(str::to_owned).collect()).unwrap_or_default()
}

/// How long a process has run in its own code, in ticks: a hundred are a second.
pub fn user_ticks(pid: u32) -> u64 {
    stat(pid).get(11).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

/// Whether a process runs: a zombie, which waits for whoever inherited it, does not.
pub fn runs(pid: u32) -> bool {
    stat(pid).first().is_some_and(|state| !["Z", "X"].contains(&state.as_str()))
}

/// Whether a process is stopped, as job control does it.
pub fn is_stopped(pid: u32) -> bool {
    stat(pid).first().is_some_and(|state| state == "T")
}

/// Whether a process runs, is not stopped, and has the terminal: control characters that are typed are for it.
pub fn in_foreground(pid: u32) -> bool {
    let stat = stat(pid);
    runs(pid) && !is_stopped(pid) && stat.len() > 5 && stat[2] == stat[5]
}

/// Whether a process has still to take a signal that was sent to it: another one of the kind would be lost.
pub fn is_pending(pid: u32, signal: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let set = |name| status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix(name)?.trim(), 16).ok());
    runs(pid) && ["SigPnd:", "ShdPnd:"].into_iter().filter_map(set).any(|set| set >> (signal - 1) & 1 == 1)
}

/// (pid, parent) of every process, zombies included.
fn processes() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect()
}

/// Every process below `root`.
pub fn descendants(root: u32) -> Vec<u32> {
    let all = processes();
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

/// Every process of the machine with this name.
pub fn named(name: &str) -> Vec<u32> {
    processes().into_iter().map(|(pid, _)| pid).filter(|pid| comm(*pid) == name).collect()
}

/// Every running process with this name that belongs to nobody any more.
pub fn orphans(name: &str) -> Vec<u32> {
    processes()
        .into_iter()
        .filter(|(pid, parent)| *parent == 1 && runs(*pid) && comm(*pid) == name)
        .map(|(pid, _)| pid)
        .collect()
}

/// How long a test waits for what comes at once on an idle machine: nothing when all is well, so it is generous. More in a
/// slow machine (PINFOLD_SLOW).
pub fn patience() -> Duration {
    Duration::from_secs(if std::env::var_os("PINFOLD_SLOW").is_some() { 120 } else { 30 })
}

/// Wait until `done`; what does not come within [`patience`] is told with the processes that are there.
#[track_caller]
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + patience();
    while !done() {
        assert!(Instant::now() < end, "not within {:?}: {what}; below this process: {:#?}", patience(), family());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reap whom this process, a subreaper, has adopted, until nobody is left below it, which may take so long. How many they were.
#[track_caller]
pub fn reap_adopted(within: Duration) -> u64 {
    let (begun, mut adopted) = (Instant::now(), 0);
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
            Err(Errno::ECHILD) => return adopted,
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
            Ok(_) => adopted += 1,
            Err(errno) => panic!("waitpid: {errno}"),
        }
        assert!(begun.elapsed() < within, "these live on: {:#?}", family());
    }
}

/// Wait until so many processes below this one have this name: their shells have come that far.
#[track_caller]
pub fn until_running(name: &str, count: usize) {
    let running = || descendants(std::process::id()).into_iter().filter(|pid| comm(*pid) == name).count();
    eventually(&format!("{count} of {name}"), || running() == count);
}

/// Every process below this one, with its state and its words, for messages.
fn family() -> Vec<String> {
    let words = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
    let told = |pid: u32| format!("{pid} ({}) {} {}", comm(pid), stat(pid).first().map_or("", |s| s), words(pid));
    descendants(std::process::id()).into_iter().map(told).collect()
}

/// Have a sandbox start so often that it starts as it always will from then on: where the host can, in copies of its standing
/// namespace. True: there.
pub fn settle_in(sandbox: &pinfold::Sandbox) -> bool {
    for _ in 0..2 {
        // Whether there is such a program does not matter.
        drop(sandbox.command("true").output());
    }
    stands(sandbox)
}

/// Whether the next start is in a copy of the standing namespace.
pub fn stands(sandbox: &pinfold::Sandbox) -> bool {
    // One whose mounts are attached with each call has no plan before.
    let plan = sandbox.explain(&sandbox.command("true"));
    plan.is_ok_and(|plan| plan.to_string().contains("join mount namespace"))
}

/// Whether this host makes standing namespaces: who can prepare trees can.
pub fn makes_standing_namespaces() -> bool {
    let host = pinfold::HostCaps::probe().expect("facts");
    is_root() && host.clone_detached_tree
}

/// A scratch directory that everybody may read, also where the temporary directory is private.
pub fn scratch() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("test-").tempdir().expect("a temporary directory");
    open_to_all(directory.path(), 0o755);
    directory
}

/// chmod.
pub fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
}

/// A copy of a program that can be executed at once. Made by another process: what this one had open for writing may still
/// be open in what another thread has just forked, and is then busy (ETXTBSY).
pub fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).output().expect("cp runs");
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    open_to_all(to, 0o755);
}

/// A static program from C source, built once per test process. Needs a C compiler with a static C library.
pub fn cc(name: &str, source: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    static BUILDING: Mutex<()> = Mutex::new(());
    let directory = DIRECTORY.get_or_init(|| {
        let directory = std::env::temp_dir().join(format!("test-cc-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for C programs");
        open_to_all(&directory, 0o755);
        directory
    });
    let _one = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let program = directory.join(name);
    if !program.exists() {
        let text = directory.join(format!("{name}.c"));
        fs::write(&text, source).expect("C source can be written");
        let built = Command::new("cc")
            .args(["-O1", "-static", "-w", "-pthread", "-o"])
            .arg(&program)
            .arg(&text)
            .output()
            .expect("cc runs");
        assert!(built.status.success(), "cc: {}", String::from_utf8_lossy(&built.stderr));
        open_to_all(&program, 0o755);
    }
    program
}
