//! All sessions, in memory, and what of them is not on disk yet. Plain data: what time it is, is an argument.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde::Serialize;

use super::check::Checked;
use super::conversation::{Session, SessionWorker};
use super::settings::SessionSettings;
pub(super) use changes::Change;
use changes::Changes;
pub(super) use news::News;

mod changes;
mod news;

/// What time it is: `instant` tells what has expired, and cannot be set; `wall` is for people and for the next run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) wall: SystemTime,
}

/// What a store holds and has held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreStats {
    /// Sessions that were created in this run.
    pub created: u64,
    /// Those that were deleted.
    pub deleted: u64,
    /// Those whose time was over.
    pub expired: u64,
    /// How often expired ones were looked for.
    pub cleanup_runs: u64,
    /// How many there are.
    pub current: usize,
    /// How many there may be; `None` is any number.
    pub max: Option<usize>,
    /// How much memory they take, estimated.
    pub memory_bytes: usize,
}

/// What a cleanup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cleanup {
    pub(super) expired: usize,
    pub(super) remaining: usize,
    /// Whether so many are worth a warning.
    pub(super) warns: bool,
}

/// There is no room for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) current: usize,
    pub(super) max: usize,
}

/// Why a change was not made: it was made to something that is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    /// Somebody else has changed the session.
    Changed,
    /// It is gone.
    Gone,
}

/// Which content of which session was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Revision(u64);

#[derive(Debug)]
pub(super) struct Table {
    settings: SessionSettings,
    sessions: HashMap<Arc<str>, Entry>,
    /// When to look whether a session has expired: not later than it does. An access does not move it, so accesses are cheap;
    /// whoever looks moves it.
    due: BTreeMap<Due, Arc<str>>,
    changes: Changes,
    /// What has happened to sessions since it was last asked.
    news: Vec<News>,
    stats: StoreStats,
    /// Numbers revisions and places in `due`, each once.
    last_number: u64,
}

type Due = (Instant, u64);

#[derive(Debug)]
struct Entry {
    checked: Checked,
    revision: Revision,
    expires: Option<Instant>,
    due: Option<Due>,
}

impl Table {
    /// `is_durable`: what changes is remembered until it is taken to be written.
    pub(super) fn new(settings: SessionSettings, is_durable: bool) -> Table {
        let stats = StoreStats { max: settings.max_sessions, ..StoreStats::default() };
        Table {
            settings,
            sessions: HashMap::new(),
            due: BTreeMap::new(),
            changes: Changes::new(is_durable),
            news: Vec::new(),
            stats,
            last_number: 0,
        }
    }

    /// One that an earlier run has left, with what is left of its time. Without room it stays where it was.
    pub(super) fn restore(&mut self, checked: Checked, now: Now) {
        let session = checked.session();
        let idle = now.wall.duration_since(session.last_accessed).unwrap_or_default();
        let expires = session.ttl.and_then(|ttl| now.instant.checked_add(ttl.saturating_sub(idle)));
        if !session.is_expired(now.wall) && self.room().is_ok() {
            self.enter(checked, expires);
        }
    }

    /// Enters a session, unless there is one of its id: then that one is accessed.
    pub(super) fn create(&mut self, checked: Checked, now: Now) -> Result<Session, Full> {
        let id = Arc::clone(&checked.session().id);
        if let Some(session) = self.get(&id, now) {
            return Ok(session);
        }
        if self.room().is_err() {
            // Those whose time is over take up no room.
            self.drop_expired(now);
            self.room()?;
        }
        let session = checked.session().clone();
        let expires = expiry(&session, now);
        self.enter(checked, expires);
        self.stats.created += 1;
        self.news.push(News::Created(Arc::clone(&id)));
        self.changes.changed(&id);
        Ok(session)
    }

    /// Accesses it.
    pub(super) fn get(&mut self, id: &str, now: Now) -> Option<Session> {
        self.access(id, now).map(|entry| entry.checked.session().clone())
    }

    /// Looks at it without accessing it.
    pub(super) fn peek(&mut self, id: &str, now: Now) -> Option<(&Checked, Revision)> {
        self.living(id, now).map(|entry| (&entry.checked, entry.revision))
    }

    /// Whether it was there to be accessed.
    pub(super) fn touch(&mut self, id: &str, now: Now) -> bool {
        self.access(id, now).is_some()
    }

    /// Puts a changed session in the place of what it was made from, and accesses it.
    pub(super) fn commit(&mut self, from: Revision, changed: Checked, now: Now) -> Result<Session, Stale> {
        let id = Arc::clone(&changed.session().id);
        let revision = Revision(self.next_number());
        let entry = self.living(&id, now).ok_or(Stale::Gone)?;
        if entry.revision != from {
            return Err(Stale::Changed);
        }
        let (before, after) = (entry.checked.memory(), changed.memory());
        (entry.checked, entry.revision) = (changed, revision);
        self.stats.memory_bytes = self.stats.memory_bytes - before + after;
        self.changes.changed(&id);
        self.get(&id, now).ok_or(Stale::Gone)
    }

    /// Writes down who served it, and accesses it. Whether it is there.
    pub(super) fn set_worker(&mut self, id: &str, worker: &SessionWorker, now: Now) -> bool {
        let revision = Revision(self.next_number());
        let Some(entry) = self.access(id, now) else { return false };
        if entry.checked.session().last_worker.as_ref() != Some(worker) {
            entry.checked.note(|session| session.last_worker = Some(worker.clone()));
            entry.revision = revision;
            let id = Arc::clone(&entry.checked.session().id);
            self.news.push(News::Assigned(Arc::clone(&id), worker.clone()));
            self.changes.changed(&id);
        }
        true
    }

