//! Owns: *the order*. One list, a reason per line.
//! Must not: do I/O, weaken anything (settle has), or know raw calls (lower).
//! Start at: [`compile_base`].

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::fds::{self, Layout};
use crate::landlock;
use crate::rootfs::{self, RootSteps, facts::Facts};
use crate::seccomp;
use crate::settle::{Place, Settled, TreeMode};
use crate::spec::{GuestPath, JoinTarget, Namespace, Propagation, Rlimit, Seccomp, Securebits};
use crate::{Error, ErrorKind, Result, Stage};

use super::display::NAMESPACES;
use super::{Base, Fd, Handed, Op, Slot, Step, Template};

/// The name under which the directory of a group of the unified hierarchy travels.
pub(crate) const GROUP: &str = "group";
/// For the keeper: a group's `cgroup.kill`, its CPU time, and its `freezer.state`.
pub(crate) const GROUP_KILL: &str = "group kill";
pub(crate) const CPU_TIME: &str = "group cpu time";
pub(crate) const THAW: &str = "group freezer";

/// What one payload is, merged from the sandbox's defaults and the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub argv: Vec<Vec<u8>>,
    /// `NAME=value`, final.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    pub cwd: GuestPath,
    /// Who said so: `cwd` of the call, or `process.cwd`.
    pub cwd_origin: &'static str,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub umask: u32,
    pub nice: Option<i32>,
    /// Lower than what the sandbox has.
    pub rlimits: Vec<(Rlimit, u64)>,
    /// A terminal as standard input, output and error: columns and rows.
    pub terminal: Option<(u16, u16)>,
    /// In a group of its own below that of its session.
    pub grouped: bool,
}

/// A filter, ready to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub name: String,
    pub program: Vec<u64>,
    pub flags: u64,
    /// What of a profile has no effect here, in words, for the report.
    pub notes: Vec<String>,
    /// Installed once in PID 1 and inherited; else by the payload's process, last before exec.
    pub inherited: bool,
}

impl Filter {
    fn install(&self) -> Op {
        Op::InstallFilter { name: self.name.clone(), program: self.program.clone(), flags: self.flags }
    }
}

struct Compiler<'a> {
    settled: &'a Settled,
    steps: Vec<Step>,
    slots: u16,
}

/// The name under which the host's requests to a session's PID 1 travel.
pub(crate) const AGENT: &str = "agent";

/// What PID 1 does once the set-up is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    StartPayload,
    /// In a copy of the standing namespace.
    StartPayloadStanding,
    Serve,
}

/// The part of a plan that is the same for every payload: everything up to the payload's process.
pub(crate) fn compile_base(settled: &Settled, facts: &Facts, filter: Option<&Filter>) -> Result<Base> {
    compile(settled, facts, filter, Then::StartPayload)
}

/// The same for a sandbox whose standing namespace is there; `None`: it has none.
pub(crate) fn compile_standing(settled: &Settled, facts: &Facts, filter: Option<&Filter>) -> Result<Option<Base>> {
    compile(settled, facts, filter, Then::StartPayloadStanding).map(|base| Some(base).filter(|base| base.stands))
}

/// The same set-up for a session, whose payloads are asked for one by one.
pub(crate) fn compile_session(settled: &Settled, facts: &Facts, filter: Option<&Filter>) -> Result<Base> {
    compile(settled, facts, filter, Then::Serve)
}

