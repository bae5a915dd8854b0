//! What a daemon is doing, as messages.

use hatchery::Result;
use hatchery_grpc::{document, v1};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::service::Asked;
use crate::observation;

pub(super) async fn tools(asked: Asked<v1::ToolsRequest>) -> Result<v1::ToolsResponse> {
    let tools = observation::tools(&asked.house, &asked.message.pool)?;
    Ok(v1::ToolsResponse { tools: documents(&tools)? })
}

pub(super) async fn pools(asked: Asked<v1::PoolsRequest>) -> Result<v1::PoolsResponse> {
    let pools = match asked.message.pool.as_str() {
        "" => observation::pools(&asked.house),
        pool => vec![observation::pool(&asked.house, pool)?],
    };
    Ok(v1::PoolsResponse { pools: documents(&pools)? })
}

pub(super) async fn stats(asked: Asked<v1::StatsRequest>) -> Result<v1::StatsResponse> {
    document(&observation::stats(&asked.house)?)
}

pub(super) async fn status(asked: Asked<v1::StatusRequest>) -> Result<v1::StatusResponse> {
    document(&observation::status(&asked.house).await)
}

pub(super) async fn workers(asked: Asked<v1::WorkersRequest>) -> Result<v1::WorkersResponse> {
    let mut workers = observation::workers(&asked.house);
    let pool = &asked.message.pool;
    if !pool.is_empty() {
        let _is_there = asked.house.pool(pool)?;
        workers.retain(|worker| worker.pool == *pool);
    }
    Ok(v1::WorkersResponse { workers: documents(&workers)? })
}

pub(super) async fn worker(asked: Asked<v1::WorkerRequest>) -> Result<v1::WorkerResponse> {
    let worker = observation::worker(&asked.house, &asked.message.id)?;
    Ok(v1::WorkerResponse { worker: Some(document(&worker)?) })
}

pub(super) async fn taints(asked: Asked<v1::TaintsRequest>) -> Result<v1::TaintsResponse> {
    Ok(v1::TaintsResponse { taints: documents(&observation::taints(&asked.house)?)? })
}

pub(super) async fn breakers(asked: Asked<v1::BreakersRequest>) -> Result<v1::BreakersResponse> {
    Ok(v1::BreakersResponse { pools: documents(&observation::breakers(&asked.house))? })
}

pub(super) async fn orphans(asked: Asked<v1::OrphansRequest>) -> Result<v1::OrphansResponse> {
    let report = observation::orphans(&asked.house).await?;
    Ok(v1::OrphansResponse { report: Some(document(&report)?) })
}

/// Each as a message.
pub(super) fn documents<T: DeserializeOwned>(documents: &[impl Serialize]) -> Result<Vec<T>> {
    documents.iter().map(document).collect()
}
