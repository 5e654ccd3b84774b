//! Owns: config text as a tree of values that know where they were written, before it has types: merging, `--set`.
//! Must not: know the config's keys, except where a value may be written in a short form or is a path.
//! Start at: [`Document`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::de::{De, DeError, Segment};
use super::rootfs::{OverlayConfig, OverlayUpper, RootfsConfig, RootfsKind};
use super::shorthand::SHORTHANDS;
use super::{SandboxConfig, did_you_mean};
use crate::error::{Error, ErrorKind, Problems, Result, Stage};

/// How deep values may be nested, in files and by `--set`.
pub(super) const MAX_DEPTH: usize = 32;
/// After that many problems nobody reads on.
const MAX_PROBLEMS: usize = 100;

/// Config text that was read and has no types yet, so that several can be laid above each other.
///
/// The order is: what a file `extends`, the file, `--set`, flags; later ones win. Tables merge key by key, arrays
/// replace, null unsets. Short forms (`rootfs = "system"`) merge as the tables they stand for.
///
/// ```
/// use pinfold::Document;
///
/// let mut document = Document::from_toml("limits.pids = 64\n")?;
/// document.set("limits.memory=64M")?;
/// let config = document.into_config()?;
/// assert_eq!(config.limits.pids, Some(64));
/// # Ok::<(), pinfold::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Document {
    pub(super) root: Node,
}

/// A value and where it was written.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub value: Value,
    pub at: Option<Location>,
    /// The text of a value that was written without quotes where all is text (`--set`).
    pub bare: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// Wide enough for `i64` and `u64`.
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Table(Table),
    /// A value that was reported and is passed over.
    Hole,
}

pub(super) type Table = BTreeMap<String, Entry>;

/// A value in a table, and where its key was written.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub node: Node,
    pub key_at: Option<Location>,
}

impl Default for Value {
    fn default() -> Self {
        Self::Table(Table::new())
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Self { value, at: None, bare: None }
    }
}

impl From<Node> for Entry {
    fn from(node: Node) -> Self {
        Self { key_at: node.at.clone(), node }
    }
}

/// A place in a config text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// The file, or what stands for one (`--set pids=4`).
    pub file: Option<Arc<str>>,
    /// Counted from 1; 0 where the text is one line anyway.
    pub line: usize,
    /// In bytes, counted from 1.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), 0) => f.write_str(file),
            (Some(file), line) => write!(f, "{file}:{line}"),
            (None, line) => write!(f, "line {line}"),
        }
    }
}

impl Location {
    /// With the column.
    pub(crate) fn exact(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), 0) => file.to_string(),
            (Some(file), line) => format!("{file}:{line}:{}", self.column),
            (None, line) => format!("line {line}, column {}", self.column),
        }
    }
}

/// Where each key of a config was written. Not part of its value: two configs are equal wherever they were written.
#[derive(Clone, Default)]
pub(crate) struct Locations(Arc<BTreeMap<String, Location>>);

impl Locations {
    /// The key was set again, and not in a file.
    pub fn put(&mut self, key: &str, place: &str) {
        let at = Location { file: Some(place.into()), line: 0, column: 0 };
        Arc::make_mut(&mut self.0).insert(key.to_owned(), at);
    }

    /// An error with where the key that it comes from was written.
    pub fn place(&self, error: Error) -> Error {
        let origin = error.report().origin.as_deref().unwrap_or_default();
        match self.get(origin).map(Location::to_string) {
            Some(place) => error.with_place(place),
            None => error,
        }
    }

    /// Where `key` was written, or else the nearest table around it.
    pub fn get(&self, key: &str) -> Option<&Location> {
        let mut key = key;
        loop {
            if let Some(found) = self.0.get(key) {
                return Some(found);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }
}

impl PartialEq for Locations {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Locations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} places", self.0.len())
    }
}

impl Document {
    /// A document with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a config says, as a document.
    ///
    /// # Errors
    /// A path in it is not UTF-8.
    pub fn from_config(config: &SandboxConfig) -> Result<Self> {
        let json = serde_json::to_value(config).map_err(|error| {
            Error::new(ErrorKind::Config, Stage::Parse, format!("the config can't be written as text: {error}"))
        })?;
        Ok(Self { root: from_json_value(json, &mut String::new(), &config.locations) })
    }

    /// Lays another document above this one.
    pub fn merge(&mut self, mut over: Self) {
        expand(&mut self.root);
        expand(&mut over.root);
        merge(&mut self.root, over.root, "");
    }

