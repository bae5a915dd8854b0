//! Workers are replaced though nothing is wrong with them, and nobody who calls can tell.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hatchery::{CallOptions, Event, Events, Pool, PoolEvent, Recycle, RecycleReason};
use serde_json::json;

use super::{Fate, Gated, assert_kind, ended, engine, eventually_ready, of, unhurried, who};
use crate::{PATIENCE, Rig, eventually, eventually_gone, spawn};

const WORKERS: usize = 4;
const TASKS: usize = 16;
const EVERY: u64 = 50;

/// Looked at as often as a test wants to wait for it.
fn recycle() -> Recycle {
    Recycle { check: Duration::from_millis(20), ..Recycle::default() }
}

impl Rig {
    /// Waits until a worker's replacement has taken its place, and says why it did.
    async fn recycled(&mut self) -> RecycleReason {
        self.pool_event(|event| if let PoolEvent::Recycled { reason, .. } = event { Some(reason) } else { None }).await
    }

    /// Waits until a replacement has not come up, and says why and when the next one follows.
    async fn not_replaced(&mut self) -> (String, Duration) {
        let failed = |event| match event {
            PoolEvent::NotReplaced { reason, after, .. } => Some((reason, after)),
            _ => None,
        };
        self.pool_event(failed).await
    }
}

/// The fewest ready workers that were seen, looking at every event; and how many events there were.
async fn fewest_ready(pool: Pool, mut events: Events) -> (usize, usize) {
    let (mut fewest, mut looks) = (usize::MAX, 0);
    while let Some(event) = events.next().await {
        let status = pool.status();
        if status.state == "closed" {
            break;
        }
        (fewest, looks) =
            (fewest.min(status.ready), looks + usize::from(matches!(event, Event::Worker(_) | Event::Pool(_))));
    }
    (fewest, looks)
}

/// Calls as fast as they are answered until there were so many, and every worker was recycled a few times; who answered.
async fn load(pool: &Pool, calls: u64) -> HashSet<i32> {
    let made = Arc::<AtomicU64>::default();
    let task = || {
        let (pool, made) = (pool.clone(), Arc::clone(&made));
        spawn(async move {
            let mut who = HashSet::new();
            while made.fetch_add(1, Ordering::SeqCst) < calls || recycled(&pool) < 4 * WORKERS as u64 {
                who.insert(pool.call::<i32>("who", json!({})).await.expect("no call fails"));
            }
            who
        })
    };
    let tasks: Vec<_> = (0..TASKS).map(|_| task()).collect();
    let mut who = HashSet::new();
    for task in tasks {
        who.extend(task.await.unwrap());
    }
    who
}

fn recycled(pool: &Pool) -> u64 {
    pool.stats().recycled.get(&RecycleReason::MaxRequests).copied().unwrap_or_default()
}

