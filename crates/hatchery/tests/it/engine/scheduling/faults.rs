//! What surrounds a call: retries, breakers, the crash barrier, the gate of the health monitor, and what the app says of itself.

use std::time::{Duration, Instant};

use hatchery::fault::{BreakerPolicy, BreakerState, CrashBarrier, CrashClass, HealthPolicy};
use hatchery::{CallOptions, ErrorKind, Event, FaultEvent, HealthCheck, PoolEvent, RecycleReason, WorkerEvent};
use serde_json::{Value, json};

use super::super::{Fate, Gated, assert_kind, call, ended, engine, eventually_ready, of, reason, who};
use crate::{Rig, eventually_gone};

impl Rig {
    async fn fault<T>(&mut self, mut pick: impl FnMut(FaultEvent) -> Option<T>) -> T {
        self.event(|event| if let Event::Fault(event) = event { pick(event) } else { None }).await
    }

    async fn unwell(&mut self) -> (u32, String) {
        self.event(|event| match event {
            Event::Worker(WorkerEvent::Unhealthy { failures, reason, .. }) => Some((failures, reason)),
            _ => None,
        })
        .await
    }
}

#[tokio::test]
async fn an_idempotent_call_that_lost_its_worker_is_made_again_and_another_is_not() {
    let mut rig = Rig::of(engine()).await;
    let options = CallOptions::new().idempotent(true).correlation_id("again");
    let times: u64 = rig.pool.call_with("crash_at_first", json!({"path": rig.path("one")}), &options).await.unwrap();
    assert_eq!(times, 2);
    let retried = |event| match event {
        FaultEvent::Retry { attempt, tool, correlation_id, .. } => Some((attempt, tool, correlation_id)),
        _ => None,
    };
    assert_eq!(rig.fault(retried).await, (1, "crash_at_first".to_owned(), Some("again".to_owned())));
    let other = rig.path("other");
    let error = rig.pool.call::<u64>("crash_at_first", json!({"path": other})).await;
    assert_kind(error, ErrorKind::WorkerDied);
    who(&rig.pool).await;
    assert_eq!(std::fs::read(&other).unwrap().len(), 1, "it ran once");
    rig.end().await;
}

#[tokio::test]
async fn a_breaker_opens_after_too_many_failures_and_closes_when_it_is_reset() {
    let policy = BreakerPolicy { failures: 2, reset: Duration::from_secs(3600), ..BreakerPolicy::default() };
    let mut rig = Rig::of(engine().breaker(policy)).await;
    for _ in 0..2 {
        assert_kind(rig.pool.call::<Value>("die", json!({})).await, ErrorKind::WorkerDied);
    }
    let error = assert_kind(rig.pool.call::<Value>("who", json!({})).await, ErrorKind::Unavailable);
    assert_eq!(reason(&error), "circuit_open");
    let opened = |event| match event {
        FaultEvent::BreakerOpened { failures, tool: None, .. } => Some(failures),
        _ => None,
    };
    assert_eq!(rig.fault(opened).await, 2);
    let breakers = rig.pool.breakers().unwrap();
    assert_eq!(breakers.pool().state(Instant::now()), BreakerState::Open);
    breakers.reset();
    assert_eq!(breakers.pool().state(Instant::now()), BreakerState::Closed);
    who(&rig.pool).await;
    rig.end().await;
}

/// What a stream came to after its first chunk.
async fn streamed(rig: &Rig) -> Result<(), hatchery::Error> {
    let mut chunks = rig.pool.stream::<u64>("yield_and_die", json!({})).await?;
    assert_eq!(chunks.next().await.unwrap()?, 0);
    chunks.next().await.unwrap().map(|_| ())
}

#[tokio::test]
async fn streams_that_fail_count_like_calls() {
    let policy = BreakerPolicy { failures: 2, reset: Duration::from_secs(3600), ..BreakerPolicy::default() };
    let rig = Rig::of(engine().breaker(policy)).await;
    for _ in 0..2 {
        assert_kind(streamed(&rig).await, ErrorKind::WorkerDied);
    }
    assert_eq!(rig.pool.stats().errors, 2);
    let error = assert_kind(rig.pool.call::<Value>("who", json!({})).await, ErrorKind::Unavailable);
    assert_eq!(reason(&error), "circuit_open");
    assert_eq!(reason(&assert_kind(streamed(&rig).await, ErrorKind::Unavailable)), "circuit_open");
    assert_eq!(rig.pool.stats().errors, 4);
    rig.pool.breakers().unwrap().reset();
    who(&rig.pool).await;
    rig.end().await;
}

#[tokio::test]
async fn a_crash_taints_the_life_it_ends_and_says_who_follows() {
    let barrier = CrashBarrier { enabled: true, taint: Duration::from_secs(3600), ..CrashBarrier::default() };
    let mut rig = Rig::of(engine().workers(2).crash_barrier(barrier)).await;
    let error = assert_kind(rig.pool.call::<Value>("crash", json!({})).await, ErrorKind::WorkerDied);
    assert_eq!(error.details().unwrap()["signal"], 11, "{error:?}");
    let tainted = |event| match event {
        FaultEvent::Tainted { worker, generation, class, .. } => Some((worker, generation, class)),
        _ => None,
    };
    let (worker, generation, class) = rig.fault(tainted).await;
    assert_eq!((generation, class), (1, CrashClass::Segfault));
    assert!(rig.hatchery.taints(|taints| taints.is_worker_tainted(worker.as_str(), 1, Instant::now())));
    let restarted = |event| match event {
        FaultEvent::Restarted { worker, generation } => Some((worker, generation)),
        _ => None,
    };
    assert_eq!(rig.fault(restarted).await, (worker.clone(), 2));
    eventually_ready(&rig.pool, 2).await;
    assert!(rig.hatchery.taints(|taints| taints.clear_worker(worker.as_str(), Instant::now())));
    let again = CallOptions::new().idempotent(true);
    let times: u64 = rig.pool.call_with("crash_at_first", json!({"path": rig.path("n")}), &again).await.unwrap();
    assert_eq!(times, 2, "it was made again on another worker");
    rig.end().await;
}

