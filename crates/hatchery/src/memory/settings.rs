//! How much memory is shared, and from which size on.

/// The shared memory of a pool: one segment that this program writes, and one for each worker. They are sparse: memory is taken
/// when it is touched, and given back when more than [`keep`](ArenaSettings::keep) lies unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaSettings {
    /// The size of each segment, in bytes: what all values in it can take together. A value for which there is no room travels
    /// through the pipe. Default: 1 GiB.
    pub limit: u64,
    /// From how many bytes on a value is put into shared memory, if it does not lie there already. Default: 256 KiB.
    pub threshold: u64,
    /// How many bytes of each segment stay in memory though nothing is in them, for the next value. Default: 256 MiB.
    pub keep: u64,
}

impl Default for ArenaSettings {
    fn default() -> ArenaSettings {
        ArenaSettings { limit: 1 << 30, threshold: 256 << 10, keep: 256 << 20 }
    }
}
