//! Names of runs and of the conversations that they carry on.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

use crate::id::random_u64;

/// One process that was started as an agent: 26 characters, unlike any other on any machine. Sorts by the time of its start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentRunId(Ulid);

/// What an agent calls its conversation. It is the agent's word, compared exactly; it may live through many runs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentSessionId(Arc<str>);

impl AgentRunId {
    pub(crate) fn random() -> AgentRunId {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let random = (u128::from(random_u64()) << 64) | u128::from(random_u64());
        AgentRunId(Ulid::from_parts(u64::try_from(since.as_millis()).unwrap_or(u64::MAX), random))
    }

    /// From its 26 characters; `None` for anything else.
    ///
    /// ```
    /// use hatchery::agent::AgentRunId;
    ///
    /// let run = AgentRunId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
    /// assert_eq!(run.to_string(), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    /// assert_eq!(AgentRunId::parse("the first one"), None);
    /// ```
    pub fn parse(text: &str) -> Option<AgentRunId> {
        Ulid::from_string(text).ok().map(AgentRunId)
    }
}

impl fmt::Display for AgentRunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for AgentRunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for AgentRunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AgentRunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AgentRunId, D::Error> {
        let text = String::deserialize(deserializer)?;
        AgentRunId::parse(&text).ok_or_else(|| D::Error::custom("not the id of an agent run"))
    }
}

impl AgentSessionId {
    /// Whatever the agent calls it.
    pub fn new(text: impl Into<Arc<str>>) -> AgentSessionId {
        AgentSessionId(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentSessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgentSessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
