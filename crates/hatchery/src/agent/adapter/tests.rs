//! Agents' own lines, and what they mean to us.

mod anything;
mod codex;
mod command;
mod lines;
mod mistakes;
mod stream_json;
mod strangers;

use std::sync::Arc;

use super::{Adapters, CommandPlan, Dialogue, LineAdapter};
use crate::agent::{AgentSessionId, AgentSpec, Signal};

const ID: &str = "e7acdd99-abab-45eb-974e-78ec898a8edb";

fn adapter(name: &str) -> Arc<dyn LineAdapter> {
    Adapters::default().get(name).unwrap()
}

fn dialogue(name: &str) -> Box<dyn Dialogue> {
    adapter(name).begin(&CommandPlan::default())
}

/// What these lines mean to an agent of this adapter, one text for each line.
fn hear(dialogue: &mut dyn Dialogue, lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| told(&dialogue.stdout(line.as_bytes()))).collect()
}

/// Signals, as one reads them.
fn told(signals: &[Signal]) -> String {
    signals.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn one(signal: &Signal) -> String {
    match signal {
        Signal::SessionSeen { session } => format!("session {session}"),
        Signal::SessionResumable => "resumable".into(),
        Signal::TurnStarted => "turn".into(),
        Signal::ToolStarted { id, name } => format!("tool {name} {id}"),
        Signal::ToolEnded { id } => format!("tool ended {id}"),
        Signal::Text { text } => format!("says {text}"),
        Signal::NeedsInput { request, what } => format!("asks {what} {request}"),
        Signal::InputSettled { request } => format!("settled {request}"),
        Signal::Retry { attempt, max, status } => format!("retry {attempt} of {max:?}: {status:?}"),
        Signal::Background { open } => format!("beside {open}"),
        Signal::Warning { text } => format!("warns {text}"),
        Signal::TurnEnded { ok, reason, status, not_found, .. } => {
            let missing = if *not_found { " not found" } else { "" };
            let status = status.map(|status| format!(" {status}")).unwrap_or_default();
            let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{}{missing}{status}{reason}", if *ok { "ok" } else { "failed" })
        }
    }
}

fn ended(signals: &[Signal]) -> &Signal {
    signals.iter().find(|signal| matches!(signal, Signal::TurnEnded { .. })).unwrap()
}

fn spec(adapter: &str) -> AgentSpec {
    AgentSpec::new(adapter, "agent")
}

fn session(text: &str) -> AgentSessionId {
    AgentSessionId::new(text)
}
