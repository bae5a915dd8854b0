//! The durable record of every process that a run has started, and the sweep that ends what dead runs have left.
//!
//! ```text
//! let seat  = registry.reserve(worker, pool)?;    // on disk before the process exists
//! let child = guardian.spawn(seat.number(), …)?;  // failed? `seat` is dropped, and with it the entry
//! let entry = seat.activate(started);             // from here on only a seen death removes it
//! entry.terminating();                            // the ladder begins
//! entry.release();                                // nothing is left of it
//! registry.close();                               // nothing is left of the run: its record goes
//! ```
//!
//! Three places know of a process: the [`Roll`] in memory, which answers; the record, a file for each run, which a sweep
//! relies on; and SQLite, which anybody may query and nobody relies on.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::id::{RunId, WorkerId};
use crate::process::{
    ADOPTED, Census, Identity, MAX_WORKER, Mark, Remembered, Sighting, Standing, Worn, process_group,
};
use crate::storage::{DatabaseError, Folder, Refusal, is_free};
use entry::fingerprint;
use record::{Header, Line, OwnRecord, Record};
use roll::{Member, Roll};
use store::{Reader, Store, Writer, is_no_index};

mod entry;
mod instance;
mod kept;
mod record;
mod report;
mod roll;
mod seat;
mod store;
mod sweep;
mod view;

pub use entry::{EntryState, ProcessEntry, Wanted};
pub use instance::Instance;
pub(crate) use kept::{KeptRecord, NUMBER as KEPT_NUMBER, Standing as KeptStanding};
pub use record::RecordPlace;
pub(crate) use record::RuntimeBase;
pub use report::{Health, ProcessClass, SweepDetail, SweepOptions, SweepReport, SystemStatus};
pub(crate) use seat::{Entry, Reservation, Started};
pub use sweep::{orphans, system_status};
pub use view::RunRegistry;

/// What a registry is for, and where it lies.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) instance: Instance,
    pub(crate) data_dir: PathBuf,
    /// Where the record goes if the data dir cannot be written.
    pub(crate) runtime: RuntimeBase,
    /// Refuse to begin a run that cannot be written down.
    pub(crate) require: bool,
}

/// The processes of one run. Cheap to clone; every clone is the same registry.
#[derive(Clone, Debug)]
pub(crate) struct Registry(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    header: Header,
    roll: Mutex<Roll>,
    record: Mutex<Option<OwnRecord>>,
    index: Mutex<Option<Writer>>,
    /// What was lost or set aside when the run began.
    notes: Vec<String>,
    last_number: AtomicU32,
}

/// How many processes a registry holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// Entries, whatever their state.
    pub registered: usize,
    /// Those whose process runs.
    pub alive: usize,
    /// Those whose process has ended without being released.
    pub dead: usize,
    /// The pids of those that are started and not being ended.
    pub active_pids: Vec<u32>,
}

impl Registry {
    /// Begins a run: its record is on disk when this returns, before any process of it exists.
    ///
    /// # Errors
    /// Only if `options.require` is set and something cannot be written; else [`losses`](Registry::losses) says what.
    pub(crate) fn open(run: RunId, options: &Options) -> Result<Registry> {
        let outer = Worn::by_this_process().map(|worn| worn.mark);
        let header = Header::of_this_process(run, options.instance.clone(), Mark::of_run(run, outer));
        let record = OwnRecord::begin(header.clone(), &options.data_dir, &options.runtime);
        let (index, notes) = match open_index(&options.data_dir) {
            Ok((index, set_aside)) => (Some(index), set_aside.into_iter().collect()),
            Err(error) => (None, vec![format!("the registry is in memory only: {error}")]),
        };
        let lost = record.place().because().map(str::to_owned);
        let lost = lost.or_else(|| notes.first().filter(|_| index.is_none()).cloned());
        if let Some(because) = lost.filter(|_| options.require) {
            record.close();
            let message =
                format!("begin run {}: the registry is required, and cannot be written: {because}", run.short());
            return Err(Error::new(ErrorKind::Validation, message));
        }
        Ok(Registry(Arc::new(Shared {
            header,
            roll: Mutex::default(),
            record: Mutex::new(Some(record)),
            index: Mutex::new(index),
            notes,
            last_number: AtomicU32::new(0),
        })))
    }

