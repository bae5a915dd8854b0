//! Which lines of a flood get through.

use std::fmt;
use std::time::{Duration, Instant};

/// Lets lines through until a burst is spent, and earns `per_second` of them back each second.
///
/// Once shut, it stays shut until a second's worth was earned (or the whole burst, if that is less). So a steady flood
/// is seen as runs of consecutive lines with one notice between them, not as single lines torn out of it.
#[derive(Debug)]
pub(crate) struct Throttle {
    per_second: f64,
    burst: f64,
    /// Lines that may pass.
    credit: f64,
    counted_at: Instant,
    dropped: u64,
}

/// What is to be done with one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Pass,
    /// Let it pass, but first say that lines before it were dropped.
    PassAfter(Dropped),
    Drop,
}

/// The notice that lines were dropped: `Display` is its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped(pub(crate) u64);

impl Throttle {
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Throttle {
        let (per_second, burst) = (f64::from(per_second), f64::from(burst));
        Throttle { per_second, burst, credit: burst, counted_at: now, dropped: 0 }
    }

    /// Decides on the next line.
    pub(crate) fn admit(&mut self, now: Instant) -> Admission {
        self.earn(now.saturating_duration_since(self.counted_at));
        self.counted_at = self.counted_at.max(now);
        if self.credit < self.price_of_entry() {
            self.dropped += 1;
            return Admission::Drop;
        }
        self.credit -= 1.0;
        self.take_dropped().map_or(Admission::Pass, Admission::PassAfter)
    }

    /// The notice that is still owed, to be given when the output is over.
    pub(crate) fn take_dropped(&mut self) -> Option<Dropped> {
        match std::mem::take(&mut self.dropped) {
            0 => None,
            n => Some(Dropped(n)),
        }
    }

    fn earn(&mut self, elapsed: Duration) {
        self.credit = (self.credit + elapsed.as_secs_f64() * self.per_second).min(self.burst);
    }

    fn price_of_entry(&self) -> f64 {
        if self.dropped > 0 { self.per_second.min(self.burst).max(1.0) } else { 1.0 }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 line dropped"),
            n => write!(f, "{n} lines dropped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_passes_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut throttle = Throttle::new(2, 3, start);
        let burst: Vec<_> = (0..5).map(|_| throttle.admit(start)).collect();
        assert_eq!(burst, [Admission::Pass, Admission::Pass, Admission::Pass, Admission::Drop, Admission::Drop]);
        assert_eq!(throttle.admit(start + SECOND), Admission::PassAfter(Dropped(2)));
        assert_eq!(throttle.admit(start + SECOND), Admission::Pass);
        assert_eq!(throttle.admit(start + SECOND), Admission::Drop);
        assert_eq!(throttle.take_dropped(), Some(Dropped(1)));
        assert_eq!(throttle.take_dropped(), None);
    }

    #[test]
    fn once_shut_it_opens_for_a_second_s_worth() {
        let start = Instant::now();
        let mut throttle = Throttle::new(10, 10, start);
        let admitted: Vec<_> = (0..30).map(|n| throttle.admit(start + SECOND * n / 100)).collect();
        assert!(admitted[11..].iter().all(|admission| *admission == Admission::Drop), "{admitted:?}");
        assert!(matches!(throttle.admit(start + SECOND * 2), Admission::PassAfter(_)));
        assert!((0..9).all(|_| throttle.admit(start + SECOND * 2) == Admission::Pass));
    }

    #[test]
    fn a_quiet_program_is_never_throttled() {
        let start = Instant::now();
        let mut throttle = Throttle::new(10, 1, start);
        assert!((0..1000).all(|n| throttle.admit(start + SECOND * n / 9) == Admission::Pass));
    }

    #[test]
    fn the_notice_counts() {
        assert_eq!(Dropped(1).to_string(), "1 line dropped");
        assert_eq!(Dropped(123456).to_string(), "123456 lines dropped");
    }

    proptest! {
        #[test]
        fn no_more_than_the_burst_and_the_rate_get_through_and_every_line_is_accounted_for(
            per_second in 1u32..50, burst in 1u32..50, gaps in prop::collection::vec(0u64..200, 1..400),
        ) {
            let start = Instant::now();
            let mut throttle = Throttle::new(per_second, burst, start);
            let (mut now, mut passed, mut dropped) = (start, 0u64, 0u64);
            for gap in &gaps {
                now += Duration::from_millis(*gap);
                match throttle.admit(now) {
                    Admission::Pass => passed += 1,
                    Admission::PassAfter(Dropped(n)) => { passed += 1; dropped += n; }
                    Admission::Drop => {}
                }
                let bound = f64::from(burst) + f64::from(per_second) * (now - start).as_secs_f64();
                prop_assert!(passed as f64 <= bound + 1e-6);
            }
            dropped += throttle.take_dropped().map_or(0, |dropped| dropped.0);
            prop_assert_eq!(passed + dropped, gaps.len() as u64);
        }
    }
}
