//! Calls of a conversation and the worker that has its state.

use hatchery::{Affinity, CallOptions, ErrorKind, Hatchery, Pool};
use serde_json::json;

use super::super::{Gated, assert_kind, call, ended, engine, eventually_queued, eventually_ready, reason, who};
use crate::{Rig, eventually_gone};

fn session(affinity: Affinity) -> CallOptions {
    CallOptions::new().session("s").affinity(affinity)
}

async fn who_for(pool: &Pool, options: &CallOptions) -> Result<i32, hatchery::Error> {
    pool.call_with("who", json!({}), options).await
}

/// Two workers, one of them busy with a call of the session.
async fn bound(affinity: Affinity) -> (Rig, Gated, CallOptions, i32) {
    let options = session(affinity);
    let rig = Rig::of(engine().workers(2)).await;
    let gated = Gated::begin(&rig, "gate", &options).await;
    let pid = rig.pool.workers().iter().find(|worker| worker.state == "busy").unwrap().pid.unwrap();
    (rig, gated, options, pid)
}

#[tokio::test]
async fn a_strict_call_waits_for_its_sessions_worker_though_another_is_free() {
    let (rig, gated, options, pid) = bound(Affinity::StrictQueue).await;
    let waiting = call(&rig.pool, "who", json!({}), options.clone());
    eventually_queued(&rig.pool, 1).await;
    assert_ne!(who(&rig.pool).await, pid, "others do not wait");
    assert_eq!(rig.pool.status().queued, 1);
    assert_eq!(gated.finish().await.unwrap(), pid);
    assert_eq!(ended(waiting).await.unwrap(), pid);
    rig.end().await;
}

#[tokio::test]
async fn one_that_does_not_wait_is_a_conflict() {
    let (rig, gated, options, pid) = bound(Affinity::StrictFailFast).await;
    let error = assert_kind(who_for(&rig.pool, &options).await, ErrorKind::Conflict);
    assert_eq!(reason(&error), "worker_busy");
    assert_eq!(gated.finish().await.unwrap(), pid);
    assert_eq!(who_for(&rig.pool, &options).await.unwrap(), pid);
    rig.end().await;
}

#[tokio::test]
async fn a_hint_goes_elsewhere_while_its_worker_is_busy_and_comes_back() {
    let (rig, gated, options, pid) = bound(Affinity::Hint).await;
    assert_ne!(who_for(&rig.pool, &options).await.unwrap(), pid);
    assert_eq!(gated.finish().await.unwrap(), pid);
    assert_eq!(who_for(&rig.pool, &options).await.unwrap(), pid);
    rig.end().await;
}

#[tokio::test]
async fn a_session_whose_worker_was_killed_has_lost_its_state_and_a_hint_goes_on() {
    for affinity in [Affinity::StrictQueue, Affinity::StrictFailFast] {
        let (rig, gated, options, pid) = bound(affinity).await;
        crate::containment::kill(pid);
        assert_kind(ended(gated.call).await, ErrorKind::WorkerDied);
        eventually_gone(pid).await;
        eventually_ready(&rig.pool, 2).await;
        for _ in 0..2 {
            let error = assert_kind(who_for(&rig.pool, &options).await, ErrorKind::Unavailable);
            assert_eq!(reason(&error), "session_state_lost", "every time");
            assert_eq!(error.details().unwrap()["generation"], 1);
            assert!(!error.is_retryable(), "it will not come back");
        }
        let new = who_for(&rig.pool, &session(Affinity::Hint)).await.unwrap();
        assert_ne!(new, pid);
        assert_eq!(who_for(&rig.pool, &options).await.unwrap(), new, "it is bound anew");
        rig.end().await;
    }
}

#[tokio::test]
async fn what_waits_for_a_worker_that_is_killed_is_told_at_once() {
    let (rig, gated, options, pid) = bound(Affinity::StrictQueue).await;
    let waiting = call(&rig.pool, "who", json!({}), options);
    eventually_queued(&rig.pool, 1).await;
    crate::containment::kill(pid);
    assert_kind(ended(gated.call).await, ErrorKind::WorkerDied);
    let error = assert_kind(ended(waiting).await, ErrorKind::Unavailable);
    assert_eq!(reason(&error), "session_state_lost");
    rig.end().await;
}

#[tokio::test]
async fn a_recycled_worker_is_a_lost_session_state() {
    let rig = Rig::of(engine()).await;
    let options = session(Affinity::StrictQueue);
    let old = who_for(&rig.pool, &options).await.unwrap();
    rig.pool.reload();
    eventually_gone(old).await;
    let error = assert_kind(who_for(&rig.pool, &options).await, ErrorKind::Unavailable);
    assert_eq!(reason(&error), "session_state_lost");
    rig.end().await;
}

#[tokio::test]
async fn a_session_that_is_deleted_starts_over() {
    let rig = Rig::of(engine()).await;
    let options = session(Affinity::StrictQueue);
    let old = who_for(&rig.pool, &options).await.unwrap();
    let sessions = rig.hatchery.sessions();
    assert_eq!(sessions.get("s").unwrap().last_worker.unwrap().generation, 1);
    crate::containment::kill(old);
    eventually_gone(old).await;
    eventually_ready(&rig.pool, 1).await;
    assert_eq!(reason(&assert_kind(who_for(&rig.pool, &options).await, ErrorKind::Unavailable)), "session_state_lost");
    assert!(sessions.delete("s") && !sessions.exists("s"));
    let new = who_for(&rig.pool, &options).await.unwrap();
    assert_eq!(who_for(&rig.pool, &options).await.unwrap(), new);
    assert_eq!(sessions.get("s").unwrap().last_worker.unwrap().generation, 2);
    rig.end().await;
}

#[tokio::test]
async fn the_next_run_has_the_session_and_not_its_state() {
    let dir = tempfile::tempdir().unwrap();
    let start = async || -> Hatchery { engine().data_dir(dir.path()).start().await.unwrap() };
    let options = session(Affinity::StrictFailFast);
    let first = start().await;
    who_for(&first.pool("default").unwrap(), &options).await.unwrap();
    first.shutdown().await.unwrap();
    drop(first);
    let second = start().await;
    let pool = second.pool("default").unwrap();
    let error = assert_kind(who_for(&pool, &options).await, ErrorKind::Unavailable);
    assert_eq!(reason(&error), "session_state_lost");
    who_for(&pool, &session(Affinity::Hint)).await.unwrap();
    who_for(&pool, &options).await.unwrap();
    second.shutdown().await.unwrap();
    assert!(second.processes().is_empty());
}
