//! Owns: measuring the rows of a group, interleaved. Must not: start sandboxes itself or print.
//! Start at: [`group`].

use std::thread::sleep;
use std::time::Duration;

use crate::Result;
use crate::host::Cpus;
use crate::plan::Group;
use crate::serve::Server;

/// How long the teardown of namespaces and groups goes on after the last process is gone: the kernel waits several times until
/// all CPUs have passed by.
const SETTLE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy)]
pub struct Rhythm {
    pub rounds: u32,
    /// Starts of one row, one after another, in each round.
    pub block: u32,
    pub pause_us: u32,
}

impl Rhythm {
    pub fn counted(self) -> u32 {
        (self.rounds - 1) * self.block
    }
}

pub struct Measured {
    pub name: String,
    pub rhythm: Rhythm,
    /// The CPU all was pinned to.
    pub cpu: Option<usize>,
    pub rows: Vec<MeasuredRow>,
}

pub struct MeasuredRow {
    pub name: String,
    pub note: String,
    /// Or why it is not available.
    pub figures: Result<Figures>,
}

/// Nanoseconds.
#[derive(Clone, Copy)]
pub struct Figures {
    pub starts: usize,
    pub min: u64,
    pub p25: u64,
    pub median: u64,
    pub p75: u64,
    pub p90: u64,
}

impl Figures {
    pub fn of(mut durations: Vec<u64>) -> Option<Self> {
        durations.sort_unstable();
        let at = |percent: usize| durations.get(durations.len().saturating_sub(1) * percent / 100).copied();
        Some(Self { starts: durations.len(), min: at(0)?, p25: at(25)?, median: at(50)?, p75: at(75)?, p90: at(90)? })
    }
}

pub fn group(group: Group) -> Result<Measured> {
    let cpus = Cpus::ours()?;
    if group.pinned {
        cpus.pin()?;
    }
    let mut servers: Vec<Result<Server>> =
        group.rows.iter().map(|row| row.launch.clone().and_then(|launch| Server::start(&launch))).collect();
    let mut durations = vec![Vec::new(); servers.len()];
    let Rhythm { rounds, block, pause_us } = group.rhythm;
    for round in 0..rounds as usize {
        for turn in 0..servers.len() {
            // Another row begins each round, and every second one goes backwards, so that no row always follows the same one.
            let turn = if round % 2 == 0 { turn } else { servers.len() - 1 - turn };
            let at = (round + turn) % servers.len();
            let (Some(server), Some(row), Some(taken)) =
                (servers.get_mut(at), group.rows.get(at), durations.get_mut(at))
            else {
                continue;
            };
            let Ok(asked) = server else { continue };
            match asked.measure(block, pause_us) {
                Ok(block) if round > 0 => taken.extend(block),
                Ok(_) => {}
                Err(reason) => *server = Err(reason),
            }
            if row.lingers {
                sleep(SETTLE);
            }
        }
    }
    cpus.free()?;
    let rows = group.rows.into_iter().zip(servers).zip(durations).map(|((row, server), durations)| {
        let (note, figures) = match server {
            Ok(server) => (server.note.clone(), Figures::of(durations).ok_or_else(|| "nothing measured".to_owned())),
            Err(reason) => (String::new(), Err(reason)),
        };
        MeasuredRow { name: row.name, note, figures }
    });
    let cpu = group.pinned.then_some(cpus.last);
    Ok(Measured { name: group.name, rhythm: group.rhythm, cpu, rows: rows.collect() })
}
