//! What is left when a run ends.

use std::path::PathBuf;

use rusqlite::Connection;

use super::*;

struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Disk {
        Disk(tempfile::tempdir().unwrap())
    }

    fn run(&self) -> Sessions {
        self.run_with(SessionSettings::default())
    }

    fn run_with(&self, settings: SessionSettings) -> Sessions {
        Sessions::open(Some(self.0.path()), RunId::random(), settings, None).unwrap()
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("sessions.sqlite3")
    }

    fn ask(&self, query: &str) -> Vec<String> {
        let connection = Connection::open(self.file()).unwrap();
        let mut statement = connection.prepare(query).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.ask("SELECT id FROM sessions ORDER BY id")
    }
}

#[test]
fn a_session_is_in_the_next_run_what_it_was_in_this_one() {
    let disk = Disk::new();
    let first = disk.run();
    first.create_with("a", |session| session.ttl = None).unwrap();
    first.put_program("a", "p", json!({"ä": [1, null, -2.5, u64::MAX, i64::MIN]})).unwrap();
    first.put_metadata("a", "m", json!("\0\u{1F600}")).unwrap();
    first.store_worker("a", &WorkerId::new("default", 1), 3);
    first.create("b").unwrap();
    let expected = first.list();
    drop(first);
    let second = disk.run();
    assert_eq!(second.list(), expected);
    assert_eq!(second.losses(), Vec::<String>::new());
    let StoreStats { created, current, .. } = second.stats();
    assert_eq!((created, current), (0, 2), "what was loaded was not created in this run");
}

/// The first is one that serde_json reads with another last bit, unless it is built to read exactly.
#[test]
fn numbers_are_what_they_were_to_the_last_bit() {
    let disk = Disk::new();
    let numbers = json!([-0.038_673_791_648_626_644, 0.1 + 0.2, f64::MIN_POSITIVE, f64::MAX]);
    let first = disk.run();
    first.create("a").unwrap();
    first.put_metadata("a", "numbers", numbers.clone()).unwrap();
    drop(first);
    assert_eq!(disk.run().get_metadata("a", "numbers").unwrap(), Some(numbers));
}

#[test]
fn accesses_and_deletions_are_on_disk_too() {
    let disk = Disk::new();
    let first = disk.run();
    ["a", "b"].into_iter().for_each(|id| drop(first.create(id).unwrap()));
    first.flush();
    let accessed = first.get("a").unwrap().last_accessed;
    first.delete("b");
    first.close();
    first.create("c").unwrap();
    assert!(first.exists("c"), "memory goes on");
    assert_eq!(disk.ids(), ["a"]);
    assert_eq!(disk.run().list()[0].last_accessed, accessed);
}

#[test]
fn expired_ones_are_not_loaded_and_those_that_expire_leave_the_disk() {
    let disk = Disk::new();
    let first = disk.run();
    let with_ttl = |id, ttl| first.create_with(id, |session| session.ttl = Some(ttl)).map(drop).unwrap();
    with_ttl("short", Duration::ZERO);
    with_ttl("long", Duration::from_secs(1000));
    first.flush();
    while first.cleanup_expired() == 0 && first.stats().expired == 0 {}
    first.flush();
    assert_eq!(disk.ids(), ["long"]);
    with_ttl("short", Duration::from_millis(1));
    first.flush();
    // As after a crash: nobody cleans up.
    let second = loop {
        let second = disk.run();
        if !second.exists("short") {
            break second;
        }
    };
    assert_eq!(second.list().len(), 1);
    // Its time may have passed just after it was loaded.
    second.flush();
    assert_eq!(disk.ids(), ["long"]);
}

#[test]
fn a_file_that_cannot_be_used_is_kept_aside_and_said() {
    let disk = Disk::new();
    std::fs::write(disk.file(), vec![7; 10_000]).unwrap();
    let sessions = disk.run();
    assert!(sessions.losses()[0].contains("sessions.sqlite3.corrupt."), "{:?}", sessions.losses());
    sessions.create("a").unwrap();
    drop(sessions);
    assert_eq!(disk.ids(), ["a"]);
}

#[test]
fn without_a_place_to_write_they_are_in_memory_and_it_is_said() {
    let disk = Disk::new();
    std::fs::create_dir(disk.file()).unwrap();
    let sessions = disk.run();
    sessions.create("a").unwrap();
    sessions.delete("a");
    assert!(sessions.losses()[0].contains("in memory only"), "{:?}", sessions.losses());
    assert!(store::locked(&sessions.0.table).take_changes().is_empty(), "what nobody writes is not remembered");
}

#[test]
fn a_file_that_is_taken_away_is_made_anew_with_everything() {
    let disk = Disk::new();
    let sessions = disk.run();
    sessions.create("a").unwrap();
    sessions.flush();
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(disk.0.path().join(format!("sessions.sqlite3{suffix}"))).unwrap();
    }
    sessions.create("b").unwrap();
    sessions.flush();
    assert_eq!(disk.ids(), ["a", "b"]);
}

#[test]
fn a_folder_that_is_taken_away_stays_away() {
    let disk = Disk::new();
    let sessions = disk.run();
    sessions.create("a").unwrap();
    sessions.flush();
    std::fs::remove_dir_all(disk.0.path()).unwrap();
    sessions.create("b").unwrap();
    sessions.flush();
    assert!(!sessions.losses().is_empty() && !disk.0.path().exists());
    assert!(sessions.exists("a") && sessions.exists("b"), "memory is the truth");
}

