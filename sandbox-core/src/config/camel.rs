//! Owns: options whose keys are spelled as in JavaScript (`wallTime`, `timeoutMs`), rewritten as the config has them.
//! Must not: know which keys there are; a key that is none is refused where the options get their types.
//! Start at: [`snake_case_options`].

use serde_json::{Map, Value};

use crate::error::{Problems, Result, Stage};

/// Tables whose keys are the user's own words.
const MAPS: &[&str] = &["env", "process.env", "rlimits", "limits.rlimits", "hugepages", "limits.hugepages"];

/// Keys that hold a time span: with `Ms` behind them they take milliseconds.
const DURATIONS: &[&str] = &["timeout", "wall_time", "cpu_time"];

/// The same of keys that hold whole seconds and take no text.
const OFFSETS: &[&str] = &["offset_boottime", "offset_monotonic"];

/// Rewrites the keys of options for a front end whose users write `wallTime` for `wall_time`: JSON in, JSON out.
///
/// Both spellings are taken, but not both at once. Keys of maps (`env`, `rlimits`, ..) stay as they are. A duration is a
/// string, or a number of milliseconds under its name with `Ms` (`timeoutMs: 1500`). A bare number (`wallTime: 5`,
/// `wall_time: 5`) is refused, because it reads as both. Offsets of clocks are whole seconds and have no text: they are
/// milliseconds with `Ms` too (`offsetBoottimeMs: 5000`), and only as a config prints them (`offset_boottime: 5`) bare.
///
/// ```
/// let options = pinfold::snake_case_options(r#"{ "timeoutMs": 1500, "limits": { "cpuTime": "2s" }, "env": { "myKey": "1" } }"#)?;
/// assert_eq!(options, r#"{"env":{"myKey":"1"},"limits":{"cpu_time":"2s"},"timeout":"1500ms"}"#);
/// # Ok::<(), pinfold::Error>(())
/// ```
///
/// # Errors
/// The text is not JSON; a key is given twice; a duration is a bare number.
pub fn snake_case_options(json: &str) -> Result<String> {
    let mut problems = Problems::new(Stage::Parse);
    let mut value: Value = match serde_json::from_str(json) {
        Ok(value) => value,
        Err(error) => {
            problems.add("options", format!("is not JSON: {error}"));
            return Err(problems.into());
        }
    };
    rewrite(&mut value, "", &mut problems);
    problems.into_result(value.to_string())
}

fn rewrite(value: &mut Value, place: &str, problems: &mut Problems) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| rewrite(value, place, problems)),
        Value::Object(table) if !MAPS.contains(&place) => {
            let mut renamed = Map::new();
            for (name, mut value) in std::mem::take(table) {
                let (key, milliseconds) = field(&name);
                let path = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                if DURATIONS.contains(&key.as_str()) {
                    duration(&mut value, &key, milliseconds, &path, problems);
                } else if OFFSETS.contains(&key.as_str()) && name != key {
                    offset(&mut value, &key, milliseconds, &path, problems);
                }
                rewrite(&mut value, &path, problems);
                if renamed.insert(key, value).is_some() {
                    problems.add(path, "is given twice, in two spellings");
                }
            }
            *table = renamed;
        }
        _ => {}
    }
}

/// The key that `name` spells, and whether its value is in milliseconds.
fn field(name: &str) -> (String, bool) {
    let key = snake(name);
    match key.strip_suffix("_ms") {
        Some(time) if DURATIONS.contains(&time) || OFFSETS.contains(&time) => (time.to_owned(), true),
        _ => (key, false),
    }
}

fn snake(name: &str) -> String {
    let mut key = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            key.push('_');
        }
        key.push(c.to_ascii_lowercase());
    }
    key
}

/// Milliseconds become text, which has a unit.
fn duration(value: &mut Value, key: &str, milliseconds: bool, path: &str, problems: &mut Problems) {
    match (&*value, milliseconds) {
        (Value::Number(number), true) => *value = Value::String(format!("{number}ms")),
        (Value::Number(number), false) => problems.add_with_hint(
            path,
            format!("a bare number could be seconds or milliseconds, got {number}"),
            format!("write {}Ms: {number} for milliseconds, or a string such as \"{number}s\"", camel(key)),
        ),
        (Value::Null, _) | (_, false) => {}
        (other, true) => no_milliseconds(other, path, problems),
    }
}

/// Milliseconds become seconds, if they are whole ones.
fn offset(value: &mut Value, key: &str, milliseconds: bool, path: &str, problems: &mut Problems) {
    match (&*value, milliseconds) {
        (Value::Number(number), true) => match number.as_i64() {
            Some(number) if number % 1000 == 0 => *value = (number / 1000).into(),
            _ => problems.add_with_hint(
                format!("{path}_ms"),
                format!("must be whole seconds, got {number} milliseconds"),
                "write a multiple of 1000",
            ),
        },
        (Value::Number(number), false) => problems.add_with_hint(
            path,
            format!("a bare number could be seconds or milliseconds, got {number}"),
            format!("write {}Ms: {number} for milliseconds, or {key}: {number} for seconds", camel(key)),
        ),
        (Value::Null, _) | (_, false) => {}
        (other, true) => no_milliseconds(other, path, problems),
    }
}

