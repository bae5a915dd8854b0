//! What to start, and how it is to be treated.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::AgentSessionId;

/// A run that is to be. Everything but the command line has a usual value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentSpec {
    /// How it is spoken to: `stream-json`, `codex-jsonl`, `plain`, or one that [`Adapters`](super::Adapters) was given.
    pub adapter: String,
    /// The program, then its arguments, to which the adapter adds its own. A prompt is no argument: see [`Input`].
    pub argv: Vec<OsString>,
    /// Where it works. The supervisor's own directory, if nothing is said.
    pub cwd: Option<PathBuf>,
    /// What it finds in its environment.
    pub env: Environment,
    /// For whoever looks for it.
    pub labels: BTreeMap<String, String>,
    /// Which agent this is a run of, if it is one: id and name.
    pub agent: Option<(String, String)>,
    /// What it is to do, in a few words. Shown in lists.
    pub task: Option<String>,
    /// What it is told to think with. Shown in lists, and given to an adapter that knows how to say it.
    pub model: Option<String>,
    /// What it reads.
    pub input: Input,
    /// Which conversation it carries on.
    pub session: SessionRef,
    /// How what it writes is kept.
    pub output: OutputLimits,
    /// How long it may take for what.
    pub limits: AgentLimits,
    /// How it is ended; the adapter's own, if nothing is said.
    pub stop: Option<StopLadder>,
    /// What becomes of members that outlive its process.
    pub leftovers: Leftovers,
    /// What becomes of it if its supervisor dies.
    pub on_owner_death: OwnerDeath,
}

/// What a run finds in its environment: of the supervisor's, what is allowed and no marker of a surrounding agent; then what is set.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Names that pass, besides the usual ones (`PATH`, `HOME`, the locale, the proxy, temporary folders). A `*` at the end stands for any.
    pub pass: Vec<String>,
    /// What is set. Values are in no record.
    pub set: BTreeMap<String, OsString>,
    /// Everything of the supervisor's passes.
    pub inherit_all: bool,
}

/// What a run reads on its standard input. It is never the supervisor's.
#[derive(Clone, Debug, Default)]
pub enum Input {
    /// Nothing.
    #[default]
    Null,
    /// This, and then its end.
    Text(Bytes),
    /// Turns, as they are sent; the first one at once, if there is one. Its end comes when the run is to end.
    Conversation(Option<String>),
}

/// Which conversation a run carries on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SessionRef {
    /// A new one, which the agent names.
    #[default]
    New,
    /// A new one of this name, where the agent lets itself be told.
    Named(AgentSessionId),
    /// This one.
    Resume(AgentSessionId),
    /// A new one that begins as this one.
    Fork(AgentSessionId),
}

/// How what a run writes is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Who writes the spool.
    pub fidelity: Fidelity,
    /// Bytes of lines that are kept in memory.
    pub ring: usize,
    /// Bytes that are kept on disk: beyond, the oldest are forgotten. `None`: all.
    pub spool: Option<u64>,
    /// A line longer than this is not looked at, and is handed out by reference.
    pub max_line: usize,
}

/// Who writes the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fidelity {
    /// The agent itself, as its standard output is that file. Nothing is lost that way, however it ends.
    #[default]
    File,
    /// We, what we have read of a pipe. An agent that does not wait for its pipe loses what has not been read when it exits.
    Pipe,
}

/// How long a run may take for what. Measured by a clock that nobody sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentLimits {
    /// Until it says who it is. Then this is told; it is ended only with `start_stops`.
    pub start: Option<Duration>,
    /// Whether it is ended then.
    pub start_stops: bool,
    /// For one turn.
    pub turn: Option<Duration>,
    /// Without a line, while no tool is open and nobody is asked.
    pub idle: Option<Duration>,
    /// In all.
    pub runtime: Option<Duration>,
}

/// How a run is ended: one thing after another, until it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopLadder {
    /// In this order; whatever it says, SIGKILL to the whole tree comes last.
    pub rungs: Vec<Rung>,
    /// For all of them together.
    pub total: Duration,
}

/// One thing that is done, and how long its effect is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// What is done.
    pub step: Step,
    /// How long it has.
    pub grace: Duration,
}

/// What is done to end a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Its protocol's word for it. Skipped where it has none.
    Interrupt,
    /// The end of its input. Skipped where it has none.
    CloseStdin,
    /// This signal, to its process group.
    Signal(i32),
}

/// What becomes of members that outlive a run's process. Those that have not left its process group end with it in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leftovers {
    /// They are ended.
    #[default]
    Kill,
    /// They live until their supervisor ends, and whoever waits for the run is told that it has left some.
    Report,
    /// They live on for good, and are told of.
    Keep,
}

/// What becomes of a run if its supervisor dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnerDeath {
    /// It ends, with all its members.
    #[default]
    Stop,
    /// It goes on, and the next supervisor of the instance takes it over.
    Keep,
}

impl AgentSpec {
    /// Of this program, spoken to by this adapter.
    pub fn new(adapter: impl Into<String>, program: impl Into<OsString>) -> AgentSpec {
        AgentSpec {
            adapter: adapter.into(),
            argv: vec![program.into()],
            cwd: None,
            env: Environment::default(),
            labels: BTreeMap::new(),
            agent: None,
            task: None,
            model: None,
            input: Input::default(),
            session: SessionRef::default(),
            output: OutputLimits::default(),
            limits: AgentLimits::default(),
            stop: None,
            leftovers: Leftovers::default(),
            on_owner_death: OwnerDeath::default(),
        }
    }

    /// With these arguments besides.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> AgentSpec {
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// With something to find it by.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> AgentSpec {
        self.labels.insert(key.into(), value.into());
        self
    }
}

impl Default for OutputLimits {
    fn default() -> OutputLimits {
        OutputLimits { fidelity: Fidelity::default(), ring: 1 << 20, spool: Some(256 << 20), max_line: 16 << 20 }
    }
}

impl Default for AgentLimits {
    fn default() -> AgentLimits {
        AgentLimits { start: Some(Duration::from_secs(60)), start_stops: false, turn: None, idle: None, runtime: None }
    }
}

impl Default for StopLadder {
    /// For agents: the word of the protocol, then SIGINT, by which they end their tools, then SIGTERM, by which some leave them behind.
    fn default() -> StopLadder {
        let rung = |step, seconds| Rung { step, grace: Duration::from_secs(seconds) };
        StopLadder {
            rungs: vec![
                rung(Step::Interrupt, 2),
                rung(Step::CloseStdin, 1),
                rung(Step::Signal(libc::SIGINT), 3),
                rung(Step::Signal(libc::SIGTERM), 2),
            ],
            total: Duration::from_secs(10),
        }
    }
}
