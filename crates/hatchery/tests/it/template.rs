//! Workers that are forked from a template, with real processes.

mod cold;
mod deaths;
mod shared;

use std::collections::BTreeSet;

use hatchery::{Event, Hatchery, PoolBuilder, PoolEvent, RunEvent};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Rig, app};

/// What a worker says of itself.
#[derive(Debug, PartialEq, Deserialize)]
struct Facts {
    forked: bool,
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    mark: [u64; 2],
    worker: String,
    template: Option<String>,
    folder: String,
    arguments: Vec<String>,
    blocked: String,
    descriptors: Vec<i32>,
}

fn pool(workers: usize) -> PoolBuilder {
    Hatchery::builder().pool("default", app("forked.py")).workers(workers)
}

/// Not through the library: as somebody would who means harm.
fn kill(pid: i32) {
    let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(pidfd, Signal::KILL).unwrap();
}

impl Rig {
    async fn facts(&self) -> Facts {
        self.pool.call("facts", json!({})).await.unwrap()
    }

    /// The answer of each worker: all have a call at once, which takes a while.
    async fn each<T: DeserializeOwned + Send + 'static>(&self, tool: &'static str) -> Vec<T> {
        let call = |_| {
            let pool = self.pool.clone();
            tokio::spawn(async move { pool.call(tool, json!({ "seconds": 0.3 })).await.unwrap() })
        };
        let calls: Vec<_> = (0..self.pool.status().workers).map(call).collect();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await.unwrap());
        }
        answers
    }

    /// The pid of the next template that comes up.
    async fn template(&mut self) -> i32 {
        self.event(|event| match event {
            Event::Pool(PoolEvent::TemplateReady { pid, .. }) => Some(pid),
            _ => None,
        })
        .await
    }

    /// Why there is none.
    async fn cold_because(&mut self) -> String {
        self.event(|event| match event {
            Event::Pool(PoolEvent::ColdStarts { reason, .. }) => Some(reason),
            _ => None,
        })
        .await
    }
}

#[tokio::test]
async fn forked_workers_differ_from_cold_ones_in_nothing_but_their_birth() {
    let (mut forked, cold) = (Rig::of(pool(1)).await, Rig::of(pool(1).template(false)).await);
    let guardian = forked
        .event(|event| match event {
            Event::Run(RunEvent::Guarded { guardian, .. }) => Some(guardian),
            _ => None,
        })
        .await;
    let (own, other) = (forked.facts().await, cold.facts().await);
    assert!(own.forked && !other.forked);
    assert_eq!((own.parent, own.group, own.session), (guardian, own.pid, own.pid));
    assert_eq!(forked.pool.call::<i32>("death_signal", json!({})).await.unwrap(), 9);
    let same = Facts {
        forked: true,
        pid: own.pid,
        parent: own.parent,
        group: own.pid,
        session: own.pid,
        mark: own.mark,
        ..other
    };
    assert_eq!(own, same);
    forked.end().await;
    cold.end().await;
}

#[tokio::test]
async fn each_has_its_name_its_mark_and_its_entry_and_the_template_has_one_too() {
    let mut rig = Rig::of(pool(3)).await;
    let template = rig.template().await;
    let facts: Vec<Facts> = rig.each("facts").await;
    let names: BTreeSet<&str> = facts.iter().map(|facts| facts.worker.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["default-1", "default-2", "default-3"]));
    let marks: BTreeSet<[u64; 2]> = facts.iter().map(|facts| facts.mark).collect();
    assert_eq!(marks.len(), 3);
    let entries = rig.hatchery.processes();
    let entry = |pid: i32| entries.iter().find(|entry| entry.pid == Some(pid.unsigned_abs())).unwrap();
    for Facts { pid, mark, worker, .. } in &facts {
        let entry = entry(*pid);
        assert_eq!((&entry.worker, u64::from(entry.number)), (worker, mark[0] & ((1 << 22) - 1)));
    }
    assert_eq!(entry(template).worker, "default-template");
    assert_eq!((entries.len(), rig.pool.workers().len()), (4, 3), "the template is no worker");
    rig.end().await;
}

#[tokio::test]
async fn a_namespace_of_their_own_is_the_template_s_too() {
    let rig = pool(2).containment(hatchery::Containment::PidNamespace);
    let dir = tempfile::tempdir().unwrap();
    let hatchery = match rig.data_dir(dir.path()).start().await {
        Ok(hatchery) => hatchery,
        Err(error) => return println!("not checked: {error}"),
    };
    let facts: Facts = hatchery.pool("default").unwrap().call("facts", json!({})).await.unwrap();
    assert!(facts.forked && facts.parent == 1, "{facts:?}");
    hatchery.shutdown().await.unwrap();
}

#[tokio::test]
async fn limits_hold_for_each_alone() {
    let limits = hatchery::ResourceLimits { open_files: Some(200), processes: Some(300), ..Default::default() };
    let dir = tempfile::tempdir().unwrap();
    let hatchery = match pool(2).resources(limits).data_dir(dir.path()).start().await {
        Ok(hatchery) => hatchery,
        Err(error) => return println!("not checked: {error}"),
    };
    let pool = hatchery.pool("default").unwrap();
    let facts: Facts = pool.call("facts", json!({})).await.unwrap();
    assert!(facts.forked);
    let groups: BTreeSet<String> = pool
        .workers()
        .iter()
        .map(|worker| std::fs::read_to_string(format!("/proc/{}/cgroup", worker.pid.unwrap())).unwrap())
        .collect();
    assert_eq!(groups.len(), 2, "each is in a group of its own: {groups:?}");
    hatchery.shutdown().await.unwrap();
}
