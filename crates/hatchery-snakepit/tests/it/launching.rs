//! How workers are started and how they end.

use hatchery::{ErrorKind, Event, Restarts, WorkerEvent};
use hatchery_snakepit::Bridge;
use serde_json::{Value, json};

use crate::rig::{Rig, app, eventually, exists, fault, pool, refusal, threaded};

/// What a process was started with.
fn started_with(pid: i32) -> (Vec<String>, Vec<String>) {
    let read = |name: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{name}")).unwrap();
        bytes.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    };
    (read("cmdline"), read("environ"))
}

fn value_of<'a>(args: &'a [String], flag: &str) -> &'a str {
    let at = args.iter().position(|arg| arg == flag).unwrap_or_else(|| panic!("no {flag} in {args:?}"));
    &args[at + 1]
}

/// Scenario 1, pitfall 21: nobody takes it for an orphan of another installation.
#[tokio::test]
async fn a_worker_is_started_with_what_the_contract_names() {
    let Some(rig) = Rig::plain().await else { return };
    let (args, env) = started_with(rig.pids()[0]);
    assert!(args[1].ends_with("/grpc_server.py"), "{args:?}");
    assert_eq!(value_of(&args, "--adapter"), "bridge_tools.full.Full");
    assert_eq!(value_of(&args, "--port"), "0");
    assert!(value_of(&args, "--elixir-address").starts_with("127.0.0.1:"), "{args:?}");
    let run = rig.hatchery.run_id();
    assert_eq!(value_of(&args, "--snakepit-instance-token"), run.to_string());
    assert_eq!(value_of(&args, "--snakepit-run-id"), run.short());
    for begin in ["SNAKEPIT_READY_FILE=/", "SNAKEPIT_HEARTBEAT_CONFIG={", "SNAKEPIT_PYTHON=/", "PYTHONUNBUFFERED=1"] {
        assert!(env.iter().any(|variable| variable.starts_with(begin)), "{begin} in {env:?}");
    }
    rig.end().await;
}

/// Scenario 2, pitfall 10.
#[tokio::test]
async fn a_readiness_file_may_be_empty_first() {
    let Some(rig) = Rig::fault("empty_readiness_first").await else { return };
    rig.is_well(&rig.pids()).await;
    rig.end().await;
}

/// Scenario 3.
#[tokio::test]
async fn an_adapter_that_cannot_be_imported_fails_the_start_with_what_it_said() {
    let Some(absent) = app("no_such_module.Adapter") else { return };
    let error = refusal(pool(absent)).await;
    assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}");
    assert!(error.last_output().iter().any(|line| line.contains("no_such_module")), "{error:?}");

    let error = refusal(pool(fault("exits_at_start").unwrap())).await;
    assert_eq!(error.message(), "start worker default-1: it died: exit status 7");
    assert_eq!(error.last_output(), ["no licence for this machine"]);
}

/// Scenario 4, pitfall 11: it does not hear SIGTERM before it is ready.
#[tokio::test]
async fn one_that_never_is_ready_does_not_outlive_the_pool() {
    let Some(deaf) = fault("never_ready") else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut builder = pool(deaf).data_dir(dir.path().join("data"));
    let mut events = builder.events();
    let starting = tokio::spawn(builder.start());
    let mut pid = 0;
    loop {
        match events.next().await.unwrap() {
            Event::Worker(WorkerEvent::Started { pid: started, .. }) => pid = started,
            Event::Worker(WorkerEvent::Log(log)) if log.message == "never" => break,
            _ => {}
        }
    }
    assert!(exists(pid));
    starting.abort();
    assert!(starting.await.is_err());
    eventually("it is gone", || !exists(pid)).await;
}

/// Scenario 4, for one that serves.
#[tokio::test]
async fn one_that_ignores_sigterm_is_killed() {
    let Some(deaf) = fault("ignores_sigterm") else { return };
    let short = hatchery::StopGraces { ask: std::time::Duration::ZERO, term: std::time::Duration::from_millis(100) };
    let rig = Rig::of(pool(deaf).stop(short)).await;
    rig.is_well(&rig.pids()).await;
    rig.end().await;
}

/// Scenario 5.
#[tokio::test]
async fn an_idle_one_leaves_by_itself_when_asked_to() {
    let Some(mut rig) = Rig::plain().await else { return };
    rig.pool.call::<Value>("ping", json!({})).await.unwrap();
    rig.hatchery.shutdown().await.unwrap();
    assert_eq!(rig.gone().await, ("exit status 0".to_owned(), true));
}

/// Scenario 5, threaded.
#[tokio::test]
async fn an_idle_threaded_one_leaves_by_itself_when_asked_to() {
    let Some(mut rig) = Rig::threaded(2).await else { return };
    rig.pool.call::<Value>("ping", json!({})).await.unwrap();
    rig.hatchery.shutdown().await.unwrap();
    assert_eq!(rig.gone().await, ("exit status 0".to_owned(), true));
}

/// Scenario 7, pitfall 7.
#[tokio::test]
async fn one_that_floods_its_output_serves_on() {
    let Some(rig) = Rig::fault("floods_stdout").await else { return };
    let pids = rig.pids();
    for _call in 0..5 {
        rig.is_well(&pids).await;
    }
    rig.end().await;
}

