use hyper::Request;
use serde_json::{Value, json};

use crate::client::{open, post, send};
use crate::rig::{Rig, basics, begun_and_dropped, eventually_file, eventually_told, ours};

const CALL: &str = "/v1/pools/default/call/";

#[tokio::test]
async fn text_passes_through_unread() {
    let rig = Rig::of(basics()).await;
    let text = r#"{"z":1,"a":123456789012345678901234567890,"b":[1.50]}"#;
    let reply = post(rig.address, &format!("{CALL}echo"), format!("{{\"value\": {text}}}")).await;
    let sorted_or_not: Value = serde_json::from_str(&reply.text).unwrap();
    assert!(reply.text.contains("123456789012345678901234567890"), "{reply:?}");
    assert_eq!(sorted_or_not["z"], json!(1));
    rig.end().await;
}

#[tokio::test]
async fn binary_values_have_json_forms_both_ways() {
    let rig = Rig::of(ours()).await;
    let reply = post(rig.address, &format!("{CALL}reverse"), r#"{"data": {"$bytes": "AP8="}}"#).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, r#"{"$bytes":"/wA="}"#));
    rig.end().await;
}

#[tokio::test]
async fn options_are_headers() {
    let rig = Rig::of(basics()).await;
    let request = Request::post(format!("{CALL}who"))
        .header("X-Hatchery-Session", "user-7")
        .header("X-Hatchery-Correlation-Id", "order-4711")
        .header("X-Hatchery-Timeout", "infinity");
    let who = send(rig.address, request.body(String::new()).unwrap()).await.json();
    assert_eq!((&who["session"], &who["correlation_id"]), (&json!("user-7"), &json!("order-4711")));
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_call() {
    let rig = Rig::of(basics()).await;
    let (told, started) = (rig.path("told"), rig.path("started"));
    let arguments = json!({"path": told, "started": started}).to_string();
    let request = Request::post(format!("{CALL}touch_when_cancelled")).body(arguments).unwrap();
    let pid = rig.workers().await[0]["pid"].clone();
    begun_and_dropped(open(rig.address, request), eventually_file(&started)).await;
    eventually_file(&told).await;
    rig.worker_is("idle").await;
    assert_eq!(rig.workers().await[0]["pid"], pid, "a worker that obeys is kept");
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_the_queue() {
    let rig = Rig::of(basics().max_queue(1)).await;
    let (gate, mark) = (rig.path("gate"), rig.path("mark"));
    let wait = json!({"path": gate}).to_string();
    let running = tokio::spawn(post_to(rig.address, "wait_for_file", wait));
    rig.worker_is("busy").await;
    let arguments = json!({"path": "/nowhere", "started": mark}).to_string();
    let request = Request::post(format!("{CALL}touch_when_cancelled")).body(arguments).unwrap();
    begun_and_dropped(open(rig.address, request), queued(&rig, 1)).await;
    queued(&rig, 0).await;
    std::fs::write(&gate, "").unwrap();
    assert_eq!(running.await.unwrap(), 200);
    assert_eq!(post_to(rig.address, "echo", json!({"value": 1}).to_string()).await, 200);
    assert!(!std::path::Path::new(&mark).exists(), "it ran all the same");
    rig.end().await;
}

async fn post_to(address: std::net::SocketAddr, tool: &'static str, arguments: String) -> u16 {
    post(address, &format!("{CALL}{tool}"), arguments).await.status
}

async fn queued(rig: &Rig, calls: u64) {
    let queued = async || crate::client::get(rig.address, "/v1/status").await.json()["pools"][0]["queued"] == calls;
    eventually_told("so many wait", queued).await;
}

#[tokio::test]
async fn a_call_goes_to_the_worker_that_it_names_and_waits_for_it() {
    let rig = Rig::of(basics().workers(2)).await;
    let (gate, address) = (rig.path("gate"), rig.address);
    let wait = json!({"path": gate}).to_string();
    let named = |tool: &str, worker: &str| Request::post(format!("{CALL}{tool}")).header("X-Hatchery-Worker", worker);
    let running = tokio::spawn(send(address, named("wait_for_file", "default-2").body(wait).unwrap()));
    let calls = async |n: usize| rig.workers().await[n]["in_flight"].clone();
    eventually_told("the second runs it", async || calls(1).await == 1).await;
    let second = tokio::spawn(send(address, named("echo", "default-2").body(r#"{"value": 2}"#.into()).unwrap()));
    queued(&rig, 1).await;
    assert_eq!(calls(0).await, 0, "the other one has nothing to do, and is not asked");
    std::fs::write(&gate, "").unwrap();
    assert_eq!((running.await.unwrap().text.as_str(), second.await.unwrap().text.as_str()), ("true", "2"));
    assert_eq!(rig.workers().await.iter().map(|worker| worker["calls"].clone()).collect::<Vec<_>>(), [0, 2]);
    let refused = async |worker: &str, session: Option<&str>| {
        let request = session.into_iter().fold(named("echo", worker), |it, id| it.header("X-Hatchery-Session", id));
        send(address, request.body(r#"{"value": 1}"#.into()).unwrap()).await
    };
    refused("default-3", None).await.fails(404, "not_found", "no such worker in pool default: default-3");
    refused("default-1", Some("s")).await.fails(400, "validation", "name one or the other");
    rig.end().await;
}

#[tokio::test]
async fn a_call_for_a_worker_that_goes_away_is_told_so() {
    let rig = Rig::of(basics().workers(2)).await;
    let address = rig.address;
    let named = |tool: &str, body: String| {
        Request::post(format!("{CALL}{tool}")).header("X-Hatchery-Worker", "default-1").body(body).unwrap()
    };
    let gate = rig.path("gate");
    let running = tokio::spawn(send(address, named("wait_for_file", json!({"path": gate}).to_string())));
    rig.worker_is("busy").await;
    let second = tokio::spawn(send(address, named("echo", r#"{"value": 1}"#.into())));
    queued(&rig, 1).await;
    post(address, "/v1/workers/default-1/restart", "").await;
    let error = second.await.unwrap().fails(503, "unavailable", "worker default-1 is not there to take calls");
    assert_eq!(error["details"]["reason"], "worker_absent");
    std::fs::write(&gate, "").unwrap();
    assert_eq!(running.await.unwrap().text, "true");
    rig.end().await;
}
