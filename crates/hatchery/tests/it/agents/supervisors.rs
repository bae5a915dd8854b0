//! What becomes of runs whose supervisor is killed.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hatchery::agent::{AgentInfo, OutcomeKind, Phase};
use hatchery::{AgentRunEvent, Event, Hatchery, Instance};

use super::rig::{Rig, everything, fake, lives, members};
use crate::{PATIENCE, eventually};

/// Where the host of these tests finds the data dir.
const DATA: &str = "HATCHERY_TEST_AGENTS_DATA";
const RUNS: usize = 10;

/// A1: the host is killed when the first of its agents is there, whatever it does then.
#[tokio::test]
async fn whose_supervisor_is_killed_at_its_birth_is_gone_and_its_record_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path());
    eventually("an agent is there", || !pids(folder.path()).is_empty()).await;
    is_killed(host);
    all_are_gone_and_known(folder).await;
}

/// A18, `stop`: at any moment, which differs from round to round by how far the runs are.
#[tokio::test]
async fn nothing_is_left_of_the_runs_of_a_supervisor_that_is_killed_and_no_restart_is_needed_for_that() {
    for there in [1, RUNS / 2, RUNS, 2 * RUNS] {
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path());
        eventually("so many processes are there", || pids(folder.path()).len() >= there).await;
        is_killed(host);
        all_are_gone_and_known(folder).await;
    }
}

/// The program that is killed: this test binary, started again.
#[tokio::test]
#[ignore = "run by the tests that kill it"]
async fn host_of_ten_runs() {
    let data = std::env::var_os(DATA).expect("a data dir");
    let hatchery = Rig::over(Path::new(&data)).await;
    let starts = (0..RUNS).map(|number| {
        let (agents, data) = (hatchery.agents().clone(), Path::new(&data).to_owned());
        let path = move |what: &str| data.join(format!("{what}-{number}.pid")).display().to_string();
        let steps = [
            format!("pid={}", path("agent")),
            "init".into(),
            format!("tool={}", path("tool")),
            format!("wait={}", path("never")),
        ];
        tokio::spawn(async move { agents.start(fake("stream-json", steps)).await.unwrap() })
    });
    let starts: Vec<_> = starts.collect();
    for start in starts {
        start.await.unwrap();
    }
    std::future::pending::<()>().await;
}

/// Without anybody's doing; then the next supervisor says what has become of each.
async fn all_are_gone_and_known(folder: tempfile::TempDir) {
    eventually("every process that has said who it is, is gone", || !pids(folder.path()).into_iter().any(lives)).await;
    let mut builder = Hatchery::builder().instance(Instance::default()).data_dir(folder.path());
    let mut events = builder.events();
    let hatchery = builder.start().await.unwrap();
    let runs = hatchery.agents().history(everything()).await.unwrap();
    assert!(!runs.is_empty());
    for info in &runs {
        assert!(is_lost(info), "{info:?}");
        eventually("nothing of it lives", || members(info.run).is_empty()).await;
    }
    for _ in &runs {
        let lost = async {
            loop {
                if let Event::Agent(AgentRunEvent::Exited { run, outcome, .. }) = events.next().await.unwrap() {
                    return (run, outcome);
                }
            }
        };
        let (run, outcome) = tokio::time::timeout(PATIENCE, lost).await.expect("each is told of");
        assert!(outcome == "lost" && runs.iter().any(|info| info.run.to_string() == run), "{run}: {outcome}");
    }
    let rig = Rig { hatchery, folder };
    rig.end().await;
}

fn is_lost(info: &AgentInfo) -> bool {
    matches!(&info.state.phase, Phase::Exited { outcome } if outcome.kind == OutcomeKind::Lost)
}

#[expect(clippy::disallowed_methods, reason = "it is waited for")]
fn host(data: &Path) -> Child {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["agents::supervisors::host_of_ten_runs", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    program.env(DATA, data).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

fn is_killed(mut host: Child) {
    host.kill().unwrap();
    assert_eq!(host.wait().unwrap().signal(), Some(libc::SIGKILL), "it was to live until then");
}

/// Of the agents and their tools, as they have written them down.
fn pids(data: &Path) -> Vec<i32> {
    let entries = std::fs::read_dir(data).unwrap().flatten();
    let files = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "pid"));
    files.filter_map(|path| std::fs::read_to_string(path).unwrap().parse().ok()).collect()
}
