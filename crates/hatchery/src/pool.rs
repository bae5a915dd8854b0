//! A pool: workers of one app, a queue before them. `pool/roster.rs` decides; this file carries out, in the thread of
//! whoever brings the news.

mod keeper;
mod roster;
mod stream;

pub use stream::{PayloadStream, ReplyStream};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::app::App;
use crate::call::{CallOptions, Deadline, Stage, passed};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, WorkerId, new_correlation_id};
use crate::process::Terminator;
use crate::tool::{ToolSpec, near_match};
use crate::value::Payload;
use crate::wire::Telemetry;
use crate::worker::{self, Call, Line, Owner, Sink};

pub(crate) use keeper::{Keeper, Starts};

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

/// What a pool obeys.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    pub(crate) max_queue: usize,
    pub(crate) timeouts: Timeouts,
    pub(crate) worker: worker::Config,
}

impl Default for Config {
    fn default() -> Config {
        Config { workers: 1, max_queue: 1000, timeouts: Timeouts::default(), worker: worker::Config::default() }
    }
}

/// A handle of a running pool: cheap to clone, usable from any task. Once its [`Hatchery`](crate::Hatchery) is shut
/// down or dropped, every call fails with [`ErrorKind::Unavailable`].
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// What one worker of a pool is doing, for `workers --json` and its like.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Like `default-3`.
    pub id: String,
    /// The pool.
    pub pool: String,
    /// `starting`, `idle` or `busy`.
    pub state: &'static str,
    /// The process id, once the worker is ready.
    pub pid: Option<i32>,
    /// How many workers have had this id before, plus one.
    pub generation: u64,
    /// Calls that it runs now.
    pub in_flight: usize,
    /// When it became ready, in seconds since 1970.
    pub started_at: Option<f64>,
}

/// What the handles, the callers and the workers of one pool share.
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) app: Arc<dyn App>,
    pub(crate) config: Config,
    roster: Mutex<roster::Roster<Call, Arc<Line>>>,
    tools: OnceLock<Tools>,
    /// Of the process in each seat. For a synchronous end; harmless once that process is reaped.
    terminators: Mutex<HashMap<usize, Terminator>>,
    starts: Starts,
}

struct Tools {
    specs: Arc<[ToolSpec]>,
    by_name: HashMap<Arc<str>, bool>,
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
        let result = self.call_payload(tool, Payload::encode(&args)?, options).await?;
        result.decode().map_err(|error| error.context(format_args!("{tool}: its result")))
    }

    /// [`Pool::call`] without looking into arguments or result: JSON bytes and attachments pass through.
    pub async fn call_payload(&self, tool: &str, args: Payload, options: &CallOptions) -> Result<Payload> {
        let (caller, reply) = oneshot::channel();
        let call = self.shared.prepare(tool, args, options, false, Sink::Unary(caller))?;
        let (deadline, correlation_id) = (call.deadline, Arc::clone(&call.correlation_id));
        let result = match self.shared.admit(call) {
            Ok(ticket) => self.reply(ticket, deadline, reply).await,
            Err(error) => Err(error),
        };
        result.map_err(|error| error.with_correlation_id(&correlation_id))
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
        let chunks = self.stream_payload(tool, Payload::encode(&args)?, options).await?;
        Ok(ReplyStream::new(tool, chunks))
    }

    /// [`Pool::stream`] without looking into arguments or chunks.
    pub async fn stream_payload(&self, tool: &str, args: Payload, options: &CallOptions) -> Result<PayloadStream> {
        let (caller, items) = mpsc::unbounded_channel();
        let call = self.shared.prepare(tool, args, options, true, Sink::Stream(caller))?;
        let (deadline, correlation_id) = (call.deadline, Arc::clone(&call.correlation_id));
        match self.shared.admit(call) {
            Ok(ticket) => Ok(PayloadStream::new(ticket, items, deadline, correlation_id)),
            Err(error) => Err(error.with_correlation_id(&correlation_id)),
        }
    }

    /// The tools of the app, in the app's order. Empty until the first worker was ready.
    pub fn tools(&self) -> Arc<[ToolSpec]> {
        self.shared.tools.get().map_or_else(|| Arc::from([]), |tools| Arc::clone(&tools.specs))
    }

    /// The workers, by seat.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        let roster = self.shared.roster();
        (0..self.shared.config.workers).map(|seat| self.shared.status_of(seat, roster.seat(seat))).collect()
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
        let lines: Vec<Arc<Line>> = {
            let roster = self.shared.roster();
            (0..self.shared.config.workers)
                .filter_map(|seat| roster.seat(seat))
                .map(|(line, _)| Arc::clone(line))
                .collect()
        };
        lines.iter().try_for_each(|line| line.telemetry(settings))
    }

    async fn reply(
        &self,
        ticket: Ticket,
        deadline: Option<Deadline>,
        mut reply: oneshot::Receiver<Result<Payload>>,
    ) -> Result<Payload> {
        if let Some(queue_deadline) = ticket.queue_deadline {
            tokio::select! {
                biased;
                reply = &mut reply => return ticket.answered(reply),
                () = passed(Some(queue_deadline)) => if self.shared.roster().withdraw(ticket.id).is_some() {
                    return Err(queue_deadline.error(Stage::Queue));
                },
            }
        }
        tokio::select! {
            biased;
            reply = &mut reply => ticket.answered(reply),
            () = passed(deadline) => Err(ticket.expired(deadline)),
        }
    }
}

