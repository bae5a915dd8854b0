//! What a pool obeys, with every default of the room in one place.

use std::time::Duration;

/// How many calls a worker of the pool has at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concurrency {
    /// One at a time, each in a process of its own.
    #[default]
    Process,
    /// So many at once in one process, each in a thread of its own; coroutines overlap on the worker's loop and count too.
    Thread {
        /// 1 to 1024. Default in configuration files: 10.
        threads_per_worker: usize,
    },
}

/// Which worker may have how many calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Capacity {
    /// A worker takes as many as its profile can have at once.
    #[default]
    Pool,
    /// One call a worker, whatever it could take.
    Profile,
    /// As [`Capacity::Pool`]; that a worker is full is told as an event.
    Hybrid,
}

/// What becomes of a worker that goes on with a call whose deadline has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTimeout {
    /// It is told, and ended if it does not stop within the cancel grace.
    #[default]
    Kill,
    /// It may finish; until then its place is taken. A stream is told all the same: nobody reads it any more.
    Abandon,
}

/// When a worker is replaced though nothing is wrong with it. The replacement is ready before it goes, and it finishes what it has.
/// Default: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recycle {
    /// At this age, give or take 10 %, so that a pool does not renew itself all at once.
    pub ttl: Option<Duration>,
    /// After so many answered calls. It answers more of them until its replacement is ready.
    pub max_requests: Option<u64>,
    /// When its whole process tree has so many bytes in memory.
    pub max_rss: Option<u64>,
    /// How often age and memory are looked at. Default: 60 s.
    pub check: Duration,
}

impl Default for Recycle {
    fn default() -> Recycle {
        Recycle { ttl: None, max_requests: None, max_rss: None, check: Duration::from_secs(60) }
    }
}

/// What the app's own `health()` says, if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// How often an idle worker is asked. Default: 30 s.
    pub interval: Duration,
    /// How long the answer may take. Default: 5 s.
    pub timeout: Duration,
    /// So many failures in a row replace the worker; `None` only tells of them. Default: none.
    pub replace_after: Option<u32>,
}

impl Default for HealthCheck {
    fn default() -> HealthCheck {
        HealthCheck { interval: Duration::from_secs(30), timeout: Duration::from_secs(5), replace_after: None }
    }
}

/// How starts are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartBatches {
    /// So many workers at once. Default: 8.
    pub size: usize,
    /// From one batch to the next. Default: 750 ms.
    pub delay: Duration,
}

impl Default for StartBatches {
    fn default() -> StartBatches {
        StartBatches { size: 8, delay: Duration::from_millis(750) }
    }
}

/// When a pool whose workers die before they are ready is given up for the time being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarts {
    /// So many deaths before ready, one after another without a success, are a crash loop. Default: 5.
    pub max_failures: u32,
    /// The longest pause between two tries. Default: 30 s.
    pub max_backoff: Duration,
}

impl Default for Restarts {
    fn default() -> Restarts {
        Restarts { max_failures: 5, max_backoff: Duration::from_secs(30) }
    }
}

/// Sets of timeouts by their purpose, as [`Timeouts`](super::Timeouts) has them one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeoutProfile {
    /// Calls 5 min, streams 15 min, queue 10 s.
    #[default]
    Balanced,
    /// As balanced.
    Production,
    /// Calls 1 min, streams 5 min, queue 5 s.
    ProductionStrict,
    /// Calls 15 min, streams 1 h, queue 1 min.
    Development,
    /// As development.
    MlInference,
    /// Calls 1 h, streams without end, queue 5 min.
    Batch,
}

impl TimeoutProfile {
    /// What it stands for; the start of a worker is no part of a profile, and stays at its default.
    pub fn timeouts(self) -> super::Timeouts {
        let secs = Duration::from_secs;
        let (call, stream, queue) = match self {
            TimeoutProfile::Balanced | TimeoutProfile::Production => (secs(300), Some(secs(900)), secs(10)),
            TimeoutProfile::ProductionStrict => (secs(60), Some(secs(300)), secs(5)),
            TimeoutProfile::Development | TimeoutProfile::MlInference => (secs(900), Some(secs(3600)), secs(60)),
            TimeoutProfile::Batch => (secs(3600), None, secs(300)),
        };
        super::Timeouts { call: Some(call), stream, queue: Some(queue), ..super::Timeouts::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_timeouts_are_the_balanced_ones() {
        assert_eq!(TimeoutProfile::default().timeouts(), crate::pool::Timeouts::default());
    }
}
