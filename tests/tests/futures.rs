//! The calls as futures of tokio: they end as the blocking ones do, and dropping one kills.

use std::time::{Duration, Instant};

use pinfold::{Ended, ErrorKind, Sandbox, Stdio};
use pinfold_tests::{Leaks, comm, descendants, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

const BOUND: Duration = Duration::from_secs(30);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn sandbox() -> Sandbox {
    Sandbox::builder().build().expect("the default sandbox")
}

fn named(name: &str) -> usize {
    descendants(std::process::id()).into_iter().filter(|pid| comm(*pid) == name).count()
}

#[test]
fn futures_end_as_the_blocking_calls_do() {
    let _leaks = Leaks::watch();
    runtime().block_on(async {
        let session = sandbox().open_async().await.expect("it opens");
        for command in [sandbox().command("sh"), session.command("sh")] {
            let line = "head -c 3000000 /dev/zero; echo e >&2; exit 3";
            let outcome = timeout(BOUND, command.args(["-c", line]).output_async()).await;
            let outcome = outcome.expect("in time").expect("it runs");
            assert_eq!((outcome.code(), outcome.stdout().len()), (Some(3), 3_000_000));
            assert_eq!(outcome.stderr_text(), "e\n");
        }
        let error = sandbox().command("no-such-program").output_async().await.expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::ProgramNotFound);
        let ended = session.command("sleep").arg("1000").timeout("1s").status_async().await.expect("an outcome");
        assert_eq!(ended.ended(), Ended::WallTime);
    });
}

#[test]
fn streams_are_read_and_written_as_futures() {
    let _leaks = Leaks::watch();
    runtime().block_on(async {
        let command = sandbox().command("cat").stdin(Stdio::piped()).stdout(Stdio::piped());
        let process = command.spawn_async().await.expect("it starts");
        let mut stdin = process.take_stdin().expect("no error").expect("piped");
        let mut stdout = process.take_stdout().expect("no error").expect("piped");
        stdin.write_all(b"there and back").await.expect("it reads");
        drop(stdin);
        let mut text = String::new();
        timeout(BOUND, stdout.read_to_string(&mut text)).await.expect("in time").expect("it writes");
        assert_eq!(text, "there and back");
        assert!(timeout(BOUND, process.wait()).await.expect("in time").expect("an outcome").success());
    });
}

#[test]
fn many_futures_share_a_thread() {
    let _leaks = Leaks::watch();
    runtime().block_on(async {
        let begun = Instant::now();
        let session = sandbox().open_async().await.expect("it opens");
        let sleeps: Vec<_> = (0..10).map(|_| session.command("sleep").arg("1").output_async()).collect();
        let mut running = Vec::new();
        for sleep in sleeps {
            running.push(tokio::spawn(sleep));
        }
        for sleep in running {
            assert!(sleep.await.expect("it is awaited").expect("it runs").success());
        }
        assert!(begun.elapsed() < Duration::from_secs(8), "side by side: {:?}", begun.elapsed());
    });
}

#[test]
fn dropping_a_future_kills() {
    let _leaks = Leaks::watch();
    runtime().block_on(async {
        let session = sandbox().open_async().await.expect("it opens");
        for command in [sandbox().command("sleep"), session.command("sleep")] {
            assert!(timeout(Duration::from_millis(300), command.arg("1000").output_async()).await.is_err());
            eventually("it is gone", || named("sleep") == 0);
        }
        // Also one that is dropped while its sandbox is being set up.
        for micros in (0..2000).step_by(100) {
            let output = sandbox().command("sleep").arg("1000").output_async();
            assert!(timeout(Duration::from_micros(micros), output).await.is_err());
        }
        eventually("they are gone", || named("sleep") == 0);
        assert!(session.command("true").output_async().await.expect("the session goes on").success());
    });
}
