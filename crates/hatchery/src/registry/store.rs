//! `registry.sqlite3`: the index of all runs of an instance, for queries by anybody, at any time. Never an authority on whom
//! to signal: it can be deleted, and is rebuilt.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction, params};

use super::entry::{EntryState, ProcessEntry, Wanted};
use super::folder::{Folder, Refusal, lock};
use crate::id::RunId;

mod writer;

pub(super) use writer::Writer;

const FILE: &str = "registry.sqlite3";
/// Held while the file is made, checked or set aside.
const LOCK: &str = "registry.lock";
const VERSION: i64 = 1;
/// How long another program may keep the file to itself.
const BUSY: Duration = Duration::from_secs(2);
/// So many processes that are gone are remembered of each run.
const GONE_KEPT: u32 = 100;

#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{}: {error}", path.display())]
    Sqlite { path: PathBuf, error: rusqlite::Error },
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: std::io::Error },
}

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    path: PathBuf,
    /// Which file it is: another program may have set it aside since.
    inode: u64,
}

/// A store, and whether it begins empty.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) is_new: bool,
    /// Where a file went that could not be used.
    pub(super) set_aside: Option<PathBuf>,
}

enum Usable {
    Yes(Connection),
    New(Connection),
    /// Damaged, or of a newer version.
    No,
}

impl Store {
    /// Opens the file in a data dir, or makes it. One that cannot be used is kept beside the new one, as
    /// `registry.sqlite3.corrupt.<seconds since 1970>`.
    pub(super) fn open(data_dir: &Path) -> Result<Opened, StoreError> {
        let folder = Folder::make_base(data_dir)?;
        let _one_at_a_time = wait_for_lock(&folder)?;
        match Store::attempt(&folder)? {
            Usable::Yes(connection) => Store::opened(connection, &folder, false, None),
            Usable::New(connection) => Store::opened(connection, &folder, true, None),
            Usable::No => {
                let aside = set_aside(&folder)?;
                match Store::attempt(&folder)? {
                    Usable::Yes(connection) | Usable::New(connection) => {
                        Store::opened(connection, &folder, true, Some(aside))
                    }
                    Usable::No => Err(io_error(&folder, std::io::Error::other("a new file cannot be used either"))),
                }
            }
        }
    }

    fn opened(
        connection: Connection,
        folder: &Folder,
        is_new: bool,
        set_aside: Option<PathBuf>,
    ) -> Result<Opened, StoreError> {
        let path = folder.path().join(FILE);
        let inode = inode_of(&path).map_err(|error| io_error(folder, error))?;
        Ok(Opened { store: Store { connection, path, inode }, is_new, set_aside })
    }

    fn attempt(folder: &Folder) -> Result<Usable, StoreError> {
        // Made by us, so that nobody else can read it; SQLite gives its other files the same mode.
        folder.ensure(FILE)?;
        match usable(&folder.path().join(FILE)) {
            Err(error) if is_damage(&error) => Ok(Usable::No),
            outcome => outcome.map_err(|error| StoreError::Sqlite { path: folder.path().join(FILE), error }),
        }
    }

    /// Whether the path still leads to the file that is open.
    pub(super) fn is_current(&self) -> bool {
        inode_of(&self.path).is_ok_and(|inode| inode == self.inode)
    }

    /// Writes entries as they are now, all or none.
    pub(super) fn put<'a>(&mut self, entries: impl IntoIterator<Item = &'a ProcessEntry>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
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
        self.connection.execute("DELETE FROM processes WHERE run = ?1", [run.to_string()]).map(drop)
    }

    /// Every run that is in it, with its owner.
    pub(super) fn runs(&self) -> rusqlite::Result<Vec<(RunId, String)>> {
        let mut statement = self.connection.prepare("SELECT DISTINCT run, owner FROM processes")?;
        let rows = statement.query_map([], |row| Ok((run_in(row, 0)?, row.get(1)?)))?;
        rows.collect()
    }
}

/// Whether an error means that the file itself is bad, not that it is in use or the disk is full.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    // A file that ends before it should.
    let is_short =
        error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHORT_READ);
    is_short || matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
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
    pub(super) fn open(data_dir: &Path) -> Result<Option<Reader>, StoreError> {
        let path = data_dir.join(FILE);
        match std::fs::metadata(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::Io { path, error }),
        }
        let open = || {
            let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            connection.busy_timeout(BUSY)?;
            Ok(connection)
        };
        open().map(|connection| Some(Reader { connection })).map_err(|error| StoreError::Sqlite { path, error })
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

fn usable(path: &Path) -> rusqlite::Result<Usable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    let version = version(&connection)?;
    if version > VERSION {
        return Ok(Usable::No);
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A crash of the machine ends every process that is written down here: nothing need survive it.
    connection.pragma_update(None, "synchronous", "OFF")?;
    if version == VERSION {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        let is_ours = connection.prepare("SELECT * FROM processes LIMIT 0").is_ok_and(|s| s.column_count() == 17);
        return Ok(if verdict == "ok" && is_ours { Usable::Yes(connection) } else { Usable::No });
    }
    let transaction = connection.transaction()?;
    transaction.execute_batch(include_str!("schema.sql"))?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(Usable::New(connection))
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Held until the file is dropped. Whoever holds it is soon through; if not, we go on without.
fn wait_for_lock(folder: &Folder) -> Result<Option<File>, StoreError> {
    for _ in 0..200 {
        if let Some(file) = lock(folder.append(LOCK)?).map_err(|error| io_error(folder, error))? {
            return Ok(Some(file));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}

fn set_aside(folder: &Folder) -> Result<PathBuf, StoreError> {
    let free = |seconds: &u64| !folder.path().join(format!("{FILE}.corrupt.{seconds}")).exists();
    let seconds = (super::unix_seconds()..).find(free).unwrap_or_default();
    let aside = format!("{FILE}.corrupt.{seconds}");
    for suffix in ["-wal", "-shm"] {
        match folder.rename(&format!("{FILE}{suffix}"), &format!("{aside}{suffix}")) {
            Err(refusal) if !refusal.is_missing() => return Err(refusal.into()),
            _ => {}
        }
    }
    folder.rename(FILE, &aside)?;
    Ok(folder.path().join(aside))
}

fn inode_of(path: &Path) -> std::io::Result<u64> {
    Ok(std::fs::metadata(path)?.ino())
}

fn io_error(folder: &Folder, error: std::io::Error) -> StoreError {
    StoreError::Io { path: folder.path().join(FILE), error }
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
