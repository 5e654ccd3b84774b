//! Owns: which namespaces a payload is in: its own, the host's, or another sandbox's.
//! Must not: test what mounts look like (mounts.rs).
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::{self, File};

use pinfold::{Namespace, NamespacesConfig, Network, Process, Sandbox, TimeNamespace};
use pinfold_tests::{Leaks, eventually, is_root, skip};

fn inside(builder: pinfold::SandboxBuilder, file: &str) -> String {
    let outcome = builder.build().unwrap().command("readlink").arg(format!("/proc/self/ns/{file}")).output().unwrap();
    assert_eq!(outcome.code(), Some(0), "{}", outcome.stderr_text());
    outcome.text().trim().to_owned()
}

fn host(file: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{file}")).unwrap().display().to_string()
}

fn of(process: &Process, file: &str) -> String {
    fs::read_link(format!("/proc/{}/ns/{file}", process.id().unwrap())).unwrap().display().to_string()
}

fn with(set: impl FnOnce(&mut NamespacesConfig)) -> NamespacesConfig {
    let mut namespaces = NamespacesConfig::default();
    set(&mut namespaces);
    namespaces
}

#[test]
fn by_default_all_are_new_but_time() {
    let _leaks = Leaks::watch();
    for file in ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"] {
        let link = inside(Sandbox::builder(), file);
        assert!(link.starts_with(&format!("{file}:[")), "{link}");
        assert_ne!(link, host(file));
    }
    assert_eq!(inside(Sandbox::builder(), "time"), host("time"));
    let time = inside(Sandbox::builder().time_namespace(TimeNamespace::New), "time");
    assert!(time.starts_with("time:[") && time != host("time"), "{time}");
}

#[test]
fn those_of_the_host() {
    let _leaks = Leaks::watch();
    let namespaces = with(|n| {
        n.ipc = Some(Namespace::Host);
        n.uts = Some(Namespace::Host);
        n.cgroup = Some(Namespace::Host);
    });
    let builder = Sandbox::builder().namespaces(namespaces).network(Network::host());
    for file in ["ipc", "uts", "cgroup", "net"] {
        assert_eq!(inside(builder.clone(), file), host(file));
    }
    let name = builder.build().unwrap().command("uname").arg("-n").output().unwrap().text();
    assert_eq!(name, fs::read_to_string("/proc/sys/kernel/hostname").unwrap());
}

#[test]
fn without_a_user_namespace_only_for_root() {
    let _leaks = Leaks::watch();
    let builder = Sandbox::builder().namespaces(with(|n| n.user = Some(Namespace::Host)));
    if is_root() {
        assert_eq!(inside(builder, "user"), host("user"));
    } else {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), pinfold::ErrorKind::Unsupported);
        assert_eq!(error.report().origin.as_deref(), Some("namespaces.user"));
    }
}

#[test]
fn those_of_another_sandbox_by_pid_path_and_fd() {
    let _leaks = Leaks::watch();
    let other = Sandbox::builder().hostname("other").build().unwrap().command("sleep").arg("600").spawn().unwrap();
    let pid = other.id().unwrap();
    for way in ["pid", "path", "fd"] {
        let join = |file: &str| match way {
            "pid" => Namespace::join_pid(pid),
            "path" => Namespace::join(format!("/proc/{pid}/ns/{file}")),
            _ => Namespace::join_fd(file),
        };
        let namespaces = with(|n| {
            n.user = Some(join("user"));
            n.ipc = Some(join("ipc"));
            n.uts = Some(join("uts"));
        });
        let network = match way {
            "pid" => Network::join_pid(pid),
            "path" => Network::join(format!("/proc/{pid}/ns/net")),
            _ => Network::join_fd("net"),
        };
        let sandbox = Sandbox::builder().namespaces(namespaces).network(network).build().unwrap();
        let script = "uname -n; for n in user ipc uts net pid mnt; do readlink /proc/self/ns/$n; done";
        let mut command = sandbox.command("sh").args(["-c", script]);
        if way == "fd" {
            for file in ["user", "ipc", "uts", "net"] {
                command = command.fd(file, File::open(format!("/proc/{pid}/ns/{file}")).unwrap());
            }
        }
        let outcome = command.output().unwrap();
        let text = outcome.text();
        let lines: Vec<&str> = text.lines().collect();
        let joined: Vec<String> = ["user", "ipc", "uts", "net"].map(|file| of(&other, file)).into();
        assert_eq!(lines[0], "other", "{way}: {}", outcome.stderr_text());
        assert_eq!(lines[1..5], joined, "{way}");
        assert!(lines[5] != of(&other, "pid") && lines[6] != of(&other, "mnt"), "{way}: {text}");
        assert!(outcome.report().used("namespaces.ipc", "join") && outcome.report().used("network.mode", "join"));
    }
}

