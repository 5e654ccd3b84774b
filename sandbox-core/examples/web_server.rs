//! A web server that has no network interface. It answers over a listening socket which this process opened and passed.
//!
//! The server (`examples/data/server.py`) finds the socket as under systemd: `LISTEN_FDS`, `LISTEN_PID`,
//! `LISTEN_FDNAMES`. This example then is its client: it asks for three pages, checks the answers, and ends the server.
//!
//! ```text
//! cargo run --example web_server
//! ```

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use pinfold::{Ended, Fd, Mount, Sandbox};

fn main() -> Result<(), Box<dyn Error>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/server.py");
    // guide: begin server
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;

    let sandbox = Sandbox::builder()
        .mount(Mount::bind(script, "/srv/server.py").read_only(true))
        .fd(Fd::socket_activation("http"))
        .timeout("60s")
        .build()?;
    // `spawn` returns when the server was executed. Requests that come before it accepts wait in the socket.
    let server = sandbox.command("/usr/bin/python3").args(["-I", "/srv/server.py"]).fd("http", listener).spawn()?;
    // guide: end server
    println!("serving on http://{address}/");

    expect("the greeting", &get(address, "/")?, "hello from a sandbox\n")?;
    // Only its own loopback: there is nothing to reach and nothing that could reach it but the socket.
    expect("its interfaces", &get(address, "/interfaces")?, "lo\n")?;
    expect("a connection to the outside", &get(address, "/outside")?, "Network is unreachable\n")?;

    // guide: begin end
    server.kill()?;
    let outcome = server.wait()?;
    println!("the server was {} after {:?}", outcome.detail(), outcome.duration());
    // guide: end end
    if outcome.ended() != Ended::Killed {
        return Err("the server had ended by itself".into());
    }
    if TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok() {
        return Err("something still listens".into());
    }
    Ok(())
}

/// The body of a page.
fn get(address: SocketAddr, path: &str) -> Result<String, Box<dyn Error>> {
    let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
    connection.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(connection, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("this is not HTTP")?;
    if !head.contains(" 200 ") {
        return Err(format!("{path}: {}", head.lines().next().unwrap_or_default()).into());
    }
    Ok(body.to_owned())
}

fn expect(what: &str, got: &str, wanted: &str) -> Result<(), String> {
    println!("{what}: {}", got.trim_end());
    if got == wanted { Ok(()) } else { Err(format!("{what}: wanted {wanted:?}, got {got:?}")) }
}
