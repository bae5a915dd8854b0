//! Handlers of orders. Each answers with what it did.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use serde::Deserialize;

use super::json_body::{Nothing, Object};
use super::path::Named;
use super::{Answered, document};
use crate::access::Caller;
use crate::failure::Failure;
use crate::house::House;
use crate::orders;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scale {
    workers: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drain {
    /// Default: not at all.
    wait: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetBreakers {
    /// Default: all.
    tool: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KillOrphans {
    /// How the id of a run begins. Default: of all runs.
    run: Option<String>,
}

type Shared = State<Arc<House>>;

pub(crate) async fn scale(
    State(house): Shared,
    caller: Caller,
    Named(pool): Named<String>,
    Object(order): Object<Scale>,
) -> Answered {
    document(&orders::scale(&house, &caller, &pool, order.workers).await?)
}

pub(crate) async fn drain(
    State(house): Shared,
    caller: Caller,
    Named(pool): Named<String>,
    Object(order): Object<Drain>,
) -> Answered {
    let wait = order.wait.as_deref().map_or(Ok(Duration::ZERO), hatchery::parse_duration);
    let wait = wait.map_err(|error| Failure::new(error.kind(), format!("wait: {}", error.message())))?;
    document(&orders::drain(&house, &caller, &pool, wait).await?)
}

pub(crate) async fn resume(
    State(house): Shared,
    caller: Caller,
    Named(pool): Named<String>,
    Object(Nothing {}): Object<Nothing>,
) -> Answered {
    document(&orders::resume(&house, &caller, &pool).await?)
}

pub(crate) async fn reload_pool(
    State(house): Shared,
    caller: Caller,
    Named(pool): Named<String>,
    Object(Nothing {}): Object<Nothing>,
) -> Answered {
    document(&orders::reload(&house, &caller, &pool).await?)
}

pub(crate) async fn reset_breakers(
    State(house): Shared,
    caller: Caller,
    Named(pool): Named<String>,
    Object(order): Object<ResetBreakers>,
) -> Answered {
    document(&orders::reset_breakers(&house, &caller, &pool, order.tool.as_deref()).await?)
}

pub(crate) async fn recycle_worker(
    State(house): Shared,
    caller: Caller,
    Named(worker): Named<String>,
    Object(Nothing {}): Object<Nothing>,
) -> Answered {
    document(&orders::recycle(&house, &caller, &worker).await?)
}

pub(crate) async fn restart_worker(
    State(house): Shared,
    caller: Caller,
    Named(worker): Named<String>,
    Object(Nothing {}): Object<Nothing>,
) -> Answered {
    document(&orders::restart_worker(&house, &caller, &worker).await?)
}

pub(crate) async fn stop_worker(
    State(house): Shared,
    caller: Caller,
    Named(worker): Named<String>,
    Object(Nothing {}): Object<Nothing>,
) -> Answered {
    document(&orders::stop_worker(&house, &caller, &worker).await?)
}

pub(crate) async fn clear_taints(State(house): Shared, caller: Caller) -> Answered {
    document(&orders::clear_taints(&house, &caller, None).await?)
}

pub(crate) async fn clear_taint(State(house): Shared, caller: Caller, Named(id): Named<String>) -> Answered {
    document(&orders::clear_taints(&house, &caller, Some(&id)).await?)
}

pub(crate) async fn kill_orphans(State(house): Shared, caller: Caller, Object(order): Object<KillOrphans>) -> Answered {
    document(&orders::kill_orphans(&house, &caller, order.run).await?)
}

pub(crate) async fn prune_sessions(
    State(house): Shared,
    caller: Caller,
    Object(Nothing {}): Object<Nothing>,
) -> Answered {
    document(&orders::prune_sessions(&house, &caller).await?)
}

pub(crate) async fn reload_configuration(
    State(house): Shared,
    caller: Caller,
    Object(Nothing {}): Object<Nothing>,
) -> Answered {
    document(&orders::reload_configuration(&house, &caller).await?)
}

pub(crate) async fn stop(State(house): Shared, caller: Caller, Object(Nothing {}): Object<Nothing>) -> Answered {
    document(&orders::stop(&house, &caller).await?)
}
