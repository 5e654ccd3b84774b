//! The recipes of the user guide, as a program: every Rust block of `docs/user-guide.md` and `README.md` is a part of an
//! example, most of them of this one, so that the guide compiles and does what it says.
//!
//! ```text
//! cargo run --example recipes
//! ```

use std::error::Error as StdError;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use pinfold::{
    Ended, ErrorKind, Fd, HostCaps, Mount, Overflow, Rootfs, Sandbox, SandboxConfig, Seccomp, Stdio, findings,
};

type Done = Result<(), Box<dyn StdError + Send + Sync>>;
type Recipe = (&'static str, fn() -> Done);

/// A recipe that does not do what the guide says ends the program with a message.
macro_rules! check {
    ($holds:expr) => {
        if !$holds {
            return Err(concat!("does not hold: ", stringify!($holds)).into());
        }
    };
}

fn main() -> Done {
    let recipes: [Recipe; 17] = [
        ("first", first),
        ("files in", files_in),
        ("files out", files_out),
        ("limits", limits),
        ("groups", groups),
        ("prefer", prefer),
        ("who", who),
        ("fds", fds),
        ("talk", talk),
        ("profile", profile),
        ("own root", own_root),
        ("config", config),
        ("explain", explain),
        ("doctor", doctor),
        ("threads", threads),
        ("errors", errors),
        ("end", end),
    ];
    for (name, recipe) in recipes {
        recipe().map_err(|error| format!("recipe {name:?}: {error}"))?;
        println!("{name}: as the guide says");
    }
    Ok(())
}

fn first() -> Done {
    // guide: begin first
    let sandbox = Sandbox::builder().timeout("5s").build()?; // checked; nothing runs yet
    let outcome = sandbox.command("sh").args(["-c", "id -un; ls /home; hostname"]).output()?;

    assert_eq!(outcome.text(), "sandbox\nsandbox\n"); // no homes; a host name of its own
    assert!(outcome.success());
    println!("{} in {:?}", outcome.detail(), outcome.duration());
    // guide: end first
    Ok(())
}

fn files_in() -> Done {
    let host = tempfile::tempdir()?;
    let data = host.path().join("data");
    fs::create_dir(&data)?;
    fs::write(data.join("numbers"), "1\n2\n3\n")?;
    // guide: begin files-in
    let sandbox = Sandbox::builder()
        .mount(Mount::bind(&data, "/data").read_only(true)) //      a directory or a file of the host
        .mount(Mount::file("sum=0\n", "/run/job.conf")) //          a file from bytes
        .mount(Mount::tmpfs("/scratch").size("16MiB")) //           an empty directory in memory
        .build()?;
    let outcome = sandbox
        .command("sh")
        .args(["-c", "cat /data/numbers /run/job.conf -; touch /scratch/x"])
        .input("4\n")
        .output()?;
    assert_eq!(outcome.text(), "1\n2\n3\nsum=0\n4\n");
    // guide: end files-in
    check!(outcome.success());
    Ok(())
}

fn files_out() -> Done {
    // guide: begin files-out
    let private = tempfile::tempdir()?; //                          mode 0700: nobody else gets in
    let output = private.path().join("out");
    fs::create_dir(&output)?;
    fs::set_permissions(&output, Permissions::from_mode(0o777))?; // whoever the payload is on this host

    let sandbox = Sandbox::builder().mount(Mount::bind(&output, "/out")).build()?;
    let outcome = sandbox.command("sh").args(["-c", "echo done > /out/result"]).output()?;

    let result = output.join("result");
    if outcome.success() && fs::symlink_metadata(&result)?.is_file() {
        println!("{}", fs::read_to_string(&result)?);
    }
    // guide: end files-out
    check!(fs::read_to_string(&result)? == "done\n");
    Ok(())
}

fn limits() -> Done {
    // guide: begin limits
    let sandbox = Sandbox::builder()
        .timeout("1s") //                     the call returns by then, whatever the payload does
        .output("64KiB") //                   of each stream; what is more is cut off
        .overflow(Overflow::Kill) //          ... or ends the payload
        .rlimit("nofile", 64)
        .rlimit("fsize", 1 << 20)
        .build()?;
    let outcome = sandbox.command("sh").args(["-c", "setsid sleep 60 & sleep 60"]).output()?;
    assert_eq!(outcome.ended(), Ended::WallTime);
    let outcome = sandbox.command("yes").output()?;
    assert_eq!(outcome.ended(), Ended::Output);
    // guide: end limits
    check!(outcome.stdout().len() == 64 << 10);
    Ok(())
}

fn groups() -> Done {
    if Sandbox::builder().memory("64MiB").swap(0).pids(16).cpus(0.5).build().is_err() {
        println!("groups: this process may not make any (pinfold doctor)");
        return Ok(());
    }
    // guide: begin groups
    let sandbox =
        Sandbox::builder().memory("64MiB").swap(0).pids(16).cpus(0.5).cpu_time("2s").timeout("10s").build()?;
    let outcome = sandbox.command("python3").args(["-c", "x = bytearray(100 << 20)"]).output()?;
    assert_eq!((outcome.ended(), outcome.exit_status()), (Ended::Memory, 137));
    assert_eq!(outcome.usage().oom_kills, Some(1));
    // guide: end groups
    Ok(())
}

fn prefer() -> Done {
    // guide: begin prefer
    let sandbox = Sandbox::builder().memory("512MiB").prefer("limits.memory").build()?;
    for weaker in &sandbox.report().degradations {
        eprintln!("{}: wanted {}, got {}: {}", weaker.feature, weaker.wanted, weaker.got, weaker.because);
    }
    // guide: end prefer
    check!(sandbox.command("true").output()?.success());
    Ok(())
}

fn who() -> Done {
    // guide: begin who
    let sandbox = Sandbox::builder().build()?;
    let outcome = sandbox.command("id").output()?;
    println!("inside: {}", outcome.text()); //                     uid=1000(sandbox) gid=1000(sandbox)
    println!("outside: {}", outcome.report().enforced["identity.uid_map"]);
    // guide: end who
    check!(outcome.text().starts_with("uid=1000(sandbox) gid=1000(sandbox)"));
    Ok(())
}

fn fds() -> Done {
    // guide: begin fds
    let (mut answers, sink) = std::io::pipe()?;
    let sandbox = Sandbox::builder().fd(Fd::number("answers", 3)).build()?; // declared: by name and number
    let outcome = sandbox.command("sh").args(["-c", "echo 42 >&3"]).fd("answers", sink).output()?; // attached

    let mut answer = String::new();
    answers.read_to_string(&mut answer)?;
    assert_eq!(answer, "42\n");
    // guide: end fds
    check!(outcome.success());
    Ok(())
}

fn talk() -> Done {
    let sandbox = Sandbox::builder().timeout("30s").build()?;
    // guide: begin talk
    let process = sandbox.command("sort").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = process.take_stdin() {
        stdin.write_all(b"pear\napple\n")?;
    } // dropped: the payload sees the end of its input
    let outcome = process.wait()?; // what nobody took is captured
    assert_eq!(outcome.text(), "apple\npear\n");
    // guide: end talk
    Ok(())
}

fn profile() -> Done {
    let host = tempfile::tempdir()?;
    let path = host.path().join("no-symlinks.json");
    // guide: begin profile
    let profile = r#"{
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            { "names": ["symlink", "symlinkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
        ]
    }"#;
    fs::write(&path, profile)?;
    let sandbox = Sandbox::builder().seccomp(Seccomp::Profile(path)).build()?;
    let outcome = sandbox.command("ln").args(["-s", "/etc", "/tmp/link"]).output()?;
    assert!(outcome.stderr_text().contains("Operation not permitted"));
    // guide: end profile
    Ok(())
}

fn own_root() -> Done {
    let host = tempfile::tempdir()?;
    let tree = host.path().join("tree");
    // guide: begin own-root
    // The mount points must be there: nothing is ever created in a directory of the host.
    for directory in ["usr", "etc", "proc", "dev", "tmp", "run"] {
        fs::create_dir_all(tree.join(directory))?;
    }
    for (link, text) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        std::os::unix::fs::symlink(text, tree.join(link))?;
    }
    fs::write(tree.join("etc/passwd"), "")?; // the payload's user is added to what the sandbox sees of it
    let sandbox = Sandbox::builder().rootfs(Rootfs::dir(&tree)).ro_bind("/usr", "/usr").build()?;
    let outcome = sandbox.command("sh").args(["-c", "ls /; cat /etc/passwd"]).output()?;
    // guide: end own-root
    let expected = "bin\ndev\netc\nlib\nlib64\nproc\nrun\ntmp\nusr\nsandbox:x:1000:1000:sandbox:/tmp:/bin/sh\n";
    check!(outcome.text() == expected);
    check!(fs::read(tree.join("etc/passwd"))?.is_empty());
    Ok(())
}

