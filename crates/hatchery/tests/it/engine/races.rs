//! Moments at which two things happen to a worker, a call or a pool at once, and settings that meet.

use std::future::Future as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hatchery::fault::{BreakerPolicy, CrashBarrier, CrashClass, CrashRetry, RetryPolicy};
use hatchery::{
    CallOptions, Config, ErrorKind, Event, Hatchery, HealthCheck, Limits, OnTimeout, Payload, PoolEvent, PythonApp,
    Recycle, Restarts, WorkerEvent,
};
use serde_json::{Value, json};

use crate::containment::kill;
use crate::{Rig, app, eventually, exists};

/// One that takes its time to start if it is the first to find that its mark is not there, until the gate opens.
const APP: &str = r#"
import os, time, signal
from hatchery import tool

MARK = os.environ.get("MARK")
if MARK:
    try:
        os.close(os.open(MARK, os.O_CREAT | os.O_EXCL))
        while not os.path.exists(MARK + ".open"):
            time.sleep(0.005)
    except FileExistsError:
        pass

class CardError(Exception):
    pass

@tool
def who() -> int:
    return os.getpid()

@tool
def sleep(ms: int) -> int:
    time.sleep(ms / 1000)
    return os.getpid()

@tool
def hang(blob: str) -> int:
    while True:
        time.sleep(0.01)

@tool
def poison(path: str) -> None:
    with open(path, "a") as file:
        file.write(".")
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)

@tool
def card() -> None:
    raise CardError("lost")
"#;

const BROKEN: &str = "import os\nos._exit(3)\n";

fn here(dir: &tempfile::TempDir) -> PythonApp {
    write(dir, "app.py", APP)
}

fn write(dir: &tempfile::TempDir, name: &str, text: &str) -> PythonApp {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    PythonApp::file(path)
}

/// A pool of one whose next start waits for the gate, after its worker was killed.
async fn starting_slowly(dir: &tempfile::TempDir, on_timeout: OnTimeout) -> Rig {
    let mark = dir.path().join("mark");
    std::fs::write(&mark, "").unwrap();
    let pool = Hatchery::builder().pool("default", here(dir).env("MARK", &mark)).on_timeout(on_timeout);
    let rig = Rig::of(pool).await;
    std::fs::remove_file(&mark).unwrap();
    kill(rig.pids()[0]);
    eventually("the slow one starts", || mark.exists()).await;
    rig
}

fn open_the_gate(dir: &Path) {
    std::fs::write(dir.join("mark.open"), "").unwrap();
}

#[tokio::test]
async fn a_call_that_its_worker_refuses_does_not_hide_that_the_worker_is_worn() {
    let limits = Limits { max_body: 64 << 10, ..Limits::default() };
    let recycle = Recycle { max_requests: Some(2), ..Recycle::default() };
    let rig = Rig::of(Hatchery::builder().pool("default", app("basics.py")).limits(limits).recycle(recycle)).await;
    rig.pool.call::<Value>("echo", json!({ "value": 1 })).await.unwrap();
    let large = rig.pool.call::<Value>("echo", json!({ "value": "x".repeat(100 << 10) })).await;
    assert_eq!(large.unwrap_err().kind(), ErrorKind::Limit);
    rig.pool.call::<Value>("echo", json!({ "value": 1 })).await.unwrap();
    eventually("it is replaced", || rig.pool.stats().recycled.values().sum::<u64>() > 0).await;
    rig.end().await;
}

#[tokio::test]
async fn one_that_is_overtaken_by_its_successor_before_it_is_ready_never_serves() {
    let dir = tempfile::tempdir().unwrap();
    let rig = starting_slowly(&dir, OnTimeout::Kill).await;
    rig.pool.reload();
    eventually("the quick one is ready", || rig.pool.status().ready == 1).await;
    open_the_gate(dir.path());
    eventually("only that one is there", || {
        let mut processes = rig.hatchery.processes();
        processes.retain(|entry| entry.worker == "default-1");
        processes.len() == 1 && processes[0].pid.map(|pid| pid as i32) == rig.pool.workers()[0].pid
    })
    .await;
    assert_eq!(rig.pool.status().ready, 1);
    rig.end().await;
}

