//! hatchery's record of an outage.

use std::time::{Duration, Instant};

use hatchery::{CallOptions, Hatchery, Pool, PythonApp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::time::sleep;

use super::{AFTER_S, BEFORE_S, BOUND_S, CALLERS, Call, NAP_MS, Outcome, Record};
use crate::Result;
use crate::child::folder;
use crate::workload::WORKERS;

pub(super) async fn record(idempotent: bool) -> Result<Record> {
    let app = PythonApp::file(folder().join("app.py"));
    let hatchery = Hatchery::builder().pool("bench", app).workers(WORKERS).start().await?;
    let record = outage(&hatchery.pool("bench")?, idempotent).await;
    hatchery.shutdown().await?;
    record
}

async fn outage(pool: &Pool, idempotent: bool) -> Result<Record> {
    let clock = Clock { start: Instant::now() };
    let options = CallOptions::new().timeout(Duration::from_secs_f64(BOUND_S)).idempotent(idempotent);
    let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(caller(pool.clone(), options.clone(), clock))).collect();
    sleep(Duration::from_secs_f64(BEFORE_S)).await;
    let workers: Vec<i32> = pool.workers().iter().filter_map(|worker| worker.pid).collect();
    let killed_at = clock.now();
    kill(workers.first().copied())?;
    let mut calls = Vec::new();
    for caller in callers {
        calls.extend(caller.await?);
    }
    Ok(Record { killed_at, workers, calls })
}

/// Calls one after another until the time is over.
async fn caller(pool: Pool, options: CallOptions, clock: Clock) -> Vec<Call> {
    let mut calls = Vec::new();
    while clock.now() < BEFORE_S + AFTER_S {
        let start = clock.now();
        let outcome = pool.call_with::<i32>("nap", json!({ "ms": NAP_MS }), &options).await;
        let end = clock.now();
        let outcome = match outcome {
            Ok(pid) => Outcome::By(pid),
            Err(error) => {
                // As the peers' callers do: one that fails at once is not to fill the record.
                sleep(Duration::from_millis(5)).await;
                Outcome::Failed(error.kind().as_str().to_owned())
            }
        };
        calls.push(Call { start, end, outcome });
    }
    calls
}

#[expect(clippy::disallowed_methods, reason = "the kernel's answer to a kill -9 from outside is what is measured")]
fn kill(pid: Option<i32>) -> Result<()> {
    let pid = pid.and_then(Pid::from_raw).ok_or("there is no worker to kill")?;
    Ok(kill_process(pid, Signal::KILL)?)
}

/// Seconds since the first call.
#[derive(Clone, Copy)]
struct Clock {
    start: Instant,
}

impl Clock {
    fn now(self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}
