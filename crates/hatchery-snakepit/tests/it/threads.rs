//! The supervisor's own threads: none for a worker, and none on which a worker depends.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::rig::{Rig, app, eventually, pool, python};

/// Whose threads do what blocks, such as a start, are called so, and do not linger for the next thing.
fn runtime(name: &str) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().thread_name(name).thread_keep_alive(Duration::from_millis(1)).build().unwrap()
}

async fn eventually_without(name: &str) {
    let is_called = |thread: std::fs::DirEntry| {
        std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    eventually("what blocked is over", || !std::fs::read_dir("/proc/self/task").unwrap().flatten().any(is_called))
        .await;
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// A process of its own, as other tests have threads too: this test binary, started again.
#[test]
#[expect(clippy::disallowed_methods, reason = "it is waited for")]
fn six_workers_take_no_more_threads_than_one() {
    if python().is_none() {
        return;
    }
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["threads::counted_alone", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "run alone by six_workers_take_no_more_threads_than_one"]
fn counted_alone() {
    runtime("counted").block_on(async {
        let with = |workers: usize| async move {
            let rig = Rig::of(pool(app("bridge_tools.full.Full").unwrap()).workers(workers)).await;
            rig.pool.await_all(crate::rig::PATIENCE).await.unwrap();
            for _call in 0..2 * workers {
                rig.call("ping", json!({})).await.unwrap();
            }
            rig
        };
        let one = with(1).await;
        eventually_without("counted").await;
        let alone = threads();
        one.end().await;
        let six = with(6).await;
        eventually("there are as many as with one", || threads() <= alone).await;
        six.end().await;
    });
}

/// Pitfall 20: whatever thread starts a worker may end.
#[test]
fn a_worker_outlives_the_thread_that_started_it() {
    runtime("begins-and-ends").block_on(async {
        let Some(rig) = Rig::plain().await else { return };
        let before = rig.pids();
        eventually_without("begins-and-ends").await;
        rig.is_well(&before).await;
        rig.end().await;
    });
}
