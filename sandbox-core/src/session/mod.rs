//! Owns: one live sandbox, many payloads: the public face of it.
//! Must not: know how a payload is described (command), started (launch) or supervised (process).
//! Start at: [`Session`].

mod group;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cancel::Canceller;
use crate::changes::Change;
use crate::command::{Command, joined_namespaces};
use crate::files::Files;
use crate::kept::{self, KeptRoot, WrittenRoot};
use crate::launch::{Live, Opening};
use crate::plan::Plan;
use crate::sandbox::Sandbox;
use crate::settle::Report;
use crate::{Error, ErrorKind, Result, Stage};

/// A live sandbox in which payloads run one after another or side by side: the same root, namespaces, limits and policy.
///
/// A payload of a session is confined exactly as the first payload of a fresh sandbox would be. It has its own streams,
/// environment, directory, user, deadline and outcome. Killing one, or one that runs out of time, leaves the others alone: its
/// *tree* is ended, the payload and all its descendants, also those that called `setsid` or forked twice.
/// What a payload without a deadline leaves running when it ends belongs to the session and lives as long; with a deadline, until then.
///
/// Closing or dropping the session kills everything inside. Every use after that is an error of kind
/// [`Closed`](ErrorKind::Closed), and payloads that ran end as [`Killed`](crate::Ended::Killed).
///
/// ```
/// use pinfold::Sandbox;
///
/// let session = Sandbox::builder().build()?.open()?;
/// session.command("sh").args(["-c", "echo kept > /tmp/a"]).output()?;
/// assert_eq!(session.command("cat").arg("/tmp/a").output()?.text(), "kept\n");
/// # Ok::<(), pinfold::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping a Session kills everything inside"]
pub struct Session {
    sandbox: Sandbox,
    live: Arc<Live>,
    /// None: the root has no writable layer, or the session is closed.
    root: Mutex<Option<KeptRoot>>,
    /// None: the mounts are not its own, or the session is closed.
    files: Mutex<Option<Files>>,
}

impl Session {
    pub(crate) fn open(sandbox: &Sandbox, cancel: Option<&Canceller>) -> Result<Self> {
        let inner = &sandbox.0;
        let settled = &inner.settled;
        if !settled.spec.process.init {
            return Err(Error::new(ErrorKind::Config, Stage::Validate, "a session needs its init inside")
                .with_origin("process.init")
                .with_hint("leave process.init at true; one payload alone can be PID 1, with `command(..)`"));
        }
        let plan = Plan { base: inner.session_base()?, payload: Vec::new() };
        let passed = joined_namespaces(&settled.spec)?;
        let (live, mut handed) = Live::open(Opening {
            settled,
            image: &inner.image,
            kept: &inner.kept,
            plan: &plan,
            passed,
            deadline: None,
            cancel,
        })?;
        let reach = kept::reach(&mut handed, settled, &inner.image);
        let files = reach.clone().map(|reach| Files::within(Arc::clone(&live), reach));
        let root =
            reach.and_then(|reach| WrittenRoot::new(reach, handed, &plan.base.layers, settled)).map(KeptRoot::new);
        Ok(Self { sandbox: sandbox.clone(), live, root: Mutex::new(root), files: Mutex::new(files) })
    }

    /// A payload for this session: a program by its name (looked up in the payload's PATH, inside) or path.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        Command::within(self.sandbox.clone(), Arc::clone(&self.live), program.as_ref())
    }

    /// The description it was opened from.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// What is enforced, and what was weakened and why.
    pub fn report(&self) -> &Report {
        self.sandbox.report()
    }

    /// Sends a signal to every payload that runs (not to what payloads have started). One that can't be sent to does not keep
    /// the others from it.
    ///
    /// # Errors
    /// Kind `closed`; the kernel refuses the number (EINVAL) or the right to send (EPERM): the first such error. What
    /// `output` or `status` has started is sent it by its supervisor, and only the number is checked.
    pub fn signal(&self, signal: i32) -> Result<()> {
        if self.live.is_closed() {
            return Err(self.live.gone());
        }
        let sent: Vec<Result<()>> = self.live.running().iter().map(|running| running.signal(signal)).collect();
        sent.into_iter().collect()
    }

    /// Kills everything inside, also what earlier payloads have left running, and returns when it is gone. The session
    /// stays open; the payloads end as [`Killed`](crate::Ended::Killed). What is being started meanwhile is killed as well, or
    /// not started (error kind `cancelled`), or starts after that.
    ///
    /// # Errors
    /// Kind `closed`; `unsupported` without a PID namespace of its own; `setup` when something is not gone within a second.
    pub fn kill_all(&self) -> Result<()> {
        if self.sandbox.0.settled.spec.namespaces.pid != crate::spec::Namespace::New {
            return Err(Error::unsupported(
                "namespaces.pid",
                "only a PID namespace of its own tells a session's processes from others: kill the payloads one by one, or close it",
            ));
        }
        self.live.kill_all()
    }

    /// Whether its init is gone, although nobody closed it.
    pub(crate) fn is_lost(&self) -> bool {
        self.live.is_lost()
    }

    /// Have the next payload's supervisor ready.
    pub(crate) fn warm(&self) -> Result<()> {
        self.live.warm()
    }

    /// Close without waiting.
    pub(crate) fn leave(&self) {
        self.live.leave(&self.sandbox.0.kept);
    }

    /// The files inside, as payloads see them: those of the root and of whatever is mounted in it.
    ///
    /// # Errors
    /// Kind `closed`; `unsupported` where the mounts are the host's own, or of a namespace that was joined.
    pub fn files(&self) -> Result<Files> {
        // Without its init a mount namespace goes, and what was mounted below the root with it.
        if self.live.is_closed() || self.live.is_lost() {
            return Err(self.live.gone());
        }
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(|| {
            Error::unsupported("namespaces.mount", "without mounts of its own a session's files are the host's")
                .with_hint("leave namespaces.mount at \"new\"")
        })
    }

    /// What differs from the layers below the writable one so far, sorted by path.
    ///
    /// # Errors
    /// Kind `closed`; `config` where the sandbox has no overlay; else as [`KeptRoot::changes`].
    pub fn changes(&self) -> Result<Vec<Change>> {
        self.root()?.changes()
    }

    /// Writes the changes so far to `directory` as a layer. What payloads write meanwhile may be in it or not.
    ///
    /// # Errors
    /// As [`changes`](Self::changes), and [`KeptRoot::commit`].
    pub fn commit(&self, directory: impl AsRef<Path>) -> Result<()> {
        self.root()?.commit(directory)
    }

    fn root(&self) -> Result<KeptRoot> {
        if self.live.is_closed() {
            return Err(self.live.gone());
        }
        self.root.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(|| {
            Error::new(ErrorKind::Config, Stage::Supervise, "this sandbox's root has no writable layer")
                .with_origin("rootfs.overlay")
                .with_hint("rootfs.overlay = \"memory\" makes it writable")
        })
    }

    /// Kills everything inside and waits until it is gone, at most a second. Closing twice is no error. The outcomes of payloads
    /// that ran tell what these have used, as far as 50 ms suffice to count it; where the session is frozen, only what a group of
    /// their own has counted.
    pub fn close(&self) {
        self.live.close(Some(&self.sandbox.0.kept));
        self.root.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.files.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.live.is_closed()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}
