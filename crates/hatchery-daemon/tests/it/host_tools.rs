//! What workers call back, from outside.

use hatchery::{Hatchery, HostCaller, HostTool};
use hatchery_grpc::{payload, v1};
use serde_json::{Value, json};
use tonic::Code;

use crate::client::{delete, get, post};
use crate::grpc;
use crate::rig::{Rig, with_host_tools};

/// A daemon with a tool of its pool as a host tool, one of the daemon's own that workers do not see, and one of a session.
async fn rig() -> Rig {
    let greet = |session: &str| {
        HostTool::new("greet", |name: Value, caller: HostCaller| async move { Ok(json!([name, caller.session_id()])) })
            .session(session.to_owned())
            .metadata("tone", "kind")
    };
    let secret = HostTool::new("secret", |_: Value, _| async { Ok("s") }).exposed(false);
    let builder = Hatchery::builder().pool_tool("again", "default", "echo").with_host_tool(secret);
    let begin = move |hatchery: &Hatchery| {
        hatchery.sessions().create("s").unwrap();
        hatchery.host_tools().register(greet("s")).unwrap();
    };
    with_host_tools(builder, begin).await
}

fn names(tools: &Value) -> Vec<&str> {
    tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn they_are_listed_shown_called_and_taken_away() {
    let rig = rig().await;
    let at = rig.address;
    assert_eq!(names(&get(at, "/v1/host-tools").await.json()), ["again", "secret", "greet"]);
    assert_eq!(names(&get(at, "/v1/host-tools?session=s").await.json()), ["again", "greet", "secret"]);
    assert_eq!(names(&get(at, "/v1/host-tools?session=t").await.json()), ["again", "secret"]);
    let again = get(at, "/v1/host-tools/again").await.json();
    assert_eq!(again["source"], json!({"kind": "pool", "pool": "default", "tool": "echo"}));
    assert_eq!((&again["parameters"][0]["name"], &again["session"]), (&json!("value"), &Value::Null));
    get(at, "/v1/host-tools/greet").await.fails(404, "not_found", "no such host tool: greet");
    let shown = get(at, "/v1/host-tools/greet?session=s").await.json();
    assert_eq!((&shown["metadata"], &shown["exposed"]), (&json!({"tone": "kind"}), &json!(true)));
    let description = get(at, "/openapi.json").await.json();
    let problems = crate::schema::problems(&description, &description["components"]["schemas"]["HostTool"], &shown);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(post(at, "/v1/host-tools/again/call", r#"{"value": [1, null]}"#).await.json(), json!([1, null]));
    assert_eq!(post(at, "/v1/host-tools/greet/call?session=s", r#"{"a": 1}"#).await.json(), json!([{"a": 1}, "s"]));
    let missing = post(at, "/v1/host-tools/greed/call?session=s", "{}").await;
    missing.fails(404, "not_found", "no such host tool: greed (did you mean `greet`?)");
    delete(at, "/v1/host-tools/greet").await.fails(404, "not_found", "no such host tool");
    assert_eq!(delete(at, "/v1/host-tools/greet?session=s").await.json(), json!({"unregistered": true}));
    delete(at, "/v1/host-tools/greet?session=s").await.fails(404, "not_found", "no such host tool");
    get(at, "/v1/host-tools?of=s").await.fails(400, "validation", "the query");
    rig.end().await;
}

#[tokio::test]
async fn grpc_does_the_same() {
    let rig = rig().await;
    let mut client = grpc::client(&rig).await;
    let of = |session: &str| v1::ListHostToolsRequest { session: session.into() };
    let all = client.list_host_tools(of("")).await.unwrap().into_inner().tools;
    let greet = all.iter().find(|tool| tool.name == "greet").unwrap();
    assert_eq!((all.len(), greet.session.as_deref(), &*greet.metadata["tone"]), (3, Some("s"), "kind"));
    assert_eq!(client.list_host_tools(of("t")).await.unwrap().into_inner().tools.len(), 2);
    let asked = v1::GetHostToolRequest { name: "again".into(), session: String::new() };
    let source = client.get_host_tool(asked).await.unwrap().into_inner().tool.unwrap().source.unwrap();
    assert_eq!((&*source.kind, &*source.pool, &*source.tool), ("pool", "default", "echo"));
    let options = v1::CallOptions { session: "s".into(), ..Default::default() };
    let arguments = Some(payload::write(&hatchery::Payload::from_json(json!({"a": 1})).unwrap()).unwrap());
    let call = v1::CallHostToolRequest { name: "greet".into(), arguments, options: Some(options) };
    let result = client.call_host_tool(call).await.unwrap().into_inner().result.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&result.json).unwrap(), json!([{"a": 1}, "s"]));
    let gone = v1::UnregisterHostToolRequest { name: "greet".into(), session: "s".into() };
    assert!(client.unregister_host_tool(gone.clone()).await.unwrap().into_inner().unregistered);
    let missing = client.unregister_host_tool(gone).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    rig.end().await;
}
