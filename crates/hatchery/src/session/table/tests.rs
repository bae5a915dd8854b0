use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A table that is told what to do in words, and what time it is.
struct Script {
    table: Table,
    start: Now,
    /// Since the start, in seconds.
    now: u64,
    told: String,
}

impl Script {
    fn new(settings: SessionSettings) -> Script {
        let start = Now { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) };
        Script { table: Table::new(settings, true), start, now: 0, told: String::new() }
    }

    fn now(&self) -> Now {
        let since = Duration::from_secs(self.now);
        Now { instant: self.start.instant + since, wall: self.start.wall + since }
    }

    /// `+5` lets time pass; `a=10` creates `a` with a time to live of 10 s, `a` with the usual one; `a?` gets, `a.` touches, `a-`
    /// deletes it; `*` lists, `#` cleans up, `!` writes down.
    fn run(&mut self, word: &str) {
        let now = self.now();
        let (name, order) = word.split_at(1);
        let said = match (name, order) {
            ("+", seconds) => {
                self.now += seconds.parse::<u64>().unwrap();
                return;
            }
            ("*", _) => names(self.table.list(now).iter().map(|session| session.id.to_string())),
            ("#", _) => {
                let Cleanup { expired, remaining, warns } = self.table.cleanup(now);
                format!("{expired} of {}{}", expired + remaining, if warns { " many" } else { "" })
            }
            ("!", _) => names(self.table.take_changes().iter().map(words)),
            (id, "?") => self.table.get(id, now).map_or("none".into(), |_| "yes".into()),
            (id, ".") => self.table.touch(id, now).to_string(),
            (id, "-") => self.table.delete(id, now).to_string(),
            (id, ttl) => self.create(id, ttl),
        };
        write!(self.told, "{word}:{said}; ").unwrap();
    }

    fn create(&mut self, id: &str, ttl: &str) -> String {
        let ttl = ttl.strip_prefix('=').map(|ttl| Duration::from_secs(ttl.parse().unwrap()));
        let session = Session::new(id, ttl.or(self.table.settings.ttl), self.now().wall);
        match self.table.create(Checked::of(session).unwrap(), self.now()) {
            Ok(_) => "ok".into(),
            Err(Full { current, max }) => format!("{current}/{max}"),
        }
    }
}

fn names(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.join(",")
}

fn words(change: &Change) -> String {
    match change {
        Change::Put(session) => format!("put {}", session.id),
        Change::Touch(session) => format!("touch {}", session.id),
        Change::Delete(id) => format!("delete {id}"),
        Change::Expire(id, _) => format!("expire {id}"),
    }
}

fn settings(max_sessions: usize) -> SessionSettings {
    SessionSettings {
        ttl: Some(Duration::from_secs(100)),
        max_sessions: Some(max_sessions),
        ..SessionSettings::default()
    }
}

#[track_caller]
fn check(words: &str, expected: &str) {
    let mut script = Script::new(settings(2));
    words.split_whitespace().for_each(|word| script.run(word));
    assert_eq!(script.told.trim_end_matches("; "), expected);
}

#[test]
fn an_expired_session_is_gone_at_that_instant_and_no_access_brings_it_back() {
    check("a=10 +10 a? +10 a? +11 a? a. *", "a=10:ok; a?:yes; a?:yes; a?:none; a.:false; *:");
    check("a=10 +11 *", "a=10:ok; *:");
    check("a=10 +11 a-", "a=10:ok; a-:false");
}

#[test]
fn one_that_expired_may_be_made_again_and_is_another() {
    check("a=10 +11 a=10 #", "a=10:ok; a=10:ok; #:0 of 1");
}

#[test]
fn an_existing_session_can_be_created_when_there_is_no_room() {
    check("a b c a", "a:ok; b:ok; c:2/2; a:ok");
}

#[test]
fn what_expired_takes_up_no_room() {
    check("a=5 b c +6 c *", "a=5:ok; b:ok; c:2/2; c:ok; *:b,c");
}

#[test]
fn a_cleanup_counts_what_it_found_and_says_whether_there_are_many() {
    check("a=5 b # +6 # +100 #", "a=5:ok; b:ok; #:0 of 2 many; #:1 of 2; #:1 of 1");
}

#[test]
fn a_time_to_live_of_nothing_lasts_for_an_instant() {
    check("a=0 a? +1 a?", "a=0:ok; a?:yes; a?:none");
}

#[test]
fn accesses_are_written_with_what_else_is_written() {
    check(
        "a ! a? a. ! a? b ! ! a- ! +101 b? !",
        "a:ok; !:put a; a?:yes; a.:true; !:touch a; a?:yes; b:ok; !:put b,touch a; !:; a-:true; !:delete a; b?:none; !:expire b",
    );
}

#[test]
fn one_that_is_made_again_is_written_and_not_deleted() {
    check("a a- a !", "a:ok; a-:true; a:ok; !:put a");
    check("a=1 +2 a !", "a=1:ok; a:ok; !:put a");
    check("a a- !", "a:ok; a-:true; !:delete a");
}

