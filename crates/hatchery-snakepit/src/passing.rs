//! The stream of one worker's tool, passed on to another worker that asked for it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use hatchery::{Payload, Result, ToolItems};
use hatchery_grpc::bridge::chunks::{Summary, Writer};
use hatchery_grpc::bridge::errors;
use hatchery_grpc::bridge::proto::ToolChunk;
use tonic::Status;
use tonic::codegen::tokio_stream::Stream;

/// Its chunks, and one mark of the end, which is the host's: what the worker says in its own is in no item. Dropped, the tool is stopped.
pub(crate) struct Passing {
    /// `None` when it is over.
    items: Option<ToolItems>,
    writer: Writer,
    worker: String,
    began: Instant,
}

impl Passing {
    pub(crate) fn new(tool: &str, worker: String, items: ToolItems) -> Passing {
        Passing { items: Some(items), writer: Writer::new(tool), worker, began: Instant::now() }
    }

    fn chunk(&mut self, item: Option<Result<Payload>>) -> Option<Result<ToolChunk, Status>> {
        let written = match item {
            Some(item) => item.and_then(|item| self.writer.chunk(&item)),
            None => {
                self.items = None;
                return self.writer.end(&self.summary()).map(Ok);
            }
        };
        if written.is_err() {
            self.items = None;
        }
        Some(written.map_err(|error| errors::to_status(&error)))
    }

    fn summary(&self) -> Summary {
        Summary {
            execution_time_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            tool_type: "remote".to_owned(),
            worker_id: self.worker.clone(),
        }
    }
}

impl Stream for Passing {
    type Item = Result<ToolChunk, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(items) = &mut self.items else { return Poll::Ready(None) };
        let item = ready!(items.as_mut().poll_next(context));
        Poll::Ready(self.chunk(item))
    }
}
