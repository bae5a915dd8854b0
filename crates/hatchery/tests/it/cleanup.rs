//! The end of everything for a program that wants to leave now.

use std::collections::BTreeSet;
use std::future::pending;
use std::time::Duration;

use hatchery::{Error, ErrorKind, Event, Hatchery, LayerState, RunEvent, ScriptTimeouts, StopGraces};
use rustix::process::Signal;
use serde_json::json;

use crate::containment::signal;
use crate::ends::patient;
use crate::{PATIENCE, Rig, app, eventually, eventually_gone, exists, misbehaving, spawn};

/// A process that this test has stopped. It goes on when the test does not, too.
struct Stopped(i32);

impl Stopped {
    fn by_us(pid: i32) -> Stopped {
        signal(pid, Signal::STOP);
        Stopped(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, Signal::CONT);
    }
}

#[tokio::test]
async fn processes_are_those_that_were_started() {
    let rig = Rig::basics(2).await;
    let processes = rig.hatchery.processes();
    let pids: Vec<i32> = processes.iter().map(|entry| entry.pid.unwrap().cast_signed()).collect();
    let workers: BTreeSet<_> = processes.iter().map(|entry| entry.worker.as_str()).collect();
    assert_eq!(
        workers,
        BTreeSet::from(["default-1", "default-2", "default-template"]),
        "in whatever order they were started"
    );
    assert!(rig.pids().iter().all(|pid| pids.contains(pid)));
    assert!(processes.iter().all(|entry| entry.run == rig.hatchery.run_id()));
    rig.hatchery.shutdown().await.unwrap();
    assert!(rig.hatchery.processes().is_empty());
}

#[tokio::test]
async fn the_registry_of_a_run_answers_by_every_key() {
    let rig = Rig::basics(2).await;
    let registry = rig.hatchery.registry();
    let entry = registry.by_worker("default-1").unwrap();
    let pid = entry.pid.unwrap();
    assert_eq!(registry.by_pid(pid).unwrap(), entry);
    assert_eq!(registry.by_fingerprint(&entry.fingerprint).unwrap(), entry);
    assert!(registry.by_worker("default-3").is_none() && registry.by_pid(1).is_none());
    assert_eq!(entry.process_group, Some(pid), "a worker leads a group");
    assert!(registry.record().is_some());
    if rig
        .hatchery
        .guarantee()
        .layers()
        .iter()
        .any(|layer| layer.name == "mark" && matches!(layer.state, LayerState::Holds(_)))
    {
        assert_eq!(registry.is_proven(&entry.fingerprint), Some(true));
    }
    assert_eq!((registry.pids().len(), registry.active_pids().len()), (3, 3), "two workers and their template");
    let statistics = registry.statistics();
    assert_eq!((statistics.registered, statistics.alive, statistics.dead), (3, 3, 0));
    assert!(registry.dead().is_empty());
    rig.hatchery.shutdown().await.unwrap();
    let registry = rig.hatchery.registry();
    assert!(registry.entries().is_empty() && registry.pids().is_empty() && registry.record().is_none());
}

