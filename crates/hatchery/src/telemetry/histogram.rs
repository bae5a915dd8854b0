//! How long things take, counted where they happen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Histogram {
    /// One for each of the [`BOUNDS`](Histogram::BOUNDS), of what took no longer than that and longer than the bound before; and
    /// at last what took longer than all.
    pub counts: Vec<u64>,
    /// All of it together.
    pub sum_seconds: f64,
}

impl Histogram {
    /// In seconds: 0.25 ms, and four times as long at each step, up to 17 minutes.
    pub const BOUNDS: [f64; 12] =
        [0.00025, 0.001, 0.004, 0.016, 0.064, 0.256, 1.024, 4.096, 16.384, 65.536, 262.144, 1048.576];

    /// How often it was.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// For each of the [`BOUNDS`](Histogram::BOUNDS) how often it took no longer than that, as Prometheus has it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        Histogram::BOUNDS.into_iter().zip(sums)
    }
}

/// Counts into a [`Histogram`]: from any thread, without a lock, without memory.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    counts: [AtomicU64; Histogram::BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

const FIRST_BOUND: u64 = 250_000;

impl Stopwatch {
    pub(crate) fn took(&self, time: Duration) {
        // 584 years are enough.
        let nanoseconds = time.as_nanos() as u64;
        self.counts[place(nanoseconds)].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Histogram {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let sum = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed));
        Histogram { counts, sum_seconds: sum.as_secs_f64() }
    }
}

/// Of the first bound that is not below it: each is four times the one before.
fn place(nanoseconds: u64) -> usize {
    let times = nanoseconds.saturating_sub(1) / FIRST_BOUND;
    let bits = u64::BITS - times.leading_zeros();
    (bits.div_ceil(2) as usize).min(Histogram::BOUNDS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_as_long_as_a_bound_is_within_it_and_what_takes_longer_is_not() {
        for (at, bound) in Histogram::BOUNDS.into_iter().enumerate() {
            let bound = (bound * 1e9).round() as u64;
            assert_eq!((place(bound - 1), place(bound), place(bound + 1)), (at, at, at + 1), "{bound} ns");
        }
        assert_eq!((place(0), place(1), place(u64::MAX)), (0, 0, 12));
    }

    #[test]
    fn a_histogram_adds_up() {
        let stopwatch = Stopwatch::default();
        [1, 1, 3, 20, 2_000_000].into_iter().for_each(|time| stopwatch.took(Duration::from_millis(time)));
        let seen = stopwatch.read();
        assert_eq!(seen.counts, [0, 2, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((seen.count(), seen.sum_seconds), (5, 2000.025));
        let sums: Vec<u64> = seen.cumulative().map(|(_, sum)| sum).collect();
        assert_eq!(sums, [0, 2, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]);
    }
}
