//! How a run is ended, one step after another: what is next, and when. Whoever climbs does what it says, and tells it what there is.

use std::fmt;
use std::time::{Duration, Instant};

use super::{Rung, Step, StopLadder};
use crate::process::signal_name;

/// A ladder that is being climbed. Several stops of one run climb one ladder.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    /// Those that were not begun yet.
    rungs: Vec<Rung>,
    /// When it is over, whatever is left of it. `None`: no clock will ever show that.
    deadline: Option<Instant>,
    stand: Stand,
    /// How many steps were taken.
    taken: u32,
    /// Which they were, and when.
    done: Vec<(Step, Instant)>,
}

/// What can be done to a run besides signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Means {
    /// Its protocol has a word that ends a turn, and it can be written.
    pub(super) has_interrupt: bool,
    /// Its input is open.
    pub(super) has_stdin: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This, now, as the rung of that number; then ask again.
    Take { rung: u32, action: Action },
    /// Nothing until then, unless the process ends. `None`: nothing but its end.
    Wait(Option<Instant>),
}

/// What is done on a rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Step(Step),
    /// SIGKILL to the whole tree: the last rung of every ladder.
    Kill,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Step(Step::Interrupt) => f.write_str("interrupt"),
            Action::Step(Step::CloseStdin) => f.write_str("close_stdin"),
            Action::Step(Step::Signal(signal)) => match signal_name(*signal) {
                Some(name) => f.write_str(name),
                None => write!(f, "signal {signal}"),
            },
            Action::Kill => f.write_str("kill"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Stand {
    /// Until when the last step may have its effect.
    On { until: Option<Instant> },
    /// The next thing is SIGKILL.
    AtTheTop,
    /// There is nothing more to do: SIGKILL was sent.
    Off,
}

impl Ladder {
    /// At its foot.
    pub(super) fn new(plan: &StopLadder, now: Instant) -> Ladder {
        Ladder {
            rungs: plan.rungs.clone(),
            deadline: now.checked_add(plan.total),
            stand: Stand::On { until: Some(now) },
            taken: 0,
            done: Vec::new(),
        }
    }

    /// What is to be done now. What there is nothing to do it with is skipped, and its grace with it.
    pub(super) fn next(&mut self, means: Means, now: Instant) -> Next {
        match self.stand {
            Stand::Off => Next::Wait(None),
            Stand::AtTheTop => self.take_the_last(),
            Stand::On { .. } if has_come(self.deadline, now) => self.take_the_last(),
            Stand::On { until } if !has_come(until, now) => Next::Wait(earlier(until, self.deadline)),
            Stand::On { .. } => self.take(means, now),
        }
    }

    /// Somebody else stops the same run. Whichever ladder is over sooner, from here, is climbed on; no step is taken twice, and the one
    /// that was taken last keeps what either gives it.
    pub(super) fn join(&mut self, plan: &StopLadder, means: Means, now: Instant) {
        let Stand::On { until } = self.stand else { return };
        let their_deadline = now.checked_add(plan.total);
        let (their_until, theirs) = self.as_seen_from(plan, now);
        let mine_is_over = earlier(sum(until, &self.rungs, means), self.deadline);
        let theirs_is_over = earlier(sum(their_until, &theirs, means), their_deadline);
        if is_earlier(theirs_is_over, mine_is_over) {
            self.rungs = theirs;
            self.stand = Stand::On { until: their_until };
        }
        self.deadline = earlier(self.deadline, their_deadline);
    }

    /// What is left of another ladder for whoever stands here: until when the last step has its effect, and what comes then.
    fn as_seen_from(&self, plan: &StopLadder, now: Instant) -> (Option<Instant>, Vec<Rung>) {
        let is_new = |rung: &&Rung| self.done.iter().all(|(done, _)| *done != rung.step);
        let last = self.done.last();
        let here = last.and_then(|(step, _)| plan.rungs.iter().position(|rung| rung.step == *step));
        match (here, last) {
            (Some(here), Some((_, taken_at))) => {
                // If that is over by now, what comes then comes now.
                let until = taken_at.checked_add(plan.rungs[here].grace).map(|until| until.max(now));
                (until, plan.rungs[here + 1..].iter().filter(is_new).copied().collect())
            }
            _ => (Some(now), plan.rungs.iter().filter(is_new).copied().collect()),
        }
    }

    /// No more patience: the next thing is SIGKILL.
    pub(super) fn kill(&mut self) {
        if matches!(self.stand, Stand::On { .. }) {
            self.stand = Stand::AtTheTop;
        }
    }

    fn take(&mut self, means: Means, now: Instant) -> Next {
        while !self.rungs.is_empty() {
            let Rung { step, grace } = self.rungs.remove(0);
            if means.allow(step) {
                self.stand = Stand::On { until: now.checked_add(grace) };
                self.done.push((step, now));
                return self.taken(Action::Step(step));
            }
        }
        self.take_the_last()
    }

    fn take_the_last(&mut self) -> Next {
        self.stand = Stand::Off;
        self.taken(Action::Kill)
    }

    fn taken(&mut self, action: Action) -> Next {
        self.taken = self.taken.saturating_add(1);
        Next::Take { rung: self.taken, action }
    }
}

impl Means {
    fn allow(self, step: Step) -> bool {
        match step {
            Step::Interrupt => self.has_interrupt,
            Step::CloseStdin => self.has_stdin,
            Step::Signal(_) => true,
        }
    }
}

// `None` is a time that never comes.

fn has_come(time: Option<Instant>, now: Instant) -> bool {
    time.is_some_and(|time| time <= now)
}

fn is_earlier(one: Option<Instant>, other: Option<Instant>) -> bool {
    one.is_some_and(|one| other.is_none_or(|other| one < other))
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    if is_earlier(other, one) { other } else { one }
}

/// When these are over, if the first may begin then.
fn sum(from: Option<Instant>, rungs: &[Rung], means: Means) -> Option<Instant> {
    let mut allowed = rungs.iter().filter(|rung| means.allow(rung.step));
    let graces = allowed.try_fold(Duration::ZERO, |sum, rung| sum.checked_add(rung.grace))?;
    from?.checked_add(graces)
}

#[cfg(test)]
mod tests;
