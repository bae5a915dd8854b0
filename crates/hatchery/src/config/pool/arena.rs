//! `arena` of a pool.

use crate::config::layer::Layer;
use crate::memory::ArenaSettings;

/// `arena` of a pool; see [`ArenaSettings`]. Sizes in bytes, `u64::MAX` is `"infinity"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArenaConfig {
    /// Whether memory is shared with the workers at all.
    pub enabled: Option<bool>,
    /// The size of each segment; infinity is as much as the machine has.
    pub limit: Option<u64>,
    /// From how many bytes on a value is put there; infinity is only what lies there already.
    pub threshold: Option<u64>,
    /// How much stays in memory unused; infinity is all that was ever used.
    pub keep: Option<u64>,
}

impl ArenaConfig {
    pub(in crate::config) fn of(said: &Layer) -> ArenaConfig {
        let size = |path| said.count(path).map(|size| size.unwrap_or(u64::MAX));
        ArenaConfig {
            enabled: said.flag("arena.enabled"),
            limit: size("arena.limit"),
            threshold: size("arena.threshold"),
            keep: size("arena.keep"),
        }
    }

    pub(crate) fn over(self, before: Option<ArenaSettings>) -> Option<ArenaSettings> {
        let usual = before.unwrap_or_default();
        let settings = ArenaSettings {
            limit: self.limit.unwrap_or(usual.limit),
            threshold: self.threshold.unwrap_or(usual.threshold),
            keep: self.keep.unwrap_or(usual.keep),
        };
        self.enabled.unwrap_or(before.is_some()).then_some(settings)
    }
}
