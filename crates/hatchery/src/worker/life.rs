//! The life of one worker, top to bottom: start, handshake, serve, bury.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::hello;
use super::reader::{Reader, Verdict};
use super::voice::Voice;
use super::{Config, Inflight, Line, Owner, Stop};
use crate::app::{App, Launch, LaunchContext};
use crate::call::{Deadline, Stage, passed};
use crate::error::{Error, ErrorKind, Result};
use crate::host::HostTools;
use crate::id::{CallId, RunId, WorkerId};
use crate::process::{self, Child, Death, Escalation, Spawned, Spec};
use crate::telemetry::{Emitter, Event, Level, LogSource, WorkerEvent};
use crate::transport::{self, HostEnds, Inbox, Outbox};
use crate::wire::{Capabilities, Encoded, Kind, Ready, Shutdown, Terms};

/// The place that a worker fills, and everything that its life needs to know.
pub(crate) struct Seat {
    pub(crate) number: usize,
    pub(crate) id: WorkerId,
    pub(crate) generation: u64,
    pub(crate) pool: Arc<str>,
    pub(crate) run: RunId,
    pub(crate) app: Arc<dyn App>,
    pub(crate) config: Config,
    pub(crate) emitter: Emitter,
    pub(crate) host_tools: Arc<HostTools>,
    pub(crate) owner: Arc<dyn Owner>,
}

impl Seat {
    /// What this host can and takes; a worker may agree to less.
    pub(super) fn offered(&self) -> Terms {
        Terms { limits: self.config.limits, capabilities: Capabilities::all() }
    }
}

/// How a life went.
pub(crate) enum Exit {
    /// It never took a call.
    NeverReady(Error),
    /// It did, and then ended for this reason.
    Served(Error),
}

/// Why a worker is to be buried.
pub(super) enum Ending {
    /// The pool says so.
    Asked(Escalation),
    /// Its process ended by itself.
    Died,
    /// It broke the protocol, like this.
    Breach(String),
    /// It closed a channel but lives on.
    Hung(&'static str),
    /// It went on with a cancelled call for longer than the grace.
    Deaf(CallId),
    /// It was not ready in time.
    Late(Deadline),
    /// It said that it cannot serve.
    Refused(Error),
}

const AT_ONCE: Escalation = Escalation { ask: Duration::ZERO, term: Duration::ZERO };

/// A process that hung up its channels is given this long to end by itself, so that the reason is its own.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// One life. Ends when the process is gone and reaped. If this future is dropped, the process is killed.
pub(crate) async fn run(seat: Arc<Seat>, mut stop: Stop) -> Exit {
    let mut life = match Life::begin(Arc::clone(&seat)).await {
        Ok(life) => life,
        Err(error) => return Exit::NeverReady(error.context(format_args!("start worker {}", seat.id))),
    };
    let (was_ready, ending) = match life.handshake(&mut stop).await {
        Ok(ready) => {
            life.open(ready);
            (true, life.serve(&mut stop).await)
        }
        Err(ending) => (false, ending),
    };
    let (launch, error) = if was_ready {
        let (_, error) = life.bury(ending, &format!("worker {}", seat.id)).await;
        return Exit::Served(error);
    } else {
        life.bury(ending, "it").await
    };
    let error = explained(&seat, launch, error).await;
    Exit::NeverReady(error.context(format_args!("start worker {}", seat.id)))
}

/// The open calls, answered even if their worker's life is dropped half-way, as when a runtime ends.
struct OpenCalls(Arc<Inflight>);

impl Drop for OpenCalls {
    fn drop(&mut self) {
        self.0.close(&Error::new(ErrorKind::Unavailable, "the pool was dropped"));
    }
}

struct Life {
    seat: Arc<Seat>,
    launch: Launch,
    child: Child,
    born: Instant,
    control_in: Inbox<UnixStream>,
    control_out: Arc<Outbox<UnixStream>>,
    data_out: Arc<Outbox<tokio::net::unix::pipe::Sender>>,
    open_calls: OpenCalls,
    voice: Arc<Voice>,
    agreed: watch::Sender<Option<Terms>>,
    reading: JoinHandle<Verdict>,
    finish_reading: oneshot::Sender<()>,
    /// Those of descriptors 1 and 2; they end with the process.
    draining: JoinSet<()>,
    finish_draining: watch::Sender<bool>,
    /// Those that flush the outboxes; aborted when the life ends.
    _flushing: JoinSet<()>,
    cancelled: mpsc::UnboundedReceiver<CallId>,
    tell_cancelled: mpsc::UnboundedSender<CallId>,
    /// Cancelled calls that may still end by themselves, in the order of their time.
    graces: VecDeque<(Instant, CallId)>,
}

impl Life {
    async fn begin(seat: Arc<Seat>) -> Result<Life> {
        let (ends, inherited) = transport::channels(seat.offered())?;
        let (launch, spawned) = {
            let seat = Arc::clone(&seat);
            tokio::task::spawn_blocking(move || spawn(&seat, inherited)).await
        }
        .map_err(|error| Error::new(ErrorKind::Internal, format!("the starting thread failed: {error}")))??;
        Ok(Life::around(seat, launch, spawned, ends))
    }

