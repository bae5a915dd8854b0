//! The life of agent runs.

use std::time::Duration;

use crate::telemetry::declare::events;

events! {
    /// What becomes of agent runs. What they say is no event: it is in their logs.
    pub enum AgentRunEvent {
        /// Its process is there.
        Started = "agent.started" {
            /// Which run.
            run: String,
            /// How it is spoken to.
            adapter: String,
            /// Its process.
            pid: i32,
        },
        /// It does something else than before.
        State = "agent.state" {
            /// Which run.
            run: String,
            /// `starting`, `busy`, `waiting_input`, `idle`, `draining`, `stopping`, `exited`.
            state: &'static str,
            /// Why, in a few words; empty where it goes without saying.
            reason: String,
        },
        /// It calls its conversation something that it did not before.
        Session = "agent.session" {
            /// Which run.
            run: String,
            /// What it is called now.
            session: String,
        },
        /// The file of runs that were could not be used: there is a new one.
        HistorySetAside = "agent.history_set_aside" {
            /// Where it is now.
            path: String,
        },
        /// Its user should know.
        Warned = "agent.warned" {
            /// Which run.
            run: String,
            /// What.
            message: String,
        },
        /// It is over; or it was found that its supervisor has died, and it is lost.
        Exited = "agent.exited" {
            /// Which run.
            run: String,
            /// `completed`, `failed`, `stopped`, and so on.
            outcome: &'static str,
            /// Why, in a few words; empty where it goes without saying.
            reason: String,
            /// Members that live on, as it was allowed.
            left: usize,
            /// From its record to its end.
            took: Duration as "took_seconds",
        },
    }
}
