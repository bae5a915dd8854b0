//! Over gRPC, on a connection that is kept.

use std::time::Instant;

use hatchery::{Error, ErrorKind};
use hatchery_grpc::v1::hatchery_client::HatcheryClient;
use hatchery_grpc::{status, v1};
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use super::{Load, Outcome};

pub(super) async fn call(load: &Load) {
    let channel = Endpoint::from_shared(format!("http://{}", load.address)).unwrap().connect().await.unwrap();
    let mut client = HatcheryClient::new(channel);
    let json = format!("{{\"ms\": {}}}", load.milliseconds).into();
    let arguments = Some(v1::Payload { json, ..v1::Payload::default() });
    let request = v1::CallRequest { pool: "default".into(), tool: "nap".into(), arguments, options: None };
    while load.goes_on() {
        let began = Instant::now();
        let answer = client.call(request.clone()).await;
        load.note(answer.map_or_else(|status| outcome(&status), |_| Outcome::Served), began.elapsed()).await;
    }
}

fn outcome(found: &Status) -> Outcome {
    let error = status::error(found);
    match (found.code(), error.kind()) {
        (Code::ResourceExhausted, ErrorKind::Saturated) | (Code::DeadlineExceeded, ErrorKind::Deadline) => {
            Outcome::Failed(error)
        }
        _ => Outcome::Failed(Error::new(ErrorKind::Internal, format!("{found:?}"))),
    }
}
