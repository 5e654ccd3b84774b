//! Owns: what a payload has open: declared fds, socket activation, inetd, the standard streams and their limits.
//! Must not: test how a payload ends (outcome.rs).
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Instant;

use pinfold::{Ended, ErrorKind, Fd, Overflow, Sandbox, SandboxBuilder, Stdio};
use pinfold_tests::{Leaks, cc, scratch};

/// Prints every fd below 2048 that is open, and of those in its arguments what can be read from them.
const LOOK: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (int fd = 0; fd < 2048; fd++)
        if (fcntl(fd, F_GETFD) >= 0) printf("%d%s ", fd, fcntl(fd, F_GETFD) & FD_CLOEXEC ? "!" : "");
    printf("\n");
    for (int i = 1; i < argc; i++) {
        char text[256];
        ssize_t got = read(atoi(argv[i]), text, sizeof text);
        printf("%s:%.*s\n", argv[i], got < 0 ? 1 : (int)got, got < 0 ? "!" : text);
    }
    return 0;
}
"#;

fn looking() -> SandboxBuilder {
    let program: PathBuf = cc("look", LOOK);
    Sandbox::builder().ro_bind(program, "/look")
}

fn plain() -> Sandbox {
    Sandbox::builder().build().unwrap()
}

fn sh(script: &str) -> pinfold::Command {
    plain().command("sh").args(["-c", script])
}

fn memory(text: &str) -> OwnedFd {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let mut file = File::from(memfd_create("text", MFdFlags::MFD_CLOEXEC).unwrap());
    file.write_all(text.as_bytes()).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file.into()
}

fn piped(text: &str) -> OwnedFd {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    reader.into()
}

#[test]
fn nothing_but_the_standard_streams_is_open() {
    let _leaks = Leaks::watch();
    // Something to inherit by mistake, also without CLOEXEC.
    let (_reader, writer) = pipe().unwrap();
    let inheritable = nix::unistd::dup(&writer).unwrap();
    nix::fcntl::fcntl(&inheritable, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let outcome = looking().build().unwrap().command("/look").output().unwrap();
    assert_eq!((outcome.text().as_str(), outcome.code()), ("0 1 2 \n", Some(0)), "{outcome:?}");
}

#[test]
fn declared_numbers_hold_whatever_the_fds_had_before() {
    let _leaks = Leaks::watch();
    // 3 to 40, permuted; pipes and memory files in turn.
    let count = 38u32;
    let numbers: Vec<u32> = (0..count).map(|i| 3 + (i * 7) % count).collect();
    let sandbox = numbers
        .iter()
        .enumerate()
        .fold(looking(), |builder, (i, number)| builder.fd(Fd::number(format!("n{i}"), *number)))
        .build()
        .unwrap();
    let mut command = sandbox.command("/look").args(numbers.iter().map(u32::to_string));
    for i in 0..count {
        let text = format!("text {i}");
        command = command.fd(format!("n{i}"), if i % 2 == 0 { piped(&text) } else { memory(&text) });
    }
    let outcome = command.output().unwrap();
    let open: String = (0..3 + count).map(|fd| format!("{fd} ")).collect();
    let texts: String = numbers.iter().enumerate().map(|(i, number)| format!("{number}:text {i}\n")).collect();
    assert_eq!(outcome.text(), format!("{open}\n{texts}"));
}

#[test]
fn the_highest_number_and_holes() {
    let _leaks = Leaks::watch();
    let sandbox =
        looking().fd(Fd::number("top", 1023)).fd(Fd::number("low", 3)).fd(Fd::number("mid", 9)).build().unwrap();
    let command = sandbox.command("/look").args(["9", "1023", "3"]);
    let command = command.fd("low", memory("low")).fd("mid", memory("mid")).fd("top", piped("top"));
    assert_eq!(command.output().unwrap().text(), "0 1 2 3 9 1023 \n9:mid\n1023:top\n3:low\n");
}

#[test]
fn two_hundred_fds() {
    let _leaks = Leaks::watch();
    let sandbox =
        (0..200).fold(looking(), |builder, i| builder.fd(Fd::number(format!("n{i}"), 202 - i))).build().unwrap();
    let command = (0..200).fold(sandbox.command("/look").args(["3", "103", "202"]), |command, i| {
        command.fd(format!("n{i}"), memory(&i.to_string()))
    });
    let text = command.output().unwrap().text();
    let open: String = (0..203).map(|fd| format!("{fd} ")).collect();
    assert_eq!(text, format!("{open}\n3:199\n103:99\n202:0\n"));
}

#[test]
fn a_declared_fd_that_is_not_attached_is_an_error() {
    let _leaks = Leaks::watch();
    let sandbox = looking().fd(Fd::number("here", 3)).build().unwrap();
    let error = sandbox.command("/look").output().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("\"here\""), "{error}");
}

