//! Owns: what stands in a root that Pinfold puts together itself: directories, links, the host's programs, small files.
//! Must not: mount what must be fresh (defaults.rs), or decide who carries anything out (tree.rs).

use std::path::{Path, PathBuf};

use crate::Result;
use crate::host::SystemPath;
use crate::plan::Op;
use crate::spec::Namespace;

use super::defaults::{group, passwd};
use super::tree::{Phase, Tree};

const ORIGIN: &str = "rootfs.kind";

/// The `system` root: the host's programs and libraries, without homes, secrets and host state.
pub(super) fn system(tree: &mut Tree<'_>, phase: Phase) -> Result<()> {
    let paths: Vec<(PathBuf, SystemPath)> =
        tree.settled.host.system_paths.iter().map(|(path, kind)| (path.clone(), kind.clone())).collect();
    for (path, kind) in paths {
        let (at, name) = tree.parent(phase, 0, &path, ORIGIN)?;
        match kind {
            SystemPath::Symlink(text) => {
                tree.push(phase, Op::MakeSymlink { at, name, text }, ORIGIN);
            }
            SystemPath::Directory | SystemPath::File => {
                let source = tree.clone_source(phase, &path, true, None, ORIGIN);
                let point = if kind == SystemPath::Directory {
                    Op::MakeDir { at: at.clone(), name: name.clone(), mode: 0o755 }
                } else {
                    Op::MakeNode { at: at.clone(), name: name.clone() }
                };
                tree.push(phase, point, ORIGIN);
                tree.attach_host(phase, source, (at, name), &path, kind == SystemPath::Directory, ORIGIN);
            }
        }
        tree.foreign(&path, phase);
    }
    for name in ["home", "opt", "root", "srv", "var", "var/tmp"] {
        directory(tree, phase, name)?;
    }
    skeleton(tree, phase)
}

/// The files that name the payload's user and the sandbox's own host.
pub(super) fn skeleton(tree: &mut Tree<'_>, phase: Phase) -> Result<()> {
    let spec = &tree.settled.spec;
    let identity = &spec.identity;
    let hostname = spec.hostname.clone();
    let mut files = vec![
        ("etc/passwd", passwd(identity)),
        ("etc/group", group(identity)),
        ("etc/hosts", format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {hostname}\n")),
        ("etc/hostname", format!("{hostname}\n")),
    ];
    if spec.network == Namespace::New {
        files.push(("etc/resolv.conf", "# no network: see network.mode\n".to_owned()));
    }
    let shared_network = spec.network != Namespace::New;
    for (path, content) in files {
        tree.root_file(phase, &Path::new("/").join(path), content.into_bytes(), "identity")?;
    }
    if shared_network && tree.facts.resolv_conf {
        let path = Path::new("/etc/resolv.conf");
        let source = tree.clone_source(phase, path, false, None, "network.mode");
        let (at, name) = tree.parent(phase, 0, path, "network.mode")?;
        tree.push(phase, Op::MakeNode { at: at.clone(), name: name.clone() }, "network.mode");
        tree.attach_host(phase, source, (at, name), path, false, "network.mode");
        tree.foreign(path, phase);
    }
    Ok(())
}

fn directory(tree: &mut Tree<'_>, phase: Phase, name: &str) -> Result<()> {
    let (at, name) = tree.parent(phase, 0, &Path::new("/").join(name), ORIGIN)?;
    tree.push(phase, Op::MakeDir { at, name, mode: 0o755 }, ORIGIN);
    Ok(())
}
