//! Why a life ends, how its process is then treated, and what is told to those who lose by it.

use std::time::Duration;

use crate::call::{Deadline, Stage};
use crate::error::{Error, ErrorKind, Result};
use crate::fault::Crash;
use crate::process::{Child, Death, Escalation};
use crate::worker::reader::Verdict;
use crate::worker::{WireId, Word};

/// Why a worker is to be buried.
pub(in crate::worker) enum Ending {
    /// The pool says so.
    Asked(Word),
    /// Its process ended by itself.
    Died,
    /// It broke the protocol, like this.
    Breach(String),
    /// It closed a channel but lives on.
    Hung(&'static str),
    /// The connection to it is lost, for this reason, but it lives on.
    Lost(Error),
    /// It went on with a cancelled call for longer than the grace.
    Deaf(WireId),
    /// It has missed so many heartbeats in a row.
    Silent(u32),
    /// It was not ready in time.
    Late(Deadline),
    /// It said that it cannot serve.
    Refused(Error),
}

/// A process that hung up its channels is given this long to end by itself, so that the reason is its own.
const LAST_BREATH: Duration = Duration::from_secs(1);

pub(super) fn unasked(verdict: Result<Verdict, tokio::task::JoinError>) -> Ending {
    match verdict {
        Ok(Verdict::End) => Ending::Hung("closed its data channel"),
        Ok(Verdict::Breach(what)) => Ending::Breach(what),
        Err(error) => Ending::Breach(format!("it sent something that the host could not handle: {error}")),
    }
}

impl Ending {
    /// This, if the process lives on. What has hung up is usually about to exit, and its status says more.
    pub(in crate::worker) async fn unless_it_dies(self, child: &Child) -> Ending {
        match self {
            Ending::Hung(_) | Ending::Lost(_) if tokio::time::timeout(LAST_BREATH, child.exited()).await.is_ok() => {
                Ending::Died
            }
            ending => ending,
        }
    }

    pub(in crate::worker) fn escalation(&self) -> Escalation {
        match self {
            Ending::Asked(word) => word.how(),
            // It said its last word; let it leave by itself, for its exit handlers' sake.
            Ending::Refused(_) => Escalation { ask: LAST_BREATH, term: LAST_BREATH },
            _ => Escalation::AT_ONCE,
        }
    }
}

/// Why the worker is gone, for those whose calls went with it and for those who waited for it to come up. `name` begins
/// the sentence; `last_output` is what it wrote before.
pub(in crate::worker) fn explain(name: &str, ending: &Ending, death: &Death, last_output: Vec<String>) -> Error {
    let error = reason(name, ending, death);
    let error = match ending {
        Ending::Died => error.with_details(Crash::of(death, &last_output).to_details()),
        Ending::Deaf(_) | Ending::Silent(_) => error.with_details(Crash::ended_by_host(death).to_details()),
        _ => error,
    };
    error.with_last_output(last_output)
}

fn reason(name: &str, ending: &Ending, death: &Death) -> Error {
    let protocol = |what: String| Error::new(ErrorKind::Protocol, format!("{name} {what}"));
    let died = |how: String| Error::new(ErrorKind::WorkerDied, format!("{name} {how}"));
    match ending {
        Ending::Asked(word) => word.reason(name),
        Ending::Died => died(format!("died: {death}")),
        Ending::Breach(what) => protocol(format!("broke the wire protocol and was cut off: {what}")),
        Ending::Hung(what) => protocol(format!("{what} but did not exit; it was ended")),
        Ending::Lost(why) => protocol(format!("lost its connection but did not exit; it was ended: {why}")),
        Ending::Deaf(call) => died(format!("was replaced: it went on with call {call} after that was cancelled")),
        Ending::Silent(missed) => died(format!("was replaced: it did not answer {missed} heartbeats in a row")),
        Ending::Late(deadline) => deadline.error(Stage::Start),
        Ending::Refused(error) => error.clone(),
    }
}
