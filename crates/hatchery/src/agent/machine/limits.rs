//! How long a run may take for what, and what was told of that.

use std::fmt;
use std::time::{Duration, Instant};

use super::Change;
use crate::agent::AgentLimits;

/// What there is a limit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::agent) enum Limit {
    /// Until it says who it is.
    Start,
    /// For one turn. The time for which it waits for an answer does not count.
    Turn,
    /// Without a line, where it has no reason to be silent.
    Idle,
    /// In all.
    Runtime,
}

/// What was told of each limit. A stretch of time is told of once; it is known by its beginning.
#[derive(Debug, Default)]
pub(super) struct Watch {
    warned: [Option<Instant>; 4],
    passed: [Option<Instant>; 4],
}

enum Stage {
    Near,
    Passed,
}

impl Limit {
    pub(super) const ALL: [Limit; 4] = [Limit::Start, Limit::Turn, Limit::Idle, Limit::Runtime];

    pub(super) fn allowed(self, limits: &AgentLimits) -> Option<Duration> {
        match self {
            Limit::Start => limits.start,
            Limit::Turn => limits.turn,
            Limit::Idle => limits.idle,
            Limit::Runtime => limits.runtime,
        }
    }

    /// Whether a run is stopped by it. Else it is only told.
    fn stops(self, limits: &AgentLimits) -> bool {
        self != Limit::Start || limits.start_stops
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Start => "the limit for its start",
            Limit::Turn => "the limit for a turn",
            Limit::Idle => "the limit for being idle",
            Limit::Runtime => "the limit for its run time",
        })
    }
}

impl Watch {
    /// When there is something to tell of a limit that counts since then.
    pub(super) fn next(&self, limit: Limit, since: Instant, limits: &AgentLimits) -> Option<Instant> {
        self.stage(limit, since, limits).map(|(at, _, _)| at)
    }

    /// What there is to tell by now. To be asked until there is nothing more: the warning comes first, however late it is.
    pub(super) fn pass(&mut self, limit: Limit, since: Instant, limits: &AgentLimits, now: Instant) -> Option<Change> {
        let (at, stage, allowed) = self.stage(limit, since, limits)?;
        if now < at {
            return None;
        }
        match stage {
            Stage::Near => {
                self.warned[limit as usize] = Some(since);
                Some(Change::LimitNear { limit, left: allowed.saturating_sub(now.saturating_duration_since(since)) })
            }
            Stage::Passed => {
                self.passed[limit as usize] = Some(since);
                let stops = limit.stops(limits);
                Some(if stops { Change::LimitPassed { limit } } else { Change::StartLate { after: allowed } })
            }
        }
    }

    /// A time that no clock will show is none.
    fn stage(&self, limit: Limit, since: Instant, limits: &AgentLimits) -> Option<(Instant, Stage, Duration)> {
        let allowed = limit.allowed(limits)?;
        let (is_warned, is_passed) =
            (self.warned[limit as usize] == Some(since), self.passed[limit as usize] == Some(since));
        let (stage, after) = match () {
            () if is_passed => return None,
            () if is_warned || !limit.stops(limits) => (Stage::Passed, allowed),
            () => (Stage::Near, allowed - allowed / 5),
        };
        Some((since.checked_add(after)?, stage, allowed))
    }
}
