//! Owns: writing limits into a leaf. The only file that imports `cgroups_rs`.
//! Must not: read statistics, make or remove groups, or use those parts of the crate that are wrong (ADR 0011).

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use cgroups_rs::MaxValue;
use cgroups_rs::blkio::BlkIoController;
use cgroups_rs::cpu::CpuController;
use cgroups_rs::cpuset::CpuSetController;
use cgroups_rs::devices::{DevicePermissions, DeviceType, DevicesController};
use cgroups_rs::hugetlb::HugeTlbController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;

use super::change::needs;
use super::device::{Rule, disk};
use super::program::program;
use super::{Directory, Leaf, convert, failure};
use crate::spec::Limits;
use crate::sys::{Instruction, attach_device_program, load_device_program};
use crate::{Error, Result};

/// Write what is given; the rest stays as it is.
pub(super) fn write(leaf: &Leaf, limits: &Limits) -> Result<()> {
    memory(leaf, limits)?;
    if let Some(pids) = limits.pids {
        let directory = needs(leaf, "limits.pids", "pids", "pids")?;
        let most = i64::try_from(pids.saturating_add(leaf.ours)).unwrap_or(i64::MAX);
        let controller = PidController::new(directory.path.clone(), directory.unified);
        controller.set_pid_max(MaxValue::Value(most)).map_err(|e| refused(directory, "limits.pids", &e))?;
    }
    cpu(leaf, limits)?;
    if let Some(cpus) = &limits.cpuset {
        cpuset(needs(leaf, "limits.cpuset", "cpuset", "cpuset")?, cpus)?;
    }
    io(leaf, limits)?;
    if !limits.devices.is_empty() {
        devices(leaf, &limits.devices)?;
    }
    for (size, bytes) in &limits.hugepages {
        let key = "limits.hugepages";
        let directory = needs(leaf, key, "hugetlb", "hugetlb")?;
        let file = if directory.unified { "max" } else { "limit_in_bytes" };
        if !directory.path.join(format!("hugetlb.{size}.{file}")).exists() {
            return Err(Error::unsupported(key, format!("this kernel has no pages of {size}")));
        }
        let controller = HugeTlbController::new(directory.path.clone(), directory.unified);
        controller.set_limit_in_bytes(size, *bytes).map_err(|e| refused(directory, key, &e))?;
    }
    Ok(())
}

