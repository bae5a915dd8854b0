use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::agent::OutcomeKind;
use crate::agent::{AgentSessionId, Usage};
use crate::storage::lock;

/// Runs of one data dir, whose ids sort as they were made.
struct World {
    data: tempfile::TempDir,
    supervisor: RunId,
}

impl World {
    fn new() -> World {
        World { data: tempfile::tempdir().unwrap(), supervisor: RunId::random() }
    }

    fn path(&self) -> &Path {
        self.data.path()
    }

    fn open(&self) -> History {
        self.reopen().history
    }

    fn reopen(&self) -> Opened {
        History::open(self.path(), self.supervisor, &Instance::default()).unwrap()
    }

    /// Another life of the supervisor; what the one before wrote down is of a process that is no more.
    fn after_a_crash(&mut self) -> Opened {
        self.kill_owner();
        self.supervisor = RunId::random();
        self.reopen()
    }

    fn kill_owner(&self) {
        let connection = rusqlite::Connection::open(self.path().join(LAYOUT.file)).unwrap();
        // Of an earlier boot: nothing of it can run.
        let dead = "4711 start=1 boot=00000000000000000000000000000000";
        connection.execute("UPDATE agents SET owner = ?1", [dead]).unwrap();
    }

    fn list(&self, filter: AgentFilter) -> Vec<AgentRunId> {
        list(self.path(), &filter).unwrap().iter().map(|info| info.run).collect()
    }
}

fn info(n: u64) -> AgentInfo {
    // Ids sort by their time: so many milliseconds after 1970.
    let run = AgentRunId::parse(&ulid::Ulid::from_parts(1000 + n, u128::from(n)).to_string()).unwrap();
    let started_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + n);
    AgentInfo {
        run,
        sessions: Vec::new(),
        resumable: None,
        adapter: "plain".into(),
        command: vec!["agent".into()],
        cwd: "/projects/one".into(),
        pid: None,
        labels: BTreeMap::new(),
        agent: None,
        task: None,
        model: None,
        started_at,
        state: AgentState { phase: Phase::Spawning, since: started_at, reason: String::new() },
        turns: 0,
        usage: Usage::default(),
        events: 0,
        bytes: 0,
        on_owner_death: OwnerDeath::Stop,
        notes: Vec::new(),
    }
}

fn called(n: u64, session: &str) -> AgentInfo {
    AgentInfo { sessions: vec![AgentSessionId::new(session)], ..info(n) }
}

fn ended(info: AgentInfo) -> AgentInfo {
    let mut ended = lost(info, SystemTime::now());
    if let Phase::Exited { outcome } = &mut ended.state.phase {
        outcome.kind = OutcomeKind::Completed;
    }
    ended
}

fn everything() -> AgentFilter {
    AgentFilter { with_ended: true, ..AgentFilter::default() }
}

fn kind(info: &AgentInfo) -> Option<OutcomeKind> {
    match &info.state.phase {
        Phase::Exited { outcome } => Some(outcome.kind),
        _ => None,
    }
}

#[test]
fn the_first_row_is_there_when_begin_returns_and_the_file_only_then() {
    let world = World::new();
    let history = world.open();
    assert!(!world.path().join(LAYOUT.file).exists());
    history.insert(&info(1)).unwrap();
    assert_eq!(list(world.path(), &everything()).unwrap(), [info(1)], "although nobody has said that it is over");
}

#[test]
fn a_row_follows_its_run_and_only_the_last_of_many_changes_counts() {
    let world = World::new();
    let history = world.open();
    history.insert(&info(1)).unwrap();
    (0..500).for_each(|turns| history.update(&AgentInfo { turns, ..called(1, "a") }));
    // Else that name may never have been on disk.
    history.flush();
    history.update(&ended(called(1, "b")));
    history.flush();
    let found = find(world.path(), "a").unwrap();
    assert_eq!((found.run, kind(&found)), (info(1).run, Some(OutcomeKind::Completed)), "by what it was called before");
}

