//! What the thread does that writes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::params;

use super::{AgentInfo, AgentRunId, Database, DatabaseError, LAYOUT, Owner, folder, put};
use crate::storage::is_damage;

pub(super) struct Scribe {
    /// `None` until something was to be written.
    database: Option<Database>,
    data_dir: PathBuf,
    owner: Owner,
    /// How many that are over are kept.
    most: u32,
    /// What a new file must be told if this one is set aside.
    living: BTreeMap<AgentRunId, Arc<AgentInfo>>,
    /// What is to be written: also what could not be, the last time.
    pending: BTreeMap<AgentRunId, Arc<AgentInfo>>,
}

impl Scribe {
    pub(super) fn new(database: Option<Database>, data_dir: PathBuf, owner: Owner, most: u32) -> Scribe {
        Scribe { database, data_dir, owner, most, living: BTreeMap::new(), pending: BTreeMap::new() }
    }

    /// Writes all that has changed; of several changes of one run the last.
    pub(super) fn write(&mut self, batch: Vec<Arc<AgentInfo>>) -> Result<(), DatabaseError> {
        for info in batch {
            self.remember(info);
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        self.put_into_current()?;
        let has_ended = self.pending.values().any(|info| info.state.phase.is_over());
        self.pending.clear();
        if has_ended { self.forget_the_oldest() } else { Ok(()) }
    }

    fn remember(&mut self, info: Arc<AgentInfo>) {
        if info.state.phase.is_over() {
            self.living.remove(&info.run);
        } else {
            self.living.insert(info.run, Arc::clone(&info));
        }
        self.pending.insert(info.run, info);
    }

    /// Sets a damaged file aside, or follows another program that did.
    fn put_into_current(&mut self) -> Result<(), DatabaseError> {
        if let Some(database) = self.database.as_mut().filter(|database| database.is_current()) {
            match put_all(database, self.pending.values(), &self.owner) {
                Err(error) if is_damage(&error) => {}
                outcome => return outcome.map_err(|error| database.failed(error)),
            }
        }
        let database = self.database.insert(Database::open(&self.data_dir, &LAYOUT)?.database);
        let everything = self.living.values().chain(self.pending.values());
        put_all(database, everything, &self.owner).map_err(|error| database.failed(error))
    }

    /// Ids sort by the time of the start.
    fn forget_the_oldest(&mut self) -> Result<(), DatabaseError> {
        let Some(database) = &mut self.database else { return Ok(()) };
        let forgotten = forget(database, self.most).map_err(|error| database.failed(error))?;
        if forgotten.is_empty() {
            return Ok(());
        }
        let folder = folder(&self.data_dir)?;
        // One that cannot be removed now has no row that would lead to it, and no secret: it is the user's own.
        forgotten.iter().for_each(|run| drop(folder.remove(run)));
        Ok(())
    }
}

fn put_all<'a>(
    database: &mut Database,
    infos: impl Iterator<Item = &'a Arc<AgentInfo>>,
    owner: &Owner,
) -> rusqlite::Result<()> {
    let transaction = database.connection().transaction()?;
    for info in infos {
        put(&transaction, info, owner)?;
    }
    transaction.commit()
}

/// The runs of which nothing is known any more.
fn forget(database: &mut Database, most: u32) -> rusqlite::Result<Vec<String>> {
    const OLDEST: &str = "SELECT run FROM agents WHERE state = 'exited' ORDER BY run DESC LIMIT -1 OFFSET ?1";
    let transaction = database.connection().transaction()?;
    let mut statement = transaction.prepare(OLDEST)?;
    let oldest = statement.query_map([most], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    drop(statement);
    for run in &oldest {
        transaction.execute("DELETE FROM agents WHERE run = ?1", params![run])?;
        transaction.execute("DELETE FROM agent_sessions WHERE run = ?1", params![run])?;
    }
    transaction.commit()?;
    Ok(oldest)
}
