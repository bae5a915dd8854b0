//! `agents.sqlite3`: every run there was, and what became of it. Readable without a supervisor, at any time.
//!
//! The first row of a run is on disk before the run has a process; what follows is written behind, by a thread. Memory is the truth for a
//! supervisor's own runs: a file that is deleted or damaged is made anew, with all that are not over. A run whose supervisor is dead, and
//! which was not over, is `lost`, unless it was to outlive its supervisor.
//!
//! The last [`MOST_OVER`] runs that are over are kept; of older ones the row goes, and the folder with what they have written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::{Connection, Row, Transaction, params};

use super::{AgentFilter, AgentInfo, AgentRunId, AgentState, Outcome, OwnerDeath, Phase};
use crate::error::{Error, ErrorKind, Result};
use crate::id::RunId;
use crate::registry::{Instance, is_over, owner_now};
use crate::storage::{Database, DatabaseError, Folder, Layout, Refusal, Writer};
use scribe::Scribe;

mod query;
mod scribe;
#[cfg(test)]
mod tests;

pub(super) use query::{find, list};

/// So many runs that are over are remembered.
const MOST_OVER: u32 = 10_000;

/// What a run has written lies in a folder of its id in this one.
const FOLDER: &str = "agents";

const LAYOUT: Layout = Layout {
    file: "agents.sqlite3",
    lock: "agents.lock",
    version: 1,
    schema: include_str!("history/schema.sql"),
    table: ("agents", 7),
    // A crash of the machine may cost the last changes, but not the file; a crash of the supervisor costs nothing.
    synchronous: "NORMAL",
};

/// The history of a data dir, as a supervisor writes it. Cheap to clone. The last clone waits, when it is dropped, until all that was handed
/// over is written.
#[derive(Clone, Debug)]
pub(super) struct History(Arc<Desk>);

#[derive(Debug)]
struct Desk {
    /// `None` while it is dropped.
    writer: Option<Writer<Arc<AgentInfo>>>,
    data_dir: PathBuf,
}

/// A history, and what was found in it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) history: History,
    /// Runs of this instance that were to outlive their supervisor, which is dead: to be taken over, or written down as [`lost`].
    #[cfg_attr(not(test), expect(dead_code, reason = "for runs that outlive their supervisor"))]
    pub(super) abandoned: Vec<AgentInfo>,
    /// The others, which are lost.
    pub(super) lost: Vec<AgentInfo>,
    /// Where a file went that could not be used.
    pub(super) set_aside: Option<PathBuf>,
}

/// Who writes.
#[derive(Clone, Debug)]
struct Owner {
    run: RunId,
    /// Which process that is.
    process: String,
    instance: Instance,
}

/// A row that is not over, and whose supervisor is dead.
struct Orphaned {
    info: AgentInfo,
    instance: String,
}

impl History {
    /// Looks for runs that dead supervisors have left, and starts the thread that writes. The file is made when there is something to
    /// write: most programs have no agents. Blocks for some milliseconds.
    pub(super) fn open(data_dir: &Path, run: RunId, instance: &Instance) -> Result<Opened, DatabaseError> {
        History::open_keeping(MOST_OVER, data_dir, run, instance)
    }

    fn open_keeping(most: u32, data_dir: &Path, run: RunId, instance: &Instance) -> Result<Opened, DatabaseError> {
        let owner = Owner { run, process: owner_now(), instance: instance.clone() };
        let (mut abandoned, mut lost, mut set_aside, mut database) = (Vec::new(), Vec::new(), None, None);
        if data_dir.join(LAYOUT.file).exists() {
            let mut opened = Database::open(data_dir, &LAYOUT)?;
            (abandoned, lost) =
                settle(&mut opened.database, data_dir, &owner).map_err(|error| opened.database.failed(error))?;
            set_aside = opened.set_aside;
            database = Some(opened.database);
        }
        let mut scribe = Scribe::new(database, data_dir.to_owned(), owner, most);
        let started = Writer::start("hatchery-agents", move |batch| scribe.write(batch));
        let writer = started.map_err(|error| DatabaseError::Io { path: data_dir.to_owned(), error })?;
        let history = History(Arc::new(Desk { writer: Some(writer), data_dir: data_dir.to_owned() }));
        Ok(Opened { history, abandoned, lost, set_aside })
    }

    /// Writes the first row of a run, and waits until it is there: from then on a supervisor that is killed leaves a trace of it. Blocks for
    /// a millisecond or so.
    ///
    /// # Errors
    /// `unavailable` if it cannot be written; it is tried again with the next change, so that a run may begin all the same.
    pub(super) fn insert(&self, info: &AgentInfo) -> Result<()> {
        self.update(info);
        self.flush();
        let failed = |why| {
            let message = format!("write down run {} before it starts: {why}", info.run);
            Error::new(ErrorKind::Unavailable, message)
        };
        self.loss().map_or(Ok(()), |why| Err(failed(why)))
    }

    /// Writes a run as it is now, soon.
    pub(super) fn update(&self, info: &AgentInfo) {
        self.0.writer.iter().for_each(|writer| writer.write(Arc::new(info.clone())));
    }

    /// As [`find`], of its own data dir. What is not yet written is not found. Blocks for a millisecond or so.
    pub(super) fn find(&self, name: &str) -> Result<AgentInfo> {
        find(&self.0.data_dir, name)
    }

