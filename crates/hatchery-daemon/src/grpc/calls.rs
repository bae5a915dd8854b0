//! Calls and streams. The futures here are dropped when the client goes away, and that cancels the call.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use hatchery::{Payload, PayloadStream, Result};
use hatchery_grpc::{payload, status, v1};
use tonic::Status;

use super::options::options;
use super::service::Asked;
use crate::calls;

pub(super) async fn call(asked: Asked<v1::CallRequest>) -> Result<v1::CallResponse> {
    let Asked { house, metadata, message: v1::CallRequest { pool, tool, arguments, options: wanted }, .. } = asked;
    let options = options(wanted, &metadata)?;
    let result = calls::call(&house, &pool, &tool, payload::read(arguments)?, &options).await?;
    Ok(v1::CallResponse { result: Some(payload::write(&result)?) })
}

/// What fails before the first chunk is the status of the call at once.
pub(super) async fn stream(asked: Asked<v1::StreamCallRequest>) -> Result<Chunks> {
    let Asked { house, metadata, message: v1::StreamCallRequest { pool, tool, arguments, options: wanted }, .. } =
        asked;
    let options = options(wanted, &metadata)?;
    let begun = calls::stream(&house, &pool, &tool, payload::read(arguments)?, &options).await?;
    Ok(Chunks { first: begun.first, chunks: begun.chunks })
}

/// The chunks of a stream. Asked for one when the window of the connection has room for it.
pub(super) struct Chunks {
    /// It was waited for before there was an answer. Absent later, and for a stream without chunks, which then ends.
    first: Option<Payload>,
    chunks: PayloadStream,
}

impl Stream for Chunks {
    type Item = Result<v1::StreamCallResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => ready!(Pin::new(&mut self.chunks).poll_next(context)),
        };
        Poll::Ready(chunk.map(|chunk| told(chunk).map_err(|error| status::of(&error))))
    }
}

fn told(chunk: Result<Payload>) -> Result<v1::StreamCallResponse> {
    Ok(v1::StreamCallResponse { chunk: Some(payload::write(&chunk?)?) })
}
