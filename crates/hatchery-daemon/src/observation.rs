//! What a daemon is doing, for those who watch it. Nothing here waits for a worker, or for long, and nothing knows a protocol.

mod breakers;
mod taints;
mod worker;

pub(crate) use breakers::{PoolBreakers, breakers};
pub(crate) use taints::taints;
pub(crate) use worker::worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use hatchery::fault::HealthStats;
use hatchery::{
    Error, ErrorKind, Pool, PoolStats, PoolStatus, Result, StoreStats, SweepReport, ToolSpec, WorkerStatus,
};
use serde::Serialize;

use crate::Phase;
use crate::guarantee::Promise;
use crate::house::House;
use crate::system::System;

/// The daemon as a whole.
#[derive(Serialize)]
pub(crate) struct Status {
    pub(crate) phase: Phase,
    /// Absent before the pools are filled and after they are gone.
    pub(crate) run: Option<String>,
    pub(crate) pid: u32,
    pub(crate) version: &'static str,
    pub(crate) address: String,
    /// Whether TLS is spoken there.
    pub(crate) tls: bool,
    /// Where clients that are no workers reach `snakepit.bridge`, if they do.
    pub(crate) bridge: Option<String>,
    /// In seconds since 1970.
    pub(crate) started_at: f64,
    pub(crate) pools: Vec<PoolStatus>,
    /// What is certain to end with this daemon. Absent when `run` is.
    pub(crate) guarantee: Option<Promise>,
    /// What dead runs of its instance have left. Absent when `run` is.
    pub(crate) system: Option<System>,
}

/// One pool: how busy it is, what has become of its calls, how its workers have crashed of late.
#[derive(Serialize)]
pub(crate) struct PoolView {
    #[serde(flatten)]
    pub(crate) status: PoolStatus,
    pub(crate) stats: PoolStats,
    pub(crate) health: HealthStats,
}

/// The numbers since the start: of all pools together, of each, and of the sessions.
#[derive(Serialize)]
pub(crate) struct Stats {
    pub(crate) total: PoolStats,
    pub(crate) pools: BTreeMap<String, PoolStats>,
    pub(crate) sessions: StoreStats,
}

/// Waits 2 s at most, for the system.
pub(crate) async fn status(house: &House) -> Status {
    Status {
        phase: house.phase(),
        run: house.hatchery().map(|hatchery| hatchery.run_id().to_string()),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        address: house.address.to_string(),
        tls: house.doors().speak_tls(),
        bridge: house.doors().bridge().map(str::to_owned),
        started_at: house.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        pools: house.pools().iter().map(Pool::status).collect(),
        guarantee: house.hatchery().map(|hatchery| Promise::of(&hatchery.guarantee())),
        system: house.system().await,
    }
}

/// None before the pools are filled.
pub(crate) fn pools(house: &House) -> Vec<PoolView> {
    house.pools().iter().map(PoolView::of).collect()
}

pub(crate) fn pool(house: &House, name: &str) -> Result<PoolView> {
    Ok(PoolView::of(&house.pool(name)?))
}

impl PoolView {
    fn of(pool: &Pool) -> PoolView {
        PoolView { status: pool.status(), stats: pool.stats(), health: pool.health() }
    }
}

/// The tools of a pool's app, in the app's order.
pub(crate) fn tools(house: &House, pool: &str) -> Result<Arc<[ToolSpec]>> {
    Ok(house.pool(pool)?.tools())
}

/// The workers of all pools.
pub(crate) fn workers(house: &House) -> Vec<WorkerStatus> {
    house.pools().iter().flat_map(Pool::workers).collect()
}

pub(crate) fn stats(house: &House) -> Result<Stats> {
    let hatchery = house.filled()?;
    let pools = hatchery.pools().map(|pool| (pool.name().to_owned(), pool.stats())).collect();
    Ok(Stats { total: hatchery.stats(), pools, sessions: hatchery.sessions().stats() })
}

/// Live processes that dead runs of the instance have left. Ends nothing. A look takes milliseconds, unless a sweep is in its way.
pub(crate) async fn orphans(house: &House) -> Result<SweepReport> {
    house.orphans().await
}

/// Whether a call would find a worker.
///
/// # Errors
/// `unavailable`, with what is missing.
pub(crate) fn readiness(house: &House) -> Result<()> {
    let not_ready = |found: String| Err(Error::new(ErrorKind::Unavailable, format!("not ready: {found}")));
    if house.phase() != Phase::Serving {
        return not_ready(format!("the daemon is {}", house.phase()));
    }
    match house.pools().iter().map(Pool::status).find(|pool| pool.ready == 0) {
        Some(pool) => not_ready(format!("pool {} has no worker that takes calls", pool.pool)),
        None => Ok(()),
    }
}
