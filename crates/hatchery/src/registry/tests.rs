//! The registry with real processes, which are children of the test.

use std::process::Child;
use std::time::Instant;

use super::*;
use crate::process::Pid;

/// A child that sleeps; killed and reaped when the test is over.
pub(super) struct Sleeper(pub(super) Child);

impl Sleeper {
    #[expect(clippy::disallowed_methods, reason = "these tests do not rest on the process room")]
    pub(super) fn start() -> Sleeper {
        let child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        // The kernel lets the parent go on a moment before the new program has its name.
        let comm = format!("/proc/{}/comm", child.id());
        let patience = Instant::now() + std::time::Duration::from_secs(60);
        while std::fs::read_to_string(&comm).unwrap() != "sleep\n" && Instant::now() < patience {
            std::thread::yield_now();
        }
        Sleeper(child)
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn identity(&self) -> Identity {
        let pid = Pid::new(self.0.id().cast_signed()).unwrap();
        let raw = rustix::process::Pid::from_child(&self.0);
        Identity::of(pid, rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty()).unwrap())
    }

    /// Puts the mark on it, as a guardian does.
    pub(super) fn wear(&self, mark: Mark) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let limit = Rlimit { current: Some(mark.soft), maximum: Some(mark.hard) };
        prlimit(Some(Pid::from_child(&self.0)), Resource::Locks, limit).unwrap();
    }

    pub(super) fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(super) fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    pub(super) fn started(&self) -> Started<'static> {
        let identity = self.identity();
        Started { identity, process_group: Some(self.pid()), cgroup: None, command: &[] }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ended_by_the_test = self.0.kill();
        let _reaped_by_the_test = self.0.wait();
    }
}

pub(super) struct Bench {
    pub(super) data: tempfile::TempDir,
    pub(super) registry: Registry,
}

impl Bench {
    pub(super) fn new() -> Bench {
        let data = tempfile::tempdir().unwrap();
        let registry = Registry::open(RunId::random(), &options(data.path())).unwrap();
        assert_eq!(registry.losses(), Vec::<String>::new());
        Bench { data, registry }
    }

    fn reserve(&self, seat: usize) -> Reservation {
        self.registry.reserve(&WorkerId::new("default", seat), "default").unwrap()
    }

    fn start(&self, seat: usize) -> (Sleeper, Entry) {
        let sleeper = Sleeper::start();
        let entry = self.reserve(seat).activate(sleeper.started());
        (sleeper, entry)
    }

    /// As another program reads it.
    fn on_disk(&self) -> Vec<(u32, EntryState)> {
        self.registry.flush();
        let entries = registry_entries(self.data.path()).unwrap();
        entries.iter().map(|entry| (entry.number, entry.state)).collect()
    }

    fn record(&self) -> Record {
        let runs = Folder::base(&self.data.path().join(record::RUNS)).unwrap();
        Record::read(&runs.folder(&self.registry.run().to_string()).unwrap(), self.registry.run()).unwrap()
    }
}

pub(super) fn options(data_dir: &Path) -> Options {
    let runtime = RuntimeBase::below("/no/runtime".into());
    Options { instance: Instance::default(), data_dir: data_dir.to_owned(), runtime, require: false }
}

#[test]
fn a_life_is_on_disk_at_each_step() {
    let bench = Bench::new();
    let seat = bench.reserve(0);
    assert_eq!(bench.registry.entries()[0].fingerprint, format!("{}:1", bench.registry.run().short()));
    assert!(bench.record().workers[&1].started.is_none());
    assert_eq!(bench.on_disk(), [(1, EntryState::Reserved)]);

    let mut sleeper = Sleeper::start();
    let entry = seat.activate(Started { command: &["x".into(), "--token".into(), "abc".into()], ..sleeper.started() });
    assert_eq!(bench.record().workers[&1].started, Some((sleeper.identity().remembered(), "x --token ***".to_owned())));
    assert_eq!(bench.on_disk(), [(1, EntryState::Active)]);

    entry.terminating();
    assert_eq!(bench.on_disk(), [(1, EntryState::Terminating)]);
    assert!(bench.registry.active_pids().is_empty());
    assert_eq!(bench.registry.pids(), [sleeper.pid()]);

    sleeper.end();
    entry.release();
    assert!(bench.record().workers.is_empty());
    assert_eq!(bench.on_disk(), [(1, EntryState::Gone)]);
    assert!(bench.registry.entries().is_empty());

    assert!(bench.registry.close().is_empty());
    assert!(registry_entries(bench.data.path()).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(bench.data.path().join(record::RUNS)).unwrap().count(), 0);
}

#[test]
fn a_reservation_that_is_dropped_leaves_nothing() {
    let bench = Bench::new();
    drop(bench.reserve(0));
    assert!(bench.registry.entries().is_empty() && bench.record().workers.is_empty());
    assert_eq!(bench.reserve(0).number(), 2, "no number is used twice");
}

