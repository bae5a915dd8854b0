//! The ancestor's own Python package and its adapters, unmodified: every tool that they have. `docs/snakepit-real-run.md` says how this is run,
//! and what was found.
//!
//! The package is not in this repository: `HATCHERY_BRIDGE_WORKER` names its folder `priv/python`, `HATCHERY_TEST_VENV` an environment with
//! what it requires.

mod case;
mod showcase;
mod threaded;

use std::collections::BTreeSet;
use std::process::Command;

use hatchery::{Binary, CallOptions, Event, HostCaller, HostTool, ShimMode};
use hatchery_snakepit::Snakepit;
use serde_json::{Value, json};

use crate::rig::{Rig, app, eventually, exists, fixture, pool, python, worker};
use case::Case;

const SHOWCASE: &str = "snakepit_bridge.adapters.showcase.ShowcaseAdapter";
const THREADED: &str = "snakepit_bridge.adapters.threaded_showcase.ThreadedShowcaseAdapter";

/// Whoever asks for these tests wants them run: without the package they fail.
fn original(adapter: &str) -> Snakepit {
    assert_ne!(worker(), fixture(), "HATCHERY_BRIDGE_WORKER names no package: see docs/snakepit-real-run.md");
    app(adapter).unwrap()
}

/// What the adapter would run by name: what it tells its host, and what it dispatches to besides.
#[expect(clippy::disallowed_methods, reason = "it is waited for")]
fn described(adapter: &str) -> BTreeSet<String> {
    let (module, class) = adapter.rsplit_once('.').unwrap();
    let asked = format!(
        "import json, {module} as module\nadapter = module.{class}()\nhandlers = getattr(adapter, '_handler_tools', {{}})\n\
         print(json.dumps([*handlers, *(tool.name for tool in adapter.get_tools())]))"
    );
    let mut program = Command::new(python().unwrap());
    let output = program.args(["-B", "-c", &asked]).current_dir(worker()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

impl Rig {
    /// What its workers have told their host that they can.
    fn registered(&self) -> BTreeSet<String> {
        self.hatchery.host_tools().all().into_iter().map(|tool| tool.name).collect()
    }

    /// Makes each of the calls, in their order, and proves that no tool was left out.
    async fn all_tools(&self, adapter: &str, cases: Vec<Case>) {
        self.hatchery.sessions().create("user-7").unwrap();
        eprintln!("\n{adapter}");
        let mut called = BTreeSet::new();
        for case in cases {
            let found = case.run(self).await;
            eprintln!("| `{}` | {} | {found} |", case.tool, case::shown(&case.arguments));
            called.insert(case.tool.to_owned());
        }
        assert_eq!(called, described(adapter), "a tool was not called, or there is none of that name");
        let registered = self.registered();
        assert!(!registered.is_empty() && registered.is_subset(&called), "{registered:?}");
    }
}

#[tokio::test]
#[ignore = "needs Snakepit's Python package"]
async fn the_showcase() {
    let rig = Rig::of(pool(original(SHOWCASE))).await;
    let before = rig.pids();
    rig.all_tools(SHOWCASE, showcase::cases()).await;
    assert_eq!(rig.pids(), before, "none of them cost its worker");
    rig.end().await;
}

#[tokio::test]
#[ignore = "needs Snakepit's Python package"]
async fn the_threaded_showcase() {
    let rig = Rig::of(pool(original(THREADED)).threads_per_worker(4)).await;
    let before = rig.pids();
    rig.all_tools(THREADED, threaded::cases()).await;
    assert_eq!(rig.pids(), before, "none of them cost its worker");
    rig.end().await;
}

/// The same with all that the shim mends: what was well stays so.
#[tokio::test]
#[ignore = "needs Snakepit's Python package"]
async fn both_under_the_shim() {
    let all = [ShimMode::Loopback, ShimMode::Parallel, ShimMode::Lossless];
    let rig = Rig::of(pool(original(SHOWCASE).shim(all))).await;
    rig.all_tools(SHOWCASE, showcase::cases_with_their_types()).await;
    rig.end().await;
    let rig = Rig::of(pool(original(THREADED).shim(all)).threads_per_worker(4)).await;
    rig.all_tools(THREADED, threaded::cases()).await;
    let seen = rig.call("ping", json!({})).await.unwrap();
    assert!(seen["thread"].as_str().unwrap().starts_with("hatchery-tool"), "{seen}");
    rig.end().await;
}

/// Bytes into a tool, and bytes and arrays out of one.
#[tokio::test]
#[ignore = "needs Snakepit's Python package"]
async fn bytes_both_ways() {
    let app = original("bridge_tools.full.Full").shim([ShimMode::Loopback, ShimMode::Lossless]);
    let rig = Rig::of(pool(app)).await;
    let data = |bytes: Vec<u8>| std::collections::BTreeMap::from([("data", Binary::from(bytes))]);
    let seen: Value = rig.pool.call("process_binary", data((0..=255).collect())).await.unwrap();
    assert_eq!(seen, json!({ "type": "bytes", "length": 256, "sum": 32_640, "others": [] }));
    let large: Value = rig.pool.call("process_binary", data(vec![1; 20_000_000])).await.unwrap();
    assert_eq!(large["sum"], 20_000_000);
    let bytes: Value = rig.pool.call("value", json!({ "name": "bytes" })).await.unwrap();
    assert_eq!(bytes, json!({ "$bytes": "YWL/" }));
    rig.end().await;
}

/// Python calls a function of this program through the ancestor's own `SessionContext`. There, lists and maps are text and the result is a
/// string of JSON at best; with the shim each is what it was.
#[tokio::test]
#[ignore = "needs Snakepit's Python package"]
async fn tools_of_the_host() {
    let app = original("bridge_tools.full.Full").shim([ShimMode::Loopback, ShimMode::Lossless]);
    let rig = Rig::of(pool(app)).await;
    let mirror = |arguments: Value, _: HostCaller| async move { Ok(arguments["value"].clone()) };
    rig.hatchery.host_tools().register(HostTool::new("mirror", mirror)).unwrap();
    let seen = rig.call("call_host_with_each_type", json!({ "name": "mirror" })).await.unwrap();
    let expected = json!({
        "string": "Ω a", "empty": "", "digits": "123456789", "integer": 3, "large": 9_007_199_254_740_993_u64, "float": 1.5,
        "boolean": true, "none": null, "list": [1, "a", null], "map": { "a": 1, "b": [true] },
    });
    assert_eq!(seen, expected);
    rig.end().await;
}

/// What a tool emits through the ancestor's telemetry is an event of this program's, with the call's own id, however long the worker lives.
#[tokio::test]
#[ignore = "needs Snakepit's Python package"]
async fn telemetry() {
    let mut rig = Rig::of(pool(original(SHOWCASE))).await;
    for id in ["first-of-the-user", "second-of-the-user"] {
        let options = CallOptions::new().correlation_id(id);
        let seen: Value = rig.pool.call_with("telemetry_demo", json!({ "delay_ms": 1 }), &options).await.unwrap();
        assert_eq!((&seen["telemetry_enabled"], &seen["correlation_id"]), (&json!(true), &json!(id)));
        for expected in ["tool.execution.start", "tool.execution.start", "tool.result_size", "tool.execution.stop"] {
            let told = rig.event(|event| if let Event::Tool(told) = event { Some(told) } else { None }).await;
            assert_eq!((&*told.name, told.correlation_id.as_deref()), (expected, Some(id)));
        }
        // The ancestor's stream is over after five seconds, and is not opened again.
        rig.call("sleep_task", json!({ "duration_ms": 6000, "task_number": 1 })).await.unwrap();
    }
    rig.end().await;
}

/// Both kinds of worker, idle and in the middle of a call: nothing is left of them.
#[tokio::test]
#[ignore = "needs Snakepit's Python package"]
async fn nothing_outlives_a_shutdown() {
    for is_busy in [false, true] {
        let two =
            pool(original(SHOWCASE)).pool("threads", original(THREADED)).transport(hatchery_snakepit::Bridge::new());
        let rig = Rig::of(two.threads_per_worker(2)).await;
        let threads = rig.hatchery.pool("threads").unwrap();
        let pids: Vec<i32> = rig.pids().into_iter().chain(threads.workers().iter().filter_map(|it| it.pid)).collect();
        assert_eq!(pids.len(), 2);
        if is_busy {
            let (one, other) = (rig.pool.clone(), threads.clone());
            let sleeping = json!({ "duration_ms": 600_000, "task_number": 1 });
            tokio::spawn(async move { one.call::<Value>("sleep_task", sleeping).await });
            tokio::spawn(async move { other.call::<Value>("stress_test", json!({ "duration_ms": 600_000 })).await });
            eventually("both run", || rig.pool.status().running + threads.status().running == 2).await;
        }
        rig.end().await;
        assert!(!pids.into_iter().any(exists));
    }
}