    /// Sets one key from text: `limits.memory=64M`, `mounts[0].read_only=true`, `process.env."A.B"=x`.
    ///
    /// The value is read as TOML where it is TOML (`true`, `64`, `["a"]`, `{ join = { pid = 1 } }`), `null` unsets, and
    /// everything else is a string. Whether there is such a key shows when the document becomes a config.
    ///
    /// # Errors
    /// The text has no `=`, or the key is none.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let fail = |message: String| {
            let mut problems = Problems::new(Stage::Parse);
            problems.add(format!("--set {assignment}"), message);
            Err(problems.into())
        };
        let Some((key, text)) = assignment.split_once('=') else {
            return fail("must be KEY=VALUE, as in limits.memory=64M".to_owned());
        };
        let Some(path) = parse_key(key.trim()) else {
            return fail("the key must be names with dots between them, as in limits.memory".to_owned());
        };
        if path.len() > MAX_DEPTH {
            return fail(format!("must be nested at most {MAX_DEPTH} levels deep"));
        }
        expand(&mut self.root);
        let at = Location { file: Some(format!("--set {assignment}").into()), line: 0, column: 0 };
        let mut node = set_value(&path, text.trim());
        place_all(&mut node, &at);
        let mut place = &mut self.root;
        for (depth, segment) in path.iter().enumerate() {
            let whole = || path[..depth].iter().map(Segment::to_string).collect::<String>();
            place = match segment {
                Segment::Key(name) => {
                    if matches!(place.value, Value::Null | Value::Hole) {
                        place.value = Value::default();
                    }
                    let Value::Table(table) = &mut place.value else {
                        return fail(format!("{} is not a table", whole().trim_start_matches('.')));
                    };
                    &mut table
                        .entry(name.clone())
                        .or_insert_with(|| Entry { node: Value::Null.into(), key_at: Some(at.clone()) })
                        .node
                }
                Segment::Index(index) => {
                    if matches!(place.value, Value::Null | Value::Hole) {
                        place.value = Value::List(Vec::new());
                    }
                    let Value::List(list) = &mut place.value else {
                        return fail(format!("{} is not an array", whole().trim_start_matches('.')));
                    };
                    let len = list.len();
                    if *index == len {
                        list.push(Value::Null.into());
                    }
                    let Some(element) = list.get_mut(*index) else {
                        return fail(format!("{} has {len} elements", whole().trim_start_matches('.')));
                    };
                    element
                }
            };
        }
        *place = node;
        expand(&mut self.root);
        Ok(())
    }

    /// Gives the document its types.
    ///
    /// # Errors
    /// Every problem at once: unknown keys, wrong types. What values mean is checked when a sandbox is built.
    pub fn into_config(self) -> Result<SandboxConfig> {
        let (config, problems) = self.into_parts();
        match config {
            Some(config) => problems.into_result(config),
            None => Err(problems.into()),
        }
    }

    /// The config without what has not the type of its key, and what was wrong with that. None: nothing can be made of it.
    pub(super) fn into_parts(mut self) -> (Option<SandboxConfig>, Problems) {
        expand(&mut self.root);
        let (mut config, problems) = self.typed_parts::<SandboxConfig>();
        if let Some(config) = &mut config {
            config.locations = self.locations();
        }
        (config, problems)
    }

    /// Gives the document the types of whatever it is.
    pub(super) fn typed_parts<T: DeserializeOwned>(&mut self) -> (Option<T>, Problems) {
        let mut problems = Problems::new(Stage::Parse);
        for _ in 0..MAX_PROBLEMS {
            match T::deserialize(De(&self.root)) {
                Ok(value) => return (Some(value), problems),
                Err(mut error) => {
                    error.at = error.at.or_else(|| self.root.at.clone());
                    let place = find(&mut self.root, &error.path);
                    // A key that is missing because it was reported before is no news.
                    if !(error.missing && place.as_deref().is_some_and(has_hole)) {
                        report(&mut problems, &error);
                    }
                    // What was reported is passed over, so that the next try finds the next problem.
                    match place {
                        Some(node) if !error.path.is_empty() && !matches!(node.value, Value::Hole) => {
                            node.value = Value::Hole;
                        }
                        _ => break,
                    }
                }
            }
        }
        (None, problems)
    }

    fn locations(&self) -> Locations {
        let mut found = BTreeMap::new();
        collect(&self.root, &mut String::new(), &mut found);
        Locations(Arc::new(found))
    }
}