/// Two workers, of which one has crashed and is tainted, for longer than anybody waits: its process, and that of the other.
async fn one_tainted(fate: &Fate) -> (Rig, i32, i32) {
    let barrier = CrashBarrier { enabled: true, taint: Duration::from_secs(3600), ..CrashBarrier::default() };
    let rig = Rig::of(of(fate.app()).workers(2).crash_barrier(barrier)).await;
    assert_kind(rig.pool.call::<Value>("crash", json!({})).await, ErrorKind::WorkerDied);
    eventually_ready(&rig.pool, 2).await;
    let tainted = || rig.pool.workers().iter().find(|worker| worker.tainted).and_then(|worker| worker.pid);
    crate::eventually("the one that crashed gets no calls", || tainted().is_some()).await;
    let tainted = tainted().unwrap();
    let other = rig.pids().into_iter().find(|pid| *pid != tainted).unwrap();
    (rig, tainted, other)
}

#[tokio::test]
async fn a_tainted_seat_gets_no_calls_while_another_worker_is_ready_and_gets_them_when_none_is() {
    let fate = Fate::new();
    let (rig, tainted, other) = one_tainted(&fate).await;
    for _ in 0..3 {
        assert_eq!(who(&rig.pool).await, other, "though the other one is as free");
    }
    fate.is("die");
    crate::containment::kill(other);
    eventually_ready(&rig.pool, 1).await;
    assert_eq!(ended(call(&rig.pool, "who", json!({}), CallOptions::new())).await.unwrap(), tainted);
    rig.end().await;
}

#[tokio::test]
async fn a_tainted_seat_gets_calls_when_the_pool_shrinks_to_it() {
    let fate = Fate::new();
    let (rig, tainted, _) = one_tainted(&fate).await;
    // The lowest number among equals got the call, and crashed.
    rig.pool.scale(1).unwrap();
    eventually_ready(&rig.pool, 1).await;
    assert_eq!(rig.pids()[0], tainted);
    assert_eq!(ended(call(&rig.pool, "who", json!({}), CallOptions::new())).await.unwrap(), tainted);
    rig.end().await;
}

#[tokio::test]
async fn a_taint_that_is_taken_back_gives_the_seat_its_calls_again() {
    let fate = Fate::new();
    let (rig, tainted, other) = one_tainted(&fate).await;
    rig.hatchery.taints(hatchery::fault::Taints::clear);
    let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    let next = who(&rig.pool).await;
    let mut both = [gated.finish().await.unwrap(), next];
    both.sort_unstable();
    let mut expected = [tainted, other];
    expected.sort_unstable();
    assert_eq!(both, expected);
    rig.end().await;
}

#[tokio::test]
async fn a_pool_whose_workers_crash_is_closed_until_it_is_reset() {
    let rig = Rig::of(engine().health_gate(HealthPolicy { max_crashes: 1, ..HealthPolicy::default() })).await;
    who(&rig.pool).await;
    assert_kind(rig.pool.call::<Value>("crash", json!({})).await, ErrorKind::WorkerDied);
    crate::eventually("the crash is known", || !rig.pool.health().is_healthy).await;
    let error = assert_kind(rig.pool.call::<Value>("who", json!({})).await, ErrorKind::Unavailable);
    assert_eq!(reason(&error), "unhealthy");
    assert_eq!(reason(&assert_kind(streamed(&rig).await, ErrorKind::Unavailable)), "unhealthy");
    assert_eq!(rig.pool.health().crashes_by_class, [(CrashClass::Segfault, 1)].into());
    rig.pool.reset_health();
    who(&rig.pool).await;
    rig.end().await;
}

fn asked_often(replace_after: Option<u32>) -> HealthCheck {
    HealthCheck { interval: Duration::from_millis(20), timeout: crate::PATIENCE, replace_after }
}

#[tokio::test]
async fn one_that_says_it_is_unwell_is_told_of() {
    let fate = Fate::new();
    let mut rig = Rig::of(of(fate.app()).health(asked_often(None))).await;
    let pid = rig.pids()[0];
    fate.is("unwell");
    for failures in 1..4 {
        let (found, reason) = rig.unwell().await;
        assert_eq!((found, reason.contains("unwell as FATE says")), (failures, true), "{reason}");
    }
    fate.is("");
    assert_eq!(who(&rig.pool).await, pid, "and left alone");
    rig.end().await;
}

#[tokio::test]
async fn one_that_stays_unwell_is_replaced_where_that_is_wanted() {
    let fate = Fate::new();
    let mut rig = Rig::of(of(fate.app()).health(asked_often(Some(2)))).await;
    let pid = rig.pids()[0];
    fate.is("unwell");
    assert_eq!(rig.unwell().await.0, 1);
    assert_eq!(rig.unwell().await.0, 2);
    fate.is("");
    let recycled = |event| if let PoolEvent::Recycled { reason, .. } = event { Some(reason) } else { None };
    assert_eq!(rig.pool_event(recycled).await, RecycleReason::Unhealthy);
    eventually_gone(pid).await;
    assert_ne!(who(&rig.pool).await, pid);
    assert_eq!(rig.pool.stats().requests, 1, "questions of the pool's own are no calls");
    rig.end().await;
}
