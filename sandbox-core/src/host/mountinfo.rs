//! Owns: reading the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
//! Must not: do I/O, or trust a byte of it: mount points are named by whoever could mount.
//! Start at: [`parse`].

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mount as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountEntry {
    pub id: u32,
    pub parent: u32,
    /// The path within the file system that is mounted here.
    pub root: PathBuf,
    pub mount_point: PathBuf,
    /// Options of the mount itself (`rw`, `nosuid`, `relatime` ..).
    pub options: Vec<String>,
    /// Whether the mount or the file system below it is read-only.
    pub read_only: bool,
    pub fstype: String,
    /// Options of the super block (`rw`, `cpu`, `mode=755` ..).
    pub super_options: Vec<String>,
}

/// All well-formed lines, in the kernel's order. Anything else is skipped: a fact that can't be read is absent.
pub(crate) fn parse(text: &[u8]) -> Vec<MountEntry> {
    text.split(|&b| b == b'\n').filter_map(entry).collect()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn entry(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|&b| b == b' ').filter(|f| !f.is_empty());
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    fields.next()?; // major:minor
    let root = path(fields.next()?);
    let mount_point = path(fields.next()?);
    let options = list(fields.next()?);
    // Any number of optional fields (`shared:1`) up to the dash.
    fields.find(|&f| f == b"-")?;
    let fstype = String::from_utf8_lossy(&unescape(fields.next()?)).into_owned();
    fields.next()?; // source
    let super_options = fields.next().map(list).unwrap_or_default();
    let read_only = options.iter().chain(&super_options).any(|o| o == "ro");
    Some(MountEntry { id, parent, root, mount_point, options, read_only, fstype, super_options })
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn path(field: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(unescape(field)))
}

fn list(field: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(field).split(',').map(str::to_owned).collect()
}

/// Space, tab, newline and backslash are written as `\040`, `\011`, `\012`, `\134`; `#` as `\043`.
pub(crate) fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_manual_page_shows() {
        let text = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:2 - ext3 /dev/root ro,errors=continue\n";
        let [entry] = parse(text).try_into().expect("one line");
        assert_eq!((entry.id, entry.parent), (36, 35));
        assert_eq!(entry.root, Path::new("/mnt1"));
        assert_eq!(entry.mount_point, Path::new("/mnt2"));
        assert!(entry.read_only, "the super block is read-only");
        assert_eq!(entry.fstype, "ext3");
        assert_eq!(entry.super_options, ["ro", "errors=continue"]);
    }

    #[test]
    fn paths_with_spaces_newlines_and_backslashes_come_back() {
        let text = br"1 0 0:1 / /a\040b\012c\134d\999 rw - tmpfs tmpfs rw";
        assert_eq!(parse(text)[0].mount_point, Path::new("/a b\nc\\d\\999"));
    }

    #[test]
    fn half_a_line_is_skipped_and_the_next_one_read() {
        let text = b"1 0 0:1 / /a rw\nx y\n\n2 1 0:2 / /b rw - proc proc rw\n";
        let found = parse(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].mount_point, Path::new("/b"));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            parse(&text);
            unescape(&text);
        }

        #[test]
        fn a_line_of_any_fields_never_panics(line in r"[0-9]{1,12} [0-9]{1,3} [0-9:]{1,4} /\PC{0,20} /[\\0-9a-z ]{0,20} [a-z,]{0,9} - \PC{0,20}") {
            parse(line.as_bytes());
        }

        #[test]
        fn escaping_round_trips(name in proptest::collection::vec(any::<u8>(), 0..60)) {
            let escaped: Vec<u8> = name.iter().flat_map(|b| match b {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{b:03o}").into_bytes(),
                other => vec![*other],
            }).collect();
            prop_assert_eq!(unescape(&escaped), name);
        }
    }
}
