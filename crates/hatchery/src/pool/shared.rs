//! What the handles, the callers and the workers of one pool share: asks the roster, and carries out what it says in the
//! thread of whoever brings the news.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::{Config, PoolStatus, Starts, WorkerStatus, roster};
use crate::app::App;
use crate::call::{CallOptions, Deadline, Stage};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, WorkerId};
use crate::process::{self, Terminator};
use crate::tool::{ToolSpec, near_match};
use crate::value::Payload;
use crate::worker::{Call, Line, Owner, Sink};

/// See the head of this file.
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) app: Arc<dyn App>,
    pub(crate) config: Config,
    /// Why the last worker ended, until one is ready again.
    last_end: Mutex<Option<Error>>,
    roster: Mutex<roster::Roster<Call, Arc<Line>>>,
    tools: OnceLock<Tools>,
    /// Of the process in each seat. For a synchronous end; harmless once that process is reaped.
    terminators: Mutex<HashMap<usize, Terminator>>,
    pub(super) starts: Starts,
}

struct Tools {
    specs: Arc<[ToolSpec]>,
    by_name: HashMap<Arc<str>, bool>,
}

/// An admitted call. Dropped before its answer came, it gives the call up.
pub(super) struct Ticket {
    pub(super) shared: Arc<Shared>,
    pub(super) id: CallId,
    pub(super) deadline: Option<Deadline>,
    /// Set if the call had to queue.
    pub(super) queue_deadline: Option<Deadline>,
    pub(super) is_over: bool,
}

