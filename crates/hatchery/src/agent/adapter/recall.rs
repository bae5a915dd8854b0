//! What a run has said so far, as far as it decides what the next line means.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::agent::{AgentSessionId, Signal, Usage};

/// Tools, tasks and questions of an agent that are remembered at a time. An agent that has more of them open is not in its right mind.
const MOST: usize = 1024;
/// Bytes of questions that are remembered at a time: an answer may have to repeat what was asked for.
const MOST_BYTES: usize = 64 << 20;
/// Signals of one line, beyond which texts and warnings are left out.
const MOST_SIGNALS: usize = 4096;
/// Bytes of a name: longer ones are none.
const LONGEST_NAME: usize = 1024;

/// What is remembered, and what the line that is being read means.
#[derive(Debug, Default)]
pub(super) struct Recall {
    session: Option<AgentSessionId>,
    /// Whether a conversation can be resumed at some time, and whether it was told that this one can.
    keeps: bool,
    is_resumable: bool,
    tools: BTreeSet<String>,
    /// Tasks, each with the tool that started it.
    tasks: BTreeMap<String, Option<String>>,
    beside: usize,
    questions: BTreeMap<String, Question>,
    questions_so_far: u64,
    /// The last one since the end of a turn.
    text: Option<String>,
    cost: f64,
    /// It was told that there is no such conversation: agents say so on both streams.
    has_missed: bool,
    signals: Vec<Signal>,
}

/// What the agent waits for.
#[derive(Debug)]
struct Question {
    input: Option<Value>,
    /// Of the line that asked.
    bytes: usize,
}

/// The end of a turn, in the agent's words.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) ok: bool,
    pub(super) not_found: bool,
    pub(super) reason: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) usage: Usage,
    /// Of all turns so far.
    pub(super) cost_so_far: Option<f64>,
    pub(super) result: Option<Value>,
    pub(super) result_is_last_text: bool,
}

impl Recall {
    /// Of a run that has said nothing. `keeps`: its conversation can be resumed at some time.
    pub(super) fn new(keeps: bool) -> Recall {
        Recall { keeps, ..Recall::default() }
    }

    /// What the line that was read means.
    pub(super) fn take(&mut self) -> Vec<Signal> {
        self.tell_background();
        std::mem::take(&mut self.signals)
    }

    pub(super) fn session(&mut self, name: &str) {
        let is_name = is_name(name) && !name.chars().any(char::is_control);
        if !is_name || self.session.as_ref().is_some_and(|session| session.as_str() == name) {
            return;
        }
        let session = AgentSessionId::new(name);
        self.session = Some(session.clone());
        self.is_resumable = false;
        self.signals.push(Signal::SessionSeen { session });
    }

    pub(super) fn resumable(&mut self) {
        if self.keeps && !std::mem::replace(&mut self.is_resumable, true) {
            self.signals.push(Signal::SessionResumable);
        }
    }

    pub(super) fn turn_started(&mut self) {
        self.signals.push(Signal::TurnStarted);
    }

    pub(super) fn tool_started(&mut self, id: String, name: String) {
        if is_name(&id) && self.tools.len() < MOST && self.tools.insert(id.clone()) {
            self.signals.push(Signal::ToolStarted { id, name });
        }
    }

    pub(super) fn tool_ended(&mut self, id: String) {
        if self.tools.remove(&id) {
            self.signals.push(Signal::ToolEnded { id });
        }
    }

    pub(super) fn text(&mut self, text: String) {
        self.text = Some(text.clone());
        self.tell(Signal::Text { text });
    }

    pub(super) fn needs_input(&mut self, request: String, what: String, input: Option<Value>, bytes: usize) {
        let held: usize = self.questions.values().map(|question| question.bytes).sum();
        if !is_name(&request) || self.questions.len() >= MOST || held.saturating_add(bytes) > MOST_BYTES {
            return self.warning(format!("asks more than can be remembered, {what} the last: it will wait for ever"));
        }
        if self.questions.insert(request.clone(), Question { input, bytes }).is_none() {
            self.signals.push(Signal::NeedsInput { request, what });
        }
    }

    /// A name for a question of an agent that gives it none.
    pub(super) fn next_question(&mut self) -> String {
        self.questions_so_far += 1;
        self.questions_so_far.to_string()
    }

    pub(super) fn input_settled(&mut self, request: String) {
        if self.questions.remove(&request).is_some() {
            self.signals.push(Signal::InputSettled { request });
        }
    }

    /// What was asked for, if there is such a question.
    pub(super) fn asked(&self, request: &str) -> Option<Option<&Value>> {
        self.questions.get(request).map(|question| question.input.as_ref())
    }

    /// What it waits for.
    pub(super) fn open_questions(&self) -> impl Iterator<Item = &str> {
        self.questions.keys().map(String::as_str)
    }

    pub(super) fn background_started(&mut self, id: String, tool: Option<String>) {
        if is_name(&id) && self.tasks.len() < MOST {
            self.tasks.insert(id, tool);
        }
    }

    pub(super) fn background_ended(&mut self, id: &str) {
        self.tasks.remove(id);
    }

    pub(super) fn retry(&mut self, attempt: u32, max: Option<u32>, status: Option<u16>) {
        self.tell(Signal::Retry { attempt, max, status });
    }

    pub(super) fn warning(&mut self, text: String) {
        self.tell(Signal::Warning { text });
    }

    /// There is no such conversation. Once there is one, that is about something else.
    pub(super) fn not_found(&mut self, reason: String) {
        if self.session.is_none() {
            self.turn_ended(Ended { not_found: true, reason: Some(reason), ..Ended::default() });
        }
    }

    /// Nothing of a turn is open after its end: an interrupt ends tools and questions without a word for each.
    pub(super) fn turn_ended(&mut self, ended: Ended) {
        let not_found = ended.not_found && self.session.is_none();
        if not_found && std::mem::replace(&mut self.has_missed, true) {
            return;
        }
        for id in std::mem::take(&mut self.tools) {
            self.signals.push(Signal::ToolEnded { id });
        }
        for request in std::mem::take(&mut self.questions).into_keys() {
            self.signals.push(Signal::InputSettled { request });
        }
        let text = self.text.take().filter(|_| ended.result_is_last_text).map(Value::String);
        let cost = ended.cost_so_far.map(|so_far| self.cost_since(so_far)).or(ended.usage.cost);
        let usage = Usage { cost, ..ended.usage };
        self.signals.push(Signal::TurnEnded {
            ok: ended.ok,
            reason: ended.reason,
            status: ended.status,
            not_found,
            usage: (usage != Usage::default()).then_some(usage),
            result: ended.result.or(text),
        });
    }

    /// A total that is less than before is one of a new count.
    fn cost_since(&mut self, so_far: f64) -> f64 {
        let before = std::mem::replace(&mut self.cost, so_far);
        if so_far < before { so_far } else { so_far - before }
    }

    /// A task of a tool that is still open is what the conversation waits for: it is not beside it.
    fn tell_background(&mut self) {
        let is_beside = |tool: &&Option<String>| !tool.as_ref().is_some_and(|tool| self.tools.contains(tool));
        let beside = self.tasks.values().filter(is_beside).count();
        if std::mem::replace(&mut self.beside, beside) != beside {
            self.signals.push(Signal::Background { open: u32::try_from(beside).unwrap_or(u32::MAX) });
        }
    }

    /// What changes nothing may be left out, if a line says too much of it.
    fn tell(&mut self, signal: Signal) {
        if self.signals.len() < MOST_SIGNALS {
            self.signals.push(signal);
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME
}
