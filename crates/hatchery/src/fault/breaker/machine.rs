//! The states of a breaker, and how it goes from one to another.

use std::time::{Duration, Instant};

use super::{BreakerChange, BreakerState, BreakerStats};
use crate::fault::later;

#[derive(Debug)]
pub(super) struct Machine {
    threshold: u32,
    reset: Duration,
    half_open: u32,
    phase: Phase,
    /// Counts phases: what was let through in one says nothing in the next.
    epoch: u64,
    /// In a row.
    failures: u32,
    successes: u64,
    rejected: u64,
}

#[derive(Debug)]
enum Phase {
    Closed,
    Open {
        until: Instant,
    },
    /// At least one call is under way; else it is open, until a time that has passed.
    HalfOpen {
        since: Instant,
        calls: u32,
    },
}

/// Of a call that was let through. To be settled, or given back.
#[derive(Debug)]
pub(super) struct Ticket {
    epoch: u64,
    /// Whether the breaker half-opened for it.
    pub(super) half_opened: bool,
}

/// A call was not let through.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) failures: u32,
    /// Zero if nobody can say.
    pub(super) retry_after: Duration,
}

/// What the end of a call says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Success,
    Failure,
    Nothing,
}

impl Machine {
    pub(super) fn new(threshold: u32, reset: Duration, half_open: u32) -> Machine {
        let phase = Phase::Closed;
        Machine { threshold, reset, half_open, phase, epoch: 0, failures: 0, successes: 0, rejected: 0 }
    }

    pub(super) fn admit(&mut self, now: Instant) -> Result<Ticket, Refused> {
        let mut half_opened = false;
        if let Phase::Open { until } = self.phase
            && until <= now
        {
            half_opened = true;
            self.enter(Phase::HalfOpen { since: until, calls: 0 });
        }
        let retry_after = match &mut self.phase {
            Phase::Closed => return Ok(Ticket { epoch: self.epoch, half_opened }),
            Phase::HalfOpen { calls, .. } if *calls < self.half_open => {
                *calls += 1;
                return Ok(Ticket { epoch: self.epoch, half_opened });
            }
            Phase::HalfOpen { .. } => Duration::ZERO,
            Phase::Open { until } => until.saturating_duration_since(now),
        };
        self.rejected += 1;
        Err(Refused { failures: self.failures, retry_after })
    }

    pub(super) fn settle(&mut self, ticket: &Ticket, meaning: Meaning, now: Instant) -> Option<BreakerChange> {
        if meaning == Meaning::Success {
            self.successes += 1;
        }
        if ticket.epoch != self.epoch {
            return None;
        }
        match (meaning, &self.phase) {
            (Meaning::Nothing, _) => self.give_back(ticket),
            (Meaning::Success, Phase::HalfOpen { .. }) => return Some(self.close()),
            (Meaning::Success, _) => self.failures = 0,
            (Meaning::Failure, phase) => {
                let was_half_open = matches!(phase, Phase::HalfOpen { .. });
                self.failures = self.failures.saturating_add(1);
                return (was_half_open || self.failures >= self.threshold).then(|| self.open(now));
            }
        }
        None
    }

    /// The call was not made, or nobody knows how it ended.
    pub(super) fn give_back(&mut self, ticket: &Ticket) {
        if ticket.epoch != self.epoch {
            return;
        }
        match &mut self.phase {
            Phase::HalfOpen { since, calls: 1 } => self.phase = Phase::Open { until: *since },
            Phase::HalfOpen { calls, .. } => *calls -= 1,
            Phase::Closed | Phase::Open { .. } => {}
        }
    }

    pub(super) fn reset(&mut self) -> Option<BreakerChange> {
        let was_closed = matches!(self.phase, Phase::Closed);
        (self.successes, self.rejected) = (0, 0);
        let closed = self.close();
        (!was_closed).then_some(closed)
    }

    /// That it is time to half-open counts as half open, though nobody has come yet.
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { until } if until > now => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    pub(super) fn stats(&self, now: Instant) -> BreakerStats {
        BreakerStats {
            state: self.state(now),
            failure_count: self.failures,
            success_count: self.successes,
            rejected_count: self.rejected,
            failure_threshold: self.threshold,
            half_open_calls: if let Phase::HalfOpen { calls, .. } = self.phase { calls } else { 0 },
        }
    }

    pub(super) fn is_without_failures(&self) -> bool {
        self.failures == 0 && matches!(self.phase, Phase::Closed)
    }

    fn open(&mut self, now: Instant) -> BreakerChange {
        self.enter(Phase::Open { until: later(now, self.reset) });
        BreakerChange::Opened { failures: self.failures }
    }

