//! The record of a run that outlives its supervisor: of one process, whose keeper is its owner.
//!
//! Until [`KeptRecord::hand_over`] it is a record like others. From then on nobody writes to it but the guardian, which puts down in `exit` how
//! the process ended while nobody was there. It stays until somebody has read that.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::record::{Header, Line, OwnRecord, RUNS, Record, Unreadable, pid_namespace, this_boot};
use super::{Instance, RuntimeBase};
use crate::error::{Error, ErrorKind, Result};
use crate::id::RunId;
use crate::process::{ADOPTED, Census, Identity, Mark, Remembered, Standing as Life, Worn, redacted};
use crate::storage::{Folder, Refusal};

/// In a run's folder: how its process ended, as a line of two numbers.
const EXIT: &str = "exit";

/// So long an end waits for somebody who asks for it.
const COLLECTED_WITHIN: Duration = Duration::from_secs(30 * 24 * 3600);

/// The only process of such a run.
pub(crate) const NUMBER: u32 = 1;

/// A run that can be kept, or is.
#[derive(Debug)]
pub(crate) struct KeptRecord {
    run: RunId,
    mark: Mark,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// This process has begun it.
    Own(Box<OwnRecord>),
    /// Another one has, and its keeper owns it.
    Found { runs: Arc<Folder>, folder: Folder, record: Box<Record> },
}

/// How a run is that is written down as kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its keeper may live.
    Kept,
    /// It is over: `si_code` and `si_status` of its process, as `waitid` has them.
    Ended { code: i32, status: i32 },
    /// It is over, and nobody saw how: its keeper or its guardian was killed, or the machine stopped.
    Lost,
}

impl KeptRecord {
    /// Writes the run down, before it has a process.
    ///
    /// # Errors
    /// `validation` if nothing can be written: nobody could find such a run again.
    pub(crate) fn begin(run: RunId, instance: Instance, data_dir: &Path, runtime: &RuntimeBase) -> Result<KeptRecord> {
        let mark = Mark::of_run(run, Worn::by_this_process().map(|worn| worn.mark));
        let header = Header::of_this_process(run, instance, mark).of_kept();
        let own = OwnRecord::begin(header, data_dir, runtime);
        match own.folder() {
            Some(_) => Ok(KeptRecord { run, mark, source: Source::Own(Box::new(own)) }),
            None => Err(unwritten(run, own.loss())),
        }
    }

    /// Those of an instance whose keepers own them, or did.
    ///
    /// # Errors
    /// `unavailable` if there are records, and they cannot be listed.
    pub(crate) fn all(instance: &Instance, data_dir: &Path, runtime: &RuntimeBase) -> Result<Vec<KeptRecord>> {
        let places = [Folder::base(data_dir), runtime.folder(instance)];
        let mut all: Vec<KeptRecord> = Vec::new();
        for place in places {
            let runs = match place.and_then(|place| place.folder(RUNS)) {
                Ok(runs) => Arc::new(runs),
                Err(refusal) if refusal.is_missing() => continue,
                Err(refusal) => return Err(unlisted(&refusal)),
            };
            let names = runs.names().map_err(|refusal| unlisted(&refusal))?;
            for run in names.iter().filter_map(|name| RunId::parse(name)) {
                let found = KeptRecord::find(&runs, run, instance);
                all.extend(found.map_err(|refusal| unlisted(&refusal))?);
            }
        }
        // The data dir may be the runtime dir.
        all.sort_by_key(|kept| kept.run);
        all.dedup_by_key(|kept| kept.run);
        Ok(all)
    }

    /// What cannot be relied on is nobody's, and the sweep's. What only cannot be read now may be somebody's.
    fn find(runs: &Arc<Folder>, run: RunId, instance: &Instance) -> std::result::Result<Option<KeptRecord>, Refusal> {
        let folder = match runs.folder(&run.to_string()) {
            Err(refusal @ Refusal::Io { .. }) if !refusal.is_missing() => return Err(refusal),
            Err(_no_folder_of_ours) => return Ok(None),
            Ok(folder) => folder,
        };
        let record = match Record::read(&folder, run) {
            Err(Unreadable::Refused(refusal @ Refusal::Io { .. })) if !refusal.is_missing() => return Err(refusal),
            Err(_no_record) => return Ok(None),
            Ok(record) => record,
        };
        if record.header.instance != *instance || record.keeper.is_none() {
            return Ok(None);
        }
        let (mark, record) = (record.header.mark, Box::new(record));
        Ok(Some(KeptRecord { run, mark, source: Source::Found { runs: Arc::clone(runs), folder, record } }))
    }

    pub(crate) fn run(&self) -> RunId {
        self.run
    }

    /// What every process of the run carries.
    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    /// A folder of the run in cgroup v2, before anything is in it.
    pub(crate) fn note_cgroup(&mut self, folder: &Path) {
        folder.to_str().into_iter().for_each(|folder| self.add(Line::Cgroup(folder.to_owned())));
    }

    pub(crate) fn note_guard(&mut self, guard: Identity) {
        self.add(Line::Guard(guard.remembered()));
    }

    /// Before the process is there.
    pub(crate) fn reserve(&mut self, worker: &str, pool: &str) {
        self.add(Line::Reserved { number: NUMBER, worker: worker.to_owned(), pool: pool.to_owned() });
    }

    pub(crate) fn note_started(&mut self, identity: Identity, command: &[String]) {
        let command = redacted(command.iter().map(String::as_str));
        self.add(Line::Started { number: NUMBER, identity: identity.remembered(), command });
    }

