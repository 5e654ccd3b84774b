//! Owns: which id maps a sandbox gets, who can write them, and the text they are written as.
//! Must not: do I/O; the facts are in [`HostCaps`], the writing is the launch's.
//! Start at: [`settle`].
//!
//! The rules are the kernel's (user_namespaces(7), `map_write` and `new_idmap_permitted` in `kernel/user_namespace.c`)
//! and newuidmap(1)'s. All `outside` ids are ids as this process sees them, which need not be those of the initial
//! user namespace: Pinfold may itself run in one.

mod maps;
mod writer;

use crate::host::HostCaps;
use crate::spec::{IdRange, Identity};
use crate::{Error, ErrorKind, Result, Stage};

pub(crate) use maps::{map_text, of_init, to_inside, to_outside};
pub(crate) use writer::MapWriter;

/// Where a root host without a subordinate range takes ids from (API.md 1): far above those that anyone hands out
/// (systemd's container ids end at 0x6FFEFFFF, its documentation `UIDS-GIDS` lists who uses what).
pub(crate) const DEFAULT_FIRST: u32 = 0x6FFF_0000;

/// How many ids a root host gives to a sandbox.
pub(crate) const DEFAULT_COUNT: u32 = 65_536;

/// In a user namespace of our own: ids below this may belong to programs and users of the container around us.
const TAKEN_BELOW: u32 = 0x8000;

/// `nobody`, which stands for every id that is not mapped: never part of a range we pick.
const OVERFLOW_ID: u32 = 65_534;

/// The maps a sandbox gets, and how they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdMaps {
    pub uid: Vec<IdRange>,
    pub gid: Vec<IdRange>,
    /// Who writes both.
    pub writer: MapWriter,
    /// Whether `deny` is written to `/proc/PID/setgroups` before the gid map. The payload's supplementary groups are
    /// then those of the host process, which nobody can drop.
    pub deny_setgroups: bool,
    uid_reason: &'static str,
    gid_reason: &'static str,
}

impl IdMaps {
    /// The uid map in words: `0-65535 -> 1879048192-1879113727 (ids that no user of this host has)`.
    pub(crate) fn describe_uids(&self) -> String {
        format!("{} ({})", maps::in_words(&self.uid), self.uid_reason)
    }

    /// The gid map in words.
    pub(crate) fn describe_gids(&self) -> String {
        format!("{} ({})", maps::in_words(&self.gid), self.gid_reason)
    }
}

/// Users or groups. What differs between them, in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Uid,
    Gid,
}

impl Kind {
    /// The config key of the map.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Uid => "identity.uid_map",
            Self::Gid => "identity.gid_map",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Gid => "gid",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Uid => "/etc/subuid",
            Self::Gid => "/etc/subgid",
        }
    }

    fn helper(self) -> &'static str {
        match self {
            Self::Uid => "newuidmap",
            Self::Gid => "newgidmap",
        }
    }

    /// The caller's own id.
    fn own(self, host: &HostCaps) -> u32 {
        match self {
            Self::Uid => host.euid,
            Self::Gid => host.egid,
        }
    }

    /// The map of the user namespace this process is in.
    fn host_map(self, host: &HostCaps) -> &[(u32, u32, u32)] {
        match self {
            Self::Uid => &host.uid_map,
            Self::Gid => &host.gid_map,
        }
    }

    fn subids(self, host: &HostCaps) -> &[(u32, u32)] {
        match self {
            Self::Uid => &host.subuid,
            Self::Gid => &host.subgid,
        }
    }

    fn helper_path(self, host: &HostCaps) -> bool {
        match self {
            Self::Uid => host.newuidmap.is_some(),
            Self::Gid => host.newgidmap.is_some(),
        }
    }
}

/// The maps for this identity on this host: its explicit ones, checked, or the defaults of API.md 1.
///
/// # Errors
/// `unsupported` with a remedy where nobody could write the maps or host uid 0 would be mapped without
/// `identity.host_root`; `config` where a map is no map or leaves out an id the payload is to have.
pub(crate) fn settle(identity: &Identity, host: &HostCaps) -> Result<IdMaps> {
    let (uid, uid_reason) = match &identity.uid_map {
        Some(map) => (map.clone(), "as asked for"),
        None => default_map(host, Kind::Uid, identity.uid, identity.host_root),
    };
    let (gid, gid_reason) = match &identity.gid_map {
        Some(map) => (map.clone(), "as asked for"),
        None => default_map(host, Kind::Gid, identity.gid, identity.host_root),
    };
    check_ids(Kind::Uid, &uid, identity.uid, "identity.uid")?;
    check_ids(Kind::Gid, &gid, identity.gid, "identity.gid")?;
    check_host_root(host, &uid, identity)?;

    let writer = writer::writer(host, &uid, &gid)?;
    let deny_setgroups = writer::must_deny_setgroups(host, writer, &gid);
    if deny_setgroups && !identity.groups.is_empty() {
        return Err(Error::unsupported(
            "identity.groups",
            "supplementary groups can't be set: the gid map is written without privileges, so the kernel denies setgroups",
        )
        .with_hint(writer::range_hint(host, Kind::Gid, DEFAULT_COUNT)));
    }
    for group in &identity.groups {
        check_ids(Kind::Gid, &gid, *group, "identity.groups")?;
    }
    Ok(IdMaps { uid, gid, writer, deny_setgroups, uid_reason, gid_reason })
}

