//! When calls were made, given to workers, and answered.

use std::time::{Duration, Instant};

use crate::id::LifeId;

/// A call that a worker has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) life: LifeId,
    /// When it was made.
    pub(crate) made: Instant,
    /// When it was given to the worker.
    pub(crate) at: Instant,
    /// The worker runs one call after another, so that one that was given to it while it was busy has not begun at once.
    pub(crate) is_serial: bool,
}

/// How far a call came, and how long that took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Journey {
    /// Until a worker began it, or for as long as it waited.
    pub(crate) queued: Option<Duration>,
    /// From then on.
    pub(crate) ran: Option<Duration>,
    /// In whom.
    pub(crate) life: Option<LifeId>,
}

impl Given {
    /// It ended now, in a worker that has answered its last call then.
    pub(crate) fn ended(&self, now: Instant, last_answer: Option<Instant>) -> Journey {
        let began = last_answer.filter(|_| self.is_serial).map_or(self.at, |last| last.max(self.at));
        Journey {
            queued: Some(began.saturating_duration_since(self.made)),
            ran: Some(now.saturating_duration_since(began)),
            life: Some(self.life),
        }
    }

    /// The same, of a call that its worker has not answered, and whether it is the first of those that the worker has.
    pub(crate) fn cut_off(&self, now: Instant, last_answer: Option<Instant>, is_first: bool) -> Journey {
        match self.is_serial && !is_first {
            true => Journey::waited(self.made),
            false => self.ended(now, last_answer),
        }
    }
}

impl Journey {
    /// It waited, and never ran.
    pub(crate) fn waited(made: Instant) -> Journey {
        Journey { queued: Some(made.elapsed()), ..Journey::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_behind_another_begins_when_that_has_ended() {
        let made = Instant::now();
        let after = |seconds| made + Duration::from_secs(seconds);
        let life = LifeId { seat: 0, generation: 1 };
        let queued_and_ran = |is_serial, last_answer: Option<u64>| {
            let journey = Given { life, made, at: after(1), is_serial }.ended(after(10), last_answer.map(after));
            (journey.queued.unwrap().as_secs(), journey.ran.unwrap().as_secs())
        };
        assert_eq!(queued_and_ran(true, Some(4)), (4, 6));
        assert_eq!(queued_and_ran(false, Some(4)), (1, 9), "beside it");
        assert_eq!(queued_and_ran(true, Some(0)), (1, 9), "that was over when it came");
        assert_eq!(queued_and_ran(true, None), (1, 9));
    }
}
