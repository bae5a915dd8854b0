//! What a daemon is doing, for those who watch it. Nothing here waits for a worker, or for long.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hatchery::{Error, ErrorKind, Pool, PoolStatus, WorkerStatus};
use serde::Serialize;

use crate::Phase;
use crate::failure::{Failure, json};
use crate::guarantee::Promise;
use crate::house::House;
use crate::options::PoolName;
use crate::system::System;

type Answer = Result<Response, Failure>;

/// `GET /v1/status`.
#[derive(Serialize)]
struct Status {
    phase: Phase,
    /// Absent before the pools are filled and after they are gone.
    run: Option<String>,
    pid: u32,
    version: &'static str,
    address: String,
    /// In seconds since 1970.
    started_at: f64,
    pools: Vec<PoolStatus>,
    /// What is certain to end with this daemon. Absent when `run` is.
    guarantee: Option<Promise>,
    /// What dead runs of its instance have left. Absent when `run` is.
    system: Option<System>,
}

pub(crate) async fn status(State(house): State<Arc<House>>) -> Answer {
    document(&Status {
        phase: house.phase(),
        run: house.hatchery().map(|hatchery| hatchery.run_id().to_string()),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        address: house.address.to_string(),
        started_at: house.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        pools: house.pools().iter().map(Pool::status).collect(),
        guarantee: house.hatchery().map(|hatchery| Promise::of(&hatchery.guarantee())),
        system: house.system().await,
    })
}

/// `GET /v1/workers`.
pub(crate) async fn workers(State(house): State<Arc<House>>) -> Answer {
    document(&house.pools().iter().flat_map(Pool::workers).collect::<Vec<WorkerStatus>>())
}

/// `GET /v1/pools/{pool}/tools`.
pub(crate) async fn tools(State(house): State<Arc<House>>, PoolName(pool): PoolName) -> Answer {
    document(&house.pool(&pool)?.tools())
}

/// `GET /healthz`: it answers, so it is well.
pub(crate) async fn health() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: whether a call would find a worker.
pub(crate) async fn readiness(State(house): State<Arc<House>>) -> Result<&'static str, Failure> {
    let not_ready = |found: String| Failure::new(ErrorKind::Unavailable, format!("not ready: {found}"));
    if house.phase() != Phase::Serving {
        return Err(not_ready(format!("the daemon is {}", house.phase())));
    }
    match house.pools().iter().map(Pool::status).find(|pool| pool.ready == 0) {
        Some(pool) => Err(not_ready(format!("pool {} has no worker that takes calls", pool.pool))),
        None => Ok("ready\n"),
    }
}

fn document(value: &impl Serialize) -> Answer {
    let failed = |why| Error::new(ErrorKind::Internal, format!("write JSON: {why}"));
    Ok(json(StatusCode::OK, serde_json::to_string(value).map_err(failed)?))
}
