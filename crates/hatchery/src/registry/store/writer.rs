//! What the thread does that writes the index.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::entry::{EntryState, ProcessEntry};
use super::Store;
use crate::id::RunId;
use crate::storage::{self, DatabaseError, is_damage};

/// Hands changes to the thread. Dropped, the thread writes what it has and ends.
#[derive(Debug)]
pub(in crate::registry) struct Writer(storage::Writer<Change>);

#[derive(Debug)]
enum Change {
    Put(Arc<ProcessEntry>),
    Forget(RunId),
}

impl Writer {
    pub(in crate::registry) fn start(data_dir: &Path, store: Store) -> Result<Writer, DatabaseError> {
        let mut scribe = Scribe { store, data_dir: data_dir.to_owned(), living: BTreeMap::new() };
        let started = storage::Writer::start("hatchery-index", move |batch| scribe.write(&batch));
        started.map(Writer).map_err(|error| DatabaseError::Io { path: data_dir.to_owned(), error })
    }

    pub(in crate::registry) fn put(&self, entry: Arc<ProcessEntry>) {
        self.0.write(Change::Put(entry));
    }

    pub(in crate::registry) fn forget(&self, run: RunId) {
        self.0.write(Change::Forget(run));
    }

    /// Waits until everything that was handed over is on disk.
    pub(in crate::registry) fn flush(&self) {
        self.0.flush();
    }

    /// Why the last write failed; `None` if it did not.
    pub(in crate::registry) fn loss(&self) -> Option<String> {
        self.0.loss()
    }

    pub(in crate::registry) fn finish(self) {
        self.0.finish();
    }
}

struct Scribe {
    store: Store,
    data_dir: PathBuf,
    /// What a new file must be told if this one is set aside.
    living: BTreeMap<u32, Arc<ProcessEntry>>,
}

impl Scribe {
    fn write(&mut self, batch: &[Change]) -> Result<(), DatabaseError> {
        self.remember(batch);
        if !self.store.0.is_current() {
            if self.living.is_empty() && self.store.0.is_removed() {
                // What is over needs no new file, and whoever removes the folder may be in the middle of it.
                return Ok(());
            }
            self.open_anew()?;
        }
        match self.apply(batch) {
            Err(error) if is_damage(&error) => self.open_anew(),
            outcome => outcome.map_err(|error| self.store.0.failed(error)),
        }
    }

    fn remember(&mut self, batch: &[Change]) {
        for change in batch {
            match change {
                Change::Put(entry) if entry.state == EntryState::Gone => drop(self.living.remove(&entry.number)),
                Change::Put(entry) => drop(self.living.insert(entry.number, Arc::clone(entry))),
                Change::Forget(_) => self.living.clear(),
            }
        }
    }

    fn apply(&mut self, batch: &[Change]) -> rusqlite::Result<()> {
        let entries = batch.iter().filter_map(|change| match change {
            Change::Put(entry) => Some(entry.as_ref()),
            Change::Forget(_) => None,
        });
        self.store.put(entries)?;
        let runs = batch.iter().filter_map(|change| if let Change::Forget(run) = change { Some(*run) } else { None });
        runs.into_iter().try_for_each(|run| self.store.forget(run))
    }

    /// Sets a damaged file aside, or follows another program that did.
    fn open_anew(&mut self) -> Result<(), DatabaseError> {
        self.store = Store::open_again(&self.data_dir)?;
        let living: Vec<_> = self.living.values().cloned().collect();
        let put = self.store.put(living.iter().map(AsRef::as_ref));
        put.map_err(|error| self.store.0.failed(error))
    }
}
