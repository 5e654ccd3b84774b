//! A build step that reads its sources, writes its output directory, and can change nothing else.
//!
//! `examples/data/build` is a small C program with a build script that also tries to change the sources. The example
//! builds it, checks that the sources are what they were, and runs the result in a second sandbox that only reads it.
//!
//! ```text
//! cargo run --example build_readonly
//! ```

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pinfold::{Mount, Sandbox};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/build");
    let before = snapshot(&sources)?;

    // guide: begin build
    // The outer directory is ours alone. The inner one is open to whichever id of the host stands behind the payload's.
    let private = tempfile::tempdir()?;
    let output = private.path().join("out");
    fs::create_dir(&output)?;
    fs::set_permissions(&output, Permissions::from_mode(0o777))?;

    let build = Sandbox::builder()
        .mount(Mount::bind(&sources, "/src").read_only(true))
        .mount(Mount::bind(&output, "/out"))
        .timeout("60s")
        .build()?;
    let outcome = build.command("sh").arg("/src/build.sh").output()?;
    // guide: end build
    print!("{}", outcome.text());
    eprint!("{}", outcome.stderr_text());
    if !outcome.success() {
        return Err(format!("the build {}", outcome.detail()).into());
    }
    // The script tried three times to change the sources, and was told so.
    for refused in ["/src/main.c", "/src/lines.c", "/src/new"] {
        let answers = ["Read-only file system", "Permission denied"];
        let told = outcome
            .stderr_text()
            .lines()
            .any(|line| line.contains(refused) && answers.iter().any(|answer| line.contains(answer)));
        if !told {
            return Err(format!("nothing says that {refused} can't be changed").into());
        }
    }
    if snapshot(&sources)? != before {
        return Err("the sources have changed".into());
    }

    // Bind the built file alone: a link among the build's output leads nowhere.
    let program = output.join("lines");
    if !fs::symlink_metadata(&program)?.is_file() {
        return Err("the build's output is not a regular file".into());
    }
    let run = Sandbox::builder().mount(Mount::bind(&program, "/bin/lines").read_only(true)).rootfs("empty");
    let run = host_libraries(run).timeout("5s").build()?;
    let outcome = run.command("/bin/lines").input("one\ntwo\nthree\n").output()?;
    eprint!("{}", outcome.stderr_text());
    println!("built; counted {} lines", outcome.text().trim());
    if outcome.text() == "3\n" { Ok(()) } else { Err(format!("{}: {:?}", outcome.detail(), outcome.text()).into()) }
}

/// An empty root with nothing but the host's C library: what a dynamically linked program needs.
fn host_libraries(mut sandbox: pinfold::SandboxBuilder) -> pinfold::SandboxBuilder {
    for directory in ["/lib", "/lib64", "/usr/lib"] {
        if Path::new(directory).exists() {
            sandbox = sandbox.mount(Mount::bind(directory, directory).read_only(true));
        }
    }
    sandbox
}

/// Names, contents and times of the files of a directory.
fn snapshot(directory: &Path) -> io::Result<BTreeMap<PathBuf, (Vec<u8>, SystemTime)>> {
    fs::read_dir(directory)?
        .map(|entry| {
            let path = entry?.path();
            let content = (fs::read(&path)?, fs::metadata(&path)?.modified()?);
            Ok((path, content))
        })
        .collect()
}
