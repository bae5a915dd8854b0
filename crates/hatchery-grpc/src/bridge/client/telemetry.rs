use hatchery::{Error, ErrorKind, Result};
use tokio::sync::mpsc;
use tonic::Streaming;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;

use crate::bridge::proto::telemetry_control::Control;
use crate::bridge::proto::{
    TelemetryControl, TelemetryEvent, TelemetryEventFilter, TelemetrySamplingUpdate, TelemetryToggle,
};
use crate::bridge::{Peer, errors};

/// Orders that are on their way to a worker.
const ORDERS: usize = 16;

/// What a worker measures. The worker keeps what happened before, 1024 events at most; who does not read loses the newest.
/// To drop it ends it.
#[derive(Debug)]
pub struct Telemetry {
    controls: mpsc::Sender<TelemetryControl>,
    events: Streaming<TelemetryEvent>,
    peer: Peer,
}

impl Telemetry {
    pub(super) fn new(
        controls: mpsc::Sender<TelemetryControl>,
        events: Streaming<TelemetryEvent>,
        peer: Peer,
    ) -> Telemetry {
        Telemetry { controls, events, peer }
    }

    /// The next event; `None` when the worker tells no more. Cancel safe.
    ///
    /// # Errors
    /// Those of [`errors::of_status`]. Nothing comes after one.
    pub async fn next(&mut self) -> Option<Result<TelemetryEvent>> {
        let event = self.events.message().await;
        event.map_err(|status| errors::of_status(&status, self.peer)).transpose()
    }

    /// Whether anything is told at all. It is from the start.
    ///
    /// # Errors
    /// `unavailable` if the worker listens no more.
    pub async fn toggle(&self, is_enabled: bool) -> Result<()> {
        self.control(toggle(is_enabled)).await
    }

    /// The share of events that is told, from 0 to 1.
    ///
    /// # Errors
    /// `unavailable` if the worker listens no more.
    pub async fn sample(&self, share: f64) -> Result<()> {
        let sampling = TelemetrySamplingUpdate { sampling_rate: share, event_patterns: Vec::new() };
        self.control(TelemetryControl { control: Some(Control::Sampling(sampling)) }).await
    }

    /// The names that are told, with `*` and `?` as in file names. What is denied is not told, allowed or not; if nothing is allowed, all is.
    ///
    /// # Errors
    /// `unavailable` if the worker listens no more.
    pub async fn filter(&self, allow: Vec<String>, deny: Vec<String>) -> Result<()> {
        let filter = TelemetryEventFilter { allow, deny };
        self.control(TelemetryControl { control: Some(Control::Filter(filter)) }).await
    }

    async fn control(&self, control: TelemetryControl) -> Result<()> {
        let gone = |_| Error::new(ErrorKind::Unavailable, "tell a worker what to measure: its telemetry is over");
        self.controls.send(control).await.map_err(gone)
    }
}

/// Where orders go in, and what the client sends: to begin, first.
pub(super) fn channel() -> (mpsc::Sender<TelemetryControl>, ReceiverStream<TelemetryControl>) {
    let (controls, requests) = mpsc::channel(ORDERS);
    let _there_is_room = controls.try_send(toggle(true));
    (controls, ReceiverStream::new(requests))
}

fn toggle(enabled: bool) -> TelemetryControl {
    TelemetryControl { control: Some(Control::Toggle(TelemetryToggle { enabled })) }
}
