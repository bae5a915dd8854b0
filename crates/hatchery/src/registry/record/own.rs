//! The record of the run that this process owns.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::super::Instance;
use super::{Header, LOCK, Line, RECORD, RUNS, Record};
use crate::storage::{Folder, Refusal, lock};

/// A record that got this long is written anew, without what is over.
const REWRITE_AT: u64 = 1 << 20;
const REWRITTEN: &str = "record.new";

/// Where the record of a run is, and what was lost if that is not the data dir.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordPlace {
    /// In the data dir.
    DataDir(PathBuf),
    /// In the runtime dir, which a reboot or a logout may empty; `because` says what is wrong with the data dir.
    RuntimeDir {
        /// The folder.
        folder: PathBuf,
        /// Why not the data dir.
        because: String,
    },
    /// Nowhere. If this process is killed together with its guardians, no sweep can find what they leave.
    Memory {
        /// Why nowhere else.
        because: String,
    },
}

impl RecordPlace {
    /// What is wrong with the data dir; `None` if nothing is.
    pub fn because(&self) -> Option<&str> {
        match self {
            RecordPlace::DataDir(_) => None,
            RecordPlace::RuntimeDir { because, .. } | RecordPlace::Memory { because } => Some(because),
        }
    }

    /// What is lost, in a sentence; `None` if nothing is.
    pub fn loss(&self) -> Option<String> {
        match self {
            RecordPlace::DataDir(_) => None,
            RecordPlace::RuntimeDir { folder, because } => {
                Some(format!("the record of this run is in {} until the next boot: {because}", folder.display()))
            }
            RecordPlace::Memory { because } => {
                Some(format!("this run has no record on disk, a sweep will not find what it leaves: {because}"))
            }
        }
    }
}

/// The record, locked. Dropped without [`close`](OwnRecord::close), it stays for a sweep.
#[derive(Debug)]
pub(crate) struct OwnRecord {
    known: Record,
    place: RecordPlace,
    /// `None` in memory.
    files: Option<Files>,
    /// Why nothing is written any more.
    failed: Option<String>,
    owner: u32,
}

#[derive(Debug)]
struct Files {
    runs: Folder,
    folder: Folder,
    record: File,
    lock: File,
}

impl OwnRecord {
    /// Writes the header, to the disk itself, in the data dir or else where runtime files go. Never fails: where nothing
    /// can be written, [`place`](OwnRecord::place) says so.
    pub(crate) fn begin(header: Header, data_dir: &Path, runtime: &RuntimeBase) -> OwnRecord {
        let instance = header.instance.folder();
        let in_data_dir = || Files::create(&Folder::make_base(data_dir)?, &header);
        let in_runtime_dir = || Files::create(&runtime.make(&instance)?, &header);
        let (place, files) = match in_data_dir() {
            Ok(files) => (RecordPlace::DataDir(files.folder.path().to_owned()), Some(files)),
            Err(first) => match in_runtime_dir() {
                Ok(files) => (RecordPlace::runtime(&files.folder, &first), Some(files)),
                Err(second) => (RecordPlace::Memory { because: format!("{first}; {second}") }, None),
            },
        };
        OwnRecord { known: Record::new(header), place, files, failed: None, owner: std::process::id() }
    }

    pub(crate) fn place(&self) -> &RecordPlace {
        &self.place
    }

    /// What is lost, in a sentence; `None` if nothing is.
    pub(crate) fn loss(&self) -> Option<String> {
        let told_no_further =
            |why: &String| format!("the record of this run names no worker that was started since: {why}");
        self.place.loss().or_else(|| self.failed.as_ref().map(told_no_further))
    }

    /// Adds a line; when this returns, it survives this process. Once the disk has failed nothing more is written:
    /// half a line may be the last. The header is there, and with it the mark by which a sweep finds everything.
    pub(crate) fn add(&mut self, line: Line) {
        if self.owner != std::process::id() {
            return;
        }
        let written = match &mut self.files {
            Some(files) if self.failed.is_none() => files.add(&line),
            _ => Ok(()),
        };
        self.known.add(line);
        let outcome = written.and_then(|()| self.shorten());
        self.failed = self.failed.take().or(outcome.err().map(|error| error.to_string()));
    }