/// Unprivileged: the caller's id. Root: a range set aside for us, else ids that nobody uses, else (in a user namespace
/// that has none to spare) its own id, which is then not the host's uid 0.
fn default_map(host: &HostCaps, kind: Kind, inside: u32, host_root: bool) -> (Vec<IdRange>, &'static str) {
    let own = |reason| (vec![IdRange { inside, outside: kind.own(host), count: 1 }], reason);
    if host.euid != 0 {
        return own("the caller's own id");
    }
    if host_root {
        return own("the caller's own id, as identity.host_root asks");
    }
    if !writer::may_write_any(host) {
        return own("the caller's own id: ranges need CAP_SETUID and CAP_SETGID, which this process lacks");
    }
    let spare =
        |&(first, count): &(u32, u32)| maps::is_mapped(kind.host_map(host), first, count).then_some((first, count));
    if let Some((first, count)) = kind.subids(host).iter().filter(|(first, _)| *first != 0).find_map(spare) {
        return (ranges(inside, first, count), "the range of \"pinfold\" or \"root\" in /etc/subuid and /etc/subgid");
    }
    if let Some((first, count)) = spare(&(DEFAULT_FIRST, DEFAULT_COUNT)) {
        return (ranges(inside, first, count), "ids that no user of this host has");
    }
    if let Some((first, count)) = spare_in_own_namespace(kind.host_map(host)) {
        return (ranges(inside, first, count), "the upper ids of the user namespace around us");
    }
    own("the caller's own id: the user namespace around us has none to spare")
}

/// `count` ids from 0 inside, and `inside` too if it lies above them: the last id of the range is then its own line.
fn ranges(inside: u32, first: u32, count: u32) -> Vec<IdRange> {
    if inside < count {
        return vec![IdRange { inside: 0, outside: first, count }];
    }
    let last = IdRange { inside, outside: first + (count - 1), count: 1 };
    if count == 1 { vec![last] } else { vec![IdRange { inside: 0, outside: first, count: count - 1 }, last] }
}

/// The longest run of ids of our own user namespace that are not likely to be used in it; at most `DEFAULT_COUNT`,
/// taken from its upper end.
fn spare_in_own_namespace(map: &[(u32, u32, u32)]) -> Option<(u32, u32)> {
    let above = |lowest: u32, (first, _, count): (u32, u32, u32)| {
        let end = first.checked_add(count)?;
        let start = first.max(lowest);
        (start < end).then(|| (start, end - start))
    };
    map.iter()
        .flat_map(|&extent| {
            let below_nobody = above(TAKEN_BELOW, extent).and_then(|(start, count)| {
                let end = (start + count).min(OVERFLOW_ID);
                (start < end).then(|| (start, end - start))
            });
            [below_nobody, above(OVERFLOW_ID + 1, extent)]
        })
        .flatten()
        .max_by_key(|&(first, count)| (count.min(DEFAULT_COUNT), first))
        .map(|(first, count)| {
            let take = count.min(DEFAULT_COUNT);
            (first + (count - take), take)
        })
}

/// The ids a payload is to have must have a counterpart outside.
fn check_ids(kind: Kind, map: &[IdRange], id: u32, origin: &str) -> Result<()> {
    maps::check(kind, map)?;
    if to_outside(map, id).is_some() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Config,
        Stage::Settle,
        format!("{} {id} is not in {}, so it stands for nobody outside", kind.name(), kind.key()),
    )
    .with_origin(origin)
    .with_hint(format!("add a line to {} whose `inside` range contains {id}", kind.key())))
}

/// Whoever can become host uid 0 is one kernel bug nearer to owning the host; it must be asked for by name.
fn check_host_root(host: &HostCaps, map: &[IdRange], identity: &Identity) -> Result<()> {
    // Uid 0 of the initial user namespace, as far as our own map can tell.
    let root_as_we_see_it = host.uid_map.iter().find(|(_, outside, _)| *outside == 0).map(|(first, _, _)| *first);
    let mapped = root_as_we_see_it.is_some_and(|id| to_inside(map, id).is_some());
    if identity.host_root || !mapped {
        return Ok(());
    }
    let explicit = identity.uid_map.is_some();
    Err(Error::unsupported(
        Kind::Uid.key(),
        if explicit {
            "the map contains uid 0 of the host"
        } else {
            "the payload would be uid 0 of the host: this process is root without CAP_SETUID and CAP_SETGID, so only its own id can be mapped"
        },
    )
    .with_hint(if explicit {
        "map another range (for example outside = 100000), or say identity.host_root = true if that is meant"
    } else {
        "give this process CAP_SETUID and CAP_SETGID, run it as another user, or say identity.host_root = true if that is meant"
    }))
}

#[cfg(test)]
mod tests;
