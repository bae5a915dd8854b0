//! What each failure looks like. No call of this version ends as `internal`.

use std::time::Duration;

use hatchery::Limits;
use hatchery_daemon::Phase;
use hatchery_grpc::v1;
use serde_json::json;
use tonic::Code;

use super::{call, client, fails};
use crate::rig::{Rig, basics, eventually_file, misbehaving, ours};

fn with(options: v1::CallOptions, request: v1::CallRequest) -> v1::CallRequest {
    v1::CallRequest { options: Some(options), ..request }
}

fn text(tool: &str, arguments: &'static str) -> v1::CallRequest {
    let arguments = Some(v1::Payload { json: arguments.into(), ..v1::Payload::default() });
    v1::CallRequest { arguments, ..call(tool, json!(null)) }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_an_invalid_argument() {
    let rig = Rig::of(basics()).await;
    let mut client = client(&rig).await;
    let mut call = async |request| client.call(request).await.unwrap_err();
    let invalid = |status, said: &str| fails(&status, Code::InvalidArgument, "validation", said);
    invalid(call(text("word_count", "{}")).await, "missing argument `text`");
    invalid(call(text("word_count", r#"{"text": 3}"#)).await, "`text`");
    invalid(call(text("word_count", r#"{"text""#)).await, "read JSON: EOF");
    invalid(call(text("word_count", "[]")).await, "must be a JSON object");
    invalid(call(text("word_count", "\u{0}")).await, "read JSON");
    invalid(call(text("countdown", r#"{"n": 1}"#)).await, "use `stream`");
    invalid(call(text("echo", r#"{"value": {"$bytes": "*"}}"#)).await, "$bytes");
    let lost = v1::Payload { mark: "m".into(), attachments: vec![v1::Attachment::default()], ..v1::Payload::default() };
    invalid(call(v1::CallRequest { arguments: Some(lost), ..text("echo", "") }).await, "attachment 0: expected bytes");
    let garbage = v1::Payload { json: vec![0xff].into(), ..v1::Payload::default() };
    invalid(call(v1::CallRequest { arguments: Some(garbage), ..text("echo", "") }).await, "read JSON");
    let affinity = v1::CallOptions { affinity: 77, ..v1::CallOptions::default() };
    invalid(call(with(affinity, text("who", "{}"))).await, "affinity: no value has the number 77");
    rig.end().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let rig = Rig::of(basics()).await;
    let mut client = client(&rig).await;
    let tool = client.call(text("word_cuont", "{}")).await.unwrap_err();
    fails(&tool, Code::NotFound, "not_found", "did you mean `word_count`?");
    let elsewhere = v1::CallRequest { pool: "defautl".into(), ..text("echo", "{}") };
    let pool = client.call(elsewhere).await.unwrap_err();
    fails(&pool, Code::NotFound, "not_found", "did you mean `default`?");
    let nowhere = client.call(v1::CallRequest::default()).await.unwrap_err();
    fails(&nowhere, Code::NotFound, "not_found", "no such pool");
    rig.end().await;
}

#[tokio::test]
async fn what_is_too_large_is_a_limit_and_the_connection_goes_on() {
    let limits = Limits { max_body: 64 << 10, ..Limits::default() };
    let rig = Rig::of(ours().limits(limits)).await;
    let mut client = client(&rig).await;
    let answer = client.call(call("long_text", json!({"size": 65 << 10}))).await.unwrap_err();
    fails(&answer, Code::ResourceExhausted, "limit", "65536");
    // More than a message may be: it is refused before anybody reads it.
    let request = client.call(call("reverse", json!({"data": "x".repeat(65 << 20)}))).await.unwrap_err();
    assert_eq!(hatchery_grpc::status::error(&request).kind().as_str(), "limit", "{request:?}");
    assert!(client.call(call("long_text", json!({"size": 1}))).await.is_ok());
    rig.end().await;
}

#[tokio::test]
async fn the_tool_raised() {
    let rig = Rig::of(basics()).await;
    let mut request = call("fail", json!({"message": "no"}));
    request.options = Some(v1::CallOptions { correlation_id: "order-1".into(), ..v1::CallOptions::default() });
    let status = client(&rig).await.call(request).await.unwrap_err();
    let error = fails(&status, Code::Aborted, "remote", "no");
    assert_eq!((error.python_type(), error.is_retryable()), (Some("ValueError"), false));
    assert!(error.traceback().unwrap().contains("basics.py"), "{error:?}");
    assert_eq!(error.correlation_id(), Some("order-1"));
    rig.end().await;
}

#[tokio::test]
async fn saturated_and_late() {
    let rig = Rig::of(basics().max_queue(0)).await;
    let (gate, started) = (rig.path("gate"), rig.path("started"));
    let mut client = client(&rig).await;
    let mut other = client.clone();
    let late = v1::CallOptions { timeout_ms: Some(1000), ..v1::CallOptions::default() };
    let late = client.call(with(late, call("touch_when_cancelled", json!({"path": gate, "started": started}))));
    let refused = async {
        eventually_file(&started).await;
        other.call(call("echo", json!({"value": 1}))).await.unwrap_err()
    };
    let (late, refused) = tokio::join!(late, refused);
    let saturated = fails(&refused, Code::ResourceExhausted, "saturated", "the queue of pool default is full");
    assert!(saturated.is_retryable());
    fails(&late.unwrap_err(), Code::DeadlineExceeded, "deadline", "deadline of 1s passed while the worker ran it");
    rig.end().await;
}

#[tokio::test]
async fn a_session_that_does_not_wait_for_its_worker_conflicts() {
    let rig = Rig::of(basics().workers(2)).await;
    let gate = rig.path("gate");
    let mut client = client(&rig).await;
    let mut other = client.clone();
    let options = v1::CallOptions {
        session: "user-7".into(),
        affinity: v1::Affinity::StrictFailFast.into(),
        ..v1::CallOptions::default()
    };
    let holding = with(options.clone(), call("wait_for_file", json!({"path": gate})));
    let holding = tokio::spawn(async move { other.call(holding).await });
    rig.workers_are("one is busy", |workers| workers.iter().any(|worker| worker["state"] == "busy")).await;
    let status = client.call(with(options, call("who", json!({})))).await.unwrap_err();
    fails(&status, Code::FailedPrecondition, "conflict", "has the state of this session and is busy");
    std::fs::write(&gate, "").unwrap();
    holding.await.unwrap().unwrap();
    rig.end().await;
}

#[tokio::test]
async fn the_worker_died() {
    let rig = Rig::of(basics()).await;
    let status = client(&rig).await.call(call("die", json!({}))).await.unwrap_err();
    let error = fails(&status, Code::Unavailable, "worker_died", "exit status 7");
    assert_eq!((error.is_retryable(), error.last_output()), (true, &["these are my last words".to_owned()][..]));
    rig.end().await;
}

#[tokio::test]
async fn the_worker_broke_the_protocol() {
    let rig = Rig::of(misbehaving("garbage")).await;
    let status = client(&rig).await.call(call("echo", json!({}))).await.unwrap_err();
    fails(&status, Code::Internal, "protocol", "default-1");
    rig.stop().ended().await.unwrap();
}

#[tokio::test]
async fn unavailable_while_the_pools_are_filled() {
    let mut rig = Rig::filling(std::future::pending()).await;
    rig.reaches(Phase::Filling).await;
    let mut client = client(&rig).await;
    let status = client.call(call("echo", json!({"value": 1}))).await.unwrap_err();
    assert!(fails(&status, Code::Unavailable, "unavailable", "it is filling").is_retryable());
    let workers = client.workers(v1::WorkersRequest::default()).await.unwrap().into_inner();
    assert_eq!(workers.workers, []);
    rig.end().await;
}

#[tokio::test]
async fn a_call_that_goes_on_after_the_grace_is_cancelled() {
    let rig = Rig::with_grace(basics(), Duration::from_millis(50)).await;
    let mut client = client(&rig).await;
    let never = call("wait_for_file", json!({"path": rig.path("never")}));
    let running = tokio::spawn(async move { client.call(never).await });
    rig.worker_is("busy").await;
    rig.stop().ended().await.unwrap();
    fails(&running.await.unwrap().unwrap_err(), Code::Cancelled, "cancelled", "worker default-1 was shut down");
}
