//! Owns: which files are generated from the config types, and comparing them with what is there.
//! Must not: know a config key; the schema does.
//! Start at: [`files`].

pub mod model;
mod node;
mod python;
pub mod reference;

use std::fs;
use std::path::{Path, PathBuf};

use model::Model;

/// Every generated file: its place in the repository, and its text.
pub fn files() -> Vec<(&'static str, String)> {
    let model = Model::read();
    vec![
        ("docs/config.schema.json", pinfold::SandboxConfig::json_schema()),
        ("docs/config-reference.md", reference::page(&model)),
        ("bindings-python/python/pinfold/_config.py", python::module(&model)),
        ("bindings-node/config.d.ts", node::declarations(&model)),
    ]
}

/// Writes them.
///
/// # Errors
/// A file can't be written.
pub fn write() -> Result<Vec<String>, String> {
    let mut written = Vec::new();
    for (name, text) in files() {
        let path = root().join(name);
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, text)).map_err(|error| format!("{name}: {error}"))?;
        written.push(format!("wrote {name}"));
    }
    Ok(written)
}

/// Compares them with what is there.
///
/// # Errors
/// The files that differ, and what to do.
pub fn check() -> Result<Vec<String>, String> {
    let stale: Vec<&str> = files()
        .iter()
        .filter(|(name, text)| fs::read_to_string(root().join(name)).map_or(true, |there| there != *text))
        .map(|(name, _)| *name)
        .collect();
    if stale.is_empty() {
        return Ok(Vec::new());
    }
    Err(format!("not what the config types say: {}\nrun: cargo xtask generate", stale.join(", ")))
}

/// `text` in lines of at most `width` bytes, each after `indent`.
fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let mut lines = vec![indent.to_owned()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if *line == *indent => line.push_str(word),
            Some(line) if line.len() + word.len() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines.join("\n")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
