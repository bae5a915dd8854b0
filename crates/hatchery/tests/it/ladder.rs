//! The rungs on which a worker ends, and how long each pool stays on them.

use std::time::Duration;

use hatchery::{CommandApp, ErrorKind, Event, Events, Hatchery, StopGraces, WorkerEvent};
use serde_json::json;

use crate::ends::patient;
use crate::{PATIENCE, Rig, app, eventually, misbehaving, spawn};

/// Longer than a test waits: who goes on before it is over did not wait for it.
const NEVER: Duration = Duration::from_secs(3600);

/// Long enough for a word to be heard on a busy machine.
const HEARD: Duration = Duration::from_secs(2);

fn graces(ask: Duration, term: Duration) -> StopGraces {
    StopGraces { ask, term }
}

/// A worker that leaves on one rung, or on none, and the file in which it says what it was told.
fn teller(dir: &tempfile::TempDir, leaves: &[&str]) -> CommandApp {
    let said = dir.path().join("said");
    leaves.iter().fold(misbehaving("says_each_rung").arg(said), |app, rung| app.arg(rung))
}

fn said(dir: &tempfile::TempDir) -> String {
    std::fs::read_to_string(dir.path().join("said")).unwrap()
}

/// How this worker ended.
async fn end_of(events: &mut Events, name: &str) -> String {
    let end = async {
        loop {
            match events.next().await {
                Some(Event::Worker(WorkerEvent::Gone { worker, how, .. })) if worker.as_str() == name => return how,
                Some(_other) => {}
                None => panic!("no more events"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, end).await.expect("it ends")
}

#[tokio::test]
async fn each_rung_is_tried_in_its_turn_and_none_after_the_last_that_was_needed() {
    for (leaves, graces, heard, how) in [
        (&["ask"][..], graces(NEVER, NEVER), "ask\n", "exit status 6"),
        (&["term"], graces(HEARD, NEVER), "ask\nterm\n", "exit status 7"),
        (&[], graces(HEARD, HEARD), "ask\nterm\n", "killed by signal 9 (SIGKILL)"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Rig::of(Hatchery::builder().pool("default", teller(&dir, leaves)).stop(graces)).await;
        let ended = tokio::time::timeout(PATIENCE, rig.hatchery.shutdown()).await;
        ended.expect("nobody waits for a rung that was left").unwrap();
        assert_eq!(
            (said(&dir).as_str(), end_of(&mut rig.events, "default-1").await.as_str()),
            (heard, how),
            "{leaves:?}"
        );
    }
}

#[tokio::test]
async fn a_deaf_worker_is_killed_after_its_own_pool_s_graces_while_another_pool_still_waits() {
    let dir = tempfile::tempdir().unwrap();
    let short = graces(Duration::from_millis(10), Duration::from_millis(10));
    let rig = Rig::of(patient().pool("deaf", misbehaving("ignores_everything")).stop(short)).await;
    let gate = dir.path().join("gate");
    let Rig { hatchery, pool, mut events, dir: _data } = rig;
    let running = spawn({
        let (pool, gate) = (pool.clone(), gate.clone());
        async move { pool.call::<bool>("wait_for_file", json!({"path": gate})).await }
    });
    eventually("the worker is busy", || pool.workers()[0].state == "busy").await;
    let ending = spawn(async move { hatchery.shutdown().await });
    assert_eq!(end_of(&mut events, "deaf-1").await, "killed by signal 9 (SIGKILL)");
    assert_eq!(pool.workers()[0].state, "draining");
    assert!(!running.is_finished());
    std::fs::write(gate, "").unwrap();
    assert!(running.await.unwrap().unwrap(), "the other pool had its own time");
    ending.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_cap_shortens_the_graces_of_every_pool() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::of(Hatchery::builder().pool("default", teller(&dir, &[])).stop(graces(NEVER, NEVER))).await;
    let pid = rig.pids()[0];
    let ended = tokio::time::timeout(PATIENCE, rig.hatchery.shutdown_within(Duration::from_millis(10))).await;
    ended.expect("the pool's own graces are over only after an hour").unwrap();
    assert!(!crate::exists(pid));
}

#[tokio::test]
async fn graces_that_never_end_are_refused() {
    for wrong in [graces(Duration::MAX, Duration::ZERO), graces(Duration::ZERO, Duration::MAX)] {
        let error = Hatchery::builder().pool("default", app("basics.py")).stop(wrong).start().await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert!(error.message().starts_with("pool default: expected a stop whose graces end"), "{error}");
    }
}
