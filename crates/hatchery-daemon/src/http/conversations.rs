//! Handlers of sessions, and of what is stored in them.

use std::sync::Arc;

use axum::extract::State;
use hatchery::Result;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::json_body::{Anything, Object};
use super::path::Named;
use super::query::Asked;
use super::{Answered, document};
use crate::conversations::{self, Wish};
use crate::failure::Failure;
use crate::house::House;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    id: Option<String>,
    ttl: Option<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

type Shared = State<Arc<House>>;
type Entry = Named<(String, String)>;

pub(crate) async fn list(State(house): Shared, Asked(page): Asked<Page>) -> Answered {
    let limit = page.limit.unwrap_or(conversations::PAGE);
    document(&conversations::list(&house, limit, page.after.as_deref())?)
}

pub(crate) async fn create(State(house): Shared, Object(Create { id, ttl, metadata }): Object<Create>) -> Answered {
    let ttl = ttl.as_deref().map(hatchery::parse_duration).transpose();
    let ttl = ttl.map_err(|error| Failure::new(error.kind(), format!("ttl: {}", error.message())))?;
    document(&conversations::create(&house, Wish { id, ttl, metadata })?)
}

pub(crate) async fn get(State(house): Shared, Named(id): Named<String>) -> Answered {
    document(&conversations::get(&house, &id)?)
}

pub(crate) async fn delete(State(house): Shared, Named(id): Named<String>) -> Answered {
    document(&conversations::delete(&house, &id)?)
}

pub(crate) async fn program(State(house): Shared, Named((id, name)): Entry) -> Answered {
    document(&conversations::program(&house, &id, &name)?)
}

pub(crate) async fn store_program(
    State(house): Shared,
    Named((id, name)): Entry,
    Anything(value): Anything,
) -> Answered {
    stored(conversations::store_program(&house, &id, &name, value))
}

pub(crate) async fn delete_program(State(house): Shared, Named((id, name)): Entry) -> Answered {
    document(&conversations::delete_program(&house, &id, &name)?)
}

pub(crate) async fn fact(State(house): Shared, Named((id, name)): Entry) -> Answered {
    document(&conversations::fact(&house, &id, &name)?)
}

pub(crate) async fn set_fact(State(house): Shared, Named((id, name)): Entry, Anything(value): Anything) -> Answered {
    stored(conversations::set_fact(&house, &id, &name, value))
}

pub(crate) async fn delete_fact(State(house): Shared, Named((id, name)): Entry) -> Answered {
    document(&conversations::delete_fact(&house, &id, &name)?)
}

fn stored(outcome: Result<()>) -> Answered {
    outcome?;
    document(&serde_json::json!({ "stored": true }))
}