    /// As [`list`], of its own data dir. Blocks: for some milliseconds if there are thousands.
    pub(super) fn list(&self, filter: &AgentFilter) -> Result<Vec<AgentInfo>> {
        list(&self.0.data_dir, filter)
    }

    /// Waits until everything that was handed over is on disk, or lost. Blocks.
    pub(super) fn flush(&self) {
        self.0.writer.iter().for_each(Writer::flush);
    }

    /// Why the last write failed; `None` if it did not.
    pub(super) fn loss(&self) -> Option<String> {
        self.0.writer.as_ref().and_then(Writer::loss)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.writer.take().into_iter().for_each(Writer::finish);
    }
}

fn folder(data_dir: &Path) -> Result<Folder, Refusal> {
    Folder::make_base(data_dir)?.make(FOLDER)
}

/// A run of which nobody knows what has become, as its supervisor is dead.
pub(super) fn lost(info: AgentInfo, now: SystemTime) -> AgentInfo {
    let took = now.duration_since(info.started_at).unwrap_or_default();
    let reason = "its supervisor died".to_owned();
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let outcome = Outcome { turns: info.turns, took_ms, ..Outcome::lost(&reason) };
    AgentInfo { state: AgentState { phase: Phase::Exited { outcome }, since: now, reason }, ..info }
}

/// Marks what dead supervisors have left. What was to outlive its supervisor is left to whoever takes it over.
fn settle(
    database: &mut Database,
    data_dir: &Path,
    owner: &Owner,
) -> rusqlite::Result<(Vec<AgentInfo>, Vec<AgentInfo>)> {
    let transaction = database.connection().transaction()?;
    let orphaned = orphaned(&transaction, data_dir, Some(owner.run))?;
    let (kept, left): (Vec<_>, Vec<_>) =
        orphaned.into_iter().partition(|row| row.info.on_owner_death == OwnerDeath::Keep);
    let (now, instance) = (SystemTime::now(), instance_text(&owner.instance));
    let left: Vec<_> = left.into_iter().map(|row| lost(row.info, now)).collect();
    left.iter().try_for_each(|info| update(&transaction, info))?;
    transaction.commit()?;
    let ours = kept.into_iter().filter(|row| row.instance == instance);
    Ok((ours.map(|row| row.info).collect(), left))
}

/// The rows that are not over and whose supervisor is dead.
fn orphaned(connection: &Connection, data_dir: &Path, current: Option<RunId>) -> rusqlite::Result<Vec<Orphaned>> {
    const LIVE: &str = "SELECT owner_run, owner, instance, info FROM agents WHERE state <> 'exited' ORDER BY run";
    let current = current.map(|run| run.to_string());
    let mut statement = connection.prepare(LIVE)?;
    let mut rows = statement.query([])?;
    let mut orphaned = Vec::new();
    while let Some(row) = rows.next()? {
        let (owner_run, owner): (String, String) = (row.get(0)?, row.get(1)?);
        if Some(&owner_run) == current.as_ref() || !is_dead(data_dir, &owner_run, &owner) {
            continue;
        }
        if let Some(info) = info_in(row, 3)? {
            orphaned.push(Orphaned { info, instance: row.get(2)? });
        }
    }
    Ok(orphaned)
}

/// Who is not named intelligibly, is not proven dead.
fn is_dead(data_dir: &Path, owner_run: &str, owner: &str) -> bool {
    RunId::parse(owner_run).is_some_and(|run| is_over(data_dir, run, owner))
}

/// Writes a row, whoever had it before.
fn put(transaction: &Transaction<'_>, info: &AgentInfo, owner: &Owner) -> rusqlite::Result<()> {
    const PUT: &str = "INSERT OR REPLACE INTO agents VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    const NAME: &str = "INSERT OR IGNORE INTO agent_sessions VALUES (?1, ?2)";
    let (run, instance) = (info.run.to_string(), instance_text(&owner.instance));
    let (state, outcome) = words(info);
    let values = params![run, owner.run.to_string(), owner.process, instance, state, outcome, text_of(info)];
    transaction.prepare(PUT)?.execute(values)?;
    let mut name = transaction.prepare(NAME)?;
    info.sessions.iter().try_for_each(|session| name.execute(params![session.as_str(), run]).map(drop))
}

/// Writes what has become of a run, which stays the supervisor's that had it.
fn update(transaction: &Transaction<'_>, info: &AgentInfo) -> rusqlite::Result<()> {
    const UPDATE: &str = "UPDATE agents SET state = ?2, outcome = ?3, info = ?4 WHERE run = ?1";
    let (state, outcome) = words(info);
    transaction.execute(UPDATE, params![info.run.to_string(), state, outcome, text_of(info)]).map(drop)
}

/// The two words that can be asked for with any tool that reads SQLite.
fn words(info: &AgentInfo) -> (&'static str, Option<&'static str>) {
    let outcome = match &info.state.phase {
        Phase::Exited { outcome } => Some(outcome.kind.name()),
        _ => None,
    };
    (info.state.phase.name(), outcome)
}

fn text_of(info: &AgentInfo) -> String {
    // Only a path that is no text, or a time before 1970, is no JSON: such a row says which run it was, and no more.
    serde_json::to_string(info).unwrap_or_default()
}

fn instance_text(instance: &Instance) -> String {
    serde_json::to_string(instance).unwrap_or_default()
}

/// `None`: the row says nothing intelligible.
fn info_in(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<AgentInfo>> {
    let text: String = row.get(column)?;
    // By way of a value, as signals are read.
    let value: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}
