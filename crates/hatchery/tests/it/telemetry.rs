//! What is told of calls, sessions, starts and ends, and what is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchery::{
    CallOptions, EventFilter, Events, Hatchery, Metrics, PoolBuilder, PoolMetrics, ScriptTimeouts, Timeouts,
    ToolMetrics,
};
use serde_json::{Value, json};

use crate::{PATIENCE, Rig, app, eventually, eventually_file, spawn};

/// A rig whose own subscription is of these events.
async fn rig(events: &str, builder: PoolBuilder) -> Rig {
    let mut rig = Rig::of(builder).await;
    rig.events = heard(&rig.hatchery, events);
    rig
}

fn basics(workers: usize) -> PoolBuilder {
    Hatchery::builder().pool("default", app("basics.py")).workers(workers)
}

fn heard(hatchery: &Hatchery, filter: &str) -> Events {
    hatchery.events_matching(&filter.parse().unwrap())
}

impl Rig {
    async fn told(&mut self) -> Value {
        told(&mut self.events).await
    }

    fn tool(&self, name: Option<&str>) -> ToolMetrics {
        let tools = self.pool.metrics().tools;
        tools.into_iter().find(|metrics| metrics.tool.as_deref() == name).unwrap()
    }
}

async fn told(events: &mut Events) -> Value {
    let heard = tokio::time::timeout(PATIENCE, events.hear()).await.expect("an event comes");
    heard.map(|heard| heard.to_json()).expect("there are more events")
}

/// Without what differs from time to time.
fn stable(event: &Value) -> Value {
    let mut event = event.clone();
    let fields = event.as_object_mut().unwrap();
    fields.retain(|key, _| key != "at" && !key.ends_with("_seconds") && key != "pid");
    event
}

fn options(correlation_id: &str) -> CallOptions {
    CallOptions::new().correlation_id(correlation_id)
}

#[tokio::test]
async fn a_call_is_told_from_its_start_to_its_end() {
    let mut rig = rig("call.*", basics(1)).await;
    let one = options("one").session("s");
    rig.pool.call_with::<Value>("echo", json!({"value": 1}), &one).await.unwrap();
    let started = rig.told().await;
    let expected = json!({
        "name": "call.started", "pool": "default", "tool": "echo", "worker": "default-1", "generation": 1, "session": "s",
        "correlation_id": "one",
    });
    assert_eq!(stable(&started), expected);
    assert!(started["queue_seconds"].is_f64() && started["at"].as_f64() > Some(1.6e9), "{started}");
    let finished = rig.told().await;
    let expected = json!({
        "name": "call.finished", "pool": "default", "tool": "echo", "outcome": "ok", "worker": "default-1", "session": "s",
        "correlation_id": "one", "tries": 1,
    });
    assert_eq!(stable(&finished), expected);
    let seconds = |key: &str| finished[key].as_f64().unwrap();
    assert!(seconds("queue_seconds") + seconds("run_seconds") <= seconds("took_seconds"), "{finished}");
    rig.end().await;
}

#[tokio::test]
async fn however_a_call_ends_it_is_told_and_counted_once() {
    let mut rig = rig("call.finished", basics(1)).await;
    rig.pool.call::<Value>("fail", json!({"message": "m"})).await.unwrap_err();
    rig.pool.call::<Value>("fial", json!({})).await.unwrap_err();
    rig.pool.call::<Value>("countdown", json!({"n": 1})).await.unwrap_err();
    let started = rig.path("started");
    let given_up = spawn({
        let (pool, args) = (rig.pool.clone(), json!({"path": rig.path("told"), "started": started}));
        async move { pool.call::<()>("touch_when_cancelled", args).await }
    });
    eventually_file(&started).await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    let gate = json!({"path": rig.path("never")});
    let soon = CallOptions::new().timeout(Duration::from_millis(20));
    rig.pool.call_with::<()>("wait_for_file", gate, &soon).await.unwrap_err();
    rig.ready_again().await;
    rig.pool.call::<Value>("die", json!({})).await.unwrap_err();
    let expected = [
        ("fail", "remote", true),
        ("fial", "not_found", false),
        ("countdown", "validation", false),
        ("touch_when_cancelled", "cancelled", false),
        ("wait_for_file", "deadline", true),
        ("die", "worker_died", true),
    ];
    for (tool, outcome, ran) in expected {
        let event = rig.told().await;
        assert_eq!((&event["tool"], &event["outcome"]), (&json!(tool), &json!(outcome)), "{event}");
        assert_eq!(event["run_seconds"].is_f64(), ran, "{event}");
    }
    for (tool, outcome, _) in expected {
        let metrics = rig.tool((tool != "fial").then_some(tool));
        assert_eq!(metrics.calls, BTreeMap::from([(outcome, 1)]), "{tool}");
        assert_eq!(metrics.run.count(), u64::from(!["fial", "countdown"].contains(&tool)), "{tool} ran: {metrics:?}");
    }
    rig.end().await;
}

