//! Every step of a worker's life (its spawn, its handshake, a reply, a heartbeat, its exit) goes well, late, wrong or not at all, in
//! every combination that there is. However it comes: every future ends, no call keeps a place, and no row, process or descriptor
//! is left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hatchery::{
    Affinity, CallOptions, CommandApp, EntryState, Error, ErrorKind, Event, Events, Hatchery, Heartbeat, Pool,
    Restarts, Timeouts, WorkerEvent,
};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::call;
use crate::{PATIENCE, eventually, exists, fixture};

const WAYS: [&str; 4] = ["ok", "slow", "err", "never"];

/// Combinations at once: as many as keep two cores busy while most of them wait.
const AT_ONCE: usize = 8;

/// How a worker comes to run, besides `ok` and `slow`.
const NO_PROGRAM: &str = "missing";
const NO_RIGHT: &str = "not executable";

#[derive(Clone, Copy, Debug)]
struct Fates {
    spawn: &'static str,
    handshake: &'static str,
    reply: &'static str,
    heartbeat: &'static str,
    exit: &'static str,
}

/// What the step comes to that is not looked at.
const WELL: Fates = Fates { spawn: "ok", handshake: "ok", reply: "ok", heartbeat: "ok", exit: "ok" };

impl Fates {
    /// A worker that is not spawned has no other fate, and one that does not shake hands has an exit only.
    fn all() -> Vec<Fates> {
        let mut all = vec![Fates { spawn: NO_PROGRAM, ..WELL }, Fates { spawn: NO_RIGHT, ..WELL }];
        for (spawn, exit) in pairs(["ok", "slow"], WAYS) {
            all.extend(["err", "never"].map(|handshake| Fates { spawn, handshake, exit, ..WELL }));
            for ((handshake, reply), heartbeat) in pairs(pairs(["ok", "slow"], WAYS), WAYS) {
                all.push(Fates { spawn, handshake, reply, heartbeat, exit });
            }
        }
        all
    }

    /// Of those that come up in more than one way, one each: every pair of steps is among them in all of its ways.
    fn spread() -> Vec<Fates> {
        let place = |way| WAYS.iter().position(|other| *other == way).unwrap_or_default();
        let is_chosen = |fates: &Fates| {
            let [reply, heartbeat, exit] = [fates.reply, fates.heartbeat, fates.exit].map(place);
            [fates.spawn, fates.handshake].map(place) == [(exit + reply) % 2, (reply + heartbeat) % 2]
        };
        Fates::all().into_iter().filter(|fates| !fates.comes_up() || is_chosen(fates)).collect()
    }

