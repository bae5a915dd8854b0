//! Events that tools emit.

use hatchery::{Event, ToolEvent};
use serde_json::json;

use crate::rig::Rig;

impl Rig {
    async fn told(&mut self, name: &str) -> ToolEvent {
        self.event(|event| match event {
            Event::Tool(event) if event.name == name => Some(event),
            _ => None,
        })
        .await
    }
}

/// Scenario 51: what was emitted before there was a stream, and what is emitted after one has ended.
#[tokio::test]
async fn events_come_whatever_becomes_of_the_stream() {
    let Some(mut rig) = Rig::fault("ends_telemetry").await else { return };
    let early = rig.told("python.gc.completed").await;
    assert_eq!((&early.measurements["count"], &early.metadata["early"]), (&json!(1), &json!("yes")));
    for number in 0..3 {
        let emitted = json!({ "name": "tool.result_size", "measurements": { "message_size": number } });
        rig.call("telemetry_demo", emitted).await.unwrap();
        assert_eq!(rig.told("tool.result_size").await.measurements["message_size"], number);
    }
    rig.end().await;
}

/// 2.11: what an event holds, and whose it is.
#[tokio::test]
async fn an_event_says_whose_it_is() {
    let Some(mut rig) = Rig::plain().await else { return };
    let emitted = json!({
        "name": "of.my.own", "measurements": { "a": 1, "b": 0.5, "c": true, "d": "x" }, "labels": { "k": 7 }, "correlation_id": "id-1",
    });
    rig.call("telemetry_demo", emitted).await.unwrap();
    let event = rig.told("of.my.own").await;
    assert_eq!(serde_json::Value::from(event.measurements), json!({ "a": 1, "b": 0.5, "c": 1, "d": "x" }));
    assert_eq!((event.metadata["k"].as_str(), event.correlation_id.as_deref()), (Some("7"), Some("id-1")));
    assert_eq!(event.worker.to_string(), "default-1");
    rig.end().await;
}

/// Scenario 16: what had no JSON form is told once for each type.
#[tokio::test]
async fn a_marker_is_told() {
    let Some(mut rig) = Rig::plain().await else { return };
    rig.call("value", json!({ "name": "lock_in_map" })).await.unwrap();
    let event = rig.told("snakepit.serialization.unserializable_marker").await;
    assert_eq!(event.metadata["type"], "_thread.lock");
    rig.end().await;
}
