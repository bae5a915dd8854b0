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

#[tokio::test]
async fn the_deadline_of_a_call_passes_in_the_queue_too() {
    let rig = Rig::basics(1).await;
    let gate = rig.path("gate");
    let running = spawn({
        let (pool, gate) = (rig.pool.clone(), gate.clone());
        async move { pool.call::<bool>("wait_for_file", json!({"path": gate})).await }
    });
    eventually("the worker is busy", || rig.pool.workers()[0].state == "busy").await;
    // The queue's own limit is its default, 10 s.
    let options = CallOptions::new().timeout(Duration::from_millis(50));
    let error = rig.pool.call_with::<Value>("echo", json!({"value": 1}), &options).await.unwrap_err();
    assert_eq!(error.message(), "deadline of 50ms passed while waiting in the queue");
    let mut stream = rig.pool.stream_with::<u64>("countdown", json!({"n": 1}), &options).await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.message(), "deadline of 50ms passed while waiting in the queue");
    std::fs::write(&gate, "").unwrap();
    running.await.unwrap().unwrap();
    rig.end().await;
}

#[tokio::test]
async fn a_stream_that_nobody_reads_lets_its_worker_go_at_the_deadline() {
    let rig = Rig::basics(1).await;
    let options = CallOptions::new().timeout(Duration::from_millis(300));
    let chunks = json!({"count": 100_000, "size": 100_000});
    let mut unread = rig.pool.stream_with::<String>("big_chunks", chunks, &options).await.unwrap();
    rig.pool.call::<()>("echo", json!({"value": null})).await.expect("the worker is free again");
    let mut got = 0;
    let error = loop {
        match unread.next().await.unwrap() {
            Ok(_) => got += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.message(), "deadline of 300ms passed while the worker ran it");
    assert!(error.correlation_id().is_some());
    assert!(got <= 12, "{got} chunks are more than the window");
    assert!(unread.next().await.is_none());
    rig.end().await;
}

#[tokio::test]
async fn a_grace_without_end_is_kept() {
    let rig = Rig::of(Hatchery::builder().pool("default", app("basics.py")).cancel_grace(Duration::MAX)).await;
    let (gate, pid) = (rig.path("gate"), rig.pids()[0]);
    let options = CallOptions::new().timeout(Duration::from_millis(100));
    rig.pool.call_with::<bool>("wait_for_file", json!({"path": gate}), &options).await.unwrap_err();
    std::fs::write(&gate, "").unwrap();
    let who: Value = rig.pool.call("who", json!({})).await.unwrap();
    assert_eq!(who["pid"], pid);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_never_finds_the_pool_full_because_of_its_own_last_call() {
    let rig = Rig::of(Hatchery::builder().pool("default", app("basics.py")).max_queue(0)).await;
    for n in 0..3000u64 {
        assert_eq!(rig.pool.call::<u64>("echo", json!({"value": n})).await.unwrap(), n);
    }
    rig.end().await;
}

#[tokio::test]
async fn calls_and_streams_dropped_at_any_point_leave_the_worker_free() {
    let rig = Rig::basics(1).await;
    let pid = rig.pids()[0];
    for polls in 0..12 {
        let mut call = Box::pin(rig.pool.call::<Value>("echo", json!({"value": 1})));
        let mut stream = Box::pin(async {
            let mut ticks = rig.pool.stream::<u64>("countdown", json!({"n": 3})).await.unwrap();
            while ticks.next().await.is_some() {}
        });
        for _ in 0..polls {
            // At most once each, and then the reactor.
            tokio::select! {
                biased;
                _ = &mut call => break,
                () = &mut stream => break,
                () = tokio::task::yield_now() => {}
            }
        }
    }
    let who: Value = rig.pool.call("who", json!({})).await.unwrap();
    assert_eq!(who["pid"], pid, "a worker that obeys is kept");
    eventually("the worker is idle", || rig.pool.workers()[0].state == "idle").await;
    rig.end().await;
}
