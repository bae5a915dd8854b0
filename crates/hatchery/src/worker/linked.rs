//! The life of a process that a [`Transport`] speaks to: as that of any worker, but for who carries the calls.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::body::Body;
use super::heart::{Heart, Look};
use super::life::{Ending, environment, explain, explained, on_a_thread, plan, tell_of, until};
use super::link::{Berth, LinkedProcess, Transport, TransportContext, WorkerCalls, WorkerVoice};
use super::own::{Closing, GivenUp, OwnLine};
use super::word::told;
use super::{Exit, ProfileWorker, Seat, Stop, Vitals};
use crate::app::Launch;
use crate::call::{Deadline, passed};
use crate::error::{Error, ErrorKind, Result};
use crate::id::CallId;
use crate::process::{Escalation, Spawned, Spec, Stdio};
use crate::registry::Entry;
use crate::telemetry::{Event, WorkerEvent};

/// One life. Ends when the process is gone and reaped. If this future is dropped, the process is killed.
pub(super) async fn run(seat: Arc<Seat>, transport: Arc<dyn Transport>, mut stop: Stop) -> Exit {
    let never_ready = |error: Error| Exit::NeverReady(error.context(format_args!("start worker {}", seat.id)));
    let begun = tokio::select! {
        biased;
        _how = told(&mut stop) => Err(Error::new(ErrorKind::Cancelled, "the pool is shut down")),
        begun = begin(&seat, &*transport) => begun,
    };
    let Begun { body, berth, launch, born } = match begun {
        Ok(begun) => begun,
        Err(error) => return never_ready(error),
    };
    let worker = match connect(&seat, &*berth, &body, born, &mut stop).await {
        Ok(worker) => worker,
        Err(ending) => {
            let error = bury(&seat, body, ending, "it", &mut stop).await;
            drop(berth);
            return never_ready(explained(&seat, launch, error, &mut stop).await);
        }
    };
    let (tell_given_up, given_up) = mpsc::unbounded_channel();
    let line = OwnLine::new(&seat, Arc::clone(&worker), GivenUp::Told(tell_given_up));
    // Declared after the body, and so dropped before it.
    let _closing = Closing(Arc::clone(&line));
    let vitals: Arc<Vitals> = Arc::default();
    seat.emitter.emit(Event::Worker(WorkerEvent::Ready { worker: seat.id.clone(), took: born.elapsed() }));
    seat.owner.ready(line.line(&seat, Some(body.pid()), &vitals));
    let serving = Serving { seat: &seat, body: &body, worker: &worker, line: &line, graces: VecDeque::new() };
    let ending = serving.until_it_ends(Heart::new(&seat, &vitals), given_up, &mut stop).await;
    seat.owner.retired(seat.life);
    if let Ending::Asked(word) = ending {
        let how = word.how();
        let finished = async {
            line.is_idle().await;
            worker.stop(how.into()).await;
        };
        let _in_time = tokio::time::timeout(how.ask, finished).await;
    }
    let error = bury(&seat, body, ending, &format!("worker {}", seat.id), &mut stop).await;
    line.close(&error);
    drop((worker, berth));
    Exit::Served(error)
}

/// A process that is there, and not connected to yet.
struct Begun {
    // The process goes before what was made ready for it.
    body: Body,
    berth: Box<dyn Berth>,
    launch: Launch,
    born: Instant,
}

async fn begin(seat: &Arc<Seat>, transport: &dyn Transport) -> Result<Begun> {
    let (launch, _app) = on_a_thread(seat, plan).await??;
    let berth = transport.prepare(context(seat)).await?;
    let launch = berth.launch(launch);
    let born = Instant::now();
    let spawned = {
        let launch = launch.clone();
        on_a_thread(seat, move |seat| start(seat, launch)).await??
    };
    Ok(Begun { body: seat.embody(spawned), berth, launch, born })
}

fn context(seat: &Seat) -> TransportContext {
    TransportContext {
        worker: seat.id.clone(),
        generation: seat.life.generation,
        pool: Arc::clone(&seat.pool),
        run: seat.run.id,
        max_in_flight: seat.config.max_in_flight,
        heartbeat: seat.config.heartbeat,
        cancel_grace: seat.config.cancel_grace,
        sessions: seat.sessions.clone(),
        host_tools: seat.host_tools.clone(),
        folder: seat.run.folder(),
        voice: WorkerVoice::new(&seat.id, &seat.emitter),
        calls: WorkerCalls::new(&seat.id, &seat.owner),
    }
}

fn start(seat: &Seat, launch: Launch) -> Result<(Spawned, Entry)> {
    let env = environment(&seat.run, &seat.id, &launch).into_iter().collect();
    tell_of(seat, &launch);
    let Launch { program, args, cwd, .. } = launch;
    let confinement = seat.config.confinement.clone();
    let (stdio, fds) = (Stdio::default(), Vec::new());
    seat.run.spawn(&seat.id, &seat.pool, Spec { program, args, env, cwd, stdio, fds, confinement })
}