    pub(crate) fn run(&self) -> RunId {
        self.0.header.run
    }

    /// What every process of the run carries.
    pub(crate) fn mark(&self) -> Mark {
        self.0.header.mark
    }

    /// Where the record is; `None` after [`close`](Registry::close).
    pub(crate) fn place(&self) -> Option<RecordPlace> {
        self.0.record().as_ref().map(|record| record.place().clone())
    }

    /// What cannot be written down, and what was set aside, in sentences. Empty: all is well.
    pub(crate) fn losses(&self) -> Vec<String> {
        let record = self.0.record().as_ref().and_then(OwnRecord::loss);
        let index = self.0.index().as_ref().and_then(Writer::loss);
        let index = index.map(|why| format!("the registry's file is not up to date: {why}"));
        self.0.notes.iter().cloned().chain(record).chain(index).collect()
    }

    /// A folder of the run in cgroup v2, before anything is in it.
    pub(crate) fn note_cgroup(&self, folder: &Path) {
        // A path that is no text names no folder that we made.
        folder.to_str().into_iter().for_each(|folder| self.0.write_down(Line::Cgroup(folder.to_owned())));
    }

    /// The keeper, or a guardian, as soon as its pidfd is there.
    pub(crate) fn note_guard(&self, guard: Identity) {
        self.0.write_down(Line::Guard(guard.remembered()));
    }

    /// Takes a number for a process that is about to be started.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] after four million.
    pub(crate) fn reserve(&self, worker: &WorkerId, pool: &str) -> Result<Reservation> {
        let next = |last: u32| (last < MAX_WORKER).then_some(last + 1);
        let taken = self.0.last_number.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let number = taken.map(|last| last + 1).map_err(|_all| {
            let message = format!("start worker {worker}: this run has started {MAX_WORKER} processes; restart it");
            Error::new(ErrorKind::Limit, message)
        })?;
        let (worker, pool) = (worker.as_str().to_owned(), pool.to_owned());
        self.0.write_down(Line::Reserved { number, worker: worker.clone(), pool: pool.clone() });
        self.0.enter(entry_of(&self.0.header, number, worker, pool));
        Ok(Reservation::new(Arc::clone(&self.0), number))
    }

    /// Ends the bookkeeping. If every entry was released, and nothing carries the mark of a worker, record and index forget
    /// the run; else both stay, for a sweep, and the entries that are left are returned. Blocks: it looks through `/proc`.
    pub(crate) fn close(&self) -> Vec<Arc<ProcessEntry>> {
        // Whoever still holds one of them is late: nothing is started any more.
        self.release_those(|member| member.identity.is_none() || member.is_dead());
        let left = self.entries();
        let (record, index) = (self.0.record().take(), self.0.index().take());
        if left.is_empty() && self.strays().is_empty() {
            index.iter().for_each(|index| index.forget(self.run()));
            record.into_iter().for_each(OwnRecord::close);
        }
        if self.0.is_in_owner() {
            index.into_iter().for_each(Writer::finish);
        }
        left
    }
}

impl Registry {
    /// Live processes that carry the mark of a worker: not the run's guards, which leave last, and not what may outlive it.
    /// Where `/proc` cannot be read, the entries alone have to do.
    pub(crate) fn strays(&self) -> Vec<Sighting> {
        let is_worker_s = |sighting: &&Sighting| !matches!(sighting.worn.worker, 0 | ADOPTED);
        let of_run = |census: Census| census.of(self.mark()).filter(is_worker_s).cloned().collect();
        Census::take().map_or_else(|_| Vec::new(), of_run)
    }
}

/// Queries. All are answered from memory.
impl Registry {
    /// The newest process of a worker.
    pub(crate) fn by_worker(&self, worker: &str) -> Option<Arc<ProcessEntry>> {
        self.0.roll().by_worker(worker)
    }

