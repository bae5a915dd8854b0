//! How soon a service that failed is started again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many failures are taken for accidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Intensity {
    /// So many restarts in a [`window`](Intensity::window) happen at once.
    pub(crate) restarts: usize,
    pub(crate) window: Duration,
    /// What is waited before the first restart beyond them; each further one waits twice as long.
    pub(crate) first_pause: Duration,
    pub(crate) longest_pause: Duration,
}

impl Default for Intensity {
    /// 5 in 60 s at once; then 1 s, 2 s, 4 s, up to 30 s.
    fn default() -> Intensity {
        Intensity {
            restarts: 5,
            window: Duration::from_secs(60),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// The failures of one service. It is never given up: the worst verdict is the longest pause.
#[derive(Debug)]
pub(super) struct Restarts {
    intensity: Intensity,
    /// The restarts at once of the last window.
    recent: VecDeque<Instant>,
    /// How long the last pause was; zero as long as restarts happen at once.
    pause: Duration,
}

impl Restarts {
    pub(super) fn new(intensity: Intensity) -> Restarts {
        Restarts { intensity, recent: VecDeque::new(), pause: Duration::ZERO }
    }

    /// A life that was born then has failed now: how long to wait before the next one. A life as long as the window ends the
    /// pauses; shorter ones do not, or a service that always fails would have five starts at once in every window.
    pub(super) fn failed(&mut self, born: Instant, now: Instant) -> Duration {
        let Intensity { restarts, window, first_pause, longest_pause } = self.intensity;
        if now.saturating_duration_since(born) >= window {
            self.pause = Duration::ZERO;
        }
        while self.recent.front().is_some_and(|&then| now.saturating_duration_since(then) >= window) {
            self.recent.pop_front();
        }
        if self.pause.is_zero() && self.recent.len() < restarts {
            self.recent.push_back(now);
            return Duration::ZERO;
        }
        self.pause = self.pause.saturating_mul(2).max(first_pause).min(longest_pause);
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Each word is how many seconds a life lasted; what comes out is when it began again, and after what pause.
    fn check(lives: &str, expected: &str) {
        let start = Instant::now();
        let (mut restarts, mut now, mut told) = (Restarts::new(Intensity::default()), start, String::new());
        for life in lives.split_whitespace() {
            let born = now;
            now += Duration::from_secs(life.parse().unwrap());
            let pause = restarts.failed(born, now);
            now += pause;
            write!(told, "{}+{} ", (now - pause - start).as_secs(), pause.as_secs()).unwrap();
        }
        assert_eq!(told.trim_end(), expected, "{lives}");
    }

    #[test]
    fn five_at_once_and_then_growing_pauses_up_to_the_longest() {
        check("0 0 0 0 0 0 0 0 0 0 0 0", "0+0 0+0 0+0 0+0 0+0 0+1 1+2 3+4 7+8 15+16 31+30 61+30");
    }

    #[test]
    fn failures_that_are_rare_are_restarted_at_once_for_ever() {
        check("12 12 12 12 12 12 12 12 12", "12+0 24+0 36+0 48+0 60+0 72+0 84+0 96+0 108+0");
    }

    #[test]
    fn failures_a_little_too_often_bring_pauses_that_a_short_life_does_not_end() {
        check("11 11 11 11 11 11 59 0", "11+0 22+0 33+0 44+0 55+0 66+1 126+2 128+4");
    }

    #[test]
    fn a_life_as_long_as_the_window_ends_the_pauses() {
        check("0 0 0 0 0 0 60 0 0 0 0 0", "0+0 0+0 0+0 0+0 0+0 0+1 61+0 61+0 61+0 61+0 61+0 61+1");
    }
}
