//! Run functions that live in other processes, through pools of supervised workers.
#![warn(missing_docs)]

// A module uses only modules listed below it; `cargo xtask tidy` checks that.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

mod wire;

mod telemetry;

mod value;

mod tool;

mod error;

mod id;

pub use error::{Error, ErrorKind, Result};
pub use id::{RunId, WorkerId};
pub use tool::{Parameter, ToolSpec};
pub use value::{Array, Binary, Element, Payload, UnserializableInfo, is_unserializable, unserializable_info};