    pub(crate) fn by_pid(&self, pid: u32) -> Option<Arc<ProcessEntry>> {
        self.0.roll().by_pid(pid)
    }

    pub(crate) fn by_fingerprint(&self, fingerprint: &str) -> Option<Arc<ProcessEntry>> {
        let (run, number) = fingerprint.split_once(':')?;
        (run == self.run().short()).then(|| self.0.roll().entry(number.parse().ok()?))?
    }

    /// Whether the process of an entry carries the entry's fingerprint, by its mark; `None` if that cannot be told.
    pub(crate) fn is_proven(&self, number: u32) -> Option<bool> {
        let identity = self.0.roll().by_number(number)?.identity?;
        let worn = Worn::by(identity.pid()).ok()?;
        let expected = Worn { mark: self.mark(), worker: number };
        (identity.standing() == Standing::Alive).then_some(worn == Some(expected))
    }

    /// In the order of their reservation.
    pub(crate) fn entries(&self) -> Vec<Arc<ProcessEntry>> {
        self.0.roll().members().into_iter().map(|member| member.entry).collect()
    }

    /// Of every process that was started and is not known to be gone.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.0.roll().pids(|_| true)
    }

    /// Of those that are not being ended.
    pub(crate) fn active_pids(&self) -> Vec<u32> {
        self.0.roll().pids(|state| state == EntryState::Active)
    }

    /// Those whose process runs, or is held by the kernel. Asks the kernel about each.
    pub(crate) fn living(&self) -> Vec<Arc<ProcessEntry>> {
        let members = self.0.roll().members();
        let started = members.into_iter().filter(|member| member.identity.is_some());
        started.filter(|member| !member.is_dead()).map(|member| member.entry).collect()
    }

    /// Those whose process has ended. Asks the kernel about each.
    pub(crate) fn dead(&self) -> Vec<Arc<ProcessEntry>> {
        let members = self.0.roll().members();
        members.into_iter().filter(Member::is_dead).map(|member| member.entry).collect()
    }

    /// Removes those that have ended and that nobody will release any more. How many.
    pub(crate) fn release_dead(&self) -> usize {
        self.release_those(|member| !member.is_held && member.is_dead())
    }

    fn release_those(&self, wanted: impl Fn(&Member) -> bool) -> usize {
        let members = self.0.roll().members();
        let over: Vec<_> = members.into_iter().filter(wanted).collect();
        over.iter().for_each(|member| self.0.release(member.entry.number));
        over.len()
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let members = self.0.roll().members();
        let started = members.iter().filter(|member| member.identity.is_some()).count();
        let dead = members.iter().filter(|member| member.is_dead()).count();
        Statistics { registered: members.len(), alive: started - dead, dead, active_pids: self.active_pids() }
    }

    /// For a process that became the leader of another group after its start. Only if `pid` is still the entry's: the
    /// word may come late, about a predecessor. Whether it was.
    pub(crate) fn update_process_group(&self, number: u32, pid: u32, group: u32) -> bool {
        let entry = self.0.roll().entry(number).filter(|entry| entry.pid == Some(pid));
        if entry.as_ref().is_some_and(|entry| entry.process_group == Some(group)) {
            return true;
        }
        entry.is_some() && self.0.change(number, |entry| entry.process_group = Some(group))
    }

    /// Looks at the group of every process that runs: it may have become the leader of another one since its start.
    pub(crate) fn update_process_groups(&self) {
        let members = self.0.roll().members();
        for member in members {
            let Some(identity) = member.identity else { continue };
            let Some(group) = process_group(identity.pid().get()) else { continue };
            // Only then was the answer about this process.
            if identity.standing() == Standing::Alive {
                let (number, pid) = (member.entry.number, identity.pid().get().unsigned_abs());
                self.update_process_group(number, pid, group.unsigned_abs());
            }
        }
    }

    /// Waits until the file has everything that was said so far.
    pub(crate) fn flush(&self) {
        self.0.index().iter().for_each(Writer::flush);
    }
}

impl Member {
    fn is_dead(&self) -> bool {
        self.identity.is_some_and(|identity| matches!(identity.standing(), Standing::Dead(_)))
    }
}

