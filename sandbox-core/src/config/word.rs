//! Owns: how a value is read that may be written in a short form (a word, a path) or as a table.
//! Must not: know which words there are.

/// Implements `Serialize` and `Deserialize` for a section that may also be written as one string. The section derives both
/// with `#[serde(remote = "Self")]`; `$parse` reads the short form.
macro_rules! string_or_table {
    ($type:ty, $expecting:literal, $parse:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$type>::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ShortOrTable;

                impl<'de> serde::de::Visitor<'de> for ShortOrTable {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        ($parse)(text).map_err(E::custom)
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        <$type>::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }

                deserializer.deserialize_any(ShortOrTable)
            }
        }
    };
}

pub(super) use string_or_table;
