//! Owns: checking the section `rootfs`, and overlays wherever they are.

use std::path::{Path, PathBuf};

use super::Check;
use crate::config::{self, Bytes};
use crate::spec::{HostPath, Overlay, OverlayUpper, Propagation, RootKind, Rootfs};

/// Bytes of an overlay in memory where no size is given, and of a tmpfs.
pub(super) const DEFAULT_MEMORY_SIZE: u64 = 256 << 20;
/// What overlayfs takes.
const MAX_LAYERS: usize = 500;

impl Check<'_> {
    pub(super) fn rootfs(&mut self) -> Rootfs {
        let written = &self.config.rootfs;
        let kind = self.root_kind();
        let overlay = written.overlay.as_ref().map(|overlay| {
            // Without `upper` a work directory says nothing yet, so that memory is what is meant.
            let upper = overlay.upper.clone().unwrap_or(config::OverlayUpper::Memory);
            self.overlay("rootfs.overlay", &upper, overlay.work.as_deref(), overlay.size.as_ref())
        });
        let below: &[HostPath] = match &kind {
            RootKind::Dir(path) => std::slice::from_ref(path),
            RootKind::Layers(layers) => layers,
            _ => &[],
        };
        if let Some(overlay) = &overlay {
            self.apart("rootfs.overlay", overlay, below);
        }
        Rootfs { kind, propagation: written.propagation.map_or(Propagation::Private, propagation), overlay }
    }

    fn root_kind(&mut self) -> RootKind {
        use config::RootfsKind as Kind;
        let written = &self.config.rootfs;
        let kind = written.kind.unwrap_or(match (&written.path, &written.layers) {
            (Some(_), _) => Kind::Dir,
            (None, Some(_)) => Kind::Layers,
            // Where the mounts are not the sandbox's own, neither is the root.
            (None, None) if self.shares_mounts() => Kind::Host,
            (None, None) => Kind::System,
        });
        if written.path.is_some() && kind != Kind::Dir {
            self.add("rootfs.path", "is for kind = \"dir\" only");
        }
        if written.layers.is_some() && kind != Kind::Layers {
            self.add("rootfs.layers", "is for kind = \"layers\" only");
        }
        match kind {
            Kind::System => RootKind::System,
            Kind::Host => RootKind::Host,
            Kind::Empty => RootKind::Empty,
            Kind::Dir => match &written.path {
                Some(path) => RootKind::Dir(self.host_path("rootfs.path", path)),
                None => {
                    self.add("rootfs.path", "is required for kind = \"dir\"");
                    RootKind::Empty
                }
            },
            Kind::Layers => match &written.layers {
                Some(layers) => RootKind::Layers(self.layers("rootfs.layers", layers)),
                None => {
                    self.add("rootfs.layers", "is required for kind = \"layers\"");
                    RootKind::Empty
                }
            },
        }
    }

    fn shares_mounts(&self) -> bool {
        matches!(self.config.namespaces.mount, Some(config::Namespace::Host | config::Namespace::Join(_)))
    }

    /// The directories of a stack, highest precedence first.
    pub(super) fn layers(&mut self, key: &str, written: &[PathBuf]) -> Vec<HostPath> {
        if written.is_empty() || written.len() > MAX_LAYERS {
            self.add(key, format_args!("must be 1 to {MAX_LAYERS} directories, got {}", written.len()));
            return Vec::new();
        }
        let mut layers = Vec::with_capacity(written.len());
        for (index, path) in written.iter().enumerate() {
            let key = format!("{key}[{index}]");
            let layer = self.host_path(&key, path);
            if let Some(other) = layers.iter().position(|other| *other == layer) {
                self.add(&key, format_args!("is the same directory as [{other}]"));
            }
            layers.push(layer);
        }
        layers
    }

    pub(super) fn overlay(
        &mut self,
        key: &str,
        upper: &config::OverlayUpper,
        work: Option<&Path>,
        size: Option<&Bytes>,
    ) -> Overlay {
        let upper = match upper {
            config::OverlayUpper::Memory => {
                if work.is_some() {
                    self.add(format!("{key}.work"), "is for a directory as upper only");
                }
                OverlayUpper::Memory
            }
            config::OverlayUpper::Dir(path) => {
                if size.is_some() {
                    self.add(format!("{key}.size"), "is for upper = \"memory\" only");
                }
                let upper = self.host_path(&format!("{key}.upper"), path);
                let work_key = format!("{key}.work");
                let work = match work {
                    Some(work) => self.host_path(&work_key, work),
                    None => upper.with_suffix(".work"),
                };
                if work.overlaps(&upper) {
                    self.add(work_key, "must be apart from upper: neither the same nor one inside the other");
                }
                OverlayUpper::Dir { upper, work }
            }
        };
        let size = self.size(&format!("{key}.size"), size).unwrap_or(DEFAULT_MEMORY_SIZE);
        Overlay { upper, size }
    }

    /// What an overlay writes to must not be what it shows.
    pub(super) fn apart(&mut self, key: &str, overlay: &Overlay, below: &[HostPath]) {
        let OverlayUpper::Dir { upper, .. } = &overlay.upper else { return };
        if below.iter().any(|layer| layer.overlaps(upper)) {
            self.add(
                format!("{key}.upper"),
                "must be apart from the directories below: neither the same nor one inside the other",
            );
        }
    }
}

pub(super) fn propagation(written: config::Propagation) -> Propagation {
    match written {
        config::Propagation::Private => Propagation::Private,
        config::Propagation::Slave => Propagation::Slave,
        config::Propagation::Shared => Propagation::Shared,
        config::Propagation::Unbindable => Propagation::Unbindable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Namespace;

    #[test]
    fn joined_mounts_mean_the_host_root() {
        let mut config = config::SandboxConfig::default();
        config.namespaces.mount = Some(config::Namespace::Host);
        let spec = crate::spec::validate(&config, Path::new("/")).expect("valid");
        assert_eq!((spec.namespaces.mount, spec.rootfs.kind), (Namespace::Host, RootKind::Host));
    }
}
