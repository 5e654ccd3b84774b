//! Owns: that limits have the effect they are named for, where a file of the kernel that has the right number is not enough.
//! Must not: take a busy machine for a broken limit: what is timed has a lower bound only.

#[macro_use]
#[path = "support/groups.rs"]
mod groups;

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use groups::*;
use nix::sys::stat::{Mode, SFlag, mknod};
use pinfold::{Bytes, Ended, ErrorKind, HostCaps, Landlock, Mount, SandboxBuilder, Stdio};
use pinfold_tests::{Leaks, is_root, open_to_all, scratch, skip};

fn memory_on_v2() -> bool {
    !HostCaps::probe().expect("facts").cgroups.v1.contains_key("memory")
}

#[test]
fn half_a_cpu_is_half_a_cpu() {
    let _leaks = Leaks::watch();
    needs!(CPU, PIDS);
    let begun = Instant::now();
    let outcome = run(&built(worker().cpus(0.5).pids(8)), &["spin", "1000"]);
    let (elapsed, usage) = (begun.elapsed().as_secs_f64(), outcome.usage());
    assert!(outcome.success(), "{outcome:?}");
    let used = usage.cpu_user.zip(usage.cpu_system).map(|(user, system)| user + system).expect("counted");
    // Ten quotas and more, because the first may come at the end of its period. In an emulated machine a slice of the quota is as long as many periods.
    let most = if slow() { 0.8 } else { 0.55 };
    assert!(used >= 1.0 && used / elapsed <= most, "{used} s of {elapsed} s");
    // On a busy machine others may have left it less than its half all the time.
    assert!(usage.cpu_throttled > Some(0.0) || used / elapsed < 0.45, "{used} s of {elapsed} s: {usage:?}");
}

/// The soft limit: what grows beyond it is reclaimed and slowed down, never killed.
#[test]
fn memory_high_holds_the_page_cache_down() {
    let _leaks = Leaks::watch();
    if !memory_on_v2() {
        // Refused there, which limits.rs tests.
        return;
    }
    needs!(MEMORY);
    let directory = disk_directory();
    let sandbox = worker().limits(limits(|l| l.memory_high = Some(Bytes::from("16MiB"))));
    let sandbox = built(sandbox.mount(Mount::bind(directory.path(), "/data")));
    let process = sandbox.command(WORKER).args(["sleep", "100000"]).spawn().expect("starts");
    assert_eq!(number(raw(&process, "memory", "", "memory.high")), Some(16 << 20));
    process.kill().expect("dies");
    process.wait().expect("ends");
    let outcome = run(&sandbox, &["hog", "64", "/data/file"]);
    assert!(outcome.success(), "{outcome:?}");
    assert_eq!(outcome.usage().oom_kills, Some(0));
    // Reclaim goes in batches; without it all of the 64 MiB would be here.
    let peak = outcome.usage().memory_peak.or(Some(16 << 20)).expect("a peak");
    assert!(peak < 24 << 20, "{peak}");
}

#[test]
fn oom_group_ends_the_whole_sandbox() {
    let _leaks = Leaks::watch();
    if !memory_on_v2() {
        return;
    }
    needs!(MEMORY);
    let sandbox = |whole| {
        let limits = limits(|l| {
            l.memory = Some(Bytes::from("24MiB"));
            l.swap = Some(Bytes::from("0"));
            l.oom_group = Some(whole);
        });
        built(worker().limits(limits))
    };
    let outcome = run(&sandbox(false), &["child-touches", "64"]);
    assert_eq!((outcome.ended(), outcome.code(), outcome.text().as_ref()), (Ended::Exited, Some(0), "9\n"));
    let outcome = run(&sandbox(true), &["child-touches", "64"]);
    assert_eq!((outcome.ended(), outcome.exit_status()), (Ended::Memory, 137), "{outcome:?}");
    assert!(outcome.usage().oom_kills >= Some(2), "the child and its parent: {outcome:?}");
}

#[test]
fn huge_pages_are_limited() {
    let _leaks = Leaks::watch();
    needs!(("hugetlb", "hugetlb"));
    if !Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists() {
        skip!("this machine has no pages of 2 MiB");
    }
    let set = limits(|l| {
        l.hugepages.insert("2MiB".to_owned(), Bytes::from("4MiB"));
    });
    let sandbox = built(worker().limits(set));
    let process = sandbox.command(WORKER).args(["sleep", "100000"]).spawn().expect("starts");
    let has = raw(&process, "hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max");
    assert_eq!(number(has), Some(4 << 20));
    drop(process);
    let free = after(fs::read_to_string("/proc/meminfo").ok(), "HugePages_Free:");
    if free < Some(4) {
        // Root reserves them for the whole machine: only the virtual machine is ours.
        skip!("no huge pages are reserved");
    }
    assert!(run(&sandbox, &["huge", "2"]).success());
    let outcome = run(&sandbox, &["huge", "3"]);
    assert_eq!((outcome.ended(), outcome.signal()), (Ended::Signaled, Some(libc::SIGBUS)), "{outcome:?}");
    let error = worker()
        .limits(limits(|l| {
            l.hugepages.insert("64KiB".to_owned(), Bytes::from("64KiB"));
        }))
        .build()
        .and_then(|sandbox| sandbox.command(WORKER).args(["exit", "0"]).output())
        .expect_err("no such pages");
    assert_eq!((error.kind(), error.report().origin.as_deref()), (ErrorKind::Unsupported, Some("limits.hugepages")));
}