fn compile(settled: &Settled, facts: &Facts, filter: Option<&Filter>, then: Then) -> Result<Base> {
    let mut c = Compiler { settled, steps: Vec::with_capacity(96), slots: 0 };
    let spec = &settled.spec;
    let own_mounts = spec.namespaces.mount == Namespace::New;
    let stands = then == Then::StartPayloadStanding;
    let root = if own_mounts { rootfs::build(settled, facts, ROOT_SLOTS, stands)? } else { RootSteps::default() };
    let stands = stands && root.standing.is_some();
    let mut handed = root.handed;
    if then == Then::Serve && handed.is_empty() {
        handed.extend(root.root.map(|root| (root, Handed::Root)));
    }

    // The keeper, outside.
    let mut joined = c.join(); //                   1. joined ones first: a joined user namespace gives the right to the rest
    joined.extend(c.join_standing(stands));
    c.unshare(); //                                 2. all new ones at once: one RCU grace period, one owner
    c.map_ids(); //                                 3. maps: nothing below has meaning without ids
    c.map_mounts(root.idmapped); //                    and what is mapped through them
    c.hand_namespace(&handed); //                       and who reads files by them later
    c.time_offsets(); //                            4. while /proc/self is still writable, and before anyone lives in it
    c.detach(own_mounts); //                        5. nothing that is mounted from here on is seen outside
    c.steps.extend(root.keeper); //                 6. sources, with the embedder's credentials, in the new mount namespace
    c.add(Op::Undumpable, "default"); //            7. after the maps: an undumpable process's uid_map can't be written
    c.create_init(); //                             8. PID 1 is born in its group

    // PID 1, inside.
    c.enter_groups(); //                               and enters those it can't be born in, while its ids are the host's
    c.add(Op::ClearUmask, "default"); //            9. modes below are meant as written
    c.setup_ids(); //                              10. an unmapped id can't create anything
    c.add(Op::Undumpable, "default"); //           11. a change of ids resets it
    c.add(Op::DieWithKeeper, "default"); //        12. after the ids: their change clears it
    c.names(); //                                  13. hostname, loopback
    c.steps.extend(root.init); //                  14. the root; a fresh proc before the old root goes; pivot
    c.hand(handed); //                                 and the host's way to it
    c.privileges(filter); //                       15. keyring before the filter refuses keyctl; then what is inherited
    c.landlock(&root.writable); //                 16. opened as the sandbox's root, enforced by the payload
    let mut passed = match then {
        Then::Serve => {
            let ruleset = c.under_landlock().then(|| ruleset().into());
            c.add(Op::Serve { socket: Fd::Passed(AGENT.to_owned()), ruleset }, "default");
            vec![AGENT.to_owned()]
        }
        Then::StartPayload | Then::StartPayloadStanding => {
            if spec.process.init {
                c.add(Op::StartPayload, "process");
            }
            Layout::new(&spec.fds).names()
        }
    };
    passed.extend(joined);
    passed.extend(root.passed);
    passed.extend(group_fds(settled));
    // One that a payload has may be a namespace to join as well.
    let mut once = BTreeSet::new();
    passed.retain(|name| once.insert(name.clone()));
    let most = crate::wire::NAMED_FDS_MAX;
    if passed.len() > most {
        return Err(Error::new(
            ErrorKind::Config,
            Stage::Compile,
            format!("{} fds and mounts, of which {most} are possible", passed.len()),
        )
        .with_hint("mount a directory above them instead"));
    }
    Ok(Base {
        prepared: root.prepared,
        host: root.host,
        template: Template::new(&c.steps, &passed, None),
        steps: c.steps,
        passed,
        standing: root.standing.filter(|_| then != Then::Serve),
        stands,
        layers: root.layers,
        own_pid_namespace: spec.namespaces.pid == Namespace::New,
        payload_is_pid1: !spec.process.init,
    })
}

