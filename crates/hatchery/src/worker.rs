//! One worker: its handle (`Line`), and its life from start to burial (`worker::run`). Knows nothing of pools; what a
//! pool must know goes up through [`Owner`].

mod behind;
mod body;
mod heart;
mod heartbeat;
mod hello;
mod inflight;
mod journey;
mod ledger;
mod life;
mod link;
mod linked;
mod loans;
mod own;
mod profile;
mod reader;
mod template;
#[cfg(test)]
mod tests;
mod vitals;
mod voice;
mod word;

pub use heartbeat::Heartbeat;
pub(crate) use inflight::{Answer, Answered, Ended, Inflight, Item, Sink};
use inflight::{Heritage, Opened, Opening};
pub(crate) use journey::{Given, Journey};
pub(crate) use life::{Exit, Seat, run};
pub use link::{Berth, LinkedProcess, ToolFacts, Transport, TransportContext, WorkerCalls, WorkerVoice};
use loans::Loans;
pub use own::ProfileItems;
pub use profile::{Later, Profile, ProfileCall, ProfileGraces, ProfileMetadata, ProfileWorker, WorkerContext};
pub(crate) use template::{Template, TemplateSettings};
pub(crate) use vitals::Vitals;
pub use vitals::{HeartbeatStatus, WorkerHealth};
pub(crate) use word::{Stop, Word};

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use crate::call::{CallOptions, Deadline, Metadata};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, LifeId, WorkerId};
use crate::process::{Confinement, Terminator};
use crate::tool::{ToolItems, ToolSpec};
use crate::transport::Outbox;
use crate::value::{Payload, Places};
use crate::waiting::Mark;
use crate::wire::{CallBody, Capability, Encoded, HEALTH_TOOL, Kind, Limits, Telemetry, Terms, WorkerRuntime};

/// How a worker is started and ended.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// From the start of the process to READY. `None`: no limit.
    pub(crate) start: Option<Duration>,
    /// How long a cancelled call may go on before its worker is ended. Default: 2 s.
    pub(crate) cancel_grace: Duration,
    /// Whether and when it is taken to be dead though it lives.
    pub(crate) heartbeat: Heartbeat,
    /// What frames may weigh.
    pub(crate) limits: Limits,
    /// What the process may do and use.
    pub(crate) confinement: Confinement,
    /// How many calls it is sent at once, at most. Default: 1.
    pub(crate) max_in_flight: usize,
    /// Whether it shall warn of what several calls at once could break. Default: no.
    pub(crate) thread_safety_checks: bool,
    /// Variables that limit the threads of libraries; an app's own go before them.
    pub(crate) thread_limits: Vec<(String, String)>,
    /// What it may be forked from.
    pub(crate) template: TemplateSettings,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            start: Some(Duration::from_secs(60)),
            cancel_grace: Duration::from_secs(2),
            heartbeat: Heartbeat::default(),
            limits: Limits::default(),
            confinement: Confinement::default(),
            max_in_flight: 1,
            thread_safety_checks: false,
            thread_limits: Vec::new(),
            template: TemplateSettings::default(),
        }
    }
}

/// What a worker tells the one who owns it. Called from the worker's tasks; must not block.
pub(crate) trait Owner: Send + Sync + 'static {
    /// The process exists and can be ended by this.
    fn started(&self, life: LifeId, terminator: Terminator);
    /// It takes calls.
    fn ready(&self, line: Arc<Line>);
    /// It answered these calls for good.
    fn done(&self, life: LifeId, ids: &[CallId]);
    /// It had these calls, in this order, and has not begun them.
    fn returned(&self, life: LifeId, calls: Vec<(CallId, Call)>);
    /// A call ended with this error, which is what the tool raised.
    fn raised(&self, life: LifeId, error: &Error);
    /// Something about its heart.
    fn beat(&self, pulse: Pulse);
    /// It takes no more calls.
    fn retired(&self, life: LifeId);
    /// It takes no more calls, and goes on with those that it has for as long as they last.
    fn lingers(&self, life: LifeId);
    /// It was killed and is still there; its seat is taken until it is gone.
    fn unkillable(&self, life: LifeId);
    /// This worker is to run a tool, as for anybody who directs a call to it.
    fn ask(
        self: Arc<Self>,
        worker: &WorkerId,
        tool: String,
        arguments: Payload,
        options: CallOptions,
    ) -> Later<'static, Result<Payload>>;
    /// As [`Owner::ask`], for a tool that answers with a stream.
    fn ask_stream(
        self: Arc<Self>,
        worker: &WorkerId,
        tool: &str,
        arguments: Payload,
        options: CallOptions,
    ) -> Result<ToolItems>;
}

/// What is to be said of a worker's heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pulse {
    Asked,
    Answered,
    Missed,
    /// It missed too many.
    Failed,
}

