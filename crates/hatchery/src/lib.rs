//! Run functions that live in other processes, through pools of supervised workers.
#![warn(missing_docs)]

// A module uses only modules listed below it; `cargo xtask tidy` checks that.
mod error;
mod id;
mod process;
mod telemetry;

pub use error::{Error, ErrorKind, Result};
pub use id::{RunId, WorkerId};
