//! Whether a call that failed gets another try, and when.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::RetryBudget;
use super::barrier::nth_or_last;
use super::budget::Ledger;
use crate::error::{Error, ErrorKind};

/// How often, when, and after which errors a call is made again. That it is *safe* to make it again, only the caller knows.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Tries in all, with the first; 0 is 1. Default: 3.
    pub attempts: u32,
    /// The pauses. Default: 100, 200, 400, 800, 1600 ms.
    pub backoff: Backoff,
    /// No pause is longer. Default: 30 s.
    pub max_backoff: Duration,
    /// Whether chance makes a pause longer or shorter. Default: no.
    pub jitter: bool,
    /// By how much, as a share of the pause, from 0 to 1. Default: 0.25.
    pub jitter_factor: f64,
    /// After which errors. Default: those that are marked.
    pub retriable: Retriable,
    /// What all calls together may spend. Default: [`RetryBudget::default`]; `None`: no limit.
    pub budget: Option<RetryBudget>,
}

/// The pauses between tries.
#[derive(Clone, Debug, PartialEq)]
pub enum Backoff {
    /// These; the last one repeats. An empty list is no pause.
    List(Vec<Duration>),
    /// `base`, then each `multiplier` times as long as the one before.
    Exponential {
        /// The first. Default in configuration files: 100 ms.
        base: Duration,
        /// Default in configuration files: 2.0.
        multiplier: f64,
    },
}

/// After which errors there is another try.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Retriable {
    /// Those that [`Error::is_retryable`] says: `saturated`, `unavailable`, `worker_died`, `protocol` and what a tool raised and
    /// marked, unless the error says otherwise. A deadline is not among them: nothing of it is left.
    #[default]
    Marked,
    /// Those of these kinds, unless the error says that it is none.
    Kinds(Vec<ErrorKind>),
    /// All but cancellations.
    All,
}

/// What becomes of a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum NextTry {
    /// It is made again after this pause.
    After(Duration),
    /// It is not.
    None(NoTry),
}

/// Why there is no other try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTry {
    /// The error is not one that goes away.
    NotRetriable,
    /// All tries were made.
    Exhausted,
    /// The deadline would have passed before it; or the error says to come again after more than the longest pause.
    TooLate,
    /// All calls together have made too many.
    OverBudget,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            attempts: 3,
            backoff: Backoff::List([100, 200, 400, 800, 1600].map(Duration::from_millis).to_vec()),
            max_backoff: Duration::from_secs(30),
            jitter: false,
            jitter_factor: 0.25,
            retriable: Retriable::default(),
            budget: Some(RetryBudget::default()),
        }
    }
}

impl RetryPolicy {
    /// Whether this error is one of those after which there is another try.
    pub fn retries(&self, error: &Error) -> bool {
        let kind = error.kind();
        match &self.retriable {
            Retriable::Marked => error.is_retryable(),
            // One that usually is and says that it is not was marked so, for a reason.
            Retriable::Kinds(kinds) => kinds.contains(&kind) && (error.is_retryable() || !kind.is_usually_retryable()),
            Retriable::All => kind != ErrorKind::Cancelled,
        }
    }

    /// The pause after the try with this number, from 1. `chance` is from 0 to 1, and counts only with `jitter`.
    pub fn pause(&self, attempt: u32, chance: f64) -> Duration {
        let index = attempt.saturating_sub(1);
        let pause = match &self.backoff {
            Backoff::List(pauses) => nth_or_last(pauses, index).as_secs_f64(),
            Backoff::Exponential { base, multiplier } => {
                base.as_secs_f64() * multiplier.powi(i32::try_from(index).unwrap_or(i32::MAX))
            }
        };
        let spread = if self.jitter { 1.0 + self.jitter_factor * (2.0 * chance - 1.0) } else { 1.0 };
        Duration::try_from_secs_f64((pause * spread).max(0.0)).unwrap_or(self.max_backoff).min(self.max_backoff)
    }
}

/// A [`RetryPolicy`] and what all calls under it have spent. One per pool.
#[derive(Debug)]
pub struct Retries {
    policy: RetryPolicy,
    spent: Mutex<Ledger>,
}

impl Retries {
    /// Nothing spent.
    pub fn new(policy: RetryPolicy) -> Retries {
        Retries { policy, spent: Mutex::default() }
    }

    /// What it obeys.
    pub fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// A call is made for the first time: the budget grows by its share.
    pub fn called(&self, now: Instant) {
        if let Some(budget) = &self.policy.budget {
            self.spent().called(budget, now);
        }
    }

    /// Whether there is a try after this one, the `attempt`th, which failed like this; takes it out of the budget. An error
    /// that says when to come again (`details.retry_after_ms`) is believed. `chance` is from 0 to 1.
    pub fn next(&self, attempt: u32, error: &Error, now: Instant, deadline: Option<Instant>, chance: f64) -> NextTry {
        let told = retry_after(error);
        let pause = self.policy.pause(attempt, chance).max(told);
        let is_too_late = |deadline: Instant| deadline.saturating_duration_since(now) <= pause;
        if !self.policy.retries(error) {
            NextTry::None(NoTry::NotRetriable)
        } else if attempt >= self.policy.attempts {
            NextTry::None(NoTry::Exhausted)
        } else if told > self.policy.max_backoff || deadline.is_some_and(is_too_late) {
            NextTry::None(NoTry::TooLate)
        } else if self.policy.budget.as_ref().is_some_and(|budget| !self.spent().spend(budget, now)) {
            NextTry::None(NoTry::OverBudget)
        } else {
            NextTry::After(pause)
        }
    }