/// Bytes as the crate takes them. Above 8 EiB there is no difference to no limit.
fn bytes(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn memory(leaf: &Leaf, limits: &Limits) -> Result<()> {
    let keys = [limits.memory, limits.memory_high, limits.swap];
    if keys.iter().all(Option::is_none) && limits.oom_group.is_none() {
        return Ok(());
    }
    let key = if limits.memory.is_some() { "limits.memory" } else { "limits.swap" };
    let directory = needs(leaf, key, "memory", "memory")?;
    let controller = MemController::new(directory.path.clone(), directory.unified);
    let failed = |e: cgroups_rs::error::Error| refused(directory, key, &e);
    if !directory.unified {
        // One file holds the sum. Neither may ever pass the other: the one that grows goes first.
        let both = limits.memory.zip(limits.swap).map(|(memory, swap)| memory.saturating_add(swap));
        let sum = || directory.read("memory.memsw.limit_in_bytes").and_then(|text| text.trim().parse::<u64>().ok());
        let sum_first = both.is_some() && limits.memory > sum();
        if let (Some(both), true) = (both, sum_first) {
            controller.set_memswap_limit(bytes(both)).map_err(failed)?;
        }
        if let Some(memory) = limits.memory {
            controller.set_limit(bytes(memory)).map_err(failed)?;
        }
        if let (Some(both), false) = (both, sum_first) {
            controller.set_memswap_limit(bytes(both)).map_err(failed)?;
        }
        return Ok(());
    }
    if let Some(memory) = limits.memory {
        controller.set_limit(bytes(memory)).map_err(failed)?;
    }
    // The crate's name for it is that of v1; on v2 the file holds swap alone.
    if let Some(swap) = limits.swap {
        controller.set_memswap_limit(bytes(swap)).map_err(failed)?;
    }
    // The crate writes neither of these.
    if let Some(high) = limits.memory_high {
        plain(directory, "limits.memory_high", "memory.high", &high.to_string())?;
    }
    if let Some(on) = limits.oom_group {
        plain(directory, "limits.oom_group", "memory.oom.group", if on { "1" } else { "0" })?;
    }
    Ok(())
}

fn cpu(leaf: &Leaf, limits: &Limits) -> Result<()> {
    if let Some(cpus) = limits.cpus {
        let directory = needs(leaf, "limits.cpus", "cpu", "cpu")?;
        let controller = CpuController::new(directory.path.clone(), directory.unified);
        // On v1 the period is the kernel's default already.
        let period = directory.unified.then_some(convert::PERIOD);
        controller
            .set_cfs_quota_and_period(Some(convert::quota(cpus)), period)
            .map_err(|e| refused(directory, "limits.cpus", &e))?;
    }
    if let Some(weight) = limits.cpu_weight {
        let directory = needs(leaf, "limits.cpu_weight", "cpu", "cpu")?;
        // Both files by the crate's one name; the conversion is ours.
        let shares = if directory.unified { weight } else { convert::shares(weight) };
        let controller = CpuController::new(directory.path.clone(), directory.unified);
        controller.set_shares(shares).map_err(|e| refused(directory, "limits.cpu_weight", &e))?;
    }
    Ok(())
}

fn cpuset(directory: &Directory, cpus: &str) -> Result<()> {
    let key = "limits.cpuset";
    let parent = directory.path.parent().unwrap_or(&directory.path);
    let file = if directory.unified { "cpuset.cpus.effective" } else { "cpuset.effective_cpus" };
    let above = fs::read_to_string(parent.join(file))
        .map_err(|error| failure("could not read the CPUs of the group above".to_owned(), errno(&error), parent))?;
    // v2 takes such a set, and gives all that the group above has instead.
    if let Some(missing) = ranges(cpus).flatten().find(|cpu| !ranges(&above).any(|range| range.contains(cpu))) {
        let message = format!("limits.cpuset = {cpus}: the group above has no CPU {missing}");
        return Err(failure(message, libc::EINVAL, parent)
            .with_origin(key)
            .with_hint(format!("it has {}", above.trim())));
    }
    let controller = CpuSetController::new(directory.path.clone(), directory.unified);
    controller.set_cpus(cpus).map_err(|e| refused(directory, key, &e))?;
    if !directory.unified {
        // A v1 group can't be entered before it has memory nodes too.
        let nodes = fs::read_to_string(parent.join("cpuset.effective_mems"))
            .map_err(|error| failure("could not read the memory nodes".to_owned(), errno(&error), parent))?;
        controller.set_mems(nodes.trim()).map_err(|e| refused(directory, key, &e))?;
    }
    Ok(())
}

/// Of a list of CPUs as the kernel and a checked config write them.
fn ranges(list: &str) -> impl Iterator<Item = RangeInclusive<u32>> {
    list.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    })
}

