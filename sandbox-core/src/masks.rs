//! Owns: which paths of /proc and /sys are hidden or read-only by default.
//! Must not: know which of them this host has, or how they are covered.

/// Paths below /proc that are hidden from the payload: a directory behind an empty read-only one, a file behind /dev/null.
///
/// The union of what moby, containerd and runc mask by default (moby `oci/defaults.go`); `interrupts` since
/// GHSA-6fw5-f8r9-fgfm (timing of other people's key strokes).
pub const MASKED_PROC_PATHS: [&str; 10] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];

/// Paths below /proc that the payload may read and not write (the same sources).
pub const READONLY_PROC_PATHS: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Absolute paths that are hidden where a sandbox has a sysfs (the same sources).
pub const MASKED_SYS_PATHS: [&str; 2] = ["/sys/devices/virtual/powercap", "/sys/firmware"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_disjoint() {
        assert!(MASKED_PROC_PATHS.is_sorted() && READONLY_PROC_PATHS.is_sorted());
        assert!(MASKED_PROC_PATHS.iter().all(|masked| !READONLY_PROC_PATHS.contains(masked)));
    }
}
