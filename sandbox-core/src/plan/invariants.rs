//! Owns: what must hold for every plan, whatever the config and the host: checked by property tests and by fuzzing.
//! Must not: be part of the library that is shipped.
//! Start at: [`check`].

use std::collections::BTreeSet;
use std::path::Path;

use super::{Call, Ends, Fd, Op, Plan, Slot, Step, Witness};
use crate::rootfs::facts::{Facts, Source};
use crate::spec::{BindSource, GuestPath, MountKind, RootKind, Spec};
use crate::wire;

/// Facts as if every source were there: those that end in `.file` are files.
pub(crate) fn facts(spec: &Spec) -> Facts {
    let mut facts = Facts { resolv_conf: true, ..Facts::default() };
    let source = |path: &Path| Source {
        directory: path.extension().is_none_or(|end| end != "file"),
        witness: Witness { device: 0x801, inode: 42 },
        owner: (1000, 1000),
        mode: 0o755,
        path: path.to_owned(),
    };
    for mount in &spec.mounts {
        match &mount.kind {
            MountKind::Bind { source: BindSource::Path(path), .. } => {
                facts.sources.insert(path.clone(), source(path.as_path()));
            }
            MountKind::Bind { source: BindSource::Fd(name), .. } => {
                facts.fds.insert(name.clone(), source(Path::new("/srv/shared")));
            }
            MountKind::Overlay { lower, .. } => {
                facts.sources.extend(lower.iter().map(|path| (path.clone(), source(path.as_path()))));
            }
            _ => {}
        }
    }
    if let RootKind::Layers(layers) = &spec.rootfs.kind {
        facts.sources.extend(layers.iter().map(|path| (path.clone(), source(path.as_path()))));
    }
    if let RootKind::Dir(path) = &spec.rootfs.kind {
        facts.sources.insert(path.clone(), source(path.as_path()));
        facts.passwd = Some(b"root:x:0:0::/root:/bin/sh\n".to_vec());
    }
    facts
}

/// A payload with these arguments.
pub(crate) fn call(spec: &Spec, argv: &[&str]) -> Call {
    Call {
        cwd_origin: "process.cwd",
        terminal: None,
        grouped: false,
        argv: argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
        env: vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())],
        cwd: GuestPath::new(Path::new("/")).expect("/ is a guest path"),
        uid: spec.identity.uid,
        gid: spec.identity.gid,
        groups: spec.identity.groups.clone(),
        umask: 0o022,
        nice: None,
        rlimits: Vec::new(),
    }
}

/// Slots that an operation uses and the one it makes.
fn slots(op: &Op) -> (Vec<&Fd>, Option<&Slot>) {
    match op {
        Op::JoinNamespace { from, .. } | Op::PlaceFd { from, .. } => (vec![from], None),
        Op::LiftFd { from, into, .. } | Op::CloneFd { from, into, .. } => (vec![from], Some(into)),
        Op::CreateInit { cgroup, .. } => (cgroup.iter().collect(), None),
        Op::CloneTree { into, .. } | Op::NewFileSystem { into, .. } | Op::PrepareLandlock { into, .. } => {
            (vec![], Some(into))
        }
        Op::SetAttributes { mount, .. } | Op::SetPropagation { mount, .. } | Op::IdMapMount { mount } => {
            (vec![mount], None)
        }
        Op::OpenNamespace { into, .. } | Op::ClaimUpper { into, .. } | Op::OpenRoot { into } => (vec![], Some(into)),
        Op::MountOverlay { at, upper, into, .. } => {
            let upper = upper.iter().flat_map(|(upper, work)| [upper, work]);
            (std::iter::once(at).chain(upper).collect(), Some(into))
        }
        Op::SetOwner { at, .. } | Op::SendFd { fd: at, .. } | Op::Deputize { memory: at } => (vec![at], None),
        Op::MountAt { at, .. } | Op::Bind { at, .. } => (vec![at], None),
        Op::MakeDir { at, .. } | Op::MakeNode { at, .. } | Op::MakeFile { at, .. } => (vec![at], None),
        Op::MakeSymlink { at, .. } | Op::WriteFile { at, .. } => (vec![at], None),
        Op::Resolve { root, into, .. } | Op::OpenBelow { root, into, .. } => (vec![root], Some(into)),
        Op::CloneBelow { at, into, .. } => (vec![at], Some(into)),
        Op::Attach { mount, at, .. } => (vec![mount, at], None),
        Op::EnterRoot { root } | Op::PivotRoot { root, .. } => (vec![root], None),
        Op::RestrictSelf { ruleset } => (vec![ruleset], None),
        Op::OpenTerminal { payload, .. } => (vec![], Some(payload)),
        _ => (vec![], None),
    }
}

