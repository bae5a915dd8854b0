//! Sessions and hearts: what both ends know of each other's life.

use std::time::Duration;

use hatchery::{CallOptions, Event, Heartbeat, WorkerEvent};
use serde_json::{Value, json};

use crate::rig::{Rig, app, eventually, exists, fault, pool};

fn quick() -> Heartbeat {
    let ms = Duration::from_millis;
    Heartbeat { interval: ms(10), timeout: ms(50), max_missed: 2, ..Heartbeat::default() }
}

impl Rig {
    pub(crate) async fn heartbeat_answered(&mut self) {
        self.event(|event| matches!(event, Event::Worker(WorkerEvent::Heartbeat { .. })).then_some(())).await;
    }

    async fn beating(&self) -> Vec<String> {
        self.pool.call("beating", json!({})).await.unwrap()
    }
}

/// Pitfall 17: a call of no session has one of the worker's own.
#[tokio::test]
async fn a_call_without_a_session_has_the_worker_s_own() {
    let Some(rig) = Rig::plain().await else { return };
    let first = rig.call("increment_counter", json!({})).await.unwrap();
    let second = rig.call("increment_counter", json!({})).await.unwrap();
    assert!(first["session_id"].as_str().unwrap().starts_with("session_"), "{first}");
    assert_eq!((&first["session_id"], &second["count"]), (&second["session_id"], &json!(2)));
    assert!(rig.hatchery.sessions().list().is_empty());
    rig.end().await;
}

/// Pitfall 3: a session that nobody knows is no reason to die.
#[tokio::test]
async fn a_heartbeat_of_a_session_that_is_not_there_is_answered() {
    let Some(rig) = Rig::plain().await else { return };
    let pids = rig.pids();
    rig.hatchery.sessions().create("there").unwrap();
    for (id, expected) in [("there", true), ("nobody's", false), ("", false)] {
        assert_eq!(rig.call("is_session_valid", json!({ "session_id": id })).await.unwrap(), expected, "{id:?}");
    }
    rig.is_well(&pids).await;
    rig.end().await;
}

/// Pitfall 4: its loop ends with the session, at every worker that saw it; and comes back to us without an end.
#[tokio::test]
async fn a_session_that_ends_has_no_heartbeat_any_more() {
    let Some(rig) = Rig::plain().await else { return };
    rig.hatchery.sessions().create("user-7").unwrap();
    let options = CallOptions::new().session("user-7");
    rig.pool.call_with::<Value>("ping", json!({}), &options).await.unwrap();
    assert!(rig.beating().await.contains(&"user-7".to_owned()));
    rig.hatchery.sessions().delete("user-7");
    while rig.beating().await.contains(&"user-7".to_owned()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.beating().await.len(), 1, "its own");
    rig.end().await;
}

/// A tool that ends its session ends none of the run's.
#[tokio::test]
async fn a_worker_does_not_end_the_user_s_session() {
    let Some(rig) = Rig::plain().await else { return };
    rig.hatchery.sessions().create("user-7").unwrap();
    let options = CallOptions::new().session("user-7");
    rig.pool.call_with::<Value>("end_session", json!({}), &options).await.unwrap();
    assert!(rig.hatchery.sessions().exists("user-7"));
    rig.call("end_session", json!({})).await.unwrap();
    rig.is_well(&rig.pids()).await;
    rig.end().await;
}

/// Scenario 33: calls of a session go where the session was.
#[tokio::test]
async fn a_session_stays_with_its_worker() {
    let Some(app) = app("bridge_tools.full.Full") else { return };
    let rig = Rig::of(pool(app).workers(2)).await;
    rig.pool.await_all(crate::rig::PATIENCE).await.unwrap();
    rig.hatchery.sessions().create("user-7").unwrap();
    let options = CallOptions::new().session("user-7");
    for count in 1..=5 {
        let seen: Value = rig.pool.call_with("increment_counter", json!({}), &options).await.unwrap();
        assert_eq!(seen["count"], count);
    }
    rig.end().await;
}

/// Scenario 39.
#[tokio::test]
async fn hearts_beat_and_are_heard() {
    let Some(app) = app("bridge_tools.full.Full") else { return };
    let patient = Heartbeat { timeout: Duration::from_secs(60), ..quick() };
    let mut rig = Rig::of(pool(app).heartbeat(patient)).await;
    rig.event(|event| matches!(event, Event::Worker(WorkerEvent::HeartbeatAsked { .. })).then_some(())).await;
    let took = rig.event(|event| match event {
        Event::Worker(WorkerEvent::Heartbeat { took, .. }) => Some(took),
        _ => None,
    });
    assert!(took.await > Duration::ZERO);
    rig.end().await;
}

/// Scenario 40.
#[tokio::test]
async fn one_whose_heart_is_not_depended_on_serves_on() {
    let Some(app) = fault("holds_the_gil") else { return };
    let heartbeat = Heartbeat { dependent: false, while_busy: true, ..quick() };
    let mut rig = Rig::of(pool(app).heartbeat(heartbeat)).await;
    let pids = rig.pids();
    let caller = rig.pool.clone();
    let held = tokio::spawn(async move { caller.call::<Value>("hold", json!({ "seconds": 2 })).await });
    let many = |event| matches!(event, Event::Worker(WorkerEvent::HeartbeatMissed { missed: 5.., .. })).then_some(());
    rig.event(many).await;
    assert!(held.await.unwrap().is_ok());
    rig.is_well(&pids).await;
    rig.end().await;
}

/// Scenario 40, the other way.
#[tokio::test]
async fn one_whose_heart_stops_is_replaced() {
    let Some(app) = fault("holds_the_gil") else { return };
    let mut rig = Rig::of(pool(app).heartbeat(Heartbeat { while_busy: true, ..quick() })).await;
    let before = rig.pids()[0];
    let error = rig.call("hold", json!({ "seconds": 2000 })).await.unwrap_err();
    assert_eq!(error.kind(), hatchery::ErrorKind::WorkerDied, "{error}");
    rig.gone().await;
    eventually("it is gone", || !exists(before)).await;
    rig.end().await;
}
