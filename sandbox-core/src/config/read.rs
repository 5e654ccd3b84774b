//! Owns: TOML and JSON text to a document, with limits on size and nesting; files with what they extend.
//! Must not: touch the host but to read the files it was given; know the types of values.
//! Start at: [`Document::from_path`].

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};

use super::Document;
use super::document::{Entry, Location, MAX_DEPTH, Node, Table, Value, file_error};
use crate::error::{Error, ErrorKind, Problems, Result, Stage};

/// Text beyond this is no config.
const MAX_TEXT: usize = 1 << 20;
/// How long a chain of `extends` may be, and how many files one config may be made of.
const MAX_EXTENDS_DEPTH: usize = 16;
const MAX_FILES: usize = 64;
/// Syntax errors cause each other.
const MAX_SYNTAX_ERRORS: usize = 10;

impl Document {
    /// Reads TOML text.
    ///
    /// # Errors
    /// Syntax errors; more than 1 MiB of text; more than 32 levels.
    pub fn from_toml(text: &str) -> Result<Self> {
        read_toml(&Source::new(text, None)?)
    }

    /// Reads JSON text.
    ///
    /// # Errors
    /// As for [`from_toml`](Self::from_toml); also keys that are given twice.
    pub fn from_json(text: &str) -> Result<Self> {
        read_json(&Source::new(text, None)?)
    }

    /// Reads a file, as TOML or JSON by its extension, above all files that it `extends`. Relative paths in a file become
    /// absolute, relative to that file.
    ///
    /// # Errors
    /// As for [`from_toml`](Self::from_toml); also files that can't be read or extend each other in a circle.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        read_file(path.as_ref(), &mut Vec::new(), &mut 0)
    }
}

fn read_file(path: &Path, chain: &mut Vec<PathBuf>, files: &mut usize) -> Result<Document> {
    let toml = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => true,
        Some("json") => false,
        _ => return Err(refuse(path, "a config file must be called .toml or .json")),
    };
    let real = path.canonicalize().map_err(|error| file_error(path, &error))?;
    if chain.contains(&real) {
        return Err(refuse(path, "the config file extends itself"));
    }
    *files += 1;
    if chain.len() >= MAX_EXTENDS_DEPTH || *files > MAX_FILES {
        let message = format!("extends must be at most {MAX_EXTENDS_DEPTH} levels deep and {MAX_FILES} files in all");
        return Err(refuse(path, &message));
    }
    let text = read_text(path)?;
    let source = Source::new(&text, Some(path))?;
    let mut document = if toml { read_toml(&source)? } else { read_json(&source)? };
    // The directory of the name, not of what a symlink at that name points to, as in `cd "$(dirname job.toml)"`.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = parent.canonicalize().map_err(|error| file_error(path, &error))?;
    let extends = take_extends(&mut document)?;
    resolve(&mut document.root, &mut String::new(), &directory);
    if extends.is_empty() {
        return Ok(document);
    }
    chain.push(real);
    let mut merged = Document::new();
    for name in &extends {
        // Named as the user would name it, for messages.
        let path = if parent == Path::new(".") { PathBuf::from(name) } else { parent.join(name) };
        merged.merge(read_file(&path, chain, files)?);
    }
    chain.pop();
    merged.merge(document);
    Ok(merged)
}

fn refuse(path: &Path, message: &str) -> Error {
    Error::new(ErrorKind::Config, Stage::Parse, format!("{}: {message}", path.display()))
        .with_subject(path.display().to_string())
}

