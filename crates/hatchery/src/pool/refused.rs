//! What callers are told whose calls are not served.

use super::Shared;
use super::roster::Refusal;
use crate::call::Stage;
use crate::error::{Error, ErrorKind};
use crate::id::{LifeId, WorkerId};

impl Shared {
    pub(super) fn refused(&self, refusal: Refusal) -> Error {
        let pool = &self.name;
        let id = |life: LifeId| WorkerId::new(pool, life.seat);
        let unavailable = |message: String, reason: &str, life: LifeId| {
            let details =
                serde_json::json!({"reason": reason, "worker": id(life).as_str(), "generation": life.generation});
            Error::new(ErrorKind::Unavailable, message).with_details(details)
        };
        match refusal {
            Refusal::Full => {
                let waiting = self.rules().config.max_queue;
                Error::new(ErrorKind::Saturated, format!("the queue of pool {pool} is full ({waiting} calls wait)"))
            }
            Refusal::Closed { draining: true } => Error::new(ErrorKind::Unavailable, format!("pool {pool} drains")),
            Refusal::Closed { draining: false } => {
                Error::new(ErrorKind::Unavailable, format!("pool {pool} is shut down")).with_retryable(false)
            }
            Refusal::NoWorkers => match self.standing.verdict() {
                Some(verdict) => self.unavailable(&verdict),
                None => Error::new(ErrorKind::Unavailable, format!("pool {pool} has no worker")),
            },
            Refusal::Busy(life) => {
                let message = format!("worker {} has the state of this session and is busy", id(life));
                Error::new(ErrorKind::Conflict, message).with_details(serde_json::json!({"reason": "worker_busy"}))
            }
            Refusal::Tainted(life) => unavailable(
                format!(
                    "worker {} has the state of this session and takes no calls for a while after a crash",
                    id(life)
                ),
                "worker_tainted",
                life,
            ),
            Refusal::StateLost(life) => state_lost(&id(life), life.generation),
            Refusal::NamedTainted(life) => unavailable(
                format!("worker {} takes no calls for a while after a crash, and this call is for it alone", id(life)),
                "worker_tainted",
                life,
            ),
            Refusal::NamedAbsent(seat) => {
                let worker = WorkerId::new(pool, seat);
                let message = format!("worker {worker} is not there to take calls, and this call is for it alone");
                let details = serde_json::json!({"reason": "worker_absent", "worker": worker});
                Error::new(ErrorKind::Unavailable, message).with_details(details)
            }
            Refusal::Expired => {
                self.counts.queue_timeouts.one_more();
                Error::new(ErrorKind::Deadline, format!("deadline passed {}", Stage::Queue))
            }
        }
    }

    pub(super) fn not_started(&self) -> Error {
        match self.standing.verdict() {
            Some(verdict) => self.unavailable(&verdict),
            None => Error::new(ErrorKind::Unavailable, format!("pool {} has not started", self.name)),
        }
    }

    /// With the reason for which there is no worker.
    pub(super) fn unavailable(&self, verdict: &Error) -> Error {
        Error::new(ErrorKind::Unavailable, format!("pool {} cannot serve", self.name)).because(verdict, verdict)
    }
}

pub(super) fn state_lost(worker: &WorkerId, generation: u64) -> Error {
    let message =
        format!("worker {worker} is gone, and what it knew of this session with it; delete the session to start over");
    let details = serde_json::json!({"reason": "session_state_lost", "worker": worker, "generation": generation});
    Error::new(ErrorKind::Unavailable, message).with_retryable(false).with_details(details)
}
