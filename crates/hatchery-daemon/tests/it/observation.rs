use hatchery_daemon::Phase;
use hyper::Request;
use serde_json::{Value, json};

use crate::client::{ask, get, post};
use crate::rig::{Rig, basics, eventually_told, ours};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn the_status_says_who_it_is_and_how_busy() {
    let rig = Rig::of(basics().workers(2)).await;
    let status = get(rig.address, "/v1/status").await.json();
    let names =
        ["address", "bridge", "guarantee", "phase", "pid", "pools", "run", "started_at", "system", "tls", "version"];
    assert_eq!(keys(&status), names);
    assert_eq!(status["tls"], false);
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

#[tokio::test]
async fn one_worker_says_what_it_can_do_and_how_it_fares() {
    let heartbeat = hatchery::Heartbeat { interval: std::time::Duration::from_millis(5), ..Default::default() };
    let rig = Rig::of(basics().heartbeat(heartbeat)).await;
    let worker = async || get(rig.address, "/v1/workers/default-1").await.json();
    eventually_told("a heartbeat", async || !worker().await["heartbeat"]["answered_at"].is_null()).await;
    let worker = worker().await;
    assert_eq!((&worker["id"], &worker["runtime"]["language"]), (&json!("default-1"), &json!("python")));
    assert!(worker["capabilities"].as_array().unwrap().contains(&json!("streams")), "{worker}");
    assert_eq!((&worker["heartbeat"]["missed"], &worker["taint"]), (&json!(0), &json!(null)));
    for id in ["default-2", "default", "other-1", "default-1%20"] {
        get(rig.address, &format!("/v1/workers/{id}")).await.fails(404, "not_found", "no such worker");
    }
    rig.end().await;
}

#[tokio::test]
async fn a_pool_has_its_numbers_and_so_have_all_together() {
    let rig = Rig::of(basics()).await;
    post(rig.address, "/v1/pools/default/call/echo", r#"{"value": 1}"#).await;
    let pool = get(rig.address, "/v1/pools/default").await.json();
    assert_eq!((&pool["ready"], &pool["stats"]["requests"]), (&json!(1), &json!(1)));
    assert_eq!(pool["health"]["is_healthy"], json!(true));
    assert_eq!(get(rig.address, "/v1/pools").await.json()[0]["pool"], "default");
    let stats = get(rig.address, "/v1/stats").await.json();
    assert_eq!((&stats["total"], &stats["sessions"]["current"]), (&stats["pools"]["default"], &json!(0)));
    get(rig.address, "/v1/pools/other").await.fails(404, "not_found", "no such pool: other");
    rig.end().await;
}

#[tokio::test]
async fn the_page_is_for_people_and_can_do_nothing() {
    let rig = Rig::of(basics()).await;
    let page = ask(rig.address, Request::get("/").body("").unwrap()).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(html.contains("<td>default-1</td>") && html.contains("serving"), "{html}");
    assert!(!html.contains("<script") && !html.contains("src="), "{html}");
    rig.end().await;
}

#[tokio::test]
async fn what_is_long_and_text_is_compressed_for_who_asks() {
    let rig = Rig::of(ours()).await;
    let encoding = async |request: hyper::http::request::Builder, body: &'static str| {
        let answer = ask(rig.address, request.header("accept-encoding", "gzip").body(body).unwrap()).await;
        (answer.header("content-encoding").to_owned(), answer.body)
    };
    let long = || Request::post("/v1/pools/default/call/long_text");
    let (encoded, body) = encoding(long(), r#"{"size": 10000}"#).await;
    assert!(encoded == "gzip" && body.starts_with(&[0x1f, 0x8b]) && body.len() < 1000, "{encoded} {}", body.len());
    assert_eq!(encoding(long(), r#"{"size": 10}"#).await.0, "");
    let plain = ask(rig.address, long().body(r#"{"size": 10000}"#).unwrap()).await;
    assert_eq!((plain.header("content-encoding"), plain.body.len()), ("", 10002));
    let reverse = Request::post("/v1/pools/default/call/reverse").header("content-type", "application/octet-stream");
    let bytes: &'static str = "x".repeat(10000).leak();
    assert_eq!(encoding(reverse.header("accept", "application/octet-stream"), bytes).await.0, "", "it is dense");
    rig.end().await;
}

#[tokio::test]
async fn before_the_pools_are_filled_the_phase_is_all_that_is_counted() {
    let mut rig = Rig::filling(std::future::pending()).await;
    rig.reaches(Phase::Filling).await;
    let text = get(rig.address, "/metrics").await.text;
    assert!(text.contains("hatchery_phase{phase=\"filling\"} 1\n") && !text.contains("hatchery_workers"), "{text}");
    for path in ["/v1/stats", "/v1/sessions", "/v1/taints", "/v1/events", "/v1/orphans", "/v1/workers/default-1"] {
        get(rig.address, path).await.fails(503, "unavailable", "it is filling");
    }
    rig.end().await;
}
