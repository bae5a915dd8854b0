//! A real daemon, real workers, and a client that sees only what any client sees.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod access;
mod agents;
mod binary;
mod bridge;
mod calls;
mod client;
mod configured;
mod described;
mod ends;
mod events;
mod fuzz;
mod gate;
mod grpc;
mod host_tools;
mod observation;
mod orders;
#[cfg(feature = "otlp")]
mod otlp;
mod rig;
mod schema;
mod sessions;
mod statuses;
mod streams;
