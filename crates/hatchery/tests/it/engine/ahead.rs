//! Calls that lie in a worker behind others: what becomes of them when it dies, is slow, is stopped, or lies.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hatchery::{CallOptions, Error, ErrorKind, Hatchery, Pool, Timeouts};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{Gated, call, ended, engine, eventually_ready, unhurried};
use crate::containment::{kill, signal};
use crate::{PATIENCE, Rig, eventually, misbehaving, spawn};

const BEHIND: usize = 24;

/// Until calls of this tool are known to be short, and every worker has answered some.
async fn warm(pool: &Pool, tool: &'static str, args: Value) {
    let workers = pool.workers().len();
    let mut seen = HashSet::new();
    while seen.len() < workers {
        let calls: Vec<_> = (0..4 * workers).map(|_| call(pool, tool, args.clone(), CallOptions::new())).collect();
        for call in calls {
            seen.insert(ended(call).await.unwrap().as_i64().unwrap());
        }
    }
    for _ in 0..40 {
        ended(call(pool, tool, args.clone(), CallOptions::new())).await.unwrap();
    }
}

/// The most calls that one worker has at this moment.
fn deepest(pool: &Pool) -> usize {
    pool.workers().iter().map(|worker| worker.in_flight).max().unwrap_or(0)
}

fn many(pool: &Pool, tool: &'static str, args: &Value) -> Vec<JoinHandle<Result<Value, Error>>> {
    (0..BEHIND).map(|_| call(pool, tool, args.clone(), CallOptions::new().timeout(PATIENCE))).collect()
}

/// A short call of the tool that is slow where its gate is closed.
fn short(rig: &Rig) -> Value {
    let open = rig.path("open");
    std::fs::write(&open, "").unwrap();
    json!({"path": open})
}

