//! Owns: which raw calls an operation is. Every operation has its arm: one that none was written for does not compile.
//! Must not: decide, or reorder.
//! Start at: [`Lowering::steps`].

use crate::idmap::{MapWriter, map_text};
use crate::plan::op::{Op, Step};
use crate::plan::propagation_flags;
use crate::wire;

use super::Fault;
use super::lowering::{Arg, Lowering, cwd};
use super::mounts::clone_flags;

impl Lowering<'_> {
    pub fn steps(&mut self, first: usize, steps: &[Step], fault: Option<Fault>) {
        for (index, step) in steps.iter().enumerate() {
            let index = first + index;
            self.op = index as u16;
            if let Some((_, errno)) = fault.filter(|&(at, _)| at == index) {
                self.check(Arg::Is(0), 1, errno, u64::MAX);
            }
            self.step(&step.op);
        }
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::JoinNamespace { flag, from, .. } => {
                let from = self.fd(from);
                self.call(libc::SYS_setns, [from, (*flag).into()]);
            }
            Op::Unshare { flags } => {
                self.call(libc::SYS_unshare, [(*flags).into()]);
            }
            Op::TimeOffsets { monotonic, boottime } => self.time_offsets(*monotonic, *boottime),
            Op::MapIds { maps } if maps.writer == MapWriter::Init => {
                if maps.deny_setgroups {
                    self.write_file("/proc/self/setgroups", b"deny");
                }
                self.write_file("/proc/self/uid_map", map_text(&maps.uid).as_bytes());
                self.write_file("/proc/self/gid_map", map_text(&maps.gid).as_bytes());
            }
            Op::MapIds { .. } => {
                self.pseudo(wire::PSEUDO_READY, []);
            }
            Op::OpenNamespace { kind, into } => {
                let (path, into) = (self.text(format!("/proc/self/ns/{kind}").as_bytes()), self.slot(into));
                let flags = libc::O_RDONLY | libc::O_CLOEXEC;
                self.call_into(libc::SYS_openat, [cwd(), path.into(), flags.into(), 0.into()], into);
            }
            Op::Undumpable => {
                self.prctl(libc::PR_SET_DUMPABLE, 0);
            }
            Op::CreateInit { cgroup, shared, payload } => self.create_init(cgroup.as_ref(), *shared, *payload),
            Op::EnterGroup { tasks } => self.enter_group(tasks),
            Op::ClearUmask => {
                self.call(libc::SYS_umask, [0.into()]);
            }
            Op::KeepCapabilities => {
                const NO_SETUID_FIXUP: u64 = 4;
                self.prctl(libc::PR_SET_SECUREBITS, NO_SETUID_FIXUP);
            }
            Op::SetIds { uid, gid, groups } => self.set_ids(*uid, *gid, groups.as_deref()),
            Op::DieWithKeeper => {
                self.prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64);
            }
            Op::SetHostname { name } => {
                let text = self.text(name.as_bytes());
                self.call(libc::SYS_sethostname, [text.into(), name.len().into()]);
            }
            Op::LoopbackUp => self.loopback_up(),
            Op::Detach { propagation } => {
                let flags = libc::MS_REC | propagation_flags(*propagation);
                let root = self.text(b"/");
                self.call(libc::SYS_mount, [0.into(), root.into(), 0.into(), flags.into(), 0.into()]);
            }
            Op::CloneTree { path, recursive, witness, into } => self.clone_tree(path, *recursive, *witness, into),
            Op::CloneFd { from, recursive, into } => self.clone_fd(from, *recursive, into),
            Op::NewFileSystem { kind, options, attributes, into } => {
                self.new_file_system(kind, options, *attributes, into)
            }
            Op::MountAt { kind, options, attributes, at, name } => self.mount_at(kind, options, *attributes, at, name),
            Op::SetAttributes { mount, set, recursive } => self.setattr(mount, set.bits(), 0, *recursive),
            Op::SetPropagation { mount, propagation, recursive } => {
                self.setattr(mount, 0, propagation_flags(*propagation), *recursive);
            }
            Op::MakeDir { at, name, mode } => {
                let (at, name) = (self.fd(at), self.path(name));
                self.call_or(libc::SYS_mkdirat, [at, name.into(), (*mode).into()], libc::EEXIST);
            }
            Op::MakeNode { at, name } => self.make_node(at, name),
            Op::MakeFile { at, name, content, mode } => self.make_file(at, name, content, *mode),
            Op::MakeSymlink { at, name, text } => {
                let (at, name, text) = (self.fd(at), self.path(name), self.path(text));
                self.call(libc::SYS_symlinkat, [text.into(), at, name.into()]);
            }
            Op::Resolve { root, path, directory, into } => {
                let kind = if *directory { libc::O_DIRECTORY } else { 0 };
                self.open_below(root, path, libc::O_PATH | kind, 0, into);
            }
            Op::OpenBelow { root, path, flags, mode, into } => self.open_below(root, path, *flags, *mode, into),
            // The host's answer to READY.
            Op::IdMapMount { .. } => {}
            Op::WriteFile { at, name, content } => self.write_below(at, name, content),
            Op::CloneBelow { at, name, into } => {
                let (at, name, into) = (self.fd(at), self.path(name), self.slot(into));
                self.call_into(libc::SYS_open_tree, [at, name.into(), clone_flags(true).into()], into);
            }
            Op::Bind { at, from, name, set } => self.bind(at, from, name, *set),
            Op::Attach { mount, at, name } => self.attach(mount, at, name),
            Op::SendFd { fd, what } => {
                let fd = self.fd(fd);
                self.pseudo(wire::PSEUDO_SEND, [fd, (*what as u32).into()]);
            }
            Op::MountOverlay { at, name, lower, upper, attributes, into } => {
                self.mount_overlay(at, name, lower, upper.as_ref(), attributes.mount_flags(), into);
            }
            Op::SetOwner { at, name, uid, gid } => {
                let (at, name) = (self.fd(at), self.path(name));
                let flags = libc::AT_SYMLINK_NOFOLLOW;
                self.call(libc::SYS_fchownat, [at, name.into(), (*uid).into(), (*gid).into(), flags.into()]);
            }
            // By the host.
            Op::ClaimUpper { .. } => {}
            Op::OpenRoot { into } => self.open_root(into),
            Op::EnterRoot { root } => self.enter_root(root),
            Op::PivotRoot { root, over } => self.pivot_root(root, *over),
            Op::NewKeyring => {
                const KEYCTL_JOIN_SESSION_KEYRING: u32 = 1;
                // A kernel without keyrings has none that could be inherited.
                self.call_or(libc::SYS_keyctl, [KEYCTL_JOIN_SESSION_KEYRING.into(), 0.into()], libc::ENOSYS);
            }
            Op::NoNewPrivileges => {
                self.prctl(libc::PR_SET_NO_NEW_PRIVS, 1);
            }
            Op::DropBoundingSet { keep, last } => self.drop_bounding_set(*keep, *last),
            Op::InstallFilter { program, flags, .. } => self.install_filter(program, *flags),
            Op::PrepareLandlock { file_system, network, scoped, rules, abi, into } => {
                self.prepare_landlock(*file_system, *network, *scoped, rules, *abi, into)
            }
            Op::StartPayload => {
                self.pseudo(wire::PSEUDO_START, []);
            }
            Op::Serve { socket, ruleset } => self.serve(socket, ruleset.as_ref()),
            Op::Deputize { memory } => self.deputize(memory),
            Op::ClearSignalMask => {
                let none = self.words(&[0]);
                self.call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK.into(), none.into(), 0.into(), 8.into()]);
            }
            Op::NewSession => {
                self.call(libc::SYS_setsid, []);
            }
            Op::SetRlimit { resource, soft, hard, .. } => {
                let limit = self.words(&[*soft, *hard]);
                self.call(libc::SYS_prlimit64, [0.into(), (*resource).into(), limit.into(), 0.into()]);
            }
            Op::SetNice { value } => {
                self.call(libc::SYS_setpriority, [0.into(), 0.into(), (*value).into()]);
            }
            Op::ChangeDirectory { path } => {
                let path = self.path(path.as_path());
                self.call(libc::SYS_chdir, [path.into()]);
            }
            Op::SetCapabilities { keep, all, securebits } => self.set_capabilities(*keep, *all, *securebits),
            Op::RestrictSelf { ruleset } => {
                let ruleset = self.fd(ruleset);
                self.call(libc::SYS_landlock_restrict_self, [ruleset, 0.into()]);
            }
            Op::SetUmask { mask } => {
                self.call(libc::SYS_umask, [(*mask).into()]);
            }
            Op::OpenTerminal { columns, rows, host, payload } => self.open_terminal(*columns, *rows, host, payload),
            Op::ControlTerminal { from } => {
                const TIOCSCTTY: u32 = libc::TIOCSCTTY as u32;
                let from = self.fd(from);
                self.call(libc::SYS_ioctl, [from, TIOCSCTTY.into(), 0.into()]);
            }
            Op::LiftFd { from, above, into } => {
                let (from, into) = (self.fd(from), self.slot(into));
                self.call_into(libc::SYS_fcntl, [from, libc::F_DUPFD_CLOEXEC.into(), (*above).into()], into);
            }
            Op::CloseOnExec { first } => {
                const CLOSE_RANGE_CLOEXEC: u32 = 4;
                self.call(libc::SYS_close_range, [(*first).into(), u32::MAX.into(), CLOSE_RANGE_CLOEXEC.into()]);
            }
            Op::PlaceFd { from, number } => {
                let from = self.fd(from);
                self.call(libc::SYS_dup3, [from, (*number).into(), 0.into()]);
            }
            Op::OwnPid { variable } => self.own_pid(variable),
            Op::Execute { candidates, argv, env, .. } => self.execute(candidates, argv, env),
        }
    }
}
