//! `Hatchery` and its builders: wiring only.

mod bridging;
mod ending;
mod metrics;
mod pool_builder;
mod pool_tools;
mod reconfigure;
mod script;
mod start;
mod stdout;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agent::{Adapters, Agents, LineAdapter};
use crate::app::{App, Launch, LaunchContext};
use crate::config::{self, AgentsConfig, Config, InstanceConfig, PoolConfig};
use crate::error::{Error, ErrorKind, Result, near_match};
use crate::fault::Taints;
use crate::host::{HostTool, HostToolLimits, HostTools, PoolTool};
use crate::id::RunId;
use crate::pool::{self, Crew, Pool, PoolStats, StopGraces, TaintBook, WorkerStatus};
use crate::process::{Escalation, Guarantee};
use crate::registry::{Instance, ProcessEntry, RunRegistry, SweepOptions};
use crate::run::{self, Run};
use crate::service::{ServiceStatus, Services};
use crate::session::{SessionSettings, Sessions};
use crate::telemetry::{Emitter, EventFilter, Events};
use crate::tool::ToolSpec;
use crate::worker::Profile;

pub use bridging::Bridged;
use bridging::Bridging;
pub use ending::Cleanup;
pub use metrics::Metrics;
pub use pool_builder::PoolBuilder;
use pool_tools::Reach;
use reconfigure::Configured;
pub use reconfigure::{NeedsRestart, Reconfigured};
pub use script::ScriptTimeouts;
pub use start::Begun;
pub use stdout::stdout_closed;

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
    agents: Agents,
    taints: Arc<TaintBook>,
    sessions: Sessions,
    host_tools: HostTools,
    reach: Reach,
    emitter: Emitter,
    started_at: SystemTime,
    /// What works in the background, in the order of its start; stopped in the reverse order, or when this is dropped.
    services: Services,
    /// `None`: it was not made from a configuration.
    configured: Mutex<Option<Configured>>,
}

/// Configures a [`Hatchery`]. Nothing is started, or checked, before `start`.
#[derive(Default)]
pub struct Builder {
    pools: Vec<(String, Arc<dyn App>, pool::Config)>,
    host_tools: Vec<HostTool>,
    pool_tools: Vec<PoolTool>,
    host_tool_limits: HostToolLimits,
    emitter: Option<Emitter>,
    run: RunOptions,
    sessions: SessionSettings,
    agents: AgentOptions,
    /// Of pools that say nothing of it.
    usual_stop: Option<StopGraces>,
    /// Where the pools come from, if it is one configuration.
    configured: Option<Config>,
    /// How those are made that do not speak the native wire.
    bridging: Option<Arc<Bridging>>,
}

/// What agent runs are started with.
#[derive(Default)]
struct AgentOptions {
    adapters: Adapters,
    most: Option<usize>,
    /// Of a configuration: its adapters are added at the start, which can be refused.
    configured: AgentsConfig,
}

impl AgentOptions {
    /// # Errors
    /// `validation` for a mistake in an adapter's table.
    fn settle(&mut self) -> Result<()> {
        self.adapters = self.configured.over(std::mem::take(&mut self.adapters))?;
        Ok(())
    }
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

    /// Long-lived processes that speak lines, coding agents above all.
    pub fn agents(&self) -> &Agents {
        &self.agents
    }

    /// The host tools: those that the builder was given, and those that come and go while this runs.
    pub fn host_tools(&self) -> &HostTools {
        &self.host_tools
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

impl Drop for Hatchery {
    fn drop(&mut self) {
        for crew in &self.crews {
            crew.end(Escalation::AT_ONCE);
            crew.shared.kill();
            crew.abort();
        }
        self.agents.abort();
        self.run.close();
        // They may hold pools.
        self.host_tools.clear();
    }
}

impl Builder {
    /// Everything that a configuration says: whose data it is and where that lies, sessions, agents, its pools, after those that are
    /// there, and its host tools.
    #[must_use]
    pub fn configure(self, config: &Config) -> Builder {
        let sessions = config.sessions.over(self.sessions.clone());
        let builder = self.instance(config.instance.instance()).data_dir(config.data_dir()).sessions(sessions);
        let builder = builder.agents(&config.agents);
        let add = |builder: Builder, pool: &PoolConfig| {
            let started = builder.pool(&pool.name, pool.app.clone()).timeouts(config.timeouts());
            started.configure(pool).done()
        };
        let mut builder = config.pools.iter().fold(builder, add);
        builder.pool_tools.extend(config.host_tools.iter().cloned());
        builder.configured = Some(config.clone());
        builder
    }

    /// What calls that run have to finish when a pool ends that says nothing of it, and its workers after that. For pools that
    /// are added from here on. Default: [`StopGraces::default`].
    #[must_use]
    pub fn usual_stop(mut self, graces: StopGraces) -> Builder {
        self.usual_stop = Some(graces);
        self
    }

    fn fresh(&self) -> pool::Config {
        let usual = pool::Config::new();
        pool::Config { stop: self.usual_stop.unwrap_or(usual.stop), ..usual }
    }

    /// Adds a pool of one worker; the returned builder configures it.
    pub fn pool(self, name: &str, app: impl App) -> PoolBuilder {
        let config = self.fresh();
        PoolBuilder { builder: self, name: name.to_owned(), app: Arc::new(app), config }
    }

    /// Adds a pool of one worker of the embedder's own kind; the returned builder configures it. What concerns processes does not
    /// concern it.
    pub fn pool_of(self, name: &str, profile: impl Profile) -> PoolBuilder {
        let profile: Arc<dyn Profile> = Arc::new(profile);
        let config = pool::Config { profile: Some(Arc::clone(&profile)), ..self.fresh() };
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
        self.host_tools.push(HostTool::new(spec, move |arguments: A, _caller| run(arguments)));
        self
    }

    /// The same for a tool with more to it: metadata, a caller that it looks at, one that workers do not see.
    #[must_use]
    pub fn with_host_tool(mut self, tool: HostTool) -> Builder {
        self.host_tools.push(tool);
        self
    }

    /// How many host tools there may be. Default: 256 of one session, 10 000 in all.
    #[must_use]
    pub fn host_tool_limits(mut self, limits: HostToolLimits) -> Builder {
        self.host_tool_limits = limits;
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

    /// What a configuration says of agent runs. A mistake in one of its adapters is told by the start.
    #[must_use]
    pub fn agents(mut self, config: &AgentsConfig) -> Builder {
        self.agents.most = config.max_concurrent.unwrap_or(self.agents.most);
        self.agents.configured.adapters.extend(config.adapters.clone());
        self
    }

    /// A kind of agents that this program knows how to speak to, besides those that are built in. It takes the place of one that is
    /// called so.
    #[must_use]
    pub fn agent_adapter(mut self, adapter: Arc<dyn LineAdapter>) -> Builder {
        self.agents.adapters = std::mem::take(&mut self.agents.adapters).with(adapter);
        self
    }

    /// How many agent runs may live at once; one more is refused. Default: any number.
    #[must_use]
    pub fn max_agents(mut self, most: usize) -> Builder {
        self.agents.most = Some(most);
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
}