    /// From here on the child is owned: whatever happens to this value, the process ends with it.
    fn around(seat: Arc<Seat>, launch: Launch, spawned: Spawned, ends: HostEnds) -> Life {
        let Spawned { child, stdout, stderr } = spawned;
        seat.owner.started(seat.number, child.terminator());
        seat.emitter
            .emit(Event::Worker(WorkerEvent::Started { worker: seat.id.clone(), pid: child.identity().pid().get() }));

        let voice = Arc::new(Voice::new(seat.id.clone(), seat.emitter.clone()));
        let (finish_draining, leader_is_gone) = watch::channel(false);
        let mut draining = JoinSet::new();
        for (fd, level, source) in
            [(stdout, Level::Info, LogSource::Stdout), (stderr, Level::Warning, LogSource::Stderr)]
        {
            let voice = Arc::clone(&voice);
            let mut ended = leader_is_gone.clone();
            draining.spawn(async move {
                let ended = async move { drop(ended.wait_for(|is_gone| *is_gone).await) };
                if let Err(error) = process::drain(fd, ended, |line| voice.said(level, source, line, None)).await {
                    voice.said(Level::Warning, LogSource::Host, &format!("reading its output failed: {error}"), None);
                }
            });
        }

        let control_out = Arc::new(ends.control_out);
        let data_out = Arc::new(ends.data_out);
        let mut flushing = JoinSet::new();
        flushing.spawn({
            let outbox = Arc::clone(&control_out);
            async move { outbox.flush().await }
        });
        flushing.spawn({
            let outbox = Arc::clone(&data_out);
            async move { outbox.flush().await }
        });

        let inflight = Arc::new(Inflight::default());
        let (agreed, when_agreed) = watch::channel(None);
        let (finish_reading, finish) = oneshot::channel();
        let reader = Reader {
            seat: Arc::clone(&seat),
            data: ends.data_in,
            inflight: Arc::clone(&inflight),
            control: Arc::clone(&control_out),
            voice: Arc::clone(&voice),
            agreed: when_agreed,
            host_calls: JoinSet::new(),
        };
        let (tell_cancelled, cancelled) = mpsc::unbounded_channel();
        Life {
            seat,
            launch,
            child,
            born: Instant::now(),
            control_in: ends.control_in,
            control_out,
            data_out,
            open_calls: OpenCalls(inflight),
            voice,
            agreed,
            reading: tokio::spawn(reader.run(finish)),
            finish_reading,
            draining,
            finish_draining,
            _flushing: flushing,
            cancelled,
            tell_cancelled,
            graces: VecDeque::new(),
        }
    }

