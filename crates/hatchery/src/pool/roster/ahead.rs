//! Calls that are sent to a worker while it runs another (`docs/design/fast-path.md`, 1): to whom, how many, and what becomes of
//! those that come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pace::{MOST_WORK, ToolNumber};
use super::room::Room;
use super::{Config, Done, Life, Line, Ready, Roster, Running, Wants};
use crate::id::{CallId, LifeId};

/// So many calls may lie in a worker behind the one that it is at.
const MOST_CALLS: usize = 32;

impl<C, W: Clone> Roster<C, W> {
    /// How this tool is called in [`Wants`].
    pub(crate) fn number_of(&mut self, tool: &Arc<str>) -> ToolNumber {
        self.paces.number(tool)
    }

    /// The worker to which a call can be sent though it is busy, where no other has room.
    pub(super) fn ahead_for(&mut self, wants: &Wants, now: Instant) -> Option<LifeId> {
        // Those of one session keep their order, whatever comes back.
        if wants.session.is_some() || !self.paces.is_short(wants.tool) {
            return None;
        }
        while let Some(life) = self.ahead.least_loaded() {
            let is_stalled = self.change(life, |ready| {
                ready.is_stalled = now.saturating_duration_since(ready.since) > MOST_WORK;
                ready.is_stalled
            });
            if is_stalled == Some(false) {
                return Some(life);
            }
        }
        None
    }

    /// Of the calls that wait for any worker, the first one's turn, if it can be sent ahead.
    pub(super) fn next_ahead(&mut self, now: Instant) -> Option<(LifeId, Line)> {
        let wants = &self.common.front()?.1.wants;
        if wants.session.is_some() {
            return None;
        }
        let wants = Wants { tool: wants.tool, ..Wants::default() };
        self.ahead_for(&wants, now).map(|life| (life, Line::Common))
    }

    /// The worker answered these calls for good. All of them are its own.
    pub(crate) fn done(&mut self, life: LifeId, ids: &[CallId], now: Instant) -> Option<Done> {
        let count = ids.iter().filter(|id| self.running.contains_key(id)).count();
        let each = self.time_of_each(life, count, now);
        let (mut answered, mut work) = (0, Duration::ZERO);
        for running in ids.iter().filter_map(|id| self.running.remove(id)) {
            each.iter().for_each(|each| self.paces.saw(running.tool(), *each));
            answered += u64::from(running.wants.is_some());
            work += running.work;
        }
        match self.lives.get_mut(life)? {
            _ if count == 0 => None,
            Life::Ready(_) => {
                let total = self.change(life, |ready| {
                    ready.less(count, work);
                    ready.answered += answered;
                    ready.is_stalled = false;
                    ready.since = now;
                    ready.answered
                })?;
                Some(Done { life, answered: total, newly: answered, is_drained: false })
            }
            Life::Leaving { load, answered: total, .. } => {
                *load -= count;
                *total += answered;
                Some(Done { life, answered: *total, newly: answered, is_drained: *load == 0 })
            }
            Life::Held { .. } => None,
        }
    }

    /// What each of so many calls took that a ready worker has answered together.
    fn time_of_each(&self, life: LifeId, count: usize, now: Instant) -> Option<Duration> {
        let Life::Ready(ready) = self.lives.get(life)? else { return None };
        now.saturating_duration_since(ready.since).checked_div(u32::try_from(count).ok()?)
    }

    /// The worker had these calls and has not begun them. They are the first of their lines again, but for those that nobody waits
    /// for any more, or not until now. True if the worker leaves, and has none now.
    pub(crate) fn give_back(&mut self, life: LifeId, calls: Vec<(CallId, C)>, now: Instant) -> bool {
        let mut is_drained = false;
        for (id, call) in calls.into_iter().rev() {
            let Some(Running { wants, is_given_up, work, .. }) = self.running.remove(&id) else { continue };
            match self.lives.get_mut(life) {
                Some(Life::Ready(_)) => _ = self.change(life, |ready| ready.less(1, work)),
                Some(Life::Leaving { load, .. }) => {
                    *load -= 1;
                    is_drained = *load == 0;
                }
                Some(Life::Held { .. }) | None => {}
            }
            if !is_given_up {
                self.requeue(id, call, wants.unwrap_or_default(), now);
            }
        }
        self.change(life, |ready| ready.is_stalled = ready.load > 0);
        is_drained
    }
}

impl Running {
    fn tool(&self) -> Option<ToolNumber> {
        self.wants.as_ref()?.tool
    }
}

impl<C, W> Ready<C, W> {
    /// How it stands to calls that are sent ahead.
    pub(super) fn room_ahead(&self, config: &Config) -> Room {
        let is_behind = self.load >= config.per_worker && self.load <= MOST_CALLS;
        let is_short = self.work < MOST_WORK && !self.is_stalled && self.answered > 0;
        let lasts = config.max_requests.is_none_or(|limit| self.answered % limit + (self.load as u64) < limit);
        // What waits for this worker alone has no other, and would wait for ever behind what keeps coming.
        let is_asked_for = !self.pinned.is_empty();
        let has_room = self.takes_ahead && is_behind && is_short && lasts && !self.is_barred && !is_asked_for;
        Room { load: has_room.then_some(self.load), is_eager: false }
    }

    /// It has a call more.
    pub(super) fn more(&mut self, work: Duration, now: Instant) {
        if self.load == 0 {
            self.since = now;
        }
        self.load += 1;
        self.work += work;
    }

    /// It has so many calls less.
    pub(super) fn less(&mut self, calls: usize, work: Duration) {
        self.load -= calls;
        self.work -= work;
    }
}
