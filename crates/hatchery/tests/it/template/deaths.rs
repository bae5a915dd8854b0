//! The template is nobody's failure domain, and its workers are not each other's.

use std::time::Duration;

use hatchery::{Event, PoolEvent, RecycleReason, StopGraces};
use serde_json::json;

use super::super::{Rig, eventually, eventually_file, eventually_gone, exists};
use super::{Facts, kill, pool};

fn pids(workers: &[Facts]) -> Vec<i32> {
    let mut pids: Vec<i32> = workers.iter().map(|facts| facts.pid).collect();
    pids.sort_unstable();
    pids
}

#[tokio::test]
async fn a_template_that_is_killed_takes_nobody_with_it() {
    let mut rig = Rig::of(pool(8)).await;
    let template = rig.template().await;
    let before = pids(&rig.each("facts").await);
    kill(template);
    eventually_gone(template).await;
    assert_eq!(pids(&rig.each("facts").await), before, "all go on answering");
    rig.end().await;
}

#[tokio::test]
async fn the_next_worker_after_a_template_s_death_has_another_one_or_none() {
    let mut rig = Rig::of(pool(1)).await;
    let first = rig.template().await;
    kill(first);
    eventually_gone(first).await;
    let worker = rig.facts().await.pid;
    let _dies = rig.pool.call::<()>("die", json!({})).await;
    let next = rig.facts().await;
    assert_ne!(next.pid, worker);
    rig.end().await;
}

#[tokio::test]
async fn recycled_workers_come_from_the_same_template_and_reloaded_ones_from_a_new_one() {
    let mut rig = Rig::of(pool(2)).await;
    let template = rig.template().await;
    let recycled = |reason| {
        move |event| match event {
            Event::Pool(PoolEvent::Recycled { reason: said, .. }) if said == reason => Some(()),
            _ => None,
        }
    };
    rig.pool.recycle("default-1").unwrap();
    rig.event(recycled(RecycleReason::Manual)).await;
    assert!(exists(template));
    assert!(rig.each::<Facts>("facts").await.iter().all(|worker| worker.forked));
    rig.pool.reload();
    let next = rig.template().await;
    assert_ne!(next, template);
    eventually_gone(template).await;
    for _ in 0..2 {
        rig.event(recycled(RecycleReason::Reload)).await;
    }
    assert!(rig.each::<Facts>("facts").await.iter().all(|worker| worker.forked));
    rig.end().await;
}

#[tokio::test]
async fn one_that_does_not_want_to_end_is_ended_alone() {
    let graces = StopGraces { ask: Duration::ZERO, term: Duration::ZERO };
    let rig = Rig::of(pool(3).stop(graces)).await;
    let before = pids(&rig.each("facts").await);
    let file = rig.path("deaf");
    let (pool, args) = (rig.pool.clone(), json!({ "path": file }));
    let call = tokio::spawn(async move { pool.call::<()>("deaf", args).await });
    eventually_file(&file).await;
    call.abort();
    // Its call is given up, and it does not obey.
    eventually("one is gone", || before.iter().any(|pid| !exists(*pid))).await;
    rig.all_ready().await;
    let after = pids(&rig.each("facts").await);
    let same = after.iter().filter(|pid| before.contains(pid)).count();
    assert_eq!(same, 2, "{before:?} {after:?}");
    rig.end().await;
}

#[tokio::test]
async fn a_daemon_ends_with_its_own_worker_and_with_no_other() {
    let rig = Rig::of(pool(2)).await;
    let workers = pids(&rig.each("facts").await);
    let daemons: Vec<[i32; 2]> = rig.each("daemons").await;
    assert_ne!(daemons[0][0], daemons[1][0]);
    kill(daemons[0][0]);
    eventually_gone(daemons[0][1]).await;
    rig.all_ready().await;
    assert!(exists(daemons[1][1]), "it is the other's");
    assert!(workers.contains(&daemons[1][0]));
    rig.end().await;
    assert!(!exists(daemons[1][1]));
}

impl Rig {
    /// Waits until as many workers are ready as there are to be.
    async fn all_ready(&self) {
        eventually("all are ready", || self.pool.status().ready == self.pool.status().workers).await;
    }
}