/// An admitted call. Dropped before its answer came, it gives the call up.
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    id: CallId,
    /// Set if the call had to queue.
    queue_deadline: Option<Deadline>,
    is_over: bool,
}

impl Ticket {
    fn answered<T>(mut self, reply: Result<Result<T>, oneshot::error::RecvError>) -> Result<T> {
        self.is_over = true;
        reply.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "the pool was dropped")))
    }

    /// Gives the call up because its time is over.
    fn expired(mut self, deadline: Option<Deadline>) -> Error {
        self.is_over = true;
        let stage = self.shared.give_up(self.id);
        deadline.map_or_else(|| Error::new(ErrorKind::Deadline, "deadline passed"), |deadline| deadline.error(stage))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.give_up(self.id);
        }
    }
}

impl Shared {
    pub(crate) fn new(name: &str, app: Arc<dyn App>, config: Config, starts: Starts) -> Shared {
        let roster = roster::Config { seats: config.workers, per_worker: 1, max_queue: config.max_queue };
        Shared {
            name: name.into(),
            app,
            config,
            roster: Mutex::new(roster::Roster::new(roster)),
            tools: OnceLock::new(),
            terminators: Mutex::default(),
            starts,
        }
    }

    /// Everything that can be known to be wrong before a worker sees the call.
    fn prepare(&self, tool: &str, args: Payload, options: &CallOptions, stream: bool, sink: Sink) -> Result<Call> {
        let tool = self.tool(tool, stream)?;
        if !args.is_object() {
            return Err(Error::new(ErrorKind::Validation, format!("{tool}: arguments must be a JSON object")));
        }
        let timeouts = &self.config.timeouts;
        let timeout = options
            .timeout
            .or_else(|| args.as_raw().and_then(|args| self.app.timeout(&tool, args)))
            .or(if stream { timeouts.stream } else { timeouts.call });
        Ok(Call {
            tool,
            arguments: args,
            correlation_id: options.correlation_id.clone().unwrap_or_else(new_correlation_id).into(),
            session: options.session.clone(),
            deadline: timeout.and_then(|timeout| Deadline::after(Instant::now(), timeout)),
            sink,
        })
    }

    fn tool(&self, name: &str, stream: bool) -> Result<Arc<str>> {
        let unavailable = || Error::new(ErrorKind::Unavailable, format!("pool {} has not started", self.name));
        let tools = self.tools.get().ok_or_else(unavailable)?;
        let Some((name, is_streaming)) = tools.by_name.get_key_value(name) else {
            let near = near_match(name, tools.specs.iter().map(|spec| spec.name.as_str()));
            return Err(Error::new(ErrorKind::NotFound, format!("no such tool: {name}{near}")));
        };
        match (*is_streaming, stream) {
            (true, false) => {
                Err(Error::new(ErrorKind::Validation, format!("{name} is a streaming tool: use `stream`")))
            }
            (false, true) => Err(Error::new(ErrorKind::Validation, format!("{name} returns once: use `call`"))),
            _ => Ok(Arc::clone(name)),
        }
    }

