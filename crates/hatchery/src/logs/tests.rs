use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::Level;
use tracing::dispatcher::{Dispatch, with_default};

use super::*;
use crate::id::WorkerId;
use crate::telemetry::{Emitter, Event, Kind, Log, LogSource, PoolEvent, RunEvent, ToolEvent, WorkerEvent};

/// What is logged while a test works.
struct Ear {
    dispatch: Dispatch,
    lines: Receiver<LogLine>,
}

impl Ear {
    fn new(filter: &str) -> Ear {
        let (said, lines) = channel();
        let logs = Logs::new(filter.parse().unwrap()).to(move |line| drop(said.send(line.clone())));
        Ear { dispatch: Dispatch::new(logs.subscriber()), lines }
    }

    fn hear(&self, work: impl FnOnce()) -> Vec<LogLine> {
        with_default(&self.dispatch, work);
        self.lines.try_iter().collect()
    }

    fn words(&self, work: impl FnOnce()) -> Vec<String> {
        self.hear(work).iter().map(LogLine::words).collect()
    }
}

fn emit(event: Event) {
    Emitter::new(4).emit(event);
}

fn drains() -> Event {
    Event::Pool(PoolEvent::Draining { pool: "a".into() })
}

fn wrote(level: crate::Level, message: &str) -> Event {
    let (source, correlation_id) = (LogSource::Stdout, Some("call-1".to_owned()));
    let log = Log { worker: WorkerId::new("a", 0), level, source, message: message.into(), correlation_id };
    Event::Worker(WorkerEvent::Log(log))
}

#[test]
fn an_event_is_a_line_though_nobody_subscribes_to_events() {
    let lines = Ear::new("info").hear(|| emit(drains()));
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((line.category.as_str(), line.level, line.event), ("pool", Level::INFO, Some("pool.draining")));
    assert_eq!((line.message.as_str(), &line.fields["pool"]), ("pool a drains", &"a".into()));
    assert!(line.to_string().ends_with("Z INFO pool: pool a drains"), "{line}");
}

#[test]
fn a_line_has_the_fields_of_its_event_with_their_types() {
    let event = Event::Pool(PoolEvent::ColdStarts {
        pool: "a".into(),
        reason: "no room".into(),
        again: Some(Duration::from_millis(1500)),
    });
    let lines = Ear::new("warning").hear(|| emit(event));
    assert_eq!(lines[0].fields["again_seconds"], 1.5);
    assert_eq!(lines[0].message, "pool a starts its workers cold: no room; a template is tried again in 1500 ms");
    let left = RunEvent::Escaped { worker: WorkerId::new("a", 0), ended: 0, left: vec![7, 8] };
    let lines = Ear::new("warning").hear(|| emit(Event::Run(left)));
    assert_eq!((&lines[0].fields["left"], &lines[0].fields["ended"]), (&"[7,8]".into(), &0.into()));
    assert_eq!(lines[0].category, "worker");
}

#[test]
fn each_level_and_category_for_itself() {
    let all = || {
        emit(drains());
        emit(wrote(crate::Level::Info, "hello"));
        emit(wrote(crate::Level::Error, "oh"));
        emit(Event::Run(RunEvent::Guarded { keeper: 1, guardian: 2 }));
        tracing::info!(target: "hatchery::audit", caller = "uid 0", order = "stop");
        tracing::error!(target: "hyper::proto", "not ours");
    };
    let drains = "pool a drains";
    let guarded = "keeper has pid 1, guardian has pid 2";
    let audit = "caller=\"uid 0\" order=stop";
    for (filter, expected) in [
        ("error", &["oh"][..]),
        ("info", &[drains, "hello", "oh", audit]),
        ("debug", &[drains, "hello", "oh", guarded, audit]),
        ("trace", &[drains, "hello", "oh", guarded, audit]),
        ("none", &[]),
        ("none,audit=info", &[audit]),
        ("info,worker=none", &[drains, audit]),
        ("none,output=error", &["oh"]),
        ("none,guardian=debug,pool=info", &[drains, guarded]),
    ] {
        assert_eq!(Ear::new(filter).words(all), expected, "{filter}");
    }
}

