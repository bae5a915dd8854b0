//! Which processes outlive their supervisor's `kill -9`: hatchery and its peers, each in a PID namespace of its own.
//!
//! Every supervisor has workers, and every worker has left a daemon (`bench/orphans/daemon.sh`, the same for all). What is left
//! is not asked of anybody: it is everything that the namespace lists, and it ends with the namespace.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Result;
use peer::Peer;

mod census;
mod cradle;
mod namespace;
mod options;
mod peer;
mod speed;
mod states;
mod supervisor;
mod table;
mod versions;
mod wire_worker;

pub(crate) use cradle::inside;
pub(crate) use states::{State, measure_all as states};
pub(crate) use supervisor::supervise;
pub(crate) use wire_worker::work;

/// Workers of one supervisor in the matrix.
const WORKERS: usize = 4;
/// Peers that are measured at once: most of the time is waiting.
const AT_ONCE: usize = 6;

/// What was alive at some time after the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Survivors {
    after_s: u64,
    workers: usize,
    daemons: usize,
    /// Trackers, fork servers, shells: whatever else the supervisor had.
    helpers: usize,
}

/// What one kill came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Outcome {
    /// One for each time that was asked for.
    survivors: Vec<Survivors>,
    /// From the kill to the last death; `None` if something was left at the last time.
    gone_us: Option<u64>,
}

/// One line of the matrix: what was measured, or why not.
#[derive(Debug)]
struct Row {
    peer: Peer,
    outcome: std::result::Result<Outcome, String>,
}

/// Measures what the command line asks for, and prints it.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<()> {
    let options = options::Options::parse(arguments)?;
    namespace::probe()?;
    let rows = matrix(&options)?;
    let speeds = if options.speed { speed::measure(&options)? } else { Vec::new() };
    let report = table::Report::new(&options, versions::Versions::ask(&options.python)?, rows, speeds)?;
    report.print();
    match &options.markdown {
        Some(path) => report.write(path),
        None => Ok(()),
    }
}

fn matrix(options: &options::Options) -> Result<Vec<Row>> {
    let peers: Vec<Peer> = peer::all().into_iter().filter(|peer| options.wants(peer.name)).collect();
    rows(&peers, options)
}

fn rows(peers: &[Peer], options: &options::Options) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in peers.chunks(AT_ONCE) {
        eprintln!("{}", batch.iter().map(|peer| peer.name).collect::<Vec<_>>().join(", "));
        let measured = std::thread::scope(|scope| {
            let running: Vec<_> = batch.iter().map(|peer| scope.spawn(|| row(*peer, options))).collect();
            running.into_iter().map(|row| row.join().map_err(|_| "a measurement panicked")).collect::<Vec<_>>()
        });
        for row in measured {
            rows.push(row?);
        }
    }
    Ok(rows)
}

fn row(peer: Peer, options: &options::Options) -> Row {
    let measured = peer.command(options).and_then(|command| {
        let run = namespace::Run { command, workers: WORKERS, tells: peer.tells, surveys: options.surveys.clone() };
        run.measure(options).map_err(|error| format!("failed: {error}"))
    });
    Row { peer, outcome: measured }
}

/// The folder of the peers' programs.
fn folder() -> PathBuf {
    crate::child::folder().join("orphans")
}

/// How long a supervisor may take to have all its workers and daemons; only one that fails takes as long.
const PATIENCE: Duration = Duration::from_secs(60);
