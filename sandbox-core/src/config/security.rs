//! Owns: the section `security`.  Must not: know filters, capabilities or Landlock rules; only their names in a config.

use std::fmt;
use std::path::PathBuf;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::or_default;
use super::values::InvalidValue;

/// The section `[security]`: what the payload may do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SecurityConfig {
    /// The filter of system calls: `"default"` (as strict as Docker's, and more), `"none"`, or the path of a profile in
    /// the JSON form of OCI and Docker (with a `/`, relative to this file). Default: `"default"`.
    /// Example: `seccomp = "./profile.json"`.
    pub seccomp: Option<Seccomp>,
    /// The capabilities that are kept, with or without `CAP_`, in any case; `"all"` means all of them. They count inside
    /// the sandbox's user namespace only. Default: none. Example: `capabilities = ["net_bind_service"]`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The bits of capabilities(7) that say whether uid 0 is special: `"default"` (it is not, locked, unless capabilities
    /// are kept), `"none"`, or a list of `noroot`, `no_setuid_fixup`, `keep_caps`, `no_cap_ambient_raise`, each also with
    /// `_locked`. Default: `"default"`. Example: `securebits = ["noroot", "noroot_locked"]`.
    pub securebits: Option<Securebits>,
    /// Whether programs can never gain privileges (`PR_SET_NO_NEW_PRIVS`). Default: true. Example: `no_new_privs = true`.
    pub no_new_privs: Option<bool>,
    /// A second wall around the file system: `"auto"` uses it where the kernel has it (and the report says so),
    /// `"require"` refuses hosts without it, `"off"`. Since Linux 5.13. Default: `"auto"`. Example: `landlock = "require"`.
    pub landlock: Option<Landlock>,
    /// The session keyring: `"new"` is an empty one, `"host"` that of the host process. Default: `"new"`.
    /// Example: `keyring = "new"`.
    pub keyring: Option<Keyring>,
    /// Whether the payload may make user namespaces, in which it has all capabilities over what it makes there.
    /// Default: false. Example: `nested_user_namespaces = true`.
    pub nested_user_namespaces: Option<bool>,
}

/// The filter of system calls.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seccomp {
    /// As strict as Docker's, and more.
    Default,
    /// No filter.
    None,
    /// A profile in the JSON form of OCI and Docker, read when the sandbox is built.
    Profile(PathBuf),
}

/// The bits of capabilities(7).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Securebits {
    /// uid 0 is not special, locked, unless capabilities are kept.
    Default,
    /// All bits are 0.
    None,
    /// These bits, by name.
    Bits(Vec<String>),
}

/// Landlock, a second wall around the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Landlock {
    /// Where the kernel has it.
    Auto,
    /// Always; hosts without it are refused.
    Require,
    /// Never.
    Off,
}

/// The session keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Keyring {
    /// An empty one.
    New,
    /// That of the host process.
    Host,
}

impl TryFrom<&str> for Seccomp {
    type Error = InvalidValue;

    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "default" => Ok(Self::Default),
            "none" => Ok(Self::None),
            path if path.contains('/') => Ok(Self::Profile(path.into())),
            _ => Err(InvalidValue::new(format!(
                "must be \"default\", \"none\" or the path of a profile (with a \"/\"), got {text:?}"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Seccomp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SeccompVisitor;

        impl Visitor<'_> for SeccompVisitor {
            type Value = Seccomp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"default\", \"none\" or the path of a profile")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Seccomp, E> {
                text.try_into().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(SeccompVisitor)
    }
}

impl Serialize for Seccomp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => serializer.serialize_str("default"),
            Self::None => serializer.serialize_str("none"),
            // The short form knows a path by its slash.
            Self::Profile(path) if !path.as_os_str().as_encoded_bytes().contains(&b'/') => {
                PathBuf::from(".").join(path).serialize(serializer)
            }
            Self::Profile(path) => path.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Securebits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BitsVisitor;

        impl<'de> Visitor<'de> for BitsVisitor {
            type Value = Securebits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"default\", \"none\" or a list of names")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Securebits, E> {
                match word {
                    "default" => Ok(Securebits::Default),
                    "none" => Ok(Securebits::None),
                    _ => Err(E::custom(format_args!(
                        "must be \"default\", \"none\" or a list such as [\"noroot\"], got {word:?}"
                    ))),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Securebits, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element()? {
                    names.push(name);
                }
                Ok(Securebits::Bits(names))
            }
        }

        deserializer.deserialize_any(BitsVisitor)
    }
}

impl Serialize for Securebits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => serializer.serialize_str("default"),
            Self::None => serializer.serialize_str("none"),
            Self::Bits(names) => names.serialize(serializer),
        }
    }
}
