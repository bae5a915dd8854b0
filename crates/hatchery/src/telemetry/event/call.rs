//! Calls, and what the tools that they run have to say.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::id::WorkerId;
use crate::telemetry::declare::{event, events};

events! {
    /// What becomes of a call. Made only if somebody asks for it by name ([`EventFilter`](crate::EventFilter)): it is of every call.
    pub enum CallEvent {
        /// No worker is free for it: it waits in the queue.
        Queued = "call.queued" {
            /// The pool.
            pool: String,
            /// The tool.
            tool: String,
            /// Its session, if it has one.
            session: Option<String>,
            /// The call.
            correlation_id: String,
            /// How many wait, with this one.
            queued: usize,
        },
        /// It was given to a worker. Told again if that dies before it has begun the call, or if the call is made again.
        Started = "call.started" {
            /// The pool.
            pool: String,
            /// The tool.
            tool: String,
            /// To which.
            worker: WorkerId,
            /// Which of its lives.
            generation: u64,
            /// Its session, if it has one.
            session: Option<String>,
            /// The call.
            correlation_id: String,
            /// How long it waited for a worker.
            queued: Duration as "queue_seconds",
        },
        /// Its caller was answered, or has given it up. Told once for each call, whatever became of it.
        Finished = "call.finished" {
            /// The pool.
            pool: String,
            /// The tool.
            tool: String,
            /// `ok`, or the kind of its error; `cancelled` if its caller has given it up.
            outcome: &'static str,
            /// From when it was made, all tries together.
            took: Duration as "took_seconds",
            /// How long its last try waited for a worker, if one was given it, or as far as it came.
            queued: Option<Duration> as "queue_seconds",
            /// How long its last try ran, if it did.
            ran: Option<Duration> as "run_seconds",
            /// Who ran its last try, if somebody did.
            worker: Option<WorkerId>,
            /// Its session, if it has one.
            session: Option<String>,
            /// The call.
            correlation_id: String,
            /// How often it was made.
            tries: u32,
            /// Its span, as the W3C's `traceparent`, if it is recorded as one.
            span: Option<String> as "traceparent",
            /// The id of the span that this is part of, if it is part of one.
            parent_span: Option<String> as "parent_span_id",
        },
    }
}

event! {
    /// A tool told how far it is: `ctx.progress(fraction, message)`.
    pub struct Progress = "call.progress" {
        /// Which worker.
        pub worker: WorkerId,
        /// 0 to 1, if the tool knows.
        pub fraction: Option<f64>,
        /// What it does now.
        pub message: Option<String>,
        /// The call.
        pub correlation_id: String,
    }
}

event! {
    /// A tool, or what runs it, emitted a telemetry event of its own.
    pub struct ToolEvent = "tool.event" {
        /// Which worker.
        pub worker: WorkerId,
        /// Its own name for it, dotted words like `model.loaded`.
        pub name: String as "event",
        /// Numbers by name.
        pub measurements: Map<String, Value>,
        /// Facts by name.
        pub metadata: Map<String, Value>,
        /// The call that emitted it, if one did.
        pub correlation_id: Option<String>,
    }
}