    /// Whether it was there.
    pub(super) fn delete(&mut self, id: &str, now: Now) -> bool {
        let was_there = self.living(id, now).is_some();
        if let Some(session) = self.remove(id).filter(|_| was_there) {
            self.stats.deleted += 1;
            self.news.push(News::Deleted(session.id));
        }
        // Also one that is not here, but may be on disk.
        self.changes.deleted(id);
        was_there
    }

    /// All that live, in no order, none of them accessed.
    pub(super) fn list(&mut self, now: Now) -> Vec<Session> {
        self.drop_expired(now);
        self.sessions.values().map(|entry| entry.checked.session().clone()).collect()
    }

    pub(super) fn cleanup(&mut self, now: Now) -> Cleanup {
        let expired = self.drop_expired(now);
        self.stats.cleanup_runs += 1;
        let remaining = self.sessions.len();
        let warns = self.settings.warns_from().is_some_and(|least| remaining >= least);
        Cleanup { expired, remaining, warns }
    }

    pub(super) fn stats(&mut self, now: Now) -> StoreStats {
        self.drop_expired(now);
        StoreStats { current: self.sessions.len(), ..self.stats.clone() }
    }

    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Whether somebody must be woken to take the changes: once for all that come until they are taken.
    pub(super) fn wants_writer(&mut self) -> bool {
        self.changes.want_writer()
    }

    /// What must be written, as it is now.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        let Table { changes, sessions, .. } = self;
        changes.take(|id| sessions.get(id).map(|entry| entry.checked.session()))
    }

    /// What could not be written.
    pub(super) fn give_back(&mut self, unwritten: Vec<Change>) {
        self.changes.give_back(unwritten);
    }

    /// What a file must be told that knows nothing.
    pub(super) fn everything(&self) -> Vec<Change> {
        self.sessions.values().map(|entry| Change::Put(entry.checked.session().clone())).collect()
    }

    fn access(&mut self, id: &str, now: Now) -> Option<&mut Entry> {
        let entry = self.living(id, now)?;
        entry.checked.note(|session| session.touch(now.wall));
        entry.expires = expiry(entry.checked.session(), now);
        let (id, is_late) = (Arc::clone(&entry.checked.session().id), is_due_late(entry));
        self.changes.touched(&id);
        if is_late {
            self.schedule(&id);
        }
        self.sessions.get_mut(&id)
    }

    /// The entry, unless its time is over: then it is gone.
    fn living(&mut self, id: &str, now: Now) -> Option<&mut Entry> {
        if self.sessions.get(id).is_some_and(|entry| is_over(entry.expires, now)) {
            self.expire(id);
        }
        self.sessions.get_mut(id)
    }

    fn room(&self) -> Result<(), Full> {
        let current = self.sessions.len();
        match self.settings.max_sessions {
            Some(max) if current >= max => Err(Full { current, max }),
            _ => Ok(()),
        }
    }

    fn enter(&mut self, checked: Checked, expires: Option<Instant>) {
        let id = Arc::clone(&checked.session().id);
        let revision = Revision(self.next_number());
        self.stats.memory_bytes += checked.memory();
        self.sessions.insert(Arc::clone(&id), Entry { checked, revision, expires, due: None });
        self.schedule(&id);
    }

    fn remove(&mut self, id: &str) -> Option<Session> {
        let entry = self.sessions.remove(id)?;
        entry.due.map(|due| self.due.remove(&due));
        self.stats.memory_bytes -= entry.checked.memory();
        Some(entry.checked.session().clone())
    }

    fn expire(&mut self, id: &str) {
        if let Some(session) = self.remove(id) {
            self.stats.expired += 1;
            self.changes.expired(&session.id, session.last_accessed);
            self.news.push(News::Expired(session.id));
        }
    }

    fn drop_expired(&mut self, now: Now) -> usize {
        let before = self.stats.expired;
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 < now.instant) {
            let id = Arc::clone(first.get());
            if self.sessions.get(&id).is_some_and(|entry| is_over(entry.expires, now)) {
                self.expire(&id);
            } else {
                self.schedule(&id);
            }
        }
        usize::try_from(self.stats.expired - before).unwrap_or(usize::MAX)
    }

    /// Looks at it again when it expires.
    fn schedule(&mut self, id: &Arc<str>) {
        let number = self.next_number();
        let Some(entry) = self.sessions.get_mut(id) else { return };
        entry.due.take().map(|due| self.due.remove(&due));
        entry.due = entry.expires.map(|expires| (expires, number));
        entry.due.map(|due| self.due.insert(due, Arc::clone(id)));
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// Whether it may expire before somebody looks.
fn is_due_late(entry: &Entry) -> bool {
    match (entry.expires, entry.due) {
        (Some(expires), Some((due, _))) => expires < due,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

fn is_over(expires: Option<Instant>, now: Now) -> bool {
    expires.is_some_and(|expires| expires < now.instant)
}

/// A time too far away to be told is never.
fn expiry(session: &Session, now: Now) -> Option<Instant> {
    session.ttl.and_then(|ttl| now.instant.checked_add(ttl))
}

#[cfg(test)]
mod tests;