fn collect(node: &Node, key: &mut String, found: &mut BTreeMap<String, Location>) {
    if let Some(at) = &node.at {
        found.insert(key.clone(), at.clone());
    }
    let mut child = |segment: String, node: &Node, at: Option<&Location>| {
        let length = key.len();
        key.push_str(if length == 0 { segment.trim_start_matches('.') } else { &segment });
        collect(node, key, found);
        if let Some(at) = at {
            found.insert(key.clone(), at.clone());
        }
        key.truncate(length);
    };
    match &node.value {
        Value::List(list) => {
            for (index, node) in list.iter().enumerate() {
                child(format!("[{index}]"), node, None);
            }
        }
        Value::Table(table) => {
            for (name, entry) in table {
                child(format!(".{name}"), &entry.node, entry.key_at.as_ref());
            }
        }
        _ => {}
    }
}

/// Puts one error of typing among the problems.
fn report(problems: &mut Problems, error: &DeError) {
    let key: String = error.path.iter().map(Segment::to_string).collect();
    let key = key.trim_start_matches('.');
    let key = if key.is_empty() { "config" } else { key };
    let message = match &error.at {
        Some(at) => format!("{} ({})", error.message, at.exact()),
        None => error.message.clone(),
    };
    match known_mistake(key).or_else(|| error.hint.clone()) {
        Some(hint) => problems.add_with_hint(key, message, hint),
        None => problems.add(key, message),
    }
}

/// Advice for keys that users expect and that are elsewhere.
fn known_mistake(key: &str) -> Option<String> {
    let meant = match key {
        "namespaces.network" | "namespaces.net" => "the network namespace is decided by network.mode".to_owned(),
        "seccomp" | "capabilities" | "landlock" => format!("write security.{key}"),
        "uid_map" | "gid_map" => format!("write identity.{key}"),
        "rlimits" | "wall_time" => format!("write limits.{key}"),
        "namespaces.mnt" => "write namespaces.mount".to_owned(),
        _ => {
            let shorthand = SHORTHANDS.iter().find(|s| s.name == key && s.name != s.key)?;
            format!("write {}", shorthand.key)
        }
    };
    Some(meant)
}

/// What is at `path`.
fn find<'a>(root: &'a mut Node, path: &[Segment]) -> Option<&'a mut Node> {
    path.iter().try_fold(root, |place, segment| match (&mut place.value, segment) {
        (Value::Table(table), Segment::Key(name)) => table.get_mut(name).map(|entry| &mut entry.node),
        (Value::List(list), Segment::Index(index)) => list.get_mut(*index),
        _ => None,
    })
}

fn has_hole(node: &Node) -> bool {
    matches!(&node.value, Value::Table(table) if table.values().any(|entry| matches!(entry.node.value, Value::Hole)))
}

/// Lays `over` above `base`. `key` is where both are.
fn merge(base: &mut Node, over: Node, key: &str) {
    // A namespace is one value, in whatever form.
    let whole = key.starts_with("namespaces.") || key == "network.mode" || key.starts_with("process.env.");
    match (&mut base.value, over) {
        (Value::Table(table), Node { value: Value::Table(over), .. }) if !whole => {
            for (name, entry) in over {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                match table.get_mut(&name) {
                    Some(below) => {
                        below.key_at = entry.key_at;
                        merge(&mut below.node, entry.node, &key);
                    }
                    None => {
                        table.insert(name, entry);
                    }
                }
            }
        }
        (_, over) => *base = over,
    }
}

/// Writes short forms out as the tables they stand for, so that they merge. What is no short form stays and is reported
/// when the document gets its types.
fn expand(root: &mut Node) {
    let Value::Table(table) = &mut root.value else { return };
    if let Some(node) = table.get_mut("rootfs").map(|entry| &mut entry.node) {
        if let Value::Text(text) = &node.value
            && let Ok(rootfs) = RootfsConfig::try_from(text.as_str())
        {
            let kind = match rootfs.kind {
                Some(RootfsKind::Host) => "host",
                Some(RootfsKind::Empty) => "empty",
                Some(RootfsKind::Dir) => "dir",
                _ => "system",
            };
            let path = rootfs.path.map_or(Value::Null, |_| Value::Text(text.clone()));
            fill(node, [("kind", Value::Text(kind.to_owned())), ("path", path), ("layers", Value::Null)]);
        }
        if let Value::Table(rootfs) = &mut node.value
            && let Some(node) = rootfs.get_mut("overlay").map(|entry| &mut entry.node)
            && let Value::Text(text) = &node.value
            && let Ok(overlay) = OverlayConfig::try_from(text.as_str())
        {
            let memory = overlay.upper == Some(OverlayUpper::Memory);
            let upper = Value::Text(if memory { "memory".to_owned() } else { text.clone() });
            match overlay.size {
                Some(size) => {
                    let size = Value::Text(size.to_string());
                    fill(node, [("upper", upper), ("work", Value::Null), ("size", size)]);
                }
                None if memory => fill(node, [("upper", upper), ("work", Value::Null)]),
                None => fill(node, [("upper", upper), ("work", Value::Null), ("size", Value::Null)]),
            }
        }
    }
    if let Some(node) = table.get_mut("network").map(|entry| &mut entry.node)
        && let Value::Text(text) = &node.value
        && super::NetworkConfig::try_from(text.as_str()).is_ok()
    {
        let mode = Value::Text(text.clone());
        fill(node, [("mode", mode)]);
    }
    if let Some(Value::Table(limits)) = table.get_mut("limits").map(|entry| &mut entry.node.value)
        && !limits.contains_key("wall_time")
        && let Some(timeout) = limits.remove("timeout")
    {
        limits.insert("wall_time".to_owned(), timeout);
    }
}

