//! The two counters in front of the desk, on one port: gRPC and all else, told apart by what a request says that it is.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, header};

use crate::house::House;
use crate::{grpc, http, routes};

/// What answers requests.
pub(crate) struct Counters {
    pub(crate) grpc: grpc::Counter,
    pub(crate) http: http::Counter,
}

/// A body of an answer, as its counter makes it.
pub(crate) type Content = http_body_util::Either<Body, tonic::body::Body>;

impl Counters {
    pub(crate) fn of_the_daemon(house: &Arc<House>) -> Counters {
        let http = http::Counter::new(routes::table(), Arc::clone(house));
        Counters { grpc: grpc::Counter::of_the_daemon(house), http }
    }

    /// Where clients that are no workers speak `snakepit.bridge`: that, and nothing else.
    pub(crate) fn of_the_bridge(house: &Arc<House>) -> Counters {
        let http = http::Counter::new(Vec::new(), Arc::clone(house)).advises("here snakepit.bridge is spoken, by gRPC");
        Counters { grpc: grpc::Counter::of_the_bridge(house), http }
    }
}

/// `application/grpc`, also with the name of its encoding behind.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
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