    fn admit(self: &Arc<Shared>, call: Call) -> Result<Ticket> {
        let admission = self.roster().admit(call);
        let (id, is_queued) = match admission {
            roster::Admission::Send(send) => {
                let id = send.id;
                self.carry_out(send);
                (id, false)
            }
            roster::Admission::Queued(id) => (id, true),
            roster::Admission::Full(_) => {
                let message = format!("the queue of pool {} is full ({} calls wait)", self.name, self.config.max_queue);
                return Err(Error::new(ErrorKind::Saturated, message));
            }
            roster::Admission::Closed(_) => return Err(self.closed()),
        };
        let allowed = self.config.timeouts.queue.filter(|_| is_queued);
        let queue_deadline = allowed.and_then(|allowed| Deadline::after(Instant::now(), allowed));
        Ok(Ticket { shared: Arc::clone(self), id, queue_deadline, is_over: false })
    }

    /// Writes the call to its worker. One that the worker cannot take frees its place for the next.
    fn carry_out(&self, send: roster::Send<Call, Arc<Line>>) {
        let mut next = Some(send);
        while let Some(roster::Send { id, call, worker }) = next {
            next = if worker.send(id, call) { None } else { self.roster().done(id) };
        }
    }

    /// Nobody waits for the call any more. Says where it was.
    fn give_up(&self, id: CallId) -> Stage {
        // The guard must go before the worker is told: writing may take a moment.
        let place = self.roster().give_up(id);
        match place {
            roster::Place::Queue(_) => Stage::Queue,
            roster::Place::Worker(worker) => {
                if let Some(worker) = worker {
                    worker.cancel(id);
                }
                Stage::Run
            }
            roster::Place::Nowhere => Stage::Run,
        }
    }

    /// Refuses new calls and those that wait.
    pub(crate) fn close(&self) {
        let waiting = self.roster().close();
        for call in waiting {
            call.sink.fail(self.closed());
        }
    }

    /// SIGKILL to every worker, now, in this thread.
    pub(crate) fn kill(&self) {
        for terminator in self.lock_terminators().values() {
            terminator.kill();
        }
    }

    fn closed(&self) -> Error {
        Error::new(ErrorKind::Unavailable, format!("pool {} is shut down", self.name)).with_retryable(false)
    }

    fn status_of(&self, seat: usize, ready: Option<(&Arc<Line>, usize)>) -> WorkerStatus {
        let since = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).map(|age| age.as_secs_f64()).ok();
        WorkerStatus {
            id: WorkerId::new(&self.name, seat).to_string(),
            pool: self.name.to_string(),
            state: ready.map_or("starting", |(_, load)| if load == 0 { "idle" } else { "busy" }),
            pid: ready.map(|(line, _)| line.pid),
            generation: ready.map_or(0, |(line, _)| line.generation),
            in_flight: ready.map_or(0, |(_, load)| load),
            started_at: ready.and_then(|(line, _)| since(line.started_at)),
        }
    }

    fn roster(&self) -> MutexGuard<'_, roster::Roster<Call, Arc<Line>>> {
        // A panic in the roster would be a bug of ours; going on with its state hurts fewer than failing every call.
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_terminators(&self) -> MutexGuard<'_, HashMap<usize, Terminator>> {
        self.terminators.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner for Shared {
    fn started(&self, seat: usize, terminator: Terminator) {
        self.lock_terminators().insert(seat, terminator);
    }

    fn ready(&self, seat: usize, line: Arc<Line>) {
        self.tools.get_or_init(|| Tools {
            specs: Arc::clone(&line.tools),
            by_name: line.tools.iter().map(|spec| (spec.name.as_str().into(), spec.streaming)).collect(),
        });
        let is_first = line.generation == 1;
        let sends = self.roster().ready(seat, line);
        for send in sends {
            self.carry_out(send);
        }
        if is_first {
            self.starts.ready();
        }
    }

    fn done(&self, id: CallId) {
        let next = self.roster().done(id);
        if let Some(send) = next {
            self.carry_out(send);
        }
    }

    fn retired(&self, seat: usize) {
        self.roster().retire(seat);
    }
}
