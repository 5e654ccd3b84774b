//! Owns: the scope of a sandbox: a group that the user's systemd has made, a process of init that holds it, keepers born in it.
//! Must not: speak to a systemd (systemd does), or decide whether there is a scope (settle has).
//! Start at: [`Scope::open`].
//!
//! A group can only be entered from a group below the same delegated one, so the keepers of a host that is elsewhere are made
//! by a process inside: the holder, init without a plan. It ends with the host, and with it the scope; what was made below
//! goes with the scope, which is systemd's to remove.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags};

use super::{
    Control, GRACE, Image, Message, Silence, Start, call, cancelled, ended_early, garbled, spawn, too_late,
    until_gone_or_killed, wait,
};
use crate::cancel::Canceller;
use crate::systemd::{self, Refusal};
use crate::{Error, ErrorKind, Result, Stage};

/// Lives as long as what it belongs to.
#[derive(Debug)]
pub(crate) struct Scope {
    /// Its directory.
    path: PathBuf,
    /// None: it is being given up.
    control: Option<Control>,
    holder: OwnedFd,
}

/// How long a systemd may take for a scope, in nanoseconds.
const PATIENCE: u64 = 20_000_000_000;

/// The group of the holder and its keepers: a group with processes of its own can't hand controllers down.
const OWN: &str = "host";

impl Start<'_> {
    /// The scope that the group is made in, if it is in one; made at the first start, and again if it has ended.
    pub(super) fn scope(&self) -> Result<Option<std::sync::Arc<Scope>>> {
        let Some(socket) = self.settled.group.as_ref().and_then(|group| group.scope.as_ref()) else { return Ok(None) };
        let mut kept = self.kept.scope.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if kept.as_ref().is_none_or(|scope| !scope.lives()) {
            *kept = None;
            let unified = self.settled.host.cgroups.unified.as_deref().unwrap_or(Path::new("/sys/fs/cgroup"));
            *kept = Some(Scope::open(self.image, socket, unified, self.deadline, self.cancel)?.into());
        }
        Ok(kept.clone())
    }
}

impl Scope {
    fn open(
        image: &Image,
        socket: &Path,
        unified: &Path,
        deadline: Option<u64>,
        cancel: Option<&Canceller>,
    ) -> Result<Self> {
        let (mut scope, pid) = Self::hold(image)?;
        let name = format!("app-pinfold-{pid}.scope");
        let until = deadline.unwrap_or(u64::MAX).min(crate::sys::monotonic().saturating_add(PATIENCE));
        ask(socket, &name, pid, until, cancel).map_err(|refusal| match refusal {
            Refusal::Silent(error) if error.raw_os_error() == Some(libc::ECANCELED) => cancelled(),
            Refusal::Silent(error) if error.raw_os_error() == Some(libc::ETIMEDOUT) && deadline == Some(until) => {
                too_late()
            }
            refusal => refused(&refusal, socket),
        })?;
        scope.path = enter(unified, &name, pid).map_err(|error| {
            Error::launch("could not use the scope of the user's systemd", error.raw_os_error().unwrap_or(libc::EIO))
                .with_origin("limits")
                .with_subject(name)
                .with_hint("its group must be seen below /sys/fs/cgroup, as it is outside of containers")
        })?;
        // Alive: so the pid was its own all the time.
        if scope.lives() { Ok(scope) } else { Err(ended_early()) }
    }

    /// A holder, in no scope yet, and its pid.
    fn hold(image: &Image) -> Result<(Self, i32)> {
        let (control, inits) = Control::pair().map_err(call("socketpair"))?;
        let host = crate::sys::pidfd_open(std::process::id() as i32).map_err(call("pidfd_open"))?;
        let (pid, holder) = spawn(image, &inits)?;
        drop(inits);
        control.send_hold(host.as_raw_fd()).map_err(|_| ended_early())?;
        Ok((Self { path: PathBuf::new(), control: Some(control), holder }, pid))
    }

    /// Where groups are made in it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn lives(&self) -> bool {
        matches!(crate::sys::reap(&self.holder), Ok(false))
    }

    /// A keeper that listens on `inits`, the other end of `control`: its pid and pidfd.
    pub(super) fn keeper(&self, control: &Control, inits: OwnedFd) -> Result<(i32, OwnedFd)> {
        let holder = self.control.as_ref().ok_or_else(ended_early)?;
        holder.send_keeper(inits.as_raw_fd()).map_err(|_| ended_early())?;
        // A holder that ends lets go of the other end.
        drop(inits);
        match control.receive(None, None) {
            Ok(Message::Made { pid, keeper }) => Ok((pid, keeper)),
            Ok(Message::Fail { errno, .. }) => Err(Error::launch("could not start init in the scope", errno)),
            Err(Silence::Closed) => Err(ended_early()),
            _ => Err(garbled()),
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // The holder sees that.
        drop(self.control.take());
        until_gone_or_killed(&self.holder, GRACE / 2);
    }
}

fn ask(
    socket: &Path,
    name: &str,
    pid: i32,
    deadline: u64,
    cancel: Option<&Canceller>,
) -> std::result::Result<(), Refusal> {
    let uid = nix::unistd::geteuid().as_raw();
    let (stream, _) = systemd::connect(socket, uid)?;
    systemd::start_scope(stream, uid, name, pid.unsigned_abs(), |stream| {
        let fds = [Some(stream.as_fd()), cancel.map(AsFd::as_fd)];
        let mut polled: Vec<PollFd<'_>> =
            fds.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        wait(&mut polled, Some(deadline))?;
        match cancel.is_some_and(Canceller::is_cancelled) {
            true => Err(io::Error::from_raw_os_error(libc::ECANCELED)),
            false => Ok(()),
        }
    })
}

