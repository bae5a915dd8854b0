//! Memory that a pool gives to those who call it.

use super::Shared;
use crate::memory::{Arena, Buffer};
use crate::telemetry::{Event, SharedEvent};

impl Shared {
    /// Memory for a value: shared if there is any.
    pub(super) fn buffer(&self, length: usize) -> Buffer {
        let Some(arena) = &self.arena else { return Arena::own_buffer(length) };
        arena.buffer(length).unwrap_or_else(|reason| {
            arena.count_fell_back();
            let event = SharedEvent::FellBack { worker: None, bytes: length as u64, reason: reason.to_string() };
            self.emitter.emit(Event::Shared(event));
            Arena::own_buffer(length)
        })
    }
}
