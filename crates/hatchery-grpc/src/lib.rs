//! The gRPC surface of hatchery, for servers and clients: what is said ([`v1`]), how values travel ([`payload`]), how documents
//! are translated ([`document`]), and what each status means ([`status`]). What Snakepit's workers say is another language: [`bridge`].
#![warn(missing_docs)]

pub mod bridge;
mod document;
mod google;
mod json_text;
pub mod payload;
pub mod status;

pub use document::document;

/// What is said: the messages, [`hatchery_server`](v1::hatchery_server) and [`hatchery_client`](v1::hatchery_client). Generated from
/// `proto/hatchery/v1/hatchery.proto`, where each field is explained.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod v1 {
    tonic::include_proto!("hatchery.v1");
}

/// The service's full name, as health checks and reflection have it.
pub const SERVICE: &str = "hatchery.v1.Hatchery";

/// The proto file, as an encoded `FileDescriptorSet`, comments and all: for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The proto file as text.
pub const PROTO: &str = include_str!("../proto/hatchery/v1/hatchery.proto");
