//! A hatchery without pools, and agents that do what they are told.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hatchery::agent::{
    AgentEvent, AgentFilter, AgentInfo, AgentRun, AgentRunId, AgentSpec, Heard, Line, Outcome, Rung, Signal, Step,
    StopLadder, Stream,
};
use hatchery::{Hatchery, Instance};
use tempfile::TempDir;

use crate::containment::kill;
use crate::{PATIENCE, eventually};

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
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn touch(&self, name: &str) {
        std::fs::write(self.path(name), "").unwrap();
    }

    /// What an agent has written there, once it has: the pid of one of its processes.
    pub(crate) async fn pid(&self, name: &str) -> i32 {
        crate::eventually_file(&self.path(name)).await;
        std::fs::read_to_string(self.path(name)).unwrap().parse().unwrap()
    }

    pub(crate) async fn start(&self, spec: AgentSpec) -> AgentRun {
        self.hatchery.agents().start(spec).await.unwrap()
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, spec: AgentSpec) -> (AgentRun, Outcome) {
        let run = self.start(spec).await;
        let outcome = over(&run).await;
        (run, outcome)
    }

    /// Shuts down, and proves that nothing is left: no process of any run, no claim, no socket.
    pub(crate) async fn end(self) {
        self.end_but_for([]).await;
    }

    /// The same, where these processes were let go; they are ended.
    pub(crate) async fn end_but_for<const N: usize>(self, kept: [i32; N]) {
        let runs = self.hatchery.agents().history(everything()).await.unwrap();
        self.hatchery.shutdown().await.unwrap();
        let rows = self.hatchery.processes();
        assert!(rows.is_empty(), "left in the registry after the shutdown: {rows:?}");
        let left: BTreeSet<i32> = runs.iter().flat_map(|info| members(info.run)).collect();
        assert_eq!(left, BTreeSet::from(kept), "live after the shutdown");
        assert_eq!(claims(self.folder.path()), 0, "a claim is left");
        let sockets = sockets(self.folder.path());
        assert!(sockets.is_empty(), "left: {sockets:?}");
        for pid in kept {
            kill(pid);
            eventually(&format!("process {pid} is gone"), || !lives(pid)).await;
        }
    }
}

/// An agent that takes these steps, and then what its adapter adds.
pub(crate) fn fake<S: AsRef<str>>(adapter: &str, steps: impl IntoIterator<Item = S>) -> AgentSpec {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/agents/fake_agent.py");
    let steps = steps.into_iter().map(|step| step.as_ref().to_owned());
    let words = [script.display().to_string(), "--do".to_owned()].into_iter().chain(steps);
    AgentSpec::new(adapter, "python3").args(words)
}

pub(crate) fn with(mut spec: AgentSpec, change: impl FnOnce(&mut AgentSpec)) -> AgentSpec {
    change(&mut spec);
    spec
}

/// Runs that are over as well.
pub(crate) fn everything() -> AgentFilter {
    let mut filter = AgentFilter::default();
    filter.with_ended = true;
    filter
}

/// A ladder of these, each of which is waited for longer than any test lives.
pub(crate) fn patient(steps: impl IntoIterator<Item = Step>) -> StopLadder {
    let grace = PATIENCE * 60;
    StopLadder { rungs: steps.into_iter().map(|step| Rung { step, grace }).collect(), total: grace }
}

pub(crate) async fn over(run: &AgentRun) -> Outcome {
    tokio::time::timeout(PATIENCE, run.wait()).await.expect("it is over")
}

/// Waits until a run is so.
pub(crate) async fn until(run: &AgentRun, holds: impl Fn(&AgentInfo) -> bool) -> Arc<AgentInfo> {
    let mut run = run.clone();
    let wait = async {
        loop {
            let info = run.info();
            if holds(&info) {
                return info;
            }
            assert!(!info.state.phase.is_over(), "it is over: {info:?}");
            run.changed().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it comes to that")
}

pub(crate) async fn until_it_is(run: &AgentRun, phase: &str) -> Arc<AgentInfo> {
    until(run, |info| info.state.phase.name() == phase).await
}

/// The first event for which that is so.
pub(crate) async fn event(run: &AgentRun, holds: impl Fn(&AgentEvent) -> bool) -> AgentEvent {
    let mut events = run.events(0);
    let wait = async {
        while let Some(next) = events.next().await {
            if let Heard::Event(event) = next
                && holds(&event)
            {
                return event;
            }
        }
        panic!("it has not said that");
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it says that")
}

/// Everything that it said, to its end.
pub(crate) async fn all(run: &AgentRun) -> Vec<AgentEvent> {
    let (events, gaps) = heard(run).await;
    assert!(gaps.is_empty(), "unexpected: {gaps:?}");
    events
}

/// And what was forgotten of it.
pub(crate) async fn heard(run: &AgentRun) -> (Vec<AgentEvent>, Vec<hatchery::agent::Gap>) {
    let (mut events, mut said, mut gaps) = (run.events(0), Vec::new(), Vec::new());
    let hear = async {
        while let Some(next) = events.next().await {
            match next {
                Heard::Event(event) => said.push(event),
                Heard::Gap(gap) => gaps.push(gap),
            }
        }
    };
    tokio::time::timeout(PATIENCE, hear).await.expect("its log is closed");
    (said, gaps)
}

pub(crate) fn text(event: &AgentEvent) -> String {
    match &event.line {
        Line::Here(bytes) | Line::Partial(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Line::Spooled { length, .. } => format!("<{length} bytes>"),
    }
}

pub(crate) fn says(event: &AgentEvent, words: &str) -> bool {
    event.signals.contains(&Signal::Text { text: words.into() })
}

/// What we have said ourselves.
pub(crate) fn warnings(events: &[AgentEvent]) -> Vec<String> {
    events.iter().filter(|event| event.stream == Stream::Host).map(text).collect()
}

/// The living processes that carry the mark of this run.
pub(crate) fn members(run: AgentRunId) -> Vec<i32> {
    let mark = format!("HATCHERY_AGENT_RUN={run}");
    let is_marked = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(is_marked).filter(|pid| lives(*pid)).collect()
}

/// Whether it is there, and no zombie that somebody else has yet to reap.
pub(crate) fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn claims(data: &Path) -> usize {
    std::fs::read_dir(data.join("agents/claims")).map_or(0, Iterator::count)
}

fn sockets(folder: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::FileTypeExt;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(sockets(&entry.path())),
            kind if kind.is_socket() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}
