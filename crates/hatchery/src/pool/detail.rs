//! One worker, in detail.

use std::sync::Arc;

use serde::Serialize;

use super::{Pool, Shared, WorkerStatus};
use crate::error::{Error, ErrorKind, Result};
use crate::wire::WorkerRuntime;
use crate::worker::{HeartbeatStatus, Line, WorkerHealth};

/// What is known of one worker. In JSON the fields of its [`WorkerStatus`] and these. What a worker says of itself is absent until it
/// is ready.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct WorkerDetail {
    /// What it is doing.
    #[serde(flatten)]
    pub status: WorkerStatus,
    /// What it can do beside plain calls, as agreed with it; empty for a worker that is no process.
    pub capabilities: Vec<&'static str>,
    /// What it is written in, if it says so.
    pub runtime: Option<WorkerRuntime>,
    /// What it said when it was asked how it is; `None` if it was not asked yet, or cannot say.
    pub health: Option<WorkerHealth>,
    /// How it answers its heartbeats; `None` if it is sent none.
    pub heartbeat: Option<HeartbeatStatus>,
}

impl Pool {
    /// One worker, named by its id. While it is replaced there are two: this is the one that takes calls.
    ///
    /// # Errors
    /// `not_found`.
    pub fn worker(&self, id: &str) -> Result<WorkerDetail> {
        let missing = || Error::new(ErrorKind::NotFound, format!("no such worker in pool {}: {id}", self.name()));
        self.shared().detail(id).ok_or_else(missing)
    }
}

impl Shared {
    fn detail(&self, id: &str) -> Option<WorkerDetail> {
        let same: Vec<WorkerStatus> = self.statuses().into_iter().filter(|status| status.id == id).collect();
        let takes_calls = |status: &&WorkerStatus| matches!(status.state, "idle" | "busy");
        let status = same.iter().find(takes_calls).or(same.last())?.clone();
        let line = self.line_of(&status);
        Some(WorkerDetail {
            capabilities: line.as_ref().map(|line| line.capabilities()).unwrap_or_default(),
            runtime: line.as_ref().and_then(|line| line.runtime.clone()),
            health: line.as_ref().and_then(|line| line.vitals.health()),
            heartbeat: line.as_ref().and_then(|line| line.vitals.heartbeat()),
            status,
        })
    }

    fn line_of(&self, status: &WorkerStatus) -> Option<Arc<Line>> {
        let roster = self.roster();
        let mut lines = roster.occupants().filter_map(|it| it.worker.cloned());
        lines.find(|line| line.id.as_str() == status.id && line.life.generation == status.generation)
    }
}
