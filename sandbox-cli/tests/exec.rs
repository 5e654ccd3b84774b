//! `pinfold exec --pid`: a program in the namespaces of a process that runs.

mod kit;

use kit::Kit;
use pinfold_tests::{comm, descendants, eventually, is_root};

#[test]
fn a_program_enters_a_sandbox_that_runs() {
    let kit = Kit::new();
    let line = "echo here > /tmp/mark; echo ready; sleep 1000; exit 3";
    let mut run = kit.start(["run", "--hostname", "entered", "--", "sh", "-c", line]);
    let sleeps = || descendants(std::process::id()).into_iter().find(|pid| comm(*pid) == "sleep");
    eventually("it sleeps", || sleeps().is_some());
    let pid = sleeps().expect("it does").to_string();
    let entered = kit.pinfold(["exec", "--pid", &pid, "--", "sh", "-c", "cat /tmp/mark; uname -n; exit 7"]);
    if entered.status == Some(125) && !is_root() {
        // Without a group nothing would hold what is started there.
        entered.says("namespaces.pid");
        run.child.kill().expect("it can be killed");
        run.child.wait().expect("it ends");
        return;
    }
    assert_eq!(entered.with(7).stdout, "here\nentered\n");
    run.child.kill().expect("it can be killed");
    run.child.wait().expect("it ends");
    eventually("nothing is left", || sleeps().is_none());
    // More than there can be.
    kit.pinfold(["exec", "--pid", "4194305", "--", "true"]).with(125).says("4194305");
}
