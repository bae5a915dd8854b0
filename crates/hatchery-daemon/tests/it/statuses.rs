//! Every status that a call can end with; 499 is in `ends.rs`. No call of this version ends as `conflict` or `internal`.

use hatchery::{Hatchery, Limits};
use hatchery_daemon::Phase;
use hyper::Request;
use serde_json::json;

use crate::client::{get, post, send};
use crate::rig::{Rig, basics, eventually_file, misbehaving, ours};

const CALL: &str = "/v1/pools/default/call/";

#[tokio::test]
async fn ok_is_the_bare_result() {
    let rig = Rig::of(basics()).await;
    let reply = post(rig.address, &format!("{CALL}word_count"), r#"{"text": "a b a"}"#).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, r#"{"a":2,"b":1}"#));
    assert_eq!(reply.content_type, "application/json");
    rig.end().await;
}

#[tokio::test]
async fn bad_request() {
    let rig = Rig::of(basics()).await;
    let call = async |tool: &str, body: &str| post(rig.address, &format!("{CALL}{tool}"), body).await;
    call("word_count", "").await.fails(400, "validation", "missing argument `text`");
    call("word_count", r#"{"text": 3}"#).await.fails(400, "validation", "`text`");
    call("word_count", r#"{"text""#).await.fails(400, "validation", "read JSON: EOF");
    call("word_count", "[]").await.fails(400, "validation", "expected a JSON object");
    call("countdown", r#"{"n": 1}"#).await.fails(400, "validation", "use `stream`");
    call("%ff", "{}").await.fails(400, "validation", "the path: ");
    call("echo", r#"{"value": {"$bytes": "*"}}"#).await.fails(400, "validation", "$bytes");
    let request = Request::post(format!("{CALL}echo")).header("X-Hatchery-Timeout", "soon").body("{}".into()).unwrap();
    send(rig.address, request).await.fails(400, "validation", "x-hatchery-timeout: expected a duration");
    rig.end().await;
}

#[tokio::test]
async fn not_found_and_not_allowed() {
    let rig = Rig::of(basics()).await;
    let near = "did you mean `word_count`?";
    post(rig.address, &format!("{CALL}word_cuont"), "{}").await.fails(404, "not_found", near);
    post(rig.address, "/v1/pools/defautl/call/echo", "{}").await.fails(404, "not_found", "did you mean `default`?");
    get(rig.address, "/v1/pools/other/tools").await.fails(404, "not_found", "no such pool: other");
    get(rig.address, "/v2").await.fails(404, "not_found", "no such path: /v2");
    get(rig.address, &format!("{CALL}echo")).await.fails(405, "validation", "/call/echo does not take GET");
    rig.end().await;
}

#[tokio::test]
async fn too_large() {
    let limits = Limits { max_body: 64 << 10, ..Limits::default() };
    let rig = Rig::of(ours().limits(limits)).await;
    let body = format!("{{\"data\": \"{}\"}}", "x".repeat(65 << 20));
    post(rig.address, &format!("{CALL}reverse"), body).await.fails(413, "limit", "more than 64MiB");
    post(rig.address, &format!("{CALL}long_text"), json!({"size": 65 << 10}).to_string())
        .await
        .fails(413, "limit", "65536");
    rig.end().await;
}

#[tokio::test]
async fn the_tool_raised() {
    let rig = Rig::of(basics()).await;
    let reply = post(rig.address, &format!("{CALL}fail"), r#"{"message": "no"}"#).await;
    let error = reply.fails(422, "remote", "no");
    assert_eq!((&error["python_type"], &error["retryable"]), (&json!("ValueError"), &json!(false)));
    assert!(error["traceback"].as_str().unwrap().contains("basics.py"), "{error}");
    rig.end().await;
}

#[tokio::test]
async fn saturated_and_late() {
    let rig = Rig::of(basics().max_queue(0)).await;
    let (gate, started) = (rig.path("gate"), rig.path("started"));
    let arguments = json!({"path": gate, "started": started}).to_string();
    let request = Request::post(format!("{CALL}touch_when_cancelled")).header("X-Hatchery-Timeout", "1s");
    let late = send(rig.address, request.body(arguments).unwrap());
    let refused = async {
        eventually_file(&started).await;
        post(rig.address, &format!("{CALL}echo"), r#"{"value": 1}"#).await
    };
    let (late, refused) = tokio::join!(late, refused);
    refused.fails(429, "saturated", "the queue of pool default is full");
    late.fails(504, "deadline", "deadline of 1s passed while the worker ran it");
    rig.end().await;
}

#[tokio::test]
async fn the_worker_died() {
    let rig = Rig::of(basics()).await;
    let error = post(rig.address, &format!("{CALL}die"), "").await.fails(502, "worker_died", "exit status 7");
    assert_eq!((&error["retryable"], &error["last_output"]), (&json!(true), &json!(["these are my last words"])));
    rig.end().await;
}

#[tokio::test]
async fn the_worker_broke_the_protocol() {
    let rig = Rig::of(misbehaving("garbage")).await;
    post(rig.address, &format!("{CALL}echo"), "").await.fails(502, "protocol", "default-1");
    rig.stop().ended().await.unwrap();
}

#[tokio::test]
async fn unavailable_while_the_pools_are_filled() {
    let mut rig = Rig::filling(std::future::pending::<hatchery::Result<Hatchery>>()).await;
    rig.reaches(Phase::Filling).await;
    let error = post(rig.address, &format!("{CALL}echo"), "").await.fails(503, "unavailable", "it is filling");
    assert_eq!(error["retryable"], json!(true));
    rig.end().await;
}
