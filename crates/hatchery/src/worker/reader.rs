//! Reads *data out* of one worker and brings each frame to where it belongs, without a hop to another task.

use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::life::Seat;
use super::loans::Loans;
use super::voice::Voice;
use super::{Ended, Heritage, Inflight};
use crate::error::{Error, ErrorBody, ErrorKind};
use crate::host::HostCaller;
use crate::id::CallId;
use crate::telemetry::{Event, Level, LogSource, Progress, ToolEvent};
use crate::transport::{Inbox, Outbox, Received};
use crate::value::{Payload, Place, Places};
use crate::wire::{
    Capability, Encoded, EventBody, Frame, FrameError, HostCall, HostToolsBody, Kind, LogBody, ProgressBody, Terms,
};

/// Host calls that one worker may have open. One is open until the worker has taken its answer, so that a worker that
/// asks and never listens does not fill our memory.
const MAX_HOST_CALLS: usize = 1024;

/// A larger EVENT is dropped, and a longer message of PROGRESS cut: subscribers that are slow keep thousands of them.
const MAX_EVENT: usize = 64 << 10;

/// Why the reading ended.
#[derive(Debug)]
pub(super) enum Verdict {
    /// End of file, or told to stop and read what was there.
    End,
    /// The worker broke the protocol; what it did, as a fragment after the worker's name.
    Breach(String),
}

pub(super) struct Reader {
    pub(super) seat: Arc<Seat>,
    pub(super) data: Inbox<pipe::Receiver>,
    pub(super) inflight: Arc<Inflight>,
    pub(super) loans: Arc<Loans>,
    pub(super) control: Arc<Outbox<UnixStream>>,
    pub(super) voice: Arc<Voice>,
    /// What the handshake agrees on, once it has.
    pub(super) agreed: watch::Receiver<Option<Terms>>,
    pub(super) host_calls: JoinSet<()>,
    /// Calls that have ended and whose callers are still to be told.
    pub(super) ended: Vec<Ended>,
}

impl Reader {
    /// Until the end of file, a breach, or `finish`: then what is there already is read, and no more is waited for (a
    /// grandchild may hold the pipe open for ever).
    pub(super) async fn run(mut self, mut finish: oneshot::Receiver<()>) -> Verdict {
        loop {
            let frame = tokio::select! {
                frame = self.data.next() => frame,
                _told = &mut finish => return self.rest().await,
            };
            let taken = self.take_all(frame).await;
            self.tell();
            match taken {
                Ok(true) => {}
                Ok(false) => return Verdict::End,
                Err(breach) => return Verdict::Breach(breach),
            }
        }
    }

    /// A frame, and those that came with it. False at the end of file.
    async fn take_all(&mut self, first: Result<Option<Frame>, FrameError>) -> Result<bool, String> {
        let is_more = self.take(first).await?;
        while let Some(frame) = self.data.at_hand().map_err(|error| error.to_string())? {
            self.take(Ok(Some(frame))).await?;
        }
        Ok(is_more)
    }

    /// The places of the calls that have ended are free before their callers know: who calls again at once must not find the pool
    /// full because of itself. All that came together are told of together, as each of their callers may have the next call
    /// for this very worker.
    fn tell(&mut self) {
        let Seat { owner, life, .. } = &*self.seat;
        match &self.ended[..] {
            [] => return,
            [one] => owner.done(*life, &[one.id]),
            many => owner.done(*life, &many.iter().map(|ended| ended.id).collect::<Vec<CallId>>()),
        }
        self.ended.drain(..).for_each(Ended::tell);
    }

    async fn rest(mut self) -> Verdict {
        self.data.read_no_more_than_is_there();
        loop {
            let frame = match self.data.look() {
                Ok(Received::Frame(frame)) => Ok(Some(frame)),
                Ok(Received::More) => continue,
                Ok(Received::Empty | Received::End) => return Verdict::End,
                Err(error) => Err(error),
            };
            let taken = self.take(frame).await;
            self.tell();
            if let Err(breach) = taken {
                return Verdict::Breach(breach);
            }
        }
    }

