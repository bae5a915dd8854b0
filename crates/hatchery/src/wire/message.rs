//! The JSON bodies of the kinds (`docs/design/wire.md` sections 4 to 8), and the frames that are made of them. The body of
//! ERROR is [`crate::error::ErrorBody`].

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::memory::SegmentId;
use crate::telemetry::{Level, LogSource};
use crate::tool::ToolSpec;
use crate::value::{Attachments, Payload, Place, Places};
use crate::wire::codec::{Encoded, Frame, Head, encode};
use crate::wire::{Capabilities, FrameError, Kind, Limits, Terms};

/// The version of the wire that this host speaks.
pub(crate) const VERSION: u32 = 1;
const MAX_TOOLS: usize = 10_000;
const MAX_NAME: usize = 256;
/// The tool that a worker answers if it names the capability `health`. It is in no list.
pub(crate) const HEALTH_TOOL: &str = "hatchery.health";
/// What no tool's name may begin with.
const RESERVED: &str = "hatchery.";

impl Encoded {
    /// A frame without a body: PING, CANCEL.
    pub(crate) fn bare(kind: Kind, id: u64, terms: &Terms) -> Result<Encoded, FrameError> {
        encode(Head::new(kind, id), &Attachments::default().laid(&[]), terms, |_| Ok(()))
    }

    /// SEGMENT: a worker is given memory, by this descriptor.
    pub(crate) fn segment(
        id: SegmentId,
        body: &SegmentBody,
        memory: OwnedFd,
        terms: &Terms,
    ) -> Result<Encoded, FrameError> {
        let frame = Encoded::message(Kind::Segment, id.into(), body, terms)?;
        Ok(Encoded { descriptor: Some(Arc::new(memory)), ..frame })
    }

    /// RELEASE: the item at this place is looked at no more.
    pub(crate) fn release(place: Place, terms: &Terms) -> Result<Encoded, FrameError> {
        let head = Head { extra: place.segment, ..Head::new(Kind::Release, place.offset) };
        encode(head, &Attachments::default().laid(&[]), terms, |_| Ok(()))
    }

    /// CREDIT: `bytes` more may be sent of the stream of call `id`.
    pub(crate) fn credit(id: u64, bytes: u32, terms: &Terms) -> Result<Encoded, FrameError> {
        let head = Head { extra: bytes, ..Head::new(Kind::Credit, id) };
        encode(head, &Attachments::default().laid(&[]), terms, |_| Ok(()))
    }

    /// RECALL: the calls from `first` on, so many, as far as they were not begun.
    pub(crate) fn recall(first: u64, count: u32, terms: &Terms) -> Result<Encoded, FrameError> {
        let head = Head { extra: count, ..Head::new(Kind::Recall, first) };
        encode(head, &Attachments::default().laid(&[]), terms, |_| Ok(()))
    }

    /// A frame whose body is one of the messages of this module, or an error.
    pub(crate) fn message(kind: Kind, id: u64, body: &impl Serialize, terms: &Terms) -> Result<Encoded, FrameError> {
        encode(Head::new(kind, id), &Attachments::default().laid(&[]), terms, |out| serde_json::to_writer(out, body))
    }

    /// A frame whose body is a value: HOST_RESULT, RESULT, CHUNK, END.
    pub(crate) fn value(
        kind: Kind,
        id: u64,
        value: &Payload,
        places: &Places,
        terms: &Terms,
    ) -> Result<Encoded, FrameError> {
        encode(Head::new(kind, id), &value.attachments().laid(places), terms, |out| {
            out.extend_from_slice(value.json());
            Ok(())
        })
    }

    /// CALL. `credit` asks for a stream and is its first grant.
    pub(crate) fn call(
        id: u64,
        credit: Option<u32>,
        body: &CallBody<'_>,
        places: &Places,
        terms: &Terms,
    ) -> Result<Encoded, FrameError> {
        let head = Head::new(Kind::Call, id);
        let head = credit.map_or(head, |credit| head.streaming(credit));
        encode(head, &body.args.attachments().laid(places), terms, |out| body.write(out))
    }
}

/// What the host says first.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) versions: Vec<u32>,
    pub(crate) host: String,
    pub(crate) run: String,
    pub(crate) worker: String,
    pub(crate) app: String,
    pub(crate) capabilities: Capabilities,
    pub(crate) limits: Limits,
    /// How many calls the worker is sent at once, at most.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) max_in_flight: usize,
    /// Whether the worker shall warn of what several calls at once could break.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) thread_safety_checks: bool,
}

