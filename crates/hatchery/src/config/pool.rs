//! One of `[[pools]]`: what is said of it, for the rooms to lay over their defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::layer::{Layer, duration_of};
use super::settings::is_bridged;
use super::value::Value;
use super::words::Profile;
use super::{AppConfig, BridgeConfig, BridgeScript, keys, top};
use crate::app::CommandApp;
use crate::call::Affinity;
use crate::pool::{
    Capacity, Concurrency, HealthCheck, OnTimeout, Recycle, Restarts, StartBatches, StopGraces, Timeouts,
};
use crate::process::{Containment, OnEscape, ResourceLimits};
use crate::wire::Telemetry;
use crate::worker::Heartbeat;

mod arena;
mod faults;

pub use arena::ArenaConfig;
pub use faults::{BreakerConfig, CrashBarrierConfig, HealthGateConfig, RetryConfig};

/// One of `[[pools]]`. What nobody says is `None`, and stays what it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Its name.
    pub name: String,
    /// What it runs.
    pub app: AppConfig,
    /// How many workers: 1 to 1024.
    pub workers: Option<usize>,
    /// How many calls a worker has at once.
    pub concurrency: Option<Concurrency>,
    /// How many of them it is given.
    pub capacity: Option<Capacity>,
    /// What calls of a session do whose worker cannot take them.
    pub affinity: Option<Affinity>,
    /// How many calls may wait for a worker: 0 to 1 000 000.
    pub max_queue: Option<usize>,
    /// How long things may take, also by the timeout profile.
    pub timeouts: PoolTimeouts,
    /// How long calls and streams of single tools may take.
    pub tool_timeouts: BTreeMap<String, Duration>,
    /// What becomes of a worker that goes on with a call whose deadline has passed.
    pub on_timeout: Option<OnTimeout>,
    /// How long a cancelled call may go on before its worker is replaced.
    pub cancel_grace: Option<Duration>,
    /// What its workers have to leave by themselves.
    pub stop: PoolStop,
    /// When its workers are replaced though nothing is wrong with them.
    pub recycle: Recycle,
    /// Whether its workers still answer.
    pub heartbeat: HeartbeatConfig,
    /// What the app says of itself.
    pub health: HealthConfig,
    /// How starts are spread.
    pub start: StartConfig,
    /// When it is given up for the time being.
    pub restarts: RestartsConfig,
    /// How idempotent calls are made again.
    pub retry: RetryConfig,
    /// Refuses calls after many failures. `None`: off.
    pub breaker: Option<BreakerConfig>,
    /// Refuses calls while many workers crash. `None`: off.
    pub health_gate: Option<HealthGateConfig>,
    /// Keeps calls from what has crashed. `None`: off.
    pub crash_barrier: Option<CrashBarrierConfig>,
    /// Which events of their own its workers send.
    pub telemetry: Telemetry,
    /// The memory that is shared with its workers.
    pub arena: ArenaConfig,
    /// The modules that its template imports. Empty: none, or what the builder says.
    pub preload: Vec<String>,
    /// Whether its template imports the app as well.
    pub preload_app: Option<bool>,
    /// Whether it has a template.
    pub template: Option<bool>,
    /// How many threads libraries may start.
    pub thread_limits: ThreadLimitsConfig,
    /// Whether workers tell of what does not belong into threads.
    pub thread_safety_checks: Option<bool>,
    /// What keeps its processes together.
    pub containment: Option<Containment>,
    /// What becomes of processes that outlive their worker.
    pub on_escape: Option<OnEscape>,
    /// What each worker may use of the machine.
    pub limits: ResourceLimits,
    /// Whether nothing that they run gains rights.
    pub no_new_privileges: Option<bool>,
    /// The user and the group that its workers become.
    pub run_as: Option<(u32, u32)>,
}

impl PoolConfig {
    /// One of which nothing is said but its name and app.
    pub fn new(name: &str, app: AppConfig) -> PoolConfig {
        PoolConfig::saying(&Layer::default(), name.to_owned(), app)
    }
}

