//! The last events, in memory: whoever follows closely needs no disk.

use std::collections::VecDeque;

use super::record::Record;
use crate::agent::AgentEvent;

/// Events in a row, the last of which is the last one of the log.
#[derive(Debug)]
pub(crate) struct Ring {
    limit: usize,
    bytes: usize,
    events: VecDeque<Remembered>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) event: AgentEvent,
    pub(crate) record: Record,
    /// What it takes in memory, about.
    pub(crate) cost: usize,
}

impl Ring {
    pub(crate) fn new(limit: usize) -> Ring {
        Ring { limit, bytes: 0, events: VecDeque::new() }
    }

    /// Forgets the oldest ones for it, if need be. The last one is always there, however long.
    pub(crate) fn push(&mut self, new: Remembered) {
        self.bytes += new.cost;
        self.events.push_back(new);
        while self.bytes > self.limit && self.events.len() > 1 {
            self.bytes -= self.events.pop_front().map_or(0, |oldest| oldest.cost);
        }
    }

    pub(crate) fn first(&self) -> Option<&Remembered> {
        self.events.front()
    }

    /// From this number on; `None` if that is forgotten here.
    pub(crate) fn from(&self, seq: u64) -> Option<impl Iterator<Item = &Remembered>> {
        let skipped = seq.checked_sub(self.first()?.event.seq)?;
        Some(self.events.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX)))
    }
}
