//! What a line of an agent means, and what is said to it, whichever agent it is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AgentSessionId;

/// What a line means. A line may mean several things, or nothing that we know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Signal {
    /// The agent has said what it calls its conversation. That it can be resumed is another thing.
    SessionSeen {
        /// Its name.
        session: AgentSessionId,
    },
    /// From now on the conversation can be resumed.
    SessionResumable,
    /// It works on a turn.
    TurnStarted,
    /// It has begun to use a tool, and may be silent until that ends.
    ToolStarted {
        /// The agent's own name for this use.
        id: String,
        /// Which tool.
        name: String,
    },
    /// That use has ended.
    ToolEnded {
        /// As in `ToolStarted`.
        id: String,
    },
    /// It says something to its user.
    Text {
        /// What.
        text: String,
    },
    /// It waits for an answer from outside, silently and for as long as it takes.
    NeedsInput {
        /// What an answer must name.
        request: String,
        /// What is asked: the name of a tool, a question.
        what: String,
    },
    /// What it waited for was answered, or it waits no more.
    InputSettled {
        /// As in `NeedsInput`.
        request: String,
    },
    /// Its service has refused it, and it tries again.
    Retry {
        /// From 1.
        attempt: u32,
        /// How often it will try, if it says so.
        max: Option<u32>,
        /// Of HTTP, if it says so.
        status: Option<u16>,
    },
    /// So many things of its own run beside the conversation.
    Background {
        /// How many.
        open: u32,
    },
    /// It is done with a turn: the terminal message of an agent that has one turn.
    TurnEnded {
        /// Whether it says that it went well. One that says success may say error beside it: then this is false.
        ok: bool,
        /// In its own words.
        reason: Option<String>,
        /// The status of its service, if that is why.
        status: Option<u16>,
        /// It has said that there is no such conversation to resume.
        #[serde(default)]
        not_found: bool,
        /// What the turn has cost.
        usage: Option<Usage>,
        /// What it answers, in its own form.
        result: Option<Value>,
    },
    /// What its user should know.
    Warning {
        /// In its own words.
        text: String,
    },
}

/// What turns have cost, as far as the agent says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens that were read.
    pub input_tokens: Option<u64>,
    /// Tokens that were written.
    pub output_tokens: Option<u64>,
    /// US dollars.
    pub cost: Option<f64>,
}

/// The answer to [`Signal::NeedsInput`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It may.
    Allow {
        /// What it is to use instead of what it asked for, if anything.
        input: Option<Value>,
    },
    /// It may not.
    Deny {
        /// What it is told.
        message: Option<String>,
    },
}
