//! What an agent works on: its turn, its tools, what it waits for, and what its turns have come to.

use std::time::Instant;

use serde_json::Value;

use super::Terminal;
use crate::agent::{Signal, Usage};

/// So many open tools, and so many open questions, are told apart in one turn: beyond, the oldest are forgotten.
const MOST_OPEN: usize = 1024;

#[derive(Debug)]
pub(super) struct Work {
    turn: Option<Turn>,
    pub(super) first_turn: Option<Instant>,
    /// The oldest first.
    pub(super) tools: Vec<Tool>,
    /// The oldest first.
    pub(super) asked: Vec<Request>,
    /// What runs beside the conversation.
    background: u32,
    pub(super) last_active: Instant,
    /// Its service refuses it, and it tries again.
    retry: Option<String>,
    /// Turns that it has ended.
    pub(super) turns: u32,
    pub(super) usage: Usage,
    /// How the last of them ended.
    pub(super) terminal: Option<Terminal>,
    pub(super) last_result: Option<Value>,
}

/// A turn that has begun, and has not ended.
#[derive(Debug)]
struct Turn {
    /// Moved on by the time for which it waited for an answer.
    since: Instant,
    /// Since when it waits for an answer.
    waits_since: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Tool {
    id: String,
    pub(super) name: String,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) request: String,
    pub(super) what: String,
}

impl Work {
    pub(super) fn new(now: Instant) -> Work {
        Work {
            turn: None,
            first_turn: None,
            tools: Vec::new(),
            asked: Vec::new(),
            background: 0,
            last_active: now,
            retry: None,
            turns: 0,
            usage: Usage::default(),
            terminal: None,
            last_result: None,
        }
    }

    /// It is not silent.
    pub(super) fn active(&mut self, now: Instant) {
        self.last_active = now;
    }

    /// There is something to do. If there was already, it is one more message of the same turn, or a turn that waits: agents differ, and
    /// the next end of a turn says nothing about that.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.active(now);
        self.first_turn.get_or_insert(now);
        self.turn.get_or_insert(Turn { since: now, waits_since: None });
    }

    pub(super) fn hear(&mut self, signal: &Signal, now: Instant) {
        self.active(now);
        match signal {
            Signal::ToolStarted { id, name } => self.open_tool(id, name),
            Signal::ToolEnded { id } => self.tools.retain(|tool| tool.id != *id),
            Signal::NeedsInput { request, what } => self.ask(request, what, now),
            Signal::InputSettled { request } => self.settle(request, now),
            Signal::Background { open } => self.background = *open,
            Signal::TurnEnded { ok, reason, status, not_found, usage, result } => {
                let terminal = Terminal { ok: *ok, reason: reason.clone(), status: *status, not_found: *not_found };
                self.end_turn(terminal, *usage, result.as_ref());
            }
            _ => {}
        }
        match signal {
            Signal::Retry { attempt, max, status } => self.retry = Some(trouble(*attempt, *max, *status)),
            Signal::Warning { .. } | Signal::Background { .. } => {}
            _ => self.retry = None,
        }
    }

    fn open_tool(&mut self, id: &str, name: &str) {
        if self.tools.iter().all(|tool| tool.id != id) {
            make_room(&mut self.tools);
            self.tools.push(Tool { id: id.to_owned(), name: name.to_owned() });
        }
    }

    fn ask(&mut self, request: &str, what: &str, now: Instant) {
        if self.asked.iter().all(|asked| asked.request != request) {
            make_room(&mut self.asked);
            self.asked.push(Request { request: request.to_owned(), what: what.to_owned() });
        }
        if let Some(turn) = &mut self.turn {
            turn.waits_since.get_or_insert(now);
        }
    }

    fn settle(&mut self, request: &str, now: Instant) {
        self.asked.retain(|asked| asked.request != request);
        if let Some(turn) = self.turn.as_mut().filter(|_| self.asked.is_empty())
            && let Some(waits_since) = turn.waits_since.take()
        {
            turn.since += now.saturating_duration_since(waits_since);
        }
    }

    /// What a turn has left open, nobody waits for any more: an interrupted tool may never say that it ended.
    fn end_turn(&mut self, terminal: Terminal, usage: Option<Usage>, result: Option<&Value>) {
        self.turn = None;
        self.tools.clear();
        self.asked.clear();
        self.turns = self.turns.saturating_add(1);
        self.terminal = Some(terminal);
        self.usage = sum(self.usage, usage.unwrap_or_default());
        if let Some(result) = result {
            self.last_result = Some(result.clone());
        }
    }
}

impl Work {
    pub(super) fn is_in_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// Since when it works on its turn. While it waits for an answer, nothing is counted.
    pub(super) fn turn_since(&self) -> Option<Instant> {
        self.turn.as_ref().filter(|turn| turn.waits_since.is_none()).map(|turn| turn.since)
    }

    /// Whether it may be silent for as long as it likes.
    pub(super) fn is_busy_elsewhere(&self) -> bool {
        !self.tools.is_empty() || !self.asked.is_empty() || self.background > 0
    }

    pub(super) fn oldest_tool(&self) -> Option<String> {
        self.tools.first().map(|tool| tool.name.clone())
    }

    /// What keeps it from getting on.
    pub(super) fn trouble(&self) -> String {
        self.retry.clone().unwrap_or_default()
    }

    /// Why its last turn came to nothing.
    pub(super) fn last_failure(&self) -> String {
        self.terminal.as_ref().filter(|terminal| !terminal.ok).map(Terminal::words).unwrap_or_default()
    }
}

fn make_room<T>(open: &mut Vec<T>) {
    if open.len() >= MOST_OPEN {
        open.remove(0);
    }
}

fn trouble(attempt: u32, max: Option<u32>, status: Option<u16>) -> String {
    let of = max.map(|max| format!(" of {max}")).unwrap_or_default();
    let status = status.map(|status| format!(" ({status})")).unwrap_or_default();
    format!("its service refuses it{status}: attempt {attempt}{of}")
}

fn sum(one: Usage, other: Usage) -> Usage {
    fn both<T>(one: Option<T>, other: Option<T>, add: impl FnOnce(T, T) -> T) -> Option<T> {
        match (one, other) {
            (Some(one), Some(other)) => Some(add(one, other)),
            (one, other) => one.or(other),
        }
    }
    Usage {
        input_tokens: both(one.input_tokens, other.input_tokens, u64::saturating_add),
        output_tokens: both(one.output_tokens, other.output_tokens, u64::saturating_add),
        cost: both(one.cost, other.cost, |one, other| one + other),
    }
}
