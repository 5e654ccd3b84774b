//! Owns: the ways to start the program that are measured from Rust, each in a process of its own.
//! Must not: measure time (`serve`) or know about groups (`plan`).
//! Start at: [`serve`].

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitStatus, waitpid};

use crate::Result;
use crate::host;
use crate::pinfold_case;
use crate::serve;
use crate::workshop::{PROGRAM, find_program};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    PosixSpawn,
    Pinfold,
    PinfoldOutput,
    PinfoldLimits,
    Session,
    Pool,
    Bubblewrap,
    Runc,
    CrunExec,
}

const KINDS: [(Kind, &str); 9] = [
    (Kind::PosixSpawn, "posix_spawn"),
    (Kind::Pinfold, "pinfold"),
    (Kind::PinfoldOutput, "pinfold-output"),
    (Kind::PinfoldLimits, "pinfold-limits"),
    (Kind::Session, "pinfold-session"),
    (Kind::Pool, "pinfold-pool"),
    (Kind::Bubblewrap, "bwrap"),
    (Kind::Runc, "runc"),
    (Kind::CrunExec, "crun-exec"),
];

impl Kind {
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    pub fn from_name(name: &str) -> Result<Self> {
        KINDS
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(kind, _)| *kind)
            .ok_or_else(|| format!("unknown case {name}"))
    }
}

/// What one serving process measures, and what kind of host it is itself.
#[derive(Clone)]
pub struct Job {
    pub kind: Kind,
    pub dir: PathBuf,
    pub memory_mib: usize,
    pub threads: usize,
    pub binds: usize,
}

impl Job {
    pub fn words(&self) -> Vec<OsString> {
        let numbers = [self.memory_mib, self.threads, self.binds].map(|n| n.to_string().into());
        [["--serve".into(), self.kind.name().into(), self.dir.clone().into()], numbers].concat()
    }
}

pub fn serve(job: &Job) -> Result<()> {
    // The run blocks its signals to clean up after Ctrl-C; what is measured must not inherit that.
    SigSet::empty().thread_set_mask().map_err(|e| format!("signal mask: {e}"))?;
    let memory = host::resident(job.memory_mib)?;
    host::idle_threads(job.threads)?;
    let program = job.dir.join(PROGRAM);
    let served = match job.kind {
        Kind::PosixSpawn => serve::serve(Spawn::new(&program, &[]).map(|spawn| (String::new(), move || spawn.run()))),
        Kind::Pinfold => serve::serve(pinfold_case::started(&job.dir, job.binds)),
        Kind::PinfoldOutput => serve::serve(pinfold_case::captured(&job.dir, job.binds)),
        Kind::PinfoldLimits => serve::serve(pinfold_case::limited(&job.dir, job.binds)),
        Kind::Session => serve::serve(pinfold_case::in_session(&job.dir)),
        Kind::Pool => serve::serve_after(pinfold_case::pool(&job.dir).map(|pool| {
            let filled = Arc::clone(&pool);
            let note = "filled between the starts".to_owned();
            (note, move || pinfold_case::fill(&filled), move || pinfold_case::from_pool(&pool))
        })),
        Kind::Bubblewrap => serve::serve(bubblewrap(&job.dir)),
        Kind::Runc => serve::serve(runc(&job.dir)),
        Kind::CrunExec => serve::serve(crun_exec(&job.dir)),
    };
    drop(std::hint::black_box(memory));
    served
}

/// A program with its arguments, ready to be started by posix_spawn(3), which shares memory instead of copying it.
struct Spawn {
    program: CString,
    argv: Vec<CString>,
    environment: Vec<CString>,
    actions: PosixSpawnFileActions,
    attributes: PosixSpawnAttr,
}

impl Spawn {
    fn new(program: &Path, args: &[OsString]) -> Result<Self> {
        let text = |bytes: &[u8]| CString::new(bytes).map_err(|e| e.to_string());
        let program = text(program.as_os_str().as_bytes())?;
        let mut argv = vec![program.clone()];
        for arg in args {
            argv.push(text(arg.as_bytes())?);
        }
        let errno = |e: nix::Error| e.to_string();
        Ok(Self {
            program,
            argv,
            environment: vec![c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
            actions: PosixSpawnFileActions::init().map_err(errno)?,
            attributes: PosixSpawnAttr::init().map_err(errno)?,
        })
    }

    fn run(&self) -> Result<()> {
        let pid = posix_spawn(self.program.as_c_str(), &self.actions, &self.attributes, &self.argv, &self.environment)
            .map_err(|e| format!("{}: {e}", self.program.to_string_lossy()))?;
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, 0)) => Ok(()),
            Ok(status) => Err(format!("ended with {status:?}")),
            Err(errno) => Err(format!("waitpid: {errno}")),
        }
    }
}

