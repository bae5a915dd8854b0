//! Memory that host and workers share (`docs/design/fast-path.md` section 2). Each side writes in segments of its own, which the
//! other can only read; what is free in them is known to the writer alone.

mod allocator;
mod arena;
mod buffer;
mod mapping;
mod segment;
mod settings;

pub(crate) use arena::Arena;
pub use arena::ArenaStatus;
pub use buffer::Buffer;
pub(crate) use segment::{Segment, SegmentId, Writer, sealed};
pub use settings::ArenaSettings;

/// Where every item begins: at a multiple of this.
pub(crate) const ALIGNMENT: u64 = 64;
