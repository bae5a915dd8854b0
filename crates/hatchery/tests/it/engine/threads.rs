//! Workers that run several calls at once.

use std::time::Duration;

use hatchery::{CallOptions, Capacity, ErrorKind, PoolBuilder, PoolEvent, RecycleReason};
use serde_json::json;

use super::{Gated, assert_kind, call, ended, engine, eventually_queued, of, who};
use crate::{Rig, app, eventually, eventually_file, eventually_gone, spawn};

fn threads(count: usize) -> PoolBuilder {
    of(app("engine.py").env("PARTIES", count.to_string())).threads_per_worker(count)
}

/// Each waits in the worker until all are there.
async fn all_meet(tool: &'static str) {
    let rig = Rig::of(threads(4)).await;
    let pid = rig.pids()[0];
    let calls: Vec<_> = (0..4).map(|_| call(&rig.pool, tool, json!({}), CallOptions::new())).collect();
    for meeting in calls {
        assert_eq!(ended(meeting).await.unwrap(), pid);
    }
    assert_eq!(rig.pool.workers()[0].calls, 4);
    rig.end().await;
}

#[tokio::test]
async fn as_many_calls_as_threads_run_at_once() {
    all_meet("meet").await;
}

#[tokio::test]
async fn coroutines_overlap_on_the_loop() {
    all_meet("meet_on_the_loop").await;
}

#[tokio::test]
async fn a_call_beyond_the_threads_waits() {
    let rig = Rig::of(threads(2)).await;
    let one = Gated::begin(&rig, "one", &CallOptions::new()).await;
    let other = Gated::begin(&rig, "other", &CallOptions::new()).await;
    let third = call(&rig.pool, "who", json!({}), CallOptions::new());
    eventually_queued(&rig.pool, 1).await;
    assert_eq!(rig.pool.workers()[0].in_flight, 2);
    one.finish().await.unwrap();
    ended(third).await.unwrap();
    other.finish().await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn the_capacity_of_the_profile_is_one_call_a_worker() {
    let rig = Rig::of(threads(4).capacity(Capacity::Profile)).await;
    let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    let waiting = call(&rig.pool, "who", json!({}), CallOptions::new());
    eventually_queued(&rig.pool, 1).await;
    let status = rig.pool.status();
    assert_eq!((status.running, status.queued), (1, 1));
    gated.finish().await.unwrap();
    ended(waiting).await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn a_hybrid_pool_tells_that_a_worker_is_full() {
    let mut rig = Rig::of(threads(2).capacity(Capacity::Hybrid)).await;
    let id = rig.pool.workers()[0].id.clone();
    let one = Gated::begin(&rig, "one", &CallOptions::new()).await;
    let before = rig.hatchery.stats();
    assert_eq!(before.available, 1, "it has room for another");
    let other = Gated::begin(&rig, "other", &CallOptions::new()).await;
    let full = rig
        .pool_event(|event| if let PoolEvent::CapacityReached { worker } = event { Some(worker) } else { None })
        .await;
    assert_eq!(full.as_str(), id);
    assert_eq!(rig.pool.stats().available, 0);
    one.finish().await.unwrap();
    other.finish().await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn a_deaf_call_takes_its_worker_out_of_service_and_the_other_call_finishes() {
    let mut rig = Rig::of(threads(2).cancel_grace(Duration::from_millis(50))).await;
    let pid = rig.pids()[0];
    let other = Gated::begin(&rig, "other", &CallOptions::new()).await;
    let deaf = Gated::begin(&rig, "never", &CallOptions::new()).await;
    deaf.call.abort();
    let recycled = |event| match event {
        PoolEvent::Recycled { reason, generation, .. } => Some((reason, generation)),
        _ => None,
    };
    assert_eq!(rig.pool_event(recycled).await, (RecycleReason::Deaf, 1));
    let new = who(&rig.pool).await;
    assert_ne!(new, pid, "it takes no new calls");
    assert!(crate::exists(pid), "it has a call yet");
    assert_eq!(other.finish().await.unwrap(), pid);
    eventually_gone(pid).await;
    eventually("its successor is alone", || rig.pids() == [new]).await;
    assert_eq!(rig.pool.status().running, 0);
    rig.end().await;
}

#[tokio::test]
async fn a_deaf_call_alone_costs_its_worker() {
    let rig = Rig::of(threads(2).cancel_grace(Duration::from_millis(50))).await;
    let pid = rig.pids()[0];
    let late = CallOptions::new().timeout(Duration::from_millis(300));
    let deaf = Gated::begin(&rig, "never", &late).await;
    assert_kind(ended(deaf.call).await, ErrorKind::Deadline);
    eventually_gone(pid).await;
    assert_ne!(who(&rig.pool).await, pid);
    rig.end().await;
}

/// A tool that leaves a mark when it hears that its call was given up.
async fn hears(builder: PoolBuilder, tool: &'static str) {
    let rig = Rig::of(builder).await;
    let (pid, started, told) = (rig.pids()[0], rig.path("started"), rig.path("told"));
    let running = call(&rig.pool, tool, json!({"started": started, "told": told}), CallOptions::new());
    eventually_file(&started).await;
    running.abort();
    eventually_file(&told).await;
    assert_eq!(who(&rig.pool).await, pid, "one that hears is kept");
    rig.end().await;
}

#[tokio::test]
async fn a_cancelled_tool_sees_it_in_its_context() {
    hears(engine(), "until_cancelled").await;
    hears(threads(2), "until_cancelled").await;
}

#[tokio::test]
async fn a_cancelled_coroutine_has_the_exception_at_its_await() {
    hears(engine(), "sleep_until_cancelled").await;
    hears(threads(2), "sleep_until_cancelled").await;
}

#[tokio::test]
async fn a_cancelled_generator_has_the_exception_at_its_yield() {
    for builder in [engine(), threads(2)] {
        let rig = Rig::of(builder).await;
        let (pid, told) = (rig.pids()[0], rig.path("told"));
        let mut chunks = rig.pool.stream::<u64>("yield_until_cancelled", json!({"told": told})).await.unwrap();
        chunks.next().await.unwrap().unwrap();
        drop(chunks);
        eventually_file(&told).await;
        assert_eq!(who(&rig.pool).await, pid);
        rig.end().await;
    }
}

#[tokio::test]
async fn one_call_that_raises_leaves_the_others_alone() {
    let rig = Rig::of(threads(2)).await;
    let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    let (pool, taken) = (rig.pool.clone(), rig.path("taken"));
    std::fs::write(&taken, "").unwrap();
    let raising = spawn(async move { pool.call::<i32>("once", json!({"path": taken})).await });
    let error = assert_kind(ended(raising).await, ErrorKind::Remote);
    assert_eq!(error.python_type(), Some("FileExistsError"));
    assert!(gated.finish().await.is_ok());
    rig.end().await;
}

#[tokio::test]
async fn a_worker_that_dies_takes_all_of_its_calls_with_it_and_no_other() {
    let rig = Rig::of(threads(2).workers(2)).await;
    let mut calls = Vec::new();
    for name in ["a", "b", "c", "d"] {
        calls.push(Gated::begin(&rig, name, &CallOptions::new()).await);
    }
    let killed = rig.pids()[0];
    crate::containment::kill(killed);
    eventually_gone(killed).await;
    calls.iter().for_each(Gated::open);
    let mut lost = 0;
    for gated in calls {
        match ended(gated.call).await {
            Ok(pid) => assert_ne!(pid, killed),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error:?}");
                lost += 1;
            }
        }
    }
    assert_eq!(lost, 2, "the least loaded worker comes first: each had two");
    rig.end().await;
}