#[tokio::test]
async fn a_taint_ends_in_a_pool_without_a_barrier_too() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::of(Hatchery::builder().pool("default", here(&dir)).workers(2)).await;
    let first = rig.pool.workers()[0].clone();
    let long = Duration::from_secs(3600);
    rig.hatchery
        .taints(|taints| taints.taint_worker(&first.id, first.generation, CrashClass::Gpu, Instant::now(), long));
    eventually("it is barred", || rig.pool.workers()[0].tainted).await;
    rig.hatchery.taints(|taints| taints.clear());
    eventually("it is let in again", || !rig.pool.workers()[0].tainted).await;
    rig.end().await;
}

#[tokio::test]
async fn an_exception_that_tells_of_a_lost_card_taints_its_worker_and_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let barrier =
        CrashBarrier { enabled: true, taint_on_error_types: vec!["CardError".into()], ..CrashBarrier::default() };
    let rig = Rig::of(Hatchery::builder().pool("default", here(&dir)).workers(2).crash_barrier(barrier)).await;
    assert_eq!(rig.pool.call::<Value>("card", json!({})).await.unwrap_err().kind(), ErrorKind::Remote);
    assert_eq!(rig.hatchery.taints(|taints| taints.workers(Instant::now()).count()), 1);
    eventually("it is replaced", || rig.pool.workers().iter().any(|worker| worker.generation == 2)).await;
    rig.end().await;
}

#[tokio::test]
async fn a_barrier_that_never_tries_again_lets_nobody_else_try() {
    let dir = tempfile::tempdir().unwrap();
    let barrier = CrashBarrier { enabled: true, retry: CrashRetry::Never, max_restarts: 0, ..CrashBarrier::default() };
    let rig = Rig::of(Hatchery::builder().pool("default", here(&dir)).workers(2).crash_barrier(barrier)).await;
    let path = rig.path("poisoned");
    let options = CallOptions::new().idempotent(true);
    let error = rig.pool.call_with::<Value>("poison", json!({ "path": path }), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerDied);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), ".");
    rig.end().await;
}

#[tokio::test]
async fn orders_may_come_from_a_thread_without_a_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::of(Hatchery::builder().pool("default", here(&dir))).await;
    let pool = rig.pool.clone();
    let ordering = std::thread::spawn(move || {
        pool.scale(2).unwrap();
        pool.reload();
        pool.recycle("default-1").unwrap();
    });
    ordering.join().unwrap();
    eventually("both are there", || rig.pool.status().ready == 2).await;
    rig.end().await;
}

#[tokio::test]
async fn nothing_is_tried_again_in_a_pool_that_is_shut_down() {
    let dir = tempfile::tempdir().unwrap();
    let bad = write(&dir, "bad.py", BROKEN);
    let retry = RetryPolicy { attempts: u32::MAX, budget: None, ..RetryPolicy::default() };
    let rig = Rig::of(Hatchery::builder().pool("default", here(&dir)).pool("bad", bad).retry(retry)).await;
    let bad = rig.hatchery.pool("bad").unwrap();
    rig.hatchery.shutdown().await.unwrap();
    let options = CallOptions::new().timeout(Duration::from_secs(3600));
    let error = bad.call_with::<Value>("x", json!({}), &options).await.unwrap_err();
    assert_eq!((error.message(), error.is_retryable()), ("pool bad is shut down", false));
}

/// The arguments are large, so that the moment between choosing the worker and writing to it is long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_on_its_way_to_the_worker_does_not_keep_it() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::of(Hatchery::builder().pool("default", here(&dir)).cancel_grace(Duration::from_millis(50))).await;
    let blob = Payload::encode(&json!({ "blob": "x".repeat(4 << 20) })).unwrap();
    for _ in 0..8 {
        eventually("it is ready", || rig.pool.status().ready == 1 && rig.pool.status().running == 0).await;
        let pool = rig.pool.clone();
        let before = tokio::spawn(async move { pool.call::<i32>("sleep", json!({ "ms": 20 })).await });
        eventually("one runs", || rig.pool.status().running == 1).await;
        let options = CallOptions::default();
        let mut hang = Box::pin(rig.pool.call_payload("hang", blob.clone(), &options));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(hang.as_mut().poll(&mut context).is_pending());
        while rig.pool.status().queued == 1 {
            std::hint::spin_loop();
        }
        drop(hang);
        before.await.unwrap().unwrap();
        eventually("its worker is free, or gone", || rig.pool.status().running == 0).await;
    }
    rig.end().await;
}

