//! Whether calls are taken in.

use std::collections::BTreeSet;

use super::{Refusal, Roster};
use crate::id::CallId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    /// Those that wait are still served.
    Draining,
    Closed,
}

impl<C, W: Clone> Roster<C, W> {
    /// No more calls; those that wait are still served.
    pub(crate) fn drain(&mut self) {
        if self.door == Door::Open {
            self.door = Door::Draining;
        }
    }

    /// Takes calls again.
    pub(crate) fn resume(&mut self) {
        if self.door == Door::Draining {
            self.door = Door::Open;
        }
    }

    /// It takes no calls, and has served those that it had.
    pub(crate) fn is_drained(&self) -> bool {
        self.door != Door::Open && self.waiting.is_empty() && self.running.is_empty()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.door == Door::Draining
    }

    /// No more calls, and no more waiting ones. Those that run go on.
    pub(crate) fn close(&mut self) {
        self.door = Door::Closed;
        self.refuse_waiting(Refusal::Closed { draining: false });
    }

    /// Those that wait wait for nothing.
    pub(crate) fn refuse_waiting(&mut self, refusal: Refusal) {
        let waiting: BTreeSet<CallId> = self.waiting.keys().copied().collect();
        for id in waiting {
            if let Some(call) = self.withdraw(id) {
                self.dropped.push_back((call, refusal));
            }
        }
    }
}
