//! Owns: checking the section `identity`.

use super::Check;
use crate::config;
use crate::spec::{IdRange, Identity};

/// The payload's ids where none are given.
const DEFAULT_ID: u32 = 1000;
/// `(uid_t)-1` stands for "no id".
const NO_ID: u32 = u32::MAX;
/// `UID_GID_MAP_MAX_EXTENTS`.
const MAX_RANGES: usize = 340;
const MAX_GROUPS: usize = 64;

impl Check<'_> {
    pub(super) fn identity(&mut self) -> Identity {
        let written = &self.config.identity;
        let host_root = written.host_root.unwrap_or(false);
        let uid_map = self.id_map("identity.uid_map", written.uid_map.as_deref(), host_root);
        let gid_map = self.id_map("identity.gid_map", written.gid_map.as_deref(), host_root);
        if matches!(self.config.namespaces.user, Some(config::Namespace::Host | config::Namespace::Join(_))) {
            for (key, given) in [("identity.uid_map", uid_map.is_some()), ("identity.gid_map", gid_map.is_some())] {
                if given {
                    self.add_with_hint(
                        key,
                        "needs a user namespace of the sandbox's own",
                        "set namespaces.user = \"new\", or remove it",
                    );
                }
            }
        }
        let identity = Identity {
            uid: written.uid.unwrap_or(DEFAULT_ID),
            gid: written.gid.unwrap_or(DEFAULT_ID),
            groups: written.groups.clone(),
            uid_map,
            gid_map,
            host_root,
        };
        self.id("identity.uid", identity.uid, identity.uid_map.as_deref());
        self.id("identity.gid", identity.gid, identity.gid_map.as_deref());
        if identity.groups.len() > MAX_GROUPS {
            self.add("identity.groups", format_args!("must be at most {MAX_GROUPS}, got {}", identity.groups.len()));
        }
        for (index, group) in identity.groups.iter().enumerate() {
            self.id(&format!("identity.groups[{index}]"), *group, identity.gid_map.as_deref());
        }
        if self.config.namespaces.user == Some(config::Namespace::Host) && !host_root {
            let ids = [("identity.uid".to_owned(), identity.uid), ("identity.gid".to_owned(), identity.gid)];
            let groups = identity.groups.iter().enumerate().map(|(n, &group)| (format!("identity.groups[{n}]"), group));
            for (key, id) in ids.into_iter().chain(groups) {
                if id == 0 {
                    self.add_with_hint(
                        key,
                        "would be root on the host, because there is no user namespace",
                        "set identity.host_root = true if that is meant",
                    );
                }
            }
        }
        identity
    }

    fn id(&mut self, key: &str, id: u32, map: Option<&[IdRange]>) {
        if id == NO_ID {
            self.add(key, "must be 0 to 4294967294, got 4294967295");
        } else if let Some(map) = map
            && !map.iter().any(|range| id >= range.inside && id - range.inside < range.count)
        {
            let which = if key == "identity.uid" { "uid_map" } else { "gid_map" };
            self.add(key, format_args!("{id} is not an id inside, by identity.{which}"));
        }
    }

    fn id_map(&mut self, key: &str, written: Option<&[config::IdMapConfig]>, host_root: bool) -> Option<Vec<IdRange>> {
        let written = written?;
        if written.is_empty() {
            self.add(key, "must have at least one range");
        }
        if written.len() > MAX_RANGES {
            self.add(key, format_args!("must have at most {MAX_RANGES} ranges, got {}", written.len()));
            return None;
        }
        let mut map: Vec<IdRange> = Vec::new();
        let mut origins: Vec<usize> = Vec::new();
        for (index, range) in written.iter().enumerate() {
            let key = format!("{key}[{index}]");
            for (name, given) in [("inside", range.inside), ("outside", range.outside)] {
                if given.is_none() {
                    self.add(format!("{key}.{name}"), "is required");
                }
            }
            let (Some(inside), Some(outside)) = (range.inside, range.outside) else { continue };
            let range = IdRange { inside, outside, count: range.count.unwrap_or(1) };
            if range.count == 0 {
                self.add(format!("{key}.count"), "must be at least 1");
                continue;
            }
            let too_far = |first: u32| u64::from(first) + u64::from(range.count) > u64::from(NO_ID);
            if too_far(range.inside) || too_far(range.outside) {
                self.add(format!("{key}.count"), "the range must end at 4294967294 or before");
                continue;
            }
            let overlap = |a: u32, a_count: u32, b: u32, b_count: u32| {
                u64::from(a) < u64::from(b) + u64::from(b_count) && u64::from(b) < u64::from(a) + u64::from(a_count)
            };
            for (other, &origin) in map.iter().zip(&origins) {
                if overlap(range.inside, range.count, other.inside, other.count) {
                    self.problems.add(format!("{key}.inside"), format!("the range overlaps with that of [{origin}]"));
                }
                if overlap(range.outside, range.count, other.outside, other.count) {
                    self.problems.add(format!("{key}.outside"), format!("the range overlaps with that of [{origin}]"));
                }
            }
            if range.outside == 0 && !host_root {
                self.add_with_hint(
                    format!("{key}.outside"),
                    "must not be 0, which is root on the host",
                    "set identity.host_root = true if that is meant",
                );
            }
            map.push(range);
            origins.push(index);
        }
        // An id is only looked for in a map that is what was meant.
        (map.len() == written.len() && !map.is_empty()).then_some(map)
    }
}
