//! `registry.sqlite3`: the index of all runs of an instance, for queries by anybody, at any time. Never an authority on whom
//! to signal: it can be deleted, and is rebuilt.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, Row, Transaction, params};

use super::entry::{EntryState, ProcessEntry, Wanted};
use crate::id::RunId;
use crate::storage::{self, Database, DatabaseError, Layout, is_damage};

mod writer;

pub(super) use writer::Writer;

const LAYOUT: Layout = Layout {
    file: "registry.sqlite3",
    lock: "registry.lock",
    version: 1,
    schema: include_str!("schema.sql"),
    table: ("processes", 17),
    // A crash of the machine ends every process that is written down here: nothing need survive it.
    synchronous: "OFF",
};
/// So many processes that are gone are remembered of each run.
const GONE_KEPT: u32 = 100;

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct Store(Database);

/// A store, and whether it begins empty.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) is_new: bool,
    /// Where a file went that could not be used.
    pub(super) set_aside: Option<PathBuf>,
}

impl Store {
    /// Opens the file in a data dir, or makes it. One that cannot be used is kept beside the new one.
    pub(super) fn open(data_dir: &Path) -> Result<Opened, DatabaseError> {
        let storage::Opened { database, is_new, set_aside } = Database::open(data_dir, &LAYOUT)?;
        Ok(Opened { store: Store(database), is_new, set_aside })
    }

    /// The same, where it was open before; the data dir is not made again.
    fn open_again(data_dir: &Path) -> Result<Store, DatabaseError> {
        Ok(Store(Database::open_again(data_dir, &LAYOUT)?.database))
    }

    /// Writes entries as they are now, all or none.
    pub(super) fn put<'a>(&mut self, entries: impl IntoIterator<Item = &'a ProcessEntry>) -> rusqlite::Result<()> {
        let transaction = self.0.connection().transaction()?;
        for entry in entries {
            put(&transaction, entry)?;
            if entry.state == EntryState::Gone {
                forget_long_gone(&transaction, entry)?;
            }
        }
        transaction.commit()
    }

    /// Forgets a run.
    pub(super) fn forget(&mut self, run: RunId) -> rusqlite::Result<()> {
        self.0.connection().execute("DELETE FROM processes WHERE run = ?1", [run.to_string()]).map(drop)
    }

    /// Every run that is in it, with its owner.
    pub(super) fn runs(&mut self) -> rusqlite::Result<Vec<(RunId, String)>> {
        let mut statement = self.0.connection().prepare("SELECT DISTINCT run, owner FROM processes")?;
        let rows = statement.query_map([], |row| Ok((run_in(row, 0)?, row.get(1)?)))?;
        rows.collect()
    }
}

/// Whether an error means that there is no index in the file: it is bad, or its table was never made.
pub(super) fn is_no_index(error: &rusqlite::Error) -> bool {
    is_damage(error) || error.sqlite_error_code() == Some(ErrorCode::Unknown)
}

/// The file, open for reading, also while others write.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
}

impl Reader {
    /// `None` if there is no file.
    pub(super) fn open(data_dir: &Path) -> Result<Option<Reader>, DatabaseError> {
        let connection = storage::open_to_read(data_dir.join(LAYOUT.file))?;
        Ok(connection.map(|connection| Reader { connection }))
    }

    /// In the order of their reservation.
    pub(super) fn entries(&self, wanted: &Wanted) -> rusqlite::Result<Vec<ProcessEntry>> {
        let (condition, value): (_, &dyn rusqlite::ToSql) = match wanted {
            Wanted::All => ("?1 = ?1", &0),
            Wanted::Run(run) => ("run = ?1", &run.to_string()),
            Wanted::Worker(worker) => ("worker = ?1", worker),
            Wanted::Pid(pid) => ("pid = ?1", pid),
            Wanted::Fingerprint(fingerprint) => ("fingerprint = ?1", fingerprint),
        };
        let query = format!("SELECT * FROM processes WHERE {condition} ORDER BY reserved_at, run, number");
        let mut statement = self.connection.prepare(&query)?;
        statement.query_map([value], entry_in)?.collect()
    }
}

fn put(transaction: &Transaction<'_>, entry: &ProcessEntry) -> rusqlite::Result<()> {
    const PUT: &str = "INSERT OR REPLACE INTO processes VALUES \
        (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    let values = params![
        entry.run.to_string(),
        entry.number,
        entry.worker,
        entry.pool,
        entry.state.as_str(),
        entry.pid,
        entry.identity,
        entry.process_group,
        entry.cgroup,
        entry.command,
        entry.fingerprint,
        entry.owner_pid,
        entry.owner,
        time_out(entry.reserved_at),
        entry.activated_at.map(time_out),
        entry.terminating_at.map(time_out),
        entry.gone_at.map(time_out),
    ];
    transaction.execute(PUT, values).map(drop)
}

fn forget_long_gone(transaction: &Transaction<'_>, entry: &ProcessEntry) -> rusqlite::Result<()> {
    const FORGET: &str = "DELETE FROM processes WHERE run = ?1 AND number < ?2 AND state = 'gone'";
    let oldest = entry.number.saturating_sub(GONE_KEPT);
    transaction.execute(FORGET, params![entry.run.to_string(), oldest]).map(drop)
}

fn entry_in(row: &Row<'_>) -> rusqlite::Result<ProcessEntry> {
    Ok(ProcessEntry {
        run: run_in(row, 0)?,
        number: row.get(1)?,
        worker: row.get(2)?,
        pool: row.get(3)?,
        state: parsed(row, 4, EntryState::parse)?,
        pid: row.get(5)?,
        identity: row.get(6)?,
        process_group: row.get(7)?,
        cgroup: row.get(8)?,
        command: row.get(9)?,
        fingerprint: row.get(10)?,
        owner_pid: row.get(11)?,
        owner: row.get(12)?,
        reserved_at: time_in(row.get(13)?),
        activated_at: row.get::<_, Option<i64>>(14)?.map(time_in),
        terminating_at: row.get::<_, Option<i64>>(15)?.map(time_in),
        gone_at: row.get::<_, Option<i64>>(16)?.map(time_in),
    })
}

fn run_in(row: &Row<'_>, column: usize) -> rusqlite::Result<RunId> {
    parsed(row, column, RunId::parse)
}

fn parsed<T>(row: &Row<'_>, column: usize, parse: impl FnOnce(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    let is_text = rusqlite::types::Type::Text;
    parse(&text).ok_or_else(|| rusqlite::Error::FromSqlConversionFailure(column, is_text, text.into()))
}

/// SQLite's numbers have a sign.
fn time_out(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn time_in(time: i64) -> u64 {
    u64::try_from(time).unwrap_or(0)
}

#[cfg(test)]
mod tests;
