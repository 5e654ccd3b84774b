//! Owns: the directory with everything a run needs, made at the start and removed at the end, also after Ctrl-C.
//! Must not: measure, or leave anything outside that directory.
//! Start at: [`Workshop::open`].

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

use nix::sys::signal::{SigSet, Signal};
use serde_json::json;
use tempfile::TempDir;

use crate::Result;

/// The program that is started, in the workshop.
pub const PROGRAM: &str = "program/true";
/// Directories to be bound.
pub const BINDS: usize = 100;

pub struct Workshop {
    dir: TempDir,
    /// A copy of this program, where other users can reach it.
    pub bench: PathBuf,
    /// Or why there is none.
    pub floor: Result<PathBuf>,
    pub hakoniwa: Result<PathBuf>,
}

impl Workshop {
    pub fn open(peers: bool) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("pinfold-bench-")
            .tempdir()
            .map_err(|e| format!("temporary directory: {e}"))?;
        clean_up_on_signals(dir.path())?;
        let at = dir.path().to_path_buf();
        mode(&at, 0o755)?;
        for path in ["program", "binds", "runc", "crun"]
            .map(|name| at.join(name))
            .into_iter()
            .chain((0..BINDS).map(|n| at.join("binds").join(n.to_string())))
        {
            make_dir(&path)?;
        }
        let program = at.join(PROGRAM);
        write(&program, &true_program()?)?;
        mode(&program, 0o755)?;
        bundle(&at, "bundle", &["/bench/true"])?;
        bundle(&at, "sleeper", &["/usr/bin/sleep", "3600"])?;
        let ours = std::env::current_exe().map_err(|e| format!("our own program: {e}"))?;
        let bench = at.join("bench");
        copy(&ours, &bench)?;
        let floor = compile_floor(&at);
        let hakoniwa = if peers { build_hakoniwa(&ours, &at) } else { Err("not asked for (--peers)".to_owned()) };
        Ok(Self { dir, bench, floor, hakoniwa })
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn close(self) -> Result<()> {
        self.dir.close().map_err(|e| format!("cannot remove the temporary directory: {e}"))
    }
}

/// `name` on the PATH, or where only root's PATH looks.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// The temporary directory must go whatever ends the run. The servers end by themselves when nobody asks them any more.
fn clean_up_on_signals(dir: &Path) -> Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block().map_err(|e| format!("signal mask: {e}"))?;
    let dir = dir.to_path_buf();
    std::thread::spawn(move || {
        if signals.wait().is_ok() {
            if let Err(error) = std::fs::remove_dir_all(&dir) {
                eprintln!("cannot remove {}: {error}", dir.display());
            }
            exit(130);
        }
    });
    Ok(())
}

/// A static program whose only instruction that matters is exit_group(0): one page, no interpreter, no data.
fn true_program() -> Result<Vec<u8>> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let (machine, code): (u16, &[u8]) = match std::env::consts::ARCH {
        // xor edi, edi; mov eax, 231; syscall
        "x86_64" => (62, &[0x31, 0xff, 0xb8, 231, 0, 0, 0, 0x0f, 0x05]),
        // mov x0, 0; mov x8, 94; svc 0
        "aarch64" => (183, &[0, 0, 0x80, 0xd2, 0xc8, 0x0b, 0x80, 0xd2, 0x01, 0, 0, 0xd4]),
        other => return Err(format!("no program for {other}")),
    };
    let size = HEADERS + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |elf: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|v| elf.extend(v.to_le_bytes()));
    let word = |elf: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|v| elf.extend(v.to_le_bytes()));
    let long = |elf: &mut Vec<u8>, values: &[u64]| values.iter().for_each(|v| elf.extend(v.to_le_bytes()));
    half(&mut elf, &[2, machine]); // executable
    word(&mut elf, &[1]);
    long(&mut elf, &[BASE + HEADERS, 64, 0]); // entry, program headers, no sections
    word(&mut elf, &[0]);
    half(&mut elf, &[64, 56, 1, 0, 0, 0]);
    word(&mut elf, &[1, 5]); // load, to read and execute
    long(&mut elf, &[0, BASE, BASE, size, size, 4096]);
    elf.extend(code);
    Ok(elf)
}

