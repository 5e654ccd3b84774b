//! Owns: what compile must know of the host's files: which sources exist, what they are, who is in the root's passwd.
//! Must not: change anything, follow a path of the guest's.
//! Start at: [`gather`].

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::masks::MASKED_SYS_PATHS;
use crate::plan::Witness;
use crate::spec::{BindSource, HostPath, MountKind, Overlay, OverlayUpper, RootKind, Spec};
use crate::{Error, ErrorKind, Result, Stage};

/// What is at a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub directory: bool,
    pub witness: Witness,
    /// Who owns it, in ids of the host, and its mode bits.
    pub owner: (u32, u32),
    pub mode: u32,
    /// Where it is. Of an fd: where the kernel says it is.
    pub path: PathBuf,
}

/// Facts about the host's files, as of the time the sandbox was built (fds: of the start).
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub sources: BTreeMap<HostPath, Source>,
    pub fds: BTreeMap<String, Source>,
    /// Of the root directory, where it has one.
    pub passwd: Option<Vec<u8>>,
    pub group: Option<Vec<u8>>,
    /// The host has an /etc/resolv.conf.
    pub resolv_conf: bool,
    /// Of the paths that are hidden in a sysfs, those that exist.
    pub masked_sys: Vec<PathBuf>,
    /// Of the paths below a proc that the config names beyond the usual ones, those that exist, and whether each is a
    /// directory.
    pub proc_paths: BTreeMap<PathBuf, bool>,
    /// Optional mounts whose source is missing: (origin, source).
    pub skipped: Vec<(String, PathBuf)>,
}

/// Look at every source that the spec names.
pub(crate) fn gather(spec: &Spec) -> Result<Facts> {
    let masked_sys = MASKED_SYS_PATHS.iter().map(PathBuf::from).filter(|path| path.is_dir()).collect();
    let resolv_conf = Path::new("/etc/resolv.conf").exists();
    let mut facts = Facts { resolv_conf, masked_sys, ..Facts::default() };
    for mount in &spec.mounts {
        if let MountKind::Proc { masked, readonly } = &mount.kind {
            let names = masked
                .iter()
                .chain(readonly)
                .filter_map(|path| path.as_path().strip_prefix(mount.target.as_path()).ok());
            // Every proc has the same entries, but for processes.
            let there = names
                .filter_map(|name| Some((name.to_owned(), fs::metadata(Path::new("/proc").join(name)).ok()?.is_dir())));
            facts.proc_paths.extend(there);
        }
        if let MountKind::Overlay { lower, upper } = &mount.kind {
            layers(&mut facts, &format!("{}.lower", mount.origin), lower)?;
            keeper_of_changes(&mount.origin, upper.as_ref())?;
        }
        let MountKind::Bind { source: BindSource::Path(path), .. } = &mount.kind else { continue };
        match source(path.as_path()) {
            Ok(found) => {
                facts.sources.insert(path.clone(), found);
            }
            Err(error) if mount.optional && error.kind() == std::io::ErrorKind::NotFound => {
                facts.skipped.push((mount.origin.clone(), path.as_path().to_owned()));
            }
            Err(error) => return Err(unreadable(&format!("{}.source", mount.origin), path.as_path(), &error)),
        }
    }
    keeper_of_changes("rootfs.overlay", spec.rootfs.overlay.as_ref())?;
    let roots: Vec<&Path> = match &spec.rootfs.kind {
        RootKind::Dir(path) => {
            let found = directory("rootfs.path", path)?;
            facts.sources.insert(path.clone(), found);
            vec![path.as_path()]
        }
        RootKind::Layers(stack) => {
            layers(&mut facts, "rootfs.layers", stack)?;
            stack.iter().map(HostPath::as_path).collect()
        }
        RootKind::Host => vec![Path::new("/")],
        _ => return Ok(facts),
    };
    facts.passwd = roots.iter().find_map(|root| small_file(&root.join("etc/passwd")));
    facts.group = roots.iter().find_map(|root| small_file(&root.join("etc/group")));
    Ok(facts)
}

