//! Single workers.

use std::time::Duration;

use crate::id::WorkerId;
use crate::telemetry::declare::{events, record};

events! {
    /// The life of one worker.
    pub enum WorkerEvent {
        /// The process exists.
        Started = "worker.started" {
            /// Which worker.
            worker: WorkerId,
            /// Its process id.
            pid: i32,
        },
        /// It loaded its app and takes calls.
        Ready = "worker.ready" {
            /// Which worker.
            worker: WorkerId,
            /// From the start of the process to its READY.
            took: Duration as "took_seconds",
        },
        /// It is asked whether it lives.
        HeartbeatAsked = "heartbeat.asked" {
            /// Which worker.
            worker: WorkerId,
        },
        /// It answered a heartbeat.
        Heartbeat = "heartbeat.answered" {
            /// Which worker.
            worker: WorkerId,
            /// From the question to the answer.
            took: Duration as "took_seconds",
        },
        /// It did not answer a heartbeat in time.
        HeartbeatMissed = "heartbeat.missed" {
            /// Which worker.
            worker: WorkerId,
            /// How many in a row.
            missed: u32,
        },
        /// It missed too many heartbeats in a row: it is taken to be dead, and ended.
        HeartbeatFailed = "heartbeat.failed" {
            /// Which worker.
            worker: WorkerId,
            /// How many in a row.
            missed: u32,
        },
        /// Its app was asked how it is, and is not well; or did not answer.
        Unhealthy = "worker.unhealthy" {
            /// Which worker.
            worker: WorkerId,
            /// How many times in a row.
            failures: u32,
            /// What it said, or what came instead.
            reason: String,
        },
        /// It wrote a line.
        Log = "worker.log" (log: Log),
        /// It was killed and is still there: the kernel holds it. Its place stays empty until it is gone.
        Unkillable = "worker.unkillable" {
            /// Which worker.
            worker: WorkerId,
            /// Its process id.
            pid: i32,
            /// The kernel's state of it, for people.
            held_by: String,
        },
        /// It is gone and reaped.
        Gone = "worker.gone" {
            /// Which worker.
            worker: WorkerId,
            /// How it ended, for people: "exit status 0", "killed by signal 9 (SIGKILL)".
            how: String,
            /// Whether that was asked for.
            expected: bool,
            /// How long its ending took, from the first word to the reaping.
            took: Duration as "took_seconds",
        },
        /// One ended without being told to, or did not become ready, and another will be started in its place.
        Restarting = "worker.restarting" {
            /// The pool.
            pool: String,
            /// How long it waits before it does (backoff).
            after: Duration as "after_seconds",
            /// Why the last one is no more.
            reason: String,
        },
    }
}

record! {
    /// A line from a worker: a `print`, `ctx.log`, or a stray write to descriptor 1 or 2.
    pub struct Log {
        /// Which worker.
        pub worker: WorkerId,
        /// How important: `debug`, `info`, `warning`, `error`.
        pub level: Level,
        /// Where it came from: `stdout`, `stderr`, `log` (`ctx.log`), or `host`, which is our own word about the worker.
        pub source: LogSource,
        /// The line, without its end, cut at 8 KiB.
        pub message: String,
        /// The correlation id of the call that wrote it, if it is known.
        pub correlation_id: Option<String>,
    }
}

/// The importance of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// For the record.
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
}

/// Where a log line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// Descriptor 1, or `print`.
    Stdout,
    /// Descriptor 2.
    Stderr,
    /// `ctx.log`.
    Log,
    /// hatchery's own words about the worker, such as how many lines were dropped.
    Host,
}
