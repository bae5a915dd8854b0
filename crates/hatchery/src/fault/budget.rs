//! How many retries a pool can afford, so that they do not multiply an outage.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Retries as a share of the calls of the recent past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// So many retries for each call. Default: 0.2.
    pub share: f64,
    /// The recent past. Default: 10 s.
    pub window: Duration,
    /// So many are always granted within a window, however few the calls. Default: 10.
    pub least: u32,
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget { share: 0.2, window: Duration::from_secs(10), least: 10 }
    }
}

/// What was spent, in tenths of the window.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    began: Option<Instant>,
    pages: VecDeque<Page>,
}

#[derive(Debug, Default)]
struct Page {
    number: u128,
    calls: u64,
    retries: u64,
}

const PAGES: u32 = 10;

impl Ledger {
    pub(super) fn called(&mut self, budget: &RetryBudget, now: Instant) {
        self.page(budget, now).calls += 1;
    }

    /// Takes one retry out of the budget; `false` if there is none left.
    pub(super) fn spend(&mut self, budget: &RetryBudget, now: Instant) -> bool {
        self.page(budget, now);
        let calls: u64 = self.pages.iter().map(|page| page.calls).sum();
        let retries: u64 = self.pages.iter().map(|page| page.retries).sum();
        #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53 within a window")]
        let is_granted = retries < u64::from(budget.least) || ((retries + 1) as f64) <= calls as f64 * budget.share;
        if is_granted {
            self.page(budget, now).retries += 1;
        }
        is_granted
    }

    /// The page of `now`, after those that are too old were thrown away.
    fn page(&mut self, budget: &RetryBudget, now: Instant) -> &mut Page {
        let began = *self.began.get_or_insert(now);
        let tenth = (budget.window / PAGES).max(Duration::from_nanos(1)).as_nanos();
        let number = now.saturating_duration_since(began).as_nanos() / tenth;
        while self.pages.front().is_some_and(|page| page.number + u128::from(PAGES) <= number) {
            self.pages.pop_front();
        }
        // Two threads may look at the clock in one order and come here in the other.
        if self.pages.back().is_none_or(|page| page.number < number) {
            self.pages.push_back(Page { number, ..Page::default() });
        }
        let last = self.pages.len() - 1;
        &mut self.pages[last]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_window_later_all_is_forgotten() {
        let (budget, start) = (RetryBudget { share: 0.0, least: 2, ..RetryBudget::default() }, Instant::now());
        let mut ledger = Ledger::default();
        let spent = [0, 0, 0, 9, 10, 10, 10].map(|second| ledger.spend(&budget, start + Duration::from_secs(second)));
        assert_eq!(spent, [true, true, false, false, true, true, false]);
    }

    proptest! {
        /// Whatever comes in whatever order: within any window no more is granted than the least, or the share of the
        /// calls that came before, and never is more kept than the pages.
        #[test]
        fn an_outage_is_never_multiplied(steps in prop::collection::vec((0u64..400, any::<bool>()), 1..400)) {
            let budget = RetryBudget { share: 0.5, least: 3, window: Duration::from_secs(1) };
            let (start, mut at, mut ledger) = (Instant::now(), Duration::ZERO, Ledger::default());
            let (mut calls, mut granted) = (Vec::new(), Vec::new());
            for (wait, is_call) in steps {
                at += Duration::from_millis(wait);
                if is_call {
                    ledger.called(&budget, start + at);
                    calls.push(at);
                } else if ledger.spend(&budget, start + at) {
                    granted.push(at);
                    // The page of the oldest tenth may be half over: what is certain is nine tenths.
                    let recent = |times: &[Duration], window: u64| {
                        times.iter().filter(|time| **time + Duration::from_millis(window) > at).count()
                    };
                    prop_assert!(recent(&granted, 900) <= 3.max(recent(&calls, 1000) / 2));
                }
                prop_assert!(ledger.pages.len() <= PAGES as usize);
            }
        }
    }
}
