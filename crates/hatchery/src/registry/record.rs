//! What is written down of a run before it has a process, so that whoever comes after can end what it left.
//!
//! `runs/<run id>/record` is text: a line of JSON each, the first the [`Header`]. It is only ever added to, or replaced
//! as a whole. `runs/<run id>/lock` is locked as long as the owner lives.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::Instance;
use crate::id::RunId;
use crate::process::{Mark, Remembered, boot_id};
use crate::storage::{Folder, Refusal};

mod own;

pub use own::RecordPlace;
pub(crate) use own::{OwnRecord, RuntimeBase};

/// Below the data dir: a folder for each run.
pub(super) const RUNS: &str = "runs";
pub(super) const RECORD: &str = "record";
pub(super) const LOCK: &str = "lock";

/// Newer versions are left alone. A run that is kept is of the newer one: who does not know of its other owner must not end it.
const VERSION: u32 = 1;
const VERSION_OF_KEPT: u32 = 2;

/// More than this no record has: it is rewritten long before. What follows is not read.
const LONGEST: u64 = 16 << 20;
const LONGEST_LINE: usize = 64 << 10;

/// What is known before the first process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(super) version: u32,
    pub(crate) run: RunId,
    /// 32 hexadecimal characters. None: this kernel does not say.
    pub(crate) boot: Option<String>,
    /// The inode of the PID namespace in which the numbers below mean something.
    pub(crate) pid_namespace: Option<u64>,
    pub(crate) instance: Instance,
    pub(crate) owner: Remembered,
    #[serde(with = "mark_as_pair")]
    pub(crate) mark: Mark,
    /// The owner's command line, without secrets.
    pub(crate) command: String,
    /// Seconds since 1970.
    pub(crate) started_at: u64,
}

/// What is added later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// A folder of the run in cgroup v2: each of its pairs has one.
    Cgroup(String),
    /// The keeper, or a guardian.
    Guard(Remembered),
    /// A worker is about to be started.
    Reserved { number: u32, worker: String, pool: String },
    /// It was.
    Started { number: u32, identity: Remembered, command: String },
    /// Nothing is left of it.
    Gone { number: u32 },
    /// What carries this worker's mark is to outlive the run.
    Spared { number: u32 },
    /// From now on the run is this one's, and no longer the header's: its keeper's, which outlives its supervisor.
    Owner(Remembered),
}

/// A run as its record tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) header: Header,
    pub(crate) cgroups: Vec<String>,
    pub(crate) guards: Vec<Remembered>,
    pub(crate) workers: BTreeMap<u32, RecordedWorker>,
    pub(crate) spared: BTreeSet<u32>,
    /// The keeper of a run that is kept.
    pub(crate) keeper: Option<Remembered>,
    /// Lines that say nothing intelligible: the last one of a writer that was killed, or damage.
    pub(crate) damaged: usize,
}

/// A worker that is not known to be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordedWorker {
    pub(crate) worker: String,
    pub(crate) pool: String,
    /// None: it was never started, or its owner died before it could say so.
    pub(crate) started: Option<(Remembered, String)>,
}

/// Why a record cannot be relied on. Nothing may be ended then.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("its first line is no header: {0}")]
    NoHeader(String),
    #[error("it is of version {0}, which this hatchery does not know")]
    Newer(u32),
    #[error("it contradicts itself: {0}")]
    Contradiction(&'static str),
}

impl Unreadable {
    /// Whether nobody will ever read it: not one of a newer version, and not one that only this process may not read now.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Unreadable::Newer(_) => false,
            Unreadable::Refused(refusal @ Refusal::Io { .. }) => refusal.is_missing(),
            Unreadable::Refused(_) | Unreadable::NoHeader(_) | Unreadable::Contradiction(_) => true,
        }
    }
}

impl Header {
    /// Of a run that this process begins now.
    pub(crate) fn of_this_process(run: RunId, instance: Instance, mark: Mark) -> Header {
        Header {
            version: VERSION,
            run,
            boot: this_boot(),
            pid_namespace: pid_namespace(),
            instance,
            owner: Remembered::this_process(),
            mark,
            command: own_command(),
            started_at: super::unix_seconds(),
        }
    }

    /// As a run that may be kept has it.
    pub(crate) fn of_kept(self) -> Header {
        Header { version: VERSION_OF_KEPT, ..self }
    }
}

