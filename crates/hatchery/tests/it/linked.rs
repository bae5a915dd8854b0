//! Processes that a transport of the embedder's own speaks to: started, supervised and ended as any worker.

mod lines;

use std::sync::atomic::Ordering;
use std::time::Duration;

use hatchery::{
    CallOptions, CommandApp, Error, ErrorKind, Event, Hatchery, Heartbeat, OnTimeout, PoolBuilder, WorkerEvent,
};
use serde_json::{Value, json};

use crate::{Rig, eventually, eventually_file, eventually_gone, exists, fixture};
use lines::Lines;

fn app() -> CommandApp {
    CommandApp::new("python3").arg(fixture("linked/worker.py")).env("PYTHONDONTWRITEBYTECODE", "1")
}

fn pool(lines: &Lines) -> PoolBuilder {
    let pool = Hatchery::builder().pool("default", app()).transport(lines.clone());
    pool.cancel_grace(Duration::from_millis(50))
}

async fn rig(lines: &Lines) -> Rig {
    Rig::of(pool(lines)).await
}

async fn end(rig: Rig, lines: &Lines) {
    rig.end().await;
    let left: Vec<_> = lines.folders.lock().unwrap().iter().filter(|folder| folder.exists()).cloned().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[tokio::test]
async fn it_serves_calls_and_is_a_process_as_any_other() {
    let lines = Lines::default();
    let rig = rig(&lines).await;
    assert_eq!(rig.pool.call::<Value>("echo", json!({ "a": [1, null] })).await.unwrap(), json!({ "a": [1, null] }));
    let pid: i32 = rig.pool.call("pid", json!({})).await.unwrap();
    assert_eq!(rig.pids(), [pid]);
    assert_eq!(rig.hatchery.processes().len(), 1);
    end(rig, &lines).await;
    assert_eq!(lines.stopped.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_tool_that_it_does_not_name_is_its_own_to_refuse() {
    let lines = Lines::default();
    let rig = rig(&lines).await;
    let error = rig.pool.call::<Value>("unheard_of", json!({})).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "no such tool: unheard_of"));
    let error = rig.pool.call::<Value>(&"x".repeat(257), json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    end(rig, &lines).await;
}

#[tokio::test]
async fn a_stream_comes_in_order_and_its_reader_holds_it_back() {
    let lines = Lines::default();
    let rig = rig(&lines).await;
    let mut items = rig.pool.stream::<u32>("count", json!({ "to": 20_000 })).await.unwrap();
    for expected in 0..20_000 {
        assert_eq!(items.next().await.unwrap().unwrap(), expected);
    }
    let after = items.next().await;
    assert!(after.is_none(), "{after:?}");
    end(rig, &lines).await;
}

#[tokio::test]
async fn a_stream_that_is_given_up_frees_its_place() {
    let lines = Lines::default();
    let rig = rig(&lines).await;
    let mut items = rig.pool.stream::<u32>("count", json!({ "to": 100_000 })).await.unwrap();
    assert_eq!(items.next().await.unwrap().unwrap(), 0);
    drop(items);
    assert!(rig.pool.call::<Value>("echo", json!({})).await.is_ok());
    assert_eq!(lines.prepared.load(Ordering::SeqCst), 1, "it was not replaced");
    end(rig, &lines).await;
}

#[tokio::test]
async fn a_call_that_ends_within_its_grace_costs_no_worker() {
    let lines = Lines::default();
    let rig = Rig::of(pool(&lines).cancel_grace(Duration::from_secs(3600))).await;
    let file = rig.path("go");
    let soon = CallOptions::new().timeout(Duration::from_millis(20));
    let error = rig.pool.call_with::<Value>("wait", json!({ "for": file }), &soon).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    assert_eq!(rig.pool.status().running, 1, "it is at it still");
    std::fs::write(&file, "").unwrap();
    eventually("its place is free", || rig.pool.status().running == 0).await;
    assert!(rig.pool.call::<Value>("echo", json!({})).await.is_ok());
    assert_eq!(lines.prepared.load(Ordering::SeqCst), 1, "it was not replaced");
    end(rig, &lines).await;
}

#[tokio::test]
async fn one_that_goes_on_with_a_call_that_was_given_up_is_replaced() {
    let lines = Lines::default();
    let rig = rig(&lines).await;
    let before = rig.pids()[0];
    let soon = CallOptions::new().timeout(Duration::from_millis(20));
    let never = json!({ "for": rig.path("never") });
    assert_eq!(rig.pool.call_with::<Value>("wait", never, &soon).await.unwrap_err().kind(), ErrorKind::Deadline);
    eventually_gone(before).await;
    assert!(rig.pool.call::<Value>("echo", json!({})).await.is_ok());
    end(rig, &lines).await;
}

#[tokio::test]
async fn one_that_may_finish_is_waited_for() {
    let lines = Lines::default();
    let rig = Rig::of(pool(&lines).on_timeout(OnTimeout::Abandon)).await;
    let (file, before) = (rig.path("go"), rig.pids());
    let soon = CallOptions::new().timeout(Duration::from_millis(20));
    let error = rig.pool.call_with::<Value>("wait", json!({ "for": file }), &soon).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    std::fs::write(&file, "").unwrap();
    assert!(rig.pool.call::<Value>("echo", json!({})).await.is_ok());
    assert_eq!(rig.pids(), before);
    end(rig, &lines).await;
}

#[tokio::test]
async fn its_death_is_told_to_the_calls_that_it_had() {
    let lines = Lines::default();
    let mut rig = rig(&lines).await;
    let error = rig.pool.call::<Value>("die", json!({})).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::WorkerDied, "worker default-1 died: exit status 7"));
    rig.ready().await;
    assert!(rig.pool.call::<Value>("echo", json!({})).await.is_ok());
    end(rig, &lines).await;
}

