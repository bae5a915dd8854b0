//! `daemon-floor`: the least server of each protocol, with the settings that tonic and axum have by themselves and the runtime that the
//! daemon has. Prints where they listen, and ends with its stdin.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::Read;
use std::task::{Context, Poll};

use axum::Router;
use axum::serve::ListenerExt;
use hatchery_grpc::v1::{CallRequest, CallResponse};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::Result;
use crate::contender::Flavour;

pub(crate) fn serve() -> Result<()> {
    Flavour::Threads.run(async {
        let (grpc, http) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        println!("{}", serde_json::json!({ "grpc": grpc.local_addr()?, "http": http.local_addr()? }));
        let echo = tonic::transport::Server::builder().add_service(Echo);
        let serving = tokio::spawn(echo.serve_with_incoming(TcpIncoming::from(grpc).with_nodelay(Some(true))));
        let without_delay = http.tap_io(|stream| drop(stream.set_nodelay(true)));
        let answering = tokio::spawn(async { axum::serve(without_delay, Router::new().fallback(empty)).await });
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        serving.abort();
        answering.abort();
        Ok(())
    })
}

/// What the daemon answers for a tool that does nothing.
async fn empty() -> ([(&'static str, &'static str); 1], &'static str) {
    ([("content-type", "application/json")], "null")
}

/// The daemon's own method, with the arguments for a result.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = hatchery_grpc::SERVICE;
}

impl UnaryService<CallRequest> for Echo {
    type Response = CallResponse;
    type Future = Ready<std::result::Result<Response<CallResponse>, Status>>;

    fn call(&mut self, request: Request<CallRequest>) -> Self::Future {
        ready(Ok(Response::new(CallResponse { result: request.into_inner().arguments })))
    }
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async { Ok(Grpc::new(ProstCodec::default()).unary(Echo, request).await) })
    }
}
