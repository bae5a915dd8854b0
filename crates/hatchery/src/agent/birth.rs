//! How a run comes to be: what is started is worked out, recorded, and then started, in this order.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{mpsc, watch};

use super::adapter::Adapters;
use super::books::Books;
use super::claim::{Claim, Claims, Key};
use super::environment::{Itself, OfAgent, environment};
use super::history::History;
use super::input::StandardInput;
use super::log::{LogWriter, Watcher};
use super::machine::{Fact, Machine, Plan};
use super::owner::Owner;
use super::records;
use super::run::Seen;
use super::story::{Story, Voice};
use super::{
    AgentInfo, AgentRun, AgentRunId, AgentSpec, CommandPlan, Fidelity, Input, Leftovers, LineAdapter, OwnerDeath,
    SessionRef, Stream, Usage,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{WorkerId, random_u64};
use crate::process::{Confinement, OnEscape, Spawned, Spec, Stdin, Stdio, Stdout, redacted_each};
use crate::registry::{Entry, Instance};
use crate::run::Run;
use crate::telemetry::Emitter;

/// What the processes of agent runs are listed under in the registry.
const POOL: &str = "agents";

/// Where runs come from.
#[derive(Clone)]
pub(super) struct Nursery {
    pub(crate) run: Arc<Run>,
    pub(crate) instance: Instance,
    pub(crate) data_dir: PathBuf,
    pub(crate) adapters: Adapters,
    /// Or why nothing can be written down, and so nothing be started.
    pub(crate) history: std::result::Result<History, String>,
    pub(crate) watcher: Watcher,
    pub(crate) emitter: Emitter,
}

/// A run whose process is there.
pub(super) struct Newborn {
    pub(super) owner: Owner,
    pub(super) run: AgentRun,
    pub(super) first_turn: Option<String>,
}

/// Everything that is known before there is a process.
struct Conception {
    id: AgentRunId,
    spec: AgentSpec,
    adapter: Arc<dyn LineAdapter>,
    command: CommandPlan,
    env: Vec<(OsString, OsString)>,
    home: PathBuf,
    info: AgentInfo,
    machine: Machine,
    began: Instant,
}

/// What is there once it was recorded and started.
struct Body {
    spawned: Spawned,
    entry: Entry,
    log: LogWriter,
    claim: Option<Claim>,
}

impl Nursery {
    /// Where the output of a run lies.
    pub(super) fn folder(&self, run: AgentRunId) -> PathBuf {
        records::folder(&self.data_dir, run)
    }

    /// # Errors
    /// `unavailable` if there is none.
    pub(super) fn history(&self) -> Result<&History> {
        let unwritten =
            |why: &String| Error::new(ErrorKind::Unavailable, format!("agent runs cannot be written down: {why}"));
        self.history.as_ref().map_err(unwritten)
    }

    pub(super) async fn bear(&self, spec: AgentSpec) -> Result<Newborn> {
        let conception = self.conceive(spec)?;
        let nursery = self.clone();
        let born = tokio::task::spawn_blocking(move || nursery.embody(conception)).await;
        let panicked = |error: tokio::task::JoinError| Error::new(ErrorKind::Internal, error.to_string());
        let (conception, body) = born.map_err(panicked)??;
        self.raise(conception, body)
    }

    /// Touches nothing.
    fn conceive(&self, spec: AgentSpec) -> Result<Conception> {
        refuse_keep(&spec)?;
        let (id, began, wall) = (AgentRunId::random(), Instant::now(), SystemTime::now());
        let adapter = self.adapters.get(&spec.adapter)?;
        let spec = named(spec, &*adapter);
        let context = |error: Error| error.context(format_args!("start an agent run ({})", spec.adapter));
        let command = adapter.command(&spec).map_err(context)?;
        let cwd = match spec.cwd.clone().or(command.cwd.clone()) {
            Some(cwd) => cwd,
            None => std::env::current_dir().map_err(|error| unavailable("find the working directory", &error))?,
        };
        let itself = Itself { agent_run: id, run: self.run.id, instance: &self.instance.name };
        let env = environment(std::env::vars_os(), &spec.env, OfAgent { pass: &[], markers: &command.scrub }, itself);
        let home = env.iter().find(|(name, _)| name == "HOME").map(|(_, home)| home.into()).unwrap_or_default();
        let machine = Machine::new(Plan::of(&spec, &command, &*adapter), began, wall);
        let words: Vec<_> = command.argv.iter().map(|word| word.to_string_lossy()).collect();
        let info = AgentInfo {
            run: id,
            sessions: machine.sessions().to_vec(),
            resumable: None,
            adapter: spec.adapter.clone(),
            command: redacted_each(words.iter().map(AsRef::as_ref)),
            cwd: cwd.clone(),
            pid: None,
            labels: spec.labels.clone(),
            agent: spec.agent.clone(),
            task: spec.task.clone(),
            model: spec.model.clone(),
            started_at: wall,
            state: machine.state().clone(),
            turns: 0,
            usage: Usage::default(),
            events: 0,
            bytes: 0,
            on_owner_death: spec.on_owner_death,
            notes: Vec::new(),
        };
        let spec = AgentSpec { cwd: Some(cwd), ..spec };
        Ok(Conception { id, spec, adapter, command, env, home, info, machine, began })
    }

    /// Blocks: a claim, a record, a folder, and then a process.
    fn embody(&self, mut conception: Conception) -> Result<(Conception, Body)> {
        let claim = self.claim(&conception)?;
        let history = self.history()?;
        history.insert(&conception.info)?;
        match self.start(&conception) {
            Ok((spawned, entry, log)) => {
                conception.info.pid = Some(spawned.child.identity().pid().get());
                Ok((conception, Body { spawned, entry, log, claim }))
            }
            Err(error) => {
                let why = error.to_string();
                conception.machine.hear(Fact::NotSpawned { why }, Instant::now());
                conception.info.state = conception.machine.state().clone();
                history.update(&conception.info);
                let _never_was_any = std::fs::remove_dir_all(self.folder(conception.id));
                Err(error.context(format_args!("start agent run {}", conception.id)))
            }
        }
    }

    /// Of a conversation whose name is known already.
    fn claim(&self, conception: &Conception) -> Result<Option<Claim>> {
        let (SessionRef::Named(session) | SessionRef::Resume(session)) = &conception.spec.session else {
            return Ok(None);
        };
        let key = Key::new(&conception.spec.adapter, &conception.home, session);
        Claims::new(&self.data_dir).take(&key, conception.id).map(Some)
    }

    fn start(&self, conception: &Conception) -> Result<(Spawned, Entry, LogWriter)> {
        let AgentSpec { input, output, leftovers, cwd, .. } = &conception.spec;
        let log = LogWriter::create(&self.folder(conception.id), conception.id, *output)
            .map_err(|error| unavailable("make its folder", &error))?;
        let stdin = if matches!(input, Input::Null) { Stdin::Null } else { Stdin::Pipe };
        let stdout = match output.fidelity {
            Fidelity::Pipe => Stdout::Pipe,
            Fidelity::File => Stdout::File(
                log.agents_end(Stream::Stdout).map_err(|error| unavailable("open the file for its output", &error))?,
            ),
        };
        let mut argv = conception.command.argv.iter().cloned();
        let spec = Spec {
            program: argv.next().unwrap_or_default().into(),
            args: argv.collect(),
            env: conception.env.clone(),
            cwd: cwd.clone(),
            stdio: Stdio { stdin, stdout, ..Stdio::default() },
            fds: Vec::<OwnedFd>::new(),
            confinement: Confinement { on_escape: on_escape(*leftovers), ..Confinement::default() },
        };
        let worker = WorkerId::read(&format!("agent-{}", conception.id));
        let (spawned, entry) = self.run.spawn(&worker, POOL, spec)?;
        Ok((spawned, entry, log))
    }

    /// Whoever drops what this returns ends the process.
    fn raise(&self, conception: Conception, body: Body) -> Result<Newborn> {
        let Conception { id, spec, adapter, command, home, info, machine, began, .. } = conception;
        let Body { spawned, entry, log, claim } = body;
        let Spawned { child, stdin, stdout, stderr, .. } = spawned;
        let failed = |error: std::io::Error| unavailable("read what it writes", &error);
        let source = |stream, pipe: Option<OwnedFd>| match pipe {
            Some(pipe) => log.drain(stream, pipe),
            None => log.follow(stream, &self.watcher),
        };
        let stdout = source(Stream::Stdout, stdout).map_err(failed)?;
        let stderr = source(Stream::Stderr, stderr).map_err(failed)?;
        let mut input = StandardInput::new(stdin).map_err(|error| unavailable("write its input", &error))?;
        let first_turn = begin_input(spec.input, &mut input)?;
        let dialogue = adapter.begin(&command);
        let has_interrupt = adapter.begin(&command).interrupt().is_some();
        let (seen, shown) = watch::channel(Seen { info: Arc::new(info.clone()), report: None });
        let (orders, ordered) = mpsc::unbounded_channel();
        let run = AgentRun::new(id, shown, orders, log.log());
        let books = Books {
            history: self.history()?.clone(),
            claims: Claims::new(&self.data_dir),
            claim,
            home,
            emitter: self.emitter.clone(),
        };
        let ladder = spec.stop.unwrap_or_else(|| adapter.ladder());
        let (stdout, stderr) = (Voice::new(stdout), Voice::new(stderr));
        let story = Story { dialogue, machine, log, books, info, seen, began, stdout, stderr, is_past_a_limit: false };
        let owner = Owner { child, entry, input, orders: ordered, ladder, has_interrupt, ending: None, story };
        Ok(Newborn { owner, run, first_turn })
    }
}

/// What would end with its supervisor must not look as if it would not.
fn refuse_keep(spec: &AgentSpec) -> Result<()> {
    match spec.on_owner_death {
        OwnerDeath::Stop => Ok(()),
        OwnerDeath::Keep => {
            let message = "start an agent run: on_owner_death = keep cannot be had yet; its default is stop";
            Err(Error::new(ErrorKind::Validation, message))
        }
    }
}

/// A new conversation has its name before there is a process, where that can be.
fn named(spec: AgentSpec, adapter: &dyn LineAdapter) -> AgentSpec {
    let random = || (u128::from(random_u64()) << 64) | u128::from(random_u64());
    match spec.session {
        SessionRef::New => {
            let session = adapter.fresh_session(random()).map_or(SessionRef::New, SessionRef::Named);
            AgentSpec { session, ..spec }
        }
        _ => spec,
    }
}

/// The first turn, if there is to be one.
fn begin_input(wanted: Input, input: &mut StandardInput) -> Result<Option<String>> {
    match wanted {
        Input::Null => Ok(None),
        Input::Text(text) => {
            input.put(text)?;
            input.end();
            Ok(None)
        }
        Input::Conversation(first_turn) => Ok(first_turn),
    }
}

fn on_escape(leftovers: Leftovers) -> OnEscape {
    match leftovers {
        Leftovers::Kill => OnEscape::Kill,
        Leftovers::Report => OnEscape::Report,
        Leftovers::Keep => OnEscape::Adopt,
    }
}

fn unavailable(what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{what}: {why}"))
}
