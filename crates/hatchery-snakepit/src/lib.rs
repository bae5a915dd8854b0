//! Python workers that were written for Snakepit, in hatchery's pools, unmodified.
//!
//! [`Snakepit`] says what is started, [`Bridge`] how it is spoken to: the host's side of `snakepit.bridge`, a listener for each
//! worker, and the worker's own side, a connection to it. Everything else is hatchery's: who owns the process, what waits for it,
//! when it is replaced.
//!
//! ```no_run
//! use hatchery::Hatchery;
//! use hatchery_snakepit::{Bridge, Snakepit};
//! use serde_json::{Value, json};
//!
//! # async fn example() -> hatchery::Result<()> {
//! let app = Snakepit::new("priv/python/grpc_server.py", "snakepit_bridge.adapters.showcase.ShowcaseAdapter");
//! let hatchery = Hatchery::builder().pool("default", app).transport(Bridge::new()).workers(2).start().await?;
//! let sum: f64 = hatchery.pool("default")?.call("add", json!({ "a": 2, "b": 3 })).await?;
//! assert_eq!(sum, 5.0);
//! hatchery.shutdown().await
//! # }
//! ```
//!
//! A program that reads `hatchery.toml` hands [`configured`] to its builder, and has them by `transport = "grpc"`.
//!
//! What a worker is known by, which sessions it sees and what a value becomes on its way stands in `docs/design/snakepit.md`.
#![warn(missing_docs)]

mod app;
mod berth;
pub mod config;
mod configured;
mod current;
mod doctor;
mod host;
mod link;
mod listener;
mod options;
mod peer;
mod readiness;
mod secret;
mod sessions;
mod shim;
mod telemetry;

pub use app::Snakepit;
pub use berth::Bridge;
pub use configured::configured;
pub use doctor::doctor;
pub use hatchery::ShimMode;
pub use options::SnakepitOptions;