    async fn handshake(&mut self, stop: &mut Stop) -> Result<Ready, Ending> {
        let answer = match hello::offer(&self.seat, &self.control_out) {
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
            how = told(stop) => Err(Ending::Asked(how)),
            answer = hello::answer(&mut self.control_in) => answer,
            // Most often garbage from a program that is no worker at all.
            verdict = &mut self.reading => Err(unasked(verdict)),
            () = self.child.exited() => Err(Ending::Died),
            () = passed(deadline) => Err(deadline.map_or(Ending::Died, Ending::Late)),
        }
    }

    /// The worker is ready: calls may come.
    fn open(&mut self, ready: Ready) {
        let seat = &self.seat;
        let terms = ready.terms(&seat.offered());
        self.agreed.send_replace(Some(terms));
        let line = Arc::new(Line {
            id: seat.id.clone(),
            pid: self.child.identity().pid().get(),
            generation: seat.generation,
            started_at: SystemTime::now(),
            tools: ready.tools.into(),
            terms,
            data: Arc::clone(&self.data_out),
            control: Arc::clone(&self.control_out),
            inflight: Arc::clone(&self.open_calls.0),
            cancelled: self.tell_cancelled.clone(),
        });
        seat.emitter.emit(Event::Worker(WorkerEvent::Ready { worker: seat.id.clone(), took: self.born.elapsed() }));
        seat.owner.ready(seat.number, line);
    }

    /// Until told, or until something is wrong.
    async fn serve(&mut self, stop: &mut Stop) -> Ending {
        loop {
            let grace = self.graces.front().copied();
            tokio::select! {
                biased;
                // The pool's word comes first: what follows it is no news.
                how = told(stop) => return Ending::Asked(how),
                // Death before the channels: their end is its consequence.
                () = self.child.exited() => return Ending::Died,
                verdict = &mut self.reading => return self.unless_dying(unasked(verdict)).await,
                frame = self.control_in.next() => match frame {
                    Ok(Some(frame)) if frame.kind == Kind::Pong => {}
                    Ok(Some(frame)) if frame.kind == Kind::Error => return Ending::Breach(format!("it gave up: {}", String::from_utf8_lossy(&frame.body))),
                    Ok(Some(frame)) => return Ending::Breach(format!("it sent {} on its control channel", frame.kind)),
                    Ok(None) => return self.unless_dying(Ending::Hung("closed its control channel")).await,
                    Err(error) => return Ending::Breach(error.to_string()),
                },
                Some(id) = self.cancelled.recv() => self.graces.push_back((Instant::now() + self.seat.config.cancel_grace, id)),
                () = until(grace) => if let Some((_, id)) = self.graces.pop_front() && self.open_calls.0.is_open(id) {
                    return Ending::Deaf(id);
                },
            }
        }
    }

    /// A worker that closes its channels is usually about to exit; its status says more than the closed channel.
    async fn unless_dying(&self, ending: Ending) -> Ending {
        match ending {
            Ending::Hung(_) if tokio::time::timeout(LAST_BREATH, self.child.exited()).await.is_ok() => Ending::Died,
            ending => ending,
        }
    }