/// The payload's process, up to its exec.
pub(crate) fn compile_payload(settled: &Settled, filter: Option<&Filter>, call: &Call) -> Result<Vec<Step>> {
    let mut c = Compiler { settled, steps: Vec::with_capacity(24), slots: PAYLOAD_SLOTS };
    let layout = Layout::new(&settled.spec.fds);
    c.enter_own_group(call); //                        first, while its ids are those of the session's init
    c.add(Op::ClearSignalMask, "default"); //       1. PID 1 has all signals blocked
    c.add(Op::NewSession, "default"); //            2. no terminal of the host's
    c.limits(call); //                              3. before the ids: raising may need a capability
    c.restrict_self(true); //                          and who may restrict without no_new_privs
    c.payload_ids(call); //                         4. ids, then what only they may do
    let terminal = c.terminal(call); //                and a terminal, which belongs to them
    c.add(Op::ChangeDirectory { path: call.cwd.clone() }, call.cwd_origin);
    c.capabilities(); //                            5. nothing privileged from here on
    c.restrict_self(false);
    c.add(Op::SetUmask { mask: call.umask }, "process.umask");
    let fds = layout.ops(terminal.as_ref(), |name| c.slot(name));
    fds.into_iter().for_each(|op| c.add(op, "fds")); // 6. the last that needs fds of ours
    c.late_filter(filter); //                       7. a filter we did not make may refuse anything above
    c.execute(call, &layout)?; //                   8.
    Ok(c.steps)
}

/// The numbers of slots: each part of a plan has a range of its own.
const ROOT_SLOTS: u16 = 1000;
const PAYLOAD_SLOTS: u16 = 60_000;
pub(super) const RULESET_SLOT: u16 = 1;
const NAMESPACE_SLOT: u16 = 2;

fn ruleset() -> Slot {
    Slot { id: RULESET_SLOT, name: "ruleset".to_owned() }
}

