//! What the handles, the callers and the workers of one pool share: asks the roster, and carries out what it says in the
//! thread of whoever brings the news.

mod calling;
mod measured;
mod owner;
mod sessions;
mod staff;
mod tools;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::Config;
use super::counts::Counts;
use super::guard::TaintBook;
use super::roster::{Admission, Refusal, Roster, Step, ToolNumber, Wants, Whereabouts};
use super::rules::Rules;
use super::seat::Order;
use super::seats::Seats;
use super::standing::Standing;
use super::ticket::Ticket;
use crate::app::App;
use crate::call::{CallOptions, Deadline, Stage};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, LifeId, WorkerId};
use crate::memory::Arena;
use crate::process::Terminator;
use crate::session::Sessions;
use crate::telemetry::{Emitter, Event, PoolEvent, RecycleReason, ServiceEvent, log};
use crate::tool::ToolSpec;
use crate::value::Payload;
use crate::waiting::{Errand, Wait};
use crate::wire::Telemetry;
use crate::worker::{Answer, Call, Journey, Line, Sent, Sink};
use tools::{Known, Tools};

/// See the head of this file.
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    rules: watch::Sender<Arc<Rules>>,
    pub(super) emitter: Emitter,
    pub(super) sessions: Sessions,
    /// `None`: no memory is shared with its workers.
    pub(super) arena: Option<Arc<Arena>>,
    roster: Mutex<Roster<Call, Arc<Line>>>,
    /// Of the newest worker.
    tools: RwLock<Arc<Tools>>,
    /// Of every process. For a synchronous end; harmless once that process is reaped.
    terminators: Mutex<HashMap<LifeId, Terminator>>,
    pub(super) standing: Standing,
    pub(super) taints: Arc<TaintBook>,
    pub(super) counts: Counts,
    seats: Mutex<Seats>,
    /// Which telemetry events its workers send.
    measured: Mutex<Telemetry>,
    /// Rung when everything is served that was taken in, and no more is.
    drained: Notify,
}

impl Shared {
    pub(crate) fn new(
        name: &str,
        app: Arc<dyn App>,
        config: Config,
        emitter: Emitter,
        sessions: Sessions,
        taints: Arc<TaintBook>,
    ) -> Shared {
        let rules = Rules::new(name, app, config);
        Shared {
            name: name.into(),
            emitter,
            sessions,
            arena: rules.config.arena().map(|settings| Arc::new(Arena::new(settings))),
            roster: Mutex::new(Roster::new(rules.of_roster())),
            tools: RwLock::default(),
            terminators: Mutex::default(),
            standing: Standing::new(),
            taints,
            counts: Counts::default(),
            seats: Mutex::default(),
            measured: Mutex::new(rules.config.telemetry.clone()),
            drained: Notify::new(),
            rules: watch::Sender::new(Arc::new(rules)),
        }
    }

