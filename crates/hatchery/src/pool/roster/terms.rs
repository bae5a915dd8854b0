//! What the roster is asked, and what it answers.

use std::sync::Arc;
use std::time::Instant;

use super::pace::ToolNumber;
use crate::call::{Affinity, Priority};
use crate::id::{CallId, LifeId};

/// What a call asks for, besides a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wants {
    pub(crate) priority: Priority,
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) session: Option<SessionWants>,
    /// The seat of the one worker that may run it.
    pub(crate) seat: Option<usize>,
    /// What it calls, if it may lie in a worker behind others.
    pub(crate) tool: Option<ToolNumber>,
    /// After this it need not run.
    pub(crate) expires: Option<Instant>,
}

impl Wants {
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SessionWants {
    pub(crate) id: Arc<str>,
    /// Tells a session from one of the same name that was deleted before.
    pub(crate) birth: u64,
    pub(crate) affinity: Affinity,
}

/// How often what has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Calls that were taken in.
    pub(crate) requests: u64,
    /// Of these, that had to wait.
    pub(crate) queued: u64,
    /// Calls that were refused for want of room in the queue.
    pub(crate) saturated: u64,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Step<C, W> {
    /// "Write this call to this worker."
    Send { id: CallId, call: C, worker: W },
    /// "Tell this one that it will not run."
    Drop(C, Refusal),
}

/// Why a call is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too many wait.
    Full,
    /// No more calls are taken; for the time being, if the pool drains.
    Closed { draining: bool },
    /// There is no worker, and none is to be expected soon.
    NoWorkers,
    /// Its session's worker is busy, and it does not wait.
    Busy(LifeId),
    /// Its session's worker is tainted.
    Tainted(LifeId),
    /// Its session's worker is gone, and what it knew of the session with it.
    StateLost(LifeId),
    /// It is for one worker, and that takes no calls for a while.
    NamedTainted(LifeId),
    /// It is for one worker, and in that one's seat, by its number, nobody takes calls.
    NamedAbsent(usize),
    /// Its time was over before a worker was free.
    Expired,
}

/// The answer to a new call.
#[derive(Debug)]
pub(crate) enum Admission<C> {
    /// It has a worker, or waits for one: the next steps say.
    Admitted {
        id: CallId,
        waits: bool,
    },
    Refused(C, Refusal),
}

/// What the answers of calls mean for their worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) life: LifeId,
    /// Calls that it has answered.
    pub(crate) answered: u64,
    /// Of these, now.
    pub(crate) newly: u64,
    /// It leaves, and has no more.
    pub(crate) is_drained: bool,
}

/// What it means that a worker takes no more calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retired {
    /// It took some until now.
    pub(crate) was_ready: bool,
    /// It has none.
    pub(crate) is_drained: bool,
}

/// Where a call was when it was given up.
#[derive(Debug)]
pub(crate) enum Whereabouts<C, W> {
    /// It waited, and now never runs.
    Queue(C),
    /// This worker has it and is to be told.
    Worker(W),
    /// It has ended.
    Nowhere,
}

/// What is known about a worker.
pub(crate) struct Occupant<'a, W> {
    pub(crate) life: LifeId,
    pub(crate) state: &'static str,
    pub(crate) is_barred: bool,
    pub(crate) worker: Option<&'a W>,
    pub(crate) load: usize,
}