    fn close(&mut self) -> BreakerChange {
        self.enter(Phase::Closed);
        self.failures = 0;
        BreakerChange::Closed
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Plays a script against a breaker of three failures, ten seconds and so many calls half open: `a` asks to pass, `a ok`,
    /// `a fail`, `a drop` end its call, `+5` lets seconds pass. Tells what came of each, and the state.
    fn check(half_open: u32, script: &str, expected: &str) {
        let (start, mut seconds) = (Instant::now(), 0);
        let mut machine = Machine::new(3, Duration::from_secs(10), half_open);
        let (mut tickets, mut told) = (HashMap::new(), Vec::new());
        for order in script.split("; ") {
            let now = start + Duration::from_secs(seconds);
            let end = |tickets: &mut HashMap<String, Ticket>, who: &str| tickets.remove(who).unwrap();
            let said = match order.split_once(' ') {
                Some((who, "ok")) => format!("{:?}", machine.settle(&end(&mut tickets, who), Meaning::Success, now)),
                Some((who, "fail")) => format!("{:?}", machine.settle(&end(&mut tickets, who), Meaning::Failure, now)),
                Some((who, _)) => {
                    machine.give_back(&end(&mut tickets, who));
                    "given back".to_owned()
                }
                None if order == "reset" => format!("{:?}", machine.reset()),
                None if order.starts_with('+') => {
                    seconds += order[1..].parse::<u64>().unwrap();
                    continue;
                }
                None => match machine.admit(now) {
                    Ok(ticket) => {
                        let how = if ticket.half_opened { "half-opens" } else { "passes" };
                        tickets.insert(order.to_owned(), ticket);
                        how.to_owned()
                    }
                    Err(refused) => format!("refused for {}s", refused.retry_after.as_secs()),
                },
            };
            let said = said.replace("Some(", "").replace("None", "-").replace(')', "");
            told.push(format!("{order}: {said} ({})", machine.state(now)));
        }
        let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_success_closes_it() {
        check(
            1,
            "a; a fail; b; b fail; c; c fail; d; +9; d; +1; d; e; d ok; e",
            "a: passes (closed)
             a fail: - (closed)
             b: passes (closed)
             b fail: - (closed)
             c: passes (closed)
             c fail: Opened { failures: 3 } (open)
             d: refused for 10s (open)
             d: refused for 1s (open)
             d: half-opens (half_open)
             e: refused for 0s (half_open)
             d ok: Closed (closed)
             e: passes (closed)",
        );
    }

    #[test]
    fn a_success_begins_the_count_anew() {
        check(
            1,
            "a; b; c; d; e; a fail; b fail; c ok; d fail; e fail",
            "a: passes (closed)
             b: passes (closed)
             c: passes (closed)
             d: passes (closed)
             e: passes (closed)
             a fail: - (closed)
             b fail: - (closed)
             c ok: - (closed)
             d fail: - (closed)
             e fail: - (closed)",
        );
    }

    #[test]
    fn a_failure_half_open_opens_it_again() {
        check(
            1,
            "a; b; c; a fail; b fail; c fail; +10; d; d fail; e; +10; e; e drop; f; f ok",
            "a: passes (closed)
             b: passes (closed)
             c: passes (closed)
             a fail: - (closed)
             b fail: - (closed)
             c fail: Opened { failures: 3 } (open)
             d: half-opens (half_open)
             d fail: Opened { failures: 4 } (open)
             e: refused for 10s (open)
             e: half-opens (half_open)
             e drop: given back (half_open)
             f: half-opens (half_open)
             f ok: Closed (closed)",
        );
    }

    #[test]
    fn what_was_let_through_before_says_nothing_now() {
        check(
            2,
            "a; b; c; late; later; a fail; b fail; c fail; late ok; +10; d; e; f; later fail; d fail; e ok; reset; reset",
            "a: passes (closed)
             b: passes (closed)
             c: passes (closed)
             late: passes (closed)
             later: passes (closed)
             a fail: - (closed)
             b fail: - (closed)
             c fail: Opened { failures: 3 } (open)
             late ok: - (open)
             d: half-opens (half_open)
             e: passes (half_open)
             f: refused for 0s (half_open)
             later fail: - (half_open)
             d fail: Opened { failures: 4 } (open)
             e ok: - (open)
             reset: Closed (closed)
             reset: - (closed)",
        );
    }

    proptest! {
        /// Whatever happens, in whatever order: when nothing is under way and the time has come, somebody passes.
        #[test]
        fn it_is_never_wedged(steps in prop::collection::vec((0u8..4, 0u64..6, any::<prop::sample::Index>()), 0..200)) {
            let (start, mut at) = (Instant::now(), Duration::ZERO);
            let mut machine = Machine::new(3, Duration::from_secs(10), 2);
            let mut under_way = Vec::new();
            for (what, wait, which) in steps {
                at += Duration::from_secs(wait);
                if what == 0 || under_way.is_empty() {
                    under_way.extend(machine.admit(start + at));
                    continue;
                }
                let ticket = under_way.swap_remove(which.index(under_way.len()));
                match what {
                    1 => drop(machine.settle(&ticket, Meaning::Success, start + at)),
                    2 => drop(machine.settle(&ticket, Meaning::Failure, start + at)),
                    _ => machine.give_back(&ticket),
                }
                let half_open = machine.stats(start + at).half_open_calls;
                prop_assert!(half_open <= 2 && half_open as usize <= under_way.len());
            }
            under_way.iter().for_each(|ticket| machine.give_back(ticket));
            prop_assert!(machine.admit(start + at + Duration::from_secs(10)).is_ok());
        }
    }
}
