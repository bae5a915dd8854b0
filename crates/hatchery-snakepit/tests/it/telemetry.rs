//! Events that tools emit.

use hatchery::{ErrorKind, Event, Telemetry, ToolEvent};
use serde_json::json;

use crate::rig::{PATIENCE, Rig, app, eventually, pool};

impl Rig {
    /// What the worker is told it follows when it has come, which it can be asked.
    pub(crate) async fn until_kept(&self, name: &str, expected: bool) {
        let asking = async {
            while self.call("telemetry_kept", json!({ "name": name })).await.unwrap()["kept"] != expected {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let asked = tokio::time::timeout(PATIENCE, asking).await;
        asked.unwrap_or_else(|_| panic!("{name} is never kept: {expected}"));
    }

    async fn emit(&self, names: &[&str]) {
        for name in names {
            self.call("telemetry_demo", json!({ "name": name })).await.unwrap();
        }
    }

    /// The names of the next events of tools.
    async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        while names.len() < count {
            names.push(
                self.event(|event| match event {
                    Event::Tool(event) => Some(event.name),
                    _ => None,
                })
                .await,
            );
        }
        names
    }

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

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

/// Scenario 51: what is wanted is told to a worker when its stream begins, and while that is open; and to the worker that follows.
#[tokio::test]
async fn only_what_is_wanted_comes() {
    let Some(app) = app("bridge_tools.full.Full") else { return };
    let wanted = Telemetry { allow: names(&["tool.*"]), deny: names(&["tool.x"]), ..Telemetry::default() };
    let mut rig = Rig::of(pool(app).telemetry(wanted)).await;
    rig.until_kept("tool.x", false).await;
    rig.emit(&["tool.x", "other", "tool.y"]).await;
    assert_eq!(rig.names(1).await, ["tool.y"]);
    rig.pool.set_telemetry(&Telemetry { deny: names(&["tool.y"]), ..Telemetry::default() }).unwrap();
    rig.until_kept("tool.x", true).await;
    rig.emit(&["tool.y", "other", "tool.x"]).await;
    assert_eq!(rig.names(1).await, ["tool.x"], "what was not said anew is as it was");
    let before = rig.pids()[0];
    rig.pool.reload();
    eventually("another worker serves", || rig.pids().first().is_some_and(|pid| *pid != before)).await;
    rig.until_kept("tool.y", false).await;
    rig.emit(&["tool.y", "other", "tool.z"]).await;
    assert_eq!(rig.names(1).await, ["tool.z"]);
    rig.end().await;
}

/// Scenario 51.
#[tokio::test]
async fn none_comes_while_it_is_off_or_none_is_sampled() {
    let Some(mut rig) = Rig::plain().await else { return };
    let share = |sampling: f64| Telemetry { sampling: Some(sampling), ..Telemetry::default() };
    let switch = |enabled: bool| Telemetry { enabled: Some(enabled), ..Telemetry::default() };
    for (off, on) in [(switch(false), switch(true)), (share(0.0), share(1.0))] {
        rig.pool.set_telemetry(&off).unwrap();
        rig.until_kept("a", false).await;
        rig.emit(&["a"]).await;
        rig.pool.set_telemetry(&on).unwrap();
        rig.until_kept("a", true).await;
        rig.emit(&["b"]).await;
        assert_eq!(rig.names(1).await, ["b"]);
    }
    rig.end().await;
}

/// A stream that is opened again is told again.
#[tokio::test]
async fn what_is_wanted_outlives_a_stream() {
    let Some(mut rig) = Rig::fault("ends_telemetry").await else { return };
    rig.told("python.gc.completed").await;
    rig.pool.set_telemetry(&Telemetry { deny: names(&["secret.*"]), ..Telemetry::default() }).unwrap();
    rig.until_kept("secret.a", false).await;
    for name in ["one", "two", "three"] {
        rig.emit(&["secret.a", name]).await;
        assert_eq!(rig.names(1).await, [name]);
    }
    rig.end().await;
}

/// 2.1: the threaded server has no such stream, and says so.
#[tokio::test]
async fn a_threaded_worker_cannot_be_told() {
    let Some(rig) = Rig::threaded(2).await else { return };
    let settings = Telemetry { enabled: Some(false), ..Telemetry::default() };
    eventually("its refusal has come", || rig.pool.set_telemetry(&settings).is_err()).await;
    let error = rig.pool.set_telemetry(&settings).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false));
    assert!(error.message().contains("threaded"), "{error}");
    assert!(rig.call("ping", json!({})).await.is_ok());
    rig.end().await;
}
