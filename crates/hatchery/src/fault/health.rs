//! Whether too many workers die.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::CrashClass;

/// The settings of a health monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// For how long a crash counts. Default: 60 s.
    pub window: Duration,
    /// With so many crashes in the window a pool is not healthy. Default: 10.
    pub max_crashes: usize,
    /// With so many crashes in the window a worker is not healthy. Default: 3.
    pub max_worker_crashes: usize,
}

impl Default for HealthPolicy {
    fn default() -> HealthPolicy {
        HealthPolicy { window: Duration::from_secs(60), max_crashes: 10, max_worker_crashes: 3 }
    }
}

/// How a pool and one of its workers stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Fewer crashes in the window than [`HealthPolicy::max_crashes`].
    pub is_pool_healthy: bool,
    /// Fewer crashes in the window than [`HealthPolicy::max_worker_crashes`].
    pub is_worker_healthy: bool,
}

/// The numbers of a health monitor.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct HealthStats {
    /// Fewer crashes in the window than allowed.
    pub is_healthy: bool,
    /// Since it was made or reset.
    pub total_crashes: u64,
    /// Those that still count.
    pub crashes_in_window: usize,
    /// The workers that they were of, with how many.
    pub workers_with_crashes: BTreeMap<String, usize>,
    /// Those that still count, by kind.
    pub crashes_by_class: BTreeMap<CrashClass, usize>,
}

/// Counts the crashes of a pool within a window that moves with the time. Workers are known by name: a worker that takes the place of
/// another inherits its count, for that is what tells a bad seat from bad luck.
#[derive(Debug)]
pub struct HealthMonitor {
    policy: HealthPolicy,
    total: u64,
    /// The oldest first.
    crashes: VecDeque<(Instant, String, CrashClass)>,
}

/// More are not kept: whoever allows more within a window has no use for a monitor.
const MOST_CRASHES: usize = 10_000;

impl HealthMonitor {
    /// Without a crash.
    pub fn new(policy: HealthPolicy) -> HealthMonitor {
        HealthMonitor { policy, total: 0, crashes: VecDeque::new() }
    }

    /// A worker died like this. Says how things stand with it.
    pub fn record_crash(&mut self, worker: &str, class: CrashClass, now: Instant) -> Standing {
        self.sweep(now);
        if self.crashes.len() == MOST_CRASHES {
            self.crashes.pop_front();
        }
        self.total += 1;
        self.crashes.push_back((now, worker.to_owned(), class));
        Standing { is_pool_healthy: self.is_healthy(now), is_worker_healthy: self.is_worker_healthy(worker, now) }
    }

    /// Whether the pool is.
    pub fn is_healthy(&self, now: Instant) -> bool {
        self.counting(now).count() < self.policy.max_crashes
    }

    /// Whether the worker is; one that never died is.
    pub fn is_worker_healthy(&self, worker: &str, now: Instant) -> bool {
        self.counting(now).filter(|(_, who, _)| who == worker).count() < self.policy.max_worker_crashes
    }

    /// Its numbers.
    pub fn stats(&self, now: Instant) -> HealthStats {
        let (mut workers, mut classes) = (BTreeMap::new(), BTreeMap::new());
        for (_, worker, class) in self.counting(now) {
            *workers.entry(worker.clone()).or_default() += 1;
            *classes.entry(*class).or_default() += 1;
        }
        HealthStats {
            is_healthy: self.is_healthy(now),
            total_crashes: self.total,
            crashes_in_window: self.counting(now).count(),
            workers_with_crashes: workers,
            crashes_by_class: classes,
        }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        (self.total, self.crashes) = (0, VecDeque::new());
    }

    /// Forgets what no longer counts. Nobody needs to call it for the answers to be right.
    pub fn sweep(&mut self, now: Instant) {
        let window = self.policy.window;
        while self.crashes.front().is_some_and(|(at, ..)| now.saturating_duration_since(*at) >= window) {
            self.crashes.pop_front();
        }
    }

    fn counting(&self, now: Instant) -> impl Iterator<Item = &(Instant, String, CrashClass)> {
        self.crashes.iter().filter(move |(at, ..)| now.saturating_duration_since(*at) < self.policy.window)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_crashes_in_a_minute_are_too_many_and_three_of_one_worker() {
        let (start, mut monitor) = (Instant::now(), HealthMonitor::new(HealthPolicy::default()));
        let second = |second| start + Duration::from_secs(second);
        let standings = (0..10).map(|crash| {
            let standing = monitor.record_crash(&format!("w-{}", crash % 4), CrashClass::Segfault, second(crash));
            (standing.is_pool_healthy, standing.is_worker_healthy)
        });
        let standings: Vec<_> = standings.collect();
        assert!(standings[..8].iter().all(|standing| *standing == (true, true)));
        assert_eq!(standings[8..], [(true, false), (false, false)]);
        assert!(!monitor.is_healthy(second(59)));
        assert!(monitor.is_healthy(second(60)), "the first counts no more");
        assert!(monitor.is_worker_healthy("w-0", second(60)));
        assert!(monitor.is_worker_healthy("never seen", second(9)));
    }

    #[test]
    fn the_numbers_say_who_and_how() {
        let (now, mut monitor) = (Instant::now(), HealthMonitor::new(HealthPolicy::default()));
        for (worker, class) in [("a", CrashClass::Gpu), ("a", CrashClass::Exit), ("b", CrashClass::Gpu)] {
            monitor.record_crash(worker, class, now);
        }
        let stats = serde_json::to_value(monitor.stats(now)).unwrap();
        let expected = serde_json::json!({
            "is_healthy": true, "total_crashes": 3, "crashes_in_window": 3,
            "workers_with_crashes": {"a": 2, "b": 1}, "crashes_by_class": {"gpu": 2, "exit": 1},
        });
        assert_eq!(stats, expected);
        let later = monitor.stats(now + Duration::from_secs(60));
        assert_eq!((later.total_crashes, later.crashes_in_window), (3, 0));
        monitor.reset();
        assert_eq!(monitor.stats(now).total_crashes, 0);
    }

    proptest! {
        #[test]
        fn what_counts_is_what_happened_within_the_window(waits in prop::collection::vec(0u64..30, 1..100)) {
            let (start, mut at) = (Instant::now(), 0);
            let mut monitor = HealthMonitor::new(HealthPolicy::default());
            let mut all = Vec::new();
            for wait in waits {
                at += wait;
                all.push(at);
                let now = start + Duration::from_secs(at);
                let standing = monitor.record_crash("w", CrashClass::Exit, now);
                let counting = all.iter().filter(|crash| *crash + 60 > at).count();
                prop_assert_eq!(monitor.stats(now).crashes_in_window, counting);
                prop_assert_eq!(standing, Standing { is_pool_healthy: counting < 10, is_worker_healthy: counting < 3 });
            }
        }
    }
}
