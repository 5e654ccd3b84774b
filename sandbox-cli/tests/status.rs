//! The exit status says how it ended, and stderr why; stdout is the payload's alone.

mod kit;

use std::process::Stdio;
use std::time::{Duration, Instant};

use kit::Kit;

#[test]
fn the_payloads_own_status_comes_through() {
    Kit::each(|kit| {
        kit.sh("exit 0").well().silent();
        for code in [1, 3, 124, 125, 255] {
            let end = kit.sh(&format!("exit {code}")).with(code);
            assert_eq!(end.stderr, "", "an exit needs no explanation");
        }
    });
}

#[test]
fn streams_are_the_payloads() {
    Kit::each(|kit| {
        let end = kit.sh("echo out; echo err >&2").with(0);
        assert_eq!((end.stdout.as_str(), end.stderr.as_str()), ("out\n", "err\n"));
        let input = kit.write("input", "hello\n");
        let mut command = kit.command(["run", "--", "tr", "a-z", "A-Z"]);
        let output = command.stdin(std::fs::File::open(input).expect("open")).output().expect("run");
        assert_eq!(output.stdout, b"HELLO\n");
    });
}

#[test]
fn a_signal_is_128_and_its_number() {
    Kit::each(|kit| {
        let end = kit.sh("kill -SEGV $$").with(139);
        assert_eq!(end.stderr, "pinfold: killed by SIGSEGV\n");
        kit.sh("kill -KILL $$").with(137).says("SIGKILL");
        let quiet = kit.pinfold(["run", "--quiet", "--", "sh", "-c", "kill -SEGV $$"]).with(139);
        assert_eq!(quiet.stderr, "");
    });
}

#[test]
fn wall_time_is_124_and_in_time() {
    Kit::each(|kit| {
        let begun = Instant::now();
        let end = kit.pinfold(["run", "--timeout", "1s", "--", "sh", "-c", "setsid sleep 60 & sleep 60"]).with(124);
        assert_eq!(end.stderr, "pinfold: killed after 1s of wall time\n");
        assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < pinfold_tests::patience());
        let quiet = kit.pinfold(["run", "-q", "--timeout", "1", "--", "sleep", "60"]).with(124);
        assert_eq!(quiet.stderr, "");
    });
}

#[test]
fn output_is_cut_or_kills() {
    Kit::each(|kit| {
        let end = kit.pinfold(["run", "--output", "10", "--", "sh", "-c", "seq 100; echo ok >&2"]).with(0);
        assert_eq!(end.stdout, "1\n2\n3\n4\n5\n");
        let end = end.says("ok\n").says("warning: the output goes on");
        assert!(!end.stderr.contains("killed"));
        let kill = ["run", "--output", "10", "--set", "limits.overflow=kill", "--report", "r.json", "--", "yes"];
        let end = kit.pinfold(kill).with(124);
        assert_eq!(
            (end.stdout.as_str(), end.stderr.as_str()),
            ("y\ny\ny\ny\ny\n", "pinfold: killed for writing more than 10 bytes\n")
        );
        let report = kit.json("r.json");
        assert_eq!((&report["ended"], &report["stdout_truncated"]), (&"output".into(), &true.into()));
        assert_eq!(report["stderr_truncated"], false);
    });
}

#[test]
fn relayed_output_is_whole() {
    let kit = Kit::new();
    let end = kit.pinfold(["run", "--output", "100M", "--", "seq", "300000"]).well();
    assert_eq!(end.stdout.lines().count(), 300_000);
    assert_eq!(end.stdout.lines().last(), Some("300000"));
}

