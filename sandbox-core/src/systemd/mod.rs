//! Owns: the one thing that is asked of a user's systemd: a scope for a process, with a group whose files are the user's.
//! Must not: know what the scope is for, start a process, or follow what the environment says to somebody else's socket.
//! Start at: [`start_scope`].
//!
//! Over the manager's own socket, as `systemctl --user` does, so that no message bus takes part: the manager is the peer,
//! it needs no greeting, and it tells each such peer of every job (ADR 0019).

mod bus;

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect as connect_socket, socket};
use nix::sys::socket::{getsockopt, sockopt};

use bus::{Kind, Method, Writer};

/// The bytes of others, for the fuzzer.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_hostile(bytes: &[u8]) {
    if let Some(message) = bus::parse(bytes) {
        assert_eq!(bytes.first_chunk().and_then(bus::length), Some(bytes.len()));
        message.words();
    }
}

/// Where it listens, below the user's runtime directory.
pub(crate) const SOCKET: &str = "systemd/private";

/// Why there is no scope.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It does not answer (ETIMEDOUT: not in time), or not as a systemd.
    Silent(io::Error),
    /// What it said: the name of an error, and its words.
    Refused { name: String, message: String },
    /// It began, and this came of it.
    Ended(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Silent(error)
    }
}

fn garbled() -> io::Error {
    io::Error::from_raw_os_error(libc::EPROTO)
}

