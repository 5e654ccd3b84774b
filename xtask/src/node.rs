//! Owns: `config.d.ts`: the types of configs and options for TypeScript, in both spellings.

use std::fmt::Write as _;

use pinfold::Shorthand;

use crate::model::{Model, Type, own_shorthands};
use crate::wrapped;

const HEAD: &str = "\
// Generated from the config types of the library by `cargo xtask generate`. Do not edit.
//
// The types of configs and options. docs/config-reference.md describes the keys. Every key may be left out or null, and may be
// written in camelCase or as in a config file, but not both ways at once. Keys of maps (`env`, `rlimits`, `hugepages`) are yours and
// stay as they are. A time span is a string (`'1.5s'`), or a number of milliseconds under the name with `Ms`.

";

/// The declarations.
pub fn declarations(model: &Model) -> String {
    let mut text = HEAD.to_owned();
    for (name, (about, kind)) in &model.types {
        let (about, kind) = match name.as_str() {
            TIMESPAN => (TIMESPAN_HERE, &Type::Text),
            _ => (about.as_str(), kind),
        };
        writeln!(text, "{}export type {name} = {}\n", comment(about, ""), write(model, kind)).ok();
    }
    for table in &model.tables {
        writeln!(text, "{}export interface {} {{", comment(&table.about, ""), table.name).ok();
        for key in &table.keys {
            property(&mut text, &key.name, &write(model, &key.kind), &key.about, is_span(&key.kind));
        }
        text.push_str("}\n\n");
    }
    text.push_str(
        "/** The options of a sandbox: the sections of a config, and the shorthands. */\nexport interface SandboxOptions extends \
         SandboxConfig {\n",
    );
    for shorthand in own_shorthands(model) {
        let about = format!("{} (`{}`). Example: `{}`.", shorthand.help, shorthand.key, shorthand.example);
        let span = model.key_of(shorthand).is_some_and(|key| is_span(&key.kind));
        property(&mut text, shorthand.name, &shorthand_type(model, shorthand), &about, span);
    }
    text.push_str("}\n");
    text
}

/// Of the config's type that is seconds or a text, only the text: a number is milliseconds here, by its name.
const TIMESPAN: &str = "Timespan";
const TIMESPAN_HERE: &str = "A time span: a string with units such as \"1.5s\" or \"200ms\".";

fn is_span(kind: &Type) -> bool {
    *kind == Type::Named(TIMESPAN.to_owned())
}

/// A key in both spellings.
fn property(text: &mut String, name: &str, kind: &str, about: &str, span: bool) {
    let camel = camel(name);
    writeln!(text, "{}  {camel}?: {kind} | null", comment(about, "  ")).ok();
    if span {
        writeln!(text, "  /** `{camel}` in milliseconds. */\n  {camel}Ms?: number | null").ok();
    }
    if camel != name {
        writeln!(text, "  /** `{camel}` as a config file spells it. */\n  {name}?: {kind} | null").ok();
    }
}

fn shorthand_type(model: &Model, shorthand: &Shorthand) -> String {
    match shorthand.name {
        // Each of these adds to what is there.
        "bind" | "ro_bind" | "tmpfs" => "string | string[]".to_owned(),
        "user" => "number | string".to_owned(),
        // A table, or one or more times `K=V`.
        "env" => format!(
            "{} | string | string[]",
            model.key_of(shorthand).map_or_else(String::new, |key| write(model, &key.kind))
        ),
        _ => model.key_of(shorthand).map_or_else(|| "string".to_owned(), |key| write(model, &key.kind)),
    }
}

fn write(model: &Model, kind: &Type) -> String {
    match kind {
        Type::Bool => "boolean".to_owned(),
        Type::Integer | Type::Number => "number".to_owned(),
        Type::Text => "string".to_owned(),
        Type::Null => "null".to_owned(),
        Type::Words(words) => words.iter().map(|(word, _)| format!("'{word}'")).collect::<Vec<_>>().join(" | "),
        Type::List(item) => match &**item {
            Type::Any(_) | Type::Words(_) => format!("({})[]", write(model, item)),
            _ => format!("{}[]", write(model, item)),
        },
        Type::Map(value) => format!("{{ [name: string]: {} | null }}", write(model, value)),
        Type::Any(kinds) => kinds.iter().map(|kind| write(model, kind)).collect::<Vec<_>>().join(" | "),
        Type::Named(name) => match model.find(name).and_then(|table| table.short.as_ref()) {
            Some(short) => format!("{name} | {}", write(model, short)),
            None => name.clone(),
        },
        Type::Inline(keys) => {
            let mut fields = Vec::new();
            for (name, kind, required) in keys {
                let mark = if *required { "" } else { "?" };
                // Seconds, and a number in camelCase could be milliseconds: it says so.
                let milliseconds = if name.starts_with("offset_") { "Ms" } else { "" };
                fields.push(format!("{}{milliseconds}{mark}: {}", camel(name), write(model, kind)));
                if camel(name) != *name {
                    fields.push(format!("{name}{mark}: {}", write(model, kind)));
                }
            }
            format!("{{ {} }}", fields.join("; "))
        }
    }
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let mut letters = part.chars();
        name + &letters.next().map(|c| c.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    })
}

/// A documentation comment.
fn comment(text: &str, indent: &str) -> String {
    let text = text.replace("*/", "*\\/");
    if text.len() + indent.len() <= 112 {
        return format!("{indent}/** {text} */\n");
    }
    format!("{indent}/**\n{}\n{indent} */\n", wrapped(&text, 120, &format!("{indent} * ")))
}
