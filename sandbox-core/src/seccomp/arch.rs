//! Owns: the architectures a filter can be made for. Must not: know any system call.

/// `AUDIT_ARCH_*` of the 32-bit sibling of x86_64, whose calls have other numbers.
pub(crate) const AUDIT_I386: u32 = 0x4000_0003;
/// `AUDIT_ARCH_*` of the 32-bit sibling of aarch64.
pub(crate) const AUDIT_ARM: u32 = 0x4000_0028;
/// Numbers from here on are x32 calls on x86_64: the same architecture word, other argument layouts.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// An architecture with a table of system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Arch {
    X86_64,
    Aarch64,
}

impl Arch {
    /// The architecture this library is compiled for; `None` where there is no table for it.
    pub(crate) const fn native() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// The value of `seccomp_data.arch`.
    pub(crate) const fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xC000_003E,
            Self::Aarch64 => 0xC000_00B7,
        }
    }

    /// The 32-bit architecture the same kernel may also run: its programs are told ENOSYS instead of being killed.
    pub(crate) const fn sibling(self) -> u32 {
        match self {
            Self::X86_64 => AUDIT_I386,
            Self::Aarch64 => AUDIT_ARM,
        }
    }

    /// The first number of a second set of calls under the same architecture word, if there is one.
    pub(crate) const fn second_abi(self) -> Option<u32> {
        match self {
            Self::X86_64 => Some(X32_BIT),
            Self::Aarch64 => None,
        }
    }

    /// The kernel's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// The name in `architectures` and `archMap` of a profile.
    pub(super) const fn oci_name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
        }
    }

    /// The name in `includes.arches` and `excludes.arches` of a profile.
    pub(super) const fn docker_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}
