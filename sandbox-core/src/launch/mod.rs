//! Owns: from a plan to a payload that was executed, or an error that names the step. The host is never forked.
//! Must not: decide what is enforced, or look at the payload after its exec (process does).
//! Start at: [`launch`].

mod control;
mod deputy;
mod errand;
mod frost;
mod group;
mod host;
mod image;
mod link;
mod live;
mod maps;
mod scope;
mod standing;
mod upper;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::cancel::Canceller;
use crate::cgroup::{Leaf, Spare, Sweep};
use crate::error::{HintContext, hint_for};
use crate::host::HostCaps;
use crate::plan::{Fault, Fd, Handed, Op, Plan, STANDING, Step};
use crate::settle::{Group, Settled};
use crate::sys::{AT_RECURSIVE, MOUNT_ATTR_IDMAP, MountAttr, mount_setattr};
use crate::{Error, ErrorKind, Result, Stage, Step as FailedStep};

#[cfg(any(test, fuzzing))]
pub(crate) use control::decode;
pub(crate) use control::{Control, Message, Silence, wait};
pub(crate) use deputy::Hand;
pub(crate) use errand::errand;
pub(crate) use host::{Context, Slots};
pub(crate) use image::{Image, seal, write_all};
pub(crate) use link::Link;
pub(crate) use live::{Failure, Live, Opening, Run, Told, Unproven, explain};

/// What a sandbox keeps between starts.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The tree of mounts that a start clones, until there is the namespace below.
    prepared: OnceLock<Slots>,
    /// A mount namespace with that tree as its root. Inside is none where it can't be had.
    standing: OnceLock<Option<OwnedFd>>,
    preparing: Mutex<()>,
    /// Keepers that have ended or are about to, and the groups they leave: gone with the next start, or with the sandbox.
    ended: Mutex<Vec<Ended>>,
    /// What is left of such groups for the next starts.
    spares: Mutex<Vec<Spare>>,
    /// For groups that other hosts left.
    stale: Sweep,
    /// The scope that all groups are made in, where they need one.
    scope: Mutex<Option<Arc<scope::Scope>>>,
    /// `/dev/null`, once a payload has needed it.
    pub null: OnceLock<OwnedFd>,
}

/// A keeper that has told everything, and its group.
#[derive(Debug)]
struct Ended {
    keeper: OwnedFd,
    group: Option<Arc<Leaf>>,
}

/// A sandbox that is set up, as the host holds it.
#[derive(Debug)]
pub(crate) struct Held {
    pub keeper: OwnedFd,
    pub group: Option<Arc<Leaf>>,
    /// Its end is that of PID 1; otherwise only the group holds all processes.
    pub own_pids: bool,
}

impl Held {
    /// What was told of a payload whose end alone was waited for: `judged`, and if that says nothing, whether there was one.
    /// `ended`: the cause that the keeper gave for an end before that.
    pub fn was_set_up(&self, judged: Result<()>, ended: Option<u32>) -> Result<()> {
        judged
            .and_then(|()| ended.map_or(Ok(()), |cause| Err(ended_by(cause))))
            .map_err(|error| group::blame(error, self.group.as_deref()))
    }
}

/// Where a payload runs.
#[derive(Debug)]
pub(crate) enum Home {
    /// In a sandbox of its own, which goes with it.
    Sandbox(Held),
    /// Beside others.
    Session(Arc<Live>),
}

/// A payload that was executed.
#[derive(Debug)]
pub(crate) struct Running {
    /// To the keeper, or in a session to the payload's shepherd.
    pub link: Arc<Link>,
    /// None: its end alone is waited for.
    pub payload: Option<OwnedFd>,
    pub home: Home,
    /// The host's end of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
    /// CLOCK_MONOTONIC nanoseconds.
    pub called: u64,
    /// None: that is told with its end, or an exec that failed is.
    pub executed: Option<u64>,
    pub unproven: Option<Unproven>,
    /// How many processes of the group the out-of-memory killer had taken before.
    oom_kills_before: u64,
    /// How many times everything in its session had been killed before.
    killings_before: u64,
    /// In a session: its own, below that of the session.
    pub group: Option<Leaf>,
    /// In a session: CLOCK_MONOTONIC nanoseconds.
    deadline: Option<u64>,
    /// In a session: which one of its shepherd's.
    run: u64,
    /// How it ended is known.
    over: AtomicBool,
    /// A SIGKILL was sent to the payload alone: then its death by one says nothing about memory.
    killed: AtomicBool,
}

