//! Streams of replies, as their readers see them.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_core::Stream;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::account::Finished;
use super::guard::Watch;
use super::ticket::Ticket;
use crate::call::{CallOptions, passed};
use crate::error::{Error, ErrorKind, Result};
use crate::value::Payload;
use crate::worker::{Item, Journey, Line, STREAM_WINDOW};

/// The chunks of a streaming call, unparsed. After an error, or the end, it yields nothing more. Dropping it cancels
/// the call.
pub struct PayloadStream {
    /// `None` once the stream is over.
    call: Option<(Ticket, Watch)>,
    made: Instant,
    items: mpsc::UnboundedReceiver<Item>,
    line: Option<Arc<Line>>,
    /// Bytes that were taken and not granted again yet.
    owed: u64,
    clock: Clock,
    options: CallOptions,
}

impl PayloadStream {
    pub(super) fn new(
        ticket: Ticket,
        watch: Watch,
        items: mpsc::UnboundedReceiver<Item>,
        sender: mpsc::WeakUnboundedSender<Item>,
        options: CallOptions,
    ) -> PayloadStream {
        let (clock, made) = (Clock::start(&ticket, sender), ticket.made);
        PayloadStream { call: Some((ticket, watch)), made, items, line: None, owed: 0, clock, options }
    }

    /// The next chunk; `None` after the last one. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Payload>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Payload>>> {
        while self.call.is_some() {
            match ready!(self.items.poll_recv(context)) {
                Some(Item::Begun(line)) => self.line = Some(line),
                Some(Item::Chunk { payload, cost }) => {
                    self.took(cost);
                    return Poll::Ready(Some(Ok(payload)));
                }
                Some(Item::End(Ok(()), journey)) => self.over(&Ok(()), journey),
                Some(Item::End(Err(error), journey)) => return Poll::Ready(Some(Err(self.fail(error, journey)))),
                None => {
                    let dropped = Error::new(ErrorKind::Unavailable, "the pool was dropped");
                    return Poll::Ready(Some(Err(self.fail(dropped, Journey::default()))));
                }
            }
        }
        Poll::Ready(None)
    }

    /// Grants again what was taken, half a window at a time, so that a grant is not a frame a chunk.
    fn took(&mut self, cost: u64) {
        self.call.iter().for_each(|(ticket, _)| ticket.meter.chunks.one_more());
        self.owed += cost;
        if self.owed < u64::from(STREAM_WINDOW / 2) {
            return;
        }
        if let (Some(line), Some((ticket, _))) = (&self.line, &self.call) {
            let mut owed = std::mem::take(&mut self.owed);
            while owed > 0 {
                let grant = u32::try_from(owed).unwrap_or(u32::MAX);
                line.credit(ticket.id, grant);
                owed -= u64::from(grant);
            }
        }
    }

    fn fail(&mut self, error: Error, journey: Journey) -> Error {
        self.over(&Err(error.clone()), journey);
        self.options.mark(error)
    }

    fn over(&mut self, result: &Result<()>, journey: Journey) {
        self.clock.stop();
        self.line = None;
        let Some((ticket, watch)) = self.call.take() else { return };
        let shared = Arc::clone(&ticket.shared);
        if let Err(error) = result {
            shared.tell_raised(watch.tool(), &self.options, journey, error);
            shared.count_error();
        }
        self.settle(&ticket, &watch, result.as_ref().err().map(Error::kind), journey);
        ticket.over(&journey);
        shared.watched(watch, result);
    }

    fn settle(&self, ticket: &Ticket, watch: &Watch, error: Option<ErrorKind>, journey: Journey) {
        let (tool, options, made) = (watch.tool(), &self.options, self.made);
        ticket.shared.finished_call(&ticket.meter, &Finished { tool, options, error, made, tries: 1, journey });
    }
}

/// Its reader has given it up, unless it was over.
impl Drop for PayloadStream {
    fn drop(&mut self) {
        if let Some((ticket, watch)) = self.call.take() {
            self.settle(&ticket, &watch, Some(ErrorKind::Cancelled), Journey::default());
        }
    }
}

/// Ends a stream at its deadline. A task of its own, not a timer in the stream: a reader that has stalled, and polls
/// no more, must not hold a worker for ever.
struct Clock(Option<AbortHandle>);

impl Clock {
    fn start(ticket: &Ticket, sender: mpsc::WeakUnboundedSender<Item>) -> Clock {
        let (shared, id) = (Arc::clone(&ticket.shared), ticket.id);
        let (deadline, queue_deadline) = (ticket.deadline, ticket.queue_deadline);
        if deadline.is_none() && queue_deadline.is_none() {
            return Clock(None);
        }
        let clock = async move {
            tokio::select! {
                biased;
                () = passed(deadline) => {}
                () = passed(queue_deadline) => {
                    let reader = sender.upgrade();
                    if let Some(end) = shared.expired_in_queue(id, queue_deadline) {
                        return tell(reader, end);
                    }
                    drop(reader);
                    passed(deadline).await;
                }
            }
            // Taken hold of before the call is given up, which may drop the last other sender.
            let reader = sender.upgrade();
            tell(reader, shared.expired(id, deadline, false));
        };
        Clock(Some(tokio::spawn(clock).abort_handle()))
    }

    fn stop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Without a sender the stream has ended already.
fn tell(reader: Option<mpsc::UnboundedSender<Item>>, (error, journey): (Error, Journey)) {
    if let Some(reader) = reader {
        let _given_up = reader.send(Item::End(Err(error), journey));
    }
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
        Poll::Ready(chunk.map(|chunk| {
            let wrong = |error: Error| error.context(format_args!("{}: a chunk", self.tool));
            chunk?.decode().map_err(|error| self.chunks.options.mark(wrong(error)))
        }))
    }
}

impl<T: DeserializeOwned> Stream for ReplyStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        self.poll(context)
    }
}
