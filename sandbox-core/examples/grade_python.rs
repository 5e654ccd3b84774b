//! Grades Python submissions that nobody has read, on input files, each run in a fresh sandbox.
//!
//! The task: read a text, print its three most frequent words with their counts. The submissions in
//! `examples/data/grading` are a right one and several that are not; the table at the end shows which is which. The exit
//! status is not 0 when a verdict is not the expected one, so this example is also a test.
//!
//! ```text
//! cargo run --example grade_python
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io, thread};

use pinfold::{Ended, Mount, Outcome, Overflow, Sandbox};

/// What the author of the task wants to know about one run.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    TooSlow,
    TooMuchOutput,
    Crashed(String),
}

struct Case {
    name: String,
    input: Vec<u8>,
    expected: String,
}

/// The submissions, and the verdict each must get on its worst case.
const EXPECTED: [(&str, &str); 6] = [
    ("right.py", "right"),
    ("wrong.py", "wrong answer"),
    ("loop.py", "too slow"),
    ("crash.py", "exited with 1"),
    ("flood.py", "too much output"),
    ("nosy.py", "exited with 3"),
];

fn main() -> Result<ExitCode, Box<dyn std::error::Error + Send + Sync>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/grading");
    let cases = cases(&data.join("cases"))?;

    // One thread per submission: sandboxes are `Send + Sync`, and nothing of this process is forked.
    let verdicts = thread::scope(|scope| {
        let graders: Vec<_> = EXPECTED
            .iter()
            .map(|(name, _)| {
                let (cases, path) = (&cases, data.join("submissions").join(name));
                scope.spawn(move || grade(&path, cases))
            })
            .collect();
        graders
            .into_iter()
            .map(|grader| grader.join().unwrap_or_else(|_| Err("a grader panicked".into())))
            .collect::<Result<Vec<_>, _>>()
    })?;

    print!("{:<12}", "submission");
    cases.iter().for_each(|case| print!(" {:<16}", case.name));
    println!();
    let mut as_expected = true;
    for ((name, expected), verdicts) in EXPECTED.iter().zip(&verdicts) {
        print!("{name:<12}");
        verdicts.iter().for_each(|verdict| print!(" {:<16}", words(verdict)));
        println!();
        let worst = verdicts.iter().find(|verdict| **verdict != Verdict::Right).unwrap_or(&Verdict::Right);
        if words(worst) != *expected {
            eprintln!("{name}: expected {expected:?}, got {:?}", words(worst));
            as_expected = false;
        }
    }
    Ok(if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

// guide: begin grade
/// Runs one submission on every case, up to the first that hangs.
fn grade(submission: &Path, cases: &[Case]) -> Result<Vec<Verdict>, Box<dyn std::error::Error + Send + Sync>> {
    let sandbox = Sandbox::builder()
        .mount(Mount::bind(submission, "/job/answer.py").read_only(true))
        .timeout("5s")
        .output("64KiB")
        .overflow(Overflow::Kill)
        .rlimit("nofile", 64)
        .build()?;
    let mut verdicts = Vec::new();
    for case in cases {
        // `Err` means that nothing ran, and is our fault: it must not cost anybody a mark.
        let outcome =
            sandbox.command("/usr/bin/python3").args(["-I", "/job/answer.py"]).input(case.input.clone()).output()?;
        verdicts.push(verdict(&outcome, &case.expected));
        if outcome.ended() == Ended::WallTime {
            break;
        }
    }
    Ok(verdicts)
}

fn verdict(outcome: &Outcome, expected: &str) -> Verdict {
    match outcome.ended() {
        Ended::WallTime | Ended::CpuTime => Verdict::TooSlow,
        Ended::Output => Verdict::TooMuchOutput,
        _ if !outcome.success() => Verdict::Crashed(outcome.detail().to_owned()),
        _ if outcome.text().trim_end() == expected.trim_end() => Verdict::Right,
        _ => Verdict::Wrong,
    }
}
// guide: end grade

fn words(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Right => "right",
        Verdict::Wrong => "wrong answer",
        Verdict::TooSlow => "too slow",
        Verdict::TooMuchOutput => "too much output",
        Verdict::Crashed(how) => how,
    }
}

/// The pairs `NAME.in`, `NAME.out` of a directory, by name.
fn cases(directory: &Path) -> io::Result<Vec<Case>> {
    let mut inputs: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    inputs.retain(|path| path.extension().is_some_and(|extension| extension == "in"));
    inputs.sort();
    inputs
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok(Case { name, input: fs::read(path)?, expected: fs::read_to_string(path.with_extension("out"))? })
        })
        .collect()
}