#[test]
fn a_run_of_a_dead_supervisor_is_lost_for_who_reads_and_for_who_comes_after() {
    let mut world = World::new();
    let history = world.open();
    history.insert(&info(1)).unwrap();
    history.update(&ended(info(2)));
    history.flush();
    assert_eq!(world.reopen().lost.len(), 0, "it lives");
    world.kill_owner();
    assert_eq!(kind(&find(world.path(), &info(1).run.to_string()).unwrap()), Some(OutcomeKind::Lost));
    let opened = world.after_a_crash();
    assert_eq!((opened.lost.len(), opened.abandoned.len()), (1, 0));
    assert_eq!(world.reopen().lost.len(), 0, "that is written down");
    let rows = list(world.path(), &everything()).unwrap();
    assert_eq!(rows.iter().map(kind).collect::<Vec<_>>(), [Some(OutcomeKind::Completed), Some(OutcomeKind::Lost)]);
}

#[test]
fn whoever_holds_the_lock_of_its_record_lives() {
    let world = World::new();
    world.open().insert(&info(1)).unwrap();
    world.kill_owner();
    let record = Folder::base(world.path()).unwrap().make("runs").unwrap().make(&world.supervisor.to_string()).unwrap();
    let held = lock(record.append("lock").unwrap()).unwrap().unwrap();
    assert_eq!(kind(&find(world.path(), &info(1).run.to_string()).unwrap()), None);
    drop(held);
    assert_eq!(kind(&find(world.path(), &info(1).run.to_string()).unwrap()), Some(OutcomeKind::Lost));
}

#[test]
fn what_was_to_outlive_its_supervisor_is_left_to_the_next_of_the_instance() {
    let mut world = World::new();
    let keep = AgentInfo { on_owner_death: OwnerDeath::Keep, ..info(1) };
    world.open().insert(&keep).unwrap();
    world.kill_owner();
    assert_eq!(find(world.path(), &keep.run.to_string()).unwrap(), keep);
    let stranger = Instance { name: "another".into(), token: None };
    assert!(History::open(world.path(), RunId::random(), &stranger).unwrap().abandoned.is_empty());
    let opened = world.after_a_crash();
    assert_eq!((opened.lost.len(), &opened.abandoned[..]), (0, &[keep.clone()][..]));
    // It is its new supervisor's with the first word of it.
    opened.history.update(&keep);
    opened.history.flush();
    assert!(History::open(world.path(), RunId::random(), &Instance::default()).unwrap().abandoned.is_empty());
}

#[test]
fn a_filter_finds_what_it_names() {
    let world = World::new();
    let history = world.open();
    let labels = BTreeMap::from([("who".to_owned(), "me".to_owned()), ("why".to_owned(), "test".to_owned())]);
    let agent = Some(("7".to_owned(), "reviewer".to_owned()));
    for info in [
        AgentInfo { labels, ..info(1) },
        AgentInfo { cwd: "/projects/two/sub".into(), ..called(2, "a") },
        ended(called(3, "a")),
        AgentInfo { agent, cwd: "/projects/twofold".into(), ..info(4) },
    ] {
        history.update(&info);
    }
    history.flush();
    let runs = |numbers: &[u64]| numbers.iter().map(|n| info(*n).run).collect::<Vec<_>>();
    let all = everything;
    assert_eq!(world.list(all()), runs(&[4, 3, 2, 1]), "the latest first");
    assert_eq!(world.list(AgentFilter::default()), runs(&[4, 2, 1]), "those that are not over");
    assert_eq!(history.list(&AgentFilter { most: Some(2), ..all() }).unwrap().len(), 2);
    assert_eq!(world.list(AgentFilter { state: Some("exited".into()), ..AgentFilter::default() }), runs(&[3]));
    assert_eq!(world.list(AgentFilter { session: Some("a".into()), ..all() }), runs(&[3, 2]));
    assert_eq!(world.list(AgentFilter { cwd: Some("/projects/two".into()), ..all() }), runs(&[2]));
    assert_eq!(world.list(AgentFilter { agent: Some("reviewer".into()), ..all() }), runs(&[4]));
    let label = |value: &str| BTreeMap::from([("who".to_owned(), value.to_owned())]);
    assert_eq!(world.list(AgentFilter { labels: label("me"), ..all() }), runs(&[1]));
    assert!(world.list(AgentFilter { labels: label("you"), ..all() }).is_empty());
}

