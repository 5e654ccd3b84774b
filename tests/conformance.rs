//! Owns: the conformance cases of `tests/cases`: reading them, running one through the library, comparing a result with
//! what is expected. `tests/cases/README.md` describes the format; every front end has a runner for it.
//! Must not: know any front end but the library.
//! Start at: [`cases`], [`run`], [`Case::check`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pinfold::{Document, Error, Outcome, SandboxBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

/// The files of `tests/cases`, built in so that they can also be run by users who can't read the checkout.
const FILES: &[(&str, &str)] = &[
    ("examples", include_str!("cases/examples.toml")),
    ("fds", include_str!("cases/fds.toml")),
    ("identity", include_str!("cases/identity.toml")),
    ("limits", include_str!("cases/limits.toml")),
    ("merge", include_str!("cases/merge.toml")),
    ("mounts", include_str!("cases/mounts.toml")),
    ("namespaces", include_str!("cases/namespaces.toml")),
    ("process", include_str!("cases/process.toml")),
    ("rootfs", include_str!("cases/rootfs.toml")),
    ("security", include_str!("cases/security.toml")),
    ("shorthands", include_str!("cases/shorthands.toml")),
    ("text", include_str!("cases/text.toml")),
];

/// One case. The fields are explained in `tests/cases/README.md`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Case {
    /// `file/name`.
    pub name: String,
    pub config: Option<String>,
    pub json: Option<String>,
    pub files: BTreeMap<String, String>,
    pub dirs: Vec<String>,
    pub set: Vec<String>,
    pub options: Vec<(String, String)>,
    pub command: Vec<String>,
    pub before: Vec<Vec<String>>,
    pub stdin: String,
    pub user: Option<String>,
    pub needs: Vec<String>,

    pub ended: Option<String>,
    pub code: Option<i64>,
    pub signal: Option<String>,
    pub stdout: Option<String>,
    pub stderr: Option<String>,
    pub stdout_has: Vec<String>,
    pub stderr_has: Vec<String>,
    pub truncated: bool,
    pub enforced: BTreeMap<String, String>,
    pub weaker: Vec<String>,
    pub changes: Option<BTreeMap<String, Vec<String>>>,
    pub shows: Option<String>,
    pub error: Option<String>,
    pub says: Vec<String>,
    pub problems: Vec<ExpectedProblem>,
}

/// What a problem must be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectedProblem {
    pub key: String,
    pub says: String,
    pub hint: String,
    pub at: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    case: Vec<Case>,
}

/// Every case, in the order of the files.
pub fn cases() -> Vec<Case> {
    let read = |(file, text): &(&str, &str)| {
        let mut cases = toml::from_str::<CaseFile>(text).unwrap_or_else(|error| panic!("{file}.toml: {error}")).case;
        cases.iter_mut().for_each(|case| case.name = format!("{file}/{}", case.name));
        cases
    };
    FILES.iter().flat_map(read).collect()
}

/// The names of the built-in files.
pub fn file_names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// What a runner does with the config of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Start the command and wait.
    Run,
    /// Print the config that all texts make together.
    Show,
    /// Build the sandbox and start nothing.
    Build,
}

impl Case {
    pub fn verb(&self) -> Verb {
        match (&self.shows, self.command.is_empty()) {
            (Some(_), _) => Verb::Show,
            (None, true) => Verb::Build,
            (None, false) => Verb::Run,
        }
    }

    /// Whether it can be run by this user on this host.
    pub fn fits(&self, root: bool) -> bool {
        let user = match self.user.as_deref() {
            None => true,
            Some("root") => root,
            Some("user") => !root,
            Some(other) => panic!("{}: no such user: {other:?}", self.name),
        };
        user && self.needs.iter().all(|need| has(need))
    }

    /// `$DIR` in a text is the case's directory.
    pub fn text(&self, text: &str, directory: &Path) -> String {
        text.replace("$DIR", &directory.display().to_string())
    }

