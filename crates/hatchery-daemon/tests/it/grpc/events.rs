use hatchery_grpc::v1;
use hatchery_grpc::v1::events_response::Told;
use serde_json::{Value, json};
use tonic::Code;

use super::{call, client, fails};
use crate::rig::{Rig, basics, ours};

fn event(message: v1::EventsResponse) -> v1::Event {
    match message.told {
        Some(Told::Event(event)) => event,
        other => panic!("expected an event, found {other:?}"),
    }
}

#[tokio::test]
async fn who_listens_hears_what_was_asked_for_in_its_order() {
    let rig = Rig::of(basics()).await;
    let mut client = client(&rig).await;
    let wanted =
        v1::EventsRequest { kinds: vec!["call.*".into()], correlation_id: "mine".into(), ..Default::default() };
    let mut events = client.events(wanted).await.unwrap().into_inner();
    for id in ["others", "mine"] {
        let options = Some(v1::CallOptions { correlation_id: id.into(), ..Default::default() });
        client.call(v1::CallRequest { options, ..call("echo", json!({"value": 1})) }).await.unwrap();
    }
    let first = event(events.message().await.unwrap().unwrap());
    let second = event(events.message().await.unwrap().unwrap());
    assert_eq!(
        (first.id, first.name.as_str(), second.id, second.name.as_str()),
        (1, "call.started", 2, "call.finished")
    );
    let told: Value = serde_json::from_slice(&second.json).unwrap();
    assert_eq!((&told["name"], &told["correlation_id"]), (&json!("call.finished"), &json!("mine")));
    assert!(first.at > 1e9 && first.at <= second.at);
    rig.end().await;
}

#[tokio::test]
async fn a_kind_that_there_is_not_is_a_mistake() {
    let rig = Rig::of(basics()).await;
    let wanted = v1::EventsRequest { kinds: vec!["worker.redy".into()], ..Default::default() };
    let status = client(&rig).await.events(wanted).await.unwrap_err();
    fails(&status, Code::InvalidArgument, "validation", "worker.redy");
    rig.end().await;
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_has_lost_and_the_end_is_the_daemons() {
    let rig = Rig::of(ours()).await;
    let mut client = client(&rig).await;
    let wanted = v1::EventsRequest { kinds: vec!["tool.event".into()], ..Default::default() };
    let mut events = client.events(wanted).await.unwrap().into_inner();
    // More than the window of the connection and the backlog hold together.
    client.call(call("emits", json!({"events": 10_000, "size": 2000}))).await.unwrap();
    // The oldest are lost, so that the last comes.
    let (mut lost, mut is_last) = (0, false);
    while !is_last {
        match events.message().await.unwrap().unwrap().told.unwrap() {
            Told::Lagged(lagged) => lost += lagged.lost,
            Told::Event(event) => {
                let event: Value = serde_json::from_slice(&event.json).unwrap();
                is_last = event["measurements"]["number"] == 9999;
            }
        }
    }
    assert!(lost > 0);
    let ending = rig.stop();
    while events.message().await.unwrap().is_some() {}
    ending.ended().await.unwrap();
}
