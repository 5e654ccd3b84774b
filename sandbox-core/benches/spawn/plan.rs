//! Owns: what is measured beside what. Must not: measure.
//! Start at: [`groups`].

use crate::args::Args;
use crate::cases::{Job, Kind};
use crate::host;
use crate::measure::Rhythm;
use crate::serve::Launch;
use crate::workshop::{BINDS, Workshop};

/// Rows that are measured interleaved, so that a drift of the machine hits them all alike.
pub struct Group {
    pub name: String,
    pub pinned: bool,
    pub rhythm: Rhythm,
    pub rows: Vec<Row>,
}

pub struct Row {
    pub name: String,
    /// Or why it is not available.
    pub launch: Result<Launch, String>,
    /// Its network namespace is taken down later, by a kernel thread that must not be billed to the next row.
    pub lingers: bool,
}

pub const BASE: &str = "vfork+exec";
pub const FLOOR: &str = "floor";
pub const PINFOLD: &str = "pinfold";
pub const SESSION: &str = "pinfold, payload in a session";
pub const POOL: &str = "pinfold, payload from a pool";
pub const LIMITED: &str = "pinfold, memory, pids and cpus limited";
pub const BUBBLEWRAP: &str = "bubblewrap";
pub const PAUSE_US: u32 = 50_000;

/// Memory sizes of the host that are measured beside an empty one, in MiB.
pub const MEMORY: [usize; 2] = [1024, 4096];
pub const THREADS: usize = 64;
pub const FEW_BINDS: usize = 12;

/// The user for the rows of an unprivileged host, when the run itself is root's.
const UNPRIVILEGED: u32 = 1000;

pub fn host_row(what: &str, host: &str) -> String {
    format!("{what}, {host}")
}

pub fn memory_host(mebibytes: usize) -> String {
    format!("host with {} GiB", mebibytes / 1024)
}

pub fn threads_host() -> String {
    format!("host with {THREADS} idle threads")
}

/// Read-only binds beside those of the default root.
pub fn binds_row(what: &str, binds: usize) -> String {
    format!("{what}, {binds} binds")
}

pub fn main_group(user: &str, pinned: bool, pause_us: u32) -> String {
    let cpu = if pinned { "pinned" } else { "free" };
    let rhythm = if pause_us == 0 { "back to back".to_owned() } else { format!("{} ms pauses", pause_us / 1000) };
    format!("{user}, {cpu}, {rhythm}")
}

pub fn side_group(user: &str, what: &str) -> String {
    format!("{user}, {what}, pinned")
}

pub const HOSTS: &str = "size of the host";
pub const MOUNTS: &str = "number of mounts";

/// "root", or "uid 1000".
pub fn users() -> Vec<(String, Option<u32>)> {
    let ours = nix::unistd::geteuid();
    if ours.is_root() {
        vec![("root".to_owned(), None), (format!("uid {UNPRIVILEGED}"), Some(UNPRIVILEGED))]
    } else {
        vec![(format!("uid {ours}"), None)]
    }
}

pub fn groups(args: &Args, workshop: &Workshop) -> Vec<Group> {
    let mut groups = Vec::new();
    for (name, user) in users() {
        let rows = Rows { workshop, user };
        for pinned in [true, false].into_iter().filter(|&pinned| if pinned { args.pinned } else { args.free }) {
            for pause_us in [0, PAUSE_US] {
                groups.push(Group {
                    name: main_group(&name, pinned, pause_us),
                    pinned,
                    rhythm: args.rhythm(pause_us),
                    rows: rows.everybody(name == "root"),
                });
            }
        }
        let side =
            |what: &str, rows| Group { name: side_group(&name, what), pinned: true, rhythm: args.rhythm(0), rows };
        groups.push(side(HOSTS, rows.hosts()));
        groups.push(side(MOUNTS, rows.mounts()));
    }
    for group in &mut groups {
        let wanted = |row: &Row| args.wants(&group.name, &row.name);
        // The base is cheap, and without it a row has no ratio.
        let any = group.rows.iter().any(wanted);
        group.rows.retain(|row| wanted(row) || (any && row.name == BASE));
    }
    groups.retain(|group| !group.rows.is_empty());
    groups
}

