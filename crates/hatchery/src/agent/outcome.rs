//! What has become of a run.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a run ended, and what it has left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// In a word.
    pub kind: OutcomeKind,
    /// What the kernel says.
    pub exit: ExitHow,
    /// What was asked of it, if it was.
    pub asked: Option<Asked>,
    /// Why, in a few words, for people.
    pub reason: String,
    /// How many turns it has ended.
    pub turns: u32,
    /// Its last answer, in its own form.
    pub last_result: Option<Value>,
    /// Whether its output ended with a whole line.
    pub tail: Tail,
    /// How many members that had left its process group were ended.
    pub members_ended: u32,
    /// Members that live on, as its [`Leftovers`](super::Leftovers) allow.
    pub leftovers: Vec<Leftover>,
    /// From its record to its end.
    pub took_ms: u64,
}

/// In a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum OutcomeKind {
    /// It did what it was to do, and said so.
    Completed,
    /// It has said that it failed.
    Failed {
        /// Of its service, if that is why.
        status: Option<u16>,
    },
    /// Somebody interrupted its turn, and it ended by that.
    Interrupted,
    /// Somebody, or a limit, ended it.
    Stopped,
    /// Somebody ended it at once.
    Killed,
    /// It ended by itself, and not well.
    Crashed,
    /// It ended as if all were well, without having said that it is done: something of its output may be lost.
    Incomplete,
    /// There is no such conversation to resume.
    ResumeNotFound,
    /// It ended before its first line, and not well: most often it does not know an option.
    BadCommandLine,
    /// It has not said who it is in time, and was to be ended then.
    StartTimeout,
    /// Its supervisor died, and nobody knows.
    Lost,
}

/// What the kernel says of the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitHow {
    /// It exited with this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It was never there.
    NeverStarted,
    /// Its guardian was lost, and its status with it.
    Unknown,
    /// SIGKILL was sent, and the kernel holds it.
    Unkillable,
}

/// What was asked of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// That it end its turn.
    Interrupt,
    /// That it end.
    Stop,
    /// That it be ended at once.
    Kill,
}

/// How its standard output ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tail {
    /// With a whole line.
    Clean,
    /// With so many bytes without a line end.
    Partial(u64),
    /// There was none at all.
    Missing,
}

/// A member that outlived its run's process, and lives on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Its number.
    pub pid: i32,
    /// Its command, secrets redacted; empty where it cannot be read any more.
    pub command: String,
}

impl Outcome {
    /// Of one of which nobody knows.
    pub(super) fn lost(why: &str) -> Outcome {
        Outcome {
            kind: OutcomeKind::Lost,
            exit: ExitHow::Unknown,
            asked: None,
            reason: why.to_owned(),
            turns: 0,
            last_result: None,
            tail: Tail::Missing,
            members_ended: 0,
            leftovers: Vec::new(),
            took_ms: 0,
        }
    }
}

impl OutcomeKind {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            OutcomeKind::Completed => "completed",
            OutcomeKind::Failed { .. } => "failed",
            OutcomeKind::Interrupted => "interrupted",
            OutcomeKind::Stopped => "stopped",
            OutcomeKind::Killed => "killed",
            OutcomeKind::Crashed => "crashed",
            OutcomeKind::Incomplete => "incomplete",
            OutcomeKind::ResumeNotFound => "resume_not_found",
            OutcomeKind::BadCommandLine => "bad_command_line",
            OutcomeKind::StartTimeout => "start_timeout",
            OutcomeKind::Lost => "lost",
        }
    }

    /// Whether it went as whoever started it wanted.
    pub fn is_well(self) -> bool {
        matches!(self, OutcomeKind::Completed)
    }
}
