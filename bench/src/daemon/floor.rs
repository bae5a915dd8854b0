//! `daemon-floor`: the least server of each protocol, with the settings that tonic and axum have by themselves and the runtime that the
//! daemon has; and the same again with a call through the library in it, which is what a daemon would be that did nothing else.
//! Prints where they listen, and ends with its stdin.

use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use axum::Router;
use axum::serve::ListenerExt;
use hatchery::{CallOptions, Hatchery, Payload, Pool, PythonApp};
use hatchery_grpc::v1::{CallRequest, CallResponse};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::Result;
use crate::child::folder;
use crate::contender::Flavour;
use crate::workload::WORKERS;

pub(crate) fn serve() -> Result<()> {
    Flavour::Threads.run(async {
        let app = PythonApp::file(folder().join("app.py"));
        let hatchery = Hatchery::builder().pool("bench", app).workers(WORKERS).start().await?;
        let pool = hatchery.pool("bench")?;
        let mut servers = JoinSet::new();
        let grpc = grpc(&mut servers, Echo { pool: None }).await?;
        let http = http(&mut servers, Router::new().fallback(empty)).await?;
        let grpc_calling = self::grpc(&mut servers, Echo { pool: Some(pool.clone()) }).await?;
        let calling = Router::new().fallback(move || called(pool.clone()));
        let http_calling = self::http(&mut servers, calling).await?;
        println!(
            "{}",
            serde_json::json!({ "grpc": grpc, "http": http, "grpc_calling": grpc_calling, "http_calling": http_calling })
        );
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        servers.shutdown().await;
        hatchery.shutdown().await?;
        Ok(())
    })
}

async fn grpc(servers: &mut JoinSet<()>, echo: Echo) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tonic::transport::Server::builder().add_service(echo);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    servers.spawn(async { drop(server.serve_with_incoming(incoming).await) });
    Ok(address)
}

async fn http(servers: &mut JoinSet<()>, router: Router) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let without_delay = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    servers.spawn(async { drop(axum::serve(without_delay, router).await) });
    Ok(address)
}

type Json = ([(&'static str, &'static str); 1], String);

/// What the daemon answers for a tool that does nothing.
async fn empty() -> Json {
    ([("content-type", "application/json")], "null".to_owned())
}

/// The same, and the tool has done nothing.
async fn called(pool: Pool) -> std::result::Result<Json, String> {
    let answer = call(&pool, "{}").await.and_then(|answer| answer.to_json_text());
    answer.map(|text| ([("content-type", "application/json")], text)).map_err(|error| error.to_string())
}

async fn call(pool: &Pool, arguments: &str) -> hatchery::Result<Payload> {
    pool.call_payload("empty", Payload::from_json_text(arguments)?, &CallOptions::new()).await
}

/// The daemon's own method, with the arguments for a result; or with that of the tool.
#[derive(Clone)]
struct Echo {
    pool: Option<Pool>,
}

impl NamedService for Echo {
    const NAME: &'static str = hatchery_grpc::SERVICE;
}

impl UnaryService<CallRequest> for Echo {
    type Response = CallResponse;
    type Future = BoxFuture<Response<CallResponse>, Status>;

    fn call(&mut self, request: Request<CallRequest>) -> Self::Future {
        let (pool, arguments) = (self.pool.clone(), request.into_inner().arguments);
        Box::pin(async move {
            let Some(pool) = pool else { return Ok(Response::new(CallResponse { result: arguments })) };
            let failed = |error: hatchery::Error| Status::internal(error.to_string());
            let answer = call(&pool, "{}").await.map_err(failed)?;
            let json = answer.to_json_text().map_err(failed)?.into();
            let result = Some(hatchery_grpc::v1::Payload { json, ..hatchery_grpc::v1::Payload::default() });
            Ok(Response::new(CallResponse { result }))
        })
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
        let echo = self.clone();
        Box::pin(async { Ok(Grpc::new(ProstCodec::default()).unary(echo, request).await) })
    }
}
