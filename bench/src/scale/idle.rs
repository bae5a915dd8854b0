//! What an idle worker costs its supervisor: in memory, and in the time of a call to another one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hatchery::{Hatchery, Pool, PythonApp, StartBatches};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;
use crate::child::{folder, own_output};
use crate::contender::Flavour;
use crate::family::{children, resident_bytes};
use crate::options::Options;
use crate::pin::Placement;
use crate::sample::{Sample, median};
use crate::workload::{check, payload};

const FEW: usize = 1;
const MANY: usize = 65;
const CALLS: u64 = 1_000;
/// Each starts 65 interpreters.
const MOST_ROUNDS: usize = 3;

/// The same supervisor with few workers and with many; medians of the rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Idle {
    /// Memory of the host, for one more worker.
    pub(crate) host_bytes: f64,
    /// Memory of its guardians, for one more worker.
    pub(crate) guardian_bytes: f64,
    /// Calls one after another: with one worker, and with 64 others idle beside it.
    pub(crate) few_p50_us: f64,
    pub(crate) many_p50_us: f64,
}

pub(super) fn measure(options: &Options) -> Result<Idle> {
    let mut rounds = Vec::new();
    let count = options.rounds.min(MOST_ROUNDS);
    for round in 1..=count {
        eprintln!("scale, {MANY} workers, round {round} of {count}");
        // In a process of its own, whose heap has served nothing else.
        rounds.push(serde_json::from_str::<Idle>(&own_output("scale-idle")?)?);
    }
    let figure = |of: fn(&Idle) -> f64| median(rounds.iter().map(of).collect()).unwrap_or(f64::NAN);
    Ok(Idle {
        host_bytes: figure(|round| round.host_bytes),
        guardian_bytes: figure(|round| round.guardian_bytes),
        few_p50_us: figure(|round| round.few_p50_us),
        many_p50_us: figure(|round| round.many_p50_us),
    })
}

/// `scale-idle`: the supervisor. Prints what it found.
pub(crate) fn idle() -> Result<()> {
    // All on one processor: whether a wake crosses to another one outweighs what is looked for.
    let _held = Placement::Pinned.hold()?;
    println!("{}", serde_json::to_string(&Flavour::Threads.run(supervise())?)?);
    Ok(())
}

async fn supervise() -> Result<Idle> {
    let app = PythonApp::file(folder().join("app.py"));
    let batches = StartBatches { size: 8, delay: Duration::ZERO };
    let builder = Hatchery::builder().pool("bench", app).workers(FEW).start_batches(batches);
    let hatchery = builder.start().await?;
    let found = compare(&hatchery.pool("bench")?).await;
    hatchery.shutdown().await?;
    found
}

async fn compare(pool: &Pool) -> Result<Idle> {
    p50_us(pool).await?;
    let few_p50_us = p50_us(pool).await?;
    let few = Memory::of_supervisor(pool)?;
    pool.scale(MANY)?;
    all_ready(pool).await?;
    let many_p50_us = p50_us(pool).await?;
    let many = Memory::of_supervisor(pool)?;
    let each = |before: f64, after: f64| (after - before) / (MANY - FEW) as f64;
    let (host_bytes, guardian_bytes) = (each(few.host, many.host), each(few.guardians, many.guardians));
    Ok(Idle { host_bytes, guardian_bytes, few_p50_us, many_p50_us })
}

async fn all_ready(pool: &Pool) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(120);
    while pool.status().ready < MANY {
        if Instant::now() > patience {
            return Err(format!("{} of {MANY} workers were ready after 120 s", pool.status().ready).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn p50_us(pool: &Pool) -> Result<f64> {
    let mut taken = Vec::new();
    for id in 0..CALLS {
        let start = Instant::now();
        let answer: Value = pool.call("echo", payload(id)).await?;
        taken.push(start.elapsed());
        check(&answer, id)?;
    }
    Sample::of_calls(&taken).p50_us.ok_or_else(|| "no call was made".into())
}

struct Memory {
    host: f64,
    guardians: f64,
}

impl Memory {
    /// Of this process, and of those below it that are no workers.
    fn of_supervisor(pool: &Pool) -> Result<Memory> {
        let workers: BTreeSet<i32> = pool.workers().iter().filter_map(|worker| worker.pid).collect();
        let mut guardians = 0.0;
        let mut below = children("self");
        while let Some(pid) = below.pop() {
            if !workers.contains(&pid) {
                guardians += resident_bytes(pid)?;
                below.extend(children(pid));
            }
        }
        Ok(Memory { host: resident_bytes("self")?, guardians })
    }
}

impl Idle {
    /// Of the supervisor, for one idle worker.
    pub(crate) fn kib(&self) -> f64 {
        (self.host_bytes + self.guardian_bytes) / 1024.0
    }

    pub(super) fn lines(&self) -> [String; 2] {
        let Idle { host_bytes, guardian_bytes, few_p50_us, many_p50_us } = self;
        let [host, guardians] = [host_bytes, guardian_bytes].map(|bytes| bytes / 1024.0);
        [
            format!(
                "An idle worker costs its supervisor {:.1} KiB: the host {host:.1}, its guardians {guardians:.1}.",
                self.kib()
            ),
            format!(
                "Echo calls one after another, p50: {few_p50_us:.1} us with {FEW} worker, {many_p50_us:.1} us with {MANY}."
            ),
        ]
    }
}
