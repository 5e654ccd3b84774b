//! Owns: the host's end of a session: the sandbox that stays, its shepherds, one more payload.
//! Must not: know what a payload is for, or look at it after its exec (process does).
//! Start at: [`Live`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::cancel::Canceller;
use crate::cgroup::Leaf;
use crate::fds;
use crate::plan::{AGENT, Fault, Handed, Plan};
use crate::settle::Settled;
use crate::{Error, ErrorKind, Result, Stage};

use super::frost::Frost;
use super::{
    Control, GRACE, Handover, Held, Home, Image, Kept, Link, Message, Running, Set, Silence, Start, call, cancelled,
    failed, garbled, group, set_up, too_late, unattached, until_gone,
};

/// How many shepherds without a payload are kept for the next ones.
const IDLE: usize = 16;

/// How long payloads that are killed because their session closes may take to say what they used, all together.
const LAST_WORDS: u64 = 50_000_000;

/// A sandbox that is open.
#[derive(Debug)]
pub(crate) struct Live {
    /// To the keeper.
    link: Link,
    /// To PID 1.
    agent: Control,
    /// None: it was closed.
    held: Mutex<Option<Held>>,
    shepherds: Mutex<Shepherds>,
    ahead: i64,
    /// Why its keeper ended it, once it has said so.
    cause: Mutex<Option<u32>>,
    killings: Killings,
    frost: Arc<Frost>,
    /// Which kills of the out-of-memory killer were told as the end of a payload, by their number since the group was made.
    told_for_memory: Mutex<BTreeSet<u64>>,
}

/// How often everything inside was killed.
#[derive(Debug, Default)]
struct Killings {
    begun: AtomicU64,
    /// So many of them are over.
    over: AtomicU64,
    /// How many answers PID 1 owes: of one that took too long the answer comes later. One at a time has this.
    owed: Mutex<u64>,
}

#[derive(Debug, Default)]
struct Shepherds {
    /// Without a payload.
    idle: Vec<Arc<Link>>,
    running: Vec<Weak<Running>>,
}

/// One more payload.
pub(crate) struct Run<'a> {
    pub settled: &'a Settled,
    pub plan: &'a Plan,
    /// By the names of the plan: standard streams, declared fds.
    pub passed: BTreeMap<String, OwnedFd>,
    /// The names, in the order the plan counts them.
    pub names: Vec<String>,
    /// What stands for a standard stream that was not passed.
    pub null: Option<&'a OwnedFd>,
    /// CLOCK_MONOTONIC nanoseconds.
    pub called: u64,
    pub deadline: Option<u64>,
    pub cancel: Option<&'a Canceller>,
    /// In a group of its own.
    pub grouped: bool,
    /// What its own group may use.
    pub cpu_time: Option<Duration>,
    /// Return when it was asked for: what comes of it is told with its end.
    pub unproven: Option<Unproven>,
    pub fault: Option<Fault>,
}

/// A sandbox to open.
pub(crate) struct Opening<'a> {
    pub settled: &'a Settled,
    pub image: &'a Image,
    pub kept: &'a Kept,
    pub plan: &'a Plan,
    pub passed: BTreeMap<String, OwnedFd>,
    pub deadline: Option<u64>,
    pub cancel: Option<&'a Canceller>,
}

impl Live {
    /// Set the sandbox up, without a payload.
    pub fn open(opening: Opening<'_>) -> Result<(Arc<Self>, Handover)> {
        let Opening { settled, image, kept, plan, mut passed, deadline, cancel } = opening;
        let (agent, inits) = Control::pair().map_err(call("socketpair"))?;
        passed.insert(AGENT.to_owned(), inits);
        let called = crate::sys::monotonic();
        let start = Start {
            settled,
            image,
            kept,
            plan,
            doorbell: false,
            passed,
            called,
            deadline,
            cancel,
            fault: None,
            host_fault: None,
            unproven: None,
            claims: Vec::new(),
        };
        let Set { link, held, handed, .. } = set_up(start)?;
        let ahead = settled.spec.namespaces.offset_monotonic.saturating_mul(1_000_000_000);
        let live = Self {
            link,
            agent,
            held: Mutex::new(Some(held)),
            shepherds: Mutex::default(),
            ahead,
            cause: Mutex::default(),
            killings: Killings::default(),
            frost: Arc::default(),
            told_for_memory: Mutex::default(),
        };
        Ok((Arc::new(live), handed))
    }