impl Rig {
    /// One whose call was given up may be ended for it.
    async fn ready_again(&self) {
        eventually("the worker is idle", || self.pool.workers()[0].state == "idle").await;
    }
}

#[tokio::test]
async fn what_callers_make_up_is_no_name_to_count_under() {
    let rig = Rig::of(basics(1)).await;
    for number in 0..50 {
        rig.pool.call::<Value>(&format!("made_up_{number}"), json!({})).await.unwrap_err();
        rig.pool.stream::<Value>(&format!("made_up_{number}"), json!({})).await.err().unwrap();
    }
    let tools = rig.pool.metrics().tools;
    let names: Vec<Option<&str>> = tools.iter().map(|metrics| metrics.tool.as_deref()).collect();
    assert_eq!(names.len(), rig.pool.tools().len() + 1);
    assert!(names.iter().flatten().all(|name| !name.starts_with("made_up")), "{names:?}");
    assert_eq!(rig.tool(None).calls, [("not_found", 100)].into());
    rig.end().await;
}

#[tokio::test]
async fn a_stream_is_a_call_whose_chunks_are_counted() {
    let mut rig = rig("call.finished", basics(1)).await;
    let mut ticks = rig.pool.stream::<u64>("countdown", json!({"n": 3})).await.unwrap();
    while let Some(tick) = ticks.next().await {
        tick.unwrap();
    }
    let mut broken = rig.pool.stream::<u64>("fails_midway", json!({"n": 2})).await.unwrap();
    while let Some(Ok(_)) = broken.next().await {}
    let dropped = rig.pool.stream::<Value>("endless", json!({"closed": rig.path("closed")})).await.unwrap();
    drop(dropped);
    for (tool, outcome) in [("countdown", "ok"), ("fails_midway", "remote"), ("endless", "cancelled")] {
        let event = rig.told().await;
        assert_eq!((&event["tool"], &event["outcome"]), (&json!(tool), &json!(outcome)), "{event}");
        assert_eq!(rig.tool(Some(tool)).calls, [(outcome, 1)].into());
    }
    let countdown = rig.tool(Some("countdown"));
    assert_eq!((countdown.chunks, countdown.run.count(), countdown.queue.count()), (3, 1, 1));
    rig.end().await;
}

