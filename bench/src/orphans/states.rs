//! W7: who outlives the supervisor's `kill -9`, by what its workers do at the time.

use serde::Serialize;

use super::options::Options;
use super::peer::{Peer, states};
use super::{Row, Survivors, WORKERS, namespace, rows};
use crate::Result;
use crate::grid::Grid;
use crate::options;
use crate::targets::{Verdict, judge_survivors};

/// Seconds after the kill; the first is the one that counts.
const SURVEYS: [u64; 3] = [1, 5, 30];
const QUICK: [u64; 2] = [1, 5];

#[derive(Debug, Serialize)]
pub(crate) struct Table {
    surveys: Vec<u64>,
    states: Vec<State>,
    #[serde(skip)]
    verdicts: Vec<Verdict>,
}

/// One supervisor, whose workers all do the same.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct State {
    pub(crate) name: &'static str,
    /// Whether it is hatchery.
    pub(crate) is_ours: bool,
    /// Processes that are left after each time, or why nobody knows.
    pub(crate) left: std::result::Result<Vec<usize>, String>,
    #[serde(skip)]
    cells: Vec<String>,
}

/// Ours first and by itself: what is left of it after a second is judged, and a peer's workers that never rest would be counted
/// into that second.
pub(crate) fn measure_all(options: &options::Options) -> Result<Table> {
    namespace::probe()?;
    let surveys = if options.is_quick() { &QUICK[..] } else { &SURVEYS[..] };
    let options = Options::surveying(&options.python, surveys);
    let (ours, peers): (Vec<Peer>, Vec<Peer>) = states().into_iter().partition(Peer::is_ours);
    let mut states: Vec<State> = rows(&ours, &options)?.iter().map(State::of).collect();
    states.extend(rows(&peers, &options)?.iter().map(State::of));
    let verdicts = judge_survivors(&states);
    Ok(Table { surveys: surveys.to_vec(), states, verdicts })
}

impl State {
    fn of(row: &Row) -> State {
        let count = |at: &Survivors| at.workers + at.daemons + at.helpers;
        let outcome = row.outcome.as_ref();
        State {
            name: row.peer.name,
            is_ours: row.peer.is_ours(),
            left: outcome.map(|outcome| outcome.survivors.iter().map(count).collect()).map_err(Clone::clone),
            cells: match outcome {
                Ok(outcome) => outcome.survivors.iter().map(Survivors::to_string).collect(),
                Err(reason) => vec![format!("not measured: {reason}")],
            },
        }
    }

    #[cfg(test)]
    pub(crate) fn left(name: &'static str, is_ours: bool, left: std::result::Result<Vec<usize>, String>) -> State {
        State { name, is_ours, left, cells: Vec::new() }
    }
}

impl Table {
    pub(crate) fn grids(&self) -> Vec<Grid> {
        let head = self.surveys.iter().map(|after| format!("after {after} s"));
        let grid = Grid {
            head: std::iter::once(String::new()).chain(head).collect(),
            ..Grid::new("W7  kill -9 of a supervisor with four workers: who is left", [])
        };
        let note = format!(
            "Each of the {WORKERS} workers has left a daemon (two forks, a session of its own, deaf to SIGTERM and SIGHUP). Alive \
             afterwards, as the kernel lists them: (workers, daemons) + whatever else was started."
        );
        let cells = |state: &State| [&[state.name.to_owned()], state.cells.as_slice()].concat();
        vec![grid.note(note).rows(self.states.iter().map(cells)).judged(&self.verdicts)]
    }
}