#[test]
fn socket_activation_names_its_sockets() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let sandbox = Sandbox::builder()
        .fd(Fd::socket_activation("http"))
        .fd(Fd::number("other", 7))
        .fd(Fd::socket_activation("control"))
        .build()
        .unwrap();
    // Without a pipe or a redirection, for which the shell would hold fds of its own for a moment.
    let script = "echo $LISTEN_FDS $LISTEN_FDNAMES; [ $LISTEN_PID = $$ ] && echo same; \
                  [ -S /proc/self/fd/3 ] && read a <&4 && read b <&7 && echo $a $b; ls /proc/$$/fd; true";
    let command = sandbox.command("sh").args(["-c", script]);
    // What the caller says about LISTEN_* is not what holds.
    let command = command.env("LISTEN_PID", "1").env("LISTEN_FDS", "9").env("LISTEN_FDNAMES", "x");
    let command = command.fd("http", listener.try_clone().unwrap()).fd("control", memory("four\n"));
    let outcome = command.fd("other", memory("seven\n")).output().unwrap();
    assert_eq!(outcome.text(), "2 http:control\nsame\nfour seven\n0\n1\n2\n3\n4\n7\n", "{}", outcome.stderr_text());
}

#[test]
fn socket_activation_serves_without_a_network() {
    let _leaks = Leaks::watch();
    let Some(_) = pinfold_tests::python() else { pinfold_tests::skip!("no python3") };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let program =
        "import socket\ns = socket.socket(fileno=3)\nc, _ = s.accept()\nc.sendall(c.recv(9).upper())\nc.close()";
    let sandbox = Sandbox::builder().fd(Fd::socket_activation("tcp")).timeout("20s").build().unwrap();
    let process = sandbox.command("/usr/bin/python3").args(["-c", program]).fd("tcp", listener).spawn().unwrap();
    let mut client = std::net::TcpStream::connect(address).unwrap();
    client.write_all(b"hello").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "HELLO");
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[test]
fn inetd_is_standard_input_and_output() {
    let _leaks = Leaks::watch();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let sandbox = Sandbox::builder().fd(Fd::inetd("peer")).build().unwrap();
    let script = "read line; echo got $line; [ -S /proc/self/fd/0 ] && [ -S /proc/self/fd/1 ] && echo sockets";
    let process = sandbox.command("sh").args(["-c", script]).fd("peer", theirs).spawn().unwrap();
    ours.write_all(b"this\n").unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    ours.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "got this\nsockets\n");
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[test]
fn standard_input_of_every_kind() {
    let _leaks = Leaks::watch();
    let null = sh("cat | wc -c; [ /proc/self/fd/0 -ef /dev/null ] && echo null").output().unwrap();
    assert_eq!(null.text().trim_start(), "0\nnull\n");

    let bytes: Vec<u8> = (0..=255u8).cycle().take(1 << 20).collect();
    let given = plain().command("cat").input(bytes.clone()).output().unwrap();
    assert_eq!(given.stdout(), bytes);
    assert_eq!(sh("cat").input("").output().unwrap().stdout(), b"");

    let directory = scratch();
    std::fs::write(directory.path().join("in"), "from a file").unwrap();
    let file = File::open(directory.path().join("in")).unwrap();
    assert_eq!(plain().command("cat").stdin(file).output().unwrap().text(), "from a file");

    // A pipe of ours that nobody took is closed by wait: the payload sees the end.
    assert_eq!(plain().command("cat").stdin(Stdio::piped()).output().unwrap().code(), Some(0));
    assert_eq!(plain().command("cat").stdin(piped("in a pipe")).output().unwrap().text(), "in a pipe");
}