#[tokio::test]
async fn a_queue_tells_who_waits_who_is_refused_and_who_has_waited_too_long() {
    let timeouts = Timeouts { queue: Some(Duration::from_millis(50)), ..Timeouts::default() };
    let builder = basics(1).max_queue(1).timeouts(timeouts);
    let mut rig = rig("call.queued pool.saturated pool.queue_timeout", builder).await;
    let gate = rig.path("gate");
    let running = spawn({
        let (pool, gate) = (rig.pool.clone(), gate.clone());
        async move { pool.call::<bool>("wait_for_file", json!({"path": gate})).await }
    });
    eventually("the worker is busy", || rig.pool.workers()[0].state == "busy").await;
    let waiting = spawn({
        let pool = rig.pool.clone();
        async move { pool.call_with::<Value>("who", json!({}), &options("waits")).await }
    });
    let queued = rig.told().await;
    assert_eq!((&queued["name"], &queued["correlation_id"]), (&json!("call.queued"), &json!("waits")));
    assert_eq!(queued["queued"], 1);
    // Unless it was so slow that the first has waited too long already.
    if rig.pool.call_with::<Value>("who", json!({}), &options("refused")).await.unwrap_err().kind()
        == hatchery::ErrorKind::Saturated
    {
        let refused = rig.told().await;
        assert_eq!((&refused["name"], &refused["correlation_id"]), (&json!("pool.saturated"), &json!("refused")));
        assert_eq!(rig.pool.metrics().saturated, 1);
    }
    waiting.await.unwrap().unwrap_err();
    let late = loop {
        let event = rig.told().await;
        if event["name"] == "pool.queue_timeout" {
            break event;
        }
    };
    assert!(late["waited_seconds"].as_f64() >= Some(0.05), "{late}");
    assert!(rig.pool.metrics().queue_timeouts >= 1);
    assert!(rig.tool(Some("who")).queue.count() >= 1, "it has waited, though in vain");
    assert_eq!(rig.tool(Some("who")).run.count(), 0);
    std::fs::write(&gate, "").unwrap();
    running.await.unwrap().unwrap();
    rig.end().await;
}

#[tokio::test]
async fn sessions_are_told_from_their_making_to_their_end() {
    let mut rig = rig("session.*", basics(1)).await;
    rig.pool.session("s").call::<Value>("who", json!({})).await.unwrap();
    assert_eq!(stable(&rig.told().await), json!({ "name": "session.created", "session": "s" }));
    let worker = |name| json!({ "name": name, "session": "s", "worker": "default-1", "generation": 1 });
    assert_eq!(stable(&rig.told().await), worker("session.affinity_assigned"));
    rig.pool.session("s").call::<Value>("who", json!({})).await.unwrap();
    rig.pool.call::<Value>("die", json!({})).await.unwrap_err();
    assert_eq!(stable(&rig.told().await), worker("session.affinity_broken"));
    assert!(rig.hatchery.sessions().delete("s"));
    let destroyed = json!({ "name": "session.destroyed", "session": "s", "reason": "deleted" });
    assert_eq!(stable(&rig.told().await), destroyed);
    rig.end().await;
}

#[tokio::test]
async fn what_a_tool_raises_is_told_by_what_it_is_about() {
    let mut rig = rig("error.*", basics(1)).await;
    let words = [
        ("expected shape (2, 3) but got (2, 4)", "error.shape_mismatch"),
        ("CUDA out of memory. Tried to allocate 2.00 GiB", "error.oom"),
        (
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!",
            "error.device",
        ),
        ("no", "error.raised"),
    ];
    for (message, name) in words {
        rig.pool.call_with::<Value>("fail", json!({"message": message}), &options(name)).await.unwrap_err();
        let event = rig.told().await;
        assert_eq!((&event["name"], &event["correlation_id"]), (&json!(name), &json!(name)), "{event}");
        assert_eq!((&event["tool"], &event["worker"]), (&json!("fail"), &json!("default-1")));
    }
    rig.end().await;
}

#[tokio::test]
async fn a_retry_is_told_with_how_it_ended() {
    let filter = "retry.* call.finished";
    let mut rig = rig(filter, Hatchery::builder().pool("default", app("engine.py")).workers(1)).await;
    let args = json!({"path": rig.path("once")});
    let options = CallOptions::new().idempotent(true);
    rig.pool.call_with::<u64>("crash_at_first", args, &options).await.unwrap();
    let (retry, end, finished) = (rig.told().await, rig.told().await, rig.told().await);
    assert_eq!((&retry["name"], &retry["attempt"]), (&json!("retry.attempt"), &json!(1)));
    assert_eq!((&end["name"], &end["attempts"]), (&json!("retry.succeeded"), &json!(2)));
    assert_eq!((&finished["outcome"], &finished["tries"]), (&json!("ok"), &json!(2)));
    let metrics = rig.pool.metrics();
    assert_eq!((metrics.retries, metrics.crashes.values().sum::<u64>()), (1, 1));
    assert_eq!(rig.tool(Some("crash_at_first")).calls, [("ok", 1)].into(), "a call is one, however often it is made");
    assert_eq!(rig.tool(Some("crash_at_first")).run.count(), 2, "and its tries are two");
    rig.end().await;
}