impl Compiler<'_> {
    fn add(&mut self, op: Op, origin: &str) {
        self.steps.push(Step { op, origin: origin.to_owned() });
    }

    fn slot(&mut self, name: String) -> Slot {
        self.slots += 1;
        Slot { id: self.slots, name }
    }

    fn namespaces(&self) -> [(&'static str, i32, &Namespace); 8] {
        let n = &self.settled.spec.namespaces;
        let modes = [&n.user, &n.pid, &n.mount, &self.settled.spec.network, &n.ipc, &n.uts, &n.cgroup, &n.time];
        let mut at = 0;
        modes.map(|mode| {
            let (name, flag) = NAMESPACES[at];
            at += 1;
            (name, flag, mode)
        })
    }

    fn join(&mut self) -> Vec<String> {
        let joins: Vec<(&'static str, i32, String)> = self
            .namespaces()
            .into_iter()
            .filter_map(|(kind, flag, mode)| match mode {
                Namespace::Join(JoinTarget::Fd(name)) => Some((kind, flag, fds::declared(name))),
                Namespace::Join(_) => Some((kind, flag, joined_name(kind))),
                _ => None,
            })
            .collect();
        for (kind, flag, name) in &joins {
            self.add(Op::JoinNamespace { kind, flag: *flag, from: Fd::Passed(name.clone()) }, &origin_of(kind));
        }
        joins.into_iter().map(|(_, _, name)| name).collect()
    }

    fn join_standing(&mut self, stands: bool) -> Option<String> {
        let name = stands.then(|| super::STANDING.to_owned())?;
        let from = Fd::Passed(name.clone());
        self.add(Op::JoinNamespace { kind: "mount", flag: libc::CLONE_NEWNS, from }, "default");
        Some(name)
    }

    fn unshare(&mut self) {
        let flags = self
            .namespaces()
            .into_iter()
            .filter(|(kind, _, mode)| **mode == Namespace::New && !(*kind == "cgroup" && self.settled.group.is_some()))
            .map(|(_, flag, _)| flag)
            .sum();
        if flags != 0 {
            self.add(Op::Unshare { flags }, "namespaces");
        }
    }

    fn map_ids(&mut self) {
        if let Some(maps) = &self.settled.maps {
            self.add(Op::MapIds { maps: maps.clone() }, "identity");
        }
    }

    fn map_mounts(&mut self, mounts: Vec<(Fd, String)>) {
        for (mount, origin) in mounts {
            self.steps.push(Step { op: Op::IdMapMount { mount }, origin });
        }
    }

    /// Who reads or writes the root's files later does it in this namespace, unless it is the host's own id that is mapped.
    fn hand_namespace(&mut self, handed: &[(Fd, Handed)]) {
        if handed.is_empty() || self.settled.spec.namespaces.user != Namespace::New {
            return;
        }
        let into = Slot { id: NAMESPACE_SLOT, name: "user namespace".to_owned() };
        self.add(Op::OpenNamespace { kind: "user", into: into.clone() }, self.handing());
        self.add(Op::SendFd { fd: into.into(), what: Handed::UserNamespace }, self.handing());
    }

    fn hand(&mut self, handed: Vec<(Fd, Handed)>) {
        for (fd, what) in handed {
            self.add(Op::SendFd { fd, what }, self.handing());
        }
    }

    /// Which key asks for that: of a session its files, of a root with a writable layer its changes.
    fn handing(&self) -> &'static str {
        if self.settled.spec.rootfs.overlay.is_some() { "rootfs.overlay" } else { "default" }
    }

    fn time_offsets(&mut self) {
        let n = &self.settled.spec.namespaces;
        let (monotonic, boottime) = (n.offset_monotonic, n.offset_boottime);
        if n.time == Namespace::New && (monotonic, boottime) != (0, 0) {
            self.add(Op::TimeOffsets { monotonic, boottime }, "namespaces.time");
        }
    }

    fn create_init(&mut self) {
        let group = self.settled.group.as_ref();
        let cgroup = group.and_then(|group| group.unified.as_ref()).map(|_| Fd::Passed(GROUP.to_owned()));
        let payload = !self.settled.spec.process.init;
        // Whoever shares the memory of a process that the out-of-memory killer takes dies with it, and with a whole group
        // that is PID 1 too: the keeper has to survive it.
        let apart = group.is_some_and(|group| group.limits.oom_group == Some(true));
        let shared = payload || (self.settled.spec.namespaces.time == Namespace::Host && !apart);
        self.add(Op::CreateInit { cgroup, shared, payload }, "process.init");
    }

    /// The v1 groups, then a cgroup namespace: its root is the groups that its first process is in.
    fn enter_groups(&mut self) {
        let Some(group) = &self.settled.group else { return };
        for place in &group.v1 {
            self.add(Op::EnterGroup { tasks: Fd::Passed(tasks_name(&place.controllers)) }, "limits");
        }
        if self.settled.spec.namespaces.cgroup == Namespace::New {
            self.add(Op::Unshare { flags: libc::CLONE_NEWCGROUP }, "namespaces.cgroup");
        }
    }

    /// A single thread that moves itself waits for nobody.
    fn enter_own_group(&mut self, call: &Call) {
        let group = self.settled.group.as_ref().filter(|_| call.grouped);
        for place in group.iter().flat_map(|group| &group.v1) {
            if Place::counts_payloads(&place.controllers) {
                self.add(Op::EnterGroup { tasks: Fd::Passed(tasks_name(&place.controllers)) }, "limits.payload_groups");
            }
        }
        if group.is_some_and(|group| group.unified.is_some()) {
            self.add(Op::EnterGroup { tasks: Fd::Passed(GROUP.to_owned()) }, "limits.payload_groups");
        }
    }

    fn setup_ids(&mut self) {
        self.add(Op::KeepCapabilities, "default");
        let identity = &self.settled.spec.identity;
        let Some(maps) = &self.settled.maps else {
            // In a joined user namespace the host's root is nobody, who can't make a file. The payload's ids are mapped there.
            let joined = matches!(self.settled.spec.namespaces.user, Namespace::Join(_));
            if joined && self.settled.trees == TreeMode::HostClones {
                self.add(Op::SetIds { uid: identity.uid, gid: identity.gid, groups: None }, "identity");
            }
            return;
        };
        let uid = crate::idmap::of_init(&maps.uid, identity.uid);
        let gid = crate::idmap::of_init(&maps.gid, identity.gid);
        let groups = (!maps.deny_setgroups).then(Vec::new);
        self.add(Op::SetIds { uid, gid, groups }, "identity");
    }

    fn names(&mut self) {
        let spec = &self.settled.spec;
        if spec.namespaces.uts == Namespace::New {
            self.add(Op::SetHostname { name: spec.hostname.clone() }, "hostname");
        }
        if spec.network == Namespace::New {
            self.add(Op::LoopbackUp, "network.mode");
        }
    }

    /// A mount that is to receive the host's later mounts must stay its slave; everything else is cut off. In a new user
    /// namespace the kernel has made slaves of all (mount_namespaces(7)): nothing that is mounted here is seen outside, and what
    /// the host prepared for a root is cut off already. Nothing else is left when the old root has gone.
    fn detach(&mut self, own_mounts: bool) {
        let follows = rootfs::follows_host(self.settled);
        let propagation = if follows { Propagation::Slave } else { Propagation::Private };
        let done = self.settled.spec.namespaces.user == Namespace::New
            && (follows || self.settled.trees == TreeMode::Prepared);
        if own_mounts && !done {
            self.add(Op::Detach { propagation }, "rootfs.propagation");
        }
    }

    fn privileges(&mut self, filter: Option<&Filter>) {
        let security = &self.settled.spec.security;
        if security.new_keyring {
            self.add(Op::NewKeyring, "security.keyring");
        }
        if security.no_new_privs {
            self.add(Op::NoNewPrivileges, "security.no_new_privs");
        }
        let keep = self.settled.kept_capabilities();
        self.add(Op::DropBoundingSet { keep, last: self.settled.host.cap_last }, "security.capabilities");
        if let Some(filter) = filter.filter(|filter| filter.inherited) {
            self.add(filter.install(), "security.seccomp");
        }
    }

    fn under_landlock(&self) -> bool {
        self.settled.landlock_abi > 0 && self.settled.spec.namespaces.mount == Namespace::New
    }

    fn landlock(&mut self, writable: &[rootfs::Writable]) {
        if !self.under_landlock() {
            return;
        }
        let abi = self.settled.landlock_abi;
        let handled = landlock::handled(abi);
        let op = Op::PrepareLandlock {
            abi,
            file_system: handled.file_system,
            network: handled.network,
            scoped: handled.scoped,
            rules: landlock::rules(abi, writable),
            into: ruleset(),
        };
        self.add(op, "security.landlock");
    }

    /// Anybody may with `no_new_privs`, else only who still has CAP_SYS_ADMIN (landlock_restrict_self(2)).
    fn restrict_self(&mut self, still_root: bool) {
        if self.under_landlock() && still_root != self.settled.spec.security.no_new_privs {
            self.add(Op::RestrictSelf { ruleset: ruleset().into() }, "security.landlock");
        }
    }

    fn limits(&mut self, call: &Call) {
        let mut limits = self.settled.rlimits.clone();
        for &(rlimit, value) in &call.rlimits {
            match limits.iter_mut().find(|(known, _)| known.resource == rlimit.resource) {
                Some(known) => known.1 = known.1.min(value),
                None => limits.push((rlimit, value)),
            }
        }
        for (rlimit, value) in limits {
            let origin = format!("limits.rlimits.{}", rlimit.name);
            // SIGXCPU at the soft limit says what happened; one second later there is no way around SIGKILL.
            let hard = if rlimit.name == "cpu" { value.saturating_add(1) } else { value };
            self.add(Op::SetRlimit { name: rlimit.name, resource: rlimit.resource, soft: value, hard }, &origin);
        }
        if let Some(value) = call.nice {
            self.add(Op::SetNice { value }, "process.nice");
        }
    }

    fn payload_ids(&mut self, call: &Call) {
        const SETGID: u8 = 6;
        // A joined user namespace of an unprivileged host denies setgroups; groups that were asked for are tried anyway.
        let joined = matches!(self.settled.spec.namespaces.user, Namespace::Join(_));
        let tried = !joined || self.settled.host.capabilities & 1 << SETGID != 0 || !call.groups.is_empty();
        // With maps PID 1 has given up all groups (`setup_ids`): to have none nothing is to be done.
        let allowed = self.settled.maps.as_ref().map_or(tried, |maps| !maps.deny_setgroups && !call.groups.is_empty());
        let groups = allowed.then(|| call.groups.clone());
        self.add(Op::SetIds { uid: call.uid, gid: call.gid, groups }, "identity");
    }

    /// The payload's end.
    fn terminal(&mut self, call: &Call) -> Option<Slot> {
        let (columns, rows) = call.terminal?;
        let (host, payload) = (self.slot("terminal, host's end".to_owned()), self.slot("terminal".to_owned()));
        let open = Op::OpenTerminal { columns, rows, host: host.clone(), payload: payload.clone() };
        let give = Op::SendFd { fd: host.into(), what: Handed::Terminal };
        let control = Op::ControlTerminal { from: payload.clone().into() };
        [open, give, control].into_iter().for_each(|op| self.add(op, "process.terminal"));
        Some(payload)
    }

    fn capabilities(&mut self) {
        let security = &self.settled.spec.security;
        /// NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, NO_CAP_AMBIENT_RAISE, all locked (capabilities(7)).
        const LOCKED: u32 = 0b1110_1111;
        let securebits = match security.securebits {
            Securebits::Default => Some(LOCKED),
            Securebits::None => Some(0),
            Securebits::Bits(bits) => Some(bits),
        };
        let keep = self.settled.kept_capabilities();
        let all = match self.settled.spec.namespaces.user {
            Namespace::Host => self.settled.host.capabilities,
            _ => u64::MAX >> (63 - self.settled.host.cap_last.min(63)),
        };
        let can = all & 1 << SETPCAP != 0;
        self.add(Op::SetCapabilities { keep, all, securebits: securebits.filter(|_| can) }, "security.capabilities");
    }

    fn late_filter(&mut self, filter: Option<&Filter>) {
        if let Some(filter) = filter.filter(|filter| !filter.inherited) {
            self.add(filter.install(), "security.seccomp");
        }
    }

    fn execute(&mut self, call: &Call, layout: &Layout) -> Result<()> {
        let Some(program) = call.argv.first().filter(|program| !program.is_empty()) else {
            return Err(Error::new(ErrorKind::Config, Stage::Compile, "there is no program to run"));
        };
        let mut env: Vec<(Vec<u8>, Vec<u8>)> = call.env.clone();
        if !layout.listen.is_empty() {
            env.retain(|(name, _)| !name.starts_with(b"LISTEN_"));
            env.push((b"LISTEN_FDS".to_vec(), layout.listen.len().to_string().into_bytes()));
            env.push((b"LISTEN_FDNAMES".to_vec(), layout.listen.join(":").into_bytes()));
            self.add(Op::OwnPid { variable: "LISTEN_PID" }, "fds");
        }
        let path = env.iter().find(|(name, _)| name == b"PATH").map(|(_, value)| value.as_slice());
        let op = Op::Execute {
            program: String::from_utf8_lossy(program).into_owned(),
            candidates: candidates(program, path.unwrap_or_default()),
            argv: call.argv.clone(),
            env: env.iter().map(|(name, value)| [name, b"=".as_slice(), value].concat()).collect(),
        };
        self.add(op, "process");
        Ok(())
    }
}

