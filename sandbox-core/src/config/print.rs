//! Owns: a config as text again.

use toml::Value as Toml;

use super::document::{Document, Node, Value};
use super::{SandboxConfig, document};
use crate::error::{Error, ErrorKind, Result, Stage};

impl SandboxConfig {
    /// This config as TOML, which [`from_toml`](Self::from_toml) reads as the same config.
    ///
    /// # Errors
    /// A path in it is not UTF-8, or an integer is beyond what TOML has.
    pub fn to_toml(&self) -> Result<String> {
        let document = Document::from_config(self)?;
        let value = toml_value(&document.root)?;
        toml::to_string_pretty(&value).map_err(|error| unprintable(&error.to_string()))
    }

    /// This config as JSON, which [`from_json`](Self::from_json) reads as the same config.
    ///
    /// # Errors
    /// A path in it is not UTF-8.
    pub fn to_json(&self) -> Result<String> {
        let document = Document::from_config(self)?;
        serde_json::to_string_pretty(&json_value(&document.root)).map_err(|error| unprintable(&error.to_string()))
    }
}

fn unprintable(why: &str) -> Error {
    Error::new(ErrorKind::Config, Stage::Parse, format!("the config can't be written as text: {why}"))
}

fn toml_value(node: &Node) -> Result<Toml> {
    Ok(match &node.value {
        // Left out by the callers.
        Value::Null | Value::Hole => Toml::String(String::new()),
        Value::Bool(value) => Toml::Boolean(*value),
        Value::Int(value) => Toml::Integer(
            i64::try_from(*value).map_err(|_| unprintable(&format!("TOML has no integers such as {value}")))?,
        ),
        Value::Float(value) => Toml::Float(*value),
        Value::Text(text) => Toml::String(text.clone()),
        Value::List(list) => Toml::Array(list.iter().filter(|n| given(n)).map(toml_value).collect::<Result<_>>()?),
        Value::Table(table) => Toml::Table(
            present(table).map(|(name, node)| Ok((name.clone(), toml_value(node)?))).collect::<Result<_>>()?,
        ),
    })
}

fn json_value(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null | Value::Hole => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
            (Ok(value), _) => value.into(),
            (_, Ok(value)) => value.into(),
            _ => serde_json::Value::Null,
        },
        Value::Float(value) => (*value).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(list) => list.iter().filter(|node| given(node)).map(json_value).collect(),
        Value::Table(table) => present(table).map(|(name, node)| (name.clone(), json_value(node))).collect(),
    }
}

fn given(node: &Node) -> bool {
    !matches!(node.value, Value::Null | Value::Hole)
}

fn present(table: &document::Table) -> impl Iterator<Item = (&String, &Node)> {
    table.iter().map(|(name, entry)| (name, &entry.node)).filter(|(_, node)| given(node))
}
