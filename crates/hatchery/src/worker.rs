//! One worker: its handle (`Line`), and its life from start to burial (`worker::run`). Knows nothing of pools; what a
//! pool must know goes up through [`Owner`].

mod hello;
mod inflight;
mod life;
mod reader;
mod voice;

pub(crate) use inflight::{Inflight, Item, Sink};
pub(crate) use life::{Exit, Seat, run};

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use crate::call::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, WorkerId};
use crate::process::{Escalation, Terminator};
use crate::tool::ToolSpec;
use crate::transport::Outbox;
use crate::value::Payload;
use crate::wire::{self, Capabilities, Capability, Kind, Limits};

/// How a worker is started and ended.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// From the start of the process to READY. `None`: no limit.
    pub(crate) start: Option<Duration>,
    /// How long a cancelled call may go on before its worker is ended. Default: 2 s.
    pub(crate) cancel_grace: Duration,
    /// What frames may weigh.
    pub(crate) limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            start: Some(Duration::from_secs(60)),
            cancel_grace: Duration::from_secs(2),
            limits: Limits::default(),
        }
    }
}

/// What a worker tells the one who owns it. Called from the worker's tasks; must not block.
pub(crate) trait Owner: Send + Sync + 'static {
    /// The process exists and can be ended by this.
    fn started(&self, seat: usize, terminator: Terminator);
    /// It takes calls.
    fn ready(&self, seat: usize, line: Arc<Line>);
    /// It answered this call for good.
    fn done(&self, id: CallId);
    /// It takes no more calls.
    fn retired(&self, seat: usize);
}

/// What the owner tells its workers: go on, or end like this. Dropped: end at once.
pub(crate) type Stop = tokio::sync::watch::Receiver<Option<Escalation>>;

/// A call on its way to a worker.
pub(crate) struct Call {
    pub(crate) tool: Arc<str>,
    pub(crate) arguments: Payload,
    pub(crate) correlation_id: Arc<str>,
    pub(crate) session: Option<String>,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) sink: Sink,
}

/// The bytes that a stream may send before its reader has taken any.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;

/// A worker that is ready: calls are written to it from whatever thread has them.
pub(crate) struct Line {
    pub(crate) id: WorkerId,
    pub(crate) pid: i32,
    pub(crate) generation: u64,
    pub(crate) started_at: SystemTime,
    pub(crate) tools: Arc<[ToolSpec]>,
    agreed: Capabilities,
    /// What the worker accepts.
    limits: Limits,
    data: Arc<Outbox<pipe::Sender>>,
    control: Arc<Outbox<UnixStream>>,
    inflight: Arc<Inflight>,
    cancelled: mpsc::UnboundedSender<CallId>,
}

impl Line {
    /// Writes the call. `false`: it was refused with a typed error and never reached the worker, which is free for
    /// another. A worker on its way out fails the call too, but is free for nothing.
    #[must_use]
    pub(crate) fn send(self: &Arc<Line>, id: CallId, call: Call) -> bool {
        let is_stream = matches!(call.sink, Sink::Stream(_));
        let credit = if is_stream { STREAM_WINDOW } else { 0 };
        let frame = match self.frame(id, &call, is_stream, credit) {
            Ok(frame) => frame,
            Err(error) => {
                call.sink.fail(error);
                return false;
            }
        };
        if let Sink::Stream(caller) = &call.sink {
            let _given_up = caller.send(Item::Begun(Arc::clone(self)));
        }
        match self.inflight.open(id, call.sink, call.correlation_id, credit) {
            // A closed channel means a dying worker; its burial fails what is in flight.
            Ok(()) => drop(self.data.send(frame)),
            Err(sink) => sink.fail(self.gone()),
        }
        true
    }

    /// Asks the worker to give the call up, and sees to it that the worker ends if it does not.
    pub(crate) fn cancel(&self, id: CallId) {
        if self.agreed.contains(Capability::Cancel) {
            let _dying = self.control.send(wire::encode_signal(Kind::Cancel, id, 0));
        }
        let _dying = self.cancelled.send(id);
    }

    /// Lets a stream send this many bytes more.
    pub(crate) fn credit(&self, id: CallId, bytes: u32) {
        if self.inflight.grant(id, bytes) {
            let _dying = self.control.send(wire::encode_signal(Kind::Credit, id, bytes));
        }
    }

    /// Sets what telemetry the worker sends from now on.
    pub(crate) fn telemetry(&self, settings: &wire::Telemetry) -> Result<()> {
        self.needs(Capability::TelemetryControl)?;
        let frame = wire::encode_message(Kind::Telemetry, 0, settings, &self.limits)
            .map_err(|error| Error::new(ErrorKind::Limit, error.to_string()))?;
        self.control.send(frame).map_err(|_| self.gone())
    }

    fn frame(&self, id: CallId, call: &Call, is_stream: bool, credit: u32) -> Result<wire::Encoded> {
        if is_stream {
            self.needs(Capability::Streams)?;
        }
        if !call.arguments.attachments().is_empty() {
            self.needs(Capability::Attachments)?;
        }
        let timeout = call.deadline.map(|deadline| deadline.left(Instant::now()));
        let body = wire::call_body(
            &call.tool,
            call.arguments.json(),
            &call.correlation_id,
            timeout,
            call.session.as_deref(),
        );
        wire::encode_call(id, is_stream, credit, body, call.arguments.attachments(), &self.limits)
            .map_err(|error| Error::new(ErrorKind::Limit, format!("{}: arguments: {error}", call.tool)))
    }

    fn needs(&self, capability: Capability) -> Result<()> {
        if self.agreed.contains(capability) {
            return Ok(());
        }
        let message = format!("worker {} cannot do `{}`", self.id, capability.name());
        Err(Error::new(ErrorKind::Unavailable, message).with_retryable(false))
    }

    fn gone(&self) -> Error {
        Error::new(ErrorKind::WorkerDied, format!("worker {} ended before it could take the call", self.id))
    }
}
