//! Owns: who can write a map, or the sentence that says why nobody can.

use super::{Kind, maps};
use crate::host::{HostCaps, cap};
use crate::spec::IdRange;
use crate::{Error, Result};

/// Who writes the maps. One for both files, because the one who writes the second needs what the first needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapWriter {
    /// Init itself: one line each, count 1, its own outer id. Needs no privileges.
    Init,
    /// The embedding process, after init's READY record: it has CAP_SETUID and CAP_SETGID.
    Host,
    /// `newuidmap` and `newgidmap`, which are set-user-ID and obey /etc/subuid and /etc/subgid.
    Newidmap,
}

/// The way these maps can be written on this host. Expects maps that passed [`maps::check`].
pub(super) fn writer(host: &HostCaps, uid: &[IdRange], gid: &[IdRange]) -> Result<MapWriter> {
    for (kind, map) in [(Kind::Uid, uid), (Kind::Gid, gid)] {
        for (i, range) in map.iter().enumerate() {
            if !maps::is_mapped(kind.host_map(host), range.outside, range.count) {
                return Err(not_in_our_namespace(host, kind, i, range));
            }
        }
    }
    // Since 5.12: whoever maps our uid 0 into a namespace needs CAP_SETFCAP here, also for its own id
    // (`verify_root_map`): file capabilities written inside would be worth something outside.
    if maps_outside_zero(uid) && host.kernel_at_least(5, 12) && !host.has_capability(cap::SETFCAP) {
        return Err(Error::unsupported(Kind::Uid.key(), "mapping uid 0 needs CAP_SETFCAP, which this process lacks")
            .with_hint("give this process CAP_SETFCAP, or map other ids"));
    }
    // Where the host may write, it does, also what init could: setgroups then stays allowed and our groups are dropped.
    if may_write_any(host) {
        return Ok(MapWriter::Host);
    }
    if is_own_id(host, Kind::Uid, uid) && is_own_id(host, Kind::Gid, gid) {
        return Ok(MapWriter::Init);
    }
    newidmap(host, Kind::Uid, uid)?;
    newidmap(host, Kind::Gid, gid)?;
    Ok(MapWriter::Newidmap)
}

/// Whether this process may write any map of ids that it has itself (`new_idmap_permitted`).
pub(super) fn may_write_any(host: &HostCaps) -> bool {
    host.has_capability(cap::SETUID) && host.has_capability(cap::SETGID)
}

/// Whether setgroups must be denied: only a privileged writer may leave it allowed, and a namespace inherits a refusal.
pub(super) fn must_deny_setgroups(host: &HostCaps, writer: MapWriter, gid: &[IdRange]) -> bool {
    !host.setgroups_allowed
        || match writer {
            MapWriter::Init => true,
            MapWriter::Host => false,
            // newgidmap denies it by itself unless a range of /etc/subgid is used.
            MapWriter::Newidmap => !gid.iter().any(|range| maps::is_covered(&host.subgid, range.outside, range.count)),
        }
}

fn maps_outside_zero(map: &[IdRange]) -> bool {
    map.iter().any(|range| range.outside == 0)
}

fn is_own_id(host: &HostCaps, kind: Kind, map: &[IdRange]) -> bool {
    matches!(map, [only] if only.count == 1 && only.outside == kind.own(host))
}

/// Whether the set-user-ID helper of this kind would write the map.
fn newidmap(host: &HostCaps, kind: Kind, map: &[IdRange]) -> Result<()> {
    let own = kind.own(host);
    let refused = map.iter().enumerate().find(|(_, range)| {
        let is_own = range.count == 1 && range.outside == own;
        !is_own && !maps::is_covered(kind.subids(host), range.outside, range.count)
    });
    if let Some((i, range)) = refused {
        return Err(Error::unsupported(
            format!("{}[{i}]", kind.key()),
            format!(
                "{} {}s from {} are not in {}'s ranges of {} ({}), and this process lacks CAP_SETUID or CAP_SETGID",
                range.count,
                kind.name(),
                range.outside,
                user(host),
                kind.file(),
                in_words(kind.subids(host)),
            ),
        )
        .with_hint(format!(
            "add the line `{}:{}:{}` to {}, or leave {} out for a map of your own id",
            user(host),
            range.outside,
            range.count,
            kind.file(),
            kind.key(),
        )));
    }
    if !kind.helper_path(host) {
        return Err(Error::unsupported(
            kind.key(),
            format!("a range of {}s is written by {}, which is not installed", kind.name(), kind.helper()),
        )
        .with_hint(format!(
            "install it (Debian, Ubuntu: apt install uidmap; Fedora, RHEL: shadow-utils), or leave {} out for a map of your own id",
            kind.key()
        )));
    }
    if host.no_new_privs {
        return Err(Error::unsupported(
            kind.key(),
            format!("{} needs its set-user-ID bit, and this process runs with no_new_privs", kind.helper()),
        )
        .with_hint("start this process without no_new_privs (systemd: NoNewPrivileges=no)"));
    }
    Ok(())
}

fn not_in_our_namespace(host: &HostCaps, kind: Kind, index: usize, range: &IdRange) -> Error {
    let extents: Vec<(u32, u32)> = kind.host_map(host).iter().map(|&(first, _, count)| (first, count)).collect();
    Error::unsupported(
        format!("{}[{index}]", kind.key()),
        format!(
            "{} {}s from {} do not lie in one range of the user namespace this process is in, which has {}",
            range.count,
            kind.name(),
            range.outside,
            in_words(&extents),
        ),
    )
    .with_hint(format!("choose `outside` ids that this process has, as /proc/self/{}_map lists them", kind.name()))
}

/// How to get a range for this user; shown wherever a single map is not enough.
pub(super) fn range_hint(host: &HostCaps, kind: Kind, count: u32) -> String {
    let install = if kind.helper_path(host) {
        String::new()
    } else {
        format!(", and install {} (Debian, Ubuntu: apt install uidmap)", kind.helper())
    };
    match kind.subids(host).first() {
        Some((first, n)) => format!(
            "set {} to a range of yours from {} (outside = {first}, count = {n}){install}",
            kind.key(),
            kind.file()
        ),
        None => format!(
            "add a line such as `{}:100000:{count}` to {}{install}, then set {} to it",
            user(host),
            kind.file(),
            kind.key()
        ),
    }
}

fn user(host: &HostCaps) -> String {
    host.user.clone().unwrap_or_else(|| host.euid.to_string())
}

fn in_words(ranges: &[(u32, u32)]) -> String {
    if ranges.is_empty() {
        return "none".to_owned();
    }
    let words: Vec<String> = ranges
        .iter()
        .map(|&(first, count)| format!("{first}-{}", u64::from(first) + u64::from(count).saturating_sub(1)))
        .collect();
    words.join(", ")
}