#[test]
fn a_reader_that_goes_ends_a_relayed_payload() {
    let kit = Kit::new();
    let mut child = kit
        .command(["run", "--output", "100M", "--", "yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run");
    drop(child.stdout.take());
    let end = kit::Ended::from(child.wait_with_output().expect("wait")).with(128 + 13);
    assert_eq!(end.stderr, "");
}

#[test]
fn nobody_reads_and_the_limit_of_time_holds() {
    let kit = Kit::new();
    let begun = Instant::now();
    let mut command = kit.command(["run", "-q", "--output", "100M", "--timeout", "1s", "--", "yes"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("run");
    assert_eq!(child.wait().expect("wait").code(), Some(124));
    assert!(begun.elapsed() < pinfold_tests::patience());
}

#[test]
fn a_program_that_is_not_there_is_127() {
    Kit::each(|kit| {
        for program in ["no-such-program", "/no/such/program", "/etc/passwd/x"] {
            let end =
                kit.pinfold(["run", "--", program]).with(127).silent().says("error: there is no program").says("hint");
            assert!(end.stderr.contains(program));
        }
        kit.program("script", "#!/no/such/interpreter\n");
        kit.pinfold(["run", "--ro-bind", "script:/tmp/script", "--", "/tmp/script"])
            .with(127)
            .says("interpreter or loader");
    });
}

#[test]
fn a_program_that_can_not_be_executed_is_126() {
    Kit::each(|kit| {
        kit.pinfold(["run", "--", "/etc/passwd"]).with(126).silent().says("kernel  EACCES");
        kit.pinfold(["run", "--", "/usr"]).with(126).silent();
        kit.program("garbage", "\u{1}\u{2}no program");
        kit.pinfold(["run", "--ro-bind", "garbage:/tmp/garbage", "--", "/tmp/garbage"]).with(126).says("ENOEXEC");
    });
}

#[test]
fn everything_else_that_keeps_it_from_running_is_125() {
    Kit::each(|kit| {
        kit.write("bad.toml", "hostname = \"a_b c\"\n[limits]\npids = 0\n");
        let bad = kit.pinfold(["run", "-c", "bad.toml", "--", "true"]).with(125).silent();
        bad.says("error: the configuration has 2 problems").says("hostname").says("bad.toml:1").says("bad.toml:3");
        kit.pinfold(["run", "-c", "missing.toml", "--", "true"]).with(125).says("missing.toml");
        kit.pinfold(["run", "--cwd", "/no/such", "--", "true"]).with(125).says("kernel  ENOENT");
        kit.pinfold(["run", "--ro-bind", "no-such:/x", "--", "true"]).with(125).says("no-such");
        kit.pinfold(["run", "--set", "security.landlock=requier", "--", "true"]).with(125).says("security.landlock");
        kit.pinfold(["run", "--", ""]).with(125).says("no program");
        // No host has this one.
        kit.pinfold(["run", "--set", "limits.devices=[\"/dev/no-such:rw\"]", "--", "true"]).with(125);
    });
}

#[test]
fn a_wrong_command_line_is_125_and_teaches() {
    let kit = Kit::new();
    kit.pinfold(["run", "--memroy", "1G", "--", "true"]).with(125).says("--memory");
    kit.pinfold(["run", "ls"]).with(125).says("-- <COMMAND>");
    kit.pinfold(["run"]).with(125).says("required");
    kit.pinfold(["run", "--"]).with(125);
    kit.pinfold(["rnu"]).with(125).says("unrecognized subcommand");
    kit.pinfold(["run", "--timeout"]).with(125);
    kit.pinfold(Vec::<&str>::new()).with(125).says("Usage");
    kit.pinfold(["--version"]).well();
    kit.pinfold(["run", "--help"]).well();
}

#[test]
fn hostile_words_are_refused_by_name() {
    let kit = Kit::new();
    kit.pinfold(["run", "--set", "process.env.A=\"x\\u0000\"", "--", "true"]).with(125).says("NUL");
    kit.pinfold(["run", "--set", "process.cwd=\"/a\\u0000\"", "--", "true"]).with(125).says("process.cwd");
    let long = "x".repeat(100_000);
    kit.pinfold(["run", "--hostname", &long, "--", "true"]).with(125).says("hostname");
    kit.pinfold(["run", "--cwd", &format!("/{long}"), "--", "true"]).with(125);
    kit.pinfold(["run", "--set", &long, "--", "true"]).with(125).says("KEY=VALUE");
    kit.pinfold(["run", "--set", &format!("{}=1", "a.".repeat(40)), "--", "true"]).with(125);
    kit.pinfold(["run", "--user", "4294967296", "--", "true"]).with(125).says("user");
    kit.pinfold(["run", "--", &long]).with(125).says("ENAMETOOLONG");
    use std::os::unix::ffi::OsStrExt;
    let bytes = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    kit.pinfold([std::ffi::OsStr::new("run"), "--hostname".as_ref(), bytes, "--".as_ref(), "true".as_ref()]).with(125);
    // The payload's arguments are bytes.
    let mut command = kit.command(["run", "--", "printf", "%s"]);
    assert_eq!(command.arg(bytes).output().expect("run").stdout, b"\xff\xfe");
}

#[test]
fn colour_is_for_terminals() {
    let kit = Kit::new();
    assert!(!kit.pinfold(["run", "--", "no-such"]).with(127).stderr.contains('\u{1b}'));
}

#[test]
fn memory_without_swap_is_a_limit_or_a_refusal() {
    let cgroups = pinfold::HostCaps::probe().expect("facts").cgroups;
    let unified = cgroups
        .unified_places
        .iter()
        .any(|place| place.enabled.iter().chain(&place.possible).any(|name| name == "memory"));
    let kit = Kit::new();
    let args = ["run", "--memory", "32M", "--swap", "0", "--report", "report", "--", "tail", "/dev/zero"];
    let end = kit.pinfold(args);
    if cgroups.swap && (unified || cgroups.v1_places.contains_key("memory")) {
        end.with(137);
        let report = kit.json("report");
        assert_eq!(report["ended"], "memory", "{report}");
        let enforced = &report["report"]["enforced"];
        assert!(enforced["limits.swap"].as_str().is_some_and(|how| how.starts_with("cgroup-v")), "{enforced}");
    } else {
        end.with(125).says("limits.").says("compat.prefer");
    }
}
