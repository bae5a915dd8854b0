//! Garbage, messages that are none and messages that are too large, from either end: a typed error, and a pool that is well.

use hatchery::ErrorKind;
use serde_json::{Value, json};

use crate::rig::{Rig, eventually};

/// Bytes that are no HTTP/2, or begin as it and go on as something else.
#[tokio::test]
async fn a_host_hangs_up_on_who_speaks_no_http2() {
    let Some(rig) = Rig::fault("hostile_client").await else { return };
    let pids = rig.pids();
    let words: Vec<String> = rig.pool.call("words", json!({})).await.unwrap();
    assert!(words.len() > 3);
    for word in words {
        assert_eq!(rig.call("say", json!({ "word": word })).await.unwrap(), json!({ "hung_up": true }), "{word}");
        rig.is_well(&pids).await;
    }
    rig.end().await;
}

/// Frames of gRPC whose messages are none, for every method.
#[tokio::test]
async fn a_host_refuses_messages_that_are_none() {
    let Some(rig) = Rig::fault("hostile_client").await else { return };
    let pids = rig.pids();
    for (method, is_stream) in [
        ("Ping", false),
        ("InitializeSession", false),
        ("CleanupSession", false),
        ("GetSession", false),
        ("Heartbeat", false),
        ("ExecuteTool", false),
        ("ExecuteStreamingTool", true),
        ("RegisterTools", false),
        ("GetExposedElixirTools", false),
        ("ExecuteElixirTool", false),
    ] {
        let no_message = hatchery::Binary::from(vec![0xff_u8; 64]);
        let sent = Sent { method, data: no_message, stream: is_stream };
        let answer: Value = rig.pool.call("send", sent).await.unwrap();
        assert_eq!(answer["code"], "INTERNAL", "{method}: {answer}");
        rig.is_well(&pids).await;
    }
    // Pitfall 17: a message of nothing, which has no session.
    let nothing = Sent { method: "InitializeSession", data: hatchery::Binary::from(Vec::new()), stream: false };
    assert_eq!(rig.pool.call::<Value>("send", nothing).await.unwrap()["code"], "INVALID_ARGUMENT");
    let answer = rig.call("send_to_nobody", json!({})).await.unwrap();
    assert_eq!(answer["code"], "UNIMPLEMENTED");
    rig.end().await;
}

#[derive(serde::Serialize)]
struct Sent {
    method: &'static str,
    data: hatchery::Binary,
    stream: bool,
}

/// Pitfall 14: 100 MiB are taken, and no more.
#[tokio::test]
async fn a_host_refuses_messages_that_are_too_large() {
    let Some(rig) = Rig::fault("hostile_client").await else { return };
    let pids = rig.pids();
    for (megabytes, code) in [(5, "OK"), (101, "OUT_OF_RANGE")] {
        let answer = rig.call("send_megabytes", json!({ "method": "Ping", "megabytes": megabytes })).await.unwrap();
        assert_eq!(answer["code"], code, "{answer}");
        rig.is_well(&pids).await;
    }
    rig.end().await;
}

/// One worker does not take all descriptors of its host.
#[tokio::test]
async fn a_host_keeps_so_many_connections_of_a_worker_and_no_more() {
    let Some(rig) = Rig::fault("hostile_client").await else { return };
    let pids = rig.pids();
    let kept = rig.call("many_connections", json!({ "count": 100 })).await.unwrap();
    assert!((1..=32).contains(&kept["kept"].as_u64().unwrap()), "{kept}");
    rig.is_well(&pids).await;
    rig.end().await;
}

/// An answer that is no message of the contract, in the one answer of a call and in the middle of a stream.
#[tokio::test]
async fn an_answer_that_is_no_message_fails_its_call() {
    let Some(rig) = Rig::fault("spoils_answers").await else { return };
    let pids = rig.pids();
    let error = rig.call("spoil", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    let mut items = rig.pool.stream::<Value>("stream_bad", json!({})).await.unwrap();
    assert_eq!(items.next().await.unwrap().unwrap(), json!(1));
    assert_eq!(items.next().await.unwrap().unwrap_err().kind(), ErrorKind::Protocol);
    drop(items);
    rig.is_well(&pids).await;
    rig.end().await;
}

/// A result that says it is JSON, and is not.
#[tokio::test]
async fn a_result_that_is_no_json_is_kept_in_the_error() {
    let Some(rig) = Rig::fault("answers_no_json").await else { return };
    let pids = rig.pids();
    let error = rig.call("add", json!({ "a": 1, "b": 2 })).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert!(error.details().unwrap()["raw"].to_string().contains("$bytes"), "{error:?}");
    assert!(!error.is_retryable());
    assert_eq!(rig.pids(), pids);
    rig.end().await;
}

/// A worker that keeps to no limit.
#[tokio::test]
async fn an_answer_beyond_the_limit_fails_its_call() {
    let Some(rig) = Rig::fault("answers_beyond_limits").await else { return };
    let pids = rig.pids();
    let length = 101 * 1024 * 1024;
    let error = rig.call("text", json!({ "length": length })).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    let mut items = rig.pool.stream::<Value>("stream_text", json!({ "length": length })).await.unwrap();
    assert_eq!(items.next().await.unwrap().unwrap(), json!(1));
    assert_eq!(items.next().await.unwrap().unwrap_err().kind(), ErrorKind::Limit);
    drop(items);
    rig.is_well(&pids).await;
    rig.end().await;
}

/// A connection on which something else is said costs the worker, and not the pool.
#[tokio::test]
async fn a_connection_that_is_spoiled_costs_its_worker() {
    let Some(rig) = Rig::fault("spoils_its_connection").await else { return };
    let before = rig.pids();
    rig.is_well(&before).await;
    let error = rig.call("spoil", json!({})).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::WorkerDied), "{error}");
    eventually("it is replaced", || rig.pool.workers()[0].generation == 2 && rig.pids() != before).await;
    assert!(rig.call("ping", json!({})).await.is_ok());
    rig.end().await;
}
