//! Owns: what a caller is told about enforcement.  Must not: decide.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What was enforced, and what was weakened and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Feature (a config key) to how it is enforced: `"namespaces.user": "new"`.
    pub enforced: BTreeMap<String, String>,
    /// What is weaker than asked for; only ever what `compat.prefer` allows.
    pub degradations: Vec<Degradation>,
}

/// One thing that is weaker than asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Degradation {
    /// The config key.
    pub feature: String,
    /// What was asked for.
    pub wanted: String,
    /// What is enforced instead.
    pub got: String,
    /// Why.
    pub because: String,
}

impl Report {
    pub(crate) fn enforced(&mut self, feature: &str, how: impl Into<String>) {
        self.enforced.insert(feature.to_owned(), how.into());
    }

    pub(crate) fn degraded(&mut self, feature: &str, wanted: impl Into<String>, got: &str, because: &str) {
        self.enforced.insert(feature.to_owned(), got.to_owned());
        self.degradations.push(Degradation {
            feature: feature.to_owned(),
            wanted: wanted.into(),
            got: got.to_owned(),
            because: because.to_owned(),
        });
    }

    /// Whether `feature` is enforced in the way `how` (for tests that assert which path was taken).
    pub fn used(&self, feature: &str, how: &str) -> bool {
        self.enforced.get(feature).is_some_and(|got| got == how)
    }
}
