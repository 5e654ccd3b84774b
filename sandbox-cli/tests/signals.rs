//! Signals reach the payload; a second interrupt ends it.

mod kit;

use kit::Kit;
use nix::sys::signal::Signal;

/// Says its name for every signal that it gets.
const LISTENER: &str = "\
for s in INT TERM HUP QUIT USR1 USR2; do trap \"echo $s\" $s; done
echo ready
while :; do sleep 0.02; done";

#[test]
fn six_signals_are_forwarded() {
    Kit::each(|kit| {
        let mut run = kit.start(["run", "--", "sh", "-c", LISTENER]);
        for (signal, name) in [
            (Signal::SIGTERM, "TERM\n"),
            (Signal::SIGHUP, "HUP\n"),
            (Signal::SIGQUIT, "QUIT\n"),
            (Signal::SIGUSR1, "USR1\n"),
            (Signal::SIGUSR2, "USR2\n"),
            (Signal::SIGINT, "INT\n"),
        ] {
            run.signal(signal);
            assert_eq!(run.line(), name);
        }
        // Two more: on a busy machine more than two seconds may have passed since the first.
        run.signal(Signal::SIGINT);
        run.signal(Signal::SIGINT);
        let end = run.end().with(130);
        assert_eq!(end.stderr, "pinfold: cancelled\n");
    });
}

#[test]
fn a_payload_that_minds_its_signals_ends_as_it_likes() {
    Kit::each(|kit| {
        let run = kit.start(["run", "--", "sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"]);
        run.signal(Signal::SIGTERM);
        run.end().with(7);
        let run = kit.start(["run", "--", "sh", "-c", "echo ready; exec sleep 60"]);
        run.signal(Signal::SIGTERM);
        run.end().with(143).says("SIGTERM");
        let run = kit.start(["run", "--", "sh", "-c", "echo ready; exec sleep 60"]);
        run.signal(Signal::SIGINT);
        run.end().with(130).says("killed by SIGINT");
    });
}

#[test]
fn two_interrupts_far_apart_are_two_signals() {
    let kit = Kit::new();
    let mut run = kit.start(["run", "--", "sh", "-c", LISTENER]);
    run.signal(Signal::SIGINT);
    assert_eq!(run.line(), "INT\n");
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    run.signal(Signal::SIGINT);
    assert_eq!(run.line(), "INT\n");
    run.signal(Signal::SIGINT);
    run.end().with(130);
}

#[test]
fn two_interrupts_end_what_ignores_them_and_the_report_says_so() {
    Kit::each(|kit| {
        let script = "trap '' INT TERM; echo ready; setsid sleep 60 & while :; do sleep 0.02; done";
        let run = kit.start(["run", "--report", "r.json", "--", "sh", "-c", script]);
        run.signal(Signal::SIGINT);
        run.signal(Signal::SIGINT);
        run.end().with(130);
        assert_eq!(kit.json("r.json")["ended"], "cancelled");
    });
}

#[test]
fn the_payload_inherits_no_mask_and_no_disposition() {
    Kit::each(|kit| {
        let end = kit.sh("grep -E '^Sig(Blk|Ign):' /proc/self/status").well();
        assert_eq!(end.stdout, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    });
}

#[test]
fn nohup_holds() {
    let kit = Kit::new();
    let binary = env!("CARGO_BIN_EXE_pinfold");
    let script = format!("trap '' HUP; {binary} run -- sh -c 'sleep 0.5; exit 4' & sleep 0.2; kill -HUP $!; wait $!");
    let status = std::process::Command::new("sh").args(["-c", &script]).status().expect("sh");
    assert_eq!(status.code(), Some(4));
    drop(kit);
}

#[test]
fn killing_the_command_kills_the_payload() {
    let kit = Kit::new();
    let mut run = kit.start(["run", "--", "sh", "-c", "echo ready; exec sleep 60"]);
    run.signal(Signal::SIGKILL);
    // The payload holds the other end until it is gone.
    assert_eq!(run.line(), "");
    assert_eq!(run.end().status, None);
}