#[test]
fn what_no_line_tells_of_is_not_even_made() {
    let (finished, said) = (Kind::named("call.finished"), Kind::named("worker.log"));
    for (filter, calls, info, errors) in [
        ("info", false, true, true),
        ("info,output=error", false, false, true),
        ("none,call=debug", true, false, false),
        ("none", false, false, false),
    ] {
        let ear = Ear::new(filter);
        let _loud_elsewhere = Ear::new("trace");
        ear.hear(|| {
            let emitter = Emitter::new(4);
            assert_eq!(emitter.is_wanted(finished), calls, "{filter}");
            assert_eq!(makes(&emitter, said, crate::Level::Info), info, "{filter}");
            assert_eq!(makes(&emitter, said, crate::Level::Error), errors, "{filter}");
            let mut were_seen = false;
            tracing::debug!(target: "hatchery::call", shape = { were_seen = true; 1 }, "called");
            assert_eq!(were_seen, calls, "{filter}");
        });
    }
}

fn makes(emitter: &Emitter, kind: Kind, level: crate::Level) -> bool {
    let mut is_made = false;
    emitter.emit_at(kind, level, || {
        is_made = true;
        wrote(level, "hello")
    });
    is_made
}

#[test]
fn after_a_scope_has_ended_what_it_wanted_is_not_made_any_more() {
    let finished = Kind::named("call.finished");
    let is_wanted = || Emitter::new(4).is_wanted(finished);
    Ear::new("info").hear(|| {
        assert!(!is_wanted());
        let scope = LogFilter::from_level(Level::DEBUG).scope();
        assert!(is_wanted());
        drop(scope);
        assert!(!is_wanted());
    });
}

