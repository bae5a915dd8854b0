//! `sessions.sqlite3`: what is left of sessions when a run ends. No call reads it, and none waits for it.
//!
//! Two runs of one instance share the file. Each loads it when it begins and then relies on its own memory: what one changes, the
//! other does not see. On disk the last change of a session wins, as a whole. A run that never accessed a session that it loaded
//! does not write it; and when its time is over there, the row goes only if the other run has not accessed it since.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Row, ToSql, Transaction, params};

use super::check::{Checked, written};
use super::conversation::{Entries, Session, SessionWorker};
use super::table::{Change, Now, Table};
use crate::id::{RunId, WorkerId};
use crate::storage::{Database, DatabaseError, Layout, Writer, is_damage};

const LAYOUT: Layout = Layout {
    file: "sessions.sqlite3",
    lock: "sessions.lock",
    version: 1,
    schema: include_str!("schema.sql"),
    table: ("sessions", 9),
    // A crash of the machine may cost the last changes, but not the file.
    synchronous: "NORMAL",
};

/// Fills the table with what earlier runs have left, and starts the thread that writes down what becomes of it. The sentences say
/// what was set aside or passed over. The file is made when there is something to write: most programs have no sessions.
pub(super) fn open(
    data_dir: &Path,
    table: &Arc<Mutex<Table>>,
    most: Option<usize>,
    now: Now,
) -> Result<(Writer<()>, Vec<String>), DatabaseError> {
    let (mut database, mut said) = (None, Vec::new());
    if data_dir.join(LAYOUT.file).exists() {
        let mut opened = Database::open(data_dir, &LAYOUT)?;
        let load = load(&mut opened.database, most, now.wall).map_err(|error| opened.database.failed(error))?;
        said = notes(opened.set_aside.as_deref(), &load);
        load.sessions.into_iter().for_each(|session| locked(table).restore(session, now));
        database = Some(opened.database);
    }
    let mut scribe = Scribe { database, data_dir: data_dir.to_owned(), table: Arc::clone(table) };
    let started = Writer::start("hatchery-sessions", move |_| scribe.write());
    let writer = started.map_err(|error| DatabaseError::Io { path: data_dir.to_owned(), error })?;
    Ok((writer, said))
}

/// No panic leaves the table half changed: none happens in it.
pub(super) fn locked(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Loaded {
    sessions: Vec<Checked>,
    /// Rows that say nothing intelligible.
    unreadable: usize,
    /// Rows for which there is no room.
    left_out: u32,
}

fn notes(set_aside: Option<&Path>, load: &Loaded) -> Vec<String> {
    let aside =
        set_aside.map(|path| format!("the file of sessions could not be used; it is kept as {}", path.display()));
    let told = |count: usize, what| (count > 0).then(|| format!("{count} sessions on disk {what}"));
    let unreadable = told(load.unreadable, "cannot be read, and were passed over");
    let left_out =
        told(load.left_out as usize, "are more than there may be: the ones longest not accessed were not loaded");
    aside.into_iter().chain(unreadable).chain(left_out).collect()
}

/// The ones accessed last, if there are more than there is room for. Those whose time is over go.
fn load(database: &mut Database, most: Option<usize>, now: SystemTime) -> rusqlite::Result<Loaded> {
    const OVER: &str = "DELETE FROM sessions WHERE last_accessed + ttl < ?1";
    const WANTED: &str = "SELECT * FROM sessions ORDER BY last_accessed DESC LIMIT ?1";
    let connection = database.connection();
    connection.execute(OVER, [written(now)])?;
    let all: u32 = connection.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0))?;
    let wanted = most.and_then(|most| u32::try_from(most).ok()).map_or(all, |most| most.min(all));
    let mut statement = connection.prepare(WANTED)?;
    let rows = statement.query_map([wanted], |row| Ok(session_in(row)))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let unreadable = rows.iter().filter(|row| row.is_none()).count();
    Ok(Loaded { sessions: rows.into_iter().flatten().collect(), unreadable, left_out: all - wanted })
}

/// What the thread works with.
struct Scribe {
    /// `None` until something was to be written.
    database: Option<Database>,
    data_dir: PathBuf,
    table: Arc<Mutex<Table>>,
}

impl Scribe {
    /// Writes all that has changed. What cannot be written is written the next time.
    fn write(&mut self) -> Result<(), DatabaseError> {
        let changes = locked(&self.table).take_changes();
        if changes.is_empty() && self.database.is_none() {
            return Ok(());
        }
        let outcome = self.put_into_current(&changes);
        if outcome.is_err() {
            locked(&self.table).give_back(changes);
        }
        outcome
    }

