//! Calls and streams. The futures here are dropped when the client goes away, and that cancels the call.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::failure::{Failure, json};
use crate::house::House;
use crate::options::{Callee, Options};
use crate::{body, event_stream};

type Answer = Result<Response, Failure>;

/// `POST /v1/pools/{pool}/call/{tool}`: the bare result.
pub(crate) async fn call(
    State(house): State<Arc<House>>,
    callee: Callee,
    Options(options): Options,
    body: Body,
) -> Answer {
    let arguments = body::arguments(body).await?;
    let pool = house.pool(&callee.pool)?;
    let result = pool.call_payload(&callee.tool, arguments, &options).await?;
    Ok(json(StatusCode::OK, result.to_json_text()?))
}

/// `POST /v1/pools/{pool}/stream/{tool}`: server-sent events. What fails before the first chunk is told by the status, what
/// fails later by an event.
pub(crate) async fn stream(
    State(house): State<Arc<House>>,
    callee: Callee,
    Options(options): Options,
    body: Body,
) -> Answer {
    let arguments = body::arguments(body).await?;
    let pool = house.pool(&callee.pool)?;
    let mut chunks = pool.stream_payload(&callee.tool, arguments, &options).await?;
    let first = chunks.next().await.transpose()?;
    Ok(event_stream::answer(first, chunks))
}