    /// Makes the case's directory as it is when it begins. Everybody may use it.
    pub fn lay_out(&self, directory: &Path) {
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
        };
        let make = |path: &Path| {
            fs::create_dir_all(path).expect("a directory");
            for part in path.ancestors().take_while(|part| *part != directory) {
                mode(part, 0o777);
            }
        };
        mode(directory, 0o777);
        for name in &self.dirs {
            make(&directory.join(name));
        }
        let config = self.config.as_ref().map(|text| ("config.toml".to_owned(), text.clone()));
        let json = self.json.as_ref().map(|text| ("config.json".to_owned(), text.clone()));
        for (name, text) in self.files.clone().into_iter().chain(config).chain(json) {
            let path = directory.join(name);
            make(path.parent().expect("a parent"));
            fs::write(&path, self.text(&text, directory)).expect("a file");
            mode(&path, if text.starts_with("#!") { 0o777 } else { 0o666 });
        }
    }

    /// The config file, if the case has one.
    pub fn config_file(&self) -> Option<&'static str> {
        match (&self.config, &self.json) {
            (Some(_), None) => Some("config.toml"),
            (None, Some(_)) => Some("config.json"),
            (None, None) => None,
            (Some(_), Some(_)) => panic!("{}: has both config and json", self.name),
        }
    }

    /// What differs between a result and what is expected; empty where nothing does.
    pub fn check(&self, result: &Value) -> String {
        let mut wrong = String::new();
        let mut expect = |what: &str, wanted: Value, found: &Value| {
            if wanted != *found {
                writeln!(wrong, "  {what}: wanted {wanted}, found {found}").expect("a string");
            }
        };
        if let Some(kind) = &self.error {
            expect("error.kind", json!(kind), &result["error"]["kind"]);
            let message = result["error"].to_string();
            for words in &self.says {
                // As it stands in JSON, without the quotation marks around it.
                let quoted = json!(words).to_string();
                let there = message.contains(&quoted[1..quoted.len() - 1]);
                expect(&format!("{words:?} in the error"), json!(true), &json!(there));
            }
            let none = Vec::new();
            let found = result["error"]["problems"].as_array().unwrap_or(&none);
            if !self.problems.is_empty() {
                expect("number of problems", json!(self.problems.len()), &json!(found.len()));
            }
            for (wanted, found) in self.problems.iter().zip(found) {
                let text = |field: &str| found[field].as_str().unwrap_or_default();
                expect("key", json!(wanted.key), &found["key"]);
                for (field, words) in [("message", &wanted.says), ("hint", &wanted.hint)] {
                    if !text(field).contains(words.as_str()) {
                        expect(field, json!(words), &found[field]);
                    }
                }
                let place = format!("config.toml:{}", wanted.at);
                if !wanted.at.is_empty()
                    && !text("message").ends_with(&format!("{place})"))
                    && !text("key").ends_with(&place)
                {
                    expect("place", json!(place), &found["message"]);
                }
            }
        } else {
            expect("error", Value::Null, &result["error"]);
            match self.verb() {
                Verb::Build => expect("built", json!(true), &result["built"]),
                Verb::Show => {
                    let text = self.shows.as_deref().unwrap_or_default();
                    let wanted: toml::Table = toml::from_str(text).expect("TOML");
                    expect("config", json!(wanted), &result["config"]);
                }
                Verb::Run => self.check_outcome(result, &mut expect),
            }
            let found = result["weaker"].as_array().map_or(&[][..], Vec::as_slice);
            // Not every front end has a report of a sandbox that only was built.
            if self.verb() == Verb::Run || result.get("weaker").is_some() {
                expect("weaker", json!(self.weaker), &json!(found));
            }
            for (feature, how) in self.enforced.iter().filter(|_| result.get("enforced").is_some()) {
                let found = &result["enforced"][feature];
                if !found.as_str().is_some_and(|found| found.starts_with(how)) {
                    expect(feature, json!(how), found);
                }
            }
        }
        wrong
    }

    fn check_outcome(&self, result: &Value, expect: &mut impl FnMut(&str, Value, &Value)) {
        let signaled = self.signal.is_some();
        let ended = self.ended.as_deref().unwrap_or(if signaled { "signaled" } else { "exited" });
        expect("ended", json!(ended), &result["ended"]);
        match (&self.signal, ended) {
            (Some(signal), _) => expect("signal", json!(signal), &result["signal_name"]),
            (None, "exited") => expect("exit_code", json!(self.code.unwrap_or(0)), &result["exit_code"]),
            _ => {}
        }
        if let Some(truncated) = result.get("stdout_truncated") {
            expect("truncated", json!(self.truncated), truncated);
        }
        let text = |stream: &str| result[stream].as_str().unwrap_or_default().to_owned();
        for (stream, whole, parts) in
            [("stdout", &self.stdout, &self.stdout_has), ("stderr", &self.stderr, &self.stderr_has)]
        {
            match whole {
                Some(whole) => expect(stream, json!(whole), &result[stream]),
                // What nobody expects is a finding.
                None if parts.is_empty() && stream == "stderr" => expect(stream, json!(""), &result[stream]),
                None => {}
            }
            for part in parts {
                if !text(stream).contains(part.as_str()) {
                    expect(stream, json!(format!("..{part}..")), &result[stream]);
                }
            }
        }
        if let Some(changes) = &self.changes {
            for kind in ["added", "modified", "deleted"] {
                let wanted = changes.get(kind).cloned().unwrap_or_default();
                expect(kind, json!(wanted), &result["changes"][kind]);
            }
        }
    }
}

