//! Starts and ends DIR/program/true in a hakoniwa container, on request. The protocol is that of ../../spawn/serve.rs.

use std::fmt::Write as _;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use hakoniwa::{Container, Namespace, Stdio};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("peer-hakoniwa DIR")?;
    let mut container = Container::new();
    for namespace in [Namespace::Network, Namespace::Ipc, Namespace::Uts, Namespace::Cgroup] {
        container.unshare(namespace);
    }
    container.rootfs("/")?;
    container.bindmount_ro(&format!("{dir}/program"), "/bench");
    container.devfsmount("/dev").tmpfsmount("/tmp").tmpfsmount("/run").uidmap(1000).gidmap(1000).hostname("sandbox");

    let mut answers = std::io::stdout();
    writeln!(answers, "ready no seccomp, no Landlock, capabilities kept")?;
    answers.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (count, pause) = line.split_once(' ').ok_or("not a request")?;
        let pause: u64 = pause.parse()?;
        let mut answer = String::new();
        for _ in 0..count.parse()? {
            if pause > 0 {
                std::thread::sleep(Duration::from_micros(pause));
            }
            let began = Instant::now();
            let mut command = container.command("/bench/true");
            let ended = command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit()).status();
            let took = began.elapsed();
            match ended {
                Ok(status) if status.success() => write!(answer, "{} ", took.as_nanos())?,
                Ok(status) => answer = format!("! {}", status.reason),
                Err(error) => answer = format!("! {error}"),
            }
            if answer.starts_with('!') {
                break;
            }
        }
        writeln!(answers, "{}", answer.replace('\n', " "))?;
        answers.flush()?;
    }
    Ok(())
}
