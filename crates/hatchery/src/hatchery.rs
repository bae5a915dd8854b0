//! `Hatchery` and its builders: wiring only.

mod ending;
mod pool_builder;
mod script;
mod stdout;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::{App, Launch, LaunchContext};
use crate::config::{self, Config, InstanceConfig, PoolConfig};
use crate::doctor;
use crate::error::{Error, ErrorKind, Result, near_match};
use crate::fault::Taints;
use crate::host::HostTools;
use crate::id::RunId;
use crate::pool::{self, Concurrency, Crew, Hiring, Pool, PoolStats, Shared, TaintBook, WorkerStatus};
use crate::process::{Containment, Escalation, Guarantee};
use crate::registry::{Instance, ProcessEntry, RunRegistry, SweepOptions};
use crate::run::{self, Run};
use crate::service::{Intensity, ServiceStatus, Services};
use crate::session::{SessionSettings, Sessions};
use crate::telemetry::{Emitter, Event, EventFilter, Events, SessionEvent};
use crate::tool::ToolSpec;
use crate::worker::Profile;

pub use ending::Cleanup;
pub use pool_builder::PoolBuilder;
pub use script::ScriptTimeouts;
pub use stdout::stdout_closed;

/// The least that a handshake and an error need.
const MIN_BODY: usize = 16 << 10;

/// Events that a subscriber may fall behind before it loses the oldest.
const EVENT_BACKLOG: usize = 4096;

/// How often what dead runs left is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Running pools and the workers in them.
///
/// Dropping it sends SIGKILL to every process before the drop returns, and reaps them in the background;
/// [`Hatchery::shutdown`] lets calls finish and apps clean up.
pub struct Hatchery {
    run: Arc<Run>,
    pools: BTreeMap<String, Pool>,
    /// One for each pool, in the order of their start.
    crews: Vec<Arc<Crew>>,
    taints: Arc<TaintBook>,
    sessions: Sessions,
    emitter: Emitter,
    /// What works in the background, in the order of its start; stopped in the reverse order, or when this is dropped.
    services: Services,
}

/// Configures a [`Hatchery`]. Nothing is started, or checked, before `start`.
#[derive(Default)]
pub struct Builder {
    pools: Vec<(String, Arc<dyn App>, pool::Config)>,
    host_tools: HostTools,
    /// The first mistake; told by `start`, so that building reads as one chain.
    mistake: Option<Error>,
    emitter: Option<Emitter>,
    run: RunOptions,
    sessions: SessionSettings,
}

/// Whose run it will be.
#[derive(Default)]
struct RunOptions {
    instance: Option<Instance>,
    data_dir: Option<PathBuf>,
    require_registry: bool,
    sweep_every: Option<Duration>,
}

impl RunOptions {
    fn config(self, enclosed: Vec<String>) -> Result<run::Config> {
        let RunOptions { instance, data_dir, require_registry, .. } = self;
        let (instance, usual) = match instance {
            Some(instance) => (instance.clone(), config::data_dir(&instance.folder())),
            None => {
                let said = InstanceConfig::from_environment()?;
                (said.instance(), said.place_of_data())
            }
        };
        Ok(run::Config { instance, data_dir: data_dir.unwrap_or(usual), require_registry, enclosed })
    }
}

impl Hatchery {
    /// Begins a configuration.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The pool of this name.
    ///
    /// # Errors
    /// `not_found`, with the near match.
    pub fn pool(&self, name: &str) -> Result<Pool> {
        self.pools.get(name).cloned().ok_or_else(|| {
            let near = near_match(name, self.pools.keys().map(String::as_str));
            Error::new(ErrorKind::NotFound, format!("no such pool: {name}{near}"))
        })
    }

