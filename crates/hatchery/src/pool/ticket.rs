//! One try of a call, from its admission to its end.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::counts::Meter;
use super::{OnTimeout, Shared};
use crate::call::Deadline;
use crate::error::{Error, ErrorKind};
use crate::id::CallId;
use crate::waiting::Wait;
use crate::worker::{Answer, Journey};

/// An admitted call. Dropped before its answer came, it gives the call up.
pub(super) struct Ticket {
    pub(super) shared: Arc<Shared>,
    pub(super) id: CallId,
    pub(super) deadline: Option<Deadline>,
    /// Set if the call had to queue.
    pub(super) queue_deadline: Option<Deadline>,
    /// As the pool had it when the call was made.
    pub(super) on_timeout: OnTimeout,
    pub(super) made: Instant,
    pub(super) meter: Arc<Meter>,
    pub(super) is_over: bool,
    /// A call of a worker waits for this one, for as long as this is held.
    pub(super) _wait: Option<Wait>,
}

impl Ticket {
    pub(super) fn answered(self, reply: Result<Answer, oneshot::error::RecvError>) -> Answer {
        let dropped = |_| {
            let error = Error::new(ErrorKind::Unavailable, "the pool was dropped");
            Answer { result: Err(error), journey: Journey::default() }
        };
        let answer = reply.unwrap_or_else(dropped);
        self.over(&answer.journey);
        answer
    }

    /// Gives a unary call up because its time is over.
    pub(super) fn expired(self) -> Answer {
        let may_finish = self.on_timeout == OnTimeout::Abandon;
        let (error, journey) = self.shared.expired(self.id, self.deadline, may_finish);
        self.over(&journey);
        Answer { result: Err(error), journey }
    }

    /// Gives the call up if it still waits.
    pub(super) fn expired_in_queue(&mut self) -> Option<Answer> {
        let (error, journey) = self.shared.expired_in_queue(self.id, self.queue_deadline)?;
        self.is_over = true;
        self.meter.tried(&journey);
        Some(Answer { result: Err(error), journey })
    }

    /// It has come so far, and no farther.
    pub(super) fn over(mut self, journey: &Journey) {
        self.is_over = true;
        self.meter.tried(journey);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_over {
            let (_, journey) = self.shared.give_up(self.id);
            self.meter.tried(&journey);
        }
    }
}
