//! Owns: sizes, durations and rlimit values as they are written in a config, and how their text is read.
//! Must not: refuse anything while a config is written: a bad text is kept and reported by `validate` with its key.
//! Start at: [`Bytes`], [`Timespan`].

use std::fmt;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A size: an integer in bytes, or a string with a unit.
///
/// Units are `B`, `K`, `M`, `G`, `T`, `P` and `E`, also written `KiB`, `MiB`, ... or `KB`, `MB`, ...; case does not
/// matter. As in other tools for memory **all of them are powers of 1024**: `"256M"`, `"256MiB"` and `"256MB"` are
/// 268,435,456 bytes. Fractions are rounded down to whole bytes: `"1.5G"`.
///
/// The text is kept as it was written; a text that is not a size is reported when the sandbox is built. A number is equal to
/// its text: TOML has no integers beyond 63 bits, and prints those as a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(Number);

/// A time span: a number of seconds, or a string with units.
///
/// Units are `ns`, `us` (or `µs`), `ms`, `s`, `m` (or `min`), `h` and `d`; several may follow each other, and a string
/// without a unit means seconds: `5`, `0.25`, `"5"`, `"1.5s"`, `"200ms"`, `"2m"`, `"1m30s"`.
///
/// The text is kept as it was written; a text that is not a time span is reported when the sandbox is built. A number prints as
/// a text, and is equal to it.
#[derive(Debug, Clone)]
pub struct Timespan(Span);

/// The value of a resource limit of setrlimit(2): an integer, a size such as `"64MiB"`, or `"unlimited"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RlimitValue(Number);

/// What was written: an integer, or a text that may or may not mean something.
#[derive(Debug, Clone)]
enum Number {
    Count(u64),
    Text(String),
}

#[derive(Debug, Clone)]
enum Span {
    Exact(Duration),
    Text(String),
}

/// What prints alike is alike, so that a config that was printed reads as the same config.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Count(one), Self::Count(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Count(count), Self::Text(text)) | (Self::Text(text), Self::Count(count)) => {
                *text == count.to_string()
            }
        }
    }
}

impl Eq for Number {}

impl Bytes {
    /// The number of bytes, or why there is none.
    ///
    /// # Errors
    /// The text is not a size, or the size does not fit 64 bits.
    pub fn get(&self) -> Result<u64, InvalidValue> {
        match &self.0 {
            Number::Count(count) => Ok(*count),
            Number::Text(text) => parse_size(text),
        }
    }
}

impl Timespan {
    /// The time span, or why there is none.
    ///
    /// # Errors
    /// The text is not a time span, or it is longer than 584 years.
    pub fn get(&self) -> Result<Duration, InvalidValue> {
        match &self.0 {
            Span::Exact(duration) => Ok(*duration),
            Span::Text(text) => parse_duration(text),
        }
    }
}

/// What prints alike is alike, so that a config that was printed reads as the same config.
impl PartialEq for Timespan {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Span::Exact(one), Span::Exact(other)) => one == other,
            _ => self.to_string() == other.to_string(),
        }
    }
}

impl Eq for Timespan {}

impl RlimitValue {
    /// No limit (`RLIM_INFINITY`).
    pub fn unlimited() -> Self {
        Self(Number::Text("unlimited".to_owned()))
    }

    /// The limit, where `u64::MAX` is `RLIM_INFINITY`, or why there is none.
    ///
    /// # Errors
    /// The text is neither a number nor a size nor `unlimited`.
    pub fn get(&self) -> Result<u64, InvalidValue> {
        match &self.0 {
            Number::Count(count) => Ok(*count),
            Number::Text(text) if text.trim() == "unlimited" => Ok(u64::MAX),
            Number::Text(text) => parse_size(text).map_err(|_| {
                InvalidValue::new(format!("must be a number, a size such as \"64MiB\", or \"unlimited\", got {text:?}"))
            }),
        }
    }
}

/// What a size may be given as: a number of bytes, or a text such as `"64MiB"`.
///
/// Nothing fails here: a text that is not a size is reported by `build()`, together with everything else.
pub trait IntoBytes {
    /// The size as written.
    fn into_bytes(self) -> Bytes;
}

/// What a time span may be given as: a [`Duration`], or a text such as `"1.5s"`.
///
/// Nothing fails here: a text that is not a time span is reported by `build()`, together with everything else.
pub trait IntoDuration {
    /// The time span as written.
    fn into_duration(self) -> Timespan;
}

