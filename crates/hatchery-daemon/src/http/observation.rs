//! Handlers of what only looks.

use std::sync::Arc;

use axum::extract::State;

use super::path::Named;
use super::{Answered, document};
use crate::failure::Failure;
use crate::house::House;
use crate::observation;

pub(crate) async fn status(State(house): State<Arc<House>>) -> Answered {
    document(&observation::status(&house).await)
}

pub(crate) async fn pools(State(house): State<Arc<House>>) -> Answered {
    document(&observation::pools(&house))
}

pub(crate) async fn pool(State(house): State<Arc<House>>, Named(pool): Named<String>) -> Answered {
    document(&observation::pool(&house, &pool)?)
}

pub(crate) async fn tools(State(house): State<Arc<House>>, Named(pool): Named<String>) -> Answered {
    document(&observation::tools(&house, &pool)?)
}

pub(crate) async fn workers(State(house): State<Arc<House>>) -> Answered {
    document(&observation::workers(&house))
}

pub(crate) async fn worker(State(house): State<Arc<House>>, Named(worker): Named<String>) -> Answered {
    document(&observation::worker(&house, &worker)?)
}

pub(crate) async fn stats(State(house): State<Arc<House>>) -> Answered {
    document(&observation::stats(&house)?)
}

pub(crate) async fn taints(State(house): State<Arc<House>>) -> Answered {
    document(&observation::taints(&house)?)
}

pub(crate) async fn breakers(State(house): State<Arc<House>>) -> Answered {
    document(&observation::breakers(&house))
}

pub(crate) async fn orphans(State(house): State<Arc<House>>) -> Answered {
    document(&observation::orphans(&house).await?)
}

/// It answers, so it is well.
pub(crate) async fn health() -> &'static str {
    "ok\n"
}

pub(crate) async fn readiness(State(house): State<Arc<House>>) -> Result<&'static str, Failure> {
    observation::readiness(&house)?;
    Ok("ready\n")
}