#[tokio::test]
async fn who_asks_for_nothing_in_particular_is_spared_what_is_of_every_call() {
    let mut rig = Rig::of(basics(1)).await;
    rig.pool.call::<Value>("fail", json!({"message": "m"})).await.unwrap_err();
    rig.pool.call::<Value>("say", json!({"text": "x"})).await.unwrap();
    let mut names = Vec::new();
    while !names.contains(&"call.progress") {
        names.push(rig.event(|event| Some(event.name())).await);
    }
    let of_calls: Vec<&&str> =
        names.iter().filter(|name| ["call.", "error."].iter().any(|of| name.starts_with(of))).collect();
    assert_eq!(of_calls, [&"call.progress"], "{names:?}");
    for expected in ["guardian.started", "pool.starting", "registry.reserved", "registry.activated", "pool.started"] {
        assert!(names.contains(&expected), "{expected}: {names:?}");
    }
    rig.end().await;
}

#[tokio::test]
async fn the_end_is_told_in_order() {
    let rig = Rig::of(basics(1)).await;
    let mut events = heard(&rig.hatchery, "run.* registry.released worker.gone");
    rig.end().await;
    let mut names = Vec::new();
    while let Some(event) = tokio::time::timeout(PATIENCE, events.next()).await.unwrap() {
        names.push(event.name());
    }
    let [started, .., finished] = &names[..] else { panic!("{names:?}") };
    assert_eq!((*started, *finished), ("run.shutdown_started", "run.shutdown_finished"));
    let at = |name: &str| names.iter().position(|found| *found == name).unwrap();
    assert!(at("registry.released") < at("worker.gone"), "{names:?}");
}

#[tokio::test]
async fn a_script_tells_why_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = basics(1).data_dir(dir.path());
    let filter: EventFilter = "script.*".parse().unwrap();
    let mut events = builder.events_matching(&filter);
    let stop = std::future::pending();
    let work =
        async |hatchery: &Hatchery| hatchery.pool("default")?.call::<Value>("fail", json!({"message": "m"})).await;
    builder.run(ScriptTimeouts::default().start(PATIENCE), stop, work).await.unwrap_err();
    let (stopping, ended) = (told(&mut events).await, told(&mut events).await);
    assert_eq!(stable(&stopping), json!({ "name": "script.stopping", "reason": "failed" }));
    assert_eq!(stable(&ended), json!({ "name": "script.ended", "is_complete": true }));
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn the_metrics_say_how_everything_stands() {
    let rig = Rig::of(basics(2)).await;
    for value in 0..5 {
        rig.pool.call::<Value>("echo", json!({"value": value})).await.unwrap();
    }
    rig.pool.session("s").call::<Value>("who", json!({})).await.unwrap();
    eventually("a heartbeat is answered", || rig.pool.metrics().heartbeats.answered > 0).await;
    let metrics: Metrics = rig.hatchery.metrics();
    let [pool]: &[PoolMetrics] = &metrics.pools[..] else { panic!("{metrics:?}") };
    assert_eq!((pool.pool.as_str(), pool.state, pool.admitted), ("default", "serving", 6));
    assert_eq!((pool.workers["idle"], pool.workers["starting"], pool.workers_wanted), (2, 0, 2));
    assert!(pool.heartbeats.asked >= pool.heartbeats.answered);
    // The workers, and what they are forked from.
    assert!(metrics.processes.started >= 2 && metrics.processes.registered >= 2, "{metrics:?}");
    assert_eq!((metrics.processes.guardians, metrics.processes.guardians_lost), (1, 0));
    assert_eq!((metrics.sessions.current, metrics.event_subscribers), (1, 1));
    let json = serde_json::to_value(&metrics).unwrap();
    let echo = json["pools"][0]["tools"].as_array().unwrap().iter().find(|tool| tool["tool"] == "echo").unwrap();
    assert_eq!(echo["calls"], json!({ "ok": 5 }));
    assert_eq!(echo["run"]["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum::<u64>(), 5);
    rig.end().await;
}
