//! A pool: workers of one app, a queue before them. `pool/roster.rs` decides, `pool/shared.rs` carries out,
//! `pool/seat.rs` keeps each seat filled, `pool/crew.rs` all of them; this file is the door.

mod account;
mod buffers;
mod change;
mod chat;
mod counts;
mod crew;
mod detail;
mod guard;
mod metrics;
mod orders;
mod refused;
mod restarts;
mod roster;
mod rules;
mod seat;
mod seats;
mod settings;
mod shared;
mod standing;
mod status;
mod stream;
mod ticket;
mod told;
mod upkeep;

pub use chat::PoolSession;
pub use detail::WorkerDetail;
pub use metrics::{BreakerMetrics, HeartbeatMetrics, PoolMetrics, ToolMetrics};
pub use settings::{Capacity, Concurrency, HealthCheck, OnTimeout, Recycle, Restarts, StartBatches, TimeoutProfile};
pub use status::{PoolStats, PoolStatus, WorkerStatus};
pub use stream::{PayloadStream, ReplyStream};

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{Affinity, CallOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::fault::{Breakers, HealthStats};
use crate::memory::{ArenaSettings, Buffer};
use crate::process::{Containment, Escalation};
use crate::tool::ToolSpec;
use crate::value::Payload;
use crate::wire::Telemetry;
use crate::worker::{self, Profile, Transport};

pub(crate) use change::{COUNT as KEYS, SPOKEN, Takes, changes, spoken, within_reach};
pub(crate) use crew::Crew;
pub(crate) use guard::{FaultConfig, TaintBook, usual_retry};
pub(crate) use seat::Hiring;
pub(crate) use shared::Shared;
pub(crate) use upkeep::{ask_how_they_are, recycle};

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

/// More would have the machine busy with switching between them.
pub(crate) const MAX_WORKERS: usize = 1024;

/// What a pool obeys.
#[derive(Clone, Default)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    pub(crate) max_queue: usize,
    pub(crate) concurrency: Concurrency,
    pub(crate) capacity: Capacity,
    pub(crate) affinity: Affinity,
    pub(crate) on_timeout: OnTimeout,
    pub(crate) timeouts: Timeouts,
    /// Of single tools; they beat the app's and the pool's.
    pub(crate) tool_timeouts: BTreeMap<String, Duration>,
    pub(crate) recycle: Recycle,
    pub(crate) health: HealthCheck,
    pub(crate) batches: StartBatches,
    pub(crate) restarts: Restarts,
    pub(crate) faults: FaultConfig,
    pub(crate) stop: StopGraces,
    pub(crate) telemetry: Telemetry,
    pub(crate) containment: Containment,
    /// `None`: no memory is shared with its workers.
    pub(crate) arena: Option<ArenaSettings>,
    pub(crate) worker: worker::Config,
    /// What makes the workers, where they are no processes.
    pub(crate) profile: Option<Arc<dyn Profile>>,
    /// What speaks to the workers, where they do not speak the native wire.
    pub(crate) transport: Option<Arc<dyn Transport>>,
}

impl Config {
    pub(crate) fn new() -> Config {
        Config { workers: 1, max_queue: 1000, arena: Some(ArenaSettings::default()), ..Config::default() }
    }

    /// The memory that is shared with its workers: segments that the machine can fill, and that fit into what a worker may use,
    /// which may be counted in addresses.
    pub(crate) fn arena(&self) -> Option<ArenaSettings> {
        let of_worker = self.worker.confinement.resources.memory.map_or(u64::MAX, |memory| memory / 8);
        let of_machine = rustix::system::sysinfo();
        let of_machine = (of_machine.totalram as u64).saturating_mul(of_machine.mem_unit.into());
        self.arena.map(|arena| ArenaSettings { limit: arena.limit.min(of_worker).min(of_machine), ..arena })
    }

    /// Calls that one worker may have at once.
    pub(crate) fn per_worker(&self) -> usize {
        if let (Some(profile), Capacity::Pool | Capacity::Hybrid) = (&self.profile, self.capacity) {
            return profile.capacity().max(1);
        }
        match (self.capacity, self.concurrency) {
            (Capacity::Profile, _) | (_, Concurrency::Process) => 1,
            (_, Concurrency::Thread { threads_per_worker }) => threads_per_worker,
        }
    }
}

/// A handle of a running pool: cheap to clone, usable from any task. Once its [`Hatchery`](crate::Hatchery) is shut
/// down or dropped, every call fails with [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable).
#[derive(Clone)]
pub struct Pool {
    crew: Arc<Crew>,
}

/// Keeps nothing of a pool.
pub(crate) struct WeakPool(Weak<Crew>);

impl WeakPool {
    pub(crate) fn upgrade(&self) -> Option<Pool> {
        self.0.upgrade().map(Pool::new)
    }
}

impl Pool {
    pub(crate) fn new(crew: Arc<Crew>) -> Pool {
        Pool { crew }
    }

    pub(crate) fn downgrade(&self) -> WeakPool {
        WeakPool(Arc::downgrade(&self.crew))
    }

