use std::time::Duration;

use hatchery_grpc::v1;
use hatchery_grpc::v1::attachment;
use serde_json::{Value, json};
use tonic::Request;

use super::{call, called, client, value};
use crate::rig::{Rig, basics, begun_and_dropped, eventually_file, ours};

const SPAN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn with(options: v1::CallOptions, request: v1::CallRequest) -> v1::CallRequest {
    v1::CallRequest { options: Some(options), ..request }
}

#[tokio::test]
async fn text_passes_through_unread() {
    let rig = Rig::of(basics()).await;
    let text = r#"{"value": {"z":1,"a":123456789012345678901234567890,"b":[1.50]}}"#;
    let arguments = Some(v1::Payload { json: text.into(), ..v1::Payload::default() });
    let request = v1::CallRequest { arguments, ..call("echo", json!(null)) };
    let result = client(&rig).await.call(request).await.unwrap().into_inner().result;
    let text = value(result).to_json_text().unwrap();
    assert!(text.contains("123456789012345678901234567890") && text.contains("\"z\""), "{text}");
    rig.end().await;
}

#[tokio::test]
async fn binary_values_travel_beside_the_json_both_ways() {
    let rig = Rig::of(ours()).await;
    let data = attachment::Value::Bytes(vec![0, 1, 255].into());
    let arguments = v1::Payload {
        json: r#"{"data": {"$here": 0}}"#.into(),
        mark: "$here".into(),
        attachments: vec![v1::Attachment { value: Some(data) }],
    };
    let request = v1::CallRequest { arguments: Some(arguments), ..call("reverse", json!(null)) };
    let result = client(&rig).await.call(request).await.unwrap().into_inner().result.unwrap();
    assert_eq!(result.json, format!("{{\"{}\":0}}", result.mark));
    assert_eq!(result.attachments[0].value, Some(attachment::Value::Bytes(vec![255, 1, 0].into())));
    rig.end().await;
}

#[tokio::test]
async fn no_arguments_are_none() {
    let rig = Rig::of(basics()).await;
    let request = v1::CallRequest { arguments: None, ..call("who", json!(null)) };
    assert!(called(&mut client(&rig).await, request).await["pid"].is_u64());
    rig.end().await;
}

#[tokio::test]
async fn options_and_the_span_reach_the_tool() {
    let rig = Rig::of(basics().workers(2)).await;
    let options = v1::CallOptions {
        session: "user-7".into(),
        correlation_id: "order-4711".into(),
        idempotent: true,
        ..v1::CallOptions::default()
    };
    let mut request = Request::new(with(options, call("who", json!({}))));
    request.metadata_mut().insert("traceparent", SPAN.parse().unwrap());
    let mut client = client(&rig).await;
    let who = value(client.call(request).await.unwrap().into_inner().result).to_json().unwrap();
    assert_eq!((&who["session"], &who["correlation_id"]), (&json!("user-7"), &json!("order-4711")));
    assert_eq!(who["traceparent"], SPAN);
    for worker in rig.workers().await {
        let named = v1::CallOptions { worker: worker["id"].as_str().unwrap().into(), ..v1::CallOptions::default() };
        assert_eq!(called(&mut client, with(named, call("who", json!({})))).await["pid"], worker["pid"]);
    }
    rig.end().await;
}

#[tokio::test]
async fn the_deadline_of_the_client_is_that_of_the_tool() {
    let rig = Rig::of(ours()).await;
    let mut client = client(&rig).await;
    let mut left = async |timeout: Option<Duration>, options: v1::CallOptions| -> Value {
        let mut request = Request::new(with(options, call("time_left", json!({}))));
        timeout.into_iter().for_each(|timeout| request.set_timeout(timeout));
        value(client.call(request).await.unwrap().into_inner().result).to_json().unwrap()
    };
    let minute = v1::CallOptions { timeout_ms: Some(60_000), ..v1::CallOptions::default() };
    let said = left(Some(Duration::from_secs(50)), v1::CallOptions::default()).await.as_f64().unwrap();
    assert!((0.0..50.0).contains(&said), "{said}");
    let shorter = left(Some(Duration::from_secs(50)), minute.clone()).await.as_f64().unwrap();
    assert!((0.0..50.0).contains(&shorter), "{shorter}");
    let other = left(Some(Duration::from_secs(3000)), minute).await.as_f64().unwrap();
    assert!((0.0..60.0).contains(&other), "{other}");
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_gives_its_call_up_cancels_it_and_keeps_its_connection() {
    let rig = Rig::of(basics()).await;
    let (told, started) = (rig.path("told"), rig.path("started"));
    let pid = rig.workers().await[0]["pid"].clone();
    let mut client = client(&rig).await;
    let request = call("touch_when_cancelled", json!({"path": told, "started": started}));
    begun_and_dropped(client.call(request), eventually_file(&started)).await;
    eventually_file(&told).await;
    rig.worker_is("idle").await;
    assert_eq!(called(&mut client, call("echo", json!({"value": 1}))).await, 1);
    assert_eq!(rig.workers().await[0]["pid"], pid, "a worker that obeys is kept");
    rig.end().await;
}

#[tokio::test]
async fn calls_of_one_connection_do_not_wait_for_each_other() {
    let rig = Rig::of(basics().workers(2)).await;
    let gate = rig.path("gate");
    let mut client = client(&rig).await;
    let mut other = client.clone();
    let request = call("wait_for_file", json!({"path": gate}));
    let waiting = tokio::spawn(async move { called(&mut other, request).await });
    rig.worker_is("busy").await;
    assert_eq!(called(&mut client, call("echo", json!({"value": 2}))).await, 2);
    std::fs::write(&gate, "").unwrap();
    assert_eq!(waiting.await.unwrap(), true);
    rig.end().await;
}
