//! What happened, as plain data. Rooms emit; whoever subscribed reads. Emitting never waits and never fails: a slow
//! reader loses events and is told how many.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use crate::fault::{BreakerChange, CrashClass, Device};
use crate::id::WorkerId;

/// Everything that a running [`Hatchery`](crate::Hatchery) reports, grouped by the room that reports it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A worker started, became ready, wrote a line, ended.
    Worker(WorkerEvent),
    /// A tool reported its progress.
    Progress(Progress),
    /// A tool emitted a telemetry event of its own.
    Tool(ToolEvent),
    /// What owns the processes changed.
    Run(RunEvent),
    /// A pool as a whole: whether it can serve, and what it does with its workers.
    Pool(PoolEvent),
    /// A worker crashed, and what was done about it; a call is made again; a breaker opened or closed.
    Fault(FaultEvent),
    /// A task in the background failed, and was started again.
    Service(ServiceEvent),
    /// What a look at all sessions found.
    Session(SessionEvent),
    /// A large value went to a worker or came from one.
    Shared(SharedEvent),
}

/// What becomes of large values ([`ArenaSettings`](crate::ArenaSettings)). Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharedEvent {
    /// A value was passed to a worker by reference.
    Exported {
        /// To which.
        worker: WorkerId,
        /// Its size.
        bytes: u64,
    },
    /// A value came from a worker by reference.
    Imported {
        /// From which.
        worker: WorkerId,
        /// Its size.
        bytes: u64,
    },
    /// A value that is large enough is not in shared memory: it is copied through the pipe.
    FellBack {
        /// To which worker; `None` where it is for none in particular, a [`Buffer`](crate::Buffer).
        worker: Option<WorkerId>,
        /// Its size; 0 where it is about a worker's memory as a whole.
        bytes: u64,
        /// Why, in words.
        reason: String,
    },
}

/// What the parts of [`fault`](crate::fault) do, where a pool uses them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FaultEvent {
    /// A worker died by itself.
    Crashed {
        /// Which.
        worker: WorkerId,
        /// Which of its lives.
        generation: u64,
        /// How.
        class: CrashClass,
        /// Whether the pool is still healthy, as its health monitor sees it.
        is_pool_healthy: bool,
    },
    /// A life of a worker is tainted.
    Tainted {
        /// Which.
        worker: WorkerId,
        /// Which of its lives.
        generation: u64,
        /// Why.
        class: CrashClass,
        /// For how long.
        until: Duration,
    },
    /// A device is tainted.
    DeviceTainted {
        /// Which.
        device: Device,
        /// Why.
        class: CrashClass,
        /// For how long.
        until: Duration,
    },
    /// Another worker is ready in the place of a tainted one. Told once.
    Restarted {
        /// Which.
        worker: WorkerId,
        /// Its life.
        generation: u64,
    },
    /// A call failed and is made again.
    Retry {
        /// The pool.
        pool: String,
        /// The tool.
        tool: String,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// When it is made again.
        after: Duration,
        /// Why it failed.
        reason: String,
        /// The call.
        correlation_id: Option<String>,
    },
    /// A breaker opened, half-opened or closed.
    Breaker {
        /// The pool.
        pool: String,
        /// The tool, if it is a tool's breaker and not the pool's.
        tool: Option<String>,
        /// What happened.
        change: BreakerChange,
    },
}

/// What becomes of a pool.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PoolEvent {
    /// None of its workers came up, or too many have died one after another before they were ready. While none is ready its
    /// calls fail at once; it goes on trying.
    Unavailable {
        /// The pool.
        pool: String,
        /// Why, in words.
        reason: String,
    },
    /// A worker is ready again after that.
    Available {
        /// The pool.
        pool: String,
    },
    /// It takes no more calls, and serves those that it has.
    Draining {
        /// The pool.
        pool: String,
    },
    /// It takes calls again after that.
    Resumed {
        /// The pool.
        pool: String,
    },
    /// It is to have so many workers from now on.
    Scaled {
        /// The pool.
        pool: String,
        /// How many it had.
        from: usize,
        /// How many it is to have.
        to: usize,
    },
    /// A worker has as many calls as it can have, in a pool whose capacity is `hybrid`.
    CapacityReached {
        /// The worker.
        worker: WorkerId,
    },
    /// A worker's replacement is ready; the worker finishes what it has, and leaves.
    Recycled {
        /// The worker, and what replaces it.
        worker: WorkerId,
        /// Of the one that leaves.
        generation: u64,
        /// Why.
        reason: RecycleReason,
    },
    /// The replacement of a worker did not come up. The worker serves on.
    NotReplaced {
        /// The worker.
        worker: WorkerId,
        /// When another try follows.
        after: Duration,
        /// Why, in words.
        reason: String,
    },
    /// Its workers are forked from this process from now on, which has imported what they have in common.
    TemplateReady {
        /// The pool.
        pool: String,
        /// The template's.
        pid: i32,
        /// From its start on.
        took: Duration,
    },
    /// The template has died. Its workers live on, and the next start makes another one.
    TemplateLost {
        /// The pool.
        pool: String,
        /// Why, in words.
        reason: String,
    },
    /// Its workers are started cold, one by one, though they are to be forked from a template.
    ColdStarts {
        /// The pool.
        pool: String,
        /// Why, in words.
        reason: String,
        /// When a template is tried again. `None`: not before the pool is reloaded.
        again: Option<Duration>,
    },
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

