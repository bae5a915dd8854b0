//! A SQLite file that can be shared, damaged, deleted and set aside, and is never waited for at length.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::folder::{Folder, Refusal, lock};

/// How long another program may keep the file to itself.
const BUSY: Duration = Duration::from_secs(2);

/// Which file it is, and what makes it one of ours.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) file: &'static str,
    /// Held while the file is made, checked or set aside.
    pub(crate) lock: &'static str,
    pub(crate) version: i64,
    pub(crate) schema: &'static str,
    /// The table that the schema makes, and how many columns it has.
    pub(crate) table: (&'static str, usize),
    /// SQLite's word for what must survive a crash of the machine.
    pub(crate) synchronous: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{}: {error}", path.display())]
    Sqlite { path: PathBuf, error: rusqlite::Error },
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: std::io::Error },
}

/// The file, open for writing.
#[derive(Debug)]
pub(crate) struct Database {
    connection: Connection,
    path: PathBuf,
    /// Which file it is: another program may have set it aside since.
    inode: u64,
}

/// A database, and whether it begins empty.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) database: Database,
    pub(crate) is_new: bool,
    /// Where a file went that could not be used.
    pub(crate) set_aside: Option<PathBuf>,
}

enum Usable {
    Yes(Connection),
    New(Connection),
    /// Damaged, or of a newer version.
    No,
}

impl Database {
    /// Opens the file in a data dir, or makes it. One that cannot be used is kept beside the new one, as
    /// `<file>.corrupt.<seconds since 1970>`.
    pub(crate) fn open(data_dir: &Path, layout: &Layout) -> Result<Opened, DatabaseError> {
        Database::open_in(&Folder::make_base(data_dir)?, layout)
    }

    /// The same, where it was open before. The folder is not made again: whoever has removed it wants it gone, and would find it there.
    pub(crate) fn open_again(data_dir: &Path, layout: &Layout) -> Result<Opened, DatabaseError> {
        Database::open_in(&Folder::base(data_dir)?, layout)
    }

    fn open_in(folder: &Folder, layout: &Layout) -> Result<Opened, DatabaseError> {
        let _one_at_a_time = wait_for_lock(folder, layout)?;
        match attempt(folder, layout)? {
            Usable::Yes(connection) => opened(connection, folder, layout, false, None),
            Usable::New(connection) => opened(connection, folder, layout, true, None),
            Usable::No => {
                let aside = set_aside(folder, layout)?;
                match attempt(folder, layout)? {
                    Usable::Yes(connection) | Usable::New(connection) => {
                        opened(connection, folder, layout, true, Some(aside))
                    }
                    Usable::No => {
                        Err(io_error(folder, layout, std::io::Error::other("a new file cannot be used either")))
                    }
                }
            }
        }
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Whether the path still leads to the file that is open.
    pub(crate) fn is_current(&self) -> bool {
        inode_of(&self.path).is_ok_and(|inode| inode == self.inode)
    }

    /// Whether the path leads to nothing: the file was removed, and not replaced by another program.
    pub(crate) fn is_removed(&self) -> bool {
        inode_of(&self.path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    }

    /// The error, with the file that it is about.
    pub(crate) fn failed(&self, error: rusqlite::Error) -> DatabaseError {
        DatabaseError::Sqlite { path: self.path.clone(), error }
    }
}

/// The file, open for reading, also while others write. `None` if there is none.
pub(crate) fn open_to_read(path: PathBuf) -> Result<Option<Connection>, DatabaseError> {
    match std::fs::metadata(&path) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DatabaseError::Io { path, error }),
    }
    let open = || {
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    };
    open().map(Some).map_err(|error| DatabaseError::Sqlite { path, error })
}

/// Whether an error means that the file itself is bad, not that it is in use or the disk is full.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    // A file that ends before it should.
    let is_short =
        error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHORT_READ);
    is_short || matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn opened(
    connection: Connection,
    folder: &Folder,
    layout: &Layout,
    is_new: bool,
    set_aside: Option<PathBuf>,
) -> Result<Opened, DatabaseError> {
    let path = folder.path().join(layout.file);
    let inode = inode_of(&path).map_err(|error| io_error(folder, layout, error))?;
    Ok(Opened { database: Database { connection, path, inode }, is_new, set_aside })
}

fn attempt(folder: &Folder, layout: &Layout) -> Result<Usable, DatabaseError> {
    // Made by us, so that nobody else can read it; SQLite gives its other files the same mode.
    folder.ensure(layout.file)?;
    match usable(&folder.path().join(layout.file), layout) {
        Err(error) if is_damage(&error) => Ok(Usable::No),
        outcome => outcome.map_err(|error| DatabaseError::Sqlite { path: folder.path().join(layout.file), error }),
    }
}

fn usable(path: &Path, layout: &Layout) -> rusqlite::Result<Usable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > layout.version {
        return Ok(Usable::No);
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", layout.synchronous)?;
    if version == layout.version {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        let is_sound = verdict == "ok" && has_table(&connection, layout);
        return Ok(if is_sound { Usable::Yes(connection) } else { Usable::No });
    }
    let transaction = connection.transaction()?;
    transaction.execute_batch(layout.schema)?;
    transaction.pragma_update(None, "user_version", layout.version)?;
    transaction.commit()?;
    Ok(Usable::New(connection))
}

fn has_table(connection: &Connection, layout: &Layout) -> bool {
    let (table, columns) = layout.table;
    let found = connection.prepare(&format!("SELECT * FROM {table} LIMIT 0"));
    found.is_ok_and(|statement| statement.column_count() == columns)
}

/// Held until the file is dropped. Whoever holds it is soon through; if not, we go on without.
fn wait_for_lock(folder: &Folder, layout: &Layout) -> Result<Option<File>, DatabaseError> {
    for _ in 0..200 {
        let file = folder.append(layout.lock)?;
        if let Some(file) = lock(file).map_err(|error| io_error(folder, layout, error))? {
            return Ok(Some(file));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}

fn set_aside(folder: &Folder, layout: &Layout) -> Result<PathBuf, DatabaseError> {
    let file = layout.file;
    let free = |seconds: &u64| !folder.path().join(format!("{file}.corrupt.{seconds}")).exists();
    let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let seconds = (now..).find(free).unwrap_or_default();
    let aside = format!("{file}.corrupt.{seconds}");
    for suffix in ["-wal", "-shm"] {
        match folder.rename(&format!("{file}{suffix}"), &format!("{aside}{suffix}")) {
            Err(refusal) if !refusal.is_missing() => return Err(refusal.into()),
            _ => {}
        }
    }
    folder.rename(file, &aside)?;
    Ok(folder.path().join(aside))
}

fn inode_of(path: &Path) -> std::io::Result<u64> {
    Ok(std::fs::metadata(path)?.ino())
}

fn io_error(folder: &Folder, layout: &Layout, error: std::io::Error) -> DatabaseError {
    DatabaseError::Io { path: folder.path().join(layout.file), error }
}
