//! Calls that tasks of this program see through, for workers that do not speak the native wire; and the life of those that are no
//! process, made by a [`Profile`].

mod items;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::word::told;
use super::{
    Answer, Answered, Call, Exit, Given, Item, Journey, Line, Means, Owner, Profile, ProfileCall, ProfileWorker, Seat,
    Sent, Sink, Stop, Vitals, WorkerContext,
};
use crate::call::{Deadline, passed};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, LifeId, WorkerId};
use crate::process::Escalation;
use crate::telemetry::{Event, WorkerEvent};
use crate::value::Payload;
use crate::wire::{HEALTH_TOOL, Telemetry};
use items::Credit;
pub use items::ProfileItems;

/// The calls of one worker.
pub(super) struct OwnLine {
    worker: Arc<dyn ProfileWorker>,
    owner: Arc<dyn Owner>,
    id: WorkerId,
    life: LifeId,
    runtime: Handle,
    open: Mutex<Open>,
    /// How many are open; what ends them is told by it.
    count: watch::Sender<usize>,
    calls: AtomicU64,
    errors: AtomicU64,
    given_up: GivenUp,
}

/// What becomes of a unary call that is given up.
pub(super) enum GivenUp {
    /// It is dropped, and that ends it.
    Dropped,
    /// It goes on in its worker. Whoever hears of it here decides how long.
    Told(mpsc::UnboundedSender<CallId>),
}

#[derive(Default)]
struct Open {
    calls: HashMap<CallId, OpenCall>,
    /// It takes no more, and those that it had were ended for this reason.
    closed: Option<Error>,
}

struct OpenCall {
    task: AbortHandle,
    given: Given,
    /// Of a stream.
    credit: Option<Credit>,
}

/// Whatever becomes of a life, its calls end with it.
pub(super) struct Closing(pub(super) Arc<OwnLine>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close(&cancelled());
    }
}

impl OwnLine {
    pub(super) fn new(seat: &Seat, worker: Arc<dyn ProfileWorker>, given_up: GivenUp) -> Arc<OwnLine> {
        Arc::new(OwnLine {
            worker,
            owner: Arc::clone(&seat.owner),
            id: seat.id.clone(),
            life: seat.life,
            runtime: Handle::current(),
            open: Mutex::default(),
            count: watch::Sender::new(0),
            calls: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            given_up,
        })
    }

    /// The handle by which its pool has it.
    pub(super) fn line(self: &Arc<OwnLine>, seat: &Seat, pid: Option<i32>, vitals: &Arc<Vitals>) -> Arc<Line> {
        Arc::new(Line {
            id: seat.id.clone(),
            life: seat.life,
            pid,
            started_at: SystemTime::now(),
            tools: self.worker.tools().into(),
            takes_any_tool: self.worker.takes_any_tool(),
            runtime: None,
            vitals: Arc::clone(vitals),
            means: Means::Own(Arc::clone(self)),
        })
    }

    pub(super) fn send(self: &Arc<OwnLine>, line: &Arc<Line>, id: CallId, call: Call, first: impl FnOnce()) -> Sent {
        let mut open = self.open();
        if open.closed.is_some() {
            return Sent::Dying(Box::new(call));
        }
        let Call {
            tool, arguments, correlation_id, session, trace_parent, metadata, deadline, sink, made, mark, ..
        } = call;
        let given = Given { life: self.life, made, at: std::time::Instant::now(), is_serial: false };
        let metadata = metadata.map(Arc::unwrap_or_clone).unwrap_or_default();
        let deadline = deadline.map(|deadline| deadline.at());
        let call =
            ProfileCall { number: id, tool, arguments, correlation_id, session, trace_parent, metadata, deadline };
        let counts = &*call.tool != HEALTH_TOOL;
        let streamed = Streamed::begin(&sink, line);
        let credit = streamed.as_ref().map(|stream| stream.credit.clone());
        let place = Place { line: Arc::clone(self), id, life: self.life, counts, given, sink: Some(sink) };
        self.count.send_modify(|count| *count += 1);
        first();
        let task = self.runtime.spawn(async move {
            mark.into_iter().for_each(|mark| mark.runs_in(&place.line.id, place.life.generation, id));
            let result = match streamed {
                Some(Streamed { items, .. }) => place.line.worker.stream(call, items).await.map(|()| Payload::null()),
                None => place.line.answer(call).await,
            };
            place.end(result);
        });
        open.calls.insert(id, OpenCall { task: task.abort_handle(), given, credit });
        Sent::Written
    }