    fn shepherds(&self) -> MutexGuard<'_, Shepherds> {
        self.shepherds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None: there is none, or the session is closed.
    pub fn group(&self) -> Option<Arc<Leaf>> {
        self.held().as_ref().and_then(|held| held.group.clone())
    }

    /// Whether one of the kills after the first `before` is not yet told as the end of another payload; then it is told as the end
    /// of this one. All payloads share one counter: no more of them are said to have ended so than were killed.
    pub fn claim_oom_kill(&self, before: u64) -> bool {
        let now = self.group().as_deref().and_then(Leaf::oom_kills).unwrap_or(0);
        let mut told = self.told_for_memory.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that end later have seen as many or more: the first that is free leaves them the most.
        (before.saturating_add(1)..=now).any(|kill| told.insert(kill))
    }

    pub fn is_closed(&self) -> bool {
        self.held().is_none()
    }

    /// The error for whoever uses it after its end.
    pub fn gone(&self) -> Error {
        if self.is_closed() {
            return Error::new(ErrorKind::Closed, Stage::Launch, "the session is closed")
                .with_hint("open another one with `Sandbox::open`");
        }
        if self.has_used_its_cpu_time() {
            return Error::new(ErrorKind::Lost, Stage::Launch, "the session has used up its CPU time")
                .with_origin("limits.cpu_time")
                .with_hint(
                    "limits.cpu_time bounds all payloads of a session together: open another one, or allow more",
                );
        }
        Error::new(ErrorKind::Lost, Stage::Launch, "the session's init is gone").with_hint(
            "something killed it: the out-of-memory killer, an operator, or a payload that attacked its supervisor",
        )
    }

    /// Whether its keeper has ended it for `limits.cpu_time`. For whoever has found it gone: the keeper tells it last.
    pub fn has_used_its_cpu_time(&self) -> bool {
        let mut cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = crate::sys::monotonic() + GRACE;
        while cause.is_none() {
            match self.link.control.receive(Some(deadline), None) {
                Ok(Message::End { cause: told, .. }) => *cause = Some(told),
                Ok(_) => {}
                // Nobody says it any more: the keeper was killed.
                Err(_) => *cause = Some(crate::wire::CAUSE_NONE),
            }
        }
        *cause == Some(crate::wire::CAUSE_CPU_TIME)
    }