/// What the worker answers when it has loaded its app.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) app: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<WorkerRuntime>,
    pub(crate) capabilities: Capabilities,
    /// What the worker accepts. Without it, the host's own limits hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<Limits>,
    pub(crate) tools: Vec<ToolSpec>,
}

/// What a worker is written in, as it says itself. In JSON without what it does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct WorkerRuntime {
    /// Like `python`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub language: String,
    /// Of the language.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The library that reads and writes its JSON.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub json: String,
    /// Like `CPython`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub implementation: String,
    /// Whether the interpreter was built to run without its global lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_threaded_build: Option<bool>,
    /// Whether the global lock is in force in this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gil: Option<bool>,
}

impl Ready {
    /// Reads READY and holds it to what the page says of it.
    pub(crate) fn read(frame: &Frame) -> Result<Ready, FrameError> {
        let ready: Ready = frame.parse()?;
        match ready.problem() {
            Some(problem) => Err(frame.wrong_body(problem)),
            None => Ok(ready),
        }
    }

    /// The terms on which frames are sent to this worker, by a host with `ours`.
    pub(crate) fn terms(&self, ours: &Terms) -> Terms {
        Terms {
            limits: self.limits.map_or(ours.limits, |limits| limits.narrowed(ours.limits)),
            capabilities: self.capabilities.intersect(ours.capabilities),
        }
    }

    fn problem(&self) -> Option<String> {
        if self.version != VERSION {
            return Some(format!("chooses version {}, and only {VERSION} was offered", self.version));
        }
        if self.tools.len() > MAX_TOOLS {
            return Some(format!("lists {} tools, and {MAX_TOOLS} is the most", self.tools.len()));
        }
        let mut seen = HashSet::with_capacity(self.tools.len());
        self.tools.iter().find_map(|tool| match tool.name.as_str() {
            "" => Some("lists a tool whose name is empty".to_owned()),
            name if name.len() > MAX_NAME => Some(format!(
                "lists a tool whose name is {} bytes long, and {MAX_NAME} is the most: \"{}…\"",
                name.len(),
                name.chars().take(40).collect::<String>()
            )),
            name if name.starts_with(RESERVED) => {
                Some(format!("lists the tool \"{name}\", and names that begin with \"{RESERVED}\" are reserved"))
            }
            name if !seen.insert(name) => Some(format!("lists the tool \"{name}\" twice")),
            _ => None,
        })
    }
}

/// The answer of [`HEALTH_TOOL`].
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct HealthBody {
    pub(crate) healthy: bool,
    /// Facts of a healthy worker, or what is wrong with it (`message`, and what Python adds).
    #[serde(default)]
    pub(crate) details: Option<Map<String, Value>>,
}

fn one() -> usize {
    1
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

/// What a call says. Written by hand around arguments that are JSON already.
#[derive(Debug)]
pub(crate) struct CallBody<'a> {
    pub(crate) tool: &'a str,
    /// An object.
    pub(crate) args: &'a Payload,
    pub(crate) correlation_id: &'a str,
    pub(crate) timeout_us: Option<u64>,
    pub(crate) session: Option<&'a str>,
    /// Whether values on a device are to stay there.
    pub(crate) handles: bool,
    pub(crate) trace_parent: Option<&'a str>,
}

impl CallBody<'_> {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        out.reserve(self.args.json().len() + self.tool.len() + 128);
        out.extend_from_slice(b"{\"tool\":");
        serde_json::to_writer(&mut *out, self.tool)?;
        out.extend_from_slice(b",\"args\":");
        out.extend_from_slice(self.args.json());
        out.extend_from_slice(b",\"correlation_id\":");
        serde_json::to_writer(&mut *out, self.correlation_id)?;
        if let Some(timeout) = self.timeout_us {
            out.extend_from_slice(b",\"timeout_us\":");
            serde_json::to_writer(&mut *out, &timeout)?;
        }
        if let Some(session) = self.session {
            out.extend_from_slice(b",\"session\":");
            serde_json::to_writer(&mut *out, session)?;
        }
        if self.handles {
            out.extend_from_slice(b",\"handles\":true");
        }
        if let Some(trace_parent) = self.trace_parent {
            out.extend_from_slice(b",\"traceparent\":");
            serde_json::to_writer(&mut *out, trace_parent)?;
        }
        out.push(b'}');
        Ok(())
    }
}