fn layers(facts: &mut Facts, key: &str, stack: &[HostPath]) -> Result<()> {
    for (index, path) in stack.iter().enumerate() {
        facts.sources.insert(path.clone(), directory(&format!("{key}[{index}]"), path)?);
    }
    Ok(())
}

fn directory(origin: &str, path: &HostPath) -> Result<Source> {
    let found = source(path.as_path()).map_err(|error| unreadable(origin, path.as_path(), &error))?;
    if !found.directory {
        let error = std::io::Error::from_raw_os_error(libc::ENOTDIR);
        return Err(unreadable(origin, path.as_path(), &error));
    }
    Ok(found)
}

/// Where an overlay's changes are kept must be, or be in, a directory of a file system that can keep them.
fn keeper_of_changes(key: &str, overlay: Option<&Overlay>) -> Result<()> {
    let Some(OverlayUpper::Dir { upper, .. }) = overlay.map(|overlay| &overlay.upper) else { return Ok(()) };
    let upper = upper.as_path();
    let key = format!("{key}.upper");
    let there = if upper.exists() { upper } else { upper.parent().unwrap_or(upper) };
    let kind = nix::sys::statfs::statfs(there)
        .map_err(|errno| unreadable(&key, there, &std::io::Error::from(errno)))?
        .filesystem_type();
    let unfit = UNFIT.iter().find(|(magic, _)| i128::from(kind.0) == i128::from(*magic));
    match unfit {
        None => Ok(()),
        Some((_, name)) => Err(Error::unsupported(
            key,
            format!("{} is on {name}, which can't keep the changes of an overlay", there.display()),
        )
        .with_subject(there.display().to_string())
        .with_hint("use a directory on a local file system (ext4, xfs, btrfs, tmpfs), or keep the changes in memory")),
    }
}

/// File systems that overlayfs does not take as its upper one (statfs(2), magic(7)).
const UNFIT: [(u32, &str); 5] =
    [(0x794c_7630, "an overlay"), (0x6969, "NFS"), (0x0102_1997, "9p"), (0xff53_4d42, "CIFS"), (0x4d44, "FAT")];

/// What an open fd stands for.
pub(crate) fn of_fd(fd: &impl AsRawFd) -> std::io::Result<Source> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let mut found = source(Path::new(&link))?;
    found.path = fs::read_link(&link)?;
    Ok(found)
}

fn source(path: &Path) -> std::io::Result<Source> {
    let meta = fs::metadata(path)?;
    Ok(Source {
        directory: meta.is_dir(),
        witness: Witness { device: meta.dev(), inode: meta.ino() },
        owner: (meta.uid(), meta.gid()),
        mode: meta.mode() & 0o7777,
        path: path.to_owned(),
    })
}

/// At most 1 MiB of a regular file of the root, without following a link out of it: a link is treated as absent.
fn small_file(path: &Path) -> Option<Vec<u8>> {
    let meta = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mut content = Vec::with_capacity(meta.len().min(1 << 20) as usize);
    File::open(path).ok()?.take(1 << 20).read_to_end(&mut content).ok()?;
    Some(content)
}

fn unreadable(origin: &str, path: &Path, error: &std::io::Error) -> Error {
    let made = Error::new(ErrorKind::Setup, Stage::Probe, format!("cannot use {} as a source", path.display()))
        .with_origin(origin)
        .with_subject(path.display().to_string());
    match error.raw_os_error() {
        Some(errno) => {
            let made = made.with_errno(errno);
            match errno {
                libc::ENOENT => made.with_hint("the path is looked up on the host; relative ones start at the config file, or at the current directory"),
                libc::EACCES => made.with_hint("sources are opened with the rights of this process: it needs search permission on every directory above"),
                _ => made,
            }
        }
        None => made,
    }
}
