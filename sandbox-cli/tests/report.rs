//! `--report` writes the outcome, or the error, whole or not at all.

mod kit;

use kit::{Kit, names};

#[test]
fn it_tells_the_outcome() {
    Kit::each(|kit| {
        kit.pinfold(["run", "--report", "r.json", "--timeout", "10s", "--", "sh", "-c", "exit 3"]).with(3);
        let report = kit.json("r.json");
        assert_eq!(report["version"], 1);
        assert_eq!(report["ended"], "exited");
        assert_eq!(report["exit_code"], 3);
        assert_eq!((&report["signal"], &report["ok"]), (&serde_json::Value::Null, &false.into()));
        assert_eq!(report["detail"], "exited with 3");
        assert!(report["duration"].as_f64().expect("seconds") > 0.0);
        assert!(report["timings"]["setup"].as_f64().expect("seconds") > 0.0);
        assert_eq!(report["report"]["enforced"]["namespaces.user"], "new");
        assert_eq!(report["report"]["degradations"], serde_json::json!([]));
        for key in ["signal_name", "stdout_truncated", "stderr_truncated", "changes", "usage"] {
            assert!(report.get(key).is_some(), "no {key}");
        }
        assert!(report.get("error").is_none());
    });
}

#[test]
fn it_tells_the_error() {
    Kit::each(|kit| {
        kit.pinfold(["run", "--report", "r.json", "--", "no-such"]).with(127);
        let report = kit.json("r.json");
        assert_eq!((&report["version"], &report["error"]["kind"]), (&1.into(), &"program_not_found".into()));
        assert_eq!(report["error"]["errno_name"], "ENOENT");
        assert!(report.get("ended").is_none());
        kit.pinfold(["run", "--report", "r.json", "--pids", "many", "--", "true"]).with(125);
        let report = kit.json("r.json");
        assert_eq!(report["error"]["kind"], "config");
        assert_eq!(report["error"]["problems"][0]["key"], "pids");
    });
}

#[test]
fn it_replaces_a_file_whole_and_leaves_nothing_beside_it() {
    let kit = Kit::new();
    let old = kit.write("r.json", &"old".repeat(10_000));
    let before = std::fs::File::open(&old).expect("open");
    kit.pinfold(["run", "--report", "r.json", "--", "true"]).well();
    assert_eq!(kit.json("r.json")["ok"], true);
    // Who had the old one open still has all of it.
    assert_eq!(std::io::read_to_string(before).expect("read").len(), 30_000);
    assert_eq!(names(kit.dir.path()), ["r.json"]);
}

#[test]
fn it_is_not_there_before_the_end() {
    let kit = Kit::new();
    let run = kit.start(["run", "--report", "r.json", "--", "sh", "-c", "echo ready; exec sleep 60"]);
    assert_eq!(names(kit.dir.path()), Vec::<String>::new());
    run.signal(nix::sys::signal::Signal::SIGTERM);
    run.end().with(143);
    assert_eq!(kit.json("r.json")["signal_name"], "SIGTERM");
}

#[test]
fn it_goes_to_an_fd_by_its_path() {
    let kit = Kit::new();
    let script = format!("{} run --report /dev/fd/3 -- true 3>r.json", env!("CARGO_BIN_EXE_pinfold"));
    let status = std::process::Command::new("sh").args(["-c", &script]).current_dir(kit.dir.path()).status();
    assert!(status.expect("sh").success());
    assert_eq!(kit.json("r.json")["ok"], true);
}

#[test]
fn where_it_can_not_go_nothing_runs() {
    let kit = Kit::new();
    for place in ["-", "no/such/dir.json", ".", "r.json/x"] {
        kit.write("r.json", "");
        let end = kit.pinfold(["run", "--report", place, "--", "sh", "-c", "echo ran"]).with(125).silent();
        assert!(end.stderr.starts_with("error: "), "{place}: {end:?}");
    }
}

#[test]
fn a_report_that_can_not_be_written_is_an_error() {
    let kit = Kit::new();
    kit.pinfold(["run", "--report", "/dev/full", "--", "true"])
        .with(125)
        .says("could not write the report")
        .says("ENOSPC");
}
