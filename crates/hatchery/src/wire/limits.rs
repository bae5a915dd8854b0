//! How large a frame may be, and what two peers have agreed on.

use serde::{Deserialize, Serialize};

use crate::wire::Capabilities;

/// The most bytes that one side accepts in each section of a frame. What is over them is refused with
/// [`ErrorKind::Limit`](crate::ErrorKind::Limit), on either side, and hurts no other call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Of the JSON of a call, a result or a chunk. At least 16 KiB, as the handshake must fit. Default: 64 MiB.
    pub max_body: usize,
    /// Of the table that describes binary values. Default: 1 MiB, which is some ten thousand of them.
    pub max_table: usize,
    /// Of all binary values of a call, a result or a chunk together. Default: 1 GiB.
    pub max_data: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_body: 64 << 20, max_table: 1 << 20, max_data: 1 << 30 }
    }
}

impl Limits {
    /// The smaller of each: what a sender keeps to when the receiver states limits of its own.
    #[must_use]
    pub(crate) fn narrowed(self, other: Limits) -> Limits {
        Limits {
            max_body: self.max_body.min(other.max_body),
            max_table: self.max_table.min(other.max_table),
            max_data: self.max_data.min(other.max_data),
        }
    }
}

/// What holds for one direction of a connection: the receiver's limits, and the capabilities that both sides stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) limits: Limits,
    pub(crate) capabilities: Capabilities,
}