fn config() -> Done {
    // guide: begin config
    let config = SandboxConfig::from_toml(
        r#"
        hostname = "grader"

        [limits]
        timeout = "5s"

        [[mounts]]
        kind = "tmpfs"
        target = "/scratch"
        size = "16MiB"
        "#,
    )?;
    let sandbox = Sandbox::from_config(config)?;
    // guide: end config
    check!(sandbox.command("hostname").output()?.text() == "grader\n");
    Ok(())
}

fn explain() -> Done {
    // guide: begin explain
    let sandbox = Sandbox::builder().ro_bind("/usr", "/mnt").build()?;
    let plan = sandbox.explain(&sandbox.command("ls").arg("/mnt"))?; // runs nothing
    print!("{plan}"); //                                                one line per operation, with the key it comes from
    // guide: end explain
    check!(plan.lines().iter().any(|line| line.origin == "mounts[0].source"));
    Ok(())
}

fn doctor() -> Done {
    // guide: begin doctor
    let host = HostCaps::probe()?;
    for finding in findings(&host) {
        println!("{:<24} {:?}: {}", finding.feature, finding.state, finding.detail);
        if let Some(remedy) = finding.remedy {
            println!("{:<24} {remedy}", "");
        }
    }
    // guide: end doctor
    Ok(())
}

