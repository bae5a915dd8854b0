//! The session store: which conversations there are, what is known of them, and how long they live.
//!
//! Memory is the truth of a run: no call waits for a disk. What changes is written behind by a thread into `sessions.sqlite3`, and
//! read when the next run begins. What a worker keeps in its own memory is never written anywhere.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::id::{RunId, WorkerId};
use crate::panic::message_of;
use crate::storage::Writer;
use crate::telemetry::{Emitter, Event, SessionEvent};
use check::{Checked, check_id, refused};
use table::{Cleanup, Full, News, Now, Revision, Stale, Table};

mod check;
mod conversation;
mod settings;
mod store;
mod table;

pub use conversation::{Entries, Session, SessionStats, SessionWorker};
pub use settings::SessionSettings;
pub use table::StoreStats;

/// So often a change is tried while others change the same session. Each failure is another's success, so even a hundred
/// threads seldom need ten.
const MAX_ATTEMPTS: usize = 100;

/// All sessions of a run. Cheap to clone; every clone is the same store.
///
/// A session whose time is over is gone at that instant, not when somebody cleans up, and no access brings it back. Every error
/// has `details.reason` and `details.session`.
///
/// ```
/// use hatchery::{SessionSettings, Sessions};
/// use serde_json::json;
///
/// let sessions = Sessions::in_memory(SessionSettings::default())?;
/// sessions.create("user-7")?;
/// sessions.put_metadata("user-7", "language", json!("de"))?;
/// let turns = sessions.update("user-7", |session| {
///     let turns = session.metadata.get("turns").and_then(|turns| turns.as_u64()).unwrap_or(0) + 1;
///     session.metadata.insert("turns".into(), turns.into());
///     Ok(turns)
/// })?;
/// assert_eq!(turns, 1);
/// assert_eq!(sessions.get("user-7")?.metadata["language"], "de");
/// assert_eq!(sessions.get("user-8").unwrap_err().kind(), hatchery::ErrorKind::NotFound);
/// # Ok::<(), hatchery::Error>(())
/// ```
///
/// # What is kept
/// Programs, metadata, and times are on disk a moment after they were changed; the last access with the next change or cleanup.
/// When [`flush`](Sessions::flush) returns, or the drop of the last clone (it waits for that), all is. If this program is killed, changes of the last
/// moments are lost, and a session may be taken for as long unused as the time between two cleanups.
///
/// Two runs of one instance that live at the same time share the file, not their memory: neither sees what the other changes until
/// it is started anew, and on disk the last change of a session wins. Use a session from one of them.
#[derive(Clone, Debug)]
pub struct Sessions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    run: RunId,
    settings: SessionSettings,
    table: Arc<Mutex<Table>>,
    writer: Mutex<Option<Writer<()>>>,
    /// What was set aside or passed over at the start.
    notes: Vec<String>,
    /// `None`: nobody is told.
    emitter: Option<Emitter>,
    /// Told at once of each session that ends.
    at_ends: AtEnds,
}

/// Who wants to know that a session has ended.
#[derive(Default)]
struct AtEnds(RwLock<Vec<AtEnd>>);

type AtEnd = Arc<dyn Fn(&str) + Send + Sync>;

impl std::fmt::Debug for AtEnds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AtEnds")
    }
}

impl Sessions {
    /// A store of its own, of which nothing is written anywhere.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] if the settings make no sense.
    pub fn in_memory(settings: SessionSettings) -> Result<Sessions> {
        Sessions::open(None, RunId::random(), settings, None)
    }

    /// The store in a data dir, with what earlier runs have left in it. It blocks for some milliseconds. If the file cannot be
    /// used, sessions are in memory only, and [`losses`](Sessions::losses) says so.
    pub(crate) fn open(
        data_dir: Option<&Path>,
        run: RunId,
        settings: SessionSettings,
        emitter: Option<Emitter>,
    ) -> Result<Sessions> {
        settings.validate()?;
        let table = Arc::new(Mutex::new(Table::new(settings.clone(), data_dir.is_some())));
        let opened = data_dir.map(|data_dir| store::open(data_dir, &table, settings.max_sessions, now()));
        let (writer, notes) = match opened.transpose() {
            Ok(opened) => opened.map_or((None, Vec::new()), |(writer, notes)| (Some(writer), notes)),
            Err(error) => {
                *store::locked(&table) = Table::new(settings.clone(), false);
                (None, vec![format!("sessions are in memory only: {error}")])
            }
        };
        let (writer, at_ends) = (Mutex::new(writer), AtEnds::default());
        Ok(Sessions(Arc::new(Inner { run, settings, table, writer, notes, emitter, at_ends })))
    }