#[test]
fn a_weight_of_io_is_what_the_scheduler_has() {
    let _leaks = Leaks::watch();
    if HostCaps::probe().expect("facts").cgroups.io_weight.is_empty() {
        // Refused there, which limits.rs tests.
        return;
    }
    needs!(IO);
    let sandbox = built(worker().limits(limits(|l| l.io_weight = Some(300))));
    let process = sandbox.command(WORKER).args(["sleep", "100000"]).spawn().expect("starts");
    let bfq = raw(&process, "blkio", "blkio.bfq.weight", "io.bfq.weight").expect("bfq is in use");
    assert_eq!(bfq.split_ascii_whitespace().last(), Some("118"), "1 to 1000 there: {bfq}");
    if let Some(weight) = raw(&process, "blkio", "io.weight", "io.weight") {
        assert_eq!(weight.split_ascii_whitespace().last(), Some("300"));
    }
}

/// The whole disk that a directory is on.
fn disk_of(directory: &Path) -> Option<String> {
    let device = fs::metadata(directory).expect("it is there").dev();
    let place = format!("/sys/dev/block/{}:{}", libc::major(device), libc::minor(device));
    let place = fs::canonicalize(place).ok()?;
    let disk = if place.join("partition").exists() { place.parent()? } else { &place };
    Some(fs::read_to_string(disk.join("dev")).ok()?.trim().to_owned())
}

#[test]
fn limits_of_io_are_what_the_kernel_has() {
    let _leaks = Leaks::watch();
    needs!(IO);
    let directory = disk_directory();
    let Some(disk) = disk_of(directory.path()) else { skip!("the file system is on no block device") };
    let limit = pinfold::IoLimit::new(&disk).read_bps("10MiB").write_bps("5MiB").read_iops(700).write_iops(500);
    let sandbox = built(worker().limits(limits(|l| l.io = vec![limit])));
    let process = sandbox.command(WORKER).args(["sleep", "100000"]).spawn().expect("starts");
    if groups_of(process.id().expect("it runs")).contains_key("blkio") {
        for (file, value) in [("read_bps", 10 << 20), ("write_bps", 5 << 20), ("read_iops", 700), ("write_iops", 500)] {
            let has = raw(&process, "blkio", &format!("blkio.throttle.{file}_device"), "").expect("the file is there");
            assert_eq!(has, format!("{disk} {value}\n"), "{file}");
        }
    } else {
        let has = raw(&process, "io", "", "io.max").expect("the file is there");
        assert_eq!(has, format!("{disk} rbps=10485760 wbps=5242880 riops=700 wiops=500\n"));
    }
}

#[test]
fn operations_of_io_are_slowed_down_to_the_limit() {
    let _leaks = Leaks::watch();
    needs!(IO);
    let directory = disk_directory();
    let Some(disk) = disk_of(directory.path()) else { skip!("the file system is on no block device") };
    let set = limits(|l| l.io = vec![pinfold::IoLimit::new(disk).write_iops(64)]);
    let sandbox = built(worker().limits(set).mount(Mount::bind(directory.path(), "/data")));
    let begun = Instant::now();
    let process = sandbox.command(WORKER).args(["direct", "96", "/data/file"]).stdout(Stdio::Piped).spawn();
    let process = process.expect("starts");
    let mut said = [0; 5];
    if process.take_stdout().expect("piped").read_exact(&mut said).is_err() {
        assert_eq!(process.wait().expect("ends").code(), Some(77));
        skip!("no file system with O_DIRECT");
    }
    assert!(begun.elapsed() >= Duration::from_millis(1000), "{:?}", begun.elapsed());
}

fn devices(rules: &[&str]) -> SandboxBuilder {
    let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
    worker().limits(limits(|l| l.devices = rules))
}

/// How a list of devices is enforced here: by v1, by a program on v2; None: by nothing, which is refused.
fn devices_are_limited_by() -> Option<&'static str> {
    match HostCaps::probe().expect("facts").cgroups.v1_places.contains_key("devices") {
        true => Some("cgroup-v1"),
        // Only the host's root may load programs.
        false => is_root().then_some("cgroup-v2 by a BPF program"),
    }
}

