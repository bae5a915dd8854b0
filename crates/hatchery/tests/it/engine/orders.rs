//! One worker of a running pool is ended because somebody says so, and is followed by another, or by nobody.

use std::time::Duration;

use hatchery::{CallOptions, ErrorKind, Event, PoolEvent, StopGraces, WorkerEvent};

use super::{Fate, Gated, assert_kind, call, ended, engine, eventually_queued, eventually_ready, of, who};
use crate::{PATIENCE, Rig, eventually, eventually_gone};

/// A worker that has a call is waited for.
fn patient() -> StopGraces {
    StopGraces { ask: 2 * PATIENCE, term: PATIENCE }
}

fn seats(rig: &Rig) -> Vec<String> {
    rig.pool.workers().into_iter().filter(|worker| worker.state == "idle").map(|worker| worker.id).collect()
}

#[tokio::test]
async fn a_worker_that_is_restarted_finishes_what_it_has_and_another_takes_its_seat() {
    let rig = Rig::of(engine().stop(patient())).await;
    let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    let pid = rig.pids()[0];
    rig.pool.restart("default-1").unwrap();
    eventually("it takes no more calls", || rig.pool.status().ready == 0).await;
    let waiting = call(&rig.pool, "who", serde_json::json!({}), CallOptions::new());
    eventually_queued(&rig.pool, 1).await;
    assert_eq!(rig.pids(), [pid], "nobody follows before it is gone");
    assert_eq!(gated.finish().await.unwrap(), pid);
    assert_ne!(ended(waiting).await.unwrap(), pid);
    eventually_gone(pid).await;
    let workers = rig.pool.workers();
    assert_eq!((workers.len(), workers[0].id.as_str(), workers[0].generation), (1, "default-1", 2));
    rig.end().await;
}

#[tokio::test]
async fn a_worker_that_does_not_finish_in_time_is_restarted_all_the_same() {
    let at_once = StopGraces { ask: Duration::from_millis(50), term: Duration::ZERO };
    let rig = Rig::of(engine().workers(2).stop(at_once)).await;
    let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    let busy = rig.pool.workers().into_iter().find(|worker| worker.state == "busy").unwrap();
    rig.pool.restart(&busy.id).unwrap();
    let error = assert_kind(ended(gated.call).await, ErrorKind::WorkerDied);
    assert!(error.message().contains("was told to leave"), "{error}");
    eventually_gone(busy.pid.unwrap()).await;
    eventually_ready(&rig.pool, 2).await;
    assert_eq!(rig.pool.metrics().restarts, 0, "nobody ended unasked");
    rig.end().await;
}

#[tokio::test]
async fn a_call_that_may_run_twice_survives_the_restart_and_the_retirement_of_its_worker() {
    let at_once = StopGraces { ask: Duration::from_millis(50), term: Duration::ZERO };
    let rig = Rig::of(engine().workers(2).stop(at_once)).await;
    let busy = || rig.pool.workers().into_iter().find(|worker| worker.state == "busy");
    let gated = Gated::begin(&rig, "gate", &CallOptions::new().idempotent(true)).await;
    let first = busy().unwrap();
    rig.pool.restart(&first.id).unwrap();
    eventually_gone(first.pid.unwrap()).await;
    eventually("it runs again", || busy().is_some_and(|worker| worker.pid != first.pid)).await;
    eventually_ready(&rig.pool, 2).await;
    let second = busy().unwrap();
    rig.pool.retire(&second.id).unwrap();
    eventually_gone(second.pid.unwrap()).await;
    let third = gated.finish().await.unwrap();
    assert!(![first.pid, second.pid].contains(&Some(third)));
    rig.end().await;
}

#[tokio::test]
async fn a_restart_does_not_wait_for_the_next_try_of_a_seat_that_failed() {
    let fate = Fate::new();
    let mut rig = Rig::of(of(fate.app())).await;
    let pid = rig.pids()[0];
    fate.is("die");
    rig.pool.restart("default-1").unwrap();
    eventually_gone(pid).await;
    let pause = |event| match event {
        Event::Worker(WorkerEvent::Restarting { after, .. }) => Some(after),
        _ => None,
    };
    while rig.event(pause).await < Duration::from_millis(800) {}
    rig.pool.restart("default-1").unwrap();
    assert_eq!(rig.event(pause).await, Duration::ZERO, "its pauses begin anew");
    fate.is("");
    eventually_ready(&rig.pool, 1).await;
    who(&rig.pool).await;
    rig.end().await;
}

#[tokio::test]
async fn a_worker_that_retires_leaves_a_gap_that_the_next_one_fills() {
    let mut rig = Rig::of(engine().workers(3).stop(patient())).await;
    let pids = rig.pids();
    rig.pool.retire("default-2").unwrap();
    let scaled = |event| if let PoolEvent::Scaled { from, to, .. } = event { Some((from, to)) } else { None };
    assert_eq!(rig.pool_event(scaled).await, (3, 2));
    eventually_gone(pids[1]).await;
    eventually("two are left", || rig.pids() == [pids[0], pids[2]]).await;
    assert_eq!((rig.pool.status().workers, seats(&rig)), (2, vec!["default-1".to_owned(), "default-3".to_owned()]));
    assert_kind(rig.pool.retire("default-2"), ErrorKind::NotFound);
    rig.pool.scale(3).unwrap();
    eventually_ready(&rig.pool, 3).await;
    assert_eq!(rig.pool.workers()[1].generation, 2, "the gap is filled, and by another");
    assert_eq!(rig.pool.workers().len(), 3);
    rig.end().await;
}

#[tokio::test]
async fn one_that_retires_while_it_is_busy_finishes_and_the_others_take_its_calls() {
    let rig = Rig::of(engine().workers(2).stop(patient())).await;
    let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    let busy = rig.pool.workers().into_iter().find(|worker| worker.state == "busy").unwrap();
    rig.pool.retire(&busy.id).unwrap();
    let pid = busy.pid.unwrap();
    for _ in 0..8 {
        assert_ne!(who(&rig.pool).await, pid);
    }
    assert_eq!(gated.finish().await.unwrap(), pid);
    eventually_gone(pid).await;
    eventually("one is left", || rig.pool.workers().len() == 1).await;
    let last = rig.pool.workers()[0].id.clone();
    let error = assert_kind(rig.pool.retire(&last), ErrorKind::Validation);
    assert!(error.message().contains("only worker"), "{error}");
    assert_eq!(rig.pool.status().workers, 1);
    rig.end().await;
}

#[tokio::test]
async fn who_is_not_there_is_not_found_and_after_the_end_nothing_is_done() {
    let rig = Rig::of(engine().workers(2)).await;
    for worker in ["default-3", "default", "other-1", ""] {
        assert_kind(rig.pool.restart(worker), ErrorKind::NotFound);
        assert_kind(rig.pool.retire(worker), ErrorKind::NotFound);
    }
    let pool = rig.pool.clone();
    rig.end().await;
    assert_kind(pool.restart("default-1"), ErrorKind::Unavailable);
    assert_kind(pool.retire("default-1"), ErrorKind::Unavailable);
}
