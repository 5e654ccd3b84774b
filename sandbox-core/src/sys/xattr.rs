//! Owns: the calls for extended attributes of what is at a path itself, link or not.  Must not: interpret any.

use std::ffi::{CStr, CString};

use nix::errno::Errno;

/// The kernel's limit for one value and for the list of names (xattr(7)).
const MOST: usize = 64 << 10;

/// `lgetxattr(path, name)`.
pub(crate) fn get(path: &CStr, name: &CStr) -> nix::Result<Vec<u8>> {
    let mut value = vec![0u8; 256];
    loop {
        // SAFETY: path and name are NUL-terminated, and the buffer is as long as is said.
        let got = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        match Errno::result(got) {
            Err(Errno::ERANGE) if value.len() < MOST => value.resize(MOST, 0),
            Err(errno) => return Err(errno),
            Ok(length) => {
                value.truncate(usize::try_from(length).unwrap_or(0));
                return Ok(value);
            }
        }
    }
}

/// `llistxattr(path)`.
pub(crate) fn list(path: &CStr) -> nix::Result<Vec<CString>> {
    let mut names = vec![0u8; 1024];
    loop {
        // SAFETY: the path is NUL-terminated, and the buffer is as long as is said.
        let got = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
        match Errno::result(got) {
            Err(Errno::ERANGE) if names.len() < MOST => names.resize(MOST, 0),
            Err(errno) => return Err(errno),
            Ok(length) => {
                names.truncate(usize::try_from(length).unwrap_or(0));
                return Ok(split(&names));
            }
        }
    }
}

/// Names as the kernel lists them, each with its NUL.
pub(crate) fn split(names: &[u8]) -> Vec<CString> {
    let names = names.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names.filter_map(|name| CString::new(name).ok()).collect()
}

/// `lsetxattr(path, name, value, 0)`.
pub(crate) fn set(path: &CStr, name: &CStr, value: &[u8]) -> nix::Result<()> {
    // SAFETY: path and name are NUL-terminated, and the value is as long as is said.
    let done = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(done).map(drop)
}
