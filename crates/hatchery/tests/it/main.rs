//! Real workers, from the outside: the library as an embedder sees it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that finds something else has failed")]
#![expect(clippy::print_stdout, reason = "seeds and figures, shown with what failed or to who asks for them")]

mod agents;
mod blocking;
mod calls;
mod cancel;
mod cleanup;
mod containment;
mod embedder;
mod ends;
mod engine;
mod examples;
mod faults;
mod gates;
mod host_tools;
mod ladder;
mod linked;
mod machines;
mod numpy;
mod own_profile;
mod sharing;
mod starts;
mod streams;
mod telemetry;
mod template;
mod values;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hatchery::{CommandApp, Event, Events, Hatchery, Pool, PoolBuilder, PythonApp, WorkerEvent};

/// Long enough for a loaded machine; only a failing test ever waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

fn fixture(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures", path].iter().collect()
}

/// An app of `tests/fixtures/apps`.
fn app(name: &str) -> PythonApp {
    PythonApp::file(fixture("apps").join(name))
}

/// A misbehaving worker of `tests/fixtures/workers`.
fn misbehaving(name: &str) -> CommandApp {
    CommandApp::new("python3").arg(fixture("workers").join(format!("{name}.py"))).env("PYTHONDONTWRITEBYTECODE", "1")
}

/// A running pool and everything that must be gone when the test is over.
struct Rig {
    hatchery: Hatchery,
    pool: Pool,
    events: Events,
    dir: tempfile::TempDir,
}

impl Rig {
    async fn basics(workers: usize) -> Rig {
        Rig::of(Hatchery::builder().pool("default", app("basics.py")).workers(workers)).await
    }

    async fn of(builder: PoolBuilder) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = builder.data_dir(dir.path().join("data"));
        let events = builder.events();
        let hatchery = tokio::time::timeout(PATIENCE, builder.start()).await.expect("starts in time").expect("starts");
        let pool = hatchery.pool("default").unwrap();
        Rig { hatchery, pool, events, dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn pids(&self) -> Vec<i32> {
        self.pool.workers().iter().filter_map(|worker| worker.pid).collect()
    }

    /// The next event for which `pick` has an answer.
    async fn event<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let found = async {
            loop {
                match self.events.next().await {
                    Some(event) => {
                        if let Some(found) = pick(event) {
                            return found;
                        }
                    }
                    None => panic!("no more events"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("the event comes")
    }

    /// Waits until a worker came up (again).
    async fn ready(&mut self) {
        self.event(|event| matches!(event, Event::Worker(WorkerEvent::Ready { .. })).then_some(())).await;
    }

    /// Shuts down, and proves that nothing is left: no process of any pool, no row, no call.
    async fn end(self) {
        let pids: Vec<i32> = self.hatchery.workers().iter().filter_map(|worker| worker.pid).collect();
        self.hatchery.shutdown().await.expect("shuts down");
        for pid in pids {
            assert!(!exists(pid), "worker {pid} is left after the shutdown");
        }
        let rows = self.hatchery.processes();
        assert!(rows.is_empty(), "left in the registry after the shutdown: {rows:?}");
        for pool in self.hatchery.pools() {
            let status = pool.status();
            assert_eq!((status.queued, status.running, status.ready), (0, 0, 0), "after the shutdown: {status:?}");
        }
    }
}

fn exists(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// Waits for a condition.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// The same on a thread without a runtime.
fn eventually_blocking(what: &str, mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn eventually_gone(pid: i32) {
    eventually(&format!("process {pid} is gone"), || !exists(pid)).await;
}

async fn eventually_file(path: &str) {
    eventually(&format!("{path} exists"), || std::path::Path::new(path).exists()).await;
}

/// Runs the future in a task of its own, so that it makes progress while the test looks elsewhere.
fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(future)
}

/// For closures that many tasks share.
fn shared<T>(value: T) -> Arc<T> {
    Arc::new(value)
}