#[tokio::test]
async fn a_pool_that_serves_is_not_told_to_be_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let restarts = Restarts { max_failures: 1, ..Restarts::default() };
    let mut rig = Rig::of(Hatchery::builder().pool("default", here(&dir)).restarts(restarts)).await;
    write(&dir, "app.py", BROKEN);
    rig.pool.reload();
    let wrong = rig.event(|event| match event {
        Event::Pool(PoolEvent::Unavailable { .. }) => Some(true),
        Event::Pool(PoolEvent::NotReplaced { .. }) => Some(false),
        _ => None,
    });
    assert!(!wrong.await);
    rig.pool.call::<i32>("who", json!({})).await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn a_pool_none_of_whose_workers_comes_up_is_told_to_be_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let restarts = Restarts { max_failures: 1000, ..Restarts::default() };
    let bad = write(&dir, "bad.py", BROKEN);
    let pools = Hatchery::builder().pool("default", here(&dir)).pool("bad", bad).restarts(restarts);
    let mut rig = Rig::of(pools).await;
    let told = rig.event(|event| match event {
        Event::Pool(PoolEvent::Unavailable { pool, .. }) => Some(pool),
        _ => None,
    });
    assert_eq!(told.await, "bad");
    rig.end().await;
}

#[tokio::test]
async fn a_pool_is_drained_when_the_last_that_waited_has_waited_long_enough() {
    let dir = tempfile::tempdir().unwrap();
    let rig = starting_slowly(&dir, OnTimeout::Abandon).await;
    let pool = rig.pool.clone();
    let options = CallOptions::new().timeout(Duration::from_millis(200));
    let waiting = tokio::spawn(async move { pool.call_with::<Value>("who", json!({}), &options).await });
    eventually("it waits", || rig.pool.status().queued == 1).await;
    tokio::time::timeout(crate::PATIENCE, rig.pool.drain()).await.expect("it is drained");
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Deadline);
    open_the_gate(dir.path());
    rig.end().await;
}

#[tokio::test]
async fn what_a_pool_asks_of_its_own_accord_is_nobody_s_call() {
    let health = HealthCheck { interval: Duration::from_millis(5), ..HealthCheck::default() };
    let dir = tempfile::tempdir().unwrap();
    let fate = dir.path().join("fate");
    std::fs::write(&fate, "unwell").unwrap();
    let app = app("engine.py").env("FATE", &fate);
    let mut rig = Rig::of(Hatchery::builder().pool("default", app).health(health)).await;
    let asked = rig.event(|event| match event {
        Event::Worker(WorkerEvent::Unhealthy { failures: 3, .. }) => Some(()),
        _ => None,
    });
    asked.await;
    rig.pool.call::<Value>("who", json!({})).await.unwrap();
    let calls: u64 = rig.pool.workers().iter().map(|worker| worker.calls).sum();
    assert_eq!(calls, 1, "it was asked three times at least");
    rig.end().await;
}

#[tokio::test]
async fn a_configuration_takes_back_nothing_of_which_it_does_not_speak() {
    let dir = tempfile::tempdir().unwrap();
    here(&dir);
    let file = dir.path().join("hatchery.toml");
    std::fs::write(&file, "[[pools]]\nname = \"default\"\napp = \"app.py\"\n").unwrap();
    let config = Config::load(&file).unwrap();
    let recycle = Recycle { max_requests: Some(2), ..Recycle::default() };
    let begun = Hatchery::builder().pool("default", here(&dir)).recycle(recycle).breaker(BreakerPolicy::default());
    let rig = Rig::of(begun.configure(&config.pools[0])).await;
    for _ in 0..2 {
        rig.pool.call::<i32>("who", json!({})).await.unwrap();
    }
    eventually("it is replaced", || rig.pool.stats().recycled.values().sum::<u64>() > 0).await;
    assert!(rig.pool.breakers().is_some());
    rig.end().await;
}

#[tokio::test]
async fn a_dead_worker_s_process_is_gone_before_its_successor_answers_a_session() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::of(Hatchery::builder().pool("default", here(&dir))).await;
    let chat = rig.pool.session("user-7");
    let first: i32 = chat.call("who", json!({})).await.unwrap();
    kill(first);
    eventually("it is gone", || !exists(first)).await;
    let second: i32 = chat.call("who", json!({})).await.unwrap();
    assert_ne!(first, second);
    rig.end().await;
}