/// Says its figures, for whoever asks for them.
async fn recycled_under_load(calls: u64) {
    let recycle = Recycle { max_requests: Some(EVERY), ..recycle() };
    let rig = Rig::of(engine().workers(WORKERS).recycle(recycle)).await;
    let watching = spawn(fewest_ready(rig.pool.clone(), rig.hatchery.events()));
    let began = Instant::now();
    let who = load(&rig.pool, calls).await;
    let took = began.elapsed();
    let stats = rig.pool.stats();
    assert!(stats.requests >= calls, "{stats:?}");
    assert_eq!((stats.errors, stats.queued, stats.running), (0, 0, 0), "{stats:?}");
    eventually("every life but the last of a seat was recycled", || {
        let workers = rig.pool.workers();
        let lives: u64 = workers.iter().map(|worker| worker.generation).sum();
        workers.len() == WORKERS && lives == WORKERS as u64 + recycled(&rig.pool)
    })
    .await;
    let recycled = recycled(&rig.pool);
    assert!(who.len() > WORKERS, "{recycled} were recycled, {} have answered", who.len());
    rig.end().await;
    let (fewest, looks) = ended(watching).await;
    assert!(fewest >= WORKERS, "{fewest} workers were ready at one of {looks} events");
    let requests = stats.requests;
    println!("{requests} calls in {took:.1?}, {recycled} recycled, never fewer than {fewest} ready at {looks} events");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recycling_under_full_load_loses_no_call_and_no_worker() {
    recycled_under_load(3000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn recycling_under_full_load_loses_nothing_in_a_hundred_thousand_calls() {
    recycled_under_load(100_000).await;
}

#[tokio::test]
async fn one_that_is_old_is_replaced() {
    let recycle = Recycle { ttl: Some(Duration::from_millis(200)), ..recycle() };
    let mut rig = Rig::of(engine().recycle(recycle)).await;
    let pid = rig.pids()[0];
    assert_eq!(rig.recycled().await, RecycleReason::Ttl);
    eventually_gone(pid).await;
    assert_ne!(who(&rig.pool).await, pid);
    rig.end().await;
}

#[tokio::test]
async fn one_that_is_large_is_replaced_and_a_small_one_is_not() {
    let recycle = Recycle { max_rss: Some(300 << 20), ..recycle() };
    let mut rig = Rig::of(engine().workers(2).recycle(recycle)).await;
    let large: i32 = rig.pool.call("hoard", json!({"size": 400 << 20})).await.unwrap();
    let small = rig.pids().into_iter().find(|pid| *pid != large).unwrap();
    assert_eq!(rig.recycled().await, RecycleReason::MaxRss);
    eventually_gone(large).await;
    eventually_ready(&rig.pool, 2).await;
    assert!(rig.pids().contains(&small));
    rig.end().await;
}

#[tokio::test]
async fn one_is_replaced_when_somebody_says_so_and_finishes_what_it_has() {
    let mut rig = Rig::of(engine().workers(2)).await;
    let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    let busy = rig.pool.workers().into_iter().find(|worker| worker.state == "busy").unwrap();
    rig.pool.recycle(&busy.id).unwrap();
    assert_eq!(rig.recycled().await, RecycleReason::Manual);
    let states = |pid| move |worker: &hatchery::WorkerStatus| worker.pid == Some(pid) && worker.state == "draining";
    let pid = busy.pid.unwrap();
    assert!(rig.pool.workers().iter().any(states(pid)), "{:?}", rig.pool.workers());
    assert_eq!(rig.pool.status().ready, 2, "the other one, and its replacement");
    assert_eq!(gated.finish().await.unwrap(), pid);
    eventually_gone(pid).await;
    assert_eq!(rig.pool.stats().recycled, [(RecycleReason::Manual, 1)].into());
    let error = assert_kind(rig.pool.recycle("default-17"), hatchery::ErrorKind::NotFound);
    assert!(error.message().contains("default-17"), "{error}");
    rig.end().await;
}

#[tokio::test]
async fn a_reload_brings_the_new_code_and_loses_no_call() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("changing.py");
    let code = |version: u32| {
        let source = format!("from hatchery import tool\n\n\n@tool\ndef version() -> int:\n    return {version}\n");
        std::fs::write(&path, source).unwrap();
    };
    code(1);
    let builder = hatchery::Hatchery::builder().pool("default", hatchery::PythonApp::file(&path)).workers(3);
    let rig = Rig::of(builder.timeouts(unhurried())).await;
    let version = |pool: Pool| async move { pool.call::<u32>("version", json!({})).await.expect("no call fails") };
    assert_eq!(version(rig.pool.clone()).await, 1);
    code(22);
    let old = rig.pids();
    rig.pool.reload();
    let mut versions = Vec::new();
    while rig.pids().iter().any(|pid| old.contains(pid)) {
        versions.push(version(rig.pool.clone()).await);
    }
    assert!(versions.iter().all(|version| [1, 22].contains(version)));
    assert_eq!(version(rig.pool.clone()).await, 22);
    assert_eq!(rig.pool.stats().recycled, [(RecycleReason::Reload, 3)].into());
    assert_eq!(rig.pool.stats().errors, 0);
    rig.end().await;
}

#[tokio::test]
async fn one_whose_replacement_does_not_come_up_serves_on() {
    let fate = Fate::new();
    let mut rig = Rig::of(of(fate.app())).await;
    let (id, pid) = (rig.pool.workers()[0].id.clone(), rig.pids()[0]);
    fate.is("raise");
    rig.pool.recycle(&id).unwrap();
    let (reason, _) = rig.not_replaced().await;
    assert!(reason.contains("raised as FATE says"), "{reason}");
    assert_eq!(who(&rig.pool).await, pid, "the old one serves on");
    assert_eq!(rig.pool.status().ready, 1);
    fate.is("");
    assert_eq!(rig.recycled().await, RecycleReason::Manual);
    eventually_gone(pid).await;
    assert_ne!(who(&rig.pool).await, pid);
    rig.end().await;
}

#[tokio::test]
async fn replacements_that_fail_take_nothing_from_the_calls_that_wait_for_the_one_that_serves() {
    let fate = Fate::new();
    let one_is_too_many = hatchery::Restarts { max_failures: 1, ..hatchery::Restarts::default() };
    let mut rig = Rig::of(of(fate.app()).restarts(one_is_too_many)).await;
    let (id, pid) = (rig.pool.workers()[0].id.clone(), rig.pids()[0]);
    let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    let waiting = super::call(&rig.pool, "who", json!({}), CallOptions::new());
    super::eventually_queued(&rig.pool, 1).await;
    fate.is("raise");
    rig.pool.recycle(&id).unwrap();
    rig.not_replaced().await;
    assert_eq!(gated.finish().await.unwrap(), pid);
    assert_eq!(ended(waiting).await.unwrap(), pid);
    rig.end().await;
}

#[tokio::test]
async fn a_reload_does_not_wait_for_the_next_try_of_a_replacement_that_failed() {
    let fate = Fate::new();
    let restarts = hatchery::Restarts { max_backoff: 60 * PATIENCE, ..hatchery::Restarts::default() };
    let mut rig = Rig::of(of(fate.app()).restarts(restarts)).await;
    let pid = rig.pids()[0];
    fate.is("die");
    let mut after = Duration::ZERO;
    while after < 2 * PATIENCE {
        rig.pool.reload();
        after = rig.not_replaced().await.1;
    }
    fate.is("");
    rig.pool.reload();
    assert_eq!(rig.recycled().await, RecycleReason::Reload);
    eventually_gone(pid).await;
    who(&rig.pool).await;
    rig.end().await;
}
