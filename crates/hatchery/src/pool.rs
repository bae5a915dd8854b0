//! A pool: workers of one app, a queue before them. `pool/roster.rs` decides, `pool/shared.rs` carries out,
//! `pool/keeper.rs` keeps the seats filled; this file is the door.

mod keeper;
mod roster;
mod settings;
mod shared;
mod stream;

pub use settings::{
    Affinity, Capacity, Concurrency, HealthCheck, Heartbeat, OnTimeout, Priority, Recycle, Restarts, StartBatches,
    TimeoutProfile,
};
pub use stream::{PayloadStream, ReplyStream};

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::call::{CallOptions, passed};
use crate::error::Result;
use crate::process::{Containment, Escalation};
use crate::tool::ToolSpec;
use crate::value::Payload;
use crate::wire::Telemetry;
use crate::worker::{self, Line, Sink};

pub(crate) use keeper::{Keeper, Starts};
pub(crate) use shared::Shared;
use shared::Ticket;

/// How long things may take. `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A unary call, from the moment it is made to its result. Default: 5 minutes.
    pub call: Option<Duration>,
    /// A stream, from the moment it is asked for to its last chunk. Default: 15 minutes.
    pub stream: Option<Duration>,
    /// The wait for a free worker, within the above. Default: 10 seconds.
    pub queue: Option<Duration>,
    /// The start of a worker, until it is ready. Default: 60 seconds.
    pub start: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            call: Some(Duration::from_secs(5 * 60)),
            stream: Some(Duration::from_secs(15 * 60)),
            queue: Some(Duration::from_secs(10)),
            start: Some(Duration::from_secs(60)),
        }
    }
}

/// The rungs of the ladder on which a worker ends, and how long it may stay on each: it is asked; then its process group gets
/// SIGTERM; then its whole tree gets SIGKILL. Zero skips the wait, not the rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopGraces {
    /// From the word, which lets calls that run finish, to SIGTERM. Default: 5 s.
    pub ask: Duration,
    /// From SIGTERM to SIGKILL. Default: 2 s.
    pub term: Duration,
}

impl Default for StopGraces {
    fn default() -> StopGraces {
        StopGraces { ask: Duration::from_secs(5), term: Duration::from_secs(2) }
    }
}

impl StopGraces {
    /// These, and on no rung longer than this.
    pub(crate) fn within(self, longest: Duration) -> Escalation {
        Escalation { ask: self.ask.min(longest), term: self.term.min(longest) }
    }
}

/// What a pool obeys.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    pub(crate) max_queue: usize,
    pub(crate) timeouts: Timeouts,
    pub(crate) stop: StopGraces,
    pub(crate) containment: Containment,
    pub(crate) worker: worker::Config,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            workers: 1,
            max_queue: 1000,
            timeouts: Timeouts::default(),
            stop: StopGraces::default(),
            containment: Containment::default(),
            worker: worker::Config::default(),
        }
    }
}

/// A handle of a running pool: cheap to clone, usable from any task. Once its [`Hatchery`](crate::Hatchery) is shut
/// down or dropped, every call fails with [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable).
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// How busy a pool is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolStatus {
    /// The pool.
    pub pool: String,
    /// Its seats.
    pub workers: usize,
    /// Of these, filled with a worker that takes calls.
    pub ready: usize,
    /// Calls that wait for a worker.
    pub queued: usize,
    /// Calls that workers have.
    pub running: usize,
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
}

impl Pool {
    pub(crate) fn new(shared: Arc<Shared>) -> Pool {
        Pool { shared }
    }

    /// Calls a unary tool and waits for its result. `args` must serialize to a JSON object.
    ///
    /// Dropping the future cancels the call: one that waits in the queue never runs; the worker of one that runs is
    /// told, and replaced if it does not stop within 2 s.
    ///
    /// # Errors
    /// `not_found` and `validation` before anything runs; `saturated` if the queue is full; `deadline`, naming the
    /// stage; `remote` if the tool raised; `worker_died`; `limit`; `unavailable` after the shutdown. A result that is
    /// not a `T` is `validation`.
    ///
    /// ```no_run
    /// # async fn example(pool: hatchery::Pool) -> hatchery::Result<()> {
    /// use std::collections::BTreeMap;
    /// let counts: BTreeMap<String, u64> = pool.call("word_count", serde_json::json!({ "text": "a b a" })).await?;
    /// assert_eq!(counts["a"], 2);
    /// # Ok(()) }
    /// ```
    pub async fn call<T: DeserializeOwned>(&self, tool: &str, args: impl Serialize) -> Result<T> {
        self.call_with(tool, args, &CallOptions::default()).await
    }