impl Shared {
    fn enter(&self, entry: ProcessEntry) {
        let entry = Arc::new(entry);
        self.roll().insert(Member { entry: Arc::clone(&entry), identity: None, is_held: true });
        self.publish(entry);
    }

    /// Whether there is such an entry.
    fn change(&self, number: u32, change: impl FnOnce(&mut ProcessEntry)) -> bool {
        let changed = self.roll().change(number, change);
        let is_there = changed.is_some();
        changed.into_iter().for_each(|entry| self.publish(entry));
        is_there
    }

    fn release(&self, number: u32) {
        let removed = self.roll().remove(number);
        if let Some(mut entry) = removed {
            self.write_down(Line::Gone { number });
            let gone = Arc::make_mut(&mut entry);
            (gone.state, gone.gone_at) = (EntryState::Gone, Some(unix_millis()));
            self.publish(entry);
        }
    }

    fn publish(&self, entry: Arc<ProcessEntry>) {
        self.index().iter().for_each(|index| index.put(Arc::clone(&entry)));
    }

    fn write_down(&self, line: Line) {
        self.record().iter_mut().for_each(|record| record.add(line.clone()));
    }

    /// A host that forks copies this registry, but the run stays the original's.
    fn is_in_owner(&self) -> bool {
        self.header.owner.number().unsigned_abs() == std::process::id()
    }

