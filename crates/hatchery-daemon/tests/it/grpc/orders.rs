use std::time::Duration;

use hatchery_daemon::Phase;
use hatchery_grpc::v1;
use serde_json::{Value, json};
use tonic::Code;

use super::{call, called, client, fails};
use crate::rig::{Rig, basics};

fn ready(workers: &[Value]) -> usize {
    workers.iter().filter(|worker| worker["state"] == "idle").count()
}

#[tokio::test]
async fn a_pool_is_scaled_drained_resumed_and_reloaded() {
    let rig = Rig::of(basics()).await;
    let mut client = client(&rig).await;
    let pool = || "default".to_owned();
    let scaled = client.scale(v1::ScaleRequest { pool: pool(), workers: 2 }).await.unwrap().into_inner();
    assert_eq!((scaled.pool, scaled.from, scaled.to), (pool(), 1, 2));
    rig.workers_are("two are ready", |workers| ready(workers) == 2).await;
    let none = client.scale(v1::ScaleRequest { pool: pool(), workers: 0 }).await.unwrap_err();
    fails(&none, Code::InvalidArgument, "validation", "expected 1 to");
    let drained = client.drain(v1::DrainRequest { pool: pool(), wait_seconds: Some(60.0) }).await.unwrap().into_inner();
    assert!(drained.drained);
    let refused = client.call(call("echo", json!({"value": 1}))).await.unwrap_err();
    fails(&refused, Code::Unavailable, "unavailable", "default");
    let resumed = client.resume(v1::ResumeRequest { pool: pool() }).await.unwrap().into_inner();
    assert_eq!((resumed.pool, resumed.state.as_str()), (pool(), "serving"));
    assert_eq!(called(&mut client, call("echo", json!({"value": 1}))).await, 1);
    let reloading = client.reload_pool(v1::ReloadPoolRequest { pool: pool() }).await.unwrap().into_inner();
    assert_eq!(reloading.workers, 2);
    rig.workers_are("both are others", |workers| {
        ready(workers) == 2 && workers.iter().all(|worker| worker["generation"] == 2)
    })
    .await;
    rig.end().await;
}

#[tokio::test]
async fn a_worker_is_replaced_restarted_and_taken_away() {
    let rig = Rig::of(basics().workers(2)).await;
    let mut client = client(&rig).await;
    let worker = || "default-2".to_owned();
    let recycled = client.recycle(v1::RecycleRequest { worker: worker() }).await.unwrap().into_inner();
    assert_eq!((recycled.worker, recycled.order.as_str(), recycled.generation), (worker(), "recycle", 1));
    let is_life = |generation: u64| {
        move |workers: &[Value]| ready(workers) == 2 && workers.len() == 2 && workers[1]["generation"] == generation
    };
    rig.workers_are("the second life", is_life(2)).await;
    let restarted = client.restart_worker(v1::RestartWorkerRequest { worker: worker() }).await.unwrap().into_inner();
    assert_eq!((restarted.order.as_str(), restarted.generation), ("restart", 2));
    rig.workers_are("the third life", is_life(3)).await;
    let stopped = client.stop_worker(v1::StopWorkerRequest { worker: worker() }).await.unwrap().into_inner();
    assert_eq!((stopped.order.as_str(), stopped.generation), ("stop", 3));
    rig.workers_are("one fewer", |workers| workers.len() == 1).await;
    let gone = client.recycle(v1::RecycleRequest { worker: worker() }).await.unwrap_err();
    fails(&gone, Code::NotFound, "not_found", "default-2");
    let nobody = client.worker(v1::WorkerRequest { id: "nobody".into() }).await.unwrap_err();
    fails(&nobody, Code::NotFound, "not_found", "nobody");
    rig.end().await;
}

#[tokio::test]
async fn an_order_that_takes_longer_than_its_caller_waits_is_late() {
    let rig = Rig::of(basics()).await;
    let gate = rig.path("gate");
    let mut client = client(&rig).await;
    let mut other = client.clone();
    let request = call("wait_for_file", json!({"path": gate}));
    let running = tokio::spawn(async move { called(&mut other, request).await });
    rig.worker_is("busy").await;
    let mut drain = tonic::Request::new(v1::DrainRequest { pool: "default".into(), wait_seconds: Some(f64::INFINITY) });
    drain.set_timeout(Duration::from_millis(50));
    // The client's own clock may be first.
    let code = client.drain(drain).await.unwrap_err().code();
    assert!(matches!(code, Code::DeadlineExceeded | Code::Cancelled), "{code}");
    std::fs::write(&gate, "").unwrap();
    assert_eq!(running.await.unwrap(), true);
    rig.end().await;
}

#[tokio::test]
async fn orphans_are_looked_for_and_there_are_none() {
    let rig = Rig::of(basics()).await;
    let mut client = client(&rig).await;
    let report = client.kill_orphans(v1::KillOrphansRequest::default()).await.unwrap().into_inner().report.unwrap();
    assert_eq!((report.found, report.terminated), (0, 0));
    let wrong = client.kill_orphans(v1::KillOrphansRequest { run: "x".into() }).await.unwrap_err();
    fails(&wrong, Code::InvalidArgument, "validation", "not the beginning of a run's id");
    rig.end().await;
}

#[tokio::test]
async fn a_daemon_without_a_configuration_has_none_to_reload_and_one_that_is_told_to_stop_ends() {
    let mut rig = Rig::of(basics()).await;
    let mut client = client(&rig).await;
    let none = client.reload(v1::ReloadRequest {}).await.unwrap_err();
    fails(&none, Code::Unavailable, "unavailable", "no configuration");
    let stopping = client.stop(v1::StopRequest {}).await.unwrap().into_inner();
    assert_eq!(stopping.phase, "serving");
    drop(client);
    rig.reaches(Phase::Closed).await;
    rig.stop().ended().await.unwrap();
}
