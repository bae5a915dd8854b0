//! Several pools in one hatchery, none of which hurts another.

use hatchery::{ErrorKind, Hatchery, PoolBuilder, PythonApp};
use serde_json::json;

use super::super::{Fate, assert_kind, engine, eventually_ready, unhurried, who};
use crate::{PATIENCE, Rig, eventually_gone};

/// A pool beside the usual one.
fn beside(app: PythonApp) -> PoolBuilder {
    engine().pool("other", app).timeouts(unhurried())
}

/// What a broken pool says, and that the other one serves.
async fn broken(app: PythonApp, why: &str) {
    let rig = Rig::of(beside(app)).await;
    let other = rig.hatchery.pool("other").unwrap();
    for _ in 0..2 {
        let error = assert_kind(other.call::<i32>("who", json!({})).await, ErrorKind::Unavailable);
        assert!(error.message().contains(why) && error.message().contains("pool other cannot serve"), "{error}");
        who(&rig.pool).await;
    }
    assert_eq!(other.status().state, "unavailable");
    let error = assert_kind(other.await_ready(PATIENCE).await, ErrorKind::Unavailable);
    assert!(error.message().contains(why), "{error}");
    assert_kind(other.await_all(PATIENCE).await, ErrorKind::Unavailable);
    assert_kind(rig.hatchery.await_ready(PATIENCE).await, ErrorKind::Unavailable);
    rig.pool.await_ready(PATIENCE).await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn one_without_an_interpreter_is_broken_and_the_other_serves() {
    broken(crate::app("engine.py").python("/nowhere/python3"), "/nowhere/python3").await;
}

#[tokio::test]
async fn one_whose_app_does_not_load_is_broken_and_the_other_serves() {
    let fate = Fate::new();
    fate.is("raise");
    broken(fate.app(), "raised as FATE says").await;
}

#[tokio::test]
async fn a_broken_one_that_is_mended_serves() {
    let fate = Fate::new();
    fate.is("raise");
    let rig = Rig::of(beside(fate.app())).await;
    let other = rig.hatchery.pool("other").unwrap();
    assert_kind(other.call::<i32>("who", json!({})).await, ErrorKind::Unavailable);
    fate.is("");
    eventually_ready(&other, 1).await;
    who(&other).await;
    rig.hatchery.await_ready(PATIENCE).await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn if_all_are_broken_the_start_says_why_the_first_is() {
    let dir = tempfile::tempdir().unwrap();
    let broken = crate::app("engine.py").python("/nowhere/python3");
    let builder = Hatchery::builder().pool("one", broken.clone()).pool("two", broken).workers(2);
    let started = builder.data_dir(dir.path()).start();
    let error = tokio::time::timeout(PATIENCE, started).await.unwrap().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Validation, "{error:?}");
    assert!(error.message().contains("/nowhere/python3"), "{error}");
}

#[tokio::test]
async fn none_at_all_starts_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let hatchery = Hatchery::builder().data_dir(dir.path()).start().await.unwrap();
    hatchery.await_ready(PATIENCE).await.unwrap();
    assert_eq!((hatchery.pools().count(), hatchery.workers().len()), (0, 0));
    assert_eq!(hatchery.stats(), hatchery::PoolStats::default());
    assert_eq!(hatchery.pool("default").err().unwrap().kind(), ErrorKind::NotFound);
    hatchery.shutdown().await.unwrap();
    assert!(hatchery.processes().is_empty());
}

#[tokio::test]
async fn each_counts_its_own_and_the_hatchery_all() {
    let rig = Rig::of(beside(crate::app("engine.py")).workers(2)).await;
    let other = rig.hatchery.pool("other").unwrap();
    who(&rig.pool).await;
    who(&other).await;
    assert_kind(other.call::<i32>("die", json!({})).await, ErrorKind::WorkerDied);
    eventually_ready(&other, 2).await;
    let (one, two, all) = (rig.pool.stats(), other.stats(), rig.hatchery.stats());
    assert_eq!((one.requests, one.errors, one.workers), (1, 0, 1), "{one:?}");
    assert_eq!((two.requests, two.errors, two.workers), (2, 1, 2), "{two:?}");
    assert_eq!((all.requests, all.errors, all.workers, all.available), (3, 1, 3, 3), "{all:?}");
    assert_eq!(rig.hatchery.workers().len(), 3);
    rig.end().await;
}

#[tokio::test]
async fn a_storm_in_one_does_not_touch_the_other() {
    let rig = Rig::of(beside(crate::app("engine.py"))).await;
    let (other, pid) = (rig.hatchery.pool("other").unwrap(), rig.pids()[0]);
    for _ in 0..3 {
        let victim = who(&other).await;
        crate::containment::kill(victim);
        eventually_gone(victim).await;
        assert_eq!(who(&rig.pool).await, pid);
    }
    who(&other).await;
    rig.end().await;
}