    fn spent(&self) -> MutexGuard<'_, Ledger> {
        // Numbers: no panic leaves them half changed.
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn retry_after(error: &Error) -> Duration {
    let told = error.details().and_then(|details| details.get("retry_after_ms")?.as_u64());
    Duration::from_millis(told.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn ms(pause: u64) -> Duration {
        Duration::from_millis(pause)
    }

    fn died() -> Error {
        Error::new(ErrorKind::WorkerDied, "died")
    }

    #[test]
    fn the_default_makes_three_tries_with_growing_pauses() {
        let (retries, now) = (Retries::new(RetryPolicy::default()), Instant::now());
        let next = |attempt| retries.next(attempt, &died(), now, None, 0.5);
        assert_eq!(next(1), NextTry::After(ms(100)));
        assert_eq!(next(2), NextTry::After(ms(200)));
        assert_eq!(next(3), NextTry::None(NoTry::Exhausted));
    }

    #[test]
    fn the_last_pause_of_a_list_repeats_and_a_series_ends_at_the_longest() {
        let list = RetryPolicy::default();
        assert_eq!([5, 6, 4_000_000_000].map(|attempt| list.pause(attempt, 0.0)), [ms(1600); 3]);
        let backoff = Backoff::Exponential { base: ms(100), multiplier: 2.0 };
        let series = RetryPolicy { backoff, ..RetryPolicy::default() };
        let pauses = [1, 2, 3, 9, 10, u32::MAX].map(|attempt| series.pause(attempt, 0.0).as_millis());
        assert_eq!(pauses, [100, 200, 400, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn errors_are_retried_by_mark_by_kind_or_all() {
        let retried =
            |retriable: Retriable, error: &Error| RetryPolicy { retriable, ..RetryPolicy::default() }.retries(error);
        let (lacking, raised) =
            (Error::new(ErrorKind::Unavailable, "m").with_retryable(false), Error::new(ErrorKind::Remote, "m"));
        let late = Error::new(ErrorKind::Deadline, "m");
        assert!(retried(Retriable::Marked, &died()));
        assert!(!retried(Retriable::Marked, &lacking));
        assert!(!retried(Retriable::Marked, &raised));
        assert!(retried(Retriable::Marked, &raised.clone().with_retryable(true)));
        assert!(!retried(Retriable::Marked, &late));
        let kinds = || Retriable::Kinds(vec![ErrorKind::Deadline, ErrorKind::Unavailable]);
        assert!(retried(kinds(), &late));
        assert!(!retried(kinds(), &died()));
        assert!(!retried(kinds(), &lacking), "it says that it is none");
        assert!(retried(Retriable::All, &raised));
        assert!(!retried(Retriable::All, &Error::new(ErrorKind::Cancelled, "m")));
    }

    #[test]
    fn no_try_begins_after_the_deadline() {
        let (retries, now) = (Retries::new(RetryPolicy::default()), Instant::now());
        let next = |left| retries.next(1, &died(), now, Some(now + ms(left)), 0.5);
        assert_eq!(next(100), NextTry::None(NoTry::TooLate));
        assert_eq!(next(101), NextTry::After(ms(100)));
    }

    #[test]
    fn who_says_when_to_come_again_is_believed() {
        let (retries, now) = (Retries::new(RetryPolicy::default()), Instant::now());
        let error = Error::new(ErrorKind::Unavailable, "m").with_details(json!({"retry_after_ms": 5000}));
        assert_eq!(retries.next(1, &error, now, None, 0.5), NextTry::After(ms(5000)));
        assert_eq!(retries.next(1, &error, now, Some(now + ms(4000)), 0.5), NextTry::None(NoTry::TooLate));
        let error = error.with_details(json!({"retry_after_ms": u64::MAX}));
        assert_eq!(retries.next(1, &error, now, None, 0.5), NextTry::None(NoTry::TooLate));
    }

    #[test]
    fn a_spent_budget_ends_retries_until_calls_earn_new_ones() {
        let budget = Some(RetryBudget { share: 0.5, least: 1, window: ms(10_000) });
        let (retries, now) = (Retries::new(RetryPolicy { budget, ..RetryPolicy::default() }), Instant::now());
        let next = || retries.next(1, &died(), now, None, 0.5);
        assert_eq!(next(), NextTry::After(ms(100)));
        assert_eq!(next(), NextTry::None(NoTry::OverBudget));
        (0..4).for_each(|_| retries.called(now));
        assert_eq!(next(), NextTry::After(ms(100)));
        assert_eq!(next(), NextTry::None(NoTry::OverBudget));
    }

    proptest! {
        #[test]
        fn jitter_stays_in_its_bounds(attempt in 1u32..100, chance in 0.0f64..1.0, base in 1u64..100_000, multiplier in 0.5f64..4.0) {
            let backoff = Backoff::Exponential { base: ms(base), multiplier };
            let policy = RetryPolicy { backoff, jitter: true, ..RetryPolicy::default() };
            let without = RetryPolicy { jitter: false, ..policy.clone() }.pause(attempt, chance);
            let with = policy.pause(attempt, chance);
            prop_assert!(with <= policy.max_backoff);
            // Pauses are whole nanoseconds.
            let nanosecond = Duration::from_nanos(1);
            prop_assert!(with + nanosecond >= without.mul_f64(0.749).min(policy.max_backoff));
            prop_assert!(with <= without.mul_f64(1.251) + nanosecond || without == policy.max_backoff);
        }
    }
}