macro_rules! into_number {
    ($type:ident, $($count:ty),*) => {
        $(impl From<$count> for $type {
            fn from(count: $count) -> Self {
                Self(Number::Count(count.into()))
            }
        })*
        impl From<i32> for $type {
            /// For literals; a negative one is reported when the sandbox is built.
            fn from(count: i32) -> Self {
                u64::try_from(count).map_or_else(|_| count.to_string().into(), Into::into)
            }
        }
        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                Self(Number::Text(text.to_owned()))
            }
        }
        impl From<String> for $type {
            fn from(text: String) -> Self {
                Self(Number::Text(text))
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match &self.0 {
                    Number::Count(count) => count.fmt(f),
                    Number::Text(text) => f.write_str(text),
                }
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match &self.0 {
                    // TOML has no integers beyond i64; the text means the same.
                    Number::Count(count) if *count > i64::MAX as u64 => serializer.collect_str(count),
                    Number::Count(count) => serializer.serialize_u64(*count),
                    Number::Text(text) => serializer.serialize_str(text),
                }
            }
        }
    };
}

into_number!(Bytes, u32, u64);
into_number!(RlimitValue, u32, u64);

macro_rules! into_bytes {
    ($($type:ty),*) => {
        $(impl IntoBytes for $type {
            fn into_bytes(self) -> Bytes {
                self.into()
            }
        })*
    };
}

into_bytes!(Bytes, i32, u32, u64, &str, String);

impl IntoBytes for usize {
    fn into_bytes(self) -> Bytes {
        Bytes(Number::Count(self as u64))
    }
}

impl From<Duration> for Timespan {
    fn from(duration: Duration) -> Self {
        Self(Span::Exact(duration))
    }
}

impl From<&str> for Timespan {
    fn from(text: &str) -> Self {
        Self(Span::Text(text.to_owned()))
    }
}

impl From<String> for Timespan {
    fn from(text: String) -> Self {
        Self(Span::Text(text))
    }
}

impl IntoDuration for Timespan {
    fn into_duration(self) -> Timespan {
        self
    }
}

impl IntoDuration for Duration {
    fn into_duration(self) -> Timespan {
        self.into()
    }
}

impl IntoDuration for &str {
    fn into_duration(self) -> Timespan {
        self.into()
    }
}

impl IntoDuration for String {
    fn into_duration(self) -> Timespan {
        self.into()
    }
}

impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let duration = match &self.0 {
            Span::Exact(duration) => duration,
            Span::Text(text) => return f.write_str(text),
        };
        match duration.as_nanos() {
            nanos if nanos.is_multiple_of(1_000_000_000) => write!(f, "{}s", nanos / 1_000_000_000),
            nanos if nanos.is_multiple_of(1_000_000) => write!(f, "{}ms", nanos / 1_000_000),
            nanos if nanos.is_multiple_of(1_000) => write!(f, "{}us", nanos / 1_000),
            nanos => write!(f, "{nanos}ns"),
        }
    }
}

impl Serialize for Timespan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor("a size (bytes, or a string such as \"64MiB\")")).map(Self)
    }
}

impl<'de> Deserialize<'de> for RlimitValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(NumberVisitor("a limit (a number, a size such as \"64MiB\", or \"unlimited\")"))
            .map(Self)
    }
}

