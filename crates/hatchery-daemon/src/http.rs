//! HTTP, in front of the desk: reads requests, asks, writes answers. Nothing here decides.

mod accept;
pub(crate) mod agents;
mod arguments;
mod bare;
pub(crate) mod calls;
mod compression;
pub(crate) mod conversations;
mod counter;
pub(crate) mod events;
pub(crate) mod host_tools;
mod json_body;
pub(crate) mod metrics;
mod npy;
pub(crate) mod observation;
pub(crate) mod openapi;
pub(crate) mod orders;
pub(crate) mod page;
mod path;
mod query;
mod route;

pub(crate) use counter::Counter;
pub(crate) use route::{Answer, Method, Query, Route};

use axum::http::StatusCode;
use axum::response::Response;
use hatchery::{Error, ErrorKind};
use serde::Serialize;

use crate::failure::{Failure, json};

/// What a handler answers.
type Answered = Result<Response, Failure>;

/// A value as a JSON document.
fn document(value: &impl Serialize) -> Answered {
    let failed = |why| Error::new(ErrorKind::Internal, format!("write JSON: {why}"));
    Ok(json(StatusCode::OK, serde_json::to_string(value).map_err(failed)?))
}
