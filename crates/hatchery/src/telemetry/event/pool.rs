//! Pools as a whole.

use std::time::Duration;

use crate::id::WorkerId;
use crate::telemetry::declare::events;

events! {
    /// What becomes of a pool.
    pub enum PoolEvent {
        /// Its first workers are to be started.
        Starting = "pool.starting" {
            /// The pool.
            pool: String,
            /// How many.
            workers: usize,
        },
        /// The first start of each of its workers has come to an end.
        Started = "pool.started" {
            /// The pool.
            pool: String,
            /// How many it is to have.
            workers: usize,
            /// Of these, ready.
            ready: usize,
            /// Since they were to be started.
            took: Duration as "took_seconds",
        },
        /// None of its workers came up, or too many have died one after another before they were ready. While none is ready its
        /// calls fail at once; it goes on trying.
        Unavailable = "pool.unavailable" {
            /// The pool.
            pool: String,
            /// Why, in words.
            reason: String,
        },
        /// A worker is ready again after that.
        Available = "pool.available" {
            /// The pool.
            pool: String,
        },
        /// It takes no more calls, and serves those that it has.
        Draining = "pool.draining" {
            /// The pool.
            pool: String,
        },
        /// It takes calls again after that.
        Resumed = "pool.resumed" {
            /// The pool.
            pool: String,
        },
        /// It is to have so many workers from now on.
        Scaled = "pool.scaled" {
            /// The pool.
            pool: String,
            /// How many it had.
            from: usize,
            /// How many it is to have.
            to: usize,
        },
        /// A call was refused, because too many wait.
        Saturated = "pool.saturated" {
            /// The pool.
            pool: String,
            /// The tool.
            tool: String,
            /// How many wait.
            queued: usize,
            /// The call.
            correlation_id: String,
        },
        /// A call waited too long for a worker, and will not run.
        QueueTimeout = "pool.queue_timeout" {
            /// The pool.
            pool: String,
            /// The tool.
            tool: String,
            /// How long it waited.
            waited: Duration as "waited_seconds",
            /// The call.
            correlation_id: String,
        },
        /// A worker has as many calls as it can have, in a pool whose capacity is `hybrid`.
        CapacityReached = "pool.capacity_reached" {
            /// The worker.
            worker: WorkerId,
        },
        /// A worker's replacement is ready; the worker finishes what it has, and leaves.
        Recycled = "worker.recycled" {
            /// The worker, and what replaces it.
            worker: WorkerId,
            /// Of the one that leaves.
            generation: u64,
            /// Why.
            reason: RecycleReason,
        },
        /// The replacement of a worker did not come up. The worker serves on.
        NotReplaced = "worker.not_replaced" {
            /// The worker.
            worker: WorkerId,
            /// When another try follows.
            after: Duration as "after_seconds",
            /// Why, in words.
            reason: String,
        },
        /// Its workers are forked from this process from now on, which has imported what they have in common.
        TemplateReady = "pool.template_ready" {
            /// The pool.
            pool: String,
            /// The template's.
            pid: i32,
            /// From its start on.
            took: Duration as "took_seconds",
        },
        /// The template has died. Its workers live on, and the next start makes another one.
        TemplateLost = "pool.template_lost" {
            /// The pool.
            pool: String,
            /// Why, in words.
            reason: String,
        },
        /// Its workers are started cold, one by one, though they are to be forked from a template.
        ColdStarts = "pool.cold_starts" {
            /// The pool.
            pool: String,
            /// Why, in words.
            reason: String,
            /// When a template is tried again. Absent: not before the pool is reloaded.
            again: Option<Duration> as "again_seconds",
        },
    }
}

/// Why a worker is replaced though it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecycleReason {
    /// It is old.
    Ttl,
    /// It has answered many calls.
    MaxRequests,
    /// It takes much memory.
    MaxRss,
    /// Somebody said so.
    Manual,
    /// The whole pool is reloaded.
    Reload,
    /// Its app says that it is not well.
    Unhealthy,
    /// It goes on with a call that was cancelled, beside others.
    Deaf,
    /// An error of a call says that it is not to be trusted any more.
    Tainted,
}
