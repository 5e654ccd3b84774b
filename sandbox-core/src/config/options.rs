//! Owns: options as front ends with keyword arguments have them: sections and shorthands side by side, in one JSON object.
//! Must not: know any option; they are the fields of [`SandboxConfig`] and the rows of [`SHORTHANDS`].
//! Start at: [`SandboxConfig::from_options`].

use std::fmt;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::document::{Document, Entry, Node, Table, Value};
use super::shorthand::{SHORTHANDS, Shorthand, apply_shorthand};
use super::{SandboxConfig, did_you_mean};
use crate::error::{Problems, Result, Stage};

impl SandboxConfig {
    /// Reads options: a JSON object whose names are sections of the config and shorthands.
    ///
    /// ```
    /// use pinfold::SandboxConfig;
    ///
    /// let config = SandboxConfig::from_options(r#"{ "pids": 64, "limits": { "memory": "64M" }, "env": { "A": "1" } }"#)?;
    /// assert_eq!(config.limits.pids, Some(64));
    /// # Ok::<(), pinfold::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`with_options`](Self::with_options).
    pub fn from_options(json: &str) -> Result<Self> {
        Self::default().with_options(json)
    }

    /// This config with options laid above it, as far as they can be read, and what is wrong with the others. Err: they are
    /// no JSON.
    pub(crate) fn with_readable_options(&self, json: &str) -> Result<(Self, Problems)> {
        let mut options = Document::from_json(json)?;
        unplace(&mut options.root);
        let mut problems = Problems::new(Stage::Parse);
        let mut short: Vec<(&Shorthand, String)> = Vec::new();
        if let Value::Table(table) = &mut options.root.value {
            let sections = Self::section_names();
            for (name, entry) in std::mem::take(table) {
                let shorthand = SHORTHANDS.iter().find(|shorthand| shorthand.name == name);
                match (sections.contains(&name.as_str()), shorthand) {
                    (true, _) => put(table, name, entry),
                    (false, Some(shorthand)) => match texts(&entry.node.value, shorthand.appends) {
                        Some(texts) => short.extend(texts.into_iter().map(|text| (shorthand, text))),
                        None if shorthand.appends && !matches!(entry.node.value, Value::Table(_) | Value::Null) => {
                            problems.add(name, format!("must be {} or a list of them", shorthand.value));
                        }
                        None => {
                            if let (Some(also), Value::Null) = (shorthand.also, &entry.node.value) {
                                place(table, also, Node { value: Value::Null, ..Node::default() }.into());
                            }
                            place(table, shorthand.key, entry);
                        }
                    },
                    (false, None) => {
                        let known = sections.iter().copied().chain(SHORTHANDS.iter().map(|shorthand| shorthand.name));
                        let message = "there is no such option";
                        match did_you_mean(&name, known) {
                            Some(hint) => problems.add_with_hint(name, message, hint),
                            None => problems.add(name, message),
                        }
                    }
                }
            }
        }
        let mut document = Document::from_config(self)?;
        document.merge(options);
        let (config, unread) = document.into_parts();
        problems.extend(unread);
        let mut config = config.unwrap_or_default();
        // In the order of the table, so that an object without an order has one meaning.
        for shorthand in SHORTHANDS {
            for (_, text) in short.iter().filter(|(of, _)| of.name == shorthand.name) {
                if let Err(error) = apply_shorthand(&mut config, shorthand.name, text) {
                    problems.adopt(&error);
                }
            }
        }
        Ok((config, problems))
    }

    /// The names of the sections and single keys at the top of a config.
    pub fn section_names() -> &'static [&'static str] {
        let mut names = Names(&[]);
        // It refuses everything after it has seen the names.
        drop(Self::deserialize(&mut names));
        names.0
    }
}

/// Reads options of a shape of their own: what could be read, and what is wrong with the rest. Err: they are no JSON.
pub(crate) fn read_options<T: DeserializeOwned>(json: &str) -> Result<(Option<T>, Problems)> {
    let mut document = Document::from_json(json)?;
    unplace(&mut document.root);
    Ok(document.typed_parts())
}

