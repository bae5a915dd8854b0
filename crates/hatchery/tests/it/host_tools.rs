//! Workers that call back.

mod circles;
mod pools;
mod sessions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hatchery::{
    Array, CallOptions, Error, ErrorKind, Hatchery, HostCaller, HostTool, HostToolSource, Payload, PoolBuilder,
};
use serde_json::{Value, json};

use crate::examples::python_with_packages;
use crate::{Rig, app, eventually, misbehaving};

fn with_tools() -> PoolBuilder {
    Hatchery::builder()
        .host_tool("double", |args: BTreeMap<String, i64>| async move { Ok(args["n"] * 2) })
        .host_tool("refuse", |_: Value| async { Err::<(), _>(Error::new(ErrorKind::Conflict, "not today")) })
        .pool("default", app("basics.py"))
}

#[tokio::test]
async fn a_python_tool_calls_a_rust_closure() {
    let rig = Rig::of(with_tools()).await;
    assert_eq!(rig.pool.call::<i64>("ask", json!({"name": "double", "n": 21})).await.unwrap(), 42);
    assert_eq!(rig.pool.call::<Vec<String>>("host_tools", json!({})).await.unwrap(), ["double", "refuse"]);
    rig.end().await;
}

#[tokio::test]
async fn errors_of_host_tools_are_exceptions_with_their_kind() {
    let rig = Rig::of(with_tools()).await;
    let refused: Value = rig.pool.call("ask", json!({"name": "refuse", "n": 1})).await.unwrap();
    assert_eq!(refused, json!({"kind": "conflict", "message": "not today"}));
    let missing: Value = rig.pool.call("ask", json!({"name": "dubble", "n": 1})).await.unwrap();
    assert_eq!(missing["kind"], "not_found");
    assert!(missing["message"].as_str().unwrap().contains("did you mean `double`?"));
    rig.end().await;
}

#[tokio::test]
async fn a_worker_in_any_language_may_ask() {
    let builder = Hatchery::builder()
        .host_tool("double", |args: BTreeMap<String, i64>| async move { Ok(args["n"] * 2) })
        .pool("default", misbehaving("asks_the_host"));
    let rig = Rig::of(builder).await;
    let answer: Value = rig.pool.call("ask", json!({"tool": "double", "with": {"n": 4}})).await.unwrap();
    assert_eq!(answer, json!([34, 8]));
    let answer: Value = rig.pool.call("ask", json!({"tool": "double", "with": {"n": "four"}})).await.unwrap();
    assert_eq!((&answer[0], &answer[1]["kind"]), (&json!(35), &json!("validation")));
    rig.end().await;
}

#[tokio::test]
async fn a_host_tool_that_panics_is_an_error_to_the_worker() {
    let builder = Hatchery::builder()
        .host_tool("at_once", |_: Value| -> std::future::Ready<hatchery::Result<()>> { panic!("no such account") })
        .host_tool("later", |table: Value| async move {
            assert!(table.is_null(), "no such table");
            Ok(())
        })
        .pool("default", app("basics.py"));
    let rig = Rig::of(builder).await;
    for (name, said) in [("at_once", "no such account"), ("later", "no such table")] {
        let answer: Value = rig.pool.call("ask", json!({"name": name, "n": 1})).await.unwrap();
        assert_eq!(answer, json!({"kind": "internal", "message": format!("host tool {name} panicked: {said}")}));
    }
    rig.end().await;
}

fn echo() -> HostTool {
    HostTool::payload("echo", |arguments, _| async move { Ok(arguments) })
}

#[tokio::test]
async fn every_json_value_arrives_as_itself_and_comes_back() {
    let types = HostTool::new("types", |arguments: BTreeMap<String, Value>, _| async move { Ok(arguments) });
    let rig =
        Rig::of(Hatchery::builder().with_host_tool(types).with_host_tool(echo()).pool("default", app("calling.py")))
            .await;
    let values = json!({
        "text": "a \"b\" ü \u{1F600}", "number": "7", "whole": 7, "large": 9_007_199_254_740_993_i64, "real": 5.0, "tiny": 1e-300,
        "yes": true, "no": false, "none": null, "list": [1, "a", [null, {}]], "table": {"deep": {"er": [1.5]}}, "empty": [],
    });
    for tool in ["echo", "types"] {
        let back: Value = rig.pool.call("relay", json!({"name": tool, "args": values})).await.unwrap();
        assert_eq!(back, values, "{tool}");
    }
    let seen: Vec<String> = rig
        .pool
        .call("types", json!({"values": values.as_object().unwrap().values().collect::<Vec<_>>()}))
        .await
        .unwrap();
    assert_eq!(seen.iter().filter(|name| *name == "int").count(), 2, "{seen:?}");
    rig.end().await;
}

