//! A daemon of one pool, and what must be gone when the test is over.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hatchery::{Builder, CommandApp, Hatchery, OtlpConfig, PoolBuilder, PythonApp, Result, StopGraces};
use hatchery_daemon::{Daemon, Phase};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Long enough for a loaded machine; only a failing test ever waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What calls that run have, when a test does not say otherwise.
const GRACE: Duration = Duration::from_secs(60);

pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) phases: watch::Receiver<Phase>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<()>>,
    folder: tempfile::TempDir,
}

/// The well-behaved tools of the library's own tests.
pub(crate) fn basics() -> PoolBuilder {
    pool(PythonApp::file(of_library("apps/basics.py")))
}

/// The same, in an interpreter that has NumPy; `None` where the tests' environment was not made.
pub(crate) fn basics_with_numpy() -> Option<PoolBuilder> {
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/venv/bin/python");
    Path::new(python)
        .exists()
        .then(|| pool(PythonApp::file(of_library("apps/basics.py")).python(python)).preload(["numpy"]))
}

/// The tools of `app.py` beside this file.
pub(crate) fn ours() -> PoolBuilder {
    pool(PythonApp::file(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/app.py")))
}

/// A daemon of the well-behaved tools, with whatever else the builder has; `begin` sees it before it serves.
pub(crate) async fn with_host_tools(builder: Builder, begin: impl FnOnce(&Hatchery) + Send + 'static) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let pool = builder.pool("default", PythonApp::file(of_library("apps/basics.py")));
    let filling = pool.data_dir(folder.path().join("data")).start();
    let begun = async move {
        let hatchery = filling.await?;
        begin(&hatchery);
        Ok(hatchery)
    };
    let mut rig = Rig::in_folder(folder, begun, &OtlpConfig::default()).await;
    rig.reaches(Phase::Serving).await;
    rig
}

/// A misbehaving worker of the library's own tests.
pub(crate) fn misbehaving(name: &str) -> PoolBuilder {
    let program = of_library("workers").join(format!("{name}.py"));
    Hatchery::builder().pool("default", CommandApp::new("python3").arg(program).env("PYTHONDONTWRITEBYTECODE", "1"))
}

fn pool(app: PythonApp) -> PoolBuilder {
    Hatchery::builder().pool("default", app)
}

fn of_library(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../hatchery/tests/fixtures", path].iter().collect()
}

impl Rig {
    /// A daemon that serves.
    pub(crate) async fn of(pool: PoolBuilder) -> Rig {
        Rig::with_grace(pool, GRACE).await
    }

    pub(crate) async fn with_grace(pool: PoolBuilder, grace: Duration) -> Rig {
        let graces = StopGraces { ask: grace, ..StopGraces::default() };
        let folder = tempfile::tempdir().unwrap();
        let filling = pool.stop(graces).data_dir(folder.path().join("data")).start();
        let mut rig = Rig::in_folder(folder, filling, &OtlpConfig::default()).await;
        rig.reaches(Phase::Serving).await;
        rig
    }

    /// A daemon that serves, and exports what it does.
    #[cfg(feature = "otlp")]
    pub(crate) async fn exporting(pool: PoolBuilder, otlp: &OtlpConfig) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let filling = pool.data_dir(folder.path().join("data")).start();
        let mut rig = Rig::in_folder(folder, filling, otlp).await;
        rig.reaches(Phase::Serving).await;
        rig
    }

    /// A daemon whose pools may never be filled.
    pub(crate) async fn filling(filling: impl Future<Output = Result<Hatchery>> + Send + 'static) -> Rig {
        Rig::in_folder(tempfile::tempdir().unwrap(), filling, &OtlpConfig::default()).await
    }

    async fn in_folder(
        folder: tempfile::TempDir,
        filling: impl Future<Output = Result<Hatchery>> + Send + 'static,
        otlp: &OtlpConfig,
    ) -> Rig {
        let daemon = Daemon::bind("127.0.0.1:0").await.unwrap().exporting(otlp).unwrap();
        let (address, phases) = (daemon.address(), daemon.phases());
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(daemon.serve(filling, async { drop(stopped.await) }));
        Rig { address, phases, stop, ended, folder }
    }

    pub(crate) async fn reaches(&mut self, phase: Phase) {
        let reached = self.phases.wait_for(|now| *now >= phase);
        tokio::time::timeout(PATIENCE, reached).await.unwrap().unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) async fn workers(&self) -> Vec<serde_json::Value> {
        crate::client::get(self.address, "/v1/workers").await.json().as_array().unwrap().clone()
    }

    /// Waits until this holds for the workers.
    pub(crate) async fn workers_are(&self, what: &str, holds: impl Fn(&[serde_json::Value]) -> bool) {
        eventually_told(what, async || holds(&self.workers().await)).await;
    }

    /// Waits until the first worker is in this state.
    pub(crate) async fn worker_is(&self, state: &str) {
        self.workers_are(state, |workers| workers[0]["state"] == state).await;
    }

    /// Tells the daemon to end, and does not wait for it.
    pub(crate) fn stop(self) -> Ending {
        let _has_ended_by_itself = self.stop.send(());
        Ending { address: self.address, phases: self.phases, ended: self.ended, folder: self.folder }
    }

    /// Ends the daemon, and proves that no worker is left.
    pub(crate) async fn end(self) {
        let pids: Vec<_> = self.workers().await.iter().map(|worker| worker["pid"].clone()).collect();
        self.stop().ended().await.unwrap();
        for pid in pids {
            assert!(!Path::new(&format!("/proc/{pid}")).exists(), "worker {pid} is left");
        }
    }
}

/// A daemon that was told to end.
pub(crate) struct Ending {
    pub(crate) address: SocketAddr,
    phases: watch::Receiver<Phase>,
    ended: JoinHandle<Result<()>>,
    folder: tempfile::TempDir,
}

impl Ending {
    pub(crate) async fn reaches(&mut self, phase: Phase) {
        let reached = self.phases.wait_for(|now| *now >= phase);
        tokio::time::timeout(PATIENCE, reached).await.unwrap().unwrap();
    }

    pub(crate) async fn ended(self) -> Result<()> {
        let outcome = tokio::time::timeout(PATIENCE, self.ended).await.unwrap().unwrap();
        assert_eq!(*self.phases.borrow(), Phase::Closed);
        drop(self.folder);
        outcome
    }
}

pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    eventually_told(what, async || holds()).await;
}

/// The same of what a daemon is asked.
pub(crate) async fn eventually_told(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

pub(crate) async fn eventually_file(path: &str) {
    eventually(&format!("{path} exists"), || Path::new(path).exists()).await;
}

/// Polls the future once, and drops it: it had not ended.
pub(crate) async fn begun_and_dropped<T>(future: impl Future<Output = T>, until: impl Future<Output = ()>) {
    let (mut future, mut until) = (pin!(future), pin!(until));
    let ended = poll_fn(|context| {
        if future.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        until.as_mut().poll(context).map(|()| false)
    });
    assert!(!ended.await, "it ended by itself");
}