    /// How long a call may take of which nobody says so.
    pub(crate) fn usual_timeout(&self, tool: &str, args: &Payload) -> Option<Duration> {
        let now = Instant::now();
        let deadline = self.shared().deadline(tool, args, &CallOptions::default(), false, now);
        deadline.map(|deadline| deadline.left(now))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.crew.shared
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
        let result = self.shared().call(tool, args, &options).await?;
        result.decode().map_err(|error| options.mark(error.context(format_args!("{tool}: its result"))))
    }

    /// [`Pool::call`] without looking into arguments or result: JSON bytes and attachments pass through.
    pub async fn call_payload(&self, tool: &str, args: Payload, options: &CallOptions) -> Result<Payload> {
        self.shared().call(tool, args, &options.identified()).await
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
        self.shared().stream(tool, args, options.identified())
    }

    /// Calls of one session.
    ///
    /// ```no_run
    /// # async fn example(pool: hatchery::Pool) -> hatchery::Result<()> {
    /// use hatchery::Affinity;
    /// let chat = pool.session("user-7").affinity(Affinity::StrictQueue);
    /// chat.call::<()>("remember", serde_json::json!({ "k": "v" })).await?;
    /// # Ok(()) }
    /// ```
    pub fn session(&self, id: &str) -> PoolSession {
        PoolSession::new(self.clone(), id)
    }

    /// The tools of the app, in the app's order. Empty until the first worker was ready.
    pub fn tools(&self) -> Arc<[ToolSpec]> {
        self.shared().tools()
    }

    /// Waits until a worker is ready, at most so long. At once if one is.
    ///
    /// # Errors
    /// `unavailable`, at once, if no worker is to be expected soon, with the reason; after the shutdown too. `deadline`.
    pub async fn await_ready(&self, within: Duration) -> Result<()> {
        self.awaited(within, "a worker is ready", self.shared().standing.one_ready()).await
    }

    /// Waits until the first start of every worker has come to an end, at most so long.
    ///
    /// # Errors
    /// As [`Pool::await_ready`].
    pub async fn await_all(&self, within: Duration) -> Result<()> {
        self.awaited(within, "every worker has started", self.shared().standing.all_decided()).await
    }

    async fn awaited(
        &self,
        within: Duration,
        what: &str,
        state: impl Future<Output = Result<(), Option<Error>>>,
    ) -> Result<()> {
        let late = || {
            let message = format!("pool {}: {within:?} passed before {what}", self.name());
            self.shared().standing.explain(Error::new(ErrorKind::Deadline, message))
        };
        match tokio::time::timeout(within, state).await.map_err(|_| late())? {
            Ok(()) => Ok(()),
            Err(Some(verdict)) => Err(self.shared().unavailable(&verdict)),
            Err(None) => Err(self.shut_down()),
        }
    }

    /// What has become of its calls so far.
    pub fn stats(&self) -> PoolStats {
        self.shared().stats()
    }

    /// Every number that it counts, as it is now.
    pub fn metrics(&self) -> PoolMetrics {
        self.shared().metrics()
    }

    /// Its circuit breakers, if it has any: their states, and to reset them.
    pub fn breakers(&self) -> Option<Breakers> {
        self.shared().rules().guard.breakers().cloned()
    }

    /// How its workers have crashed of late.
    pub fn health(&self) -> HealthStats {
        self.shared().rules().guard.health()
    }

    /// Forgets how its workers have crashed.
    pub fn reset_health(&self) {
        self.shared().rules().guard.reset_health();
    }

    /// How busy the pool is at this moment.
    pub fn status(&self) -> PoolStatus {
        self.shared().status()
    }

    /// The workers, by seat.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.shared().statuses()
    }

    /// Room for a value of so many bytes, to be filled and passed to a worker of this pool without a copy: wrap it in an
    /// [`Array`](crate::Array) ([`Array::from_buffer`](crate::Array::from_buffer)) or a [`Binary`](crate::Binary). Where there is no
    /// shared memory, or no room in it, it is memory of this process, and the value is copied when it is sent;
    /// [`Buffer::is_shared`] tells. Takes memory from the kernel in this thread, if none lies ready.
    ///
    /// # Errors
    /// `unavailable` after the shutdown.
    pub fn buffer(&self, length: usize) -> Result<Buffer> {
        self.must_be_open()?;
        Ok(self.shared().buffer(length))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.shared().name
    }

    fn must_be_open(&self) -> Result<()> {
        if self.shared().standing.is_closed() { Err(self.shut_down()) } else { Ok(()) }
    }

    fn shut_down(&self) -> Error {
        Error::new(ErrorKind::Unavailable, format!("pool {} is shut down", self.name()))
    }

    /// Sets which telemetry events its workers send from now on, those to come too; what is `None` stays as it is. A newly read configuration
    /// that says something else than the last one goes before.
    ///
    /// # Errors
    /// `unavailable` if a worker cannot be told. The others are.
    pub fn set_telemetry(&self, settings: &Telemetry) -> Result<()> {
        self.shared().measure(settings)
    }
}
