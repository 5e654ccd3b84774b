//! Owns: which extended attributes of a file are part of it, and those that contain ids, with the ids of the inside.
//! Must not: read or write any.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};

use super::Ids;
use super::directory::Directory;

/// The attributes that are part of a file. What overlayfs notes for itself is not; what the payload has named alike is
/// kept: overlayfs has put one more `overlay.` before it.
pub(super) fn of(directory: &Directory, name: &OsStr, ids: &Ids) -> nix::Result<BTreeMap<CString, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for key in directory.xattr_names(name)? {
        if is_part(key.to_bytes())
            && let Some(value) = directory.xattr(name, &key)?
        {
            let value = inside(key.to_bytes(), value, ids);
            found.insert(key, value);
        }
    }
    Ok(found)
}

fn is_part(key: &[u8]) -> bool {
    match key.strip_prefix(b"user.overlay.") {
        Some(rest) => rest.starts_with(b"overlay."),
        None => key.starts_with(b"user.") || key == b"security.capability" || key.starts_with(b"system.posix_acl_"),
    }
}

fn inside(key: &[u8], value: Vec<u8>, ids: &Ids) -> Vec<u8> {
    if key == b"security.capability" {
        capability(value, ids)
    } else if key.starts_with(b"system.posix_acl_") {
        access_list(value, ids)
    } else {
        value
    }
}

/// `struct vfs_ns_cap_data` (24 bytes, revision 3, the last word the namespace's root) becomes `vfs_cap_data` (20 bytes,
/// revision 2) where that root is the sandbox's.
fn capability(mut value: Vec<u8>, ids: &Ids) -> Vec<u8> {
    const REVISION: u8 = 3;
    if let ([_, _, _, REVISION], Some(root)) = (value.get(..4).unwrap_or_default(), word(&value, 20))
        && value.len() == 24
        && ids.uid(root) == 0
    {
        value.truncate(20);
        if let Some(revision) = value.get_mut(3) {
            *revision = 2;
        }
    }
    value
}

/// A u32 of version, then entries of (u16 tag, u16 permissions, u32 id), of which those for a user or a group have ids.
fn access_list(mut value: Vec<u8>, ids: &Ids) -> Vec<u8> {
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;
    for entry in value.get_mut(4..).unwrap_or_default().chunks_exact_mut(8) {
        if let [tag0, tag1, _, _, id @ ..] = entry
            && let Some(old) = word(id, 0)
        {
            let new = match u16::from_le_bytes([*tag0, *tag1]) {
                USER => ids.uid(old),
                GROUP => ids.gid(old),
                _ => old,
            };
            id.copy_from_slice(&new.to_le_bytes());
        }
    }
    value
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_overlayfs_are_no_part_of_a_file() {
        for (key, part) in [
            ("user.mime_type", true),
            ("user.overlay.origin", false),
            ("user.overlay.opaque", false),
            ("user.overlay.overlay.opaque", true),
            ("trusted.overlay.origin", false),
            ("security.selinux", false),
            ("security.capability", true),
            ("system.posix_acl_access", true),
        ] {
            assert_eq!(is_part(key.as_bytes()), part, "{key}");
        }
    }

    #[test]
    fn a_capability_of_another_root_stays_what_it_is() {
        let mut value = vec![1, 0, 0, 3];
        value.extend_from_slice(&[0; 16]);
        value.extend_from_slice(&7u32.to_le_bytes());
        assert_eq!(capability(value.clone(), &Ids::Same), value, "root 7 is not the sandbox's root");
        value[20] = 0;
        let short = capability(value, &Ids::Same);
        assert_eq!((short.len(), short[3]), (20, 2));
        assert_eq!(capability(vec![1, 2], &Ids::Same), [1, 2], "too short to be one");
    }
}