fn position(steps: &[&Step], what: impl Fn(&Op) -> bool) -> Option<usize> {
    steps.iter().position(|step| what(&step.op))
}

/// What must hold for every plan. `attached`: the fds that the caller attaches to the sandbox as sources of mounts.
pub(crate) fn check(plan: &Plan, attached: &[String]) {
    let all: Vec<&Step> = plan.base.steps.iter().chain(&plan.payload).collect();
    let last = all.len() - 1;
    assert!(all.iter().all(|step| !step.origin.is_empty()), "every operation has an origin");
    assert_eq!(position(&all, |op| matches!(op, Op::Execute { .. })), Some(last), "one exec, and it is the last");

    let create = position(&all, |op| matches!(op, Op::CreateInit { .. })).expect("there is a PID 1");
    let undumpable = position(&all, |op| matches!(op, Op::Undumpable)).expect("memory is made unreadable");
    assert!(undumpable < create, "undumpable, PID 1");
    if let Some(maps) = position(&all, |op| matches!(op, Op::MapIds { .. })) {
        assert!(maps < undumpable, "maps, undumpable");
    }

    let denied = |op: &Op| matches!(op, Op::MapIds { maps } if maps.deny_setgroups);
    if position(&all, |op| matches!(op, Op::MapIds { .. })).is_some() && position(&all, denied).is_none() {
        let given_up = |op: &Op| matches!(op, Op::SetIds { groups: Some(groups), .. } if groups.is_empty());
        let ids = position(&all, |op| matches!(op, Op::SetIds { .. }));
        assert_eq!(position(&all, given_up), ids, "whoever first takes ids of the sandbox gives up all groups");
    }

    if let Some(pivot) = position(&all, |op| matches!(op, Op::PivotRoot { .. })) {
        rooted(&all, pivot);
    }
    if plan.base.stands {
        stands(&all, create);
    }

    let caps = position(&all, |op| matches!(op, Op::SetCapabilities { .. })).expect("capabilities are set");
    for step in &all[caps + 1..] {
        let harmless = matches!(
            step.op,
            Op::RestrictSelf { .. }
                | Op::SetUmask { .. }
                | Op::CloseOnExec { .. }
                | Op::LiftFd { .. }
                | Op::PlaceFd { .. }
                | Op::InstallFilter { .. }
                | Op::OwnPid { .. }
                | Op::Execute { .. }
        );
        assert!(harmless, "nothing privileged after the capabilities are gone: {}", step.op);
    }
    let close = position(&all, |op| matches!(op, Op::CloseOnExec { .. })).expect("undeclared fds are closed");
    let first_place = position(&all, |op| matches!(op, Op::PlaceFd { .. })).expect("there is stdio");
    assert!(close < first_place, "what is placed after the closing survives, nothing else");
    let mut numbers = BTreeSet::new();
    for step in &all {
        if let Op::PlaceFd { number, .. } = step.op {
            assert!(numbers.insert(number), "each number once");
        }
    }
    if let Some(filter) = position(&all, |op| matches!(op, Op::InstallFilter { .. })) {
        // Either may have been declined; the kernel then takes the filter from who is privileged, or not at all.
        let before =
            [position(&all, |op| matches!(op, Op::NoNewPrivileges)), position(&all, |op| matches!(op, Op::NewKeyring))];
        assert!(before.into_iter().flatten().all(|at| at < filter), "the filter comes after what it may refuse");
    }

    // A layer is never changed once it is part of an overlay, and what keeps the changes gets nothing of ours.
    for (index, step) in all.iter().enumerate() {
        let Op::MountOverlay { upper, into, .. } = &step.op else { continue };
        let merged = Fd::from(into.clone());
        let written: Vec<&Fd> = upper.iter().map(|(upper, _)| upper).chain([&merged]).collect();
        for later in &all[index + 1..] {
            if let Op::MakeDir { at, .. } | Op::MakeNode { at, .. } | Op::MakeFile { at, .. } = &later.op {
                assert!(!written.contains(&at), "{} writes to an overlay", later.op);
            }
        }
    }

    // Nothing is used before it is made, by whoever carries it out.
    let passed: BTreeSet<&str> = plan.base.passed.iter().map(String::as_str).collect();
    assert_eq!(passed.len(), plan.base.passed.len(), "each fd travels once");
    let mut made: BTreeSet<u16> = BTreeSet::new();
    let attached: BTreeSet<&str> = passed.iter().copied().chain(attached.iter().map(String::as_str)).collect();
    let sequence = |steps: &[&Step], made: &mut BTreeSet<u16>, passed: &BTreeSet<&str>| {
        for step in steps {
            let (uses, makes) = slots(&step.op);
            for fd in uses {
                match fd {
                    Fd::Slot(slot) => {
                        assert!(made.contains(&slot.id), "{} uses {} before it is made", step.op, slot.name)
                    }
                    Fd::Passed(name) => {
                        assert!(passed.contains(name.as_str()), "{} uses {name}, which is not passed", step.op)
                    }
                }
            }
            made.extend(makes.map(|slot| slot.id));
            // The one that makes two.
            if let Op::OpenTerminal { host, .. } = &step.op {
                made.insert(host.id);
            }
        }
    };
    let by_host: Vec<&Step> = plan.base.prepared.iter().chain(&plan.base.host).collect();
    sequence(&by_host, &mut made.clone(), &attached);
    sequence(&all, &mut made, &passed);

    lowered(plan, all.len());
}

