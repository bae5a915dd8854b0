//! What has become of a run: one rule, in which the first line that fits is the answer.

use std::time::Duration;

use super::Limit;
use crate::agent::{Asked, ExitHow, OutcomeKind, Tail};

/// All that the outcome follows from.
#[derive(Clone, Debug)]
pub(super) struct End<'a> {
    /// The hardest that was asked of it before it ended.
    pub(super) asked: Option<Asked>,
    /// Who asked.
    pub(super) by: &'a str,
    /// What ended it, and how long that is.
    pub(super) limit: Option<(Limit, Duration)>,
    /// How its last turn ended.
    pub(super) terminal: Option<&'a Terminal>,
    /// Whether a turn had begun, and not ended.
    pub(super) owes_an_answer: bool,
    pub(super) exit: ExitHow,
    pub(super) tail: Tail,
    pub(super) has_terminal_message: bool,
    pub(super) has_written_a_line: bool,
}

/// How a turn ended, by the agent's own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terminal {
    pub(super) ok: bool,
    pub(super) reason: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) not_found: bool,
}

impl Terminal {
    /// For people.
    pub(super) fn words(&self) -> String {
        let status = self.status.map(|status| format!("status {status}"));
        let words: Vec<String> = status.into_iter().chain(self.reason.clone()).collect();
        if words.is_empty() { "it says so".to_owned() } else { words.join(": ") }
    }
}

/// What has become of it, and why, for people.
///
/// Whoever ended it comes before what it says of its own end: an agent that is interrupted by us calls that an error. What it said of an
/// earlier turn is nothing about one that it did not end.
pub(super) fn fate(end: &End<'_>) -> (OutcomeKind, String) {
    let by = || end.by.to_owned();
    let ended_its_turn = end.terminal.filter(|_| !end.owes_an_answer);
    let is_cut = matches!(end.tail, Tail::Partial(_));
    match (end.asked, end.limit, ended_its_turn, end.exit) {
        (Some(Asked::Kill), ..) => (OutcomeKind::Killed, by()),
        (Some(Asked::Stop), ..) => (OutcomeKind::Stopped, by()),
        (_, Some((Limit::Start, after)), ..) => (OutcomeKind::StartTimeout, passed(Limit::Start, after)),
        (_, Some((limit, after)), ..) => (OutcomeKind::Stopped, passed(limit, after)),
        (Some(Asked::Interrupt), ..) => (OutcomeKind::Interrupted, by()),
        (.., Some(said), _) if said.not_found => (OutcomeKind::ResumeNotFound, said.words()),
        (.., Some(said), _) if !said.ok => (OutcomeKind::Failed { status: said.status }, said.words()),
        (.., ExitHow::Signal(signal)) => (OutcomeKind::Crashed, format!("signal {signal}, which nobody here sent")),
        (.., ExitHow::Unknown) => (OutcomeKind::Crashed, "its guardian was lost".to_owned()),
        (.., ExitHow::Unkillable) => (OutcomeKind::Crashed, "the kernel holds it".to_owned()),
        (.., ExitHow::NeverStarted) => (OutcomeKind::BadCommandLine, String::new()),
        (_, _, None, ExitHow::Code(code)) if code != 0 => not_well(end, code),
        _ if end.has_terminal_message && end.owes_an_answer => {
            (OutcomeKind::Incomplete, "it ended without having said that it is done".to_owned())
        }
        _ if end.has_terminal_message && is_cut => (OutcomeKind::Incomplete, cut(end.tail)),
        _ => (OutcomeKind::Completed, String::new()),
    }
}

fn not_well(end: &End<'_>, code: i32) -> (OutcomeKind, String) {
    if end.has_written_a_line {
        (OutcomeKind::Crashed, format!("status {code}"))
    } else {
        (OutcomeKind::BadCommandLine, format!("status {code} before its first line"))
    }
}

fn passed(limit: Limit, after: Duration) -> String {
    format!("{limit}, {after:?}, has passed")
}

fn cut(tail: Tail) -> String {
    match tail {
        Tail::Partial(bytes) => format!("its output ends after {bytes} bytes of a line"),
        Tail::Clean | Tail::Missing => String::new(),
    }
}
