//! Owns: what the process that starts sandboxes is like: its memory, its threads, the CPUs it may use.
//! Must not: start anything.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::Result;

const MIB: usize = 1 << 20;

/// Memory that is really there: every page written. In pages of 4 KiB, which is what a fork has to copy entries for.
pub fn resident(mebibytes: usize) -> Result<Vec<u8>> {
    let huge_pages = |off: bool| nix::sys::prctl::set_thp_disable(off).map_err(|e| format!("huge pages: {e}"));
    huge_pages(true)?;
    let memory = vec![1; mebibytes * MIB];
    huge_pages(false)?;
    Ok(memory)
}

/// Threads that do nothing until the process ends.
pub fn idle_threads(count: usize) -> Result<()> {
    for _ in 0..count {
        let idle = || {
            loop {
                std::thread::park();
            }
        };
        std::thread::Builder::new().spawn(idle).map_err(|e| format!("thread: {e}"))?;
    }
    Ok(())
}

/// MiB that can be had without swapping.
pub fn available_mib() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<usize>().ok());
    kib.unwrap_or(0) / 1024
}

/// The CPUs that this process may use.
pub struct Cpus {
    all: CpuSet,
    /// The last one: the first often serves the interrupts.
    pub last: usize,
}

impl Cpus {
    pub fn ours() -> Result<Self> {
        let all = sched_getaffinity(Pid::from_raw(0)).map_err(|e| format!("sched_getaffinity: {e}"))?;
        let last = (0..CpuSet::count()).rev().find(|&cpu| all.is_set(cpu) == Ok(true)).unwrap_or(0);
        Ok(Self { all, last })
    }

    /// From here on, and in every process started from here on.
    pub fn pin(&self) -> Result<()> {
        let mut one = CpuSet::new();
        one.set(self.last).map_err(|e| e.to_string())?;
        set(&one)
    }

    pub fn free(&self) -> Result<()> {
        set(&self.all)
    }
}

fn set(cpus: &CpuSet) -> Result<()> {
    sched_setaffinity(Pid::from_raw(0), cpus).map_err(|e| format!("sched_setaffinity: {e}"))
}
