//! A configuration that is read anew, and what of it a hatchery that runs obeys.

use std::path::Path;

use hatchery::{CallOptions, Config, ErrorKind, Hatchery, Reconfigured};
use serde_json::{Value, json};

use super::{Gated, assert_kind, call, ended, engine, eventually_queued, eventually_ready};
use crate::{PATIENCE, Rig, eventually, eventually_gone, spawn};

const APP: &str = "
import os, time
from hatchery import tool

@tool
def variable(name: str) -> str:
    return os.environ.get(name, '')

@tool
def wait_for_file(path: str, started: str = '') -> int:
    if started:
        open(started, 'w').close()
    while not os.path.exists(path):
        time.sleep(0.002)
    return os.getpid()

@tool
def die() -> None:
    os._exit(7)
";

/// Configurations of one app, in a folder of their own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app.py"), APP).unwrap();
        Folder(folder)
    }

    /// One whose pool says this besides its name and app.
    fn saying(&self, pool: &str) -> Config {
        self.whole(&format!("[[pools]]\nname = \"default\"\napp = \"app.py\"\n{pool}\n"))
    }

    fn whole(&self, text: &str) -> Config {
        Config::parse(text, &self.0.path().join("hatchery.toml")).unwrap()
    }

    async fn start(&self, config: &Config) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = Hatchery::builder().configure(config).data_dir(dir.path().join("data"));
        let events = builder.events();
        let hatchery = tokio::time::timeout(PATIENCE, builder.start()).await.expect("starts in time").expect("starts");
        let pool = hatchery.pool("default").unwrap();
        Rig { hatchery, pool, events, dir }
    }
}

fn restarts(report: &Reconfigured) -> Vec<&str> {
    report.needs_restart.iter().map(|it| it.key.as_str()).collect()
}

async fn variable(rig: &Rig, name: &str) -> String {
    rig.pool.call("variable", json!({"name": name})).await.unwrap()
}

#[tokio::test]
async fn what_needs_no_other_worker_holds_from_the_next_call_on() {
    let folder = Folder::new();
    let rig = folder.start(&folder.saying("max_queue = 0")).await;
    let pid = rig.pids()[0];
    let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
    assert_kind(rig.pool.call::<Value>("die", json!({})).await, ErrorKind::Saturated);
    let report = rig.hatchery.reconfigure(&folder.saying("max_queue = 5\ntimeouts = { queue = \"20ms\" }")).unwrap();
    assert_eq!(report.applied, ["pools.default.max_queue", "pools.default.timeouts.queue"]);
    assert_eq!(restarts(&report), [""; 0]);
    assert!(report.unchanged > 30, "{report:?}");
    let error = assert_kind(rig.pool.call::<Value>("die", json!({})).await, ErrorKind::Deadline);
    assert!(error.message().contains("20ms") || error.message().contains("queue"), "{error}");
    let again = rig.hatchery.reconfigure(&folder.saying("max_queue = 5\ntimeouts = { queue = \"20ms\" }")).unwrap();
    assert_eq!((again.applied.len(), again.unchanged), (0, report.unchanged + 2), "nothing is left to do");
    rig.hatchery.reconfigure(&folder.saying("")).unwrap();
    let waiting = call(&rig.pool, "variable", json!({"name": "A"}), CallOptions::new());
    eventually_queued(&rig.pool, 1).await;
    assert_eq!(gated.finish().await.unwrap(), pid, "no worker was replaced");
    assert_eq!(ended(waiting).await.unwrap(), "", "what is not said any more is as usual");
    rig.end().await;
}

