//! What do layers, changes and commits cost, and what does the cost depend on?
//!
//! Owns: the measurements of writable roots. Must not: judge: ratios of one run on one machine are printed, nothing is asserted.
//! Run: `cargo bench --bench overlay`. As root, or as a user with a directory of its own as TMPDIR.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use pinfold::{KeptRoot, Overlay, Rootfs, Sandbox};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let directory = tempfile::Builder::new().prefix("bench-overlay-").tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    starts(directory.path())?;
    changes(directory.path())?;
    commits(directory.path())
}

/// Median of `times` runs.
fn median(times: usize, mut once: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut spans = Vec::with_capacity(times);
    for _ in 0..times {
        let begun = Instant::now();
        once()?;
        spans.push(begun.elapsed());
    }
    spans.sort_unstable();
    Ok(spans[times / 2])
}

/// A base with `files` files, and the mount points: with 500 layers there is no room for those below.
fn base(at: &Path, files: usize) -> Result<PathBuf> {
    let base = at.join(format!("base-{files}"));
    for name in ["usr", "proc", "dev", "tmp", "run", "data"] {
        fs::create_dir_all(base.join(name))?;
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), base.join(name))?;
    }
    for number in 0..files {
        let directory = base.join(format!("data/{}", number / 100));
        if number % 100 == 0 {
            fs::create_dir(&directory)?;
        }
        fs::write(directory.join(number.to_string()), "some text\n")?;
    }
    Ok(base)
}

fn starts(at: &Path) -> Result<()> {
    println!("start and exit of `true`, median of 15");
    let base = base(at, 0)?;
    let mut layers = Vec::new();
    for number in 0..499 {
        let layer = at.join(format!("layer-{number}"));
        fs::create_dir_all(layer.join("data"))?;
        fs::write(layer.join(format!("data/{number}")), "x")?;
        layers.push(layer);
    }
    let mut first = None;
    for count in [1, 10, 100, 500] {
        let stack: Vec<&Path> = layers.iter().take(count - 1).chain([&base]).map(PathBuf::as_path).collect();
        for (name, overlay) in [("read-only", None), ("in memory", Some(Overlay::memory("64MiB")))] {
            let mut builder = Sandbox::builder().rootfs(Rootfs::layers(&stack)).ro_bind("/usr", "/usr");
            if let Some(overlay) = overlay {
                builder = builder.overlay(overlay);
            }
            let sandbox = builder.build()?;
            let once = || -> Result<()> {
                let outcome = sandbox.command("true").output()?;
                if outcome.success() { Ok(()) } else { Err(outcome.detail().into()) }
            };
            // The first start of a sandbox puts together what the others share.
            once()?;
            let time = median(15, once)?;
            let first = *first.get_or_insert(time);
            println!("  {count:>4} layers, {name:<10} {:>8.0} us   {:>5.2} x", us(time), us(time) / us(first));
        }
    }
    Ok(())
}

/// A payload that writes `count` files of `size` bytes; its root, kept.
fn changed(base: &Path, count: usize, size: usize) -> Result<KeptRoot> {
    let sandbox = Sandbox::builder()
        .rootfs(Rootfs::dir(base))
        .overlay(Overlay::memory("512MiB"))
        .ro_bind("/usr", "/usr")
        .user("0:0")
        .build()?;
    let script =
        format!("mkdir /new; i=0; while [ $i -lt {count} ]; do head -c {size} /dev/zero > /new/$i; i=$((i+1)); done");
    let (outcome, kept) = sandbox.command("sh").args(["-c", &script]).output_kept()?;
    if outcome.success() { Ok(kept) } else { Err(outcome.stderr_text().into()) }
}

fn changes(at: &Path) -> Result<()> {
    println!("changes(), median of 9");
    for files in [100, 10_000] {
        let base = base(at, files)?;
        for count in [1, 100, 1000] {
            let kept = changed(&base, count, 10)?;
            let time = median(9, || {
                drop(kept.changes()?);
                Ok(())
            })?;
            println!(
                "  {files:>6} files below, {count:>5} changes {:>8.0} us   {:>6.1} us each",
                us(time),
                us(time) / count as f64
            );
        }
    }
    Ok(())
}

fn commits(at: &Path) -> Result<()> {
    println!("commit() against `cp -a` of the same tree, median of 5");
    let base = at.join("base-100");
    for (count, size) in [(1000, 100), (40, 1 << 20)] {
        let kept = changed(&base, count, size)?;
        let (layer, copy) = (at.join("committed"), at.join("copied"));
        let commit = median(5, || {
            if layer.exists() {
                fs::remove_dir_all(&layer)?;
            }
            Ok(kept.commit(&layer)?)
        })?;
        let cp = median(5, || {
            if copy.exists() {
                fs::remove_dir_all(&copy)?;
            }
            let done = Command::new("cp").arg("-a").args([&layer, &copy]).status()?;
            if done.success() { Ok(()) } else { Err("cp failed".into()) }
        })?;
        println!(
            "  {count:>5} files of {size:>8} bytes: {:>8.0} us, cp -a {:>8.0} us   {:.2} x",
            us(commit),
            us(cp),
            us(commit) / us(cp)
        );
    }
    Ok(())
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
