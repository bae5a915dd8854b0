//! What a run can be told, and what is answered.

use serde::Serialize;
use tokio::sync::oneshot;

use super::{AgentRunId, Answer, Asked, Leftover, Outcome, OutcomeKind, StopLadder};
use crate::error::Result;

/// Told to the task that owns the run.
pub(super) enum Order {
    /// Write this turn.
    Turn { text: String, told: oneshot::Sender<Result<()>> },
    /// Answer what it asked.
    Answer { request: String, answer: Answer, told: oneshot::Sender<Result<()>> },
    /// No turn follows.
    EndInput { told: oneshot::Sender<Result<()>> },
    /// End the turn, not the process.
    Interrupt { told: oneshot::Sender<Result<()>> },
    /// End. Whoever waits for that sees it by the run's end.
    Stop(Stopping),
}

/// How a run is to be ended, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Stopping {
    /// `Stop`, or `Kill`.
    pub(super) asked: Asked,
    /// Instead of its own.
    pub(super) ladder: Option<StopLadder>,
    /// Why, in a few words.
    pub(super) reason: String,
}

/// What became of an order to end a run. Everybody who asked is told the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StopReport {
    /// Which run.
    pub run: AgentRunId,
    /// What it came to.
    pub outcome: OutcomeKind,
    /// What it took: `itself`, `interrupt`, `close_stdin`, the name of a signal, `kill`.
    pub rung: String,
    /// From the first order to the end of the last member.
    pub took_ms: u64,
    /// Members besides its process that were ended with it.
    pub members_ended: u32,
    /// Members that live on, as its `leftovers` says.
    pub left: Vec<Leftover>,
}

impl Stopping {
    /// Whoever could have given orders is gone.
    pub(super) fn of_an_abandoned_run() -> Stopping {
        Stopping { asked: Asked::Kill, ladder: None, reason: "its hatchery is gone".to_owned() }
    }
}

impl StopReport {
    /// Before anybody asked.
    pub(super) fn of_one_that_ended_itself(run: AgentRunId, outcome: &Outcome) -> StopReport {
        StopReport {
            run,
            outcome: outcome.kind,
            rung: "itself".to_owned(),
            took_ms: 0,
            members_ended: outcome.members_ended,
            left: outcome.leftovers.clone(),
        }
    }
}