impl Running {
    /// How many processes the out-of-memory killer has taken since the payload was started. None: there is no group that counts.
    pub fn oom_kills(&self) -> Option<u64> {
        if let Some(kills) = self.group.as_ref().and_then(Leaf::oom_kills) {
            return Some(kills);
        }
        let kills = match &self.home {
            Home::Sandbox(held) => held.group.as_deref().and_then(Leaf::oom_kills),
            Home::Session(live) => live.group().as_deref().and_then(Leaf::oom_kills),
        };
        kills.map(|kills| kills.saturating_sub(self.oom_kills_before))
    }

    /// Whether the payload itself, which a SIGKILL has ended, was taken by the out-of-memory killer. To be asked once.
    pub fn was_taken_for_memory(&self) -> bool {
        if self.killed.load(Ordering::Relaxed) {
            return false;
        }
        match (&self.home, self.group.as_ref().and_then(Leaf::oom_kills)) {
            (Home::Session(live), None) => live.claim_oom_kill(self.oom_kills_before),
            _ => self.oom_kills() > Some(0),
        }
    }

    /// How it ended is known from here on.
    pub fn is_over_now(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether it has ended, as far as was told.
    fn is_over(&self) -> bool {
        let mut hung_up = [PollFd::new(self.link.control.as_fd(), PollFlags::empty())];
        self.over.load(Ordering::Relaxed)
            || wait(&mut hung_up, Some(0)).is_ok()
            // What was used is told before the end of a tree that is killed. Nothing else is said but an end.
            || self.link.control.peek().is_some_and(|kind| kind != crate::wire::RECORD_USAGE)
    }

    /// Whether it may have been killed with everything else in its session, which goes on.
    pub fn is_killed_with_all(&self) -> bool {
        matches!(&self.home, Home::Session(live) if live.has_killed_all_since(self.killings_before))
    }

    /// Send a signal to the payload. One that has ended already is no error.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let killed = self.killed.fetch_or(signal == libc::SIGKILL, Ordering::Relaxed);
        // One whose end alone is waited for has no pidfd.
        let sent = match &self.payload {
            Some(payload) => crate::sys::pidfd_send_signal(payload.as_fd(), signal),
            None if (0..=libc::SIGRTMAX()).contains(&signal) => self.link.send_signal(self.run, signal),
            None => Err(Errno::EINVAL),
        };
        if sent.is_err() {
            self.killed.store(killed, Ordering::Relaxed);
        }
        // Its shepherd is to say so.
        let sent = if signal == libc::SIGKILL { sent.and_then(|()| self.link.thaw()) } else { sent };
        match sent {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(Error::new(
                ErrorKind::Setup,
                Stage::Supervise,
                format!("could not send signal {signal} to the payload"),
            )
            .with_errno(errno as i32)),
        }
    }
}

/// What the host gets of a sandbox beside its payload.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    /// What the plan hands to the host.
    pub fds: BTreeMap<Handed, OwnedFd>,
    /// Locks on what this sandbox alone may use.
    pub claims: Vec<OwnedFd>,
}

