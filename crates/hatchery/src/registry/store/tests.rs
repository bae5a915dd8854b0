use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;

use super::*;

pub(in crate::registry) fn entry(run: RunId, number: u32) -> ProcessEntry {
    ProcessEntry {
        run,
        number,
        worker: format!("default-{number}"),
        pool: "default".to_owned(),
        state: EntryState::Active,
        pid: Some(1_000_000 + number),
        identity: Some("4711 start=1".to_owned()),
        process_group: Some(1_000_000 + number),
        cgroup: None,
        command: Some("python app.py".to_owned()),
        fingerprint: super::super::entry::fingerprint(run, number),
        owner_pid: 4,
        owner: "4 start=2".to_owned(),
        reserved_at: u64::from(number),
        activated_at: Some(2),
        terminating_at: None,
        gone_at: None,
    }
}

fn all(folder: &Path) -> Vec<ProcessEntry> {
    Reader::open(folder).unwrap().unwrap().entries(&Wanted::All).unwrap()
}

#[test]
fn what_is_put_can_be_read_by_every_key_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Reader::open(folder.path()).unwrap().is_none());
    let (run, other) = (RunId::random(), RunId::random());
    let mut store = Store::open(folder.path()).unwrap().store;
    let entries = [entry(run, 1), entry(run, 2), entry(other, 3)];
    store.put(&entries).unwrap();
    let reader = Reader::open(folder.path()).unwrap().unwrap();
    let read = |wanted| reader.entries(&wanted).unwrap();
    assert_eq!(read(Wanted::All), entries);
    assert_eq!(read(Wanted::Run(run)), entries[..2]);
    assert_eq!(read(Wanted::Worker("default-2".to_owned())), entries[1..2]);
    assert_eq!(read(Wanted::Pid(1_000_003)), entries[2..]);
    assert_eq!(read(Wanted::Fingerprint(entries[0].fingerprint.clone())), entries[..1]);
    store.forget(run).unwrap();
    assert_eq!(read(Wanted::All), entries[2..]);
    assert_eq!(store.runs().unwrap(), [(other, "4 start=2".to_owned())]);
}

/// What makes a lookup cheap however many entries there are.
#[test]
fn every_key_has_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap().store;
    for key in ["run", "worker", "pid", "fingerprint"] {
        let query =
            format!("EXPLAIN QUERY PLAN SELECT * FROM processes WHERE {key} = 1 ORDER BY reserved_at, run, number");
        let plan: String = store.0.connection().query_row(&query, [], |row| row.get("detail")).unwrap();
        assert!(plan.starts_with("SEARCH ") && plan.contains(&format!("({key}=?)")), "{key}: {plan}");
    }
}

#[test]
fn nobody_else_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap().store;
    store.put(&[entry(RunId::random(), 1)]).unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}

#[track_caller]
fn is_kept_aside(folder: &Path, content: &[u8]) {
    let opened = Store::open(folder).unwrap();
    let aside = opened.set_aside.unwrap();
    assert!(opened.is_new);
    assert!(aside.to_str().unwrap().contains("registry.sqlite3.corrupt."), "{aside:?}");
    assert_eq!(std::fs::read(aside).unwrap(), content);
    let mut store = opened.store;
    store.put(&[entry(RunId::random(), 1)]).unwrap();
    assert_eq!(all(folder).len(), 1);
}

#[test]
fn a_file_that_is_no_database_is_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    for content in [b"garbage that is long enough to be looked at, and looked at again".to_vec(), vec![7; 100_000]] {
        for old in std::fs::read_dir(folder.path()).unwrap().flatten() {
            std::fs::remove_file(old.path()).unwrap();
        }
        std::fs::write(folder.path().join(LAYOUT.file), &content).unwrap();
        is_kept_aside(folder.path(), &content);
    }
}

#[test]
fn a_damaged_database_is_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(LAYOUT.file);
    let mut store = Store::open(folder.path()).unwrap().store;
    let run = RunId::random();
    store.put(&(1..500).map(|number| entry(run, number)).collect::<Vec<_>>()).unwrap();
    store.0.connection().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[4096..middle].fill(0x55);
    std::fs::write(&path, &bytes).unwrap();
    is_kept_aside(folder.path(), &bytes);
}