/// What must hold where the sandbox has a root of its own.
fn rooted(all: &[&Step], pivot: usize) {
    // Whatever was entered lies over the new root after the pivot: what is not detached is a way back to the host.
    let entered = all.iter().filter(|step| matches!(step.op, Op::EnterRoot { .. })).count();
    assert!(matches!(all[pivot].op, Op::PivotRoot { over, .. } if usize::from(over) == entered), "{entered} entered");
    for step in &all[pivot..] {
        let mounts = matches!(
            step.op,
            Op::CloneTree { .. }
                | Op::NewFileSystem { .. }
                | Op::MountAt { .. }
                | Op::Bind { .. }
                | Op::MountOverlay { .. }
                | Op::Attach { .. }
                | Op::EnterRoot { .. }
        );
        assert!(!mounts, "no host path and no mount after the pivot: {}", step.op);
    }
    if let Some(proc) =
        position(all, |op| matches!(op, Op::NewFileSystem { kind: "proc", .. } | Op::MountAt { kind: "proc", .. }))
    {
        assert!(proc < pivot, "a fresh proc is mounted while the old one is still seen");
    }
}

/// What must hold where the sandbox is born in a copy of the standing namespace: nothing of the host is ever seen in it.
fn stands(all: &[&Step], create: usize) {
    let join = position(all, |op| matches!(op, Op::JoinNamespace { kind: "mount", .. })).expect("it is joined");
    let copy = position(all, |op| matches!(op, Op::Unshare { flags } if flags & libc::CLONE_NEWNS != 0));
    let root = position(all, |op| matches!(op, Op::OpenRoot { .. })).expect("its root is opened");
    let proc = position(all, |op| matches!(op, Op::MountAt { kind: "proc", .. })).expect("it has a proc of its own");
    assert!(copy.is_some_and(|copy| join < copy && copy < create), "joined, copied, PID 1");
    assert!(create < root && root < proc, "PID 1, root, proc");
    let user = |op: &Op| matches!(op, Op::Unshare { flags } if flags & libc::CLONE_NEWUSER != 0);
    assert!(
        position(all, user) == copy,
        "what is copied is locked, because the copy belongs to another user namespace"
    );
    for step in all {
        let of_host = matches!(
            step.op,
            Op::CloneTree { .. }
                | Op::EnterRoot { .. }
                | Op::PivotRoot { .. }
                | Op::Detach { .. }
                | Op::TimeOffsets { .. }
                | Op::OpenNamespace { .. }
        );
        assert!(!of_host, "the host's files are not there: {}", step.op);
    }
}