    // Each lock guards a value that no panic can leave half changed, and none is held while another is taken.

    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> MutexGuard<'_, Option<OwnRecord>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> MutexGuard<'_, Option<Writer>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every process that is written down in a data dir, of all runs, in the order of their reservation: what the index has, and
/// of runs that it does not have what their records say. Works while supervisors run, and if none does; and from the records
/// alone, if the index is damaged.
///
/// ```
/// let folder = std::env::temp_dir().join("no-hatchery-was-ever-here");
/// assert!(hatchery::registry_entries(&folder)?.is_empty());
/// # Ok::<(), hatchery::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Unavailable`] if the index or the records are there and cannot be read.
pub fn registry_entries(data_dir: &Path) -> Result<Vec<ProcessEntry>> {
    let failed = |why: DatabaseError| Error::new(ErrorKind::Unavailable, format!("read the registry: {why}"));
    let mut entries = indexed(data_dir, &Wanted::All).map_err(failed)?;
    let indexed: HashSet<RunId> = entries.iter().map(|entry| entry.run).collect();
    let recorded = recorded(data_dir).map_err(|refusal| failed(refusal.into()))?;
    entries.extend(recorded.into_iter().filter(|entry| !indexed.contains(&entry.run)));
    entries.sort_by_key(|entry| (entry.reserved_at, entry.run, entry.number));
    Ok(entries.into_iter().map(ProcessEntry::seen).collect())
}

/// Those of [`registry_entries`] that are wanted: by the index's own indexes, so that it takes some 30 µs however many there are.
/// Only what the index does not know is looked for in the records.
///
/// ```
/// use hatchery::{Wanted, registry_lookup};
///
/// let folder = std::env::temp_dir().join("no-hatchery-was-ever-here");
/// assert!(registry_lookup(&folder, &Wanted::Pid(4711))?.is_empty());
/// # Ok::<(), hatchery::Error>(())
/// ```
///
/// # Errors
/// As for [`registry_entries`].
pub fn registry_lookup(data_dir: &Path, wanted: &Wanted) -> Result<Vec<ProcessEntry>> {
    let found = indexed(data_dir, wanted);
    let found = found.map_err(|why| Error::new(ErrorKind::Unavailable, format!("read the registry: {why}")))?;
    if found.is_empty() {
        return Ok(registry_entries(data_dir)?.into_iter().filter(|entry| wanted.fits(entry)).collect());
    }
    Ok(found.into_iter().map(ProcessEntry::seen).collect())
}

/// What the index says; nothing, if what is there is no index.
fn indexed(data_dir: &Path, wanted: &Wanted) -> Result<Vec<ProcessEntry>, DatabaseError> {
    let Some(reader) = Reader::open(data_dir)? else { return Ok(Vec::new()) };
    match reader.entries(wanted) {
        Err(error) if is_no_index(&error) => Ok(Vec::new()),
        read => read.map_err(|error| DatabaseError::Sqlite { path: data_dir.to_owned(), error }),
    }
}

/// The index, and a word about a file that could not be used. A new one is told what the records know.
fn open_index(data_dir: &Path) -> Result<(Writer, Option<String>), DatabaseError> {
    let store::Opened { mut store, is_new, set_aside } = Store::open(data_dir)?;
    if is_new {
        // The index is a convenience: what cannot be copied into it is still in the records.
        let _incomplete = store.put(&recorded(data_dir).unwrap_or_default());
    }
    let note = set_aside.map(|path| format!("the registry's file could not be used; it is kept as {}", path.display()));
    Ok((Writer::start(data_dir, store)?, note))
}

/// Whether the supervisor of a run is dead, or through with it. `owner` is what [`owner_now`] said there.
///
/// Whoever lives holds the lock of its record. Where there is no record, it was removed at the end, or never was in the data dir: then the
/// process is asked about.
pub(crate) fn is_over(data_dir: &Path, run: RunId, owner: &str) -> bool {
    let folder = Folder::base(data_dir).and_then(|base| base.folder(record::RUNS)?.folder(&run.to_string()));
    match folder.and_then(|folder| folder.read(record::LOCK)) {
        Ok(lock) => is_free(&lock),
        Err(_no_record) => {
            let owner = owner.parse::<Remembered>();
            owner.is_ok_and(|owner| matches!(owner.standing(), Standing::Dead(_)))
        }
    }
}

/// This process, in words that tell it from every other.
pub(crate) fn owner_now() -> String {
    Remembered::this_process().to_string()
}

/// What the records of a data dir say, as entries. One that cannot be relied on says nothing; a sweep tells of it.
fn recorded(data_dir: &Path) -> Result<Vec<ProcessEntry>, Refusal> {
    let runs = match Folder::base(data_dir).and_then(|base| base.folder(record::RUNS)) {
        Err(refusal) if refusal.is_missing() => return Ok(Vec::new()),
        runs => runs?,
    };
    let names = runs.names()?;
    let runs_of_ours = names.iter().filter_map(|name| Some((RunId::parse(name)?, runs.folder(name).ok()?)));
    let records = runs_of_ours.filter_map(|(run, folder)| Record::read(&folder, run).ok());
    Ok(records.flat_map(|record| entries_of(&record)).collect())
}

fn entries_of(record: &Record) -> Vec<ProcessEntry> {
    let entry = |(&number, known): (&u32, &record::RecordedWorker)| {
        let mut entry = entry_of(&record.header, number, known.worker.clone(), known.pool.clone());
        entry.reserved_at = record.header.started_at.saturating_mul(1000);
        if let Some((identity, command)) = &known.started {
            entry.state = EntryState::Active;
            entry.pid = Some(identity.number().unsigned_abs());
            (entry.identity, entry.command) = (Some(identity.to_string()), Some(command.clone()));
        }
        if let Some(keeper) = &record.keeper {
            (entry.owner_pid, entry.owner) = (keeper.number().unsigned_abs(), keeper.to_string());
        }
        entry
    };
    record.workers.iter().map(entry).collect()
}

/// As it is before its process is there.
fn entry_of(header: &Header, number: u32, worker: String, pool: String) -> ProcessEntry {
    ProcessEntry {
        run: header.run,
        number,
        worker,
        pool,
        state: EntryState::Reserved,
        pid: None,
        identity: None,
        process_group: None,
        cgroup: None,
        command: None,
        fingerprint: fingerprint(header.run, number),
        owner_pid: header.owner.number().unsigned_abs(),
        owner: header.owner.to_string(),
        reserved_at: unix_millis(),
        activated_at: None,
        terminating_at: None,
        gone_at: None,
    }
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Seconds since 1970, now.
fn unix_seconds() -> u64 {
    unix_millis() / 1000
}

#[cfg(test)]
mod tests;
