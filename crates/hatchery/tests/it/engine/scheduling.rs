//! Which call runs when and where; and what is done about those that fail.

mod faults;
mod sessions;
mod timeouts;

use hatchery::{CallOptions, Priority};
use serde_json::json;
use tokio::task::JoinHandle;

use super::{Gated, call, ended, engine, eventually_queued};
use crate::Rig;

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
