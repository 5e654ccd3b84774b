//! What sets a key, and what wins.

mod kit;

use kit::Kit;
use pinfold::SHORTHANDS;

#[test]
fn extends_then_the_file_then_set_then_flags() {
    let kit = Kit::new();
    kit.write(
        "base.toml",
        "hostname = \"base\"\n[process]\nenv = { A = \"base\", B = \"base\", C = \"base\", D = \"base\" }\n",
    );
    kit.write("job.toml", "extends = [\"base.toml\"]\nhostname = \"file\"\n[process]\nenv = { B = \"file\", C = \"file\", D = \"file\" }\n");
    let show = ["sh", "-c", "echo $A $B $C $D $(uname -n)"];
    let args = |more: &[&str]| {
        let mut args = vec!["run", "-c", "job.toml"];
        args.extend_from_slice(more);
        args.push("--");
        args.extend_from_slice(&show);
        kit.pinfold(args).well().stdout
    };
    assert_eq!(args(&[]), "base file file file file\n");
    let set = ["--set", "process.env.C=set", "--set", "process.env.D=set", "--set", "hostname=set"];
    assert_eq!(args(&set), "base file set set set\n");
    let mut all = set.to_vec();
    all.extend(["--env", "D=flag", "--hostname", "flag"]);
    assert_eq!(args(&all), "base file set flag flag\n");
    // The order of the words does not matter.
    all.rotate_left(6);
    assert_eq!(args(&all), "base file set flag flag\n");
}

#[test]
fn the_last_of_two_flags_counts_and_lists_add_up() {
    let kit = Kit::new();
    let end = kit.pinfold([
        "run",
        "--hostname",
        "a",
        "--hostname",
        "b",
        "--env",
        "X=1",
        "--env",
        "Y=2",
        "--",
        "sh",
        "-c",
        "uname -n; echo $X$Y",
    ]);
    assert_eq!(end.well().stdout, "b\n12\n");
}

#[test]
fn mounts_lie_in_the_order_of_the_command_line() {
    let kit = Kit::new();
    std::fs::create_dir(kit.path("data")).expect("mkdir");
    kit.write("data/file", "below\n");
    let args = ["config", "show", "--json", "--ro-bind", "data:/a/b", "--tmpfs", "/a", "--bind", "data:/c"];
    let shown: serde_json::Value = serde_json::from_str(&kit.pinfold(args).well().stdout).expect("JSON");
    let targets: Vec<&str> =
        shown["mounts"].as_array().expect("mounts").iter().filter_map(|m| m["target"].as_str()).collect();
    assert_eq!(targets, ["/a/b", "/a", "/c"]);
    let end = kit.pinfold(["run", "--tmpfs", "/a", "--ro-bind", "data:/a/b", "--", "cat", "/a/b/file"]);
    assert_eq!(end.well().stdout, "below\n");
}

#[test]
fn every_shorthand_is_a_flag_that_takes_its_own_example() {
    let kit = Kit::new();
    for shorthand in SHORTHANDS {
        let flag = format!("--{}", shorthand.name.replace('_', "-"));
        kit.pinfold(["config", "show", &flag, shorthand.example]).well();
        let help = kit.pinfold(["run", "--help"]).well().stdout;
        assert!(help.contains(&flag) && help.contains(&format!("<{}>", shorthand.value)), "{flag}");
    }
}

#[test]
fn what_is_shown_means_the_same() {
    let kit = Kit::new();
    let options =
        ["--timeout", "5s", "--ro-bind", "x:/x", "--env", "A=b", "--user", "7:8", "--seccomp", "none", "--fd", "log=5"];
    let mut args = vec!["config", "show"];
    args.extend(options);
    let shown = kit.pinfold(args).well().stdout;
    kit.write("shown.toml", &shown);
    let again = kit.pinfold(["config", "show", "-c", "shown.toml"]).well().stdout;
    assert_eq!(again, shown.replace("\"x\"", &format!("{:?}", kit.path("x").canonicalize().unwrap_or(kit.path("x")))));
    insta::assert_snapshot!("shown", shown);
}

#[test]
fn a_flag_is_named_as_the_place_of_its_problem() {
    let kit = Kit::new();
    kit.write("job.toml", "[limits]\nwall_time = \"5s\"\n");
    let end =
        kit.pinfold(["run", "-c", "job.toml", "--timeout", "soon", "--", "true"]).with(125).says("(timeout = soon)");
    assert!(!end.stderr.contains("job.toml"));
}

#[test]
fn all_wrong_flags_are_told_at_once() {
    let kit = Kit::new();
    let end = kit.pinfold(["run", "--pids", "x", "--cpus", "y", "--bind", "z", "--", "true"]).with(125);
    end.says("3 problems").says("pids:").says("cpus:").says("bind:");
}

#[test]
fn what_is_weaker_is_told_unless_quiet() {
    let kit = Kit::new();
    let options = ["--ro-bind", "no-such:/x", "--set", "mounts[0].optional=true"];
    // --set comes before the flags: the mount is not there yet.
    kit.pinfold(["run", options[0], options[1], options[2], options[3], "--", "true"]).with(125);
    kit.write("job.toml", "[[mounts]]\nkind = \"bind\"\nsource = \"no-such\"\ntarget = \"/x\"\noptional = true\n");
    kit.pinfold(["run", "-c", "job.toml", "--", "true"]).with(0).says("warning: mounts[0]");
    kit.pinfold(["run", "-q", "-c", "job.toml", "--", "true"]).well();
}

#[test]
fn config_check_tells_every_problem_with_its_line() {
    let kit = Kit::new();
    kit.write("good.toml", "hostname = \"box\"\n[limits]\nwall_time = \"5s\"\n");
    assert_eq!(kit.pinfold(["config", "check", "good.toml"]).well().stdout, "good.toml: ok\n");
    kit.write("keys.toml", "hostnam = \"box\"\n[limits]\nbogus = 1\npids = \"x\"\n");
    let end = kit.pinfold(["config", "check", "keys.toml"]).with(125).silent();
    end.says("3 problems")
        .says("keys.toml:1")
        .says("keys.toml:3")
        .says("keys.toml:4")
        .says("did you mean \"hostname\"");
    kit.write("values.json", "{\n\"hostname\": \"\",\n\"process\": {\"cwd\": \"x\"}\n}");
    kit.pinfold(["config", "check", "values.json"]).with(125).says("values.json:2").says("values.json:3");
    kit.pinfold(["config", "check", "none.toml"]).with(125).says("none.toml");
    // Right, but not here.
    kit.write("elsewhere.toml", "[[mounts]]\nkind = \"bind\"\nsource = \"no-such\"\ntarget = \"/x\"\n");
    kit.pinfold(["config", "check", "elsewhere.toml"]).with(0).says("warning: the file is right");
}
