//! Calls whose time is over.

use std::time::Duration;

use hatchery::{CallOptions, ErrorKind, OnTimeout};
use serde_json::json;

use super::super::{Gated, assert_kind, call, ended, engine, eventually_queued, who};
use crate::{Rig, eventually_gone};

const SOON: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_abandoned_call_finishes_and_keeps_its_place_until_then() {
    let rig = Rig::of(engine().on_timeout(OnTimeout::Abandon).cancel_grace(Duration::ZERO)).await;
    let pid = rig.pids()[0];
    let Gated { gate, call: late } = Gated::begin(&rig, "gate", &CallOptions::new().timeout(SOON)).await;
    assert_kind(ended(late).await, ErrorKind::Deadline);
    let next = call(&rig.pool, "who", json!({}), CallOptions::new());
    eventually_queued(&rig.pool, 1).await;
    assert_eq!(rig.pool.status().running, 1, "its place is taken");
    std::fs::write(&gate, "").unwrap();
    assert_eq!(ended(next).await.unwrap(), pid, "by the same worker");
    assert_eq!(rig.pool.status().running, 0);
    rig.end().await;
}

#[tokio::test]
async fn otherwise_its_worker_is_ended() {
    let rig = Rig::of(engine().on_timeout(OnTimeout::Kill).cancel_grace(Duration::ZERO)).await;
    let pid = rig.pids()[0];
    let late = Gated::begin(&rig, "gate", &CallOptions::new().timeout(SOON)).await;
    assert_kind(ended(late.call).await, ErrorKind::Deadline);
    eventually_gone(pid).await;
    assert_ne!(who(&rig.pool).await, pid);
    rig.end().await;
}

#[tokio::test]
async fn the_time_of_a_tool_beats_the_pools_and_the_callers_beats_both() {
    let rig = Rig::of(engine().tool_timeout("wait_for_file", SOON)).await;
    let never = rig.path("never");
    let error = rig.pool.call::<i32>("wait_for_file", json!({"path": never})).await;
    assert!(assert_kind(error, ErrorKind::Deadline).message().contains("deadline of 300ms"));
    let own = CallOptions::new().timeout(Duration::from_millis(301));
    let error = rig.pool.call_with::<i32>("wait_for_file", json!({"path": never}), &own).await;
    assert!(assert_kind(error, ErrorKind::Deadline).message().contains("deadline of 301ms"));
    who(&rig.pool).await;
    rig.end().await;
}

#[tokio::test]
async fn a_call_that_ran_out_of_time_in_the_queue_never_runs() {
    let rig = Rig::of(engine()).await;
    let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    let path = rig.path("mark");
    let late = CallOptions::new().timeout(Duration::from_millis(50));
    let error = rig.pool.call_with::<i32>("once", json!({"path": path}), &late).await;
    assert!(assert_kind(error, ErrorKind::Deadline).message().contains("in the queue"));
    let stats = rig.pool.stats();
    assert_eq!((stats.queue_timeouts, stats.errors, stats.queued), (1, 1, 0), "{stats:?}");
    gated.finish().await.unwrap();
    who(&rig.pool).await;
    assert!(!super::super::is_there(&path));
    rig.end().await;
}