/// Makes a table of `node`, whose values are written where it was.
fn fill<const N: usize>(node: &mut Node, values: [(&str, Value); N]) {
    let at = node.at.clone();
    let entries = values.map(|(name, value)| {
        (name.to_owned(), Entry { node: Node { value, at: at.clone(), bare: None }, key_at: at.clone() })
    });
    node.value = Value::Table(entries.into_iter().collect());
}

fn from_json_value(json: Json, key: &mut String, places: &Locations) -> Node {
    let at = places.0.get(key.as_str()).cloned();
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::String(text) => Value::Text(text),
        Json::Number(number) => number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
            .map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int),
        Json::Array(list) => Value::List(
            list.into_iter()
                .enumerate()
                .map(|(index, json)| {
                    let length = key.len();
                    key.push_str(&format!("[{index}]"));
                    let node = from_json_value(json, key, places);
                    key.truncate(length);
                    node
                })
                .collect(),
        ),
        Json::Object(object) => {
            let mut table = Table::new();
            for (name, json) in object {
                // Absent is the same as null, and a section with nothing in it says nothing.
                let length = key.len();
                if length > 0 {
                    key.push('.');
                }
                key.push_str(&name);
                let node = from_json_value(json, key, places);
                key.truncate(length);
                let empty = match &node.value {
                    Value::Null => true,
                    Value::Table(table) => table.is_empty(),
                    _ => false,
                };
                if !empty {
                    table.insert(name, node.into());
                }
            }
            Value::Table(table)
        }
    };
    Node { value, at, bare: None }
}

fn place_all(node: &mut Node, at: &Location) {
    node.at = Some(at.clone());
    match &mut node.value {
        Value::List(list) => list.iter_mut().for_each(|node| place_all(node, at)),
        Value::Table(table) => {
            for entry in table.values_mut() {
                entry.key_at = Some(at.clone());
                place_all(&mut entry.node, at);
            }
        }
        _ => {}
    }
}

/// Reads `a.b[0]."c.d"`.
fn parse_key(text: &str) -> Option<Vec<Segment>> {
    let mut path = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (name, after) = quoted.split_once('"')?;
            path.push(Segment::Key(name.to_owned()));
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() || name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-') {
                return None;
            }
            path.push(Segment::Key(name.to_owned()));
            rest = after;
        }
        while let Some(indexed) = rest.strip_prefix('[') {
            let (index, after) = indexed.split_once(']')?;
            path.push(Segment::Index(index.parse().ok()?));
            rest = after;
        }
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None if rest.is_empty() => return Some(path),
            None => return None,
        }
    }
}

/// What the right-hand side of an assignment says.
fn set_value(path: &[Segment], text: &str) -> Node {
    if text == "null" {
        return Value::Null.into();
    }
    let in_env = matches!(path, [Segment::Key(a), Segment::Key(b), _] if a == "process" && b == "env");
    let quoted = text.starts_with(['"', '\'', '{']);
    if in_env && !quoted {
        return Value::Text(text.to_owned()).into();
    }
    match super::read::toml_value(text) {
        Some(value @ (Value::Bool(_) | Value::Int(_) | Value::Float(_))) => {
            Node { value, at: None, bare: Some(text.to_owned()) }
        }
        Some(value) => value.into(),
        None => Value::Text(text.to_owned()).into(),
    }
}

/// Reads what `path` names, for errors that are about a file.
pub(super) fn file_error(path: &Path, error: &std::io::Error) -> Error {
    let message = format!("could not read the config file {}: {error}", path.display());
    let report = Error::new(ErrorKind::Config, Stage::Parse, message).with_subject(path.display().to_string());
    match error.raw_os_error() {
        Some(errno) => report.with_errno(errno),
        None => report,
    }
}

/// The hint for an unknown key.
pub(super) fn unknown_key_hint(key: &str, known: &[&'static str]) -> Option<String> {
    did_you_mean(key, known.iter().copied())
        .or_else(|| (!known.is_empty()).then(|| format!("known here: {}", known.join(", "))))
}
