//! Long-lived processes that speak lines, coding agents above all, as sessions that are followed, interrupted and ended cleanly.
//! `docs/design/agents.md` has the whole picture.

mod agents;
mod owner;
mod story;
mod birth;
mod books;
mod history;
mod order;
mod run;
mod input;
mod adapter;
mod claim;
mod environment;
mod event;
mod filter;
mod history;
mod id;
mod info;
mod ladder;
mod log;
mod machine;
mod outcome;
mod signal;
mod spec;
mod state;

pub use adapter::{Adapted, Adapters, CommandPlan, Dialogue, Id, LineAdapter, Start};
pub use agents::{AgentFilter, Agents};
pub use event::{AgentEvent, Gap, Heard, Line, Stream};
pub use filter::AgentFilter;
pub use id::{AgentRunId, AgentSessionId};
pub use info::AgentInfo;
pub use log::AgentEvents;
pub use order::StopReport;
pub use outcome::{Asked, ExitHow, Leftover, Outcome, OutcomeKind, Tail};
pub use run::AgentRun;
pub use signal::{Answer, Signal, Usage};
pub use spec::{
    AgentLimits, AgentSpec, Environment, Fidelity, Input, Leftovers, OutputLimits, OwnerDeath, Rung, SessionRef, Step,
    StopLadder,
};
pub use state::{AgentState, Phase};

pub(crate) use birth::Nursery;
pub(crate) use history::History;
pub(crate) use log::Watcher;
