//! Pools whose workers are no processes: an embedder's own kind, behind the same roster.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hatchery::{
    CallOptions, Error, ErrorKind, Event, Hatchery, HealthCheck, Later, Payload, Profile, ProfileCall, ProfileGraces,
    ProfileMetadata, ProfileWorker, Result, StopGraces, ToolSpec, WorkerContext, WorkerEvent,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::{Rig, eventually};

/// What the tests look at and turn.
#[derive(Default)]
struct Board {
    started: AtomicUsize,
    stopped: Mutex<Vec<ProfileGraces>>,
    refusal: Mutex<Option<Error>>,
    is_unwell: Mutex<bool>,
    end: Notify,
    running: watch::Sender<usize>,
}

struct Kind(Arc<Board>);

struct One {
    board: Arc<Board>,
    generation: u64,
}

impl Profile for Kind {
    fn metadata(&self) -> ProfileMetadata {
        ProfileMetadata { name: "kind".to_owned(), description: "for a test".to_owned() }
    }

    fn capacity(&self) -> usize {
        2
    }

    fn start(&self, worker: WorkerContext) -> Later<'_, Result<Arc<dyn ProfileWorker>>> {
        Box::pin(async move {
            if let Some(refusal) = self.0.refusal.lock().unwrap().clone() {
                return Err(refusal);
            }
            self.0.started.fetch_add(1, Ordering::SeqCst);
            Ok(Arc::new(One { board: Arc::clone(&self.0), generation: worker.generation }) as Arc<dyn ProfileWorker>)
        })
    }
}

impl ProfileWorker for One {
    fn tools(&self) -> Vec<ToolSpec> {
        ["echo", "generation", "meet", "never", "panics"].map(ToolSpec::new).to_vec()
    }

    fn execute(&self, call: ProfileCall) -> Later<'_, Result<Payload>> {
        Box::pin(async move {
            match &*call.tool {
                "echo" => Ok(call.arguments),
                "generation" => Payload::encode(&self.generation),
                "meet" => {
                    self.board.running.send_modify(|running| *running += 1);
                    let mut running = self.board.running.subscribe();
                    assert!(running.wait_for(|running| *running >= 2).await.is_ok());
                    Payload::encode(&true)
                }
                "never" => std::future::pending().await,
                _ => panic!("as it was told"),
            }
        })
    }

    fn health(&self) -> Later<'_, Result<()>> {
        let unwell = *self.board.is_unwell.lock().unwrap() && self.generation == 1;
        Box::pin(async move { if unwell { Err(Error::new(ErrorKind::Internal, "a headache")) } else { Ok(()) } })
    }

    fn ended(&self) -> Later<'_, Error> {
        Box::pin(async move {
            self.board.end.notified().await;
            Error::new(ErrorKind::Unavailable, "the other end hung up")
        })
    }

    fn stop(&self, graces: ProfileGraces) -> Later<'_, ()> {
        self.board.stopped.lock().unwrap().push(graces);
        Box::pin(std::future::ready(()))
    }
}

async fn rig(board: &Arc<Board>) -> Rig {
    let health = HealthCheck { interval: Duration::from_millis(10), replace_after: Some(2), ..HealthCheck::default() };
    Rig::of(Hatchery::builder().pool_of("default", Kind(Arc::clone(board))).health(health)).await
}

#[tokio::test]
async fn it_serves_calls_as_many_at_once_as_it_says() {
    let board = Arc::default();
    let rig = rig(&board).await;
    assert_eq!(rig.pool.call::<Value>("echo", json!({ "a": 1 })).await.unwrap(), json!({ "a": 1 }));
    let meet = || rig.pool.call::<bool>("meet", json!({}));
    assert!(matches!(tokio::join!(meet(), meet()), (Ok(true), Ok(true))));
    let status = &rig.pool.workers()[0];
    assert_eq!((status.pid, status.state, status.calls), (None, "idle", 3));
    assert!(rig.hatchery.processes().is_empty());
    rig.end().await;
    let stopped = board.stopped.lock().unwrap().clone();
    assert_eq!(stopped, [ProfileGraces { ask: Duration::from_secs(5), term: Duration::from_secs(2) }]);
}

