//! How long a seat stays empty after a death, and when a pool is said to be in a crash loop: plain data.

use std::time::Duration;

use super::settings::Restarts;

/// A worker that lived as long was good, even if it had nothing to do.
const LONG_LIFE: Duration = Duration::from_secs(30);

const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Of one seat: how long to wait before the next start.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Lives that came to nothing since the last that did: one call answered, or a long life.
    failures: u32,
}

impl Backoff {
    /// A life is over. The first failure is mended at once, the next with pauses that double.
    pub(super) fn after(&mut self, lived: Duration, has_answered: bool, settings: Restarts) -> Duration {
        if has_answered || lived >= LONG_LIFE {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        match self.failures {
            1 => Duration::ZERO,
            n => FIRST_PAUSE.saturating_mul(1 << (n - 2).min(16)).min(settings.max_backoff),
        }
    }
}

/// Of a pool: deaths before ready, one after another.
#[derive(Debug, Default)]
pub(super) struct CrashLoop {
    failures: u32,
}

impl CrashLoop {
    /// A worker died before it was ready. True if that makes it a crash loop, or it is one; what is too many may have changed.
    pub(super) fn failed(&mut self, settings: Restarts) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures >= settings.max_failures
    }

    /// A worker is ready. True if that ends a crash loop.
    pub(super) fn succeeded(&mut self, settings: Restarts) -> bool {
        std::mem::take(&mut self.failures) >= settings.max_failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Restarts = Restarts { max_failures: 3, max_backoff: Duration::from_secs(30) };

    #[test]
    fn pauses_double_until_a_life_was_good() {
        let mut backoff = Backoff::default();
        let mut after = |seconds, answered| backoff.after(Duration::from_secs(seconds), answered, SETTINGS).as_millis();
        let pauses = [(0, false), (0, false), (0, false), (0, false), (0, true), (0, false), (60, false), (1, false)];
        assert_eq!(pauses.map(|(seconds, answered)| after(seconds, answered)), [0, 100, 200, 400, 0, 100, 0, 100]);
    }

    #[test]
    fn the_longest_pause_is_kept_to_for_ever() {
        let mut backoff = Backoff { failures: u32::MAX - 1 };
        for _ in 0..3 {
            assert_eq!(backoff.after(Duration::ZERO, false, SETTINGS), SETTINGS.max_backoff);
        }
    }

    #[test]
    fn a_crash_loop_lasts_until_a_success_which_ends_it_once() {
        let mut crashes = CrashLoop::default();
        assert_eq!([(); 5].map(|()| crashes.failed(SETTINGS)), [false, false, true, true, true]);
        assert!(crashes.succeeded(SETTINGS) && !crashes.succeeded(SETTINGS));
        assert!(!crashes.failed(SETTINGS) && !crashes.succeeded(SETTINGS), "two successes apart are no loop");
    }
}
