//! What is promised about processes, seen from a program that embeds hatchery.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::Path;

use hatchery::fault::{Crash, CrashClass};
use hatchery::{
    Containment, Error, ErrorKind, Event, Hatchery, LayerState, OnEscape, PoolBuilder, ResourceLimits, RunEvent,
    ScriptTimeouts, WorkerEvent,
};
use rustix::process::{Pid, PidfdFlags, Signal, getuid, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};

use crate::{PATIENCE, Rig, app, eventually, eventually_gone, exists, fixture, misbehaving};

fn confined() -> PoolBuilder {
    Hatchery::builder().pool("default", app("confined.py"))
}

impl Rig {
    /// Keeper and guardian.
    pub(crate) async fn guarded(&mut self) -> (i32, i32) {
        self.event(|event| match event {
            Event::Run(RunEvent::Guarded { keeper, guardian }) => Some((keeper, guardian)),
            _ => None,
        })
        .await
    }

    /// Has the worker leave a daemon behind.
    pub(crate) async fn daemon(&self, name: &str) -> i32 {
        let path = self.path(name);
        self.pool.call::<Value>("daemonize", json!({"path": path})).await.unwrap();
        crate::eventually_file(&path).await;
        std::fs::read_to_string(&path).unwrap().parse().unwrap()
    }
}

/// A process that is known to be the test's own: a worker, a guardian, a daemon of a worker.
pub(crate) fn signal(pid: i32, signal: Signal) {
    let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&pidfd, signal).unwrap();
}

pub(crate) fn kill(pid: i32) {
    signal(pid, Signal::KILL);
}

fn is_root() -> bool {
    getuid().is_root()
}

#[tokio::test]
async fn a_daemon_ends_with_its_worker() {
    let mut rig = Rig::of(confined()).await;
    let daemon = rig.daemon("daemon").await;
    let worker = rig.pids()[0];
    kill(worker);
    let (ended, left) = rig
        .event(|event| match event {
            Event::Run(RunEvent::Escaped { ended, left, .. }) => Some((ended, left)),
            _ => None,
        })
        .await;
    assert_eq!((ended, left), (1, vec![]));
    eventually_gone(daemon).await;
    rig.ready().await;
    rig.end().await;
}

#[tokio::test]
async fn a_daemon_ends_with_the_shutdown() {
    let rig = Rig::of(confined()).await;
    let daemon = rig.daemon("daemon").await;
    rig.end().await;
    assert!(!exists(daemon), "the shutdown waits for it");
}

#[tokio::test]
async fn a_daemon_ends_with_a_dropped_hatchery() {
    let rig = Rig::of(confined()).await;
    let daemon = rig.daemon("daemon").await;
    drop(rig.hatchery);
    eventually_gone(daemon).await;
}

#[tokio::test]
async fn a_daemon_that_may_stay_is_named_and_ends_with_the_run() {
    let mut rig = Rig::of(confined().on_escape(OnEscape::Report)).await;
    let daemon = rig.daemon("daemon").await;
    kill(rig.pids()[0]);
    let left = rig
        .event(|event| match event {
            Event::Run(RunEvent::Escaped { left, .. }) => Some(left),
            _ => None,
        })
        .await;
    assert_eq!(left, [daemon as u32]);
    rig.ready().await;
    assert!(exists(daemon));
    rig.end().await;
    assert!(!exists(daemon), "it ends with the run");
}

#[tokio::test]
async fn an_adopted_daemon_outlives_the_run() {
    let rig = Rig::of(confined().on_escape(OnEscape::Adopt)).await;
    let daemon = rig.daemon("daemon").await;
    rig.end().await;
    assert!(exists(daemon));
    kill(daemon);
    eventually_gone(daemon).await;
}

#[tokio::test]
async fn a_killed_guardian_takes_its_workers_down_and_another_takes_over() {
    let mut rig = Rig::of(confined().workers(2)).await;
    let (keeper, guardian) = rig.guarded().await;
    let (workers, daemon) = (rig.pids(), rig.daemon("daemon").await);
    kill(guardian);
    rig.event(|event| matches!(event, Event::Run(RunEvent::GuardianLost)).then_some(())).await;
    for pid in [workers[0], workers[1], daemon, keeper, guardian] {
        eventually_gone(pid).await;
    }
    let (other_keeper, other_guardian) = rig.guarded().await;
    assert!(other_keeper != keeper && other_guardian != guardian);
    rig.ready().await;
    assert!(rig.pool.call::<Value>("who", json!({})).await.is_ok());
    rig.end().await;
}

#[tokio::test]
async fn a_killed_keeper_takes_everything_down_and_another_takes_over() {
    let mut rig = Rig::of(confined()).await;
    let (keeper, guardian) = rig.guarded().await;
    let (worker, daemon) = (rig.pids()[0], rig.daemon("daemon").await);
    kill(keeper);
    for pid in [worker, daemon, guardian, keeper] {
        eventually_gone(pid).await;
    }
    rig.guarded().await;
    rig.ready().await;
    rig.end().await;
}