#[tokio::test]
async fn everything_ends_at_once_however_deaf_and_a_second_time_there_is_nothing_to_do() {
    let rig = Rig::of(Hatchery::builder().pool("default", misbehaving("ignores_everything")).workers(2)).await;
    let pids = rig.pids();
    let cleanup = rig.hatchery.cleanup(PATIENCE).await;
    assert!(cleanup.is_complete() && cleanup.ended == 2, "{cleanup:?}");
    assert!(pids.into_iter().all(|pid| !exists(pid)));
    assert!(rig.hatchery.processes().is_empty());
    let again = rig.hatchery.cleanup(Duration::ZERO).await;
    assert!(again.is_complete() && again.ended == 0, "{again:?}");
    rig.hatchery.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_a_worker_left_behind_ends_too() {
    let rig = Rig::of(Hatchery::builder().pool("default", app("confined.py"))).await;
    let daemon = rig.daemon("daemon").await;
    assert!(rig.hatchery.cleanup(PATIENCE).await.is_complete());
    assert!(!exists(daemon));
}

#[tokio::test]
async fn after_a_shutdown_there_is_nothing_to_do() {
    let rig = Rig::basics(1).await;
    rig.hatchery.shutdown().await.unwrap();
    let cleanup = rig.hatchery.cleanup(Duration::ZERO).await;
    assert!(cleanup.is_complete() && cleanup.ended == 0, "{cleanup:?}");
}

#[tokio::test]
async fn a_shutdown_that_waits_is_cut_short() {
    let rig = Rig::of(patient()).await;
    let (pool, never) = (rig.pool.clone(), rig.path("never"));
    let running = spawn(async move { pool.call::<bool>("wait_for_file", json!({"path": never})).await });
    eventually("the worker is busy", || rig.pool.workers()[0].state == "busy").await;
    let hatchery = crate::shared(rig.hatchery);
    let ending = spawn({
        let hatchery = hatchery.clone();
        async move { hatchery.shutdown().await }
    });
    eventually("the worker drains", || rig.pool.workers()[0].state == "draining").await;
    assert!(hatchery.cleanup(PATIENCE).await.is_complete());
    assert!(running.await.unwrap().is_err());
    ending.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_still_there_is_named_and_does_not_hold_up_the_caller() {
    let mut rig = Rig::of(Hatchery::builder().pool("default", misbehaving("ignores_everything"))).await;
    let (keeper, guardian) = rig.guarded().await;
    // Nobody hears the order: as good as a process that the kernel holds, and it can be let go.
    let stopped = [Stopped::by_us(keeper), Stopped::by_us(guardian)];
    let pid = rig.pids()[0];
    let cleanup = rig.hatchery.cleanup(Duration::ZERO).await;
    let [survivor] = cleanup.survivors.as_slice() else { panic!("{cleanup:?}") };
    assert_eq!((survivor.worker.as_str(), survivor.pid, cleanup.ended), ("default-1", pid, 0));
    // Between two signals that it ignores it sleeps, and while it ignores one it runs.
    let is_held = |state| survivor.held_by.starts_with(state);
    assert!(is_held("state S") || is_held("state R"), "{survivor}");
    assert!(survivor.command.contains("python"), "{survivor:?}");
    drop(stopped);
    assert!(rig.hatchery.cleanup(PATIENCE).await.is_complete());
    eventually_gone(pid).await;
}

#[tokio::test]
async fn a_script_whose_workers_do_not_go_in_time_has_them_killed() {
    let graces = StopGraces { ask: Duration::from_secs(600), term: Duration::from_secs(600) };
    let deaf = Hatchery::builder().pool("default", misbehaving("ignores_everything")).stop(graces);
    let timeouts = ScriptTimeouts::default().shutdown(Duration::from_millis(1));
    let work = async |hatchery: &Hatchery| Ok::<_, Error>(hatchery.registry().pids()[0]);
    let pid = tokio::time::timeout(PATIENCE, deaf.run(timeouts, pending(), work)).await.unwrap().unwrap();
    assert!(!exists(pid.cast_signed()));
}

#[tokio::test]
async fn a_script_names_what_the_kernel_holds_and_does_not_wait_for_it_longer_than_it_may() {
    let mut builder = Hatchery::builder().pool("default", misbehaving("ignores_everything"));
    let mut events = builder.events();
    let (tell, told) = std::sync::mpsc::channel();
    let work = async |hatchery: &Hatchery| {
        let guards = loop {
            if let Some(Event::Run(RunEvent::Guarded { keeper, guardian })) = events.next().await {
                break [keeper, guardian];
            }
        };
        tell.send((guards.map(Stopped::by_us), hatchery.registry().pids()[0])).unwrap();
        Ok::<_, Error>(())
    };
    let timeouts = ScriptTimeouts::default().shutdown(Duration::ZERO).cleanup(Duration::ZERO);
    let error = builder.run(timeouts, pending(), work).await.unwrap_err();
    let (stopped, pid) = told.recv().unwrap();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().contains(&format!("default-1 (pid {pid}")), "{error}");
    drop(stopped);
    eventually_gone(pid.cast_signed()).await;
}