    /// Start a payload, and return when it was executed, unless only its end is waited for.
    pub fn run(self: &Arc<Self>, mut run: Run<'_>) -> Result<Arc<Running>> {
        if self.is_closed() {
            return Err(self.gone());
        }
        if run.cancel.is_some_and(Canceller::is_cancelled) {
            return Err(cancelled());
        }
        if run.deadline.is_some_and(|deadline| crate::sys::monotonic() >= deadline) {
            return Err(too_late());
        }
        if self.frost.is_frozen() {
            return Err(frozen());
        }
        let inside = |time: u64| time.saturating_add_signed(self.ahead).max(1);
        let session = self.group();
        let group =
            session.as_ref().filter(|_| run.grouped).map(|leaf| group::of_payload(leaf, &mut run)).transpose()?;
        let ends = group::ends(run.settled, run.deadline.map(inside), run.cpu_time);
        let bytes = run.plan.lower_run(&run.names, ends, run.unproven.is_some(), run.fault);
        if bytes.len() > crate::wire::PLAN_MAX {
            return Err(Error::new(ErrorKind::Config, Stage::Compile, "arguments and environment are too long"));
        }
        let mut numbers = Vec::with_capacity(run.names.len());
        for name in &run.names {
            let null = run.null.filter(|_| fds::is_standard(name));
            numbers.push(run.passed.get(name).or(null).ok_or_else(|| unattached(name))?.as_raw_fd());
        }
        let killings_before = self.killings_over();
        let oom_kills_before = session.as_deref().and_then(Leaf::oom_kills).unwrap_or(0);
        let idle = self.shepherds().idle.pop();
        // An idle one may have ended with everything else inside (kill_all); then another one tells whether PID 1 is there.
        let shepherd = match idle
            .map(|idle| idle.send_run(&bytes, &numbers).map(|there| there.then_some(idle)))
            .transpose()?
            .flatten()
        {
            Some(shepherd) => shepherd,
            None => {
                let shepherd = self.hire()?;
                if !shepherd.send_run(&bytes, &numbers)? {
                    // It may never have been there; then PID 1 has said so.
                    return Err(match shepherd.control.take() {
                        Some(Ok(Message::Fail { op, errno, present })) => {
                            explain(run.settled, run.plan, Failure { op, errno, present })
                        }
                        _ => self.gone_since(killings_before),
                    });
                }
                shepherd
            }
        };
        // A copy of a payload's pipe would hide its end.
        run.passed.clear();
        let home = Home::Session(Arc::clone(self));
        let (deadline, number) = (run.deadline, shepherd.runs());
        if run.unproven.is_some() {
            let running = Running {
                link: shepherd,
                payload: None,
                home,
                terminal: None,
                called: run.called,
                executed: None,
                unproven: run.unproven,
                oom_kills_before,
                killings_before,
                group,
                deadline,
                run: number,
                over: AtomicBool::new(false),
                killed: AtomicBool::new(false),
            };
            return self.remember(running);
        }
        let mut handed = BTreeMap::new();
        let mut said = shepherd.control.receive(run.deadline, run.cancel);
        // Once each, and only what the plan says.
        while let Ok(Message::Fd { what, .. }) = &said
            && run.plan.hands(*what)
            && !handed.contains_key(what)
        {
            if let Ok(Message::Fd { what, fd }) = said {
                handed.insert(what, fd);
            }
            said = shepherd.control.receive(run.deadline, run.cancel);
        }
        let (executed, payload) = match said {
            Ok(Message::Exec { time, pidfd }) => (time, pidfd),
            Ok(Message::Fail { op, errno, present }) => {
                let failure = Failure { op, errno, present };
                if failure.leaves_a_shepherd() {
                    self.keep(shepherd, true);
                } else if errno != libc::ECANCELED {
                    // There is none.
                } else if run.deadline.is_some_and(|deadline| crate::sys::monotonic() >= deadline) {
                    return Err(too_late());
                } else if shepherd.is_dismissed() {
                    return Err(killed_before());
                }
                return Err(explain(run.settled, run.plan, failure));
            }
            // The shepherd notices that its host's end is closed.
            Err(Silence::Timeout) => return Err(too_late()),
            Err(Silence::Cancelled) => return Err(cancelled()),
            Err(Silence::Closed) => return Err(self.gone_since(killings_before)),
            Err(Silence::Failed(errno)) => return Err(call("receive from the session")(errno)),
            Ok(_) | Err(Silence::Garbled) => return Err(garbled()),
        };
        let terminal = handed.remove(&Handed::Terminal);
        let running = Running {
            link: shepherd,
            payload: Some(payload),
            home,
            terminal,
            called: run.called,
            executed: Some(executed),
            unproven: None,
            oom_kills_before,
            killings_before,
            group,
            deadline,
            run: number,
            over: AtomicBool::new(false),
            killed: AtomicBool::new(false),
        };
        self.remember(running)
    }

