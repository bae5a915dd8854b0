//! How a worker fares, as those who look after it have found. Written by them, read by whoever wants to know.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

/// How a worker answers its heartbeats.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HeartbeatStatus {
    /// When it last answered, in seconds since 1970; `None` if it has not yet.
    pub answered_at: Option<f64>,
    /// How long that answer took, in seconds.
    pub took_seconds: Option<f64>,
    /// How many in a row it has not answered in time.
    pub missed: u32,
}

/// What a worker said when it was asked how it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WorkerHealth {
    /// Whether it is well.
    pub is_healthy: bool,
    /// How often in a row it was not.
    pub failures: u32,
    /// What it says about that.
    pub message: Option<String>,
    /// When it was asked, in seconds since 1970.
    pub asked_at: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Vitals(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    heartbeat: Option<HeartbeatStatus>,
    health: Option<WorkerHealth>,
}

impl Vitals {
    /// It is asked whether it lives, from now on.
    pub(crate) fn listened_to(&self) {
        self.known().heartbeat = Some(HeartbeatStatus::default());
    }

    pub(crate) fn answered(&self, took: Duration) {
        let (answered_at, took_seconds) = (Some(seconds_since_1970()), Some(took.as_secs_f64()));
        self.known().heartbeat = Some(HeartbeatStatus { answered_at, took_seconds, missed: 0 });
    }

    pub(crate) fn missed(&self, missed: u32) {
        self.known().heartbeat.get_or_insert_default().missed = missed;
    }

    pub(crate) fn well(&self) {
        self.said(WorkerHealth { is_healthy: true, failures: 0, message: None, asked_at: seconds_since_1970() });
    }

    pub(crate) fn unwell(&self, failures: u32, message: &str) {
        let message = Some(message.to_owned());
        self.said(WorkerHealth { is_healthy: false, failures, message, asked_at: seconds_since_1970() });
    }

    fn said(&self, health: WorkerHealth) {
        self.known().health = Some(health);
    }

    pub(crate) fn heartbeat(&self) -> Option<HeartbeatStatus> {
        self.known().heartbeat.clone()
    }

    pub(crate) fn health(&self) -> Option<WorkerHealth> {
        self.known().health.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Facts, each whole: no panic leaves them half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_what_was_missed() {
        let vitals = Vitals::default();
        assert_eq!((vitals.heartbeat(), vitals.health()), (None, None));
        vitals.listened_to();
        vitals.missed(2);
        assert_eq!(vitals.heartbeat().unwrap().missed, 2);
        vitals.answered(Duration::from_millis(250));
        let heartbeat = vitals.heartbeat().unwrap();
        assert_eq!((heartbeat.took_seconds, heartbeat.missed), (Some(0.25), 0));
        vitals.unwell(1, "no card");
        assert_eq!(vitals.health().unwrap().message.as_deref(), Some("no card"));
        vitals.well();
        assert!(vitals.health().unwrap().is_healthy);
    }
}
