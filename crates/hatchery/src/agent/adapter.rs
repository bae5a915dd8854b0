//! How one kind of agent is spoken to: pure, without I/O and without a clock.

mod adapters;
mod dialogue;
mod jsonl;
mod lines;
mod place;
mod recall;
mod sieve;
mod table;
mod tabled;
mod words;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use bytes::Bytes;

pub use adapters::Adapters;

use super::{AgentSessionId, AgentSpec, Answer, Signal, StopLadder};
use crate::error::Result;

/// How one kind of agent is spoken to. Tables make most of them; an embedder may bring one of its own.
pub trait LineAdapter: Send + Sync {
    /// What it is called.
    fn name(&self) -> &str;

    /// What is started for this spec.
    ///
    /// # Errors
    /// `validation` if this agent cannot be told what the spec says.
    fn command(&self, spec: &AgentSpec) -> Result<CommandPlan>;

    /// What is made for each run: it may remember what was said before. `plan`: what was started.
    fn begin(&self, plan: &CommandPlan) -> Box<dyn Dialogue>;

    /// A name for a new conversation, where the agent lets itself be told: then it is known before there is a process.
    /// `random`: 128 bits of the caller's, as an adapter has none.
    fn fresh_session(&self, _random: u128) -> Option<AgentSessionId> {
        None
    }

    /// The file that is there if a conversation of this name can be resumed. `None`: it cannot be told from outside.
    /// `cwd`: without symbolic links; `variable`: of the agent's environment, `HOME` among them.
    fn transcript(
        &self,
        _session: &AgentSessionId,
        _cwd: &Path,
        _variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Option<PathBuf> {
        None
    }

    /// How it is ended, if the spec does not say.
    fn ladder(&self) -> StopLadder {
        StopLadder::default()
    }

    /// Whether it says that it is done: then an exit without that is not a good one.
    fn has_terminal_message(&self) -> bool;
}

/// One run's lines, read in their order.
pub trait Dialogue: Send {
    /// What a line of its standard output means. Any bytes; without the line end.
    fn stdout(&mut self, line: &[u8]) -> Vec<Signal>;

    /// What a line of its standard error means.
    fn stderr(&mut self, _line: &[u8]) -> Vec<Signal> {
        Vec::new()
    }

    /// A turn as it is written to its standard input, with its line end. `None`: it takes none. Only an input that is a
    /// conversation takes turns, interrupts and answers.
    fn turn(&mut self, text: &str) -> Option<Bytes>;

    /// The word that ends its turn. `None`: there is none.
    fn interrupt(&mut self) -> Option<Bytes>;

    /// The answer to what it asked.
    ///
    /// # Errors
    /// `not_found` if it has not asked that, or waits for it no more; `validation` if there is no way to say it.
    fn answer(&mut self, request: &str, answer: &Answer) -> Result<Adapted>;
}

/// What is written for an answer, and what it means for the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapted {
    /// To its standard input.
    pub bytes: Bytes,
    /// What follows.
    pub signals: Vec<Signal>,
}

/// What is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandPlan {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// What it will call its conversation.
    pub session: Id,
    /// Where it works, if that matters to the conversation.
    pub cwd: Option<PathBuf>,
    /// Its first line comes by itself, or only after the first turn.
    pub start: Start,
    /// Variables that it must not find in its environment: by these it would take itself for a part of an agent around us.
    pub scrub: Vec<String>,
}

/// What is known of a conversation's name before there is a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Id {
    /// It will say.
    #[default]
    Unknown,
    /// This.
    Known(AgentSessionId),
}

/// When an agent says who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Soon after it was started.
    #[default]
    ByItself,
    /// After its first turn was written: until then it is idle, and not late.
    AtFirstTurn,
    /// Never: it works from its start on, and cannot be late.
    Silently,
}