/// Whether this host has what a case needs.
fn has(need: &str) -> bool {
    match need {
        "python3" => crate::python().is_some(),
        "groups" => {
            let listed = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
            let unified = listed.split_whitespace().any(|name| name == "memory");
            let directory = if unified { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" };
            nix::unistd::access(directory, nix::unistd::AccessFlags::W_OK).is_ok()
        }
        "memory_overlay" => {
            let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
            let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
            (numbers.next(), numbers.next()) >= (Some(6), Some(6))
        }
        other => panic!("no such need: {other:?}"),
    }
}

/// Runs a case through the library, and says what came of it in the form that all runners share.
pub fn run(case: &Case, directory: &Path) -> Value {
    plain(through_the_library(case, directory, false).unwrap_or_else(|error| failed(&error)), directory)
}

/// The same with a sandbox that has started before ([`crate::settle_in`]).
pub fn run_settled(case: &Case, directory: &Path) -> Value {
    plain(through_the_library(case, directory, true).unwrap_or_else(|error| failed(&error)), directory)
}

fn failed(error: &Error) -> Value {
    json!({ "error": error.report() })
}

fn through_the_library(case: &Case, directory: &Path, settled: bool) -> Result<Value, Error> {
    let mut document = match case.config_file() {
        Some(name) => Document::from_path(directory.join(name))?,
        None => Document::new(),
    };
    for assignment in &case.set {
        document.set(&case.text(assignment, directory))?;
    }
    let mut builder = SandboxBuilder::from(document);
    for (name, value) in &case.options {
        builder = builder.shorthand(name, &case.text(value, directory));
    }
    if case.verb() == Verb::Show {
        let text = builder.into_config()?.to_json()?;
        return Ok(json!({ "config": serde_json::from_str::<Value>(&text).expect("JSON") }));
    }
    let sandbox = builder.build()?;
    let mut words = case.command.iter().map(|word| case.text(word, directory));
    let Some(program) = words.next() else {
        sandbox.explain(&sandbox.command("true"))?;
        let report = serde_json::to_value(sandbox.report()).expect("JSON");
        return Ok(json!({ "built": true, "report": report }));
    };
    if settled {
        crate::settle_in(&sandbox);
    }
    if case.before.is_empty() {
        return Ok(told(&sandbox.command(program).args(words).input(case.stdin.as_bytes()).output()?));
    }
    let session = sandbox.open()?;
    for line in &case.before {
        let words: Vec<String> = line.iter().map(|word| case.text(word, directory)).collect();
        let outcome = session.command(&words[0]).args(&words[1..]).output()?;
        assert!(outcome.success(), "{}: {words:?}: {}{}", case.name, outcome.detail(), outcome.stderr_text());
    }
    let mut result = told(&session.command(program).args(words).input(case.stdin.as_bytes()).output()?);
    if case.changes.is_some() {
        result["changes"] = serde_json::to_value(session.changes()?).expect("JSON");
    }
    session.close();
    Ok(result)
}

fn told(outcome: &Outcome) -> Value {
    let mut value = serde_json::to_value(outcome).expect("JSON");
    value["stdout"] = String::from_utf8_lossy(outcome.stdout()).into();
    value["stderr"] = String::from_utf8_lossy(outcome.stderr()).into();
    value
}

/// A result without what is never the same twice: times, usage, the directory.
pub fn plain(mut result: Value, directory: &Path) -> Value {
    if let Some(result) = result.as_object_mut() {
        for varies in ["version", "usage", "timings", "duration"] {
            result.remove(varies);
        }
        if let Some(changes) = result.get("changes").and_then(Value::as_array) {
            let of = |kind: &str| -> Vec<Value> {
                let changes = changes.iter().filter(|change| change["change"] == kind);
                changes.map(|change| change["path"].clone()).collect()
            };
            let told = json!({ "added": of("added"), "modified": of("modified"), "deleted": of("deleted") });
            result.insert("changes".to_owned(), told);
        }
        if let Some(report) = result.remove("report") {
            let weaker = report["degradations"].as_array().cloned().unwrap_or_default();
            let weaker: Vec<Value> = weaker.into_iter().map(|weaker| weaker["feature"].clone()).collect();
            result.insert("weaker".to_owned(), weaker.into());
            result.insert("enforced".to_owned(), report["enforced"].clone());
        }
    }
    let text = result.to_string().replace(&directory.display().to_string(), "$DIR");
    serde_json::from_str(&text).expect("JSON")
}
