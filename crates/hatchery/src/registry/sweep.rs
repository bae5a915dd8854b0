//! Finds what dead runs have left, and ends it. What may be ended is decided in [`verdict`]; here it is carried out.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::kept;
use super::record::{LOCK, RUNS, Record, Unreadable, pid_namespace, this_boot};
use super::report::{Health, ProcessClass, SweepDetail, SweepOptions, SweepReport, SystemStatus};
use super::store::Store;
use super::{EntryState, RuntimeBase, Statistics, registry_entries, unix_seconds};
use crate::error::{Error, ErrorKind, Result};
use crate::id::RunId;
use crate::process::{
    ADOPTED, Census, Ending, Mark, Proof, Remembered, Sighting, Standing, end_marked, obstacles, remove_groups_of,
};
use crate::storage::{Folder, is_free};
use verdict::{Facts, Verdict, judge};

mod cgroup;
mod verdict;

/// In a run's folder: when its processes were first seen as orphans.
const FIRST_SEEN: &str = "orphaned";
/// Keeper and guardian of a dead supervisor are given so long to do their work: half a second is theirs by design.
const GUARD_PATIENCE: Duration = Duration::from_secs(2);
/// How long SIGKILL may take.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// How long another program's sweep is waited for.
const TURN_PATIENCE: Duration = Duration::from_secs(15);
/// A run's folder that is not born after this time never will be.
const STILLBORN_AFTER: Duration = Duration::from_secs(3600);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Looks for processes of dead runs, and ends them if asked to. Works with or without a running supervisor, from the records
/// alone. Blocks: a few milliseconds to look; to end, at most some seconds, if a process does not die.
///
/// Ended is only what carries the exact mark of a run whose owner is proven dead, on this boot, in this PID namespace. Where that
/// cannot be proven on this machine, the report says so and nothing is ended. Two that are asked the same at the same time do it once.
///
/// ```
/// use hatchery::{SweepOptions, orphans};
///
/// let report = orphans(&SweepOptions::new(std::env::temp_dir().join("no-hatchery-was-ever-here")))?;
/// assert_eq!((report.found, report.left()), (0, 0));
/// # Ok::<(), hatchery::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Validation`] if `options.run` is not the beginning of a run's id; [`ErrorKind::Unavailable`] if `/proc`
/// cannot be read.
pub fn orphans(options: &SweepOptions) -> Result<SweepReport> {
    static NOT_BEGUN: Mutex<Vec<Arc<Flight>>> = Mutex::new(Vec::new());
    static TURN: Mutex<()> = Mutex::new(());
    let flight = Flight::join(&mut locked(&NOT_BEGUN), options);
    let outcome = flight.outcome.get_or_init(|| {
        let _one_at_a_time = locked(&TURN);
        // Who comes from now on wants to know what is true later.
        locked(&NOT_BEGUN).retain(|other| !Arc::ptr_eq(other, &flight));
        sweep(options, &RuntimeBase::of_user())
    });
    outcome.clone()
}

/// How the instance is: what its registry holds, and what a sweep would find. Ends nothing.
///
/// # Errors
/// As for [`orphans`]. A registry that cannot be read is a note, and no good health.
pub fn system_status(options: &SweepOptions) -> Result<SystemStatus> {
    let mut report = orphans(&SweepOptions { kill: false, ..options.clone() })?;
    let registry = statistics(&options.data_dir).unwrap_or_else(|error| {
        report.errors += 1;
        report.notes.push(error.to_string());
        Statistics::default()
    });
    let ours = report.details.iter().filter(|detail| detail.class != ProcessClass::Foreign);
    Ok(SystemStatus {
        registry,
        processes: ours.count(),
        orphans: report.found,
        oldest_orphan: report.details.iter().filter_map(|detail| detail.first_seen).min(),
        health: if report.found + report.errors == 0 { Health::Healthy } else { Health::Degraded },
        notes: report.notes,
    })
}

/// A sweep that was asked for, and whoever waits for it.
struct Flight {
    options: SweepOptions,
    outcome: OnceLock<Result<SweepReport>>,
}

