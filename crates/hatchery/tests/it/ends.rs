//! Shutdowns and drops, with workers that obey and workers that do not.

use std::time::Duration;

use hatchery::{ErrorKind, Hatchery, PoolBuilder, PythonApp, StopGraces};
use serde_json::{Value, json};

use crate::{Rig, app, eventually, eventually_blocking, eventually_gone, misbehaving, spawn};

/// A pool that waits for its calls for longer than any test does.
pub(crate) fn patient() -> PoolBuilder {
    let graces = StopGraces { ask: crate::PATIENCE, ..StopGraces::default() };
    Hatchery::builder().pool("default", app("basics.py")).stop(graces)
}

#[tokio::test]
async fn a_shutdown_lets_calls_finish_and_apps_clean_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stateful.py");
    let closed = dir.path().join("closed");
    let source = format!(
        "from hatchery import tool\nclass Counter:\n    def __init__(self):\n        self.n = 0\n    @tool\n    def add(self, by: int) -> int:\n        self.n += by\n        return self.n\n    def close(self):\n        open({:?}, 'w').close()\n",
        closed.to_str().unwrap()
    );
    std::fs::write(&path, source).unwrap();
    let rig = Rig::of(Hatchery::builder().pool("default", PythonApp::file(&path))).await;
    assert_eq!(rig.pool.call::<i64>("add", json!({"by": 2})).await.unwrap(), 2);
    assert_eq!(rig.pool.call::<i64>("add", json!({"by": 3})).await.unwrap(), 5);
    rig.end().await;
    assert!(closed.exists(), "close() was called");
}

#[tokio::test]
async fn a_running_call_finishes_and_a_waiting_one_is_refused() {
    let rig = Rig::of(patient()).await;
    let gate = rig.path("gate");
    let running = spawn({
        let (pool, gate) = (rig.pool.clone(), gate.clone());
        async move { pool.call::<bool>("wait_for_file", json!({"path": gate})).await }
    });
    eventually("the worker is busy", || rig.pool.workers()[0].state == "busy").await;
    let waiting = spawn({
        let pool = rig.pool.clone();
        async move { pool.call::<Value>("echo", json!({"value": 1})).await }
    });
    tokio::task::yield_now().await;
    let pid = rig.pids()[0];
    let hatchery = crate::shared(rig.hatchery);
    let ending = spawn({
        let hatchery = hatchery.clone();
        async move { hatchery.shutdown().await }
    });
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    std::fs::write(&gate, "").unwrap();
    assert!(running.await.unwrap().unwrap(), "the running call got its answer");
    ending.await.unwrap().unwrap();
    assert!(!crate::exists(pid));
    let late = rig.pool.call::<Value>("echo", json!({"value": 1})).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Unavailable);
    hatchery.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_ignores_everything_is_killed() {
    let rig = Rig::of(Hatchery::builder().pool("default", misbehaving("ignores_everything"))).await;
    let pid = rig.pids()[0];
    rig.hatchery.shutdown_within(Duration::from_millis(50)).await.unwrap();
    assert!(!crate::exists(pid));
}

#[tokio::test]
async fn dropping_the_hatchery_ends_every_process_and_fails_every_call() {
    let rig = Rig::basics(2).await;
    let pids = rig.pids();
    let never = rig.path("never");
    let running = spawn({
        let pool = rig.pool.clone();
        async move { pool.call::<bool>("wait_for_file", json!({"path": never})).await }
    });
    eventually("one is busy", || rig.pool.workers().iter().any(|worker| worker.state == "busy")).await;
    drop(rig.hatchery);
    for pid in pids {
        eventually_gone(pid).await;
    }
    assert!(running.await.unwrap().is_err());
    assert_eq!(rig.pool.call::<Value>("echo", json!({"value": 1})).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_runtime_that_ends_takes_the_workers_with_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (hatchery, pid) = runtime.block_on(async {
        let hatchery = Hatchery::builder().pool("default", app("basics.py")).start().await.unwrap();
        let pid = hatchery.pool("default").unwrap().workers()[0].pid.unwrap();
        (hatchery, pid)
    });
    drop(runtime);
    // Its guardian reaps it, in its own time; the hatchery lives.
    eventually_blocking("the worker ends after its runtime", || !crate::exists(pid));
    drop(hatchery);
}

#[tokio::test]
async fn a_worker_exits_by_itself_when_its_host_is_gone() {
    // The host is a child of this test, which it kills with SIGKILL while its worker is busy in Python code.
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let mut host = host(&pid_file);
    eventually("the worker wrote its pid", || {
        std::fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n'))
    })
    .await;
    let worker: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    host.kill().unwrap();
    host.wait().unwrap();
    eventually_gone(worker).await;
}

#[expect(clippy::disallowed_methods, reason = "the test needs a host that it can kill")]
fn host(pid_file: &std::path::Path) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ends::host_that_is_killed", "--ignored", "--nocapture"])
        .env("HATCHERY_TEST_PID_FILE", pid_file)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "run by a_worker_exits_by_itself_when_its_host_is_gone, in a process of its own"]
