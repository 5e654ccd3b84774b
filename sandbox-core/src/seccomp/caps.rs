//! Owns: the numbers of the capabilities a profile may name. Must not: decide which are kept.

/// In the order of `linux/capability.h`: the index is the number.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

pub(super) const DAC_READ_SEARCH: u32 = 2;
pub(super) const NET_RAW: u32 = 13;
pub(super) const SYS_MODULE: u32 = 16;
pub(super) const SYS_RAWIO: u32 = 17;
pub(super) const SYS_CHROOT: u32 = 18;
pub(super) const SYS_PTRACE: u32 = 19;
pub(super) const SYS_PACCT: u32 = 20;
pub(super) const SYS_ADMIN: u32 = 21;
pub(super) const SYS_BOOT: u32 = 22;
pub(super) const SYS_NICE: u32 = 23;
pub(super) const SYS_TIME: u32 = 25;
pub(super) const SYS_TTY_CONFIG: u32 = 26;
pub(super) const SYSLOG: u32 = 34;
pub(super) const PERFMON: u32 = 38;
pub(super) const BPF: u32 = 39;

/// Whether capability `number` is in `mask`.
pub(super) const fn has(mask: u64, number: u32) -> bool {
    mask >> number & 1 == 1
}

/// The mask with only the capability of this name, as in `CAP_SYS_ADMIN`.
pub(super) fn bit_of(name: &str) -> Option<u64> {
    NAMES.iter().position(|known| *known == name).map(|number| 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_with_names() {
        for (number, name) in [
            (DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"),
            (NET_RAW, "CAP_NET_RAW"),
            (SYS_MODULE, "CAP_SYS_MODULE"),
            (SYS_RAWIO, "CAP_SYS_RAWIO"),
            (SYS_CHROOT, "CAP_SYS_CHROOT"),
            (SYS_PTRACE, "CAP_SYS_PTRACE"),
            (SYS_PACCT, "CAP_SYS_PACCT"),
            (SYS_ADMIN, "CAP_SYS_ADMIN"),
            (SYS_BOOT, "CAP_SYS_BOOT"),
            (SYS_NICE, "CAP_SYS_NICE"),
            (SYS_TIME, "CAP_SYS_TIME"),
            (SYS_TTY_CONFIG, "CAP_SYS_TTY_CONFIG"),
            (SYSLOG, "CAP_SYSLOG"),
            (PERFMON, "CAP_PERFMON"),
            (BPF, "CAP_BPF"),
        ] {
            assert_eq!(bit_of(name), Some(1 << number), "{name}");
            assert!(has(1 << number, number));
        }
        assert_eq!(bit_of("CAP_NONE"), None);
    }
}