#[tokio::test]
async fn a_lost_connection_ends_the_process_that_lives_on() {
    let lines = Lines::default();
    let rig = rig(&lines).await;
    let before = rig.pids()[0];
    let error = rig.pool.call::<Value>("hang_up", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert!(error.message().contains("the socket was closed"), "{error}");
    assert!(!exists(before));
    end(rig, &lines).await;
}

#[tokio::test]
async fn one_whose_heart_stops_is_replaced() {
    let lines = Lines::default();
    let ms = Duration::from_millis;
    let heartbeat = Heartbeat { interval: ms(10), timeout: ms(50), max_missed: 2, ..Heartbeat::default() };
    let mut rig = Rig::of(pool(&lines).heartbeat(heartbeat)).await;
    rig.pool.call::<Value>("fall_silent", json!({})).await.unwrap();
    let missed = rig.event(|event| match event {
        Event::Worker(WorkerEvent::HeartbeatFailed { missed, .. }) => Some(missed),
        _ => None,
    });
    assert_eq!(missed.await, 2);
    eventually("another one serves", || rig.pool.workers()[0].generation == 2).await;
    end(rig, &lines).await;
}

#[tokio::test]
async fn its_daemons_end_with_it() {
    let lines = Lines::default();
    let rig = rig(&lines).await;
    let daemon: i32 = rig.pool.call("daemon", json!({})).await.unwrap();
    assert!(exists(daemon));
    end(rig, &lines).await;
    eventually_gone(daemon).await;
}

#[tokio::test]
async fn why_it_cannot_be_started_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let lines = Lines { refusal: Some(Error::new(ErrorKind::Validation, "no folder for it")), ..Lines::default() };
    let error = pool(&lines).data_dir(dir.path().join("data")).start().await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Validation, "start worker default-1: no folder for it"));

    let lines = Lines::default();
    let pool = Hatchery::builder().pool("default", app().env("LINKED_FAULT", "exits")).transport(lines.clone());
    let error = pool.data_dir(dir.path().join("other")).start().await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerDied);
    assert_eq!(error.message(), "start worker default-1: it died: exit status 1");
    assert_eq!(error.last_output(), ["no luck today"]);
    assert!(lines.folders.lock().unwrap().iter().all(|folder| !folder.exists()));
}

#[tokio::test]
async fn a_pool_that_ends_does_not_wait_for_one_that_comes_up() {
    let dir = tempfile::tempdir().unwrap();
    let lines = Lines::default();
    let slow = CommandApp::new("sh")
        .args(["-c", "touch \"$STARTED\"; exec sleep 3600"])
        .env("STARTED", dir.path().join("started"));
    let builder = Hatchery::builder().pool("default", slow).transport(lines.clone()).data_dir(dir.path().join("data"));
    let starting = tokio::spawn(builder.start());
    eventually_file(dir.path().join("started").to_str().unwrap()).await;
    starting.abort();
    assert!(starting.await.is_err());
    eventually("its folder is gone", || lines.folders.lock().unwrap().iter().all(|folder| !folder.exists())).await;
}
