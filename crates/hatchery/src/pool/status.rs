//! What a pool tells of itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::Shared;
use super::roster::Occupant;
use super::settings::Recycle;
use crate::id::{LifeId, WorkerId};
use crate::memory::ArenaStatus;
use crate::process;
use crate::telemetry::RecycleReason;
use crate::worker::Line;

/// How busy a pool is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolStatus {
    /// The pool.
    pub pool: String,
    /// `starting`, `serving`, `restarting` (none of its workers is ready, others are coming), `unavailable` (none is to be expected
    /// soon: its calls fail at once), `draining` or `closed`.
    pub state: &'static str,
    /// Its seats.
    pub workers: usize,
    /// Of these, filled with a worker that takes calls.
    pub ready: usize,
    /// Calls that wait for a worker.
    pub queued: usize,
    /// Calls that workers have.
    pub running: usize,
    /// The memory that it shares with its workers. In JSON only where it shares any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arena: Option<ArenaStatus>,
}

/// What has become of the calls of a pool, or of all pools, since the start; and how its workers fare now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolStats {
    /// Calls that were taken in.
    pub requests: u64,
    /// Of these, that had to wait for a worker.
    pub queued_total: u64,
    /// Calls that wait now.
    pub queued: usize,
    /// Calls that came back with an error, whatever it was.
    pub errors: u64,
    /// Of these, that waited too long for a worker.
    pub queue_timeouts: u64,
    /// Calls that were refused because too many waited.
    pub saturated: u64,
    /// Its seats.
    pub workers: usize,
    /// Workers that have room for a call.
    pub available: usize,
    /// Workers that have a call.
    pub busy: usize,
    /// Calls that workers have.
    pub running: usize,
    /// Workers that were replaced though they lived, by the reason.
    pub recycled: BTreeMap<RecycleReason, u64>,
    /// Workers that have reached nine tenths of the age at which they are replaced.
    pub near_ttl: usize,
    /// Workers that have answered nine tenths of the calls after which they are replaced.
    pub near_max_requests: usize,
}

impl PoolStats {
    /// Both together.
    pub(crate) fn and(mut self, other: &PoolStats) -> PoolStats {
        self.requests += other.requests;
        self.queued_total += other.queued_total;
        self.queued += other.queued;
        self.errors += other.errors;
        self.queue_timeouts += other.queue_timeouts;
        self.saturated += other.saturated;
        self.workers += other.workers;
        self.available += other.available;
        self.busy += other.busy;
        self.running += other.running;
        self.near_ttl += other.near_ttl;
        self.near_max_requests += other.near_max_requests;
        other.recycled.iter().for_each(|(reason, count)| *self.recycled.entry(*reason).or_default() += count);
        self
    }
}

/// What one worker of a pool is doing, for `workers --json` and its like.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Like `default-3`.
    pub id: String,
    /// The pool.
    pub pool: String,
    /// `starting`, `idle`, `busy`, `draining` (it finishes what it has, or dies), `unkillable` (the kernel holds it, and its
    /// place with it) or `gone` (and nobody follows).
    pub state: &'static str,
    /// The process id, from the moment the worker is ready until it is gone.
    pub pid: Option<i32>,
    /// How many workers have had this id before, plus one.
    pub generation: u64,
    /// Calls that it runs now.
    pub in_flight: usize,
    /// Calls that it has answered since it started.
    pub calls: u64,
    /// Of these, with an error.
    pub errors: u64,
    /// Memory that its process has in use; `None` where there is no process, or the kernel does not say.
    pub rss_bytes: Option<u64>,
    /// When it became ready, in seconds since 1970.
    pub started_at: Option<f64>,
    /// It takes no calls for a while, after a crash. In JSON only where it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tainted: bool,
}

/// What the roster knows of a worker.
struct Seen {
    life: LifeId,
    state: &'static str,
    is_barred: bool,
    load: usize,
    line: Option<Arc<Line>>,
}

