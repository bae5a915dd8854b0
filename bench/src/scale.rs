//! What grows with the size of a pool, and what must not: decisions, queues, sessions, idle workers.

use serde::Serialize;

use crate::Result;
use crate::grid::Grid;
use crate::options::Options;
use crate::targets::{Verdict, judge_scale};

mod backlog;
mod idle;
mod roster;

pub(crate) use backlog::Backlog;
pub(crate) use idle::{Idle, idle};
pub(crate) use roster::{Decision, Roster};

/// Sessions that are to be live at once.
pub(crate) const SESSIONS: usize = 10_000;
pub(crate) const MIB: f64 = 1_048_576.0;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    #[serde(flatten)]
    figures: Figures,
    targets: Vec<Verdict>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) roster: Roster,
    pub(crate) backlog: Backlog,
    pub(crate) idle: Idle,
    pub(crate) sessions: Sessions,
}

/// Bytes of one live session, by who keeps them.
#[derive(Debug, Serialize)]
pub(crate) struct Sessions {
    /// To which worker it is bound.
    pub(crate) binding_bytes: f64,
    /// What the store keeps of it; `None` as long as it is not measured.
    pub(crate) store_bytes: Option<f64>,
}

impl Sessions {
    /// Of all of them.
    pub(crate) fn mib(&self) -> f64 {
        (self.binding_bytes + self.store_bytes.unwrap_or_default()) * SESSIONS as f64 / MIB
    }
}

pub(crate) fn measure_all(options: &Options) -> Result<Table> {
    let roster = roster::measure()?;
    let backlog = backlog::measure(options)?;
    let idle = idle::measure(options)?;
    let sessions = Sessions { binding_bytes: roster.binding_bytes, store_bytes: None };
    let figures = Figures { roster, backlog, idle, sessions };
    let targets = judge_scale(&figures);
    Ok(Table { figures, targets })
}

impl Table {
    pub(crate) fn grids(&self) -> Vec<Grid> {
        let Figures { roster, backlog, idle, sessions } = &self.figures;
        let store = sessions.store_bytes.map_or_else(|| "not measured".to_owned(), |bytes| format!("{bytes:.0} bytes"));
        let session =
            format!("A live session: its binding {:.0} bytes, its place in the store {store}.", sessions.binding_bytes);
        let notes = backlog.lines().into_iter().chain(idle.lines()).chain([session]);
        let mut grid = roster.grid().judged(&self.targets);
        grid.notes.extend(notes);
        vec![grid]
    }
}
