use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::*;
use crate::error::ErrorKind;
use crate::fault::{CrashClass, Device};
use crate::id::WorkerId;

/// One of each kind, with everything in it that may be in it.
pub(crate) fn one_of_each() -> Vec<Event> {
    let all = [calls(), faults(), pools(), runs(), sessions(), workers()];
    all.into_iter().flatten().chain([Event::Lagged(Lagged { lost: 3 })]).collect()
}

fn worker() -> WorkerId {
    WorkerId::new("gpu-pool", 2)
}

fn text() -> String {
    "words".into()
}

const TIME: Duration = Duration::from_millis(1500);

fn calls() -> Vec<Event> {
    let (worker, correlation_id) = (worker(), Some(text()));
    let measurements: Map<String, Value> = json!({ "n": 1 }).as_object().cloned().unwrap();
    vec![
        Event::Call(CallEvent::Queued {
            pool: text(),
            tool: text(),
            session: Some(text()),
            correlation_id: text(),
            queued: 2,
        }),
        Event::Call(CallEvent::Started {
            pool: text(),
            tool: text(),
            worker: worker.clone(),
            generation: 1,
            session: Some(text()),
            correlation_id: text(),
            queued: TIME,
        }),
        Event::Call(CallEvent::Finished {
            pool: text(),
            tool: text(),
            outcome: "ok",
            took: TIME,
            queued: Some(TIME),
            ran: Some(TIME),
            worker: Some(worker.clone()),
            session: Some(text()),
            correlation_id: text(),
            tries: 1,
            span: Some(text()),
            parent_span: Some(text()),
        }),
        Event::Progress(Progress {
            worker: worker.clone(),
            fraction: Some(0.5),
            message: Some(text()),
            correlation_id: text(),
        }),
        Event::Tool(ToolEvent {
            worker: worker.clone(),
            name: text(),
            metadata: measurements.clone(),
            measurements,
            correlation_id,
        }),
        Event::Shared(SharedEvent::Exported { worker: worker.clone(), bytes: 1 }),
        Event::Shared(SharedEvent::Imported { worker: worker.clone(), bytes: 1 }),
        Event::Shared(SharedEvent::FellBack { worker: Some(worker), bytes: 1, reason: text() }),
    ]
}

fn faults() -> Vec<Event> {
    let (class, generation, until, pool) = (CrashClass::Segfault, 1, TIME, text());
    let (tool, correlation_id, operation) = (text(), Some(text()), Some(text()));
    let device = Device::Cuda(Some(1));
    let all = vec![
        FaultEvent::Crashed { worker: worker(), generation, class, is_pool_healthy: true },
        FaultEvent::Tainted { worker: worker(), generation, class, until },
        FaultEvent::DeviceTainted { device, class, until },
        FaultEvent::Restarted { worker: worker(), generation },
        FaultEvent::Retry {
            pool: pool.clone(),
            tool: tool.clone(),
            attempt: 1,
            after: TIME,
            reason: text(),
            correlation_id: correlation_id.clone(),
        },
        FaultEvent::Recovered {
            pool: pool.clone(),
            tool: tool.clone(),
            attempts: 2,
            correlation_id: correlation_id.clone(),
        },
        FaultEvent::Exhausted {
            pool: pool.clone(),
            tool: tool.clone(),
            attempts: 2,
            reason: text(),
            correlation_id: correlation_id.clone(),
        },
        FaultEvent::BreakerOpened { pool: pool.clone(), tool: Some(text()), failures: 3 },
        FaultEvent::BreakerHalfOpened { pool: pool.clone(), tool: Some(text()) },
        FaultEvent::BreakerClosed { pool: pool.clone(), tool: Some(text()) },
        FaultEvent::ShapeMismatch {
            pool: pool.clone(),
            tool: tool.clone(),
            worker: worker(),
            expected: Some(vec![1]),
            got: Some(vec![2]),
            operation: operation.clone(),
            correlation_id: correlation_id.clone(),
        },
        FaultEvent::DeviceMismatch {
            pool: pool.clone(),
            tool: tool.clone(),
            worker: worker(),
            expected: Some(device),
            got: Some(Device::Cpu),
            operation: operation.clone(),
            correlation_id: correlation_id.clone(),
        },
        FaultEvent::OutOfMemory {
            pool: pool.clone(),
            tool: tool.clone(),
            worker: worker(),
            device,
            requested: Some(2),
            available: Some(1),
            operation,
            correlation_id: correlation_id.clone(),
        },
        FaultEvent::Raised { pool, tool, worker: worker(), python_type: Some(text()), correlation_id },
    ];
    all.into_iter().map(Event::Fault).collect()
}