impl Flight {
    fn join(waiting: &mut Vec<Arc<Flight>>, options: &SweepOptions) -> Arc<Flight> {
        let same = waiting.iter().find(|flight| flight.options == *options).map(Arc::clone);
        same.unwrap_or_else(|| {
            let flight = Arc::new(Flight { options: options.clone(), outcome: OnceLock::new() });
            waiting.push(Arc::clone(&flight));
            flight
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sweep(options: &SweepOptions, runtime: &RuntimeBase) -> Result<SweepReport> {
    if options.run.iter().any(|prefix| !prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))) {
        let message = format!("run {:?}: not the beginning of a run's id", options.run.as_deref().unwrap_or_default());
        return Err(Error::new(ErrorKind::Validation, message));
    }
    let mut sweep = Sweep { options, report: SweepReport::default(), may_end: options.kill };
    sweep.note_obstacles();
    let places = sweep.places(runtime);
    let _turns: Vec<File> = places.iter().filter_map(|place| sweep.turn(place)).collect();
    let mut runs: Vec<Run> = places.iter().flat_map(|place| sweep.runs(place)).collect();
    if let Some(prefix) = options.run.as_ref().filter(|_| runs.is_empty()) {
        sweep.report.notes.push(format!("no run here has an id that begins with {prefix}"));
    }
    let census = if sweep.may_end { wait_for_guards(&runs) } else { Census::take() };
    let failed = |error| Error::new(ErrorKind::Unavailable, format!("look for processes in /proc: {error}"));
    let census = census.map_err(failed)?;
    if census.unreadable > 0 {
        sweep.report.notes.push(format!("{} processes do not let us see what they carry", census.unreadable));
    }
    for run in &mut runs {
        sweep.attend(run, &census);
    }
    sweep.note_strangers(&runs, &census);
    for place in &places {
        sweep.remove_stillborn(place);
    }
    Ok(sweep.conclude(&runs))
}

/// The folder `runs` of a place.
type Place = Folder;

/// A run that has a folder.
struct Run {
    id: RunId,
    runs: Arc<Place>,
    folder: Folder,
    mark: Mark,
    /// What can be relied on.
    record: Option<Record>,
    verdict: Verdict,
    /// Why it is so, in words about its owner.
    evidence: String,
    /// Nobody can read its record, and nobody holds its lock.
    is_ruin: bool,
    is_over: bool,
}

impl Run {
    fn is_dead(&self) -> bool {
        matches!(self.verdict, Verdict::Dead(_))
    }

    /// Whether a ruin can go: whatever its record said, it was about processes that carried the run's mark, in whatever
    /// hatchery's worker its supervisor was.
    fn is_abandoned(&self, census: &Census) -> bool {
        self.is_ruin && !census.marked.iter().any(|sighting| sighting.worn.mark.is_of(self.id))
    }

    fn is_spared(&self, worker: u32) -> bool {
        worker == ADOPTED || self.record.as_ref().is_some_and(|record| record.spared.contains(&worker))
    }

    fn class(&self, worker: u32) -> ProcessClass {
        match self.verdict {
            Verdict::Active(_) => ProcessClass::Active,
            Verdict::Dead(_) if self.is_spared(worker) => ProcessClass::Active,
            Verdict::Dead(_) => ProcessClass::Orphan,
            Verdict::Foreign(_) => ProcessClass::Foreign,
            Verdict::Unknown(_) | Verdict::OtherBoot => ProcessClass::Unknown,
        }
    }

    fn worker(&self, number: u32) -> String {
        let name =
            self.record.as_ref().and_then(|record| record.workers.get(&number)).map(|known| known.worker.clone());
        match number {
            0 => "guardian".to_owned(),
            _ => name.unwrap_or_else(|| format!("#{number}")),
        }
    }

    /// When its processes were first seen as orphans; now, if they were not.
    fn first_seen(&self) -> u64 {
        let read = || {
            let mut text = String::new();
            self.folder.read(FIRST_SEEN).ok()?.take(32).read_to_string(&mut text).ok()?;
            text.trim().parse().ok()
        };
        read().unwrap_or_else(|| {
            let now = unix_seconds();
            let _told_again_next_time =
                self.folder.create(FIRST_SEEN).map(|mut file| file.write_all(now.to_string().as_bytes()));
            now
        })
    }

    fn detail(&self, sighting: &Sighting, first_seen: Option<u64>) -> SweepDetail {
        let worker = sighting.worn.worker;
        let class = self.class(worker);
        let evidence = match class {
            ProcessClass::Active if self.is_dead() => "its run let it live on".to_owned(),
            _ => format!("carries the mark of run {}; {}", self.id.short(), self.evidence),
        };
        SweepDetail {
            pid: sighting.pid.get().unsigned_abs(),
            class,
            run: Some(self.id),
            worker: Some(self.worker(worker)),
            evidence,
            command: sighting.command(),
            first_seen: first_seen.filter(|_| class == ProcessClass::Orphan),
            ended: false,
        }
    }
}

struct Sweep<'a> {
    options: &'a SweepOptions,
    report: SweepReport,
    may_end: bool,
}

impl Sweep<'_> {
    fn note_obstacles(&mut self) {
        for obstacle in obstacles() {
            self.may_end &= !obstacle.is_blocking;
            self.report.notes.push(obstacle.what.to_owned());
        }
    }

