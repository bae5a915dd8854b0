//! `kill -9` of the supervisor leaves no worker. The supervisor is this test binary, started again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hatchery::{CallOptions, Capacity};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::rig::{PATIENCE, Rig, app, eventually, exists, pool, python};

/// One whose workers are these.
#[derive(Clone, Copy, Debug)]
struct Case {
    is_threaded: bool,
    has_session: bool,
    /// Its worker is in C, and holds the interpreter.
    is_busy: bool,
}

impl Case {
    fn all(is_threaded: bool) -> impl Iterator<Item = Case> {
        [(false, false), (false, true), (true, false), (true, true)]
            .into_iter()
            .map(move |(has_session, is_busy)| Case { is_threaded, has_session, is_busy })
    }

    fn word(self) -> String {
        [self.is_threaded, self.has_session, self.is_busy].map(|yes| if yes { '1' } else { '0' }).into_iter().collect()
    }

    fn of(word: &str) -> Case {
        let is = |at: usize| word.as_bytes()[at] == b'1';
        Case { is_threaded: is(0), has_session: is(1), is_busy: is(2) }
    }
}

/// Killed when it is dropped, whatever becomes of its test.
struct Supervisor(Child);

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _it_may_be_over = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Supervisor {
    #[expect(clippy::disallowed_methods, reason = "the test needs a supervisor that it can kill")]
    fn start(case: Case, folder: &Path) -> Supervisor {
        let program = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "supervisor_killed::supervisor_that_is_killed", "--ignored", "--nocapture"])
            .env("HATCHERY_TEST_CASE", case.word())
            .env("HATCHERY_TEST_FOLDER", folder)
            // What it leaves, as it is killed, goes with the folder.
            .env("TMPDIR", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Supervisor(program.unwrap())
    }
}

/// Idle or busy in C, with a session and without.
#[tokio::test]
async fn no_process_worker_is_left() {
    none_is_left(false).await;
}

#[tokio::test]
async fn no_threaded_worker_is_left() {
    none_is_left(true).await;
}

async fn none_is_left(is_threaded: bool) {
    if python().is_none() {
        return;
    }
    for case in Case::all(is_threaded) {
        let dir = tempfile::tempdir().unwrap();
        let mut supervisor = Supervisor::start(case, dir.path());
        let list = dir.path().join("pids");
        eventually("the supervisor has its workers", || {
            assert!(supervisor.0.try_wait().unwrap().is_none(), "{case:?}: the supervisor has ended by itself");
            list.exists()
        })
        .await;
        let pids: Vec<i32> =
            std::fs::read_to_string(&list).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(pids.len(), 2, "{case:?}");
        assert!(pids.iter().all(|pid| exists(*pid)), "{case:?}");
        drop(supervisor);
        eventually(&format!("no worker is left: {case:?}"), || pids.iter().all(|pid| !exists(*pid))).await;
    }
}

#[tokio::test]
#[ignore = "started by none_is_left, in a process of its own"]
async fn supervisor_that_is_killed() {
    let Some(folder) = std::env::var_os("HATCHERY_TEST_FOLDER").map(PathBuf::from) else { return };
    let case = Case::of(&std::env::var("HATCHERY_TEST_CASE").unwrap());
    let adapter =
        if case.is_threaded { "faults.holds_the_gil.ThreadedAdapter" } else { "faults.holds_the_gil.Adapter" };
    let app = app(adapter).unwrap();
    let app = if case.is_threaded { app.adapter_args(["--max-workers", "2"]) } else { app };
    // One call a worker, so that two at once have both.
    let builder = pool(app).workers(2).capacity(Capacity::Profile);
    let rig = Rig::of(if case.is_threaded { builder.threads_per_worker(2) } else { builder }).await;
    rig.pool.await_all(PATIENCE).await.unwrap();
    let tool = if case.is_busy { "hold" } else { "await_file" };
    let calls = [rig.begin(case, tool, "one"), rig.begin(case, tool, "other")];
    if case.is_busy {
        eventually("they hold", || Path::new(&rig.path("one")).exists() && Path::new(&rig.path("other")).exists())
            .await;
    } else {
        eventually("they run", || rig.pool.status().running == 2).await;
        for (call, file) in calls.into_iter().zip(["one", "other"]) {
            std::fs::write(rig.path(file), "").unwrap();
            call.await.unwrap().unwrap();
        }
    }
    let pids: Vec<String> = rig.pids().iter().map(i32::to_string).collect();
    std::fs::write(folder.join("aside"), pids.join(" ")).unwrap();
    std::fs::rename(folder.join("aside"), folder.join("pids")).unwrap();
    std::future::pending().await
}

impl Rig {
    fn begin(&self, case: Case, tool: &'static str, name: &str) -> JoinHandle<hatchery::Result<Value>> {
        let options = if case.has_session { CallOptions::new().session(name) } else { CallOptions::new() };
        let file = self.path(name);
        let arguments = if case.is_busy { json!({ "seconds": 2000, "file": file }) } else { json!({ "file": file }) };
        let pool = self.pool.clone();
        tokio::spawn(async move { pool.call_with(tool, arguments, &options).await })
    }
}
