//! Help, completions, man pages, explain and doctor.

mod kit;

use std::process::Stdio;

use kit::{Ended, Kit, names};

#[test]
fn help_teaches() {
    let kit = Kit::new();
    insta::assert_snapshot!("help", kit.pinfold(["--help"]).well().stdout);
    insta::assert_snapshot!("help_run", kit.pinfold(["run", "--help"]).well().stdout);
    for command in [
        &["exec"][..],
        &["explain"],
        &["doctor"],
        &["config", "check"],
        &["config", "show"],
        &["completions"],
        &["man"],
    ] {
        let help = kit.pinfold(command.iter().chain(&["--help"])).well().stdout;
        assert!(help.contains("Example"), "{command:?}: {help}");
    }
}

#[test]
fn completions_know_the_shorthands() {
    let kit = Kit::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = kit.pinfold(["completions", shell]).well().stdout;
        assert!(script.contains("ro-bind") && script.contains("doctor"), "{shell}");
    }
    kit.pinfold(["completions", "csh"]).with(125).says("bash");
    let script = kit.write("script", &kit.pinfold(["completions", "bash"]).well().stdout);
    let status = std::process::Command::new("bash").arg("-n").arg(script).status().expect("bash");
    assert!(status.success());
}

#[test]
fn man_pages_are_printed_and_written() {
    let kit = Kit::new();
    let page = kit.pinfold(["man"]).well().stdout;
    assert!(page.contains(".TH pinfold 1") && page.contains("Exit status"));
    kit.pinfold(["man", "."]).well();
    let pages = names(kit.dir.path());
    assert!(pages.contains(&"pinfold.1".to_owned()) && pages.contains(&"pinfold-run.1".to_owned()), "{pages:?}");
    assert!(kit.read("pinfold-run.1").contains("ro\\-bind"));
    kit.pinfold(["man", "no/such"]).with(125).says("no/such");
}

#[test]
fn explain_runs_nothing() {
    Kit::each(|kit| {
        std::fs::create_dir(kit.path("data")).expect("mkdir");
        let options = ["--bind", "data:/data", "--", "touch", "/data/file"];
        let plan = kit.pinfold(["explain"].iter().chain(&options)).well().stdout;
        assert!(plan.contains("execute touch") && plan.contains("# mounts[0]"), "{plan}");
        let json = kit.pinfold(["explain", "--json"].iter().chain(&options)).well().stdout;
        let lines: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(lines.as_array().expect("an array").len(), plan.lines().count());
        assert_eq!(lines[0]["number"], 1);
        // A program that is not there is no matter of the plan.
        kit.pinfold(["explain", "--", "no-such"]).well();
        assert_eq!(names(&kit.path("data")), Vec::<String>::new());
    });
}

#[test]
fn explain_into_a_closed_pipe_is_quiet() {
    let kit = Kit::new();
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let mut command = kit.command(["explain", "--", "true"]);
    let end = Ended::from(command.stdout(Stdio::from(writer)).stderr(Stdio::piped()).output().expect("run"));
    assert_eq!((end.status, end.stderr.as_str()), (Some(128 + 13), ""));
}

#[test]
fn doctor_tries_the_default_sandbox() {
    Kit::each(|kit| {
        let text = kit.pinfold(["doctor"]).well().stdout;
        assert!(text.contains("namespaces.user") && text.contains("works: exited with 0"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&kit.pinfold(["doctor", "--json"]).well().stdout).expect("JSON");
        assert_eq!((&json["version"], &json["default_sandbox"]["ok"]), (&1.into(), &true.into()));
        assert!(json["host"]["kernel"].is_array() && json["findings"][0]["feature"].is_string());
        assert_eq!(json["default_sandbox"]["outcome"]["ended"], "exited");
    });
}

#[test]
fn doctor_says_what_is_wrong_and_what_to_do() {
    let kit = Kit::new();
    let mut command = kit.command(["doctor"]);
    let end = Ended::from(command.env("PINFOLD_INIT", "/no/such/init").output().expect("run")).with(1);
    assert!(end.stdout.contains("does not work:"), "{end:?}");
    let mut command = kit.command(["doctor", "--json"]);
    let end = Ended::from(command.env("PINFOLD_INIT", "/no/such/init").output().expect("run")).with(1);
    let json: serde_json::Value = serde_json::from_str(&end.stdout).expect("JSON");
    assert!(json["default_sandbox"]["error"]["kind"].is_string());
}