/// One start.
pub(crate) struct Start<'a> {
    pub settled: &'a Settled,
    pub image: &'a Image,
    pub kept: &'a Kept,
    pub plan: &'a Plan,
    /// Whether the caller may want to watch a stream socket.
    pub doorbell: bool,
    /// By the names of the plan: standard streams, declared fds, joined namespaces.
    pub passed: BTreeMap<String, OwnedFd>,
    /// CLOCK_MONOTONIC nanoseconds of the call.
    pub called: u64,
    pub deadline: Option<u64>,
    pub cancel: Option<&'a Canceller>,
    pub fault: Option<Fault>,
    pub host_fault: Option<Fault>,
    /// Set: the end alone is waited for.
    pub unproven: Option<Unproven>,
    /// Locks on what this sandbox alone may use; to begin with, none.
    pub claims: Vec<OwnedFd>,
}

/// How many are kept: one sandbox after another needs two, because the last one has not quite ended when the next begins.
const SPARES: usize = 4;

/// How long a failed or dropped sandbox may take to disappear.
pub(crate) const GRACE: u64 = 1_000_000_000;

/// How long the end of a sandbox waits for keepers that have nothing left to do: one that is not reaped then never is. They take
/// longer than a moment on a machine only that is starved.
const LAST_GRACE: u64 = 10 * GRACE;

impl Kept {
    /// The standing namespace, if it is there.
    pub fn standing(&self) -> Option<&OwnedFd> {
        self.standing.get()?.as_ref()
    }

    /// Reap what has ended since; never blocks.
    pub fn sweep(&self) {
        let gone: Vec<Ended> = {
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.extract_if(.., Ended::is_gone).collect()
        };
        let leaves = gone.into_iter().filter_map(|one| Arc::into_inner(one.group?)).filter_map(Leaf::into_spare);
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        spares.extend(leaves);
        spares.truncate(SPARES);
    }

    /// What an earlier start has left of its group for this one.
    fn spare(&self, group: &Group, ours: u64) -> Option<Spare> {
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = spares.iter().position(|spare| spare.fits(group, ours))?;
        Some(spares.swap_remove(fits))
    }

    /// Leave a keeper that is about to end to the next sweep.
    pub fn leave(&self, keeper: OwnedFd, group: Option<Arc<Leaf>>) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(Ended { keeper, group });
    }
}

impl Ended {
    /// Whether nothing of it is left, but what the next start may use.
    fn is_gone(&mut self) -> bool {
        if matches!(crate::sys::reap(&self.keeper), Ok(false)) {
            return false;
        }
        self.group.as_mut().is_none_or(|group| Arc::get_mut(group).is_some_and(Leaf::retire))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let deadline = crate::sys::monotonic() + LAST_GRACE;
        let ended = std::mem::take(self.ended.get_mut().unwrap_or_else(PoisonError::into_inner));
        for one in &ended {
            until_gone(&one.keeper, deadline);
        }
    }
}

/// Wait until a keeper has ended, at most until `deadline`, and reap it. False: it has not.
pub(crate) fn until_gone(keeper: &OwnedFd, deadline: u64) -> bool {
    let ended = wait(&mut [PollFd::new(keeper.as_fd(), PollFlags::POLLIN)], Some(deadline));
    // Reaped here or by somebody else: either way it is gone.
    ended.is_ok() && crate::sys::reap(keeper).unwrap_or(true)
}

/// Carry out the plan, up to the payload's exec.
pub(crate) fn launch(start: Start<'_>) -> Result<(Running, Handover)> {
    let called = start.called;
    let Set { link, held, executed, payload, mut handed, unproven } = set_up(start)?;
    if payload.is_none() && unproven.is_none() {
        return Err(garbled());
    }
    let (link, home, terminal) = (Arc::new(link), Home::Sandbox(held), handed.fds.remove(&Handed::Terminal));
    Ok((
        Running {
            link,
            payload,
            home,
            terminal,
            called,
            executed,
            unproven,
            oom_kills_before: 0,
            killings_before: 0,
            group: None,
            deadline: None,
            run: 0,
            over: AtomicBool::new(false),
            killed: AtomicBool::new(false),
        },
        handed,
    ))
}

