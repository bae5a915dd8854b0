//! Workloads W1, W2 and W4 with the floor and the peers measured in the same run.
//!
//! Every contender is measured once per round, in turn, so that a machine that slows down slows all of them; a figure is the
//! median of the rounds. Everything is measured twice: *pinned*, where client and workers share one CPU, and *free*.
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
mod ours;
mod pin;
mod report;
mod sample;
mod targets;
mod workload;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let outcome = Options::parse(std::env::args().skip(1)).and_then(|options| run(&options));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let mut report = report::Report::new(machine::facts(&options.python)?, options.rounds);
    for &workload in &options.workloads {
        for placement in [pin::Placement::Pinned, pin::Placement::Free] {
            report.add(workload, placement, contender::measure_all(workload, placement, options)?);
        }
    }
    if options.json { report.print_json() } else { report.print() }
}
