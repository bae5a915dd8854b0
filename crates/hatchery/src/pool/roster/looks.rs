//! What can be seen of a roster, without a change.

use super::{Life, Occupant, Roster, Totals, worker_of};
use crate::id::{CallId, LifeId};

impl<C, W: Clone> Roster<C, W> {
    pub(crate) fn queued(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// How many calls one worker may have at once.
    pub(crate) fn places(&self) -> usize {
        self.config.per_worker
    }

    /// How many workers have room.
    pub(crate) fn available(&self) -> usize {
        self.free.len()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// Everyone who is there, by seat.
    pub(crate) fn occupants(&self) -> impl Iterator<Item = Occupant<'_, W>> {
        self.lives.iter().map(|(life, state)| {
            let worker = worker_of(state);
            let (state, is_barred, load) = match state {
                Life::Ready(ready) => (if ready.load == 0 { "idle" } else { "busy" }, ready.is_barred, ready.load),
                Life::Leaving { load, .. } => ("draining", false, *load),
                Life::Held { .. } => ("unkillable", false, 0),
            };
            Occupant { life, state, is_barred, worker, load }
        })
    }

    /// Those that take calls, by seat.
    pub(crate) fn ready_workers(&self) -> impl Iterator<Item = (LifeId, &W)> {
        self.lives.iter().filter_map(|(life, state)| match state {
            Life::Ready(ready) => Some((life, &ready.worker)),
            Life::Leaving { .. } | Life::Held { .. } => None,
        })
    }

    /// Who is ready, and whether it is barred.
    pub(crate) fn barred(&self) -> impl Iterator<Item = (LifeId, bool)> {
        self.lives.iter().filter_map(|(life, state)| match state {
            Life::Ready(ready) => Some((life, ready.is_barred)),
            Life::Leaving { .. } | Life::Held { .. } => None,
        })
    }

    pub(crate) fn is_ready(&self, life: LifeId) -> bool {
        matches!(self.lives.get(life), Some(Life::Ready(_)))
    }

    /// How many calls it has answered.
    pub(crate) fn answered(&self, life: LifeId) -> u64 {
        match self.lives.get(life) {
            Some(Life::Ready(ready)) => ready.answered,
            Some(Life::Leaving { answered, .. }) => *answered,
            Some(Life::Held { .. }) | None => 0,
        }
    }

    /// Who has the call.
    pub(crate) fn runs_in(&self, id: CallId) -> Option<W> {
        let running = self.running.get(&id)?;
        worker_of(self.lives.get(running.life)?).cloned()
    }

    /// Whether it runs, though nobody waits for it any more.
    pub(crate) fn is_given_up(&self, id: CallId) -> bool {
        self.running.get(&id).is_some_and(|running| running.is_given_up)
    }

    /// Whether it has as many calls as it may.
    pub(crate) fn is_full(&self, life: LifeId) -> bool {
        matches!(self.lives.get(life), Some(Life::Ready(ready)) if ready.load >= self.config.per_worker)
    }
}
