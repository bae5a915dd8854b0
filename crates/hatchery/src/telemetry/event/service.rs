//! Work in the background.

use std::time::Duration;

use crate::telemetry::declare::events;

events! {
    /// The life of the tasks that work in the background.
    pub enum ServiceEvent {
        /// It panicked, or returned. What it works on is as it was, and no other service is concerned.
        Failed = "service.failed" {
            /// Its name.
            service: String,
            /// "panicked: …", or that it returned.
            reason: String,
            /// How often it was started again before this.
            restarts: u64,
            /// How long it waits before it is started again; zero unless it fails too often.
            after: Duration as "after_seconds",
        },
        /// It works again.
        Restarted = "service.restarted" {
            /// Its name.
            service: String,
            /// How often it was started again, with this time.
            restarts: u64,
        },
    }
}
