//! Owns: collecting every problem of a config before refusing it.  Must not: know what a valid config is.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Stage;

/// One thing wrong with a config, with the key path it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// The key path, as in `mounts[2].target`.
    pub key: String,
    /// What is wrong, with the value that was found.
    pub message: String,
    /// What to write instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

/// Problems found so far. Empty means: go on.
#[derive(Debug, Clone)]
pub struct Problems {
    stage: Stage,
    found: Vec<Problem>,
    /// Those among them that are wrong whatever the other values are.
    alone: BTreeSet<Problem>,
}

impl Problems {
    pub(crate) fn new(stage: Stage) -> Self {
        Self { stage, found: Vec::new(), alone: BTreeSet::new() }
    }

    pub(crate) fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.found.push(Problem { key: key.into(), message: message.into(), hint: None });
    }

    pub(crate) fn add_with_hint(
        &mut self,
        key: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.found.push(Problem { key: key.into(), message: message.into(), hint: Some(hint.into()) });
    }

    /// Takes over what another error has found.
    pub(crate) fn adopt(&mut self, error: &super::Error) {
        self.found.extend(error.report().problems.iter().cloned());
    }

    /// Takes over what others are.
    pub(crate) fn extend(&mut self, others: Self) {
        self.found.extend(others.found);
        self.alone.extend(others.alone);
    }

    /// The last one is wrong whatever the other values are.
    pub(crate) fn last_stands_alone(&mut self) {
        self.alone.extend(self.found.last().cloned());
    }

    /// Takes over what others are, as far as it can't come of what was found before: a value that could not be read is its
    /// default there.
    pub(crate) fn adopt_unrelated(&mut self, others: Self) {
        /// What other sections are measured by, shorthands among them.
        const MEASURES: [&str; 7] = ["config", "extends", "namespaces", "network", "overlay", "rootfs", "user"];
        let unread: BTreeSet<&str> = self.found.iter().map(|problem| section(&problem.key)).collect();
        let measured = !MEASURES.iter().any(|section| unread.contains(section));
        let Self { found, alone, .. } = others;
        let unrelated = |other: &Problem| alone.contains(other) || (measured && !unread.contains(section(&other.key)));
        let found: Vec<Problem> = found.into_iter().filter(unrelated).collect();
        self.found.extend(found);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// `Ok(value)` when nothing was found, else every problem as one error.
    pub(crate) fn into_result<T>(self, value: T) -> super::Result<T> {
        if self.is_empty() { Ok(value) } else { Err(self.into()) }
    }

    /// Sorted by key path, so that the same config always gives the same text.
    pub(crate) fn into_sorted(mut self) -> (Stage, Vec<Problem>) {
        self.found.sort();
        self.found.dedup();
        (self.stage, self.found)
    }
}

/// `limits` of `limits.memory`, `mounts[2]` of `mounts[2].target`.
fn section(key: &str) -> &str {
    key.split_once('.').map_or(key, |(section, _)| section)
}