    /// False at the end of file.
    async fn take(&mut self, frame: Result<Option<Frame>, FrameError>) -> Result<bool, String> {
        let Some(frame) = frame.map_err(|error| error.to_string())? else { return Ok(false) };
        if let Some(needed) = frame.kind.rules().needs {
            self.check(frame.kind, needed).await?;
        }
        if !frame.attachments.is_empty() {
            self.check(frame.kind, Capability::Attachments).await?;
        }
        self.bring(frame)?;
        Ok(true)
    }

    /// LOG may come before READY; everything else only once the capability is agreed. The READY of a quick worker may
    /// still be on its way to us when its first EVENT is here, hence the wait.
    async fn check(&mut self, kind: Kind, needed: Capability) -> Result<(), String> {
        if kind == Kind::Log && self.agreed.borrow().is_none() {
            return Ok(());
        }
        match self.agreed.wait_for(Option::is_some).await.ok().and_then(|agreed| *agreed) {
            Some(agreed) if agreed.capabilities.contains(needed) => Ok(()),
            Some(_) => Err(format!("it sent {kind} without the capability `{needed}`")),
            None => Err(format!("it sent {kind} before it was ready")),
        }
    }

    fn bring(&mut self, frame: Frame) -> Result<(), String> {
        let (kind, id) = (frame.kind, frame.id);
        let fits = match kind {
            Kind::Result => self.inflight.result(id, payload(frame)).map(|ended| self.ended.push(ended)),
            Kind::End => self.inflight.end(id, payload(frame)).map(|ended| self.ended.push(ended)),
            Kind::Error => {
                let error = self.call_error(&frame)?;
                if error.kind() == ErrorKind::Remote {
                    self.seat.owner.raised(self.seat.life, &error);
                }
                self.inflight.error(id, error).map(|ended| self.ended.push(ended))
            }
            Kind::Chunk => {
                let cost = frame.cost;
                self.inflight.chunk(id, payload(frame), cost)
            }
            Kind::Log => return self.log(&frame),
            Kind::Progress => return self.progress(&frame),
            Kind::Event => return self.event(&frame),
            Kind::HostCall | Kind::HostTools => return self.host_call(frame),
            Kind::Release => return self.loans.released(Place { segment: frame.extra, offset: id }),
            other => return Err(format!("it sent {other} on its data channel")),
        };
        fits.map_err(|mismatch| format!("it sent {kind} for call {id}, {mismatch}"))
    }

    fn call_error(&self, frame: &Frame) -> Result<Error, String> {
        let body: ErrorBody = parse(frame)?;
        Ok(body.into())
    }

    fn log(&self, frame: &Frame) -> Result<(), String> {
        let body: LogBody = parse(frame)?;
        self.voice.said(body.level, body.source, &body.message, body.correlation_id);
        Ok(())
    }

    fn progress(&self, frame: &Frame) -> Result<(), String> {
        let body: ProgressBody = parse(frame)?;
        let Some(correlation_id) = self.inflight.correlation_id(frame.id) else { return Ok(()) };
        self.seat.emitter.emit(Event::Progress(Progress {
            worker: self.seat.id.clone(),
            fraction: body.fraction,
            message: body.message.map(|message| message[..message.floor_char_boundary(MAX_EVENT)].to_owned()),
            correlation_id: correlation_id.to_string(),
        }));
        Ok(())
    }

    fn event(&self, frame: &Frame) -> Result<(), String> {
        if frame.body.len() > MAX_EVENT {
            let dropped = format!("dropped an EVENT of {} bytes: the limit is {MAX_EVENT}", frame.body.len());
            self.voice.said(Level::Warning, LogSource::Host, &dropped, None);
            return Ok(());
        }
        let body = EventBody::read(frame).map_err(|error| error.to_string())?;
        self.seat.emitter.emit(Event::Tool(ToolEvent {
            worker: self.seat.id.clone(),
            name: body.name,
            measurements: body.measurements,
            metadata: body.metadata,
            correlation_id: body.correlation_id,
        }));
        Ok(())
    }

