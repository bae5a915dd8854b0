//! Workers that wait for each other through host tools: those that would wait for ever are refused.

use hatchery::{CallOptions, Hatchery, HostCaller, HostTool, PoolTool};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use crate::{Rig, app, spawn};

/// A call that asks for a host tool, and gives what came of it.
fn ask(tool: &str, args: Value) -> Value {
    json!({"name": tool, "args": args})
}

async fn rig(of_a: usize) -> Rig {
    let builder = Hatchery::builder().pool_tool("ask_a", "default", "tried").pool_tool("ask_b", "b", "tried");
    let leaf = HostTool::new("leaf", |_: Value, _| async { Ok("leaf") });
    let builder = builder.with_host_tool(leaf).pool("b", app("calling.py")).done();
    Rig::of(builder.pool("default", app("calling.py")).workers(of_a)).await
}

#[tokio::test]
async fn a_circle_is_refused_at_once_and_names_its_workers() {
    let rig = rig(1).await;
    let around = ask("ask_b", ask("ask_a", ask("leaf", json!({}))));
    let began = Instant::now();
    let answer: Value = rig.pool.call("tried", around).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(8), "not when the queue's time is over");
    assert_eq!(answer["value"]["kind"], "conflict", "{answer}");
    let message = answer["value"]["message"].as_str().unwrap();
    assert!(message.contains("(b-1 → default-1 → b-1)"), "{message}");
    let itself: Value = rig.pool.call("tried", ask("ask_a", ask("leaf", json!({})))).await.unwrap();
    assert!(itself["message"].as_str().unwrap().contains("(default-1 → default-1)"), "{itself}");
    let straight: Value = rig.pool.call("tried", ask("ask_b", ask("leaf", json!({})))).await.unwrap();
    assert_eq!(straight, json!({"value": {"value": "leaf"}}));
    rig.end().await;
}

#[tokio::test]
async fn with_a_free_place_the_same_works() {
    let rig = rig(2).await;
    let around = ask("ask_b", ask("ask_a", ask("leaf", json!({}))));
    let answer: Value = rig.pool.call("tried", around).await.unwrap();
    assert_eq!(answer, json!({"value": {"value": {"value": "leaf"}}}));
    rig.end().await;
}

/// However many go round at the same time, each ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_goes_round_never_locks_up() {
    let rig = rig(2).await;
    let around = ask("ask_b", ask("ask_a", ask("leaf", json!({}))));
    let calls: Vec<_> = (0..24)
        .map(|_| {
            let (pool, around) = (rig.pool.clone(), around.clone());
            let options = CallOptions::new().timeout(Duration::from_secs(60));
            spawn(async move { pool.call_with::<Value>("tried", around, &options).await })
        })
        .collect();
    let mut refused = 0;
    for call in calls {
        let answer = call.await.unwrap().unwrap();
        // Whoever comes last is refused: on the way there, or on the way back.
        let ends = [&answer, &answer["value"]];
        let is_refused = ends.iter().any(|end| end["kind"] == "conflict");
        refused += usize::from(is_refused);
        assert!(is_refused || answer["value"]["value"]["value"] == "leaf", "{answer}");
    }
    assert!(refused > 0, "with two workers against one, somebody meets himself");
    rig.end().await;
}

/// Also where the way leads through a function of this program, which hands down what it was given.
#[tokio::test]
async fn a_circle_through_a_closure_is_refused_too() {
    let rig = Rig::of(Hatchery::builder().pool("default", app("calling.py"))).await;
    let pool = rig.pool.clone();
    let back = HostTool::new("back", move |_: Value, caller: HostCaller| {
        let pool = pool.clone();
        async move { pool.call_with::<Value>("context", json!({}), &caller.options()).await }
    });
    rig.hatchery.host_tools().register(back).unwrap();
    let refused: Value = rig.pool.call("tried", ask("back", json!({}))).await.unwrap();
    assert_eq!(refused["kind"], "conflict");
    rig.end().await;
}

/// The place is counted again as soon as nobody waits.
#[tokio::test]
async fn who_gave_up_waiting_is_in_no_circle() {
    let slow = PoolTool::new("slow", "b", "sleeps");
    let builder = Hatchery::builder().with_pool_tool(slow).pool_tool("ask_a", "default", "tried");
    let builder = builder.pool_tool("ask_b", "b", "tried").pool("b", app("calling.py")).done();
    let rig = Rig::of(builder.pool("default", app("calling.py"))).await;
    let options = CallOptions::new().timeout(Duration::from_millis(300));
    let late = rig.pool.call_with::<Value>("relay", ask("slow", json!({"seconds": 30})), &options).await;
    assert!(late.is_err());
    let b = rig.hatchery.pool("b").unwrap();
    let answer: Value = b.call("tried", ask("ask_a", json!({"name": "none", "args": {}}))).await.unwrap();
    assert_eq!(answer["value"]["kind"], "not_found", "{answer}");
    rig.end().await;
}