    fn note_error(&mut self, what: String) {
        self.report.errors += 1;
        self.report.notes.push(what);
    }

    /// Where records of this instance may be.
    fn places(&mut self, runtime: &RuntimeBase) -> Vec<Arc<Place>> {
        let data = Folder::base(&self.options.data_dir);
        let mut places: Vec<Arc<Place>> = Vec::new();
        for folder in [data, runtime.folder(&self.options.instance)] {
            match folder.and_then(|folder| folder.folder(RUNS)) {
                // The data dir may be the runtime dir.
                Ok(place) if places.iter().any(|known| known.path() == place.path()) => {}
                Ok(place) => places.push(Arc::new(place)),
                Err(refusal) if refusal.is_missing() => {}
                Err(refusal) => self.note_error(refusal.to_string()),
            }
        }
        places
    }

    /// The right to end what the runs of a place have left. Nothing is ended anywhere without it.
    fn turn(&mut self, place: &Place) -> Option<File> {
        if !self.may_end {
            return None;
        }
        let end = Instant::now() + TURN_PATIENCE;
        loop {
            match place.lock() {
                Ok(Some(lock)) => return Some(lock),
                Ok(None) if Instant::now() < end => std::thread::sleep(LOOK_AGAIN),
                outcome => {
                    self.may_end = false;
                    let why =
                        outcome.err().map_or_else(|| "another sweep does not end".to_owned(), |why| why.to_string());
                    self.note_error(format!("nothing is ended: lock {}: {why}", place.path().display()));
                    return None;
                }
            }
        }
    }

    fn runs(&mut self, place: &Arc<Place>) -> Vec<Run> {
        let names = place.names().unwrap_or_else(|refusal| {
            self.note_error(refusal.to_string());
            Vec::new()
        });
        let prefix = self.options.run.as_deref().unwrap_or_default();
        let ids = names.iter().filter(|name| name.starts_with(prefix)).filter_map(|name| RunId::parse(name));
        ids.filter_map(|id| self.run(place, id)).collect()
    }

    fn run(&mut self, place: &Arc<Place>, id: RunId) -> Option<Run> {
        let name = id.to_string();
        let folder = match place.folder(&name) {
            Ok(folder) => folder,
            Err(refusal) if refusal.is_missing() => return None,
            Err(refusal) => {
                self.note_error(refusal.to_string());
                return None;
            }
        };
        let (runs, is_ruin, is_over) = (Arc::clone(place), false, false);
        match Record::read(&folder, id) {
            Ok(record) => {
                let verdict = self.verdict(&record, &folder);
                let evidence = evidence(&record, verdict);
                let mark = record.header.mark;
                Some(Run { id, runs, folder, mark, record: Some(record), verdict, evidence, is_ruin, is_over })
            }
            // It ended meanwhile.
            Err(Unreadable::Refused(refusal)) if refusal.is_missing() && place.folder(&name).is_err() => None,
            Err(why) => {
                self.note_error(format!("the record of run {} cannot be relied on: {why}", id.short()));
                let verdict = Verdict::Unknown("has a record that cannot be relied on");
                let (mark, evidence) = (Mark::of_run(id, None), format!("its record cannot be relied on: {why}"));
                let is_ruin = why.is_damage() && !is_held(&folder);
                Some(Run { id, runs, folder, mark, record: None, verdict, evidence, is_ruin, is_over })
            }
        }
    }

    fn verdict(&self, record: &Record, folder: &Folder) -> Verdict {
        let boot = this_boot();
        let facts = Facts {
            instance: &self.options.instance,
            boot: boot.as_deref(),
            pid_namespace: pid_namespace(),
            // The lock first: an owner that dies in between has let go of it by then or later, never before.
            lock_is_free: folder.read(LOCK).is_ok_and(|file| is_free(&file)),
            owner: record.owner().standing(),
        };
        judge(&record.header, &facts)
    }