/// The life of the tasks that work in the background.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceEvent {
    /// It panicked, or returned. What it works on is as it was, and no other service is concerned.
    Failed {
        /// Its name.
        service: String,
        /// "panicked: …", or that it returned.
        reason: String,
        /// How often it was started again before this.
        restarts: u64,
        /// How long it waits before it is started again; zero unless it fails too often.
        after: Duration,
    },
    /// It works again.
    Restarted {
        /// Its name.
        service: String,
        /// How often it was started again, with this time.
        restarts: u64,
    },
}

/// What becomes of sessions, none in particular.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// A look removed those that had expired.
    Pruned {
        /// How many.
        count: usize,
        /// How many are left.
        remaining: usize,
    },
    /// A look found more than the warning threshold.
    Accumulating {
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
    Lost {
        /// What and why, in words.
        message: String,
    },
}

/// What becomes of the run as a whole: the guardian that owns its processes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RunEvent {
    /// A keeper and a guardian are up, and own whatever is started from now on.
    Guarded {
        /// The process id of the keeper.
        keeper: i32,
        /// The process id of the guardian.
        guardian: i32,
    },
    /// They were killed. Every process that they owned ends too; the next start brings up new ones.
    GuardianLost,
    /// A layer of containment does not hold on this machine.
    LayerLost {
        /// Its name.
        layer: &'static str,
        /// Why not, in words.
        message: String,
    },
    /// A sweep found processes that dead runs of this instance had left, or could not do its work.
    Swept {
        /// How many it found.
        found: usize,
        /// How many of them it ended.
        terminated: usize,
        /// What went wrong, or could not be checked, in sentences.
        notes: Vec<String>,
    },
    /// A worker ended, and processes of it were found that had left its group.
    Escaped {
        /// Which worker.
        worker: WorkerId,
        /// How many were ended with it.
        ended: u32,
        /// Which were left alone, as the pool's `on_escape` says.
        left: Vec<u32>,
    },
}

/// The life of one worker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WorkerEvent {
    /// The process exists.
    Started {
        /// Which worker.
        worker: WorkerId,
        /// Its process id.
        pid: i32,
    },
    /// It loaded its app and takes calls.
    Ready {
        /// Which worker.
        worker: WorkerId,
        /// From the start of the process to its READY.
        took: Duration,
    },
    /// It answered a heartbeat.
    Heartbeat {
        /// Which worker.
        worker: WorkerId,
        /// From the question to the answer.
        took: Duration,
    },
    /// It did not answer a heartbeat in time.
    HeartbeatMissed {
        /// Which worker.
        worker: WorkerId,
        /// How many in a row.
        missed: u32,
    },
    /// Its app was asked how it is, and is not well; or did not answer.
    Unhealthy {
        /// Which worker.
        worker: WorkerId,
        /// How many times in a row.
        failures: u32,
        /// What it said, or what came instead.
        reason: String,
    },
    /// It wrote a line.
    Log(Log),
    /// It was killed and is still there: the kernel holds it. Its place stays empty until it is gone.
    Unkillable {
        /// Which worker.
        worker: WorkerId,
        /// Its process id.
        pid: i32,
        /// The kernel's state of it, for people.
        held_by: String,
    },
    /// It is gone and reaped.
    Gone {
        /// Which worker.
        worker: WorkerId,
        /// How it ended, for people: "exit status 0", "killed by signal 9 (SIGKILL)".
        how: String,
        /// Whether that was asked for.
        expected: bool,
        /// How long its ending took, from the first word to the reaping.
        took: Duration,
    },
    /// Another will be started in its place.
    Restarting {
        /// The pool.
        pool: String,
        /// How long it waits before it does (backoff).
        after: Duration,
        /// Why the last one is no more.
        reason: String,
    },
}

/// A line from a worker: a `print`, `ctx.log`, or a stray write to descriptor 1 or 2.
#[derive(Clone, Debug)]
pub struct Log {
    /// Which worker.
    pub worker: WorkerId,
    /// How important.
    pub level: Level,
    /// Where it came from.
    pub source: LogSource,
    /// The line, without its end, cut at 8 KiB.
    pub message: String,
    /// The correlation id of the call that wrote it, if it is known.
    pub correlation_id: Option<String>,
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

/// `ctx.progress(fraction, message)`.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Which worker.
    pub worker: WorkerId,
    /// 0 to 1, if the tool knows.
    pub fraction: Option<f64>,
    /// What it does now.
    pub message: Option<String>,
    /// The call.
    pub correlation_id: String,
}

/// A telemetry event that a tool emitted.
#[derive(Clone, Debug)]
pub struct ToolEvent {
    /// Which worker.
    pub worker: WorkerId,
    /// Dotted words, like `model.loaded`.
    pub name: String,
    /// Numbers by name.
    pub measurements: serde_json::Map<String, serde_json::Value>,
    /// Facts by name.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// The call that emitted it, if one did.
    pub correlation_id: Option<String>,
}

/// Where rooms put events.
#[derive(Clone, Debug)]
pub(crate) struct Emitter(Arc<broadcast::Sender<Event>>);

impl Emitter {
    /// `capacity` is how far a subscriber may fall behind, in events, before it loses the oldest.
    pub(crate) fn new(capacity: usize) -> Emitter {
        Emitter(Arc::new(broadcast::Sender::new(capacity)))
    }

    /// Never waits. Without a subscriber the event is dropped.
    pub(crate) fn emit(&self, event: Event) {
        let _nobody_listens = self.0.send(event);
    }

    /// Whether making an event is worth the while.
    pub(crate) fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
