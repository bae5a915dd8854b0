//! The life of a worker that is no process: made by a [`Profile`], served by tasks of this program.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::word::told;
use super::{
    Answer, Answered, Call, Exit, Given, Journey, Line, Means, Owner, Profile, ProfileCall, ProfileWorker, Seat, Sent,
    Sink, Stop, WorkerContext,
};
use crate::call::{Deadline, passed};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, LifeId};
use crate::process::Escalation;
use crate::telemetry::{Event, WorkerEvent};
use crate::value::Payload;
use crate::wire::HEALTH_TOOL;

/// The calls of one worker.
pub(super) struct OwnLine {
    worker: Arc<dyn ProfileWorker>,
    owner: Arc<dyn Owner>,
    life: LifeId,
    runtime: Handle,
    open: Mutex<Open>,
    /// How many are open; what ends them is told by it.
    count: watch::Sender<usize>,
    calls: AtomicU64,
    errors: AtomicU64,
}

#[derive(Default)]
struct Open {
    calls: HashMap<CallId, (AbortHandle, Given)>,
    /// It takes no more, and this is why those that it has end.
    closed: Option<Error>,
}

/// Whatever becomes of a life, its calls end with it.
struct Closing(Arc<OwnLine>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close(cancelled());
    }
}

impl OwnLine {
    pub(super) fn send(self: &Arc<OwnLine>, id: CallId, call: Call, first: impl FnOnce()) -> Sent {
        let mut open = self.open();
        if open.closed.is_some() {
            return Sent::Dying(call);
        }
        let Call { tool, arguments, correlation_id, session, trace_parent, deadline, sink, made, .. } = call;
        let given = Given { life: self.life, made, at: std::time::Instant::now(), is_serial: false };
        let deadline = deadline.map(|deadline| deadline.at());
        let call = ProfileCall { tool, arguments, correlation_id, session, trace_parent, deadline };
        let counts = &*call.tool != HEALTH_TOOL;
        let place = Place { line: Arc::clone(self), id, life: self.life, counts, given, sink: Some(sink) };
        self.count.send_modify(|count| *count += 1);
        first();
        let task = self.runtime.spawn(async move {
            let result = place.line.answer(call).await;
            place.end(result);
        });
        open.calls.insert(id, (task.abort_handle(), given));
        Sent::Written
    }

    pub(super) fn cancel(&self, id: CallId) {
        if let Some((task, _)) = self.open().calls.get(&id) {
            task.abort();
        }
    }

    pub(super) fn journey(&self, id: CallId) -> Option<Journey> {
        self.open().calls.get(&id).map(|(_, given)| given.ended(std::time::Instant::now(), None))
    }

    pub(super) fn answered(&self) -> Answered {
        Answered { calls: self.calls.load(Ordering::Relaxed), errors: self.errors.load(Ordering::Relaxed) }
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

    /// Waits for those that are open, at most so long, and ends those that are left for this reason.
    async fn finish(&self, how: Escalation, reason: &Error) {
        let mut count = self.count.subscribe();
        let finished = tokio::time::timeout(how.ask, count.wait_for(|count| *count == 0)).await.is_ok();
        if !finished {
            self.close(reason.clone());
        }
    }

    /// Takes no more calls, and ends those that it has for this reason.
    fn close(&self, reason: Error) {
        let calls: Vec<AbortHandle> = {
            let mut open = self.open();
            open.closed.get_or_insert(reason);
            open.calls.values().map(|(task, _)| task.clone()).collect()
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
        let no_streams = || Err(Error::new(ErrorKind::Unavailable, "this pool's profile serves no streams"));
        let result = if matches!(sink, Sink::Stream(_)) { result.and_then(|_| no_streams()) } else { result };
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
    let line = Arc::new(OwnLine {
        worker: Arc::clone(&worker),
        owner: Arc::clone(&seat.owner),
        life: seat.life,
        runtime: Handle::current(),
        open: Mutex::default(),
        count: watch::Sender::new(0),
        calls: AtomicU64::new(0),
        errors: AtomicU64::new(0),
    });
    let closing = Closing(Arc::clone(&line));
    let tools: Vec<_> = worker.tools().into_iter().filter(|tool| !tool.streaming).collect();
    seat.emitter.emit(Event::Worker(WorkerEvent::Ready { worker: seat.id.clone(), took: born.elapsed() }));
    seat.owner.ready(Arc::new(Line {
        id: seat.id.clone(),
        life: seat.life,
        pid: None,
        started_at: SystemTime::now(),
        tools: tools.into(),
        runtime: None,
        vitals: Arc::default(),
        means: Means::Own(Arc::clone(&line)),
    }));
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