    /// Reports the processes of a run, and ends them if they are orphans and may be ended.
    fn attend(&mut self, run: &mut Run, census: &Census) {
        let seen: Vec<&Sighting> = census.of(run.mark).collect();
        let has_orphans = run.is_dead() && seen.iter().any(|sighting| !run.is_spared(sighting.worn.worker));
        let first_seen = has_orphans.then(|| run.first_seen());
        let mut details: Vec<SweepDetail> = seen.iter().map(|sighting| run.detail(sighting, first_seen)).collect();
        details.extend(unmarked(run, &seen));
        if self.may_end {
            match run.verdict {
                Verdict::Dead(_) => self.end(run, &mut details, census, first_seen),
                Verdict::OtherBoot => run.is_over = !kept::is_uncollected(&run.folder),
                _ => run.is_over = run.is_abandoned(census),
            }
        }
        if run.is_ruin && run.is_over {
            let id = run.id.short();
            self.report
                .notes
                .push(format!("the record of run {id} is removed: nobody holds it, nothing carries its mark"));
        }
        self.report.details.extend(details);
    }

    fn end(&mut self, run: &mut Run, details: &mut Vec<SweepDetail>, census: &Census, first_seen: Option<u64>) {
        // A spared process may be in one of them.
        let record = run.record.as_ref().filter(|record| record.spared.is_empty());
        let mut folders_are_gone = true;
        for folder in record.iter().flat_map(|record| &record.cgroups) {
            if let Err(why) = cgroup::end(Path::new(folder), run.id, run.mark, census) {
                folders_are_gone &= !why.may_hold_ours();
                self.note_error(format!("a folder of run {} is left alone: {why}", run.id.short()));
            }
        }
        let Ending { ended, left } = match end_marked(run.mark, KILL_PATIENCE, |seen| run.is_spared(seen.worn.worker)) {
            Ok(ending) => ending,
            Err(error) => return self.note_error(format!("end run {}: look in /proc: {error}", run.id.short())),
        };
        // Born since we looked.
        let is_new = |sighting: &&Sighting| !details.iter().any(|known| known.pid == sighting.pid.get().unsigned_abs());
        let latecomers: Vec<_> = ended.iter().filter(is_new).map(|late| run.detail(late, first_seen)).collect();
        details.extend(latecomers);
        let is_left = |pid: u32| left.iter().any(|(sighting, _)| sighting.pid.get().unsigned_abs() == pid);
        for detail in details.iter_mut().filter(|detail| detail.class == ProcessClass::Orphan) {
            detail.ended = !is_left(detail.pid);
        }
        for (sighting, why) in &left {
            let why = why.map_or_else(|| "the kernel holds it".to_owned(), |why| why.to_string());
            self.note_error(format!("process {} of run {} is still there: {why}", sighting.pid, run.id.short()));
        }
        // What is in a folder that is left alone may have lost its mark: the record is all that knows of it.
        run.is_over = folders_are_gone && left.is_empty() && details.iter().all(|detail| detail.ended);
        if run.is_over {
            remove_groups_of(run.id);
            run.is_over = !kept::is_uncollected(&run.folder);
        }
    }

    /// What carries a mark that no record here explains.
    fn note_strangers(&mut self, runs: &[Run], census: &Census) {
        if self.options.run.is_some() {
            return;
        }
        let strangers = census.marked.iter().filter(|sighting| runs.iter().all(|run| run.mark != sighting.worn.mark));
        self.report.details.extend(strangers.map(|sighting| SweepDetail {
            pid: sighting.pid.get().unsigned_abs(),
            class: ProcessClass::Foreign,
            run: None,
            worker: None,
            evidence: "carries the mark of a run that has no record here".to_owned(),
            command: sighting.command(),
            first_seen: None,
            ended: false,
        }));
    }

    /// Folders of owners that died before the record was whole: they had no process yet.
    fn remove_stillborn(&mut self, place: &Place) {
        let names = place.names().unwrap_or_default();
        for name in names.iter().filter(|name| name.strip_prefix('.').is_some_and(|id| RunId::parse(id).is_some())) {
            let changed = std::fs::symlink_metadata(place.path().join(name)).and_then(|found| found.modified());
            let age = changed.ok().and_then(|changed| SystemTime::now().duration_since(changed).ok());
            if self.may_end && age.is_some_and(|age| age > STILLBORN_AFTER) {
                let _stays_for_the_next = place.remove(name);
            }
        }
    }