/// A call on its way to a worker.
pub(crate) struct Call {
    pub(crate) tool: Arc<str>,
    pub(crate) arguments: Payload,
    pub(crate) correlation_id: Arc<str>,
    pub(crate) session: Option<String>,
    /// Whether values on a device are to stay there.
    pub(crate) handles: bool,
    pub(crate) trace_parent: Option<Arc<str>>,
    /// None for workers of the native wire.
    pub(crate) metadata: Option<Metadata>,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) sink: Sink,
    /// When it was made.
    pub(crate) made: Instant,
    /// How many workers have died over it without having begun it.
    pub(crate) deaths: u8,
    /// A call of a worker waits for it.
    pub(crate) mark: Option<Mark>,
}

/// A call with longer arguments is not sent ahead, and not kept in case that its worker dies before it begins it.
const LONGEST_KEPT: u64 = 16 << 10;

impl Call {
    /// Whether it may lie in a worker behind others, and be given to another one. How a worker is, no other can say; and what
    /// another call waits for must have the place that it is said to have.
    pub(crate) fn may_be_sent_ahead(&self) -> bool {
        let is_somebodys = *self.tool != *HEALTH_TOOL && self.mark.is_none();
        matches!(self.sink, Sink::Unary(_)) && is_somebodys && self.arguments.weight() <= LONGEST_KEPT
    }
}

/// The bytes that a stream may send before its reader has taken any.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;

/// A worker that is ready: calls are given to it from whatever thread has them.
pub(crate) struct Line {
    pub(crate) id: WorkerId,
    pub(crate) life: LifeId,
    /// `None` where it is no process.
    pub(crate) pid: Option<i32>,
    pub(crate) started_at: SystemTime,
    pub(crate) tools: Arc<[ToolSpec]>,
    /// It takes calls of tools that are not among these.
    pub(crate) takes_any_tool: bool,
    /// What it is written in, if it says so.
    pub(crate) runtime: Option<WorkerRuntime>,
    pub(crate) vitals: Arc<Vitals>,
    means: Means,
}

/// How it is reached.
enum Means {
    Wire(WireLine),
    Own(Arc<own::OwnLine>),
}

/// A process that speaks the native wire.
struct WireLine {
    /// For people.
    id: WorkerId,
    /// What the worker accepts.
    terms: Terms,
    /// It keeps a ledger, and gives calls back.
    takes_ahead: bool,
    /// It runs one call after another.
    is_serial: bool,
    data: Arc<Outbox<pipe::Sender>>,
    control: Arc<Outbox<UnixStream>>,
    inflight: Arc<Inflight>,
    loans: Arc<Loans>,
    cancelled: mpsc::UnboundedSender<WireId>,
    /// Of the next call. Held while one is written, so that they rise on the wire too.
    next_id: Mutex<WireId>,
}

/// A call's number on one worker's wire: rises in the order of writing, which priorities make another than that of coming.
pub(crate) type WireId = u64;

/// What became of a call that was to be written.
pub(crate) enum Sent {
    Written,
    /// Its caller was told why the worker cannot take it. The worker is free for another.
    Refused,
    /// The worker is on its way out and has not seen it.
    Dying(Box<Call>),
}

impl Line {
    /// Gives it the call. What is to happen when it gets it happens `first`: before it can answer.
    pub(crate) fn send(self: &Arc<Line>, id: CallId, call: Call, first: impl FnOnce()) -> Sent {
        match &self.means {
            Means::Wire(wire) => wire.send(self, id, call, first),
            Means::Own(own) => own.send(self, id, call, first),
        }
    }

    /// Asks the worker to give the call up, and sees to it that the worker ends if it does not.
    pub(crate) fn cancel(&self, id: CallId) {
        match &self.means {
            Means::Wire(wire) => wire.cancel(id),
            Means::Own(own) => own.cancel(id),
        }
    }

    /// How far a call that it has would have come if it ended now. `None`: it has no such call.
    pub(crate) fn journey(&self, id: CallId) -> Option<Journey> {
        match &self.means {
            Means::Wire(wire) => wire.inflight.journey(id),
            Means::Own(own) => own.journey(id),
        }
    }

    /// Since it became ready.
    pub(crate) fn age(&self) -> Duration {
        SystemTime::now().duration_since(self.started_at).unwrap_or_default()
    }

    /// Lets a stream send this many bytes more.
    pub(crate) fn credit(&self, id: CallId, bytes: u32) {
        match &self.means {
            Means::Wire(wire) => wire.credit(id, bytes),
            Means::Own(own) => own.credit(id, bytes),
        }
    }

    /// Whether it has something to say about its own state.
    pub(crate) fn can_say_how_it_is(&self) -> bool {
        match &self.means {
            Means::Wire(wire) => wire.terms.capabilities.contains(Capability::Health),
            Means::Own(_) => true,
        }
    }