#[test]
fn output_of_every_kind() {
    let _leaks = Leaks::watch();
    let both = sh("echo out; echo err >&2").output().unwrap();
    assert_eq!((both.stdout(), both.stderr()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!((both.stdout_truncated(), both.stderr_truncated()), (false, false));

    let one = sh("echo 1; echo 2 >&2; echo 3").stderr(Stdio::Stdout).output().unwrap();
    assert_eq!((one.text().as_str(), one.stderr()), ("1\n2\n3\n", &b""[..]));

    let none = sh("echo out; echo err >&2").stdout(Stdio::null()).stderr(Stdio::null()).output().unwrap();
    assert_eq!((none.stdout(), none.stderr()), (&b""[..], &b""[..]));

    let (mut reader, writer) = pipe().unwrap();
    let to_pipe = sh("echo out").stdout(writer).output().unwrap();
    assert_eq!(to_pipe.stdout(), b"");
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "out\n");

    let odd = sh(r"printf '\377\376a\0b\200'").output().unwrap();
    assert_eq!(odd.stdout(), b"\xff\xfea\0b\x80");
    assert_eq!(odd.text(), "\u{fffd}\u{fffd}a\0b\u{fffd}");
}

#[test]
fn output_is_cut_at_the_limit_and_says_so() {
    let _leaks = Leaks::watch();
    let cut = sh("head -c 5000 /dev/zero | tr '\\0' x; echo err >&2").output_limit(4096u64).output().unwrap();
    assert_eq!((cut.stdout().len(), cut.stdout_truncated()), (4096, true));
    assert!(cut.stdout().iter().all(|&byte| byte == b'x'));
    assert_eq!((cut.stderr(), cut.stderr_truncated()), (&b"err\n"[..], false));
    assert_eq!((cut.ended(), cut.code()), (Ended::Exited, Some(0)));

    // Exactly the limit is not too much.
    let fits = sh("head -c 4096 /dev/zero; head -c 4097 /dev/zero >&2").output_limit("4KiB").output().unwrap();
    assert_eq!((fits.stdout().len(), fits.stdout_truncated()), (4096, false));
    assert_eq!((fits.stderr().len(), fits.stderr_truncated()), (4096, true));

    let nothing = sh("echo x").output_limit(0u64).output();
    if let Ok(nothing) = nothing {
        assert_eq!((nothing.stdout(), nothing.stdout_truncated()), (&b""[..], true));
    }

    // The default keeps 16 MiB.
    let default = sh("head -c 17000000 /dev/zero").output().unwrap();
    assert_eq!((default.stdout().len(), default.stdout_truncated()), (16 << 20, true));
}

#[test]
fn too_much_output_kills_where_that_is_asked_for() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().output("64KiB").overflow(Overflow::Kill).timeout("60s").build().unwrap();
    let outcome = sandbox.command("sh").args(["-c", "while :; do echo yes; done"]).output().unwrap();
    assert_eq!((outcome.ended(), outcome.code(), outcome.signal()), (Ended::Output, None, Some(libc::SIGKILL)));
    assert_eq!((outcome.stdout().len(), outcome.stdout_truncated()), (64 << 10, true));
    assert!(outcome.stdout().starts_with(b"yes\nyes\n"));
    assert_eq!(outcome.exit_status(), 124);
    assert_eq!(outcome.detail(), "killed for writing more than 65536 bytes");

    // Less than that harms nobody.
    let outcome = sandbox.command("echo").arg("short").output().unwrap();
    assert_eq!((outcome.ended(), outcome.text().as_str()), (Ended::Exited, "short\n"));
}

#[test]
fn ten_megabytes_on_both_streams_at_once() {
    let _leaks = Leaks::watch();
    let script = "head -c 10000000 /dev/zero | tr '\\0' a & head -c 10000000 /dev/zero | tr '\\0' b >&2; wait";
    let outcome = sh(script).output().unwrap();
    assert_eq!((outcome.stdout().len(), outcome.stderr().len()), (10_000_000, 10_000_000));
    assert!(outcome.stdout().iter().all(|&byte| byte == b'a') && outcome.stderr().iter().all(|&byte| byte == b'b'));
    assert_eq!((outcome.stdout_truncated(), outcome.stderr_truncated()), (false, false));
}

#[test]
fn a_grandchild_that_holds_the_pipe_holds_nobody_back() {
    let _leaks = Leaks::watch();
    let start = Instant::now();
    let outcome = sh("setsid sleep 600 & echo before").output().unwrap();
    assert_eq!((outcome.text().as_str(), outcome.ended()), ("before\n", Ended::Exited));
    assert!(start.elapsed() < pinfold_tests::patience(), "{:?}", start.elapsed());
}

#[test]
fn a_holder_outside_holds_nobody_back() {
    let _leaks = Leaks::watch();
    // The payload's standard output leaves through a socket, and outlives the sandbox.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let Some(_) = pinfold_tests::python() else { pinfold_tests::skip!("no python3") };
    let sandbox = Sandbox::builder().fd(Fd::number("out", 3)).build().unwrap();
    let program = "import socket, array\ns = socket.socket(fileno=3)\nprint('sent', flush=True)\n\
                   s.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [1]))])";
    let start = Instant::now();
    let outcome = sandbox.command("/usr/bin/python3").args(["-c", program]).fd("out", theirs).output().unwrap();
    assert_eq!((outcome.text().as_str(), outcome.code()), ("sent\n", Some(0)), "{}", outcome.stderr_text());
    assert!(start.elapsed() < pinfold_tests::patience(), "{:?}", start.elapsed());
    drop(ours);
}

#[test]
fn a_conversation() {
    let _leaks = Leaks::watch();
    let process = plain().command("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.take_stdin().unwrap();
    let mut stdout = BufReader::new(process.take_stdout().unwrap());
    assert!(process.take_stdin().is_none() && process.take_stdout().is_none() && process.take_stderr().is_none());
    for i in 0..100 {
        let said = format!("line {i}\n");
        stdin.write_all(said.as_bytes()).unwrap();
        let mut heard = String::new();
        stdout.read_line(&mut heard).unwrap();
        assert_eq!(heard, said);
    }
    assert!(process.try_wait().unwrap().is_none());
    drop(stdin);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    let outcome = process.wait().unwrap();
    assert_eq!((outcome.code(), outcome.stdout()), (Some(0), &b""[..]), "what was taken is not captured as well");
}

#[test]
fn what_nobody_took_is_drained_by_wait() {
    let _leaks = Leaks::watch();
    let process = sh("head -c 300000 /dev/zero; echo err >&2").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let outcome = process.unwrap().wait().unwrap();
    assert_eq!((outcome.stdout().len(), outcome.stderr()), (300_000, &b"err\n"[..]));
}
