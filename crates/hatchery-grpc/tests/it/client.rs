//! Calls that have one answer.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hatchery::{Array, Binary, ErrorKind, Payload};
use hatchery_grpc::bridge::{Client, Connection, MESSAGE_LIMIT, Peer, RequestOptions, ToolCall, proto, tools};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::rig::{Side, bridge};

fn call(tool: &str, arguments: Value) -> ToolCall {
    ToolCall::new(tool, Payload::from_json(arguments).unwrap())
}

fn plain() -> RequestOptions {
    RequestOptions::new()
}

#[tokio::test]
async fn a_worker_is_asked_all_that_a_host_asks() {
    let side = Side::default();
    let worker = bridge(side.clone(), Peer::Worker).await;
    let options = plain().correlation_id("sp-1").timeout(Duration::from_secs(60)).header("x-secret", "s").unwrap();
    assert_eq!(worker.ping("a", &options).await.unwrap().message, "pong: a");
    let headers = side.headers.lock().unwrap().clone();
    let said = |name| headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!((said("x-snakepit-correlation-id"), said("x-secret")), (Some("sp-1"), Some("s")));
    assert!(headers.contains_key("grpc-timeout"));

    assert!(worker.initialize_session("s", BTreeMap::new(), None, &plain()).await.unwrap().success);
    let refused = worker.initialize_session("", BTreeMap::new(), None, &plain()).await.unwrap_err();
    assert_eq!(refused.message(), "no id");
    assert_eq!(worker.get_session("s", &plain()).await.unwrap().tool_count, 3);
    assert_eq!(worker.get_session("x", &plain()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(worker.heartbeat("s", &plain()).await.unwrap());
    assert!(!worker.heartbeat("x", &plain()).await.unwrap());
    assert_eq!(worker.cleanup_session("s", &plain()).await.unwrap(), 1);
}

#[tokio::test]
async fn a_tool_gets_its_arguments_and_what_goes_with_them() {
    let side = Side::default();
    let worker = bridge(side.clone(), Peer::Worker).await;
    let image = Array::from_slice(&[2], &[1u16, 2]).unwrap();
    let given = json!({"n": 1, "image": image, "pickle": Binary(Bytes::from_static(b"p")), "deep": {"a": [null, "ü"]}});
    let asked = call("echo", given.clone()).session("s").metadata("thread_sensitive", "true").pickled("pickle");
    let answer = worker.execute_tool(asked, &plain().correlation_id("größe")).await.unwrap();
    assert_eq!((answer.value.to_json().unwrap(), answer.execution_time), (given, Duration::from_millis(7)));

    let request = side.request.lock().unwrap().clone();
    assert_eq!((request.session_id.as_str(), request.stream), ("s", false));
    let metadata: Vec<_> = request.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let expected = [
        "binary_dtype:image=<u2",
        "binary_format:pickle=pickle",
        "binary_shape:image=[2]",
        "correlation_id=größe",
        "thread_sensitive=true",
    ];
    assert_eq!(metadata, expected);
    assert_eq!(request.binary_parameters["image"], &[1, 0, 2, 0][..]);
}

#[tokio::test]
async fn what_fails_is_a_typed_error() {
    let worker = bridge(Side::default(), Peer::Worker).await;
    let fails = async |tool: &str| worker.execute_tool(call(tool, json!({})), &plain()).await.unwrap_err();
    let raised = fails("raise").await;
    assert_eq!(
        (raised.kind(), raised.python_type(), raised.traceback()),
        (ErrorKind::Remote, Some("ValueError"), Some("T\n"))
    );
    assert_eq!(raised.details().unwrap()["context"]["tool_name"], "raise");
    assert_eq!(fails("refuse").await.message(), "no such thing");
    assert_eq!(fails("die").await.kind(), ErrorKind::WorkerDied);
    let broken = fails("broken").await;
    assert_eq!((broken.kind(), &broken.details().unwrap()["length"]), (ErrorKind::Protocol, &json!(8)));
    let answer = worker.execute_tool(call("bytes", json!({})), &plain()).await.unwrap();
    assert_eq!(answer.value.decode::<Binary>().unwrap().0, "hi");
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_sent() {
    let side = Side::default();
    let worker = bridge(side.clone(), Peer::Worker).await;
    let deep = worker.execute_tool(call("echo", json!({"a": [{"$bytes": "AA=="}]})), &plain()).await.unwrap_err();
    assert_eq!((deep.kind(), &deep.details().unwrap()["path"]), (ErrorKind::Validation, &json!("a[0]")));
    let huge = Payload::encode(&BTreeMap::from([("a", Binary(vec![0; MESSAGE_LIMIT].into()))])).unwrap();
    let error = worker.execute_tool(ToolCall::new("echo", huge), &plain()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert_eq!(side.request.lock().unwrap().tool_name, "");
    assert!(worker.ping("", &plain()).await.is_ok());
}

#[tokio::test]
async fn a_call_that_is_too_late_ends_at_both_sides() {
    let side = Side::default();
    let (sender, given_up) = oneshot::channel();
    *side.given_up.lock().unwrap() = Some(sender);
    let worker = bridge(side, Peer::Worker).await;
    let options = plain().timeout(Duration::from_millis(50));
    let error = worker.execute_tool(call("forever", json!({})), &options).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Deadline, "ExecuteTool: no answer within 50ms"));
    tokio::time::timeout(Duration::from_secs(60), given_up).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_host_is_asked_all_that_a_worker_asks() {
    let host = bridge(Side::default(), Peer::Host).await;
    let given =
        json!({"s": "123456789", "n": 1, "f": 1.5, "b": false, "l": [1, "a"], "d": {"a": null}, "none": null, "e": ""});
    let answer = host.execute_host_tool(call("echo", given.clone()), &plain()).await.unwrap();
    assert_eq!(answer.value.to_json().unwrap(), given);
    let missing = host.execute_host_tool(call("none", json!({})), &plain()).await.unwrap_err();
    assert_eq!((missing.kind(), missing.message()), (ErrorKind::Remote, "Tool none not found"));

    let exposed = host.get_exposed_tools("s", &plain()).await.unwrap();
    assert_eq!(exposed.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["lookup"]);
    let registration = |name: &str| proto::ToolRegistration::from(tools::write(&hatchery::ToolSpec::new(name)));
    let ids = host.register_tools("s", "python-1", vec![registration("a")], &plain()).await.unwrap();
    assert_eq!(ids["a"], "s:a");
    let twice = host.register_tools("s", "python-1", vec![registration("twice")], &plain()).await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn many_calls_share_a_connection_that_somebody_else_made() {
    let port = crate::rig::worker_port(Side::default()).await;
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, driver) = made.await.unwrap();
    tokio::spawn(driver);
    let worker = Client::new(Connection::from(sender), Peer::Worker);
    let calls = (0..100).map(|n| {
        let worker = worker.clone();
        tokio::spawn(async move { worker.execute_tool(call("echo", json!({"n": n})), &RequestOptions::new()).await })
    });
    for (n, answer) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().unwrap().value.to_json().unwrap(), json!({"n": n}));
    }
}
