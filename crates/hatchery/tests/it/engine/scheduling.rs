//! Which call runs when and where; and what is done about those that fail.

mod faults;
mod timeouts;

use hatchery::{Affinity, CallOptions, ErrorKind, Pool, Priority};
use serde_json::json;
use tokio::task::JoinHandle;

use super::{Gated, assert_kind, call, ended, engine, eventually_queued, eventually_ready, reason, who};
use crate::{Rig, eventually_gone};

/// Calls that wait for one busy worker: who writes its word when.
struct Line {
    rig: Rig,
    gated: Gated,
    calls: Vec<JoinHandle<Result<serde_json::Value, hatchery::Error>>>,
}

impl Line {
    async fn new() -> Line {
        let rig = Rig::of(engine()).await;
        let gated = Gated::begin(&rig, "gate", &CallOptions::new()).await;
        Line { rig, gated, calls: Vec::new() }
    }

    /// At the end of the line, when it returns.
    async fn join(&mut self, word: &str, options: CallOptions) {
        let args = json!({"path": self.rig.path("notes"), "word": word});
        self.calls.push(call(&self.rig.pool, "note", args, options));
        eventually_queued(&self.rig.pool, self.calls.len()).await;
    }

    async fn order(self) -> String {
        self.gated.finish().await.unwrap();
        for call in self.calls {
            ended(call).await.unwrap();
        }
        let notes = std::fs::read_to_string(self.rig.path("notes")).unwrap();
        self.rig.end().await;
        notes.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[tokio::test]
async fn higher_priorities_come_first_and_equals_in_their_order() {
    let mut line = Line::new().await;
    let of = |priority| CallOptions::new().priority(priority);
    for (word, priority) in [
        ("low", Priority::Low),
        ("normal1", Priority::Normal),
        ("high1", Priority::High),
        ("normal2", Priority::Normal),
        ("high2", Priority::High),
    ] {
        line.join(word, of(priority)).await;
    }
    assert_eq!(line.order().await, "high1 high2 normal1 normal2 low");
}

#[tokio::test]
async fn tenants_take_turns() {
    let mut line = Line::new().await;
    for word in ["a1", "a2", "a3", "b1", "b2", "c1"] {
        line.join(word, CallOptions::new().tenant(&word[..1])).await;
    }
    assert_eq!(line.order().await, "a1 b1 c1 a2 b2 a3");
}

#[tokio::test]
async fn calls_of_one_session_keep_their_order_whatever_their_priority() {
    let mut line = Line::new().await;
    let of = |priority| CallOptions::new().priority(priority);
    line.join("s1", of(Priority::Normal).session("s")).await;
    line.join("s2", of(Priority::High).session("s")).await;
    line.join("other", of(Priority::High)).await;
    assert_eq!(line.order().await, "other s1 s2");
}

#[tokio::test]
async fn one_that_is_given_up_leaves_the_line() {
    let mut line = Line::new().await;
    for word in ["one", "two", "three"] {
        line.join(word, CallOptions::new()).await;
    }
    let given_up = line.calls.remove(1);
    given_up.abort();
    eventually_queued(&line.rig.pool, 2).await;
    assert_eq!(line.order().await, "one three");
}

fn session(affinity: Affinity) -> CallOptions {
    CallOptions::new().session("s").affinity(affinity)
}

async fn who_for(pool: &Pool, options: &CallOptions) -> Result<i32, hatchery::Error> {
    pool.call_with("who", json!({}), options).await
}

/// Two workers, one of them busy with a call of the session.
async fn bound(affinity: Affinity) -> (Rig, Gated, CallOptions, i32) {
    let options = session(affinity);
    let rig = Rig::of(engine().workers(2)).await;
    let gated = Gated::begin(&rig, "gate", &options).await;
    let pid = rig.pool.workers().iter().find(|worker| worker.state == "busy").unwrap().pid.unwrap();
    (rig, gated, options, pid)
}

#[tokio::test]
async fn a_strict_call_waits_for_its_sessions_worker_though_another_is_free() {
    let (rig, gated, options, pid) = bound(Affinity::StrictQueue).await;
    let waiting = call(&rig.pool, "who", json!({}), options.clone());
    eventually_queued(&rig.pool, 1).await;
    assert_ne!(who(&rig.pool).await, pid, "others do not wait");
    assert_eq!(rig.pool.status().queued, 1);
    assert_eq!(gated.finish().await.unwrap(), pid);
    assert_eq!(ended(waiting).await.unwrap(), pid);
    rig.end().await;
}

#[tokio::test]
async fn one_that_does_not_wait_is_a_conflict() {
    let (rig, gated, options, pid) = bound(Affinity::StrictFailFast).await;
    let error = assert_kind(who_for(&rig.pool, &options).await, ErrorKind::Conflict);
    assert_eq!(reason(&error), "worker_busy");
    assert_eq!(gated.finish().await.unwrap(), pid);
    assert_eq!(who_for(&rig.pool, &options).await.unwrap(), pid);
    rig.end().await;
}

#[tokio::test]
async fn a_hint_goes_elsewhere_while_its_worker_is_busy_and_comes_back() {
    let (rig, gated, options, pid) = bound(Affinity::Hint).await;
    assert_ne!(who_for(&rig.pool, &options).await.unwrap(), pid);
    assert_eq!(gated.finish().await.unwrap(), pid);
    assert_eq!(who_for(&rig.pool, &options).await.unwrap(), pid);
    rig.end().await;
}

#[tokio::test]
async fn a_session_whose_worker_was_killed_has_lost_its_state_and_a_hint_goes_on() {
    for affinity in [Affinity::StrictQueue, Affinity::StrictFailFast] {
        let (rig, gated, options, pid) = bound(affinity).await;
        crate::containment::kill(pid);
        assert_kind(ended(gated.call).await, ErrorKind::WorkerDied);
        eventually_gone(pid).await;
        eventually_ready(&rig.pool, 2).await;
        for _ in 0..2 {
            let error = assert_kind(who_for(&rig.pool, &options).await, ErrorKind::Unavailable);
            assert_eq!(reason(&error), "session_state_lost", "every time");
            assert_eq!(error.details().unwrap()["generation"], 1);
            assert!(!error.is_retryable(), "it will not come back");
        }
        let new = who_for(&rig.pool, &session(Affinity::Hint)).await.unwrap();
        assert_ne!(new, pid);
        assert_eq!(who_for(&rig.pool, &options).await.unwrap(), new, "it is bound anew");
        rig.end().await;
    }
}

#[tokio::test]
async fn what_waits_for_a_worker_that_is_killed_is_told_at_once() {
    let (rig, gated, options, pid) = bound(Affinity::StrictQueue).await;
    let waiting = call(&rig.pool, "who", json!({}), options);
    eventually_queued(&rig.pool, 1).await;
    crate::containment::kill(pid);
    assert_kind(ended(gated.call).await, ErrorKind::WorkerDied);
    let error = assert_kind(ended(waiting).await, ErrorKind::Unavailable);
    assert_eq!(reason(&error), "session_state_lost");
    rig.end().await;
}

#[tokio::test]
async fn a_recycled_worker_is_a_lost_session_state() {
    let rig = Rig::of(engine()).await;
    let options = session(Affinity::StrictQueue);
    let old = who_for(&rig.pool, &options).await.unwrap();
    rig.pool.reload();
    eventually_gone(old).await;
    let error = assert_kind(who_for(&rig.pool, &options).await, ErrorKind::Unavailable);
    assert_eq!(reason(&error), "session_state_lost");
    rig.end().await;
}
