//! Which path is answered by what.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use hatchery::ErrorKind;

use crate::failure::Failure;
use crate::house::House;
use crate::{calls, observation};

pub(crate) fn router(house: Arc<House>) -> Router {
    Router::new()
        .route("/healthz", get(observation::health))
        .route("/readyz", get(observation::readiness))
        .route("/v1/status", get(observation::status))
        .route("/v1/workers", get(observation::workers))
        .route("/v1/pools/{pool}/tools", get(observation::tools))
        .route("/v1/pools/{pool}/call/{tool}", post(calls::call))
        .route("/v1/pools/{pool}/stream/{tool}", post(calls::stream))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(house)
}

async fn no_such_path(uri: Uri) -> Failure {
    Failure::new(ErrorKind::NotFound, format!("no such path: {}", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> Response {
    let message = format!("{} does not take {method}", uri.path());
    Failure::new(ErrorKind::Validation, message).with_status(StatusCode::METHOD_NOT_ALLOWED)
}
