//! Calls that have many answers.

use std::time::Duration;

use hatchery::{Binary, ErrorKind, Payload};
use hatchery_grpc::bridge::{ChunkStream, Peer, RequestOptions, ToolCall};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::rig::{Bridge, Side, bridge};

async fn open(worker: &Bridge, tool: &str, items: Value) -> ChunkStream {
    let call = ToolCall::new(tool, Payload::from_json(json!({ "items": items })).unwrap());
    worker.execute_streaming_tool(call, &RequestOptions::new()).await.unwrap()
}

async fn items(stream: &mut ChunkStream) -> Vec<Result<Value, ErrorKind>> {
    let mut items = Vec::new();
    while let Some(item) = stream.next_item().await {
        items.push(item.map(|item| item.to_json().unwrap()).map_err(|error| error.kind()));
    }
    assert!(stream.next_item().await.is_none());
    items
}

#[tokio::test]
async fn a_stream_is_its_items_and_then_over() {
    let worker = bridge(Side::default(), Peer::Worker).await;
    for tool in ["items", "unmarked"] {
        let mut stream = open(&worker, tool, json!([{"a": 1}, null, [2], "x"])).await;
        let came: Result<Vec<_>, _> = items(&mut stream).await.into_iter().collect();
        assert_eq!(Value::from(came.unwrap()), json!([{"a": 1}, null, [2], {"$bytes": "/w=="}]));
    }
    let mut stream = open(&worker, "items", json!([1, 2])).await;
    let mut ids = Vec::new();
    while let Some(chunk) = stream.next().await {
        ids.push(chunk.unwrap().chunk_id);
    }
    assert_eq!(ids, ["items-1", "items-2", "sp-final-3"]);
}

#[tokio::test]
async fn what_came_before_an_error_stands() {
    let worker = bridge(Side::default(), Peer::Worker).await;
    let mut stream = open(&worker, "raise", json!([1])).await;
    assert_eq!(stream.next_item().await.unwrap().unwrap().to_json().unwrap(), 1);
    let error = stream.next_item().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.python_type(), error.message()), (ErrorKind::Remote, Some("KeyError"), "'k'"));
    assert!(stream.next_item().await.is_none());
}

#[tokio::test]
async fn nothing_may_come_after_the_mark_of_the_end() {
    let worker = bridge(Side::default(), Peer::Worker).await;
    let mut stream = open(&worker, "chatty", json!([1])).await;
    assert_eq!(items(&mut stream).await, [Ok(json!(1)), Err(ErrorKind::Protocol)]);
}

#[tokio::test]
async fn a_stream_that_is_dropped_or_late_ends_in_the_worker() {
    for is_late in [false, true] {
        let side = Side::default();
        let (sender, given_up) = oneshot::channel();
        *side.given_up.lock().unwrap() = Some(sender);
        let worker = bridge(side, Peer::Worker).await;
        let mut options = RequestOptions::new();
        if is_late {
            options = options.timeout(Duration::from_millis(200));
        }
        let call = ToolCall::new("forever", Payload::from_json(json!({"items": [1]})).unwrap());
        let mut stream = worker.execute_streaming_tool(call, &options).await.unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        if is_late {
            assert_eq!(stream.next().await.unwrap().unwrap_err().kind(), ErrorKind::Deadline);
            assert!(stream.next().await.is_none());
        }
        drop(stream);
        tokio::time::timeout(Duration::from_secs(60), given_up).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_tool_that_cannot_stream_is_not_there() {
    let worker = bridge(Side::default(), Peer::Worker).await;
    let call = ToolCall::new("absent", Payload::encode(&json!({})).unwrap());
    let error = worker.execute_streaming_tool(call, &RequestOptions::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false));
}

#[tokio::test]
async fn a_long_stream_comes_whole_and_in_order() {
    let worker = bridge(Side::default(), Peer::Worker).await;
    let data = Binary(vec![0xff; 10_000].into());
    let text = "x".repeat(data.0.len());
    let of = |odd: Value| move |n| if n % 2 == 0 { json!(n) } else { odd.clone() };
    let mut stream = open(&worker, "items", (0..1000).map(of(json!(text))).collect()).await;
    let came: Result<Vec<_>, _> = items(&mut stream).await.into_iter().collect();
    assert!(came.unwrap() == (0..1000).map(of(json!(data))).collect::<Vec<_>>());
}

#[tokio::test]
async fn telemetry_begins_by_itself_and_obeys() {
    let worker = bridge(Side::default(), Peer::Worker).await;
    let mut telemetry = worker.stream_telemetry(&RequestOptions::new().correlation_id("c")).await.unwrap();
    telemetry.sample(0.5).await.unwrap();
    telemetry.filter(vec!["tool.*".into()], vec![]).await.unwrap();
    telemetry.toggle(false).await.unwrap();
    for expected in ["enabled: true", "sampling_rate: 0.5", "tool.*", "enabled: false"] {
        let event = telemetry.next().await.unwrap().unwrap();
        assert!(event.event_parts[0].contains(expected), "{event:?}");
    }
}