#[test]
fn a_run_is_found_by_id_by_session_and_by_what_only_it_begins_with() {
    let world = World::new();
    let history = world.open();
    for info in [called(1, "abc-1"), called(2, "abc-2"), called(3, "abc-2"), info(4)] {
        history.update(&info);
    }
    history.flush();
    let found = |text: &str| find(world.path(), text).map(|info| info.run).map_err(|error| error.kind());
    let id = info(4).run.to_string();
    assert_eq!(found(&id), Ok(info(4).run));
    assert_eq!(found(&id[..8]), Err(ErrorKind::Validation), "all of these were started in one second");
    let unique = (1..26).find(|length| found(&id[..*length]).is_ok()).unwrap();
    assert_eq!(found(&id[..unique].to_lowercase()), Ok(info(4).run));
    assert_eq!(found("abc-2"), Ok(info(3).run), "the latest");
    assert_eq!(found("abc-1"), Ok(info(1).run));
    assert_eq!(find(world.path(), "abc").unwrap_err().details().unwrap()["runs"].as_array().unwrap().len(), 2);
    for text in ["", "ABC-1", "abc%", "nothing", &AgentRunId::random().to_string()] {
        assert_eq!(found(text), Err(ErrorKind::NotFound), "{text:?}");
    }
    assert_eq!(find(Path::new("/no/such/folder"), "a").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn the_oldest_that_are_over_are_forgotten_with_their_folders() {
    let world = World::new();
    let opened = History::open_keeping(3, world.path(), world.supervisor, &Instance::default()).unwrap();
    for n in 1..=6 {
        folder(world.path()).unwrap().make(&info(n).run.to_string()).unwrap().create("output").unwrap();
        let info = called(n, &format!("s{n}"));
        opened.history.update(&if n == 2 { info } else { ended(info) });
    }
    opened.history.flush();
    let kept = [6, 5, 4, 2].map(|n| info(n).run);
    assert_eq!(world.list(everything()), kept);
    let mut folders = folder(world.path()).unwrap().names().unwrap();
    folders.sort_by(|one, other| other.cmp(one));
    assert_eq!(folders, kept.map(|run| run.to_string()));
    assert_eq!(find(world.path(), "s1").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_file_that_is_damaged_or_gone_is_made_anew_with_all_that_live() {
    let world = World::new();
    let history = world.open();
    history.insert(&info(1)).unwrap();
    history.update(&ended(info(2)));
    history.flush();
    std::fs::remove_file(world.path().join(LAYOUT.file)).unwrap();
    history.insert(&info(3)).unwrap();
    assert_eq!(world.list(everything()), [info(3).run, info(1).run]);
    drop(history);
    std::fs::write(world.path().join(LAYOUT.file), "this is no database, however long one looks at it".repeat(100))
        .unwrap();
    let opened = world.reopen();
    assert!(opened.set_aside.unwrap().exists());
    opened.history.insert(&info(4)).unwrap();
    assert_eq!(world.list(everything()), [info(4).run]);
}

#[test]
fn what_cannot_be_written_is_told_and_written_later() {
    let world = World::new();
    let history = world.open();
    std::fs::create_dir(world.path().join(LAYOUT.file)).unwrap();
    let error = history.insert(&info(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    std::fs::remove_dir(world.path().join(LAYOUT.file)).unwrap();
    history.insert(&info(2)).unwrap();
    assert_eq!(world.list(everything()), [info(2).run, info(1).run]);
}
