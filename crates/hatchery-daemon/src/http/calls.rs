//! Handlers of calls and streams.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use hatchery::Payload;

use super::arguments::arguments;
use super::path::Named;
use super::{Answered, bare};
use crate::failure::json;
use crate::house::House;
use crate::options::Options;
use crate::{calls, event_stream};

/// The bare result: as JSON, or as its bytes if that is what it is and what the client asks for.
pub(crate) async fn call(
    State(house): State<Arc<House>>,
    Named((pool, tool)): Named<(String, String)>,
    Options(options): Options,
    request: Request,
) -> Answered {
    let (Parts { headers, .. }, body) = request.into_parts();
    let arguments = given(&house, &pool, &tool, &headers, body).await?;
    let result = calls::call(&house, &pool, &tool, arguments, &options).await?;
    match bare::answer(&result, &headers) {
        Some(bytes) => Ok(bytes),
        None => Ok(json(StatusCode::OK, result.to_json_text()?)),
    }
}

/// What fails before the first chunk is told by the status, what fails later by an event.
pub(crate) async fn stream(
    State(house): State<Arc<House>>,
    Named((pool, tool)): Named<(String, String)>,
    Options(options): Options,
    request: Request,
) -> Answered {
    let (Parts { headers, .. }, body) = request.into_parts();
    let arguments = given(&house, &pool, &tool, &headers, body).await?;
    let begun = calls::stream(&house, &pool, &tool, arguments, &options).await?;
    Ok(event_stream::answer(begun.first, begun.chunks))
}

/// The pool is looked for after the body was read: who is still sending cannot read an answer.
async fn given(house: &House, pool: &str, tool: &str, headers: &HeaderMap, body: Body) -> hatchery::Result<Payload> {
    let only_parameter = || {
        let tools = house.pool(pool)?.tools();
        let spec = tools.iter().find(|spec| spec.name == tool);
        Ok(spec.map(|spec| spec.parameters.iter().map(|parameter| parameter.name.clone()).collect()))
    };
    arguments(headers, body, only_parameter).await
}
