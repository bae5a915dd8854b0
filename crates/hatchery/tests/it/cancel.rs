//! Dropped futures and passed deadlines.

use std::time::Duration;

use hatchery::{CallOptions, ErrorKind, Hatchery, Timeouts};
use serde_json::{Value, json};

use crate::{Rig, app, eventually, eventually_file, eventually_gone, spawn};

#[tokio::test]
async fn a_dropped_call_tells_the_worker() {
    let rig = Rig::basics(1).await;
    let (told, started, pid) = (rig.path("told"), rig.path("started"), rig.pids()[0]);
    let call = spawn({
        let (pool, told, started) = (rig.pool.clone(), told.clone(), started.clone());
        async move { pool.call::<()>("touch_when_cancelled", json!({"path": told, "started": started})).await }
    });
    eventually_file(&started).await;
    call.abort();
    eventually_file(&told).await;
    let who: Value = rig.pool.call("who", json!({})).await.unwrap();
    assert_eq!(who["pid"], pid, "a worker that obeys is kept");
    rig.end().await;
}

#[tokio::test]
async fn a_dropped_call_that_waits_never_runs() {
    let rig = Rig::basics(1).await;
    let (gate, mark) = (rig.path("gate"), rig.path("mark"));
    let running = spawn({
        let (pool, gate) = (rig.pool.clone(), gate.clone());
        async move { pool.call::<bool>("wait_for_file", json!({"path": gate})).await }
    });
    eventually("the worker is busy", || rig.pool.workers()[0].state == "busy").await;
    let mut waiting =
        Box::pin(rig.pool.call::<()>("touch_when_cancelled", json!({"path": "/nowhere", "started": mark})));
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx))).await.is_pending());
    drop(waiting);
    std::fs::write(&gate, "").unwrap();
    running.await.unwrap().unwrap();
    rig.pool.call::<()>("echo", json!({"value": null})).await.unwrap();
    assert!(!std::path::Path::new(&mark).exists(), "it ran all the same");
    rig.end().await;
}

#[tokio::test]
async fn a_worker_that_does_not_stop_is_replaced_after_the_grace() {
    let builder = Hatchery::builder().pool("default", app("basics.py")).cancel_grace(Duration::from_millis(50));
    let mut rig = Rig::of(builder).await;
    rig.ready().await;
    let (never, pid) = (rig.path("never"), rig.pids()[0]);
    let options = CallOptions::new().timeout(Duration::from_millis(200));
    let error = rig.pool.call_with::<bool>("wait_for_file", json!({"path": never}), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    assert_eq!(error.message(), "deadline of 200ms passed while the worker ran it");
    eventually_gone(pid).await;
    rig.ready().await;
    let who: Value = rig.pool.call("who", json!({})).await.unwrap();
    assert_ne!(who["pid"], pid);
    assert_eq!(rig.pool.workers()[0].generation, 2);
    rig.end().await;
}

#[tokio::test]
async fn a_deadline_that_passes_in_the_queue_says_so() {
    let timeouts = Timeouts { queue: Some(Duration::from_millis(50)), ..Timeouts::default() };
    let rig = Rig::of(Hatchery::builder().pool("default", app("basics.py")).timeouts(timeouts)).await;
    let gate = rig.path("gate");
    let running = spawn({
        let (pool, gate) = (rig.pool.clone(), gate.clone());
        async move { pool.call::<bool>("wait_for_file", json!({"path": gate})).await }
    });
    eventually("the worker is busy", || rig.pool.workers()[0].state == "busy").await;
    let error = rig.pool.call::<Value>("echo", json!({"value": 1})).await.unwrap_err();
    assert_eq!(error.message(), "deadline of 50ms passed while waiting in the queue");
    let mut stream = rig.pool.stream::<u64>("countdown", json!({"n": 1})).await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.message(), "deadline of 50ms passed while waiting in the queue");
    std::fs::write(&gate, "").unwrap();
    running.await.unwrap().unwrap();
    rig.end().await;
}

#[tokio::test]
async fn a_stream_past_its_deadline_ends_with_the_error() {
    let rig = Rig::basics(1).await;
    let options = CallOptions::new().timeout(Duration::from_millis(300));
    let closed = rig.path("closed");
    let mut chunks = rig.pool.stream_with::<u64>("endless", json!({"closed": closed}), &options).await.unwrap();
    let error = loop {
        match chunks.next().await.unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Deadline);
    eventually_file(&closed).await;
    rig.end().await;
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let rig = Rig::of(Hatchery::builder().pool("default", app("basics.py")).max_queue(0)).await;
    let gate = rig.path("gate");
    let running = spawn({
        let (pool, gate) = (rig.pool.clone(), gate.clone());
        async move { pool.call::<bool>("wait_for_file", json!({"path": gate})).await }
    });
    eventually("the worker is busy", || rig.pool.workers()[0].state == "busy").await;
    let error = rig.pool.call::<Value>("echo", json!({"value": 1})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Saturated);
    assert!(error.is_retryable());
    std::fs::write(&gate, "").unwrap();
    running.await.unwrap().unwrap();
    rig.end().await;
}
