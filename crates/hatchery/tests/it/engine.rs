//! The pool engine from the outside, with real workers: what it promises under load, under fire, and at rest.

mod ahead;
mod heartbeats;
mod matrix;
mod orders;
mod pools;
mod races;
mod reconfiguring;
mod recycling;
mod scheduling;
mod storms;
mod threads;

use std::path::{Path, PathBuf};

use hatchery::{
    App, CallOptions, Error, ErrorKind, Event, Hatchery, Pool, PoolBuilder, PoolEvent, PythonApp, Timeouts,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{PATIENCE, Rig, app, eventually, eventually_file, spawn};

/// Nothing that a slow machine may do is taken for a fault.
fn unhurried() -> Timeouts {
    Timeouts { queue: Some(PATIENCE), start: Some(PATIENCE), ..Timeouts::default() }
}

/// A pool of `engine.py`.
fn engine() -> PoolBuilder {
    of(app("engine.py"))
}

fn of(app: impl App) -> PoolBuilder {
    Hatchery::builder().pool("default", app).timeouts(unhurried())
}

/// What becomes of the workers of an app from now on, in a file that they read.
struct Fate {
    dir: tempfile::TempDir,
}

impl Fate {
    fn new() -> Fate {
        Fate { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("fate")
    }

    /// All at once: nobody reads half a word.
    fn is(&self, word: &str) {
        let new = self.dir.path().join("new");
        std::fs::write(&new, word).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }

    /// `engine.py`, under it.
    fn app(&self) -> PythonApp {
        app("engine.py").env("FATE", self.path())
    }
}

/// A call that a worker runs until its gate is opened.
struct Gated {
    gate: String,
    call: JoinHandle<Result<i32, Error>>,
}

impl Gated {
    /// Returns when the tool runs. `name` is unique in its rig.
    async fn begin(rig: &Rig, name: &str, options: &CallOptions) -> Gated {
        Gated::begin_at(&rig.pool, rig.path(name), options).await
    }

    async fn begin_at(pool: &Pool, gate: String, options: &CallOptions) -> Gated {
        let started = format!("{gate}.started");
        let args = json!({"path": gate, "started": started});
        let (pool, options) = (pool.clone(), options.clone());
        let call = spawn(async move { pool.call_with("wait_for_file", args, &options).await });
        eventually_file(&started).await;
        Gated { gate, call }
    }

    fn open(&self) {
        std::fs::write(&self.gate, "").unwrap();
    }

    /// Who ran it.
    async fn finish(self) -> Result<i32, Error> {
        self.open();
        ended(self.call).await
    }
}

/// What a task came to, which it does.
async fn ended<T>(task: JoinHandle<T>) -> T {
    tokio::time::timeout(PATIENCE, task).await.expect("the call hangs").expect("the call panicked")
}

/// A call that waits, or will.
fn call(pool: &Pool, tool: &'static str, args: Value, options: CallOptions) -> JoinHandle<Result<Value, Error>> {
    let pool = pool.clone();
    spawn(async move { pool.call_with::<Value>(tool, args, &options).await })
}

async fn who(pool: &Pool) -> i32 {
    pool.call("who", json!({})).await.unwrap()
}

async fn eventually_ready(pool: &Pool, workers: usize) {
    eventually(&format!("{workers} workers are ready"), || pool.status().ready == workers).await;
}

async fn eventually_queued(pool: &Pool, calls: usize) {
    eventually(&format!("{calls} calls wait"), || pool.status().queued == calls).await;
}

/// The reason that an error gives to a program.
fn reason(error: &Error) -> &str {
    error.details().and_then(|details| details["reason"].as_str()).unwrap_or_default()
}

fn is_there(path: &str) -> bool {
    Path::new(path).exists()
}

impl Rig {
    async fn pool_event<T>(&mut self, mut pick: impl FnMut(PoolEvent) -> Option<T>) -> T {
        self.event(|event| if let Event::Pool(event) = event { pick(event) } else { None }).await
    }
}

fn assert_kind<T: std::fmt::Debug>(result: Result<T, Error>, kind: ErrorKind) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    error
}
