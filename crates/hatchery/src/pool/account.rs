//! A call as a whole, all its tries together: counted, and told of to those who want to hear of calls.

use std::sync::Arc;
use std::time::Instant;

use super::Shared;
use super::counts::{Meter, WELL};
use super::ticket::Ticket;
use crate::call::CallOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::fault::Diagnosis;
use crate::id::{LifeId, WorkerId};
use crate::telemetry::{CallEvent, Event, FaultEvent, Kind, PoolEvent};
use crate::value::Payload;
use crate::worker::{Answer, Call, Journey, Line};

const QUEUED: Kind = Kind::named("call.queued");
const STARTED: Kind = Kind::named("call.started");
const FINISHED: Kind = Kind::named("call.finished");
const SATURATED: Kind = Kind::named("pool.saturated");
const QUEUE_TIMEOUT: Kind = Kind::named("pool.queue_timeout");
const RAISED: [Kind; 4] = [
    Kind::named("error.raised"),
    Kind::named("error.shape_mismatch"),
    Kind::named("error.device"),
    Kind::named("error.oom"),
];

/// Of a unary call. Dropped before it is closed, its caller has given the call up.
pub(super) struct Account<'a> {
    shared: &'a Shared,
    tool: &'a str,
    options: &'a CallOptions,
    made: Instant,
    tries: u32,
    /// Of the last try.
    journey: Journey,
    /// `None`: it was never admitted.
    meter: Option<Arc<Meter>>,
    is_closed: bool,
}

impl<'a> Account<'a> {
    pub(super) fn open(shared: &'a Shared, tool: &'a str, options: &'a CallOptions, made: Instant) -> Account<'a> {
        Account { shared, tool, options, made, tries: 0, journey: Journey::default(), meter: None, is_closed: false }
    }

    /// It is made, for the first time or again.
    pub(super) fn begin(&mut self) {
        self.tries += 1;
        self.journey = Journey::default();
    }

    pub(super) fn admitted(&mut self, ticket: &Ticket) {
        if self.meter.is_none() {
            self.meter = Some(Arc::clone(&ticket.meter));
        }
    }

    pub(super) fn answered(&mut self, answer: Answer) -> Result<Payload> {
        self.journey = answer.journey;
        if let Err(error) = &answer.result {
            self.shared.tell_raised(self.tool, self.options, self.journey, error);
        }
        answer.result
    }

    pub(super) fn close<T>(mut self, result: &Result<T>) {
        self.is_closed = true;
        self.settle(result.as_ref().err().map(Error::kind));
    }

    fn settle(&self, error: Option<ErrorKind>) {
        let Account { shared, tool, options, made, tries, journey, .. } = *self;
        let finished = Finished { tool, options, error, made, tries, journey };
        match &self.meter {
            Some(meter) => shared.finished_call(meter, &finished),
            None => shared.finished_call(&shared.counts.meters.of_whatever(tool), &finished),
        }
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        if !self.is_closed {
            self.settle(Some(ErrorKind::Cancelled));
        }
    }
}

/// What became of a call.
pub(super) struct Finished<'a> {
    pub(super) tool: &'a str,
    pub(super) options: &'a CallOptions,
    /// `None`: all is well.
    pub(super) error: Option<ErrorKind>,
    pub(super) made: Instant,
    pub(super) tries: u32,
    pub(super) journey: Journey,
}

impl Shared {
    pub(super) fn finished_call(&self, meter: &Meter, finished: &Finished<'_>) {
        meter.ended(finished.error);
        self.emitter.emit_with(FINISHED, || {
            let Finished { tool, options, error, made, tries, journey } = finished;
            Event::Call(CallEvent::Finished {
                pool: self.name.to_string(),
                tool: (*tool).to_owned(),
                outcome: error.map_or(WELL, ErrorKind::as_str),
                took: made.elapsed(),
                queued: journey.queued,
                ran: journey.ran,
                worker: journey.life.map(|life| self.worker(life)),
                session: options.session.clone(),
                correlation_id: correlation_id(options),
                tries: *tries,
                span: options.span.as_ref().map(|span| span.own.to_string()),
                parent_span: options.span.as_ref().and_then(|span| Some(span.parent.as_deref()?.to_owned())),
            })
        });
    }

