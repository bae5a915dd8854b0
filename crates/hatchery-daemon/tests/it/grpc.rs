//! gRPC as any client speaks it, over the port that HTTP is on.

mod calls;
mod events;
mod health;
mod observation;
mod orders;
mod python;
mod reflection;
mod sessions;
mod statuses;
mod streams;

use hatchery::{Error, Payload};
use hatchery_grpc::v1::hatchery_client::HatcheryClient;
use hatchery_grpc::{payload, status, v1};
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::rig::Rig;

/// More than any answer of these tests.
const LARGEST_ANSWER: usize = 128 << 20;

async fn channel(rig: &Rig) -> Channel {
    Endpoint::from_shared(format!("http://{}", rig.address)).unwrap().connect().await.unwrap()
}

pub(crate) async fn client(rig: &Rig) -> HatcheryClient<Channel> {
    HatcheryClient::new(channel(rig).await)
        .max_decoding_message_size(LARGEST_ANSWER)
        .max_encoding_message_size(LARGEST_ANSWER)
}

fn call(tool: &str, arguments: Value) -> v1::CallRequest {
    v1::CallRequest { pool: "default".into(), tool: tool.into(), arguments: json(arguments), options: None }
}

fn stream(tool: &str, arguments: Value) -> v1::StreamCallRequest {
    let v1::CallRequest { pool, tool, arguments, options } = call(tool, arguments);
    v1::StreamCallRequest { pool, tool, arguments, options }
}

fn json(value: Value) -> Option<v1::Payload> {
    Some(v1::Payload { json: value.to_string().into(), ..v1::Payload::default() })
}

/// What a message says, put together.
fn value(message: Option<v1::Payload>) -> Payload {
    payload::read(Some(message.unwrap())).unwrap()
}

async fn called(client: &mut HatcheryClient<Channel>, request: v1::CallRequest) -> Value {
    value(client.call(request).await.unwrap().into_inner().result).to_json().unwrap()
}

/// Is an error of this code, kind and message.
#[track_caller]
fn fails(found: &Status, code: Code, kind: &str, said: &str) -> Error {
    assert_eq!(found.code(), code, "{found:?}");
    let error = status::error(found);
    assert_eq!(error.kind().as_str(), kind, "{error:?}");
    assert!(error.message().contains(said), "not said: {said}\n{error:?}");
    error
}
