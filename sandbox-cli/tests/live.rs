//! `--fd` and `--listen`: open files of the caller reach the payload.

mod kit;

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use kit::{Ended, Kit, names};

/// Runs a shell line in the kit's directory, with `$PINFOLD` as the command.
fn line(kit: &Kit, script: &str) -> Ended {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("PINFOLD", env!("CARGO_BIN_EXE_pinfold")).current_dir(kit.dir.path());
    Ended::from(command.output().expect("sh"))
}

#[test]
fn an_fd_has_its_own_number_unless_the_config_has_another() {
    let kit = Kit::new();
    line(&kit, "$PINFOLD run --fd log=5 -- sh -c 'echo hello >&5' 5>log").well();
    assert_eq!(kit.read("log"), "hello\n");
    kit.write("job.toml", "[[fds]]\nname = \"log\"\ntarget = 9\n");
    line(&kit, "$PINFOLD run -c job.toml --fd log=5 -- sh -c 'echo there >&9' 5>log").well();
    assert_eq!(kit.read("log"), "there\n");
}

#[test]
fn two_fds_keep_apart() {
    let kit = Kit::new();
    line(&kit, "$PINFOLD run --fd a=4 --fd b=3 -- sh -c 'echo a >&4; echo b >&3' 3>b 4>a").well();
    assert_eq!((kit.read("a").as_str(), kit.read("b").as_str()), ("a\n", "b\n"));
}

#[test]
fn nothing_undeclared_gets_in() {
    let kit = Kit::new();
    let end = line(&kit, "$PINFOLD run --fd log=5 -- ls /proc/self/fd 5>log 6>other 7<&0").well();
    assert_eq!(end.stdout, "0\n1\n2\n3\n5\n", "3 is the directory that ls reads");
}

#[test]
fn an_fd_of_the_commands_own_is_none_of_the_callers() {
    let kit = Kit::new();
    for number in ["3", "4", "77", "-1", "x", ""] {
        kit.pinfold(["run", "--fd", &format!("log={number}"), "--", "true"]).with(125).says("--fd");
    }
    kit.pinfold(["run", "--fd", "log", "--", "true"]).with(125).says("NAME=VALUE");
    line(&kit, "$PINFOLD run --fd log=5 --fd log=6 -- true 5>a 6>b").with(125).says("twice");
    line(&kit, "$PINFOLD run --fd out=1 -- true").with(125).says("fds[0].target");
}

#[test]
fn a_directory_by_fd_can_be_mounted() {
    let kit = Kit::new();
    std::fs::create_dir(kit.path("data")).expect("mkdir");
    kit.write("data/file", "inside\n");
    kit.write(
        "job.toml",
        "[[mounts]]\nkind = \"bind\"\nsource = { fd = \"data\" }\ntarget = \"/data\"\nread_only = true\n",
    );
    let end = line(&kit, "$PINFOLD run -c job.toml --fd data=5 -- cat /data/file 5<data").well();
    assert_eq!(end.stdout, "inside\n");
}

#[test]
fn a_declared_fd_that_nobody_attaches_is_an_error() {
    let kit = Kit::new();
    kit.write("job.toml", "[[fds]]\nname = \"log\"\ntarget = 9\n");
    kit.pinfold(["run", "-c", "job.toml", "--", "true"]).with(125).says("\"log\"");
}

/// Answers one connection on the socket that it was handed.
const SERVER: &str = r#"
import os, socket
assert os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_PID"] == str(os.getpid())
listener = socket.socket(fileno=3)
print("ready", flush=True)
connection, _ = listener.accept()
connection.sendall(b"served " + os.environ["LISTEN_FDNAMES"].encode())
"#;

#[test]
fn a_server_without_a_network_answers_over_tcp() {
    let Some(python) = pinfold_tests::python() else { pinfold_tests::skip!("no /usr/bin/python3") };
    let python = python.to_str().expect("UTF-8");
    Kit::each(|kit| {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let run = kit.start(["run", "--listen", &format!("http={address}"), "--", python, "-c", SERVER]);
        let mut answer = String::new();
        TcpStream::connect(&address).expect("connect").read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer, "served http");
        run.end().well();
    });
}

#[test]
fn a_server_answers_over_a_unix_socket_and_its_file_goes_with_it() {
    let Some(python) = pinfold_tests::python() else { pinfold_tests::skip!("no /usr/bin/python3") };
    let python = python.to_str().expect("UTF-8");
    Kit::each(|kit| {
        let before = names(kit.dir.path());
        for place in ["./sock", "unix:sock"] {
            let run = kit.start(["run", "--listen", &format!("http={place}"), "--", python, "-c", SERVER]);
            let mut answer = String::new();
            UnixStream::connect(kit.path("sock")).expect("connect").read_to_string(&mut answer).expect("an answer");
            assert_eq!(answer, "served http");
            run.end().well();
            assert_eq!(names(kit.dir.path()), before);
        }
    });
}

#[test]
fn inetd_style_goes_by_the_config() {
    let Some(python) = pinfold_tests::python() else { pinfold_tests::skip!("no /usr/bin/python3") };
    let python = python.to_str().expect("UTF-8");
    let kit = Kit::new();
    kit.write("job.toml", "[[fds]]\nname = \"http\"\ninetd = true\n");
    let script = "import socket; socket.socket(fileno=0).accept()[0].sendall(b'inetd')";
    let child = kit.command(["run", "-c", "job.toml", "--listen", "http=./sock", "--", python, "-c", script]).spawn();
    let mut child = child.expect("run");
    let begun = Instant::now();
    let mut stream = loop {
        match UnixStream::connect(kit.path("sock")) {
            Ok(stream) => break stream,
            Err(error) => assert!(begun.elapsed() < pinfold_tests::patience(), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert_eq!(answer, "inetd");
    assert!(child.wait().expect("wait").success());
}

#[test]
fn where_nobody_can_listen_nothing_runs() {
    let kit = Kit::new();
    for address in ["nonsense", "127.0.0.1:x", "./no/such/sock", "192.0.2.1:1"] {
        let end = kit.pinfold(["run", "--listen", &format!("http={address}"), "--", "echo", "ran"]).with(125).silent();
        end.says("--listen http");
    }
    let taken = std::os::unix::net::UnixListener::bind(kit.path("sock")).expect("bind");
    kit.pinfold(["run", "--listen", "http=./sock", "--", "true"]).with(125).says("EADDRINUSE").says("hint");
    assert_eq!(names(kit.dir.path()), ["sock"], "a socket of somebody else stays");
    drop(taken);
}

#[test]
fn explain_listens_nowhere() {
    let kit = Kit::new();
    let end = kit.pinfold(["explain", "--listen", "http=./sock", "--fd", "log=5", "--", "true"]).well();
    assert!(end.stdout.contains("place fd"));
    assert_eq!(names(kit.dir.path()), Vec::<String>::new());
}

fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    socket.local_addr().expect("an address").port()
}