/// The host is about to end the worker, and will wait this long before SIGTERM.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shutdown {
    pub(crate) grace_us: u64,
}

/// A segment that the worker is given.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SegmentBody {
    pub(crate) size: u64,
    pub(crate) access: Access,
    /// How many bytes of it may stay in memory unused.
    pub(crate) keep: u64,
    /// From how many bytes on a value belongs there.
    pub(crate) threshold: u64,
}

/// What the worker may do in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Access {
    Read,
    Write,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProgressBody {
    pub(crate) fraction: Option<f64>,
    pub(crate) message: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LogBody {
    pub(crate) level: Level,
    pub(crate) message: String,
    pub(crate) source: LogSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) correlation_id: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventBody {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) measurements: Map<String, Value>,
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) correlation_id: Option<String>,
}

impl EventBody {
    /// Reads EVENT. A measurement that was NaN comes as null and is left out.
    pub(crate) fn read(frame: &Frame) -> Result<EventBody, FrameError> {
        let mut event: EventBody = frame.parse()?;
        event.measurements.retain(|_, value| !value.is_null());
        match event.measurements.iter().find(|(_, value)| !value.is_number()) {
            Some((name, value)) => {
                Err(frame.wrong_body(format!("has a measurement {name} that is no number: {value}")))
            }
            None => Ok(event),
        }
    }
}

/// A worker asks which of the host's tools there are.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct HostToolsBody {
    /// The call on whose behalf, or 0.
    #[serde(default)]
    pub(crate) call: u64,
}

impl HostToolsBody {
    /// Without a body, it is on nobody's behalf.
    pub(crate) fn read(frame: &Frame) -> Result<HostToolsBody, FrameError> {
        if frame.body.is_empty() { Ok(HostToolsBody::default()) } else { frame.parse() }
    }
}

/// A worker asks for one of the host's tools.
#[derive(Debug, PartialEq)]
pub(crate) struct HostCall {
    /// The call on whose behalf, or 0.
    pub(crate) call: u64,
    pub(crate) tool: String,
    pub(crate) args: Payload,
    pub(crate) correlation_id: Option<String>,
}

#[derive(Deserialize)]
struct HostCallBody<'a> {
    #[serde(default)]
    call: u64,
    tool: String,
    #[serde(borrow)]
    args: &'a RawValue,
    #[serde(default)]
    correlation_id: Option<String>,
}

impl HostCall {
    /// Reads HOST_CALL. The arguments stay a slice of the frame.
    pub(crate) fn read(frame: &Frame) -> Result<HostCall, FrameError> {
        let body: HostCallBody<'_> = frame.parse()?;
        let args: Bytes = frame.body.slice_ref(body.args.get().as_bytes());
        if !args.starts_with(b"{") {
            return Err(frame.wrong_body(format!("has args that are no object, for tool \"{}\"", body.tool)));
        }
        let args = Payload::received(args, frame.attachments.clone());
        Ok(HostCall { call: body.call, tool: body.tool, args, correlation_id: body.correlation_id })
    }
}

/// Which telemetry events workers send from now on; what is `None` stays as it is. A worker begins with all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Whether any are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The share of events that is sent, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<f64>,
    /// Patterns (`*` any run of characters, `?` one); empty allows all names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// Patterns; a name that one of them matches is not sent, whatever `allow` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<Vec<String>>,
}

impl Telemetry {
    /// These where they are set, else those of `before`.
    #[must_use]
    pub fn over(self, before: Telemetry) -> Telemetry {
        Telemetry {
            enabled: self.enabled.or(before.enabled),
            sampling: self.sampling.or(before.sampling),
            allow: self.allow.or(before.allow),
            deny: self.deny.or(before.deny),
        }
    }

    /// What a worker begins with.
    pub(crate) fn all() -> Telemetry {
        Telemetry { enabled: Some(true), sampling: Some(1.0), allow: Some(Vec::new()), deny: Some(Vec::new()) }
    }

    /// Whether it is what a worker begins with.
    pub(crate) fn is_all(&self) -> bool {
        let is_empty = |names: &Option<Vec<String>>| names.as_ref().is_none_or(Vec::is_empty);
        self.enabled != Some(false)
            && self.sampling.is_none_or(|share| share >= 1.0)
            && is_empty(&self.allow)
            && is_empty(&self.deny)
    }
}
