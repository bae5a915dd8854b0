//! The daemon: pools of workers behind HTTP and gRPC.
//!
//! ```no_run
//! use hatchery::{Hatchery, PythonApp};
//! use hatchery_daemon::Daemon;
//!
//! # async fn example(asked_to_end: impl Future<Output = ()>) -> hatchery::Result<()> {
//! let daemon = Daemon::bind("127.0.0.1:0").await?;
//! println!("listening on http://{}", daemon.address());
//! let pools = Hatchery::builder().pool("default", PythonApp::file("app.py")).workers(4).done();
//! daemon.start(pools, asked_to_end).await?;
//! # Ok(()) }
//! ```
//!
//! # Theory of operation
//!
//! A daemon passes through [`Phase`]s, in their order and never back. It answers from the moment it is bound; calls it takes
//! while it is serving. Told to end, it drains: calls that run may finish within their pool's grace, and it answers until they have.
//!
//! **Who reaches it** ([`Daemon::open`]): on loopback everybody, unless a credential is asked for; on the Unix socket the daemon's user
//! and root; anywhere else who shows a token ([`Tokens`]) or a certificate. An address that others reach is not served otherwise.
//!
//! **A request** passes the reception (`connections/reception.rs`): web pages of others stay outside (`gate.rs`), its caller is known (`access.rs`), and does not ask
//! too often. It is read whole within bounds (`bounded.rs`, `body.rs`) and
//! becomes a call of the library, whose future the connection holds: a client that goes away drops it, and that cancels the
//! call. A stream is a response whose body asks the pool for the next chunk when the client has taken the last.
//!
//! **An answer** is the bare result, or an error in the one form of [`hatchery::Error::to_json`], under the status that
//! `failure.rs` alone knows.
//!
//! **One daemon per data directory**: a [`Record`] there says where it is, and a lock on it says that it lives.
#![warn(missing_docs)]

mod daemon;
mod watchdog;
mod connections;
mod routes;
mod counters;
mod gate;
mod http;
mod grpc;
#[cfg_attr(not(feature = "otlp"), path = "otlp/absent.rs")]
mod otlp;
mod event_stream;
mod options;
mod body;
mod calls;
mod orders;
mod conversations;
mod agents;
mod host_tools;
mod event_feed;
mod observation;
mod house;
mod configuration;
mod doors;
mod listen;
mod access;
mod bounded;
mod system;
mod notify;
mod guarantee;
mod failure;
mod denial;
mod phase;
mod record;

pub use access::{NewToken, Scope, Secret, Token, Tokens};
pub use configuration::Reload;
pub use daemon::Daemon;
pub use listen::HandedOver;
pub use notify::Notifier;
pub use orders::Reloader;
pub use phase::Phase;
pub use record::Record;
