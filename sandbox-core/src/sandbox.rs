//! Owns: the checked, reusable description of a sandbox, and what is made once for all its payloads.
//! Must not: know how a payload is described (command) or supervised (process).
//! Start at: [`Sandbox`].

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::cancel::Canceller;
use crate::cgroup;
use crate::command::Command;
use crate::config::{Document, SandboxBuilder, SandboxConfig};
use crate::error::{Problems, Result, Stage};
use crate::host::HostCaps;
use crate::launch::{Image, Kept};
use crate::plan::{self, Base, Filter, Plan, compile_base, compile_session, compile_standing};
use crate::rootfs::facts::{self, Facts};
use crate::session::Session;
use crate::settle::{Report, Settled, settle};
use crate::spec::{BindSource, MountKind, Seccomp, examine, validate};
use crate::{Error, ErrorKind, trace};

/// A sandbox, checked and ready to use. Nothing runs yet. Cheap to clone, `Send + Sync`, immutable.
///
/// ```no_run
/// use pinfold::Sandbox;
///
/// let sandbox = Sandbox::builder().timeout("5s").build()?;
/// let outcome = sandbox.command("python3").args(["-c", "print(6 * 7)"]).output()?;
/// assert_eq!(outcome.text(), "42\n");
/// # Ok::<(), pinfold::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sandbox(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub config: SandboxConfig,
    pub settled: Settled,
    pub facts: Facts,
    pub filter: Option<Filter>,
    /// None: it depends on fds that are attached at the start.
    pub base: Option<Arc<Base>>,
    pub image: Image,
    pub kept: Arc<Kept>,
    /// Of every outcome.
    pub report: Arc<Report>,
    /// The set-up without a payload, made when the first session is opened.
    pub session: OnceLock<Arc<Base>>,
    /// The set-up in a copy of the standing namespace, made when that is there.
    pub standing: OnceLock<Arc<Base>>,
}

/// The facts of this host, probed at the first use.
static HOST: OnceLock<Result<HostCaps>> = OnceLock::new();

impl Sandbox {
    /// Describes a sandbox step by step.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::new()
    }

    /// Checks a config and settles it on this host. Relative paths in it start at the current directory.
    ///
    /// # Errors
    /// Kind `config` with every problem of the config; `unsupported` with what this host lacks and how to get it;
    /// `setup` for a mount source that can't be used.
    pub fn from_config(config: SandboxConfig) -> Result<Self> {
        let base = std::env::current_dir().map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(libc::ENOENT);
            Error::new(ErrorKind::Setup, Stage::Validate, "this process has no current directory").with_errno(errno)
        })?;
        let host = HOST.get_or_init(HostCaps::probe).as_ref().map_err(Clone::clone)?;
        let locations = config.locations.clone();
        Self::settled(config, &base, host).map_err(|error| locations.place(error))
    }

    /// Reads a config file, TOML or JSON by its extension. Relative paths in it start at the file's directory.
    ///
    /// # Errors
    /// As [`from_config`](Self::from_config), and whatever is wrong with the text, with line and key.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        SandboxBuilder::from(Document::from_path(path)?).build()
    }

    fn settled(config: SandboxConfig, base: &Path, host: &HostCaps) -> Result<Self> {
        let spec = validate(&config, base)?;
        let facts = facts::gather(&spec)?;
        cgroup::check_devices(&spec.limits)?;
        let below = spec.limits.cgroup_parent.as_deref().map(|parent| host.below(parent));
        let host = below.as_ref().unwrap_or(host);
        let profile = match &spec.security.seccomp {
            Seccomp::Profile(path) => Some(read_profile(path.as_path())?),
            _ => None,
        };
        let init = spec
            .init_path
            .clone()
            .or_else(|| std::env::var_os("PINFOLD_INIT").filter(|path| !path.is_empty()).map(Into::into));
        let mut settled = settle(spec, host)?;
        let image = Image::choose(init.as_deref(), host.memfd_noexec)?;
        settled.report.enforced("init", image.describe());
        for (origin, path) in &facts.skipped {
            settled.report.degraded(
                origin,
                path.display().to_string(),
                "nothing",
                "the mount is optional and its source is missing",
            );
        }
        let filter = plan::filter(&settled, profile.as_deref())?;
        if let Some(filter) = filter.as_ref().filter(|filter| !filter.notes.is_empty()) {
            settled.report.enforced("security.seccomp", format!("{} ({})", filter.name, filter.notes.join("; ")));
        }
        trace::settled(&settled.report);
        let late = settled
            .spec
            .mounts
            .iter()
            .any(|mount| matches!(mount.kind, MountKind::Bind { source: BindSource::Fd(_), .. }));
        let base = if late { None } else { Some(Arc::new(compile_base(&settled, &facts, filter.as_ref())?)) };
        Ok(Self(Arc::new(Inner {
            report: Arc::new(settled.report.clone()),
            config,
            settled,
            facts,
            filter,
            base,
            image,
            kept: Arc::default(),
            session: OnceLock::new(),
            standing: OnceLock::new(),
        })))
    }

    /// The same, with less CPU time. What was prepared for it is shared: a group changes no mount.
    pub(crate) fn with_cpu_time(&self, time: Duration) -> Result<Self> {
        let settled = &self.0.settled;
        if settled.spec.limits.cpu_time.is_some_and(|own| own <= time) {
            return Ok(self.clone());
        }
        let mut spec = settled.spec.clone();
        spec.limits.cpu_time = Some(time);
        self.with(settled.again(spec)?)
    }

    /// The same for one payload among others, whose group says nothing about it alone.
    pub(crate) fn with_cpu_time_per_process(&self, time: Duration) -> Result<Self> {
        self.with(self.0.settled.with_cpu_time_per_process(time)?)
    }

    fn with(&self, settled: Settled) -> Result<Self> {
        let inner = &self.0;
        let compile = || {
            let (facts, filter) = (&inner.facts, inner.filter.as_ref());
            let standing = inner.kept.standing().map(|_| compile_standing(&settled, facts, filter)).transpose()?;
            standing.flatten().map_or_else(|| compile_base(&settled, facts, filter), Ok)
        };
        Ok(Self(Arc::new(Inner {
            report: Arc::new(settled.report.clone()),
            config: inner.config.clone(),
            facts: inner.facts.clone(),
            filter: inner.filter.clone(),
            base: inner.base.as_ref().map(|_| compile().map(Arc::new)).transpose()?,
            image: inner.image.clone(),
            kept: Arc::clone(&inner.kept),
            session: inner.session.clone(),
            standing: OnceLock::new(),
            settled,
        })))
    }

    /// A payload: a program by its name (looked up in the payload's PATH, inside) or path, with its arguments to follow.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        Command::new(self.clone(), program.as_ref())
    }

    /// A live sandbox in which payloads run one after another or side by side. See [`Session`].
    ///
    /// # Errors
    /// As [`Command::output`], and kind `config` where the config can't be a session's: `process.init = false`.
    pub fn open(&self) -> Result<Session> {
        Session::open(self, None).map_err(|error| self.0.config.locations.place(error))
    }

    /// As [`open`](Self::open); `canceller` cancels it at any time until it returns. Payloads have their own
    /// ([`Command::cancelled_by`]).
    ///
    /// # Errors
    /// As [`open`](Self::open), and kind `cancelled`.
    pub fn open_cancelled_by(&self, canceller: &Canceller) -> Result<Session> {
        Session::open(self, Some(canceller)).map_err(|error| self.0.config.locations.place(error))
    }

    /// What would be done for this payload, if it were the next. Runs nothing.
    ///
    /// A privileged host does less from a sandbox's third start on: the mounts that all starts share are then in a mount
    /// namespace of their own, which was made at the second and which each start copies (Linux 6.15 or newer).
    ///
    /// # Errors
    /// The command can't mean anything (no program, a relative directory).
    pub fn explain(&self, command: &Command) -> Result<Plan> {
        command.plan()
    }

    /// The config it was made from.
    pub fn config(&self) -> &SandboxConfig {
        &self.0.config
    }

    /// What will be enforced, and what was weakened and why.
    pub fn report(&self) -> &Report {
        &self.0.report
    }
}

