//! What a worker measures, told on as events of its tools. The stream has no deadline, and is opened again when it is lost.

use std::time::Duration;

use hatchery::{Level, ToolFacts, WorkerVoice};
use hatchery_grpc::bridge::proto::telemetry_value::Value as Measured;
use hatchery_grpc::bridge::proto::{TelemetryEvent, TelemetryValue};
use hatchery_grpc::bridge::{Client, Connection, RequestOptions};
use serde_json::Value;

/// From a stream that was lost to the next; twice as long each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Until the worker tells no more, or has none to tell.
pub(crate) async fn pass_on(client: Client<Connection>, voice: WorkerVoice) {
    let mut pause = FIRST_PAUSE;
    loop {
        match client.stream_telemetry(&RequestOptions::new()).await {
            Ok(mut events) => {
                while let Some(Ok(event)) = events.next().await {
                    pause = FIRST_PAUSE;
                    tell(&voice, event);
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
