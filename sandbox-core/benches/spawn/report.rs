//! Owns: what people and programs read: tables, the ratios and differences with what is expected of them, JSON.
//! Must not: measure, or fail because a figure is bad: figures are not tests.

use serde_json::{Value, json};

use crate::args::Args;
use crate::measure::{Figures, Measured};
use crate::plan::{
    BASE, BUBBLEWRAP, FEW_BINDS, FLOOR, HOSTS, LIMITED, MEMORY, MOUNTS, PAUSE_US, PINFOLD, POOL, SESSION, binds_row,
    host_row, main_group, memory_host, side_group, threads_host, users,
};
use crate::workshop::BINDS;

pub fn head(args: &Args) {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("start and exit of a static `true`, from the call to the known exit status; microseconds");
    println!("Linux {}, {}", kernel.trim(), processor());
    println!("load of the machine before we start: {} (more than 0.3: wait, or distrust what follows)", load());
    if args.quick {
        println!("--quick: few starts, do not quote these figures");
    }
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{count} x {}", model.map_or("unknown processor", |(_, name)| name))
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

pub fn group(group: &Measured) {
    let cpu = group.cpu.map_or(String::new(), |cpu| format!(" (CPU {cpu})"));
    println!("\n{}{cpu}: {} starts per row", group.name, group.rhythm.counted());
    println!(
        "  {:<40} {:>9} {:>9} {:>9} {:>7} {:>8} {:>8}  note",
        "case", "median", "min", "p90", "spread", "x vfork", "x floor"
    );
    for row in &group.rows {
        match &row.figures {
            Ok(f) => println!(
                "  {:<40} {:>9} {:>9} {:>9} {:>6.0}% {:>8} {:>8}  {}",
                row.name,
                micros(f.median),
                micros(f.min),
                micros(f.p90),
                spread(f),
                times(ratio(f.median, median(group, BASE))),
                times(ratio(f.median, median(group, FLOOR))),
                row.note
            ),
            Err(reason) => println!("  {:<40} {:>9}  {reason}", row.name, "-"),
        }
    }
}

fn micros(nanoseconds: u64) -> String {
    format!("{:.1}", nanoseconds as f64 / 1000.0)
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

fn ratio(of: u64, to: Option<u64>) -> Option<f64> {
    to.map(|to| of as f64 / to.max(1) as f64)
}

/// The middle half of all starts, as a part of the median.
fn spread(figures: &Figures) -> f64 {
    100.0 * (figures.p75 - figures.p25) as f64 / figures.median.max(1) as f64
}

fn median(group: &Measured, row: &str) -> Option<u64> {
    let row = group.rows.iter().find(|measured| measured.name == row)?;
    row.figures.as_ref().ok().map(|figures| figures.median)
}

/// How two rows of one group compare, and how they should.
pub struct Finding {
    what: String,
    group: String,
    compared: Compared,
    measured: Option<f64>,
    expected: Expected,
}

#[derive(Clone, Copy)]
enum Compared {
    /// One over the other.
    Ratio,
    /// One less the other, in milliseconds.
    Difference,
}

impl Compared {
    fn medians(self, above: u64, below: u64) -> f64 {
        match self {
            Self::Ratio => above as f64 / below.max(1) as f64,
            Self::Difference => (above as f64 - below as f64) / 1e6,
        }
    }

    fn unit(self) -> Option<&'static str> {
        match self {
            Self::Ratio => None,
            Self::Difference => Some("ms"),
        }
    }

    fn name(self, above: &str, below: &str) -> String {
        match self {
            Self::Ratio => format!("{above} : {below}"),
            Self::Difference => format!("{above} - {below}, ms"),
        }
    }
}

#[derive(Clone, Copy)]
enum Expected {
    AtMost(f64),
    AtLeast(f64),
    /// No promise: beside the others, to understand them.
    ToKnow,
}

impl Expected {
    fn words(self) -> String {
        match self {
            Self::AtMost(limit) => format!("at most {limit}"),
            Self::AtLeast(limit) => format!("at least {limit}"),
            Self::ToKnow => "-".to_owned(),
        }
    }

    fn met(self, measured: f64) -> Option<bool> {
        match self {
            Self::AtMost(limit) => Some(measured <= limit),
            Self::AtLeast(limit) => Some(measured >= limit),
            Self::ToKnow => None,
        }
    }
}

pub fn findings(groups: &[Measured]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (user, _) in users() {
        let mut compare = |compared: Compared, group: String, above: &str, below: &str, expected| {
            // Groups that were not asked for need no line.
            let Some(rows) = groups.iter().find(|measured| measured.name == group) else { return };
            let measured =
                median(rows, above).zip(median(rows, below)).map(|(above, below)| compared.medians(above, below));
            findings.push(Finding { what: compared.name(above, below), group, compared, measured, expected });
        };
        for pinned in [true, false] {
            for pause_us in [0, PAUSE_US] {
                let group = || main_group(&user, pinned, pause_us);
                let mut find = |above, below, expected| compare(Compared::Ratio, group(), above, below, expected);
                find(PINFOLD, FLOOR, Expected::AtMost(if pinned { 1.3 } else { 1.6 }));
                find(LIMITED, PINFOLD, Expected::ToKnow);
                find(BUBBLEWRAP, PINFOLD, Expected::AtLeast(2.0));
                let (session, pool) = match (pinned, pause_us) {
                    (true, 0) => (Expected::AtMost(2.0), Expected::AtMost(5.0)),
                    _ => (Expected::ToKnow, Expected::ToKnow),
                };
                find(SESSION, BASE, session);
                find(POOL, BASE, pool);
                compare(Compared::Difference, group(), LIMITED, PINFOLD, Expected::AtMost(0.5));
            }
        }
        let none = memory_host(0);
        for host in MEMORY.map(memory_host).into_iter().chain([threads_host()]) {
            let (with, without) = (host_row(PINFOLD, &host), host_row(PINFOLD, &none));
            compare(Compared::Ratio, side_group(&user, HOSTS), &with, &without, Expected::AtMost(1.2));
        }
        let binds = |what: &str| (binds_row(what, BINDS), binds_row(what, FEW_BINDS));
        let prepared = if user == "root" { Expected::AtMost(1.3) } else { Expected::ToKnow };
        for (what, expected) in [(PINFOLD, prepared), (FLOOR, Expected::ToKnow)] {
            let (many, few) = binds(what);
            compare(Compared::Ratio, side_group(&user, MOUNTS), &many, &few, expected);
        }
    }
    findings
}

pub fn print_findings(findings: &[Finding]) {
    println!("\nratios and differences of medians (figures, not tests: nothing fails here)");
    println!("  {:<62} {:<36} {:>8}  expected", "of what to what", "group", "measured");
    for finding in findings {
        let verdict = match finding.measured.and_then(|measured| finding.expected.met(measured)) {
            Some(true) => "  met",
            Some(false) => "  MISSED",
            None => "",
        };
        println!(
            "  {:<62} {:<36} {:>8}  {}{verdict}",
            finding.what,
            finding.group,
            times(finding.measured),
            finding.expected.words()
        );
    }
}

pub fn json(groups: &[Measured], findings: &[Finding]) -> String {
    let row = |group: &Measured, row: &crate::measure::MeasuredRow| match &row.figures {
        Ok(f) => json!({
            "case": row.name, "note": row.note, "starts": f.starts, "min": f.min, "p25": f.p25, "median": f.median,
            "p75": f.p75, "p90": f.p90, "x_vfork": ratio(f.median, median(group, BASE)),
            "x_floor": ratio(f.median, median(group, FLOOR)),
        }),
        Err(reason) => json!({ "case": row.name, "not_available": reason }),
    };
    let groups: Vec<Value> = groups
        .iter()
        .map(|group| {
            let rows: Vec<Value> = group.rows.iter().map(|measured| row(group, measured)).collect();
            json!({ "group": group.name, "cpu": group.cpu, "pause_us": group.rhythm.pause_us, "rows": rows })
        })
        .collect();
    let findings: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "what": finding.what, "unit": finding.compared.unit(), "group": finding.group, "measured": finding.measured,
                "expected": finding.expected.words(),
                "met": finding.measured.and_then(|measured| finding.expected.met(measured)),
            })
        })
        .collect();
    let all = json!({ "version": 2, "unit": "ns", "processor": processor(), "groups": groups, "findings": findings });
    format!("{all:#}\n")
}
