//! Streams of replies, as their readers see them.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::Ticket;
use crate::call::{Deadline, Stage};
use crate::error::{Error, ErrorKind, Result};
use crate::value::Payload;
use crate::worker::{Item, Line, STREAM_WINDOW};

/// The chunks of a streaming call, unparsed. After an error, or the end, it yields nothing more. Dropping it cancels
/// the call.
pub struct PayloadStream {
    /// `None` once the stream is over.
    ticket: Option<Ticket>,
    items: mpsc::UnboundedReceiver<Item>,
    line: Option<Arc<Line>>,
    /// Bytes that were taken and not granted again yet.
    owed: u64,
    deadline: Option<(Deadline, Pin<Box<Sleep>>)>,
    queue_deadline: Option<(Deadline, Pin<Box<Sleep>>)>,
    correlation_id: Arc<str>,
}

impl PayloadStream {
    pub(super) fn new(
        ticket: Ticket,
        items: mpsc::UnboundedReceiver<Item>,
        deadline: Option<Deadline>,
        correlation_id: Arc<str>,
    ) -> PayloadStream {
        PayloadStream {
            queue_deadline: timer(ticket.queue_deadline),
            ticket: Some(ticket),
            items,
            line: None,
            owed: 0,
            deadline: timer(deadline),
            correlation_id,
        }
    }

    /// The next chunk; `None` after the last one. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Payload>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Payload>>> {
        if self.ticket.is_none() {
            return Poll::Ready(None);
        }
        // A generator that is always ahead of its reader would keep us from ever looking at the timer.
        if let Some((deadline, _)) = &self.deadline
            && deadline.at() <= std::time::Instant::now()
        {
            let deadline = *deadline;
            return self.expired(deadline);
        }
        loop {
            match self.items.poll_recv(context) {
                Poll::Ready(Some(Item::Begun(line))) => {
                    self.line = Some(line);
                    self.queue_deadline = None;
                }
                Poll::Ready(Some(Item::Chunk { payload, cost })) => {
                    self.took(cost);
                    return Poll::Ready(Some(Ok(payload)));
                }
                Poll::Ready(Some(Item::End(Ok(())))) => return self.over(None),
                Poll::Ready(Some(Item::End(Err(error)))) => return self.over(Some(error)),
                Poll::Ready(None) => {
                    return self.over(Some(Error::new(ErrorKind::Unavailable, "the pool was dropped")));
                }
                Poll::Pending => return self.poll_deadlines(context),
            }
        }
    }

    /// Grants again what was taken, half a window at a time, so that a grant is not a frame a chunk.
    fn took(&mut self, cost: u64) {
        self.owed += cost;
        if self.owed < u64::from(STREAM_WINDOW / 2) {
            return;
        }
        if let (Some(line), Some(ticket)) = (&self.line, &self.ticket) {
            let mut owed = std::mem::take(&mut self.owed);
            while owed > 0 {
                let grant = u32::try_from(owed).unwrap_or(u32::MAX);
                line.credit(ticket.id, grant);
                owed -= u64::from(grant);
            }
        }
    }

    fn poll_deadlines(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Payload>>> {
        if let Some((deadline, timer)) = &mut self.queue_deadline
            && timer.as_mut().poll(context).is_ready()
        {
            let deadline = *deadline;
            self.queue_deadline = None;
            let withdrawn = self.ticket.as_ref().and_then(|ticket| ticket.shared.roster().withdraw(ticket.id));
            if withdrawn.is_some() {
                return self.over(Some(deadline.error(Stage::Queue)));
            }
        }
        let Some((deadline, timer)) = &mut self.deadline else { return Poll::Pending };
        ready!(timer.as_mut().poll(context));
        let deadline = *deadline;
        self.expired(deadline)
    }

    fn expired(&mut self, deadline: Deadline) -> Poll<Option<Result<Payload>>> {
        let error = self.ticket.take().map(|ticket| ticket.expired(Some(deadline)));
        Poll::Ready(error.map(|error| Err(error.with_correlation_id(&self.correlation_id))))
    }

    fn over(&mut self, error: Option<Error>) -> Poll<Option<Result<Payload>>> {
        if let Some(mut ticket) = self.ticket.take() {
            ticket.is_over = true;
        }
        Poll::Ready(error.map(|error| Err(error.with_correlation_id(&self.correlation_id))))
    }
}

fn timer(deadline: Option<Deadline>) -> Option<(Deadline, Pin<Box<Sleep>>)> {
    deadline.map(|deadline| (deadline, Box::pin(tokio::time::sleep_until(deadline.at().into()))))
}

impl Stream for PayloadStream {
    type Item = Result<Payload>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Payload>>> {
        self.poll(context)
    }
}

/// The chunks of a streaming call, each deserialized into a `T`. Dropping it cancels the call.
pub struct ReplyStream<T> {
    tool: String,
    chunks: PayloadStream,
    yields: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> ReplyStream<T> {
    pub(super) fn new(tool: &str, chunks: PayloadStream) -> ReplyStream<T> {
        ReplyStream { tool: tool.to_owned(), chunks, yields: PhantomData }
    }

    /// The next chunk; `None` after the last one. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<T>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let chunk = ready!(self.chunks.poll(context));
        Poll::Ready(
            chunk.map(|chunk| {
                chunk?.decode().map_err(|error: Error| error.context(format_args!("{}: a chunk", self.tool)))
            }),
        )
    }
}

impl<T: DeserializeOwned> Stream for ReplyStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        self.poll(context)
    }
}
