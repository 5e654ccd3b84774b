//! Owns: what one call may say beside its program and streams, as plain data for front ends with keyword arguments.
//! Must not: read or apply it (`command/options.rs` does).
//! Start at: [`CallOptions`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::options::Names;
use super::values::{Bytes, RlimitValue, Timespan};
use super::{EnvValue, or_default};

/// The options of one call, with the names they have in every language.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallOptions {
    /// Variables over the sandbox's; null removes one.
    #[serde(deserialize_with = "or_default")]
    pub(crate) env: BTreeMap<String, EnvValue>,
    /// Whether to start from no variables at all.
    pub(crate) env_clear: Option<bool>,
    /// The working directory inside.
    pub(crate) cwd: Option<PathBuf>,
    /// The ids inside: `1000`, or `"1000:100"`.
    pub(crate) user: Option<TextOrNumber>,
    /// Bounds the whole call, counted from its start.
    pub(crate) timeout: Option<Timespan>,
    /// CPU time of the whole tree.
    pub(crate) cpu_time: Option<Timespan>,
    /// How many bytes of each captured stream are kept.
    pub(crate) output: Option<Bytes>,
    /// The file mode creation mask: an octal string, or a number.
    pub(crate) umask: Option<TextOrNumber>,
    /// The nice value, -20 to 19.
    pub(crate) nice: Option<i32>,
    /// Resource limits, only ever lowered.
    #[serde(deserialize_with = "or_default")]
    pub(crate) rlimits: BTreeMap<String, RlimitValue>,
}

/// What may be written as text or as a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TextOrNumber {
    Text(String),
    Number(u32),
}

impl<'de> Deserialize<'de> for TextOrNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = TextOrNumber;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TextOrNumber, E> {
                Ok(TextOrNumber::Text(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<TextOrNumber, E> {
                let number = u32::try_from(number).map_err(|_| E::custom("must be at most 4294967295"))?;
                Ok(TextOrNumber::Number(number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<TextOrNumber, E> {
                let number = u64::try_from(number).map_err(|_| E::custom("must be at least 0"))?;
                self.visit_u64(number)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl CallOptions {
    /// The names of all options.
    pub fn names() -> &'static [&'static str] {
        let mut names = Names(&[]);
        // It refuses everything after it has seen the names.
        drop(Self::deserialize(&mut names));
        names.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_every_language() {
        assert!(CallOptions::names().contains(&"timeout"));
    }
}
