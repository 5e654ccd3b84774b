//! Owns: the schema as the generators need it: tables with their keys in the order of the source, types, documented parts.
//! Must not: know the form of any output.
//! Start at: [`Model::read`].

use std::collections::BTreeMap;

use pinfold::{SHORTHANDS, SandboxConfig, Shorthand};
use serde_json::{Map, Value};

/// Everything.
pub struct Model {
    /// The config itself and every table in it, in the order of the source.
    pub tables: Vec<Table>,
    /// Types that are no tables: name to documentation and type.
    pub types: BTreeMap<String, (String, Type)>,
}

/// A table with known keys.
pub struct Table {
    /// Its type (`LimitsConfig`).
    pub name: String,
    /// Where it is in a config: `limits`, `mounts[]`; empty for the config itself.
    pub path: String,
    /// What it is.
    pub about: String,
    /// Whether a text may stand for it.
    pub short: Option<Type>,
    /// Its keys.
    pub keys: Vec<Key>,
}

/// A key.
pub struct Key {
    /// Its name.
    pub name: String,
    /// Its whole documentation.
    pub about: String,
    /// What its value may be, without null.
    pub kind: Type,
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    Bool,
    Integer,
    Number,
    Text,
    Null,
    /// One of these words, each with its documentation.
    Words(Vec<(String, String)>),
    List(Box<Type>),
    /// Any keys, with values of this type.
    Map(Box<Type>),
    /// A table or type with a name.
    Named(String),
    /// A small table without a name: key, type, whether it must be there.
    Inline(Vec<(String, Type, bool)>),
    Any(Vec<Type>),
}

impl Model {
    /// From the library's own schema.
    pub fn read() -> Self {
        let text = SandboxConfig::json_schema();
        let schema: Value = serde_json::from_str(&text).unwrap_or_default();
        let empty = Map::new();
        let definitions = schema["$defs"].as_object().unwrap_or(&empty);
        let mut model = Self { tables: Vec::new(), types: BTreeMap::new() };
        model.table("SandboxConfig", String::new(), &schema, definitions);
        for (name, definition) in definitions {
            if !model.tables.iter().any(|table| table.name == *name) {
                model.types.insert(name.clone(), (text_of(definition), type_of(definition)));
            }
        }
        model
    }

    fn table(&mut self, name: &str, path: String, schema: &Value, definitions: &Map<String, Value>) {
        // A table with a short form is `anyOf` [table, short].
        let (body, short) = match schema["anyOf"].as_array().map(Vec::as_slice) {
            Some([table, short]) => (table, Some(type_of(short))),
            _ => (schema, None),
        };
        let properties = body["properties"].as_object().cloned().unwrap_or_default();
        let keys: Vec<Key> = order(&path)
            .into_iter()
            .filter_map(|name| {
                let schema = properties.get(&name)?;
                Some(Key { about: text_of(schema), kind: without_null(type_of(schema)), name })
            })
            .collect();
        assert_eq!(keys.len(), properties.len(), "every key of {name} has its place");
        let below: Vec<(String, String)> = keys.iter().filter_map(|key| below(&path, key)).collect();
        self.tables.push(Table { name: name.to_owned(), path, about: text_of(schema), short, keys });
        for (path, name) in below {
            let definition = &definitions[&name];
            let is_table = definition["properties"].is_object() || definition["anyOf"][0]["properties"].is_object();
            if is_table && !is_inline(definition) && !self.tables.iter().any(|table| table.name == name) {
                self.table(&name, path, definition, definitions);
            }
        }
    }

    /// A table by its name.
    pub fn find(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Every key path of a config that is not itself a table: `limits.memory`, `mounts[].kind`.
    pub fn leaves(&self) -> Vec<(String, &Key)> {
        let mut leaves = Vec::new();
        for table in &self.tables {
            for key in &table.keys {
                let named = match &key.kind {
                    Type::Named(name) => Some(name),
                    Type::List(item) => match &**item {
                        Type::Named(name) => Some(name),
                        _ => None,
                    },
                    _ => None,
                };
                if named.is_none_or(|name| self.find(name).is_none()) {
                    leaves.push((join(&table.path, &key.name), key));
                }
            }
        }
        leaves
    }

    /// The key that a shorthand sets.
    pub fn key_of(&self, shorthand: &Shorthand) -> Option<&Key> {
        self.tables
            .iter()
            .flat_map(|table| table.keys.iter().map(|key| (join(&table.path, &key.name), key)))
            .find(|(path, _)| path == shorthand.key)
            .map(|(_, key)| key)
    }
}

/// Shorthands that are not also the name of a section.
pub fn own_shorthands(model: &Model) -> impl Iterator<Item = &'static Shorthand> {
    let sections: Vec<&str> =
        model.tables.first().map(|table| table.keys.iter().map(|key| key.name.as_str()).collect()).unwrap_or_default();
    SHORTHANDS.iter().filter(move |shorthand| !sections.contains(&shorthand.name))
}

