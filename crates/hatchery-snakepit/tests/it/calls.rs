//! Calls and streams of a worker that nobody has changed a line of.

use std::time::Duration;

use hatchery::{CallOptions, ErrorKind, HostCaller, HostTool};
use serde_json::{Value, json};

use crate::rig::{Rig, eventually, exists};

#[tokio::test]
async fn it_adds_and_gives_back_what_it_got() {
    let Some(rig) = Rig::plain().await else { return };
    assert_eq!(rig.pool.call::<Value>("add", json!({ "a": 2, "b": 3 })).await.unwrap(), json!(5.0));
    let nested = json!({ "map": { "ä": [null, { "b": "Ω🦀" }] }, "none": null, "text": "" });
    assert_eq!(rig.pool.call::<Value>("echo", nested.clone()).await.unwrap(), nested);
    rig.end().await;
}

#[tokio::test]
async fn an_exception_is_typed_and_has_its_context() {
    let Some(rig) = Rig::plain().await else { return };
    let raising = json!({ "error_type": "ValueError", "message": "x" });
    let error = rig.pool.call::<Value>("error_demo", raising).await.unwrap_err();
    assert_eq!((error.kind(), error.message(), error.python_type()), (ErrorKind::Remote, "x", Some("ValueError")));
    assert!(error.traceback().is_some_and(|traceback| traceback.contains("error_demo")), "{error:?}");
    assert_eq!(error.details().unwrap()["context"]["tool_name"], "error_demo");
    assert!(rig.pool.call::<Value>("ping", json!({})).await.is_ok());
    rig.end().await;
}

#[tokio::test]
async fn a_stream_has_its_chunks_in_order_and_no_more() {
    let Some(rig) = Rig::plain().await else { return };
    let mut steps = rig.pool.stream::<Value>("stream_progress", json!({ "steps": 5 })).await.unwrap();
    let mut seen = Vec::new();
    while let Some(step) = steps.next().await {
        seen.push(step.unwrap()["step"].as_u64().unwrap());
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    rig.end().await;
}

#[tokio::test]
async fn a_stream_that_is_given_up_stops_its_generator() {
    let Some(rig) = Rig::plain().await else { return };
    let mut items = rig.pool.stream::<Value>("infinite_stream", json!({})).await.unwrap();
    assert!(items.next().await.unwrap().is_ok());
    drop(items);
    eventually("its place is free", || rig.pool.status().running == 0).await;
    assert!(rig.pool.call::<Value>("ping", json!({})).await.is_ok());
    rig.end().await;
}

#[tokio::test]
async fn a_host_tool_gets_values_of_every_type() {
    let Some(rig) = Rig::plain().await else { return };
    let echo = |arguments: Value, _: HostCaller| async move { Ok(arguments["value"].clone()) };
    rig.hatchery.host_tools().register(HostTool::new("mirror", echo)).unwrap();
    let seen: Value = rig.pool.call("call_host_with_each_type", json!({ "name": "mirror" })).await.unwrap();
    assert_eq!(
        (&seen["string"], &seen["digits"], &seen["boolean"]),
        (&json!("Ω a"), &json!("123456789"), &json!(true))
    );
    assert_eq!((&seen["integer"], &seen["float"]), (&json!(3), &json!(1.5)));
    rig.end().await;
}

#[tokio::test]
async fn a_session_is_the_users() {
    let Some(rig) = Rig::plain().await else { return };
    rig.hatchery.sessions().create("user-7").unwrap();
    let options = CallOptions::new().session("user-7");
    for count in 1..=2 {
        let counted: Value = rig.pool.call_with("increment_counter", json!({}), &options).await.unwrap();
        assert_eq!(counted, json!({ "session_id": "user-7", "count": count }));
    }
    rig.end().await;
}

#[tokio::test]
async fn a_call_that_outlives_its_deadline_costs_its_worker() {
    let Some(rig) = Rig::plain().await else { return };
    let before = rig.pids()[0];
    let soon = CallOptions::new().timeout(Duration::from_millis(300));
    let never = json!({ "file": rig.path("never") });
    let error = rig.pool.call_with::<Value>("wait_for_file", never, &soon).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    eventually("it is gone", || !exists(before)).await;
    assert!(rig.pool.call::<Value>("ping", json!({})).await.is_ok());
    rig.end().await;
}