#[tokio::test]
async fn what_lies_behind_a_slow_call_is_answered_by_another_worker() {
    let rig = Rig::of(engine().workers(2)).await;
    let short = short(&rig);
    warm(&rig.pool, "wait_for_file", short.clone()).await;
    let gate = rig.path("gate");
    // All of them are given out before any is answered: the slow one has some before it and some behind it.
    let before = many(&rig.pool, "wait_for_file", &short);
    let slow = call(&rig.pool, "wait_for_file", json!({"path": gate}), CallOptions::new());
    let behind = many(&rig.pool, "wait_for_file", &short);
    for call in before.into_iter().chain(behind) {
        ended(call).await.unwrap();
    }
    assert!(!slow.is_finished());
    assert_eq!(deepest(&rig.pool), 1, "nothing else is left with it");
    std::fs::write(&gate, "").unwrap();
    ended(slow).await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn the_only_worker_runs_what_it_gave_back_when_it_is_free_again() {
    let rig = Rig::of(engine().workers(1)).await;
    let short = short(&rig);
    warm(&rig.pool, "wait_for_file", short.clone()).await;
    let gate = rig.path("gate");
    let slow = call(&rig.pool, "wait_for_file", json!({"path": gate}), CallOptions::new());
    let behind = many(&rig.pool, "wait_for_file", &short);
    eventually("all of them wait before it", || rig.pool.status().queued == BEHIND).await;
    std::fs::write(&gate, "").unwrap();
    ended(slow).await.unwrap();
    for call in behind {
        ended(call).await.unwrap();
    }
    rig.end().await;
}

#[tokio::test]
async fn a_stopped_worker_that_is_killed_loses_no_call_that_it_had_not_begun() {
    let rig = Rig::of(engine().workers(2)).await;
    warm(&rig.pool, "who", json!({})).await;
    let stopped = rig.pids()[0];
    signal(stopped, Signal::STOP);
    let calls = many(&rig.pool, "who", &json!({}));
    eventually("the other one has done what it can", || rig.pool.status().queued == 0).await;
    kill(stopped);
    for call in calls {
        assert_ne!(ended(call).await.unwrap(), json!(stopped));
    }
    eventually_ready(&rig.pool, 2).await;
    rig.end().await;
}

#[tokio::test]
async fn a_deadline_behind_a_call_costs_no_worker_whatever_that_call_does() {
    let rig = Rig::of(engine().workers(1)).await;
    warm(&rig.pool, "hold_the_interpreter", json!({"seconds": 0})).await;
    let pid = rig.pids()[0];
    // Longer than the grace of a call that is cancelled, and no RECALL is answered meanwhile.
    let deaf = call(&rig.pool, "hold_the_interpreter", json!({"seconds": 3}), CallOptions::new());
    let behind: Vec<_> = (0..8)
        .map(|_| {
            let options = CallOptions::new().timeout(Duration::from_millis(20));
            call(&rig.pool, "hold_the_interpreter", json!({"seconds": 0}), options)
        })
        .collect();
    for call in behind {
        assert_eq!(ended(call).await.unwrap_err().kind(), ErrorKind::Deadline);
    }
    assert_eq!(ended(deaf).await.unwrap(), json!(pid));
    assert_eq!(super::who(&rig.pool).await, pid);
    rig.end().await;
}

#[tokio::test]
async fn who_gives_back_what_nobody_asked_for_is_ended() {
    let timeouts = Timeouts { call: Some(PATIENCE), ..unhurried() };
    let pool = Hatchery::builder().pool("default", misbehaving("gives_back_wrongly")).timeouts(timeouts);
    let rig = Rig::of(pool).await;
    warm(&rig.pool, "echo", json!({})).await;
    let echo = |args| call(&rig.pool, "echo", args, CallOptions::new());
    // On a busy machine no call may be short enough to lie behind another.
    let breach = loop {
        let first = echo(json!({"takes": "time"}));
        let behind: Vec<_> = (0..8).map(|_| echo(json!({}))).collect();
        let mut errors = Vec::new();
        for call in std::iter::once(first).chain(behind) {
            errors.extend(ended(call).await.err());
        }
        if let Some(breach) = errors.into_iter().find(|error| error.kind() == ErrorKind::Protocol) {
            break breach;
        }
        warm(&rig.pool, "echo", json!({})).await;
    };
    assert!(breach.to_string().contains("it gave back"), "{breach}");
    rig.end().await;
}

#[tokio::test]
async fn a_worker_that_is_replaced_or_drained_runs_or_returns_all_that_it_has() {
    let rig = Rig::of(engine().workers(2)).await;
    warm(&rig.pool, "who", json!({})).await;
    for round in 0..5 {
        let calls: Vec<_> = (0..20).flat_map(|_| many(&rig.pool, "who", &json!({}))).collect();
        match round % 2 {
            0 => rig.pool.reload(),
            _ => {
                tokio::time::timeout(PATIENCE, rig.pool.drain()).await.unwrap();
                rig.pool.resume();
            }
        }
        let mut refused = 0;
        for call in calls {
            match ended(call).await {
                Ok(_) => {}
                // The pool drained before it came.
                Err(error) if error.kind() == ErrorKind::Unavailable => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(round % 2 == 1 || refused == 0);
    }
    rig.end().await;
}

/// Calls without a pause until told to stop; what failed, by its mark.
fn load(rig: &Rig, task: usize, over: &Arc<AtomicBool>) -> JoinHandle<Vec<(String, Error)>> {
    let (pool, over) = (rig.pool.clone(), Arc::clone(over));
    let mark = rig.path(&format!("mark-{task}"));
    spawn(async move {
        let mut failed = Vec::new();
        for n in 0.. {
            let path = format!("{mark}-{n}");
            if over.load(Ordering::SeqCst) {
                break;
            }
            let options = CallOptions::new().timeout(PATIENCE);
            match pool.call_with::<i32>("once", json!({"path": path}), &options).await {
                Ok(_) => assert!(std::path::Path::new(&path).exists(), "{path} was answered and never ran"),
                Err(error) => failed.push((path, error)),
            }
        }
        failed
    })
}

/// Every call leaves a mark, and fails if the mark is there: one that was run twice would say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_costs_one_call_at_most_however_many_lie_in_the_worker() {
    const KILLS: usize = 12;
    let rig = Rig::of(engine().workers(2)).await;
    let over = Arc::<AtomicBool>::default();
    let tasks: Vec<_> = (0..64).map(|task| load(&rig, task, &over)).collect();
    let mut deepest = 0;
    for _ in 0..KILLS {
        let mut killed = None;
        eventually("one has several calls, and is killed", || {
            let worker = rig.pool.workers().into_iter().max_by_key(|worker| worker.in_flight);
            let busiest = worker.and_then(|worker| Some((worker.pid?, worker.in_flight)));
            killed = busiest.filter(|(pid, in_flight)| *in_flight > 1 && super::storms::kill_if_there(*pid));
            killed.is_some()
        })
        .await;
        let (pid, in_flight) = killed.unwrap();
        deepest = deepest.max(in_flight);
        crate::eventually_gone(pid).await;
    }
    over.store(true, Ordering::SeqCst);
    let mut failed = Vec::new();
    for task in tasks {
        failed.extend(ended(task).await);
    }
    for (mark, error) in &failed {
        assert_eq!(error.kind(), ErrorKind::WorkerDied, "{mark}: {error:?}");
    }
    println!("{KILLS} killed, with up to {deepest} calls each; {} calls lost", failed.len());
    assert!(failed.len() <= KILLS, "{} calls lost of {KILLS} workers: {failed:?}", failed.len());
    eventually_ready(&rig.pool, 2).await;
    rig.end().await;
}

#[tokio::test]
async fn a_shutdown_answers_or_refuses_what_lies_behind_a_call() {
    let rig = Rig::of(engine().workers(1)).await;
    let short = short(&rig);
    warm(&rig.pool, "wait_for_file", short.clone()).await;
    let slow = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    let behind = many(&rig.pool, "wait_for_file", &short);
    slow.open();
    rig.hatchery.shutdown().await.unwrap();
    ended(slow.call).await.unwrap();
    for call in behind {
        let outcome = ended(call).await;
        assert!(outcome.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::Unavailable), "{outcome:?}");
    }
    rig.end().await;
}