    fn app(&self, dir: &Path) -> CommandApp {
        let Fates { spawn, handshake, reply, heartbeat, exit } = self;
        let worker = fixture("workers").join("fated.py");
        let app = match *spawn {
            NO_PROGRAM => CommandApp::new(dir.join("nobody")),
            NO_RIGHT => CommandApp::new(written(dir.join("nothing"))),
            "slow" => CommandApp::new("sh").args(["-c", "sleep 0.05; exec \"$0\" \"$@\"", "python3"]).arg(worker),
            _ => CommandApp::new("python3").arg(worker),
        };
        app.env("FATES", format!("handshake={handshake} reply={reply} heartbeat={heartbeat} exit={exit}"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
    }

    fn comes_up(&self) -> bool {
        [self.spawn, self.handshake].iter().all(|step| matches!(*step, "ok" | "slow"))
    }

    /// Whether it may be ended for what it does, rather than for what it is told.
    fn is_mortal(&self) -> bool {
        matches!(self.heartbeat, "err" | "never") || self.reply == "never"
    }

    fn builder(&self, dir: &Path) -> hatchery::PoolBuilder {
        let start = if self.handshake == "never" { Duration::from_millis(300) } else { PATIENCE };
        let heartbeat = Heartbeat {
            // Asked only where the answer matters: a slow machine is no fate.
            enabled: self.heartbeat != "ok",
            interval: Duration::from_millis(20),
            timeout: if self.heartbeat == "never" { Duration::from_millis(100) } else { PATIENCE },
            max_missed: 2,
            while_busy: true,
            ..Heartbeat::default()
        };
        // What dies again and again is to be seen dying, not to be given up.
        let restarts = Restarts { max_failures: u32::MAX, max_backoff: Duration::from_millis(100) };
        Hatchery::builder()
            .pool("default", self.app(dir))
            .data_dir(dir.join("data"))
            .timeouts(Timeouts { start: Some(start), queue: Some(PATIENCE), ..Timeouts::default() })
            .heartbeat(heartbeat)
            .restarts(restarts)
            .cancel_grace(Duration::from_millis(50))
    }

    /// Start, call, drop the call, shut down; then nothing is left.
    async fn run(self) {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = self.builder(dir.path());
        let mut events = builder.events();
        match builder.start().await {
            Ok(hatchery) => {
                assert!(self.comes_up(), "it came up");
                self.live(&hatchery).await;
                hatchery.shutdown_within(Duration::from_millis(50)).await.unwrap();
                is_left_empty(&hatchery);
            }
            Err(error) => assert!(!self.comes_up(), "{error:?}"),
        }
        let left: Vec<i32> = started(&mut events).await.into_iter().filter(|pid| exists(*pid)).collect();
        assert_eq!(left, [0; 0], "processes are left");
        let rows = hatchery::registry_entries(&dir.path().join("data")).unwrap();
        assert!(rows.iter().all(|row| row.state == EntryState::Gone), "rows are left: {rows:?}");
    }

    async fn live(&self, hatchery: &Hatchery) {
        let pool = hatchery.pool("default").unwrap();
        // Only one that is never answered is late: a slow machine is no fate.
        let timeout = if self.reply == "never" { Duration::from_millis(200) } else { PATIENCE };
        let options = CallOptions::new().timeout(timeout);
        self.judge(pool.call_with("echo", json!({}), &options).await);
        // A session of its own, so that the binding goes the way of its worker.
        let strict = options.session("s").affinity(Affinity::StrictQueue);
        self.judge(pool.call_with("echo", json!({}), &strict).await);
        // One of the same name that was deleted knows nothing of it.
        assert!(hatchery.sessions().delete("s"));
        self.judge(pool.call_with("echo", json!({}), &strict).await);
        assert!(hatchery.sessions().delete("s"));
        drop_one(&pool).await;
        eventually("no call has a place", || {
            let status = pool.status();
            (status.running, status.queued) == (0, 0)
        })
        .await;
    }

    /// What a call may come to.
    fn judge(&self, result: Result<i64, Error>) {
        match (self.reply, result) {
            ("ok" | "slow", Ok(pid)) => assert!(pid > 0),
            ("err", Err(error)) if error.kind() == ErrorKind::Remote => {}
            ("never", Err(error)) if error.kind() == ErrorKind::Deadline => {}
            (_, Err(error)) if self.is_mortal() => assert!(is_a_death(&error), "{error:?}"),
            (_, other) => panic!("{other:?}"),
        }
    }
}

fn pairs<A: Copy, B: Copy>(
    left: impl IntoIterator<Item = A>,
    right: impl IntoIterator<Item = B> + Clone,
) -> Vec<(A, B)> {
    left.into_iter().flat_map(|left| right.clone().into_iter().map(move |right| (left, right))).collect()
}

fn written(path: PathBuf) -> PathBuf {
    std::fs::write(&path, "no program").unwrap();
    path
}

/// A call that is given up: at once, while it runs, or after it has ended, whatever comes first.
async fn drop_one(pool: &Pool) {
    let running = call(pool, "echo", json!({}), CallOptions::new().timeout(PATIENCE));
    eventually("it has begun", || running.is_finished() || pool.status().running + pool.status().queued > 0).await;
    running.abort();
    let _aborted = running.await;
}

fn is_a_death(error: &Error) -> bool {
    let is_lost = error.kind() == ErrorKind::Unavailable && super::reason(error) == "session_state_lost";
    is_lost || matches!(error.kind(), ErrorKind::WorkerDied | ErrorKind::Protocol)
}

fn is_left_empty(hatchery: &Hatchery) {
    assert!(hatchery.processes().is_empty(), "{:?}", hatchery.processes());
    assert!(hatchery.registry().active_pids().is_empty());
    assert!(hatchery.sessions().list().is_empty());
    for pool in hatchery.pools() {
        let status = pool.status();
        assert_eq!((status.running, status.queued, status.ready), (0, 0, 0), "{status:?}");
        assert_eq!(pool.workers()[0].state, "gone");
    }
}

/// The processes that were ever started; all events are here once the hatchery is gone.
async fn started(events: &mut Events) -> Vec<i32> {
    let mut pids = Vec::new();
    while let Some(event) = events.next().await {
        if let Event::Worker(WorkerEvent::Started { pid, .. }) = event {
            pids.push(pid);
        }
    }
    pids
}

async fn run_all(all: Vec<Fates>) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut combinations = JoinSet::new();
    for fates in all {
        let room = Arc::clone(&room);
        combinations.spawn(async move {
            let _permit = room.acquire().await.unwrap();
            // A task of its own, so that a panic names its combination.
            let run = tokio::time::timeout(PATIENCE, tokio::spawn(fates.run())).await;
            run.unwrap_or_else(|_| panic!("{fates:?} hangs")).unwrap_or_else(|error| panic!("{fates:?}: {error}"));
        });
    }
    while let Some(combination) = combinations.join_next().await {
        combination.unwrap();
    }
}

/// What this process has open, by what it is, and how often.
fn descriptors() -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        if let Ok(target) = std::fs::read_link(entry.unwrap().path()) {
            // Of what has no name, the number says nothing.
            let target = target.to_string_lossy().split(":[").next().unwrap().to_owned();
            *found.entry(target).or_default() += 1;
        }
    }
    found
}

/// In a process that does nothing else, in which descriptors can be counted.
#[expect(clippy::disallowed_methods, reason = "the test needs a process of its own")]
fn alone(test: &str) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("engine::matrix::{test}"), "--ignored", "--nocapture"])
        .env("HATCHERY_TEST_ALONE", "1")
        .output()
        .unwrap();
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn whatever_goes_wrong_nothing_is_left() {
    alone("a_spread_of_combinations");
}

#[test]
#[ignore = "takes a minute"]
fn whatever_goes_wrong_in_whatever_combination_nothing_is_left() {
    alone("every_combination");
}

fn and_nothing_is_open(all: Vec<Fates>) {
    if std::env::var_os("HATCHERY_TEST_ALONE").is_none() {
        return;
    }
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // What a process opens once and keeps is not what a combination leaves.
    runtime().block_on(run_all(vec![WELL]));
    let before = descriptors();
    runtime().block_on(run_all(all));
    let patience = Instant::now() + PATIENCE;
    while descriptors() != before && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(descriptors(), before, "descriptors are left");
}

#[test]
#[ignore = "run by whatever_goes_wrong_nothing_is_left, in a process of its own"]
fn a_spread_of_combinations() {
    let spread = Fates::spread();
    assert_eq!(spread.len(), 2 + 16 + 64);
    and_nothing_is_open(spread);
}

#[test]
#[ignore = "run by whatever_goes_wrong_in_whatever_combination_nothing_is_left, in a process of its own"]
fn every_combination() {
    let all = Fates::all();
    assert_eq!(all.len(), 2 + 16 + 256);
    and_nothing_is_open(all);
}
