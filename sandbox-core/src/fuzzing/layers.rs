//! Owns: directories of layers made of choices, as hostile as a file system lets them be, and a place outside of them.
//! Must not: know what a layer means.
//! Start at: [`Place::make`].

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknod};
use nix::unistd::{LinkatFlags, fchownat, linkat};

use super::choices::Choices;
use crate::sys;

/// What lies outside of all layers: nobody may find it.
pub(super) const SECRET: &str = "what is outside";

/// A directory for one input, removed at its end.
pub(super) struct Place(PathBuf);

impl Place {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("fuzz-layers-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a directory for layers");
        let place = Self(path);
        for directory in ["outside/in", "upper", "lower0", "lower1"] {
            fs::create_dir_all(place.path(directory)).expect("a directory");
        }
        fs::write(place.path("outside/secret"), SECRET).expect("a file");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn open(&self, name: &str) -> OwnedFd {
        directory(&self.path(name))
    }

    /// Fill a layer.
    pub fn make(&self, layer: &str, choices: &mut Choices<'_>) {
        let mut maker = Maker {
            directories: vec![self.open(layer)],
            files: Vec::new(),
            root: nix::unistd::geteuid().is_root(),
            outside: self.path("outside"),
        };
        for _ in 0..choices.below(24) {
            maker.entry(choices);
        }
        // What everything is in has attributes, too.
        if choices.below(4) == 3 {
            maker.dress(0, OsStr::new("."), choices);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}

/// A directory, open, as it is.
pub(super) fn directory(path: &Path) -> OwnedFd {
    open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
        .expect("a directory")
}

/// Where an entry of an open directory is, however deep that is.
pub(super) fn place(directory: &OwnedFd, name: &OsStr) -> PathBuf {
    Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name)
}

const NAMES: &[&[u8]] = &[b"a", b"b", b"c", b"d", b"\xff\xfe", b"two\nlines", b".wh.a", b" "];
const MODES: &[u32] = &[0o644, 0o755, 0o4755, 0o7777, 0o1777, 0o700, 0, 0o200, 0o111];
const OWNERS: &[u32] = &[0, 1, 1000, 65_534, 100_000, 100_033, 165_535, 165_536];
const ATTRIBUTES: &[(&str, &[u8])] = &[
    ("user.overlay.opaque", b"y"),
    ("user.overlay.opaque", b"y"),
    ("user.overlay.opaque", b"x"),
    ("user.overlay.opaque", b"n"),
    ("user.overlay.whiteout", b""),
    ("user.overlay.redirect", b"/a"),
    ("user.overlay.metacopy", b""),
    ("user.overlay.origin", b"\x00\xfb\x1d"),
    ("user.overlay.overlay.opaque", b"y"),
    ("user.a", b"1"),
    ("user.a", b"2"),
    ("user.b", &[b'x'; 300]),
    ("security.capability", &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("security.capability", &[1, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa0, 0x86, 1, 0]),
];

struct Maker {
    directories: Vec<OwnedFd>,
    /// What may have more names: the directory's number, and the name.
    files: Vec<(usize, OsString)>,
    root: bool,
    outside: PathBuf,
}

impl Maker {
    /// One more entry, or none where the name is taken or the file system does not take it.
    fn entry(&mut self, choices: &mut Choices<'_>) {
        let at = choices.below(self.directories.len());
        let name = match choices.below(32) {
            31 => OsString::from("n".repeat(255)),
            other => OsStr::from_bytes(NAMES[other % NAMES.len()]).to_owned(),
        };
        let path = place(&self.directories[at], &name);
        let made = match choices.below(16) {
            0..=3 => self.file(at, &name, choices),
            4..=6 => self.directory(at, &name),
            7 => symlink(self.link_text(choices), &path).is_ok(),
            8 => node(&path, SFlag::S_IFIFO, 0),
            9 | 10 => node(&path, SFlag::S_IFCHR, 0),
            11 if self.root => node(&path, SFlag::S_IFCHR, makedev(1, choices.below(3) as u64)),
            11 => node(&path, SFlag::S_IFSOCK, 0),
            12 => File::create_new(&path).is_ok() && attribute(&path, "user.overlay.whiteout", b"y"),
            13 | 14 => self.another_name(at, &name, choices),
            // Slow, and once is enough.
            _ if choices.below(8) == 7 => self.depths(at, choices.below(24)),
            _ => self.directory(at, &name),
        };
        if made && choices.below(3) == 2 {
            self.dress(at, &name, choices);
        }
    }

    fn file(&mut self, at: usize, name: &OsStr, choices: &mut Choices<'_>) -> bool {
        let Ok(file) = File::create_new(place(&self.directories[at], name)) else { return false };
        let text = [choices.byte() % 4; 3];
        match choices.below(6) {
            0 => {}
            5 => {
                file.write_all_at(&text, 70_000).expect("written");
                file.set_len(200_000).expect("longer");
            }
            length => file.write_all_at(&text[..length.min(3)], 0).expect("written"),
        }
        self.files.push((at, name.to_owned()));
        true
    }

    fn directory(&mut self, at: usize, name: &OsStr) -> bool {
        if mkdirat(&self.directories[at], name, Mode::S_IRWXU).is_err() {
            return false;
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        self.directories.push(openat(&self.directories[at], name, flags, Mode::empty()).expect("just made"));
        true
    }

    /// Deeper than one path can say.
    fn depths(&mut self, at: usize, levels: usize) -> bool {
        let name = OsString::from("d".repeat(200));
        let mut at = at;
        for _ in 0..levels {
            if !self.directory(at, &name) {
                return false;
            }
            at = self.directories.len() - 1;
        }
        false
    }

    fn link_text(&self, choices: &mut Choices<'_>) -> PathBuf {
        match choices.below(7) {
            0 => self.outside.clone(),
            1 => self.outside.join("secret"),
            2 => "../outside".into(),
            3 => "/".into(),
            4 => ".".into(),
            5 => "a".into(),
            _ => "nowhere".into(),
        }
    }

    fn another_name(&mut self, at: usize, name: &OsStr, choices: &mut Choices<'_>) -> bool {
        if self.files.is_empty() {
            return false;
        }
        let (of, old) = &self.files[choices.below(self.files.len())];
        let (from, to) = (&self.directories[*of], &self.directories[at]);
        linkat(from, old.as_os_str(), to, name, LinkatFlags::empty()).is_ok()
    }

    /// Owner, attributes, mode.
    fn dress(&self, at: usize, name: &OsStr, choices: &mut Choices<'_>) {
        let path = place(&self.directories[at], name);
        let Ok(meta) = fs::symlink_metadata(&path) else { return };
        if self.root && choices.flip() {
            let (uid, gid) = (choices.pick(OWNERS).into(), choices.pick(OWNERS).into());
            fchownat(&self.directories[at], name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
                .expect("root may");
        }
        for _ in 0..choices.below(3) {
            let (key, value) = choices.pick(ATTRIBUTES);
            attribute(&path, key, value);
        }
        if !meta.is_symlink() && choices.flip() {
            // Only root reads what its mode has closed; the model that it is compared with must, too.
            let mode = choices.pick(MODES) | if self.root { 0 } else { 0o700 };
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its owner may");
        }
    }
}

/// Whether a device, a pipe or a socket could be made: some file systems and users can't.
fn node(path: &Path, kind: SFlag, device: u64) -> bool {
    mknod(path, kind, Mode::S_IRUSR | Mode::S_IWUSR, device).is_ok()
}

/// Whether it was taken: links and pipes take few.
fn attribute(path: &Path, key: &str, value: &[u8]) -> bool {
    let text = |bytes: &[u8]| CString::new(bytes).expect("no NUL");
    sys::xattr::set(&text(path.as_os_str().as_bytes()), &text(key.as_bytes()), value).is_ok()
}
