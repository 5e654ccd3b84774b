//! Owns: `_config.py`: the types of configs and options for Python's type checkers.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pinfold::Shorthand;

use crate::model::{Model, Table, Type, own_shorthands};
use crate::wrapped;

const HEAD: &str = "\
# Generated from the config types of the library by `cargo xtask generate`. Do not edit.
\"\"\"The types of configs and options, for type checkers and editors.

The keys are those of a config file; docs/config-reference.md describes them. Every key may be left out or None.
\"\"\"

from __future__ import annotations

import os
from typing import Literal, Mapping, Sequence, TypedDict, Union

";

/// The module.
pub fn module(model: &Model) -> String {
    let mut module = Module { model, blocks: Vec::new(), done: BTreeSet::new() };
    for (name, (about, kind)) in &model.types {
        module.alias(name, about, kind);
    }
    // What a table holds stands above it.
    for table in model.tables.iter().rev() {
        module.table(table);
    }
    module.options();
    let mut text = HEAD.to_owned() + &module.blocks.join("\n\n");
    let mut names: Vec<&str> = module.done.iter().map(String::as_str).collect();
    names.sort_unstable();
    let all: String = names.iter().map(|name| format!("    \"{name}\",\n")).collect();
    write!(text, "\n\n__all__ = [\n{all}]\n").ok();
    text
}

struct Module<'a> {
    model: &'a Model,
    blocks: Vec<String>,
    done: BTreeSet<String>,
}

impl Module<'_> {
    fn alias(&mut self, name: &str, about: &str, kind: &Type) {
        if !self.done.insert(name.to_owned()) {
            return;
        }
        let written = self.write(name, kind);
        self.blocks.push(format!("{name} = {written}\n{}", docstring(about, "")));
    }

    /// The type as Python has it. What it needs is written above first.
    fn write(&mut self, within: &str, kind: &Type) -> String {
        match kind {
            Type::Bool => "bool".to_owned(),
            Type::Integer => "int".to_owned(),
            Type::Number => "float".to_owned(),
            Type::Text => "str".to_owned(),
            Type::Null => "None".to_owned(),
            Type::Words(words) => {
                let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                format!("Literal[{}]", words.join(", "))
            }
            Type::List(item) => format!("Sequence[{}]", self.write(within, item)),
            Type::Map(value) => format!("Mapping[str, {}]", self.write(within, value)),
            Type::Any(kinds) => {
                let kinds: Vec<String> = kinds.iter().map(|kind| self.write(within, kind)).collect();
                format!("Union[{}]", kinds.join(", "))
            }
            Type::Named(name) => {
                if let Some((about, kind)) = self.model.types.get(name) {
                    self.alias(name, about, kind);
                    return name.clone();
                }
                match self.model.find(name).and_then(|table| table.short.clone()) {
                    Some(short) => format!("Union[{name}, {}]", self.write(within, &short)),
                    None => name.clone(),
                }
            }
            Type::Inline(keys) => {
                let name = format!("{within}{}", inline_name(keys));
                let mut body = String::new();
                for (key, kind, _) in keys {
                    writeln!(body, "    {key}: {}", self.write(within, kind)).ok();
                }
                if self.done.insert(name.clone()) {
                    let total = if keys.iter().all(|(_, _, required)| *required) { "" } else { ", total=False" };
                    self.blocks.push(format!("class {name}(TypedDict{total}):\n{body}"));
                }
                name
            }
        }
    }

    fn table(&mut self, table: &Table) {
        let mut body = String::new();
        for key in &table.keys {
            let kind = self.write(&table.name, &key.kind);
            write!(body, "    {}: {}\n{}", key.name, optional(&kind), docstring(&key.about, "    ")).ok();
        }
        self.done.insert(table.name.clone());
        let about = docstring(&table.about, "    ");
        self.blocks.push(format!("class {}(TypedDict, total=False):\n{about}\n{body}", table.name));
    }

    /// The keyword arguments of a sandbox: the sections and the shorthands.
    fn options(&mut self) {
        let mut body = String::new();
        for shorthand in own_shorthands(self.model) {
            let kind = self.shorthand(shorthand);
            let about = format!("{} (`{}`). Example: `{}`.", shorthand.help, shorthand.key, shorthand.example);
            write!(body, "    {}: {}\n{}", shorthand.name, optional(&kind), docstring(&about, "    ")).ok();
        }
        self.done.insert("SandboxOptions".to_owned());
        let about = "The keyword arguments of a sandbox: the sections of a config, and the shorthands.";
        let about = docstring(about, "    ");
        self.blocks.push(format!("class SandboxOptions(SandboxConfig, total=False):\n{about}\n{body}"));
    }

    fn shorthand(&mut self, shorthand: &Shorthand) -> String {
        match shorthand.name {
            // Each of these adds to what is there.
            "bind" | "ro_bind" | "tmpfs" => "Union[str, Sequence[str]]".to_owned(),
            "user" => "Union[int, str]".to_owned(),
            // A path object is one too.
            "cwd" => "Union[str, os.PathLike[str]]".to_owned(),
            // The table of `process.env`, or NAME=VALUE.
            "env" => "Union[Mapping[str, EnvValue], str, Sequence[str]]".to_owned(),
            _ => match self.model.key_of(shorthand) {
                Some(key) => self.write("", &key.kind.clone()),
                None => "str".to_owned(),
            },
        }
    }
}

/// With None, which stands for an absent key.
fn optional(kind: &str) -> String {
    match kind.strip_prefix("Union[").and_then(|kinds| kinds.strip_suffix(']')) {
        Some(kinds) => format!("Union[{kinds}, None]"),
        None => format!("Union[{kind}, None]"),
    }
}

fn docstring(text: &str, indent: &str) -> String {
    const QUOTES: &str = "\"\"\"";
    let text = text.replace('\\', "\\\\").replace(QUOTES, "'' '");
    // A quotation mark before the closing ones would be one too many.
    let text = text.strip_suffix('"').map_or(text.clone(), |text| format!("{text}\\\""));
    if text.len() + indent.len() <= 94 {
        return format!("{indent}{QUOTES}{text}{QUOTES}\n");
    }
    let lines = wrapped(&text, 100, indent);
    format!("{indent}{QUOTES}{}\n{indent}{QUOTES}\n", lines.trim_start())
}

/// `Join` for `{ join }`, `Offset` for `{ offset_a, offset_b }`.
pub fn inline_name(keys: &[(String, Type, bool)]) -> String {
    let first = keys.first().map_or("", |(name, ..)| name.split('_').next().unwrap_or_default());
    let mut letters = first.chars();
    letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
