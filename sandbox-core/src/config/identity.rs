//! Owns: the section `identity`.  Must not: know which ids the host has.

use serde::{Deserialize, Serialize};

use super::or_default;
use super::values::InvalidValue;

/// The section `[identity]`: who the payload is, inside and on the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct IdentityConfig {
    /// The payload's user id inside: 0 to 4294967294. Default: 1000. Example: `uid = 0`.
    pub uid: Option<u32>,
    /// The payload's group id inside: 0 to 4294967294. Default: 1000. Example: `gid = 0`.
    pub gid: Option<u32>,
    /// The payload's supplementary groups inside, 64 at most. Default: none. Example: `groups = [44, 100]`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<u32>,
    /// Which user ids of the host stand behind those inside: 340 ranges at most, which must not overlap. A range beyond
    /// the caller's own id needs a privileged host process or a line in `/etc/subuid`. Default: the caller's own id
    /// alone; for a root host a range of 65,536 ids without host uid 0.
    /// Example: `uid_map = [{ inside = 0, outside = 100000, count = 65536 }]`.
    pub uid_map: Option<Vec<IdMapConfig>>,
    /// The same for groups, with `/etc/subgid`. Default: as for `uid_map`.
    /// Example: `gid_map = [{ inside = 0, outside = 100000, count = 65536 }]`.
    pub gid_map: Option<Vec<IdMapConfig>>,
    /// Whether the payload may be uid 0 (or gid 0) of the host. Without it such a map is refused. Default: false.
    /// Example: `host_root = true`.
    pub host_root: Option<bool>,
}

/// One range of an id map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct IdMapConfig {
    /// The first id inside. Required. Example: `inside = 0`.
    pub inside: Option<u32>,
    /// The first id on the host. Required. Example: `outside = 100000`.
    pub outside: Option<u32>,
    /// How many ids. Default: 1. Example: `count = 65536`.
    pub count: Option<u32>,
}

impl IdMapConfig {
    /// `count` ids from `inside` stand for those from `outside`.
    pub fn new(inside: u32, outside: u32, count: u32) -> Self {
        Self { inside: Some(inside), outside: Some(outside), count: Some(count) }
    }
}

/// The payload's user and perhaps group: `1000`, `(1000, 100)`, `"1000"` or `"1000:100"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The group id; none leaves the group as it is.
    pub gid: Option<u32>,
}

impl From<u32> for User {
    fn from(uid: u32) -> Self {
        Self { uid, gid: None }
    }
}

impl From<(u32, u32)> for User {
    fn from((uid, gid): (u32, u32)) -> Self {
        Self { uid, gid: Some(gid) }
    }
}

impl TryFrom<&str> for User {
    type Error = InvalidValue;

    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || InvalidValue::new(format!("must be UID or UID:GID in numbers, got {text:?}"));
        let id = |digits: &str| {
            // `+5` parses as a number and is none.
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u32>().ok()).flatten().ok_or_else(invalid)
        };
        match text.split_once(':') {
            Some((uid, gid)) => Ok(Self { uid: id(uid)?, gid: Some(id(gid)?) }),
            None => Ok(Self { uid: id(text)?, gid: None }),
        }
    }
}
