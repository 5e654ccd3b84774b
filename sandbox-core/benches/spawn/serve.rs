//! Owns: the protocol between the run and the processes that measure, and its both ends.
//! Must not: know what is measured.
//!
//! A server says "ready NOTE", then answers each line "COUNT PAUSE" (microseconds before each start) with one line of
//! COUNT durations in nanoseconds. "! REASON" instead of either means that the row is not available; at the end of its
//! input a server ends. `floor.c` and `peer-hakoniwa` speak it too.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// The serving end: say how it went to be ready, then measure `once` until nobody asks any more.
pub fn serve(prepared: Result<(String, impl FnMut() -> Result<()>)>) -> Result<()> {
    serve_after(prepared.map(|(note, once)| (note, || Ok(()), once)))
}

/// The same, with something to do before each start that is not measured.
pub fn serve_after(prepared: Result<(String, impl FnMut() -> Result<()>, impl FnMut() -> Result<()>)>) -> Result<()> {
    let mut answers = std::io::stdout().lock();
    let mut say = |line: &str| writeln!(answers, "{line}").and_then(|()| answers.flush()).map_err(|e| e.to_string());
    let (note, mut before, mut once) = match prepared {
        Ok(prepared) => prepared,
        Err(reason) => return say(&format!("! {}", reason.replace('\n', " "))),
    };
    say(&format!("ready {note}"))?;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| e.to_string())?;
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (Some(Ok(count)), Some(Ok(pause_us))) = (numbers.next(), numbers.next()) else {
            return say(&format!("! not a request: {line}"));
        };
        let mut answer = String::with_capacity(count as usize * 10);
        for _ in 0..count {
            if let Err(reason) = before() {
                return say(&format!("! {}", reason.replace('\n', " ")));
            }
            if pause_us > 0 {
                std::thread::sleep(Duration::from_micros(pause_us.into()));
            }
            let began = Instant::now();
            let done = once();
            let took = began.elapsed();
            if let Err(reason) = done {
                return say(&format!("! {}", reason.replace('\n', " ")));
            }
            answer.push_str(&took.as_nanos().to_string());
            answer.push(' ');
        }
        say(&answer)?;
    }
    Ok(())
}

/// How a server is started.
#[derive(Clone)]
pub struct Launch {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// None: as who we are.
    pub user: Option<u32>,
}

/// The asking end.
pub struct Server {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub note: String,
}

impl Server {
    pub fn start(launch: &Launch) -> Result<Self> {
        let mut command = Command::new(&launch.program);
        command.args(&launch.args).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(id) = launch.user {
            command.uid(id).gid(id);
        }
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", launch.program.display()))?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut server = Self { child, requests, answers, note: String::new() };
        let line = server.line()?;
        server.note = line.strip_prefix("ready").unwrap_or(&line).trim().to_owned();
        Ok(server)
    }

    /// Nanoseconds of `count` starts, each after a pause.
    pub fn measure(&mut self, count: u32, pause_us: u32) -> Result<Vec<u64>> {
        let requests = self.requests.as_mut().ok_or("closed")?;
        writeln!(requests, "{count} {pause_us}").map_err(|e| format!("the server is gone: {e}"))?;
        let line = self.line()?;
        let durations: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        if durations.len() != count as usize {
            return Err(format!("unexpected answer: {line}"));
        }
        Ok(durations)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let length = self.answers.read_line(&mut line).map_err(|e| e.to_string())?;
        match line.find("! ") {
            Some(at) => Err(line.split_at(at + 2).1.trim_end().to_owned()),
            None if length == 0 => Err("the server ended without an answer".to_owned()),
            None => Ok(line),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Err(error) = self.child.wait() {
            eprintln!("cannot wait for a server: {error}");
        }
    }
}
