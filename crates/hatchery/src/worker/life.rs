//! The life of one worker, top to bottom: start, handshake, serve, bury.

mod birth;
mod ending;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::behind::Behind;
use super::body::{Body, Ended};
use super::heart::{Heart, Look};
use super::hello;
use super::ledger::Ledger;
use super::loans::Loans;
use super::reader::Verdict;
use super::word::told;
use super::{
    Config, Inflight, Line, Means, Owner, Profile, Stop, Template, Transport, Vitals, WireId, WireLine, linked, own,
};
use crate::app::{App, Launch};
use crate::call::{Deadline, passed};
use crate::error::{Error, ErrorKind, Result};
use crate::host::HostTools;
use crate::id::{LifeId, WorkerId};
use crate::memory::Arena;
use crate::process::{self, Death, Remains, Spawned};
use crate::registry::Entry;
use crate::run::Run;
use crate::session::Sessions;
use crate::telemetry::{Emitter, Event, RunEvent, WorkerEvent};
use crate::transport::{Inbox, Outbox};
use crate::wire::{Capabilities, Capability, Encoded, Frame, Kind, Ready, Shutdown, Terms};

pub(super) use birth::{environment, on_a_thread, plan, tell_of};
pub(super) use ending::Ending;
pub(super) use ending::explain;
use ending::unasked;

/// The place that a worker fills, and everything that its life needs to know.
pub(crate) struct Seat {
    pub(crate) life: LifeId,
    pub(crate) id: WorkerId,
    pub(crate) pool: Arc<str>,
    pub(crate) run: Arc<Run>,
    pub(crate) app: Arc<dyn App>,
    /// What it is forked from, if it can be.
    pub(crate) template: Option<Arc<Template>>,
    /// Makes the worker, where it is no process.
    pub(crate) profile: Option<Arc<dyn Profile>>,
    /// Speaks to the process, where that does not speak the native wire.
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) sessions: Sessions,
    pub(crate) config: Config,
    pub(crate) emitter: Emitter,
    pub(crate) host_tools: HostTools,
    /// `None`: no memory is shared with the worker.
    pub(crate) arena: Option<Arc<Arena>>,
    pub(crate) owner: Arc<dyn Owner>,
}

impl Seat {
    /// What this host can and takes; a worker may agree to less.
    pub(super) fn offered(&self) -> Terms {
        let all = Capabilities::all();
        let capabilities = if self.arena.is_some() { all } else { all.without(Capability::Segments) };
        Terms { limits: self.config.limits, capabilities }
    }

    /// Keeps the seat taken until what cannot be ended is gone after all, and says how; or until the pool ends.
    async fn quarantine(&self, remains: &Remains, ending: &Ending, stop: &mut Stop) -> Option<process::Status> {
        self.owner.unkillable(self.life);
        let (worker, pid, held_by) = (self.id.clone(), remains.pid(), remains.held_by());
        self.emitter.emit(Event::Worker(WorkerEvent::Unkillable { worker, pid, held_by }));
        if matches!(ending, Ending::Asked(_)) {
            return None;
        }
        tokio::select! {
            status = remains.gone() => Some(status),
            // The run reports what is left at its end.
            _word = told(stop) => None,
        }
    }

    /// From here on the process is owned: whatever happens to the body, it ends with it.
    pub(super) fn embody(&self, spawned: (Spawned, Entry)) -> Body {
        let body = Body::new(&self.id, &self.emitter, spawned);
        self.owner.started(self.life, body.child.terminator());
        self.emitter.emit(Event::Worker(WorkerEvent::Started { worker: self.id.clone(), pid: body.pid() }));
        body
    }

    /// Gives its place free when nothing of it is left, and tells so.
    pub(super) async fn lay_to_rest(&self, ended: Ended, ending: &Ending, stop: &mut Stop) {
        let how = match &ended.death.remains {
            None => Some(ended.death.to_string()),
            Some(remains) => self.quarantine(remains, ending, stop).await.map(|status| status.to_string()),
        };
        if let Some(how) = how {
            let took = ended.death.took;
            ended.release();
            self.emitter.emit(Event::Run(RunEvent::Released { worker: self.id.clone() }));
            // One that refuses to serve leaves when it has said so.
            let expected = matches!(ending, Ending::Asked(_) | Ending::Refused(_));
            self.emitter.emit(Event::Worker(WorkerEvent::Gone { worker: self.id.clone(), how, expected, took }));
        }
    }

    pub(super) fn say_escaped(&self, death: &Death) {
        if death.escaped > 0 || !death.left.is_empty() {
            let (worker, ended, left) = (self.id.clone(), death.escaped, death.left.clone());
            self.emitter.emit(Event::Run(RunEvent::Escaped { worker, ended, left }));
        }
    }
}