/// Find the scope's directory, and make room in it for groups with controllers.
fn enter(unified: &Path, name: &str, pid: i32) -> io::Result<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    if !group.ends_with(name) {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    let path = unified.join(group.trim_start_matches('/'));
    let own = path.join(OWN);
    fs::create_dir(&own)?;
    fs::write(own.join("cgroup.procs"), pid.to_string())?;
    Ok(path)
}

fn refused(refusal: &Refusal, socket: &Path) -> Error {
    const SAME: &str = "this asks for the same and tells more: systemd-run --user --scope -p Delegate=yes true\n\
                        or start this process in a scope of its own, from where it takes less: systemd-run --user --scope COMMAND";
    let error = |what: String| Error::new(ErrorKind::Setup, Stage::Launch, what);
    match refusal {
        Refusal::Silent(cause) => error("the user's systemd does not answer".to_owned())
            .with_errno(cause.raw_os_error().unwrap_or(libc::EPIPE))
            .with_hint(format!("look at it: systemctl --user status\n{SAME}")),
        Refusal::Refused { name, message } => {
            error(format!("the user's systemd makes no scope: {message} ({name})")).with_hint(SAME)
        }
        Refusal::Ended(result) => error(format!("the user's systemd could not start a scope: {result}")).with_hint(format!(
            "to move a process out of a login session it asks the system's manager, by the system's D-Bus: is that running?\n{SAME}"
        )),
    }
    .with_origin("limits")
    .with_subject(socket.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_makes_keepers_that_are_children_of_the_host() {
        let image = Image::choose(None, None).expect("init");
        let (scope, pid) = Scope::hold(&image).expect("it starts");
        let keepers: Vec<_> = (0..3)
            .map(|_| {
                let (control, inits) = Control::pair().expect("a pair");
                let (pid, keeper) = scope.keeper(&control, inits).expect("it is made");
                (control, pid, keeper)
            })
            .collect();
        for (control, keeper_pid, keeper) in keepers {
            let stat = fs::read_to_string(format!("/proc/{keeper_pid}/stat")).expect("it runs");
            let fields: Vec<&str> = stat.split(' ').collect();
            let wanted = ("(pinfold-init)", std::process::id().to_string());
            assert_eq!((fields[1], fields[3].to_owned()), wanted, "{stat}");
            assert_ne!(keeper_pid, pid);
            // Nobody else has the other end: it sees that ours is closed.
            drop(control);
            wait(&mut [PollFd::new(keeper.as_fd(), PollFlags::POLLIN)], Some(crate::sys::monotonic() + GRACE))
                .expect("it ends");
            assert_eq!(crate::sys::reap(&keeper), Ok(true));
            assert!(!Path::new(&format!("/proc/{keeper_pid}")).exists(), "it was ours to reap");
        }
        // One that is killed is seen to be gone, whichever it was.
        for _ in 0..3 {
            let (control, inits) = Control::pair().expect("a pair");
            let (_, keeper) = scope.keeper(&control, inits).expect("it is made");
            crate::sys::pidfd_send_signal(keeper.as_fd(), libc::SIGKILL).expect("it can be killed");
            let soon = Some(crate::sys::monotonic() + GRACE);
            assert!(matches!(control.receive(soon, None), Err(Silence::Closed)));
            until_gone_or_killed(&keeper, GRACE);
        }
        assert!(scope.lives());
        drop(scope);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_holder_that_is_gone_makes_nothing() {
        let image = Image::choose(None, None).expect("init");
        let (scope, _) = Scope::hold(&image).expect("it starts");
        crate::sys::pidfd_send_signal(scope.holder.as_fd(), libc::SIGTERM).expect("its group is stopped");
        wait(&mut [PollFd::new(scope.holder.as_fd(), PollFlags::POLLIN)], Some(crate::sys::monotonic() + GRACE))
            .expect("it ends");
        let (control, inits) = Control::pair().expect("a pair");
        let error = scope.keeper(&control, inits).expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::Setup, "{error}");
        assert!(!scope.lives());
    }

    #[test]
    fn nothing_is_left_where_no_systemd_answers() {
        let image = Image::choose(None, None).expect("init");
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("private");
        let error = Scope::open(&image, &socket, Path::new("/"), None, None).expect_err("nobody listens");
        assert!(error.to_string().contains("does not answer"), "{error}");
        // One that listens and says nothing: the caller's time counts.
        let _silent = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let soon = Some(crate::sys::monotonic() + 20_000_000);
        let error = Scope::open(&image, &socket, Path::new("/"), soon, None).expect_err("it says nothing");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        let canceller = Canceller::new().expect("an eventfd");
        canceller.cancel();
        let error = Scope::open(&image, &socket, Path::new("/"), None, Some(&canceller)).expect_err("cancelled");
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let refusals = [
            (Refusal::Silent(io::Error::from_raw_os_error(libc::ECONNREFUSED)), "does not answer", "systemctl --user"),
            (
                Refusal::Refused { name: "org.x.Denied".to_owned(), message: "No.".to_owned() },
                "No. (org.x.Denied)",
                "Delegate=yes",
            ),
            (Refusal::Ended("failed".to_owned()), "could not start a scope: failed", "D-Bus"),
        ];
        for (refusal, words, hint) in refusals {
            let error = refused(&refusal, Path::new("/run/user/1000/systemd/private"));
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.hint().is_some_and(|text| text.contains(hint)), "{error}");
            assert_eq!(error.report().subject.as_deref(), Some("/run/user/1000/systemd/private"));
        }
    }
}
