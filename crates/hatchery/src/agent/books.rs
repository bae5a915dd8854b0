//! What a run leaves with others: its row in the history, the right to its conversation, and the events that are told of it.

use std::path::PathBuf;
use std::time::Duration;

use super::claim::{Claim, Claims, Key};
use super::history::History;
use super::{AgentInfo, AgentSessionId, AgentState};
use crate::telemetry::{AgentRunEvent as Told, Emitter, Event};

/// One run's.
pub(super) struct Books {
    pub(super) history: History,
    pub(super) claims: Claims,
    pub(super) claim: Option<Claim>,
    /// Where the conversations of its user are.
    pub(super) home: PathBuf,
    pub(super) emitter: Emitter,
}

impl Books {
    /// Its process is there.
    pub(super) fn started(&self, info: &AgentInfo) {
        let (run, adapter) = (info.run.to_string(), info.adapter.clone());
        self.tell(Told::Started { run, adapter, pid: info.pid.unwrap_or_default() });
    }

    /// Its user should know.
    pub(super) fn warned(&self, info: &AgentInfo, message: &str) {
        self.tell(Told::Warned { run: info.run.to_string(), message: message.to_owned() });
    }

    /// It does something else.
    pub(super) fn state(&self, info: &AgentInfo, state: &AgentState) {
        self.tell(Told::State { run: info.run.to_string(), state: state.phase.name(), reason: state.reason.clone() });
    }

    /// It calls its conversation something else. What its user should know, if another run carries that on.
    pub(super) async fn session(&mut self, info: &AgentInfo, now: &AgentSessionId) -> Option<String> {
        self.tell(Told::Session { run: info.run.to_string(), session: now.to_string() });
        let key = Key::new(&info.adapter, &self.home, now);
        let (claims, run, held) = (self.claims.clone(), info.run, self.claim.take());
        let taken = tokio::task::spawn_blocking(move || match held {
            Some(mut claim) => {
                let rekeyed = claim.rekey(&key);
                (Some(claim), rekeyed.err())
            }
            None => match claims.take(&key, run) {
                Ok(claim) => (Some(claim), None),
                Err(error) => (None, Some(error)),
            },
        });
        let (claim, error) = taken.await.unwrap_or((None, None));
        self.claim = claim;
        error.map(|error| error.to_string())
    }

    /// Written behind.
    pub(super) fn keep(&self, info: &AgentInfo) {
        self.history.update(info);
    }

    /// The last that is told of it. Its conversation is anybody's from now on.
    pub(super) fn over(&mut self, info: &AgentInfo) {
        drop(self.claim.take());
        self.keep(info);
        if let super::Phase::Exited { outcome } = &info.state.phase {
            self.tell(Told::Exited {
                run: info.run.to_string(),
                outcome: outcome.kind.name(),
                reason: outcome.reason.clone(),
                left: outcome.leftovers.len(),
                took: Duration::from_millis(outcome.took_ms),
            });
        }
    }

    fn tell(&self, told: Told) {
        self.emitter.emit(Event::Agent(told));
    }
}