/// The same files and directories as Pinfold's `system` root, as far as bubblewrap has words for them.
fn bubblewrap(dir: &Path) -> Result<(String, impl FnMut() -> Result<()> + use<>)> {
    let bwrap = find_program("bwrap").ok_or("not installed")?;
    let mut args: Vec<OsString> =
        ["--unshare-all", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox"].map(Into::into).into();
    args.extend(["--new-session", "--clearenv", "--cap-drop", "ALL"].map(Into::into));
    for name in ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let host = Path::new("/").join(name);
        match std::fs::read_link(&host) {
            Ok(text) => args.extend(["--symlink".into(), text.into(), host.into()]),
            Err(_) => args.extend(["--ro-bind-try".into(), host.clone().into(), host.into()]),
        }
    }
    for name in ["alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "nsswitch.conf", "ssl/certs"] {
        let host = Path::new("/etc").join(name);
        args.extend(["--ro-bind-try".into(), host.clone().into(), host.into()]);
    }
    args.extend(["--ro-bind".into(), dir.join("program").into(), "/bench".into()]);
    args.extend(
        ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run", "/bench/true"].map(Into::into),
    );
    let spawn = Spawn::new(&bwrap, &args)?;
    Ok(("no seccomp, no Landlock, nothing masked in /proc".to_owned(), move || spawn.run()))
}

fn runc(dir: &Path) -> Result<(String, impl FnMut() -> Result<()> + use<>)> {
    let runc = find_program("runc").ok_or("not installed")?;
    let [state, bundle] = ["runc", "bundle"].map(|name| dir.join(name).into_os_string());
    let mut number = 0;
    let once = move || {
        // An id may be used again only when runc has forgotten it.
        number += 1;
        let id = format!("pinfold-bench-{}-{number}", std::process::id());
        let args = ["--root".into(), state.clone(), "run".into(), "--bundle".into(), bundle.clone(), id.into()];
        Spawn::new(&runc, &args)?.run()
    };
    Ok(("with its own cgroups; no seccomp, no Landlock".to_owned(), once))
}

/// A container of crun's that is running; it is removed with this.
struct Container {
    crun: PathBuf,
    state: PathBuf,
    id: String,
}

impl Container {
    fn spawn(&self, verb: &[&str], rest: &[&str]) -> Result<Spawn> {
        let words = verb.iter().copied().chain([self.id.as_str()]).chain(rest.iter().copied());
        let args: Vec<OsString> =
            ["--root".into(), self.state.clone().into()].into_iter().chain(words.map(Into::into)).collect();
        Spawn::new(&self.crun, &args)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Err(reason) = self.spawn(&["delete", "--force"], &[]).and_then(|spawn| spawn.run()) {
            eprintln!("cannot remove the container {}: {reason}", self.id);
        }
    }
}

/// One more program in a container that runs: what a session's payload is compared with.
fn crun_exec(dir: &Path) -> Result<(String, impl FnMut() -> Result<()> + use<>)> {
    let crun = find_program("crun").ok_or("not installed")?;
    let (state, log) = (dir.join("crun"), dir.join("crun.log"));
    let id = format!("pinfold-bench-{}", std::process::id());
    // A pipe would stay open in the container.
    let said = std::fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    let started = std::process::Command::new(&crun)
        .arg("--root")
        .arg(&state)
        .args(["run", "--detach", "--bundle"])
        .arg(dir.join("sleeper"))
        .arg(&id)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(said)
        .status()
        .map_err(|e| format!("{}: {e}", crun.display()))?;
    if !started.success() {
        return Err(std::fs::read_to_string(&log).unwrap_or_default().trim().to_owned());
    }
    let container = Container { crun, state, id };
    let spawn = container.spawn(&["exec"], &["/bench/true"])?;
    let once = move || {
        // It stays as long as it is used.
        let _running = &container;
        spawn.run()
    };
    Ok(("in its container's cgroup; no seccomp, no Landlock".to_owned(), once))
}