impl Inner {
    /// The set-up of one payload: that of the next start, once the standing namespace is there.
    pub fn start_base(&self) -> Result<Option<Arc<Base>>> {
        let Some(base) = &self.base else { return Ok(None) };
        if base.stands || base.standing.is_none() || self.kept.standing().is_none() {
            return Ok(Some(Arc::clone(base)));
        }
        if let Some(standing) = self.standing.get() {
            return Ok(Some(Arc::clone(standing)));
        }
        let made = compile_standing(&self.settled, &self.facts, self.filter.as_ref())?;
        Ok(Some(made.map_or_else(|| Arc::clone(base), |made| Arc::clone(self.standing.get_or_init(|| Arc::new(made))))))
    }

    /// The set-up of a session.
    pub fn session_base(&self) -> Result<Arc<Base>> {
        if let Some(base) = self.session.get() {
            return Ok(Arc::clone(base));
        }
        let base = compile_session(&self.settled, &self.facts, self.filter.as_ref())?;
        Ok(Arc::clone(self.session.get_or_init(|| Arc::new(base))))
    }
}

impl SandboxBuilder {
    /// Checks everything and settles it on this host.
    ///
    /// # Errors
    /// As [`Sandbox::from_config`]; values that could not be read are reported along with the rest.
    pub fn build(self) -> Result<Sandbox> {
        Sandbox::from_config(self.into_config()?)
    }

    /// The config.
    ///
    /// # Errors
    /// Values that could not be read, and with them whatever the rest means that it must not. What the config means is
    /// otherwise checked by [`build`](Self::build).
    pub fn into_config(self) -> Result<SandboxConfig> {
        let (config, mut problems) = self.into_parts();
        if problems.is_empty() {
            return Ok(config);
        }
        // The rest is checked as well, so that everything is told at once.
        problems.adopt_unrelated(examine(&config, Path::new("/")).1);
        Err(problems.into())
    }
}

impl SandboxConfig {
    /// This config with options laid above it, in the way a file lies above those it `extends`: tables merge key by key,
    /// arrays replace, null unsets. Shorthands come after the sections; `bind`, `ro_bind`, `tmpfs` and `env` add to what is
    /// there. A shorthand takes its short form, those that add also a list of them, or what its key takes.
    ///
    /// # Errors
    /// Every problem at once: names that are neither a section nor a shorthand, values of wrong types, and with
    /// them whatever the rest means that it must not.
    pub fn with_options(&self, json: &str) -> Result<Self> {
        let (config, problems) = self.with_readable_options(json)?;
        SandboxBuilder::from_parts(config, problems).into_config()
    }
}

fn read_profile(path: &Path) -> Result<String> {
    const MAX: u64 = 1 << 20;
    let failed = |message: String| {
        let mut problems = Problems::new(Stage::Validate);
        problems.add("security.seccomp", message);
        Error::from(problems)
    };
    let size =
        std::fs::metadata(path).map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?.len();
    if size > MAX {
        return Err(failed(format!("{} has {size} bytes, of which {MAX} are possible", path.display())));
    }
    std::fs::read_to_string(path).map_err(|error| failed(format!("cannot read {}: {error}", path.display())))
}

/// An fd that a payload gets, as it travels.
pub(crate) type Attached = std::collections::BTreeMap<String, OwnedFd>;
