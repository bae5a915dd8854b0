//! What comes bit by bit, as iterators whose `next` waits.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::driver::Driver;
use crate::error::Result;
use crate::telemetry::Event;
use crate::value::Payload;
use crate::{pool, telemetry};

/// The chunks of a streaming call, unparsed. After an error, or the end, it yields nothing more. Dropping it cancels the call.
pub struct PayloadStream {
    chunks: Option<pool::PayloadStream>,
    driver: Arc<Driver>,
}

impl PayloadStream {
    pub(super) fn new(chunks: pool::PayloadStream, driver: Arc<Driver>) -> PayloadStream {
        PayloadStream { chunks: Some(chunks), driver }
    }
}

impl Iterator for PayloadStream {
    type Item = Result<Payload>;

    fn next(&mut self) -> Option<Result<Payload>> {
        let next = self.driver.run(self.chunks.as_mut()?.next());
        next.unwrap_or_else(|refused| {
            self.chunks = None;
            Some(Err(refused))
        })
    }
}

/// The chunks of a streaming call, each deserialized into a `T`. After an error, or the end, it yields nothing more. Dropping it
/// cancels the call.
pub struct ReplyStream<T> {
    replies: Option<pool::ReplyStream<T>>,
    driver: Arc<Driver>,
}

impl<T: DeserializeOwned> ReplyStream<T> {
    pub(super) fn new(replies: pool::ReplyStream<T>, driver: Arc<Driver>) -> ReplyStream<T> {
        ReplyStream { replies: Some(replies), driver }
    }
}

impl<T: DeserializeOwned> Iterator for ReplyStream<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let next = self.driver.run(self.replies.as_mut()?.next());
        next.unwrap_or_else(|refused| {
            self.replies = None;
            Some(Err(refused))
        })
    }
}

/// A subscription to events. Ends with the [`Hatchery`](super::Hatchery), and where an async runtime is.
pub struct Events {
    events: telemetry::Events,
    driver: Arc<Driver>,
}

impl Events {
    pub(super) fn new(events: telemetry::Events, driver: Arc<Driver>) -> Events {
        Events { events, driver }
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.driver.run(self.events.next()).ok().flatten()
    }
}