/// The bytes that init gets are consistent with themselves.
fn lowered(plan: &Plan, steps: usize) {
    let bytes = plan.lower(Ends { deadline: 77, ..Ends::default() }, false, None);
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    assert_eq!((word(0), word(8) >> 32), (wire::MAGIC, bytes.len() as u64));
    let (ops, count) = (word(16), word(24) & 0xFFFF_FFFF);
    assert_eq!(word(24) >> 32, plan.base.passed.len() as u64);
    assert_eq!(word(40), 77, "the deadline");
    let end = wire::PLAN_ADDR + bytes.len() as u64;
    assert_eq!(ops + count * size_of::<wire::RawOp>() as u64, end);
    let mut last = 0;
    for index in 0..count {
        let at = (ops - wire::PLAN_ADDR + index * 72) as usize;
        let (head, save) = (word(at), word(at + 16));
        let op = head >> 48;
        assert!(op >= last && (op as usize) < steps, "calls are in the order of the operations");
        last = op;
        assert!(save == 0 || (wire::PLAN_ADDR..ops).contains(&save), "results are kept among the blobs");
        for arg in 0..6 {
            let value = word(at + 24 + arg * 8);
            if head >> 32 & 1 << arg != 0 {
                assert!(
                    (wire::PLAN_ADDR..ops).contains(&value) && value.is_multiple_of(8),
                    "slots are words among the blobs"
                );
            }
        }
    }
}

/// The bytes of a plan as init reads them.
pub(crate) struct Decoded {
    pub header: wire::PlanHeader,
    pub ops: Vec<wire::RawOp>,
}

/// None for bytes that are no plan.
pub(crate) fn decode(bytes: &[u8]) -> Option<Decoded> {
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?));
    let low = |word: u64| (word & 0xffff_ffff) as u32;
    let high = |word: u64| (word >> 32) as u32;
    let (version, counts) = (word(8)?, word(24)?);
    let header = wire::PlanHeader {
        magic: word(0)?,
        version: low(version),
        length: high(version),
        ops: word(16)?,
        op_count: low(counts),
        fd_count: high(counts),
        fds: word(32)?,
        deadline: word(40)?,
        flags: word(48)?,
        group_kill: word(56)?,
        cpu_stat: word(64)?,
        cpu_limit: word(72)?,
        cpu_unit: word(80)?,
        cpu_width: word(88)?,
        thaw: word(96)?,
    };
    if header.magic != wire::MAGIC || header.length as usize != bytes.len() {
        return None;
    }
    let first = usize::try_from(header.ops.checked_sub(wire::PLAN_ADDR)?).ok()?;
    let op = |index: usize| {
        let at = first + index * size_of::<wire::RawOp>();
        let head = word(at)?;
        let args = [word(at + 24)?, word(at + 32)?, word(at + 40)?, word(at + 48)?, word(at + 56)?, word(at + 64)?];
        Some(wire::RawOp {
            nr: low(head),
            deref: (head >> 32) as u8,
            skip: (head >> 40) as u8,
            op: (head >> 48) as u16,
            tolerate: word(at + 8)?.to_le_bytes(),
            save: word(at + 16)?,
            args,
        })
    };
    let ops = (0..header.op_count as usize).map(op).collect::<Option<_>>()?;
    Some(Decoded { header, ops })
}

impl Decoded {
    /// The bytes again; what lies between header and calls is taken from `bytes`.
    pub(crate) fn encode(&self, bytes: &[u8]) -> Vec<u8> {
        let head = self.header.to_bytes();
        let first = (self.header.ops - wire::PLAN_ADDR) as usize;
        let mut whole = head.to_vec();
        whole.extend_from_slice(&bytes[head.len()..first]);
        self.ops.iter().for_each(|op| whole.extend_from_slice(&op.to_bytes()));
        whole
    }
}
