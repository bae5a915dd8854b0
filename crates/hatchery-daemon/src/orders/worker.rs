//! Orders to one worker.

use hatchery::{Pool, Result};
use serde::Serialize;

use crate::access::Caller;
use crate::house::House;

/// A worker was told.
#[derive(Serialize)]
pub(crate) struct Ordered {
    pub(crate) worker: String,
    pub(crate) pool: String,
    /// `recycle`, `restart` or `stop`.
    pub(crate) order: &'static str,
    /// Which life of it was meant.
    pub(crate) generation: u64,
}

/// Replaces it: a successor first. No call is lost. Does not wait.
pub(crate) async fn recycle(house: &House, caller: &Caller, worker: &str) -> Result<Ordered> {
    told(house, caller, worker, "recycle", Pool::recycle).await
}

/// Ends it within its pool's graces; then another takes its place. Does not wait.
pub(crate) async fn restart_worker(house: &House, caller: &Caller, worker: &str) -> Result<Ordered> {
    told(house, caller, worker, "restart", Pool::restart).await
}

/// Ends it within its pool's graces, and the pool has one fewer. Does not wait.
pub(crate) async fn stop_worker(house: &House, caller: &Caller, worker: &str) -> Result<Ordered> {
    told(house, caller, worker, "stop", Pool::retire).await
}

async fn told(
    house: &House,
    caller: &Caller,
    worker: &str,
    order: &'static str,
    tell: fn(&Pool, &str) -> Result<()>,
) -> Result<Ordered> {
    let work = async {
        let pool = house.pool_of(worker)?;
        let generation = pool.workers().iter().filter(|it| it.id == worker).map(|it| it.generation).max();
        tell(&pool, worker)?;
        let (worker, pool) = (worker.to_owned(), pool.name().to_owned());
        Ok(Ordered { worker, pool, order, generation: generation.unwrap_or_default() })
    };
    caller.order(&format!("{order}_worker"), &format!("worker {worker}"), work).await
}
