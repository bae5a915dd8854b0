//! Calls and streams. The futures here are dropped when the client goes away, and that cancels the call.

use hatchery::{CallOptions, Payload, PayloadStream, Result};

use crate::house::House;

/// A stream that has not failed.
pub(crate) struct Begun {
    /// It was waited for. Absent for a stream without chunks.
    pub(crate) first: Option<Payload>,
    pub(crate) chunks: PayloadStream,
}

/// Calls a tool that returns once, and waits for its result.
pub(crate) async fn call(
    house: &House,
    pool: &str,
    tool: &str,
    arguments: Payload,
    options: &CallOptions,
) -> Result<Payload> {
    house.pool(pool)?.call_payload(tool, arguments, &house.spanned(options)).await
}

/// Calls a streaming tool, and waits for its first chunk: what fails before that is the error of the call.
pub(crate) async fn stream(
    house: &House,
    pool: &str,
    tool: &str,
    arguments: Payload,
    options: &CallOptions,
) -> Result<Begun> {
    let mut chunks = house.pool(pool)?.stream_payload(tool, arguments, &house.spanned(options)).await?;
    let first = chunks.next().await.transpose()?;
    Ok(Begun { first, chunks })
}