impl Record {
    pub(super) fn new(header: Header) -> Record {
        let (cgroups, guards, workers, spared) = (Vec::new(), Vec::new(), BTreeMap::new(), BTreeSet::new());
        Record { header, cgroups, guards, workers, spared, keeper: None, damaged: 0 }
    }

    /// With whose death the run is dead.
    pub(crate) fn owner(&self) -> &Remembered {
        self.keeper.as_ref().unwrap_or(&self.header.owner)
    }

    /// The record in a run's folder.
    pub(super) fn read(folder: &Folder, run: RunId) -> Result<Record, Unreadable> {
        let (file, mut bytes) = (folder.read(RECORD)?, Vec::new());
        let read = file.take(LONGEST).read_to_end(&mut bytes);
        read.map_err(|error| Refusal::Io { path: folder.path().join(RECORD), error })?;
        Record::parse(&bytes, run)
    }

    /// The record of `run`, as its folder is called. The header must be whole and agree with that; from other lines as
    /// much is taken as can be.
    pub(super) fn parse(bytes: &[u8], run: RunId) -> Result<Record, Unreadable> {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let header = header(lines.next().unwrap_or_default())?;
        if header.run != run {
            return Err(Unreadable::Contradiction("another run's id"));
        }
        if !header.mark.is_of(run) {
            return Err(Unreadable::Contradiction("another run's mark"));
        }
        let mut record = Record::new(header);
        for line in lines.filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(line_of_ours) if line.len() <= LONGEST_LINE => record.add(line_of_ours),
                _ => record.damaged += 1,
            }
        }
        Ok(record)
    }

    pub(super) fn add(&mut self, line: Line) {
        match line {
            Line::Cgroup(folder) => self.cgroups.push(folder),
            Line::Guard(guard) => self.guards.push(guard),
            Line::Reserved { number, worker, pool } => {
                self.workers.insert(number, RecordedWorker { worker, pool, started: None });
            }
            Line::Started { number, identity, command } => {
                let worker = self.workers.entry(number).or_insert_with(RecordedWorker::nameless);
                worker.started = Some((identity, command));
            }
            Line::Gone { number } => drop(self.workers.remove(&number)),
            Line::Spared { number } => drop(self.spared.insert(number)),
            Line::Owner(keeper) => self.keeper = Some(keeper),
        }
    }

    /// The lines that say what is known, and nothing that is over.
    fn lines(&self) -> Vec<Line> {
        let cgroups = self.cgroups.iter().cloned().map(Line::Cgroup);
        let guards = self.guards.iter().copied().map(Line::Guard);
        let workers = self.workers.iter().flat_map(|(&number, worker)| worker.lines(number));
        let spared = self.spared.iter().map(|&number| Line::Spared { number });
        cgroups.chain(guards).chain(workers).chain(spared).chain(self.keeper.map(Line::Owner)).collect()
    }
}

impl RecordedWorker {
    fn nameless() -> RecordedWorker {
        RecordedWorker { worker: "?".to_owned(), pool: "?".to_owned(), started: None }
    }

    fn lines(&self, number: u32) -> Vec<Line> {
        let reserved = Line::Reserved { number, worker: self.worker.clone(), pool: self.pool.clone() };
        let started = self.started.clone().map(|(identity, command)| Line::Started { number, identity, command });
        [Some(reserved), started].into_iter().flatten().collect()
    }
}

fn header(line: &[u8]) -> Result<Header, Unreadable> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let no_header = |error: serde_json::Error| Unreadable::NoHeader(error.to_string());
    let Versioned { version } = serde_json::from_slice(line).map_err(no_header)?;
    if version > VERSION_OF_KEPT {
        return Err(Unreadable::Newer(version));
    }
    serde_json::from_slice(line).map_err(no_header)
}

/// The boot that this is, as headers write it.
pub(super) fn this_boot() -> Option<String> {
    boot_id().map(|boot| format!("{boot:032x}"))
}

/// Our own PID namespace.
pub(super) fn pid_namespace() -> Option<u64> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

fn own_command() -> String {
    let words: Vec<_> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    crate::process::redacted(words.iter().map(String::as_str))
}

mod mark_as_pair {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Mark;

    pub(super) fn serialize<S: Serializer>(mark: &Mark, serializer: S) -> Result<S::Ok, S::Error> {
        [mark.hard, mark.soft].serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mark, D::Error> {
        let [hard, soft] = <[u64; 2]>::deserialize(deserializer)?;
        Ok(Mark { hard, soft })
    }
}

#[cfg(test)]
pub(super) mod tests;
