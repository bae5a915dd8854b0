//! Calls from end to end, with an empty queue and with a full one.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hatchery::{Hatchery, Pool, PythonApp, Timeouts};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::Result;
use crate::child::folder;
use crate::contender::Flavour;
use crate::family::resident_bytes;
use crate::options::Options;
use crate::sample::median;
use crate::workload::{IN_FLIGHT, WORKERS, check, payload};

/// Medians of the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Backlog {
    /// Calls that wait when the first is served.
    pub(crate) calls: usize,
    /// As many callers as workers: nobody waits.
    pub(crate) empty_per_s: f64,
    /// 64 callers.
    pub(crate) short_per_s: f64,
    /// All wait from the start.
    pub(crate) long_per_s: f64,
    /// How fast they were taken in.
    pub(crate) admitted_per_s: f64,
    /// Memory of one that waits, with its caller's task.
    pub(crate) bytes_a_call: f64,
}

pub(super) fn measure(options: &Options) -> Result<Backlog> {
    let calls = options.size.backlog;
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        eprintln!("scale, {calls} queued calls, round {round} of {}", options.rounds);
        rounds.push(Flavour::Threads.run(one_round(calls))?);
    }
    let figure = |of: fn(&Backlog) -> f64| median(rounds.iter().map(of).collect()).unwrap_or(f64::NAN);
    Ok(Backlog {
        calls,
        empty_per_s: figure(|round| round.empty_per_s),
        short_per_s: figure(|round| round.short_per_s),
        long_per_s: figure(|round| round.long_per_s),
        admitted_per_s: figure(|round| round.admitted_per_s),
        // The first round had the freshest heap: later ones find memory that was freed before.
        bytes_a_call: rounds.first().map_or(f64::NAN, |round| round.bytes_a_call),
    })
}

async fn one_round(calls: usize) -> Result<Backlog> {
    let app = PythonApp::file(folder().join("app.py"));
    let timeouts = Timeouts { queue: None, ..Timeouts::default() };
    let builder = Hatchery::builder().pool("bench", app).workers(WORKERS).max_queue(2 * calls).timeouts(timeouts);
    let hatchery = builder.start().await?;
    let measured = measured(&hatchery.pool("bench")?, calls).await;
    hatchery.shutdown().await?;
    measured
}

async fn measured(pool: &Pool, calls: usize) -> Result<Backlog> {
    rate(pool, WORKERS, calls / 20).await?;
    let empty_per_s = rate(pool, WORKERS, calls / 4).await?;
    let short_per_s = rate(pool, IN_FLIGHT, calls / 4).await?;
    let gate = Gate::close(pool).await?;
    let (before, start) = (resident_bytes("self")?, Instant::now());
    let waiting: Vec<_> = (0..calls as u64).map(|id| tokio::spawn(echo(pool.clone(), id))).collect();
    until(|| pool.status().queued == calls).await?;
    let admitted_per_s = calls as f64 / start.elapsed().as_secs_f64();
    let bytes_a_call = (resident_bytes("self")? - before) / calls as f64;
    gate.open().await?;
    let start = Instant::now();
    for call in waiting {
        call.await??;
    }
    let long_per_s = calls as f64 / start.elapsed().as_secs_f64();
    Ok(Backlog { calls, empty_per_s, short_per_s, long_per_s, admitted_per_s, bytes_a_call })
}

/// So many callers, each of which calls again when it is answered.
async fn rate(pool: &Pool, callers: usize, calls: usize) -> Result<f64> {
    let start = Instant::now();
    let callers: Vec<_> = (0..callers).map(|_| tokio::spawn(caller(pool.clone(), calls / callers))).collect();
    let count = callers.len() * (calls / callers.len());
    for caller in callers {
        caller.await??;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

async fn caller(pool: Pool, calls: usize) -> Result<()> {
    for id in 0..calls as u64 {
        echo(pool.clone(), id).await?;
    }
    Ok(())
}

async fn echo(pool: Pool, id: u64) -> Result<()> {
    let answer: Value = pool.call("echo", payload(id)).await?;
    check(&answer, id)
}

/// Keeps every worker busy until it is opened.
struct Gate {
    folder: tempfile::TempDir,
    held: Vec<JoinHandle<hatchery::Result<Value>>>,
}

impl Gate {
    async fn close(pool: &Pool) -> Result<Gate> {
        let folder = tempfile::tempdir()?;
        let path = Gate::path(folder.path());
        let hold = |pool: Pool, path: PathBuf| async move { pool.call("hold", json!({ "gate": path })).await };
        let held = (0..WORKERS).map(|_| tokio::spawn(hold(pool.clone(), path.clone()))).collect();
        until(|| pool.status().running == WORKERS).await?;
        Ok(Gate { folder, held })
    }

    async fn open(self) -> Result<()> {
        std::fs::write(Gate::path(self.folder.path()), "")?;
        for held in self.held {
            held.await??;
        }
        Ok(())
    }

    fn path(folder: &Path) -> PathBuf {
        folder.join("open")
    }
}

async fn until(is_so: impl Fn() -> bool) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        if Instant::now() > patience {
            return Err("the pool did not come to the state that was waited for within 60 s".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

impl Backlog {
    pub(super) fn lines(&self) -> [String; 2] {
        let Backlog { calls, empty_per_s, short_per_s, long_per_s, admitted_per_s, bytes_a_call } = self;
        [
            format!(
                "Echo calls/s over {WORKERS} workers: nobody waits {empty_per_s:.0}, {IN_FLIGHT} callers {short_per_s:.0}, {calls} calls wait {long_per_s:.0}."
            ),
            format!(
                "{calls} calls were taken in at {admitted_per_s:.0} a second; each weighs {bytes_a_call:.0} bytes while it waits, with its caller's task."
            ),
        ]
    }
}
