//! Owns: asking the kernel which version of Landlock it speaks.  Must not: restrict anything.

#![allow(unsafe_code)]

/// `LANDLOCK_CREATE_RULESET_VERSION` of `<linux/landlock.h>`: return the ABI version instead of a ruleset.
const CREATE_RULESET_VERSION: libc::c_ulong = 1;

/// The Landlock ABI version of the running kernel; 0 where it is not built in (ENOSYS) or not enabled (EOPNOTSUPP).
///
/// Source: landlock_create_ruleset(2).
pub(crate) fn landlock_abi() -> u32 {
    // SAFETY: with a null attribute, size 0 and the VERSION flag the kernel reads and writes no memory of ours and
    // makes no descriptor; the constants in this call are what keeps that so.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0 as libc::size_t,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(version).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn asking_twice_gives_the_same_small_number() {
        let first = super::landlock_abi();
        assert_eq!(first, super::landlock_abi());
        assert!(first < 1000, "not a version: {first}");
    }
}
