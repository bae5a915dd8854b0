//! Workloads W1 to W7 with the floors and the peers measured in the same run; what grows with the size of a pool (`scale`); what
//! the daemon adds to a call (`daemon`); and, by itself, the whole matrix of who outlives a supervisor (`orphans`).
//!
//! Every contender is measured once per round, in turn, so that a machine that slows down slows all of them; a figure is the
//! median of the rounds. Calls, arrays and streams are measured twice: *pinned*, where client and workers share one CPU, and
//! *free*.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark speaks to its user")]

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use options::{Options, Part};
use report::Report;

mod arrays;
mod child;
mod contender;
#[cfg_attr(not(feature = "daemon"), path = "daemon/absent.rs")]
mod daemon;
mod family;
mod flame;
mod floor;
mod frame;
mod grid;
mod jsonl;
mod machine;
mod options;
mod orphans;
mod ours;
mod outage;
mod peer;
mod pin;
mod report;
mod sample;
mod scale;
mod startup;
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

/// The workloads, or another benchmark, of which this program plays every part.
fn dispatch(arguments: Vec<String>) -> Result<()> {
    let rest = arguments.iter().skip(1).cloned();
    match arguments.first().map(String::as_str) {
        Some("orphans") => orphans::run(rest),
        Some("orphans-inside") => orphans::inside(rest),
        Some("orphans-supervise") => orphans::supervise(rest),
        Some("orphans-work") => orphans::work(),
        Some("scale-idle") => scale::idle(),
        Some("daemon-floor") => daemon::floor(),
        Some("flame-work") => flame::work(rest),
        _ => run(&Options::parse(arguments.into_iter())?),
    }
}

fn run(options: &Options) -> Result<()> {
    if let Some(folder) = &options.flame {
        return flame::draw(folder, options);
    }
    let start = Instant::now();
    let mut report = Report::new(machine::facts(&options.python)?, options.rounds);
    for &part in &options.parts {
        let before = report.sections();
        // One that fails as a whole does not take with it what the others came to.
        if let Err(error) = measure(part, options, &mut report) {
            report.add_failure(format!("{}: {error}", part.name()));
        }
        println!("{}", report.tables_from(before));
    }
    report.took(start.elapsed());
    println!("{}", report.conclusion());
    options.markdown.iter().try_for_each(|path| report.write_markdown(path))?;
    options.json.iter().try_for_each(|path| report.write_json(path))?;
    if report.failures().is_empty() { Ok(()) } else { Err(report.failures().join("; ").into()) }
}

fn measure(part: Part, options: &Options, report: &mut Report) -> Result<()> {
    let name = part.name();
    match part {
        Part::Calls(workload) => {
            for placement in [pin::Placement::Pinned, pin::Placement::Free] {
                report.add_calls(workload, placement, &contender::measure_all(workload, placement, options)?)?;
            }
            Ok(())
        }
        Part::Startup => startup::measure_all(options).and_then(|table| report.add(name, &table, table.grids())),
        Part::Outage => outage::measure_all(options).and_then(|table| report.add(name, &table, table.grids())),
        Part::Survivors => orphans::states(options).and_then(|table| report.add(name, &table, table.grids())),
        Part::Scale => scale::measure_all(options).and_then(|table| report.add(name, &table, table.grids())),
        Part::Daemon => daemon::measure_all(options).and_then(|table| report.add(name, &table, table.grids())),
    }
}