    /// What holds just now.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.borrow())
    }

    /// Tells when other rules hold; never of those that hold now.
    pub(super) fn rule_changes(&self) -> watch::Receiver<Arc<Rules>> {
        self.rules.subscribe()
    }

    /// From now on this holds: for calls that are made, and for workers that are started.
    pub(super) fn obey(&self, app: Arc<dyn App>, config: Config) -> Arc<Rules> {
        let before = self.rules();
        self.rules.send_modify(|held| *held = Arc::new(held.followed_by(&self.name, app, config)));
        let rules = self.rules();
        if rules.config.telemetry != before.config.telemetry {
            // What the new ones do not say is not to stay as the old ones said it.
            let _one_cannot_be_told = self.measure(&rules.config.telemetry.clone().over(Telemetry::all()));
        }
        self.change(|roster| roster.obey(rules.of_roster()));
        rules
    }

    /// Takes a call in, unless it is known to be wrong before a worker sees it.
    pub(super) fn admit(
        self: &Arc<Shared>,
        tool: &str,
        args: Payload,
        options: &CallOptions,
        deadline: Option<Deadline>,
        sink: Sink,
    ) -> Result<Ticket> {
        if self.standing.is_closed() {
            return Err(self.refused(Refusal::Closed { draining: false }));
        }
        let (mut call, known) = self.prepare(tool, args, options, deadline, sink)?;
        let (made, rules) = (call.made, self.rules());
        let wait_for = |errand: &Errand| errand.wait_for(&self.name, options.worker.as_deref());
        let wait = options.errand.as_ref().map(wait_for).transpose()?;
        call.mark = wait.as_ref().map(Wait::mark);
        let (id, queue_deadline) = self.place(call, tool, known.number, options, &rules)?;
        let (shared, meter, on_timeout) = (Arc::clone(self), known.meter, rules.config.on_timeout);
        Ok(Ticket { shared, id, deadline, queue_deadline, on_timeout, made, meter, is_over: false, _wait: wait })
    }

    fn prepare(
        &self,
        tool: &str,
        arguments: Payload,
        options: &CallOptions,
        deadline: Option<Deadline>,
        sink: Sink,
    ) -> Result<(Call, Known)> {
        let (tool, known) = self.tool(tool, matches!(sink, Sink::Stream(_)))?;
        if !arguments.is_object() {
            return Err(Error::new(ErrorKind::Validation, format!("{tool}: arguments must be a JSON object")));
        }
        self.require_told(&tool, options)?;
        let correlation_id = options.correlation_id.clone().unwrap_or_default();
        log::called(&self.name, &tool, &correlation_id, &arguments);
        let (session, handles, made) = (options.session.clone(), options.handles, Instant::now());
        let (trace_parent, deaths, mark) = (options.trace_parent.clone(), 0, None);
        let call = Call {
            tool,
            arguments,
            correlation_id,
            session,
            handles,
            trace_parent,
            metadata: options.metadata.clone(),
            deadline,
            sink,
            made,
            deaths,
            mark,
        };
        Ok((call, known))
    }

    /// Nothing that is said of a call is lost in silence.
    fn require_told(&self, tool: &str, options: &CallOptions) -> Result<()> {
        let Some(name) = options.metadata.as_ref().and_then(|metadata| metadata.keys().next()) else { return Ok(()) };
        let rules = self.rules();
        if rules.config.profile.is_some() || rules.config.transport.is_some() {
            return Ok(());
        }
        let message = format!("{tool}: workers of the native wire are told no metadata of a call, found `{name}`");
        Err(Error::new(ErrorKind::Validation, message))
    }

    /// Until when a call that is made then may take: as its caller says, else the pool for this tool, else the app, else the pool.
    pub(super) fn deadline(
        &self,
        tool: &str,
        args: &Payload,
        options: &CallOptions,
        is_stream: bool,
        made: Instant,
    ) -> Option<Deadline> {
        let rules = self.rules();
        let timeouts = &rules.config.timeouts;
        let timeout = options
            .timeout
            .or_else(|| rules.config.tool_timeouts.get(tool).copied())
            .or_else(|| timeout_of_app(&*rules.app, tool, args))
            .or(if is_stream { timeouts.stream } else { timeouts.call });
        timeout.and_then(|timeout| Deadline::after(made, timeout))
    }

    fn tool(&self, name: &str, stream: bool) -> Result<(Arc<str>, Known)> {
        let tools = Arc::clone(&self.tools.read().unwrap_or_else(PoisonError::into_inner));
        if tools.specs.is_empty() && !self.standing.was_ready() {
            return Err(self.not_started());
        }
        tools.look_up(name, stream)
    }

    /// What such a worker can be asked.
    fn tools_of(&self, line: &Line) -> Tools {
        Tools::of(line, |name| (self.roster().number_of(name), self.counts.meters.of(name)))
    }

    /// To a worker or into the queue. Says until when it may wait there.
    fn place(
        &self,
        call: Call,
        name: &str,
        tool: ToolNumber,
        options: &CallOptions,
        rules: &Rules,
    ) -> Result<(CallId, Option<Deadline>)> {
        // Nobody is to come soon: the reason says more than a timeout would.
        if let Some(verdict) = self.standing.verdict_if_nobody_is_ready() {
            return Err(self.unavailable(&verdict));
        }
        let now = call.made;
        let queue_deadline = rules.config.timeouts.queue.and_then(|allowed| Deadline::after(now, allowed));
        let wants = Wants {
            priority: options.priority,
            tenant: options.tenant.clone(),
            seat: self.named(options)?,
            session: self.session_of(options, rules.config.affinity)?,
            tool: call.may_be_sent_ahead().then_some(tool),
            expires: [queue_deadline, call.deadline].into_iter().flatten().map(|deadline| deadline.at()).min(),
        };
        let (admission, step) = self.roster().admit(call, wants, now);
        let admitted = match admission {
            Admission::Admitted { id, waits } => {
                if waits && step.is_none() {
                    self.tell_queued(name, options);
                }
                Ok((id, queue_deadline.filter(|_| waits)))
            }
            Admission::Refused(call, refusal) => {
                if refusal == Refusal::Full {
                    self.tell_saturated(&call);
                }
                Err(self.refused(refusal))
            }
        };
        self.carry_out(step);
        admitted
    }

    /// The seat of the one worker that a call is for.
    fn named(&self, options: &CallOptions) -> Result<Option<usize>> {
        let Some(worker) = options.worker.as_deref() else { return Ok(None) };
        if options.session.is_some() && !options.is_directed {
            let message = format!(
                "worker {worker}: a call of a session is not for a worker of one's choice: name one or the other"
            );
            return Err(Error::new(ErrorKind::Validation, message));
        }
        let missing = || Error::new(ErrorKind::NotFound, format!("no such worker in pool {}: {worker}", self.name));
        self.seat_of(worker).map(Some).ok_or_else(missing)
    }

    /// Does what the roster says, until it has nothing more to say.
    fn carry_out(&self, first: Option<Step<Call, Arc<Line>>>) {
        let mut next = first.or_else(|| self.next_step());
        while let Some(step) = next {
            match step {
                Step::Send { id, call, worker } => self.send(id, call, &worker),
                Step::Drop(call, refusal) => {
                    if refusal == Refusal::Expired {
                        self.tell_queue_timeout(&call);
                    }
                    let (result, journey) = (Err(self.refused(refusal)), Journey::waited(call.made));
                    call.sink.tell(Answer { result, journey });
                }
            }
            next = self.next_step();
        }
    }

    fn next_step(&self) -> Option<Step<Call, Arc<Line>>> {
        let (step, is_drained) = {
            let mut roster = self.roster();
            (roster.next(Instant::now()), roster.is_drained())
        };
        if is_drained {
            self.drained.notify_waiters();
        }
        step
    }

    /// Waits until nothing waits or runs, in a pool that takes no calls. Cancel safe.
    pub(super) async fn drained(&self) {
        loop {
            let rung = self.drained.notified();
            if self.roster().is_drained() {
                return;
            }
            rung.await;
        }
    }

    fn send(&self, id: CallId, call: Call, worker: &Arc<Line>) {
        let (session, start) = (call.session.clone(), self.start_of(&call, worker));
        let tell_start = || start.into_iter().for_each(|start| self.emitter.emit(Event::Call(start)));
        match worker.send(id, call, tell_start) {
            Sent::Written => {
                if let Some(session) = session {
                    self.sessions.store_worker(&session, &worker.id, worker.life.generation);
                }
                let (is_given_up, is_full) = {
                    let roster = self.roster();
                    (roster.is_given_up(id), roster.is_full(worker.life))
                };
                // Its caller gave it up after it was assigned and before it was written: nobody could tell the worker then.
                if is_given_up {
                    worker.cancel(id);
                }
                if is_full && self.rules().config.capacity == super::Capacity::Hybrid {
                    self.tell(PoolEvent::CapacityReached { worker: worker.id.clone() });
                }
            }
            Sent::Refused => self.finished(worker.life, &[id]),
            Sent::Dying(call) => {
                let retired = self.roster().take_back(id, *call, Instant::now());
                self.note_left(worker.life, retired.is_some_and(|retired| retired.was_ready));
            }
        }
    }

    /// A worker's place is free again. What follows from that for the worker is its seat's affair.
    fn finished(&self, life: LifeId, ids: &[CallId]) {
        let Some(done) = self.roster().done(life, ids, Instant::now()) else { return };
        let (seat, generation) = (done.life.seat, done.life.generation);
        if done.is_drained {
            self.order(seat, Order::Drained(generation));
        }
        // Again at every multiple: the word may come to one whose successor has failed.
        let limit = self.rules().config.recycle.max_requests;
        if limit.is_some_and(|limit| done.answered % limit.max(1) < done.newly) {
            self.order(seat, Order::Replace(generation, RecycleReason::MaxRequests));
        }
    }

    /// A place at a worker that has nothing to do, for a question of our own.
    pub(super) fn lease(&self, life: LifeId) -> Option<CallId> {
        self.roster().lease(life)
    }

    pub(super) fn end_lease(&self, life: LifeId, id: CallId) {
        self.finished(life, &[id]);
        self.carry_out(None);
    }

    /// Tells those that wait what has changed, and starts whatever can be started now.
    pub(super) fn change(&self, change: impl FnOnce(&mut Roster<Call, Arc<Line>>)) {
        change(&mut self.roster());
        self.carry_out(None);
    }

    /// Nobody waits for the call any more. It is there if it was in the queue.
    pub(super) fn give_up(&self, id: CallId) -> (Option<Call>, Journey) {
        // The guard must go before the worker is told: writing may take a moment.
        let place = self.roster().give_up(id);
        match place {
            Whereabouts::Queue(call) => {
                self.carry_out(None);
                let journey = Journey::waited(call.made);
                (Some(call), journey)
            }
            Whereabouts::Worker(worker) => {
                let journey = worker.journey(id).unwrap_or_default();
                worker.cancel(id);
                (None, journey)
            }
            Whereabouts::Nowhere => (None, Journey::default()),
        }
    }

    /// As [`Shared::give_up`], but one that runs goes on.
    fn let_finish(&self, id: CallId) -> (Option<Call>, Journey) {
        if let Some(call) = self.withdraw(id) {
            let journey = Journey::waited(call.made);
            return (Some(call), journey);
        }
        let worker = self.roster().runs_in(id);
        (None, worker.and_then(|worker| worker.journey(id)).unwrap_or_default())
    }

    /// Gives a call up because its time is over. One that `may_finish` keeps its worker's place until it has.
    pub(super) fn expired(&self, id: CallId, deadline: Option<Deadline>, may_finish: bool) -> (Error, Journey) {
        let (waiting, journey) = if may_finish { self.let_finish(id) } else { self.give_up(id) };
        let error = match (deadline, waiting) {
            (None, _) => Error::new(ErrorKind::Deadline, "deadline passed"),
            (Some(deadline), Some(call)) => self.expired_waiting(deadline, &call),
            (Some(deadline), None) => deadline.error(Stage::Run),
        };
        (error, journey)
    }

    /// Gives a call up because it has waited long enough. `None`: it waits no more.
    pub(super) fn expired_in_queue(&self, id: CallId, deadline: Option<Deadline>) -> Option<(Error, Journey)> {
        let (deadline, call) = (deadline?, self.withdraw(id)?);
        Some((self.expired_waiting(deadline, &call), Journey::waited(call.made)))
    }

    /// Takes the call out of the queue, if it is there.
    fn withdraw(&self, id: CallId) -> Option<Call> {
        // The call outlives the guard: what is dropped with it must not be dropped under the lock.
        let withdrawn = self.roster().withdraw(id);
        self.carry_out(None);
        withdrawn
    }

    /// If there was no worker to wait for, that one is the reason.
    fn expired_waiting(&self, deadline: Deadline, call: &Call) -> Error {
        self.counts.queue_timeouts.one_more();
        self.tell_queue_timeout(call);
        self.standing.explain(deadline.error(Stage::Queue))
    }

    /// Refuses new calls and those that wait.
    pub(crate) fn close(&self) {
        self.standing.close();
        self.change(Roster::close);
    }

    /// SIGKILL to every worker, now, in this thread.
    pub(crate) fn kill(&self) {
        for terminator in self.lock_terminators().values() {
            terminator.kill();
        }
    }

    /// Waits until the first start of every seat has come to an end. An error says why none has a worker.
    pub(crate) async fn standing_decided(&self) -> Result<(), Option<Error>> {
        self.standing.all_decided().await
    }

    /// Whether a worker is ready, or may be soon.
    pub(crate) fn can_serve(&self) -> bool {
        self.standing.verdict_if_nobody_is_ready().is_none()
    }

    pub(super) fn tools(&self) -> Arc<[ToolSpec]> {
        Arc::clone(&self.tools.read().unwrap_or_else(PoisonError::into_inner).specs)
    }

    /// Of the workers that are ready.
    pub(super) fn lines(&self) -> Vec<Arc<Line>> {
        self.roster().ready_workers().map(|(_, line)| Arc::clone(line)).collect()
    }

    /// A life is over.
    pub(super) fn gone(&self, life: LifeId) {
        self.lock_terminators().remove(&life);
        let was_ready = self.roster().gone(life);
        self.left(life, was_ready);
        self.bar_the_tainted();
    }

    /// Takes a worker out of service. It finishes what it has; then its seat is told.
    pub(super) fn retire(&self, life: LifeId) {
        let retired = self.roster().retire(life);
        self.left(life, retired.was_ready);
        if retired.is_drained {
            self.order(life.seat, Order::Drained(life.generation));
        }
    }

    /// A worker takes no more calls.
    fn left(&self, life: LifeId, was_ready: bool) {
        self.note_left(life, was_ready);
        self.carry_out(None);
    }

    /// What follows is in the next steps.
    fn note_left(&self, life: LifeId, was_ready: bool) {
        if was_ready {
            self.tell_broken(life);
            let news = self.standing.left();
            self.tell_unavailable(news);
            self.refuse_the_hopeless();
        }
    }

    /// Calls wait for a worker that is ready, whatever became of others; where none is and none is to be expected soon, for nobody.
    fn refuse_the_hopeless(&self) {
        if self.standing.verdict_if_nobody_is_ready().is_some() {
            self.roster().refuse_waiting(Refusal::NoWorkers);
        }
    }

    /// A worker died before it was ready, for the first time or again.
    pub(super) fn never_ready(&self, error: &Error, is_first_start: bool) {
        let news = self.standing.failed(error, is_first_start, self.rules().config.restarts);
        self.tell_unavailable(news);
        self.refuse_the_hopeless();
        self.carry_out(None);
    }

    /// A seat's first start has come to an end.
    pub(super) fn decided(&self) {
        let (news, all_decided) = self.standing.decided();
        self.tell_unavailable(news);
        all_decided.into_iter().for_each(|(ready, took)| self.tell_started(ready, took));
        self.refuse_the_hopeless();
        self.carry_out(None);
    }

    fn tell_unavailable(&self, news: Option<Error>) {
        if let Some(reason) = news {
            self.tell(PoolEvent::Unavailable { pool: self.name.to_string(), reason: reason.to_string() });
        }
    }

    pub(super) fn order(&self, seat: usize, order: Order) {
        self.lock_seats().order(seat, order);
    }

    /// Where the worker of this id sits.
    pub(super) fn seat_of(&self, worker: &str) -> Option<usize> {
        let seats = self.lock_seats();
        seats.wanted.iter().copied().find(|seat| WorkerId::new(&self.name, *seat).as_str() == worker)
    }

    /// The task that keeps a seat has panicked.
    pub(super) fn seat_failed(&self, seat: usize, message: &str, after: Duration) {
        let service = format!("seat {}", WorkerId::new(&self.name, seat));
        let (reason, restarts) = (format!("panicked: {message}"), 0);
        self.emitter.emit(Event::Service(ServiceEvent::Failed { service, reason, restarts, after }));
    }

    /// The number of the next life in this seat.
    pub(super) fn next_generation(&self, seat: usize) -> u64 {
        let mut seats = self.lock_seats();
        let generation = seats.generations.entry(seat).or_default();
        *generation += 1;
        *generation
    }

    pub(super) fn is_ready(&self, life: LifeId) -> bool {
        self.roster().is_ready(life)
    }

    /// Whether it was good for anything.
    pub(super) fn has_answered(&self, life: LifeId) -> bool {
        self.roster().answered(life) > 0
    }

    /// A call came back with an error.
    pub(super) fn count_error(&self) {
        self.counts.errors.one_more();
    }

    pub(super) fn recycled(&self, reason: RecycleReason) {
        self.counts.recycled.one_more(reason);
    }

    pub(super) fn tell(&self, event: PoolEvent) {
        self.emitter.emit(Event::Pool(event));
    }

    pub(super) fn roster(&self) -> MutexGuard<'_, Roster<Call, Arc<Line>>> {
        // A panic in the roster would be a bug of ours; going on with its state hurts fewer than failing every call.
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_terminators(&self) -> MutexGuard<'_, HashMap<LifeId, Terminator>> {
        self.terminators.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn timeout_of_app(app: &dyn App, tool: &str, args: &Payload) -> Option<Duration> {
    app.has_timeouts().then(|| app.timeout(tool, args.as_raw()?)).flatten()
}