    fn shorten(&mut self) -> io::Result<()> {
        match &mut self.files {
            Some(files) if self.failed.is_none() && files.is_long() => files.rewrite(&self.known),
            _ => Ok(()),
        }
    }

    /// Whether all that was added is on the disk.
    pub(in crate::registry) fn is_written(&self) -> bool {
        self.files.is_some() && self.failed.is_none()
    }

    /// The files of a run that is on a disk.
    pub(in crate::registry) fn folder(&self) -> Option<&Folder> {
        self.files.as_ref().map(|files| &files.folder)
    }

    /// The lock that says that the owner lives.
    pub(in crate::registry) fn lock(&self) -> Option<&File> {
        self.files.as_ref().map(|files| &files.lock)
    }

    /// The run is over and nothing of it is left: its folder goes.
    pub(crate) fn close(self) {
        let is_ours = self.owner == std::process::id();
        if let Some(files) = self.files.filter(|_| is_ours) {
            let name = self.known.header.run.to_string();
            // What stays is the record of a dead run without processes; the next sweep removes it.
            let _stays = files.runs.remove(&name);
        }
    }
}

impl RecordPlace {
    fn runtime(folder: &Folder, refusal: &Refusal) -> RecordPlace {
        RecordPlace::RuntimeDir { folder: folder.path().to_owned(), because: refusal.to_string() }
    }
}

impl Files {
    /// The folder appears under its name when lock and header are in it: a sweep never sees half of it.
    fn create(base: &Folder, header: &Header) -> Result<Files, Refusal> {
        let runs = base.make(RUNS)?;
        let name = header.run.to_string();
        let unborn = format!(".{name}");
        let folder = runs.make(&unborn)?;
        let files = Files::fill(&folder, header);
        match files.and_then(|files| runs.rename(&unborn, &name).map(|()| files)) {
            Ok((record, lock)) => Ok(Files { folder: runs.folder(&name)?, runs, record, lock }),
            Err(refusal) => {
                let _nothing_was_made = runs.remove(&unborn);
                Err(refusal)
            }
        }
    }

    fn fill(folder: &Folder, header: &Header) -> Result<(File, File), Refusal> {
        let failed = |error| Refusal::Io { path: folder.path().join(RECORD), error };
        let lock = lock(folder.create(LOCK)?).map_err(failed)?;
        let lock = lock.ok_or_else(|| failed(io::Error::other("somebody else holds the lock of a new run")))?;
        let mut record = folder.create(RECORD)?;
        // Not synced: a crash of the machine ends every process that could be written down here.
        write_line(&mut record, header).map_err(failed)?;
        Ok((record, lock))
    }

    fn add(&mut self, line: &Line) -> io::Result<()> {
        write_line(&mut self.record, line)
    }

    fn is_long(&self) -> bool {
        self.record.metadata().is_ok_and(|found| found.len() > REWRITE_AT)
    }

    fn rewrite(&mut self, known: &Record) -> io::Result<()> {
        let failed = |refusal: Refusal| io::Error::other(refusal.to_string());
        let mut record = self.folder.create(REWRITTEN).map_err(failed)?;
        let mut text = Vec::new();
        write_line(&mut text, &known.header)?;
        known.lines().iter().try_for_each(|line| write_line(&mut text, line))?;
        record.write_all(&text)?;
        self.folder.rename(REWRITTEN, RECORD).map_err(failed)?;
        self.record = record;
        Ok(())
    }
}

/// In one write, so that a line is there or not.
fn write_line(target: &mut impl Write, line: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    target.write_all(&text)
}

/// Where runtime files of this user go. Each step is checked: anybody may make folders in `/tmp`.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeBase {
    root: PathBuf,
    steps: Vec<String>,
}

impl RuntimeBase {
    /// `$XDG_RUNTIME_DIR/hatchery`, or `/tmp/hatchery-<uid>`.
    pub(crate) fn of_user() -> RuntimeBase {
        let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        match named.filter(|path| path.is_absolute() && path.is_dir()) {
            Some(root) => RuntimeBase::below(root),
            None => RuntimeBase { root: "/tmp".into(), steps: vec![format!("hatchery-{}", geteuid().as_raw())] },
        }
    }

    pub(crate) fn below(root: PathBuf) -> RuntimeBase {
        RuntimeBase { root, steps: vec!["hatchery".to_owned()] }
    }

