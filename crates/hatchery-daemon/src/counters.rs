//! The two counters in front of the desk, on one port: gRPC and all else, told apart by what a request says that it is.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tonic::codegen::Service;

use crate::grpc;

/// Sends a request where it belongs.
pub(crate) async fn choose(State(mut counter): State<Router>, request: Request, next: Next) -> Response {
    if !is_grpc(request.headers()) {
        return next.run(request).await;
    }
    match grpc::order(request.uri().path()) {
        Some(name) => grpc::ordered(name, counter, request).await,
        // A router is always ready, and does not fail.
        None => counter.call(request).await.into_response(),
    }
}

/// `application/grpc`, also with the name of its encoding behind.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let rest = content_type.strip_prefix("application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_grpc_says_so() {
        let says = |content_type: &'static str| {
            is_grpc(&HeaderMap::from_iter([(header::CONTENT_TYPE, content_type.parse().unwrap())]))
        };
        assert!(says("application/grpc") && says("application/grpc+proto") && says("application/grpc;v=1"));
        assert!(!says("application/json") && !says("application/grpc-web") && !is_grpc(&HeaderMap::new()));
    }
}
