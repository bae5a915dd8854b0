//! Sessions.

use crate::id::WorkerId;
use crate::telemetry::declare::events;

events! {
    /// What becomes of sessions.
    pub enum SessionEvent {
        /// One was made.
        Created = "session.created" {
            /// Which.
            session: String,
        },
        /// One is gone.
        Destroyed = "session.destroyed" {
            /// Which.
            session: String,
            /// `deleted`, or `expired`: its time was over.
            reason: &'static str,
        },
        /// One is served by a worker from now on, and its calls go there if they can.
        AffinityAssigned = "session.affinity_assigned" {
            /// Which.
            session: String,
            /// By whom.
            worker: WorkerId,
            /// Which of its lives.
            generation: u64,
        },
        /// The worker that has served one is gone, or takes no more calls, and with it what it knew of the session.
        AffinityBroken = "session.affinity_broken" {
            /// Which.
            session: String,
            /// The worker.
            worker: WorkerId,
            /// Which of its lives.
            generation: u64,
        },
        /// A look removed those that had expired.
        Pruned = "session.pruned" {
            /// How many.
            count: usize,
            /// How many are left.
            remaining: usize,
        },
        /// A look found more than the warning threshold.
        Accumulating = "session.accumulating" {
            /// How many there are.
            current: usize,
            /// How many there may be.
            max: usize,
            /// Whether none can be made any more.
            is_full: bool,
            /// Whether the settings want this said aloud.
            strict: bool,
        },
        /// They are not written down, or something of what was written is lost.
        Lost = "session.lost" {
            /// What and why, in words.
            message: String,
        },
    }
}