    pub(super) fn cancel(&self, id: CallId) {
        let open = self.open();
        let Some(call) = open.calls.get(&id) else { return };
        match &self.given_up {
            // Its worker hears of it at its next item; nobody else can say when it has ended.
            _ if call.credit.is_some() => call.task.abort(),
            GivenUp::Dropped => call.task.abort(),
            // Nobody listens to a life that is over, and whose calls are ended with it.
            GivenUp::Told(listener) => drop(listener.send(id)),
        }
    }

    /// Lets a stream send so many bytes more.
    pub(super) fn credit(&self, id: CallId, bytes: u32) {
        if let Some(credit) = self.open().calls.get(&id).and_then(|call| call.credit.as_ref()) {
            credit.grant(bytes);
        }
    }

    pub(super) fn is_open(&self, id: CallId) -> bool {
        self.open().calls.contains_key(&id)
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        *self.count.borrow()
    }

    /// Resolves when there are other calls than now, or as many others.
    pub(super) fn changes(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    pub(super) fn journey(&self, id: CallId) -> Option<Journey> {
        self.open().calls.get(&id).map(|call| call.given.ended(std::time::Instant::now(), None))
    }

    pub(super) fn answered(&self) -> Answered {
        Answered { calls: self.calls.load(Ordering::Relaxed), errors: self.errors.load(Ordering::Relaxed) }
    }

    pub(super) fn telemetry(&self, settings: &Telemetry) -> Result<()> {
        self.worker.telemetry(settings).map_err(|error| error.context(format_args!("worker {}", self.id)))
    }

    pub(super) fn load(&self) -> Option<usize> {
        self.worker.load()
    }

    async fn answer(&self, call: ProfileCall) -> Result<Payload> {
        if &*call.tool != HEALTH_TOOL {
            return self.worker.execute(call).await;
        }
        let unwell = self.worker.health().await.err().map(|error| error.to_string());
        Payload::encode(&serde_json::json!({
            "healthy": unwell.is_none(),
            "details": unwell.map(|message| serde_json::json!({ "message": message })),
        }))
    }

    /// Waits for those that are open, at most so long, and ends those that are left.
    async fn finish(&self, how: Escalation, why: &Error) {
        let finished = tokio::time::timeout(how.ask, self.is_idle()).await.is_ok();
        if !finished {
            self.close(why);
        }
    }

    /// Resolves when no call is open.
    pub(super) async fn is_idle(&self) {
        // The sender lives as long as this does.
        let _never_fails = self.count.subscribe().wait_for(|count| *count == 0).await.is_ok();
    }

    /// Takes no more calls, and ends those that it has for this reason.
    pub(super) fn close(&self, why: &Error) {
        let calls: Vec<AbortHandle> = {
            let mut open = self.open();
            open.closed.get_or_insert_with(|| why.clone());
            open.calls.values().map(|call| call.task.clone()).collect()
        };
        calls.iter().for_each(AbortHandle::abort);
    }

    /// Why a call ends that nobody has answered.
    fn end_of_a_call(&self) -> Error {
        self.open().closed.clone().unwrap_or_else(cancelled)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a streaming call sends its items by.
struct Streamed {
    items: ProfileItems,
    credit: Credit,
}

impl Streamed {
    /// Its reader knows by whom credit is granted before the first item can come. `None`: it is a unary call.
    fn begin(sink: &Sink, line: &Arc<Line>) -> Option<Streamed> {
        let Sink::Stream(reader) = sink else { return None };
        let _given_up = reader.send(Item::Begun(Arc::clone(line)));
        let credit = Credit::new();
        Some(Streamed { items: ProfileItems::new(reader.clone(), credit.clone()), credit })
    }
}

/// A call that is open. However its task ends, its caller hears of it, and its place is free.
struct Place {
    line: Arc<OwnLine>,
    id: CallId,
    life: LifeId,
    /// It is somebody's call, and not a question of our own.
    counts: bool,
    given: Given,
    sink: Option<Sink>,
}

impl Place {
    fn end(mut self, result: Result<Payload>) {
        self.tell(result);
    }

    /// The place is free before the caller knows.
    fn tell(&mut self, result: Result<Payload>) {
        let Some(sink) = self.sink.take() else { return };
        self.line.open().calls.remove(&self.id);
        self.line.calls.fetch_add(u64::from(self.counts), Ordering::Relaxed);
        self.line.errors.fetch_add(u64::from(self.counts && result.is_err()), Ordering::Relaxed);
        if let Err(error) = &result
            && error.kind() == ErrorKind::Remote
        {
            self.line.owner.raised(self.life, error);
        }
        self.line.owner.done(self.life, &[self.id]);
        sink.tell(Answer { result, journey: self.given.ended(std::time::Instant::now(), None) });
        self.line.count.send_modify(|count| *count -= 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let error = match std::thread::panicking() {
            true => Error::new(ErrorKind::Internal, "the worker panicked in this call"),
            false => self.line.end_of_a_call(),
        };
        self.tell(Err(error));
    }
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the call was cancelled")
}

/// One life. Ends when the worker has stopped.
pub(super) async fn run(seat: Arc<Seat>, profile: Arc<dyn Profile>, mut stop: Stop) -> Exit {
    let never_ready = |error: Error| Exit::NeverReady(error.context(format_args!("start worker {}", seat.id)));
    let born = Instant::now();
    let worker = match start(&seat, &*profile, &mut stop).await {
        Ok(worker) => worker,
        Err(error) => return never_ready(error),
    };
    let line = OwnLine::new(&seat, Arc::clone(&worker), GivenUp::Dropped);
    let closing = Closing(Arc::clone(&line));
    seat.emitter.emit(Event::Worker(WorkerEvent::Ready { worker: seat.id.clone(), took: born.elapsed() }));
    seat.owner.ready(line.line(&seat, None, &Arc::default()));
    let (how, expected, error) = tokio::select! {
        biased;
        word = told(&mut stop) => (word.how(), true, word.reason(&format!("worker {}", seat.id))),
        error = worker.ended() => (Escalation::AT_ONCE, false, Error::new(ErrorKind::WorkerDied, format!("worker {} ended: {error}", seat.id))),
    };
    seat.owner.retired(seat.life);
    line.finish(how, &error).await;
    drop(closing);
    worker.stop(how.into()).await;
    let gone = WorkerEvent::Gone { worker: seat.id.clone(), how: error.to_string(), expected, took: born.elapsed() };
    seat.emitter.emit(Event::Worker(gone));
    Exit::Served(error)
}

async fn start(seat: &Seat, profile: &dyn Profile, stop: &mut Stop) -> Result<Arc<dyn ProfileWorker>> {
    let context = WorkerContext { worker: seat.id.clone(), generation: seat.life.generation };
    let deadline = seat.config.start.and_then(|allowed| Deadline::after(std::time::Instant::now(), allowed));
    tokio::select! {
        biased;
        _word = told(stop) => Err(Error::new(ErrorKind::Cancelled, "the pool is shut down")),
        worker = profile.start(context) => worker,
        () = passed(deadline) => Err(match deadline {
            Some(deadline) => deadline.error(crate::call::Stage::Start),
            None => Error::new(ErrorKind::Deadline, "deadline passed"),
        }),
    }
}
