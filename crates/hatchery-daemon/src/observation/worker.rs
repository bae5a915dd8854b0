//! One worker, in detail.

use std::time::Instant;

use hatchery::{Result, WorkerDetail};
use serde::Serialize;

use super::taints::{Taint, of_worker};
use crate::house::House;

/// Its line of `workers`, what it can do, how it fares, and whether it is tainted.
#[derive(Serialize)]
pub(crate) struct Worker {
    #[serde(flatten)]
    pub(crate) detail: WorkerDetail,
    /// Null: it is not.
    pub(crate) taint: Option<Taint>,
}

/// The worker of this id.
///
/// # Errors
/// `not_found`.
pub(crate) fn worker(house: &House, id: &str) -> Result<Worker> {
    let hatchery = house.filled()?;
    let detail = house.pool_of(id)?.worker(id)?;
    let taint = hatchery.taints(|taints| of_worker(taints, id, Instant::now()));
    Ok(Worker { detail, taint })
}