/// `timeouts` of a pool. `Duration::MAX` is `"infinity"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolTimeouts {
    /// A unary call, from its making to its result.
    pub call: Option<Duration>,
    /// A streaming call, from its making to its end.
    pub stream: Option<Duration>,
    /// The wait for a worker.
    pub queue: Option<Duration>,
    /// The start of a worker, to its READY.
    pub start: Option<Duration>,
}

/// `stop` of a pool. Always finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStop {
    /// From the word to SIGTERM.
    pub ask: Option<Duration>,
    /// From SIGTERM to SIGKILL.
    pub term: Option<Duration>,
}

/// `heartbeat` of a pool; see [`Heartbeat`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are those of Heartbeat")]
pub struct HeartbeatConfig {
    pub enabled: Option<bool>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub max_missed: Option<u32>,
    pub initial_delay: Option<Duration>,
    pub dependent: Option<bool>,
    pub while_busy: Option<bool>,
}

/// `health` of a pool; see [`HealthCheck`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthConfig {
    /// How often an idle worker is asked.
    pub interval: Option<Duration>,
    /// How long the answer may take.
    pub timeout: Option<Duration>,
    /// So many failures in a row replace the worker; `Some(None)`: none do.
    pub replace_after: Option<Option<u32>>,
}

/// `start` of a pool; see [`StartBatches`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartConfig {
    /// So many workers at once.
    pub batch: Option<usize>,
    /// From one batch to the next.
    pub delay: Option<Duration>,
}

/// `restarts` of a pool; see [`Restarts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestartsConfig {
    /// So many deaths before ready, one after another, are a crash loop.
    pub max_failures: Option<u32>,
    /// The longest pause between two tries.
    pub max_backoff: Option<Duration>,
}

/// `thread_limits` of a pool: how many threads the libraries of a worker may start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadLimitsConfig {
    /// Of OpenBLAS.
    pub openblas: Option<u32>,
    /// Of OpenMP.
    pub omp: Option<u32>,
    /// Of MKL.
    pub mkl: Option<u32>,
    /// Of numexpr.
    pub numexpr: Option<u32>,
}

impl PoolTimeouts {
    /// These where they are set, else those of `defaults`.
    pub fn over(&self, defaults: Timeouts) -> Timeouts {
        let pick = |own: Option<Duration>, default| match own {
            Some(Duration::MAX) => None,
            Some(limit) => Some(limit),
            None => default,
        };
        Timeouts {
            call: pick(self.call, defaults.call),
            stream: pick(self.stream, defaults.stream),
            queue: pick(self.queue, defaults.queue),
            start: pick(self.start, defaults.start),
        }
    }
}

impl PoolStop {
    /// These where they are set, else those of `defaults`.
    pub fn over(&self, defaults: StopGraces) -> StopGraces {
        StopGraces { ask: self.ask.unwrap_or(defaults.ask), term: self.term.unwrap_or(defaults.term) }
    }
}

impl ThreadLimitsConfig {
    /// Only what is said, by the variables that tell the libraries.
    pub(crate) fn said(&self) -> impl Iterator<Item = (String, String)> {
        let all = [
            ("OPENBLAS_NUM_THREADS", self.openblas),
            ("OMP_NUM_THREADS", self.omp),
            ("MKL_NUM_THREADS", self.mkl),
            ("NUMEXPR_NUM_THREADS", self.numexpr),
        ];
        all.into_iter().filter_map(|(name, threads)| Some((name.to_owned(), threads?.to_string())))
    }
}

impl HeartbeatConfig {
    /// These where they are set, else those of `defaults`.
    pub fn over(&self, defaults: Heartbeat) -> Heartbeat {
        Heartbeat {
            enabled: self.enabled.unwrap_or(defaults.enabled),
            interval: self.interval.unwrap_or(defaults.interval),
            timeout: self.timeout.unwrap_or(defaults.timeout),
            max_missed: self.max_missed.unwrap_or(defaults.max_missed),
            initial_delay: self.initial_delay.unwrap_or(defaults.initial_delay),
            dependent: self.dependent.unwrap_or(defaults.dependent),
            while_busy: self.while_busy.unwrap_or(defaults.while_busy),
        }
    }
}

