//! The stream of one side's tool, passed on to who asked for it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use hatchery::{Error, ErrorKind, HostCaller, HostToolSource, HostTools, Payload, Result, ToolItems};
use tonic::Status;
use tonic::codegen::tokio_stream::Stream;

use super::arguments::{self, Arguments};
use super::chunks::{Summary, Writer};
use super::errors;
use super::proto::ToolChunk;

/// Its chunks, and one mark of the end, which is the host's: what the worker says in its own is in no item. Dropped, the tool is stopped.
pub struct Passing {
    /// `None` when it is over.
    items: Option<ToolItems>,
    writer: Writer,
    worker: String,
    began: Instant,
}

impl Passing {
    /// Has a host tool begin to stream, as its caller sees it.
    ///
    /// # Errors
    /// `not_found`; `unavailable`, not to be tried again, if it does not stream; `validation` for arguments that cannot be read; what
    /// the tool returns.
    pub async fn begin(tools: &HostTools, tool: &str, arguments: Arguments, caller: HostCaller) -> Result<Passing> {
        let info = tools.get(caller.session_id(), tool)?;
        let worker = match info.source {
            HostToolSource::Local => {
                return Err(does_not_stream(tool, "is a function of the host, and those do not stream"));
            }
            _ if !info.supports_streaming => return Err(does_not_stream(tool, "does not stream")),
            HostToolSource::Worker { worker, .. } => worker,
            HostToolSource::Pool { pool, .. } => pool,
        };
        let items = tools.stream(tool, arguments::read(arguments)?.payload, caller).await?;
        Ok(Passing::new(tool, worker, items))
    }

    /// The items of this tool, which runs in that worker.
    pub fn new(tool: &str, worker: String, items: ToolItems) -> Passing {
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

fn does_not_stream(tool: &str, why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{tool} {why}: use ExecuteTool")).with_retryable(false)
}

impl Stream for Passing {
    type Item = Result<ToolChunk, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(items) = &mut self.items else { return Poll::Ready(None) };
        let item = ready!(items.as_mut().poll_next(context));
        Poll::Ready(self.chunk(item))
    }
}