    /// The pools, by name.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.pools.values()
    }

    /// This run's id.
    pub fn run_id(&self) -> RunId {
        self.run.id
    }

    /// How well its processes are contained on this machine: what holds for every pool.
    pub fn guarantee(&self) -> Guarantee {
        self.run.guarantee(self.pools.keys().map(String::as_str))
    }

    /// Every process that it has started for its pools and that is not known to be gone, in the order of their start. Answered
    /// from memory.
    pub fn processes(&self) -> Vec<ProcessEntry> {
        self.run.processes().into_iter().map(Arc::unwrap_or_clone).collect()
    }

    /// What it knows of its processes, by whatever key.
    pub fn registry(&self) -> RunRegistry<'_> {
        self.run.registry()
    }

    /// Where the records of its instance lie, and whose they are: for [`orphans`](crate::orphans),
    /// [`system_status`](crate::system_status) and, with its `data_dir`, [`registry_entries`](crate::registry_entries). Ends
    /// nothing as it is.
    pub fn sweep_options(&self) -> SweepOptions {
        self.run.sweep_options()
    }

    /// Everything that happens from now on, but what is of every call: [`Hatchery::events_matching`] tells of that too.
    pub fn events(&self) -> Events {
        self.events_matching(&EventFilter::new())
    }

    /// What happens from now on, as far as the filter lets it pass. What no subscriber wants is not even made.
    pub fn events_matching(&self, filter: &EventFilter) -> Events {
        self.emitter.subscribe(filter.clone())
    }

    /// What is tainted: lives of workers, and devices. Readable, and resettable with [`Taints::clear`] and its like. `look` must not
    /// block: crashes of workers wait for it.
    pub fn taints<T>(&self, look: impl FnOnce(&mut Taints) -> T) -> T {
        let seen = look(&mut self.taints.lock());
        self.taints.ring();
        seen
    }

    /// What has become of the calls of all pools so far.
    pub fn stats(&self) -> PoolStats {
        self.pools.values().fold(PoolStats::default(), |all, pool| all.and(&pool.stats()))
    }

    /// The workers of all pools.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.pools.values().flat_map(Pool::workers).collect()
    }

    /// Waits until every pool has a worker that is ready, at most so long.
    ///
    /// # Errors
    /// That of the first pool that cannot serve, at once, as [`Pool::await_ready`] has it.
    pub async fn await_ready(&self, within: Duration) -> Result<()> {
        let end = Instant::now().checked_add(within);
        for pool in self.pools.values() {
            pool.await_ready(end.map_or(within, |end| end.saturating_duration_since(Instant::now()))).await?;
        }
        Ok(())
    }

    /// What is done in the background, in the order in which each is founded on those before it.
    fn serve(&self, sweep_every: Duration) {
        let run = Arc::downgrade(&self.run);
        self.services.spawn("sweep", move || keep_house(run.clone(), sweep_every));
        let (sessions, emitter) = (self.sessions.clone(), self.emitter.clone());
        self.services.spawn("sessions", move || sessions.clone().upkeep(emitter.clone()));
        let (taints, crews) = (Arc::clone(&self.taints), self.crews.clone());
        self.services.spawn("taints", move || keep_taints(Arc::clone(&taints), crews.clone()));
        for crew in &self.crews {
            let (lifecycle, health) = (Arc::downgrade(crew), Arc::downgrade(crew));
            let name = &crew.shared.name;
            self.services.spawn(&format!("lifecycle of {name}"), move || pool::recycle(lifecycle.clone()));
            self.services.spawn(&format!("health of {name}"), move || pool::ask_how_they_are(health.clone()));
        }
    }

    /// What works in the background, in the order of its start, and how often it has failed. None after the shutdown.
    pub fn services(&self) -> Vec<ServiceStatus> {
        self.services.status()
    }

    /// The sessions of all pools.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Waits until the first start of every worker of every pool has come to an end. Says why, if no pool can serve.
    async fn await_starts(&self) -> Result<()> {
        let mut reasons = Vec::new();
        for crew in &self.crews {
            if let Err(Some(reason)) = crew.shared.standing_decided().await {
                reasons.push(reason);
            }
        }
        match reasons.into_iter().next() {
            Some(first) if self.crews.iter().all(|crew| !crew.shared.can_serve()) => Err(first),
            _ => Ok(()),
        }
    }
}

/// Begins a run, and opens its sessions, where it may block.
async fn begun(emitter: Emitter, config: run::Config, sessions: SessionSettings) -> Result<(Arc<Run>, Sessions)> {
    let begin = move || {
        let run = Run::begin(RunId::random(), &emitter, &config)?;
        // Before anything is started: what dead runs left may hold a port, or the memory of a GPU.
        run.sweep();
        let sessions = Sessions::open(Some(&config.data_dir), run.id, sessions)?;
        for message in sessions.losses() {
            emitter.emit(Event::Session(SessionEvent::Lost { message }));
        }
        Ok((Arc::new(run), sessions))
    };
    let begun = tokio::task::spawn_blocking(begin).await;
    begun.map_err(|error| Error::new(ErrorKind::Internal, format!("start the guardian: {error}")))?
}

/// Other runs of the instance may die while this one lives.
async fn keep_house(run: Weak<Run>, period: Duration) {
    loop {
        tokio::time::sleep(period).await;
        let Some(run) = run.upgrade() else { return };
        let _a_panic_is_not_ours = tokio::task::spawn_blocking(move || run.sweep()).await;
    }
}