    fn remember(&self, running: Running) -> Result<Arc<Running>> {
        let running = Arc::new(running);
        {
            let mut shepherds = self.shepherds();
            shepherds.running.retain(|running| running.strong_count() > 0);
            shepherds.running.push(Arc::downgrade(&running));
        }
        // Where somebody froze everything meanwhile.
        self.keep_deadlines()?;
        Ok(running)
    }

    /// Stop everything inside, the shepherds too, until the first of: thaw, a deadline, somebody tells a payload to end.
    pub fn freeze(&self, group: &Arc<Leaf>) -> Result<()> {
        self.frost.freeze(group, &self.link.control, || self.await_ends())?;
        self.keep_deadlines().inspect_err(|_| self.frost.thaw_for_an_end().unwrap_or_default())
    }

    /// Wait for those that are being ended, at most [`GRACE`]: frozen, their shepherds could not say so.
    fn await_ends(&self) {
        let now = crate::sys::monotonic();
        for running in self.running() {
            let told = running.link.is_dismissed() || running.deadline.is_some_and(|deadline| deadline <= now);
            if told && !running.is_over() {
                let mut gone = [PollFd::new(running.link.control.as_fd(), PollFlags::empty())];
                // ETIMEDOUT: then it is said after the thaw.
                super::wait(&mut gone, Some(now + GRACE)).unwrap_or_default();
            }
        }
    }

    pub fn thaw(&self, group: &Leaf) -> Result<()> {
        self.frost.thaw(group)
    }

    /// See to it that a session that is frozen goes on at the first deadline of its payloads.
    fn keep_deadlines(&self) -> Result<()> {
        let first = || {
            let running = self.running();
            running.iter().filter(|running| !running.is_over()).filter_map(|running| running.deadline).min()
        };
        self.frost.thaw_at(&self.link.control, first)
    }

    /// One more shepherd.
    fn hire(&self) -> Result<Arc<Link>> {
        let (control, inits) = Control::pair().map_err(call("socketpair"))?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (doorbell, inits_doorbell) =
            socketpair(AddressFamily::Unix, SockType::Stream, None, flags).map_err(call("socketpair"))?;
        let plan = File::from(memfd_create(c"pinfold-plan", MFdFlags::MFD_CLOEXEC).map_err(call("memfd_create"))?);
        match self.agent.send_shepherd(&[inits.as_raw_fd(), inits_doorbell.as_raw_fd(), plan.as_raw_fd()]) {
            Ok(()) => {
                let control = control.ahead(self.ahead);
                Ok(Arc::new(Link::to_shepherd(control, doorbell, plan, Arc::clone(&self.frost))))
            }
            Err(Errno::EPIPE | Errno::ECONNRESET) => Err(self.gone()),
            Err(errno) => Err(call("ask for a shepherd")(errno)),
        }
    }

    /// Keep a shepherd that is free for the next payload. `rung`: it may have rung its bell.
    fn keep(&self, shepherd: Arc<Link>, rung: bool) {
        if shepherd.is_dismissed() {
            return;
        }
        if rung {
            shepherd.hush();
        }
        let mut shepherds = self.shepherds();
        if shepherds.idle.len() < IDLE && !self.is_closed() {
            shepherds.idle.push(shepherd);
        }
    }

    /// The payloads that run.
    pub fn running(&self) -> Vec<Arc<Running>> {
        self.shepherds().running.iter().filter_map(Weak::upgrade).collect()
    }