/// A plan that was carried out.
struct Set {
    link: Link,
    held: Held,
    /// When. None: that is told with the end.
    executed: Option<u64>,
    /// None: it is a session that is open, or the end alone is waited for.
    payload: Option<OwnedFd>,
    handed: Handover,
    unproven: Option<Unproven>,
}

fn set_up(mut start: Start<'_>) -> Result<Set> {
    if start.cancel.is_some_and(Canceller::is_cancelled) {
        return Err(cancelled());
    }
    start.host_operations()?;
    let bytes = start.plan.lower(start.ends(), start.unproven.is_some(), start.fault);
    start.check_length(&bytes)?;
    let (control, inits) = Control::pair().map_err(call("socketpair"))?;
    let (doorbell, inits_doorbell) = start.doorbell_pair()?;
    let host = crate::sys::pidfd_open(std::process::id() as i32).map_err(call("pidfd_open"))?;
    let scope = start.scope()?;
    let (pid, keeper) = match &scope {
        Some(scope) => scope.keeper(&control, inits)?,
        None => {
            let started = spawn(start.image, &inits)?;
            drop(inits);
            started
        }
    };
    // While the kernel still loads init.
    let group = match start.group(scope.as_deref()) {
        Ok(group) => group,
        Err(error) => return Err(start.abandon(&control, &keeper, error)),
    };
    // Where nobody watches, the host's pidfd stands in for the doorbell: to ring it does nothing (ENOTSOCK).
    let ringing = inits_doorbell.as_ref().unwrap_or(&host);
    let mut fds = vec![ringing.as_raw_fd(), host.as_raw_fd()];
    for name in &start.plan.base.passed {
        let standing = || start.kept.standing().filter(|_| name == STANDING);
        match start.passed.get(name).or_else(standing) {
            Some(fd) => fds.push(fd.as_raw_fd()),
            None => return Err(start.abandon(&control, &keeper, unattached(name))),
        }
    }
    if let Err(errno) = control.send_start(&bytes, fds) {
        let error = match errno {
            // It did not even read the plan.
            Errno::EPIPE | Errno::ECONNRESET => ended_early(),
            _ => call("send the plan to init")(errno),
        };
        return Err(start.abandon(&control, &keeper, error));
    }
    drop((inits_doorbell, host));
    // While init is busy.
    start.kept.sweep();
    if let Some(group) = &start.settled.group {
        start.kept.stale.maybe(group, start.settled.host.cgroups.v1_places.values());
    }
    // What init has now is not needed here: a copy of a payload's pipe would hide its end. Mounts that are still to be
    // id-mapped are the exception.
    let steps = &start.plan.base.steps;
    start.passed.retain(|name, _| {
        steps.iter().any(|step| matches!(&step.op, Op::IdMapMount { mount: Fd::Passed(mount) } if mount == name))
    });
    match start.converse(&control, pid) {
        Ok(Begun { executed, payload, handed }) => {
            let (link, claims) = (Link::to_keeper(control, doorbell), start.claims);
            let own_pids = start.plan.base.own_pid_namespace;
            let held = Held { keeper, group: group.map(Arc::new), own_pids };
            let handed = Handover { fds: handed, claims };
            Ok(Set { link, held, executed, payload, handed, unproven: start.unproven })
        }
        Err(error) => Err(start.abandon(&control, &keeper, group::blame(error, group.as_ref()))),
    }
}

/// What the conversation with init has come to; as in [`Set`].
struct Begun {
    executed: Option<u64>,
    payload: Option<OwnedFd>,
    handed: BTreeMap<Handed, OwnedFd>,
}