async fn host_that_is_killed() {
    let Some(pid_file) = std::env::var_os("HATCHERY_TEST_PID_FILE") else { return };
    let rig = Rig::basics(1).await;
    let never = rig.path("never");
    let pid = rig.pids()[0];
    let running = rig.pool.call::<bool>("wait_for_file", json!({ "path": never }));
    std::fs::write(pid_file, format!("{pid}\n")).unwrap();
    let _never = running.await;
}

#[tokio::test]
async fn a_stream_dropped_during_the_shutdown_is_cancelled() {
    let rig = Rig::of(patient()).await;
    let closed = rig.path("closed");
    let mut chunks = rig.pool.stream::<u64>("endless", json!({"closed": closed})).await.unwrap();
    chunks.next().await.unwrap().unwrap();
    let ending = spawn(async move { rig.hatchery.shutdown().await });
    eventually("the worker drains", || rig.pool.workers()[0].state == "draining").await;
    drop(chunks);
    tokio::time::timeout(crate::PATIENCE, ending).await.expect("does not hang").unwrap().unwrap();
    assert_eq!(rig.pool.workers()[0].state, "gone");
}

#[tokio::test]
async fn a_call_that_is_half_written_when_the_shutdown_comes_is_still_answered() {
    let rig = Rig::of(patient()).await;
    let data = hatchery::Binary::from(vec![1; 30_000_000]);
    let args = std::collections::BTreeMap::from([("data", data)]);
    let mut call = Box::pin(rig.pool.call::<hatchery::Binary>("reverse", args));
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx))).await.is_pending());
    let (reversed, ended) = tokio::join!(call, rig.hatchery.shutdown());
    assert_eq!(reversed.unwrap().0.len(), 30_000_000);
    ended.unwrap();
}

#[test]
fn a_shutdown_after_the_runtime_has_ended_finds_nothing_to_do() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let rig = first.block_on(Rig::basics(1));
    drop(first);
    let pool = rig.pool.clone();
    assert!(pool.workers().iter().all(|worker| worker.pid.is_none()), "{:?}", pool.workers());
    runtime().block_on(rig.hatchery.shutdown()).unwrap();
    let error = runtime().block_on(pool.call::<Value>("echo", json!({"value": 1}))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn a_hatchery_dropped_outside_of_its_runtime_ends_its_workers() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let rig = runtime.block_on(Rig::basics(2));
    let pids = rig.pids();
    drop(rig.hatchery);
    runtime.block_on(async {
        for pid in pids {
            eventually_gone(pid).await;
        }
        eventually("no seat is taken", || rig.pool.workers().iter().all(|worker| worker.pid.is_none())).await;
    });
}

#[tokio::test]
async fn shutdowns_at_once_and_again_all_return_when_everything_is_gone() {
    let rig = Rig::basics(2).await;
    let pids = rig.pids();
    let given_up = tokio::time::timeout(Duration::ZERO, rig.hatchery.shutdown()).await;
    assert!(given_up.is_err());
    let (one, other) = tokio::join!(rig.hatchery.shutdown(), rig.hatchery.shutdown_within(Duration::ZERO));
    one.unwrap();
    other.unwrap();
    assert!(pids.into_iter().all(|pid| !crate::exists(pid)));
    rig.hatchery.shutdown().await.unwrap();
}
