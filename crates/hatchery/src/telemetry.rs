//! What happened, as plain data. Rooms emit; whoever subscribed reads. Emitting never waits and never fails: a slow
//! reader loses events and is told how many.
//!
//! An event is declared once (`event/`), with its name and with words for people; its JSON form and its entry in the catalogue
//! are made from that (`declare.rs`). What others call otherwise, and what is to come, stands in `unspoken.rs`.

mod catalogue;
mod declare;
mod emitter;
mod event;
mod events;
mod field;
mod filter;
mod histogram;
mod kinds;
pub(crate) mod log;
mod page;
mod shape;
#[cfg(test)]
pub(crate) mod tests;
mod unspoken;

pub use catalogue::{EventKind, FieldKind, Standing, catalogue};
pub(crate) use emitter::Emitter;
pub use event::{
    AgentRunEvent, CallEvent, Event, FaultEvent, Heard, Lagged, Level, Log, LogSource, PoolEvent, Progress,
    RecycleReason, RunEvent, ServiceEvent, SessionEvent, SharedEvent, ToolEvent, WorkerEvent,
};
pub use events::Events;
pub use filter::EventFilter;
pub use histogram::Histogram;
pub(crate) use histogram::Stopwatch;
pub(crate) use kinds::Kind;
pub use page::event_reference;
pub(crate) use shape::Shape;
