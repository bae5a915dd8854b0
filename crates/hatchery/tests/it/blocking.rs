//! The client for threads that wait. No test here runs in an async runtime, but for the one that must not.

use std::sync::mpsc;
use std::time::Instant;

use hatchery::blocking::Hatchery;
use hatchery::{Affinity, CallOptions, ErrorKind, Payload};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::containment::signal;
use crate::{PATIENCE, app};

struct Rig {
    hatchery: Hatchery,
    _dir: tempfile::TempDir,
}

fn rig(app_name: &str, workers: usize) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let builder = Hatchery::builder().data_dir(dir.path()).pool("default", app(app_name)).workers(workers);
    Rig { hatchery: builder.start_blocking().unwrap(), _dir: dir }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

#[test]
fn calls_streams_and_sessions_wait_in_their_own_thread() {
    let Rig { hatchery, _dir } = rig("basics.py", 1);
    let pool = hatchery.pool("default").unwrap();
    assert_eq!(pool.call::<u64>("echo", json!({ "value": 3 })).unwrap(), 3);
    let args = Payload::encode(&json!({ "value": 3 })).unwrap();
    assert_eq!(pool.call_payload("echo", args, &CallOptions::new()).unwrap().to_json_text().unwrap(), "3");
    let ticks: Result<Vec<u64>, _> = pool.stream("countdown", json!({ "n": 3 })).unwrap().collect();
    assert_eq!(ticks.unwrap(), [3, 2, 1]);
    let chat = pool.session("user-7").affinity(Affinity::StrictQueue);
    assert_eq!(chat.call::<u64>("echo", json!({ "value": 4 })).unwrap(), 4);
    let unknown = pool.call::<Value>("nothing", json!({})).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    hatchery.shutdown().unwrap();
    assert_eq!(pool.call::<u64>("echo", json!({ "value": 3 })).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn many_threads_call_at_once() {
    let Rig { hatchery, _dir } = rig("basics.py", 2);
    let pool = hatchery.pool("default").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let pool = pool.clone();
            scope.spawn(move || {
                for n in 0..100_u64 {
                    assert_eq!(pool.call::<u64>("echo", json!({ "value": thread + n })).unwrap(), thread + n);
                }
            });
        }
    });
    assert_eq!(hatchery.stats().requests, 400);
}

#[test]
fn what_works_in_the_background_works_while_nobody_calls() {
    let Rig { hatchery, _dir } = rig("basics.py", 1);
    let pool = hatchery.pool("default").unwrap();
    pool.call::<u64>("echo", json!({ "value": 3 })).unwrap();
    let first = pool.workers()[0].pid.unwrap();
    signal(first, Signal::KILL);
    until("another worker is there", || pool.workers().iter().any(|it| it.state == "idle" && it.pid != Some(first)));
    assert_eq!(pool.call::<u64>("echo", json!({ "value": 3 })).unwrap(), 3);
}

#[test]
fn a_dropped_stream_frees_its_worker_and_events_end_with_what_they_tell_of() {
    let Rig { hatchery, _dir } = rig("basics.py", 1);
    let (heard, hears) = mpsc::channel();
    let events = hatchery.events();
    let listener = std::thread::spawn(move || events.for_each(|_| _ = heard.send(())));
    let pool = hatchery.pool("default").unwrap();
    let mut ticks = pool.stream::<u64>("countdown", json!({ "n": 1_000_000 })).unwrap();
    assert_eq!(ticks.next().unwrap().unwrap(), 1_000_000);
    drop(ticks);
    assert_eq!(pool.call::<u64>("echo", json!({ "value": 3 })).unwrap(), 3);
    hatchery.shutdown().unwrap();
    hears.recv_timeout(PATIENCE).unwrap();
    drop((pool, hatchery));
    listener.join().unwrap();
}

#[test]
fn where_a_runtime_is_it_says_so_and_can_be_dropped() {
    let Rig { hatchery, _dir } = rig("basics.py", 1);
    let pool = hatchery.pool("default").unwrap();
    let mut ticks = pool.stream::<u64>("countdown", json!({ "n": 3 })).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async move {
        let refused = |error: hatchery::Error| {
            assert_eq!(error.kind(), ErrorKind::Validation);
            assert!(error.message().contains("async runtime"), "{error}");
        };
        refused(pool.call::<u64>("echo", json!({ "value": 3 })).unwrap_err());
        refused(ticks.next().unwrap().unwrap_err());
        assert!(ticks.next().is_none());
        refused(hatchery.shutdown().unwrap_err());
        refused(Hatchery::builder().pool("default", app("basics.py")).start_blocking().err().unwrap());
        drop((ticks, pool, hatchery));
    });
}
