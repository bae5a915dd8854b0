//! Traces and metrics for a collector of OpenTelemetry.
//!
//! A reader of events like any other: each call that is over is a span, made of what `call.finished` says, and metrics are made of
//! the snapshot that Prometheus gets. What the collector does not take, because it is slow or not there, waits within bounds and is
//! then lost; no call ever waits for it.

mod metrics;
mod sender;
mod spans;

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use hatchery::{EventFilter, Events, Hatchery, Heard, OtlpConfig, Result};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::house::House;
use sender::{Sender, Signal};

/// Spans that go together at once.
const FULL: usize = 512;

/// Spans that wait for a collector that takes none.
const MOST: usize = 4 * FULL;

/// How long a collector has for one export.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the end of the daemon waits for the last export.
const FLUSH: Duration = Duration::from_secs(2);

/// Where and how is exported.
pub(crate) struct Exporting {
    config: OtlpConfig,
    sender: Arc<Sender>,
}

impl Exporting {
    /// `None` if nothing is to be exported.
    ///
    /// # Errors
    /// `validation` for an endpoint that is none, or headers that cannot be read.
    pub(crate) fn of(config: &OtlpConfig) -> Result<Option<Exporting>> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let sender = Sender::new(endpoint, config.protocol, config.headers_file.as_deref())?;
        Ok(Some(Exporting { config: config.clone(), sender: Arc::new(sender) }))
    }

    /// The share of calls that begin a trace.
    pub(crate) fn sample_ratio(&self) -> f64 {
        self.config.sample_ratio
    }

    /// Exports from now on.
    pub(crate) fn begin(&self, house: &Arc<House>, hatchery: &Arc<Hatchery>) -> Result<Exporter> {
        let events = hatchery.events_matching(&EventFilter::new().name("call.finished")?);
        let work = Work {
            house: Arc::downgrade(house),
            hatchery: Arc::downgrade(hatchery),
            sender: Arc::clone(&self.sender),
            resource: resource(&self.config.service_name, hatchery),
            metrics: self.config.metrics,
            spans: Vec::new(),
            lost: 0,
            is_heard: true,
        };
        let (stop, stopped) = oneshot::channel();
        Ok(Exporter { stop, task: tokio::spawn(work.run(events, stopped, self.config.interval)) })
    }
}

/// Exports, until its end.
pub(crate) struct Exporter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Exports what there still is, if the collector takes it at once.
    pub(crate) async fn end(self) {
        let _ended = self.stop.send(());
        let stopping = self.task.abort_handle();
        if timeout(FLUSH, self.task).await.is_err() {
            stopping.abort();
        }
    }
}

struct Work {
    house: Weak<House>,
    hatchery: Weak<Hatchery>,
    sender: Arc<Sender>,
    resource: Resource,
    metrics: bool,
    spans: Vec<Span>,
    /// Spans that nobody took.
    lost: u64,
    /// Whether the last export was taken.
    is_heard: bool,
}

impl Work {
    async fn run(mut self, mut events: Events, mut stopped: oneshot::Receiver<()>, period: Duration) {
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _told_or_dropped = &mut stopped => break,
                _ = ticks.tick() => self.export().await,
                heard = events.hear() => match heard {
                    Some(heard) => self.take(&heard).await,
                    None => break,
                },
            }
        }
        while let Some(Some(heard)) = events.hear().now_or_never() {
            self.keep(&heard);
        }
        self.export().await;
    }

    async fn take(&mut self, heard: &Heard) {
        self.keep(heard);
        // One that takes nothing is asked again at the next tick, not for each call.
        if self.spans.len() >= FULL && self.is_heard {
            self.export_spans().await;
        }
    }

    fn keep(&mut self, heard: &Heard) {
        let new = spans::of(heard);
        if self.spans.len() + new.len() > MOST {
            self.lost += new.len() as u64;
        } else {
            self.spans.extend(new);
        }
    }

    async fn export(&mut self) {
        self.export_spans().await;
        if self.metrics {
            self.export_metrics().await;
        }
    }

    async fn export_spans(&mut self) {
        if self.spans.is_empty() {
            return;
        }
        let request = self.traces();
        match self.send(Signal::Traces, request).await {
            // It may take them later.
            Err(failure) if failure.is_passing => {}
            _ => self.spans.clear(),
        }
    }

    fn traces(&self) -> ExportTraceServiceRequest {
        let scope_spans =
            vec![ScopeSpans { scope: Some(scope()), spans: self.spans.clone(), schema_url: String::new() }];
        let resource_spans =
            vec![ResourceSpans { resource: Some(self.resource.clone()), scope_spans, schema_url: String::new() }];
        ExportTraceServiceRequest { resource_spans }
    }

    async fn export_metrics(&mut self) {
        let (Some(house), Some(hatchery)) = (self.house.upgrade(), self.hatchery.upgrade()) else { return };
        let numbers = hatchery.metrics();
        drop(hatchery);
        let metrics = metrics::of(house.phase(), &numbers, SystemTime::now());
        let resource_metrics = vec![metrics::about(self.resource.clone(), scope(), metrics)];
        let _the_next_ones_say_it_all =
            self.send(Signal::Metrics, ExportMetricsServiceRequest { resource_metrics }).await;
    }

    /// Tells of it when it begins to fail, and when it works again.
    async fn send(&mut self, signal: Signal, message: impl prost::Message) -> Result<(), sender::Failure> {
        let sent = timeout(PATIENCE, self.sender.send(signal, &message)).await;
        let sent = sent.unwrap_or_else(|_| Err(sender::Failure::passing("it did not answer in time".to_owned())));
        let was_heard = std::mem::replace(&mut self.is_heard, sent.is_ok());
        match &sent {
            Err(failure) if was_heard => {
                let (to, why) = (self.sender.endpoint(), failure.why.as_str());
                tracing::warn!(target: "hatchery::daemon", "export to {to}: {why}; it is tried again");
            }
            Ok(()) if !was_heard => {
                let (to, lost) = (self.sender.endpoint(), std::mem::take(&mut self.lost));
                tracing::warn!(target: "hatchery::daemon", lost, "export to {to} works again; {lost} spans were lost");
            }
            _ => {}
        }
        sent
    }
}

fn resource(service: &str, hatchery: &Hatchery) -> Resource {
    let attributes = vec![
        text("service.name", service),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", &hatchery.run_id().to_string()),
    ];
    Resource { attributes, ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    InstrumentationScope { name: "hatchery".to_owned(), version, ..InstrumentationScope::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn nanoseconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}