    /// The names of what it can do beside plain calls.
    pub(crate) fn capabilities(&self) -> Vec<&'static str> {
        match &self.means {
            Means::Wire(wire) => wire.terms.capabilities.iter().map(Capability::name).collect(),
            Means::Own(_) => Vec::new(),
        }
    }

    /// How many calls it has answered.
    pub(crate) fn answered(&self) -> Answered {
        match &self.means {
            Means::Wire(wire) => wire.inflight.answered(),
            Means::Own(own) => own.answered(),
        }
    }

    /// Whether calls may lie in it behind the one that it is at.
    pub(crate) fn takes_ahead(&self) -> bool {
        matches!(&self.means, Means::Wire(wire) if wire.takes_ahead)
    }

    /// Calls that it has, if others than the pool give it some.
    pub(crate) fn load(&self) -> Option<usize> {
        match &self.means {
            Means::Wire(_) => None,
            Means::Own(own) => own.load(),
        }
    }

    /// Sets what telemetry the worker sends from now on.
    pub(crate) fn telemetry(&self, settings: &Telemetry) -> Result<()> {
        match &self.means {
            Means::Wire(wire) => wire.telemetry(settings),
            Means::Own(own) => own.telemetry(settings),
        }
    }
}

impl WireLine {
    fn send(&self, line: &Arc<Line>, id: CallId, mut call: Call, first: impl FnOnce()) -> Sent {
        let credit = matches!(call.sink, Sink::Stream(_)).then_some(STREAM_WINDOW);
        // Large values are copied before the line is held.
        let placed = self.loans.place(call.arguments.attachments());
        let mut next_id = self.next_id.lock().unwrap_or_else(PoisonError::into_inner);
        let (wire, now) = (*next_id, Instant::now());
        let frame = match self.frame(wire, &call, credit, placed.places(), now) {
            Ok(frame) => frame,
            Err(error) => {
                call.sink.fail(error);
                return Sent::Refused;
            }
        };
        if let Sink::Stream(caller) = &call.sink {
            let _given_up = caller.send(Item::Begun(Arc::clone(line)));
        }
        let is_kept = self.takes_ahead && call.may_be_sent_ahead();
        let given = Given { life: line.life, made: call.made, at: now, is_serial: self.is_serial };
        let opening = Opening { credit: credit.unwrap_or(0), is_kept, given };
        let mark = call.mark.take();
        let is_behind = match self.inflight.open(wire, id, call, opening) {
            Opened::First => false,
            Opened::Behind => true,
            Opened::Dying(call) => return Sent::Dying(Box::new(Call { mark, ..*call })),
        };
        *next_id += 1;
        // Before the worker has it, and can ask for more.
        mark.into_iter().for_each(|mark| mark.runs_in(&line.id, line.life.generation, wire));
        self.loans.lend(placed);
        first();
        // A closed channel means a dying worker; its burial sees to what is in flight.
        let _dying = if is_behind { self.data.send_soon(frame) } else { self.data.send(frame) };
        Sent::Written
    }

    fn cancel(&self, id: CallId) {
        let Some(wire) = self.inflight.wire_id(id) else { return };
        // Without the capability there is no such frame; the grace runs all the same.
        if let Ok(frame) = Encoded::bare(Kind::Cancel, wire, &self.terms) {
            let _dying = self.control.send(frame);
        }
        let _dying = self.cancelled.send(wire);
    }

    fn credit(&self, id: CallId, bytes: u32) {
        if let Some(wire) = self.inflight.grant(id, bytes)
            && let Ok(frame) = Encoded::credit(wire, bytes, &self.terms)
        {
            let _dying = self.control.send(frame);
        }
    }

    fn telemetry(&self, settings: &Telemetry) -> Result<()> {
        self.needs(Capability::TelemetryControl)?;
        let frame = Encoded::message(Kind::Telemetry, 0, settings, &self.terms).map_err(|error| error.unsent())?;
        self.control.send(frame).map_err(|_| self.gone())
    }

    fn frame(&self, id: WireId, call: &Call, credit: Option<u32>, places: &Places, now: Instant) -> Result<Encoded> {
        if credit.is_some() {
            self.needs(Capability::Streams)?;
        }
        if !call.arguments.attachments().is_empty() {
            self.needs(Capability::Attachments)?;
        }
        let left = call.deadline.map(|deadline| deadline.left(now));
        let body = CallBody {
            tool: &call.tool,
            args: &call.arguments,
            correlation_id: &call.correlation_id,
            timeout_us: left.map(|left| u64::try_from(left.as_micros()).unwrap_or(u64::MAX)),
            session: call.session.as_deref(),
            handles: call.handles,
            trace_parent: call.trace_parent.as_deref(),
        };
        Encoded::call(id, credit, &body, places, &self.terms)
            .map_err(|error| error.unsent().context(format_args!("{}: arguments", call.tool)))
    }

    fn needs(&self, capability: Capability) -> Result<()> {
        if self.terms.capabilities.contains(capability) {
            return Ok(());
        }
        let message = format!("worker {} cannot do `{capability}`", self.id);
        Err(Error::new(ErrorKind::Unavailable, message).with_retryable(false))
    }

    fn gone(&self) -> Error {
        Error::new(ErrorKind::WorkerDied, format!("worker {} ended before it could take the call", self.id))
    }
}