fn read_text(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(|error| file_error(path, &error))?;
    // A fifo would block and a device would not end.
    if !file.metadata().map_err(|error| file_error(path, &error))?.is_file() {
        return Err(refuse(path, "is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes).map_err(|error| file_error(path, &error))?;
    String::from_utf8(bytes).map_err(|_| refuse(path, "the config file is not UTF-8"))
}

fn take_extends(document: &mut Document) -> Result<Vec<String>> {
    let Value::Table(table) = &mut document.root.value else { return Ok(Vec::new()) };
    let names = match table.get("extends").map(|entry| &entry.node.value) {
        Some(Value::List(list)) => list
            .iter()
            .map(|node| match &node.value {
                Value::Text(name) => Some(name.clone()),
                _ => None,
            })
            .collect(),
        Some(Value::Null) | None => Some(Vec::new()),
        Some(_) => None,
    };
    let Some(names) = names else {
        // Typing the document says what is wrong, and where.
        return document.clone().into_config().map(|_| Vec::new());
    };
    table.remove("extends");
    Ok(names)
}

/// Values that are paths on the host: where they are, and whether a word may stand there instead.
const HOST_PATHS: &[(&str, bool)] = &[
    ("rootfs", true),
    ("rootfs.path", false),
    ("rootfs.layers[]", false),
    ("rootfs.overlay", true),
    ("rootfs.overlay.upper", true),
    ("rootfs.overlay.work", false),
    ("mounts[].source", false),
    ("mounts[].lower[]", false),
    ("mounts[].upper", true),
    ("mounts[].work", false),
    ("security.seccomp", true),
    ("init.path", false),
    ("network.mode.join", false),
    ("namespaces.user.join", false),
    ("namespaces.pid.join", false),
    ("namespaces.mount.join", false),
    ("namespaces.ipc.join", false),
    ("namespaces.uts.join", false),
    ("namespaces.cgroup.join", false),
    ("namespaces.time.join", false),
];

/// Makes relative host paths absolute.
fn resolve(node: &mut Node, key: &mut String, directory: &Path) {
    match &mut node.value {
        Value::Text(text) => {
            let Some((_, word)) = HOST_PATHS.iter().find(|(path, _)| path == key) else { return };
            let is_path = !text.is_empty() && (!word || text.contains('/'));
            // A directory that is not UTF-8 leaves the path as it is; building the sandbox then finds it relative.
            if is_path && let Some(absolute) = directory.join(&*text).to_str() {
                *text = absolute.to_owned();
            }
        }
        Value::List(list) => {
            key.push_str("[]");
            list.iter_mut().for_each(|node| resolve(node, key, directory));
            key.truncate(key.len() - 2);
        }
        Value::Table(table) => {
            let is_symlink = matches!(table.get("kind"), Some(Entry { node: Node { value: Value::Text(kind), .. }, .. }) if kind == "symlink");
            for (name, entry) in table {
                if is_symlink && name == "source" {
                    continue;
                }
                let length = key.len();
                if length > 0 {
                    key.push('.');
                }
                key.push_str(name);
                resolve(&mut entry.node, key, directory);
                key.truncate(length);
            }
        }
        _ => {}
    }
}

/// A text and where its lines begin.
struct Source<'a> {
    text: &'a str,
    file: Option<Arc<str>>,
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    fn new(text: &'a str, path: Option<&Path>) -> Result<Self> {
        let file: Option<Arc<str>> = path.map(|path| path.display().to_string().into());
        if text.len() > MAX_TEXT {
            let what = file.as_deref().unwrap_or("the config");
            let message = format!("{what} must be at most {MAX_TEXT} bytes long");
            return Err(Error::new(ErrorKind::Config, Stage::Parse, message));
        }
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Ok(Self { text, file, lines })
    }

    fn location(&self, offset: usize) -> Location {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        // Counting characters would take quadratic time in a text of one long line.
        Location { file: self.file.clone(), line, column: offset.saturating_sub(start) + 1 }
    }

    fn syntax(&self, problems: &mut Problems, at: &Location, language: &str, message: &str) {
        let message = message.replace('\n', "; ");
        problems.add(at.exact(), format!("is not {language}: {message}"));
    }
}

fn too_deep(problems: &mut Problems, at: &Location) {
    problems.add(at.exact(), format!("must be nested at most {MAX_DEPTH} levels deep"));
}

fn read_toml(source: &Source<'_>) -> Result<Document> {
    let (table, errors) = DeTable::parse_recoverable(source.text);
    let mut problems = Problems::new(Stage::Parse);
    for error in errors.iter().take(MAX_SYNTAX_ERRORS) {
        let at = source.location(error.span().map_or(0, |span| span.start));
        source.syntax(&mut problems, &at, "TOML", error.message());
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let root = toml_table(table.into_inner(), source, &mut problems, 0);
    problems.into_result(Document { root: Value::Table(root).into() })
}

fn toml_table(table: DeTable<'_>, source: &Source<'_>, problems: &mut Problems, depth: usize) -> Table {
    table
        .into_iter()
        .map(|(key, value)| {
            let key_at = source.location(key.span().start);
            let at = source.location(value.span().start);
            let value = toml_node(value.into_inner(), &at, source, problems, depth + 1);
            let node = Node { value, at: Some(at), bare: None };
            (key.into_inner().into_owned(), Entry { node, key_at: Some(key_at) })
        })
        .collect()
}

fn toml_node(value: DeValue<'_>, at: &Location, source: &Source<'_>, problems: &mut Problems, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        too_deep(problems, at);
        return Value::Hole;
    }
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Integer(integer) => match i128::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Value::Int(integer),
            Err(_) => {
                problems.add(at.exact(), "the integer is too large");
                Value::Hole
            }
        },
        DeValue::Float(float) => match float.as_str().parse() {
            Ok(float) => Value::Float(float),
            Err(_) => {
                problems.add(at.exact(), "the number can't be read");
                Value::Hole
            }
        },
        DeValue::Datetime(_) => {
            problems.add_with_hint(at.exact(), "no key takes a date", "write a string, in quotes");
            Value::Hole
        }
        DeValue::Array(array) => Value::List(
            array
                .into_iter()
                .map(|value| {
                    let at = source.location(value.span().start);
                    let value = toml_node(value.into_inner(), &at, source, problems, depth + 1);
                    Node { value, at: Some(at), bare: None }
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(toml_table(table, source, problems, depth)),
    }
}

/// Reads one TOML value, for `--set`; none where the text is not one.
pub(super) fn toml_value(text: &str) -> Option<Value> {
    let source = Source::new(text, None).ok()?;
    let value = DeValue::parse(text).ok()?.into_inner();
    let mut problems = Problems::new(Stage::Parse);
    let value = toml_node(value, &source.location(0), &source, &mut problems, 1);
    problems.is_empty().then_some(value)
}

fn read_json(source: &Source<'_>) -> Result<Document> {
    let mut problems = Problems::new(Stage::Parse);
    let raw: &RawValue = match serde_json::from_str(source.text) {
        Ok(raw) => raw,
        Err(error) => {
            let at = Location { file: source.file.clone(), line: error.line(), column: error.column() };
            let text = error.to_string();
            let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
            source.syntax(&mut problems, &at, "JSON", message);
            return Err(problems.into());
        }
    };
    let root = json_node(raw, source, &mut problems, 0);
    problems.into_result(Document { root })
}

/// Reads one value. The text below it is looked at again for each level, of which there are few.
fn json_node(raw: &RawValue, source: &Source<'_>, problems: &mut Problems, depth: usize) -> Node {
    let text = raw.get();
    let offset = (text.as_ptr() as usize).wrapping_sub(source.text.as_ptr() as usize);
    let at = source.location(offset);
    let node = |value| Node { value, at: Some(at.clone()), bare: None };
    if depth > MAX_DEPTH {
        too_deep(problems, &at);
        return node(Value::Hole);
    }
    let value = match text.as_bytes().first() {
        Some(b'{') => serde_json::from_str(text).map(|RawTable(entries)| {
            let mut table = Table::new();
            for (name, raw) in entries {
                let key_at = key_location(raw, source);
                if table.contains_key(name.as_ref()) {
                    problems.add(key_at.exact(), format!("the key {name:?} is given twice"));
                }
                let node = json_node(raw, source, problems, depth + 1);
                table.insert(name.into_owned(), Entry { node, key_at: Some(key_at) });
            }
            Value::Table(table)
        }),
        Some(b'[') => serde_json::from_str(text).map(|list: Vec<&RawValue>| {
            Value::List(list.into_iter().map(|raw| json_node(raw, source, problems, depth + 1)).collect())
        }),
        Some(b'"') => serde_json::from_str(text).map(Value::Text),
        Some(b't' | b'f') => serde_json::from_str(text).map(Value::Bool),
        Some(b'n') => Ok(Value::Null),
        _ => serde_json::from_str(text).map(|number: serde_json::Number| {
            number
                .as_i64()
                .map(i128::from)
                .or_else(|| number.as_u64().map(i128::from))
                .map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }),
    };
    node(value.unwrap_or_else(|error| {
        let text = error.to_string();
        let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
        source.syntax(problems, &at, "JSON", message);
        Value::Hole
    }))
}

/// Where the key of `raw` begins: before the value come a colon and the key's closing quote.
fn key_location(raw: &RawValue, source: &Source<'_>) -> Location {
    let offset = (raw.get().as_ptr() as usize).wrapping_sub(source.text.as_ptr() as usize);
    let before = source.text.as_bytes().get(..offset).unwrap_or_default();
    let is_quote = |at: usize| {
        let escapes = before[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        before[at] == b'"' && escapes.is_multiple_of(2)
    };
    let close = before.iter().rposition(|byte| *byte == b'"').unwrap_or(0);
    let open = (0..close).rev().find(|at| is_quote(*at)).unwrap_or(close);
    source.location(open)
}

/// The entries of an object as they stand there, with doubled keys.
struct RawTable<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for RawTable<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct TableVisitor;

        impl<'de> Visitor<'de> for TableVisitor {
            type Value = RawTable<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<RawTable<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
                    entries.push((Cow::Owned(name), raw));
                }
                Ok(RawTable(entries))
            }
        }

        deserializer.deserialize_map(TableVisitor)
    }
}
