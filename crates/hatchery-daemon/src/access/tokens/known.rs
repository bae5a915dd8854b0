//! The tokens as a daemon knows them, as of the last change of their file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hatchery::{Error, ErrorKind, Result};

use super::file::{self, Entry, Print};
use super::secret::Hash;
use crate::access::{Caller, Client, Scopes};

/// Looks at the file each time somebody shows a token: one that was revoked lets nobody in.
pub(crate) struct Known {
    data_dir: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Clone)]
struct Seen {
    print: Option<Print>,
    entries: std::result::Result<Arc<[Entry]>, Damaged>,
}

/// The file is there, and says nothing.
#[derive(Clone, Copy, Debug)]
struct Damaged;

impl Known {
    pub(crate) fn of(data_dir: &Path) -> Known {
        let nothing = Seen { print: None, entries: Ok(Arc::new([])) };
        Known { data_dir: data_dir.to_owned(), seen: Mutex::new(nothing) }
    }

    /// Whether there is one that lets somebody in.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn has_valid(&self, now: SystemTime) -> Result<bool> {
        Ok(file::read(&self.data_dir)?.iter().any(|entry| entry.token.is_valid(now)))
    }

    /// Something that is another when a token was made or revoked, or is over.
    pub(crate) fn state(&self, now: SystemTime) -> (Option<Print>, usize) {
        let entries = self.entries().ok();
        let valid = entries.map_or(0, |entries| entries.iter().filter(|entry| entry.token.is_valid(now)).count());
        (self.seen().print, valid)
    }

    /// Who shows the token of this hash; `None` if there is none, or it is over.
    ///
    /// # Errors
    /// If the file cannot be read. Why not, only the log says: who asks may be anybody.
    pub(crate) fn caller(&self, hash: &Hash, now: SystemTime) -> Result<Option<Caller>> {
        let entries = self.entries()?;
        // All of them are compared, whichever it is.
        let found = entries.iter().fold(None, |found, entry| if entry.hash.is(hash) { Some(entry) } else { found });
        let caller = |entry: &Entry| {
            let client = Client::Token(entry.token.name.as_str().into());
            Caller::new(client, Scopes::of(&entry.token.scopes)).showing(entry.hash)
        };
        Ok(found.filter(|entry| entry.token.is_valid(now)).map(caller))
    }

    fn entries(&self) -> Result<Arc<[Entry]>> {
        let mut seen = self.seen();
        let print = Print::of(&self.data_dir);
        if !matches!(&print, Ok(print) if *print == seen.print) {
            // Looked at before it is read: what is written in between is read again next time.
            *seen = Seen { print: print.unwrap_or_default(), entries: self.read() };
        }
        let unknown = |_| Error::new(ErrorKind::Unavailable, "tokens cannot be read; the log of the daemon says why");
        seen.entries.clone().map_err(unknown)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> std::result::Result<Arc<[Entry]>, Damaged> {
        file::read(&self.data_dir).map(Arc::from).map_err(|error| {
            tracing::error!(target: "hatchery::daemon", error = error.message(), "tokens");
            Damaged
        })
    }
}