#[tokio::test]
async fn an_array_goes_through_the_host_and_back() {
    let Some(python) = python_with_packages() else { return };
    let rig =
        Rig::of(Hatchery::builder().with_host_tool(echo()).pool("default", app("calling.py").python(python))).await;
    let array = Array::new("<f4", vec![64, 1024], vec![7; 4 * 64 * 1024].into()).unwrap();
    #[derive(serde::Serialize)]
    struct Args<'a> {
        name: &'a str,
        args: BTreeMap<&'a str, &'a Array>,
    }
    let args = Args { name: "echo", args: BTreeMap::from([("it", &array)]) };
    let back: BTreeMap<String, Array> = rig.pool.call("relay", args).await.unwrap();
    assert_eq!(back["it"], array);
    rig.end().await;
}

#[tokio::test]
async fn a_tool_knows_its_caller_and_lasts_no_longer() {
    let (asked, is_dropped) = (Arc::new(std::sync::Mutex::new(None)), Arc::new(AtomicBool::new(false)));
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (told, flag) = (Arc::clone(&asked), Arc::clone(&is_dropped));
    let hangs = HostTool::new("hangs", move |_: Value, caller: HostCaller| {
        *told.lock().unwrap() = Some(caller);
        let flag = Flag(Arc::clone(&flag));
        async move {
            std::future::pending::<()>().await;
            drop(flag);
            Ok(())
        }
    });
    let rig = Rig::of(Hatchery::builder().with_host_tool(hangs).pool("default", app("calling.py"))).await;
    let span = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let options =
        CallOptions::new().timeout(Duration::from_millis(400)).correlation_id("c-7").session("s").trace_parent(span);
    let late =
        rig.pool.call_with::<()>("relay", json!({"name": "hangs", "args": {}}), &options.unwrap()).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Deadline);
    eventually("the tool is dropped", || is_dropped.load(Ordering::Relaxed)).await;
    let caller = asked.lock().unwrap().take().unwrap();
    assert_eq!((caller.worker().unwrap(), caller.session_id()), ("default-1", Some("s")));
    assert_eq!((caller.correlation(), caller.span()), (Some("c-7"), Some(span)));
    assert_eq!(caller.time_left(), Some(Duration::ZERO));
    rig.end().await;
}

#[tokio::test]
async fn what_workers_do_not_see_they_cannot_call() {
    let secret = echo().exposed(false);
    let rig = Rig::of(Hatchery::builder().with_host_tool(secret).pool("default", app("calling.py"))).await;
    assert_eq!(rig.pool.call::<Value>("seen", json!({})).await.unwrap(), json!([]));
    let refused: Value = rig.pool.call("tried", json!({"name": "echo", "args": {}})).await.unwrap();
    assert_eq!(refused, json!({"kind": "not_found", "message": "no such host tool: echo"}));
    let arguments = Payload::from_json(json!({"n": 1})).unwrap();
    let answer = rig.hatchery.host_tools().execute("echo", arguments, HostCaller::new()).await.unwrap();
    assert_eq!(answer.decode::<Value>().unwrap(), json!({"n": 1}));
    rig.end().await;
}

#[tokio::test]
async fn a_workers_tool_goes_with_its_life() {
    let mut rig = Rig::of(Hatchery::builder().pool("default", app("calling.py"))).await;
    rig.ready().await;
    let tools = rig.hatchery.host_tools().clone();
    let status = rig.pool.workers().remove(0);
    let (worker, generation) = (status.id.clone(), status.generation);
    let (pool, id) = (rig.pool.clone(), worker.to_string());
    let far = HostTool::payload("far", move |arguments, caller: HostCaller| {
        let (pool, options) = (pool.clone(), caller.options().worker(id.as_str()));
        async move { pool.call_payload("context", arguments, &options).await }
    });
    tools.register(far.source(HostToolSource::Worker { pool: "default".into(), worker, generation })).unwrap();
    let caller = HostCaller::new().correlation_id("c-9");
    let answer = tools.execute("far", Payload::from_json(json!({})).unwrap(), caller).await.unwrap();
    assert_eq!(answer.decode::<Value>().unwrap()["correlation_id"], "c-9");
    // It would wait for the only place of its own worker.
    let refused: Value = rig.pool.call("tried", json!({"name": "far", "args": {}})).await.unwrap();
    assert_eq!(refused["kind"], "conflict");
    crate::containment::kill(rig.pids()[0]);
    eventually("its tools are gone", || tools.all().is_empty()).await;
    rig.end().await;
}