fn pools() -> Vec<Event> {
    let (pool, reason, generation) = (text(), text(), 1);
    let all = vec![
        PoolEvent::Starting { pool: pool.clone(), workers: 2 },
        PoolEvent::Started { pool: pool.clone(), workers: 2, ready: 1, took: TIME },
        PoolEvent::Unavailable { pool: pool.clone(), reason: reason.clone() },
        PoolEvent::Available { pool: pool.clone() },
        PoolEvent::Draining { pool: pool.clone() },
        PoolEvent::Resumed { pool: pool.clone() },
        PoolEvent::Scaled { pool: pool.clone(), from: 1, to: 2 },
        PoolEvent::Saturated { pool: pool.clone(), tool: text(), queued: 1, correlation_id: text() },
        PoolEvent::QueueTimeout { pool: pool.clone(), tool: text(), waited: TIME, correlation_id: text() },
        PoolEvent::CapacityReached { worker: worker() },
        PoolEvent::Recycled { worker: worker(), generation, reason: RecycleReason::MaxRss },
        PoolEvent::NotReplaced { worker: worker(), after: TIME, reason: reason.clone() },
        PoolEvent::TemplateReady { pool: pool.clone(), pid: 1, took: TIME },
        PoolEvent::TemplateLost { pool: pool.clone(), reason: reason.clone() },
        PoolEvent::ColdStarts { pool, reason, again: Some(TIME) },
    ];
    all.into_iter().map(Event::Pool).collect()
}

fn runs() -> Vec<Event> {
    let all = vec![
        RunEvent::Guarded { keeper: 1, guardian: 2 },
        RunEvent::GuardianLost,
        RunEvent::LayerLost { layer: "subreaper", message: text() },
        RunEvent::Reserved { worker: worker() },
        RunEvent::Activated { worker: worker(), pid: 1 },
        RunEvent::Released { worker: worker() },
        RunEvent::Swept { found: 2, terminated: 1, notes: vec![text()] },
        RunEvent::Escaped { worker: worker(), ended: 1, left: vec![2] },
        RunEvent::ShutdownStarted,
        RunEvent::ShutdownFinished { is_complete: true, took: TIME },
        RunEvent::CleanupStarted { processes: 1 },
        RunEvent::CleanupFinished { ended: 1, survivors: 1, took: TIME },
        RunEvent::ScriptStopping { reason: "done" },
        RunEvent::ScriptCleanup,
        RunEvent::ScriptEnded { is_complete: true, took: TIME },
    ];
    all.into_iter().map(Event::Run).collect()
}

fn sessions() -> Vec<Event> {
    let (session, generation) = (text(), 1);
    let all = vec![
        SessionEvent::Created { session: session.clone() },
        SessionEvent::Destroyed { session: session.clone(), reason: "expired" },
        SessionEvent::AffinityAssigned { session: session.clone(), worker: worker(), generation },
        SessionEvent::AffinityBroken { session, worker: worker(), generation },
        SessionEvent::Pruned { count: 1, remaining: 2 },
        SessionEvent::Accumulating { current: 1, max: 2, is_full: false, strict: true },
        SessionEvent::Lost { message: text() },
    ];
    let failed = ServiceEvent::Failed { service: text(), reason: text(), restarts: 1, after: TIME };
    let restarted = ServiceEvent::Restarted { service: text(), restarts: 1 };
    let others = [failed, restarted].map(Event::Service).into_iter().chain(agents());
    all.into_iter().map(Event::Session).chain(others).collect()
}

