//! Builds init, the static program that carries plans out, with the same rustc, and leaves it in `OUT_DIR` for
//! `include_bytes!`. No cargo inside cargo, no RUSTFLAGS: the same sources and compiler give the same bytes.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

fn main() {
    println!("cargo::rerun-if-changed=init");
    println!("cargo::rerun-if-changed=wire");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR")).join("pinfold-init");
    if variable("CARGO_CFG_TARGET_OS") != "linux" {
        // Elsewhere every call is `unsupported`; there is nothing to run.
        if let Err(error) = std::fs::write(&out, b"") {
            fail(&format!("cannot write {}: {error}", out.display()));
        }
        return;
    }
    match variable("CARGO_CFG_TARGET_ARCH").as_str() {
        "x86_64" | "aarch64" => {}
        other => fail(&format!("pinfold's init is written for x86_64 and aarch64, not for {other}")),
    }
    let mut done = rustc(&out, PACKED).output();
    for fewer in (0..PACKED.len()).rev() {
        match &done {
            Ok(refused) if !refused.status.success() && names_a_flag(&refused.stderr) => {
                done = rustc(&out, &PACKED[..fewer]).output();
            }
            _ => break,
        }
    }
    match done {
        Ok(done) if done.status.success() => {}
        Ok(done) => {
            let text = String::from_utf8_lossy(&done.stderr);
            let advice = if text.contains("linker") && text.contains("not found") {
                "\n\nThere is no linker. On Debian and Ubuntu: apt-get install gcc libc6-dev"
            } else {
                ""
            };
            fail(&format!("could not build pinfold's init:\n{text}{advice}"));
        }
        Err(error) => fail(&format!("could not start {}: {error}", variable("RUSTC"))),
    }
}

/// For as few pages as the linker can do: a page of the file or a mapping less is a fault less. LLD knows all of them, GNU's
/// linker not the last one, which it does by itself, and zig's (Python's wheels are linked by it) none.
const PACKED: &[&str] = &["-z,noseparate-code", "--no-rosegment"];

fn names_a_flag(stderr: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stderr);
    ["noseparate-code", "no-rosegment"].iter().any(|flag| text.contains(flag))
}

fn rustc(out: &Path, packed: &[&str]) -> Command {
    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .args(["--edition", "2024", "--crate-type", "bin", "--crate-name", "pinfold_init"])
        .args(["--target", &variable("TARGET")])
        .args(["-C", "panic=abort", "-C", "opt-level=2", "-C", "codegen-units=1", "-C", "strip=symbols"])
        .args(["-C", "relocation-model=static", "-C", "overflow-checks=off", "-C", "debug-assertions=off"])
        .args(["-C", "link-arg=-nostartfiles", "-C", "link-arg=-nostdlib", "-C", "link-arg=-static"])
        .args(["-C", "link-arg=-Wl,--build-id=none"])
        .arg("--remap-path-prefix")
        .arg(format!("{}=pinfold", variable("CARGO_MANIFEST_DIR")))
        .arg("-o")
        .arg(out)
        .arg(PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("init/main.rs"));
    if variable("CARGO_CFG_TARGET_ENV") == "musl" {
        // rustc would bring that C library's own start along.
        rustc.args(["-C", "link-self-contained=no"]);
    }
    // Without it there are no calls by a table, which would be a page of its own.
    rustc.args(["-C", "relro-level=off"]);
    for flag in packed {
        rustc.arg("-C").arg(format!("link-arg=-Wl,{flag}"));
    }
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    rustc
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("{name} is not set: build.rs must be run by cargo")))
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    exit(1)
}
