//! What Snakepit's Python workers and their host say to each other: package `snakepit.bridge`, spoken by both sides alike.
//!
//! This room does no more than translate, and ask: values are [`Payload`](hatchery::Payload)s here ([`arguments`], [`results`],
//! [`chunks`]), failures are [`Error`](hatchery::Error)s ([`errors`]), and a [`Client`] asks a worker what a host asks, and a host
//! what a worker asks. Who is started, who listens, and what a call may wait for, is decided elsewhere.
//!
//! ```no_run
//! use hatchery::Payload;
//! use hatchery_grpc::bridge::{Client, Connection, Peer, RequestOptions, ToolCall};
//!
//! # async fn ask(port: u16) -> Result<(), Box<dyn std::error::Error>> {
//! let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
//! stream.set_nodelay(true)?;
//! let (connection, driver) = Connection::handshake(stream).await?;
//! tokio::spawn(driver);
//! let worker = Client::new(connection, Peer::Worker);
//! let call = ToolCall::new("add", Payload::from_json_text(r#"{"a": 2, "b": 3}"#)?);
//! let sum: f64 = worker.execute_tool(call, &RequestOptions::new()).await?.value.decode()?;
//! # Ok(())
//! # }
//! ```

mod any;
pub mod arguments;
mod binary;
pub mod chunks;
mod client;
pub mod errors;
mod json;
mod outcome;
mod passing;
pub mod results;
pub mod tools;

pub use crate::google::{Any, Timestamp};
pub use client::{Answer, AnswerBody, ChunkStream, Client, Connection, RequestOptions, Telemetry, ToolCall};
pub use outcome::Outcome;
pub use passing::Passing;

/// The messages, [`bridge_service_server`](proto::bridge_service_server) and [`bridge_service_client`](proto::bridge_service_client).
/// Generated from `proto/snakepit/bridge.proto`, where each field is explained.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod proto {
    tonic::include_proto!("snakepit.bridge");
}

/// The service's full name.
pub const SERVICE: &str = "snakepit.bridge.BridgeService";

/// The proto file as text.
pub const PROTO: &str = include_str!("../proto/snakepit/bridge.proto");

/// The header that carries the id of a call.
pub const CORRELATION_HEADER: &str = "x-snakepit-correlation-id";

/// The same id in the metadata of a request, where tools look it up.
pub const CORRELATION_METADATA: &str = "correlation_id";

/// The longest message that a worker takes, and that is taken from one, in bytes.
pub const MESSAGE_LIMIT: usize = 100 << 20;

/// The longest message that a worker takes from its host as an answer, in bytes: the default of gRPC, which workers leave as it is.
pub const ANSWER_LIMIT: usize = 4 << 20;

/// How long the headers and the trailers of an answer may be, in bytes as HTTP/2 counts them. A stream that fails has its whole error
/// in its trailers, three times.
pub const HEADER_LIMIT: u32 = 1 << 20;

/// Who is on the other side. It decides what its failures mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A worker process: if it is not there, it has died.
    Worker,
    /// A host: if it is not there, it is unavailable. What kind an error of its own was, it can say.
    Host,
}