impl Settled {
    pub(crate) fn kept_capabilities(&self) -> u64 {
        self.spec.security.capabilities.iter().fold(0, |set, kept| set | 1 << kept.number)
    }
}

const SETPCAP: u8 = 8;

/// What travels because of the group. Those of the keeper last and in the order in which it knows them.
fn group_fds(settled: &Settled) -> Vec<String> {
    let Some(group) = &settled.group else { return Vec::new() };
    let mut names: Vec<String> = group.v1.iter().map(|place| tasks_name(&place.controllers)).collect();
    names.extend(group.unified.as_ref().map(|_| GROUP.to_owned()));
    if settled.spec.namespaces.pid != Namespace::New {
        names.push(GROUP_KILL.to_owned());
    }
    names.extend(group.cpu_time.map(|_| CPU_TIME.to_owned()));
    if group.freezes_by_v1() {
        names.push(THAW.to_owned());
    }
    names
}

/// The name under which the `tasks` file of a v1 group travels.
pub(crate) fn tasks_name(controllers: &[String]) -> String {
    format!("tasks of {}", controllers.join(","))
}

/// The name under which the host passes a joined namespace.
pub(crate) fn joined_name(kind: &str) -> String {
    format!("{kind} namespace")
}

fn origin_of(kind: &str) -> String {
    if kind == "network" { "network.mode".to_owned() } else { format!("namespaces.{kind}") }
}

