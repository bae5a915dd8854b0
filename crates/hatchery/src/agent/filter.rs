//! Which runs are meant.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::AgentInfo;

/// Which runs are meant: those for which all of it is true. The default is every run that is not over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentFilter {
    /// In this state, by its [name](super::Phase::name): `starting`, `busy`, `waiting_input`, …
    pub state: Option<String>,
    /// With all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Of a conversation that was ever called this.
    pub session: Option<String>,
    /// Those that work in this folder, or below it.
    pub cwd: Option<PathBuf>,
    /// Of the agent with this id or name.
    pub agent: Option<String>,
    /// Those that are over as well.
    pub with_ended: bool,
    /// No more than these, the latest first.
    pub most: Option<usize>,
}

impl AgentFilter {
    /// Whether a run is one of them. How many there are of them is another matter.
    pub fn fits(&self, info: &AgentInfo) -> bool {
        let phase = &info.state.phase;
        let has = |(key, value): (&String, &String)| info.labels.get(key) == Some(value);
        let is_agent = |wanted: &String| info.agent.as_ref().is_some_and(|(id, name)| id == wanted || name == wanted);
        let is_called = |wanted: &String| info.sessions.iter().any(|session| session.as_str() == wanted);
        // Who asks for the state of those that are over means them.
        let may_be_over = self.with_ended || self.state.as_deref() == Some("exited");
        (may_be_over || !phase.is_over())
            && self.state.as_ref().is_none_or(|state| state == phase.name())
            && self.session.as_ref().is_none_or(is_called)
            && self.labels.iter().all(has)
            && self.cwd.as_ref().is_none_or(|folder| info.cwd.starts_with(folder))
            && self.agent.as_ref().is_none_or(is_agent)
    }
}