struct NumberVisitor(&'static str);

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_u64<E: de::Error>(self, count: u64) -> Result<Number, E> {
        Ok(Number::Count(count))
    }

    fn visit_i64<E: de::Error>(self, count: i64) -> Result<Number, E> {
        u64::try_from(count).map(Number::Count).map_err(|_| E::invalid_value(de::Unexpected::Signed(count), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
        Ok(Number::Text(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Timespan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpanVisitor;

        impl Visitor<'_> for SpanVisitor {
            type Value = Timespan;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration (seconds, or a string such as \"1.5s\" or \"200ms\")")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Timespan, E> {
                Ok(Duration::from_secs(seconds).into())
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Timespan, E> {
                u64::try_from(seconds)
                    .map(|seconds| Duration::from_secs(seconds).into())
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Timespan, E> {
                Duration::try_from_secs_f64(seconds)
                    .map(Into::into)
                    .map_err(|_| E::invalid_value(de::Unexpected::Float(seconds), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timespan, E> {
                Ok(text.into())
            }
        }

        deserializer.deserialize_any(SpanVisitor)
    }
}

/// Why a text is not a value of its kind, as the end of a sentence that starts with the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidValue(String);

impl InvalidValue {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidValue {}

impl From<std::convert::Infallible> for InvalidValue {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// Splits `12.5rest` into the digits as one integer, the number of digits after the point, and `rest`.
fn leading_decimal(text: &str) -> Option<(u128, u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // 30 digits leave room for every unit within 128 bits.
    if whole.is_empty() || number.ends_with('.') || fraction.contains('.') || whole.len() + fraction.len() > 24 {
        return None;
    }
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, u32::try_from(fraction.len()).ok()?, rest))
}

/// Reads `64MiB`, `256M`, `1.5g`, `4096`.
pub(crate) fn parse_size(text: &str) -> Result<u64, InvalidValue> {
    let not_a_size = || InvalidValue::new(format!("must be a size such as 1048576 or \"64MiB\", got {text:?}"));
    let (digits, decimals, unit) = leading_decimal(text.trim()).ok_or_else(not_a_size)?;
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "ki" | "kib" | "kb" => 10,
        "m" | "mi" | "mib" | "mb" => 20,
        "g" | "gi" | "gib" | "gb" => 30,
        "t" | "ti" | "tib" | "tb" => 40,
        "p" | "pi" | "pib" | "pb" => 50,
        "e" | "ei" | "eib" | "eb" => 60,
        _ => return Err(not_a_size()),
    };
    let too_big = || InvalidValue::new(format!("must be below 16 EiB, got {text:?}"));
    let bytes = digits.checked_mul(1 << shift).ok_or_else(too_big)? / 10_u128.pow(decimals);
    u64::try_from(bytes).map_err(|_| too_big())
}

/// Reads `1.5s`, `200ms`, `2m`, `1m30s`, and `5` as seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, InvalidValue> {
    let not_a_duration =
        || InvalidValue::new(format!("must be a duration such as 5 (seconds), \"1.5s\" or \"200ms\", got {text:?}"));
    let too_long = || InvalidValue::new(format!("must be shorter than 584 years, got {text:?}"));
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(not_a_duration());
    }
    let mut total: u128 = 0;
    let whole = rest;
    while !rest.is_empty() {
        let (digits, decimals, after) = leading_decimal(rest).ok_or_else(not_a_duration)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let nanos: u128 = match unit.trim() {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" | "sec" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "" if next.is_empty() && rest.len() == whole.len() => 1_000_000_000,
            _ => return Err(not_a_duration()),
        };
        let part = digits.checked_mul(nanos).ok_or_else(too_long)? / 10_u128.pow(decimals);
        total = total.checked_add(part).ok_or_else(too_long)?;
        rest = next;
    }
    u64::try_from(total).map(Duration::from_nanos).map_err(|_| too_long())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            (" 1 KiB ", 1024),
            ("1k", 1024),
            ("256M", 256 << 20),
            ("64MiB", 64 << 20),
            ("64mb", 64 << 20),
            ("1.5G", 3 << 29),
            ("0.1K", 102),
            ("18446744073709551615", u64::MAX),
            ("15E", 15 << 60),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, message) in [
            ("", "must be a size such as 1048576 or \"64MiB\", got \"\""),
            ("-1", "must be a size such as 1048576 or \"64MiB\", got \"-1\""),
            ("64Q", "must be a size such as 1048576 or \"64MiB\", got \"64Q\""),
            ("1.M", "must be a size such as 1048576 or \"64MiB\", got \"1.M\""),
            (".5M", "must be a size such as 1048576 or \"64MiB\", got \".5M\""),
            ("1.2.3", "must be a size such as 1048576 or \"64MiB\", got \"1.2.3\""),
            ("1e3", "must be a size such as 1048576 or \"64MiB\", got \"1e3\""),
            ("16E", "must be below 16 EiB, got \"16E\""),
            ("999999999999999999999999E", "must be below 16 EiB, got \"999999999999999999999999E\""),
        ] {
            assert_eq!(parse_size(text).map_err(|e| e.to_string()), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, millis) in [
            ("5", 5_000),
            ("1.5", 1_500),
            ("1.5s", 1_500),
            ("200ms", 200),
            ("2m", 120_000),
            ("1m30s", 90_000),
            ("1h 5min", 3_900_000),
            ("1d", 86_400_000),
            ("2000us", 2),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "5x", "5s5", "5 5", "1e3", "1..5s", "1.s"] {
            let message = format!("must be a duration such as 5 (seconds), \"1.5s\" or \"200ms\", got {text:?}");
            assert_eq!(parse_duration(text).map_err(|e| e.to_string()), Err(message), "{text}");
        }
        assert_eq!(
            parse_duration("600000d").map_err(|e| e.to_string()),
            Err("must be shorter than 584 years, got \"600000d\"".to_owned())
        );
    }

    #[test]
    fn exact_durations_print_in_the_largest_exact_unit() {
        for (duration, text) in [
            (Duration::from_secs(5), "5s"),
            (Duration::from_millis(1500), "1500ms"),
            (Duration::from_micros(7), "7us"),
            (Duration::from_nanos(7), "7ns"),
            (Duration::ZERO, "0s"),
        ] {
            assert_eq!(Timespan::from(duration).to_string(), text);
            assert_eq!(Timespan::from(duration), Timespan::from(text));
            assert_eq!(Timespan::from(text).get(), Ok(duration));
        }
    }

    #[test]
    fn rlimits() {
        assert_eq!(RlimitValue::from(256_u64).get(), Ok(256));
        assert_eq!(RlimitValue::from("64K").get(), Ok(65536));
        assert_eq!(RlimitValue::unlimited().get(), Ok(u64::MAX));
        assert!(RlimitValue::from("lots").get().is_err());
    }
}
