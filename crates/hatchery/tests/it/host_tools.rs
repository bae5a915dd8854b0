//! Workers that call back.

use std::collections::BTreeMap;

use hatchery::{Error, ErrorKind, Hatchery, PoolBuilder};
use serde_json::{Value, json};

use crate::{Rig, app, misbehaving};

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
