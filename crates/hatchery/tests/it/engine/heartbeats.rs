//! Workers that live and do not answer.

use std::time::Duration;

use hatchery::{CallOptions, ErrorKind, Event, Heartbeat, Pool, WorkerEvent};
use rustix::process::Signal;
use serde_json::json;

use super::{Gated, assert_kind, ended, engine, eventually_ready, of, who};
use crate::containment::signal;
use crate::{Rig, eventually, eventually_gone, misbehaving, spawn};

/// Finds a worker that is stopped after two answers that did not come, which is soon, and yet longer than a machine that is merely
/// slow lets a worker wait.
fn heartbeat() -> Heartbeat {
    Heartbeat {
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(500),
        max_missed: 2,
        ..Heartbeat::default()
    }
}

/// Tells of misses at once, and never acts on them.
fn watchful() -> Heartbeat {
    Heartbeat { timeout: Duration::from_millis(50), max_missed: u32::MAX, ..heartbeat() }
}

impl Rig {
    /// Waits until a worker has missed so many in a row.
    async fn missed(&mut self, wanted: u32) {
        let missed = |event| match event {
            Event::Worker(WorkerEvent::HeartbeatMissed { missed, .. }) => (missed == wanted).then_some(()),
            _ => None,
        };
        self.event(missed).await;
    }

    async fn heartbeat(&mut self) {
        self.event(|event| matches!(event, Event::Worker(WorkerEvent::Heartbeat { .. })).then_some(())).await;
    }
}

async fn eventually_replaced(pool: &Pool, pid: i32) {
    eventually_gone(pid).await;
    eventually("another has its place", || {
        pool.status().ready == 1 && pool.workers().iter().all(|worker| worker.pid != Some(pid))
    })
    .await;
}

#[tokio::test]
async fn an_idle_worker_that_is_stopped_is_found_and_replaced() {
    let mut rig = Rig::of(engine().heartbeat(heartbeat())).await;
    let pid = rig.pids()[0];
    rig.heartbeat().await;
    signal(pid, Signal::STOP);
    rig.missed(2).await;
    eventually_replaced(&rig.pool, pid).await;
    assert_ne!(who(&rig.pool).await, pid);
    rig.end().await;
}

#[tokio::test]
async fn a_busy_worker_that_is_stopped_is_found_and_replaced() {
    let rig = Rig::of(engine().heartbeat(heartbeat())).await;
    let pid = rig.pids()[0];
    let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    signal(pid, Signal::STOP);
    let error = assert_kind(ended(gated.call).await, ErrorKind::WorkerDied);
    assert!(error.message().contains("did not answer 2 heartbeats in a row"), "{error}");
    eventually_replaced(&rig.pool, pid).await;
    assert_ne!(who(&rig.pool).await, pid);
    rig.end().await;
}

fn ignores_pings(while_busy: bool) -> hatchery::PoolBuilder {
    let heartbeat = Heartbeat { while_busy, timeout: Duration::from_millis(100), ..heartbeat() };
    of(misbehaving("ignores_pings")).heartbeat(heartbeat)
}

#[tokio::test]
async fn a_worker_that_does_not_answer_while_it_is_busy_is_left_alone() {
    let rig = Rig::of(ignores_pings(false)).await;
    let pid = rig.pids()[0];
    let ignored = rig.pool.call::<i32>("ignore", json!({"pings": 6})).await.unwrap();
    assert_eq!(ignored, pid, "three times as many as are allowed");
    assert_eq!(rig.pool.call::<i32>("ignore", json!({"pings": 0})).await.unwrap(), pid);
    rig.end().await;
}

#[tokio::test]
async fn unless_it_is_to_answer_then_too() {
    let rig = Rig::of(ignores_pings(true)).await;
    let pid = rig.pids()[0];
    let pool = rig.pool.clone();
    let ignoring = spawn(async move { pool.call::<i32>("ignore", json!({"pings": 1000})).await });
    let error = assert_kind(ended(ignoring).await, ErrorKind::WorkerDied);
    assert!(error.message().contains("heartbeats in a row"), "{error}");
    eventually_replaced(&rig.pool, pid).await;
    rig.end().await;
}

#[tokio::test]
async fn late_answers_harm_nobody_and_end_the_count() {
    let mut rig = Rig::of(engine().heartbeat(watchful())).await;
    let pid = rig.pids()[0];
    for misses in [1, 2, 1] {
        signal(pid, Signal::STOP);
        rig.missed(misses).await;
        signal(pid, Signal::CONT);
        rig.heartbeat().await;
        assert_eq!(who(&rig.pool).await, pid);
    }
    assert_eq!(rig.pool.workers()[0].generation, 1);
    rig.end().await;
}

#[tokio::test]
async fn one_that_is_not_depended_on_is_only_told_of() {
    let only_told = Heartbeat { dependent: false, max_missed: 1, timeout: Duration::from_millis(50), ..heartbeat() };
    let mut rig = Rig::of(engine().heartbeat(only_told)).await;
    let pid = rig.pids()[0];
    signal(pid, Signal::STOP);
    rig.missed(4).await;
    signal(pid, Signal::CONT);
    assert_eq!(who(&rig.pool).await, pid);
    eventually_ready(&rig.pool, 1).await;
    assert_eq!(rig.pool.workers()[0].generation, 1);
    rig.end().await;
}
