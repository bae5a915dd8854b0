use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

fn sessions(settings: SessionSettings) -> Sessions {
    Sessions::in_memory(settings).unwrap()
}

fn usual() -> Sessions {
    sessions(SessionSettings::default())
}

fn reason(error: &Error) -> (ErrorKind, String) {
    let details = error.details().unwrap_or_else(|| panic!("no details: {error}"));
    (error.kind(), details["reason"].as_str().unwrap().to_owned())
}

#[track_caller]
fn refused_for<T: std::fmt::Debug>(outcome: Result<T>, kind: ErrorKind, why: &str) {
    assert_eq!(reason(&outcome.unwrap_err()), (kind, why.to_owned()));
}

#[test]
fn a_session_that_is_there_is_returned_also_when_there_is_no_room() {
    let sessions = sessions(SessionSettings { max_sessions: Some(2), ..SessionSettings::default() });
    sessions.create("a").unwrap();
    let b = sessions.create_with("b", |session| session.ttl = Some(Duration::ZERO)).unwrap();
    assert_eq!(b.ttl, Some(Duration::ZERO));
    sessions.create_with("a", |_| panic!("it is there")).unwrap();
    // The time of `b` is over one tick of the clock later.
    while sessions.exists("b") {}
    sessions.create("c").unwrap();
    let error = sessions.create("d").unwrap_err();
    assert_eq!(reason(&error), (ErrorKind::Limit, "session_quota_exceeded".into()));
    assert_eq!(error.details().unwrap()["max"], 2);
    sessions.create("a").unwrap();
    let StoreStats { created, deleted, expired, current, max, .. } = sessions.stats();
    assert_eq!((created, deleted, expired, current, max), (3, 0, 1, 2, Some(2)));
}

#[test]
fn any_number_is_none() {
    let sessions = sessions(SessionSettings { max_sessions: None, ..SessionSettings::default() });
    (0..20_000).for_each(|number| drop(sessions.create(&number.to_string()).unwrap()));
    assert_eq!(sessions.stats().current, 20_000);
    assert!(sessions.events_of(sessions.cleanup()).next().is_none());
}

#[test]
fn a_function_that_fails_or_panics_changes_nothing_and_the_store_lives() {
    let sessions = usual();
    sessions.create("a").unwrap();
    sessions.put_metadata("a", "k", json!(1)).unwrap();
    let before = sessions.get("a").unwrap();
    let failed = sessions.update::<()>("a", |session| {
        session.metadata.clear();
        Err(Error::new(ErrorKind::Unavailable, "no luck"))
    });
    assert_eq!(failed.as_ref().unwrap_err().message(), "update session `a`: no luck");
    refused_for(failed, ErrorKind::Unavailable, "update_failed");
    let panicked = sessions.update::<()>("a", |session| {
        session.programs.insert("p".into(), json!(2));
        panic!("out of {}", "luck")
    });
    assert!(panicked.as_ref().unwrap_err().message().ends_with("panicked: out of luck"));
    refused_for(panicked, ErrorKind::Internal, "update_failed");
    refused_for(sessions.create_with("b", |_| panic!("no")), ErrorKind::Internal, "update_failed");
    let after = sessions.get("a").unwrap();
    assert_eq!(after, Session { last_accessed: after.last_accessed, ..before });
    assert!(!sessions.exists("b"));
}

