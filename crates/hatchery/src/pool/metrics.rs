//! The numbers of one pool, all of them, at one moment.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use super::Shared;
use super::counts::Meter;
use crate::fault::{BreakerStats, CrashClass};
use crate::memory::ArenaStatus;
use crate::telemetry::{Histogram, RecycleReason};

/// The numbers of one pool. What only ever rises counts from its start.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PoolMetrics {
    /// Its name.
    pub pool: String,
    /// As [`PoolStatus::state`](crate::PoolStatus::state) has it.
    pub state: &'static str,
    /// Of each tool of its app by name, and at last those of calls of tools that there are not.
    pub tools: Vec<ToolMetrics>,
    /// Its workers by state: `starting`, `idle`, `busy`, `draining`, `unkillable`, `gone`; each stands in it.
    pub workers: BTreeMap<&'static str, usize>,
    /// How many it is to have.
    pub workers_wanted: usize,
    /// Workers that take no calls for a while after a crash.
    pub workers_tainted: usize,
    /// Calls that wait for a worker.
    pub queued: usize,
    /// Calls that may wait.
    pub queue_limit: usize,
    /// Calls that workers have.
    pub running: usize,
    /// Calls, of which each retry is one, that were taken in.
    pub admitted: u64,
    /// Of these, that had to wait for a worker.
    pub waited: u64,
    /// Calls that were refused because too many waited.
    pub saturated: u64,
    /// Calls that waited too long for a worker.
    pub queue_timeouts: u64,
    /// Tries that failed and were made again.
    pub retries: u64,
    /// Workers that ended without being told to, or never became ready, and whose place was filled again.
    pub restarts: u64,
    /// Workers that were replaced though they lived, by the reason.
    pub recycled: BTreeMap<RecycleReason, u64>,
    /// Workers that died by themselves, by how.
    pub crashes: BTreeMap<CrashClass, u64>,
    /// What became of its workers' heartbeats.
    pub heartbeats: HeartbeatMetrics,
    /// Its circuit breakers, the pool's first; empty if it has none.
    pub breakers: Vec<BreakerMetrics>,
    /// The memory that it shares with its workers, if it shares any.
    pub arena: Option<ArenaStatus>,
}

/// The numbers of one tool.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ToolMetrics {
    /// Its name; `None` for the calls of all tools that there are not.
    pub tool: Option<String>,
    /// Calls that have ended, by how: `ok`, or the kind of the error. A call that was made again counts once.
    pub calls: BTreeMap<&'static str, u64>,
    /// How long calls waited for a worker, each try for itself, also those that waited in vain.
    pub queue: Histogram,
    /// How long calls ran, each try for itself, however they ended.
    pub run: Histogram,
    /// Chunks that streams have brought.
    pub chunks: u64,
}

/// What became of heartbeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HeartbeatMetrics {
    /// Questions.
    pub asked: u64,
    /// Answers in time.
    pub answered: u64,
    /// Answers that did not come in time.
    pub missed: u64,
    /// Workers that missed too many, and were ended.
    pub failed: u64,
}

/// The numbers of one circuit breaker.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct BreakerMetrics {
    /// Whose it is; `None`: the pool's.
    pub tool: Option<String>,
    /// Its numbers.
    #[serde(flatten)]
    pub stats: BreakerStats,
}

/// Every state that a worker may be in.
const STATES: [&str; 6] = ["starting", "idle", "busy", "draining", "unkillable", "gone"];

impl Shared {
    pub(super) fn metrics(&self) -> PoolMetrics {
        let (status, counts) = (self.status(), &self.counts);
        let totals = self.roster().totals();
        let (workers, workers_tainted) = self.workers_by_state();
        PoolMetrics {
            pool: status.pool,
            state: status.state,
            tools: self.tool_metrics(),
            workers,
            workers_wanted: status.workers,
            workers_tainted,
            queued: status.queued,
            queue_limit: self.rules().config.max_queue,
            running: status.running,
            admitted: totals.requests,
            waited: totals.queued,
            saturated: totals.saturated,
            queue_timeouts: counts.queue_timeouts.read(),
            retries: counts.retries.read(),
            restarts: counts.restarts.read(),
            recycled: counts.recycled.read(),
            crashes: counts.crashes.read(),
            heartbeats: self.heartbeat_metrics(),
            breakers: self.breaker_metrics(),
            arena: status.arena,
        }
    }

    /// And how many of them are tainted.
    fn workers_by_state(&self) -> (BTreeMap<&'static str, usize>, usize) {
        let wanted = self.lock_seats().wanted.clone();
        let seen: Vec<(usize, &'static str, bool)> =
            self.roster().occupants().map(|it| (it.life.seat, it.state, it.is_barred)).collect();
        let mut workers: BTreeMap<&'static str, usize> = STATES.map(|state| (state, 0)).into();
        seen.iter().for_each(|(_, state, _)| *workers.entry(state).or_default() += 1);
        let empty = wanted.iter().filter(|seat| seen.iter().all(|(taken, ..)| taken != *seat)).count();
        let nobody = if self.standing.is_closed() { "gone" } else { "starting" };
        *workers.entry(nobody).or_default() += empty;
        (workers, seen.iter().filter(|(.., is_tainted)| *is_tainted).count())
    }

    fn tool_metrics(&self) -> Vec<ToolMetrics> {
        let meters = &self.counts.meters;
        let known = meters.all().into_iter().map(|(tool, meter)| tool_metrics(Some(tool.to_string()), &meter));
        known.chain([tool_metrics(None, &meters.of_strangers)]).collect()
    }

    fn heartbeat_metrics(&self) -> HeartbeatMetrics {
        let counts = &self.counts.heartbeats;
        HeartbeatMetrics {
            asked: counts.asked.read(),
            answered: counts.answered.read(),
            missed: counts.missed.read(),
            failed: counts.failed.read(),
        }
    }

    /// Of tools that there are: others have a breaker too, but are no name to count under.
    fn breaker_metrics(&self) -> Vec<BreakerMetrics> {
        let Some(breakers) = self.rules().guard.breakers().cloned() else { return Vec::new() };
        let (pool, mut tools) = breakers.stats(Instant::now());
        let of_tools = self.counts.meters.all().into_iter().filter_map(|(tool, _)| {
            let stats = tools.remove(&*tool)?;
            Some(BreakerMetrics { tool: Some(tool.to_string()), stats })
        });
        [BreakerMetrics { tool: None, stats: pool }].into_iter().chain(of_tools).collect()
    }
}

fn tool_metrics(tool: Option<String>, meter: &Meter) -> ToolMetrics {
    let (queue, run) = (meter.queue.read(), meter.run.read());
    ToolMetrics { tool, calls: meter.outcomes(), queue, run, chunks: meter.chunks.read() }
}