fn agents() -> impl Iterator<Item = Event> {
    let all = [
        AgentRunEvent::Started { run: text(), adapter: text(), pid: 1 },
        AgentRunEvent::State { run: text(), state: "busy", reason: text() },
        AgentRunEvent::Session { run: text(), session: text() },
        AgentRunEvent::HistorySetAside { path: text() },
        AgentRunEvent::Warned { run: text(), message: text() },
        AgentRunEvent::Exited { run: text(), outcome: "completed", reason: text(), left: 1, took: TIME },
    ];
    all.into_iter().map(Event::Agent)
}

fn workers() -> Vec<Event> {
    let (level, source, correlation_id) = (Level::Warning, LogSource::Stdout, Some(text()));
    let all = vec![
        WorkerEvent::Started { worker: worker(), pid: 1 },
        WorkerEvent::Ready { worker: worker(), took: TIME },
        WorkerEvent::HeartbeatAsked { worker: worker() },
        WorkerEvent::Heartbeat { worker: worker(), took: TIME },
        WorkerEvent::HeartbeatMissed { worker: worker(), missed: 1 },
        WorkerEvent::HeartbeatFailed { worker: worker(), missed: 3 },
        WorkerEvent::Unhealthy { worker: worker(), failures: 1, reason: text() },
        WorkerEvent::Log(Log { worker: worker(), level, source, message: text(), correlation_id }),
        WorkerEvent::Unkillable { worker: worker(), pid: 1, held_by: text() },
        WorkerEvent::Gone { worker: worker(), how: text(), expected: true, took: TIME },
        WorkerEvent::Restarting { pool: text(), after: TIME, reason: text() },
    ];
    all.into_iter().map(Event::Worker).collect()
}

fn emitted() -> BTreeMap<&'static str, &'static EventKind> {
    let emitted = catalogue().iter().filter(|kind| kind.standing == Standing::Emitted);
    emitted.map(|kind| (kind.name, kind)).collect()
}

#[test]
fn there_is_one_of_each_and_each_is_in_the_catalogue() {
    let events = one_of_each();
    let names: BTreeSet<&str> = events.iter().map(Event::name).collect();
    assert_eq!(names.len(), events.len(), "each once");
    assert_eq!(names, emitted().into_keys().collect());
}

#[test]
fn an_event_holds_what_its_entry_says_and_nothing_else() {
    let emitted = emitted();
    for event in one_of_each() {
        let json = event.to_json();
        let fields = json.as_object().unwrap();
        let kind = emitted[event.name()];
        let told: BTreeSet<&str> = fields.keys().map(String::as_str).filter(|key| *key != "name").collect();
        let entered: BTreeSet<&str> = kind.fields.iter().map(|field| field.name).collect();
        assert_eq!(told, entered, "{event:?}");
        assert_eq!(entered.len(), kind.fields.len(), "{}: no key twice", kind.name);
        kind.fields.iter().for_each(|field| holds(field, &fields[field.name]));
    }
}

fn holds(field: &FieldKind, value: &Value) {
    let is = match value {
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Object(_) => "object",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Array(items) if items[0].is_string() => "array of string",
        Value::Array(_) => "array of integer",
        Value::Null => "null",
    };
    assert_eq!(is, field.is, "{field:?}");
    // Every time here is a second and a half.
    assert_eq!(field.unit == Some("seconds"), value == 1.5, "{field:?}");
    assert!(!field.doc.is_empty() && !field.doc.starts_with(' ') && field.doc.ends_with('.'), "{field:?}");
}

#[test]
fn every_name_stands_once_and_says_something() {
    let names: BTreeSet<&str> = catalogue().iter().map(|kind| kind.name).collect();
    assert_eq!(names.len(), catalogue().len());
    for kind in catalogue() {
        assert!(kind.name.starts_with(kind.room) && kind.name.contains('.'), "{kind:?}");
        assert!(kind.doc.ends_with('.') && !kind.doc.contains("  "), "{kind:?}");
    }
}