fn io(leaf: &Leaf, limits: &Limits) -> Result<()> {
    for (index, limit) in limits.io.iter().enumerate() {
        let key = format!("limits.io[{index}]");
        let directory = needs(leaf, "limits.io", "blkio", "io")?;
        let (major, minor) = disk(&limit.device, &format!("{key}.device"))?;
        let controller = BlkIoController::new(directory.path.clone(), directory.unified);
        let done = [
            limit.read_bps.map(|n| controller.throttle_read_bps_for_device(major, minor, n)),
            limit.write_bps.map(|n| controller.throttle_write_bps_for_device(major, minor, n)),
            limit.read_iops.map(|n| controller.throttle_read_iops_for_device(major, minor, n)),
            limit.write_iops.map(|n| controller.throttle_write_iops_for_device(major, minor, n)),
        ];
        for result in done.into_iter().flatten() {
            result.map_err(|e| refused(directory, &key, &e).with_subject(limit.device.display().to_string()))?;
        }
    }
    if let Some(weight) = limits.io_weight {
        let key = "limits.io_weight";
        let directory = needs(leaf, key, "blkio", "io")?;
        let bfq = if directory.unified { "io.bfq.weight" } else { "blkio.bfq.weight" };
        // Which of the two files there is depends on how the kernel is built; a device heeds one of them.
        let files = [("io.weight", weight), (bfq, convert::bfq_weight(weight))];
        let mut written = 0;
        for (file, value) in files.into_iter().filter(|(file, _)| directory.path.join(file).exists()) {
            plain(directory, key, file, &value.to_string())?;
            written += 1;
        }
        if written == 0 {
            return Err(Error::unsupported(key, "this kernel has no weights of I/O"));
        }
    }
    Ok(())
}

/// Only what is minimal and what is listed: by the controller of v1, or by a program on the group of the unified hierarchy.
fn devices(leaf: &Leaf, rules: &[String]) -> Result<()> {
    let key = "limits.devices";
    let mut allowed = Rule::minimal();
    for (index, rule) in rules.iter().enumerate() {
        allowed.push(Rule::parse(rule, &format!("{key}[{index}]"))?);
    }
    let directory = match (leaf.with("devices", ""), &leaf.unified) {
        (None, Some(directory)) => return attach(leaf, directory, &program(&allowed)).map_err(|e| e.with_origin(key)),
        _ => needs(leaf, key, "devices", "")?,
    };
    let controller = DevicesController::new(directory.path.clone());
    let failed = |e: cgroups_rs::error::Error| refused(directory, key, &e);
    let all = DevicePermissions::all();
    controller.deny_device(DeviceType::All, -1, -1, &all).map_err(failed)?;
    for rule in allowed {
        let kind = if rule.block { DeviceType::Block } else { DeviceType::Char };
        let access = DevicePermissions::from_str(&rule.access).map_err(failed)?;
        let [major, minor] = [rule.major, rule.minor].map(|number| number.map_or(-1, i64::from));
        controller.allow_device(kind, major, minor, &access).map_err(failed)?;
    }
    Ok(())
}

/// It goes with the group. Attached again it would be a second one.
fn attach(leaf: &Leaf, directory: &Directory, program: &[Instruction]) -> Result<()> {
    leaf.changed.store(true, Ordering::Relaxed);
    let failed = |what: &str, errno: nix::errno::Errno, hint| {
        failure(format!("the kernel does not take the device program: bpf({what})"), errno as i32, &directory.path)
            .with_hint(hint)
    };
    let loaded = load_device_program(program).map_err(|errno| {
        failed("BPF_PROG_LOAD", errno, "a security module or a seccomp filter may refuse bpf(2), as in a container")
    })?;
    attach_device_program(directory.owned.as_fd(), loaded.as_fd()).map_err(|errno| {
        let above = "a group above this one may have a device program that allows no other below it";
        failed("BPF_PROG_ATTACH", errno, above)
    })
}

fn plain(directory: &Directory, key: &str, file: &str, value: &str) -> Result<()> {
    directory.write(file, value).map_err(|error| error.with_origin(key))
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// The kernel's answer is the innermost cause of an error of the crate.
fn refused(directory: &Directory, key: &str, error: &cgroups_rs::error::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut number = libc::EIO;
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            number = found;
        }
        cause = inner.source();
    }
    let error = failure(format!("the kernel does not take {key}: {}", error.kind()), number, &directory.path);
    match number {
        libc::EBUSY => error.with_hint("more than that is in use already and can't be reclaimed"),
        libc::EINVAL | libc::ERANGE | libc::ENODEV => {
            error.with_hint("the value is beyond what a group above this one has, or beyond what this machine has")
        }
        _ => error,
    }
    .with_origin(key)
}
