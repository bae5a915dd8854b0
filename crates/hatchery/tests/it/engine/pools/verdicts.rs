//! A pool whose workers die before they are ready is given up for the time being, and taken up again.

use std::time::Duration;

use hatchery::{ErrorKind, Event, PoolEvent, Restarts, WorkerEvent};
use serde_json::json;

use super::super::{Fate, Gated, assert_kind, call, ended, eventually_queued, eventually_ready, of, who};
use crate::{PATIENCE, Rig, eventually_gone};

impl Rig {
    async fn unavailable(&mut self) -> String {
        self.pool_event(|event| if let PoolEvent::Unavailable { reason, .. } = event { Some(reason) } else { None })
            .await
    }

    /// Waits until a worker is gone, and says when the next one follows.
    async fn restarting(&mut self) -> Duration {
        self.event(|event| match event {
            Event::Worker(WorkerEvent::Restarting { after, .. }) => Some(after),
            _ => None,
        })
        .await
    }

    async fn available(&mut self) {
        self.pool_event(|event| matches!(event, PoolEvent::Available { .. }).then_some(())).await;
    }
}

#[tokio::test]
async fn a_crash_loop_fails_calls_at_once_until_a_worker_comes_up() {
    let fate = Fate::new();
    let restarts = Restarts { max_failures: 3, max_backoff: Duration::from_millis(200) };
    let mut rig = Rig::of(of(fate.app()).workers(2).restarts(restarts)).await;
    who(&rig.pool).await;
    fate.is("die");
    for pid in rig.pids() {
        crate::containment::kill(pid);
    }
    // What is waiting when the verdict falls need not wait longer.
    let waiting = call(&rig.pool, "wait_for_file", json!({"path": "/nowhere"}), hatchery::CallOptions::new());
    let reason = rig.unavailable().await;
    assert!(reason.contains("exit status 7"), "{reason}");
    let error = ended(waiting).await.unwrap_err();
    assert!([ErrorKind::Unavailable, ErrorKind::WorkerDied].contains(&error.kind()), "{error:?}");
    let error = assert_kind(rig.pool.call::<i32>("who", json!({})).await, ErrorKind::Unavailable);
    assert!(error.message().contains("exit status 7"), "{error}");
    assert_eq!(rig.pool.status().state, "unavailable");
    fate.is("");
    rig.available().await;
    who(&rig.pool).await;
    eventually_ready(&rig.pool, 2).await;
    assert_eq!(rig.pool.status().state, "serving");
    rig.end().await;
}

#[tokio::test]
async fn deaths_after_ready_are_no_crash_loop() {
    let fate = Fate::new();
    let mut rig = Rig::of(of(fate.app()).restarts(Restarts { max_failures: 2, ..Restarts::default() })).await;
    for _ in 0..5 {
        let pid = who(&rig.pool).await;
        assert_kind(rig.pool.call::<i32>("die", json!({})).await, ErrorKind::WorkerDied);
        eventually_gone(pid).await;
    }
    who(&rig.pool).await;
    fate.is("die");
    rig.pool.call::<i32>("die", json!({})).await.unwrap_err();
    rig.unavailable().await;
    fate.is("");
    rig.available().await;
    rig.end().await;
}

#[tokio::test]
async fn when_the_last_that_served_is_gone_those_that_wait_are_told_the_verdict() {
    let fate = Fate::new();
    let restarts = Restarts { max_failures: 1, ..Restarts::default() };
    let mut rig = Rig::of(of(fate.app()).restarts(restarts)).await;
    let pid = rig.pids()[0];
    let gated = Gated::begin(&rig, "gate", &hatchery::CallOptions::new()).await;
    let waiting = call(&rig.pool, "who", json!({}), hatchery::CallOptions::new());
    eventually_queued(&rig.pool, 1).await;
    fate.is("raise");
    rig.pool.reload();
    rig.pool_event(|event| matches!(event, PoolEvent::NotReplaced { .. }).then_some(())).await;
    assert_eq!(rig.pool.status().queued, 1, "one is ready, and is waited for");
    crate::containment::kill(pid);
    rig.unavailable().await;
    assert_kind(ended(gated.call).await, ErrorKind::WorkerDied);
    let error = assert_kind(ended(waiting).await, ErrorKind::Unavailable);
    assert!(error.message().contains("raised as FATE says"), "{error}");
    rig.end().await;
}

#[tokio::test]
async fn a_reload_does_not_wait_for_the_next_try_of_a_crash_loop() {
    let fate = Fate::new();
    let restarts = Restarts { max_failures: 2, max_backoff: 60 * PATIENCE };
    let mut rig = Rig::of(of(fate.app()).restarts(restarts)).await;
    fate.is("die");
    crate::containment::kill(rig.pids()[0]);
    while rig.restarting().await < 2 * PATIENCE {
        rig.pool.reload();
    }
    fate.is("");
    rig.pool.reload();
    rig.available().await;
    who(&rig.pool).await;
    rig.end().await;
}
