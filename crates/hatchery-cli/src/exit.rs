//! Why the command ends, and the exit status that says so. This is the only place that knows the numbers.

use std::process::ExitCode;

use hatchery::ErrorKind;
use hatchery::agent::OutcomeKind;

use crate::writer::WriteError;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well, or nobody is left to read the result.
    Success,
    /// A signal ended the daemon, which is how it is meant to end.
    Drained,
    /// The work is done, but some calls of it failed: they are among the results.
    SomeFailed,
    /// `doctor` has found an error, `orphans` leaves some, or `compat` was asked for a library that does not fit.
    Unhealthy,
    /// It failed, for this reason.
    Failed(ErrorKind),
    /// This signal ended it.
    Signal(i32),
    /// An agent run came to this; `signal` is what made us end it, `leaves` whether it has left members that should not be there.
    Agent { outcome: OutcomeKind, signal: Option<i32>, leaves: bool },
    /// A child in whose place it stood ended with this status.
    As(u8),
}

/// Why a command gave up before its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to tell the user, and what the user can do about it where the error does not say.
    Error { error: hatchery::Error, hint: Option<String> },
    /// The first signal came.
    Signal(i32),
    /// Whoever read stdout is gone.
    StdoutClosed,
}

impl Failure {
    /// The status that tells of it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::Error { error, .. } => Exit::Failed(error.kind()),
            Failure::Signal(number) => Exit::Signal(*number),
            Failure::StdoutClosed => Exit::Success,
        }
    }

    /// The same with what can be done about it, which this reads from the error.
    pub(crate) fn hinted(mut self, advice: impl FnOnce(&hatchery::Error) -> Option<String>) -> Failure {
        if let Failure::Error { error, hint } = &mut self {
            *hint = hint.take().or_else(|| advice(error));
        }
        self
    }
}

impl From<hatchery::Error> for Failure {
    fn from(error: hatchery::Error) -> Failure {
        Failure::Error { error, hint: None }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Failure {
        match error {
            WriteError::Closed => Failure::StdoutClosed,
            WriteError::Failed(why) => {
                hatchery::Error::new(ErrorKind::Internal, format!("write to stdout: {why}")).into()
            }
        }
    }
}

impl Exit {
    /// The exit status, as `surface.md` section 2 has it.
    fn code(self) -> u8 {
        match self {
            Exit::Success | Exit::Drained => 0,
            Exit::SomeFailed => 1,
            Exit::Unhealthy => 6,
            Exit::Failed(kind) => failed(kind),
            Exit::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
            Exit::Agent { outcome, signal, leaves } => came_to(outcome, signal, leaves),
            Exit::As(status) => status,
        }
    }
}

fn came_to(outcome: OutcomeKind, signal: Option<i32>, leaves: bool) -> u8 {
    match (outcome, signal) {
        (OutcomeKind::Completed, _) if leaves => Exit::Unhealthy.code(),
        (OutcomeKind::Completed, _) => Exit::Success.code(),
        (OutcomeKind::Interrupted, _) => failed(ErrorKind::Cancelled),
        (OutcomeKind::Stopped | OutcomeKind::Killed, Some(number)) => Exit::Signal(number).code(),
        // Nobody asked for it: a limit has passed.
        (OutcomeKind::Stopped | OutcomeKind::StartTimeout, _) => failed(ErrorKind::Deadline),
        (OutcomeKind::ResumeNotFound | OutcomeKind::BadCommandLine, _) => failed(ErrorKind::NotFound),
        _ => Exit::SomeFailed.code(),
    }
}

fn failed(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Remote => 1,
        ErrorKind::Validation | ErrorKind::NotFound => 2,
        ErrorKind::Deadline => 3,
        ErrorKind::Saturated | ErrorKind::Unavailable | ErrorKind::Conflict | ErrorKind::Limit => 4,
        ErrorKind::WorkerDied | ErrorKind::Protocol => 5,
        ErrorKind::Cancelled => 130,
        // `Internal`, and kinds that a newer library may have: both are ours to explain, not the user's.
        _ => 70,
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_status() {
        let expected = [
            (ErrorKind::Validation, 2),
            (ErrorKind::NotFound, 2),
            (ErrorKind::Remote, 1),
            (ErrorKind::Deadline, 3),
            (ErrorKind::Cancelled, 130),
            (ErrorKind::Saturated, 4),
            (ErrorKind::Unavailable, 4),
            (ErrorKind::WorkerDied, 5),
            (ErrorKind::Protocol, 5),
            (ErrorKind::Limit, 4),
            (ErrorKind::Conflict, 4),
            (ErrorKind::Internal, 70),
        ];
        for (kind, status) in expected {
            assert_eq!(Exit::Failed(kind).code(), status, "{kind}");
        }
    }

    #[test]
    fn a_signal_is_told_as_shells_tell_it() {
        assert_eq!(Exit::Signal(2).code(), 130);
        assert_eq!(Exit::Signal(15).code(), 143);
    }

    #[test]
    fn what_an_agent_came_to_has_its_status() {
        let code = |outcome, signal, leaves| Exit::Agent { outcome, signal, leaves }.code();
        assert_eq!(code(OutcomeKind::Completed, None, false), 0);
        assert_eq!(code(OutcomeKind::Completed, Some(2), true), 6);
        assert_eq!(code(OutcomeKind::Failed { status: Some(400) }, None, true), 1);
        assert_eq!([OutcomeKind::Crashed, OutcomeKind::Incomplete].map(|kind| code(kind, None, false)), [1, 1]);
        assert_eq!(
            [OutcomeKind::ResumeNotFound, OutcomeKind::BadCommandLine].map(|kind| code(kind, None, false)),
            [2, 2]
        );
        assert_eq!([OutcomeKind::StartTimeout, OutcomeKind::Stopped].map(|kind| code(kind, None, false)), [3, 3]);
        assert_eq!(code(OutcomeKind::Interrupted, Some(2), false), 130);
        assert_eq!(code(OutcomeKind::Stopped, Some(15), false), 143);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert_eq!(Failure::from(WriteError::Closed).exit().code(), 0);
    }
}
