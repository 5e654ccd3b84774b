//! Owns: the words that the tests of what is inside share: a C probe, shell lines, answers as pairs.
//! Must not: assert what a test is about.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pinfold::{Error, Mount, Outcome, Sandbox, SandboxBuilder};

/// Where the probe is inside: in a tmpfs, which every root has.
pub const PROBE: &str = "/tmp/probe";

/// The probe (probe.c), built.
pub fn probe() -> PathBuf {
    pinfold_tests::cc("probe", include_str!("probe.c"))
}

/// A description with the probe inside.
pub fn with_probe() -> SandboxBuilder {
    Sandbox::builder().timeout("30s").mount(Mount::bind(probe(), PROBE).read_only(true))
}

/// A built sandbox.
pub trait Built {
    /// `build`, which must work.
    fn built(self) -> Sandbox;
    /// `build`, which must not.
    fn refused(self) -> Error;
}

impl Built for SandboxBuilder {
    #[track_caller]
    fn built(self) -> Sandbox {
        match self.build() {
            Ok(sandbox) => sandbox,
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    fn refused(self) -> Error {
        match self.build() {
            Ok(sandbox) => panic!("not refused: {:?}", sandbox.config()),
            Err(error) => error,
        }
    }
}

/// Runs a payload, which must start.
#[track_caller]
pub fn run(sandbox: &Sandbox, argv: &[&str]) -> Outcome {
    match sandbox.command(argv[0]).args(&argv[1..]).output() {
        Ok(outcome) => outcome,
        Err(error) => panic!("{argv:?}: {error}"),
    }
}

/// What a payload prints; it must end well.
#[track_caller]
pub fn text(sandbox: &Sandbox, argv: &[&str]) -> String {
    let outcome = run(sandbox, argv);
    assert!(outcome.success(), "{argv:?}: {}\n{}{}", outcome.detail(), outcome.text(), outcome.stderr_text());
    outcome.text()
}

/// What a shell line prints, without the last line feed; it must end well.
#[track_caller]
pub fn sh(sandbox: &Sandbox, line: &str) -> String {
    text(sandbox, &["sh", "-c", line]).trim_end_matches('\n').to_owned()
}

/// `name answer` lines, as the probe prints them. A name may have spaces, an answer not; `killed by N` is one answer.
pub type Answers = BTreeMap<String, String>;

/// What the probe says, in the first start as in all later ones.
#[track_caller]
pub fn ask(sandbox: &Sandbox, what: &[&str]) -> Answers {
    let argv: Vec<&str> = [PROBE].into_iter().chain(what.iter().copied()).collect();
    let first = answers(&text(sandbox, &argv));
    pinfold_tests::settle_in(sandbox);
    assert_eq!(answers(&text(sandbox, &argv)), first, "later starts");
    first
}

/// Lines as answers.
pub fn answers(text: &str) -> Answers {
    let pair = |line: &str| {
        let at = line.find(" killed by ").or_else(|| line.rfind(' '))?;
        Some((line[..at].to_owned(), line[at + 1..].to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// Every expected answer is there, and all that differ are shown at once.
#[track_caller]
pub fn expect(answers: &Answers, expected: &[(&str, &str)]) {
    let mut wrong = String::new();
    for (name, wanted) in expected {
        let got = answers.get(*name).map_or("no answer", String::as_str);
        if !wanted.split('|').any(|wanted| wanted == got) {
            writeln!(wrong, "{name}: {got}, expected {wanted}").expect("text can be written");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// This test program again, running only the test `name`, with variables set and under `prefix` (a command that runs it).
/// The test sees the variables and plays the inner part; what it prints is returned.
#[track_caller]
pub fn again(prefix: &[&str], name: &str, variables: &[(&str, &str)]) -> String {
    let program = std::env::current_exe().expect("the path of this program");
    let mut argv: Vec<&std::ffi::OsStr> = prefix.iter().map(std::ffi::OsStr::new).collect();
    argv.push(program.as_os_str());
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]).args(["--exact", name, "--nocapture", "--test-threads=1"]).stdin(Stdio::null());
    let output = command.envs(variables.iter().copied()).output().expect("this program runs again");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{prefix:?} {name}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("1 passed"), "{name} did not run: {text}");
    text
}

/// Every path below a directory with what it is: kind, size, mode, owner, content of small files. For comparing.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        let mut said = format!("{:o} {}:{} {}", meta.mode(), meta.uid(), meta.gid(), meta.ino());
        if meta.is_dir() {
            left.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if meta.is_symlink() {
            write!(said, " -> {}", std::fs::read_link(&path).unwrap_or_default().display())
                .expect("text can be written");
        } else {
            write!(said, " {} {:?}", meta.len(), std::fs::read(&path).unwrap_or_default())
                .expect("text can be written");
        }
        found.insert(path, said);
    }
    found
}

/// A mount as /proc/self/mountinfo shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// Where.
    pub target: String,
    /// Options of the mount.
    pub options: Vec<String>,
    /// `shared:1`, `master:2`, `unbindable`.
    pub propagation: Vec<String>,
    /// The file system's name.
    pub kind: String,
    /// Options of the file system.
    pub of_file_system: Vec<String>,
}

impl Mounted {
    /// Whether an option is there.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|found| found == option)
    }
}

/// Every mount that a payload sees.
#[track_caller]
pub fn mountinfo(sandbox: &Sandbox) -> Vec<Mounted> {
    parse_mountinfo(&text(sandbox, &["cat", "/proc/self/mountinfo"]))
}

/// Lines of mountinfo.
pub fn parse_mountinfo(text: &str) -> Vec<Mounted> {
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    let line = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        Some(Mounted {
            target: left[4].to_owned(),
            options: list(left[5]),
            propagation: left[6..].iter().map(|&word| word.to_owned()).collect(),
            kind: right[0].to_owned(),
            of_file_system: list(right[2]),
        })
    };
    text.lines().filter_map(line).collect()
}

/// The topmost mount at a target.
#[track_caller]
pub fn at<'a>(mounts: &'a [Mounted], target: &str) -> &'a Mounted {
    match mounts.iter().rev().find(|mount| mount.target == target) {
        Some(mount) => mount,
        None => panic!("nothing is mounted at {target}: {mounts:#?}"),
    }
}

/// Nothing of the host's mounts is left: `..` of the root is the root, and the first mount is it.
#[track_caller]
pub fn assert_closed(builder: SandboxBuilder) {
    let sandbox = builder.mount(Mount::bind(probe(), PROBE).read_only(true)).built();
    let outcome = run(&sandbox, &[PROBE, "closed"]);
    assert_eq!(outcome.text(), "closed\n", "{:?}", sandbox.config());
    let mounts = parse_mountinfo(&text(&sandbox, &[PROBE, "cat", "/proc/self/mountinfo"]));
    assert_eq!(mounts.iter().filter(|mount| mount.target == "/").count(), 1, "{mounts:#?}");
}