    fn question(&self, frame: &Frame) -> Result<Question, FrameError> {
        if frame.kind == Kind::HostTools {
            let call = HostToolsBody::read(frame)?.call;
            return Ok(Question::Tools(self.inflight.heritage(call).and_then(|heritage| heritage.session)));
        }
        let HostCall { call, tool, args: arguments, correlation_id } = HostCall::read(frame)?;
        let caller = self.caller(call, correlation_id);
        Ok(Question::Call { tool, arguments, caller })
    }

    /// A worker may also ask on nobody's behalf, or on that of a call that has just ended.
    fn caller(&self, call: u64, correlation_id: Option<String>) -> HostCaller {
        let Seat { id, life, .. } = &*self.seat;
        let caller = |call| HostCaller::new().on_behalf_of(id.as_str(), life.generation, call);
        match self.inflight.heritage(call) {
            Some(Heritage { correlation_id, session, trace_parent, deadline }) => {
                let until = deadline.map(|deadline| deadline.at());
                caller(Some(call)).inheriting(session, correlation_id, trace_parent, until)
            }
            None => correlation_id.into_iter().fold(caller(None), HostCaller::correlation_id),
        }
    }

    fn host_call(&mut self, frame: Frame) -> Result<(), String> {
        while self.host_calls.try_join_next().is_some() {}
        if self.host_calls.len() >= MAX_HOST_CALLS {
            return Err(format!("it has more than {MAX_HOST_CALLS} host calls open, or does not read their answers"));
        }
        let terms = self.agreed.borrow().unwrap_or_else(|| self.seat.offered());
        let question = self.question(&frame).map_err(|error| error.to_string())?;
        let (id, tools, control) = (frame.id, self.seat.host_tools.clone(), Arc::clone(&self.control));
        let loans = Arc::clone(&self.loans);
        self.host_calls.spawn(async move {
            let answer = match question {
                Question::Tools(session) => Payload::encode(&tools.specs(session.as_deref())),
                Question::Call { tool, arguments, caller } => tools.execute(&tool, arguments, caller).await,
            };
            let placed = answer.as_ref().map(|value| loans.place(value.attachments())).unwrap_or_default();
            if let Ok(frame) = host_answer(id, answer, placed.places(), &terms) {
                if frame.is_of(Kind::HostResult) {
                    loans.lend(placed);
                }
                let _dying = control.send(frame);
            }
            control.flushed().await;
        });
        Ok(())
    }
}

/// What a worker asks of the host.
enum Question {
    /// Which tools a call of this session sees.
    Tools(Option<String>),
    Call {
        tool: String,
        arguments: Payload,
        caller: HostCaller,
    },
}

/// HOST_RESULT if it fits, else the error that it does not, else the shortest error that says so.
fn host_answer(id: u64, answer: Result<Payload, Error>, places: &Places, terms: &Terms) -> Result<Encoded, FrameError> {
    let refuse = |error: Error| Encoded::message(Kind::HostError, id, &ErrorBody::from(&error), terms);
    answer
        .and_then(|value| Encoded::value(Kind::HostResult, id, &value, places, terms).map_err(|error| error.unsent()))
        .or_else(|error| refuse(error).or_else(|_| refuse(Error::new(ErrorKind::Limit, "the error is too large"))))
}

fn payload(frame: Frame) -> Payload {
    Payload::received(frame.body, frame.attachments)
}

fn parse<'a, T: serde::Deserialize<'a>>(frame: &'a Frame) -> Result<T, String> {
    frame.parse().map_err(|error| error.to_string())
}