/// The short forms that a value consists of; `None` where it is what the shorthand's key takes.
fn texts(value: &Value, appends: bool) -> Option<Vec<String>> {
    match value {
        Value::Text(text) => Some(vec![text.clone()]),
        Value::List(list) if appends => list
            .iter()
            .map(|node| match &node.value {
                Value::Text(text) => Some(text.clone()),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

/// Puts a value where a key is.
fn place(table: &mut Table, key: &str, entry: Entry) {
    let mut names: Vec<&str> = key.split('.').collect();
    let last = names.pop().unwrap_or_default();
    let mut table = table;
    for name in names {
        let section = table.entry(name.to_owned()).or_insert_with(|| Node::default().into());
        if !matches!(section.node.value, Value::Table(_)) {
            section.node.value = Value::default();
        }
        let Value::Table(inner) = &mut section.node.value else { return };
        table = inner;
    }
    put(table, last.to_owned(), entry);
}

/// A section may come after a shorthand has put something into it.
fn put(table: &mut Table, name: String, entry: Entry) {
    match (table.get_mut(&name).map(|before| &mut before.node.value), entry.node.value) {
        (Some(Value::Table(before)), Value::Table(more)) => before.extend(more),
        (_, value) => {
            table.insert(name, Entry { node: Node { value, ..entry.node }, key_at: entry.key_at });
        }
    }
}

/// An object that a program made has no lines.
fn unplace(node: &mut Node) {
    node.at = None;
    match &mut node.value {
        Value::List(list) => list.iter_mut().for_each(unplace),
        Value::Table(table) => {
            for entry in table.values_mut() {
                entry.key_at = None;
                unplace(&mut entry.node);
            }
        }
        _ => {}
    }
}

/// A deserializer that only looks which fields a struct has.
pub(super) struct Names(pub &'static [&'static str]);

#[derive(Debug)]
pub(super) struct Seen;

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the names were seen")
    }
}

impl std::error::Error for Seen {}

impl de::Error for Seen {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for &mut Names {
    type Error = Seen;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Seen> {
        Err(Seen)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Seen> {
        self.0 = fields;
        Err(Seen)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::super::EnvValue;
    use super::*;

    fn config(json: &str) -> SandboxConfig {
        SandboxConfig::from_options(json).expect(json)
    }

    #[test]
    fn options_are_sections_and_shorthands() {
        let toml = "hostname = \"box\"\n[limits]\npids = 4\nmemory = \"64M\"\n[process]\nenv = { A = \"1\" }\n";
        let options = r#"{ "hostname": "box", "pids": 4, "limits": { "memory": "64M" }, "env": { "A": "1" } }"#;
        assert_eq!(config(options), SandboxConfig::from_toml(toml).expect("toml"));
    }

    #[test]
    fn every_shorthand_is_an_option_in_its_short_form() {
        for shorthand in SHORTHANDS {
            let json = serde_json::json!({ shorthand.name: shorthand.example }).to_string();
            let mut expected = SandboxConfig::default();
            apply_shorthand(&mut expected, shorthand.name, shorthand.example).expect(shorthand.name);
            assert_eq!(config(&json), expected, "{json}");
        }
    }

    #[test]
    fn shorthands_take_lists_where_they_add_and_what_their_key_takes() {
        let short = config(
            r#"{ "mounts": [{ "kind": "tmpfs", "target": "/a" }], "tmpfs": ["/b", "/c:1M"], "ro_bind": "/usr:/d" }"#,
        );
        assert_eq!(short.mounts.len(), 4);
        assert!(SandboxConfig::from_options(r#"{ "tmpfs": [{ "target": "/a" }] }"#).is_err());
        assert_eq!(config(r#"{ "overlay": { "upper": "memory" } }"#), config(r#"{ "overlay": "memory" }"#));
    }

    #[test]
    fn options_lie_above_a_config() {
        let base = config(r#"{ "pids": 4, "timeout": 5, "env": { "A": "1", "B": "2" } }"#);
        let above = base.with_options(r#"{ "pids": 8, "timeout": null, "env": { "B": null } }"#).expect("options");
        assert_eq!(above.limits.pids, Some(8));
        assert_eq!(above.limits.wall_time, None);
        let user = config(r#"{ "user": "5:6" }"#).with_options(r#"{ "user": null }"#).expect("options");
        assert_eq!((user.identity.uid, user.identity.gid), (None, None), "both are the user");
        assert_eq!(above.process.env["A"], "1".into());
        assert_eq!(above.process.env["B"], EnvValue::Unset);
    }

    #[test]
    fn every_problem_is_told_with_what_was_meant() {
        let error = SandboxConfig::from_options(r#"{ "memroy": "1M", "pids": "x", "limits": { "pids": [] } }"#);
        let text = error.expect_err("nonsense").to_string();
        assert!(text.contains("did you mean \"memory\"?"), "{text}");
        assert!(text.contains("limits.pids"), "{text}");
        assert!(!text.contains("line"), "{text}");
    }

    #[test]
    fn types_and_meanings_are_told_in_one_round() {
        let options = r#"{ "hostname": 5, "process": { "nice": 50 }, "mounts": [{ "kind": "tmpfs", "target": "a" }] }"#;
        let error = SandboxConfig::from_options(options).expect_err("three problems");
        let keys: Vec<&str> = error.report().problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["hostname", "mounts[0].target", "process.nice"], "{error}");
        // Who the payload may be depends on a map that could not be read.
        let options = r#"{ "identity": { "uid": 7, "uid_map": 5 }, "process": { "nice": 50 } }"#;
        let error = SandboxConfig::from_options(options).expect_err("two problems");
        let keys: Vec<&str> = error.report().problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["identity.uid_map", "process.nice"], "{error}");
    }

    #[test]
    fn section_names_are_those_of_the_config() {
        assert!(SandboxConfig::section_names().contains(&"limits"));
        assert!(!SandboxConfig::section_names().contains(&"locations"));
    }
}
