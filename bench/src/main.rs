//! Workloads W1, W2, W4 and W6 with the floor and the peers measured in the same run; what grows with the size of a pool
//! (`scale`); and who outlives a supervisor (`orphans`).
//!
//! Every contender is measured once per round, in turn, so that a machine that slows down slows all of them; a figure is the
//! median of the rounds. Calls and streams are measured twice: *pinned*, where client and workers share one CPU, and *free*.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark speaks to its user")]

use std::error::Error;
use std::process::ExitCode;

use options::Options;

mod child;
mod contender;
mod floor;
mod frame;
mod jsonl;
mod machine;
mod options;
mod orphans;
mod ours;
mod outage;
mod pin;
mod report;
mod sample;
mod scale;
mod targets;
mod workload;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match dispatch(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The workloads, or the other benchmark, of which this program plays every part.
fn dispatch(arguments: Vec<String>) -> Result<()> {
    let rest = arguments.iter().skip(1).cloned();
    match arguments.first().map(String::as_str) {
        Some("orphans") => orphans::run(rest),
        Some("orphans-inside") => orphans::inside(rest),
        Some("orphans-supervise") => orphans::supervise(rest),
        Some("orphans-work") => orphans::work(),
        Some("scale-idle") => scale::idle(),
        _ => run(&Options::parse(arguments.into_iter())?),
    }
}

fn run(options: &Options) -> Result<()> {
    let mut report = report::Report::new(machine::facts(&options.python)?, options.rounds);
    for &workload in &options.workloads {
        for placement in [pin::Placement::Pinned, pin::Placement::Free] {
            report.add(workload, placement, contender::measure_all(workload, placement, options)?);
        }
    }
    if options.outage {
        report.add_outage(outage::measure_all(options)?);
    }
    if options.scale {
        report.add_scale(scale::measure_all(options)?);
    }
    if options.json { report.print_json() } else { report.print() }
}