    /// Kill everything inside but PID 1, also what no payload of ours holds any more, within [`GRACE`].
    pub fn kill_all(&self) -> Result<()> {
        if self.is_closed() {
            return Err(self.gone());
        }
        let mut owed = self.killings.owed.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = crate::sys::monotonic() + GRACE;
        let begun = self.killings.begun.fetch_add(1, Ordering::SeqCst) + 1;
        for running in self.running() {
            // One that still was there is gone when it has said how its payload ended.
            running.link.send_kill(crate::wire::CAUSE_KILLED).map_err(call("send to a shepherd"))?;
            super::wait(&mut [PollFd::new(running.link.control.as_fd(), PollFlags::empty())], Some(deadline))
                .map_err(call("wait for a payload's end"))?;
        }
        self.frost.thaw_for_an_end().map_err(call("thaw the session"))?;
        self.shepherds().idle.clear();
        self.agent.send_kill_all().map_err(|_| self.gone())?;
        *owed += 1;
        while *owed > 0 {
            match self.agent.receive(Some(deadline), None) {
                Ok(Message::Done) => *owed -= 1,
                Err(Silence::Timeout) => return Err(call("kill everything inside")(Errno::ETIMEDOUT)),
                _ => return Err(self.gone()),
            }
        }
        self.killings.over.store(begun, Ordering::SeqCst);
        Ok(())
    }

    /// The error for a start whose shepherd is gone.
    fn gone_since(&self, killings_over: u64) -> Error {
        if self.has_killed_all_since(killings_over) { killed_before() } else { self.gone() }
    }

    fn killings_over(&self) -> u64 {
        self.killings.over.load(Ordering::SeqCst)
    }

    /// Whether what began when so many killings were over may have been killed by a later one, or by one that went on then:
    /// a shepherd that was just made dies with everything else, without a word.
    pub fn has_killed_all_since(&self, killings_over: u64) -> bool {
        self.killings.begun.load(Ordering::SeqCst) > killings_over && !self.is_lost()
    }

    /// Whether its keeper or its PID 1 is gone.
    pub fn is_lost(&self) -> bool {
        let hung_up = |control: &Control| {
            let mut fds = [PollFd::new(control.as_fd(), PollFlags::empty())];
            super::wait(&mut fds, Some(0)).is_ok()
        };
        hung_up(&self.link.control) || hung_up(&self.agent)
    }

    /// Have a shepherd ready, so that the next payload need not wait for one.
    pub fn warm(&self) -> Result<()> {
        let shepherd = self.hire()?;
        self.keep(shepherd, false);
        Ok(())
    }

    /// Kill everything and do not wait: the sandbox's next start reaps the keeper.
    pub fn leave(&self, kept: &Kept) {
        let Some(held) = self.held().take() else { return };
        self.shepherds().idle.clear();
        self.link.send_kill(crate::wire::CAUSE_KILLED).unwrap_or_default();
        if let Some(group) = held.group.as_ref().filter(|group| !held.own_pids || group.freezes_by_v1()) {
            drop(group.kill());
        }
        kept.leave(held.keeper, held.group);
    }

    /// Kill everything and wait until it is gone, at most [`GRACE`]. Whoever comes later finds it closed. What is not gone by then
    /// is left with `kept`, if there is one.
    pub fn close(&self, kept: Option<&Kept>) {
        let Some(held) = self.held().take() else { return };
        self.hear_last_words();
        self.shepherds().idle.clear();
        // A keeper that is gone needs no telling, and the wait below sees it.
        self.link.send_kill(crate::wire::CAUSE_KILLED).unwrap_or_default();
        if let Some(group) = held.group.as_ref().filter(|group| !held.own_pids || group.freezes_by_v1()) {
            drop(group.kill());
        }
        if !until_gone(&held.keeper, crate::sys::monotonic() + GRACE)
            && let Some(kept) = kept
        {
            kept.leave(held.keeper, held.group);
        }
    }

    /// Have the shepherds kill what runs and say what it used, as far as a moment reaches: one by one, because each searches all
    /// processes. What is frozen says nothing.
    fn hear_last_words(&self) {
        let deadline = crate::sys::monotonic() + LAST_WORDS;
        for running in self.running() {
            if crate::sys::monotonic() >= deadline || self.frost.is_frozen() {
                return;
            }
            if !running.is_over() && running.link.send_kill(crate::wire::CAUSE_KILLED).is_ok() {
                let mut ended = [PollFd::new(running.link.control.as_fd(), PollFlags::empty())];
                // ETIMEDOUT: it says nothing, and is killed with all others.
                super::wait(&mut ended, Some(deadline)).unwrap_or_default();
            }
        }
    }
}

