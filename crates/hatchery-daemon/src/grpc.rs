//! gRPC, in front of the desk: reads messages, asks, writes messages. Nothing here decides. What each message means stands in the
//! proto file of `hatchery-grpc`.

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
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use hatchery_grpc::v1::hatchery_server::HatcheryServer;
use hatchery_grpc::{DESCRIPTORS, SERVICE, status};
use tonic::codegen::Service as _;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::{Builder, Error};

use crate::access::Caller;
use crate::house::House;
use service::Service;

/// Of one message that comes in. The JSON of a call may weigh so much on the wire, too.
const LARGEST_MESSAGE: usize = 64 << 20;

/// Of one who asks for the daemon's health, and needs no credential for that.
const LARGEST_QUESTION: usize = 1 << 10;

/// What is answered to `application/grpc`: the service, its health, and what there is to be asked.
pub(crate) fn router(house: &Arc<House>) -> Router {
    let service = HatcheryServer::new(Service::new(Arc::clone(house)))
        .max_decoding_message_size(LARGEST_MESSAGE)
        // What a worker may send, a client may receive. Its own limit, usually 4 MiB, is the client's to raise.
        .max_encoding_message_size(usize::MAX);
    let routes = Routes::new(service).add_service(
        HealthServer::new(health::Service::new(Arc::clone(house))).max_decoding_message_size(LARGEST_QUESTION),
    );
    match reflecting(routes.clone()) {
        Ok(routes) => routes.prepare().into_axum_router(),
        // The descriptors are ours: a test holds them to this.
        Err(_) => routes.prepare().into_axum_router(),
    }
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

/// The order that is given there, as the audit calls it; `None`: what is there is none.
pub(crate) fn order(path: &str) -> Option<&'static str> {
    service::order(path.strip_prefix('/')?.strip_prefix(SERVICE)?.strip_prefix('/')?)
}

/// Has an order answered. It is read before anybody asks who may give it: one that cannot be understood is looked at here.
pub(crate) async fn ordered(name: &str, mut router: Router, mut request: Request) -> Response {
    let caller = match Caller::of(request.extensions()) {
        Ok(caller) => caller.ordering(),
        Err(error) => return status::of(&error).into_http(),
    };
    request.extensions_mut().insert(caller.clone());
    let answer = router.call(request).await.into_response();
    caller.unread(name, "unknown").map_or_else(|error| status::of(&error).into_http(), |()| answer)
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