#[test]
fn what_is_explained_names_events_that_there_are() {
    let known: BTreeSet<&str> =
        catalogue().iter().filter(|kind| kind.standing != Standing::Explained).map(|kind| kind.name).collect();
    for kind in catalogue().iter().filter(|kind| kind.standing == Standing::Explained) {
        let named = kind.doc.split('`').skip(1).step_by(2).filter(|word| word.contains('.'));
        named.for_each(|name| assert!(known.contains(name), "{}: {name}", kind.name));
    }
}

#[test]
fn everything_that_snakepit_tells_is_told_or_explained() {
    let families = include_str!("tests/snakepit.txt").split_whitespace();
    let is_known = |name: &str| {
        let fits = |kind: &&EventKind| match kind.name.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => kind.name == name,
        };
        catalogue().iter().any(|kind| fits(&kind))
    };
    let unknown: Vec<&str> = families.filter(|name| !is_known(name)).collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[test]
fn what_is_absent_has_no_key() {
    let event = Event::Shared(SharedEvent::FellBack { worker: None, bytes: 7, reason: text() });
    let expected = json!({ "name": "shared.fell_back", "size_bytes": 7, "reason": "words" });
    assert_eq!(event.to_json(), expected);
    assert_eq!((event.pool(), event.worker(), event.correlation_id()), (None, None, None));
}

#[test]
fn an_event_of_a_worker_is_of_its_pool() {
    let event = Event::Worker(WorkerEvent::HeartbeatAsked { worker: worker() });
    assert_eq!((event.pool(), event.worker()), (Some("gpu-pool"), Some("gpu-pool-3")));
}

fn names(filter: &str) -> BTreeSet<&'static str> {
    let filter: EventFilter = filter.parse().unwrap();
    one_of_each().iter().filter(|event| filter.matches(event)).map(Event::name).collect()
}

#[test]
fn a_filter_takes_names_patterns_and_exceptions() {
    let all = names("*");
    assert_eq!(all.len(), one_of_each().len());
    let of_calls = ["call.finished", "call.queued", "call.started", "error.raised"].into_iter().collect();
    assert_eq!(all.difference(&names("")).copied().collect::<BTreeSet<_>>(), of_calls);
    assert_eq!(names("").difference(&names("!worker.*")).count(), names("worker.*").len());
    assert_eq!(names("cleanup.*,pool.resumed"), ["cleanup.finished", "cleanup.started", "pool.resumed"].into());
    assert_eq!(names("call.* !call.queued !call.p*"), ["call.finished", "call.started"].into());
    assert_eq!(names("gpu.*"), BTreeSet::new());
}

#[test]
fn a_filter_tells_pools_workers_and_calls_apart() {
    assert_eq!(names("worker.* pool=words"), ["worker.restarting"].into());
    assert_eq!(names("worker.ready worker=gpu-pool-3"), ["worker.ready"].into());
    assert_eq!(names("worker.ready worker=gpu-pool-1"), BTreeSet::new());
    assert_eq!(names("worker.* correlation_id=words"), ["worker.log"].into());
}

#[test]
fn a_slip_in_a_filter_is_a_mistake_that_says_what_was_meant() {
    let said = |filter: &str| {
        let error = filter.parse::<EventFilter>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        error.message().to_owned()
    };
    assert_eq!(said("pool.drainig"), "no such event: pool.drainig (did you mean `pool.draining`?)");
    assert_eq!(said("wrker.*"), "no such event: wrker.* (did you mean `worker`?)");
    assert_eq!(said("worker.crash"), "no such event: worker.crash: It is `fault.crashed`.");
    assert_eq!(said("grpc.call.start"), said("grpc.call.*").replace("call.*", "call.start"));
    assert!(said("colour=blue").contains("not by colour"));
    assert!(said("wroker=p-1").ends_with("not by wroker (did you mean `worker`?)"));
}

/// Mend it with `HATCHERY_WRITE_PAGE=1 cargo test -p hatchery --lib the_page_is_up_to_date`.
#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    if std::env::var_os("HATCHERY_WRITE_PAGE").is_some() {
        std::fs::write(&path, event_reference()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == event_reference(), "{} is old: see above this test", path.display());
}
