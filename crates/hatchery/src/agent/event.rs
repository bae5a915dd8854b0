//! What a run has said, line by line.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{AgentRunId, Signal};

/// One line of a run, or one thing that was noticed about it.
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

/// What a reader of a run gets.
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
