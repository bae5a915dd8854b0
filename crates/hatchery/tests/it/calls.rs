//! Calls that end well, and calls that are refused before or by the worker.

use std::collections::{BTreeMap, HashSet};

use hatchery::{CallOptions, ErrorKind, Event, Level, LogSource, WorkerEvent};
use serde_json::{Value, json};

use crate::{Rig, spawn};

#[tokio::test]
async fn a_python_function_returns_its_result() {
    let rig = Rig::basics(1).await;
    let counts: BTreeMap<String, u64> = rig.pool.call("word_count", json!({"text": "a b a"})).await.unwrap();
    assert_eq!(counts, BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
    let next: i64 = rig.pool.call("later", json!({"value": 41})).await.unwrap();
    assert_eq!(next, 42);
    rig.pool.call::<()>("echo", json!({"value": null})).await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn the_tools_are_described() {
    let rig = Rig::basics(1).await;
    let tools = rig.pool.tools();
    let spec = tools.iter().find(|tool| tool.name == "word_count").unwrap();
    assert_eq!(
        serde_json::to_value(spec).unwrap(),
        json!({"name": "word_count", "doc": "Count words.", "streaming": false,
               "parameters": [{"name": "text", "type": "str", "required": true}]})
    );
    assert!(tools.iter().find(|tool| tool.name == "countdown").unwrap().streaming);
    rig.end().await;
}

#[tokio::test]
async fn mistakes_in_the_call_are_named() {
    let rig = Rig::basics(1).await;
    let cases: &[(&str, Value, ErrorKind, &str)] = &[
        ("word_cuont", json!({}), ErrorKind::NotFound, "no such tool: word_cuont (did you mean `word_count`?)"),
        ("word_count", json!([]), ErrorKind::Validation, "word_count: arguments must be a JSON object"),
        ("word_count", json!({}), ErrorKind::Validation, "`text`"),
        ("word_count", json!({"text": 3}), ErrorKind::Validation, "`text`"),
        ("word_count", json!({"text": "a", "txet": 1}), ErrorKind::Validation, "`txet`"),
        ("countdown", json!({"n": 3}), ErrorKind::Validation, "countdown is a streaming tool: use `stream`"),
    ];
    for (tool, args, kind, part) in cases {
        let error = rig.pool.call::<Value>(tool, args).await.unwrap_err();
        assert_eq!(error.kind(), *kind, "{tool} {args}: {error}");
        assert!(error.message().contains(part), "{tool} {args}: {error}");
        assert!(
            error.correlation_id().is_some()
                || *kind == ErrorKind::NotFound
                || error.message().ends_with("object")
                || error.message().ends_with("`stream`")
        );
    }
    let error = rig.pool.stream::<Value>("word_count", json!({"text": ""})).await.err().unwrap();
    assert_eq!(error.message(), "word_count returns once: use `call`");
    rig.end().await;
}

#[tokio::test]
async fn an_exception_carries_its_type_and_traceback() {
    let rig = Rig::basics(1).await;
    let error = rig.pool.call::<Value>("fail", json!({"message": "no luck"})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Remote);
    assert_eq!(error.message(), "no luck");
    assert_eq!(error.python_type(), Some("ValueError"));
    let traceback = error.traceback().unwrap();
    assert!(traceback.contains("basics.py") && traceback.contains("in fail"), "{traceback}");
    assert!(!traceback.contains("loop.py"), "frames of the runtime are not the user's business: {traceback}");
    rig.end().await;
}

#[tokio::test]
async fn a_result_of_another_type_is_the_callers_mistake() {
    let rig = Rig::basics(1).await;
    let error = rig.pool.call::<Vec<u64>>("echo", json!({"value": "text"})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.message().starts_with("echo: its result"), "{error}");
    rig.end().await;
}

#[tokio::test]
async fn the_correlation_id_shows_in_context_logs_events_and_errors() {
    let mut rig = Rig::basics(1).await;
    let options = CallOptions::new().correlation_id("order-4711").session("user-7");
    let who: Value = rig.pool.call_with("who", json!({}), &options).await.unwrap();
    assert_eq!((&who["correlation_id"], &who["session"]), (&json!("order-4711"), &json!("user-7")));

    rig.pool.call_with::<()>("say", json!({"text": "hello"}), &options).await.unwrap();
    let mut logs = Vec::new();
    while logs.len() < 2 {
        logs.push(
            rig.event(|event| if let Event::Worker(WorkerEvent::Log(log)) = event { Some(log) } else { None }).await,
        );
    }
    assert!(logs.iter().all(|log| log.correlation_id.as_deref() == Some("order-4711")), "{logs:?}");
    assert_eq!((logs[0].message.as_str(), logs[0].source, logs[0].level), ("hello", LogSource::Stdout, Level::Info));
    assert_eq!(
        (logs[1].message.as_str(), logs[1].source, logs[1].level),
        ("logged hello", LogSource::Log, Level::Warning)
    );
    let said = rig.event(|event| if let Event::Tool(said) = event { Some(said) } else { None }).await;
    assert_eq!((said.name.as_str(), said.correlation_id.as_deref()), ("test.said", Some("order-4711")));

    let error = rig.pool.call_with::<Value>("fail", json!({"message": "m"}), &options).await.unwrap_err();
    assert_eq!(error.correlation_id(), Some("order-4711"));
    let made: Value = rig.pool.call("who", json!({})).await.unwrap();
    assert_eq!(made["correlation_id"].as_str().unwrap().len(), 16);
    rig.end().await;
}

#[tokio::test]
async fn progress_is_an_event_that_comes_before_the_result() {
    let mut rig = Rig::basics(1).await;
    rig.pool.call::<()>("say", json!({"text": "x"})).await.unwrap();
    let progress = rig.event(|event| if let Event::Progress(progress) = event { Some(progress) } else { None }).await;
    assert_eq!((progress.fraction, progress.message.as_deref()), (Some(0.5), Some("half")));
    rig.end().await;
}

#[tokio::test]
async fn stray_writes_are_worker_log_and_never_protocol() {
    let mut rig = Rig::basics(1).await;
    rig.pool.call::<()>("stray", json!({"text": "straight to descriptor 1"})).await.unwrap();
    let mut lines = HashSet::new();
    while !(lines.contains("straight to descriptor 1") && lines.contains("from a child")) {
        lines.insert(
            rig.event(|event| if let Event::Worker(WorkerEvent::Log(log)) = event { Some(log.message) } else { None })
                .await,
        );
    }
    rig.pool.call::<()>("echo", json!({"value": null})).await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn calls_spread_over_the_workers_and_wait_in_order() {
    let rig = Rig::basics(3).await;
    let pool = rig.pool.clone();
    let gate = rig.path("gate");
    let blocked: Vec<_> = (0..3)
        .map(|_| {
            let (pool, gate) = (pool.clone(), gate.clone());
            spawn(async move { pool.call::<bool>("wait_for_file", json!({"path": gate})).await })
        })
        .collect();
    crate::eventually("all workers are busy", || rig.pool.workers().iter().all(|worker| worker.state == "busy")).await;
    let queued = spawn({
        let pool = pool.clone();
        async move { pool.call::<u64>("echo", json!({"value": 5})).await }
    });
    std::fs::write(&gate, "").unwrap();
    for call in blocked {
        assert!(call.await.unwrap().unwrap());
    }
    assert_eq!(queued.await.unwrap().unwrap(), 5);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_calls_from_many_tasks_all_get_their_own_answer() {
    let rig = Rig::basics(2).await;
    let tasks: Vec<_> = (0..50u64)
        .map(|task| {
            let pool = rig.pool.clone();
            spawn(async move {
                for n in 0..40u64 {
                    let value = task * 1000 + n;
                    assert_eq!(pool.call::<u64>("echo", json!({ "value": value })).await.unwrap(), value);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    rig.end().await;
}

#[tokio::test]
async fn the_span_of_the_caller_is_known_to_the_tool() {
    let rig = Rig::basics(1).await;
    let span = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let options = CallOptions::new().trace_parent(span).unwrap();
    let who: Value = rig.pool.call_with("who", json!({}), &options).await.unwrap();
    assert_eq!(who["traceparent"], span);
    let who: Value = rig.pool.call("who", json!({})).await.unwrap();
    assert_eq!(who["traceparent"], Value::Null);
}

#[tokio::test]
async fn every_error_carries_the_correlation_id_that_the_caller_gave() {
    let rig = Rig::basics(1).await;
    let options = CallOptions::new().correlation_id("order-4711");
    let cases = [("word_cuont", json!({})), ("echo", json!([])), ("echo", json!({"value": "no number"}))];
    for (tool, args) in cases {
        let error = rig.pool.call_with::<u64>(tool, args, &options).await.unwrap_err();
        assert_eq!(error.correlation_id(), Some("order-4711"), "{error}");
    }
    let error = rig.pool.stream_with::<u64>("word_count", json!({}), &options).await.err().unwrap();
    assert_eq!(error.correlation_id(), Some("order-4711"));
    let mut chunks = rig.pool.stream_with::<String>("countdown", json!({"n": 1}), &options).await.unwrap();
    let error = chunks.next().await.unwrap().unwrap_err();
    assert_eq!(error.correlation_id(), Some("order-4711"), "{error}");
    rig.end().await;
}

/// Nothing that is said of a call is lost in silence.
#[tokio::test]
async fn metadata_is_refused_where_nobody_would_read_it() {
    let rig = Rig::basics(1).await;
    let options = CallOptions::new().metadata("thread_sensitive", "true");
    let error = rig.pool.call_with::<Value>("later", json!({ "value": 1 }), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.message().ends_with("are told no metadata of a call, found `thread_sensitive`"), "{error}");
    rig.end().await;
}
