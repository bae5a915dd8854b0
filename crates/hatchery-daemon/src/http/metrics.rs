//! The numbers as Prometheus reads them: every family has its help, its type, and one sample for each set of labels. What a client
//! may choose is never a label.

mod exposition;
mod pools;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hatchery::Metrics;

use crate::Phase;
use crate::house::House;
use exposition::Exposition;
#[cfg(not(feature = "otlp"))]
use exposition::Kind;
#[cfg(feature = "otlp")]
pub(crate) use exposition::{Family, Kind, Sample};

/// Version 0.0.4 of the text format.
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const PHASES: [Phase; 6] =
    [Phase::Starting, Phase::Sweeping, Phase::Filling, Phase::Serving, Phase::Draining, Phase::Closed];

/// Before the pools are filled there are only the daemon's own.
pub(crate) async fn metrics(State(house): State<Arc<House>>) -> Response {
    let numbers = house.hatchery().map(|hatchery| hatchery.metrics());
    let text = collected(house.phase(), numbers.as_ref()).text();
    ([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], text).into_response()
}

/// All numbers, by families.
pub(crate) fn collected(phase: Phase, numbers: Option<&Metrics>) -> Exposition {
    let mut out = Exposition::default();
    of_daemon(phase, &mut out);
    if let Some(numbers) = numbers {
        of_run(numbers, &mut out);
        pools::write(&numbers.pools, &mut out);
    }
    out
}

fn of_daemon(phase: Phase, out: &mut Exposition) {
    out.family("hatchery_build_info", Kind::Gauge, "Which version this is; always 1");
    out.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    out.family("hatchery_phase", Kind::Gauge, "1 for the phase that the daemon is in");
    for each in PHASES {
        out.sample(&[("phase", each.as_str())], u8::from(each == phase));
    }
}

fn of_run(numbers: &Metrics, out: &mut Exposition) {
    let (sessions, processes) = (&numbers.sessions, &numbers.processes);
    out.gauge("hatchery_start_time_seconds", "When the run began, in seconds since 1970", numbers.started_at);
    out.gauge("hatchery_sessions", "Sessions that there are", sessions.current);
    if let Some(max) = sessions.max {
        out.gauge("hatchery_sessions_limit", "Sessions that there may be", max);
    }
    out.gauge("hatchery_session_memory_bytes", "Memory that sessions take, estimated", sessions.memory_bytes);
    out.counter("hatchery_sessions_created_total", "Sessions that were created", sessions.created);
    out.counter("hatchery_sessions_deleted_total", "Sessions that were deleted", sessions.deleted);
    out.counter("hatchery_sessions_expired_total", "Sessions whose time was over", sessions.expired);
    out.gauge("hatchery_processes", "Processes that are registered and not seen to be gone", processes.registered);
    out.counter("hatchery_processes_started_total", "Processes that were started", processes.started);
    out.gauge("hatchery_guardians", "Pairs of a keeper and a guardian that are up", processes.guardians);
    out.counter("hatchery_guardians_started_total", "Guardians that were started", processes.guardians_started);
    out.counter("hatchery_guardians_lost_total", "Guardians that were killed by others", processes.guardians_lost);
    out.counter("hatchery_orphans_found_total", "Processes of dead runs that sweeps found", processes.orphans_found);
    out.counter("hatchery_orphans_terminated_total", "Of these, ended", processes.orphans_terminated);
    out.counter("hatchery_service_restarts_total", "Tasks in the background that failed", numbers.service_restarts);
    out.gauge("hatchery_event_subscribers", "Those that listen to events", numbers.event_subscribers);
}
