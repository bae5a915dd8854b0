//! Lives of workers that no other program can be made to have.

use std::path::Path;
use std::time::Duration;

use crate::process::freezer::Freezer;
use crate::telemetry::{Event, WorkerEvent};
use crate::{CommandApp, Events, Hatchery, WorkerStatus};

const DEADLINE: Duration = Duration::from_secs(60);

fn plain() -> CommandApp {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    CommandApp::new("python3").arg(fixtures.join("shapes/plain.py")).env("PYTHONPATH", fixtures.join("workers"))
}

async fn event<T>(events: &mut Events, wanted: impl Fn(WorkerEvent) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Event::Worker(event) = events.next().await.unwrap()
                && let Some(found) = wanted(event)
            {
                return found;
            }
        }
    };
    tokio::time::timeout(DEADLINE, found).await.expect("no such event for a minute")
}

#[tokio::test]
async fn the_seat_of_one_that_cannot_be_ended_stays_empty_until_it_is_gone() {
    let Some(freezer) = Freezer::make() else { return };
    let data = tempfile::tempdir().unwrap();
    let mut builder = Hatchery::builder().data_dir(data.path()).pool("default", plain());
    let mut events = builder.events();
    let hatchery = builder.start().await.unwrap();
    let pool = hatchery.pool("default").unwrap();
    let seat = || -> WorkerStatus { pool.workers().swap_remove(0) };
    let held = seat().pid.unwrap();

    // Its call is cancelled, and it cannot even hear that: so it is to be ended.
    freezer.freeze(held);
    let call = pool.call::<bool>("echo", serde_json::json!({}));
    assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
    let pid = event(&mut events, |event| match event {
        WorkerEvent::Unkillable { pid, .. } => Some(pid),
        WorkerEvent::Gone { .. } => panic!("it is not"),
        _ => None,
    });
    assert_eq!(pid.await, held);
    assert_eq!((seat().state, seat().pid), ("unkillable", Some(held)));
    let status = pool.status();
    assert_eq!((status.ready, status.running), (0, 0));

    freezer.thaw();
    let how = event(&mut events, |event| match event {
        WorkerEvent::Gone { how, .. } => Some(how),
        WorkerEvent::Started { .. } => panic!("two in one seat"),
        _ => None,
    });
    assert_eq!(how.await, "killed by signal 9 (SIGKILL)");
    event(&mut events, |event| matches!(event, WorkerEvent::Ready { .. }).then_some(())).await;
    assert!(pool.call::<bool>("echo", serde_json::json!({})).await.unwrap());
    assert_ne!(seat().pid, Some(held));
    hatchery.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_names_one_that_cannot_be_ended_and_does_not_call_it_gone() {
    let Some(freezer) = Freezer::make() else { return };
    let data = tempfile::tempdir().unwrap();
    let hatchery = Hatchery::builder().data_dir(data.path()).pool("default", plain()).start().await.unwrap();
    let mut events = hatchery.events();
    let pool = hatchery.pool("default").unwrap();
    freezer.freeze(pool.workers()[0].pid.unwrap());
    let error = hatchery.shutdown_within(Duration::ZERO).await.unwrap_err();
    assert!(error.to_string().contains("default-1"), "{error}");
    let runs = || std::fs::read_dir(data.path().join("runs")).unwrap().count();
    assert_eq!(runs(), 1, "the record stays for a sweep");
    freezer.thaw();
    drop((pool, hatchery));
    while let Some(event) = events.next().await {
        assert!(!matches!(event, Event::Worker(WorkerEvent::Gone { .. })), "{event:?}");
    }
}