    /// Counts, and removes what is over.
    fn conclude(mut self, runs: &[Run]) -> SweepReport {
        for run in runs.iter().filter(|run| run.is_over) {
            if let Err(refusal) = run.runs.remove(&run.id.to_string()) {
                self.note_error(refusal.to_string());
            }
        }
        // A run that the filter hides would look as if it had no record.
        if self.options.run.is_none() && runs.iter().any(|run| run.is_over) {
            tidy_index(&self.options.data_dir, runs);
        }
        let report = &mut self.report;
        let is_orphan = |detail: &&SweepDetail| detail.class == ProcessClass::Orphan;
        report.found = report.details.iter().filter(is_orphan).count();
        report.terminated = report.details.iter().filter(|detail| detail.ended).count();
        report.preserved = report.details.len() - report.found;
        self.report
    }
}

/// Whether the owner lives, or what it forked: a lock that is missing is held by nobody.
fn is_held(folder: &Folder) -> bool {
    match folder.read(LOCK) {
        Ok(lock) => !is_free(&lock),
        Err(refusal) => !refusal.is_missing(),
    }
}

fn evidence(record: &Record, verdict: Verdict) -> String {
    let owner = record.owner().number();
    match verdict {
        Verdict::Active(why) | Verdict::Dead(why) | Verdict::Unknown(why) => format!("its owner {owner} {why}"),
        Verdict::Foreign(why) => format!("the run {why} ({})", record.header.instance.folder()),
        Verdict::OtherBoot => "the run is of another boot".to_owned(),
    }
}

/// Processes that the record of a dead or living run names and that live, by their identity, but carry no mark: it could
/// not be set, or they have taken it off. Never ended: the mark is what says that they are still what they were.
fn unmarked(run: &Run, seen: &[&Sighting]) -> Vec<SweepDetail> {
    let Some(record) = run.record.as_ref().filter(|_| matches!(run.verdict, Verdict::Active(_) | Verdict::Dead(_)))
    else {
        return Vec::new();
    };
    let class = if run.is_dead() { ProcessClass::Unknown } else { ProcessClass::Active };
    let started = record.workers.iter().filter_map(|(&number, known)| Some((number, known.started.as_ref()?)));
    let is_seen = |identity: &Remembered| seen.iter().any(|sighting| sighting.pid.get() == identity.number());
    let alive = started.filter(|(_, (identity, _))| !is_seen(identity) && identity.standing() == Standing::Alive);
    alive
        .map(|(number, (identity, command))| SweepDetail {
            pid: identity.number().unsigned_abs(),
            class,
            run: Some(run.id),
            worker: Some(run.worker(number)),
            evidence: format!("is recorded by run {}, but carries no mark; {}", run.id.short(), run.evidence),
            command: command.clone(),
            first_seen: None,
            ended: false,
        })
        .collect()
}

/// A pass over `/proc` after the keepers and guardians of dead runs had their chance: they do this better than we do.
fn wait_for_guards(runs: &[Run]) -> std::io::Result<Census> {
    let dead: Vec<Mark> = runs.iter().filter(|run| run.is_dead()).map(|run| run.mark).collect();
    let end = Instant::now() + GUARD_PATIENCE;
    loop {
        let census = Census::take()?;
        let is_guard = |sighting: &Sighting| sighting.worn.worker == 0 && dead.contains(&sighting.worn.mark);
        if !census.marked.iter().any(is_guard) || Instant::now() >= end {
            return Ok(census);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// The index forgets what is over, and runs of dead owners that have no record any more. If it cannot, it tells too much for
/// a while.
fn tidy_index(data_dir: &Path, runs: &[Run]) {
    let Ok(mut opened) = Store::open(data_dir) else { return };
    let is_over = |id: RunId, owner: &str| match runs.iter().find(|run| run.id == id) {
        Some(run) => run.is_over,
        None => owner.parse().is_ok_and(|owner: Remembered| owner.standing() == Standing::Dead(Proof::Kernel)),
    };
    for (id, owner) in opened.store.runs().unwrap_or_default() {
        if is_over(id, &owner) {
            let _tells_too_much = opened.store.forget(id);
        }
    }
}

/// Of all runs, as the index has them.
fn statistics(data_dir: &Path) -> Result<Statistics> {
    let mut statistics = Statistics::default();
    for entry in registry_entries(data_dir)?.iter().filter(|entry| entry.state != EntryState::Gone) {
        statistics.registered += 1;
        let identity = entry.identity.as_ref().and_then(|text| text.parse::<Remembered>().ok());
        match identity.map(|identity| identity.standing()) {
            None => {}
            Some(Standing::Dead(_)) => statistics.dead += 1,
            Some(Standing::Alive | Standing::Unsure) => {
                statistics.alive += 1;
                statistics.active_pids.extend(entry.pid.filter(|_| entry.state == EntryState::Active));
            }
        }
    }
    Ok(statistics)
}

#[cfg(test)]
mod tests;
