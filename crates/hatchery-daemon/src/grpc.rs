//! gRPC, in front of the desk: reads messages, asks, writes messages. Nothing here decides. What each message means stands in the
//! proto file of `hatchery-grpc`.

mod bridge;
mod calls;
mod events;
mod health;
mod host_tools;
mod observation;
mod options;
mod orders;
mod service;
mod sessions;

use std::sync::Arc;

use axum::Router;
use hatchery_grpc::bridge::proto::bridge_service_server::BridgeServiceServer;
use hatchery_grpc::v1::hatchery_server::HatcheryServer;
use hatchery_grpc::{DESCRIPTORS, SERVICE};
use hyper::body::Incoming;
use tonic::codegen::Service as _;
use tonic::codegen::http::{Request, Response};
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::{Builder, Error};

use crate::bounded::Bounded;
use crate::counters::Content;
use crate::house::House;
use service::Service;

/// Of one message that comes in. The JSON of a call may weigh so much on the wire, too.
const LARGEST_MESSAGE: usize = 64 << 20;

/// Of one who asks for the daemon's health, and needs no credential for that.
const LARGEST_QUESTION: usize = 1 << 10;

/// What answers requests of gRPC.
pub(crate) struct Counter {
    /// Of the daemon.
    calls: Option<HatcheryServer<Service>>,
    /// Its health, and what there is to be asked; or the bridge. What is none of these, either, is told so there.
    others: Router,
}

impl Counter {
    pub(crate) fn of_the_daemon(house: &Arc<House>) -> Counter {
        let calls = HatcheryServer::new(Service::new(Arc::clone(house)))
            .max_decoding_message_size(LARGEST_MESSAGE)
            // What a worker may send, a client may receive. Its own limit, usually 4 MiB, is the client's to raise.
            .max_encoding_message_size(usize::MAX);
        Counter { calls: Some(calls), others: others(house) }
    }

    pub(crate) fn of_the_bridge(house: &Arc<House>) -> Counter {
        let service = BridgeServiceServer::new(bridge::Bridge::new(Arc::clone(house)))
            .max_decoding_message_size(LARGEST_MESSAGE)
            .max_encoding_message_size(usize::MAX);
        Counter { calls: None, others: Routes::new(service).prepare().into_axum_router() }
    }

    pub(crate) async fn answer(&self, request: Request<Bounded<Incoming>>) -> Response<Content> {
        let path = request.uri().path().strip_prefix('/').unwrap_or_default();
        // Neither is ever busy, or fails.
        if let Some(calls) = &self.calls
            && path.strip_prefix(SERVICE).is_some_and(|rest| rest.starts_with('/'))
        {
            let Ok(answer) = calls.clone().call(request).await;
            return answer.map(Content::Right);
        }
        let Ok(answer) = self.others.clone().call(request).await;
        answer.map(Content::Left)
    }
}

fn others(house: &Arc<House>) -> Router {
    let health = HealthServer::new(health::Service::new(Arc::clone(house))).max_decoding_message_size(LARGEST_QUESTION);
    let routes = Routes::new(health);
    let all = reflecting(routes.clone());
    // The descriptors are ours: a test holds them to this.
    all.unwrap_or(routes).prepare().into_axum_router()
}

/// Reflection, in both versions that clients speak.
fn reflecting(routes: Routes) -> Result<Routes, Error> {
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}

/// Whether this is a service that there is: the daemon as a whole, or by its name.
fn is_ours(service: &str) -> bool {
    service.is_empty() || service == SERVICE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptors_can_be_reflected() {
        assert!(reflecting(Routes::default()).is_ok());
    }
}