impl Ticket {
    pub(super) fn answered<T>(mut self, reply: Result<Result<T>, oneshot::error::RecvError>) -> Result<T> {
        self.is_over = true;
        reply.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "the pool was dropped")))
    }

    /// Gives the call up because its time is over.
    pub(super) fn expired(mut self) -> Error {
        self.is_over = true;
        self.shared.expired(self.id, self.deadline)
    }

    /// Gives the call up if it still waits.
    pub(super) fn expired_in_queue(&self) -> Option<Error> {
        self.shared.expired_in_queue(self.id, self.queue_deadline)
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
            last_end: Mutex::default(),
            roster: Mutex::new(roster::Roster::new(roster)),
            tools: OnceLock::new(),
            terminators: Mutex::default(),
            starts,
        }
    }

    /// Takes a call in, unless it is known to be wrong before a worker sees it.
    pub(super) fn admit(
        self: &Arc<Shared>,
        tool: &str,
        args: Payload,
        options: &CallOptions,
        sink: Sink,
    ) -> Result<Ticket> {
        let call = self.prepare(tool, args, options, sink)?;
        let deadline = call.deadline;
        let (id, queue_deadline) = self.place(call)?;
        Ok(Ticket { shared: Arc::clone(self), id, deadline, queue_deadline, is_over: false })
    }

    fn prepare(&self, tool: &str, args: Payload, options: &CallOptions, sink: Sink) -> Result<Call> {
        let is_stream = matches!(sink, Sink::Stream(_));
        let tool = self.tool(tool, is_stream)?;
        if !args.is_object() {
            return Err(Error::new(ErrorKind::Validation, format!("{tool}: arguments must be a JSON object")));
        }
        let timeouts = &self.config.timeouts;
        let timeout = options
            .timeout
            .or_else(|| args.as_raw().and_then(|args| self.app.timeout(&tool, args)))
            .or(if is_stream { timeouts.stream } else { timeouts.call });
        Ok(Call {
            tool,
            arguments: args,
            correlation_id: options.correlation_id.as_deref().unwrap_or_default().into(),
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

    /// To a worker or into the queue. Says until when it may wait there.
    fn place(&self, call: Call) -> Result<(CallId, Option<Deadline>)> {
        let admission = self.roster().admit(call);
        match admission {
            roster::Admission::Send(send) => {
                let id = send.id;
                self.carry_out(send);
                Ok((id, None))
            }
            roster::Admission::Queued(id) => {
                let allowed = self.config.timeouts.queue;
                Ok((id, allowed.and_then(|allowed| Deadline::after(Instant::now(), allowed))))
            }
            roster::Admission::Full(_) => {
                let message = format!("the queue of pool {} is full ({} calls wait)", self.name, self.config.max_queue);
                Err(Error::new(ErrorKind::Saturated, message))
            }
            roster::Admission::Closed(_) => Err(self.closed()),
        }
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
            roster::Place::Queue(_) => return Stage::Queue,
            roster::Place::Worker(worker) => worker.cancel(id),
            roster::Place::Nowhere => {}
        }
        Stage::Run
    }

    /// Gives a call up because its time is over.
    pub(super) fn expired(&self, id: CallId, deadline: Option<Deadline>) -> Error {
        let stage = self.give_up(id);
        let Some(deadline) = deadline else { return Error::new(ErrorKind::Deadline, "deadline passed") };
        match stage {
            Stage::Queue => self.expired_waiting(deadline),
            stage => deadline.error(stage),
        }
    }

    /// Gives a call up because it has waited long enough. `None`: it waits no more.
    pub(super) fn expired_in_queue(&self, id: CallId, deadline: Option<Deadline>) -> Option<Error> {
        let deadline = deadline?;
        let withdrawn = self.roster().withdraw(id);
        withdrawn.map(|_never_runs| self.expired_waiting(deadline))
    }

    /// If there was no worker to wait for, that one is the reason.
    fn expired_waiting(&self, deadline: Deadline) -> Error {
        let error = deadline.error(Stage::Queue);
        if self.has_ready_worker() {
            return error;
        }
        match &*self.lock_last_end() {
            Some(end) => error.because(format_args!("no worker is ready: {end}"), end),
            None => error,
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

    pub(super) fn tools(&self) -> Arc<[ToolSpec]> {
        self.tools.get().map_or_else(|| Arc::from([]), |tools| Arc::clone(&tools.specs))
    }

    pub(super) fn status(&self) -> PoolStatus {
        let roster = self.roster();
        PoolStatus {
            pool: self.name.to_string(),
            workers: self.config.workers,
            ready: (0..self.config.workers).filter(|seat| roster.ready_worker(*seat).is_some()).count(),
            queued: roster.queued(),
            running: roster.running(),
        }
    }

    pub(super) fn statuses(&self) -> Vec<WorkerStatus> {
        let mut statuses: Vec<WorkerStatus> = {
            let roster = self.roster();
            (0..self.config.workers).map(|seat| self.status_of(seat, roster.seat(seat))).collect()
        };
        // Reads a file each: not while the roster is held.
        for status in &mut statuses {
            status.rss_bytes = status.pid.and_then(process::resident_bytes);
        }
        statuses
    }

    /// Of the workers that are ready.
    pub(super) fn lines(&self) -> Vec<Arc<Line>> {
        let roster = self.roster();
        (0..self.config.workers).filter_map(|seat| roster.ready_worker(seat)).cloned().collect()
    }

    fn has_ready_worker(&self) -> bool {
        let roster = self.roster();
        (0..self.config.workers).any(|seat| roster.ready_worker(seat).is_some())
    }

    fn status_of(&self, seat: usize, occupant: roster::Occupant<'_, Arc<Line>>) -> WorkerStatus {
        let since = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).map(|age| age.as_secs_f64()).ok();
        let line = occupant.worker;
        let answered = line.map(|line| line.answered()).unwrap_or_default();
        WorkerStatus {
            id: WorkerId::new(&self.name, seat).to_string(),
            pool: self.name.to_string(),
            state: occupant.state,
            pid: line.map(|line| line.pid),
            generation: line.map_or(0, |line| line.generation),
            in_flight: occupant.load,
            calls: answered.calls,
            errors: answered.errors,
            rss_bytes: None,
            started_at: line.and_then(|line| since(line.started_at)),
        }
    }

    /// A worker has left its seat, after so long a life. Says how long to wait before the next start.
    pub(super) fn gone(&self, seat: usize, lived: Duration) -> Duration {
        self.roster().gone(seat, lived)
    }

    /// Nobody sits here, and nobody will.
    pub(super) fn vacate(&self, seat: usize) {
        self.roster().vacate(seat);
    }

    /// Why a worker ended, for those who wait for the next.
    pub(super) fn remember_end(&self, end: &Error) {
        *self.lock_last_end() = Some(end.clone());
    }

    fn roster(&self) -> MutexGuard<'_, roster::Roster<Call, Arc<Line>>> {
        // A panic in the roster would be a bug of ours; going on with its state hurts fewer than failing every call.
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_last_end(&self) -> MutexGuard<'_, Option<Error>> {
        self.last_end.lock().unwrap_or_else(PoisonError::into_inner)
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
        *self.lock_last_end() = None;
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

    fn unkillable(&self, seat: usize) {
        self.roster().hold(seat);
    }
}
