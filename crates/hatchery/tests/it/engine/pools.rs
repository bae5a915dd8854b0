//! Pools as a whole: several in one hatchery, their size, their standing, their numbers.

mod several;
mod verdicts;

use hatchery::{CallOptions, ErrorKind, Event, PoolEvent, StartBatches, WorkerEvent};
use serde_json::{Value, json};
use std::time::Duration;

use super::{Gated, assert_kind, call, ended, engine, eventually_queued, eventually_ready, is_there, who};
use crate::{PATIENCE, Rig, eventually, eventually_gone, spawn};

#[tokio::test]
async fn a_pool_grows_and_shrinks_and_loses_no_call() {
    let mut rig = Rig::of(engine()).await;
    rig.pool.scale(3).unwrap();
    let scaled = |event| if let PoolEvent::Scaled { from, to, .. } = event { Some((from, to)) } else { None };
    assert_eq!(rig.pool_event(scaled).await, (1, 3));
    rig.pool.await_all(PATIENCE).await.unwrap();
    eventually_ready(&rig.pool, 3).await;
    let mut calls = Vec::new();
    for name in ["a", "b", "c"] {
        calls.push(Gated::begin(&rig, name, &CallOptions::new()).await);
    }
    let waiting = call(&rig.pool, "who", json!({}), CallOptions::new());
    eventually_queued(&rig.pool, 1).await;
    let pids = rig.pids();
    rig.pool.scale(1).unwrap();
    eventually_ready(&rig.pool, 1).await;
    assert_eq!(rig.pool.status().running, 3, "those that leave finish what they have");
    for gated in calls {
        gated.finish().await.unwrap();
    }
    assert_eq!(ended(waiting).await.unwrap(), pids[0]);
    for pid in &pids[1..] {
        eventually_gone(*pid).await;
    }
    eventually("one is left", || rig.pids() == pids[..1]).await;
    assert_eq!(rig.pool.status().workers, 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaling_up_and_down_again_and_again_under_load_loses_no_call() {
    let rig = Rig::of(engine().workers(4)).await;
    let over = crate::shared(std::sync::atomic::AtomicBool::new(false));
    let task = || {
        let (pool, over) = (rig.pool.clone(), over.clone());
        spawn(async move {
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                pool.call::<i32>("who", json!({})).await.expect("no call fails");
            }
        })
    };
    let tasks: Vec<_> = (0..8).map(|_| task()).collect();
    for size in [1, 3, 2, 4, 1, 2] {
        rig.pool.scale(size).unwrap();
        eventually_ready(&rig.pool, size).await;
    }
    over.store(true, std::sync::atomic::Ordering::SeqCst);
    for task in tasks {
        ended(task).await;
    }
    eventually("two are left", || rig.pids().len() == 2).await;
    assert_eq!(rig.pool.stats().errors, 0);
    rig.end().await;
}

#[tokio::test]
async fn impossible_sizes_are_refused() {
    let rig = Rig::of(engine()).await;
    for size in [0, 1025] {
        assert_kind(rig.pool.scale(size), ErrorKind::Validation);
    }
    assert_eq!(rig.pool.status().workers, 1);
    rig.end().await;
}

#[tokio::test]
async fn a_drained_pool_serves_what_it_has_and_takes_calls_again_when_it_is_told_to() {
    let rig = Rig::of(engine()).await;
    let pid = rig.pids()[0];
    let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    let waiting = call(&rig.pool, "who", json!({}), CallOptions::new());
    eventually_queued(&rig.pool, 1).await;
    let pool = rig.pool.clone();
    let draining = spawn(async move { pool.drain().await });
    eventually("the pool drains", || rig.pool.status().state == "draining").await;
    let error = assert_kind(rig.pool.call::<i32>("who", json!({})).await, ErrorKind::Unavailable);
    assert!(error.message().contains("drains") && error.is_retryable(), "{error}");
    assert!(!draining.is_finished());
    assert_eq!(gated.finish().await.unwrap(), pid);
    assert_eq!(ended(waiting).await.unwrap(), pid, "what waited is served too");
    ended(draining).await;
    rig.pool.resume();
    assert_eq!(who(&rig.pool).await, pid, "its workers stay");
    assert_eq!(rig.pool.status().state, "serving");
    rig.end().await;
}

#[tokio::test]
async fn a_pool_counts_what_becomes_of_its_calls() {
    let rig = Rig::of(engine().workers(2).max_queue(1)).await;
    let one = Gated::begin(&rig, "one", &CallOptions::new()).await;
    let stats = rig.pool.stats();
    assert_eq!((stats.workers, stats.available, stats.busy, stats.running), (2, 1, 1, 1), "{stats:?}");
    let other = Gated::begin(&rig, "other", &CallOptions::new()).await;
    let soon = CallOptions::new().timeout(Duration::from_millis(50));
    assert_kind(rig.pool.call_with::<i32>("who", json!({}), &soon).await, ErrorKind::Deadline);
    let waiting = call(&rig.pool, "who", json!({}), CallOptions::new());
    eventually_queued(&rig.pool, 1).await;
    assert_kind(rig.pool.call::<i32>("who", json!({})).await, ErrorKind::Saturated);
    let stats = rig.pool.stats();
    assert_eq!((stats.queued, stats.available, stats.busy), (1, 0, 2), "{stats:?}");
    one.finish().await.unwrap();
    other.finish().await.unwrap();
    ended(waiting).await.unwrap();
    assert_kind(rig.pool.call::<Value>("no_such_tool", json!({})).await, ErrorKind::NotFound);
    let stats = rig.pool.stats();
    assert_eq!((stats.requests, stats.queued_total, stats.saturated), (4, 2, 1), "{stats:?}");
    assert_eq!((stats.queue_timeouts, stats.errors), (1, 3), "{stats:?}");
    assert_eq!((stats.queued, stats.running, stats.busy, stats.available), (0, 0, 0, 2), "{stats:?}");
    assert_eq!(rig.hatchery.stats(), stats, "of all pools, which is one");
    rig.end().await;
}

/// The next `count` events about workers that started or became ready, as letters.
async fn starts(rig: &mut Rig, count: usize) -> String {
    let mut word = String::new();
    while word.len() < count {
        let letter = |event| match event {
            Event::Worker(WorkerEvent::Started { .. }) => Some('s'),
            Event::Worker(WorkerEvent::Ready { .. }) => Some('r'),
            _ => None,
        };
        word.push(rig.event(letter).await);
    }
    word
}

#[tokio::test]
async fn starts_come_in_batches() {
    // The pause is longer than the start of a worker takes anywhere, and the pool ends long before it is over.
    let batches = StartBatches { size: 2, delay: 20 * PATIENCE };
    let builder = engine().start_batches(batches);
    let mut rig = Rig::of(builder).await;
    assert_eq!(starts(&mut rig, 2).await, "sr");
    rig.pool.scale(5).unwrap();
    // Four are new, in two batches: of the second nothing is seen.
    let mut batch: Vec<char> = starts(&mut rig, 4).await.chars().collect();
    batch.sort_unstable();
    assert_eq!(batch, ['r', 'r', 's', 's']);
    eventually_ready(&rig.pool, 3).await;
    let states: Vec<_> = rig.pool.workers().iter().map(|worker| (worker.state, worker.generation)).collect();
    assert_eq!(states, [("idle", 1), ("idle", 1), ("idle", 1), ("starting", 0), ("starting", 0)]);
    rig.end().await;
}

#[tokio::test]
async fn the_batches_follow_one_another() {
    let batches = StartBatches { size: 2, delay: Duration::from_millis(10) };
    let rig = Rig::of(engine().workers(5).start_batches(batches)).await;
    rig.pool.await_all(PATIENCE).await.unwrap();
    assert_eq!(rig.pool.status().ready, 5, "a start waits for all of them");
    rig.end().await;
}

#[tokio::test]
async fn nothing_of_a_pool_that_scales_while_it_ends_is_left() {
    let rig = Rig::of(engine().workers(2)).await;
    let mark = rig.path("mark");
    rig.pool.scale(6).unwrap();
    rig.pool.reload();
    rig.pool.scale(1).unwrap();
    let pool = rig.pool.clone();
    rig.end().await;
    assert_kind(pool.scale(4), ErrorKind::Unavailable);
    pool.reload();
    assert_kind(pool.call::<i32>("once", json!({"path": mark})).await, ErrorKind::Unavailable);
    assert!(pool.workers().iter().all(|worker| worker.pid.is_none()), "{:?}", pool.workers());
    assert!(!is_there(&mark));
}
