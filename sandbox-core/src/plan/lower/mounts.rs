//! Owns: the calls of operations on mounts, directories and files.
//! Must not: decide what is mounted where (rootfs has).

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::plan::mount_options;
use crate::plan::op::{Attributes, Fd, Slot, Witness};
use crate::{sys, wire};

use super::lowering::{Arg, Lowering, cwd};

impl Lowering<'_> {
    pub fn open_root(&mut self, into: &Slot) {
        let (root, into) = (self.text(b"/"), self.slot(into));
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        self.call_into(libc::SYS_openat, [cwd(), root.into(), flags.into(), 0.into()], into);
    }

    pub fn enter_root(&mut self, root: &Fd) {
        let (fd, slash, empty) = (self.fd(root), self.text(b"/"), self.text(b""));
        self.call(libc::SYS_move_mount, [fd, empty.into(), cwd(), slash.into(), sys::MOVE_MOUNT_F_EMPTY_PATH.into()]);
        self.inside = None;
        self.go_to(root);
    }

    pub fn pivot_root(&mut self, root: &Fd, over: u8) {
        self.go_to(root);
        let (dot, slash) = (self.text(b"."), self.text(b"/"));
        self.call(libc::SYS_pivot_root, [dot.into(), dot.into()]);
        // The path is that of the new root, and each time the topmost mount over it is detached.
        for _ in 0..over {
            self.call(libc::SYS_umount2, [dot.into(), libc::MNT_DETACH.into()]);
        }
        self.call(libc::SYS_chdir, [slash.into()]);
        self.nothing_over_the_root();
    }

    pub fn clone_tree(&mut self, path: &Path, recursive: bool, witness: Option<Witness>, into: &Slot) {
        let (path, into) = (self.path(path), self.slot(into));
        let flags = clone_flags(recursive);
        self.call_into(libc::SYS_open_tree, [cwd(), path.into(), flags.into()], into);
        if let Some(witness) = witness {
            self.witness(into, witness.device, witness.inode);
        }
    }

    pub fn clone_fd(&mut self, from: &Fd, recursive: bool, into: &Slot) {
        let (from, empty, into) = (self.fd(from), self.text(b""), self.slot(into));
        let flags = clone_flags(recursive) | libc::AT_EMPTY_PATH as u32;
        self.call_into(libc::SYS_open_tree, [from, empty.into(), flags.into()], into);
    }

    pub fn new_file_system(
        &mut self,
        kind: &str,
        options: &[(&'static str, Option<String>)],
        attributes: Attributes,
        into: &Slot,
    ) {
        let (kind, fs, into) = (self.text(kind.as_bytes()), self.word(), self.slot(into));
        self.call_into(libc::SYS_fsopen, [kind.into(), sys::FSOPEN_CLOEXEC.into()], fs);
        for (key, value) in options {
            let key = self.text(key.as_bytes());
            let (command, value) = match value {
                Some(value) => (sys::FSCONFIG_SET_STRING, self.text(value.as_bytes())),
                None => (sys::FSCONFIG_SET_FLAG, 0),
            };
            self.call(libc::SYS_fsconfig, [Arg::At(fs), command.into(), key.into(), value.into(), 0.into()]);
        }
        self.call(libc::SYS_fsconfig, [Arg::At(fs), sys::FSCONFIG_CMD_CREATE.into(), 0.into(), 0.into(), 0.into()]);
        self.call_into(libc::SYS_fsmount, [Arg::At(fs), sys::FSMOUNT_CLOEXEC.into(), attributes.bits().into()], into);
        self.close(Arg::At(fs));
    }

    pub fn mount_at(
        &mut self,
        kind: &str,
        options: &[(&'static str, Option<String>)],
        attributes: Attributes,
        at: &Fd,
        name: &Path,
    ) {
        let (kind, name) = (self.text(kind.as_bytes()), self.path(name));
        let options = self.text(mount_options(options).as_bytes());
        self.go_to(at);
        self.call(
            libc::SYS_mount,
            [kind.into(), name.into(), kind.into(), attributes.mount_flags().into(), options.into()],
        );
    }

    pub fn bind(&mut self, at: &Fd, from: &Path, name: &Path, set: Option<Attributes>) {
        let (from, name) = (self.path(from), self.path(name));
        self.go_to(at);
        self.call(libc::SYS_mount, [from.into(), name.into(), 0.into(), libc::MS_BIND.into(), 0.into()]);
        if let Some(set) = set {
            let flags = libc::MS_BIND | libc::MS_REMOUNT | set.mount_flags();
            self.call(libc::SYS_mount, [0.into(), name.into(), 0.into(), flags.into(), 0.into()]);
        }
    }

    pub fn make_node(&mut self, at: &Fd, name: &Path) {
        let (at, name) = (self.fd(at), self.path(name));
        self.call_or(libc::SYS_mknodat, [at, name.into(), (libc::S_IFREG | 0o444).into(), 0.into()], libc::EEXIST);
    }

    pub fn make_file(&mut self, at: &Fd, name: &Path, content: &[u8], mode: u32) {
        let (at, name, fd) = (self.fd(at), self.path(name), self.word());
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        self.call_into(libc::SYS_openat, [at, name.into(), flags.into(), mode.into()], fd);
        self.write(fd, content);
        self.close(Arg::At(fd));
    }

    pub fn write_below(&mut self, at: &Fd, name: &Path, content: &str) {
        let (at, name, fd) = (self.fd(at), self.path(name), self.word());
        self.call_into(libc::SYS_openat, [at, name.into(), (libc::O_WRONLY | libc::O_CLOEXEC).into(), 0.into()], fd);
        self.write(fd, content.as_bytes());
        self.close(Arg::At(fd));
    }

    pub fn attach(&mut self, mount: &Fd, at: &Fd, name: &Path) {
        let (mount, at, empty) = (self.fd(mount), self.fd(at), self.text(b""));
        let mut flags = sys::MOVE_MOUNT_F_EMPTY_PATH;
        if name.as_os_str().is_empty() {
            flags |= sys::MOVE_MOUNT_T_EMPTY_PATH;
        }
        let name = self.path(name);
        self.call(libc::SYS_move_mount, [mount, empty.into(), at, name.into(), flags.into()]);
    }

    pub fn open_below(&mut self, root: &Fd, path: &Path, flags: i32, mode: u32, into: &Slot) {
        let (root, path, into) = (self.fd(root), self.path(path), self.slot(into));
        // struct open_how: flags, mode, resolve (openat2(2)).
        let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
        let how = self.words(&[(flags | libc::O_CLOEXEC) as u64, mode.into(), resolve]);
        self.call_into(libc::SYS_openat2, [root, path.into(), how.into(), 24.into()], into);
    }

    /// mount(2) and not the new interface: only there a stack of 500 layers fits into one call on every kernel. Its one page
    /// of options is enough because the layers have short names below the working directory. Upper and work directory may
    /// lie below directories that the sandbox's ids can't search: they are named through the numbers 0 and 1, which
    /// stand for nothing while PID 1 sets things up.
    pub fn mount_overlay(
        &mut self,
        at: &Fd,
        name: &Path,
        lower: &[PathBuf],
        upper: Option<&(Fd, Fd)>,
        flags: u64,
        into: &Slot,
    ) {
        const PLACEHOLDER: i32 = 2;
        let lower: Vec<&[u8]> = lower.iter().map(|layer| layer.as_os_str().as_bytes()).collect();
        let mut options = [b"userxattr,index=off,lowerdir=".as_slice(), &lower.join(&b':')].concat();
        let (name, kind) = (self.path(name), self.text(b"overlay"));
        if let Some((upper, work)) = upper {
            options.extend_from_slice(b",upperdir=/proc/self/fd/0,workdir=/proc/self/fd/1");
            for (number, fd) in [(0, upper), (1, work)] {
                let fd = self.fd(fd);
                self.call(libc::SYS_dup3, [fd, number.into(), libc::O_CLOEXEC.into()]);
            }
        }
        let options = self.text(&options);
        self.go_to(at);
        let at = self.fd(at);
        self.call(libc::SYS_mount, [kind.into(), name.into(), kind.into(), flags.into(), options.into()]);
        if upper.is_some() {
            for number in [0, 1] {
                self.call(libc::SYS_dup3, [PLACEHOLDER.into(), number.into(), libc::O_CLOEXEC.into()]);
            }
        }
        let (open, into) = (libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, self.slot(into));
        self.call_into(libc::SYS_openat, [at, name.into(), open.into(), 0.into()], into);
    }

    pub fn setattr(&mut self, mount: &Fd, set: u64, propagation: u64, recursive: bool) {
        let (mount, empty) = (self.fd(mount), self.text(b""));
        let attr = self.words(&[set, 0, propagation, 0]);
        let flags = libc::AT_EMPTY_PATH as u32 | if recursive { sys::AT_RECURSIVE } else { 0 };
        self.call(
            libc::SYS_mount_setattr,
            [mount, empty.into(), flags.into(), attr.into(), size_of::<sys::MountAttr>().into()],
        );
    }

    /// Fail with ESTALE unless the fd in `slot` is the inode that the host has seen.
    fn witness(&mut self, slot: u64, device: u64, inode: u64) {
        // struct statx, 256 bytes: stx_ino at 32, stx_dev_major and stx_dev_minor (u32 each) at 136.
        let (buffer, empty) = (self.bytes(&[0; 256]), self.text(b""));
        const STATX_INO: u32 = 0x100;
        self.call(
            libc::SYS_statx,
            [Arg::At(slot), empty.into(), libc::AT_EMPTY_PATH.into(), STATX_INO.into(), buffer.into()],
        );
        self.check(Arg::At(buffer + 32), inode, libc::ESTALE, u64::MAX);
        let (major, minor) = (libc::major(device), libc::minor(device));
        self.check(Arg::At(buffer + 136), u64::from(major) | u64::from(minor) << 32, libc::ESTALE, u64::MAX);
    }

    /// Fail with EXDEV if `/..` is anything but `/`: a mount that still lies over the root would be a way back to the host.
    fn nothing_over_the_root(&mut self) {
        // struct statx: stx_mnt_id at 144, since Linux 5.8.
        const STATX_MNT_ID: u32 = 0x1000;
        const MNT_ID: u64 = 144;
        let [root, above] = [&b"/"[..], b"/.."].map(|path| {
            let (path, buffer) = (self.text(path), self.bytes(&[0; 256]));
            self.call(libc::SYS_statx, [cwd(), path.into(), 0.into(), STATX_MNT_ID.into(), buffer.into()]);
            Arg::At(buffer + MNT_ID)
        });
        self.pseudo(wire::PSEUDO_CHECK, [above, root, libc::EXDEV.into(), u64::MAX.into()]);
    }
}

pub(super) fn clone_flags(recursive: bool) -> u32 {
    sys::OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | if recursive { sys::AT_RECURSIVE } else { 0 }
}
