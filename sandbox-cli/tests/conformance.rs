//! The conformance cases of `tests/cases` through the command, compared field by field with the library: as whoever runs
//! the tests, and as uid 1000 where that is root.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pinfold_tests::conformance::{Case, Verb, cases, plain, run};
use pinfold_tests::{is_root, scratch};
use serde_json::{Value, json};

/// Where the copy is that another user may execute.
const COPY: &str = "PINFOLD_TESTED_COMMAND";

#[test]
fn the_command_conforms() {
    let command = std::env::var_os(COPY).map_or_else(|| env!("CARGO_BIN_EXE_pinfold").into(), PathBuf::from);
    let (mut ran, mut wrong) = (0, Vec::new());
    // One call of the command is one sandbox: there are no sessions here.
    for case in cases().iter().filter(|case| case.fits(is_root()) && case.before.is_empty()) {
        let directory = scratch();
        case.lay_out(directory.path());
        let result = through_the_command(&command, case, directory.path());
        let mut differences = case.check(&result);
        // The same directory once more, so that the library finds what the command found.
        let again = scratch();
        case.lay_out(again.path());
        let library = alike(case, run(case, again.path()));
        if alike(case, result.clone()) != library {
            differences.push_str(&format!("  the library's result: {library}\n"));
        }
        if !differences.is_empty() {
            wrong.push(format!("{}\n{differences}  whole: {result}\n", case.name));
        }
        ran += 1;
    }
    assert!(wrong.is_empty(), "{} of {ran} cases differ:\n{}", wrong.len(), wrong.concat());
    println!("{ran} cases");
}

/// The same test, as another user.
#[test]
fn the_command_conforms_for_a_user() {
    if !is_root() {
        return;
    }
    let place = scratch();
    let copy = |from: &Path, name: &str| {
        let to = place.path().join(name);
        pinfold_tests::copy_program(from, &to);
        to
    };
    let command = copy(Path::new(env!("CARGO_BIN_EXE_pinfold")), "pinfold");
    let test = copy(&std::env::current_exe().expect("this program"), "test");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).expect("chmod");
    let output = Command::new("setpriv")
        .args(["--reuid", "1000", "--regid", "1000", "--clear-groups"])
        .arg(test)
        .args(["--exact", "the_command_conforms", "--nocapture"])
        .current_dir(place.path())
        .env(COPY, command)
        .env("TMPDIR", place.path())
        .output()
        .expect("setpriv runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

fn through_the_command(command: &Path, case: &Case, directory: &Path) -> Value {
    let report = directory.join(".report.json");
    let mut pinfold = Command::new(command);
    match case.verb() {
        Verb::Show => pinfold.args(["config", "show", "--json"]),
        Verb::Build if case.error.is_none() => pinfold.args(["explain"]),
        Verb::Build | Verb::Run => pinfold.args(["run", "--quiet", "--report"]).arg(&report),
    };
    if let Some(name) = case.config_file() {
        pinfold.arg("--config").arg(directory.join(name));
    }
    for assignment in &case.set {
        pinfold.arg("--set").arg(case.text(assignment, directory));
    }
    for (name, value) in &case.options {
        pinfold.arg(format!("--{}={}", name.replace('_', "-"), case.text(value, directory)));
    }
    match (case.verb(), case.command.as_slice()) {
        (Verb::Show, _) => {}
        (_, []) => _ = pinfold.args(["--", "true"]),
        (_, words) => _ = pinfold.arg("--").args(words.iter().map(|word| case.text(word, directory))),
    }
    let output = fed(pinfold, case.stdin.as_bytes());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let result = match fs::read_to_string(&report) {
        Ok(report) => {
            let mut result: Value = serde_json::from_str(&report).expect("a report is JSON");
            if result.get("error").is_none() {
                // What is not captured is not truncated.
                result.as_object_mut().expect("an object").remove("stdout_truncated");
                result["stdout"] = text(&output.stdout).into();
                result["stderr"] = text(&output.stderr).into();
            }
            result
        }
        Err(_) if !output.status.success() => json!({ "error": { "kind": text(&output.stderr) } }),
        Err(_) if case.verb() == Verb::Show => {
            json!({ "config": serde_json::from_slice::<Value>(&output.stdout).expect("a config is JSON") })
        }
        Err(_) => json!({ "built": true }),
    };
    plain(result, directory)
}

fn fed(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("PINFOLD_INIT")
        .spawn()
        .expect("pinfold can be started");
    // A payload that ends before it has read all is no failure.
    drop(child.stdin.take().expect("a pipe").write_all(input));
    child.wait_with_output().expect("an end")
}

/// What both must have in common: `explain` prints no report, and a command without `--output` captures nothing, so
/// that it can't tell what was left out.
fn alike(case: &Case, mut result: Value) -> Value {
    if let Some(fields) = result.as_object_mut() {
        fields.remove("stdout_truncated");
        fields.remove("stderr_truncated");
        if case.verb() == Verb::Build {
            fields.remove("weaker");
            fields.remove("enforced");
        }
    }
    result
}
