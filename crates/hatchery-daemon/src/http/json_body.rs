//! A body that is a JSON object with known keys, or any JSON value.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use hatchery::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::body;
use crate::failure::Failure;

/// An order is short; the longest is a program, of which a session may have 1 MiB.
const LARGEST: usize = 2 << 20;

/// A JSON object. No body is an empty one.
pub(crate) struct Object<T>(pub(crate) T);

/// Any JSON value.
pub(crate) struct Anything(pub(crate) Value);

/// A request that brings nothing along, or an empty object.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Object<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Object<T>, Failure> {
        let text = text(request.into_body()).await?;
        let text = if text.trim_ascii().is_empty() { "{}" } else { &text };
        // Serde reads a struct from an array, too: its fields in their order, which nobody promised.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(wrong("expected a JSON object").into());
        }
        Ok(Object(serde_json::from_str(text).map_err(wrong)?))
    }
}

impl<S: Send + Sync> FromRequest<S> for Anything {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Anything, Failure> {
        let text = text(request.into_body()).await?;
        Ok(Anything(serde_json::from_str(&text).map_err(wrong)?))
    }
}

async fn text(body: Body) -> Result<String> {
    let bytes = body::whole(body, LARGEST).await?;
    String::from_utf8(bytes).map_err(|why| wrong(format!("not UTF-8: {why}")))
}

fn wrong(found: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Validation, format!("the body of the request: {found}"))
}