    /// Makes a session. If there is one of this id, that one is accessed and returned as it is, also when there is no room for
    /// another.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] (`session_quota_exceeded`) if there is no room; [`ErrorKind::Validation`] (`invalid_id`).
    pub fn create(&self, id: &str) -> Result<Session> {
        self.create_with(id, |_| {})
    }

    /// The same, with a time to live, programs or metadata of its own: `begin` sets them if the session is new.
    ///
    /// # Errors
    /// Also those of [`Session::validate`], and [`ErrorKind::Internal`] (`update_failed`) if `begin` panics.
    pub fn create_with(&self, id: &str, begin: impl FnOnce(&mut Session)) -> Result<Session> {
        check_id(id)?;
        if let Some(session) = self.change(|table, now| table.get(id, now)) {
            return Ok(session);
        }
        let blank = Checked::of(Session::new(id, self.0.settings.ttl, now().wall))?;
        let mut session = blank.session().clone();
        contained(id, || begin(&mut session))?;
        let checked = blank.changed(session)?;
        self.change(|table, now| table.create(checked, now)).map_err(|full| no_room(id, full))
    }

    /// The session as it is now, accessed by this.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] (`session_not_found`), also if its time is over; so all that follows.
    pub fn get(&self, id: &str) -> Result<Session> {
        self.change(|table, now| table.get(id, now)).ok_or_else(|| not_found(id))
    }

    /// Whether there is such a session; it is not accessed by this.
    pub fn exists(&self, id: &str) -> bool {
        self.change(|table, now| table.peek(id, now).is_some())
    }

