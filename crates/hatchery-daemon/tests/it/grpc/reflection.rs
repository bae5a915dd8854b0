//! What `grpcurl` does before it calls.

use hyper::body::Bytes;
use tonic_reflection::pb::{v1, v1alpha};

use super::channel;
use crate::rig::{Rig, basics};

/// A stream of one request.
fn one<T: Send + 'static>(request: T) -> impl tonic::IntoStreamingRequest<Message = T> {
    tonic::Request::new(futures_util::stream::once(std::future::ready(request)))
}

fn contains(file: &[u8], text: &str) -> bool {
    file.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn the_services_are_listed_and_described_in_both_versions() {
    let rig = Rig::of(basics()).await;
    let services = ["grpc.health.v1.Health", "hatchery.v1.Hatchery"];

    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel(&rig).await);
    let ask =
        |message_request| v1::ServerReflectionRequest { host: String::new(), message_request: Some(message_request) };
    let listed = ask(v1::server_reflection_request::MessageRequest::ListServices(String::new()));
    let mut answers = client.server_reflection_info(one(listed)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(services.iter().all(|service| names.contains(service)), "{names:?}");

    let described =
        v1::server_reflection_request::MessageRequest::FileContainingSymbol("hatchery.v1.Hatchery.Call".into());
    let mut answers = client.server_reflection_info(one(ask(described))).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::FileDescriptorResponse(files) = answer else {
        panic!("{answer:?}")
    };
    let file: Bytes = files.file_descriptor_proto.concat().into();
    assert!(contains(&file, "CallRequest") && contains(&file, "KillOrphans"));

    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel(&rig).await);
    let listed = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let listed = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(listed) };
    let mut answers = client.server_reflection_info(one(listed)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    assert!(list.service.iter().any(|service| service.name == "hatchery.v1.Hatchery"));
    drop((answers, client));
    rig.end().await;
}
