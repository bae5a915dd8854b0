//! Orders to one pool.

use std::time::Duration;

use hatchery::{Error, ErrorKind, Pool, Result};
use serde::Serialize;

use crate::access::Caller;
use crate::house::House;
use crate::observation::PoolBreakers;

/// A pool is to have another number of workers.
#[derive(Serialize)]
pub(crate) struct Scaled {
    pub(crate) pool: String,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// A pool takes no more calls.
#[derive(Serialize)]
pub(crate) struct Drained {
    pub(crate) pool: String,
    /// Whether all that it had are served.
    pub(crate) drained: bool,
    /// Calls that still wait.
    pub(crate) queued: usize,
    /// Calls that still run.
    pub(crate) running: usize,
}

/// A pool takes calls again.
#[derive(Serialize)]
pub(crate) struct Resumed {
    pub(crate) pool: String,
    /// As in its status.
    pub(crate) state: &'static str,
}

/// Workers of a pool are replaced, each when its successor is ready.
#[derive(Serialize)]
pub(crate) struct Reloading {
    pub(crate) pool: String,
    /// How many.
    pub(crate) workers: usize,
}

/// From now on it is to have so many workers. Does not wait.
pub(crate) async fn scale(house: &House, caller: &Caller, pool: &str, workers: usize) -> Result<Scaled> {
    let work = async {
        let pool = house.pool(pool)?;
        let from = pool.status().workers;
        pool.scale(workers)?;
        Ok(Scaled { pool: pool.name().to_owned(), from, to: workers })
    };
    caller.order("scale", &subject(pool), work).await
}

/// Takes no more calls, and waits at most so long until those that it has are served. It stays so until it is resumed.
pub(crate) async fn drain(house: &House, caller: &Caller, pool: &str, wait: Duration) -> Result<Drained> {
    let work = async {
        let pool = house.pool(pool)?;
        // Begun even where nobody waits: the first look at the future is the order.
        let drained = tokio::time::timeout(wait, pool.drain()).await.is_ok();
        let status = pool.status();
        Ok(Drained { pool: status.pool, drained, queued: status.queued, running: status.running })
    };
    caller.order("drain", &subject(pool), work).await
}

/// Takes calls again.
pub(crate) async fn resume(house: &House, caller: &Caller, pool: &str) -> Result<Resumed> {
    let work = async {
        let pool = house.pool(pool)?;
        pool.resume();
        let status = pool.status();
        Ok(Resumed { pool: status.pool, state: status.state })
    };
    caller.order("resume", &subject(pool), work).await
}

/// Replaces every worker, and so loads the app anew. No call is lost. Does not wait.
pub(crate) async fn reload(house: &House, caller: &Caller, pool: &str) -> Result<Reloading> {
    let work = async {
        let pool = house.pool(pool)?;
        pool.reload();
        Ok(Reloading { pool: pool.name().to_owned(), workers: pool.status().workers })
    };
    caller.order("reload_pool", &subject(pool), work).await
}

/// Closes the breaker of one tool, or all of the pool, and says how they are then.
///
/// # Errors
/// `not_found` if the pool has none, or the tool was never called.
pub(crate) async fn reset_breakers(
    house: &House,
    caller: &Caller,
    pool: &str,
    tool: Option<&str>,
) -> Result<PoolBreakers> {
    let work = async {
        let pool = house.pool(pool)?;
        let none = || Error::new(ErrorKind::NotFound, format!("pool {} has no circuit breakers", pool.name()));
        close(&pool, tool)?;
        PoolBreakers::of(&pool).ok_or_else(none)
    };
    caller.order("reset_breakers", &subject(pool), work).await
}

fn close(pool: &Pool, tool: Option<&str>) -> Result<()> {
    let Some(breakers) = pool.breakers() else { return Ok(()) };
    let Some(tool) = tool else {
        breakers.reset();
        return Ok(());
    };
    // Asked for by name, a breaker would be made.
    let (_, known) = breakers.stats(std::time::Instant::now());
    let breaker = known.contains_key(tool).then(|| breakers.tool(tool)).flatten();
    let missing =
        || Error::new(ErrorKind::NotFound, format!("no circuit breaker of a tool {tool} in pool {}", pool.name()));
    breaker.ok_or_else(missing)?.reset();
    Ok(())
}

fn subject(pool: &str) -> String {
    format!("pool {pool}")
}
