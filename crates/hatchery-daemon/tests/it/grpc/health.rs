use hatchery_daemon::Phase;
use serde_json::json;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{call, channel, client};
use crate::rig::{Rig, basics};

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

#[tokio::test]
async fn it_is_serving_while_a_call_would_find_a_worker_and_a_watcher_is_told() {
    let rig = Rig::of(basics()).await;
    let mut health = HealthClient::new(channel(&rig).await);
    for service in ["", "hatchery.v1.Hatchery"] {
        let answer = health.check(about(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let mut watched = health.watch(about("")).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    // It dies again and again, each time with a longer pause behind it, until one of the pauses is seen.
    let mut client = client(&rig).await;
    let dies = async {
        loop {
            let _died = client.call(call("die", json!({}))).await;
        }
    };
    let seen = tokio::select! {
        seen = watched.message() => seen,
        () = dies => unreachable!("it dies for ever"),
    };
    assert_eq!(seen.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let ending = rig.stop();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watched.message().await.unwrap().is_none());
    ending.ended().await.unwrap();
}

#[tokio::test]
async fn it_is_not_serving_before_its_pools_are_filled() {
    let mut rig = Rig::filling(std::future::pending()).await;
    rig.reaches(Phase::Filling).await;
    let mut health = HealthClient::new(channel(&rig).await);
    assert_eq!(health.check(about("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    rig.end().await;
}

#[tokio::test]
async fn a_service_that_is_not_here_is_unknown() {
    let rig = Rig::of(basics()).await;
    let mut health = HealthClient::new(channel(&rig).await);
    assert_eq!(health.check(about("other.v1.Other")).await.unwrap_err().code(), Code::NotFound);
    let mut watched = health.watch(about("other.v1.Other")).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    drop(watched);
    rig.end().await;
}