fn threads() -> Done {
    // guide: begin threads
    let sandbox = Sandbox::builder().timeout("30s").build()?;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|n| {
                let sandbox = sandbox.clone(); // cheap: a counter
                scope.spawn(move || sandbox.command("echo").arg(n.to_string()).output())
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    // guide: end threads
    check!(outcomes.len() == 8);
    for (n, outcome) in outcomes.into_iter().enumerate() {
        check!(outcome?.text() == format!("{n}\n"));
    }
    Ok(())
}

fn errors() -> Done {
    let sandbox = Sandbox::builder().timeout("30s").build()?;
    // guide: begin errors
    match sandbox.command("no-such-program").output() {
        // It ran. How it ended is the payload's business, and yours.
        Ok(outcome) if outcome.success() => println!("{}", outcome.text()),
        Ok(outcome) => println!("{}", outcome.detail()), //          "exited with 1", "killed by SIGSEGV"
        // Nothing ran: the host's fault or the caller's.
        Err(error) if error.kind() == ErrorKind::ProgramNotFound => println!("not installed: {error}"),
        Err(error) => return Err(error.into()), //                   says what was tried, on what, and what to do
    }
    // guide: end errors
    // guide: begin problems
    let error = Sandbox::builder().timeout("soon").mount(Mount::tmpfs("scratch")).build().expect_err("two problems");
    for problem in &error.report().problems {
        println!("{}: {}", problem.key, problem.message);
    }
    // guide: end problems
    check!(error.kind() == ErrorKind::Config && error.report().problems.len() == 2);
    Ok(())
}

fn end() -> Done {
    let sandbox = Sandbox::builder().timeout("30s").build()?;
    // guide: begin drop
    let process = sandbox.command("sleep").arg("600").spawn()?;
    if process.wait_timeout(Duration::from_millis(50))?.is_none() {
        process.signal(15)?; //             to the payload alone; it may ignore it
    }
    let outcome = process.wait()?; //       signals, waits and `kill` take `&self`: any thread may call them
    drop(process); //                       would have killed all of the sandbox
    // guide: end drop
    check!(outcome.ended() == Ended::Signaled && outcome.signal() == Some(15));
    let process = sandbox.command("sleep").arg("600").spawn()?;
    let begun = Instant::now();
    drop(process);
    check!(begun.elapsed() < Duration::from_secs(5));
    Ok(())
}
