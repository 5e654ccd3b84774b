//! Owns: which host paths the `system` root consists of, and what a link among them may stand for.
//! Must not: do I/O.
//! Start at: [`SYSTEM_PATHS`].

use std::path::{Component, Path, PathBuf};

/// Programs and libraries, and the public part of /etc, as API.md 1 lists them.
pub(super) const SYSTEM_PATHS: [&str; 22] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/terminfo",
];

/// Whether a link at `at` with this text leads to something that is also inside, so that it can be kept as a link.
///
/// Decided by words alone; a link that leads elsewhere is opened as what it points to.
pub(super) fn stays_inside(at: &Path, text: &Path) -> bool {
    let Some(target) = lexical_target(at, text) else { return false };
    target != at && SYSTEM_PATHS.iter().any(|root| target.starts_with(root) && Path::new(root) != at)
}

fn lexical_target(at: &Path, text: &Path) -> Option<PathBuf> {
    let mut target = at.parent()?.to_path_buf();
    for part in text.components() {
        match part {
            Component::RootDir => target = PathBuf::from("/"),
            Component::ParentDir => {
                target.pop();
            }
            Component::Normal(name) => target.push(name),
            Component::CurDir => {}
            Component::Prefix(_) => return None,
        }
    }
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_into_the_system_root_are_kept_and_others_are_followed() {
        for (at, text, kept) in [
            ("/bin", "usr/bin", true),
            ("/lib64", "/usr/lib64", true),
            ("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC", true),
            ("/etc/localtime", "../usr/share/zoneinfo/Etc/UTC", true),
            ("/etc/localtime", "../../../../usr/share/zoneinfo/UTC", true),
            ("/etc/ssl/certs", "../pki/tls/certs", false),
            ("/etc/ssl/certs", "../ca-certificates/extracted/cadir", true),
            ("/etc/localtime", "/home/me/zone", false),
            ("/etc/localtime", "localtime", false),
            ("/etc/localtime", "localtime/x", false),
            ("/bin", "/usrlocal", false),
            ("/bin", "", false),
        ] {
            assert_eq!(stays_inside(Path::new(at), Path::new(text)), kept, "{at} -> {text}");
        }
    }

    #[test]
    fn no_secret_is_on_the_list() {
        for path in ["/etc/ssl", "/etc", "/etc/shadow", "/home", "/root", "/var", "/run", "/"] {
            assert!(!SYSTEM_PATHS.contains(&path));
        }
    }
}
