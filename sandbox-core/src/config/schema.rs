//! Owns: the JSON Schema of a config, for the types that are read in more forms than serde's derives know.
//! Must not: repeat what a doc comment says.
//! Start at: [`SandboxConfig::json_schema`].

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{
    Bytes, EnvValue, FileContent, Join, MountSource, Namespace, NetworkMode, OverlayUpper, RlimitValue, SandboxConfig,
    Seccomp, Securebits, TimeNamespace, Timespan,
};

impl SandboxConfig {
    /// The JSON Schema (draft 2020-12) of a config, as JSON: every key with its type, default, range and an example.
    ///
    /// Needs the feature `schema`. The command prints it with `pinfold config schema`.
    pub fn json_schema() -> String {
        let settings = SchemaSettings::draft2020_12().with_transform(tidy);
        let mut schema = settings.into_generator().into_root_schema_for::<Self>();
        schema.insert("$id".to_owned(), "https://pinfold.dev/config.schema.json".into());
        format!("{:#}\n", schema.to_value())
    }
}

/// Defaults are said in words where they are more than "absent". Null stands for an absent key everywhere.
fn tidy(schema: &mut Schema) {
    schema.remove("default");
    transform_subschemas(&mut tidy, schema);
    if schema.get("required").is_some() {
        return;
    }
    let keys = schema.get_mut("properties").and_then(Value::as_object_mut);
    for key in keys.into_iter().flat_map(serde_json::Map::values_mut) {
        let null = |kind: &Value| kind == "null" || kind["type"] == "null";
        let has_null =
            [&key["type"], &key["anyOf"]].iter().any(|forms| forms.as_array().is_some_and(|f| f.iter().any(null)));
        if !has_null {
            let description = key.as_object_mut().and_then(|key| key.remove("description"));
            *key = json!({ "anyOf": [key.take(), { "type": "null" }] });
            if let Some(description) = description {
                key["description"] = description;
            }
        }
    }
}

/// The other name of `wall_time`, which serde knows and schemars does not.
pub(super) fn with_timeout(schema: &mut Schema) {
    let keys = schema.get_mut("properties").and_then(Value::as_object_mut);
    if let Some((keys, mut key)) = keys.and_then(|keys| keys.get("wall_time").cloned().map(|key| (keys, key))) {
        key["description"] = "Another name of `wall_time`. Default: no limit. Example: `timeout = \"5s\"`.".into();
        keys.insert("timeout".to_owned(), key);
    }
}

/// A table that may also be written as any text that its short form knows.
pub(super) fn or_text(schema: &mut Schema) {
    or(schema, json_schema!({ "type": "string" }));
}

/// A table that may also be written as one of the network's words.
pub(super) fn or_network(schema: &mut Schema) {
    or(schema, json_schema!({ "enum": ["none", "host"] }));
}

fn or(schema: &mut Schema, short: Schema) {
    let description = schema.remove("description");
    let table = std::mem::take(schema);
    *schema = json_schema!({ "anyOf": [table, short] });
    if let Some(description) = description {
        schema.insert("description".to_owned(), description);
    }
}

macro_rules! written_as {
    ($($type:ty as $name:literal, $description:literal: |$generator:ident| $schema:expr;)*) => {
        $(impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                let mut schema: Schema = $schema;
                schema.insert("description".to_owned(), $description.into());
                schema
            }
        })*
    };
}

/// `"word"` of these, or `{ join = .. }`.
fn word_or_join(words: &[&str], generator: &mut SchemaGenerator) -> Schema {
    let join = generator.subschema_for::<Join>();
    json_schema!({ "anyOf": [{ "enum": words }, table("join", join.to_value())] })
}

/// A table with this one key.
fn table(key: &str, schema: Value) -> Value {
    json!({
        "type": "object", "properties": { key: schema }, "required": [key], "additionalProperties": false,
    })
}

written_as! {
    Bytes as "Bytes", "A size: bytes, or a string with a unit such as \"64MiB\" or \"256M\". Units are powers of 1024.":
        |_generator| json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }] });
    Timespan as "Timespan", "A time span: seconds, or a string with units such as \"1.5s\" or \"200ms\".":
        |_generator| json_schema!({ "anyOf": [{ "type": "number", "minimum": 0 }, { "type": "string" }] });
    RlimitValue as "RlimitValue", "The value of a resource limit: an integer, a size such as \"64MiB\", or \"unlimited\".":
        |_generator| json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }] });
    Namespace as "Namespace", "One of its own, that of the host process, or one that exists.":
        |generator| word_or_join(&["new", "host"], generator);
    NetworkMode as "NetworkMode", "A loopback interface alone, the network of the host process, or one that exists.":
        |generator| word_or_join(&["none", "host"], generator);
    TimeNamespace as "TimeNamespace", "As the other namespaces; also offsets in seconds, which mean one of its own.":
        |generator| {
            let mut schema = word_or_join(&["new", "host"], generator);
            let seconds = json!({ "type": "integer" });
            let offsets = json!({
                "type": "object", "additionalProperties": false,
                "properties": { "offset_boottime": seconds, "offset_monotonic": seconds },
            });
            if let Some(forms) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
                forms.push(offsets);
            }
            schema
        };
    Join as "Join", "A namespace that exists: a path, a process, or the name of an fd that the caller attaches.":
        |_generator| json_schema!({ "anyOf": [
            { "type": "string" },
            table("pid", json!({ "type": "integer", "minimum": 1 })),
            table("fd", json!({ "type": "string" })),
        ] });
    MountSource as "MountSource", "A path, or the name of an fd that the caller attaches.":
        |_generator| json_schema!({ "anyOf": [
            { "type": "string" },
            table("fd", json!({ "type": "string" })),
        ] });
    FileContent as "FileContent", "A text, or bytes.":
        |_generator| json_schema!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 } },
        ] });
    OverlayUpper as "OverlayUpper", "`\"memory\"`, or a directory with a `/`.":
        |_generator| json_schema!({ "type": "string" });
    Seccomp as "Seccomp", "`\"default\"`, `\"none\"`, or the path of a profile with a `/`.":
        |_generator| json_schema!({ "type": "string" });
    Securebits as "Securebits", "`\"default\"`, `\"none\"`, or a list of bits.":
        |_generator| json_schema!({ "anyOf": [
            { "enum": ["default", "none"] },
            { "type": "array", "items": { "type": "string" } },
        ] });
    EnvValue as "EnvValue", "A value; null (in TOML `{ unset = true }`) removes the variable.":
        |_generator| json_schema!({ "anyOf": [
            { "type": ["string", "null"] },
            table("unset", json!({ "const": true })),
        ] });
}
