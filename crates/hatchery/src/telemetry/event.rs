//! What happened: one type, grouped by the rooms that tell it.

mod agent;
mod call;
mod fault;
mod pool;
mod run;
mod service;
mod session;
mod shared;
mod worker;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::catalogue::EventKind;
use super::declare::{Told, event};
use super::field::FieldValue;
use super::kinds::Kind;

pub use agent::AgentRunEvent;
pub use call::{CallEvent, Progress, ToolEvent};
pub use fault::FaultEvent;
pub use pool::{PoolEvent, RecycleReason};
pub use run::RunEvent;
pub use service::ServiceEvent;
pub use session::SessionEvent;
pub use shared::SharedEvent;
pub use worker::{Level, Log, LogSource, WorkerEvent};

event! {
    /// This reader was too slow, and has lost events that it had asked for.
    pub struct Lagged = "events.lagged" {
        /// How many.
        pub lost: u64,
    }
}

/// [`Event`], and what all rooms have in common.
macro_rules! rooms {
    ($( $(#[doc = $doc:literal])+ $Room:ident($Told:ty), )+) => {
        /// Everything that a running [`Hatchery`](crate::Hatchery) reports, grouped by the room that reports it. Each kind has a
        /// name and an entry in the [`catalogue`](crate::catalogue).
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Event {
            $( $(#[doc = $doc])+ $Room($Told), )+
        }

        /// The kinds of each.
        pub(super) const ROOMS: &[&[EventKind]] = &[$( <$Told>::KINDS ),+];

        impl Event {
            /// Which kind of event it is.
            pub(crate) fn kind(&self) -> Kind {
                enum Room {
                    $($Room),+
                }
                match self {
                    $( Event::$Room(told) => Kind::new(Room::$Room as usize, told.index()), )+
                }
            }

            /// Shows each field by its key.
            pub(super) fn visit<'a>(&'a self, see: &mut dyn FnMut(&'static str, &'a dyn FieldValue)) {
                match self {
                    $( Event::$Room(told) => Told::visit(told, see), )+
                }
            }
        }
    };
}

rooms! {
    /// A worker started, became ready, wrote a line, ended.
    Worker(WorkerEvent),
    /// A tool reported its progress.
    Progress(Progress),
    /// A tool emitted a telemetry event of its own.
    Tool(ToolEvent),
    /// What owns the processes changed.
    Run(RunEvent),
    /// A pool as a whole: whether it can serve, and what it does with its workers.
    Pool(PoolEvent),
    /// A worker crashed, and what was done about it; a call is made again; a breaker opened or closed.
    Fault(FaultEvent),
    /// A task in the background failed, and was started again.
    Service(ServiceEvent),
    /// What becomes of sessions.
    Session(SessionEvent),
    /// A large value went to a worker or came from one.
    Shared(SharedEvent),
    /// An agent run started, does something else, ended.
    Agent(AgentRunEvent),
    /// A call waits, runs, has ended.
    Call(CallEvent),
    /// This reader has lost events. Only [`Events::hear`](crate::Events::hear) tells it.
    Lagged(Lagged),
}

impl Event {
    /// What it is called: `worker.ready`. One of those in the [`catalogue`](crate::catalogue).
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The event as `{name, ...fields}`, with the keys of its entry in the [`catalogue`](crate::catalogue). What is absent has no
    /// key.
    ///
    /// ```
    /// use hatchery::{Event, PoolEvent};
    ///
    /// let event = Event::Pool(PoolEvent::Draining { pool: "default".into() });
    /// assert_eq!(event.to_json(), serde_json::json!({ "name": "pool.draining", "pool": "default" }));
    /// ```
    pub fn to_json(&self) -> Value {
        Value::Object(self.fields())
    }

    /// The pool that it is about, if it is about one, or about a worker of one.
    pub fn pool(&self) -> Option<&str> {
        self.text("pool").or_else(|| self.worker().map(pool_of))
    }

    /// The id of the worker that it is about, if it is about one.
    pub fn worker(&self) -> Option<&str> {
        self.text("worker")
    }

    /// The correlation id of the call that it is about, if it is about one and that is known.
    pub fn correlation_id(&self) -> Option<&str> {
        self.text("correlation_id")
    }

    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("name".into(), self.name().into());
        self.visit(&mut |key, value| {
            let value = value.json();
            if !value.is_null() {
                fields.insert(key.into(), value);
            }
        });
        fields
    }

    fn text(&self, wanted: &str) -> Option<&str> {
        let mut found = None;
        self.visit(&mut |key, value| {
            if key == wanted {
                found = value.text();
            }
        });
        found
    }
}

/// A worker is called as its pool and its seat.
fn pool_of(worker: &str) -> &str {
    worker.rsplit_once('-').map_or(worker, |(pool, _seat)| pool)
}

/// An event, and when it happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Heard {
    /// When it was told.
    pub at: SystemTime,
    /// What happened.
    pub event: Event,
}

impl Heard {
    /// [`Event::to_json`] with `at`, in seconds since 1970.
    pub fn to_json(&self) -> Value {
        let mut fields = self.event.fields();
        let at = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        fields.insert("at".into(), at.as_secs_f64().into());
        Value::Object(fields)
    }
}
