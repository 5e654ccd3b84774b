//! `--changes` and `--commit`: what a payload changed, printed and kept as a layer.

mod kit;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use kit::Kit;

/// A root directory with something to change, as this kit's user has it.
fn base(kit: &Kit) {
    let base = kit.path("base");
    fs::create_dir(&base).expect("a directory");
    fs::write(base.join("colour"), "blue\n").expect("a file");
    fs::write(base.join("shape"), "round\n").expect("a file");
    for name in ["bin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), base.join(name)).expect("a link");
    }
    fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).expect("chmod");
}

#[test]
fn changes_are_printed_by_path_after_the_end() {
    Kit::each(|kit| {
        let ended = kit.pinfold([
            "run",
            "--overlay",
            "memory:16M",
            "--changes",
            "--",
            "sh",
            "-c",
            "mkdir /job; echo 1 > /job/x; echo out",
        ]);
        let ended = ended.with(0);
        assert_eq!(ended.stdout, "out\n", "the payload's output is its own");
        assert!(ended.stderr.contains("A /job\n") && ended.stderr.contains("A /job/x\n"), "{ended:#?}");
    });
}

#[test]
fn a_committed_layer_is_there_at_the_next_start() {
    let kit = Kit::new();
    base(&kit);
    let (base, layer) = (kit.path("base"), kit.path("layer"));
    let root = format!("{}/", base.display());
    let layer_text = layer.display().to_string();
    let script = "echo red > /colour; rm /shape";
    let first = ["run", "--rootfs", &root, "--ro-bind", "/usr:/usr", "--user", "0:0", "--overlay", "memory"];
    let commit = ["--changes", "--commit", &layer_text, "--", "sh", "-c", script];
    let ended = kit.pinfold(first.iter().chain(&commit)).with(0);
    assert!(ended.stderr.contains("M /colour\n") && ended.stderr.contains("D /shape\n"), "{ended:#?}");
    assert_eq!(fs::read_to_string(base.join("colour")).expect("there"), "blue\n", "a layer is never changed");

    let layers = format!("rootfs={{ kind = \"layers\", layers = [{layer_text:?}, {:?}] }}", base.display().to_string());
    let next = ["run", "--set", &layers, "--ro-bind", "/usr:/usr", "--user", "0:0", "--", "sh", "-c"];
    let ended = kit.pinfold(next.iter().chain(&["cat /colour; ls /shape 2> /dev/null || echo gone"])).well();
    assert_eq!(ended.stdout, "red\ngone\n");

    let again = kit.pinfold(first.iter().chain(&commit));
    assert_ne!(again.status, Some(0), "{again:#?}");
    again.says("new or an empty directory");
}

#[test]
fn without_an_overlay_there_is_nothing_to_commit() {
    let kit = Kit::new();
    let layer = kit.path("layer").display().to_string();
    let ended = kit.pinfold(["run", "--commit", &layer, "--", "echo", "ran"]).silent();
    assert_ne!(ended.status, Some(0), "{ended:#?}");
    ended.says("needs a root with a writable layer");
    assert!(!kit.path("layer").exists());
}