#[test]
fn found_by_worker_by_pid_and_by_fingerprint() {
    let bench = Bench::new();
    let ((one, _first), (two, _second)) = (bench.start(0), bench.start(1));
    let number = |entry: Option<Arc<ProcessEntry>>| entry.map(|entry| entry.number);
    assert_eq!(number(bench.registry.by_worker("default-2")), Some(2));
    assert_eq!(number(bench.registry.by_worker("default-3")), None);
    assert_eq!(number(bench.registry.by_pid(one.pid())), Some(1));
    assert_eq!(number(bench.registry.by_pid(1)), None);
    let run = bench.registry.run().short();
    assert_eq!(number(bench.registry.by_fingerprint(&format!("{run}:2"))), Some(2));
    for unknown in [format!("{run}:3"), format!("{run}:x"), run, "0000000:1".to_owned()] {
        assert_eq!(number(bench.registry.by_fingerprint(&unknown)), None, "{unknown}");
    }
    assert_eq!(bench.registry.active_pids(), [one.pid(), two.pid()]);
    bench.registry.flush();
    let on_disk = |wanted| {
        registry_lookup(bench.data.path(), &wanted).unwrap().iter().map(|entry| entry.number).collect::<Vec<_>>()
    };
    let run = bench.registry.run();
    assert_eq!(on_disk(Wanted::Worker("default-2".to_owned())), [2]);
    assert_eq!(on_disk(Wanted::Pid(one.pid())), [1]);
    assert_eq!(on_disk(Wanted::Fingerprint(format!("{}:2", run.short()))), [2]);
    assert_eq!((on_disk(Wanted::Run(run)), on_disk(Wanted::All)), (vec![1, 2], vec![1, 2]));
    std::fs::write(bench.data.path().join("registry.sqlite3"), "garbage").unwrap();
    assert_eq!(on_disk(Wanted::Pid(two.pid())), [2], "what the index does not know, the records do");
    assert_eq!(on_disk(Wanted::Pid(1)), [0; 0]);
}

#[test]
fn a_fingerprint_is_proven_by_the_mark() {
    let bench = Bench::new();
    let (sleeper, _entry) = bench.start(0);
    assert_eq!(bench.registry.is_proven(1), Some(false));
    sleeper.wear(bench.registry.mark().worn_by(2));
    assert_eq!(bench.registry.is_proven(1), Some(false));
    let (sleeper, _entry) = bench.start(1);
    sleeper.wear(bench.registry.mark().worn_by(2));
    assert_eq!(bench.registry.is_proven(2), Some(true));
    assert_eq!(bench.registry.is_proven(3), None);
}

#[test]
fn a_successor_takes_the_name_while_its_predecessor_ends() {
    let bench = Bench::new();
    let (mut old, first) = bench.start(0);
    first.terminating();
    let (_new, second) = bench.start(0);
    let found = || bench.registry.by_worker("default-1").unwrap().number;
    assert_eq!(found(), second.number());
    old.end();
    first.release();
    assert_eq!(found(), second.number());
    assert_eq!(bench.registry.entries().len(), 1);
}

#[test]
fn an_entry_that_is_let_go_stays_until_its_process_is_gone() {
    let bench = Bench::new();
    let (mut sleeper, entry) = bench.start(0);
    drop(entry);
    assert_eq!(bench.registry.by_pid(sleeper.pid()).unwrap().state, EntryState::Terminating);
    assert_eq!(bench.registry.release_dead(), 0);
    assert_eq!(bench.registry.close().len(), 1, "it is still there, so the record stays");
    assert_eq!(bench.on_disk(), [(1, EntryState::Terminating)]);
    sleeper.end();
    assert_eq!(bench.registry.release_dead(), 1);
    assert!(bench.registry.entries().is_empty());
}

#[test]
fn a_run_whose_mark_somebody_still_wears_keeps_its_record() {
    let bench = Bench::new();
    let (mut leader, entry) = bench.start(0);
    // Its leader is gone, but not what it left, which a guardian had no right to end.
    let mut daemon = Sleeper::start();
    daemon.wear(bench.registry.mark().worn_by(entry.number()));
    leader.end();
    entry.release();
    assert!(bench.registry.close().is_empty());
    assert_eq!(bench.record().header.run, bench.registry.run(), "it is there for a sweep");
    daemon.end();
}

#[test]
fn the_dead_are_counted_and_kept_for_whoever_holds_them() {
    let bench = Bench::new();
    let ((mut one, first), (two, _second)) = (bench.start(0), bench.start(1));
    one.end();
    let dead = bench.registry.dead();
    assert_eq!(dead.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1]);
    let expected = Statistics { registered: 2, alive: 1, dead: 1, active_pids: vec![one.pid(), two.pid()] };
    assert_eq!(bench.registry.statistics(), expected);
    assert_eq!(bench.registry.release_dead(), 0);
    drop(first);
    assert_eq!(bench.registry.entries().len(), 1);
}

