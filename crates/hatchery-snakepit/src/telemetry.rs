//! What a worker measures, told on as events of its tools. The stream has no deadline, and is opened again when it is lost.

use std::time::Duration;

use hatchery::{Level, Result, Telemetry, ToolFacts, WorkerVoice};
use hatchery_grpc::bridge::proto::telemetry_value::Value as Measured;
use hatchery_grpc::bridge::proto::{TelemetryEvent, TelemetryValue};
use hatchery_grpc::bridge::{self, Client, Connection, RequestOptions};
use serde_json::Value;
use tokio::sync::watch;

/// From a stream that was lost to the next; twice as long each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Until the worker tells no more, or has none to tell. What is `wanted` it is told at each beginning, and when that changes.
pub(crate) async fn pass_on(client: Client<Connection>, voice: WorkerVoice, wanted: watch::Receiver<Telemetry>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match client.stream_telemetry(&RequestOptions::new()).await {
            Ok(events) => {
                if hear(events, &voice, wanted.clone()).await {
                    pause = FIRST_PAUSE;
                }
            }
            // A threaded worker has none.
            Err(error) if !error.is_retryable() => return,
            Err(error) => voice.log(Level::Debug, &format!("its telemetry cannot be heard: {error}")),
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// Until the stream is over. Whether anything came by it.
async fn hear(mut events: bridge::Telemetry, voice: &WorkerVoice, mut wanted: watch::Receiver<Telemetry>) -> bool {
    wanted.mark_changed();
    let mut is_heard = false;
    loop {
        tokio::select! {
            biased;
            Ok(()) = wanted.changed() => {
                let settings = wanted.borrow_and_update().clone();
                // A stream that is over may still have events for us; the next one is told again.
                let _over = order(&events, settings).await;
            }
            event = events.next() => match event {
                Some(Ok(event)) => {
                    is_heard = true;
                    tell(voice, event);
                }
                _ => return is_heard,
            },
        }
    }
}

/// A worker begins with all, and keeps what it was told from one stream to the next.
async fn order(events: &bridge::Telemetry, settings: Telemetry) -> Result<()> {
    let Telemetry { enabled, sampling, allow, deny } = settings;
    if let Some(share) = sampling {
        events.sample(share).await?;
    }
    if allow.is_some() || deny.is_some() {
        events.filter(allow.unwrap_or_default(), deny.unwrap_or_default()).await?;
    }
    // Last, so that none comes by that is not wanted: a stream begins with all.
    match enabled {
        Some(enabled) => events.toggle(enabled).await,
        None => Ok(()),
    }
}

fn tell(voice: &WorkerVoice, event: TelemetryEvent) {
    let TelemetryEvent { event_parts, measurements, metadata, correlation_id, timestamp_ns } = event;
    let mut facts =
        ToolFacts { correlation_id: Some(correlation_id).filter(|id| !id.is_empty()), ..ToolFacts::default() };
    facts.measurements = measurements.into_iter().map(|(key, value)| (key, json(value))).collect();
    facts.metadata = metadata.into_iter().map(|(key, value)| (key, Value::from(value))).collect();
    if timestamp_ns > 0 {
        facts.metadata.insert("timestamp_ns".to_owned(), timestamp_ns.into());
    }
    voice.tool_event(&event_parts.join("."), facts);
}

fn json(value: TelemetryValue) -> Value {
    match value.value {
        Some(Measured::IntValue(number)) => number.into(),
        Some(Measured::FloatValue(number)) => number.into(),
        Some(Measured::StringValue(text)) => text.into(),
        None => Value::Null,
    }
}
