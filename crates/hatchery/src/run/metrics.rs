//! What is counted of a run: its guardians, its processes, what it swept.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::telemetry::RunEvent;

/// The numbers of what owns the processes of a run. What only ever rises counts from its begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RunMetrics {
    /// Processes in its registry: started, or about to be, and not seen to be gone.
    pub registered: usize,
    /// Processes that were started.
    pub started: u64,
    /// Pairs of a keeper and a guardian that are up.
    pub guardians: usize,
    /// Those that were started.
    pub guardians_started: u64,
    /// Those that were killed by others.
    pub guardians_lost: u64,
    /// Processes of dead runs that sweeps found.
    pub orphans_found: u64,
    /// Of these, ended.
    pub orphans_terminated: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    started: AtomicU64,
    guardians_started: AtomicU64,
    guardians_lost: AtomicU64,
    orphans_found: AtomicU64,
    orphans_terminated: AtomicU64,
}

impl Counts {
    /// Counted before it is told: what is told can be lost.
    pub(super) fn note(&self, event: &RunEvent) {
        match event {
            RunEvent::Activated { .. } => add(&self.started, 1),
            RunEvent::Guarded { .. } => add(&self.guardians_started, 1),
            RunEvent::GuardianLost => add(&self.guardians_lost, 1),
            RunEvent::Swept { found, terminated, .. } => {
                add(&self.orphans_found, *found as u64);
                add(&self.orphans_terminated, *terminated as u64);
            }
            _ => {}
        }
    }

    pub(super) fn read(&self, registered: usize, guardians: usize) -> RunMetrics {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        RunMetrics {
            registered,
            started: read(&self.started),
            guardians,
            guardians_started: read(&self.guardians_started),
            guardians_lost: read(&self.guardians_lost),
            orphans_found: read(&self.orphans_found),
            orphans_terminated: read(&self.orphans_terminated),
        }
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