    /// Ends the process, reads what it left, answers its callers. Returns why it is gone, as they are told.
    /// `name` begins the sentence.
    async fn bury(mut self, ending: Ending, name: &str) -> (Launch, Error) {
        self.seat.owner.retired(self.seat.number);
        let escalation = ending.escalation();
        let (control, data) = (Arc::clone(&self.control_out), Arc::clone(&self.data_out));
        let terms = self.seat.offered();
        let ask = move || {
            let grace_us = u64::try_from(escalation.ask.as_micros()).unwrap_or(u64::MAX);
            if let Ok(frame) = Encoded::message(Kind::Shutdown, 0, &Shutdown { grace_us }, &terms) {
                let _dying = control.send(frame);
            }
            data.close();
        };
        let death = process::end(self.child, &escalation, ask).await;

        // The process is gone: all that it wrote is in the pipes, and nobody of ours writes more.
        self.finish_draining.send_replace(true);
        while self.draining.join_next().await.is_some() {}
        if !self.reading.is_finished() {
            let _ended = self.finish_reading.send(());
            let _verdict = self.reading.await;
        }
        self.voice.fell_silent();

        let error = explain(name, &ending, &death).with_last_output(self.voice.last_lines());
        self.open_calls.0.close(&error);
        self.seat.emitter.emit(Event::Worker(WorkerEvent::Gone {
            worker: self.seat.id.clone(),
            how: death.to_string(),
            // One that refuses to serve leaves when it has said so.
            expected: matches!(ending, Ending::Asked(_) | Ending::Refused(_)),
        }));
        (self.launch, error)
    }
}

/// Builds the launch and starts the process. Blocks for a millisecond or so.
fn spawn(seat: &Seat, inherited: Vec<std::os::fd::OwnedFd>) -> Result<(Launch, Spawned)> {
    let launch = seat.app.launch(&LaunchContext::new(&seat.id, seat.run, &seat.pool))?;
    let mut env: std::collections::BTreeMap<_, _> = std::env::vars_os().collect();
    env.extend(launch.env.iter().cloned());
    env.insert("HATCHERY_WIRE".into(), "3,4,5".into());
    env.insert("HATCHERY_RUN".into(), seat.run.to_string().into());
    env.insert("HATCHERY_WORKER".into(), seat.id.as_str().into());
    let spawned = process::spawn(Spec {
        program: launch.program.clone(),
        args: launch.args.clone(),
        env: env.into_iter().collect(),
        cwd: launch.cwd.clone(),
        fds: inherited,
    })
    .map_err(|error| Error::new(ErrorKind::Validation, error.to_string()))?;
    Ok((launch, spawned))
}

/// Waits for the pool's word. A pool that is gone means: at once.
async fn told(stop: &mut Stop) -> Escalation {
    match stop.wait_for(Option::is_some).await {
        Ok(how) => how.unwrap_or(AT_ONCE),
        Err(_) => AT_ONCE,
    }
}

async fn until(grace: Option<(Instant, CallId)>) {
    match grace {
        Some((at, _)) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn unasked(verdict: Result<Verdict, tokio::task::JoinError>) -> Ending {
    match verdict {
        Ok(Verdict::End) => Ending::Hung("closed its data channel"),
        Ok(Verdict::Breach(what)) => Ending::Breach(what),
        Err(error) => Ending::Breach(format!("it sent something that the host could not handle: {error}")),
    }
}

impl Ending {
    fn escalation(&self) -> Escalation {
        match self {
            Ending::Asked(how) => *how,
            // It said its last word; let it leave by itself, for its exit handlers' sake.
            Ending::Refused(_) => Escalation { ask: LAST_BREATH, term: LAST_BREATH },
            _ => AT_ONCE,
        }
    }
}

/// Why the worker is gone, for those whose calls went with it and for those who waited for it to come up.
fn explain(name: &str, ending: &Ending, death: &Death) -> Error {
    let protocol = |what: String| Error::new(ErrorKind::Protocol, format!("{name} {what}"));
    let died = |how: String| Error::new(ErrorKind::WorkerDied, format!("{name} {how}"));
    match ending {
        Ending::Asked(_) => Error::new(ErrorKind::Cancelled, format!("{name} was shut down")),
        Ending::Died => died(format!("died: {death}")),
        Ending::Breach(what) => protocol(format!("broke the wire protocol and was cut off: {what}")),
        Ending::Hung(what) => protocol(format!("{what} but did not exit; it was ended")),
        Ending::Deaf(call) => died(format!("was replaced: it went on with call {call} after that was cancelled")),
        Ending::Late(deadline) => deadline.error(Stage::Start),
        Ending::Refused(error) => error.clone(),
    }
}

/// The app may know better why its program ended before it was ready. It may start processes to find out.
async fn explained(seat: &Arc<Seat>, launch: Launch, error: Error) -> Error {
    if error.kind() != ErrorKind::WorkerDied {
        return error;
    }
    let app = Arc::clone(&seat.app);
    let better = tokio::task::spawn_blocking(move || app.explain_failed_start(&launch)).await;
    match better {
        Ok(Some(better)) => better.with_last_output(error.last_output().to_vec()),
        _ => error,
    }
}
