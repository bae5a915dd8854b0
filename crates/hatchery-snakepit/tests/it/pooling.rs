//! What a pool does with these workers as with all: many calls at once, recycling, crashes.

use std::time::Duration;

use hatchery::fault::{CrashBarrier, CrashClass};
use hatchery::{CallOptions, Capacity, ErrorKind, Event, FaultEvent, Heartbeat, Recycle, RecycleReason, WorkerEvent};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::rig::{Rig, eventually, fault, pool, threaded};

impl Rig {
    fn waiting(&self, calls: usize, file: &str) -> JoinSet<hatchery::Result<Value>> {
        let mut waiting = JoinSet::new();
        for _call in 0..calls {
            let (pool, file) = (self.pool.clone(), self.path(file));
            waiting.spawn(async move { pool.call("await_file", json!({ "file": file })).await });
        }
        waiting
    }
}

async fn all_well(mut calls: JoinSet<hatchery::Result<Value>>) {
    while let Some(ended) = calls.join_next().await {
        ended.unwrap().unwrap();
    }
}

/// Scenario 31.
#[tokio::test]
async fn a_threaded_worker_has_its_calls_at_once() {
    let Some(rig) = Rig::threaded(4).await else { return };
    let calls = rig.waiting(5, "go");
    eventually("it has four, and one waits", || {
        let status = rig.pool.status();
        (status.running, status.queued) == (4, 1)
    })
    .await;
    std::fs::write(rig.path("go"), "").unwrap();
    all_well(calls).await;
    rig.end().await;
}

/// Scenario 32.
#[tokio::test]
async fn one_may_be_given_a_call_at_a_time() {
    let Some(app) = threaded(4) else { return };
    let rig = Rig::of(pool(app).threads_per_worker(4).capacity(Capacity::Profile)).await;
    let calls = rig.waiting(2, "go");
    eventually("one waits", || {
        let status = rig.pool.status();
        (status.running, status.queued) == (1, 1)
    })
    .await;
    std::fs::write(rig.path("go"), "").unwrap();
    all_well(calls).await;
    rig.end().await;
}

/// Pitfall 19: at exactly full load, questions wait for a stream of their own, and nobody is hurt.
#[tokio::test]
async fn a_threaded_worker_at_full_load_keeps_its_heart() {
    let Some(app) = threaded(4) else { return };
    let heartbeat = Heartbeat { interval: Duration::from_millis(5), ..Heartbeat::default() };
    let rig = Rig::of(pool(app).threads_per_worker(4).heartbeat(heartbeat)).await;
    let before = rig.pids();
    let mut calls = JoinSet::new();
    for _call in 0..200 {
        let pool = rig.pool.clone();
        calls.spawn(async move { pool.call("waits", json!({ "seconds": 0.005 })).await });
    }
    all_well(calls).await;
    rig.is_well(&before).await;
    rig.end().await;
}

/// Pitfall 1: each of them asks its host first, and gives it a second.
#[tokio::test]
async fn workers_come_up_while_others_are_busy() {
    let Some(app) = crate::rig::app("bridge_tools.full.Full") else { return };
    let mut rig = Rig::of(pool(app)).await;
    let mut calls = JoinSet::new();
    for _call in 0..100 {
        let pool = rig.pool.clone();
        calls.spawn(async move { pool.call("ping", json!({})).await });
    }
    rig.pool.scale(4).unwrap();
    for _worker in 0..4 {
        rig.event(|event| matches!(event, Event::Worker(WorkerEvent::Ready { .. })).then_some(())).await;
    }
    all_well(calls).await;
    assert!(rig.pool.workers().iter().all(|worker| worker.generation == 1), "{:?}", rig.pool.workers());
    rig.end().await;
}

/// Scenario 36.
#[tokio::test]
async fn one_that_has_answered_enough_is_replaced_and_no_call_is_lost() {
    let Some(app) = crate::rig::app("bridge_tools.full.Full") else { return };
    let recycle = Recycle { max_requests: Some(3), ..Recycle::default() };
    let rig = Rig::of(pool(app).recycle(recycle)).await;
    let before = rig.pids();
    for _call in 0..3 {
        rig.call("ping", json!({})).await.unwrap();
    }
    let mut calls = JoinSet::new();
    for _call in 0..4 {
        let pool = rig.pool.clone();
        calls.spawn(async move { pool.call("ping", json!({})).await });
    }
    all_well(calls).await;
    eventually("another one serves", || rig.pool.workers()[0].state == "idle" && rig.pids() != before).await;
    let stats = rig.pool.stats();
    assert!(stats.recycled[&RecycleReason::MaxRequests] >= 1);
    assert_eq!(stats.workers, 1);
    rig.end().await;
}

/// Scenario 38.
#[tokio::test]
async fn a_call_that_crashes_its_worker_is_made_again_if_it_may_be() {
    let Some(app) = fault("exits_in_a_tool") else { return };
    let barrier = CrashBarrier { enabled: true, ..CrashBarrier::default() };
    let mut rig = Rig::of(pool(app).workers(2).crash_barrier(barrier)).await;
    rig.pool.await_all(crate::rig::PATIENCE).await.unwrap();
    let once = json!({ "file": rig.path("crashed") });
    let again = CallOptions::new().idempotent(true);
    let seen: Value = rig.pool.call_with("segfault_once", once, &again).await.unwrap();
    assert!(rig.pids().iter().any(|pid| seen["pid"] == *pid));
    let class = rig.event(|event| match event {
        Event::Fault(FaultEvent::Tainted { class, .. }) => Some(class),
        _ => None,
    });
    assert_eq!(class.await, CrashClass::Segfault);
    let error = rig.call("segfault", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerDied);
    assert!(error.message().contains("SIGSEGV"), "{error}");
    rig.end().await;
}

/// A tool that ends its process tells its caller how.
#[tokio::test]
async fn a_worker_that_exits_in_a_tool_is_replaced() {
    let Some(rig) = Rig::fault("exits_in_a_tool").await else { return };
    let error = rig.call("exit", json!({ "status": 3 })).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::WorkerDied, "worker default-1 died: exit status 3"));
    assert!(rig.call("ping", json!({})).await.is_ok());
    rig.end().await;
}