/// A name without a slash is looked up in every directory of the payload's PATH, inside.
fn candidates(program: &[u8], path: &[u8]) -> Vec<Vec<u8>> {
    if program.contains(&b'/') {
        return vec![program.to_vec()];
    }
    path.split(|&byte| byte == b':')
        .filter(|directory| directory.starts_with(b"/"))
        .map(|directory| {
            Path::new(std::ffi::OsStr::from_bytes(directory))
                .join(std::ffi::OsStr::from_bytes(program))
                .into_os_string()
        })
        .map(|path| path.as_bytes().to_vec())
        .collect()
}

/// The filter of a spec. `profile`: the text of the profile it names.
pub(crate) fn filter(settled: &Settled, profile: Option<&str>) -> Result<Option<Filter>> {
    let host = &settled.host;
    let arch = seccomp::Arch::native().ok_or_else(|| {
        Error::unsupported("security.seccomp", format!("there is no system call table for {}", std::env::consts::ARCH))
    })?;
    let keep = settled.kept_capabilities();
    let mut notes = Vec::new();
    let mut flags = 0;
    let (name, policy, inherited) = match &settled.spec.security.seccomp {
        Seccomp::None => return Ok(None),
        Seccomp::Default => {
            let nested_user_namespaces = settled.spec.security.nested_user_namespaces;
            let options = seccomp::DefaultOptions { arch, nested_user_namespaces, keep };
            ("default".to_owned(), seccomp::default_policy(&options), true)
        }
        Seccomp::Profile(path) => {
            let context = seccomp::ProfileContext { arch, kernel: host.kernel, caps: keep };
            let imported = seccomp::profile_from_json(profile.unwrap_or_default(), &context).map_err(|error| {
                Error::new(ErrorKind::Config, Stage::Parse, format!("{}: {error}", path.as_path().display()))
                    .with_origin("security.seccomp")
            })?;
            flags = imported.filter_flags;
            let lists = [
                ("unknown calls left out", imported.ignored),
                ("entries that another one overrides", imported.shadowed),
                ("other architectures, refused as a whole", imported.other_architectures),
            ];
            notes.extend(
                lists
                    .into_iter()
                    .filter(|(_, list)| !list.is_empty())
                    .map(|(what, list)| format!("{what}: {}", list.join(", "))),
            );
            (path.as_path().display().to_string(), imported.policy, false)
        }
    };
    let program = seccomp::compile(&policy).map_err(|error| {
        Error::new(ErrorKind::Config, Stage::Compile, error.to_string()).with_origin("security.seccomp")
    })?;
    // struct sock_filter: u16 code, u8 jt, u8 jf, u32 k: one word.
    let words = program
        .iter()
        .map(|i| u64::from(i.code) | u64::from(i.jt) << 16 | u64::from(i.jf) << 24 | u64::from(i.k) << 32);
    Ok(Some(Filter { name, program: words.collect(), flags, notes, inherited }))
}