#[tokio::test]
async fn a_pool_grows_as_its_configuration_and_stays_as_somebody_scaled_it_if_that_says_nothing_new() {
    let folder = Folder::new();
    let rig = folder.start(&folder.saying("workers = 1")).await;
    let report = rig.hatchery.reconfigure(&folder.saying("workers = 3")).unwrap();
    assert_eq!(report.applied, ["pools.default.workers"]);
    eventually_ready(&rig.pool, 3).await;
    rig.pool.scale(2).unwrap();
    rig.hatchery.reconfigure(&folder.saying("workers = 3\nmax_queue = 7")).unwrap();
    assert_eq!(rig.pool.status().workers, 2);
    rig.hatchery.reconfigure(&folder.saying("workers = 1")).unwrap();
    eventually("one is left", || rig.pids().len() == 1).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_is_started_with_comes_with_others_and_no_call_is_lost() {
    let folder = Folder::new();
    let rig = folder.start(&folder.saying("workers = 2\nenv = { SHOP = \"old\" }")).await;
    assert_eq!(variable(&rig, "SHOP").await, "old");
    let pids = rig.pids();
    let over = crate::shared(std::sync::atomic::AtomicBool::new(false));
    let (pool, seen) = (rig.pool.clone(), over.clone());
    let load = spawn(async move {
        while !seen.load(std::sync::atomic::Ordering::SeqCst) {
            let word: String = pool.call("variable", json!({"name": "SHOP"})).await.expect("no call fails");
            assert!(["old", "new"].contains(&word.as_str()), "{word}");
        }
    });
    let new = "workers = 2\nenv = { SHOP = \"new\" }\npreload = [\"decimal\"]\nlimits = { open_files = 512 }";
    let report = rig.hatchery.reconfigure(&folder.saying(new)).unwrap();
    let expected = ["pools.default.env", "pools.default.preload", "pools.default.limits.open_files"];
    assert_eq!(report.applied, expected);
    for pid in pids {
        eventually_gone(pid).await;
    }
    eventually_ready(&rig.pool, 2).await;
    over.store(true, std::sync::atomic::Ordering::SeqCst);
    ended(load).await;
    assert_eq!(variable(&rig, "SHOP").await, "new");
    assert_eq!(rig.pool.stats().errors, 0);
    for pid in rig.pids() {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert!(files.contains(" 512 "), "{files}");
    }
    rig.end().await;
}

#[tokio::test]
async fn a_shorter_pause_between_looks_holds_at_once_and_not_after_the_old_one() {
    let folder = Folder::new();
    let rig = folder.start(&folder.saying("recycle = { ttl = \"1ms\", check = \"1h\" }")).await;
    let pid = rig.pids()[0];
    let report = rig.hatchery.reconfigure(&folder.saying("recycle = { ttl = \"1ms\", check = \"10ms\" }")).unwrap();
    assert_eq!(report.applied, ["pools.default.recycle"]);
    eventually_gone(pid).await;
    rig.end().await;
}

#[tokio::test]
async fn a_call_ends_under_the_rules_under_which_it_was_made() {
    let folder = Folder::new();
    let rig = folder.start(&folder.saying("on_timeout = \"kill\"")).await;
    let soon = CallOptions::new().timeout(std::time::Duration::from_millis(500));
    let gated = Gated::begin(&rig, "gate", &soon).await;
    let report = rig.hatchery.reconfigure(&folder.saying("on_timeout = \"abandon\"")).unwrap();
    assert_eq!(report.applied, ["pools.default.on_timeout"]);
    assert_kind(ended(gated.call).await, ErrorKind::Deadline);
    eventually("its worker was told", || rig.pool.status().running == 0).await;
    rig.end().await;
}

#[tokio::test]
async fn what_cannot_be_changed_is_named_with_its_reason_each_time_and_the_rest_holds() {
    let folder = Folder::new();
    let rig = folder.start(&folder.saying("")).await;
    let pid = rig.pids()[0];
    let pool = "profile = \"thread\"\nthreads_per_worker = 4\non_escape = \"report\"\nmax_queue = 3";
    let other = "[[pools]]\nname = \"other\"\napp = \"app.py\"\n";
    let text = format!(
        "[instance]\nname = \"shop\"\n[sessions]\nmax = 5\n[server]\nlisten = \"127.0.0.1:1\"\n{other}[[pools]]\nname = \"default\"\napp = \"app.py\"\n{pool}\n"
    );
    let report = rig.hatchery.reconfigure(&folder.whole(&text)).unwrap();
    let expected = ["instance", "sessions", "pools.other", "pools.default.profile", "pools.default.on_escape"];
    assert_eq!(restarts(&report), expected);
    assert!(report.needs_restart.iter().all(|it| !it.reason.is_empty()), "{report:?}");
    assert_eq!(report.applied, ["pools.default.max_queue"]);
    let again = rig.hatchery.reconfigure(&folder.whole(&text)).unwrap();
    assert_eq!((restarts(&again), again.applied.len()), (expected.to_vec(), 0));
    let gone = rig.hatchery.reconfigure(&folder.whole(other)).unwrap();
    assert_eq!(restarts(&gone), ["pools.other", "pools.default"]);
    assert_eq!((rig.pids(), rig.hatchery.pools().count()), (vec![pid], 1));
    let said = serde_json::to_value(&gone).unwrap();
    assert_eq!(said["needs_restart"][0]["key"], "pools.other");
    rig.end().await;
}

#[tokio::test]
async fn what_is_known_of_faults_stays_where_its_settings_do() {
    let folder = Folder::new();
    let breaker = "breaker = { failures = 1, reset = \"1h\" }";
    let rig = folder.start(&folder.saying(breaker)).await;
    assert_kind(rig.pool.call::<Value>("die", json!({})).await, ErrorKind::WorkerDied);
    assert_kind(rig.pool.call::<Value>("die", json!({})).await, ErrorKind::Unavailable);
    rig.hatchery.reconfigure(&folder.saying(&format!("{breaker}\nretry = {{ attempts = 2 }}"))).unwrap();
    assert_kind(rig.pool.call::<Value>("die", json!({})).await, ErrorKind::Unavailable);
    let report = rig.hatchery.reconfigure(&folder.saying("")).unwrap();
    assert_eq!(report.applied, ["pools.default.retry", "pools.default.breaker"]);
    assert!(rig.pool.breakers().is_none());
    assert_eq!(variable(&rig, "A").await, "");
    rig.end().await;
}

#[tokio::test]
async fn one_that_was_not_made_from_a_configuration_or_has_ended_obeys_none() {
    let folder = Folder::new();
    let config = folder.saying("");
    let built = Rig::of(engine()).await;
    let error = assert_kind(built.hatchery.reconfigure(&config), ErrorKind::Validation);
    assert!(error.message().contains("not made from a configuration"), "{error}");
    built.end().await;

    let rig = folder.start(&config).await;
    rig.hatchery.shutdown().await.unwrap();
    assert_kind(rig.hatchery.reconfigure(&folder.saying("workers = 2")), ErrorKind::Unavailable);
    assert!(Path::new(&rig.path("data")).exists());
    rig.end().await;
}

#[tokio::test]
async fn which_events_are_told_is_told_to_those_that_run_and_to_those_that_come() {
    const TELLING: &str = "
from hatchery import Context, tool

@tool
def tell(ctx: Context, name: str, round: int) -> None:
    ctx.emit(name, {'round': round})
";
    let folder = Folder::new();
    std::fs::write(folder.0.path().join("app.py"), TELLING).unwrap();
    let mut rig = folder.start(&folder.saying("telemetry.deny = [\"a.*\"]")).await;
    until_only(&mut rig, "a.b", "b.a").await;
    let before = rig.pids();
    let report = rig.hatchery.reconfigure(&folder.saying("telemetry.allow = [\"a.*\"]")).unwrap();
    assert_eq!(report.applied, ["pools.default.telemetry"]);
    until_only(&mut rig, "b.a", "a.b").await;
    assert_eq!(rig.pids(), before, "they were told, not replaced");
    rig.pool.set_telemetry(&hatchery::Telemetry { deny: Some(vec!["*.b".to_owned()]), ..Default::default() }).unwrap();
    rig.pool.reload();
    eventually("another worker serves", || rig.pids().len() == 1 && rig.pids() != before).await;
    until_only(&mut rig, "a.b", "a.c").await;
    rig.end().await;
}

/// Tools emit an event of each of the two names, in rounds, until the second is told and the first is not: orders overtake calls, and calls
/// orders.
async fn until_only(rig: &mut Rig, unwanted: &str, wanted: &str) {
    let obeyed = async {
        for round in 0.. {
            for name in [unwanted, wanted] {
                rig.pool.call::<Value>("tell", json!({ "name": name, "round": round })).await.unwrap();
            }
            if first_of(rig, round).await == wanted {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, obeyed).await.unwrap_or_else(|_| panic!("{unwanted} is told, or {wanted} is not"));
}

async fn first_of(rig: &mut Rig, round: i64) -> String {
    loop {
        match rig.events.next().await.unwrap() {
            hatchery::Event::Tool(event) if event.measurements["round"] == round => return event.name,
            _ => {}
        }
    }
}
