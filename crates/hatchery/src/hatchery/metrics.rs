//! Everything that is counted, at one moment.

use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::Hatchery;
use crate::id::RunId;
use crate::pool::{Pool, PoolMetrics};
use crate::run::RunMetrics;
use crate::session::StoreStats;

/// Every number that a [`Hatchery`] counts. They are counted where it happens, whether anybody listens to events or not, and nothing
/// of what a caller may choose freely, such as a session, tells them apart.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Metrics {
    /// Whose they are.
    pub run: RunId,
    /// When it began, in seconds since 1970.
    pub started_at: f64,
    /// Of each pool, by name.
    pub pools: Vec<PoolMetrics>,
    /// Of the sessions.
    pub sessions: StoreStats,
    /// Of what owns the processes.
    pub processes: RunMetrics,
    /// How often tasks in the background have failed and were started again.
    pub service_restarts: u64,
    /// Those that listen to events now.
    pub event_subscribers: usize,
}

impl Hatchery {
    /// Every number that is counted, as it is now.
    pub fn metrics(&self) -> Metrics {
        let since = self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Metrics {
            run: self.run.id,
            started_at: since.as_secs_f64(),
            pools: self.pools.values().map(Pool::metrics).collect(),
            sessions: self.sessions.stats(),
            processes: self.run.metrics(),
            service_restarts: self.services.status().iter().map(|service| service.restarts).sum(),
            event_subscribers: self.emitter.subscriber_count(),
        }
    }
}