#[test]
fn only_listed_devices_can_be_used() {
    let _leaks = Leaks::watch();
    let Some(by) = devices_are_limited_by() else {
        let error = devices(&["c 10:200 rw"]).build().expect_err("nothing limits them");
        let report = error.report();
        assert_eq!(
            (error.kind(), report.origin.as_deref()),
            (ErrorKind::Unsupported, Some("limits.devices")),
            "{error}"
        );
        assert!(
            report.message.contains("CAP_BPF") && error.hint().is_some_and(|hint| hint.contains("root")),
            "{error}"
        );
        let sandbox = built(devices(&["c 10:200 rw"]).prefer("limits.devices"));
        assert!(sandbox.report().used("limits.devices", "nothing"), "{:?}", sandbox.report());
        assert!(run(&sandbox, &["open", "/dev/null"]).success());
        return;
    };
    let host = Path::new("/dev/net/tun");
    if !host.exists() {
        skip!("this machine has no /dev/net/tun");
    }
    // Not every host lets everybody open its own.
    let place = scratch();
    let tun = &place.path().join("tun");
    let device = fs::metadata(host).expect("it is there").rdev();
    mknod(tun, SFlag::S_IFCHR, Mode::empty(), device).expect("a node of ours");
    open_to_all(tun, 0o666);
    let with_tun = |rules: &[&str]| built(devices(rules).mount(Mount::bind(tun, "/tmp/tun").nodev(false)));
    let open = |rules: &[&str], path: &str| {
        let sandbox = with_tun(rules);
        assert!(sandbox.report().used("limits.devices", by), "{:?}", sandbox.report());
        run(&sandbox, &["open", path]).code().expect("it exits")
    };
    assert_eq!(open(&["/dev/net/tun:rw"], "/tmp/tun"), 0);
    assert_eq!(open(&["c 10:200 rw"], "/tmp/tun"), 0);
    assert_eq!(open(&["c 10:* rw"], "/tmp/tun"), 0);
    assert_eq!(open(&["c 10:200 r", "c 10:200 w"], "/tmp/tun"), 0, "what is said twice adds up");
    assert_eq!(open(&["c 10:200 r"], "/tmp/tun"), libc::EPERM, "to read is not to write");
    assert_eq!(open(&["c 10:200 m"], "/tmp/tun"), libc::EPERM, "to make is neither");
    assert_eq!(open(&["c 10:201 rw"], "/tmp/tun"), libc::EPERM);
    assert_eq!(open(&["b 10:200 rw"], "/tmp/tun"), libc::EPERM);
    assert_eq!(open(&["c 10:201 rw"], "/dev/null"), 0, "the minimal set is always there");

    // In a session, whichever group a payload is in; and a list at a time, however often the sandbox is started.
    let sandbox = with_tun(&["c 10:201 rw"]);
    let session = built(
        devices(&["c 10:201 rw"]).set("limits.payload_groups=true").mount(Mount::bind(tun, "/tmp/tun").nodev(false)),
    );
    let session = session.open().expect("opens");
    for _ in 0..3 {
        assert_eq!(run(&sandbox, &["open", "/tmp/tun"]).code(), Some(libc::EPERM));
        let outcome = session.command(WORKER).args(["open", "/tmp/tun"]).output().expect("starts");
        assert_eq!(outcome.code(), Some(libc::EPERM), "{outcome:?}");
    }
    if by.contains("BPF") {
        let groups = [0, 1].map(|_| {
            let process = sandbox.command(WORKER).args(["sleep", "100000"]).spawn().expect("starts");
            groups_of(process.id().expect("it runs")).remove("")
        });
        assert!(groups[0].is_some() && groups[0] != groups[1], "a second program in one group: {groups:?}");
    }
}

/// Only who is root outside, with the right to: in a user namespace nobody makes devices anyway.
#[test]
fn only_listed_devices_can_be_made() {
    let _leaks = Leaks::watch();
    if devices_are_limited_by().is_none() {
        // Refused there, which the test above has.
        return;
    }
    let make = |rules: &[&str], minor: &str| {
        let host = devices(rules).set("namespaces.user=host").user((0, 0)).host_root(true).capability("mknod");
        let sandbox = built(host.seccomp("none").landlock(Landlock::Off));
        run(&sandbox, &["make", "10", minor]).code().expect("it exits")
    };
    assert_eq!(make(&[], "200"), 0, "no list, no limit");
    assert_eq!(make(&["c 10:200 rwm"], "200"), 0);
    assert_eq!(make(&["c 10:200 m"], "200"), 0);
    assert_eq!(make(&["c 10:200 rw"], "200"), libc::EPERM, "to use is not to make");
    assert_eq!(make(&["c 10:200 rwm"], "201"), libc::EPERM);
}

/// Where v1 has the controller it is used; on such a machine the program is tried too.
#[test]
fn devices_are_limited_by_a_program_on_a_hybrid_host() {
    let _leaks = Leaks::watch();
    without_v1("devices", &["only_listed_devices_can_be_used", "only_listed_devices_can_be_made"]);
}

#[test]
fn effects_are_there_without_a_unified_hierarchy() {
    let _leaks = Leaks::watch();
    without_unified(&["half_a_cpu", "only_listed_devices_can_be_used", "only_listed_devices_can_be_made"]);
}