/// `a.b`.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A table of its own that a key holds, and where.
fn below(path: &str, key: &Key) -> Option<(String, String)> {
    match &key.kind {
        Type::Named(name) => Some((join(path, &key.name), name.clone())),
        Type::List(item) => match &**item {
            Type::Named(name) => Some((format!("{}[]", join(path, &key.name)), name.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// `{ "anyOf": [words, { join }] }` and the like: forms of a value, not a section.
fn is_inline(definition: &Value) -> bool {
    definition["anyOf"].as_array().is_some_and(|forms| forms.iter().any(|form| form["required"].is_array()))
}

/// The keys of a table in the order of the source. JSON has none; the library names them in that order when it refuses a key.
fn order(path: &str) -> Vec<String> {
    let unknown = "no-such-key-anywhere";
    let mut text = format!("{{\"{unknown}\": 1}}");
    for part in path.split('.').rev().filter(|part| !part.is_empty()) {
        text = match part.strip_suffix("[]") {
            Some(name) => format!("{{\"{name}\": [{text}]}}"),
            None => format!("{{\"{part}\": {text}}}"),
        };
    }
    let Err(error) = SandboxConfig::from_json(&text) else { return Vec::new() };
    let hint = error.hint().unwrap_or_default().to_owned();
    hint.trim_start_matches("known here: ").split(", ").map(str::to_owned).collect()
}

fn text_of(schema: &Value) -> String {
    let whole = schema["description"].as_str().unwrap_or_default();
    // What follows is for readers of the source.
    whole.split("\n\n```").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn type_of(schema: &Value) -> Type {
    let list = |forms: &[Value]| flat(forms.iter().map(type_of).collect());
    if let Some(reference) = schema["$ref"].as_str() {
        return Type::Named(reference.trim_start_matches("#/$defs/").to_owned());
    }
    if let Some(word) = schema.get("const") {
        return match word.as_str() {
            Some(word) => Type::Words(vec![(word.to_owned(), text_of(schema))]),
            None => Type::Bool,
        };
    }
    if let Some(words) = schema["enum"].as_array() {
        return Type::Words(words.iter().filter_map(|word| Some((word.as_str()?.to_owned(), String::new()))).collect());
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(forms) = schema[several].as_array() {
            return list(forms);
        }
    }
    match &schema["type"] {
        Value::Array(names) => {
            let one = |name: &Value| {
                let mut schema = schema.clone();
                schema["type"] = name.clone();
                type_of(&schema)
            };
            flat(names.iter().map(one).collect())
        }
        Value::String(name) => match name.as_str() {
            "boolean" => Type::Bool,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "null" => Type::Null,
            "array" => Type::List(Box::new(type_of(&schema["items"]))),
            "object" => object(schema),
            _ => Type::Text,
        },
        _ => Type::Text,
    }
}

fn object(schema: &Value) -> Type {
    let Some(properties) = schema["properties"].as_object() else {
        return Type::Map(Box::new(type_of(&schema["additionalProperties"])));
    };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    Type::Inline(
        properties
            .iter()
            .map(|(name, schema)| (name.clone(), type_of(schema), required.contains(&name.as_str())))
            .collect(),
    )
}

/// Words beside words are one choice.
fn flat(types: Vec<Type>) -> Type {
    let mut words = Vec::new();
    let mut others = Vec::new();
    for kind in types {
        match kind {
            Type::Words(more) => words.extend(more),
            Type::Any(more) => others.extend(more),
            other => others.push(other),
        }
    }
    if !words.is_empty() {
        others.insert(0, Type::Words(words));
    }
    match <[Type; 1]>::try_from(others) {
        Ok([only]) => only,
        Err(several) => Type::Any(several),
    }
}

fn without_null(kind: Type) -> Type {
    match kind {
        Type::Any(kinds) => flat(kinds.into_iter().filter(|kind| *kind != Type::Null).collect()),
        other => other,
    }
}

/// A key's documentation, in parts.
#[derive(Debug, Default, PartialEq)]
pub struct Parts {
    pub text: String,
    pub default: Option<String>,
    pub since: Option<String>,
    pub example: Option<String>,
    pub required: bool,
}

/// Takes `Default: ..`, `Since Linux ..`, `Required.` and ``Example: `..` `` out of a documentation.
pub fn parts(about: &str) -> Parts {
    let mut parts = Parts::default();
    let (mut rest, example) = match about.split_once("Example: ") {
        Some((before, example)) => (before.trim().to_owned(), Some(example)),
        None => (about.to_owned(), None),
    };
    parts.example = example.map(|text| text.trim().trim_end_matches('.').trim_matches('`').to_owned());
    if let Some((before, default)) = rest.clone().split_once("Default: ") {
        let (default, after) = sentence(default);
        parts.default = Some(default.to_owned());
        rest = format!("{before}{after}");
    }
    if let Some((before, since)) = rest.clone().split_once("Since Linux ") {
        let (version, after) = sentence(since);
        parts.since = Some(version.to_owned());
        rest = format!("{before}{after}");
    }
    if let Some((before, after)) = rest.clone().split_once("Required.") {
        parts.required = true;
        rest = format!("{before}{after}");
    }
    parts.text = rest.split_whitespace().collect::<Vec<_>>().join(" ");
    parts
}

/// Up to the dot that ends a sentence: one before a space or the end, and not within backticks or brackets.
fn sentence(text: &str) -> (&str, &str) {
    let (mut quoted, mut depth) = (false, 0);
    for (at, c) in text.char_indices() {
        match c {
            '`' => quoted = !quoted,
            '(' => depth += 1,
            ')' => depth -= 1,
            '.' if !quoted && depth == 0 && text[at + 1..].chars().next().is_none_or(char::is_whitespace) => {
                return (&text[..at], &text[at + 1..]);
            }
            _ => {}
        }
    }
    (text.trim(), "")
}