    /// It waits in the queue.
    pub(super) fn tell_queued(&self, tool: &str, options: &CallOptions) {
        self.emitter.emit_with(QUEUED, || {
            let queued = self.roster().queued();
            let (session, correlation_id) = (options.session.clone(), correlation_id(options));
            let (pool, tool) = (self.name.to_string(), tool.to_owned());
            Event::Call(CallEvent::Queued { pool, tool, session, correlation_id, queued })
        });
    }

    /// What is to be told of a call if it is given to this worker, which takes the call along.
    pub(super) fn start_of(&self, call: &Call, worker: &Line) -> Option<CallEvent> {
        self.emitter.is_wanted(STARTED).then(|| CallEvent::Started {
            pool: self.name.to_string(),
            tool: call.tool.to_string(),
            worker: worker.id.clone(),
            generation: worker.life.generation,
            session: call.session.clone(),
            correlation_id: call.correlation_id.to_string(),
            queued: call.made.elapsed(),
        })
    }

    /// It was refused because too many wait.
    pub(super) fn tell_saturated(&self, call: &Call) {
        self.emitter.emit_with(SATURATED, || {
            let (tool, correlation_id) = (call.tool.to_string(), call.correlation_id.to_string());
            let (pool, queued) = (self.name.to_string(), self.rules().config.max_queue);
            Event::Pool(PoolEvent::Saturated { pool, tool, queued, correlation_id })
        });
    }

    /// It waited too long.
    pub(super) fn tell_queue_timeout(&self, call: &Call) {
        self.emitter.emit_with(QUEUE_TIMEOUT, || {
            let (tool, correlation_id) = (call.tool.to_string(), call.correlation_id.to_string());
            let (pool, waited) = (self.name.to_string(), call.made.elapsed());
            Event::Pool(PoolEvent::QueueTimeout { pool, tool, waited, correlation_id })
        });
    }

    /// If that is what the tool raised.
    pub(super) fn tell_raised(&self, tool: &str, options: &CallOptions, journey: Journey, error: &Error) {
        let is_wanted = RAISED.into_iter().any(|kind| self.emitter.is_wanted(kind));
        let Some(life) = journey.life.filter(|_| is_wanted && error.kind() == ErrorKind::Remote) else { return };
        let (pool, tool, worker) = (self.name.to_string(), tool.to_owned(), self.worker(life));
        let correlation_id = Some(correlation_id(options));
        self.fault(match Diagnosis::of(error) {
            Diagnosis::ShapeMismatch(facts) => {
                let (expected, got, operation) = (facts.expected, facts.got, facts.operation);
                FaultEvent::ShapeMismatch { pool, tool, worker, expected, got, operation, correlation_id }
            }
            Diagnosis::DeviceMismatch(facts) => {
                let (expected, got, operation) = (facts.expected, facts.got, facts.operation);
                FaultEvent::DeviceMismatch { pool, tool, worker, expected, got, operation, correlation_id }
            }
            Diagnosis::OutOfMemory(facts) => {
                let (device, requested, available) = (facts.device, facts.requested_bytes, facts.available_bytes);
                let operation = facts.operation;
                FaultEvent::OutOfMemory { pool, tool, worker, device, requested, available, operation, correlation_id }
            }
            Diagnosis::Typed { .. } | Diagnosis::Generic { .. } => {
                let python_type = error.python_type().map(str::to_owned);
                FaultEvent::Raised { pool, tool, worker, python_type, correlation_id }
            }
        });
    }

    pub(super) fn worker(&self, life: LifeId) -> WorkerId {
        WorkerId::new(&self.name, life.seat)
    }
}

fn correlation_id(options: &CallOptions) -> String {
    options.correlation_id.as_deref().unwrap_or_default().to_owned()
}