struct Rows<'a> {
    workshop: &'a Workshop,
    user: Option<u32>,
}

impl Rows<'_> {
    fn everybody(&self, root: bool) -> Vec<Row> {
        let mut rows = vec![
            self.base(),
            self.ours("posix_spawn", Kind::PosixSpawn, |_| ()),
            self.floor(FLOOR, 0),
            self.ours(PINFOLD, Kind::Pinfold, |_| ()),
            self.ours("pinfold, output() captured", Kind::PinfoldOutput, |_| ()),
            self.ours(LIMITED, Kind::PinfoldLimits, |_| ()),
            self.ours(SESSION, Kind::Session, |_| ()),
            self.ours(POOL, Kind::Pool, |_| ()),
            self.ours(BUBBLEWRAP, Kind::Bubblewrap, |_| ()),
            self.row("hakoniwa 1.8.0 (in process)", &self.workshop.hakoniwa, vec![self.workshop.dir().into()]),
        ];
        if root {
            rows.push(self.ours("runc", Kind::Runc, |_| ()));
            rows.push(self.ours("crun exec", Kind::CrunExec, |_| ()));
        }
        rows
    }

    fn base(&self) -> Row {
        let mut row = self.row(BASE, &self.workshop.floor, vec!["vfork".into(), self.workshop.dir().into()]);
        row.lingers = false;
        row
    }

    fn hosts(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (what, kind) in [("posix_spawn", Kind::PosixSpawn), (PINFOLD, Kind::Pinfold)] {
            rows.push(self.ours(host_row(what, &memory_host(0)), kind, |_| ()));
            for mebibytes in MEMORY {
                rows.push(self.ours(host_row(what, &memory_host(mebibytes)), kind, |job| job.memory_mib = mebibytes));
            }
            rows.push(self.ours(host_row(what, &threads_host()), kind, |job| job.threads = THREADS));
        }
        let mut left = host::available_mib().saturating_sub(1024);
        for row in &mut rows {
            let mebibytes = MEMORY.into_iter().find(|&m| row.name.ends_with(&memory_host(m))).unwrap_or(0);
            match left.checked_sub(mebibytes) {
                Some(rest) => left = rest,
                None => row.launch = Err("not enough memory here".to_owned()),
            }
        }
        rows
    }

    fn mounts(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for binds in [FEW_BINDS, BINDS] {
            rows.push(self.floor(binds_row(FLOOR, binds), binds));
        }
        for binds in [FEW_BINDS, BINDS] {
            rows.push(self.ours(binds_row(PINFOLD, binds), Kind::Pinfold, |job| job.binds = binds));
        }
        rows
    }

    fn floor(&self, name: impl Into<String>, binds: usize) -> Row {
        let args = vec!["sandbox".into(), self.workshop.dir().into(), binds.to_string().into()];
        self.row(name, &self.workshop.floor, args)
    }

    fn ours(&self, name: impl Into<String>, kind: Kind, change: impl FnOnce(&mut Job)) -> Row {
        let mut job = Job { kind, dir: self.workshop.dir().to_path_buf(), memory_mib: 0, threads: 0, binds: 0 };
        change(&mut job);
        let mut row = self.row(name, &Ok(self.workshop.bench.clone()), job.words());
        row.lingers = kind != Kind::PosixSpawn;
        row
    }

    fn row(
        &self,
        name: impl Into<String>,
        program: &crate::Result<std::path::PathBuf>,
        args: Vec<std::ffi::OsString>,
    ) -> Row {
        let launch = program.clone().map(|program| Launch { program, args, user: self.user });
        Row { name: name.into(), launch, lingers: true }
    }
}
