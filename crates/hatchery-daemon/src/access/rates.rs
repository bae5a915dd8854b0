//! How often a client may ask: a bucket of tokens per client, kept as the one moment at which it would be full again.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// So many in a second in the long run, and so many at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    /// Between two of a client that never rests.
    interval: Duration,
    /// What a client may be ahead of that.
    ahead: Duration,
}

impl Rate {
    /// A burst that nobody names is that of a second.
    pub(crate) fn new(per_second: f64, burst: Option<u64>) -> Rate {
        let burst = burst.map_or(per_second, |burst| burst as f64).max(1.0);
        // The slowest that there is has one in a century.
        let seconds = |time: f64| Duration::from_secs_f64(time.clamp(1e-9, 3.2e9));
        let interval = seconds(1.0 / per_second);
        Rate { interval, ahead: seconds((burst - 1.0) / per_second) }
    }
}

/// The buckets of all clients. A client whose bucket is full again is one of whom nothing is known.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    /// When each bucket is full again: later than now.
    full_at: HashMap<K, Instant>,
    most: usize,
    /// That of all who come when there are too many to be told apart.
    others: Option<Instant>,
    swept: Option<Instant>,
}

/// Looking through all of them takes a while, so it is not done for each that comes.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

impl<K: Hash + Eq + Clone> Rates<K> {
    /// For so many clients; more of them at a time share one bucket.
    pub(crate) fn new(most: usize) -> Rates<K> {
        Rates { full_at: HashMap::new(), most, others: None, swept: None }
    }

    /// Lets a client ask once, or says how long it has to wait.
    pub(crate) fn take(&mut self, client: &K, rate: Rate, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.get(client).copied();
        if full_at.is_none() && !self.has_room(now) {
            self.others = Some(next(self.others, rate, now)?);
            return Ok(());
        }
        let next = next(full_at, rate, now)?;
        match self.full_at.get_mut(client) {
            Some(full_at) => *full_at = next,
            None => drop(self.full_at.insert(client.clone(), next)),
        }
        Ok(())
    }

    fn has_room(&mut self, now: Instant) -> bool {
        let is_due = self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= BETWEEN_SWEEPS);
        if self.full_at.len() >= self.most && is_due {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.swept = Some(now);
        }
        self.full_at.len() < self.most
    }
}

/// When the bucket is full again once this one is taken out, or how long until it can be.
fn next(full_at: Option<Instant>, rate: Rate, now: Instant) -> Result<Instant, Duration> {
    let full_at = full_at.filter(|full_at| *full_at > now).unwrap_or(now);
    let missing = full_at - now;
    match missing.checked_sub(rate.ahead).filter(|wait| !wait.is_zero()) {
        Some(wait) => Err(wait),
        None => Ok(full_at + rate.interval),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn after_a_burst_it_goes_on_at_the_rate() {
        let (mut rates, rate, start) = (Rates::new(10), Rate::new(2.0, Some(3)), Instant::now());
        assert_eq!([(); 4].map(|()| rates.take(&'a', rate, start)), [Ok(()), Ok(()), Ok(()), Err(SECOND / 2)]);
        assert_eq!(rates.take(&'b', rate, start), Ok(()), "each client has its own");
        let later = start + SECOND / 2;
        assert_eq!([(); 2].map(|()| rates.take(&'a', rate, later)), [Ok(()), Err(SECOND / 2)]);
        let rested = start + 10 * SECOND;
        assert_eq!([(); 4].map(|()| rates.take(&'a', rate, rested).is_ok()), [true, true, true, false]);
    }

    #[test]
    fn extreme_rates_are_rates() {
        let (mut rates, now) = (Rates::new(10), Instant::now());
        let extremes = [(1e-300, None), (1e300, None), (1.0, Some(u64::MAX)), (0.1, Some(1))];
        for (client, (per_second, burst)) in extremes.into_iter().enumerate() {
            assert_eq!(rates.take(&client, Rate::new(per_second, burst), now), Ok(()));
        }
    }

    #[test]
    fn memory_is_bounded_whoever_comes() {
        let (mut rates, rate, start) = (Rates::new(100), Rate::new(1.0, Some(2)), Instant::now());
        let asked = (0..10_000).map(|client| rates.take(&client, rate, start)).filter(Result::is_ok).count();
        assert_eq!((rates.full_at.len(), asked), (100, 102), "those who are too many share one bucket");
        assert_eq!(rates.take(&0, rate, start), Ok(()), "who is known keeps its own");
        let later = start + 10 * SECOND;
        assert_eq!(rates.take(&20_000, rate, later), Ok(()));
        assert_eq!(rates.full_at.len(), 1, "who has rested is forgotten");
    }

    proptest! {
        /// Whatever is asked: never more than a burst and the rate over any stretch of time, the wait that is told is
        /// neither too long nor too short, and who keeps to the rate is never refused.
        #[test]
        fn a_rate_is_kept(
            per_second in 0.5f64..50.0,
            burst in 1u64..20,
            pauses in proptest::collection::vec(0u64..2_000_000, 1..200),
        ) {
            let (mut rates, rate, start) = (Rates::new(10), Rate::new(per_second, Some(burst)), Instant::now());
            let (mut now, mut taken) = (start, Vec::new());
            for pause in pauses {
                now += Duration::from_micros(pause);
                match rates.take(&(), rate, now) {
                    Ok(()) => taken.push(now),
                    Err(wait) => {
                        prop_assert!(rates.take(&(), rate, now + wait - Duration::from_nanos(1)).is_err());
                        now += wait;
                        prop_assert_eq!(rates.take(&(), rate, now), Ok(()));
                        taken.push(now);
                    }
                }
            }
            for (index, from) in taken.iter().enumerate() {
                for (count, to) in taken[index..].iter().enumerate() {
                    let most = burst as f64 + (*to - *from).as_secs_f64() * per_second + 1e-3;
                    prop_assert!((count + 1) as f64 <= most, "{} in {:?}", count + 1, *to - *from);
                }
            }
            let mut patient = Rates::new(10);
            for step in 0..100 {
                prop_assert_eq!(patient.take(&(), rate, start + (rate.interval * step)), Ok(()));
            }
        }
    }
}