#[test]
fn only_what_should_not_wait_wakes_the_writer_and_once() {
    let mut script = Script::new(settings(2));
    script.run("a");
    assert!(script.table.wants_writer());
    script.run("a?");
    assert!(!script.table.wants_writer());
    script.run("a-");
    assert!(script.table.wants_writer());
}

#[test]
fn what_could_not_be_written_is_written_the_next_time_as_it_is_then() {
    let mut script = Script::new(settings(3));
    ["a", "b", "c"].into_iter().for_each(|word| script.run(word));
    let unwritten = script.table.take_changes();
    ["a?", "b-"].into_iter().for_each(|word| script.run(word));
    script.table.give_back(unwritten);
    script.run("!");
    assert!(script.told.ends_with("!:delete b,put a,put c; "), "{}", script.told);
}

/// The rule about the wall clock: it is for people.
#[test]
fn setting_the_clock_neither_ends_a_session_nor_makes_it_older_than_itself() {
    let mut script = Script::new(settings(2));
    script.run("a");
    let years = Duration::from_secs(300_000_000);
    let later = Now { instant: script.now().instant, wall: script.start.wall + years };
    assert_eq!(script.table.get("a", later).unwrap().last_accessed, later.wall);
    let earlier = Now { instant: script.now().instant, wall: SystemTime::UNIX_EPOCH };
    let session = script.table.get("a", earlier).unwrap();
    assert_eq!(session.last_accessed, session.created_at);
    script.now += 101;
    let over = Now { wall: SystemTime::UNIX_EPOCH, ..script.now() };
    assert!(script.table.get("a", over).is_none());
}

#[test]
fn a_restored_session_has_what_is_left_of_its_time_and_not_more_than_all_of_it() {
    let restored = |accessed: i64, later: u64| {
        let mut script = Script::new(settings(2));
        let mut session =
            Session::new("a", Some(Duration::from_secs(100)), script.start.wall - Duration::from_secs(500));
        session.last_accessed = match accessed {
            0.. => script.start.wall + Duration::from_secs(accessed.unsigned_abs()),
            _ => script.start.wall - Duration::from_secs(accessed.unsigned_abs()),
        };
        script.table.restore(Checked::of(session).unwrap(), script.start);
        script.now += later;
        let now = script.now();
        script.table.peek("a", now).is_some()
    };
    assert!(restored(-60, 40) && !restored(-60, 41));
    assert!(!restored(-101, 0));
    // The clock was set back in between.
    assert!(restored(1_000, 100) && !restored(1_000, 101));
}

#[test]
fn a_change_is_made_to_what_it_was_made_from_or_not_at_all() {
    let mut script = Script::new(settings(2));
    script.run("a");
    let now = script.now();
    let (before, revision) =
        script.table.peek("a", now).map(|(checked, revision)| (checked.clone(), revision)).unwrap();
    let with = |name: &str| {
        let mut session = before.session().clone();
        session.metadata.insert(name.into(), json!(name));
        before.changed(session).unwrap()
    };
    assert!(script.table.touch("a", now), "an access is no change");
    assert_eq!(script.table.commit(revision, with("x"), now).unwrap().metadata.len(), 1);
    assert_eq!(script.table.commit(revision, with("y"), now), Err(Stale::Changed));
    let worker =
        SessionWorker { run: crate::id::RunId::random(), worker: crate::id::WorkerId::new("p", 0), generation: 1 };
    let (_, revision) = script.table.peek("a", now).unwrap();
    assert!(script.table.set_worker("a", &worker, now));
    assert_eq!(script.table.commit(revision, with("y"), now), Err(Stale::Changed));
    let (_, revision) = script.table.peek("a", now).unwrap();
    assert!(script.table.set_worker("a", &worker, now), "the same worker again is an access");
    assert!(script.table.commit(revision, with("y"), now).is_ok());
    let (_, revision) = script.table.peek("a", now).unwrap();
    script.run("a-");
    script.run("a");
    assert_eq!(script.table.commit(revision, with("z"), now), Err(Stale::Changed), "another one of the same name");
    script.run("a-");
    assert_eq!(script.table.commit(revision, with("z"), now), Err(Stale::Gone));
}

#[test]
fn a_shorter_time_to_live_holds_at_once() {
    let mut script = Script::new(settings(2));
    script.run("a");
    let now = script.now();
    let (before, revision) =
        script.table.peek("a", now).map(|(checked, revision)| (checked.clone(), revision)).unwrap();
    let mut session = before.session().clone();
    session.ttl = Some(Duration::from_secs(3));
    script.table.commit(revision, before.changed(session).unwrap(), now).unwrap();
    script.now += 4;
    script.run("#");
    assert_eq!(script.told, "a:ok; #:1 of 1; ");
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Create(u8, Option<u64>),
    Get(u8),
    Peek(u8),
    SetTtl(u8, Option<u64>),
    Delete(u8),
    Cleanup,
    Write,
}