#[tokio::test]
async fn a_call_that_runs_when_the_guardian_is_killed_fails_with_a_typed_error() {
    let mut rig = Rig::of(Hatchery::builder().pool("default", app("basics.py"))).await;
    let (_, guardian) = rig.guarded().await;
    let (pool, gate) = (rig.pool.clone(), rig.path("gate"));
    let call = tokio::spawn(async move { pool.call::<bool>("wait_for_file", json!({"path": gate})).await });
    eventually("the call runs", || rig.pool.workers()[0].state == "busy").await;
    kill(guardian);
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}");
    assert!(error.message().contains("guardian"), "{error}");
    rig.end().await;
}

#[tokio::test]
async fn workers_do_not_inherit_what_the_guardian_sets_for_itself() {
    let rig = Rig::of(confined()).await;
    let who: BTreeMap<String, Value> = rig.pool.call("who", json!({})).await.unwrap();
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let core = rustix::process::getrlimit(rustix::process::Resource::Core);
    let number = |limit: Option<u64>| limit.map_or(json!(-1), |limit| json!(limit));
    assert_eq!(who["nofile"], json!([number(own.current), number(own.maximum)]));
    assert_eq!(who["core"], json!([number(core.current), number(core.maximum)]));
    let adjustment: i64 = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    assert_eq!((&who["oom_score_adj"], &who["no_new_privs"]), (&json!(adjustment), &json!("0")));
    rig.end().await;
}

#[tokio::test]
async fn no_new_privileges_and_open_files_are_set() {
    let limits = ResourceLimits { open_files: Some(77), ..ResourceLimits::default() };
    let rig = Rig::of(confined().no_new_privileges(true).resources(limits)).await;
    let who: BTreeMap<String, Value> = rig.pool.call("who", json!({})).await.unwrap();
    assert_eq!((&who["no_new_privs"], &who["nofile"]), (&json!("1"), &json!([77, 77])));
    rig.end().await;
}

#[tokio::test]
async fn workers_become_another_user() {
    if !is_root() {
        return eprintln!("skipped: only root can become another user");
    }
    // Neither the repository nor the runtime need be readable by others on this machine, so: a worker that needs neither.
    let whoami = hatchery::CommandApp::new("/bin/sh").arg("-c").arg("id -u; id -g; id -G; exit 3");
    let error = Hatchery::builder().pool("default", whoami).run_as(65534, 65534).start().await.err().unwrap();
    assert_eq!(error.last_output(), ["65534", "65534", "65534"], "{error}");
}

#[tokio::test]
async fn a_user_that_one_may_not_become_is_an_error() {
    if is_root() {
        return eprintln!("skipped: root may become anybody");
    }
    let error = confined().run_as(0, 0).start().await.err().unwrap();
    assert!(error.message().contains("become its user and group"), "{error}");
}

/// Whether this machine can limit memory for a group of processes, and their number.
fn has_controllers() -> bool {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    is_root() && groups.contains(":memory:") && groups.contains(":pids:")
}

#[tokio::test]
async fn a_worker_that_eats_too_much_is_said_to_have_done_so() {
    if !has_controllers() {
        return eprintln!("skipped: no memory controller can be used here");
    }
    let limits = ResourceLimits { memory: Some(64 << 20), ..ResourceLimits::default() };
    let rig = Rig::of(confined().resources(limits)).await;
    assert_eq!(rig.pool.call::<u64>("eat", json!({"mebibytes": 1})).await.unwrap(), 1 << 20);
    let error = rig.pool.call::<u64>("eat", json!({"mebibytes": 200})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerDied);
    assert!(error.message().contains("out of memory"), "{error}");
    assert_eq!(Crash::from_error(&error).unwrap().class, CrashClass::OutOfMemory);
    rig.end().await;
}

#[tokio::test]
async fn a_worker_gets_no_more_processes_than_it_may() {
    if !has_controllers() {
        return eprintln!("skipped: no pids controller can be used here");
    }
    let limits = ResourceLimits { processes: Some(10), ..ResourceLimits::default() };
    let rig = Rig::of(confined().resources(limits)).await;
    let forked: u64 = rig.pool.call("fork_many", json!({"count": 50})).await.unwrap();
    assert!((1..10).contains(&forked), "{forked}");
    rig.end().await;
}

#[tokio::test]
async fn limits_leave_no_groups_behind() {
    if !has_controllers() {
        return eprintln!("skipped: no controllers can be used here");
    }
    let limits = ResourceLimits { memory: Some(256 << 20), processes: Some(50), ..ResourceLimits::default() };
    let rig = Rig::of(confined().resources(limits)).await;
    let run = rig.hatchery.run_id().to_string();
    rig.end().await;
    eventually("its groups are gone", || groups_of(&run).is_empty()).await;
}

