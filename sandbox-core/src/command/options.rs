//! Owns: the options of a call as front ends have them as data: reading them, applying them, and which values can't be.
//! Must not: know a sandbox: what is possible in it is checked when the call starts (call.rs).
//! Start at: [`CallOptions::from_json`].

use std::time::Duration;

use crate::config::{CallOptions, EnvValue, TextOrNumber, Timespan, User, read_options};
use crate::error::{Problems, Stage};
use crate::spec::{GuestPath, Rlimit};

use super::Command;

impl Command {
    /// All that is in `options`, over what was set before: for front ends that have options as data.
    pub fn options(mut self, options: &CallOptions) -> Self {
        if options.env_clear == Some(true) {
            self = self.env_clear();
        }
        for (name, value) in &options.env {
            self = match value {
                EnvValue::Set(value) => self.env(name, value),
                EnvValue::Unset => self.env_remove(name),
            };
        }
        if let Some(cwd) = &options.cwd {
            self = self.cwd(cwd);
        }
        if let Some(timeout) = &options.timeout {
            self = self.timeout(timeout.clone());
        }
        if let Some(time) = &options.cpu_time {
            self = self.cpu_time(time.clone());
        }
        if let Some(output) = &options.output {
            self = self.output_limit(output.clone());
        }
        if let Some(nice) = options.nice {
            self = self.nice(nice);
        }
        match options.user() {
            Ok(Some(user)) => {
                let gid = user.gid.unwrap_or(self.sandbox.0.settled.spec.identity.gid);
                self = self.user(user.uid, gid);
            }
            Ok(None) => {}
            Err(message) => self.problems.add("user", message),
        }
        match options.umask() {
            Ok(Some(mask)) => self = self.umask(mask),
            Ok(None) => {}
            Err(message) => self.problems.add("umask", message),
        }
        for (name, value) in &options.rlimits {
            match value.get() {
                Ok(value) => self = self.rlimit(name, value),
                Err(error) => self.problems.add(format!("rlimits.{name}"), error.to_string()),
            }
        }
        self
    }
}

impl CallOptions {
    /// Reads options from a JSON object.
    ///
    /// # Errors
    /// Every problem at once: unknown names, wrong types, and with them the values that can't be.
    pub fn from_json(json: &str) -> crate::Result<Self> {
        let (options, mut problems) = read_options::<Self>(json)?;
        let options = options.unwrap_or_default();
        if !problems.is_empty() {
            problems.extend(options.wrong());
        }
        problems.into_result(options)
    }

    /// The values that can't be, whatever the sandbox is.
    fn wrong(&self) -> Problems {
        let mut problems = Problems::new(Stage::Validate);
        let mut check = |key: String, result: Result<(), String>| {
            if let Err(message) = result {
                problems.add(key, message);
            }
        };
        for (key, time) in [("timeout", &self.timeout), ("cpu_time", &self.cpu_time)] {
            check(key.to_owned(), time.as_ref().map_or(Ok(()), |time| above_zero(time).map(drop)));
        }
        let output = self.output.as_ref().map_or(Ok(()), |bytes| bytes.get().map(drop).map_err(|e| e.to_string()));
        check("output".to_owned(), output);
        check("user".to_owned(), self.user().map(drop));
        check("umask".to_owned(), self.umask().map(drop));
        check("nice".to_owned(), self.nice.map_or(Ok(()), in_nice_range));
        check("cwd".to_owned(), self.cwd.as_ref().map_or(Ok(()), |path| GuestPath::new(path).map(drop)));
        for (name, value) in &self.rlimits {
            let value = value.get().map_err(|error| error.to_string());
            check(format!("rlimits.{name}"), value.and_then(|_| rlimit(name)).map(drop));
        }
        problems
    }

    /// The ids, where they are given.
    fn user(&self) -> Result<Option<User>, String> {
        match &self.user {
            Some(TextOrNumber::Number(uid)) => Ok(Some(User::from(*uid))),
            Some(TextOrNumber::Text(text)) => {
                User::try_from(text.as_str()).map(Some).map_err(|error| error.to_string())
            }
            None => Ok(None),
        }
    }

    /// The mask, where it is given.
    fn umask(&self) -> Result<Option<u32>, String> {
        let mask = match &self.umask {
            Some(TextOrNumber::Number(mask)) => *mask,
            Some(TextOrNumber::Text(text)) => u32::from_str_radix(text, 8)
                .map_err(|_| format!("must be octal digits such as \"0022\", got {text:?}"))?,
            None => return Ok(None),
        };
        is_umask(mask).map(|()| Some(mask))
    }
}

/// A time of a call's.
pub(super) fn above_zero(time: &Timespan) -> Result<Duration, String> {
    match time.get() {
        Ok(time) if time.is_zero() => Err("must be more than 0".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn is_umask(mask: u32) -> Result<(), String> {
    if mask <= 0o777 { Ok(()) } else { Err(format!("must be at most 0o777, got {mask:#o}")) }
}

pub(super) fn in_nice_range(nice: i32) -> Result<(), String> {
    if (-20..=19).contains(&nice) { Ok(()) } else { Err(format!("must be between -20 and 19, got {nice}")) }
}

pub(super) fn rlimit(name: &str) -> Result<Rlimit, String> {
    Rlimit::by_name(name).ok_or_else(|| "there is no such resource limit (getrlimit(2))".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_and_wrong_types_are_told_together() {
        let error = CallOptions::from_json(r#"{ "timeuot": 5, "user": [] }"#).expect_err("nonsense").to_string();
        assert!(error.contains("did you mean \"timeout\"?"), "{error}");
        assert!(error.contains("a string or a number"), "{error}");
    }

    #[test]
    fn values_that_can_not_be_are_told_with_them() {
        let json = r#"{ "bogus": 1, "cwd": "zz", "umask": "99", "nice": 50, "timeout": "soon", "cpu_time": 0, "user": "bob",
            "output": "much", "rlimits": { "nofiles": 5 } }"#;
        let error = CallOptions::from_json(json).expect_err("nonsense");
        let keys: Vec<String> = error.report().problems.iter().map(|problem| problem.key.clone()).collect();
        let wanted = ["bogus", "cpu_time", "cwd", "nice", "output", "rlimits.nofiles", "timeout", "umask", "user"];
        assert_eq!(keys, wanted, "{error}");
    }
}