    /// Sets a damaged file aside, or follows another program that did.
    fn put_into_current(&mut self, changes: &[Change]) -> Result<(), DatabaseError> {
        if let Some(database) = self.database.as_mut().filter(|database| database.is_current()) {
            match put_all(database, changes) {
                Err(error) if is_damage(&error) => {}
                outcome => return outcome.map_err(|error| database.failed(error)),
            }
        }
        let opened = match self.database {
            Some(_) => Database::open_again(&self.data_dir, &LAYOUT)?,
            None => Database::open(&self.data_dir, &LAYOUT)?,
        };
        let database = self.database.insert(opened.database);
        let everything = locked(&self.table).everything();
        let put = put_all(database, changes).and_then(|()| put_all(database, &everything));
        put.map_err(|error| database.failed(error))
    }
}

fn put_all(database: &mut Database, changes: &[Change]) -> rusqlite::Result<()> {
    let transaction = database.connection().transaction()?;
    changes.iter().try_for_each(|change| apply(&transaction, change))?;
    transaction.commit()
}

fn apply(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
    const TOUCH: &str = "UPDATE sessions SET last_accessed = ?2 WHERE id = ?1";
    const DELETE: &str = "DELETE FROM sessions WHERE id = ?1";
    const EXPIRE: &str = "DELETE FROM sessions WHERE id = ?1 AND last_accessed <= ?2";
    let execute = |query, values: &[&dyn ToSql]| transaction.execute(query, values);
    match change {
        Change::Put(session) => put(transaction, session),
        Change::Touch(session) => match execute(TOUCH, params![session.id, written(session.last_accessed)])? {
            // Another run has deleted it, or took it for expired.
            0 => put(transaction, session),
            _ => Ok(()),
        },
        Change::Delete(id) => execute(DELETE, params![id]).map(drop),
        Change::Expire(id, last_accessed) => execute(EXPIRE, params![id, written(*last_accessed)]).map(drop),
    }
}

fn put(transaction: &Transaction<'_>, session: &Session) -> rusqlite::Result<()> {
    const PUT: &str = "INSERT OR REPLACE INTO sessions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let worker = session.last_worker.as_ref();
    let values = params![
        session.id,
        written(session.created_at),
        written(session.last_accessed),
        session.ttl.map(|ttl| i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX)),
        worker.map(|worker| worker.run.to_string()),
        worker.map(|worker| worker.worker.as_str()),
        worker.map(|worker| i64::try_from(worker.generation).unwrap_or(i64::MAX)),
        text_of(&session.programs),
        text_of(&session.metadata),
    ];
    transaction.execute(PUT, values).map(drop)
}

fn text_of(entries: &Entries) -> String {
    // A map of JSON values by text is always JSON.
    serde_json::to_string(&**entries).unwrap_or_default()
}

/// `None` if it is no session.
fn session_in(row: &Row<'_>) -> Option<Checked> {
    let mut session = Session::new(row.get::<_, String>(0).ok()?, None, time_in(row.get(1).ok()?)?);
    session.last_accessed = time_in(row.get(2).ok()?)?;
    session.ttl = match row.get::<_, Option<i64>>(3).ok()? {
        Some(nanos) => Some(Duration::from_nanos(u64::try_from(nanos).ok()?)),
        None => None,
    };
    session.last_worker = worker_in(row).ok()?;
    session.programs = entries_in(row, 7)?;
    session.metadata = entries_in(row, 8)?;
    Checked::of(session).ok()
}

/// Whoever is not wholly named is nobody: the session is not bound.
fn worker_in(row: &Row<'_>) -> rusqlite::Result<Option<SessionWorker>> {
    let (run, worker): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
    let generation: Option<i64> = row.get(6)?;
    let parts = run.and_then(|run| RunId::parse(&run)).zip(worker).zip(generation.and_then(|g| u64::try_from(g).ok()));
    Ok(parts.map(|((run, worker), generation)| SessionWorker { run, worker: WorkerId::read(&worker), generation }))
}

fn entries_in(row: &Row<'_>, column: usize) -> Option<Entries> {
    let text: String = row.get(column).ok()?;
    let entries: std::collections::BTreeMap<_, _> = serde_json::from_str(&text).ok()?;
    Some(entries.into())
}

fn time_in(nanos: i64) -> Option<SystemTime> {
    u64::try_from(nanos).ok().and_then(|nanos| UNIX_EPOCH.checked_add(Duration::from_nanos(nanos)))
}