/// The app of a pool whose workers are no processes.
struct NoProgram(Arc<dyn Profile>);

impl App for NoProgram {
    fn launch(&self, _worker: &LaunchContext<'_>) -> Result<Launch> {
        Err(Error::new(ErrorKind::Internal, format!("workers of the profile {} are no processes", self.describe())))
    }

    fn describe(&self) -> String {
        self.0.metadata().name
    }

    fn has_timeouts(&self) -> bool {
        false
    }
}

/// A worker that was tainted gets calls again when its time is over, or when somebody says so.
async fn keep_taints(taints: Arc<TaintBook>, crews: Vec<Arc<Crew>>) {
    loop {
        taints.changed().await;
        crews.iter().for_each(|crew| crew.shared.bar_the_tainted());
    }
}

/// The pools that asked for a PID namespace.
fn enclosed(pools: &[(String, Arc<dyn App>, pool::Config)]) -> Vec<String> {
    let asked = pools.iter().filter(|(_, _, config)| config.containment == Containment::PidNamespace);
    asked.map(|(name, _, _)| name.clone()).collect()
}

impl Drop for Hatchery {
    fn drop(&mut self) {
        for crew in &self.crews {
            crew.end(Escalation::AT_ONCE);
            crew.shared.kill();
            crew.abort();
        }
        self.run.close();
    }
}

impl Builder {
    /// Everything that a configuration says: whose data it is and where that lies, sessions, and its pools, after those that
    /// are there.
    #[must_use]
    pub fn configure(self, config: &Config) -> Builder {
        let sessions = config.sessions.over(self.sessions.clone());
        let builder = self.instance(config.instance.instance()).data_dir(config.data_dir()).sessions(sessions);
        let add = |builder: Builder, pool: &PoolConfig| {
            let started = builder.pool(&pool.name, pool.app.clone()).timeouts(config.timeouts());
            started.configure(pool).done()
        };
        config.pools.iter().fold(builder, add)
    }

    /// Adds a pool of one worker; the returned builder configures it.
    pub fn pool(self, name: &str, app: impl App) -> PoolBuilder {
        PoolBuilder { builder: self, name: name.to_owned(), app: Arc::new(app), config: pool::Config::new() }
    }

    /// Adds a pool of one worker of the embedder's own kind; the returned builder configures it. What concerns processes does not
    /// concern it.
    pub fn pool_of(self, name: &str, profile: impl Profile) -> PoolBuilder {
        let profile: Arc<dyn Profile> = Arc::new(profile);
        let config = pool::Config { profile: Some(Arc::clone(&profile)), ..pool::Config::new() };
        PoolBuilder { builder: self, name: name.to_owned(), app: Arc::new(NoProgram(profile)), config }
    }

    /// A function of this process that workers may call as `ctx.call(name, **arguments)`. The arguments object is
    /// deserialized into `A`.
    #[must_use]
    pub fn host_tool<A, R, F, Fut>(mut self, spec: impl Into<ToolSpec>, run: F) -> Builder
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Fn(A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        if let Err(error) = self.host_tools.insert(spec.into(), run) {
            self.mistake.get_or_insert(error);
        }
        self
    }

    /// Which installation this is: runs of one instance share a registry and sweep what dead ones of it left, and never
    /// touch another's. Default: what `HATCHERY__INSTANCE__NAME` and `HATCHERY__INSTANCE__TOKEN` say, else the name `default`, no token.
    #[must_use]
    pub fn instance(mut self, instance: Instance) -> Builder {
        self.run.instance = Some(instance);
        self
    }

