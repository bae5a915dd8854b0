//! The thinnest client of each protocol, the same for the floor and for the daemon; and the library in their place.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use hatchery::{CallOptions, Payload, Pool};
use hatchery_grpc::v1;
use hatchery_grpc::v1::hatchery_client::HatcheryClient;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

use super::Protocol;
use crate::Result;
use crate::sample::Sample;
use crate::workload::Size;

/// One connection, which is kept; or none, as the workers are those of this process.
pub(super) enum Client {
    Grpc(HatcheryClient<Channel>),
    Http(SendRequest<Full<Bytes>>),
    Library(Pool),
}

impl Client {
    pub(super) async fn connect(protocol: Protocol, address: SocketAddr) -> Result<Client> {
        Ok(match protocol {
            Protocol::Grpc => Client::Grpc(grpc(address).await?),
            Protocol::Http => Client::Http(http(address).await?),
        })
    }

    /// Calls the tool that does nothing.
    pub(super) async fn call(&mut self) -> Result<()> {
        match self {
            Client::Grpc(client) => {
                let arguments = Some(v1::Payload { json: Bytes::from_static(b"{}"), ..v1::Payload::default() });
                let request = v1::CallRequest { pool: "bench".into(), tool: "empty".into(), arguments, options: None };
                let answer = client.call(request).await?.into_inner();
                answer.result.map(drop).ok_or_else(|| "an answer without a result".into())
            }
            Client::Http(sender) => {
                let request = Request::post("/v1/pools/bench/call/empty").header("content-type", "application/json");
                body(sender, request, "{}").await.map(drop)
            }
            Client::Library(pool) => {
                let arguments = Payload::from_json_text("{}")?;
                pool.call_payload("empty", arguments, &CallOptions::new()).await?.to_json_text()?;
                Ok(())
            }
        }
    }

    /// The times of calls one after another, after a warm-up.
    pub(super) async fn take_turns(mut self, size: Size) -> Result<Sample> {
        let mut taken = Vec::with_capacity(size.warm_up() + size.calls);
        for _ in 0..size.warm_up() + size.calls {
            let start = Instant::now();
            self.call().await?;
            taken.push(start.elapsed());
        }
        Ok(Sample::of_calls(&taken[size.warm_up()..]))
    }
}

pub(super) async fn grpc(address: SocketAddr) -> Result<HatcheryClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    Ok(HatcheryClient::new(endpoint.connect().await?))
}

pub(super) async fn http(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Sends a request, and reads what is answered to its end.
pub(super) async fn body(
    sender: &mut SendRequest<Full<Bytes>>,
    request: hyper::http::request::Builder,
    body: &'static str,
) -> Result<Bytes> {
    let request = request.header("host", "localhost").body(Full::from(body))?;
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if status.is_success() { Ok(body) } else { Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into()) }
}

/// Calls a second of so many connections, each of which calls again when it is answered.
pub(super) async fn rate(protocol: Protocol, address: SocketAddr, connections: usize, calls: usize) -> Result<f64> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut client = Client::connect(protocol, address).await?;
        client.call().await?;
        clients.push(client);
    }
    let start = Instant::now();
    let each = calls / connections;
    let callers: Vec<_> = clients.into_iter().map(|client| tokio::spawn(caller(client, each))).collect();
    for caller in callers {
        caller.await??;
    }
    Ok((each * connections) as f64 / start.elapsed().as_secs_f64())
}

async fn caller(mut client: Client, calls: usize) -> Result<()> {
    for _ in 0..calls {
        client.call().await?;
    }
    Ok(())
}
