//! Long-lived processes that speak lines, coding agents above all, as sessions that are followed, interrupted and ended cleanly.
//! `docs/design/agents.md` has the whole picture.

mod agents;
mod records;
mod birth;
mod owner;
mod story;
mod books;
mod run;
mod order;
mod machine;
mod ladder;
mod input;
mod log;
mod adapter;
mod environment;
mod claim;
mod history;
mod filter;
mod info;
mod outcome;
mod state;
mod event;
mod spec;
mod signal;
mod id;

pub use adapter::{Adapted, Adapters, CommandPlan, Dialogue, Id, LineAdapter, Start};
pub use agents::Agents;
pub use event::{AgentEvent, Gap, Heard, Line, Stream};
pub use filter::AgentFilter;
pub use id::{AgentRunId, AgentSessionId};
pub use info::AgentInfo;
pub use log::AgentEvents;
pub use order::StopReport;
pub use outcome::{Asked, ExitHow, Leftover, Outcome, OutcomeKind, Tail};
pub use records::{agent_events, agent_run, agent_runs};
pub use run::AgentRun;
pub use signal::{Answer, Signal, Usage};
pub use spec::{
    AgentLimits, AgentSpec, Environment, Fidelity, Input, Leftovers, OutputLimits, OwnerDeath, Rung, SessionRef, Step,
    StopLadder,
};
pub use state::{AgentState, Phase};

pub(crate) use agents::Settings;