/// Every control group that bears the run's name, in the hierarchies where this process is.
fn groups_of(run: &str) -> Vec<String> {
    fn below(folder: &Path, run: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().contains(run) {
                    found.push(entry.path().display().to_string());
                }
                below(&entry.path(), run, found);
            }
        }
    }
    let mut found = Vec::new();
    below(Path::new("/sys/fs/cgroup"), run, &mut found);
    found
}

#[tokio::test]
async fn no_group_of_a_run_is_left() {
    let rig = Rig::of(confined()).await;
    let run = rig.hatchery.run_id().to_string();
    let cgroup = rig.hatchery.guarantee().layers().iter().any(|layer| layer.name == "cgroup leaf" && layer.holds());
    assert_eq!(groups_of(&run).is_empty(), !cgroup, "they are there if the guarantee says so");
    rig.end().await;
    assert_eq!(groups_of(&run), [""; 0]);
}

#[tokio::test]
async fn in_a_pid_namespace_a_worker_sees_only_its_own() {
    let rig = match confined().template(false).containment(Containment::PidNamespace).start().await {
        Ok(hatchery) => hatchery,
        Err(error) if error.kind() == ErrorKind::Unavailable => {
            return eprintln!("skipped: no PID namespace can be had here: {error}");
        }
        Err(error) => panic!("{error}"),
    };
    let pool = rig.pool("default").unwrap();
    let who: BTreeMap<String, Value> = pool.call("who", json!({})).await.unwrap();
    let (inside, outside) = (who["pid"].as_i64().unwrap(), pool.workers()[0].pid.unwrap());
    assert!(inside < 100 && i64::from(outside) != inside, "{inside} {outside}");
    assert_eq!(who["visible"], json!([1, inside]), "its init and itself");
    assert!(rig.guarantee().promise().contains("not even after kill -9"), "{:?}", rig.guarantee());
    rig.shutdown().await.unwrap();
    assert!(!exists(outside));
}

#[tokio::test]
async fn what_holds_is_said() {
    let rig = Rig::of(confined()).await;
    let guarantee = rig.hatchery.guarantee();
    assert!(guarantee.promise().starts_with("no orphan after kill -9 of the supervisor"), "{guarantee:?}");
    let pidns = guarantee.layers().iter().find(|layer| layer.name == "pid namespace").unwrap();
    assert_eq!(pidns.state, LayerState::NotAsked);
    rig.end().await;
}

#[tokio::test]
async fn a_script_ends_everything_whatever_happens() {
    let pid = |hatchery: &Hatchery| hatchery.pool("default").unwrap().workers()[0].pid.unwrap();
    let timeouts = ScriptTimeouts::default;

    let returned = confined().run(timeouts(), pending(), async |hatchery| Ok::<_, Error>(pid(hatchery))).await.unwrap();
    assert!(!exists(returned));

    let (tell, told) = std::sync::mpsc::channel();
    let failed = confined().run(timeouts(), pending(), async |hatchery| {
        tell.send(pid(hatchery)).unwrap();
        hatchery.pool("no such pool").map(drop)
    });
    assert_eq!(failed.await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!exists(told.recv().unwrap()));

    let (tell, told) = std::sync::mpsc::channel();
    let panicked = tokio::spawn(confined().run(timeouts(), pending(), async move |hatchery: &Hatchery| {
        tell.send(pid(hatchery)).unwrap();
        assert!(hatchery.pools().next().is_none(), "a panic in the middle of the work");
        Ok::<(), Error>(())
    }));
    assert!(panicked.await.unwrap_err().is_panic());
    assert!(!exists(told.recv().unwrap()));

    let stop = tokio::sync::Notify::new();
    let (tell, told) = std::sync::mpsc::channel();
    let stopped = confined().run(timeouts(), stop.notified(), async |hatchery| {
        tell.send(pid(hatchery)).unwrap();
        stop.notify_one();
        pending::<hatchery::Result<()>>().await
    });
    let error = tokio::time::timeout(PATIENCE, stopped).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(!exists(told.recv().unwrap()));
}

#[tokio::test]
async fn many_start_and_end_at_once() {
    let started = (0..8).map(|_| tokio::spawn(Rig::of(confined().workers(2))));
    let mut pids = Vec::new();
    let rigs: Vec<_> = started.collect();
    for rig in rigs {
        let rig = rig.await.unwrap();
        pids.extend(rig.pids());
        rig.end().await;
    }
    assert_eq!(pids.len(), 16);
    assert!(pids.into_iter().all(|pid| !exists(pid)));
}

#[tokio::test]
async fn a_worker_that_dies_while_it_starts_leaves_nothing() {
    let mut builder = Hatchery::builder().pool("default", misbehaving("exits_at_once"));
    let mut events = builder.events();
    builder.start().await.err().unwrap();
    let mut pid = None;
    while let Some(event) = events.next().await {
        if let Event::Worker(WorkerEvent::Started { pid: started, .. }) = event {
            pid = Some(started);
        }
    }
    assert!(!exists(pid.unwrap()));
    assert!(fixture("apps").exists());
}