/// How a life went.
pub(crate) enum Exit {
    /// It never took a call.
    NeverReady(Error),
    /// It did, and then ended for this reason.
    Served(Error),
}

/// One life. Ends when the process is gone and reaped. If this future is dropped, the process is killed.
pub(crate) async fn run(seat: Arc<Seat>, mut stop: Stop) -> Exit {
    let _tools = seat.host_tools.of_life(&seat.id, seat.life.generation);
    if let Some(profile) = &seat.profile {
        return own::run(Arc::clone(&seat), Arc::clone(profile), stop).await;
    }
    if let Some(transport) = &seat.transport {
        return linked::run(Arc::clone(&seat), Arc::clone(transport), stop).await;
    }
    let never_ready = |error: Error| Exit::NeverReady(error.context(format_args!("start worker {}", seat.id)));
    let mut life = match Life::begin(Arc::clone(&seat), &mut stop).await {
        Ok(Some(life)) => life,
        Ok(None) => return never_ready(Error::new(ErrorKind::Cancelled, "the pool is shut down")),
        Err(error) => return never_ready(error),
    };
    let (was_ready, ending) = match life.handshake(&mut stop).await {
        Ok(ready) => {
            life.open(ready);
            (true, life.serve(&mut stop).await)
        }
        Err(ending) => (false, ending),
    };
    let (launch, error) = if was_ready {
        let (_, error) = life.bury(ending, &format!("worker {}", seat.id), &mut stop).await;
        return Exit::Served(error);
    } else {
        life.bury(ending, "it", &mut stop).await
    };
    never_ready(explained(&seat, launch, error, &mut stop).await)
}

/// The open calls, answered even if their worker's life is dropped half-way, as when a runtime ends.
struct OpenCalls(Arc<Inflight>);

impl Drop for OpenCalls {
    fn drop(&mut self) {
        let none_goes_elsewhere = self.0.close(&Error::new(ErrorKind::Unavailable, "the pool was dropped"), None);
        debug_assert!(none_goes_elsewhere.is_empty());
    }
}

struct Life {
    seat: Arc<Seat>,
    launch: Launch,
    /// What it runs, for people.
    app: String,
    body: Body,
    born: Instant,
    control_in: Inbox<Arc<UnixStream>>,
    control_out: Arc<Outbox<UnixStream>>,
    data_out: Arc<Outbox<tokio::net::unix::pipe::Sender>>,
    open_calls: OpenCalls,
    ledger: Option<Ledger>,
    loans: Arc<Loans>,
    vitals: Arc<Vitals>,
    agreed: watch::Sender<Option<Terms>>,
    /// The reader; empty once its verdict was taken.
    reading: JoinSet<Verdict>,
    finish_reading: oneshot::Sender<()>,
    /// Those that flush the outboxes; aborted when the life ends.
    _flushing: JoinSet<()>,
    cancelled: mpsc::UnboundedReceiver<WireId>,
    tell_cancelled: mpsc::UnboundedSender<WireId>,
    /// Cancelled calls that may still end by themselves, in the order of their time.
    graces: VecDeque<(Instant, WireId)>,
}

impl Life {
    async fn handshake(&mut self, stop: &mut Stop) -> Result<Ready, Ending> {
        let answer = match hello::offer(&self.seat, &self.app, &self.control_out) {
            Ok(()) => self.answer(stop).await,
            Err(ending) => Err(ending),
        };
        match answer {
            Ok(ready) => Ok(ready),
            Err(ending) => match self.unless_dying(ending).await {
                // A worker that says why it cannot serve ends right after; it may have said so since we last looked.
                Ending::Died => Err(hello::last_words(&mut self.control_in).unwrap_or(Ending::Died)),
                ending => Err(ending),
            },
        }
    }

    async fn answer(&mut self, stop: &mut Stop) -> Result<Ready, Ending> {
        let allowed = self.seat.config.start;
        let deadline = allowed.and_then(|allowed| Deadline::after(self.born.into_std(), allowed));
        tokio::select! {
            biased;
            // A pool that ends need not wait for its workers to come up.
            word = told(stop) => Err(Ending::Asked(word)),
            answer = hello::answer(&mut self.control_in) => answer,
            // Most often garbage from a program that is no worker at all.
            Some(verdict) = self.reading.join_next() => Err(unasked(verdict)),
            () = self.body.child.exited() => Err(Ending::Died),
            () = passed(deadline) => Err(deadline.map_or(Ending::Died, Ending::Late)),
        }
    }