fn compile_floor(dir: &Path) -> Result<PathBuf> {
    let (source, floor) = (dir.join("floor.c"), dir.join("floor"));
    write(&source, include_bytes!("../floor.c"))?;
    let compiler = ["cc", "gcc", "clang"].into_iter().find_map(find_program).ok_or("no C compiler")?;
    let done = Command::new(&compiler)
        .args(["-O2", "-w", "-o"])
        .args([&floor, &source])
        .output()
        .map_err(|e| format!("{}: {e}", compiler.display()))?;
    if !done.status.success() {
        let text = String::from_utf8_lossy(&done.stderr);
        return Err(format!("does not compile here: {}", text.lines().find(|l| l.contains("error")).unwrap_or(&text)));
    }
    Ok(floor)
}

/// hakoniwa is LGPL: a project of its own that nothing of ours depends on, built when asked for.
fn build_hakoniwa(ours: &Path, dir: &Path) -> Result<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peer-hakoniwa");
    // ours = TARGET/release/deps/spawn-HASH
    let target = ours.ancestors().nth(3).ok_or("no target directory")?.join("peer-hakoniwa");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo)
        .args(["build", "--release", "--locked", "--quiet", "--target-dir"])
        .arg(&target)
        .current_dir(&project)
        .status()
        .map_err(|e| format!("cargo: {e}"))?;
    if !done.success() {
        return Err("does not build here".to_owned());
    }
    let copied = dir.join("hakoniwa");
    copy(&target.join("release/peer-hakoniwa"), &copied)?;
    Ok(copied)
}

/// An OCI bundle for runc and crun, like Pinfold's `system` root: read-only /usr, fresh proc and /dev, ids from 0x6FFF0000.
fn bundle(dir: &Path, name: &str, args: &[&str]) -> Result<()> {
    let bundle = dir.join(name);
    let root = bundle.join("rootfs");
    for name in ["usr", "proc", "dev", "tmp", "run", "bench", "etc", "sys"] {
        make_dir(&root.join(name))?;
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        if let Ok(text) = std::fs::read_link(Path::new("/").join(name)) {
            std::os::unix::fs::symlink(text, root.join(name)).map_err(|e| format!("bundle: {e}"))?;
        }
    }
    let bind = |source: &Path, target: &str| json!({ "destination": target, "type": "bind", "source": source, "options": ["rbind", "ro", "nosuid", "nodev"] });
    let fresh = |kind: &str, target: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": kind, "options": options });
    let namespaces = ["user", "pid", "mount", "network", "ipc", "uts", "cgroup"].map(|kind| json!({ "type": kind }));
    let map = json!([{ "containerID": 0, "hostID": 0x6FFF_0000, "size": 65536 }]);
    let config = json!({
        "ociVersion": "1.0.2",
        "hostname": "sandbox",
        "process": {
            "user": { "uid": 1000, "gid": 1000 },
            "args": args,
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "cwd": "/",
            "capabilities": {},
            "rlimits": [{ "type": "RLIMIT_CORE", "hard": 0, "soft": 0 }],
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "mounts": [
            bind(Path::new("/usr"), "/usr"),
            bind(&dir.join("program"), "/bench"),
            fresh("proc", "/proc", &["nosuid", "noexec", "nodev"]),
            fresh("tmpfs", "/dev", &["nosuid", "mode=755", "size=65536k"]),
            fresh("devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            fresh("tmpfs", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            fresh("mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
            fresh("tmpfs", "/tmp", &["nosuid", "nodev", "mode=1777"]),
            fresh("tmpfs", "/run", &["nosuid", "nodev", "mode=755"]),
        ],
        "linux": {
            "namespaces": namespaces,
            "uidMappings": map,
            "gidMappings": map,
            "cgroupsPath": format!("/pinfold-bench-{name}-{}", std::process::id()),
            "maskedPaths": pinfold::MASKED_PROC_PATHS.map(|name| format!("/proc/{name}")),
            "readonlyPaths": pinfold::READONLY_PROC_PATHS.map(|name| format!("/proc/{name}")),
        },
    });
    write(&bundle.join("config.json"), config.to_string().as_bytes())
}

fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    std::fs::write(path, content).map_err(|e| format!("{}: {e}", path.display()))
}

fn mode(path: &Path, mode: u32) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|e| format!("{}: {e}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).map_err(|e| format!("{} to {}: {e}", from.display(), to.display()))?;
    mode(to, 0o755)
}