#[test]
fn as_a_layer_among_others_it_keeps_nobody_else_from_hearing() {
    let (said, lines) = channel();
    let logs = Logs::new("none,pool=info".parse().unwrap()).to(move |line| drop(said.send(line.words())));
    let others = Arc::new(Mutex::new(0));
    struct Other(Arc<Mutex<u32>>);
    impl<S: Subscriber> Layer<S> for Other {
        fn on_event(&self, _event: &tracing::Event<'_>, _context: Context<'_, S>) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let subscriber = tracing_subscriber::registry().with(logs.layer()).with(Other(Arc::clone(&others)));
    with_default(&Dispatch::new(subscriber), || {
        emit(drains());
        emit(wrote(crate::Level::Info, "hello"));
    });
    assert_eq!((lines.try_iter().collect::<Vec<_>>(), *others.lock().unwrap()), (vec!["pool a drains".to_owned()], 2));
}

#[test]
fn a_line_of_a_worker_names_it() {
    let lines = Ear::new("info").hear(|| emit(wrote(crate::Level::Info, "hello")));
    assert!(lines[0].to_string().ends_with("INFO output: a-1 | hello"), "{}", lines[0]);
    let json = lines[0].to_json();
    let fields =
        serde_json::json!({ "worker": "a-1", "level": "info", "source": "stdout", "correlation_id": "call-1" });
    assert_eq!((&json["fields"], &json["message"], &json["event"]), (&fields, &"hello".into(), &"worker.log".into()));
}

#[test]
fn of_what_tools_tell_only_the_shape_is_logged() {
    let map = |text| serde_json::from_str(text).unwrap();
    let event = Event::Tool(ToolEvent {
        worker: WorkerId::new("a", 0),
        name: "model.loaded".into(),
        measurements: map(r#"{"layers": 12}"#),
        metadata: map(r#"{"parts": ["hunter2"], "token": "hunter2"}"#),
        correlation_id: None,
    });
    let line = Ear::new("debug").hear(|| emit(event)).remove(0).to_json();
    assert_eq!(line["fields"]["metadata"], "{parts: list of 1, token: text of 7}");
    assert!(!line.to_string().contains("hunter2"), "{line}");
}

#[test]
fn arguments_commands_and_environments_are_redacted() {
    let lines = Ear::new("debug").hear(|| {
        let arguments = crate::Payload::encode(&serde_json::json!({ "n": 3, "text": "hunter2" })).unwrap();
        crate::telemetry::log::called("a", "count", "call-1", &arguments);
        let command =
            ["/usr/bin/python3".into(), "--token".into(), "hunter2".into(), "url=http://me:hunter2@host".into()];
        crate::telemetry::log::starting(&WorkerId::new("a", 0), &command, &["HF_TOKEN".into(), "HOME".into()]);
    });
    assert_eq!(lines[0].fields["arguments"], "{n: number, text: text of 7}");
    assert_eq!((lines[0].message.as_str(), lines[0].category.as_str()), ("count is called", "call"));
    assert_eq!(lines[1].fields["environment"], "HF_TOKEN, HOME");
    let text = format!("{lines:?}");
    assert!(!text.contains("hunter2") && text.contains("/usr/bin/python3 --token ***"), "{text}");
}

#[test]
fn a_scope_holds_until_it_is_dropped_whatever_was_entered_first() {
    let ear = Ear::new("none");
    let info = LogFilter::from_level(Level::INFO);
    let heard = ear.words(|| {
        emit(drains());
        let outer = info.scope();
        let inner = LogFilter::NONE.scope();
        emit(drains());
        drop(outer);
        emit(drains());
        drop(inner);
        emit(drains());
        let _again = info.scope();
        emit(wrote(crate::Level::Info, "in a scope"));
    });
    assert_eq!(heard, ["in a scope"]);
    assert_eq!(ear.words(|| emit(drains())), [""; 0]);
}

#[test]
fn a_panic_ends_its_scope() {
    let ear = Ear::new("none");
    let heard = ear.words(|| {
        let fall = || {
            let _loud = LogFilter::from_level(Level::INFO).scope();
            emit(wrote(crate::Level::Info, "before the fall"));
            std::panic::resume_unwind(Box::new("out of luck"));
        };
        assert!(catch_unwind(AssertUnwindSafe(fall)).is_err());
        emit(drains());
    });
    assert_eq!(heard, ["before the fall"]);
}

#[test]
fn a_scope_is_of_its_thread_alone() {
    let ear = Ear::new("none");
    let heard = ear.words(|| {
        let _loud = LogFilter::from_level(Level::INFO).scope();
        let dispatch = ear.dispatch.clone();
        std::thread::spawn(move || with_default(&dispatch, || emit(drains()))).join().unwrap();
        emit(wrote(crate::Level::Info, "here"));
    });
    assert_eq!(heard, ["here"]);
}

/// A future that says where it is polled, and is to be polled again.
async fn twice(word: &str) {
    emit(wrote(crate::Level::Info, &format!("{word} 1")));
    tokio::task::yield_now().await;
    emit(wrote(crate::Level::Info, &format!("{word} 2")));
}

#[test]
fn a_task_takes_its_scope_along_from_thread_to_thread() {
    let ear = Ear::new("none");
    let mut loud = Box::pin(LogFilter::from_level(Level::INFO).within(twice("loud")));
    let mut quiet = Box::pin(twice("quiet"));
    let poll = |future: Pin<&mut (dyn Future<Output = ()> + Send)>| {
        future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    };
    // Two tasks take turns on this thread, and then on another one.
    let first = ear.hear(|| {
        assert!(!poll(loud.as_mut()) && !poll(quiet.as_mut()));
        assert_eq!(scope::current(), None);
    });
    let dispatch = ear.dispatch.clone();
    std::thread::spawn(move || {
        with_default(&dispatch, || assert!(poll(quiet.as_mut()) && poll(loud.as_mut())));
    })
    .join()
    .unwrap();
    let heard: Vec<String> = first.into_iter().chain(ear.lines.try_iter()).map(|line| line.words()).collect();
    assert_eq!(heard, ["loud 1", "loud 2"]);
}

#[test]
fn a_task_that_panics_leaves_no_scope_behind() {
    let ear = Ear::new("none");
    let heard = ear.words(|| {
        let mut falling = Box::pin(LogFilter::from_level(Level::INFO).within(async {
            emit(wrote(crate::Level::Info, "before the fall"));
            std::panic::resume_unwind(Box::new("out of luck"));
        }));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| falling.as_mut().poll(&mut context).is_ready()));
        assert!(polled.is_err());
        emit(drains());
    });
    assert_eq!(heard, ["before the fall"]);
}

#[test]
fn every_kind_of_event_can_be_logged() {
    let lines = Ear::new("trace").hear(|| crate::telemetry::tests::one_of_each().into_iter().for_each(emit));
    let named: std::collections::BTreeSet<_> = lines.iter().filter_map(|line| line.event).collect();
    for kind in crate::catalogue().iter().filter(|kind| kind.standing == crate::Standing::Emitted) {
        assert!(named.contains(kind.name) || kind.name == "events.lagged", "{} has no line", kind.name);
    }
    for line in &lines {
        assert!(LogFilter::CATEGORIES.contains(&line.category.as_str()), "{line:?}");
        assert!(!line.message.is_empty(), "{line:?}");
    }
}