impl Start<'_> {
    /// Both ends, where somebody may watch.
    fn doorbell_pair(&self) -> Result<(Option<OwnedFd>, Option<OwnedFd>)> {
        if !self.doorbell {
            return Ok((None, None));
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, inits) =
            socketpair(AddressFamily::Unix, SockType::Stream, None, flags).map_err(call("socketpair"))?;
        Ok((Some(ours), Some(inits)))
    }

    /// The prepared tree, made at the first start, and what the host clones for this one.
    fn host_operations(&mut self) -> Result<()> {
        let plan = self.plan;
        let prepared = match self.kept.prepared.get() {
            Some(prepared) => {
                self.stand(prepared);
                prepared
            }
            None => {
                let _only_one = self.kept.preparing.lock().unwrap_or_else(PoisonError::into_inner);
                if self.kept.prepared.get().is_none() {
                    let slots = self.carry_out(0, &plan.base.prepared, None)?;
                    // Nobody else sets it: the lock is held.
                    drop(self.kept.prepared.set(slots));
                }
                self.kept.prepared.get().ok_or_else(|| Error::launch("the prepared tree is missing", libc::EINVAL))?
            }
        };
        let made = self.carry_out(plan.host_count() - plan.base.host.len(), &plan.base.host, Some(prepared))?;
        let mut fds = made.fds;
        for step in &plan.base.host {
            match &step.op {
                Op::CloneTree { into, .. } | Op::CloneFd { into, .. } | Op::Resolve { into, .. } => {
                    self.passed.extend(fds.remove(&into.id).map(|fd| (into.name.clone(), fd)));
                }
                Op::ClaimUpper { into, .. } => self.claims.extend(fds.remove(&into.id)),
                _ => {}
            }
        }
        Ok(())
    }

    fn context<'c>(&'c self, prepared: Option<&'c Slots>) -> Context<'c> {
        let owner = match &self.settled.maps {
            Some(maps) => {
                let outside = |map, id| crate::idmap::to_outside(map, 0).or_else(|| crate::idmap::to_outside(map, id));
                let identity = &self.settled.spec.identity;
                (outside(&maps.uid, identity.uid).unwrap_or(0), outside(&maps.gid, identity.gid).unwrap_or(0))
            }
            None => (0, 0),
        };
        Context { prepared, passed: &self.passed, owner }
    }

    fn carry_out(&self, before: usize, steps: &[Step], prepared: Option<&Slots>) -> Result<Slots> {
        let context = self.context(prepared);
        let mut slots = Slots::default();
        for (index, step) in steps.iter().enumerate() {
            let planted = self.host_fault.filter(|&(at, _)| at == before + index);
            planted
                .map_or_else(|| slots.carry_out(step, &context), |(_, errno)| Err(Errno::from_raw(errno)))
                .map_err(|errno| self.failed(before + index, step, errno as i32, false))?;
        }
        Ok(slots)
    }

    fn check_length(&self, bytes: &[u8]) -> Result<()> {
        if bytes.len() > crate::wire::PLAN_MAX {
            return Err(Error::new(
                ErrorKind::Config,
                Stage::Compile,
                format!("the plan has {} bytes, of which {} are possible", bytes.len(), crate::wire::PLAN_MAX),
            )
            .with_hint("large files belong into a mounted directory, not into the config"));
        }
        Ok(())
    }

    /// From the plan to the exec; where the end alone is waited for, until nothing is to be done for it any more.
    fn converse(&self, control: &Control, pid: i32) -> Result<Begun> {
        let mut handed = BTreeMap::new();
        loop {
            match control.receive(self.deadline, self.cancel) {
                Ok(Message::Ready) => {
                    if let Some(maps) = &self.settled.maps {
                        maps::write(maps, pid, &self.settled.host)?;
                    }
                    self.map_mounts(pid)?;
                    control.send_go().map_err(call("send to init"))?;
                    if self.unproven.is_some() {
                        return Ok(Begun { executed: None, payload: None, handed });
                    }
                }
                // Once each, and only what the plan says.
                Ok(Message::Fd { what, fd }) if self.plan.hands(what) && !handed.contains_key(&what) => {
                    handed.insert(what, fd);
                }
                Ok(Message::Exec { time, pidfd }) => {
                    return Ok(Begun { executed: Some(time), payload: Some(pidfd), handed });
                }
                Ok(Message::Open) => {
                    return Ok(Begun { executed: Some(crate::sys::monotonic()), payload: None, handed });
                }
                Ok(Message::Fail { op, errno, present }) => {
                    let Some(step) = self.plan.step(op) else { return Err(garbled()) };
                    return Err(self.failed(self.plan.host_count() + op, step, errno, present));
                }
                Ok(Message::End { cause, .. }) => return Err(ended_by(cause)),
                Err(Silence::Timeout) => return Err(too_late()),
                Err(Silence::Cancelled) => return Err(cancelled()),
                Ok(_) | Err(Silence::Garbled) => return Err(garbled()),
                Err(Silence::Closed) => return Err(ended_early()),
                Err(Silence::Failed(errno)) => return Err(call("receive from init")(errno)),
            }
        }
    }

    /// Those mounts whose files are to have the sandbox's ids, through its user namespace.
    fn map_mounts(&self, pid: i32) -> Result<()> {
        for (index, step) in self.plan.base.steps.iter().enumerate() {
            let Op::IdMapMount { mount: Fd::Passed(name) } = &step.op else { continue };
            let failed = |errno: Errno| self.failed(self.plan.host_count() + index, step, errno as i32, false);
            let namespace = std::fs::File::open(format!("/proc/{pid}/ns/user"))
                .map_err(|error| failed(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))))?;
            let mount = self.passed.get(name).ok_or_else(|| failed(Errno::EBADF))?;
            let attr =
                MountAttr { set: MOUNT_ATTR_IDMAP, userns_fd: namespace.as_raw_fd() as u64, ..MountAttr::default() };
            mount_setattr(mount.as_fd(), AT_RECURSIVE, &attr).map_err(failed)?;
        }
        Ok(())
    }

    fn failed(&self, index: usize, step: &Step, errno: i32, present: bool) -> Error {
        failed(&self.settled.host, self.plan, index, step, errno, present)
    }

    /// Nothing may be left of a start that failed.
    fn abandon(&self, control: &Control, keeper: &OwnedFd, error: Error) -> Error {
        // A keeper that can't be told is gone, or is told by the signal below.
        control.send_kill(crate::wire::CAUSE_KILLED).unwrap_or_default();
        // The call that ran out of time returns soon after it, also when what was to be init does not listen.
        let hurry = matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Cancelled);
        let patience = if hurry { GRACE / 20 } else { GRACE / 2 };
        if !until_gone_or_killed(keeper, patience)
            && let Ok(keeper) = keeper.try_clone()
        {
            // The kernel is busy with it. The next start reaps it, or the end of the sandbox.
            self.kept.leave(keeper, None);
        }
        error
    }
}

