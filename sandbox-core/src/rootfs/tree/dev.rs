//! Owns: a fresh /dev: the devices of the host that do no harm, and the usual links.
//! Must not: make device nodes: they are mounts of the host's.

use std::path::Path;

use crate::Result;
use crate::plan::{Attributes, Op};
use crate::spec::Mount;

use super::{Phase, Tree};

/// Of a device node of the host's: what is written goes to the driver, but its mode, owner and times are the host's.
pub(super) const DEVICE: Attributes =
    Attributes { read_only: true, nosuid: true, nodev: false, noexec: true, atime: 0 };

impl Tree<'_> {
    /// A small tmpfs with the harmless devices of the host, the usual links, and the mount points below /dev.
    pub(super) fn dev(&mut self, phase: Phase, mount: &Mount) -> Result<()> {
        let origin = mount.origin.as_str();
        let options = vec![
            ("mode", Some("755".to_owned())),
            ("size", Some("64k".to_owned())),
            ("nr_inodes", Some("128".to_owned())),
        ];
        let set = Attributes { read_only: false, nosuid: true, nodev: false, noexec: true, atime: 0 };
        let dev = self.new_file_system(phase, "tmpfs", options, set, "dev", origin);
        let target = mount.target.as_path();
        let (at, name) = self.landing(phase, mount);
        let attach = Op::Attach { mount: dev.clone(), at, name };
        // A mount inside of a detached tree can't be changed any more, and nothing can be attached to a detached one
        // before Linux 6.15: so first in one phase, last in the other.
        if phase == Phase::Launch {
            self.push(phase, attach.clone(), origin);
        }
        self.cover(phase, target, true, Some(dev.clone()));
        self.seal_last(true);
        for name in ["null", "zero", "full", "random", "urandom", "tty"] {
            let node = self.clone_source(phase, &Path::new("/dev").join(name), false, None, origin);
            self.push(phase, Op::SetAttributes { mount: node.clone(), set: DEVICE, recursive: false }, origin);
            self.push(phase, Op::MakeNode { at: dev.clone(), name: name.into() }, origin);
            self.push(phase, Op::Attach { mount: node, at: dev.clone(), name: name.into() }, origin);
        }
        let links = [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("ptmx", "pts/ptmx"),
        ];
        for (name, text) in links {
            self.push(phase, Op::MakeSymlink { at: dev.clone(), name: name.into(), text: text.into() }, origin);
        }
        self.mount_points(self.regions.len() - 1)?;
        let sealed = Attributes { read_only: true, ..set };
        self.push(phase, Op::SetAttributes { mount: dev, set: sealed, recursive: false }, origin);
        if phase == Phase::Base {
            self.push(phase, attach, origin);
        }
        Ok(())
    }
}
