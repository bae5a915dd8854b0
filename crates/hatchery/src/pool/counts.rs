//! What is counted where it happens, whether anybody looks or not: in atomics, as calls must not wait for one another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::ErrorKind;
use crate::fault::CrashClass;
use crate::telemetry::{RecycleReason, Stopwatch};
use crate::worker::{Journey, Pulse};

/// Of one pool.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) errors: Count,
    pub(super) queue_timeouts: Count,
    pub(super) retries: Count,
    pub(super) restarts: Count,
    pub(super) recycled: Tally<RecycleReason>,
    pub(super) crashes: Tally<CrashClass>,
    pub(super) heartbeats: Heartbeats,
    pub(super) meters: Meters,
}

#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Of what happens seldom, by its kind.
#[derive(Debug)]
pub(super) struct Tally<K>(Mutex<BTreeMap<K, u64>>);

impl<K> Default for Tally<K> {
    fn default() -> Tally<K> {
        Tally(Mutex::default())
    }
}

impl<K: Ord + Clone> Tally<K> {
    pub(super) fn one_more(&self, kind: K) {
        *self.lock().entry(kind).or_default() += 1;
    }

    pub(super) fn read(&self) -> BTreeMap<K, u64> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    pub(super) asked: Count,
    pub(super) answered: Count,
    pub(super) missed: Count,
    pub(super) failed: Count,
}

impl Heartbeats {
    pub(super) fn one_more(&self, pulse: Pulse) {
        let count = match pulse {
            Pulse::Asked => &self.asked,
            Pulse::Answered => &self.answered,
            Pulse::Missed => &self.missed,
            Pulse::Failed => &self.failed,
        };
        count.one_more();
    }
}

/// One for each tool that a worker of the pool ever had, and one for calls of all others: what a caller makes up is no name
/// to count under.
#[derive(Debug, Default)]
pub(super) struct Meters {
    by_tool: Mutex<BTreeMap<Arc<str>, Arc<Meter>>>,
    pub(super) of_strangers: Arc<Meter>,
}

impl Meters {
    /// Of a tool that there is. The same for the same name, always.
    pub(super) fn of(&self, tool: &Arc<str>) -> Arc<Meter> {
        Arc::clone(self.lock().entry(Arc::clone(tool)).or_default())
    }

    /// Of whatever somebody has called.
    pub(super) fn of_whatever(&self, tool: &str) -> Arc<Meter> {
        Arc::clone(self.lock().get(tool).unwrap_or(&self.of_strangers))
    }

    /// By name.
    pub(super) fn all(&self) -> Vec<(Arc<str>, Arc<Meter>)> {
        self.lock().iter().map(|(tool, meter)| (Arc::clone(tool), Arc::clone(meter))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Meter>>> {
        self.by_tool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of one tool.
#[derive(Debug, Default)]
pub(super) struct Meter {
    well: Count,
    /// By kind of error.
    ill: [Count; ErrorKind::ALL.len()],
    pub(super) queue: Stopwatch,
    pub(super) run: Stopwatch,
    pub(super) chunks: Count,
}

impl Meter {
    /// A call has ended, well if there is no error.
    pub(super) fn ended(&self, error: Option<ErrorKind>) {
        match error {
            None => self.well.one_more(),
            Some(kind) => self.ill[kind as usize].one_more(),
        }
    }

    /// A try of a call has ended.
    pub(super) fn tried(&self, journey: &Journey) {
        journey.queued.into_iter().for_each(|queued| self.queue.took(queued));
        journey.ran.into_iter().for_each(|ran| self.run.took(ran));
    }

    /// How often a call has ended how, as far as that has happened.
    pub(super) fn outcomes(&self) -> BTreeMap<&'static str, u64> {
        let ill = ErrorKind::ALL.iter().zip(&self.ill).map(|(kind, count)| (kind.as_str(), count.read()));
        ill.chain([(WELL, self.well.read())]).filter(|(_, count)| *count > 0).collect()
    }
}

/// The outcome of a call that has ended without an error.
pub(super) const WELL: &str = "ok";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_kinds_of_errors_stand_in_their_order() {
        ErrorKind::ALL.iter().enumerate().for_each(|(at, kind)| assert_eq!(*kind as usize, at));
    }

    #[test]
    fn what_callers_make_up_is_counted_together() {
        let meters = Meters::default();
        meters.of(&"add".into()).ended(None);
        meters.of_whatever("add").ended(Some(ErrorKind::Remote));
        ["x", "y"].iter().for_each(|name| meters.of_whatever(name).ended(Some(ErrorKind::NotFound)));
        let all = meters.all();
        let [(name, add)] = &all[..] else { panic!("{all:?}") };
        assert_eq!((&**name, add.outcomes()), ("add", [("ok", 1), ("remote", 1)].into()));
        assert_eq!(meters.of_strangers.outcomes(), [("not_found", 2)].into());
    }

    #[test]
    fn what_waited_and_never_ran_has_no_run_time() {
        let meter = Meter::default();
        meter.tried(&Journey { queued: Some(Duration::from_secs(1)), ..Journey::default() });
        meter.tried(&Journey::default());
        assert_eq!((meter.queue.read().count(), meter.run.read().count()), (1, 0));
    }
}
