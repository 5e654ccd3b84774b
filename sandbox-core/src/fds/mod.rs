//! Owns: which fds a payload has and under which numbers, whatever the numbers they arrive under.
//! Must not: open or close anything.
//! Start at: [`Layout`].

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use crate::plan::{Fd, Op, Slot};
use crate::spec::{DeclaredFd, FdRole};

/// The first number of socket activation (sd_listen_fds(3), `SD_LISTEN_FDS_START`).
const LISTEN_START: RawFd = 3;

/// The lowest number that a received fd can have in init: 0-2 are taken, then control, doorbell and host (wire, start.rs).
const RECEIVED_FROM: RawFd = 7;

/// The name under which a declared fd travels.
pub(crate) fn declared(name: &str) -> String {
    format!("fd {name}")
}

const STANDARD: [&str; 3] = ["stdin", "stdout", "stderr"];

/// The name under which a standard stream travels.
pub(crate) fn standard(number: usize) -> String {
    STANDARD.get(number).copied().unwrap_or("stdio").to_owned()
}

/// Whether a standard stream travels under this name.
pub(crate) fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name)
}

/// Where every fd of the payload goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// (name it travels under, number inside), in the order they are placed.
    pub places: Vec<(String, RawFd)>,
    /// `LISTEN_FDS`, `LISTEN_FDNAMES`: number and names of the activated ones.
    pub listen: Vec<String>,
}

impl Layout {
    /// The layout of the declared fds.
    pub fn new(fds: &[DeclaredFd]) -> Self {
        let mut numbers: BTreeMap<RawFd, String> = (0..3).map(|n| (n as RawFd, standard(n))).collect();
        let mut listen = Vec::new();
        for fd in fds {
            let name = declared(&fd.name);
            match fd.role {
                FdRole::Number(number) => {
                    numbers.insert(number as RawFd, name);
                }
                FdRole::SocketActivation => {
                    numbers.insert(LISTEN_START + listen.len() as RawFd, name);
                    listen.push(fd.name.clone());
                }
                FdRole::Inetd => {
                    numbers.insert(0, name.clone());
                    numbers.insert(1, name);
                }
            }
        }
        Self { places: numbers.into_iter().map(|(number, name)| (name, number)).collect(), listen }
    }

    /// The names of the fds that must be passed, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in &self.places {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The operations that bring every fd to its number: all are first lifted above every number that will be taken,
    /// so that no placing overwrites one that is still needed. `terminal` stands for the standard streams.
    pub fn ops(&self, terminal: Option<&Slot>, mut slot: impl FnMut(String) -> Slot) -> Vec<Op> {
        let highest = self.places.iter().map(|&(_, number)| number).max().unwrap_or(0);
        let mut ops = vec![];
        let streams = [standard(0), standard(1), standard(2)];
        let arrives = |name: &String| match terminal {
            Some(terminal) if streams.contains(name) => terminal.clone().into(),
            _ => Fd::Passed(name.clone()),
        };
        let mut from: BTreeMap<&str, Fd> = BTreeMap::new();
        if highest >= RECEIVED_FROM {
            for (name, _) in &self.places {
                if !from.contains_key(name.as_str()) {
                    let into = slot(format!("lifted {name}"));
                    ops.push(Op::LiftFd { from: arrives(name), above: highest + 1, into: into.clone() });
                    from.insert(name, into.into());
                }
            }
        }
        ops.push(Op::CloseOnExec { first: LISTEN_START });
        for (name, number) in &self.places {
            let fd = from.get(name.as_str()).cloned().unwrap_or_else(|| arrives(name));
            ops.push(Op::PlaceFd { from: fd, number: *number });
        }
        ops
    }
}
