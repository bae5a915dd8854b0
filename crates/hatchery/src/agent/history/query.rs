//! What anybody may ask, with or without a supervisor.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::{AgentInfo, AgentRunId, Error, ErrorKind, LAYOUT, OwnerDeath, Result, info_in, is_dead, lost};
use crate::agent::AgentFilter;
use crate::storage::{DatabaseError, open_to_read};

/// Runs, the latest first. One that its dead supervisor has left as if it were there is `lost`, whether or not somebody has written
/// that down.
///
/// # Errors
/// `unavailable` if the file is there and cannot be read.
pub(in crate::agent) fn list(data_dir: &Path, filter: &AgentFilter) -> Result<Vec<AgentInfo>> {
    let Some(connection) = open(data_dir)? else { return Ok(Vec::new()) };
    infos(&connection, data_dir, filter).map_err(|error| unreadable(data_dir, error))
}

/// The run of this id; the latest one of the session of this name; or the one whose id or session begins so, if it is only one.
///
/// # Errors
/// `not_found`; `validation` if there are several, with their ids in the details; `unavailable` if the file cannot be read.
pub(in crate::agent) fn find(data_dir: &Path, text: &str) -> Result<AgentInfo> {
    let not_found =
        || Error::new(ErrorKind::NotFound, format!("no agent run, and no session of one, is called {text:?}"));
    let connection = open(data_dir)?.filter(|_| !text.is_empty()).ok_or_else(not_found)?;
    let failed = |error| unreadable(data_dir, error);
    let run = match AgentRunId::parse(text) {
        Some(run) => Some(run.to_string()),
        None => latest_of(&connection, text).map_err(failed)?,
    };
    let run = match run {
        Some(run) => run,
        None => only_one(text, beginning_with(&connection, text).map_err(failed)?)?.ok_or_else(not_found)?,
    };
    info_of(&connection, data_dir, &run).map_err(failed)?.ok_or_else(not_found)
}

fn open(data_dir: &Path) -> Result<Option<Connection>> {
    open_to_read(data_dir.join(LAYOUT.file)).map_err(|error| unavailable(&error))
}

fn infos(connection: &Connection, data_dir: &Path, filter: &AgentFilter) -> rusqlite::Result<Vec<AgentInfo>> {
    const EVERY: &str = "SELECT owner_run, owner, info FROM agents ORDER BY run DESC";
    const OF_SESSION: &str = "SELECT owner_run, owner, info FROM agents WHERE run IN \
        (SELECT run FROM agent_sessions WHERE session = ?1) ORDER BY run DESC";
    let session = filter.session.clone().map(Value::from);
    let mut statement = connection.prepare(if session.is_some() { OF_SESSION } else { EVERY })?;
    let rows = statement.query_map(rusqlite::params_from_iter(session), |row| seen(row, data_dir))?;
    let wanted =
        rows.filter_map(|row| row.transpose()).filter(|row| row.as_ref().map_or(true, |info| filter.fits(info)));
    wanted.take(filter.most.unwrap_or(usize::MAX)).collect()
}

fn info_of(connection: &Connection, data_dir: &Path, run: &str) -> rusqlite::Result<Option<AgentInfo>> {
    const ONE: &str = "SELECT owner_run, owner, info FROM agents WHERE run = ?1";
    Ok(connection.query_row(ONE, [run], |row| seen(row, data_dir)).optional()?.flatten())
}

/// As it is: whoever was killed has written nothing of the end.
fn seen(row: &rusqlite::Row<'_>, data_dir: &Path) -> rusqlite::Result<Option<AgentInfo>> {
    let Some(info) = info_in(row, 2)? else { return Ok(None) };
    let may_be_left = !info.state.phase.is_over() && info.on_owner_death == OwnerDeath::Stop;
    let (owner_run, owner): (String, String) = (row.get(0)?, row.get(1)?);
    let is_lost = may_be_left && is_dead(data_dir, &owner_run, &owner);
    Ok(Some(if is_lost { lost(info, SystemTime::now()) } else { info }))
}

fn latest_of(connection: &Connection, session: &str) -> rusqlite::Result<Option<String>> {
    const LATEST: &str = "SELECT max(run) FROM agent_sessions WHERE session = ?1";
    connection.query_row(LATEST, [session], |row| row.get(0))
}

/// Ids of runs, and of the latest run of each session.
fn beginning_with(connection: &Connection, text: &str) -> rusqlite::Result<BTreeSet<String>> {
    const RUNS: &str = "SELECT run FROM agents WHERE substr(run, 1, length(?1)) = upper(?1)";
    const SESSIONS: &str =
        "SELECT max(run) FROM agent_sessions WHERE substr(session, 1, length(?1)) = ?1 GROUP BY session";
    let mut found = BTreeSet::new();
    for query in [RUNS, SESSIONS] {
        let mut statement = connection.prepare(query)?;
        for run in statement.query_map([text], |row| row.get(0))? {
            found.insert(run?);
        }
    }
    Ok(found)
}

fn only_one(text: &str, mut found: BTreeSet<String>) -> Result<Option<String>> {
    if found.len() > 1 {
        let message = format!("{text:?} is the beginning of {} agent runs or sessions; write more of it", found.len());
        let details = serde_json::json!({ "runs": found });
        return Err(Error::new(ErrorKind::Validation, message).with_details(details));
    }
    Ok(found.pop_first())
}

fn unreadable(data_dir: &Path, error: rusqlite::Error) -> Error {
    unavailable(&DatabaseError::Sqlite { path: data_dir.join(LAYOUT.file), error })
}

fn unavailable(error: &DatabaseError) -> Error {
    Error::new(ErrorKind::Unavailable, format!("read the history of agent runs: {error}"))
}
