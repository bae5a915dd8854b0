use hatchery_daemon::Phase;
use serde_json::{Value, json};

use crate::client::{get, post};
use crate::rig::{Rig, basics};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn the_status_says_who_it_is_and_how_busy() {
    let rig = Rig::of(basics().workers(2)).await;
    let status = get(rig.address, "/v1/status").await.json();
    let names = ["address", "guarantee", "phase", "pid", "pools", "run", "started_at", "system", "version"];
    assert_eq!(keys(&status), names);
    assert_eq!((&status["phase"], &status["pid"]), (&json!("serving"), &json!(std::process::id())));
    assert_eq!(status["run"].as_str().unwrap().len(), 32);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let [pool] = &status["pools"].as_array().unwrap()[..] else { panic!("{status}") };
    assert_eq!(keys(pool), ["arena", "pool", "queued", "ready", "running", "state", "workers"]);
    assert_eq!((&pool["pool"], &pool["state"]), (&json!("default"), &json!("serving")));
    assert_eq!(["workers", "ready", "queued", "running"].map(|figure| &pool[figure]), [2, 2, 0, 0]);
    assert_eq!(["used", "slots", "exported", "fell_back"].map(|figure| &pool["arena"][figure]), [0, 0, 0, 0]);
    rig.end().await;
}

#[tokio::test]
async fn the_status_says_what_is_promised_and_what_holds_it() {
    let rig = Rig::of(basics()).await;
    let guarantee = get(rig.address, "/v1/status").await.json()["guarantee"].clone();
    assert_eq!(keys(&guarantee), ["layers", "promise"]);
    assert!(guarantee["promise"].as_str().unwrap().starts_with("no orphan after kill -9"), "{guarantee}");
    let layers = guarantee["layers"].as_array().unwrap();
    let layer = |name: &str| layers.iter().find(|layer| layer["name"] == name).unwrap();
    assert!(layers.iter().all(|layer| keys(layer) == ["detail", "holds", "name"]), "{guarantee}");
    assert_eq!(layer("keeper and guardian")["holds"], json!(true));
    assert_eq!(layer("pid namespace")["holds"], json!(null));
    rig.end().await;
}

#[tokio::test]
async fn the_status_says_how_the_instance_is() {
    let rig = Rig::of(basics().workers(2)).await;
    let system = get(rig.address, "/v1/status").await.json()["system"].clone();
    assert_eq!(keys(&system), ["health", "notes", "oldest_orphan", "orphans", "processes", "registry"]);
    assert_eq!((&system["orphans"], &system["oldest_orphan"]), (&json!(0), &json!(null)));
    // Two workers, their template, their keeper and their guardian.
    assert_eq!((&system["processes"], &system["health"]), (&json!(5), &json!("healthy")));
    rig.end().await;
}

#[tokio::test]
async fn before_the_pools_are_filled_nothing_is_promised() {
    let mut rig = Rig::filling(std::future::pending()).await;
    rig.reaches(Phase::Filling).await;
    let status = get(rig.address, "/v1/status").await.json();
    assert_eq!((&status["run"], &status["guarantee"], &status["system"]), (&json!(null), &json!(null), &json!(null)));
    rig.end().await;
}

#[tokio::test]
async fn workers_say_what_they_have_done() {
    let rig = Rig::of(basics()).await;
    let names = ["calls", "errors", "generation", "id", "in_flight", "pid", "pool", "rss_bytes", "started_at", "state"];
    let worker = &rig.workers().await[0];
    assert_eq!(keys(worker), names);
    assert_eq!((&worker["calls"], &worker["state"]), (&json!(0), &json!("idle")));
    assert!(worker["rss_bytes"].as_u64().unwrap() > 1 << 20, "{worker}");
    post(rig.address, "/v1/pools/default/call/echo", r#"{"value": 1}"#).await;
    post(rig.address, "/v1/pools/default/call/fail", r#"{"message": "m"}"#).await;
    let worker = &rig.workers().await[0];
    assert_eq!((&worker["calls"], &worker["errors"]), (&json!(2), &json!(1)));
    rig.end().await;
}

#[tokio::test]
async fn tools_are_those_of_the_app() {
    let rig = Rig::of(basics()).await;
    let tools = get(rig.address, "/v1/pools/default/tools").await.json();
    let tool = tools.as_array().unwrap().iter().find(|tool| tool["name"] == "word_count").unwrap();
    assert_eq!(keys(tool), ["doc", "name", "parameters", "streaming"]);
    assert_eq!(tool["parameters"][0]["type"], "str");
    rig.end().await;
}

#[tokio::test]
async fn health_is_to_answer_and_readiness_is_to_have_a_worker() {
    let rig = Rig::of(basics()).await;
    assert_eq!(get(rig.address, "/healthz").await.status, 200);
    assert_eq!(get(rig.address, "/readyz").await.status, 200);
    // It dies twice: the second death has a pause behind it.
    for _ in 0..2 {
        let _died = post(rig.address, "/v1/pools/default/call/die", "").await;
    }
    get(rig.address, "/readyz").await.fails(503, "unavailable", "pool default has no worker that takes calls");
    assert_eq!(get(rig.address, "/healthz").await.status, 200);
    rig.stop().ended().await.unwrap();
}