async fn connect(
    seat: &Seat,
    berth: &dyn Berth,
    body: &Body,
    born: Instant,
    stop: &mut Stop,
) -> Result<Arc<dyn ProfileWorker>, Ending> {
    let deadline = seat.config.start.and_then(|allowed| Deadline::after(born.into_std(), allowed));
    tokio::select! {
        biased;
        how = told(stop) => Err(Ending::Asked(how)),
        // Its exit says more than the connection that was lost by it.
        () = body.child.exited() => Err(Ending::Died),
        worker = berth.connect(LinkedProcess { pid: body.pid() }) => worker.map_err(Ending::Refused),
        () = passed(deadline) => Err(deadline.map_or(Ending::Died, Ending::Late)),
    }
}

/// A worker that takes calls.
struct Serving<'a> {
    seat: &'a Arc<Seat>,
    body: &'a Body,
    worker: &'a Arc<dyn ProfileWorker>,
    line: &'a Arc<OwnLine>,
    /// Calls that were given up and may still end by themselves, in the order of their time.
    graces: VecDeque<(Instant, CallId)>,
}

impl Serving<'_> {
    async fn until_it_ends(
        mut self,
        mut heart: Heart,
        mut given_up: mpsc::UnboundedReceiver<CallId>,
        stop: &mut Stop,
    ) -> Ending {
        let mut questions = JoinSet::new();
        let mut changes = self.line.changes();
        // Of one that other calls still run beside: it takes no more, and is ended when those are over.
        let mut deaf: Vec<CallId> = Vec::new();
        loop {
            if let Some(call) = self.only_deaf_ones(&mut deaf) {
                return Ending::Deaf(call);
            }
            let grace = self.graces.front().map(|(at, _)| *at);
            let next_beat = heart.due();
            tokio::select! {
                biased;
                how = told(stop) => return Ending::Asked(how),
                () = self.body.child.exited() => return Ending::Died,
                error = self.worker.ended() => return self.unless_dying(error).await,
                Some(id) = given_up.recv() => self.grant_grace(id),
                () = until(grace) => deaf.extend(self.graces.pop_front().map(|(_, id)| id)),
                Ok(()) = changes.changed(), if !deaf.is_empty() => {}
                Some(Ok(answered)) = questions.join_next() => if let Some(id) = answered {
                    heart.answered(id);
                },
                () = until(next_beat) => match heart.look(self.is_excused()) {
                    Some(Look::Ask(id)) => {
                        let worker = Arc::clone(self.worker);
                        questions.abort_all();
                        questions.spawn(async move { worker.answers().await.is_ok().then_some(id) });
                    }
                    Some(Look::GiveUp(missed)) => return Ending::Silent(missed),
                    None => {}
                },
            }
        }
    }

    fn is_excused(&self) -> bool {
        !self.seat.config.heartbeat.while_busy && self.line.len() > 0 && !self.body.child.is_stopped()
    }

    fn grant_grace(&mut self, id: CallId) {
        // One that the clock cannot express is one without end.
        if let Some(at) = Instant::now().checked_add(self.seat.config.cancel_grace) {
            self.graces.push_back((at, id));
        }
    }

    /// A call that its worker goes on with though it was given up, if it has no others.
    fn only_deaf_ones(&self, deaf: &mut Vec<CallId>) -> Option<CallId> {
        deaf.retain(|call| self.line.is_open(*call));
        let first = *deaf.first()?;
        let has_others = self.line.len() > deaf.len();
        if has_others {
            self.seat.owner.lingers(self.seat.life);
        }
        (!has_others).then_some(first)
    }

    /// A connection that is lost is most often that of a process that is about to end; its status says more.
    async fn unless_dying(&self, error: Error) -> Ending {
        self.seat.owner.retired(self.seat.life);
        Ending::Lost(error).unless_it_dies(&self.body.child).await
    }
}

/// Ends the process and everything of it. Returns why it is gone, as those are told who lose by it.
async fn bury(seat: &Arc<Seat>, body: Body, ending: Ending, name: &str, stop: &mut Stop) -> Error {
    // Such a worker has no other word than SIGTERM.
    let how = ending.escalation();
    let escalation = Escalation { ask: std::time::Duration::ZERO, term: how.ask.saturating_add(how.term) };
    let ended = body.end(&escalation, || ()).await;
    ended.voice.fell_silent();
    seat.say_escaped(&ended.death);
    let error = explain(name, &ending, &ended.death, ended.voice.last_lines());
    seat.lay_to_rest(ended, &ending, stop).await;
    error
}