#[tokio::test]
async fn a_panic_fails_its_call_and_nothing_else() {
    let board = Arc::default();
    let rig = rig(&board).await;
    let error = rig.pool.call::<Value>("panics", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(rig.pool.call::<u64>("generation", json!({})).await.unwrap(), 1);
    assert_eq!(rig.pool.status().running, 0);
    rig.end().await;
}

#[tokio::test]
async fn a_call_that_is_given_up_frees_its_place() {
    let board = Arc::default();
    let rig = rig(&board).await;
    let soon = CallOptions::new().timeout(Duration::from_millis(20));
    for _ in 0..4 {
        let error = rig.pool.call_with::<Value>("never", json!({}), &soon).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline);
    }
    eventually("its places are free", || rig.pool.status().running == 0).await;
    assert!(rig.pool.call::<Value>("echo", json!({})).await.is_ok());
    assert_eq!(board.started.load(Ordering::SeqCst), 1, "it was not replaced");
    rig.end().await;
}

#[tokio::test]
async fn one_that_ends_by_itself_is_followed_by_another() {
    let board: Arc<Board> = Arc::default();
    let mut rig = rig(&board).await;
    board.end.notify_one();
    let how = rig.event(|event| match event {
        Event::Worker(WorkerEvent::Gone { how, expected: false, .. }) => Some(how),
        _ => None,
    });
    assert_eq!(how.await, "worker default-1 ended: the other end hung up");
    eventually("the next one serves", || rig.pool.workers()[0].generation == 2).await;
    assert_eq!(rig.pool.call::<u64>("generation", json!({})).await.unwrap(), 2);
    rig.end().await;
}

#[tokio::test]
async fn one_that_is_not_well_is_replaced() {
    let board: Arc<Board> = Arc::default();
    *board.is_unwell.lock().unwrap() = true;
    let mut rig = rig(&board).await;
    let reason = rig.event(|event| match event {
        Event::Worker(WorkerEvent::Unhealthy { reason, .. }) => Some(reason),
        _ => None,
    });
    assert_eq!(reason.await, "a headache");
    eventually("the next one serves", || rig.pool.workers()[0].generation == 2).await;
    rig.end().await;
}

#[tokio::test]
async fn questions_of_the_pools_own_are_neither_calls_nor_errors() {
    let board: Arc<Board> = Arc::default();
    *board.is_unwell.lock().unwrap() = true;
    let health = HealthCheck { interval: Duration::from_millis(1), replace_after: None, ..HealthCheck::default() };
    let mut rig = Rig::of(Hatchery::builder().pool_of("default", Kind(Arc::clone(&board))).health(health)).await;
    let often = |event| match event {
        Event::Worker(WorkerEvent::Unhealthy { failures, .. }) => (failures >= 2).then_some(()),
        _ => None,
    };
    rig.event(often).await;
    let worker = rig.pool.workers().swap_remove(0);
    assert_eq!((worker.calls, worker.errors), (0, 0));
    rig.end().await;
}

#[tokio::test]
async fn a_call_that_its_worker_takes_along_may_be_made_again() {
    let at_once = StopGraces { ask: Duration::from_millis(20), term: Duration::ZERO };
    let board: Arc<Board> = Arc::default();
    let rig = Rig::of(Hatchery::builder().pool_of("default", Kind(Arc::clone(&board))).stop(at_once)).await;
    let restart = |rig: &Rig, _: &Board| rig.pool.restart("default-1").unwrap();
    for end in [restart, |_: &Rig, board: &Board| board.end.notify_one()] {
        let generation = rig.pool.workers()[0].generation;
        let pool = rig.pool.clone();
        let call = tokio::spawn(async move { pool.call::<Value>("never", json!({})).await });
        eventually("it runs", || rig.pool.status().running == 1).await;
        end(&rig, &board);
        let error = tokio::time::timeout(crate::PATIENCE, call).await.expect("it ends").unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}");
        eventually("another serves", || rig.pool.workers()[0].generation > generation).await;
        eventually("and is ready", || rig.pool.status().ready == 1).await;
    }
    rig.end().await;
}

#[tokio::test]
async fn one_that_cannot_be_made_is_why_there_is_no_pool() {
    let board: Arc<Board> = Arc::default();
    *board.refusal.lock().unwrap() = Some(Error::new(ErrorKind::Validation, "no such model: x"));
    let data = tempfile::tempdir().unwrap();
    let started = Hatchery::builder().pool_of("default", Kind(board)).data_dir(data.path()).start().await;
    let error = started.err().unwrap();
    assert_eq!(error.to_string(), "start worker default-1: no such model: x");
}

#[tokio::test]
async fn its_calls_end_with_a_dropped_hatchery() {
    let board = Arc::default();
    let rig = rig(&board).await;
    let pool = rig.pool.clone();
    let call = tokio::spawn(async move { pool.call::<Value>("never", json!({})).await });
    eventually("it runs", || rig.pool.status().running == 1).await;
    drop(rig.hatchery);
    assert!(tokio::time::timeout(crate::PATIENCE, call).await.expect("it ends").unwrap().is_err());
}
