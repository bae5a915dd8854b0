//! Which circuits are open.

use std::collections::BTreeMap;
use std::time::Instant;

use hatchery::Pool;
use hatchery::fault::BreakerStats;
use serde::Serialize;

use crate::house::House;

/// The breakers of one pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PoolBreakers {
    pub(crate) pool: String,
    /// Of the pool as a whole.
    pub(crate) all: BreakerStats,
    /// Of each tool that was called.
    pub(crate) tools: BTreeMap<String, BreakerStats>,
}

/// Of the pools that have breakers.
pub(crate) fn breakers(house: &House) -> Vec<PoolBreakers> {
    house.pools().iter().filter_map(PoolBreakers::of).collect()
}

impl PoolBreakers {
    /// `None` if the pool has none.
    pub(crate) fn of(pool: &Pool) -> Option<PoolBreakers> {
        let (all, tools) = pool.breakers()?.stats(Instant::now());
        Some(PoolBreakers { pool: pool.name().to_owned(), all, tools })
    }
}