fn step() -> impl Strategy<Value = Step> {
    let ttl = || prop::option::of(0_u64..20);
    prop_oneof![
        (0_u64..15).prop_map(Step::Wait),
        (0_u8..6, ttl()).prop_map(|(id, ttl)| Step::Create(id, ttl)),
        (0_u8..6).prop_map(Step::Get),
        (0_u8..6).prop_map(Step::Peek),
        (0_u8..6, ttl()).prop_map(|(id, ttl)| Step::SetTtl(id, ttl)),
        (0_u8..6).prop_map(Step::Delete),
        Just(Step::Cleanup),
        Just(Step::Write),
    ]
}

/// The same in the simplest way: what was accessed when, and what is on disk.
#[derive(Default)]
struct Model {
    /// Accessed when, and for how long from there.
    sessions: HashMap<u8, (u64, Option<u64>)>,
    now: u64,
}

impl Model {
    fn forget_expired(&mut self) {
        let now = self.now;
        self.sessions.retain(|_, (accessed, ttl)| ttl.is_none_or(|ttl| *accessed + ttl >= now));
    }
}

const MAX: usize = 4;

/// Does a step with both, and holds one against the other.
fn step_both(script: &mut Script, model: &mut Model, disk: &mut BTreeMap<String, SystemTime>, step: &Step) {
    let now = script.now();
    match *step {
        Step::Wait(seconds) => {
            script.now += seconds;
            model.now += seconds;
            model.forget_expired();
        }
        Step::Create(id, ttl) => {
            let session = Session::new(id.to_string(), ttl.map(Duration::from_secs), now.wall);
            let created = script.table.create(Checked::of(session).unwrap(), now).is_ok();
            let has_room = model.sessions.len() < MAX || model.sessions.contains_key(&id);
            assert_eq!(created, has_room);
            if has_room {
                model.sessions.entry(id).or_insert((model.now, ttl)).0 = model.now;
            }
        }
        Step::Get(id) => {
            assert_eq!(script.table.get(&id.to_string(), now).is_some(), model.sessions.contains_key(&id));
            model.sessions.entry(id).and_modify(|session| session.0 = model.now);
        }
        Step::Peek(id) => {
            assert_eq!(script.table.peek(&id.to_string(), now).is_some(), model.sessions.contains_key(&id));
        }
        Step::SetTtl(id, ttl) => {
            let found = script.table.peek(&id.to_string(), now).map(|(checked, revision)| (checked.clone(), revision));
            assert_eq!(found.is_some(), model.sessions.contains_key(&id));
            if let Some((before, revision)) = found {
                let session = Session { ttl: ttl.map(Duration::from_secs), ..before.session().clone() };
                script.table.commit(revision, before.changed(session).unwrap(), now).unwrap();
                model.sessions.insert(id, (model.now, ttl));
                // A time of nothing is not over in this instant.
            }
        }
        Step::Delete(id) => {
            assert_eq!(script.table.delete(&id.to_string(), now), model.sessions.remove(&id).is_some());
        }
        Step::Cleanup => assert_eq!(script.table.cleanup(now).remaining, model.sessions.len()),
        Step::Write => script.table.take_changes().into_iter().for_each(|change| write_to(disk, change)),
    }
}

fn write_to(disk: &mut BTreeMap<String, SystemTime>, change: Change) {
    match change {
        Change::Put(session) | Change::Touch(session) => {
            disk.insert(session.id.to_string(), session.last_accessed);
        }
        Change::Delete(id) => disk.retain(|there, _| **there != *id),
        Change::Expire(id, known) => disk.retain(|there, accessed| **there != *id || *accessed > known),
    }
}

proptest! {
    #[test]
    fn it_does_what_the_simplest_thing_does_and_the_disk_follows(steps in prop::collection::vec(step(), 1..80)) {
        let (mut script, mut model, mut disk) = (Script::new(settings(MAX)), Model::default(), BTreeMap::new());
        for step in &steps {
            step_both(&mut script, &mut model, &mut disk, step);
            let due = script.table.due.len();
            prop_assert!(due <= script.table.sessions.len(), "{due} places for {}", script.table.sessions.len());
        }
        step_both(&mut script, &mut model, &mut disk, &Step::Cleanup);
        step_both(&mut script, &mut model, &mut disk, &Step::Write);
        let now = script.now();
        let living = script.table.list(now);
        let in_memory: BTreeMap<_, _> = living.iter().map(|s| (s.id.to_string(), s.last_accessed)).collect();
        prop_assert_eq!(in_memory, disk);
        let stats = script.table.stats(now);
        let estimate: usize = script.table.sessions.values().map(|entry| entry.checked.memory()).sum();
        prop_assert_eq!(stats.memory_bytes, estimate);
        prop_assert_eq!(stats.created, stats.deleted + stats.expired + stats.current as u64);
    }
}
