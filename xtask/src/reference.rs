//! Owns: `docs/config-reference.md`.

use std::fmt::Write as _;

use pinfold::SHORTHANDS;

use crate::model::{Model, Parts, Table, Type, join, parts};
use crate::wrapped;

const WIDTH: usize = 120;

const HEAD: &str = "\
<!-- Generated from the config types by `cargo xtask generate`. Do not edit: change the doc comments in sandbox-core/src/config. -->

# Config reference

Every key of a config. TOML and JSON have the same keys, and so have Python's dicts and the objects of Node, where keys may also
be written in camelCase. Every key may be left out unless it says *required*; `null` (JSON, dicts, objects, `--set KEY=null`) means
the same as leaving it out, and takes back what a file below has set.

Several texts become one config in this order, later ones win: what a file `extends`, the file, `--set`, flags or arguments.
Tables merge key by key, arrays replace. Relative paths in a file start at that file's directory.

Text is at most 1 MiB long and nested at most 32 levels deep; `extends` is at most 16 levels deep and 64 files in all.
Every problem of a text is reported at once, with file, line, column and key.

A JSON Schema for editors is [config.schema.json](config.schema.json); `pinfold config schema` prints it. A sample that runs:

```toml
# a config that runs everywhere; `pinfold run -c sample.toml -- sh -c 'id -un; df -h /work | tail -n 1'`
SAMPLE```

Sizes are bytes, or strings with a unit: `\"64MiB\"`, `\"256M\"`, `\"1.5G\"`; all units are powers of 1024. Time spans are seconds, or strings
with units: `5`, `\"1.5s\"`, `\"200ms\"`, `\"1m30s\"`. Modes are octal strings: `\"0755\"`.
";

/// The runnable sample, which is also a conformance case.
pub const SAMPLE: &str = include_str!("../../docs/sample.toml");

/// The page.
pub fn page(model: &Model) -> String {
    let mut page = HEAD.replace("SAMPLE", SAMPLE);
    page.push_str("\n## Contents\n\n");
    for table in &model.tables {
        let title = title(table);
        writeln!(page, "* [{title}](#{})", anchor(&title)).ok();
    }
    page.push_str("* [Shorthands](#shorthands)\n");
    for table in &model.tables {
        section(&mut page, model, table);
    }
    shorthands(&mut page);
    page
}

fn title(table: &Table) -> String {
    match table.path.as_str() {
        "" => "Top level".to_owned(),
        path => match path.strip_suffix("[]") {
            Some(name) if !name.contains('.') => format!("`[[{name}]]`"),
            Some(_) => format!("`{path}`"),
            None => format!("`[{path}]`"),
        },
    }
}

/// As GitHub makes them.
fn anchor(title: &str) -> String {
    title
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn section(page: &mut String, model: &Model, table: &Table) {
    write!(page, "\n## {}\n\n{}\n", title(table), wrapped(&table.about, WIDTH, "")).ok();
    for key in &table.keys {
        let Parts { mut text, default, since, example, required } = parts(&key.about);
        let section = match &key.kind {
            Type::Named(name) => model.find(name),
            Type::List(item) => match &**item {
                Type::Named(name) => model.find(name),
                _ => None,
            },
            _ => None,
        };
        if let Some(section) = section {
            let title = title(section);
            write!(text, " Keys: [{title}](#{}).", anchor(&title)).ok();
        }
        write!(page, "\n### `{}`\n\n{}\n\n", join(&table.path, &key.name), wrapped(&text, WIDTH, "")).ok();
        writeln!(page, "* type: {}", words(model, &key.kind)).ok();
        if required {
            page.push_str("* required\n");
        }
        for (name, value) in [("default", default), ("since Linux", since)] {
            if let Some(value) = value {
                writeln!(page, "* {name}: {value}").ok();
            }
        }
        if let Some(example) = example {
            writeln!(page, "* example: `{example}`").ok();
        }
        if let Type::Named(name) = &key.kind
            && let Some((_, Type::Words(choices))) = model.types.get(name)
        {
            page.push('\n');
            for (word, about) in choices.iter().filter(|(_, about)| !about.is_empty()) {
                writeln!(page, "  - `\"{word}\"`: {about}").ok();
            }
        }
    }
}

fn words(model: &Model, kind: &Type) -> String {
    match kind {
        Type::Bool => "`true` or `false`".to_owned(),
        Type::Integer => "integer".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Text => "string".to_owned(),
        Type::Null => "null".to_owned(),
        Type::Words(words) => words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
        Type::List(item) => format!("array of: {}", words(model, item)),
        Type::Map(value) => format!("table of any keys, with values: {}", words(model, value)),
        Type::Inline(keys) => {
            let keys: Vec<String> = keys.iter().map(|(name, ..)| format!("{name} = ..")).collect();
            format!("`{{ {} }}`", keys.join(", "))
        }
        Type::Any(kinds) => kinds.iter().map(|kind| words(model, kind)).collect::<Vec<_>>().join("; or "),
        Type::Named(name) => match name.as_str() {
            "Bytes" => "size".to_owned(),
            "Timespan" => "time span".to_owned(),
            _ => match (model.types.get(name), model.find(name)) {
                (Some((_, kind)), _) => words(model, kind),
                (None, Some(table)) => match &table.short {
                    Some(short) => format!("table; or {}", words(model, short)),
                    None => "table".to_owned(),
                },
                (None, None) => name.clone(),
            },
        },
    }
}

fn shorthands(page: &mut String) {
    page.push_str(
        "\n## Shorthands\n\nShort names for keys that are often set: flags of the command (`--ro-bind`), keyword arguments in Python \
         (`ro_bind=`), options in Node (`roBind`), verbs of the builder.\n\n| name | value | sets | |\n| --- | --- | --- | --- |\n",
    );
    for shorthand in SHORTHANDS {
        let several = if shorthand.appends { "; may be repeated" } else { "" };
        let value = shorthand.value.replace('|', "\\|");
        writeln!(
            page,
            "| `{}` | `{value}` | `{}` | {}{several}. Example: `{}` |",
            shorthand.name, shorthand.key, shorthand.help, shorthand.example
        )
        .ok();
    }
}
