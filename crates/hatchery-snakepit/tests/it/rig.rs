//! A pool of such workers, and what must be gone when its test is over.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use hatchery::{Event, Events, Hatchery, Pool, PoolBuilder, Result, WorkerEvent};
use hatchery_snakepit::{Bridge, Snakepit};
use serde_json::Value;

/// Long enough for a loaded machine; only a failing test ever waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bridge_worker")
}

/// The folder of the worker's scripts: the fixture's, or those of `HATCHERY_BRIDGE_WORKER`, such as the ancestor's own.
pub(crate) fn worker() -> PathBuf {
    std::env::var_os("HATCHERY_BRIDGE_WORKER").map_or_else(fixture, PathBuf::from)
}

/// The interpreter with grpcio and grpcio-tools that `cargo xtask test` makes; without it, the test is skipped.
pub(crate) fn python() -> Option<PathBuf> {
    let home = std::env::var_os("HATCHERY_TEST_VENV");
    if home.is_none() {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        eprintln!(
            "skipped {name}: HATCHERY_TEST_VENV names no environment with grpcio and grpcio-tools; `cargo xtask test` makes one"
        );
    }
    Some(PathBuf::from(home?).join("bin/python"))
}

/// What grpcio-tools makes of the proto file: built once for each process of tests, in the folder for such things.
#[expect(clippy::disallowed_methods, reason = "it is waited for")]
pub(crate) fn stubs(python: &Path) -> &'static Path {
    static STUBS: OnceLock<PathBuf> = OnceLock::new();
    STUBS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bridge-stubs");
        let built = Command::new(python)
            .arg(fixture().join("stubs.py"))
            .arg(&folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        folder
    })
}

/// A worker of this adapter; `None` if there is no interpreter for it.
pub(crate) fn app(adapter: &str) -> Option<Snakepit> {
    app_of(&worker(), adapter)
}

fn app_of(worker: &Path, adapter: &str) -> Option<Snakepit> {
    let python = python()?;
    let stubs = stubs(&python);
    Some(
        Snakepit::new(worker.join("grpc_server.py"), adapter)
            .python(&python)
            .env("PYTHONPATH", std::env::join_paths([stubs.to_owned(), fixture()]).unwrap())
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )
}

/// Those of the faults that change what is inside of the fixture, and are nothing in another worker.
const FAULTS_OF_THE_FIXTURE: [&str; 10] = [
    "answers_beyond_limits",
    "answers_no_json",
    "closes_its_port",
    "empty_readiness_first",
    "ends_telemetry",
    "ignores_sigterm",
    "no_port",
    "speaks_no_grpc",
    "spoils_its_connection",
    "wrong_port",
];

/// One that misbehaves so: see `faults` in the fixture.
pub(crate) fn fault(name: &str) -> Option<Snakepit> {
    let worker = if FAULTS_OF_THE_FIXTURE.contains(&name) { fixture() } else { worker() };
    app_of(&worker, &format!("faults.{name}.Adapter"))
}

pub(crate) fn threaded(calls: usize) -> Option<Snakepit> {
    Some(app("bridge_tools.full.FullThreaded")?.adapter_args(["--max-workers".to_owned(), calls.to_string()]))
}

pub(crate) fn pool(app: Snakepit) -> PoolBuilder {
    Hatchery::builder().pool("default", app).transport(Bridge::new())
}

pub(crate) struct Rig {
    pub(crate) hatchery: Hatchery,
    pub(crate) pool: Pool,
    pub(crate) events: Events,
    pub(crate) dir: tempfile::TempDir,
}

impl Rig {
    /// One worker of the adapter with all plain tools.
    pub(crate) async fn plain() -> Option<Rig> {
        Some(Rig::of(pool(app("bridge_tools.full.Full")?)).await)
    }

    /// One worker that misbehaves so.
    pub(crate) async fn fault(name: &str) -> Option<Rig> {
        Some(Rig::of(pool(fault(name)?)).await)
    }

    /// One threaded worker, of so many calls at once.
    pub(crate) async fn threaded(calls: usize) -> Option<Rig> {
        Some(Rig::of(pool(threaded(calls)?).threads_per_worker(calls)).await)
    }

    pub(crate) async fn of(builder: PoolBuilder) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = builder.data_dir(dir.path().join("data"));
        let events = builder.events();
        let hatchery = tokio::time::timeout(PATIENCE, builder.start()).await.unwrap().unwrap();
        let pool = hatchery.pool("default").unwrap();
        Rig { hatchery, pool, events, dir }
    }

    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Result<Value> {
        self.pool.call(tool, arguments).await
    }

    /// Its workers answer, and are those that they were.
    pub(crate) async fn is_well(&self, pids: &[i32]) {
        assert!(self.call("ping", serde_json::json!({})).await.is_ok());
        assert_eq!(self.pids(), pids);
    }

    /// How the next worker that ends does so, and whether that was expected.
    pub(crate) async fn gone(&mut self) -> (String, bool) {
        self.event(|event| match event {
            Event::Worker(WorkerEvent::Gone { how, expected, .. }) => Some((how, expected)),
            _ => None,
        })
        .await
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn pids(&self) -> Vec<i32> {
        self.pool.workers().iter().filter_map(|worker| worker.pid).collect()
    }

    /// The next event for which `pick` has an answer.
    pub(crate) async fn event<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = pick(self.events.next().await.unwrap()) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap()
    }

    /// Shuts down, and proves that nothing is left: no process, no row, no call, no file of a worker's start.
    pub(crate) async fn end(self) {
        let pids = self.pids();
        self.hatchery.shutdown().await.unwrap();
        for pid in pids {
            assert!(!exists(pid), "worker {pid} is left after the shutdown");
        }
        assert!(self.hatchery.processes().is_empty(), "left in the registry: {:?}", self.hatchery.processes());
        assert_eq!(files_of_starts(self.dir.path()), Vec::<PathBuf>::new());
    }
}

/// Why a pool of these workers does not start.
pub(crate) async fn refusal(builder: PoolBuilder) -> hatchery::Error {
    let dir = tempfile::tempdir().unwrap();
    let starting = builder.data_dir(dir.path().join("data")).start();
    let error = tokio::time::timeout(PATIENCE, starting).await.unwrap().map(drop).unwrap_err();
    assert_eq!(files_of_starts(dir.path()), Vec::<PathBuf>::new());
    error
}

fn files_of_starts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_of_starts(&entry.path()),
            _ if entry.file_name().to_string_lossy().starts_with("ready-") => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

pub(crate) fn exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}