    /// [`Pool::call`] with options.
    pub async fn call_with<T: DeserializeOwned>(
        &self,
        tool: &str,
        args: impl Serialize,
        options: &CallOptions,
    ) -> Result<T> {
        let options = options.identified();
        let args = Payload::encode(&args).map_err(|error| options.mark(error))?;
        let result = self.call_payload(tool, args, &options).await?;
        result.decode().map_err(|error| options.mark(error.context(format_args!("{tool}: its result"))))
    }

    /// [`Pool::call`] without looking into arguments or result: JSON bytes and attachments pass through.
    pub async fn call_payload(&self, tool: &str, args: Payload, options: &CallOptions) -> Result<Payload> {
        let options = options.identified();
        let (caller, reply) = oneshot::channel();
        let admitted = self.shared.admit(tool, args, &options, Sink::Unary(caller));
        let result = match admitted {
            Ok(ticket) => answer(ticket, reply).await,
            Err(error) => Err(error),
        };
        result.map_err(|error| options.mark(error))
    }

    /// Calls a streaming tool. Chunks come as the tool yields them; a slow reader holds the generator back.
    ///
    /// Dropping the stream cancels it, like dropping a call.
    ///
    /// # Errors
    /// As [`Pool::call`]; those that happen once the tool runs come as the stream's last item.
    ///
    /// ```no_run
    /// # async fn example(pool: hatchery::Pool) -> hatchery::Result<()> {
    /// let mut ticks = pool.stream::<u64>("countdown", serde_json::json!({ "n": 3 })).await?;
    /// while let Some(tick) = ticks.next().await {
    ///     println!("{}", tick?);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn stream<T: DeserializeOwned>(&self, tool: &str, args: impl Serialize) -> Result<ReplyStream<T>> {
        self.stream_with(tool, args, &CallOptions::default()).await
    }

    /// [`Pool::stream`] with options.
    pub async fn stream_with<T: DeserializeOwned>(
        &self,
        tool: &str,
        args: impl Serialize,
        options: &CallOptions,
    ) -> Result<ReplyStream<T>> {
        let options = options.identified();
        let args = Payload::encode(&args).map_err(|error| options.mark(error))?;
        let chunks = self.stream_payload(tool, args, &options).await?;
        Ok(ReplyStream::new(tool, chunks))
    }

    /// [`Pool::stream`] without looking into arguments or chunks.
    pub async fn stream_payload(&self, tool: &str, args: Payload, options: &CallOptions) -> Result<PayloadStream> {
        let options = options.identified();
        let (caller, items) = mpsc::unbounded_channel();
        let clock = caller.downgrade();
        match self.shared.admit(tool, args, &options, Sink::Stream(caller)) {
            Ok(ticket) => Ok(PayloadStream::new(ticket, items, clock, options)),
            Err(error) => Err(options.mark(error)),
        }
    }

    /// The tools of the app, in the app's order. Empty until the first worker was ready.
    pub fn tools(&self) -> Arc<[ToolSpec]> {
        self.shared.tools()
    }

    /// How busy the pool is at this moment.
    pub fn status(&self) -> PoolStatus {
        self.shared.status()
    }

    /// The workers, by seat.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.shared.statuses()
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Sets which telemetry events the workers that are ready now send from now on.
    ///
    /// # Errors
    /// `unavailable` if a worker does not have the capability.
    pub fn set_telemetry(&self, settings: &Telemetry) -> Result<()> {
        let lines: Vec<Arc<Line>> = self.shared.lines();
        lines.iter().try_for_each(|line| line.telemetry(settings))
    }
}

/// Waits for the answer of an admitted call, no longer than its deadlines allow.
async fn answer(ticket: Ticket, mut reply: oneshot::Receiver<Result<Payload>>) -> Result<Payload> {
    let (deadline, mut queue_deadline) = (ticket.deadline, ticket.queue_deadline);
    loop {
        tokio::select! {
            biased;
            // An answer that is here counts, however late we look.
            reply = &mut reply => return ticket.answered(reply),
            () = passed(deadline) => return Err(ticket.expired()),
            // Passed after the call left the queue, it means nothing.
            () = passed(queue_deadline.take()) => if let Some(error) = ticket.expired_in_queue() {
                return Err(error);
            },
        }
    }
}
