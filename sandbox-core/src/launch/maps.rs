//! Owns: writing id maps from outside, between READY and GO.  Must not: choose them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::host::HostCaps;
use crate::idmap::{IdMaps, MapWriter, map_text};
use crate::spec::IdRange;
use crate::{Error, ErrorKind, Result, Stage};

/// Write both maps of process `pid`, which waits for them.
pub(super) fn write(maps: &IdMaps, pid: i32, host: &HostCaps) -> Result<()> {
    if maps.deny_setgroups && maps.writer != MapWriter::Newidmap {
        write_file(pid, "setgroups", "deny")?;
    }
    match maps.writer {
        MapWriter::Init | MapWriter::Host => {
            write_file(pid, "uid_map", &map_text(&maps.uid))?;
            write_file(pid, "gid_map", &map_text(&maps.gid))
        }
        MapWriter::Newidmap => {
            run(host.newuidmap.as_deref(), pid, &maps.uid, "newuidmap", "identity.uid_map")?;
            run(host.newgidmap.as_deref(), pid, &maps.gid, "newgidmap", "identity.gid_map")
        }
    }
}

/// One write(2): the kernel takes a map whole or not at all.
fn write_file(pid: i32, file: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{file}");
    let written = fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        Error::launch(
            format!("could not write {} to {path}", text.trim_end().replace('\n', ", ")),
            error.raw_os_error().unwrap_or(libc::EIO),
        )
        .with_origin("identity")
    })
}

fn run(program: Option<&Path>, pid: i32, map: &[IdRange], name: &str, origin: &str) -> Result<()> {
    let Some(program) = program else {
        return Err(Error::unsupported(origin, format!("{name} is not installed"))
            .with_hint("on Debian and Ubuntu: apt-get install uidmap"));
    };
    let mut command = Command::new(program);
    command.arg(pid.to_string()).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    for word in map_text(map).split_whitespace() {
        command.arg(word);
    }
    let complaint = match command.spawn() {
        Ok(child) => match child.wait_with_output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            // This process ignores SIGCHLD or reaps everything: the map itself tells.
            Err(_) if is_written(pid, name) => return Ok(()),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    Err(Error::new(ErrorKind::Setup, Stage::Launch, format!("{name} refused the map: {complaint}"))
        .with_origin(origin)
        .with_hint("the ranges must lie within this user's lines of /etc/subuid and /etc/subgid"))
}

fn is_written(pid: i32, name: &str) -> bool {
    let file = if name == "newuidmap" { "uid_map" } else { "gid_map" };
    fs::read_to_string(format!("/proc/{pid}/{file}")).is_ok_and(|text| !text.trim().is_empty())
}
