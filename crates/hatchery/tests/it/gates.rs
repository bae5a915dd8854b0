//! A worker with a gate at each step of its life, through which it passes, passes late, never passes, or falls. However
//! they are combined: every future resolves, no call keeps a worker's place, and no process is left.

use std::sync::Arc;
use std::time::Duration;

use hatchery::{CallOptions, Error, Event, Events, Hatchery, Pool, PoolBuilder, Timeouts, WorkerEvent};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{PATIENCE, eventually, exists, misbehaving};

const WAYS: [&str; 4] = ["ok", "err", "slow", "never"];

/// Combinations at once: as many as keep two cores busy while most of them wait.
const AT_ONCE: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Gates {
    handshake: &'static str,
    reply: &'static str,
    cancel: &'static str,
    shutdown: &'static str,
    exit: &'static str,
}

impl Gates {
    /// A worker that never comes up meets no other gate but the exit. Of the rest, the exits are spread over all
    /// combinations of the others.
    fn all() -> Vec<Gates> {
        let mut all = Vec::new();
        for (n, exit) in WAYS.into_iter().enumerate() {
            for handshake in ["err", "slow", "never"] {
                all.push(Gates { handshake, reply: "ok", cancel: "ok", shutdown: WAYS[n], exit });
            }
        }
        for (r, reply) in WAYS.into_iter().enumerate() {
            for (c, cancel) in WAYS.into_iter().enumerate() {
                for (s, shutdown) in WAYS.into_iter().enumerate() {
                    all.push(Gates { handshake: "ok", reply, cancel, shutdown, exit: WAYS[(r + c + s) % 4] });
                }
            }
        }
        all
    }

    fn pool(&self) -> PoolBuilder {
        let Gates { handshake, reply, cancel, shutdown, exit } = self;
        let gates = format!("handshake={handshake} reply={reply} cancel={cancel} shutdown={shutdown} exit={exit}");
        let start = if *handshake == "never" { Duration::from_millis(200) } else { PATIENCE };
        Hatchery::builder()
            .pool("default", misbehaving("gated").env("GATES", gates))
            .timeouts(Timeouts { start: Some(start), queue: Some(PATIENCE), ..Timeouts::default() })
            .cancel_grace(Duration::from_millis(100))
    }

    fn comes_up(&self) -> bool {
        matches!(self.handshake, "ok" | "slow")
    }

    async fn run(self) {
        let mut builder = self.pool();
        let mut events = builder.events();
        match builder.start().await {
            Ok(hatchery) => {
                assert!(self.comes_up(), "it came up");
                let pool = hatchery.pool("default").unwrap();
                use_and_abandon(&pool).await;
                comes_to_rest(&pool).await;
                hatchery.shutdown_within(Duration::from_millis(100)).await.unwrap();
                assert_eq!(pool.workers()[0].state, "gone");
            }
            Err(error) => assert!(!self.comes_up(), "{error:?}"),
        }
        let left: Vec<i32> = started(&mut events).await.into_iter().filter(|pid| exists(*pid)).collect();
        assert_eq!(left, [0; 0], "processes are left");
    }
}

/// One call that runs into its deadline, one that is dropped, and one that waits behind both.
async fn use_and_abandon(pool: &Pool) {
    let soon = CallOptions::new().timeout(Duration::from_millis(150));
    let late = CallOptions::new().timeout(PATIENCE);
    let gated = json!({"gated": true});
    let abandoned = async {
        let call = pool.call_with::<Value>("echo", &gated, &late);
        drop(tokio::time::timeout(Duration::from_millis(200), call).await);
    };
    let (_any, (), _any_too) = tokio::join!(
        pool.call_with::<Value>("echo", &gated, &soon),
        abandoned,
        pool.call_with::<Value>("echo", json!({}), &late),
    );
}

/// The place of every call is free again, and a call that meets no gate gets its answer. A cancel that is still on its
/// way may bring the worker down once more.
async fn comes_to_rest(pool: &Pool) {
    loop {
        eventually("the worker is idle", || pool.workers()[0].state == "idle").await;
        assert_eq!(pool.workers()[0].in_flight, 0);
        match pool.call::<Value>("echo", json!({})).await {
            Ok(echoed) => return assert_eq!(echoed, json!({})),
            Err(error) => assert!(is_a_death(&error), "{error:?}"),
        }
    }
}

fn is_a_death(error: &Error) -> bool {
    error.kind() == hatchery::ErrorKind::WorkerDied
}

/// The processes that were ever started; all events are here once the hatchery is gone.
async fn started(events: &mut Events) -> Vec<i32> {
    let mut pids = Vec::new();
    while let Some(event) = events.next().await {
        if let Event::Worker(WorkerEvent::Started { pid, .. }) = event {
            pids.push(pid);
        }
    }
    assert!(!pids.is_empty());
    pids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_a_worker_fails_nobody_hangs_and_nothing_leaks() {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut combinations = JoinSet::new();
    for gates in Gates::all() {
        let room = Arc::clone(&room);
        combinations.spawn(async move {
            let _permit = room.acquire().await.unwrap();
            // A task of its own, so that a panic names its combination.
            let run = tokio::time::timeout(PATIENCE, tokio::spawn(gates.run())).await;
            run.unwrap_or_else(|_| panic!("{gates:?} hangs")).unwrap_or_else(|error| panic!("{gates:?}: {error}"));
        });
    }
    assert_eq!(combinations.len(), 76);
    while let Some(combination) = combinations.join_next().await {
        combination.unwrap();
    }
}
