//! In which state a run is.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Outcome;

/// What a run is doing, since when, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentState {
    /// What it is doing.
    pub phase: Phase,
    /// Since when, by the wall clock: for people. No limit is measured by it.
    pub since: SystemTime,
    /// Why, in a few words; empty where it goes without saying.
    pub reason: String,
}

/// What a run is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Phase {
    /// Recorded, and not yet there.
    Spawning,
    /// There, and has not said who it is.
    Starting,
    /// Works on a turn.
    Busy {
        /// The tool that it uses, the oldest of several.
        tool: Option<String>,
    },
    /// Waits for an answer from outside.
    WaitingInput {
        /// What the answer must name.
        request: String,
    },
    /// Has ended its turn, and waits for the next one.
    Idle,
    /// Its input is closed, or its process has exited: what it still writes is read.
    Draining,
    /// Is being ended.
    Stopping {
        /// On which rung of its ladder, from 1.
        rung: u32,
    },
    /// Is over, and nothing that it may not leave is left.
    Exited {
        /// What has become of it.
        outcome: Outcome,
    },
}

impl Phase {
    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self, Phase::Exited { .. })
    }

    /// As `--state` and JSON have it.
    pub fn name(&self) -> &'static str {
        match self {
            Phase::Spawning => "spawning",
            Phase::Starting => "starting",
            Phase::Busy { .. } => "busy",
            Phase::WaitingInput { .. } => "waiting_input",
            Phase::Idle => "idle",
            Phase::Draining => "draining",
            Phase::Stopping { .. } => "stopping",
            Phase::Exited { .. } => "exited",
        }
    }
}
