//! What a run has said, line by line.

use bytes::Bytes;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::{AgentRunId, Signal};
use crate::value::Binary;

/// One line of a run, or one thing that was noticed about it.
///
/// As JSON `{run, seq, t_ms, stream, signals, line}`: a line is text, or `{"$bytes": base64}` if it is no UTF-8, or
/// `{offset, length}` if it is too long to be handed out; `partial: true` stands beside one that has no end.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentEvent {
    /// Whose.
    pub run: AgentRunId,
    /// From 1, without gaps in what is written; over all streams of the run.
    pub seq: u64,
    /// Milliseconds since the run was recorded.
    pub t_ms: u64,
    /// Where it was said.
    pub stream: Stream,
    /// What it means.
    pub signals: Vec<Signal>,
    /// What was said, without its line end.
    pub line: Line,
}

/// Where something was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// The agent's standard output.
    Stdout,
    /// The agent's standard error.
    Stderr,
    /// By us, about the run.
    Host,
}

/// The bytes of a line, which need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// These.
    Here(Bytes),
    /// Too long to be handed out with every event: so many bytes that the spool may still have.
    Spooled {
        /// Where they begin in the spool.
        offset: u64,
        /// How many there are.
        length: u64,
    },
    /// The run ended in the middle of this line. (One that is too long to be handed out is `Spooled`; the outcome of the
    /// run tells that it has no end.)
    Partial(Bytes),
}

/// What a reader of a run gets. As JSON an event, or `{"gap": {…}}`.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// One event.
    Event(AgentEvent),
    /// What was said before the reader came to it, and has been forgotten since.
    Gap(Gap),
}

/// Events that are not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The number of the first one.
    pub from: u64,
    /// How many.
    pub events: u64,
    /// How many bytes their lines had, without the line ends. `None`: the reader began in what was forgotten so long ago
    /// that not even this is known.
    pub bytes: Option<u64>,
}

impl Serialize for AgentEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_partial = matches!(self.line, Line::Partial(_));
        let mut event = serializer.serialize_struct("AgentEvent", 6 + usize::from(is_partial))?;
        event.serialize_field("run", &self.run)?;
        event.serialize_field("seq", &self.seq)?;
        event.serialize_field("t_ms", &self.t_ms)?;
        event.serialize_field("stream", &self.stream)?;
        event.serialize_field("signals", &self.signals)?;
        event.serialize_field("line", &self.line)?;
        if is_partial {
            event.serialize_field("partial", &true)?;
        }
        event.end()
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Line::Here(bytes) | Line::Partial(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => serializer.serialize_str(text),
                Err(_) => Binary(bytes.clone()).serialize(serializer),
            },
            Line::Spooled { offset, length } => {
                let mut place = serializer.serialize_struct("Spooled", 2)?;
                place.serialize_field("offset", offset)?;
                place.serialize_field("length", length)?;
                place.end()
            }
        }
    }
}

impl Serialize for Heard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Heard::Event(event) => event.serialize(serializer),
            Heard::Gap(gap) => {
                let mut object = serializer.serialize_struct("Heard", 1)?;
                object.serialize_field("gap", gap)?;
                object.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(line: Line) -> serde_json::Value {
        let run = AgentRunId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        let signals = vec![Signal::TurnStarted];
        let event = AgentEvent { run, seq: 7, t_ms: 12, stream: Stream::Stdout, signals, line };
        serde_json::to_value(Heard::Event(event)).unwrap()
    }

    #[test]
    fn a_line_is_text_where_it_can_be() {
        let expected = json!({
            "run": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "seq": 7, "t_ms": 12, "stream": "stdout",
            "signals": [{ "kind": "turn_started" }], "line": "hello",
        });
        assert_eq!(event(Line::Here(Bytes::from_static(b"hello"))), expected);
        assert_eq!(event(Line::Here(Bytes::from_static(b"\xff")))["line"], json!({ "$bytes": "/w==" }));
        assert_eq!(event(Line::Spooled { offset: 5, length: 9 })["line"], json!({ "offset": 5, "length": 9 }));
        let cut = event(Line::Partial(Bytes::from_static(b"hel")));
        assert_eq!((&cut["line"], &cut["partial"]), (&json!("hel"), &json!(true)));
    }

    #[test]
    fn a_gap_says_that_it_is_one() {
        let gap = Heard::Gap(Gap { from: 3, events: 2, bytes: None });
        assert_eq!(serde_json::to_value(gap).unwrap(), json!({ "gap": { "from": 3, "events": 2, "bytes": null } }));
    }
}