    /// Accesses it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn touch(&self, id: &str) -> Result<()> {
        self.change(|table, now| table.touch(id, now)).then_some(()).ok_or_else(|| not_found(id))
    }

    /// Changes a session as a whole or not at all. `change` works on a copy, which takes the place of the session if nobody else
    /// has changed that meanwhile; else it is called again with a new copy. It may use the store, and holds nobody up.
    ///
    /// # Errors
    /// What `change` returns; [`ErrorKind::Internal`] (`update_failed`) if it panics; those of [`Session::validate`];
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Conflict`] (`update_contended`), which may be retried. The session is as it was.
    pub fn update<T>(&self, id: &str, mut change: impl FnMut(&mut Session) -> Result<T>) -> Result<T> {
        for _ in 0..MAX_ATTEMPTS {
            let (before, revision) = self.read(id)?;
            let mut session = before.session().clone();
            let outcome = contained(id, || change(&mut session))?.map_err(|error| attributed(error, id))?;
            let changed = before.changed(session)?;
            match self.change(|table, now| table.commit(revision, changed, now)) {
                Ok(_) => return Ok(outcome),
                Err(Stale::Gone) => return Err(not_found(id)),
                Err(Stale::Changed) => {}
            }
        }
        let what = format!("others changed it each time, {MAX_ATTEMPTS} times in a row; try again");
        Err(refused(id, ErrorKind::Conflict, "update_contended", what).with_retryable(true))
    }

    /// Whether what is stored is what a session may be; it is not accessed by this.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]. A session that is there is valid: nothing else is let in.
    pub fn validate(&self, id: &str) -> Result<()> {
        self.read(id)?.0.session().validate()
    }

    /// Deletes it. Whether it was there; if not, that is fine.
    pub fn delete(&self, id: &str) -> bool {
        self.change(|table, now| table.delete(id, now))
    }

    /// All sessions, by id. None is accessed by this.
    pub fn list(&self) -> Vec<Session> {
        let mut sessions = self.change(|table, now| table.list(now));
        sessions.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        sessions
    }

    /// Takes those out of memory whose time is over, and returns how many. It happens by itself every
    /// [`cleanup_interval`](SessionSettings::cleanup_interval).
    pub fn cleanup_expired(&self) -> usize {
        self.cleanup().expired
    }

    /// What the store holds and has held in this run.
    pub fn stats(&self) -> StoreStats {
        self.change(|table, now| table.stats(now))
    }

    /// What a session amounts to; it is not accessed by this.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn session_stats(&self, id: &str) -> Result<SessionStats> {
        Ok(self.read(id)?.0.session().stats(now().wall))
    }

    /// Stores a program under a name, in the place of one that was there.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], and those of [`Session::validate`].
    pub fn put_program(&self, id: &str, name: &str, program: Value) -> Result<()> {
        self.update(id, |session| {
            session.programs.insert(name.to_owned(), program.clone());
            Ok(())
        })
    }

    /// A stored program.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: no such session, or (`program_not_found`) no such program.
    pub fn get_program(&self, id: &str, name: &str) -> Result<Value> {
        let missing = || refused(id, ErrorKind::NotFound, "program_not_found", format!("no program `{name}`"));
        self.get(id)?.programs.get(name).cloned().ok_or_else(missing)
    }

    /// Deletes a program. Whether it was there.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: no such session.
    pub fn delete_program(&self, id: &str, name: &str) -> Result<bool> {
        self.update(id, |session| Ok(session.programs.remove(name).is_some()))
    }

    /// Sets a fact.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], and those of [`Session::validate`].
    pub fn put_metadata(&self, id: &str, name: &str, value: Value) -> Result<()> {
        self.update(id, |session| {
            session.metadata.insert(name.to_owned(), value.clone());
            Ok(())
        })
    }

    /// A fact, if it was set.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: no such session.
    pub fn get_metadata(&self, id: &str, name: &str) -> Result<Option<Value>> {
        Ok(self.get(id)?.metadata.get(name).cloned())
    }

    /// Has `tell` called with the id of each session that ends from now on, be it deleted or expired, by whoever notices it, before
    /// that one goes on. It may use the store; it must not block. There may be another session of that id by then.
    ///
    /// What `tell` holds lives as long as the store.
    pub fn on_end(&self, tell: impl Fn(&str) + Send + Sync + 'static) {
        self.0.at_ends.0.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(tell));
    }

    /// Waits until all that was changed is on disk, or cannot be written: [`losses`](Sessions::losses) says so. It blocks.
    pub fn flush(&self) {
        self.with_writer(|writer| {
            writer.write(());
            writer.flush();
        });
    }

    /// What is not written down and why, and what was set aside or passed over at the start, in sentences. Empty: all is well.
    pub fn losses(&self) -> Vec<String> {
        self.0.notes.iter().cloned().chain(self.write_loss()).collect()
    }

    /// Writes down who serves a session, and accesses it; nothing if it was deleted meanwhile.
    pub(crate) fn store_worker(&self, id: &str, worker: &WorkerId, generation: u64) {
        let worker = SessionWorker { run: self.0.run, worker: worker.clone(), generation };
        self.change(|table, now| table.set_worker(id, &worker, now));
    }

    /// The session of a call, made if there is none, and accessed. Says when it was made, which tells it from one of the same name
    /// that was deleted before, and who served it last.
    pub(crate) fn enter(&self, id: &str) -> Result<(u64, Option<SessionWorker>)> {
        let session = self.create(id)?;
        Ok((birth(&session), session.last_worker))
    }

    /// Whose store it is.
    pub(crate) fn run(&self) -> RunId {
        self.0.run
    }

    /// Whether there is a session of this id that was made then. It is not accessed by this.
    pub(crate) fn is_known(&self, id: &str, when: u64) -> bool {
        self.change(|table, now| table.peek(id, now).is_some_and(|(checked, _)| birth(checked.session()) == when))
    }

    /// When the session of an id was made that lives. It is not accessed by this. Does not keep the store.
    pub(crate) fn births(&self) -> impl Fn(&str) -> Option<u64> + Send + Sync + use<> {
        let inner = Arc::downgrade(&self.0);
        move |id| {
            let sessions = Sessions(inner.upgrade()?);
            sessions.change(|table, now| table.peek(id, now).map(|(checked, _)| birth(checked.session())))
        }
    }

    /// The service that cleans up and tells what it finds. It has no end.
    pub(crate) async fn upkeep(self, emitter: Emitter) {
        let mut told_loss = None;
        loop {
            tokio::time::sleep(self.0.settings.cleanup_interval).await;
            let cleanup = self.cleanup();
            self.wake();
            let loss = self.write_loss();
            let new_loss = loss.clone().filter(|_| loss != told_loss);
            told_loss = loss;
            let events = self.events_of(cleanup).chain(new_loss.map(|message| SessionEvent::Lost { message }));
            events.for_each(|event| emitter.emit(Event::Session(event)));
        }
    }

    /// Writes what is left and ends the thread; what is changed afterwards is in memory only. It blocks.
    pub(crate) fn close(&self) {
        self.flush();
        let writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        writer.into_iter().for_each(Writer::finish);
    }

    fn cleanup(&self) -> Cleanup {
        self.change(|table, now| table.cleanup(now))
    }

    fn events_of(&self, cleanup: Cleanup) -> impl Iterator<Item = SessionEvent> {
        let Cleanup { expired, remaining, warns } = cleanup;
        let SessionSettings { max_sessions, strict, .. } = self.0.settings;
        let pruned = (expired > 0).then_some(SessionEvent::Pruned { count: expired, remaining });
        let accumulating = max_sessions.filter(|_| warns).map(|max| SessionEvent::Accumulating {
            current: remaining,
            max,
            is_full: remaining >= max,
            strict,
        });
        pruned.into_iter().chain(accumulating)
    }

    fn read(&self, id: &str) -> Result<(Checked, Revision)> {
        let read = |table: &mut Table, now| table.peek(id, now).map(|(checked, revision)| (checked.clone(), revision));
        self.change(read).ok_or_else(|| not_found(id))
    }

    /// One look at the table, and a word to the writer if something is to be written. The time is read while nobody else has the
    /// table, so that it never goes back.
    fn change<T>(&self, change: impl FnOnce(&mut Table, Now) -> T) -> T {
        let (outcome, wants_writer, news) = {
            let mut table = store::locked(&self.0.table);
            (change(&mut table, now()), table.wants_writer(), table.take_news())
        };
        self.tell(news);
        if wants_writer {
            self.wake();
        }
        outcome
    }

    fn tell(&self, news: Vec<News>) {
        self.tell_ends(&news);
        let told = self.0.emitter.iter().flat_map(|emitter| news.iter().map(move |news| (emitter, news)));
        told.for_each(|(emitter, news)| emitter.emit_with(news.kind(), || Event::Session(news.event())));
    }

    fn tell_ends(&self, news: &[News]) {
        if news.iter().all(|news| news.ended().is_none()) {
            return;
        }
        let told = self.0.at_ends.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        news.iter().filter_map(News::ended).for_each(|id| told.iter().for_each(|tell| tell(id)));
    }

    fn wake(&self) {
        self.with_writer(|writer| writer.write(()));
    }

    fn write_loss(&self) -> Option<String> {
        let loss = self.with_writer(Writer::loss).flatten();
        loss.map(|why| format!("sessions could not be written, and will be tried again: {why}"))
    }

    fn with_writer<T>(&self, act: impl FnOnce(&Writer<()>) -> T) -> Option<T> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(act)
    }
}

/// Nanoseconds since 1970, modulo 2^64.
fn birth(session: &Session) -> u64 {
    let age = session.created_at.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    age.as_nanos() as u64
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            writer.write(());
            writer.finish();
        }
    }
}

fn now() -> Now {
    Now { instant: Instant::now(), wall: SystemTime::now() }
}

fn not_found(id: &str) -> Error {
    let id = id.char_indices().nth(256).map_or(id, |(end, _)| &id[..end]);
    refused(id, ErrorKind::NotFound, "session_not_found", "no such session, or its time is over")
}

fn no_room(id: &str, full: Full) -> Error {
    let Full { current, max } = full;
    let reason = "session_quota_exceeded";
    let what = format!("{current} sessions are there, and there may be {max}; delete some, or raise `max_sessions`");
    let details = json!({ "session": id, "reason": reason, "current": current, "max": max });
    refused(id, ErrorKind::Limit, reason, what).with_details(details)
}

/// What somebody else's function returns, or what it said when it panicked. It had a copy only.
fn contained<T>(id: &str, act: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let what = format!("update it: the function panicked: {}", message_of(panic.as_ref()));
        refused(id, ErrorKind::Internal, "update_failed", what)
    })
}

/// The error of a function that changes a session, with a reason unless it has details of its own.
fn attributed(error: Error, id: &str) -> Error {
    let has_details = error.details().is_some();
    let error = error.context(format_args!("update session `{id}`"));
    if has_details { error } else { error.with_details(json!({ "session": id, "reason": "update_failed" })) }
}

#[cfg(test)]
mod tests;