/// The error for operation `index` of the whole plan.
fn failed(host: &HostCaps, plan: &Plan, index: usize, step: &Step, errno: i32, present: bool) -> Error {
    let Step { op, origin } = step;
    let what = op.to_string();
    let subject = op.subject();
    let (kind, message) = match (op, errno) {
        (Op::Execute { program, .. }, libc::ENOENT | libc::ENOTDIR) if present => (
            ErrorKind::ProgramNotFound,
            format!("cannot execute {program}: its interpreter or loader is missing inside"),
        ),
        (Op::Execute { program, .. }, libc::ENOENT | libc::ENOTDIR) => {
            (ErrorKind::ProgramNotFound, format!("there is no program {program} inside the sandbox"))
        }
        (
            Op::Execute { program, .. },
            libc::EACCES | libc::ENOEXEC | libc::ETXTBSY | libc::EPERM | libc::EISDIR | libc::ELIBBAD,
        ) => (ErrorKind::NotExecutable, format!("{program} can't be executed inside the sandbox")),
        _ => (ErrorKind::Setup, format!("could not set up the sandbox: {what} failed")),
    };
    let context = HintContext { operation: &op.hint_word(), errno, host };
    let hint = match kind {
        ErrorKind::ProgramNotFound if !present => Some(
            "programs are looked up inside, by the payload's PATH: the `system` root has the host's /usr; bind anything else in"
                .to_owned(),
        ),
        _ => hint_for(&context),
    };
    let mut error = Error::new(kind, Stage::Launch, message)
        .with_errno(errno)
        .with_origin(origin)
        .with_step(FailedStep { number: index + 1, of: plan.len(), what });
    if let Some(subject) = subject {
        error = error.with_subject(subject);
    }
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Start init: its pid and a pidfd. It waits for what comes over the control socket.
fn spawn(image: &Image, control: &OwnedFd) -> Result<(i32, OwnedFd)> {
    image.start(control).map_err(|errno| {
        let error = Error::launch("could not start init", errno as i32).with_subject(image.describe());
        match errno {
            _ if matches!(image, Image::Installed(_)) => error
                .with_origin("init.path")
                .with_hint("init.path or PINFOLD_INIT must name an executable copy of this release's init"),
            Errno::EACCES => error.with_hint("a security module may forbid executing memory files: install init and name it with init.path or PINFOLD_INIT"),
            _ => error,
        }
    })
}

/// Give the keeper a moment to end by itself, then end it; PID 1 dies with it (PR_SET_PDEATHSIG).
/// False: it is still there.
fn until_gone_or_killed(keeper: &OwnedFd, patience: u64) -> bool {
    use nix::poll::{PollFd, PollFlags};
    let now = crate::sys::monotonic();
    let mut fds = [PollFd::new(keeper.as_fd(), PollFlags::POLLIN)];
    if wait(&mut fds, Some(now + patience)) == Err(Errno::ETIMEDOUT) {
        // ESRCH: it has just ended.
        crate::sys::pidfd_send_signal(keeper.as_fd(), libc::SIGKILL).unwrap_or_default();
    }
    until_gone(keeper, now + GRACE)
}

fn call(what: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| {
        let error = Error::launch(format!("{what} failed"), errno as i32);
        match errno {
            Errno::EMFILE => error.with_hint("this process has too many open fds: raise RLIMIT_NOFILE or close some"),
            Errno::ENFILE => error.with_hint("the machine has too many open fds (fs.file-max)"),
            Errno::ETOOMANYREFS => {
                error.with_hint("this user has too many fds in flight in unix sockets: raise RLIMIT_NOFILE")
            }
            _ => error,
        }
    }
}

fn too_late() -> Error {
    Error::new(ErrorKind::Timeout, Stage::Launch, "the deadline passed before the payload was started")
}

/// The error for a start that the keeper has ended, or of which it has seen the end.
fn ended_by(cause: u32) -> Error {
    match cause {
        crate::wire::CAUSE_WALL_TIME => too_late(),
        crate::wire::CAUSE_CANCELLED => cancelled(),
        crate::wire::CAUSE_CPU_TIME => {
            Error::new(ErrorKind::Timeout, Stage::Launch, "the CPU time was used up before the payload was started")
                .with_origin("limits.cpu_time")
                .with_hint("the set-up counts too: allow some 10 ms more")
        }
        _ => ended_early(),
    }
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, Stage::Launch, "the call was cancelled before the payload was started")
}

fn unattached(name: &str) -> Error {
    let shown = name.strip_prefix("fd ").unwrap_or(name);
    Error::new(ErrorKind::Config, Stage::Launch, format!("no fd was attached under the name {shown:?}"))
        .with_origin("fds")
        .with_hint("the config declares it: attach it with `fd(name, fd)` when the payload is started")
}

fn ended_early() -> Error {
    Error::new(ErrorKind::Setup, Stage::Launch, "init ended before the payload was started").with_hint(
        "something killed it (the out-of-memory killer, an operator), or an installed init is of another release",
    )
}

fn garbled() -> Error {
    Error::new(ErrorKind::Setup, Stage::Launch, "init sent something that it should not")
        .with_hint("an installed init (init.path, PINFOLD_INIT) must be of the same release as the library")
}
