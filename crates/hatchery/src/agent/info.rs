//! A run, as a list shows it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{AgentRunId, AgentSessionId, AgentState, OwnerDeath, Usage};

/// A run as it was when somebody looked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// For ever.
    pub run: AgentRunId,
    /// What its conversation is called now, and what it was called before, the latest first.
    pub sessions: Vec<AgentSessionId>,
    /// Whether the conversation can be resumed, as far as that is known.
    pub resumable: Option<bool>,
    /// How it is spoken to.
    pub adapter: String,
    /// Program and arguments, secrets redacted.
    pub command: Vec<String>,
    /// Where it works.
    pub cwd: PathBuf,
    /// Of its process, once there is one.
    pub pid: Option<i32>,
    /// As they were given.
    pub labels: BTreeMap<String, String>,
    /// Which agent it is a run of: id and name.
    pub agent: Option<(String, String)>,
    /// What it is to do.
    pub task: Option<String>,
    /// What it thinks with.
    pub model: Option<String>,
    /// When it was recorded.
    pub started_at: SystemTime,
    /// What it is doing.
    pub state: AgentState,
    /// Turns that it has ended.
    pub turns: u32,
    /// What they have cost together.
    pub usage: Usage,
    /// Events that were written so far, which is the number of the last one.
    pub events: u64,
    /// Bytes that it has written.
    pub bytes: u64,
    /// What becomes of it if its supervisor dies.
    pub on_owner_death: OwnerDeath,
    /// What is not as it should be: a spool that cannot forget, a reader that was cut.
    pub notes: Vec<String>,
}

impl AgentInfo {
    /// Whether its conversation is, or was, called this.
    pub fn is_called(&self, name: &str) -> bool {
        self.sessions.iter().any(|session| session.as_str() == name)
    }
}
