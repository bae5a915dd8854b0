//! Crashes, taints, retries, breakers, and what tools could not do.

use std::time::Duration;

use crate::fault::{CrashClass, Device};
use crate::id::WorkerId;
use crate::telemetry::declare::events;

events! {
    /// What the parts of [`fault`](crate::fault) do, where a pool uses them.
    pub enum FaultEvent {
        /// A worker died by itself.
        Crashed = "fault.crashed" {
            /// Which.
            worker: WorkerId,
            /// Which of its lives.
            generation: u64,
            /// How.
            class: CrashClass,
            /// Whether the pool is still healthy, as its health monitor sees it.
            is_pool_healthy: bool,
        },
        /// A life of a worker is tainted: it gets no calls for a while.
        Tainted = "fault.tainted" {
            /// Which.
            worker: WorkerId,
            /// Which of its lives.
            generation: u64,
            /// Why.
            class: CrashClass,
            /// For how long.
            until: Duration as "lasts_seconds",
        },
        /// A device is tainted.
        DeviceTainted = "fault.device_tainted" {
            /// Which.
            device: Device,
            /// Why.
            class: CrashClass,
            /// For how long.
            until: Duration as "lasts_seconds",
        },
        /// Another worker is ready in the place of a tainted one. Told once.
        Restarted = "fault.restarted" {
            /// Which.
            worker: WorkerId,
            /// Its life.
            generation: u64,
        },
        /// A call failed and is made again.
        Retry = "retry.attempt" {
            /// The pool.
            pool: String,
            /// The tool.
            tool: String,
            /// The attempt that failed, from 1.
            attempt: u32,
            /// When it is made again.
            after: Duration as "after_seconds",
            /// Why it failed.
            reason: String,
            /// The call.
            correlation_id: Option<String>,
        },
        /// A call that was made again has succeeded.
        Recovered = "retry.succeeded" {
            /// The pool.
            pool: String,
            /// The tool.
            tool: String,
            /// How often it was made.
            attempts: u32,
            /// The call.
            correlation_id: Option<String>,
        },
        /// A call that was made again has failed for good.
        Exhausted = "retry.exhausted" {
            /// The pool.
            pool: String,
            /// The tool.
            tool: String,
            /// How often it was made.
            attempts: u32,
            /// Why it failed the last time.
            reason: String,
            /// The call.
            correlation_id: Option<String>,
        },
        /// A breaker opened: calls are turned away.
        BreakerOpened = "breaker.opened" {
            /// The pool.
            pool: String,
            /// The tool, if it is a tool's breaker and not the pool's.
            tool: Option<String>,
            /// So many in a row have failed.
            failures: u32,
        },
        /// A breaker lets a few calls pass, to see how they fare.
        BreakerHalfOpened = "breaker.half_opened" {
            /// The pool.
            pool: String,
            /// The tool, if it is a tool's breaker and not the pool's.
            tool: Option<String>,
        },
        /// A breaker closed: calls pass again.
        BreakerClosed = "breaker.closed" {
            /// The pool.
            pool: String,
            /// The tool, if it is a tool's breaker and not the pool's.
            tool: Option<String>,
        },
        /// A tool raised because two shapes do not fit.
        ShapeMismatch = "error.shape_mismatch" {
            /// The pool.
            pool: String,
            /// The tool.
            tool: String,
            /// Where.
            worker: WorkerId,
            /// What was wanted, if it is known.
            expected: Option<Vec<u64>>,
            /// What came, if it is known.
            got: Option<Vec<u64>>,
            /// During what, if it is known.
            operation: Option<String>,
            /// The call.
            correlation_id: Option<String>,
        },
        /// A tool raised because things are on devices that do not fit, or a device is not there.
        DeviceMismatch = "error.device" {
            /// The pool.
            pool: String,
            /// The tool.
            tool: String,
            /// Where.
            worker: WorkerId,
            /// What was wanted, if it is known.
            expected: Option<Device>,
            /// What came, if it is known.
            got: Option<Device>,
            /// During what, if it is known.
            operation: Option<String>,
            /// The call.
            correlation_id: Option<String>,
        },
        /// A tool raised because a device has no memory left.
        OutOfMemory = "error.oom" {
            /// The pool.
            pool: String,
            /// The tool.
            tool: String,
            /// Where.
            worker: WorkerId,
            /// Whose memory.
            device: Device,
            /// What was wanted at last, if it is known.
            requested: Option<u64> as "requested_bytes",
            /// What there was, if it is known.
            available: Option<u64> as "available_bytes",
            /// During what, if it is known.
            operation: Option<String>,
            /// The call.
            correlation_id: Option<String>,
        },
        /// A tool raised anything else. Made only if somebody asks for it by name: it may be of every call.
        Raised = "error.raised" {
            /// The pool.
            pool: String,
            /// The tool.
            tool: String,
            /// Where.
            worker: WorkerId,
            /// The type of the exception, if it has one: `ValueError`.
            python_type: Option<String>,
            /// The call.
            correlation_id: Option<String>,
        },
    }
}
