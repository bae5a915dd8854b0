//! The thread that writes the index, so that no caller waits for a disk or for another program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::super::entry::{EntryState, ProcessEntry};
use super::{Opened, Store, StoreError, is_damage};
use crate::id::RunId;

/// Hands changes to the thread. Dropped, the thread writes what it has and ends.
#[derive(Debug)]
pub(in crate::registry) struct Writer {
    changes: Sender<Change>,
    thread: JoinHandle<()>,
    loss: Arc<Mutex<Option<String>>>,
}

enum Change {
    Put(Arc<ProcessEntry>),
    Forget(RunId),
    /// Answered when everything before it is written, or lost.
    Flush(Sender<()>),
}

impl Writer {
    pub(in crate::registry) fn start(data_dir: &Path, store: Store) -> Result<Writer, StoreError> {
        let (changes, inbox) = channel();
        let loss = Arc::new(Mutex::new(None));
        let mut scribe =
            Scribe { store, data_dir: data_dir.to_owned(), living: BTreeMap::new(), loss: Arc::clone(&loss) };
        let named = thread::Builder::new().name("hatchery-index".to_owned());
        let started = named.spawn(move || scribe.work(&inbox));
        let thread = started.map_err(|error| StoreError::Io { path: data_dir.to_owned(), error })?;
        Ok(Writer { changes, thread, loss })
    }

    pub(in crate::registry) fn put(&self, entry: Arc<ProcessEntry>) {
        let _told_by_loss = self.changes.send(Change::Put(entry));
    }

    pub(in crate::registry) fn forget(&self, run: RunId) {
        let _told_by_loss = self.changes.send(Change::Forget(run));
    }

    /// Waits until everything that was handed over is on disk.
    pub(in crate::registry) fn flush(&self) {
        let (done, is_done) = channel();
        let _no_thread_no_answer = self.changes.send(Change::Flush(done));
        let _answered_or_dead = is_done.recv();
    }

    /// Why the last write failed; `None` if it did not.
    pub(in crate::registry) fn loss(&self) -> Option<String> {
        self.loss.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(in crate::registry) fn finish(self) {
        drop(self.changes);
        let _it_does_not_panic = self.thread.join();
    }
}

struct Scribe {
    store: Store,
    data_dir: PathBuf,
    /// What a new file must be told if this one is set aside.
    living: BTreeMap<u32, Arc<ProcessEntry>>,
    loss: Arc<Mutex<Option<String>>>,
}

impl Scribe {
    fn work(&mut self, inbox: &Receiver<Change>) {
        while let Ok(first) = inbox.recv() {
            // All that has come meanwhile is one transaction.
            let batch: Vec<Change> = std::iter::once(first).chain(inbox.try_iter()).collect();
            self.remember(&batch);
            let outcome = self.write(&batch);
            *self.loss.lock().unwrap_or_else(PoisonError::into_inner) = outcome.err().map(|error| error.to_string());
            for change in batch {
                if let Change::Flush(done) = change {
                    let _nobody_waits = done.send(());
                }
            }
        }
    }

    fn remember(&mut self, batch: &[Change]) {
        for change in batch {
            match change {
                Change::Put(entry) if entry.state == EntryState::Gone => drop(self.living.remove(&entry.number)),
                Change::Put(entry) => drop(self.living.insert(entry.number, Arc::clone(entry))),
                Change::Forget(_) => self.living.clear(),
                Change::Flush(_) => {}
            }
        }
    }

    fn write(&mut self, batch: &[Change]) -> Result<(), StoreError> {
        if !self.store.is_current() {
            self.open_anew()?;
        }
        match self.apply(batch) {
            Err(error) if is_damage(&error) => self.open_anew(),
            outcome => outcome.map_err(|error| StoreError::Sqlite { path: self.store.path.clone(), error }),
        }
    }

    fn apply(&mut self, batch: &[Change]) -> rusqlite::Result<()> {
        let entries = batch.iter().filter_map(|change| match change {
            Change::Put(entry) => Some(entry.as_ref()),
            _ => None,
        });
        self.store.put(entries)?;
        let runs = batch.iter().filter_map(|change| if let Change::Forget(run) = change { Some(*run) } else { None });
        runs.into_iter().try_for_each(|run| self.store.forget(run))
    }

    /// Sets a damaged file aside, or follows another program that did.
    fn open_anew(&mut self) -> Result<(), StoreError> {
        let Opened { store, .. } = Store::open(&self.data_dir)?;
        self.store = store;
        let living: Vec<_> = self.living.values().cloned().collect();
        let put = self.store.put(living.iter().map(AsRef::as_ref));
        put.map_err(|error| StoreError::Sqlite { path: self.store.path.clone(), error })
    }
}
