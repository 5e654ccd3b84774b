//! Owns: maps as arithmetic: well-formed or not, translation both ways, and the text the kernel reads.

use std::fmt::Write as _;

use super::Kind;
use crate::spec::IdRange;
use crate::{Error, ErrorKind, Result, Stage};

/// The kernel takes at most this many lines (`UID_GID_MAP_MAX_EXTENTS`, since 4.15) ..
const MOST_LINES: usize = 340;

/// .. and less than a page in the one write that is allowed (user_namespaces(7)); pages are at least this long.
const MOST_BYTES: usize = 4096;

/// The one id that is no id (`(uid_t) -1`).
const NO_ID: u32 = u32::MAX;

/// Refuses what the kernel would refuse with a bare EINVAL: empty, overlapping, overflowing or overlong maps.
pub(super) fn check(kind: Kind, map: &[IdRange]) -> Result<()> {
    let refuse = |index: Option<usize>, message: String| {
        let origin = index.map_or_else(|| kind.key().to_owned(), |i| format!("{}[{i}]", kind.key()));
        Err(Error::new(ErrorKind::Config, Stage::Settle, message).with_origin(origin))
    };
    if map.is_empty() {
        return refuse(None, "a map needs at least one range".to_owned());
    }
    for (i, range) in map.iter().enumerate() {
        if range.count == 0 {
            return refuse(Some(i), "a range needs a count of at least 1".to_owned());
        }
        // The kernel wants first + count to fit, which also keeps the id -1 out.
        for (side, first) in [("inside", range.inside), ("outside", range.outside)] {
            if first.checked_add(range.count).is_none() {
                return refuse(
                    Some(i),
                    format!("{} ids from {side} = {first} end above the last id, {}", range.count, NO_ID - 1),
                );
            }
        }
        for (j, other) in map.iter().enumerate().take(i) {
            for (side, a, b) in [("inside", range.inside, other.inside), ("outside", range.outside, other.outside)] {
                if overlap((a, range.count), (b, other.count)) {
                    return refuse(Some(i), format!("its {side} ids overlap those of {}[{j}]", kind.key()));
                }
            }
        }
    }
    let bytes = map_text(map).len();
    if map.len() > MOST_LINES || bytes >= MOST_BYTES {
        return refuse(
            None,
            format!(
                "{} ranges ({bytes} bytes as text) are more than the kernel takes ({MOST_LINES} ranges, {} bytes)",
                map.len(),
                MOST_BYTES - 1
            ),
        );
    }
    Ok(())
}

/// (first, count) pairs that are known not to overflow.
fn overlap(a: (u32, u32), b: (u32, u32)) -> bool {
    a.0 < b.0.saturating_add(b.1) && b.0 < a.0.saturating_add(a.1)
}

/// `inside outside count` and a newline per range, as `/proc/PID/uid_map` takes it and `newuidmap` takes it as arguments.
pub(crate) fn map_text(map: &[IdRange]) -> String {
    map.iter().fold(String::new(), |mut text, range| {
        // Writing to a String can't fail.
        if writeln!(text, "{} {} {}", range.inside, range.outside, range.count).is_err() {
            text.clear();
        }
        text
    })
}

/// `0-65535 -> 100000-165535, 70000 -> 5`, for people.
pub(super) fn in_words(map: &[IdRange]) -> String {
    let side = |first: u32, count: u32| match count {
        0 | 1 => first.to_string(),
        n => format!("{first}-{}", u64::from(first) + u64::from(n) - 1),
    };
    let ranges: Vec<String> = map
        .iter()
        .map(|range| format!("{} -> {}", side(range.inside, range.count), side(range.outside, range.count)))
        .collect();
    ranges.join(", ")
}

/// The outside id that `id` inside stands for.
pub(crate) fn to_outside(map: &[IdRange], id: u32) -> Option<u32> {
    map.iter().find_map(|range| shift(range.inside, range.outside, range.count, id))
}

/// What PID 1 is inside: the sandbox's root where the map has one, else the payload's `id`.
pub(crate) fn of_init(map: &[IdRange], id: u32) -> u32 {
    if to_outside(map, 0).is_some() { 0 } else { id }
}

/// The inside id that stands for `id` outside.
pub(crate) fn to_inside(map: &[IdRange], id: u32) -> Option<u32> {
    map.iter().find_map(|range| shift(range.outside, range.inside, range.count, id))
}

fn shift(from: u32, to: u32, count: u32, id: u32) -> Option<u32> {
    let offset = id.checked_sub(from).filter(|offset| *offset < count)?;
    to.checked_add(offset)
}

/// Whether `count` ids from `first` exist in a user namespace with this map. The kernel wants them in one extent
/// (`map_id_range_down`).
pub(super) fn is_mapped(map: &[(u32, u32, u32)], first: u32, count: u32) -> bool {
    let Some(last) = count.checked_sub(1).and_then(|n| first.checked_add(n)) else { return false };
    map.iter().any(|&(inside, _, n)| first >= inside && last - inside < n)
}

/// Whether `count` ids from `first` lie within these (first, count) ranges, which may adjoin or overlap.
pub(super) fn is_covered(ranges: &[(u32, u32)], first: u32, count: u32) -> bool {
    let end = u64::from(first) + u64::from(count);
    let mut at = u64::from(first);
    while at < end {
        let reach = ranges
            .iter()
            .filter(|&&(start, _)| u64::from(start) <= at)
            .map(|&(start, n)| u64::from(start) + u64::from(n))
            .max()
            .unwrap_or(0);
        if reach <= at {
            return false;
        }
        at = reach;
    }
    true
}
