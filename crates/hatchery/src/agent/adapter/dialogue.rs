//! One run of an agent that a table describes.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::recall::Recall;
use super::table::{Hears, Table};
use super::{Adapted, CommandPlan, Dialogue, jsonl};
use crate::agent::{Answer, Signal};
use crate::error::{Error, ErrorKind, Result};

/// What an agent is told that may not, if nobody says why.
const DENIED: &str = "not allowed";

/// One run's lines: the table says what they mean, `recall` what was said before.
#[derive(Debug)]
pub(super) struct Conversation {
    table: Arc<Table>,
    recall: Recall,
    interrupts: u64,
}

impl Conversation {
    pub(super) fn begin(table: Arc<Table>, plan: &CommandPlan) -> Conversation {
        let recall = Recall::new(table.session.is_kept(&plan.argv));
        Conversation { table, recall, interrupts: 0 }
    }

    fn unasked(&self, request: &str) -> Error {
        let open: Vec<&str> = self.recall.open_questions().collect();
        let open = if open.is_empty() { "nothing".to_owned() } else { open.join(", ") };
        let message =
            format!("answer {request:?}: the agent has not asked that, or waits for it no more; it waits for {open}");
        Error::new(ErrorKind::NotFound, message)
    }
}

impl Dialogue for Conversation {
    fn stdout(&mut self, line: &[u8]) -> Vec<Signal> {
        match &self.table.stdout {
            Hears::Json { sieve, rules } => jsonl::hear(sieve, rules, line, &mut self.recall),
            Hears::Text(patterns) => patterns.hear(line, &mut self.recall),
        }
        self.recall.take()
    }

    fn stderr(&mut self, line: &[u8]) -> Vec<Signal> {
        self.table.stderr.hear(line, &mut self.recall);
        self.recall.take()
    }

    fn turn(&mut self, text: &str) -> Option<Bytes> {
        self.table.says.turn.as_ref().map(|message| message.line(|_| text.into()))
    }

    fn interrupt(&mut self) -> Option<Bytes> {
        let message = self.table.says.interrupt.as_ref()?;
        self.interrupts += 1;
        Some(message.line(|_| format!("hatchery-interrupt-{}", self.interrupts).into()))
    }

    fn answer(&mut self, request: &str, answer: &Answer) -> Result<Adapted> {
        let asked = self.recall.asked(request).ok_or_else(|| self.unasked(request))?;
        let (message, word, content) = match answer {
            Answer::Allow { input } => {
                let content = input.as_ref().or(asked).cloned().unwrap_or_else(|| json!({}));
                (&self.table.says.allow, "yes", content)
            }
            Answer::Deny { message } => (&self.table.says.deny, "no", message.as_deref().unwrap_or(DENIED).into()),
        };
        let no_word = || {
            Error::new(ErrorKind::Validation, format!("answer {request:?}: this agent's table has no word for {word}"))
        };
        let fill = |gap: &str| if gap == "request" { Value::from(request) } else { content.clone() };
        let bytes = message.as_ref().ok_or_else(no_word)?.line(fill);
        self.recall.input_settled(request.to_owned());
        Ok(Adapted { bytes, signals: self.recall.take() })
    }
}