    /// The worker is ready: calls may come.
    fn open(&mut self, ready: Ready) {
        let seat = &self.seat;
        let terms = ready.terms(&seat.offered());
        self.loans.open(terms);
        self.agreed.send_replace(Some(terms));
        let line = Arc::new(Line {
            id: seat.id.clone(),
            life: seat.life,
            pid: Some(self.body.pid()),
            started_at: SystemTime::now(),
            tools: ready.tools.into(),
            takes_any_tool: false,
            runtime: ready.runtime,
            vitals: Arc::clone(&self.vitals),
            means: Means::Wire(WireLine {
                id: seat.id.clone(),
                terms,
                is_serial: seat.config.max_in_flight == 1,
                takes_ahead: self.ledger.is_some() && terms.capabilities.contains(Capability::Ahead),
                data: Arc::clone(&self.data_out),
                control: Arc::clone(&self.control_out),
                inflight: Arc::clone(&self.open_calls.0),
                loans: Arc::clone(&self.loans),
                cancelled: self.tell_cancelled.clone(),
                next_id: Mutex::new(1),
            }),
        });
        seat.emitter.emit(Event::Worker(WorkerEvent::Ready { worker: seat.id.clone(), took: self.born.elapsed() }));
        seat.owner.ready(line);
    }

    /// Until told, or until something is wrong.
    async fn serve(&mut self, stop: &mut Stop) -> Ending {
        let mut heart = Heart::new(&self.seat, &self.vitals);
        let mut behind = Behind::default();
        // Of one that other calls still run beside: it takes no more, and is ended when those are over.
        let mut deaf: Vec<WireId> = Vec::new();
        loop {
            if let Some(call) = self.only_deaf_ones(&mut deaf) {
                return Ending::Deaf(call);
            }
            let grace = self.graces.front().copied();
            let next_beat = heart.due();
            let next_look = behind.due();
            tokio::select! {
                biased;
                // The pool's word comes first: what follows it is no news.
                word = told(stop) => return Ending::Asked(word),
                // Death before the channels: their end is its consequence.
                () = self.body.child.exited() => return Ending::Died,
                Some(verdict) = self.reading.join_next() => return self.unless_dying(unasked(verdict)).await,
                // The graces before the control channel, on which a worker may talk without end.
                Some(id) = self.cancelled.recv() => self.grant_grace(id),
                () = until(grace.map(|(at, _)| at)) => deaf.extend(self.deaf()),
                () = self.open_calls.0.one_less(), if !deaf.is_empty() => {}
                () = self.open_calls.0.one_behind(), if next_look.is_none() => self.look_behind(&mut behind),
                () = until(next_look) => self.look_behind(&mut behind),
                () = until(next_beat) => match heart.look(self.is_excused()) {
                    Some(Look::Ask(id)) => self.ping(id),
                    Some(Look::GiveUp(missed)) => return Ending::Silent(missed),
                    None => {}
                },
                frame = self.control_in.next() => match frame {
                    Ok(Some(frame)) if frame.kind == Kind::Pong => heart.answered(frame.id),
                    Ok(Some(frame)) if frame.kind == Kind::Recalled => if let Err(what) = self.recalled(&frame) {
                        return Ending::Breach(what);
                    },
                    Ok(Some(frame)) if frame.kind == Kind::Error => return Ending::Breach(format!("it gave up: {}", String::from_utf8_lossy(&frame.body))),
                    Ok(Some(frame)) => return Ending::Breach(format!("it sent {} on its control channel", frame.kind)),
                    Ok(None) => return self.unless_dying(Ending::Hung("closed its control channel")).await,
                    Err(error) => return Ending::Breach(error.to_string()),
                },
            }
        }
    }

    /// A call that its worker does not give up, if it has no others.
    fn only_deaf_ones(&self, deaf: &mut Vec<WireId>) -> Option<WireId> {
        let open = &self.open_calls.0;
        deaf.retain(|call| open.is_open(*call));
        let first = *deaf.first()?;
        // Where calls come one after another, nothing of those behind it has begun.
        let has_others = self.seat.config.max_in_flight > 1 && open.len() > deaf.len();
        if has_others {
            self.seat.owner.lingers(self.seat.life);
        }
        (!has_others).then_some(first)
    }

    /// A call whose grace is over, and which its worker goes on with.
    fn deaf(&mut self) -> Option<WireId> {
        let (_, id) = self.graces.pop_front()?;
        let is_begun = self.seat.config.max_in_flight > 1 || self.open_calls.0.is_first(id);
        // One behind another cannot be given up before that has ended.
        if !is_begun && self.open_calls.0.is_open(id) {
            self.grant_grace(id);
        }
        is_begun.then_some(id)
    }