impl HealthConfig {
    /// These where they are set, else those of `defaults`.
    pub fn over(&self, defaults: HealthCheck) -> HealthCheck {
        HealthCheck {
            interval: self.interval.unwrap_or(defaults.interval),
            timeout: self.timeout.unwrap_or(defaults.timeout),
            replace_after: self.replace_after.unwrap_or(defaults.replace_after),
        }
    }
}

impl StartConfig {
    /// These where they are set, else those of `defaults`.
    pub fn over(&self, defaults: StartBatches) -> StartBatches {
        StartBatches { size: self.batch.unwrap_or(defaults.size), delay: self.delay.unwrap_or(defaults.delay) }
    }
}

impl RestartsConfig {
    /// These where they are set, else those of `defaults`.
    pub fn over(&self, defaults: Restarts) -> Restarts {
        Restarts {
            max_failures: self.max_failures.unwrap_or(defaults.max_failures),
            max_backoff: self.max_backoff.unwrap_or(defaults.max_backoff),
        }
    }
}

impl ThreadLimitsConfig {
    /// The variables that say it to the libraries. What is not set is 1, and with threads as many as there are.
    pub fn variables(&self, concurrency: Concurrency) -> [(&'static str, String); 4] {
        let usual = match concurrency {
            Concurrency::Process => 1,
            Concurrency::Thread { threads_per_worker } => threads_per_worker,
        };
        let count = |own: Option<u32>| own.map_or_else(|| usual.to_string(), |own| own.to_string());
        [
            ("OPENBLAS_NUM_THREADS", count(self.openblas)),
            ("OMP_NUM_THREADS", count(self.omp)),
            ("MKL_NUM_THREADS", count(self.mkl)),
            ("NUMEXPR_NUM_THREADS", count(self.numexpr)),
        ]
    }
}

impl PoolConfig {
    /// What is said of it. `None` only if that is wrong.
    pub(super) fn of(said: &Layer) -> Option<PoolConfig> {
        Some(PoolConfig::saying(said, said.text("name")?.to_owned(), app(said)?))
    }