    /// From now on the run is its keeper's: it is dead when that is.
    ///
    /// # Errors
    /// If that could not be written.
    pub(crate) fn hand_over(&mut self, keeper: Identity) -> Result<()> {
        self.add(Line::Owner(keeper.remembered()));
        match &self.source {
            Source::Own(own) if own.is_written() => Ok(()),
            Source::Own(own) => Err(unwritten(self.run, own.loss())),
            Source::Found { .. } => Ok(()),
        }
    }

    fn add(&mut self, line: Line) {
        if let Source::Own(own) = &mut self.source {
            own.add(line);
        }
    }

    /// A copy of the lock that is held as long as the owner lives.
    pub(crate) fn lock(&self) -> io::Result<File> {
        match &self.source {
            Source::Own(own) => own.lock().ok_or(io::ErrorKind::NotFound)?.try_clone(),
            Source::Found { .. } => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Where the end of the process is written down. There is room for it on the disk from now on.
    pub(crate) fn make_exit(&self) -> io::Result<File> {
        let folder = self.folder().ok_or(io::ErrorKind::NotFound)?;
        let mut exit = folder.create(EXIT).map_err(|refusal| io::Error::other(refusal.to_string()))?;
        exit.write_all(&[b' '; 32])?;
        Ok(exit)
    }

    pub(crate) fn folder(&self) -> Option<&Folder> {
        match &self.source {
            Source::Own(own) => own.folder(),
            Source::Found { folder, .. } => Some(folder),
        }
    }

    /// Of one that was found: its keeper, its worker's name, and the folder of its pair in cgroup v2.
    pub(crate) fn keeper(&self) -> Option<&Remembered> {
        self.record().and_then(|record| record.keeper.as_ref())
    }

    pub(crate) fn worker(&self) -> Option<&str> {
        self.record()?.workers.get(&NUMBER).map(|known| known.worker.as_str())
    }

    pub(crate) fn cgroup(&self) -> Option<PathBuf> {
        self.record()?.cgroups.last().map(PathBuf::from)
    }

    fn record(&self) -> Option<&Record> {
        match &self.source {
            Source::Own(_) => None,
            Source::Found { record, .. } => Some(record),
        }
    }

    /// How it is now. What nobody can tell from here may be kept.
    ///
    /// # Errors
    /// `unavailable` if it is over, and how cannot be read.
    pub(crate) fn standing(&self) -> Result<Standing> {
        let Source::Found { folder, record, .. } = &self.source else { return Ok(Standing::Kept) };
        let is_here = record.header.pid_namespace.is_some() && record.header.pid_namespace == pid_namespace();
        let is_of_this_boot = record.header.boot.is_none() || record.header.boot == this_boot();
        // The keeper first: it ends after the guardian has written.
        let is_over = !is_of_this_boot || (is_here && matches!(record.owner().standing(), Life::Dead(_)));
        if !is_over {
            return Ok(Standing::Kept);
        }
        match exit_in(folder) {
            Ok(Some((code, status))) => Ok(Standing::Ended { code, status }),
            Ok(None) => Ok(Standing::Lost),
            Err(refusal) if refusal.is_missing() => Ok(Standing::Lost),
            Err(refusal) => Err(unread(self.run, &refusal)),
        }
    }

    /// Whether a process of the run lives, keeper and guardian aside, and what may outlive it. Where `/proc` cannot be read, none is seen.
    pub(crate) fn has_strays(&self) -> bool {
        let is_stray = |worker: u32| !matches!(worker, 0 | ADOPTED);
        Census::take().is_ok_and(|census| census.of(self.mark).any(|sighting| is_stray(sighting.worn.worker)))
    }

    /// The run is over, and nobody needs to know of it any more: its folder goes.
    pub(crate) fn remove(self) {
        match self.source {
            Source::Own(own) => own.close(),
            Source::Found { runs, .. } => {
                let _the_next_sweep_does = runs.remove(&self.run.to_string());
            }
        }
    }
}

/// Whether the end of a process is written down there that somebody may still ask for.
pub(super) fn is_uncollected(folder: &Folder) -> bool {
    let is_recent = |file: File| {
        let written = file.metadata().and_then(|found| found.modified());
        let age = written.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        // What is of the future was written by a clock that has been set back since.
        age.is_none_or(|age| age < COLLECTED_WITHIN)
    };
    match exit_in(folder) {
        Ok(end) => end.is_some() && folder.read(EXIT).is_ok_and(is_recent),
        // It may say something to whoever can read it.
        Err(refusal) => !refusal.is_missing(),
    }
}

/// `None`: nobody has written it.
fn exit_in(folder: &Folder) -> std::result::Result<Option<(i32, i32)>, Refusal> {
    let (file, mut text) = (folder.read(EXIT)?, Vec::new());
    let read = file.take(64).read_to_end(&mut text);
    read.map_err(|error| Refusal::Io { path: folder.path().join(EXIT), error })?;
    Ok(std::str::from_utf8(&text).ok().and_then(parsed))
}

fn parsed(text: &str) -> Option<(i32, i32)> {
    let (code, status) = text.trim().split_once(' ')?;
    Some((code.parse().ok()?, status.parse().ok()?))
}

fn unwritten(run: RunId, why: Option<String>) -> Error {
    let why = why.unwrap_or_else(|| "its folder is gone".to_owned());
    let message =
        format!("begin run {}: it is to outlive its supervisor, and cannot be written down: {why}", run.short());
    Error::new(ErrorKind::Validation, message)
}

fn unread(run: RunId, refusal: &Refusal) -> Error {
    Error::new(ErrorKind::Unavailable, format!("read how run {} has ended: {refusal}", run.short()))
}

fn unlisted(refusal: &Refusal) -> Error {
    Error::new(ErrorKind::Unavailable, format!("look for runs that are kept: {refusal}"))
}