/// Scenario 8.
#[tokio::test]
async fn arguments_and_variables_reach_it() {
    let Some(app) = app("bridge_tools.full.Full") else { return };
    let app = app.adapter_args(["--heartbeat-independent"]).env("OMP_NUM_THREADS", "3").env("OF_THE_USER", "Ω");
    let rig = Rig::of(pool(app)).await;
    for (name, expected) in [("OMP_NUM_THREADS", "3"), ("OPENBLAS_NUM_THREADS", "1"), ("OF_THE_USER", "Ω")] {
        let seen = rig.call("environment", json!({ "name": name })).await.unwrap();
        assert_eq!(seen, json!({ "own": expected, "child": expected }), "{name}");
    }
    assert!(started_with(rig.pids()[0]).0.contains(&"--heartbeat-independent".to_owned()));
    rig.end().await;
}

/// Scenarios 9 and 30, pitfalls 8 and 9.
#[tokio::test]
async fn the_threaded_script_is_chosen_for_the_pool_that_asks_for_it() {
    let (Some(plain), Some(threaded)) = (app("bridge_tools.full.Full"), threaded(4)) else { return };
    let two = pool(plain).pool("threads", threaded.env("MARK", "--max-workers")).transport(Bridge::new());
    let rig = Rig::of(two.threads_per_worker(4)).await;
    let threads = rig.hatchery.pool("threads").unwrap();
    let of_threads = threads.call::<Value>("where", json!({})).await.unwrap();
    let pid = threads.workers()[0].pid.unwrap();
    assert_eq!(of_threads["pid"], pid);
    assert!(started_with(pid).0[1].ends_with("/grpc_server_threaded.py"));
    assert!(started_with(rig.pids()[0]).0[1].ends_with("/grpc_server.py"));
    let (one, other) = (rig.pool.workers(), threads.workers());
    assert!(one.iter().all(|worker| worker.pool == "default") && other.iter().all(|worker| worker.pool == "threads"));
    assert_eq!((rig.pool.stats().requests, threads.stats().requests), (0, 1));
    rig.end().await;
}

/// Pitfalls 8 and 9: flags are compared whole, and a lone one moves no other.
#[tokio::test]
async fn what_a_flag_resembles_does_not_stand_for_it() {
    let Some(app) = app("bridge_tools.full.Full") else { return };
    let app = app.adapter_args(["--heartbeat-enabled", "--snakepit-run-id", "a--port--max-workers"]);
    assert!(!app.is_threaded());
    let rig = Rig::of(pool(app)).await;
    let (args, _) = started_with(rig.pids()[0]);
    assert_eq!((value_of(&args, "--port"), value_of(&args, "--snakepit-run-id")), ("0", "a--port--max-workers"));
    rig.end().await;
}

/// Scenario 30.
#[tokio::test]
async fn a_pool_without_an_interpreter_leaves_the_others_alone() {
    let (Some(good), Some(bad)) = (app("bridge_tools.full.Full"), app("bridge_tools.full.Full")) else { return };
    let rig = Rig::of(pool(good).pool("bad", bad.python("/no/such/python")).transport(Bridge::new())).await;
    let bad = rig.hatchery.pool("bad").unwrap();
    let error = bad.call::<Value>("ping", json!({})).await.unwrap_err();
    assert!(error.message().contains("/no/such/python"), "{error}");
    assert_eq!((bad.status().state, bad.status().ready), ("unavailable", 0));
    rig.is_well(&rig.pids()).await;
    rig.end().await;
}

/// Scenario 30: names that nobody knows.
#[tokio::test]
async fn a_pool_that_is_not_there_is_named() {
    let Some(rig) = Rig::plain().await else { return };
    let error = rig.hatchery.pool("elsewhere").map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("elsewhere"), "{error}");
    rig.end().await;
}

/// Pitfall 12 and 13: it leads a group of its own from the start, and that group is not ours.
#[tokio::test]
async fn it_leads_a_group_of_its_own() {
    let Some(rig) = Rig::plain().await else { return };
    let group = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after_its_name = stat.rsplit_once(')').unwrap().1.to_owned();
        after_its_name.split_whitespace().nth(2).unwrap().parse::<i32>().unwrap()
    };
    let pid = rig.pids()[0];
    assert_eq!(group(&pid.to_string()), pid);
    assert_ne!(group("self"), pid);
    rig.end().await;
}

/// What is written for a port and is none, a port of nobody, one that is closed, one that speaks something else: each fails the start, and says
/// what was found.
#[tokio::test]
async fn a_worker_that_cannot_be_reached_fails_the_start() {
    for (name, kind, said) in [
        ("wrong_port", ErrorKind::Unavailable, "connect to its port"),
        ("closes_its_port", ErrorKind::Unavailable, "connect to its port"),
        ("speaks_no_grpc", ErrorKind::Protocol, "greet it on its port"),
    ] {
        let Some(app) = fault(name) else { return };
        let once = Restarts { max_failures: 1, ..Restarts::default() };
        let error = refusal(pool(app).restarts(once)).await;
        assert!(error.message().contains(said), "{name}: {error}");
        assert_eq!(error.kind(), kind, "{name}: {error}");
    }
}

/// Pitfall 10: what is no number is not written yet, until the time for the start is over.
#[tokio::test]
async fn one_that_never_says_a_port_is_late() {
    let Some(app) = fault("no_port") else { return };
    let start = Some(std::time::Duration::from_secs(10));
    let error = refusal(pool(app).timeouts(hatchery::Timeouts { start, ..hatchery::Timeouts::default() })).await;
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
}
