//! The recipes of the user guide that need a live sandbox, as a program.
//!
//! ```text
//! cargo run --example sessions
//! ```

use std::error::Error as StdError;
use std::io::{Read, Write};
use std::time::Duration;

use pinfold::{Canceller, Ended, ErrorKind, Pool, Sandbox};

type Done = Result<(), Box<dyn StdError + Send + Sync>>;

fn main() -> Done {
    for (name, recipe) in [
        ("session", session as fn() -> Done),
        ("terminal", terminal),
        ("pool", pool),
        ("cancel", cancel),
        ("enter", enter),
    ] {
        recipe().map_err(|error| format!("recipe {name:?}: {error}"))?;
        println!("{name}: as the guide says");
    }
    Ok(())
}

fn session() -> Done {
    // guide: begin session
    let session = Sandbox::builder().build()?.open()?;
    session.command("sh").args(["-c", "echo 6 > /tmp/n"]).output()?;
    let outcome = session.command("sh").args(["-c", "expr $(cat /tmp/n) \\* 7"]).timeout("2s").output()?;
    assert_eq!(outcome.text(), "42\n"); //                   the same files, and an outcome of its own

    let server = session.command("sleep").arg("600").spawn()?; // side by side
    let late = session.command("sleep").arg("600").timeout("100ms").output()?;
    assert_eq!(late.ended(), Ended::WallTime); //            its tree is gone, and nobody else's
    drop(server); //                                         kills its tree

    session.close(); //                                      kills whatever is left; so does dropping it
    let error = session.command("true").output().expect_err("it is closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    // guide: end session
    Ok(())
}

fn terminal() -> Done {
    let sandbox = Sandbox::builder().timeout("30s").build()?;
    // guide: begin terminal
    let shell = sandbox.command("sh").terminal((80, 24)).spawn()?;
    let Some(mut terminal) = shell.take_terminal() else { return Err("it has one".into()) };
    terminal.write_all(b"stty size; exit\n")?; //            typed
    shell.resize((120, 40))?; //                             the foreground group gets SIGWINCH
    let mut printed = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(got @ 1..) = terminal.read(&mut chunk) {
        printed.extend_from_slice(chunk.get(..got).unwrap_or_default());
    } //                                                     EIO: nobody has the other end any more
    // guide: end terminal
    if !shell.wait()?.success() || printed.is_empty() {
        return Err("the shell does not print".into());
    }
    Ok(())
}

fn pool() -> Done {
    let sandbox = Sandbox::builder().timeout("30s").build()?;
    // guide: begin pool
    let pool = Pool::new(&sandbox, 4)?; //                   four sandboxes that are set up
    let outcome = pool.run(|fresh| fresh.command("echo").arg("at once").output())?;
    pool.fill()?; //                                         when there is time: replaces what was used
    assert_eq!((pool.stats().ready, pool.stats().missed), (4, 0));
    // guide: end pool
    if outcome.text() != "at once\n" {
        return Err("it does not echo".into());
    }
    Ok(())
}

fn cancel() -> Done {
    let sandbox = Sandbox::builder().timeout("30s").build()?;
    // guide: begin cancel
    let canceller = Canceller::new()?;
    let command = sandbox.command("sleep").arg("600").cancelled_by(&canceller);
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            canceller.cancel(); //                           from any thread, at any time
        });
        command.output()
    });
    // guide: end cancel
    match ended {
        Ok(outcome) if outcome.ended() == Ended::Cancelled => Ok(()),
        Err(error) if error.kind() == ErrorKind::Cancelled => Ok(()),
        other => Err(format!("not cancelled: {other:?}").into()),
    }
}

fn enter() -> Done {
    let session = Sandbox::builder().build()?.open()?;
    let process = session.command("sleep").arg("600").spawn()?;
    let Some(pid) = process.id() else { return Err("it runs".into()) };
    // guide: begin enter
    let config = pinfold::enter(pid)?; //                    joins whatever namespaces of the process are not ours
    match Sandbox::from_config(config) {
        Ok(beside) => println!("{}", beside.command("ps").arg("-A").output()?.text()),
        // The tree is held by a group there, and this user may not make one.
        Err(error) if error.kind() == ErrorKind::Unsupported => println!("{error}"),
        Err(error) => return Err(error.into()),
    }
    // guide: end enter
    Ok(())
}