fn no_milliseconds(value: &Value, path: &str, problems: &mut Problems) {
    problems.add(format!("{path}_ms"), format!("must be a number of milliseconds, got {value}"));
}

fn camel(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for part in key.split('_') {
        match part.chars().next() {
            Some(first) if !name.is_empty() => {
                name.push(first.to_ascii_uppercase());
                name.push_str(&part[first.len_utf8()..]);
            }
            _ => name.push_str(part),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::{SHORTHANDS, SandboxConfig};
    use super::*;
    use serde_json::json;

    fn problems(options: &Value) -> Vec<String> {
        let error = snake_case_options(&options.to_string()).expect_err("nonsense");
        error.report().problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_of_fields_are_rewritten_and_those_of_maps_are_not() {
        let options = json!({
            "roBind": ["a:/a"], "cpuTimeMs": 1.5, "ro_bind": null,
            "process": { "inheritEnv": ["aB"], "env": { "wallTimeMs": "x", "aB": null } },
            "mounts": [{ "readOnly": true, "readonlyPaths": [] }],
            "limits": { "rlimits": { "noFile": 1 }, "hugepages": { "2MiB": 1 } },
        });
        let mut once = options.clone();
        once.as_object_mut().expect("an object").remove("ro_bind");
        let rewritten: Value = snake_case_options(&once.to_string()).expect("options").parse().expect("JSON");
        assert_eq!(
            rewritten,
            json!({
                "ro_bind": ["a:/a"], "cpu_time": "1.5ms",
                "process": { "inherit_env": ["aB"], "env": { "wallTimeMs": "x", "aB": null } },
                "mounts": [{ "read_only": true, "readonly_paths": [] }],
                "limits": { "rlimits": { "noFile": 1 }, "hugepages": { "2MiB": 1 } },
            })
        );
        assert_eq!(problems(&options), ["ro_bind: is given twice, in two spellings"]);
    }

    #[test]
    fn a_duration_says_its_unit() {
        assert_eq!(problems(&json!({ "timeout": 5 })).len(), 1);
        assert_eq!(problems(&json!({ "limits": { "wallTime": 5 } })).len(), 1);
        assert_eq!(problems(&json!({ "timeoutMs": "5s" })).len(), 1);
        assert_eq!(problems(&json!({ "timeoutMs": 5, "timeout": "5s" })).len(), 1);
        assert!(problems(&json!({ "limits": { "cpuTime": 2 } }))[0].contains("cpuTimeMs: 2"));
        for bare in
            [json!({ "cpu_time": 5 }), json!({ "limits": { "wall_time": 0.5 } }), json!({ "limits": { "timeout": 5 } })]
        {
            assert!(problems(&bare)[0].contains("bare number"), "{bare}");
        }
        assert!(problems(&json!({ "cpu_time": 5 }))[0].contains("cpuTimeMs: 5"));
        for fine in
            [json!({ "timeout": "5s" }), json!({ "timeoutMs": null }), json!({ "limits": { "wall_time": "5s" } })]
        {
            snake_case_options(&fine.to_string()).expect("a duration");
        }
    }

    #[test]
    fn an_offset_says_its_unit() {
        let rewritten = |time: Value| {
            let options = json!({ "namespaces": { "time": time } });
            let rewritten: Value = snake_case_options(&options.to_string()).expect("options").parse().expect("JSON");
            rewritten["namespaces"]["time"].clone()
        };
        assert_eq!(
            rewritten(json!({ "offsetBoottimeMs": 5000, "offsetMonotonicMs": -3000 })),
            json!({ "offset_boottime": 5, "offset_monotonic": -3 })
        );
        assert_eq!(rewritten(json!({ "offsetBoottime": null })), json!({ "offset_boottime": null }));
        assert_eq!(rewritten(json!({ "offset_boottime": 5 })), json!({ "offset_boottime": 5 }));
        let refused = |time: Value| problems(&json!({ "namespaces": { "time": time } })).join("\n");
        assert!(refused(json!({ "offsetBoottime": 5 })).contains("offsetBoottimeMs: 5"));
        assert!(refused(json!({ "offsetMonotonicMs": 1500 })).contains("offset_monotonic_ms: must be whole seconds"));
        assert!(refused(json!({ "offsetMonotonicMs": "5s" })).contains("must be a number of milliseconds"));
        assert!(refused(json!({ "offsetBoottimeMs": 5000, "offset_boottime": 5 })).contains("given twice"));
    }

    /// What a config prints is what these rules must leave alone.
    #[test]
    fn the_spelling_of_configs_stays() {
        for shorthand in SHORTHANDS {
            assert_eq!(field(shorthand.name), (shorthand.name.to_owned(), false));
            assert_eq!(field(&camel(shorthand.name)), (shorthand.name.to_owned(), false));
        }
        let config = SandboxConfig::from_toml(
            "[process]\nenv = { Ab = \"1\", A_MS = \"2\" }\n[limits]\nwall_time = 5\nrlimits = { nofile = 4 }\nhugepages = { \"2MiB\" = 4 }\n[namespaces.time]\noffset_boottime = 5\n",
        )
        .expect("a config");
        let json = serde_json::to_value(&config).expect("JSON");
        let rewritten = snake_case_options(&json.to_string()).expect("options");
        assert_eq!(rewritten.parse::<Value>().expect("JSON"), json);
    }
}
