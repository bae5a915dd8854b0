//! When a guardian is given up, and what is done then. Decides only; the pair does it.
//!
//! Time is counted in looks that were taken. Of a machine, or a program, that was stopped for a while, nobody can say that
//! it was silent: when it goes on, one look is due, and not twenty.

use std::time::{Duration, Instant};

/// From one look to the next.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// After so many looks between which a guardian has answered nobody, though it was asked at each of them, it hangs.
pub(super) const SILENT_LOOKS: u32 = 20;

/// So many looks are given to keeper and guardian to see to the end themselves. Milliseconds would do.
const PARTING_LOOKS: u32 = 5;

/// For as long as anything is awaited of a guardian, or it is to go.
pub(super) struct Vigil {
    next_look: Instant,
    stage: Stage,
}

enum Stage {
    Trusting {
        silent: u32,
        /// It was seen stopped by the last look. Whoever stops everything lets it go on one after the other.
        was_stopped: bool,
    },
    /// It was told to end, or its keeper was told to end it.
    Parting { looks: u32 },
    /// Both were killed.
    Killed { looks: u32 },
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Tell the guardian again what it may not have heard, and ask it for a sign of life.
    Remind,
    /// Tell the keeper to end the guardian and all below it.
    Replace,
    Wait,
    /// Kill the guardian, then the keeper, which has done nothing about it.
    Kill,
    /// The kernel holds it. Listen to it no more.
    GiveUp,
}

impl Vigil {
    /// The first look is due at once: whoever calls for it has waited.
    pub(super) fn from(now: Instant) -> Vigil {
        Vigil { next_look: now, stage: Stage::Trusting { silent: 0, was_stopped: false } }
    }

    /// The guardian has said something.
    pub(super) fn heard(&mut self) {
        if let Stage::Trusting { silent, .. } = &mut self.stage {
            *silent = 0;
        }
    }

    pub(super) fn until_look(&self, now: Instant) -> Duration {
        self.next_look.saturating_duration_since(now)
    }

    /// Whether it may end when nothing is awaited any more.
    pub(super) fn is_trusting(&self) -> bool {
        matches!(self.stage, Stage::Trusting { .. })
    }

    pub(super) fn look(&mut self, now: Instant, is_closed: bool, is_stopped: impl FnOnce() -> bool) -> Measure {
        self.next_look = now + LOOK;
        let (stage, measure) = match self.stage {
            Stage::Trusting { .. } if is_closed => (Stage::Parting { looks: 1 }, Measure::Wait),
            Stage::Trusting { silent, was_stopped } => {
                let is_stopped = is_stopped();
                match silent >= SILENT_LOOKS || (was_stopped && is_stopped) {
                    true => (Stage::Parting { looks: 0 }, Measure::Replace),
                    false => (Stage::Trusting { silent: silent + 1, was_stopped: is_stopped }, Measure::Remind),
                }
            }
            Stage::Parting { looks: PARTING_LOOKS.. } => (Stage::Killed { looks: 0 }, Measure::Kill),
            Stage::Parting { looks } => (Stage::Parting { looks: looks + 1 }, Measure::Wait),
            Stage::Killed { looks: PARTING_LOOKS.. } => (Stage::Killed { looks: 0 }, Measure::GiveUp),
            Stage::Killed { looks } => (Stage::Killed { looks: looks + 1 }, Measure::Wait),
        };
        self.stage = stage;
        measure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measures(vigil: &mut Vigil, looks: u32, is_closed: bool) -> Vec<Measure> {
        (0..looks).map(|_| vigil.look(Instant::now(), is_closed, || false)).collect()
    }

    #[test]
    fn one_that_answers_nobody_is_replaced_and_if_nobody_does_it_killed() {
        let mut vigil = Vigil::from(Instant::now());
        assert_eq!(measures(&mut vigil, 20, false), [Measure::Remind; 20]);
        assert_eq!(measures(&mut vigil, 1, false), [Measure::Replace]);
        assert_eq!(measures(&mut vigil, 5, false), [Measure::Wait; 5]);
        assert_eq!(measures(&mut vigil, 1, false), [Measure::Kill]);
        assert_eq!(measures(&mut vigil, 5, true), [Measure::Wait; 5]);
        assert_eq!(measures(&mut vigil, 1, true), [Measure::GiveUp]);
    }

    /// As one does whose worker the kernel holds: what is awaited does not come, but it is there.
    #[test]
    fn one_that_answers_is_never_replaced() {
        let mut vigil = Vigil::from(Instant::now());
        for _ in 0..1000 {
            assert_eq!(measures(&mut vigil, 19, false), [Measure::Remind; 19]);
            vigil.heard();
        }
    }

    #[test]
    fn one_that_stays_stopped_is_replaced() {
        let mut vigil = Vigil::from(Instant::now());
        let mut look = |is_stopped| vigil.look(Instant::now(), false, || is_stopped);
        assert_eq!([true, false, true].map(&mut look), [Measure::Remind; 3], "it went on");
        assert_eq!(look(true), Measure::Replace);
        assert!(!vigil.is_trusting());
    }

    #[test]
    fn one_that_was_told_to_end_has_five_looks() {
        let mut vigil = Vigil::from(Instant::now());
        assert_eq!(measures(&mut vigil, 5, true), [Measure::Wait; 5]);
        assert_eq!(measures(&mut vigil, 1, true), [Measure::Kill]);
    }

    #[test]
    fn whoever_was_stopped_for_an_hour_has_missed_one_look() {
        let began = Instant::now();
        let mut vigil = Vigil::from(began);
        assert_eq!(vigil.look(began, false, || false), Measure::Remind);
        let much_later = began + Duration::from_secs(3600);
        assert_eq!(vigil.until_look(much_later), Duration::ZERO);
        assert_eq!(vigil.look(much_later, false, || false), Measure::Remind);
        assert_eq!(vigil.until_look(much_later), LOOK);
    }
}
