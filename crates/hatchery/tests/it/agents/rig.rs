//! A hatchery without pools, and agents that do what they are told.

use std::path::{Path, PathBuf};

use hatchery::agent::{AgentEvent, AgentRun, AgentSpec, Heard, Line, Outcome};
use hatchery::{Hatchery, Instance};
use tempfile::TempDir;

/// One supervisor, in a data dir of its own.
pub(crate) struct Rig {
    pub(crate) hatchery: Hatchery,
    pub(crate) folder: TempDir,
}

impl Rig {
    pub(crate) async fn new() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let hatchery = Rig::over(folder.path()).await;
        Rig { hatchery, folder }
    }

    pub(crate) async fn over(data: &Path) -> Hatchery {
        let builder = Hatchery::builder().instance(Instance::default()).data_dir(data);
        builder.start().await.unwrap()
    }

    /// Where tests and agents meet.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn start(&self, spec: AgentSpec) -> AgentRun {
        self.hatchery.agents().start(spec).await.unwrap()
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, spec: AgentSpec) -> (AgentRun, Outcome) {
        let run = self.start(spec).await;
        let outcome = run.wait().await;
        (run, outcome)
    }

    pub(crate) async fn end(self) {
        self.hatchery.shutdown().await.unwrap();
    }
}

/// An agent that takes these steps, and then what its adapter adds.
pub(crate) fn fake<S: AsRef<str>>(adapter: &str, steps: impl IntoIterator<Item = S>) -> AgentSpec {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/agents/fake_agent.py");
    let steps = steps.into_iter().map(|step| step.as_ref().to_owned());
    let words = [script.display().to_string(), "--do".to_owned()].into_iter().chain(steps);
    AgentSpec::new(adapter, "python3").args(words)
}

/// Everything that it said, to its end.
pub(crate) async fn all(run: &AgentRun) -> Vec<AgentEvent> {
    let mut events = run.events(0);
    let mut heard = Vec::new();
    while let Some(next) = events.next().await {
        match next {
            Heard::Event(event) => heard.push(event),
            Heard::Gap(gap) => panic!("unexpected: {gap:?}"),
        }
    }
    heard
}

pub(crate) fn text(event: &AgentEvent) -> String {
    match &event.line {
        Line::Here(bytes) | Line::Partial(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Line::Spooled { length, .. } => format!("<{length} bytes>"),
    }
}