#[test]
fn one_that_ended_unseen_is_listed_as_gone() {
    let bench = Bench::new();
    let mut sleeper = Sleeper::start();
    let entry = bench.registry.reserve(&WorkerId::new("default", 0), "default").unwrap().activate(sleeper.started());
    bench.registry.flush();
    let listed = || registry_entries(bench.data.path()).unwrap()[0].state;
    assert_eq!(listed(), EntryState::Active);
    sleeper.end();
    assert_eq!(listed(), EntryState::Gone, "its owner has not noticed");
    drop(entry);
}

#[test]
fn a_late_word_about_a_group_is_for_the_process_it_is_about() {
    let bench = Bench::new();
    let (sleeper, entry) = bench.start(0);
    let group = || bench.registry.by_pid(sleeper.pid()).unwrap().process_group;
    assert!(!bench.registry.update_process_group(entry.number(), sleeper.pid() + 1, 7));
    assert_eq!(group(), Some(sleeper.pid()));
    assert!(bench.registry.update_process_group(entry.number(), sleeper.pid(), 7));
    assert_eq!(group(), Some(7));
    bench.registry.update_process_groups();
    let its_own = crate::process::process_group(sleeper.pid().cast_signed()).unwrap();
    assert_eq!(group(), Some(its_own.unsigned_abs()), "what the kernel says");
}

#[test]
fn a_damaged_index_is_set_aside_told_and_rebuilt_from_the_records() {
    let bench = Bench::new();
    let (_sleeper, _entry) = bench.start(0);
    bench.registry.flush();
    for file in ["registry.sqlite3", "registry.sqlite3-wal"] {
        std::fs::write(bench.data.path().join(file), "garbage".repeat(100)).unwrap();
    }
    let second = Registry::open(RunId::random(), &options(bench.data.path())).unwrap();
    assert!(second.losses()[0].contains("registry.sqlite3.corrupt."), "{:?}", second.losses());
    let entries = registry_entries(bench.data.path()).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.run).collect::<Vec<_>>(), [bench.registry.run()]);
    second.close();
}

#[test]
fn two_runs_of_one_instance_share_the_file_and_not_the_entries() {
    let bench = Bench::new();
    let second = Registry::open(RunId::random(), &options(bench.data.path())).unwrap();
    let (_one, _first) = bench.start(0);
    let other = second.reserve(&WorkerId::new("default", 0), "default").unwrap();
    second.flush();
    assert_eq!(bench.on_disk().len(), 2);
    assert_eq!(bench.registry.entries().len(), 1);
    drop(other);
    second.close();
    assert_eq!(bench.on_disk(), [(1, EntryState::Active)]);
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_an_empty_registry() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = registry_entries(&file).unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.message().contains("Not a directory"), "{error}");
    std::os::unix::fs::symlink("/", folder.path().join(record::RUNS)).unwrap();
    assert!(registry_entries(folder.path()).unwrap_err().message().contains("is a symbolic link"));
}

#[test]
fn what_cannot_be_written_is_told_or_refused() {
    let nowhere = Path::new("/dev/null/data");
    let registry = Registry::open(RunId::random(), &options(nowhere)).unwrap();
    assert!(registry.losses().iter().any(|loss| loss.contains("in memory only")), "{:?}", registry.losses());
    let seat = registry.reserve(&WorkerId::new("default", 0), "default").unwrap();
    assert_eq!(registry.entries().len(), 1);
    drop(seat);
    assert!(registry.close().is_empty());
    let refused = Registry::open(RunId::random(), &Options { require: true, ..options(nowhere) }).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Validation);
    assert!(refused.message().contains("/dev/null/data"), "{refused}");
}

/// By hand: `cargo test --release -p hatchery --lib lookups -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn lookups_cost() {
    const ROUNDS: u32 = 100_000;
    let bench = Bench::new();
    let (sleepers, _entries): (Vec<_>, Vec<_>) = (0..200).map(|seat| bench.start(seat)).unzip();
    let pid = sleepers[100].pid();
    let cost = |what: &str, rounds: u32, lookup: &mut dyn FnMut()| {
        let began = Instant::now();
        (0..rounds).for_each(|_| lookup());
        println!("{what}: {:?}", began.elapsed() / rounds);
    };
    cost("memory, by pid", ROUNDS, &mut || assert!(bench.registry.by_pid(pid).is_some()));
    cost("memory, by worker", ROUNDS, &mut || assert!(bench.registry.by_worker("default-101").is_some()));
    bench.registry.flush();
    let reader = Reader::open(bench.data.path()).unwrap().unwrap();
    cost("disk, by pid", 1000, &mut || assert_eq!(reader.entries(&Wanted::Pid(pid)).unwrap().len(), 1));
    cost("reserve", 1000, &mut || drop(bench.reserve(500)));
}
