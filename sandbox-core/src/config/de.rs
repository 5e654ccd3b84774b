//! Owns: giving types to a document's tree, with errors that know their key path and place.
//! Must not: know any particular type.
//! Start at: [`De`].

use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::document::{Location, Node, Value, unknown_key_hint};
use super::suggest::did_you_mean;

/// One step of a key path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => write!(f, ".{name}"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// What is wrong with one value. Path and place are filled in on the way up.
#[derive(Debug)]
pub(super) struct DeError {
    pub path: Vec<Segment>,
    pub at: Option<Location>,
    pub message: String,
    pub hint: Option<String>,
    /// What is wrong is that a key is not there.
    pub missing: bool,
}

impl DeError {
    fn new(message: impl Into<String>) -> Self {
        Self { path: Vec::new(), at: None, message: message.into(), hint: None, missing: false }
    }

    fn within(mut self, segment: Segment, at: Option<&Location>) -> Self {
        self.path.insert(0, segment);
        self.at = self.at.or_else(|| at.cloned());
        self
    }
}

impl fmt::Display for DeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DeError {}

impl de::Error for DeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {}, found {}", plainly(expected), describe(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {}, found {}", plainly(expected), describe(found)))
    }

    fn unknown_variant(word: &str, expected: &'static [&'static str]) -> Self {
        let words: Vec<String> = expected.iter().map(|word| format!("{word:?}")).collect();
        let mut error = Self::new(format!("must be one of {}, got {word:?}", words.join(", ")));
        error.hint = did_you_mean(word, expected.iter().copied());
        error
    }

    fn unknown_field(key: &str, expected: &'static [&'static str]) -> Self {
        let mut error = Self::new("there is no such key");
        error.hint = unknown_key_hint(key, expected);
        error
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: true, ..Self::new(format!("{field} is required")) }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("{field} is given twice"))
    }
}

/// What serde expects, in the words of a config.
fn plainly(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u32" => "an integer from 0 to 4294967295".to_owned(),
        "u64" => "an integer of at least 0".to_owned(),
        "i32" | "i64" => "an integer".to_owned(),
        "u8" => "an integer from 0 to 255".to_owned(),
        "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "a table".to_owned(),
        "path string" => "a path".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        _ => text,
    }
}

fn describe(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("{value}"),
        Unexpected::Unsigned(value) => format!("the integer {value}"),
        Unexpected::Signed(value) => format!("the integer {value}"),
        Unexpected::Float(value) => format!("the number {value:?}"),
        Unexpected::Str(text) if text.chars().count() > 64 => "a long string".to_owned(),
        Unexpected::Str(text) => format!("the string {text:?}"),
        Unexpected::Unit => "null".to_owned(),
        Unexpected::Seq => "an array".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// A deserializer over a node.
#[derive(Clone, Copy)]
pub(super) struct De<'a>(pub &'a Node);

impl<'a> De<'a> {
    fn unexpected(self) -> Unexpected<'a> {
        match &self.0.value {
            Value::Null | Value::Hole => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => Unexpected::Unsigned(value),
                (_, Ok(value)) => Unexpected::Signed(value),
                _ => Unexpected::Other("an integer beyond 64 bits"),
            },
            Value::Float(value) => Unexpected::Float(*value),
            Value::Text(text) => Unexpected::Str(text),
            Value::List(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
        }
    }

    fn text<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.0.bare {
            Some(text) => visitor.visit_str(text),
            None => self.deserialize_any(visitor),
        }
    }
}

impl<'de> Deserializer<'de> for De<'de> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.0.value {
            Value::Null | Value::Hole => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => Err(de::Error::invalid_value(self.unexpected(), &visitor)),
            },
            // JSON can't say them, so they would be lost on the way through it.
            Value::Float(value) if !value.is_finite() => {
                Err(DeError::new(format!("must be a finite number, got {}", value.to_string().to_ascii_lowercase())))
            }
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(list) => visitor.visit_seq(Elements { list: list.iter().enumerate() }),
            Value::Table(table) => visitor.visit_map(Entries { entries: table.iter(), current: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.0.value {
            Value::Null | Value::Hole => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.text(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match &self.0.value {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                Err(DeError::new(format!(
                    "expected one of {}, found {}",
                    words.join(", "),
                    describe(self.unexpected())
                )))
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match &self.0.value {
            // Serde would take an array for the fields in their order.
            Value::List(_) => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct
        map identifier
    }
}

struct Elements<'a> {
    list: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'a> SeqAccess<'a> for Elements<'a> {
    type Error = DeError;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, DeError> {
        let Some((index, node)) = self.list.find(|(_, node)| !matches!(node.value, Value::Hole)) else {
            return Ok(None);
        };
        seed.deserialize(De(node)).map(Some).map_err(|error| error.within(Segment::Index(index), node.at.as_ref()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.list.len())
    }
}

struct Entries<'a> {
    entries: std::collections::btree_map::Iter<'a, String, super::document::Entry>,
    current: Option<(&'a String, &'a Node)>,
}

impl<'a> MapAccess<'a> for Entries<'a> {
    type Error = DeError;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, DeError> {
        let Some((name, entry)) = self.entries.find(|(_, entry)| !matches!(entry.node.value, Value::Hole)) else {
            return Ok(None);
        };
        self.current = Some((name, &entry.node));
        seed.deserialize(name.as_str().into_deserializer())
            .map(Some)
            .map_err(|error: DeError| error.within(Segment::Key(name.clone()), entry.key_at.as_ref()))
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, DeError> {
        let Some((name, node)) = self.current.take() else {
            return Err(DeError::new("a value was asked for before its key"));
        };
        seed.deserialize(De(node)).map_err(|error| error.within(Segment::Key(name.clone()), node.at.as_ref()))
    }
}