/// What init says of an operation that failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub op: usize,
    pub errno: i32,
    pub present: bool,
}

impl Failure {
    /// Whether the shepherd that says so is free for another payload.
    pub fn leaves_a_shepherd(self) -> bool {
        let never_there = [crate::wire::OP_SHEPHERD, crate::wire::OP_PLACE].map(|op| op as usize);
        self.errno != libc::ECANCELED && !never_there.contains(&self.op)
    }
}

/// What is still to be known of a payload whose end alone is waited for: that it was executed, and in time.
pub(crate) struct Unproven {
    pub deadline: Option<u64>,
    pub explain: Box<dyn Fn(Failure) -> Error + Send + Sync>,
}

impl std::fmt::Debug for Unproven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unproven").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Unproven {
    /// With what was told in the end.
    pub fn verdict(&self, failure: Option<Failure>, end: Told, executed: Option<u64>) -> Result<()> {
        let late = |at: u64| self.deadline.is_some_and(|deadline| at >= deadline);
        match failure {
            Some(_) if end == Told::Cancelled => Err(super::cancelled()),
            Some(failure) if failure.errno == libc::ECANCELED && late(crate::sys::monotonic()) => Err(too_late()),
            Some(failure) if failure.errno == libc::ECANCELED && end == Told::Killed => Err(killed_before()),
            Some(failure) => Err((self.explain)(failure)),
            None if executed.is_some_and(late) => Err(too_late()),
            None => Ok(()),
        }
    }
}

/// What its shepherd was told before the end was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    Killed,
    /// By the caller.
    Cancelled,
}

/// Of one that was not executed, or not known to be, when everything inside was killed.
fn killed_before() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        Stage::Launch,
        "everything in the session was killed (`kill_all`) before the payload was started",
    )
}

/// Of a start in a session that is frozen.
fn frozen() -> Error {
    Error::new(ErrorKind::Setup, Stage::Launch, "the session is frozen").with_hint("thaw it first (`Session::thaw`)")
}

/// Of a fork that failed inside a session: the payload's, or that of its supervisor.
fn no_process(settled: &Settled, errno: i32) -> Error {
    let error = Error::launch("could not start one more process in the session", errno);
    match (errno, settled.spec.limits.pids) {
        (libc::EAGAIN, Some(pids)) => error.with_origin("limits.pids").with_hint(format!(
            "it is {pids}, and counts all payloads, their children and a supervisor for each payload together: raise limits.pids, or \
             wait until some have ended"
        )),
        (libc::EAGAIN, None) => error.with_hint(
            "a limit on processes is reached: RLIMIT_NPROC of this user, a group above the sandbox, or kernel.pid_max",
        ),
        _ => error,
    }
}

/// Of one payload too many.
fn no_place(errno: i32) -> Error {
    Error::launch(format!("{} payloads of the session run already", crate::wire::SHEPHERDS_MAX), errno)
        .with_hint("no more can run side by side in one session: wait until some have ended, or open another one")
}

/// Why a payload of a session was not executed.
pub(crate) fn explain(settled: &Settled, plan: &Plan, failure: Failure) -> Error {
    let Failure { op, errno, present } = failure;
    match u32::try_from(op) {
        Ok(crate::wire::OP_FORK | crate::wire::OP_SHEPHERD) => return no_process(settled, errno),
        Ok(crate::wire::OP_PLACE) => return no_place(errno),
        _ => {}
    }
    match plan.step(op) {
        Some(step) => failed(&settled.host, plan, plan.host_count() + op, step, errno, present),
        None => garbled(),
    }
}

impl Running {
    /// Give the shepherd back that has told everything and is free.
    pub fn give_back(&self, rung: bool) {
        if let Home::Session(live) = &self.home {
            live.keep(Arc::clone(&self.link), rung);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.close(None);
    }
}
