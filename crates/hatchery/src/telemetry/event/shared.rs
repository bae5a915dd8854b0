//! Large values.

use crate::id::WorkerId;
use crate::telemetry::declare::events;

events! {
    /// What becomes of large values ([`ArenaSettings`](crate::ArenaSettings)).
    pub enum SharedEvent {
        /// A value was passed to a worker by reference.
        Exported = "shared.exported" {
            /// To which.
            worker: WorkerId,
            /// Its size.
            bytes: u64 as "size_bytes",
        },
        /// A value came from a worker by reference.
        Imported = "shared.imported" {
            /// From which.
            worker: WorkerId,
            /// Its size.
            bytes: u64 as "size_bytes",
        },
        /// A value that is large enough is not in shared memory: it is copied through the pipe.
        FellBack = "shared.fell_back" {
            /// To which worker; absent where it is for none in particular, a buffer of the pool's.
            worker: Option<WorkerId>,
            /// Its size; 0 where it is about a worker's memory as a whole.
            bytes: u64 as "size_bytes",
            /// Why, in words.
            reason: String,
        },
    }
}
