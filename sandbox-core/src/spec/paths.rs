//! Owns: making checked paths.  Must not: touch a file system: `..` on a host path is resolved by its text.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::{GuestPath, HostPath};

/// `PATH_MAX` without the NUL.
pub(crate) const MAX_PATH: usize = 4095;
/// `NAME_MAX`.
const MAX_NAME: usize = 255;

impl HostPath {
    /// `path` as seen from `base`, which is only used when `path` is relative.
    pub(crate) fn new(base: &Path, path: &Path) -> Result<Self, String> {
        check_bytes(path)?;
        let joined = base.join(path);
        if !joined.is_absolute() {
            return Err(format!("must be absolute, because nothing says what it is relative to, got {path:?}"));
        }
        let mut resolved = PathBuf::from("/");
        for component in joined.components() {
            match component {
                Component::ParentDir => {
                    resolved.pop();
                }
                Component::Normal(name) => resolved.push(name),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        check_bytes(&resolved)?;
        Ok(Self(resolved))
    }

    /// This path with `suffix` added to its last name.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        let mut path = self.0.clone().into_os_string();
        path.push(suffix);
        Self(path.into())
    }

    /// Whether one of the two is the other or is below it.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }
}

impl GuestPath {
    /// An absolute path inside, normalised.
    pub(crate) fn new(path: &Path) -> Result<Self, String> {
        check_bytes(path)?;
        if !path.is_absolute() {
            return Err(format!("must be absolute, got {path:?}"));
        }
        if path.components().any(|component| component == Component::ParentDir) {
            return Err(format!("must not contain \"..\", got {path:?}"));
        }
        // Components leave out `.`, doubled and trailing slashes.
        Ok(Self(path.components().collect()))
    }

    /// `path`, which is relative to `parent` or absolute and below it.
    pub(crate) fn below(parent: &Self, path: &Path) -> Result<Self, String> {
        let joined = Self::new(&parent.0.join(path))?;
        if path.as_os_str().is_empty() || joined == *parent || !joined.0.starts_with(&parent.0) {
            return Err(format!("must be below {:?}, got {path:?}", parent.0));
        }
        Ok(joined)
    }

    /// Whether this is `/`.
    pub(crate) fn is_root(&self) -> bool {
        self.0.as_os_str() == "/"
    }
}

/// What holds for every path handed to the kernel.
fn check_bytes(path: &Path) -> Result<(), String> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if bytes.contains(&0) {
        return Err(format!("must not contain a NUL byte, got {path:?}"));
    }
    if bytes.len() > MAX_PATH {
        return Err(format!("must be at most {MAX_PATH} bytes long, got {}", bytes.len()));
    }
    if let Some(name) = bytes.split(|b| *b == b'/').find(|name| name.len() > MAX_NAME) {
        return Err(format!("each name in it must be at most {MAX_NAME} bytes long, got one of {}", name.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(base: &str, path: &str) -> Result<String, String> {
        HostPath::new(Path::new(base), Path::new(path)).map(|p| p.as_path().display().to_string())
    }

    fn guest(path: &str) -> Result<String, String> {
        GuestPath::new(Path::new(path)).map(|p| p.as_path().display().to_string())
    }

    #[test]
    fn host_paths_are_absolute_and_plain() {
        assert_eq!(host("/base", "data"), Ok("/base/data".into()));
        assert_eq!(host("/base", "./a//b/../c/"), Ok("/base/a/c".into()));
        assert_eq!(host("/base", "../../../x"), Ok("/x".into()));
        assert_eq!(host("/base", "/"), Ok("/".into()));
        assert_eq!(host("", "/x"), Ok("/x".into()));
        assert!(host("", "x").is_err_and(|e| e.starts_with("must be absolute")));
        assert_eq!(host("/", ""), Err("must not be empty".into()));
        assert_eq!(host("/", "a\0b"), Err("must not contain a NUL byte, got \"a\\0b\"".into()));
        assert_eq!(host("/", &"a/".repeat(2048)), Err("must be at most 4095 bytes long, got 4096".into()));
        assert_eq!(
            host("/", &"a".repeat(256)),
            Err("each name in it must be at most 255 bytes long, got one of 256".into())
        );
    }

    #[test]
    fn guest_paths_are_normalised() {
        assert_eq!(guest("/a//b/./c/"), Ok("/a/b/c".into()));
        assert_eq!(guest("/"), Ok("/".into()));
        assert_eq!(guest("data"), Err("must be absolute, got \"data\"".into()));
        assert_eq!(guest("/a/../b"), Err("must not contain \"..\", got \"/a/../b\"".into()));
        assert!(GuestPath::new(Path::new("//")).is_ok_and(|p| p.is_root()));
    }
}
