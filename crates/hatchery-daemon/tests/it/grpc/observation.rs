//! What gRPC says is what HTTP says.

use hatchery_grpc::v1;
use serde::Serialize;
use serde_json::{Value, json};

use super::{call, client};
use crate::client::get;
use crate::rig::{Rig, basics};

/// Facts that are others a moment later.
const FLEETING: [&str; 6] = ["rss_bytes", "last_accessed", "answered_at", "took_seconds", "details", "preserved"];

/// Holds a message to the document: every fact of that stands in it, under the same name, and nothing else does.
#[track_caller]
fn same(message: &impl Serialize, document: &Value) {
    let message = serde_json::to_value(message).unwrap();
    let (told, wanted) = (plain(&message), plain(document));
    assert_eq!(told, wanted, "\n{message:#}\n{document:#}");
}

/// Without what is fleeting, absent or empty, which are not told apart; numbers as one kind.
fn plain(value: &Value) -> Value {
    let is_something = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && *value != json!(0.0);
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| !FLEETING.contains(&name.as_str()));
            let fields = fields.map(|(name, value)| (name.clone(), plain(value)));
            Value::Object(fields.filter(|(_, value)| is_something(value) && !is_empty(value)).collect())
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

#[tokio::test]
async fn every_document_of_http_is_a_message_with_the_same_fields() {
    let rig = Rig::of(basics().workers(2)).await;
    let mut client = client(&rig).await;
    for request in [call("echo", json!({"value": 1})), call("fail", json!({"message": "m"}))] {
        let _failed_or_not = client.call(request).await;
    }
    let pool = || "default".to_owned();
    let tools = client.tools(v1::ToolsRequest { pool: pool() }).await.unwrap().into_inner();
    same(&tools.tools, &get(rig.address, "/v1/pools/default/tools").await.json());
    let pools = client.pools(v1::PoolsRequest::default()).await.unwrap().into_inner();
    same(&pools.pools, &get(rig.address, "/v1/pools").await.json());
    let one = client.pools(v1::PoolsRequest { pool: pool() }).await.unwrap().into_inner();
    assert_eq!(one, pools);
    let stats = client.stats(v1::StatsRequest {}).await.unwrap().into_inner();
    same(&stats, &get(rig.address, "/v1/stats").await.json());
    assert_eq!((stats.total.unwrap().requests, stats.pools["default"].errors), (2, 1));
    let status = client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    same(&status, &get(rig.address, "/v1/status").await.json());
    assert_eq!((status.phase.as_str(), status.pid), ("serving", std::process::id()));
    let workers = client.workers(v1::WorkersRequest { pool: pool() }).await.unwrap().into_inner();
    same(&workers.workers, &get(rig.address, "/v1/workers").await.json());
    let worker = client.worker(v1::WorkerRequest { id: "default-2".into() }).await.unwrap().into_inner();
    same(&worker.worker, &get(rig.address, "/v1/workers/default-2").await.json());
    assert_eq!(worker.worker.unwrap().runtime.unwrap().language, "python");
    let catalogue = client.event_catalogue(v1::EventCatalogueRequest {}).await.unwrap().into_inner();
    same(&catalogue.events, &get(rig.address, "/v1/events/catalogue").await.json());
    let orphans = client.orphans(v1::OrphansRequest {}).await.unwrap().into_inner();
    same(&orphans.report, &get(rig.address, "/v1/orphans").await.json());
    rig.end().await;
}

#[tokio::test]
async fn taints_and_breakers_are_told_as_http_tells_them() {
    use hatchery::fault::{BreakerPolicy, CrashBarrier};
    let barrier = CrashBarrier { enabled: true, ..CrashBarrier::default() };
    let rig = Rig::of(basics().breaker(BreakerPolicy::default()).crash_barrier(barrier)).await;
    let mut client = client(&rig).await;
    let _died = client.call(call("die", json!({"with_signal": 11}))).await.unwrap_err();
    let breakers = client.breakers(v1::BreakersRequest {}).await.unwrap().into_inner();
    same(&breakers.pools, &get(rig.address, "/v1/breakers").await.json());
    assert_eq!(breakers.pools[0].all.as_ref().unwrap().failure_count, 1);
    let taints = client.taints(v1::TaintsRequest {}).await.unwrap().into_inner().taints;
    assert_eq!((taints[0].id.as_str(), taints[0].class.as_str()), ("default-1", "segfault"));
    let cleared = client.reset_taints(v1::ResetTaintsRequest { id: "default-1".into() }).await.unwrap().into_inner();
    assert_eq!(cleared.cleared, 1);
    let again = client.reset_taints(v1::ResetTaintsRequest { id: "default-1".into() }).await.unwrap_err();
    super::fails(&again, tonic::Code::NotFound, "not_found", "default-1");
    let reset = v1::ResetBreakersRequest { pool: "default".into(), tool: String::new() };
    let reset = client.reset_breakers(reset).await.unwrap().into_inner().breakers.unwrap();
    assert_eq!(reset.all.unwrap().failure_count, 0);
    rig.stop().ended().await.unwrap();
}