#[test]
fn a_newer_file_is_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(LAYOUT.file);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", LAYOUT.version + 1).unwrap();
    let content = std::fs::read(&path).unwrap();
    is_kept_aside(folder.path(), &content);
}

#[test]
fn a_file_that_is_a_link_is_not_written() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = elsewhere.path().join("precious");
    std::fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, folder.path().join(LAYOUT.file)).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(DatabaseError::Refused(_))));
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
}

#[test]
fn two_writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let runs = [RunId::random(), RunId::random()];
    std::thread::scope(|scope| {
        for run in runs {
            let folder = folder.path();
            scope.spawn(move || {
                let writer = Writer::start(folder, Store::open(folder).unwrap().store).unwrap();
                for number in 1..=100 {
                    writer.put(Arc::new(entry(run, number)));
                    if number % 10 == 0 {
                        writer.flush();
                    }
                }
                writer.flush();
                assert_eq!(writer.loss(), None);
                writer.finish();
            });
        }
    });
    let reader = Reader::open(folder.path()).unwrap().unwrap();
    assert!(runs.into_iter().all(|run| reader.entries(&Wanted::Run(run)).unwrap().len() == 100));
}

#[test]
fn a_writer_whose_file_is_set_aside_by_another_tells_the_new_one_everything() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::start(folder.path(), Store::open(folder.path()).unwrap().store).unwrap();
    let run = RunId::random();
    writer.put(Arc::new(entry(run, 1)));
    writer.flush();
    for suffix in ["", "-wal", "-shm"] {
        let name = |file| folder.path().join(format!("{file}{suffix}"));
        std::fs::rename(name(LAYOUT.file), name("aside")).unwrap();
    }
    writer.put(Arc::new(entry(run, 2)));
    writer.flush();
    assert_eq!(writer.loss(), None);
    assert_eq!(all(folder.path()), [entry(run, 1), entry(run, 2)]);
    writer.finish();
}

/// A run that was given up ends while its user removes the folder.
#[test]
fn a_folder_that_is_removed_stays_so() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("data");
    let writer = Writer::start(&folder, Store::open(&folder).unwrap().store).unwrap();
    let run = RunId::random();
    writer.put(Arc::new(entry(run, 1)));
    writer.flush();
    std::fs::remove_dir_all(&folder).unwrap();
    writer.put(Arc::new(ProcessEntry { state: EntryState::Terminating, ..entry(run, 1) }));
    writer.flush();
    assert!(writer.loss().unwrap().contains(folder.to_str().unwrap()), "{:?}", writer.loss());
    writer.finish();
    assert!(!folder.exists());
}

#[test]
fn a_file_that_is_removed_is_not_made_again_for_what_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::start(folder.path(), Store::open(folder.path()).unwrap().store).unwrap();
    let run = RunId::random();
    writer.put(Arc::new(entry(run, 1)));
    writer.flush();
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(folder.path().join(format!("{}{suffix}", LAYOUT.file))).unwrap();
    }
    writer.put(Arc::new(ProcessEntry { state: EntryState::Gone, ..entry(run, 1) }));
    writer.forget(run);
    writer.finish();
    assert!(!folder.path().join(LAYOUT.file).exists());
}

#[test]
fn of_those_that_are_gone_the_last_hundred_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap().store;
    let run = RunId::random();
    let gone = |number| ProcessEntry { state: EntryState::Gone, ..entry(run, number) };
    store.put(&[entry(run, 1)]).unwrap();
    store.put(&(2..400).map(gone).collect::<Vec<_>>()).unwrap();
    let left = all(folder.path());
    assert_eq!(left[0], entry(run, 1), "one that is not gone stays however old");
    assert_eq!(left.len(), 2 + GONE_KEPT as usize);
}

/// SQLite's locks are the process's: closing any descriptor of the file would give back those of another connection.
#[test]
fn a_second_one_in_the_same_process_leaves_the_locks_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Store::open(folder.path()).unwrap().store;
    first.runs().unwrap();
    let inode = std::fs::metadata(folder.path().join(LAYOUT.file)).unwrap().ino();
    let locks = || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let of_file = format!(":{inode} ");
        locks.lines().filter(|line| line.contains("POSIX") && line.contains(&of_file)).count()
    };
    let before = locks();
    assert!(before > 0, "it holds a lock as long as it is open");
    drop(Store::open(folder.path()).unwrap());
    assert_eq!(locks(), before);
}
