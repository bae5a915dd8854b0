//! A run, as a list shows it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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

    /// For scripts: the same, but `state` is a word with its particulars (`tool`, `request`, `rung`, `outcome`), `since` and
    /// `reason` beside it, and times are seconds since 1970.
    pub fn to_json(&self) -> Value {
        // Only a path that is no text cannot be written.
        let mut object = serde_json::to_value(self).unwrap_or_else(|_| json!({ "run": self.run }));
        if let (Ok(Value::Object(phase)), Some(fields)) =
            (serde_json::to_value(&self.state.phase), object.as_object_mut())
        {
            fields.extend(phase);
            fields.insert("since".to_owned(), seconds(self.state.since).into());
            fields.insert("reason".to_owned(), self.state.reason.as_str().into());
            fields.insert("started_at".to_owned(), seconds(self.started_at).into());
        }
        object
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