#[test]
fn what_cannot_be_written_now_is_said_and_written_later() {
    let disk = Disk::new();
    let sessions = disk.run();
    sessions.create("a").unwrap();
    sessions.flush();
    let other = Connection::open(disk.file()).unwrap();
    other.execute_batch("DROP TABLE sessions").unwrap();
    sessions.create("b").unwrap();
    sessions.flush();
    assert!(sessions.losses()[0].contains("no such table"), "{:?}", sessions.losses());
    other.execute_batch(include_str!("../schema.sql")).unwrap();
    sessions.flush();
    assert_eq!((sessions.losses(), disk.ids()), (Vec::new(), vec!["b".to_owned()]));
}

#[test]
fn a_row_that_is_no_session_is_passed_over_and_said() {
    let disk = Disk::new();
    let first = disk.run();
    ["a", "b", "c", "d"].into_iter().for_each(|id| drop(first.create(id).unwrap()));
    drop(first);
    let connection = Connection::open(disk.file()).unwrap();
    connection.execute_batch("UPDATE sessions SET programs = '[' WHERE id = 'a'").unwrap();
    connection.execute_batch("UPDATE sessions SET created_at = last_accessed + 1 WHERE id = 'b'").unwrap();
    connection.execute_batch("UPDATE sessions SET last_accessed = -5, ttl = NULL WHERE id = 'c'").unwrap();
    let second = disk.run();
    assert_eq!(second.list().len(), 1);
    assert_eq!(second.losses(), ["3 sessions on disk cannot be read, and were passed over"]);
}

#[test]
fn of_more_than_there_may_be_those_accessed_last_are_loaded() {
    let disk = Disk::new();
    let first = disk.run();
    ["a", "b", "c"].into_iter().for_each(|id| drop(first.create(id).unwrap()));
    first.touch("a").unwrap();
    drop(first);
    let second = disk.run_with(SessionSettings { max_sessions: Some(2), ..SessionSettings::default() });
    assert_eq!(second.list().iter().map(|session| &*session.id).collect::<Vec<_>>(), ["a", "c"]);
    assert!(second.losses()[0].starts_with("1 sessions on disk are more"), "{:?}", second.losses());
    assert_eq!(disk.ids(), ["a", "b", "c"]);
}

#[test]
fn two_runs_at_once_leave_what_was_changed_last_and_take_nothing_from_each_other() {
    let disk = Disk::new();
    let first = disk.run();
    ["a", "b", "c"].into_iter().for_each(|id| drop(first.create(id).unwrap()));
    first.flush();
    let second = disk.run();
    first.put_metadata("a", "by", json!(1)).unwrap();
    first.flush();
    second.put_metadata("b", "by", json!(2)).unwrap();
    second.delete("c");
    second.flush();
    first.touch("c").unwrap();
    drop(first);
    drop(second);
    let third = disk.run();
    assert_eq!(third.get_metadata("a", "by").unwrap(), Some(json!(1)), "the second never touched it");
    assert_eq!(third.get_metadata("b", "by").unwrap(), Some(json!(2)));
    assert!(third.exists("c"), "whoever uses it, has it");
}

#[test]
fn what_expires_in_one_run_stays_if_the_other_has_accessed_it() {
    let disk = Disk::new();
    let first = disk.run();
    first.create_with("a", |session| session.ttl = Some(Duration::from_secs(1000))).unwrap();
    first.flush();
    let second = disk.run();
    first.get("a").unwrap();
    first.flush();
    store::locked(&second.0.table)
        .cleanup(Now { instant: Instant::now() + Duration::from_secs(1001), wall: SystemTime::now() });
    second.flush();
    assert!(!second.exists("a"));
    assert_eq!(disk.ids(), ["a"]);
}

/// `cargo test -p hatchery --lib -- --ignored ten_thousand --nocapture`: it reads what the kernel counts, so it runs alone.
#[test]
#[ignore = "measures the memory of the whole process"]
fn ten_thousand_sessions_take_less_than_20_mib() {
    fn resident() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * rustix::param::page_size()
    }
    let (disk, worker) = (Disk::new(), WorkerId::new("default", 1));
    let sessions = disk.run();
    // SQLite's own code is not theirs.
    sessions.flush();
    let (before, begun) = (resident(), Instant::now());
    let ids: Vec<String> = (0..10_000).map(|number| format!("conversation-of-user-{number}")).collect();
    for id in &ids {
        sessions.create(id).unwrap();
        sessions.store_worker(id, &worker, 1);
        sessions.put_metadata(id, "language", json!("de")).unwrap();
    }
    sessions.flush();
    let (grown, made) = (resident() - before, begun.elapsed());
    let begun = Instant::now();
    ids.iter().for_each(|id| sessions.touch(id).unwrap());
    let accessed = begun.elapsed();
    let estimated = sessions.stats().memory_bytes;
    println!(
        "{} KiB resident, {} KiB estimated; made in {made:?}, accessed in {accessed:?}",
        grown >> 10,
        estimated >> 10
    );
    assert!(grown < 20 << 20, "{grown} bytes");
    assert!((grown / 2..2 * grown).contains(&estimated), "{estimated} bytes estimated, {grown} measured");
}
