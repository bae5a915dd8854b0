//! The registry of a running hatchery, as its owner may ask it.

use std::sync::Arc;

use super::{ProcessEntry, RecordPlace, Registry, Statistics};

/// What a run knows of its processes. Every answer comes from memory, in less than a microsecond for one entry, except where the
/// kernel is asked; what other runs have written down is told by [`registry_lookup`](crate::registry_lookup).
///
/// ```no_run
/// # async fn example(hatchery: hatchery::Hatchery) {
/// let registry = hatchery.registry();
/// if let Some(entry) = registry.by_worker("default-1") {
///     println!("{} is process {:?}, since {:?}", entry.worker, entry.pid, entry.activated_at);
/// }
/// assert!(registry.dead().is_empty(), "each death is noticed and cleared away");
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RunRegistry<'a>(pub(crate) &'a Registry);

impl RunRegistry<'_> {
    /// Where the run's record lies; `None` once the run is over.
    pub fn record(&self) -> Option<RecordPlace> {
        self.0.place()
    }

    /// The newest process of a worker.
    pub fn by_worker(&self, worker: &str) -> Option<ProcessEntry> {
        self.0.by_worker(worker).map(Arc::unwrap_or_clone)
    }

    /// The one with this process id, in this program's PID namespace.
    pub fn by_pid(&self, pid: u32) -> Option<ProcessEntry> {
        self.0.by_pid(pid).map(Arc::unwrap_or_clone)
    }

    /// The one with this [`fingerprint`](ProcessEntry::fingerprint).
    pub fn by_fingerprint(&self, fingerprint: &str) -> Option<ProcessEntry> {
        self.0.by_fingerprint(fingerprint).map(Arc::unwrap_or_clone)
    }

    /// Whether the process of that fingerprint carries it as its mark, by the kernel's word; `None` if there is no such process or
    /// it cannot be told here.
    pub fn is_proven(&self, fingerprint: &str) -> Option<bool> {
        self.0.is_proven(self.0.by_fingerprint(fingerprint)?.number)
    }

    /// Every entry of the run, in the order of the reservations.
    pub fn entries(&self) -> Vec<ProcessEntry> {
        self.0.entries().into_iter().map(Arc::unwrap_or_clone).collect()
    }

    /// The process ids of all that were started and are not known to be gone.
    pub fn pids(&self) -> Vec<u32> {
        self.0.pids()
    }

    /// The process ids of those that are not being ended.
    pub fn active_pids(&self) -> Vec<u32> {
        self.0.active_pids()
    }

    /// Entries whose process has ended and that nobody has released yet. Asks the kernel about each.
    pub fn dead(&self) -> Vec<ProcessEntry> {
        self.0.dead().into_iter().map(Arc::unwrap_or_clone).collect()
    }

    /// How many there are, and how they are. Asks the kernel about each.
    pub fn statistics(&self) -> Statistics {
        self.0.statistics()
    }

    /// Waits until `registry.sqlite3`, which a thread of its own writes, says what this says. Blocks for some milliseconds.
    pub fn flush(&self) {
        self.0.flush();
    }
}