    /// Asks for those back that wait in the worker behind one that takes long.
    fn look_behind(&self, behind: &mut Behind) {
        let calls = &self.open_calls.0;
        if !behind.takes_long(calls.ended_before_those_behind(), Instant::now()) {
            return;
        }
        let terms = *self.agreed.borrow();
        if let (Some(terms), Some(asked)) = (terms, calls.recall())
            && let Ok(frame) = Encoded::recall(asked.start, (asked.end - asked.start) as u32, &terms)
        {
            let _dying = self.control_out.send(frame);
        }
    }

    /// The worker gives calls back.
    fn recalled(&self, frame: &Frame) -> Result<(), String> {
        let (first, count) = (frame.id, frame.extra);
        let back = self.open_calls.0.recalled(first, count);
        let back = back.map_err(|what| format!("it gave back {count} calls from {first} on, {what}"))?;
        self.seat.owner.returned(self.seat.life, back);
        Ok(())
    }

    /// A tool in C code may hold the interpreter; a process that is stopped answers nobody.
    fn is_excused(&self) -> bool {
        !self.seat.config.heartbeat.while_busy && self.open_calls.0.len() > 0 && !self.body.child.is_stopped()
    }

    fn ping(&self, id: u64) {
        if let Ok(frame) = Encoded::bare(Kind::Ping, id, &self.seat.offered()) {
            let _dying = self.control_out.send(frame);
        }
    }

    fn grant_grace(&mut self, id: WireId) {
        // One that the clock cannot express is one without end.
        if let Some(at) = Instant::now().checked_add(self.seat.config.cancel_grace) {
            self.graces.push_back((at, id));
        }
    }

    async fn unless_dying(&self, ending: Ending) -> Ending {
        // Whether it dies or not, calls that come meanwhile are better off elsewhere.
        self.seat.owner.retired(self.seat.life);
        ending.unless_it_dies(&self.body.child).await
    }

    /// Ends the process, reads what it left, answers its callers. Returns why it is gone, as they are told.
    /// `name` begins the sentence.
    async fn bury(mut self, mut ending: Ending, name: &str, stop: &mut Stop) -> (Launch, Error) {
        self.seat.owner.retired(self.seat.life);
        let escalation = ending.escalation();
        let (control, data) = (Arc::clone(&self.control_out), Arc::clone(&self.data_out));
        let terms = self.seat.offered();
        let ask = move || {
            let grace_us = u64::try_from(escalation.ask.as_micros()).unwrap_or(u64::MAX);
            if let Ok(frame) = Encoded::message(Kind::Shutdown, 0, &Shutdown { grace_us }, &terms) {
                let _dying = control.send(frame);
            }
            // A call that is on its way to it is one of those that it may finish.
            data.finish();
        };
        // Then all that it wrote is in the pipes, and nobody of ours writes more.
        let ended = self.body.end(&escalation, ask).await;
        // A reader may wait to hear what was agreed: nothing, if nothing was.
        drop(self.agreed);
        let _ended = self.finish_reading.send(());
        if let Some(Ok(Verdict::Breach(what))) = self.reading.join_next().await
            && matches!(ending, Ending::Died)
        {
            ending = Ending::Breach(what);
        }
        self.control_out.close();
        ended.voice.fell_silent();

        self.seat.say_escaped(&ended.death);
        let error = explain(name, &ending, &ended.death, ended.voice.last_lines());
        let last_begun = self.ledger.as_ref().and_then(Ledger::last_begun);
        let untouched = self.open_calls.0.close(&error, last_begun);
        self.seat.owner.returned(self.seat.life, untouched);
        // One that the kernel still holds may look at what it was lent.
        if ended.death.remains.is_none() {
            self.loans.close();
        }
        self.seat.lay_to_rest(ended, &ending, stop).await;
        (self.launch, error)
    }
}

pub(super) async fn until(time: Option<Instant>) {
    match time {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The app may know better why its program ended before it was ready. It may start processes to find out.
pub(super) async fn explained(seat: &Arc<Seat>, launch: Launch, error: Error, stop: &mut Stop) -> Error {
    if error.kind() != ErrorKind::WorkerDied {
        return error;
    }
    let app = Arc::clone(&seat.app);
    let better = tokio::select! {
        biased;
        // Nobody is left to be told.
        _word = told(stop) => return error,
        better = tokio::task::spawn_blocking(move || app.explain_failed_start(&launch)) => better,
    };
    match better {
        Ok(Some(better)) => better.with_last_output(error.last_output().to_vec()),
        _ => error,
    }
}