#[test]
fn what_is_invalid_is_refused_with_its_reason_and_changes_nothing() {
    use ErrorKind::{Limit, Validation};
    let sessions = usual();
    sessions.create("a").unwrap();
    let epoch = SystemTime::UNIX_EPOCH;
    let deep = (0..101).fold(json!(1), |value, _| json!([value]));
    type Case = (ErrorKind, &'static str, Box<dyn Fn(&mut Session)>);
    let cases: [Case; 12] = [
        (Validation, "invalid_id", Box::new(|session| session.id = "b".into())),
        (Validation, "invalid_id", Box::new(|session| session.id = "".into())),
        (Validation, "invalid_ttl", Box::new(|session| session.ttl = Some(Duration::MAX))),
        (
            Validation,
            "invalid_created_at",
            Box::new(move |session| session.created_at = epoch - Duration::from_secs(1)),
        ),
        (
            Validation,
            "invalid_last_accessed",
            Box::new(move |session| session.last_accessed = epoch - Duration::from_secs(1)),
        ),
        (Validation, "invalid_timestamps", Box::new(move |session| session.last_accessed = epoch)),
        (Validation, "invalid_programs", Box::new(|session| drop(session.programs.insert(String::new(), json!(1))))),
        (Validation, "invalid_metadata", Box::new(|session| drop(session.metadata.insert("ä".repeat(129), json!(1))))),
        (
            Validation,
            "invalid_metadata",
            Box::new(move |session| drop(session.metadata.insert("deep".into(), deep.clone()))),
        ),
        (
            Limit,
            "invalid_programs",
            Box::new(|session| drop(session.programs.insert("p".into(), json!("x".repeat(1 << 20))))),
        ),
        (
            Limit,
            "invalid_metadata",
            Box::new(|session| drop(session.metadata.insert("m".into(), json!("x".repeat(64 << 10))))),
        ),
        (
            Limit,
            "invalid_metadata",
            Box::new(|session| session.metadata.extend((0..257).map(|n| (n.to_string(), json!(n))))),
        ),
    ];
    for (number, (kind, why, change)) in cases.iter().enumerate() {
        let outcome = sessions.update("a", |session| {
            change(session);
            Ok(())
        });
        assert_eq!(reason(&outcome.unwrap_err()), (*kind, (*why).to_owned()), "case {number}");
    }
    let session = sessions.get("a").unwrap();
    assert!(session.programs.is_empty() && session.metadata.is_empty());
    for id in [String::new(), "x".repeat(257), "ä".repeat(129)] {
        refused_for(sessions.create(&id), Validation, "invalid_id");
    }
    sessions.create(&"x".repeat(256)).unwrap();
    sessions.validate("a").unwrap();
}

#[test]
fn what_is_not_there_is_not_found() {
    let sessions = usual();
    let outcomes = [
        sessions.get("a").map(drop),
        sessions.touch("a"),
        sessions.validate("a"),
        sessions.session_stats("a").map(drop),
        sessions.update("a", |_| Ok(())),
        sessions.put_program("a", "p", json!(1)),
        sessions.get_program("a", "p").map(drop),
        sessions.delete_program("a", "p").map(drop),
        sessions.put_metadata("a", "m", json!(1)),
        sessions.get_metadata("a", "m").map(drop),
    ];
    outcomes.into_iter().for_each(|outcome| refused_for(outcome, ErrorKind::NotFound, "session_not_found"));
    assert!(!sessions.delete("a"));
    sessions.create("a").unwrap();
    refused_for(sessions.get_program("a", "p"), ErrorKind::NotFound, "program_not_found");
    assert_eq!(sessions.get_metadata("a", "m").unwrap(), None);
}

#[test]
fn programs_and_metadata_go_in_and_out_and_are_counted() {
    let sessions = usual();
    sessions.create("a").unwrap();
    sessions.put_program("a", "p", json!({"steps": [1, 2]})).unwrap();
    sessions.put_program("a", "p", json!(3)).unwrap();
    sessions.put_program("a", "q", json!(4)).unwrap();
    sessions.put_metadata("a", "m", json!("x".repeat(1000))).unwrap();
    assert_eq!(sessions.get_program("a", "p").unwrap(), 3);
    let stats = sessions.session_stats("a").unwrap();
    assert_eq!((stats.programs, stats.metadata, stats.items), (2, 1, 3));
    assert!(stats.memory_bytes > 1000 && stats.memory_bytes == sessions.stats().memory_bytes);
    assert!(sessions.delete_program("a", "p").unwrap() && !sessions.delete_program("a", "p").unwrap());
    assert_eq!(sessions.session_stats("a").unwrap().programs, 1);
    assert_eq!(sessions.list().iter().map(|session| &*session.id).collect::<Vec<_>>(), ["a"]);
    assert!(sessions.delete("a"));
    assert_eq!((sessions.stats().memory_bytes, sessions.stats().deleted), (0, 1));
}

#[test]
fn a_copy_is_a_copy() {
    let sessions = usual();
    let mut copy = sessions.create("a").unwrap();
    copy.metadata.insert("k".into(), json!(1));
    assert!(sessions.get("a").unwrap().metadata.is_empty());
}

#[test]
fn many_threads_that_change_one_session_lose_nothing() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 500;
    let sessions = usual();
    sessions.create("a").unwrap();
    let (calls, others) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let count = |session: &mut Session| {
                        calls.fetch_add(1, Ordering::Relaxed);
                        let count = session.metadata.get("count").and_then(Value::as_u64).unwrap_or(0);
                        session.metadata.insert("count".into(), (count + 1).into());
                        Ok(())
                    };
                    while let Err(error) = sessions.update("a", count) {
                        assert_eq!(error.kind(), ErrorKind::Conflict);
                        others.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(sessions.get_metadata("a", "count").unwrap(), Some(json!(THREADS * ROUNDS)));
    assert!(calls.into_inner() as u64 >= THREADS * ROUNDS);
}

#[test]
fn a_function_may_use_the_store_and_one_that_undoes_itself_is_told() {
    let sessions = usual();
    sessions.create("a").unwrap();
    sessions.update("a", |_| sessions.create("b").map(drop)).unwrap();
    assert!(sessions.exists("b"));
    let outcome = sessions.update("a", |_| sessions.put_metadata("a", "k", json!(1)));
    assert!(outcome.as_ref().unwrap_err().is_retryable());
    refused_for(outcome, ErrorKind::Conflict, "update_contended");
    let deleted = sessions.update("a", |_| Ok(sessions.delete("a")));
    refused_for(deleted, ErrorKind::NotFound, "session_not_found");
}

#[test]
fn a_worker_is_written_down_where_there_is_a_session() {
    let sessions = sessions(SessionSettings { max_sessions: Some(1), ..SessionSettings::default() });
    let worker = WorkerId::new("default", 2);
    sessions.create("a").unwrap();
    sessions.store_worker("a", &worker, 4);
    let expected = SessionWorker { run: sessions.0.run, worker: worker.clone(), generation: 4 };
    assert_eq!(sessions.get("a").unwrap().last_worker, Some(expected));
    assert!(sessions.delete("a"));
    sessions.store_worker("a", &worker, 4);
    assert!(!sessions.exists("a"), "a call that ends late brings no deleted session back");
}

#[test]
fn a_call_makes_its_session_within_the_limit() {
    let sessions = sessions(SessionSettings { max_sessions: Some(1), ..SessionSettings::default() });
    let (birth, worker) = sessions.enter("a").unwrap();
    assert!(worker.is_none() && sessions.is_known("a", birth));
    assert_eq!(sessions.enter("a").unwrap().0, birth);
    refused_for(sessions.enter("b"), ErrorKind::Limit, "session_quota_exceeded");
    refused_for(sessions.enter(""), ErrorKind::Validation, "invalid_id");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let with = |change: fn(&mut SessionSettings)| {
        let mut settings = SessionSettings::default();
        change(&mut settings);
        Sessions::in_memory(settings).map(drop)
    };
    assert!(with(|_| {}).is_ok());
    for outcome in [
        with(|settings| settings.warning_threshold = 1.5),
        with(|settings| settings.warning_threshold = f64::NAN),
        with(|settings| settings.cleanup_interval = Duration::ZERO),
    ] {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Validation);
    }
}

#[tokio::test]
async fn the_upkeep_removes_what_expired_and_tells_when_there_are_many() {
    let settings = SessionSettings {
        cleanup_interval: Duration::from_millis(1),
        max_sessions: Some(5),
        strict: true,
        ..SessionSettings::default()
    };
    let sessions = sessions(settings);
    let emitter = Emitter::new(64);
    let mut events = emitter.subscribe(crate::EventFilter::new());
    ["a", "b", "c", "d"].into_iter().for_each(|id| drop(sessions.create(id).unwrap()));
    let upkeep = tokio::spawn(sessions.clone().upkeep(emitter));
    let mut next = async || match tokio::time::timeout(Duration::from_secs(20), events.next()).await.unwrap().unwrap() {
        Event::Session(event) => event,
        other => panic!("{other:?}"),
    };
    let many = SessionEvent::Accumulating { current: 4, max: 5, is_full: false, strict: true };
    assert_eq!(next().await, many);
    let expire = |session: &mut Session| {
        session.ttl = Some(Duration::ZERO);
        Ok(())
    };
    sessions.update("a", expire).unwrap();
    let pruned = SessionEvent::Pruned { count: 1, remaining: 3 };
    while next().await != pruned {}
    upkeep.abort();
}

mod durable;
