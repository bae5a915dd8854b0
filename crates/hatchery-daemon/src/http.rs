//! HTTP, in front of the desk: reads requests, asks, writes answers. Nothing here decides.

mod arguments;
mod bare;
mod calls;
mod compression;
mod conversations;
mod cors;
mod events;
mod json_body;
mod metrics;
mod npy;
mod observation;
mod openapi;
mod orders;
mod page;
mod path;
mod query;
mod route;

pub(crate) use compression::compressed;
pub(crate) use cors::cross_origin;
pub(crate) use route::{Answer, Route};
pub(crate) mod handlers {
    //! What the table of routes names.
    pub(crate) use super::{calls, conversations, events, metrics, observation, openapi, orders, page};
}

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
