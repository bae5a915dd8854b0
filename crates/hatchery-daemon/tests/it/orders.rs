use std::time::Duration;

use hatchery::fault::BreakerPolicy;
use hatchery_daemon::Phase;
use serde_json::{Value, json};

use crate::client::{delete, get, post};
use crate::rig::{Rig, basics};

fn is_idle(worker: &Value) -> bool {
    worker["state"] == "idle"
}

async fn order(rig: &Rig, path: &str, body: &str) -> Value {
    let reply = post(rig.address, path, body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

#[tokio::test]
async fn a_pool_is_scaled() {
    let rig = Rig::of(basics()).await;
    let scaled = order(&rig, "/v1/pools/default/scale", r#"{"workers": 2}"#).await;
    assert_eq!(scaled, json!({"pool": "default", "from": 1, "to": 2}));
    rig.workers_are("two serve", |all| all.len() == 2 && all.iter().all(is_idle)).await;
    for (body, said) in [
        ("{}", "missing field `workers`"),
        (r#"{"workers": 0}"#, "1 to 1024"),
        (r#"{"workers": "2"}"#, "invalid type"),
        (r#"{"workers": 2, "now": true}"#, "unknown field `now`"),
    ] {
        post(rig.address, "/v1/pools/default/scale", body).await.fails(400, "validation", said);
    }
    post(rig.address, "/v1/pools/other/scale", r#"{"workers": 2}"#).await.fails(
        404,
        "not_found",
        "no such pool: other",
    );
    rig.end().await;
}

#[tokio::test]
async fn a_pool_is_drained_and_takes_calls_again() {
    let rig = Rig::of(basics()).await;
    let (gate, address) = (rig.path("gate"), rig.address);
    let wait = json!({"path": gate}).to_string();
    let running = tokio::spawn(async move { post(address, "/v1/pools/default/call/wait_for_file", wait).await });
    rig.worker_is("busy").await;
    let drained = order(&rig, "/v1/pools/default/drain", "").await;
    assert_eq!(drained, json!({"pool": "default", "drained": false, "queued": 0, "running": 1}));
    let refused = post(rig.address, "/v1/pools/default/call/echo", r#"{"value": 1}"#).await;
    refused.fails(503, "unavailable", "pool default drains");
    std::fs::write(&gate, "").unwrap();
    let drained = order(&rig, "/v1/pools/default/drain", r#"{"wait": "60s"}"#).await;
    assert_eq!(drained["drained"], true);
    assert_eq!(running.await.unwrap().text, "true");
    assert_eq!(order(&rig, "/v1/pools/default/resume", "{}").await, json!({"pool": "default", "state": "serving"}));
    assert_eq!(post(rig.address, "/v1/pools/default/call/echo", r#"{"value": 1}"#).await.text, "1");
    post(rig.address, "/v1/pools/default/drain", r#"{"wait": "x"}"#).await.fails(400, "validation", "wait: expected");
    rig.end().await;
}

#[tokio::test]
async fn workers_are_replaced_restarted_and_stopped() {
    let rig = Rig::of(basics().workers(2)).await;
    let generations = |all: &[Value]| all.iter().map(|it| it["generation"].as_u64().unwrap()).collect::<Vec<_>>();
    let recycled = order(&rig, "/v1/workers/default-1/recycle", "").await;
    assert_eq!(recycled, json!({"worker": "default-1", "pool": "default", "order": "recycle", "generation": 1}));
    rig.workers_are("the first is another", |all| generations(all) == [2, 1] && all.iter().all(is_idle)).await;
    assert_eq!(order(&rig, "/v1/workers/default-2/restart", "").await["order"], "restart");
    rig.workers_are("the second is another", |all| generations(all) == [2, 2] && all.iter().all(is_idle)).await;
    assert_eq!(order(&rig, "/v1/pools/default/reload", "").await, json!({"pool": "default", "workers": 2}));
    rig.workers_are("both are others", |all| generations(all) == [3, 3] && all.iter().all(is_idle)).await;
    assert_eq!(order(&rig, "/v1/workers/default-1/stop", "").await["generation"], 3);
    rig.workers_are("one is left", |all| all.len() == 1 && all[0]["id"] == "default-2").await;
    post(rig.address, "/v1/workers/default-2/stop", "").await.fails(400, "validation", "its only worker");
    for (id, order) in
        [("default-9", "recycle"), ("other-1", "stop"), ("default", "restart"), ("default-01", "recycle")]
    {
        post(rig.address, &format!("/v1/workers/{id}/{order}"), "").await.fails(404, "not_found", id);
    }
    rig.end().await;
}

#[tokio::test]
async fn breakers_are_shown_and_closed() {
    let policy = BreakerPolicy { failures: 1, reset: Duration::from_secs(3600), ..BreakerPolicy::default() };
    let rig = Rig::of(basics().breaker(policy)).await;
    let call = async |tool: &str| post(rig.address, &format!("/v1/pools/default/call/{tool}"), "").await;
    call("die").await.fails(502, "worker_died", "exit status 7");
    let all = get(rig.address, "/v1/breakers").await.json();
    assert_eq!((&all[0]["pool"], &all[0]["tools"]["die"]["state"]), (&json!("default"), &json!("open")));
    call("die").await.fails(503, "unavailable", "is open");
    let reset = "/v1/pools/default/breakers/reset";
    post(rig.address, reset, r#"{"tool": "never_called"}"#).await.fails(404, "not_found", "never_called");
    let closed = order(&rig, reset, r#"{"tool": "die"}"#).await;
    assert_eq!((&closed["tools"]["die"]["state"], &closed["all"]["state"]), (&json!("closed"), &json!("open")));
    assert_eq!(order(&rig, reset, "").await["all"]["state"], "closed");
    rig.end().await;
}

#[tokio::test]
async fn a_pool_without_breakers_and_nothing_tainted_say_so() {
    let rig = Rig::of(basics()).await;
    assert_eq!(get(rig.address, "/v1/breakers").await.json(), json!([]));
    post(rig.address, "/v1/pools/default/breakers/reset", "").await.fails(404, "not_found", "no circuit breakers");
    assert_eq!(get(rig.address, "/v1/taints").await.json(), json!([]));
    delete(rig.address, "/v1/taints/default-1").await.fails(404, "not_found", "default-1");
    assert_eq!(delete(rig.address, "/v1/taints").await.json(), json!({"cleared": 0}));
    rig.end().await;
}

#[tokio::test]
async fn a_worker_that_crashed_is_forgiven() {
    let barrier =
        hatchery::fault::CrashBarrier { enabled: true, taint: Duration::from_secs(3600), ..Default::default() };
    let rig = Rig::of(basics().crash_barrier(barrier)).await;
    post(rig.address, "/v1/pools/default/call/die", r#"{"with_signal": 11}"#).await.fails(502, "worker_died", "signal");
    let taints = get(rig.address, "/v1/taints").await.json();
    assert_eq!(
        (&taints[0]["id"], &taints[0]["class"], &taints[0]["generation"]),
        (&json!("default-1"), &json!("segfault"), &json!(1))
    );
    assert_eq!(get(rig.address, "/v1/workers/default-1").await.json()["taint"]["class"], "segfault");
    assert_eq!(delete(rig.address, "/v1/taints/default-1").await.json(), json!({"cleared": 1}));
    assert_eq!(get(rig.address, "/v1/taints").await.json(), json!([]));
    rig.end().await;
}

#[tokio::test]
async fn orphans_are_listed_and_there_are_none_to_kill() {
    let rig = Rig::of(basics()).await;
    for report in [get(rig.address, "/v1/orphans").await.json(), order(&rig, "/v1/orphans/kill", "").await] {
        assert_eq!((&report["found"], &report["terminated"]), (&json!(0), &json!(0)), "{report}");
        assert!(report["details"].as_array().unwrap().iter().any(|it| it["class"] == "active"), "{report}");
    }
    post(rig.address, "/v1/orphans/kill", r#"{"run": "xyz"}"#).await.fails(400, "validation", "xyz");
    rig.end().await;
}

#[tokio::test]
async fn a_daemon_without_a_configuration_cannot_read_it_again() {
    let rig = Rig::of(basics()).await;
    post(rig.address, "/v1/reload", "").await.fails(503, "unavailable", "no configuration that could be read again");
    rig.end().await;
}

#[tokio::test]
async fn the_daemon_is_stopped_as_by_a_signal() {
    let mut rig = Rig::of(basics()).await;
    assert_eq!(order(&rig, "/v1/stop", "").await, json!({"phase": "serving"}));
    rig.reaches(Phase::Closed).await;
    rig.stop().ended().await.unwrap();
}