impl Shared {
    pub(super) fn status(&self) -> PoolStatus {
        let wanted = self.lock_seats().wanted.len();
        let (ready, queued, running, is_draining) = {
            let roster = self.roster();
            (roster.ready_workers().count(), roster.queued(), roster.running(), roster.is_draining())
        };
        let state = if is_draining { "draining" } else { self.standing.word() };
        let arena = self.arena.as_ref().map(|arena| arena.status());
        PoolStatus { pool: self.name.to_string(), state, workers: wanted, ready, queued, running, arena }
    }

    pub(super) fn stats(&self) -> PoolStats {
        let workers = self.lock_seats().wanted.len();
        let recycled = self.counts.recycled.read();
        let roster = self.roster();
        let totals = roster.totals();
        let near = |is_near: &dyn Fn(&Occupant<'_, Arc<Line>>) -> bool| roster.occupants().filter(is_near).count();
        let Recycle { ttl, max_requests, .. } = self.rules().config.recycle;
        let near_ttl = ttl.map_or(0, |ttl| near(&|it| it.worker.is_some_and(|line| line.age() >= ttl / 10 * 9)));
        let is_worn = |it: &Occupant<'_, Arc<Line>>, limit: u64| roster.answered(it.life) >= limit - limit / 10;
        let near_max_requests = max_requests.map_or(0, |limit| near(&|it| is_worn(it, limit)));
        PoolStats {
            requests: totals.requests,
            queued_total: totals.queued,
            queued: roster.queued(),
            errors: self.counts.errors.read(),
            queue_timeouts: self.counts.queue_timeouts.read(),
            saturated: totals.saturated,
            workers,
            available: roster.available(),
            busy: roster.occupants().filter(|it| it.state == "busy").count(),
            running: roster.running(),
            recycled,
            near_ttl,
            near_max_requests,
        }
    }

    /// By seat; of one that replaces another, both.
    pub(super) fn statuses(&self) -> Vec<WorkerStatus> {
        let wanted = self.lock_seats().wanted.clone();
        let seen: Vec<Seen> = {
            let roster = self.roster();
            let seen = |it: Occupant<'_, Arc<Line>>| Seen {
                life: it.life,
                state: it.state,
                is_barred: it.is_barred,
                load: it.load,
                line: it.worker.cloned(),
            };
            roster.occupants().map(seen).collect()
        };
        // What workers say of themselves may take a while, and code of others: not while the roster is held.
        let mut statuses: Vec<(usize, WorkerStatus)> =
            seen.iter().map(|seen| (seen.life.seat, self.status_of(seen))).collect();
        let empty: Vec<usize> = wanted.into_iter().filter(|seat| statuses.iter().all(|(of, _)| of != seat)).collect();
        statuses.extend(empty.into_iter().map(|seat| (seat, self.nobody(seat))));
        statuses.sort_by_key(|(seat, status)| (*seat, status.generation));
        // Reads a file each.
        let measured = |(_, mut status): (usize, WorkerStatus)| {
            status.rss_bytes = status.pid.and_then(process::resident_bytes);
            status
        };
        statuses.into_iter().map(measured).collect()
    }

    fn status_of(&self, it: &Seen) -> WorkerStatus {
        let since = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).map(|age| age.as_secs_f64()).ok();
        let answered = it.line.as_ref().map(|line| line.answered()).unwrap_or_default();
        WorkerStatus {
            state: it.state,
            pid: it.line.as_ref().and_then(|line| line.pid),
            generation: it.life.generation,
            in_flight: it.line.as_ref().and_then(|line| line.load()).map_or(it.load, |load| load.max(it.load)),
            calls: answered.calls,
            errors: answered.errors,
            started_at: it.line.as_ref().and_then(|line| since(line.started_at)),
            tainted: it.is_barred,
            ..self.nobody(it.life.seat)
        }
    }

    fn nobody(&self, seat: usize) -> WorkerStatus {
        WorkerStatus {
            id: WorkerId::new(&self.name, seat).to_string(),
            pool: self.name.to_string(),
            state: if self.standing.is_closed() { "gone" } else { "starting" },
            pid: None,
            generation: 0,
            in_flight: 0,
            calls: 0,
            errors: 0,
            rss_bytes: None,
            started_at: None,
            tainted: false,
        }
    }
}