    fn saying(said: &Layer, name: String, app: AppConfig) -> PoolConfig {
        PoolConfig {
            name,
            app,
            workers: said.whole("workers"),
            concurrency: concurrency(said),
            capacity: said.word("capacity"),
            affinity: said.word("affinity"),
            max_queue: said.whole("max_queue"),
            timeouts: timeouts(said),
            tool_timeouts: tool_timeouts(said),
            on_timeout: said.word("on_timeout"),
            cancel_grace: said.duration("cancel_grace"),
            stop: PoolStop { ask: said.duration("stop.ask"), term: said.duration("stop.term") },
            recycle: recycle(said),
            heartbeat: heartbeat(said),
            health: health(said),
            start: StartConfig { batch: said.whole("start.batch"), delay: said.duration("start.delay") },
            restarts: restarts(said),
            retry: RetryConfig::of(said),
            breaker: BreakerConfig::of(said),
            health_gate: HealthGateConfig::of(said),
            crash_barrier: CrashBarrierConfig::of(said),
            telemetry: telemetry(said),
            arena: ArenaConfig::of(said),
            preload: preload(said),
            preload_app: said.flag("preload_app"),
            template: said.flag("template"),
            thread_limits: thread_limits(said),
            thread_safety_checks: said.flag("thread_safety_checks"),
            containment: said.word("containment"),
            on_escape: said.word("on_escape"),
            limits: limits(said),
            no_new_privileges: said.flag("no_new_privileges"),
            run_as: said.whole("user").zip(said.whole("group")),
        }
    }
}

fn app(said: &Layer) -> Option<AppConfig> {
    let env = said.below("env").filter_map(|(name, setting)| match &setting.value {
        Some(Value::Text(text)) => Some((name.to_owned(), text.clone())),
        _ => None,
    });
    if let Some(Value::App(app)) = said.value("app") {
        let app = top::path(said, "python").into_iter().fold(app.clone(), |app, python| app.python(python));
        return Some(AppConfig::Python(env.fold(app, |app, (name, value)| app.env(name, value))));
    }
    if said.value("script").is_some() {
        return BridgeScript::of(said, env).map(|script| AppConfig::Bridged(BridgeConfig::Script(script)));
    }
    let Some(Value::List(words)) = said.value("command") else { return None };
    let (Value::Path(program), args) = words.split_first()? else { return None };
    let app = args.iter().filter_map(text).fold(CommandApp::new(PathBuf::from(program)), |app, arg| app.arg(arg));
    let app = env.fold(app, |app, (name, value)| app.env(name, value));
    Some(match is_bridged(said) {
        true => AppConfig::Bridged(BridgeConfig::Command(app)),
        false => AppConfig::Command(app),
    })
}

fn preload(said: &Layer) -> Vec<String> {
    match said.value("preload") {
        Some(Value::List(modules)) => modules.iter().filter_map(text).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// `threads_per_worker` is said only beside `profile = "thread"`.
fn concurrency(said: &Layer) -> Option<Concurrency> {
    let threads = || said.whole("threads_per_worker").unwrap_or(keys::THREADS as usize);
    Some(match said.word("profile")? {
        Profile::Process => Concurrency::Process,
        Profile::Thread => Concurrency::Thread { threads_per_worker: threads() },
    })
}

fn timeouts(said: &Layer) -> PoolTimeouts {
    PoolTimeouts {
        call: said.duration("timeouts.call"),
        stream: said.duration("timeouts.stream"),
        queue: said.duration("timeouts.queue"),
        start: said.duration("timeouts.start"),
    }
}

fn tool_timeouts(said: &Layer) -> BTreeMap<String, Duration> {
    let limit = |(tool, setting): (&str, &super::layer::Setting)| {
        Some((tool.to_owned(), setting.value.as_ref().and_then(duration_of)?))
    };
    said.below("tool_timeouts").filter_map(limit).collect()
}

fn recycle(said: &Layer) -> Recycle {
    Recycle {
        ttl: said.duration("recycle.ttl").filter(|ttl| *ttl < Duration::MAX),
        max_requests: said.whole("recycle.max_requests"),
        max_rss: said.whole("recycle.max_rss"),
        check: said.duration("recycle.check").unwrap_or(Recycle::default().check),
    }
}

fn heartbeat(said: &Layer) -> HeartbeatConfig {
    HeartbeatConfig {
        enabled: said.flag("heartbeat.enabled"),
        interval: said.duration("heartbeat.interval"),
        timeout: said.duration("heartbeat.timeout"),
        max_missed: said.whole("heartbeat.max_missed"),
        initial_delay: said.duration("heartbeat.initial_delay"),
        dependent: said.flag("heartbeat.dependent"),
        while_busy: said.flag("heartbeat.while_busy"),
    }
}

fn health(said: &Layer) -> HealthConfig {
    HealthConfig {
        interval: said.duration("health.interval"),
        timeout: said.duration("health.timeout"),
        replace_after: said.count("health.replace_after"),
    }
}

fn restarts(said: &Layer) -> RestartsConfig {
    RestartsConfig {
        max_failures: said.whole("restarts.max_failures"),
        max_backoff: said.duration("restarts.max_backoff"),
    }
}

fn telemetry(said: &Layer) -> Telemetry {
    Telemetry {
        enabled: said.flag("telemetry.enabled"),
        sampling: said.number("telemetry.sampling"),
        allow: said.list("telemetry.allow", text),
        deny: said.list("telemetry.deny", text),
    }
}

fn thread_limits(said: &Layer) -> ThreadLimitsConfig {
    ThreadLimitsConfig {
        openblas: said.whole("thread_limits.openblas"),
        omp: said.whole("thread_limits.omp"),
        mkl: said.whole("thread_limits.mkl"),
        numexpr: said.whole("thread_limits.numexpr"),
    }
}

fn limits(said: &Layer) -> ResourceLimits {
    ResourceLimits {
        memory: said.whole("limits.memory"),
        cpu: said.number("limits.cpu"),
        processes: said.whole("limits.processes"),
        open_files: said.whole("limits.open_files"),
    }
}