    /// Where the instance keeps its data. Default: [`data_dir`](crate::data_dir) of the instance.
    #[must_use]
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.run.data_dir = Some(folder.into());
        self
    }

    /// How often processes are looked for that dead runs of this instance have left; they are ended. Default: 30 s, and at
    /// the start.
    #[must_use]
    pub fn sweep_every(mut self, period: Duration) -> Builder {
        self.run.sweep_every = Some(period);
        self
    }

    /// How long sessions live, and how many there may be. Default: 1 h, and 10 000.
    #[must_use]
    pub fn sessions(mut self, settings: SessionSettings) -> Builder {
        self.sessions = settings;
        self
    }

    /// Refuse to start where the registry cannot be written. Default: false, which starts and reports a lost layer.
    #[must_use]
    pub fn require_registry(mut self, yes: bool) -> Builder {
        self.run.require_registry = yes;
        self
    }

    /// Events from the very start, before there is a [`Hatchery`] to ask: how a start fails is seen here.
    pub fn events(&mut self) -> Events {
        self.events_matching(&EventFilter::new())
    }

    /// As [`Builder::events`], as far as the filter lets them pass.
    pub fn events_matching(&mut self, filter: &EventFilter) -> Events {
        self.emitter.get_or_insert_with(|| Emitter::new(EVENT_BACKLOG)).subscribe(filter.clone())
    }

    /// Starts all workers, in batches, and waits until the first start of each has come to an end. Without a pool it starts what
    /// pools stand on.
    ///
    /// A pool that cannot serve does not hurt the others: its calls fail at once with the reason, and it goes on trying.
    ///
    /// Dropping the future ends what was started.
    ///
    /// # Errors
    /// `validation` for a mistake in the configuration. If no pool can serve, why the first cannot: `validation` for an app that
    /// does not load or a missing interpreter; `deadline` if no worker is ready in time; `worker_died` or `protocol` if they
    /// end before. The worker's last output is in the error.
    pub async fn start(self) -> Result<Hatchery> {
        self.check()?;
        let emitter = self.emitter.unwrap_or_else(|| Emitter::new(EVENT_BACKLOG));
        let sweep_every = self.run.sweep_every.unwrap_or(SWEEP_EVERY);
        let config = self.run.config(enclosed(&self.pools))?;
        let (run, sessions) = begun(emitter.clone(), config, self.sessions).await?;
        let host_tools = Arc::new(self.host_tools);
        let hiring = Hiring { run: Arc::clone(&run), emitter: emitter.clone(), host_tools, template: None };
        let taints: Arc<TaintBook> = Arc::default();
        let sizes: Vec<usize> = self.pools.iter().map(|(_, _, config)| config.workers).collect();
        let crew = |(name, app, config): (String, Arc<dyn App>, pool::Config)| {
            let shared = Shared::new(&name, app, config, emitter.clone(), sessions.clone(), Arc::clone(&taints));
            Arc::new(Crew::new(Arc::new(shared), hiring.clone()))
        };
        let crews: Vec<Arc<Crew>> = self.pools.into_iter().map(crew).collect();
        let pool = |crew: &Arc<Crew>| (crew.shared.name.to_string(), Pool::new(Arc::clone(crew)));
        let pools = crews.iter().map(pool).collect();
        let services = Services::new(Intensity::default(), emitter.clone());
        // Exists before the first process and the first wait: dropping this future drops it, and it ends what was started.
        let hatchery = Hatchery { run, pools, crews, taints, sessions, emitter, services };
        hatchery.serve(sweep_every);
        for (crew, workers) in hatchery.crews.iter().zip(sizes) {
            crew.resize(workers);
        }
        if let Err(error) = hatchery.await_starts().await {
            // What went wrong first is the news.
            let _ended = hatchery.shutdown_within(Duration::ZERO).await;
            return Err(error);
        }
        Ok(hatchery)
    }

    fn check(&self) -> Result<()> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        let wrong = |message: String| Err(Error::new(ErrorKind::Validation, message));
        for (n, (name, _, config)) in self.pools.iter().enumerate() {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || name.len() > 64 || !name.chars().all(is_word) {
                return wrong(format!("pool name {name:?}: expected 1 to 64 letters, digits, `-` or `_`"));
            }
            if self.pools[..n].iter().any(|(other, _, _)| other == name) {
                return wrong(format!("there are two pools named {name}"));
            }
            if !(1..=pool::MAX_WORKERS).contains(&config.workers) {
                return wrong(format!("pool {name}: expected 1 to 1024 workers, found {}", config.workers));
            }
            if config.stop.ask == Duration::MAX || config.stop.term == Duration::MAX {
                return wrong(format!("pool {name}: expected a stop whose graces end, found {:?}", config.stop));
            }
            if let Concurrency::Thread { threads_per_worker } = config.concurrency
                && !(1..=pool::MAX_WORKERS).contains(&threads_per_worker)
            {
                return wrong(format!(
                    "pool {name}: expected 1 to 1024 threads per worker, found {threads_per_worker}"
                ));
            }
            if config.worker.heartbeat.max_missed == 0 || config.restarts.max_failures == 0 || config.batches.size == 0
            {
                return wrong(format!(
                    "pool {name}: expected a heartbeat's max_missed, a restart's max_failures and a batch's size above 0"
                ));
            }
            if config.worker.limits.max_body < MIN_BODY {
                return wrong(format!("pool {name}: expected a max_body of at least {MIN_BODY} bytes"));
            }
        }
        doctor::require_critical()
    }
}