/// A connection to a socket that `uid` listens on, and the pid of who does. Never waits, nor do its reads.
pub(crate) fn connect(path: &Path, uid: u32) -> io::Result<(UnixStream, i32)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect_socket(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    let peer = getsockopt(&socket, sockopt::PeerCredentials)?;
    if peer.uid() != uid {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    Ok((UnixStream::from(socket), peer.pid()))
}

/// Have it start a transient scope `name` that holds this process, delegated, gone once it is empty; returns when it is there.
/// `wait` returns when the stream can be read, or says why it stopped waiting.
pub(crate) fn start_scope(
    stream: UnixStream,
    uid: u32,
    name: &str,
    pid: u32,
    wait: impl Fn(&UnixStream) -> io::Result<()>,
) -> Result<(), Refusal> {
    let mut peer = Peer { stream, wait, input: Vec::new() };
    peer.authenticate(uid)?;
    let method = Method {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "StartTransientUnit",
        signature: "ssa(sv)a(sa(sv))",
    };
    peer.stream.write_all(&bus::call(&method, SERIAL, request(name, pid)))?;
    peer.result()
}

const SERIAL: u32 = 1;

/// What is asked for: name, what to do about a job in the way, properties, no further units.
fn request(name: &str, pid: u32) -> Writer {
    let mut body = Writer::default();
    body.string(name);
    body.string("fail");
    body.array(8, |properties| {
        let mut property = |key: &str, kind: &str, value: &dyn Fn(&mut Writer)| {
            properties.align(8);
            properties.string(key);
            properties.signature(kind);
            value(properties);
        };
        property("Description", "s", &|value| value.string("Pinfold sandboxes"));
        // Also one that has failed is not remembered.
        property("CollectMode", "s", &|value| value.string("inactive-or-failed"));
        property("Delegate", "b", &|value| value.number(1));
        property("PIDs", "au", &|value| value.array(4, |pids| pids.number(pid)));
    });
    body.array(8, |_| {});
    body
}

struct Peer<W> {
    stream: UnixStream,
    wait: W,
    /// What was read and not yet used.
    input: Vec<u8>,
}

impl<W: Fn(&UnixStream) -> io::Result<()>> Peer<W> {
    fn authenticate(&mut self, uid: u32) -> io::Result<()> {
        let hex: String = uid.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
        self.stream.write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        const LONGEST: usize = 1024;
        let end = loop {
            match self.input.windows(2).position(|two| two == b"\r\n") {
                Some(end) => break end,
                None if self.input.len() > LONGEST => return Err(garbled()),
                None => self.more()?,
            }
        };
        let answer: Vec<u8> = self.input.drain(..end + 2).collect();
        if !answer.starts_with(b"OK") {
            return Err(io::Error::from_raw_os_error(libc::EACCES));
        }
        self.stream.write_all(b"BEGIN\r\n")
    }

    /// What came of the job that the call began. Its end may be told before its beginning.
    fn result(&mut self) -> Result<(), Refusal> {
        let mut job = None;
        let mut ended: Vec<(String, String)> = Vec::new();
        loop {
            let message = self.message()?;
            let words = || message.words().ok_or_else(garbled);
            match message.kind {
                Kind::Reply if message.answers == Some(SERIAL) => {
                    job = Some(words()?.into_iter().next().ok_or_else(garbled)?);
                }
                Kind::Error if message.answers == Some(SERIAL) => {
                    let text = words().ok().and_then(|words| words.into_iter().next()).unwrap_or_default();
                    return Err(Refusal::Refused { name: message.error.clone(), message: text });
                }
                Kind::Signal if message.member == "JobRemoved" => {
                    let [_, path, _, result] = <[String; 4]>::try_from(words()?).map_err(|_| garbled())?;
                    ended.push((path, result));
                }
                // It tells more than was asked for.
                _ => continue,
            }
            // Others' jobs end too.
            let of_ours = |(path, _): &&(String, String)| Some(path) == job.as_ref();
            match ended.iter().find(of_ours) {
                Some((_, result)) if result == "done" => return Ok(()),
                Some((_, result)) => return Err(Refusal::Ended(result.clone())),
                None if job.is_some() => ended.clear(),
                None => {}
            }
        }
    }

    fn message(&mut self) -> io::Result<bus::Message> {
        loop {
            if let Some(head) = self.input.first_chunk() {
                let length = bus::length(head).ok_or_else(garbled)?;
                if let Some(bytes) = self.input.get(..length) {
                    let message = bus::parse(bytes).ok_or_else(garbled)?;
                    self.input.drain(..length);
                    return Ok(message);
                }
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> io::Result<()> {
        (self.wait)(&self.stream)?;
        let mut bytes = [0; 4096];
        let got = match self.stream.read(&mut bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(got) => got,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.input.extend(bytes.get(..got).unwrap_or_default());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::bus::message_for_tests as message;
    use super::*;

    const JOB: &str = "/org/freedesktop/systemd1/job/7";

    fn words(words: &[&str]) -> Writer {
        let mut body = Writer::default();
        words.iter().for_each(|word| body.string(word));
        body
    }

    fn reply() -> Vec<u8> {
        message(2, &[(8, "g", "o")], Some(SERIAL), words(&[JOB]))
    }

    fn removed(job: &str, result: &str) -> Vec<u8> {
        let mut body = Writer::default();
        body.number(7);
        [job, "x.scope", result].iter().for_each(|word| body.string(word));
        message(4, &[(3, "s", "JobRemoved"), (8, "g", "uoss")], None, body)
    }

    /// A peer that lets us in, checks what it is asked and says this, in pieces of any size.
    fn asked(answer: &[u8], says: &[Vec<u8>]) -> Result<(), Refusal> {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let (answer, says) = (answer.to_vec(), says.concat());
        let peer = std::thread::spawn(move || {
            let mut line = [0; 25];
            theirs.read_exact(&mut line).expect("a greeting");
            assert_eq!(&line, b"\0AUTH EXTERNAL 31303030\r\n");
            theirs.write_all(&answer).expect("it listens");
            if !answer.starts_with(b"OK") {
                return;
            }
            let mut line = [0; 7];
            theirs.read_exact(&mut line).expect("a beginning");
            assert_eq!(&line, b"BEGIN\r\n");
            let mut head = [0; bus::HEAD];
            theirs.read_exact(&mut head).expect("a call");
            let mut rest = vec![0; bus::length(&head).expect("a length") - bus::HEAD];
            theirs.read_exact(&mut rest).expect("a call");
            let call = bus::parse(&[head.as_slice(), &rest].concat()).expect("a message");
            assert_eq!((call.member.as_str(), call.signature.as_str()), ("StartTransientUnit", "ssa(sv)a(sa(sv))"));
            for piece in says.chunks(37) {
                // It may have heard enough.
                if theirs.write_all(piece).is_err() {
                    break;
                }
            }
        });
        let result = start_scope(ours, 1000, "x.scope", 42, |_| Ok(()));
        peer.join().expect("the peer saw what it expected");
        result
    }

    const OK: &[u8] = b"OK 0123456789abcdef0123456789abcdef\r\n";

    #[test]
    fn a_scope_is_there_when_its_job_is_done() {
        let others = removed("/org/freedesktop/systemd1/job/6", "failed");
        let noise = message(4, &[(3, "s", "UnitNew"), (8, "g", "so")], None, words(&["x", "/x"]));
        for says in [
            vec![reply(), removed(JOB, "done")],
            vec![noise.clone(), others.clone(), reply(), noise, others, removed(JOB, "done")],
            vec![removed(JOB, "done"), reply()],
        ] {
            asked(OK, &says).expect("it is done");
        }
    }

    #[test]
    fn a_refusal_keeps_the_managers_words() {
        let error = message(
            3,
            &[(4, "s", "org.freedesktop.systemd1.UnitExists"), (8, "g", "s")],
            Some(SERIAL),
            words(&["Unit x.scope already exists."]),
        );
        match asked(OK, &[error]) {
            Err(Refusal::Refused { name, message }) => {
                assert_eq!(name, "org.freedesktop.systemd1.UnitExists");
                assert_eq!(message, "Unit x.scope already exists.");
            }
            other => panic!("{other:?}"),
        }
        match asked(OK, &[reply(), removed(JOB, "failed")]) {
            Err(Refusal::Ended(result)) => assert_eq!(result, "failed"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_does_not_answer_properly_is_silent() {
        let kinds = [
            (&b"REJECTED EXTERNAL\r\n"[..], vec![], io::ErrorKind::PermissionDenied),
            (OK, vec![], io::ErrorKind::UnexpectedEof),
            (OK, vec![reply()], io::ErrorKind::UnexpectedEof),
        ];
        for (answer, says, kind) in kinds {
            match asked(answer, &says) {
                Err(Refusal::Silent(error)) => assert_eq!(error.kind(), kind),
                other => panic!("{other:?}"),
            }
        }
        for says in [vec![vec![b'x'; 64]], vec![message(2, &[(8, "g", "t")], Some(SERIAL), words(&[JOB]))]] {
            match asked(OK, &says) {
                Err(Refusal::Silent(error)) => assert_eq!(error.raw_os_error(), Some(libc::EPROTO)),
                other => panic!("{other:?}"),
            }
        }
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let late = start_scope(ours, 1000, "x.scope", 42, |_| Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)));
        assert!(matches!(late, Err(Refusal::Silent(error)) if error.raw_os_error() == Some(libc::ETIMEDOUT)));
    }

    #[test]
    fn only_a_socket_of_the_right_user_is_used() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("private");
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let own = nix::unistd::geteuid().as_raw();
        let (_stream, pid) = connect(&path, own).expect("ours");
        assert_eq!(pid, std::process::id() as i32);
        assert_eq!(connect(&path, own + 1).expect_err("not theirs").raw_os_error(), Some(libc::EACCES));
        assert!(connect(&directory.path().join("missing"), own).is_err());
    }
}
