//! Owns: what /proc says about how a process is confined, in a form that two payloads can be compared in.
//! Must not: know which payloads are compared, or what they should have.

use pinfold::Command;

/// Everything but the numbers that the kernel happened to give. Landlock shows only in what it refuses: signals, here.
const LINE: &str = "grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp.*|Sig(Blk|Ign|Cgt)|Umask|Cpus_allowed|THP_enabled):' /proc/self/status; \
     cat /proc/self/limits; cut -d: -f2- /proc/self/cgroup; cut -d' ' -f4- /proc/self/mountinfo | sed 's/ shared:[0-9]*//'; \
     ls /proc/self/fd; cat /proc/self/oom_score_adj /proc/self/timerslack_ns; \
     kill -0 1 2> /dev/null; echo signal to init $?; kill -0 $PPID 2> /dev/null; echo signal to its parent $?; \
     for n in user pid mnt net ipc uts cgroup time; do readlink /proc/self/ns/$n; done";

/// Of a payload that is `sh`.
#[track_caller]
pub fn confinement(shell: Command) -> String {
    let outcome = shell.args(["-c", LINE]).output().expect("it runs");
    assert!(outcome.success(), "{outcome:?}");
    outcome.text()
}

/// Another sandbox has other namespaces, and everything else is the same.
pub fn without_ids(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.contains(":[")).map(str::to_owned).collect()
}

/// The lines of namespaces.
pub fn ids(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.contains(":[")).collect()
}