    /// The folder of an instance.
    pub(in crate::registry) fn folder(&self, instance: &Instance) -> Result<Folder, Refusal> {
        let root = Folder::base(&self.root)?;
        self.steps.iter().try_fold(root, |folder, step| folder.folder(step))?.folder(&instance.folder())
    }

    fn make(&self, instance: &str) -> Result<Folder, Refusal> {
        let root = Folder::base(&self.root)?;
        let base = self.steps.iter().try_fold(root, |folder, step| folder.make(step))?;
        base.make(instance)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{header, other_run};
    use super::*;

    fn runtime_in(root: &Path) -> RuntimeBase {
        RuntimeBase::below(root.to_owned())
    }

    fn read_back(own: &OwnRecord) -> Record {
        let files = own.files.as_ref().unwrap();
        Record::read(&files.folder, own.known.header.run).unwrap()
    }

    #[test]
    fn what_was_said_can_be_read_and_a_clean_end_leaves_nothing() {
        let data = tempfile::tempdir().unwrap();
        let mut own = OwnRecord::begin(header(other_run()), data.path(), &runtime_in(Path::new("/dev/null")));
        assert!(matches!(own.place(), RecordPlace::DataDir(_)) && own.place().loss().is_none());
        own.add(Line::Cgroup("/sys/fs/cgroup/x".to_owned()));
        own.add(Line::Reserved { number: 1, worker: "default-1".to_owned(), pool: "default".to_owned() });
        own.add(Line::Reserved { number: 2, worker: "default-2".to_owned(), pool: "default".to_owned() });
        own.add(Line::Gone { number: 1 });
        assert_eq!(read_back(&own), own.known);
        let runs = Folder::base(&data.path().join(RUNS)).unwrap();
        let lock_file = runs.folder(&own.known.header.run.to_string()).unwrap().append(LOCK).unwrap();
        assert!(lock(lock_file).unwrap().is_none(), "the owner holds it");
        own.close();
        assert!(runs.names().unwrap().is_empty());
    }

    #[test]
    fn a_long_record_is_written_anew_and_says_the_same() {
        let data = tempfile::tempdir().unwrap();
        let mut own = OwnRecord::begin(header(other_run()), data.path(), &runtime_in(Path::new("/dev/null")));
        let padding = "x".repeat(1000);
        for number in 1..2500 {
            own.add(Line::Reserved { number, worker: padding.clone(), pool: "default".to_owned() });
            if number > 3 {
                own.add(Line::Gone { number });
            }
        }
        let length = own.files.as_ref().unwrap().record.metadata().unwrap().len();
        assert!(length <= REWRITE_AT, "{length}");
        assert_eq!(read_back(&own), own.known);
        assert_eq!(own.known.workers.len(), 3);
        assert_eq!(own.files.as_ref().unwrap().folder.names().unwrap().len(), 2);
    }

    #[test]
    fn without_a_data_dir_it_goes_to_the_runtime_dir_then_to_memory_and_says_so() {
        let (nowhere, root) = (Path::new("/dev/null/data"), tempfile::tempdir().unwrap());
        let own = OwnRecord::begin(header(other_run()), nowhere, &runtime_in(root.path()));
        let RecordPlace::RuntimeDir { folder, because } = own.place() else { panic!("{own:?}") };
        assert!(folder.starts_with(root.path().join("hatchery/default/runs")), "{own:?}");
        assert!(because.contains("/dev/null/data"), "{because}");
        own.close();

        let mut own = OwnRecord::begin(header(other_run()), nowhere, &runtime_in(Path::new("/dev/null")));
        assert!(own.place().loss().unwrap().contains("no record on disk"), "{own:?}");
        own.add(Line::Reserved { number: 1, worker: "default-1".to_owned(), pool: "default".to_owned() });
        assert_eq!(own.known.workers.len(), 1);
        own.close();
    }

    #[test]
    fn a_runs_folder_that_is_a_link_is_not_used() {
        let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(elsewhere.path(), data.path().join(RUNS)).unwrap();
        let own = OwnRecord::begin(header(other_run()), data.path(), &runtime_in(Path::new("/dev/null")));
        assert!(own.place().loss().unwrap().contains("is a symbolic link"), "{own:?}");
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
