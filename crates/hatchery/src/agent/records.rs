//! What a data dir tells of agent runs, with or without a supervisor: for whoever only looks.

use std::path::{Path, PathBuf};

use super::log::Log;
use super::{AgentEvents, AgentFilter, AgentInfo, AgentRunId, history};
use crate::error::{Error, ErrorKind, Result};

/// The runs that are written down in this data dir and fit, of whatever supervisor, the latest first. What a live run did a moment
/// ago may not be written yet. Blocks for some milliseconds.
///
/// ```
/// use hatchery::agent::{AgentFilter, agent_runs};
///
/// let folder = std::env::temp_dir().join("nothing-ever-ran-here");
/// assert!(agent_runs(&folder, &AgentFilter::default())?.is_empty());
/// # Ok::<(), hatchery::Error>(())
/// ```
///
/// # Errors
/// `unavailable` if that cannot be read.
pub fn agent_runs(data_dir: &Path, filter: &AgentFilter) -> Result<Vec<AgentInfo>> {
    history::list(data_dir, filter)
}

/// The run of this id; the latest one of the conversation of this name; or the one whose id or conversation begins so. Blocks for a
/// millisecond or so.
///
/// # Errors
/// `not_found`; `validation` if several begin so, with their ids in the details; `unavailable` if that cannot be read.
pub fn agent_run(data_dir: &Path, name: &str) -> Result<AgentInfo> {
    history::find(data_dir, name)
}

/// What a run has said until now, as far as its spool has it, from the event of this number on. Of a run that lives nothing
/// follows: only its supervisor has that. Blocks for some milliseconds.
///
/// # Errors
/// `not_found` if its output is not there any more.
pub fn agent_events(data_dir: &Path, run: AgentRunId, from: u64) -> Result<AgentEvents> {
    let gone =
        |why| Error::new(ErrorKind::NotFound, format!("the output of agent run {run} is not there any more: {why}"));
    Log::open(&folder(data_dir, run), run).map(|log| log.from(from)).map_err(gone)
}

/// Where the output of a run lies.
pub(super) fn folder(data_dir: &Path, run: AgentRunId) -> PathBuf {
    data_dir.join("agents").join(run.to_string())
}