#[test]
fn one_that_does_not_exist_is_an_error() {
    let _leaks = Leaks::watch();
    let namespaces = with(|n| n.ipc = Some(Namespace::join("/proc/self/ns/nothing")));
    let error = Sandbox::builder().namespaces(namespaces).build().unwrap().command("true").output().unwrap_err();
    assert_eq!((error.kind(), error.errno()), (pinfold::ErrorKind::Setup, Some(libc::ENOENT)));
    assert_eq!(error.report().origin.as_deref(), Some("namespaces.ipc"));
}

#[test]
fn clocks_of_its_own() {
    let _leaks = Leaks::watch();
    let offsets = TimeNamespace::Offsets { boottime: 1_000_000, monotonic: 2_000_000 };
    let sandbox = Sandbox::builder().time_namespace(offsets).build().unwrap();
    let uptime = |text: &str| text.split(' ').next().unwrap().parse::<f64>().unwrap();
    let before = uptime(&fs::read_to_string("/proc/uptime").unwrap());
    let text = sandbox.command("cat").arg("/proc/uptime").output().unwrap().text();
    let difference = uptime(&text) - before;
    assert!((999_999.0..1_000_060.0).contains(&difference), "{difference}");
    let text = sandbox.command("cat").arg("/proc/self/timens_offsets").output().unwrap().text();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words, ["monotonic", "2000000", "0", "boottime", "1000000", "0"]);
}

#[test]
fn no_network_is_loopback_and_nothing_else() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().build().unwrap();
    let text = sandbox.command("cat").arg("/proc/net/dev").output().unwrap().text();
    let names: Vec<&str> = text.lines().skip(2).map(|line| line.split(':').next().unwrap().trim()).collect();
    // What the kernel puts into every network namespace (tunnels that are down) is not ours to say.
    assert!(names.contains(&"lo"), "{text}");
    let routes = sandbox.command("cat").arg("/proc/net/route").output().unwrap().text();
    assert_eq!(routes.lines().count(), 1, "{routes}");
    let Some(_) = pinfold_tests::python() else { skip!("no python3") };
    let program = "import socket\ns = socket.create_server(('127.0.0.1', 0))\nc = socket.create_connection(s.getsockname())\n\
                   c.sendall(b'x')\nprint(s.accept()[0].recv(1))\n\
                   try: socket.create_connection(('192.0.2.1', 80), 2)\nexcept OSError as e: print(e.errno)";
    let outcome = sandbox.command("/usr/bin/python3").args(["-c", program]).output().unwrap();
    assert_eq!(outcome.text(), format!("b'x'\n{}\n", libc::ENETUNREACH), "{}", outcome.stderr_text());
}

#[test]
fn the_hosts_processes_and_a_group_that_holds_the_tree() {
    let _leaks = Leaks::watch();
    let builder = Sandbox::builder().namespaces(with(|n| n.pid = Some(Namespace::Host)));
    let sandbox = match builder.build() {
        Ok(sandbox) => sandbox,
        // Nothing was delegated to this user.
        Err(error) => {
            assert!(!is_root() && error.report().origin.as_deref() == Some("namespaces.pid"), "{error}");
            return;
        }
    };
    let process = sandbox.command("sh").args(["-c", "setsid sleep 6789 & sleep 6789"]).spawn().unwrap();
    assert_eq!(of(&process, "pid"), host("pid"));
    let ours = || {
        let all = pinfold_tests::named("sleep").into_iter();
        all.filter(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x006789\0")).count()
    };
    eventually("both sleep", || ours() == 2);
    let group = fs::read_to_string(format!("/proc/{}/cgroup", process.id().unwrap())).unwrap();
    assert!(group.lines().any(|line| line.starts_with("0::") && line.contains("/pinfold-")), "{group}");
    drop(process);
    eventually("the whole tree is killed", || ours() == 0);
}
